/* SPDX-License-Identifier: Apache-2.0 */
/* network: which network files and URLs are taken, and the line that says why not; directory answers in part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "mixnet/api.h"

static void files(void **state)
{
	static const struct {
		const char *json, *why; /* NULL: taken */
	} cases[] = {
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a.example/\", \"http://127.0.0.1:8000/\"]}", NULL },
		{ "{\"name\": \"x\", \"nym_api\": [\"http://127.0.0.1:1/\"], \"ca_file\": null, \"allow_plain_ws\": true}", NULL },
		{ "{\"name\": \"x\", \"nym_api\": [\"http://127.0.0.1:1/\"], \"colour\": 1}", "unknown member \"colour\"" },
		{ "{\"nym_api\": [\"http://127.0.0.1:1/\"]}", "missing \"name\"" },
		{ "{\"name\": \"x\"}", "missing \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": []}", "no URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": \"https://a/\"}", "no URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [1]}", "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"wss://a/\"]}", "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/?q\"]}", "not an http or https URL in \"nym_api\"" },
		{ "{\"name\": 1, \"nym_api\": [\"https://a/\"]}", "not a short text: \"name\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"ca_file\": 1}", "not a path: \"ca_file\"" },
		{ "{\"name\": \"x\", \"nym_api\": [\"https://a/\"], \"allow_plain_ws\": 1}",
		  "neither true nor false: \"allow_plain_ws\"" },
		{ "{\"name\": \"x\", \"name\": \"y\", \"nym_api\": [\"https://a/\"]}", "not a JSON object" },
		{ "[]", "not a JSON object" },
		{ "", "not a JSON object" },
	};
	struct network n;
	char err[160];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = network_parse(&n, cases[i].json, strlen(cases[i].json), err, sizeof(err));

		assert_int_equal(r, cases[i].why ? SMX_ECONFIG : 0);
		if (cases[i].why)
			assert_memory_equal(err, cases[i].why, strlen(cases[i].why));
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

/* Plain http reaches loopback only, unless a file says otherwise. */
static void urls(void **state)
{
	struct network n;

	(void)state;
	assert_int_equal(network_from_url(&n, "https://api.example/"), 0);
	assert_true(n.n_api == 1 && n.allow_plain_ws);
	assert_int_equal(network_from_url(&n, "http://127.0.0.1:8000/"), 0);
	assert_false(n.allow_plain_ws);
	assert_int_equal(network_from_url(&n, "http://[::1]:8000/"), 0);
	static const char *const bad[] = { "http://192.0.2.1/", "http://example.org/", "ftp://x/", "ws://127.0.0.1/", "", "x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(network_from_url(&n, bad[i]), SMX_ECONFIG);
}

static void builtin(void **state)
{
	struct network n;

	(void)state;
	assert_int_equal(network_builtin(&n, "mainnet"), 0);
	assert_true(n.n_api >= 1 && !strncmp(n.api[0], "https://", 8));
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
	static const char head[] = "{\"entry_gateways\":[],\"exit_gateways\":[],\"layer1\":[],\"layer2\":[],\"layer3\":[],"
				   "\"standby\":[],\"x\":";
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),   cmocka_unit_test(nine_urls), cmocka_unit_test(urls),
		cmocka_unit_test(builtin), cmocka_unit_test(pages),	cmocka_unit_test(nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
