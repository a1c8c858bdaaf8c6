/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: text both ways, sockaddr both ways, special ranges at both ends. */
#include "base/addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void text(void **state)
{
	static const char *const good[][2] = {
		{ "1.2.3.4", "1.2.3.4:53" },
		{ "1.2.3.4:80", "1.2.3.4:80" },
		{ "::1", "[::1]:53" },
		{ "[::1]:8080", "[::1]:8080" },
		{ "[fe80::1%3]:5", "[fe80::1%3]:5" },
		{ "[2001:db8::1]", "[2001:db8::1]:53" },
		{ "1.2.3.4:0", "1.2.3.4" },
	};
	static const char *const bad[] = { "",	       "1.2.3", "1.2.3.4:",   "1.2.3.4:65536", "[::1",
					   "[::1]x",   "a.b.c", "1.2.3.4:8x", "fe80::1%eth0",  "1.2.3.4%1",
					   "[1.2.3.4", "::1%" };
	char out[ADDR_TEXT];
	struct addr a, b = { .port = 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(addr_parse(&a, good[i][0], 53), 0);
		assert_string_equal(addr_text(&a, out), good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_parse(&b, bad[i], 53), -EINVAL);
	assert_int_equal(b.port, 9); /* untouched on failure */
	assert_int_equal(addr_parse_ip(&a, "1.2.3.4:5"), -EINVAL);
	assert_string_equal(addr_text(&(struct addr){ 0 }, out), "-");
}

static void sockaddrs(void **state)
{
	struct sockaddr_storage ss;
	struct addr a, b;

	(void)state;
	addr_parse(&a, "10.0.0.1:99", 0);
	assert_int_equal(addr_to_sockaddr(&a, &ss, false), sizeof(struct sockaddr_in));
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, sizeof(struct sockaddr_in)), 0);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 15), -EINVAL);
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 1), -EINVAL);
	assert_int_equal(addr_to_sockaddr(&a, &ss, true), sizeof(struct sockaddr_in6));
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 28), 0);
	assert_int_equal(b.family, 6);
	assert_int_equal(addr_classify(&b), ADDR_PRIVATE);
	addr_unmap(&b);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 24), 0);
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 23), -EINVAL);
	ss.ss_family = AF_UNIX;
	assert_int_equal(addr_from_sockaddr(&b, (struct sockaddr *)&ss, 100), -EAFNOSUPPORT);
}

static void classes(void **state)
{
	static const struct {
		const char *text;
		enum addr_class class;
	} t[] = {
		{ "0.0.0.0", ADDR_UNSPEC },
		{ "0.0.0.1", ADDR_RESERVED },
		{ "9.255.255.255", ADDR_GLOBAL },
		{ "10.0.0.0", ADDR_PRIVATE },
		{ "10.255.255.255", ADDR_PRIVATE },
		{ "11.0.0.0", ADDR_GLOBAL },
		{ "100.63.255.255", ADDR_GLOBAL },
		{ "100.64.0.0", ADDR_PRIVATE },
		{ "100.127.255.255", ADDR_PRIVATE },
		{ "100.128.0.0", ADDR_GLOBAL },
		{ "127.0.0.1", ADDR_LOOPBACK },
		{ "126.255.255.255", ADDR_GLOBAL },
		{ "169.254.1.1", ADDR_LINKLOCAL },
		{ "172.15.255.255", ADDR_GLOBAL },
		{ "172.16.0.0", ADDR_PRIVATE },
		{ "172.31.255.255", ADDR_PRIVATE },
		{ "172.32.0.0", ADDR_GLOBAL },
		{ "192.0.0.8", ADDR_RESERVED },
		{ "192.0.0.9", ADDR_GLOBAL },
		{ "192.0.2.1", ADDR_RESERVED },
		{ "192.88.99.80", ADDR_GLOBAL },
		{ "192.168.0.1", ADDR_PRIVATE },
		{ "198.18.0.1", ADDR_RESERVED },
		{ "198.20.0.1", ADDR_GLOBAL },
		{ "198.51.100.1", ADDR_RESERVED },
		{ "203.0.113.9", ADDR_RESERVED },
		{ "223.255.255.255", ADDR_GLOBAL },
		{ "224.0.0.1", ADDR_MULTICAST },
		{ "239.255.255.255", ADDR_MULTICAST },
		{ "240.0.0.1", ADDR_RESERVED },
		{ "255.255.255.254", ADDR_RESERVED },
		{ "255.255.255.255", ADDR_BROADCAST },
		{ "8.8.8.8", ADDR_GLOBAL },
		{ "::", ADDR_UNSPEC },
		{ "::1", ADDR_LOOPBACK },
		{ "::2", ADDR_RESERVED },
		{ "fc00::1", ADDR_PRIVATE },
		{ "fdff::1", ADDR_PRIVATE },
		{ "fe00::1", ADDR_GLOBAL },
		{ "fe80::1", ADDR_LINKLOCAL },
		{ "febf::1", ADDR_LINKLOCAL },
		{ "fec0::1", ADDR_GLOBAL },
		{ "ff02::1", ADDR_MULTICAST },
		{ "2001:db8::1", ADDR_RESERVED },
		{ "2001:1::1", ADDR_GLOBAL },
		{ "2001::1", ADDR_RESERVED },
		{ "2002::1", ADDR_RESERVED },
		{ "2003::1", ADDR_GLOBAL },
		{ "100::1", ADDR_RESERVED },
		{ "2a00:1450::1", ADDR_GLOBAL },
		{ "::ffff:127.0.0.1", ADDR_LOOPBACK },
		{ "::ffff:8.8.8.8", ADDR_GLOBAL },
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(addr_parse_ip(&a, t[i].text), 0);
		if (addr_classify(&a) != t[i].class)
			fail_msg("%s: %d", t[i].text, addr_classify(&a));
	}
	a.family = 0;
	assert_int_equal(addr_classify(&a), ADDR_UNSPEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(text), cmocka_unit_test(sockaddrs),
					    cmocka_unit_test(classes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
