/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology.vec: JSON of the nym-api. Where the reference refuses a whole page for one bad node, this client
 * skips that node and keeps the others (api.h); its number must then be missing. "again" is the same document
 * as the reference writes it, and must be understood alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/api.h"
#include "tests/kat/kat.h"

#define ENDPOINT 320

static const struct topo_node *by_id(const struct api_skimmed *s, int64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->node[i].id == id)
			return &s->node[i];
	return NULL;
}

static void check_node(struct kat_block *b, const struct api_skimmed *s, unsigned i)
{
	int64_t id = kat_num(b, kat_key("node%u.id", i));
	const struct topo_node *n = by_id(s, id);
	const char *roles = kat_str(b, kat_key("node%u.roles", i));
	bool skipped = kat_has(b, kat_key("routing%d", (int)id));

	kat_str(b, kat_key("node%u.role", i)); /* layers and gateways come from the rewarded set */
	if (!n || skipped) {
		if (n || !skipped)
			kat_fail(b, "node %d: %s", (int)id, n ? "taken" : "missing");
		kat_fixed(b, kat_key("node%u.identity", i), 32);
		kat_fixed(b, kat_key("node%u.sphinx", i), 32);
		kat_num(b, kat_key("node%u.performance_percent", i));
		return;
	}
	kat_eq(b, kat_key("node%u.identity", i), n->identity, 32);
	kat_eq(b, kat_key("node%u.sphinx", i), n->sphinx_key, 32);
	kat_eq_num(b, kat_key("node%u.performance_percent", i), n->performance);
	if (n->exit_ipr != (strstr(roles, "exit_ipr: true") != NULL))
		kat_fail(b, "node %d: exit_ipr", (int)id);
}

/* The reference writes IPv6 addresses into URLs without brackets. */
static void ip_url(char out[ENDPOINT], const struct topo_node *n, unsigned i)
{
	char text[ADDR_TEXT];
	struct addr a;

	out[0] = '\0';
	if (i >= n->n_ips)
		return;
	a = n->ips[i];
	a.port = 0;
	snprintf(out, ENDPOINT, "ws://%s:%u", addr_text(&a, text), n->ws_port);
}

static void check_routing(struct kat_block *b, const struct api_skimmed *s, unsigned id)
{
	const struct topo_node *n = by_id(s, id);
	char text[ADDR_TEXT], url[ENDPOINT];
	bool named;

	if (kat_has(b, kat_key("routing%u", id)) && !strcmp(kat_str(b, kat_key("routing%u", id)), "skipped"))
		return; /* check_node() looked for it */
	if (!n) {
		kat_fail(b, "routing of %u", id);
		return;
	}
	kat_eq_str(b, kat_key("routing%u.mix_host", id), addr_text(&n->mix, text));
	if (n->has_entry != kat_has(b, kat_key("routing%u.url", id)))
		kat_fail(b, "%u: an entry gateway or not", id);
	if (!n->has_entry)
		return;
	named = n->hostname[0] != '\0';
	ip_url(url, n, 0);
	kat_eq_str(b, kat_key("routing%u.no_hostname", id), url);
	if (named)
		snprintf(url, sizeof(url), "ws://%s:%u", n->hostname, n->ws_port);
	kat_eq_str(b, kat_key("routing%u.url", id), url);
	ip_url(url, n, named ? 0 : 1);
	kat_eq_str(b, kat_key("routing%u.fallback", id), url);
	url[0] = '\0';
	if (named && n->wss_port)
		snprintf(url, sizeof(url), "wss://%s:%u", n->hostname, n->wss_port);
	kat_eq_str(b, kat_key("routing%u.tls", id), url);
}

/*
 * Layers and gateways of the rewarded set, met with the nodes of skimmed/fresh, whose roles say the same.
 * Under 50 % a node is dropped (bootstrap.md 5.2).
 */
static void check_joined(struct kat_block *b, const struct api_skimmed *s)
{
	const char *json = kat_str(kat_block(b, "rewarded-set"), "json");
	struct api_rewarded w = { 0 };
	struct topology *t;

	if (api_parse_rewarded(&w, json, strlen(json)) || !(t = api_topology(s, &w))) {
		kat_fail(b, "no topology");
		api_rewarded_done(&w);
		return;
	}
	kat_eq_num(b, "rotation_id", t->rotation_id);
	kat_eq_num(b, "absolute_epoch_id", t->epoch_id);
	for (unsigned i = 0; kat_has(b, kat_key("node%u.id", i)); i++) {
		const char *role = kat_str(b, kat_key("node%u.role", i));
		const struct topo_node *n = topology_by_id(t, (uint32_t)kat_num(b, kat_key("node%u.id", i)));
		bool used = kat_num(b, kat_key("node%u.performance_percent", i)) >= 50;
		unsigned layer = 0;

		sscanf(role, "Mixnode { layer: %u", &layer);
		if (used != (n != NULL))
			kat_fail(b, "node%u: %s", i, used ? "dropped" : "kept");
		else if (n && (n->layer != layer || n->entry_role != (strstr(role, "Gateway") != NULL)))
			kat_fail(b, "node%u: layer %u, gateway %d", i, n->layer, n->entry_role);
	}
	api_topology_free(t);
	api_rewarded_done(&w);
}

static size_t nodes_in(const char *json)
{
	size_t n = 0;

	for (const char *p = json; (p = strstr(p, "\"node_id\":")); p++)
		n++;
	return n;
}

/* The reference names a column in or right behind the bad node: that node is missing, all
 * others are there. */
static void check_bad_node(struct kat_block *b, const struct api_skimmed *s, const char *json, size_t skipped)
{
	static const char begin[] = "{\"ed25519_identity_pubkey\":";
	const char *column = strstr(kat_str(b, "result"), "column "), *bad = NULL, *id;
	unsigned long at = column ? strtoul(column + 7, NULL, 10) : 0;

	for (const char *p = json; (p = strstr(p, begin)) && (size_t)(p - json) + 1 < at; p++)
		bad = p;
	id = bad ? strstr(bad, "\"node_id\":") : NULL;
	if (!id || by_id(s, strtol(id + 10, NULL, 10)))
		kat_fail(b, "the bad node is %s", id ? "taken" : "not found");
	if (skipped != 1 || s->n != nodes_in(json) - 1)
		kat_fail(b, "%zu nodes skipped, %zu taken", skipped, s->n);
}

static void check_page(struct kat_block *b, const char *key)
{
	const char *json = kat_str(b, key);
	struct api_skimmed s = { 0 };
	size_t skipped = 0;
	unsigned id;
	int r = api_parse_skimmed(&s, json, strlen(json), &skipped);

	if (!kat_accepts(kat_str(b, "result"))) {
		bool page = !strstr(json, "\"rotation_id\":");

		if (r != (page ? SMX_EPROTO : 0))
			kat_fail(b, "%s: %s", key, err_str(r));
		else if (!page)
			check_bad_node(b, &s, json, skipped);
		api_skimmed_done(&s);
		return;
	}
	kat_eq_num(b, "total", (int64_t)s.total);
	kat_eq_num(b, "rotation_id", s.rotation_id);
	kat_eq_num(b, "absolute_epoch_id", s.epoch_id);
	for (unsigned i = 0; kat_has(b, kat_key("node%u.id", i)); i++)
		check_node(b, &s, i);
	for (size_t i = 0; i < b->n; i++) {
		const char *item = b->item[i].key, *dot = strchr(item, '.');

		if (sscanf(item, "routing%u", &id) == 1 && (!dot || !strcmp(dot, ".mix_host")))
			check_routing(b, &s, id);
	}
	if (!strcmp(b->name, "skimmed/fresh"))
		check_joined(b, &s);
	if (r)
		kat_fail(b, "%s refused: %s", key, err_str(r));
	api_skimmed_done(&s);
}

static void run_skimmed(struct kat_block *b)
{
	check_page(b, "json");
	if (kat_has(b, "again"))
		check_page(b, "again");
}

/* ids of a JSON array as they stand in the text. */
static void check_ids(struct kat_block *b, const char *json, const char *member, const uint32_t *ids,
		      size_t n)
{
	char want[256], key[64];
	size_t len = 0;

	snprintf(key, sizeof(key), "\"%s\":", member);
	want[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(want + len, sizeof(want) - len, "%s%u", i ? "," : "", ids[i]);
	json = strstr(json, key);
	if (!json || strncmp(json + strlen(key) + 1, want, len) || json[strlen(key) + 1 + len] != ']')
		kat_fail(b, "%s: %s", member, want);
}

static void check_rewarded(struct kat_block *b, const char *doc)
{
	static const char *const layer[] = { "layer1", "layer2", "layer3" };
	const char *json = kat_str(b, doc), *epoch = strstr(json, "\"epoch_id\":");
	struct api_rewarded w = { 0 };
	bool taken = api_parse_rewarded(&w, json, strlen(json)) == 0;

	kat_eq_accepted(b, "result", taken);
	if (!taken)
		return;
	for (int i = 0; i < TOPO_LAYERS; i++)
		check_ids(b, json, layer[i], w.layer[i], w.layer_n[i]);
	check_ids(b, json, "entry_gateways", w.entry, w.entry_n);
	check_ids(b, json, "exit_gateways", w.exit, w.exit_n);
	if (w.has_epoch != (epoch != NULL) || (epoch && w.epoch_id != strtoul(epoch + 11, NULL, 10)))
		kat_fail(b, "%s: epoch", doc);
	api_rewarded_done(&w);
}

static void run_rewarded(struct kat_block *b)
{
	check_rewarded(b, "json");
	if (kat_has(b, "again"))
		check_rewarded(b, "again");
}

static void run_rotation(struct kat_block *b)
{
	static const char *const doc[] = { "json", "again" };
	struct api_rotation k = { 0 };
	unsigned validity, initial, current, id, first;

	for (int i = 0; i < 2; i++) {
		const char *json = kat_str(b, doc[i]);
		uint32_t now;

		if (api_parse_rotation(&k, json, strlen(json)) < 0) {
			kat_fail(b, "%s refused", doc[i]);
			return;
		}
		now = api_rotation_id(&k, k.current_epoch_id);
		kat_eq_num(b, "current_key_rotation_id", now);
		kat_eq_num(b, "starting_epoch", (int64_t)now * k.validity_epochs + k.initial_epoch_id);
	}
	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "validity");

		if (!it)
			continue;
		if (sscanf(it->key, "validity%u_initial%u_current%u", &validity, &initial, &current) != 3 ||
		    sscanf(kat_str(b, it->key), "%u %u", &id, &first) != 2) {
			kat_fail(b, "%s: not understood", it->key);
			continue;
		}
		k.validity_epochs = validity;
		k.initial_epoch_id = initial;
		if (api_rotation_id(&k, current) != id || api_rotation_id(&k, first) != id ||
		    (first > initial && api_rotation_id(&k, first - 1) != id - 1))
			kat_fail(b, "%s", it->key);
	}
}

static void check_described(struct kat_block *b, const char *doc)
{
	const char *json = kat_str(b, doc);
	struct api_skimmed s = { 0 };
	struct topo_node node = { 0 };
	char version[32], ipr[NYM_RECIPIENT_TEXT];
	size_t total = 0, n = 0;

	s.node = &node;
	s.n = s.cap = 1;
	memcpy(node.identity, kat_fixed(b, "identity", 32), 32);
	kat_eq_accepted(b, "result", api_parse_described(&s, json, strlen(json), &total, &n) == 0);
	snprintf(version, sizeof(version), "%u.%u.%u", node.version.major, node.version.minor,
		 node.version.patch);
	kat_eq_str(b, "version", version);
	kat_eq_str(b, "ipr", node.has_ipr ? recipient_text(&node.ipr, ipr) : "");
	if (n != 1 || total != 1)
		kat_fail(b, "%zu entries of %zu", n, total);
}

static void run_described(struct kat_block *b)
{
	kat_skip(b, "sphinx");
	kat_skip(b, "mix_port");
	check_described(b, "json");
	check_described(b, "again");
}

KAT_KINDS({ "skimmed/", run_skimmed }, { "rewarded-set", run_rewarded }, { "rewarded-set/", run_rewarded },
	  { "key-rotation-info", run_rotation }, { "described/", run_described });
