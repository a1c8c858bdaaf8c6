/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of the shim's policy, both sides of every bound. */
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "shim/policy.h"

struct socket_case {
	int domain, type, protocol;
	enum policy_verdict verdict;
	int err;
	bool icmp;
};

static void sockets(void **state)
{
	static const struct socket_case cases[] = {
		{ AF_INET, SOCK_STREAM, 0, POLICY_TUNNEL, 0, false },
		{ AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, POLICY_TUNNEL, 0, false },
		{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, POLICY_TUNNEL, 0, false },
		{ AF_INET, SOCK_STREAM, IPPROTO_UDP, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_STREAM, 262, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_STREAM, 263, POLICY_DENY, EINVAL, false },
		{ AF_INET, SOCK_STREAM, -1, POLICY_DENY, EINVAL, false },
		{ AF_INET, SOCK_STREAM, IPPROTO_SCTP, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_DGRAM, 0, POLICY_TUNNEL, 0, false },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP, POLICY_TUNNEL, 0, false },
		{ AF_INET, SOCK_DGRAM, IPPROTO_TCP, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, POLICY_TUNNEL, 0, true },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, POLICY_TUNNEL, 0, true },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_ICMP, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP, POLICY_DENY, EPERM, false },
		{ AF_INET, SOCK_PACKET, 0, POLICY_DENY, EPERM, false },
		{ AF_INET, SOCK_SEQPACKET, 0, POLICY_DENY, ESOCKTNOSUPPORT, false },
		{ AF_INET, 11, 0, POLICY_DENY, EINVAL, false },
		{ AF_INET, 0, 0, POLICY_DENY, ESOCKTNOSUPPORT, false },
		{ AF_INET, SOCK_STREAM | 0x100, 0, POLICY_DENY, EINVAL, false },
		{ AF_UNIX, SOCK_STREAM, 0, POLICY_LIBC, 0, false },
		{ AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, POLICY_LIBC, 0, false },
		{ AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, POLICY_DENY, EPROTONOSUPPORT, false },
		{ AF_PACKET, SOCK_RAW, 0, POLICY_DENY, EPERM, false },
		{ AF_UNSPEC, SOCK_STREAM, 0, POLICY_DENY, EAFNOSUPPORT, false },
		{ AF_VSOCK, SOCK_STREAM, 0, POLICY_DENY, EAFNOSUPPORT, false },
		{ AF_BLUETOOTH, SOCK_STREAM, 0, POLICY_DENY, EAFNOSUPPORT, false },
		{ -1, SOCK_STREAM, 0, POLICY_DENY, EAFNOSUPPORT, false },
		{ 1000, SOCK_STREAM, 0, POLICY_DENY, EAFNOSUPPORT, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool icmp = !cases[i].icmp;
		struct policy p = policy_socket(cases[i].domain, cases[i].type, cases[i].protocol, &icmp);

		print_message("case %zu\n", i);
		assert_int_equal(p.verdict, cases[i].verdict);
		assert_int_equal(p.err, cases[i].err);
		assert_int_equal(icmp, cases[i].icmp);
		assert_int_equal(p.why != NULL, p.verdict == POLICY_DENY);
	}
}

struct peer_case {
	const char *addr;
	enum policy_verdict verdict;
};

static void peers(void **state)
{
	static const struct peer_case cases[] = {
		{ "1.1.1.1:80", POLICY_TUNNEL },
		{ "1.1.1.1:53", POLICY_TUNNEL },
		{ "[2606:4700::1]:443", POLICY_TUNNEL },
		{ "127.0.0.1:80", POLICY_LOOPBACK },
		{ "127.0.0.53:53", POLICY_TUNNEL },
		{ "127.0.0.53:54", POLICY_LOOPBACK },
		{ "127.0.0.53:52", POLICY_LOOPBACK },
		{ "[::1]:80", POLICY_LOOPBACK },
		{ "[::1]:53", POLICY_TUNNEL },
		{ "0.0.0.0:80", POLICY_LOOPBACK },
		{ "0.0.0.0:53", POLICY_TUNNEL },
		{ "[::]:53", POLICY_TUNNEL },
		{ "[::]:80", POLICY_LOOPBACK },
		{ "192.168.1.1:53", POLICY_TUNNEL },
		{ "192.168.1.1:853", POLICY_DENY },
		{ "10.0.0.1:80", POLICY_DENY },
		{ "172.16.0.1:80", POLICY_DENY },
		{ "172.32.0.1:80", POLICY_TUNNEL },
		{ "169.254.1.1:80", POLICY_DENY },
		{ "169.254.169.254:53", POLICY_TUNNEL },
		{ "[fe80::1]:53", POLICY_TUNNEL },
		{ "[fe80::1]:80", POLICY_DENY },
		{ "[fd00::1]:80", POLICY_DENY },
		{ "224.0.0.251:5353", POLICY_DENY },
		{ "224.0.0.251:53", POLICY_DENY },
		{ "[ff02::fb]:5353", POLICY_DENY },
		{ "255.255.255.255:67", POLICY_DENY },
		{ "255.255.255.255:53", POLICY_DENY },
		{ "[::ffff:10.0.0.1]:80", POLICY_DENY },
		{ "[::ffff:1.1.1.1]:80", POLICY_TUNNEL },
		{ "[::ffff:127.0.0.1]:80", POLICY_LOOPBACK },
		{ "192.88.99.80:80", POLICY_TUNNEL },
	};

	static const struct rules none;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr a;
		struct policy p;

		print_message("%s\n", cases[i].addr);
		assert_int_equal(addr_parse(&a, cases[i].addr, 0), 0);
		p = policy_peer(&none, &a);
		assert_int_equal(p.verdict, cases[i].verdict);
		assert_int_equal(p.err, p.verdict == POLICY_DENY ? ENETUNREACH : 0);
	}
}

/* Rules come after port 53 of a local resolver and before the default (base/rules.h; its own table is
 * test_rules.c). */
static void ruled(void **state)
{
	static const struct {
		const char *list, *addr;
		enum policy_verdict verdict;
	} cases[] = {
		{ "deny *", "127.0.0.53:53", POLICY_TUNNEL },
		{ "deny *", "192.168.1.1:53", POLICY_TUNNEL },
		{ "deny *", "[fe80::1]:53", POLICY_TUNNEL },
		{ "deny 127.0.0.53:53", "127.0.0.53:53", POLICY_TUNNEL },
		{ "loopback 127.0.0.1:53", "127.0.0.1:53", POLICY_TUNNEL },
		{ "deny *", "1.1.1.1:53", POLICY_DENY },
		{ "deny *", "127.0.0.53:54", POLICY_DENY },
		{ "deny *", "1.1.1.1:80", POLICY_DENY },
		{ "deny *", "127.0.0.1:80", POLICY_DENY },
		{ "deny *", "0.0.0.0:80", POLICY_DENY },
		{ "deny 1.1.1.1", "1.1.1.1:80", POLICY_DENY },
		{ "deny 1.1.1.1", "1.0.0.1:80", POLICY_TUNNEL },
		{ "deny 1.1.1.1", "10.0.0.1:80", POLICY_DENY },
		{ "deny 1.1.1.1", "127.0.0.1:80", POLICY_LOOPBACK },
		{ "tunnel 10.0.0.0/8", "10.0.0.1:80", POLICY_TUNNEL },
		{ "tunnel 10.0.0.0/8", "192.168.0.1:80", POLICY_DENY },
		{ "tunnel 203.0.113.0/24", "203.0.113.9:80", POLICY_TUNNEL },
		{ "tunnel *", "127.0.0.1:80", POLICY_LOOPBACK },
		{ "tunnel *", "0.0.0.0:80", POLICY_LOOPBACK },
		{ "tunnel *", "224.0.0.251:5353", POLICY_DENY },
		{ "tunnel *", "255.255.255.255:67", POLICY_DENY },
		{ "tunnel *", "169.254.169.254:80", POLICY_DENY },
		{ "tunnel *", "[fd00::1]:80", POLICY_TUNNEL },
		{ "tunnel *", "[::ffff:10.0.0.1]:80", POLICY_TUNNEL },
		{ "loopback *", "1.1.1.1:80", POLICY_TUNNEL },
		{ "loopback *", "10.0.0.1:80", POLICY_DENY },
		{ "loopback 127.0.0.1:80; deny 127.0.0.0/8", "127.0.0.1:80", POLICY_LOOPBACK },
		{ "loopback 127.0.0.1:80; deny 127.0.0.0/8", "127.0.0.1:81", POLICY_DENY },
		{ "deny 127.0.0.0/8", "[::1]:80", POLICY_LOOPBACK },
		{ "deny 127.0.0.0/8", "[::ffff:127.0.0.1]:80", POLICY_DENY },
		{ "deny example.org", "1.1.1.1:80", POLICY_TUNNEL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules rules = { 0 };
		struct rules_error err;
		struct addr a;
		struct policy p;

		print_message("%s: %s\n", cases[i].list, cases[i].addr);
		assert_int_equal(rules_parse(&rules, cases[i].list, &err), 0);
		assert_int_equal(addr_parse(&a, cases[i].addr, 0), 0);
		p = policy_peer(&rules, &a);
		assert_int_equal(p.verdict, cases[i].verdict);
		assert_int_equal(p.err, p.verdict == POLICY_DENY ? ENETUNREACH : 0);
	}
}

static enum policy_verdict unix_verdict(const char *path, size_t len)
{
	return policy_unix(path, len).verdict;
}

static void side_doors(void **state)
{
	static const char nscd[] = "/run/nscd/socket", near[] = "/run/nscd";
	static const char avahi[] = "/run/avahi-daemon/socket", abstract[] = "\0/run/nscd/socket";

	assert_int_equal(unix_verdict(nscd, sizeof(nscd)), POLICY_DENY);
	assert_int_equal(policy_unix(nscd, sizeof(nscd)).err, ECONNREFUSED);
	assert_int_equal(unix_verdict(nscd, 9), POLICY_LIBC);
	assert_int_equal(unix_verdict(nscd, 10), POLICY_DENY);
	assert_int_equal(unix_verdict(near, sizeof(near)), POLICY_LIBC);
	assert_int_equal(unix_verdict(avahi, sizeof(avahi) - 1), POLICY_DENY);
	assert_int_equal(unix_verdict(abstract, sizeof(abstract)), POLICY_LIBC);
	assert_int_equal(unix_verdict("/run/systemd/resolve/io.systemd.Resolve", 39), POLICY_DENY);
	assert_int_equal(unix_verdict("/tmp/.X11-unix/X0", 17), POLICY_LIBC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets),
		cmocka_unit_test(peers),
		cmocka_unit_test(ruled),
		cmocka_unit_test(side_doors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
