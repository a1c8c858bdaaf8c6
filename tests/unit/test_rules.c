/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about destinations: what is one, what matches, which comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rules.h"

static struct rules rules;
static struct rules_error err;

static int parse(const char *list)
{
	memset(&rules, 0, sizeof(rules));
	return rules_parse(&rules, list, &err);
}

static void addresses(void **state)
{
	static const struct {
		const char *list, *addr;
		enum rule_verb verb;
	} cases[] = {
		/* no rule, no match */
		{ "", "1.1.1.1:80", RULE_NONE },
		{ ";;", "1.1.1.1:80", RULE_NONE },
		{ "deny 1.1.1.1", "1.1.1.2:80", RULE_NONE },
		/* an address; every prefix length on both sides of its bound */
		{ "deny 1.1.1.1", "1.1.1.1:80", RULE_DENY },
		{ "deny 1.1.1.1", "1.1.1.1", RULE_DENY },
		{ "deny 1.1.1.1/32", "1.1.1.0:80", RULE_NONE },
		{ "deny 198.51.96.0/20", "198.51.96.0:80", RULE_DENY },
		{ "deny 198.51.96.0/20", "198.51.111.255:80", RULE_DENY },
		{ "deny 198.51.96.0/20", "198.51.112.0:80", RULE_NONE },
		{ "deny 198.51.96.0/20", "198.51.95.255:80", RULE_NONE },
		{ "deny 8.0.0.0/7", "9.255.255.255:1", RULE_DENY },
		{ "deny 8.0.0.0/7", "10.0.0.0:1", RULE_NONE },
		{ "deny 0.0.0.0/0", "1.1.1.1:80", RULE_DENY },
		{ "deny 0.0.0.0/0", "[2606::1]:80", RULE_NONE },
		{ "deny ::/0", "[2606::1]:80", RULE_DENY },
		{ "deny ::/0", "1.1.1.1:80", RULE_NONE },
		{ "deny 2606:4700::/33", "[2606:4700:7fff::1]:80", RULE_DENY },
		{ "deny 2606:4700::/33", "[2606:4700:8000::1]:80", RULE_NONE },
		{ "deny 2606:4700::1", "[2606:4700::1]:80", RULE_DENY },
		{ "deny 2606:4700::1", "[2606:4700::2]:80", RULE_NONE },
		{ "deny [2606:4700::1]", "[2606:4700::1]:80", RULE_DENY },
		/* every address */
		{ "deny *", "1.1.1.1:80", RULE_DENY },
		{ "deny *", "[2606::1]:80", RULE_DENY },
		{ "deny *", "127.0.0.1:80", RULE_DENY },
		{ "deny *", "224.0.0.1:80", RULE_DENY },
		/* ports, both sides */
		{ "deny 1.1.1.1:80", "1.1.1.1:79", RULE_NONE },
		{ "deny 1.1.1.1:80", "1.1.1.1:80", RULE_DENY },
		{ "deny 1.1.1.1:80", "1.1.1.1:81", RULE_NONE },
		{ "deny 1.1.1.0/24:80-90", "1.1.1.7:80", RULE_DENY },
		{ "deny 1.1.1.0/24:80-90", "1.1.1.7:90", RULE_DENY },
		{ "deny 1.1.1.0/24:80-90", "1.1.1.7:79", RULE_NONE },
		{ "deny 1.1.1.0/24:80-90", "1.1.1.7:91", RULE_NONE },
		{ "deny 1.1.1.0/24:80-90", "1.1.2.7:80", RULE_NONE },
		{ "deny [2606:4700::/32]:443", "[2606:4700::1]:443", RULE_DENY },
		{ "deny [2606:4700::/32]:443", "[2606:4700::1]:444", RULE_NONE },
		{ "deny *:25", "1.1.1.1:25", RULE_DENY },
		{ "deny *:25", "[2606::1]:25", RULE_DENY },
		{ "deny *:25", "1.1.1.1:26", RULE_NONE },
		{ "deny *:1-65535", "1.1.1.1:65535", RULE_DENY },
		{ "deny *:1-65535", "1.1.1.1", RULE_NONE }, /* an echo request has no port */
		/* v4-mapped is IPv4; the unspecified address is this machine */
		{ "deny 1.1.1.1", "[::ffff:1.1.1.1]:80", RULE_DENY },
		{ "deny ::/0", "[::ffff:1.1.1.1]:80", RULE_NONE },
		{ "deny 127.0.0.0/8", "0.0.0.0:80", RULE_DENY },
		{ "deny ::1", "[::]:80", RULE_DENY },
		{ "deny 127.0.0.0/8", "[::]:80", RULE_NONE },
		{ "loopback 127.0.0.0/8", "0.0.0.0:80", RULE_LOOPBACK },
		/* what a verb cannot do it does not match */
		{ "tunnel *", "1.1.1.1:80", RULE_TUNNEL },
		{ "tunnel *", "10.0.0.1:80", RULE_TUNNEL },
		{ "tunnel *", "192.0.2.1:80", RULE_TUNNEL },
		{ "tunnel *", "127.0.0.1:80", RULE_NONE },
		{ "tunnel *", "[::1]:80", RULE_NONE },
		{ "tunnel *", "0.0.0.0:80", RULE_NONE },
		{ "tunnel *", "169.254.1.1:80", RULE_NONE },
		{ "tunnel *", "[fe80::1]:80", RULE_NONE },
		{ "tunnel *", "224.0.0.1:80", RULE_NONE },
		{ "tunnel *", "255.255.255.255:80", RULE_NONE },
		{ "tunnel 0.0.0.0/0", "127.0.0.1:80", RULE_NONE },
		{ "loopback *", "127.0.0.1:80", RULE_LOOPBACK },
		{ "loopback *", "[::1]:80", RULE_LOOPBACK },
		{ "loopback *", "1.1.1.1:80", RULE_NONE },
		{ "loopback *", "10.0.0.1:80", RULE_NONE },
		{ "loopback *", "169.254.1.1:80", RULE_NONE },
		{ "loopback *", "224.0.0.1:80", RULE_NONE },
		/* order: the first match wins */
		{ "deny 1.1.1.1; tunnel 1.1.1.0/24", "1.1.1.1:80", RULE_DENY },
		{ "tunnel 1.1.1.0/24; deny 1.1.1.1", "1.1.1.1:80", RULE_TUNNEL },
		{ "loopback 127.0.0.1:8080; deny 127.0.0.0/8", "127.0.0.1:8080", RULE_LOOPBACK },
		{ "loopback 127.0.0.1:8080; deny 127.0.0.0/8", "127.0.0.1:8081", RULE_DENY },
		{ "tunnel *; deny 127.0.0.1", "127.0.0.1:80", RULE_DENY },
		{ "tunnel *:443; deny *", "1.1.1.1:443", RULE_TUNNEL },
		{ "tunnel *:443; deny *", "1.1.1.1:80", RULE_DENY },
		{ "deny example.org; deny 1.1.1.1", "1.1.1.1:80", RULE_DENY },
		/* blanks */
		{ " \tdeny\t 1.1.1.1  ;", "1.1.1.1:80", RULE_DENY },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr a;

		print_message("%s: %s\n", cases[i].list, cases[i].addr);
		assert_int_equal(parse(cases[i].list), 0);
		assert_int_equal(addr_parse(&a, cases[i].addr, 0), 0);
		assert_int_equal(rules_addr(&rules, &a), cases[i].verb);
	}
}

static void names(void **state)
{
	static const struct {
		const char *list, *name;
		enum rule_verb verb;
	} cases[] = {
		{ "", "example.org", RULE_NONE },
		{ "deny example.org", "example.org", RULE_DENY },
		{ "deny example.org", "EXAMPLE.Org.", RULE_DENY },
		{ "deny Example.ORG.", "example.org", RULE_DENY },
		{ "deny example.org", "www.example.org", RULE_NONE },
		{ "deny example.org", "badexample.org", RULE_NONE },
		{ "deny example.org", "example.or", RULE_NONE },
		{ "deny *.example.org", "www.example.org", RULE_DENY },
		{ "deny *.example.org", "a.b.example.org", RULE_DENY },
		{ "deny *.example.org", "example.org", RULE_NONE },
		{ "deny *.example.org", ".example.org", RULE_NONE },
		{ "deny *.example.org", "badexample.org", RULE_NONE },
		{ "deny *.org", "example.org", RULE_DENY },
		{ "tunnel www.example.org; deny *.example.org", "www.example.org", RULE_TUNNEL },
		{ "tunnel www.example.org; deny *.example.org", "ftp.example.org", RULE_DENY },
		{ "deny *", "example.org", RULE_NONE },
		{ "deny _x._tcp.example.org", "_x._tcp.example.org", RULE_DENY },
		{ "deny example.org", "", RULE_NONE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s: %s\n", cases[i].list, cases[i].name);
		assert_int_equal(parse(cases[i].list), 0);
		assert_int_equal(rules_name(&rules, cases[i].name), cases[i].verb);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"deny",
		"1.1.1.1",
		"allow 1.1.1.1",
		"direct 1.1.1.1",
		"Deny 1.1.1.1",
		"deny 1.1.1.1 1.1.1.2",
		"deny 1.1.1.1/33",
		"deny 1.1.1.1/",
		"deny 1.1.1.1/a",
		"deny 1.1.1.1/24",
		"deny 1.1.1",
		"deny 256.1.1.1",
		"deny 1.1.1.1:",
		"deny 1.1.1.1:0",
		"deny 1.1.1.1:65536",
		"deny 1.1.1.1:90-80",
		"deny 1.1.1.1:80-",
		"deny 1.1.1.1:-80",
		"deny 1.1.1.1:http",
		"deny 2606:4700::/129",
		"deny 2606:4700::1/32",
		"deny [2606::1",
		"deny [2606::1]80",
		"deny [2606::1]:",
		"deny fe80::1%2",
		"deny []",
		"deny example.org:80",
		"deny exa mple.org",
		"deny ex\xc3\xa4mple.org",
		"deny .example.org",
		"deny a..b",
		"deny *.",
		"deny **.org",
		"deny a.*.org",
		"deny /24",
		"deny :80",
		"tunnel 127.0.0.1",
		"tunnel ::1",
		"tunnel fe80::/10",
		"tunnel 224.0.0.0/4",
		"tunnel 255.255.255.255",
		"tunnel 0.0.0.0",
		"loopback 1.1.1.1",
		"loopback 10.0.0.0/8",
		"loopback localhost",
		"deny 1.1.1.1; deny",
		"deny 1.1.1.1, deny 1.1.1.2",
		"deny a123456789012345678901234567890123456789012345678901234567890123.org",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i]);
		assert_true(parse(bad[i]) < 0);
		assert_non_null(err.why);
		assert_true(err.at >= bad[i] && err.at + err.len <= bad[i] + strlen(bad[i]));
	}
	assert_true(parse("deny 1.1.1.1; deny x y ;deny *") < 0);
	assert_int_equal(err.len, 10);
	assert_memory_equal(err.at, " deny x y ", 10);
}

/* The bound of the list and of a name, both sides. */
static void bounds(void **state)
{
	char list[RULES_TEXT_MAX] = "", name[300];
	struct addr a;

	for (int i = 0; i < RULES_MAX; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "deny 1.1.1.%d;", i);
	assert_int_equal(parse(list), 0);
	assert_int_equal(rules.n, RULES_MAX);
	addr_parse(&a, "1.1.1.63", 80);
	assert_int_equal(rules_addr(&rules, &a), RULE_DENY);
	assert_true(rules_parse(&rules, "deny *", &err) < 0);
	memset(name, 'a', sizeof(name));
	for (size_t i = 9; i < sizeof(name); i += 10)
		name[i] = '.';
	snprintf(list, sizeof(list), "deny %.253s", name);
	assert_int_equal(parse(list), 0);
	snprintf(list, sizeof(list), "deny %.254s", name);
	assert_true(parse(list) < 0);
	/* Lists that follow each other are one list. */
	assert_int_equal(parse("tunnel 1.1.1.63"), 0);
	assert_int_equal(rules_parse(&rules, "deny *", &err), 0);
	assert_int_equal(rules_addr(&rules, &a), RULE_TUNNEL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(names),
		cmocka_unit_test(refused),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
