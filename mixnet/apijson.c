/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of the nym-api (spec bootstrap.md 4). Unknown members are ignored, a bad node is skipped, a bad
 * document is refused.
 *
 * Nesting, and the memory that the values of a text will take, are measured before jansson sees it, so that
 * hostile answers cost nothing: an empty object is three bytes of text and a hundred times as many in memory.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base58.h"
#include "base/err.h"
#include "mixnet/api.h"
#include "mixnet/prim.h"

/* Memory of an object or array, and of any value with its place in one, at most, but for the
 * text of strings. */
#define NEST_COST 320
#define VALUE_COST 96

/* ---- helpers ---- */

/* Brackets and braces outside strings are never nested deeper than API_DEPTH_MAX, and the values fit into
 * API_MEMORY_MAX. */
static bool affordable(const char *s, size_t len)
{
	size_t depth = 0, cost = 0;
	bool str = false;

	for (size_t i = 0; i < len; i++) {
		if (str) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				str = false;
		} else if (s[i] == '"') {
			str = true;
		} else if (s[i] == '{' || s[i] == '[') {
			cost += NEST_COST;
			if (++depth > API_DEPTH_MAX)
				return false;
		} else if (s[i] == ',') {
			cost += VALUE_COST;
		} else if ((s[i] == '}' || s[i] == ']') && depth) {
			depth--;
		}
	}
	return cost <= API_MEMORY_MAX;
}

/* One odd value that we do not even look at, perhaps chosen by the operator of one node, must not cost us the
 * whole list: texts may hold NUL, and where an integer is larger than jansson's all become reals. */
static json_t *load(const char *json, size_t len)
{
	json_error_t e;
	json_t *j;

	if (len > API_BODY_MAX || !affordable(json, len))
		return NULL;
	j = json_loadb(json, len, JSON_ALLOW_NUL, &e);
	if (!j && json_error_code(&e) == json_error_numeric_overflow)
		j = json_loadb(json, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	if (j && !json_is_object(j)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static bool is_u32(const json_t *v, uint32_t *ret)
{
	double d = json_number_value(v);

	if (!json_is_number(v) || !(d >= 0 && d <= UINT32_MAX) || d != (double)(uint32_t)d)
		return false;
	*ret = (uint32_t)d;
	return true;
}

static bool get_u32(const json_t *o, const char *key, uint32_t *ret)
{
	return is_u32(json_object_get(o, key), ret);
}

/* NULL: no text, or NUL inside. */
static const char *text_value(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

static bool get_port(const json_t *o, const char *key, uint16_t *ret)
{
	uint32_t v;

	if (!get_u32(o, key, &v) || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

static bool get_key(const json_t *o, const char *key, uint8_t out[32])
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) && base58_decode_key(out, json_string_value(v), json_string_length(v)) == 0;
}

/* A key with which nothing can be agreed would fail each packet that is to go there. */
static bool get_agreement_key(const json_t *o, const char *key, uint8_t out[32])
{
	static const uint8_t any[32] = { 1 };
	uint8_t shared[32];

	return get_key(o, key, out) && prim_x25519(shared, any, out) == 0;
}

static bool get_flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* "0.9875": decimal text in [0, 1], floor of the percentage (bootstrap.md 4). */
static bool parse_performance(const char *s, uint8_t *ret)
{
	unsigned whole, pct = 0;

	if (!s || (s[0] != '0' && s[0] != '1'))
		return false;
	whole = (unsigned)(s[0] - '0');
	if (s[1] && s[1] != '.')
		return false;
	for (size_t i = 2; s[1] && i < 4; i++) {
		char c = '0';

		if (i < strlen(s))
			c = s[i];
		if (c < '0' || c > '9')
			return false;
		pct = pct * 10 + (unsigned)(c - '0');
	}
	for (const char *p = s[1] ? s + 2 : ""; *p; p++)
		if (*p < '0' || *p > '9' || (whole && *p != '0'))
			return false;
	if (s[1] == '.' && !s[2])
		return false;
	*ret = (uint8_t)(whole ? 100 : pct);
	return true;
}

static bool get_ids(const json_t *o, const char *key, uint32_t **ret, size_t *ret_n)
{
	const json_t *a = json_object_get(o, key);
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > TOPO_NODES_MAX)
		return false;
	*ret = calloc(n ? n : 1, sizeof(**ret));
	if (!*ret)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_u32(json_array_get(a, i), &(*ret)[i]))
			return false;
	*ret_n = n;
	return true;
}

/* ---- skimmed nodes ---- */

void api_skimmed_done(struct api_skimmed *s)
{
	free(s->node);
	memset(s, 0, sizeof(*s));
}

static bool parse_ips(const json_t *list, struct topo_node *n)
{
	for (size_t i = 0; i < json_array_size(list) && n->n_ips < TOPO_IPS_MAX; i++) {
		const char *s = text_value(json_array_get(list, i));

		if (!s || addr_parse_ip(&n->ips[n->n_ips], s) < 0 || n->ips[n->n_ips].scope)
			return false;
		n->n_ips++;
	}
	return json_is_array(list);
}

static bool parse_entry(const json_t *e, struct topo_node *n)
{
	const char *host = text_value(json_object_get(e, "hostname"));

	if (!e || json_is_null(e))
		return true;
	if (!json_is_object(e) || !get_port(e, "ws_port", &n->ws_port))
		return false;
	if (host && strlen(host) < sizeof(n->hostname) && !strpbrk(host, " /@#?\t\r\n"))
		memcpy(n->hostname, host, strlen(host) + 1);
	if (!json_is_null(json_object_get(e, "wss_port")) && json_object_get(e, "wss_port") &&
	    !get_port(e, "wss_port", &n->wss_port))
		return false;
	n->has_entry = true;
	return true;
}

static bool parse_node(const json_t *j, struct topo_node *n)
{
	const json_t *roles = json_object_get(j, "supported_roles");
	uint16_t port;

	memset(n, 0, sizeof(*n));
	if (!get_u32(j, "node_id", &n->id) || !get_key(j, "ed25519_identity_pubkey", n->identity) ||
	    !prim_ed25519_valid(n->identity) ||
	    !get_agreement_key(j, "x25519_sphinx_pubkey", n->sphinx_key) || !get_port(j, "mix_port", &port) ||
	    !parse_ips(json_object_get(j, "ip_addresses"), n) || !n->n_ips ||
	    !parse_performance(text_value(json_object_get(j, "performance")), &n->performance) ||
	    !parse_entry(json_object_get(j, "entry"), n))
		return false;
	n->mix = n->ips[0];
	n->mix.port = port;
	n->exit_ipr = get_flag(roles, "exit_ipr");
	return true;
}

static int parse_metadata(struct api_skimmed *s, const json_t *m)
{
	uint32_t epoch, rotation;

	if (!get_u32(m, "absolute_epoch_id", &epoch) || !get_u32(m, "rotation_id", &rotation))
		return SMX_EPROTO;
	if (s->has_epoch && (s->epoch_id != epoch || s->rotation_id != rotation))
		return SMX_EPROTO;
	s->has_epoch = true;
	s->epoch_id = epoch;
	s->rotation_id = rotation;
	return 0;
}

static int grow(struct api_skimmed *s, size_t more)
{
	struct topo_node *p;

	if (s->n + more > TOPO_NODES_MAX)
		return SMX_ELIMIT;
	if (s->n + more <= s->cap)
		return 0;
	p = realloc(s->node, (s->n + more) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->node = p;
	s->cap = s->n + more;
	return 0;
}

int api_parse_skimmed(struct api_skimmed *s, const char *json, size_t len, size_t *skipped)
{
	json_t *j = load(json, len);
	const json_t *nodes = json_object_get(j, "nodes"), *data = json_object_get(nodes, "data");
	uint32_t total;
	int r = SMX_EPROTO;

	if (json_is_array(data) && get_u32(json_object_get(nodes, "pagination"), "total", &total))
		r = parse_metadata(s, json_object_get(j, "metadata"));
	if (r == 0)
		r = grow(s, json_array_size(data));
	if (r == 0)
		s->total = total;
	for (size_t i = 0; r == 0 && i < json_array_size(data); i++) {
		if (parse_node(json_array_get(data, i), &s->node[s->n]))
			s->n++;
		else
			++*skipped;
	}
	json_decref(j);
	return r;
}

/* ---- rewarded set and rotation ---- */

void api_rewarded_done(struct api_rewarded *r)
{
	for (int i = 0; i < TOPO_LAYERS; i++)
		free(r->layer[i]);
	free(r->entry);
	free(r->exit);
	memset(r, 0, sizeof(*r));
}

int api_parse_rewarded(struct api_rewarded *ret, const char *json, size_t len)
{
	static const char *const layer[] = { "layer1", "layer2", "layer3" };
	struct api_rewarded r;
	uint32_t *standby = NULL;
	size_t n_standby;
	json_t *j = load(json, len);
	const json_t *epoch = json_object_get(j, "epoch_id");
	bool ok = j != NULL;

	memset(&r, 0, sizeof(r));
	for (int i = 0; i < TOPO_LAYERS && ok; i++)
		ok = get_ids(j, layer[i], &r.layer[i], &r.layer_n[i]);
	ok = ok && get_ids(j, "entry_gateways", &r.entry, &r.entry_n) &&
	     get_ids(j, "exit_gateways", &r.exit, &r.exit_n) && get_ids(j, "standby", &standby, &n_standby);
	free(standby);
	if (ok && epoch) {
		ok = get_u32(j, "epoch_id", &r.epoch_id);
		r.has_epoch = true;
	}
	json_decref(j);
	if (!ok) {
		api_rewarded_done(&r);
		return SMX_EPROTO;
	}
	*ret = r;
	return 0;
}

/* "2026-05-16T04:00:11Z", optional fraction; other zones are not used by the API. */
static bool parse_rfc3339(const char *s, int64_t *ret)
{
	struct tm tm;
	const char *end;

	memset(&tm, 0, sizeof(tm));
	end = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!end)
		return false;
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (strcmp(end, "Z") && strcmp(end, "+00:00"))
		return false;
	*ret = timegm(&tm);
	return true;
}

int api_parse_rotation(struct api_rotation *ret, const char *json, size_t len)
{
	struct api_rotation k;
	json_t *j = load(json, len);
	const json_t *state = json_object_get(j, "key_rotation_state"),
		     *d = json_object_get(j, "epoch_duration");
	uint32_t secs, nanos;
	bool ok;

	memset(&k, 0, sizeof(k));
	ok = get_u32(state, "validity_epochs", &k.validity_epochs) && k.validity_epochs &&
	     get_u32(state, "initial_epoch_id", &k.initial_epoch_id) &&
	     get_u32(j, "current_absolute_epoch_id", &k.current_epoch_id) &&
	     parse_rfc3339(text_value(json_object_get(j, "current_epoch_start")), &k.epoch_start_s) &&
	     get_u32(d, "secs", &secs) && secs < 366 * 86400 && get_u32(d, "nanos", &nanos) &&
	     nanos < 1000000000;
	if (ok)
		k.epoch_us = (uint64_t)secs * US_PER_S + nanos / 1000;
	json_decref(j);
	if (!ok || !k.epoch_us || k.validity_epochs >= UINT64_MAX / k.epoch_us) /* see api_rotation_life() */
		return SMX_EPROTO;
	*ret = k;
	return 0;
}

uint64_t api_rotation_life(const struct api_rotation *k)
{
	return k->epoch_us * ((uint64_t)k->validity_epochs + 1);
}

uint32_t api_rotation_id(const struct api_rotation *k, uint32_t epoch_id)
{
	return epoch_id <= k->initial_epoch_id ? 0 : (epoch_id - k->initial_epoch_id) / k->validity_epochs;
}

/* ---- described nodes ---- */

static int by_identity(const void *a, const void *b)
{
	return memcmp(((const struct topo_node *)a)->identity, ((const struct topo_node *)b)->identity, 32);
}

static void describe(struct topo_node *n, const json_t *d)
{
	const json_t *version = json_object_get(json_object_get(d, "build_information"), "build_version");
	const json_t *ipr = json_object_get(json_object_get(d, "ip_packet_router"), "address");
	const char *where = text_value(json_object_get(json_object_get(d, "auxiliary_details"), "location"));

	if (json_is_string(version))
		topo_version_parse(&n->version, json_string_value(version), json_string_length(version));
	if (json_is_string(ipr))
		n->has_ipr = recipient_parse(&n->ipr, json_string_value(ipr), json_string_length(ipr)) == 0;
	/* It is printed: no control character, no blank. */
	if (where && strlen(where) == 2 && strspn(where, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 2)
		memcpy(n->country, where, 3);
}

int api_parse_described(struct api_skimmed *s, const char *json, size_t len, size_t *total, size_t *n)
{
	json_t *j = load(json, len);
	const json_t *data = json_object_get(j, "data");
	uint32_t t;

	if (!json_is_array(data) || !get_u32(json_object_get(j, "pagination"), "total", &t)) {
		json_decref(j);
		return SMX_EPROTO;
	}
	if (s->n)
		qsort(s->node, s->n, sizeof(*s->node), by_identity);
	for (size_t i = 0; i < json_array_size(data); i++) {
		const json_t *d = json_object_get(json_array_get(data, i), "description");
		const json_t *keys = json_object_get(json_object_get(d, "host_information"), "keys");
		struct topo_node want, *found;

		if (!get_key(keys, "ed25519", want.identity))
			continue;
		found = s->n ? bsearch(&want, s->node, s->n, sizeof(*s->node), by_identity) : NULL;
		if (found)
			describe(found, d);
	}
	*total = t;
	*n += json_array_size(data);
	json_decref(j);
	return 0;
}

/* ---- all together ---- */

static bool has_id(const uint32_t *ids, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

void api_topology_free(struct topology *t)
{
	if (!t)
		return;
	for (int i = 0; i < TOPO_LAYERS; i++)
		free(t->layer[i]);
	free(t->node);
	free(t);
}

struct topology *api_topology(const struct api_skimmed *s, const struct api_rewarded *r)
{
	struct topology *t = calloc(1, sizeof(*t));
	size_t n = s->n ? s->n : 1;

	if (!t)
		return NULL;
	t->rotation_id = s->rotation_id;
	t->epoch_id = s->epoch_id;
	t->n = s->n;
	t->any_gateway = r->entry_n || r->exit_n;
	t->node = calloc(n, sizeof(*t->node));
	for (int i = 0; i < TOPO_LAYERS; i++)
		t->layer[i] = calloc(n, sizeof(uint32_t));
	if (!t->node || !t->layer[0] || !t->layer[1] || !t->layer[2]) {
		api_topology_free(t);
		return NULL;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct topo_node *d = &t->node[i];

		*d = s->node[i];
		d->layer = 0;
		for (int l = 0; l < TOPO_LAYERS && !d->layer; l++)
			if (has_id(r->layer[l], r->layer_n[l], d->id))
				d->layer = (uint8_t)(l + 1);
		d->entry_role = has_id(r->entry, r->entry_n, d->id) || has_id(r->exit, r->exit_n, d->id);
	}
	topology_index(t);
	return t;
}
