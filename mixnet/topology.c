/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology: lookups, route drawing, choice of gateways and exits (spec bootstrap.md 5, 6, 8; design D16).
 *
 * Nodes are sorted by identity, which makes the lookup of a recipient's gateway a binary search; layers are
 * lists of indices. Nodes under the minimum performance are dropped when the index is made, so everything
 * later may use every node.
 */
#include "mixnet/topology.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/nympkt.h"

#define PREFERRED_EXITS 5 /* as many with version >= 1.37.0 make older ones unnecessary */

/* ---- versions ---- */

static bool number(const char **s, const char *end, uint16_t *ret)
{
	const char *p = *s;
	unsigned v = 0;

	if (p == end || *p < '0' || *p > '9' || (*p == '0' && p + 1 < end && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (unsigned)(*p - '0');
		if (v > UINT16_MAX)
			return false;
	}
	*s = p;
	*ret = (uint16_t)v;
	return true;
}

void topo_version_parse(struct topo_version *v, const char *s, size_t len)
{
	const char *end = s + len;
	struct topo_version t = { .known = true };

	*v = (struct topo_version){ 0 };
	if (!number(&s, end, &t.major) || s == end || *s++ != '.' || !number(&s, end, &t.minor) || s == end ||
	    *s++ != '.' || !number(&s, end, &t.patch))
		return;
	if (s < end && *s != '+') /* build metadata is fine, a pre-release is not */
		return;
	*v = t;
}

bool topo_version_at_least(const struct topo_version *v, unsigned major, unsigned minor)
{
	return v->known && (v->major > major || (v->major == major && v->minor >= minor));
}

/* ---- index ---- */

static int by_identity(const void *a, const void *b)
{
	return memcmp(((const struct topo_node *)a)->identity, ((const struct topo_node *)b)->identity, 32);
}

void topology_index(struct topology *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->node[i].performance < TOPO_MIN_PERFORMANCE)
			continue;
		if (kept != i)
			t->node[kept] = t->node[i];
		kept++;
	}
	t->n = kept;
	qsort(t->node, t->n, sizeof(*t->node), by_identity);
	memset(t->layer_n, 0, sizeof(t->layer_n));
	for (size_t i = 0; i < t->n; i++) {
		unsigned layer = t->node[i].layer;

		if (layer >= 1 && layer <= TOPO_LAYERS)
			t->layer[layer - 1][t->layer_n[layer - 1]++] = (uint32_t)i;
	}
}

int topology_check(const struct topology *t)
{
	for (int i = 0; i < TOPO_LAYERS; i++)
		if (!t->layer_n[i])
			return SMX_EROUTE;
	return t->any_gateway ? 0 : SMX_EROUTE;
}

const struct topo_node *topology_by_identity(const struct topology *t, const uint8_t identity[32])
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(identity, t->node[mid].identity, 32);

		if (!c)
			return &t->node[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct topo_node *topology_by_id(const struct topology *t, uint32_t id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->node[i].id == id)
			return &t->node[i];
	return NULL;
}

/* ---- routes ---- */

static void put_hop(struct sphinx_hop *h, const struct topo_node *n, uint64_t delay_ns)
{
	nym_addr_pad(h->addr, &n->mix);
	memcpy(h->key, n->sphinx_key, 32);
	h->delay_ns = delay_ns;
}

int topology_route(const struct topology *t, const uint8_t egress[32], uint64_t mean_delay_ns,
		   struct rng *rng, struct sphinx_route *route, uint64_t *ret_expected_ns)
{
	const struct topo_node *last = topology_by_identity(t, egress);
	uint64_t sum = 0;

	if (!last || topology_check(t) < 0)
		return SMX_EROUTE;
	for (int i = 0; i < TOPO_LAYERS; i++) {
		uint32_t pick = t->layer[i][rng_below(rng, (uint32_t)t->layer_n[i])];
		uint64_t delay = rng_exp(rng, mean_delay_ns);

		put_hop(&route->hop[i], &t->node[pick], delay);
		sum += delay;
	}
	put_hop(&route->hop[TOPO_LAYERS], last, rng_exp(rng, mean_delay_ns));
	route->n = TOPO_LAYERS + 1;
	if (ret_expected_ns)
		*ret_expected_ns = sum;
	return 0;
}

/* ---- choices ---- */

static bool listed(const uint32_t *ids, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

const struct topo_node *topology_pick_gateway(const struct topology *t, const uint32_t *tried, size_t n_tried,
					      struct rng *rng)
{
	const struct topo_node *pick = NULL;
	uint32_t seen = 0;

	/* Reservoir of one: each candidate replaces the choice with probability 1 / (number seen). */
	for (size_t i = 0; i < t->n; i++) {
		const struct topo_node *n = &t->node[i];

		if (!n->has_entry || !n->n_ips || listed(tried, n_tried, n->id))
			continue;
		if (rng_below(rng, ++seen) == 0)
			pick = n;
	}
	return pick;
}

static bool eligible_exit(const struct topology *t, const struct topo_node *n, const uint32_t *tried,
			  size_t n_tried)
{
	return n->has_ipr && n->exit_ipr && topo_version_at_least(&n->version, 1, 31) &&
	       !listed(tried, n_tried, n->id) && topology_by_identity(t, n->ipr.gateway);
}

struct exit_filter {
	enum exit_choice how;
	const char *country;
	bool newest_only;
	const uint8_t *not_gateway;
	const uint32_t *tried;
	size_t n_tried;
};

static uint32_t exit_weight(const struct topology *t, const struct topo_node *n, const struct exit_filter *f)
{
	if (!eligible_exit(t, n, f->tried, f->n_tried) ||
	    (f->newest_only && !topo_version_at_least(&n->version, 1, 37)) ||
	    (f->how == EXIT_COUNTRY && strcmp(n->country, f->country)) ||
	    (f->not_gateway && !memcmp(n->ipr.gateway, f->not_gateway, 32)))
		return 0;
	return f->how == EXIT_RANDOM ? 1 : n->performance;
}

static const struct topo_node *draw_exit(const struct topology *t, const struct exit_filter *f,
					 struct rng *rng)
{
	uint32_t total = 0, at;

	for (size_t i = 0; i < t->n; i++)
		total += exit_weight(t, &t->node[i], f);
	if (!total)
		return NULL;
	at = rng_below(rng, total);
	for (size_t i = 0; i < t->n; i++) {
		uint32_t w = exit_weight(t, &t->node[i], f);

		if (at < w)
			return &t->node[i];
		at -= w;
	}
	return NULL;
}

const struct topo_node *topology_pick_exit(const struct topology *t, enum exit_choice how,
					   const char *country, const uint8_t own_gateway[32],
					   const uint32_t *tried, size_t n_tried, struct rng *rng)
{
	struct exit_filter f = { .how = how,
				 .country = country,
				 .newest_only = true,
				 .not_gateway = own_gateway,
				 .tried = tried,
				 .n_tried = n_tried };
	const struct topo_node *n;
	unsigned newest = 0;

	for (size_t i = 0; i < t->n; i++)
		newest += exit_weight(t, &t->node[i], &f) != 0;
	f.newest_only = newest >= PREFERRED_EXITS;
	n = draw_exit(t, &f, rng);
	if (n)
		return n;
	f.newest_only = false;
	f.not_gateway = NULL; /* the own gateway's exit is better than none */
	return draw_exit(t, &f, rng);
}

static int better_exit(const void *a, const void *b)
{
	const struct topo_node *x = *(const struct topo_node *const *)a,
			       *y = *(const struct topo_node *const *)b;

	if (x->performance != y->performance)
		return y->performance - x->performance;
	if (x->version.major != y->version.major)
		return y->version.major - x->version.major;
	if (x->version.minor != y->version.minor)
		return y->version.minor - x->version.minor;
	if (x->version.patch != y->version.patch)
		return y->version.patch - x->version.patch;
	return memcmp(x->identity, y->identity, sizeof(x->identity));
}

size_t topology_list_exits(const struct topology *t, enum exit_choice how, const char *country,
			   const struct topo_node **ret)
{
	const struct exit_filter f = { .how = how, .country = country };
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		if (exit_weight(t, &t->node[i], &f))
			ret[n++] = &t->node[i];
	qsort(ret, n, sizeof(ret[0]), better_exit);
	return n;
}
