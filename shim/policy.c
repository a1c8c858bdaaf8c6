/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy of the shim.
 *
 * Theory of operation. Wrappers ask here and do what they are told; nothing in this file looks at a
 * descriptor or the environment, so every rule is reached by tests/unit/test_policy.c. Errnos are those an
 * unprivileged program gets from Linux for a call that cannot work; what smolmix itself refuses is
 * ENETUNREACH (addresses) or EPERM (raw access).
 *
 * Order of policy_peer: port 53 of a local resolver before all others (design D5), because that rule must win
 * over the loopback exception and over a user's rule; then the user's rules (base/rules.h); then the default.
 */
#include "shim/policy.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define TYPE_MASK 0xf
#define TYPE_MAX 11	 /* kernel: SOCK_MAX */
#define PROTOCOL_MAX 263 /* kernel: IPPROTO_MAX */
#define PROTOCOL_TCP_MP 262

static const struct policy tunnel = { POLICY_TUNNEL, 0, NULL };
static const struct policy loopback = { POLICY_LOOPBACK, 0, NULL };
static const struct policy libc = { POLICY_LIBC, 0, NULL };

static struct policy deny(int err, const char *why)
{
	return (struct policy){ POLICY_DENY, err, why };
}

static struct policy inet_stream(int protocol)
{
	if (protocol == 0 || protocol == IPPROTO_TCP)
		return tunnel;
	/* MPTCP included: callers fall back to TCP (interposition.md 2.1 A). */
	return deny(EPROTONOSUPPORT, "only TCP streams go through the tunnel");
}

static struct policy inet_dgram(int domain, int protocol, bool *ret_icmp)
{
	if (protocol == 0 || protocol == IPPROTO_UDP)
		return tunnel;
	if (protocol == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		*ret_icmp = true;
		return tunnel;
	}
	return deny(EPROTONOSUPPORT, "only UDP and ICMP echo datagrams go through the tunnel");
}

static struct policy inet(int domain, int type, int protocol, bool *ret_icmp)
{
	if (type >= TYPE_MAX)
		return deny(EINVAL, "no such socket type");
	if (protocol < 0 || protocol >= PROTOCOL_MAX)
		return deny(EINVAL, "no such protocol");
	if (type == SOCK_STREAM)
		return inet_stream(protocol);
	if (type == SOCK_DGRAM)
		return inet_dgram(domain, protocol, ret_icmp);
	if (type == SOCK_RAW || type == SOCK_PACKET)
		return deny(EPERM, "raw sockets would leave the tunnel");
	return deny(ESOCKTNOSUPPORT, "no such internet socket type");
}

struct policy policy_socket(int domain, int type, int protocol, bool *ret_icmp)
{
	*ret_icmp = false;
	if (type & ~(TYPE_FLAGS | TYPE_MASK))
		return deny(EINVAL, "unknown flags in the socket type");
	switch (domain) {
	case AF_UNIX: return libc;
	case AF_NETLINK:
		return protocol == NETLINK_ROUTE ? libc
						 : deny(EPROTONOSUPPORT, "only NETLINK_ROUTE is allowed");
	case AF_INET:
	case AF_INET6: return inet(domain, type & TYPE_MASK, protocol, ret_icmp);
	case AF_PACKET: return deny(EPERM, "packet sockets would leave the tunnel");
	default: return deny(EAFNOSUPPORT, "this address family cannot go through the tunnel");
	}
}

static struct policy by_default(enum addr_class class)
{
	switch (class) {
	case ADDR_GLOBAL: return tunnel;
	case ADDR_UNSPEC: /* Linux: this host */
	case ADDR_LOOPBACK: return loopback;
	case ADDR_PRIVATE:
		return deny(ENETUNREACH, "private address; --rule \"tunnel ...\" sends it to the exit");
	case ADDR_LINKLOCAL:
		return deny(ENETUNREACH, "link-local address; --rule \"tunnel ...\" sends it to the exit");
	case ADDR_MULTICAST: return deny(ENETUNREACH, "multicast address");
	case ADDR_BROADCAST: return deny(ENETUNREACH, "broadcast address");
	case ADDR_RESERVED:
		return deny(ENETUNREACH, "reserved address; --rule \"tunnel ...\" sends it to the exit");
	}
	return deny(ENETUNREACH, "unknown address");
}

struct policy policy_peer(const struct rules *rules, const struct addr *a)
{
	enum addr_class class = addr_classify(a);
	bool local_resolver =
		a->port == 53 && (class == ADDR_UNSPEC /* Linux: this host */ || class == ADDR_LOOPBACK ||
				  class == ADDR_PRIVATE || class == ADDR_LINKLOCAL);

	if (local_resolver)
		return tunnel;
	switch (rules_addr(rules, a)) {
	case RULE_TUNNEL: return tunnel;
	case RULE_LOOPBACK: return loopback;
	case RULE_DENY: return deny(ENETUNREACH, "a rule denies it; see --rule");
	case RULE_NONE: break;
	}
	return by_default(class);
}

struct policy policy_unix(const char *path, size_t len)
{
	/* Helpers outside the tree that would resolve names over the host's
	 * network (interposition.md 2.11). */
	static const char *const side_door[] = {
		"/run/nscd/",
		"/var/run/nscd/",
		"/run/systemd/resolve/",
		"/var/run/systemd/resolve/",
		"/run/avahi-daemon/socket",
		"/var/run/avahi-daemon/socket",
	};

	for (size_t i = 0; i < sizeof(side_door) / sizeof(side_door[0]); i++) {
		size_t n = strlen(side_door[i]);

		if (len >= n && !strncmp(path, side_door[i], n))
			return deny(ECONNREFUSED,
				    "this local service would resolve names outside the tunnel");
	}
	return libc;
}
