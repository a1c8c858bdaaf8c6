/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6724 order: each rule by a pair it decides, and the pair turned round; then sources of other kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shim/order.h"

#define MANY 8

static const struct rules none;

static unsigned parse(const char *text, struct addr *out)
{
	char buf[256];
	unsigned n = 0;
	char *save;

	snprintf(buf, sizeof(buf), "%s", text);
	for (char *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
		assert_int_equal(addr_parse_ip(&out[n++], w), 0);
	return n;
}

static void check(const char *src4, const char *src6, const char *given, const char *want)
{
	struct order_sources from = { .rules = &none };
	struct addr in[MANY], out[MANY];
	unsigned n = parse(given, in);

	print_message("%s | %s: %s\n", src4, src6, given);
	if (*src4)
		assert_int_equal(addr_parse_ip(&from.v4, src4), 0);
	if (*src6)
		assert_int_equal(addr_parse_ip(&from.v6, src6), 0);
	assert_int_equal(parse(want, out), n);
	order_addrs(in, n, &from);
	for (unsigned i = 0; i < n; i++)
		assert_true(addr_equal(&in[i], &out[i]));
}

static void pairs(void **state)
{
	static const struct {
		const char *src4, *src6, *first, *second;
	} cases[] = {
		/* 1: what cannot be reached */
		{ "10.0.0.5", "", "1.1.1.1", "2606::1" },
		{ "", "2606::5", "2606::1", "1.1.1.1" },
		{ "10.0.0.5", "fc00::5", "1.1.1.1", "10.1.1.1" },
		{ "10.0.0.5", "fc00::5", "2606::1", "fe80::1" },
		/* 5: label of the source; a unique local source is not for public addresses */
		{ "10.0.0.5", "fc00::5", "1.1.1.1", "2606::1" },
		/* 6: precedence, with a public source */
		{ "10.0.0.5", "2606::5", "2606::1", "1.1.1.1" },
		{ "10.0.0.5", "2606::5", "::1", "2606::1" },
		{ "10.0.0.5", "2606::5", "::1", "127.0.0.1" },
		/* 9: the longer common prefix, IPv6 only */
		{ "10.0.0.5", "2606:4700::5", "2606:4700::1", "2a00::1" },
		{ "10.0.0.5", "2606:4700::5", "2606:4700::1", "2606:4800::1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char pair[128], turned[128];

		snprintf(pair, sizeof(pair), "%s %s", cases[i].first, cases[i].second);
		snprintf(turned, sizeof(turned), "%s %s", cases[i].second, cases[i].first);
		check(cases[i].src4, cases[i].src6, pair, pair);
		check(cases[i].src4, cases[i].src6, turned, pair);
	}
}

/* Rule 10: what nothing tells apart stays as it came. */
static void stable(void **state)
{
	check("10.0.0.5", "fc00::5", "9.9.9.9 1.1.1.1 8.8.8.8", "9.9.9.9 1.1.1.1 8.8.8.8");
	check("10.0.0.5", "fc00::5", "2606::2 2606::1", "2606::2 2606::1");
	check("", "", "1.1.1.1 2606::1", "2606::1 1.1.1.1");
	check("10.0.0.5", "fc00::5", "2606::1 1.1.1.1 2a00::1 8.8.8.8", "1.1.1.1 8.8.8.8 2606::1 2a00::1");
	check("10.0.0.5", "fc00::5", "", "");
}

/* A rule that opens a private network makes it reachable. */
static void opened(void **state)
{
	struct order_sources from = { .v4 = { .family = 4, .ip = { 10, 0, 0, 5 } } };
	struct rules rules = { 0 };
	struct rules_error err;
	struct addr list[2];

	from.rules = &rules;
	assert_int_equal(rules_parse(&rules, "tunnel 10.0.0.0/8; deny 1.1.1.1", &err), 0);
	parse("1.1.1.1 10.1.1.1", list);
	order_addrs(list, 2, &from);
	assert_int_equal(list[0].ip[0], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(stable),
		cmocka_unit_test(opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
