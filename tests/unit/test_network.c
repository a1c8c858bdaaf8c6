/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: which network files and URLs are taken, and the line that says why not; limits of directory
 * answers, and the topology made of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "mixnet/api.h"
#include "mixnet/framing.h"

static void files(void **state)
{
	static const struct {
		const char *json, *why; /* NULL: taken */
	} cases[] = {
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a.example/\", \"http://127.0.0.1:8000/\"]}",
		  NULL },
		{ "{\"name\": \"x\", \"nym_api\": [\"http://127.0.0.1:1/\"], \"ca_file\": null, "
		  "\"allow_plain_ws\": true}",
		  NULL },
		{ "{\"name\": \"x\", \"nym_api\": [\"http://127.0.0.1:1/\"], \"colour\": 1}",
		  "unknown member \"colour\"" },
		{ "{\"nym_api\": [\"http://127.0.0.1:1/\"]}", "missing \"name\"" },
		{ "{\"name\": \"x\"}", "missing \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": []}", "no URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": \"https://a/\"}", "no URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [1]}", "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"wss://a/\"]}",
		  "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/?q\"]}",
		  "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": 1, \"nym_api\": [\"https://a/\"]}", "not a short text: \"name\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"ca_file\": 1}",
		  "not a path: \"ca_file\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"allow_plain_ws\": 1}",
		  "neither true nor false: \"allow_plain_ws\"" },
		{ "{\"name\": \"x\", \"name\": \"y\", \"nym_api\": [\"https://a/\"]}", "not a JSON object" },
		{ "[]", "not a JSON object" },
		{ "{", "not a JSON object (line 1: " },
		{ "", "not a JSON object" },
	};
	struct network n;
	char err[160];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct network before;
		int r;

		memset(&n, 0x5a, sizeof(n));
		before = n;
		r = network_parse(&n, cases[i].json, strlen(cases[i].json), err, sizeof(err));
		assert_int_equal(r, cases[i].why ? SMX_ECONFIG : 0);
		if (!cases[i].why)
			continue;
		assert_int_equal(strncmp(err, cases[i].why, strlen(cases[i].why)), 0);
		assert_null(strstr(err, "line -1"));
		assert_memory_equal(&n, &before, sizeof(n));
	}
}

static int parse(struct network *n, const char *json)
{
	char err[160];

	return network_parse(n, json, strlen(json), err, sizeof(err));
}

/* What a file says is what the network is; what it leaves out is off. */
static void members(void **state)
{
	struct network n;

	(void)state;
	assert_int_equal(
		parse(&n,
		      "{\"name\": \"home\", \"nym_api\": [\"https://a.example/x/\", \"http://127.0.0.1:8/\"],"
		      "\"ca_file\": \"/etc/ca.pem\", \"allow_plain_ws\": true}"),
		0);
	assert_string_equal(n.name, "home");
	assert_int_equal(n.n_api, 2);
	assert_string_equal(n.api[0], "https://a.example/x/");
	assert_string_equal(n.api[1], "http://127.0.0.1:8/");
	assert_string_equal(n.ca_file, "/etc/ca.pem");
	assert_true(n.allow_plain_ws);
	assert_int_equal(parse(&n, "{\"nym_api\": [\"https://a/\"], \"name\": \"x\"}"), 0);
	assert_string_equal(n.ca_file, "");
	assert_false(n.allow_plain_ws);
	assert_int_equal(
		parse(&n, "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"allow_plain_ws\": false}"), 0);
	assert_false(n.allow_plain_ws);
}

/* The longest text that has room, and one byte more. */
static void lengths(void **state)
{
	static const struct {
		const char *fmt;
		size_t room;
	} cases[] = {
		{ "{\"name\": \"%s\", \"nym_api\": [\"https://a/\"]}", sizeof(((struct network *)0)->name) },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"ca_file\": \"%s\"}",
		  sizeof(((struct network *)0)->ca_file) },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/%s\"]}",
		  sizeof(((struct network *)0)->api[0]) - strlen("https://a/") },
	};
	char text[600], json[700];
	struct network n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t more = 0; more < 2; more++) {
			memset(text, 'a', sizeof(text));
			text[cases[i].room - 1 + more] = '\0';
			snprintf(json, sizeof(json), cases[i].fmt, text);
			assert_int_equal(parse(&n, json), more ? SMX_ECONFIG : 0);
		}
}

static void nine_urls(void **state)
{
	char json[512] = "{\"name\": \"x\", \"nym_api\": [", err[160];
	struct network n;

	(void)state;
	for (int i = 0; i < API_URLS_MAX; i++)
		strncat(json, i ? ", \"https://a/\"" : "\"https://a/\"", sizeof(json) - strlen(json) - 1);
	size_t len = strlen(json);

	memcpy(json + len, "]}", 3);
	assert_int_equal(network_parse(&n, json, len + 2, err, sizeof(err)), 0);
	assert_int_equal(n.n_api, API_URLS_MAX);
	memcpy(json + len, ", \"https://a/\"]}", 17);
	assert_int_equal(network_parse(&n, json, strlen(json), err, sizeof(err)), SMX_ECONFIG);
}

/* --api: plain http reaches loopback only. */
static void urls(void **state)
{
	struct network n;

	(void)state;
	assert_int_equal(network_from_url(&n, "https://api.example/"), 0);
	assert_true(n.n_api == 1 && n.allow_plain_ws);
	assert_int_equal(network_from_url(&n, "http://127.0.0.1:8000/"), 0);
	assert_false(n.allow_plain_ws);
	assert_int_equal(network_from_url(&n, "http://[::1]:8000/"), 0);
	assert_int_equal(network_from_url(&n, "http://localhost:8000/"), 0);
	static const char *const bad[] = { "http://192.0.2.1/",
					   "http://example.org/",
					   "http://[2001:db8::1]/",
					   "http://127.0.0.1.nip.io/",
					   "http://localhost.example/",
					   "ftp://x/",
					   "ws://127.0.0.1/",
					   "",
					   "x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(network_from_url(&n, bad[i]), SMX_ECONFIG);
}

/* A file may name a plain URL anywhere; whether it is asked is decided by allow_plain_ws when
 * it is dialled. */
static void plain_urls_of_a_file(void **state)
{
	struct network n;
	struct ws_url u;

	(void)state;
	for (int allow = 0; allow < 2; allow++) {
		assert_int_equal(parse(&n, allow ? "{\"name\": \"x\", \"nym_api\": [\"http://192.0.2.1/\"], "
						   "\"allow_plain_ws\": true}"
						 : "{\"name\": \"x\", \"nym_api\": [\"http://192.0.2.1/\"]}"),
				 0);
		assert_int_equal(ws_url_parse(&u, n.api[0]), 0);
		assert_int_equal(ws_url_allowed(&u, n.allow_plain_ws), allow ? 0 : -EPERM);
	}
}

static void builtin(void **state)
{
	struct network n;

	(void)state;
	assert_int_equal(network_builtin(&n, "mainnet"), 0);
	assert_true(n.n_api >= 1 && n.allow_plain_ws);
	for (unsigned i = 0; i < n.n_api; i++)
		assert_int_equal(strncmp(n.api[i], "https://", 8), 0);
	assert_int_equal(network_builtin(&n, "sandbox"), 0);
	assert_int_equal(network_builtin(&n, "canary"), 0);
	assert_int_equal(network_builtin(&n, "nowhere"), SMX_ECONFIG);
}

/* Pages of one list agree about the epoch, and the list has an end. */
static void pages(void **state)
{
	static const char fmt[] = "{\"metadata\":{\"absolute_epoch_id\":%d,\"rotation_id\":%d},\"nodes\":"
				  "{\"pagination\":{\"total\":0,\"page\":0,\"size\":0},\"data\":[]}}";
	struct api_skimmed s = { 0 };
	size_t skipped = 0;
	char json[256];

	(void)state;
	snprintf(json, sizeof(json), fmt, 10, 3);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
	snprintf(json, sizeof(json), fmt, 11, 3);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), SMX_EPROTO);
	snprintf(json, sizeof(json), fmt, 10, 4);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), SMX_EPROTO);
	assert_true(s.epoch_id == 10 && s.rotation_id == 3);
	api_skimmed_done(&s);
}

static void nesting(void **state)
{
	static const char head[] = "{\"entry_gateways\":[],\"exit_gateways\":[],\"layer1\":[],\"layer2\":[],"
				   "\"layer3\":[],\"standby\":[],\"x\":";
	char json[512];
	struct api_rewarded r;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		int depth = API_DEPTH_MAX - 1 + extra; /* the object itself is one */
		size_t n = strlen(head);

		memcpy(json, head, n);
		memset(json + n, '[', (size_t)depth);
		memset(json + n + depth, ']', (size_t)depth);
		memcpy(json + n + 2 * depth, "}", 2);
		assert_int_equal(api_parse_rewarded(&r, json, strlen(json)), extra ? SMX_EPROTO : 0);
		if (!extra)
			api_rewarded_done(&r);
	}
}

/* head, n times item with commas between, tail; to be freed. */
static char *long_list(const char *head, const char *item, int n, const char *tail)
{
	size_t cap = strlen(head) + (size_t)n * (strlen(item) + 1) + strlen(tail) + 1, len;
	char *json = malloc(cap);

	assert_non_null(json);
	len = (size_t)snprintf(json, cap, "%s", head);
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(json + len, cap - len, "%s%s", i ? "," : "", item);
	snprintf(json + len, cap - len, "%s", tail);
	return json;
}

/* A hundred thousand empty objects are read over, 700 kB of them are not: they would take 100 MB. */
static void bomb(void **state)
{
	static const char head[] = "{\"entry_gateways\":[],\"exit_gateways\":[],\"layer1\":[],\"layer2\":[],"
				   "\"layer3\":[],\"standby\":[],\"x\":[";
	struct api_rewarded r;

	(void)state;
	for (int more = 0; more < 2; more++) {
		char *json = long_list(head, "{}", more ? 245000 : 100000, "]}");

		assert_int_equal(api_parse_rewarded(&r, json, strlen(json)), more ? SMX_EPROTO : 0);
		if (!more)
			api_rewarded_done(&r);
		free(json);
	}
}

/* TOPO_NODES_MAX entries and one more: nodes in a page (here all of them bad), ids in a layer. */
static void list_limits(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct api_skimmed s = { 0 };
		struct api_rewarded w = { 0 };
		size_t skipped = 0;
		char *json = long_list("{\"metadata\":{\"absolute_epoch_id\":1,\"rotation_id\":1},\"nodes\":"
				       "{\"pagination\":{\"total\":1},\"data\":[",
				       "{}", TOPO_NODES_MAX + more, "]}}");

		assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), more ? SMX_ELIMIT : 0);
		assert_int_equal(skipped, more ? 0 : TOPO_NODES_MAX);
		api_skimmed_done(&s);
		free(json);

		json = long_list("{\"entry_gateways\":[],\"exit_gateways\":[],\"layer2\":[],\"layer3\":[],"
				 "\"standby\":[],\"layer1\":[",
				 "7", TOPO_NODES_MAX + more, "]}");
		assert_int_equal(api_parse_rewarded(&w, json, strlen(json)), more ? SMX_EPROTO : 0);
		assert_int_equal(w.layer_n[0], more ? 0 : TOPO_NODES_MAX);
		api_rewarded_done(&w);
		free(json);
	}
}

/* Rotation ids and the byte on packets (bootstrap.md 7): the example's, both parities, and before the first
 * epoch. */
static void rotation(void **state)
{
	static const char json[] =
		"{\"key_rotation_state\":{\"validity_epochs\":24,\"initial_epoch_id\":22000},"
		"\"current_absolute_epoch_id\":30000,\"current_epoch_start\":\"2026-05-16T04:00:11Z\","
		"\"epoch_duration\":{\"secs\":3600,\"nanos\":5000}}";
	static const char endless[] =
		"{\"key_rotation_state\":{\"validity_epochs\":4294967295,\"initial_epoch_id\":22000},"
		"\"current_absolute_epoch_id\":30000,\"current_epoch_start\":\"2026-05-16T04:00:11Z\","
		"\"epoch_duration\":{\"secs\":%d,\"nanos\":0}}";
	char long_life[256];
	struct api_rotation k;

	(void)state;
	assert_int_equal(api_parse_rotation(&k, json, strlen(json)), 0);
	assert_true(k.epoch_start_s == 1778904011 && k.epoch_us == UINT64_C(3600000005));
	assert_int_equal(rotation_byte(api_rotation_id(&k, k.current_epoch_id)), ROTATION_ODD); /* 333 */
	assert_int_equal(rotation_byte(api_rotation_id(&k, 30015)), ROTATION_ODD);
	assert_int_equal(rotation_byte(api_rotation_id(&k, 30016)), ROTATION_EVEN);
	assert_int_equal(rotation_byte(api_rotation_id(&k, 29991)), ROTATION_EVEN);
	assert_int_equal(api_rotation_id(&k, 22000), 0);
	assert_int_equal(api_rotation_id(&k, 21000), 0);
	assert_int_equal(api_rotation_id(&k, 0), 0);
	/* the life of keys, one epoch more than that of a rotation, has to fit */
	snprintf(long_life, sizeof(long_life), endless, 3600);
	assert_int_equal(api_parse_rotation(&k, long_life, strlen(long_life)), 0);
	snprintf(long_life, sizeof(long_life), endless, 31622399);
	assert_int_equal(api_parse_rotation(&k, long_life, strlen(long_life)), SMX_EPROTO);
}

/* The example of bootstrap.md 4.2 with two flags to choose, and what 4.5 says of the same node. */
static const char skimmed_77[] =
	"{\"metadata\":{\"absolute_epoch_id\":30000,\"rotation_id\":333},\"nodes\":{\"pagination\":{"
	"\"total\":1},"
	"\"data\":[{\"node_id\":77,\"ed25519_identity_pubkey\":"
	"\"4XmP9rMkYNifCVHdzXGWQo8ynXLWQq9Wzd7K7HWh7xkt\","
	"\"ip_addresses\":[\"198.51.100.20\"],\"mix_port\":1789,"
	"\"x25519_sphinx_pubkey\":\"CaUaFAsFNwcAZzuYEvgtjcppt6eanoQ3XPvN1GGnn62m\",\"role\":\"EntryGateway\","
	"\"supported_roles\":{\"mixnode\":false,\"entry\":true,\"exit_nr\":%s,\"exit_ipr\":%s},"
	"\"entry\":{\"hostname\":\"gw.example.org\",\"ws_port\":9000,\"wss_port\":9001},\"performance\":"
	"\"1\"}]}}";
static const char described_77[] =
	"{\"pagination\":{\"total\":1},\"data\":[{\"node_id\":77,\"description\":{"
	"\"host_information\":{\"keys\":{\"ed25519\":\"4XmP9rMkYNifCVHdzXGWQo8ynXLWQq9Wzd7K7HWh7xkt\"}},"
	"\"auxiliary_details\":{\"location\":\"%s\"},\"build_information\":{\"build_version\":\"1.31.0\"},"
	"\"ip_packet_router\":{\"address\":\"5UnN3WjHvfMgCzYRkqpDtegTRxu7yBLAvzBmznpzB7Ww."
	"HDXJQxnWXfmMGNXLjgwGArnV1sgHr1Jg9n6YB7awrqa4@4XmP9rMkYNifCVHdzXGWQo8ynXLWQq9Wzd7K7HWh7xkt\"}}}]}";

static void described(void **state)
{
	static const char *const where[][2] = { { "CH", "CH" },	    { "CHE", "" }, { "", "" },
						{ "\\u001bc", "" }, { "C ", "" },  { "\\u00e9", "" } };
	struct api_skimmed s = { 0 };
	size_t skipped = 0, total, n = 0;
	char json[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(json, sizeof(json), skimmed_77, i ? "true" : "false", i ? "false" : "true");
		assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
		assert_true(s.n == 1 && !skipped);
		assert_int_equal(s.node[0].exit_ipr, !i); /* exit_nr alone makes no exit for packets */
		snprintf(json, sizeof(json), described_77, where[i][0]);
		assert_int_equal(api_parse_described(&s, json, strlen(json), &total, &n), 0);
		assert_true(s.node[0].has_ipr && topo_version_at_least(&s.node[0].version, 1, 31));
		assert_memory_equal(s.node[0].ipr.gateway, s.node[0].identity, 32);
		assert_string_equal(s.node[0].country, where[i][1]);
		api_skimmed_done(&s);
	}
	assert_true(n == 6 && total == 1);
	/* Nobody to describe. */
	assert_int_equal(api_parse_described(&s, json, strlen(json), &total, &n), 0);
	assert_true(n == 7 && !s.n);
}

/* Nodes that nobody can use are left out, and nothing that one of them says spoils the list: members we do
 * not know may hold any number and any text. */
static void odd_values(void **state)
{
	static const char odd[] = "{\"node_id\":18446744073709551615,\"x\":\"a\\u0000b\",\"y\":1e300},";
	struct api_skimmed s = { 0 };
	size_t skipped = 0, total, n = 0, at;
	char page[2048], json[4096], *key, *host;

	(void)state;
	snprintf(page, sizeof(page), skimmed_77, "true", "true");
	at = (size_t)(strstr(page, "\"data\":[") - page) + strlen("\"data\":[");
	snprintf(json, sizeof(json), "%.*s%s%s", (int)at, page, odd, page + at);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
	assert_true(s.n == 1 && skipped == 1 && s.node[0].id == 77 && s.epoch_id == 30000);
	snprintf(page, sizeof(page), described_77, "CH\\u0000");
	at = (size_t)(strstr(page, "\"data\":[") - page) + strlen("\"data\":[");
	snprintf(json, sizeof(json), "%.*s%s%s", (int)at, page, odd, page + at);
	assert_int_equal(api_parse_described(&s, json, strlen(json), &total, &n), 0);
	assert_true(n == 2 && s.node[0].has_ipr);
	assert_string_equal(s.node[0].country, "");
	api_skimmed_done(&s);
	/* a host name with NUL is none */
	snprintf(page, sizeof(page), skimmed_77, "true", "true");
	host = strstr(page, "gw.example.org");
	snprintf(json, sizeof(json), "%.*s\\u0000%s", (int)(host - page) + 2, page, host + 2);
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
	assert_true(s.n == 1 && !s.node[0].hostname[0] && s.node[0].wss_port == 9001);
	api_skimmed_done(&s);
	/* a point of small order: no packet can be made for it */
	snprintf(page, sizeof(page), skimmed_77, "true", "true");
	key = strstr(page, "CaUaFAsFNwcAZzuYEvgtjcppt6eanoQ3XPvN1GGnn62m");
	snprintf(json, sizeof(json), "%.*s11111111111111111111111111111111%s", (int)(key - page), page,
		 key + 44);
	skipped = 0;
	assert_int_equal(api_parse_skimmed(&s, json, strlen(json), &skipped), 0);
	assert_true(s.n == 0 && skipped == 1);
	api_skimmed_done(&s);
}

/* Layers and gateways come from the rewarded set, numbers from the skimmed list; a node of no layer is in no
 * route. */
static void joined(void **state)
{
	struct topo_node node[8] = { { 0 } };
	uint32_t layer[TOPO_LAYERS][2] = { { 13, 99 }, { 12, 16 }, { 11, 12 } }, entry[] = { 14 },
		 exit[] = { 15 };
	static const uint8_t want[8] = { 0, 3, 2, 1, 0, 0, 0, 0 };
	struct api_skimmed s = { .rotation_id = 334, .epoch_id = 30016, .node = node, .n = 8 };
	struct api_rewarded w = { .layer = { layer[0], layer[1], layer[2] }, .layer_n = { 2, 2, 2 } };
	struct topology *t;

	(void)state;
	for (uint32_t i = 0; i < 8; i++) {
		node[i].id = 10 + i;
		node[i].identity[0] = (uint8_t)(50 - i);
		node[i].performance = i == 6 ? TOPO_MIN_PERFORMANCE - 1 : 100;
	}
	for (int gateways = 0; gateways < 4; gateways++) {
		w.entry = gateways & 1 ? entry : NULL;
		w.entry_n = w.entry != NULL;
		w.exit = gateways & 2 ? exit : NULL;
		w.exit_n = w.exit != NULL;
		t = api_topology(&s, &w);
		assert_non_null(t);
		assert_int_equal(rotation_byte(t->rotation_id), ROTATION_EVEN);
		assert_true(t->rotation_id == 334 && t->epoch_id == 30016 && t->n == 7);
		assert_int_equal(topology_check(t), gateways ? 0 : SMX_EROUTE);
		for (uint32_t i = 0; i < 8; i++) {
			const struct topo_node *n = topology_by_id(t, 10 + i);

			assert_int_equal(n == NULL, i == 6);
			if (!n)
				continue;
			assert_int_equal(n->layer, want[i]);
			assert_int_equal(n->entry_role, (i == 4 && w.entry_n) || (i == 5 && w.exit_n));
		}
		for (int l = 0; l < TOPO_LAYERS;
		     l++) { /* 99 is not listed, 16 too weak, 12 already in layer 2 */
			assert_int_equal(t->layer_n[l], 1);
			assert_int_equal(t->node[t->layer[l][0]].id, 13 - l);
		}
		api_topology_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),       cmocka_unit_test(members),
		cmocka_unit_test(lengths),     cmocka_unit_test(nine_urls),
		cmocka_unit_test(urls),	       cmocka_unit_test(plain_urls_of_a_file),
		cmocka_unit_test(builtin),     cmocka_unit_test(pages),
		cmocka_unit_test(nesting),     cmocka_unit_test(bomb),
		cmocka_unit_test(list_limits), cmocka_unit_test(rotation),
		cmocka_unit_test(described),   cmocka_unit_test(odd_values),
		cmocka_unit_test(joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
