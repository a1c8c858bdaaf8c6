/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of destinations.
 *
 * Theory of operation. Linux would connect a datagram socket to each destination to learn the source address;
 * here the tunnel's two addresses and the loopback addresses are all the sources there are. What could not be
 * reached (policy.h refuses it) has no source and goes to the end (rule 1). Rules 3, 4 and 7 are about
 * deprecated, home and encapsulated addresses, which a tunnel has not.
 *
 * The exits known give out unique local IPv6 addresses (fc00::/7), whose label differs from that of public
 * IPv6 addresses; so rule 5 puts IPv4 first there, as glibc does on any host behind such an address.
 *
 * Tables: glibc's, which are those of RFC 3484 with the additions it has by default (labels of fc00::/7 and
 * 2001::/32); its IPv4 scopes: private addresses are global.
 */
#include "shim/order.h"

#include <stdbool.h>
#include <string.h>

#include "shim/policy.h"
#include "stack/ctl/ctl.h"

#define SCOPE_LINK 2
#define SCOPE_SITE 5
#define SCOPE_GLOBAL 14

struct prefix {
	uint8_t ip[16];
	uint8_t bits;
	int value;
};

static const struct prefix labels[] = {
	{ { [15] = 1 }, 128, 0 },  { { 0x20, 0x02 }, 16, 2 }, { { [10] = 0xff, 0xff }, 96, 4 },
	{ { 0 }, 96, 3 },	   { { 0xfe, 0xc0 }, 10, 5 }, { { 0xfc }, 7, 6 },
	{ { 0x20, 0x01 }, 32, 7 }, { { 0 }, 0, 1 },
};

static const struct prefix precedences[] = {
	{ { [15] = 1 }, 128, 50 }, { { 0x20, 0x02 }, 16, 30 }, { { [10] = 0xff, 0xff }, 96, 10 },
	{ { 0 }, 96, 20 },	   { { 0 }, 0, 40 },
};

struct judged {
	struct addr addr;
	bool reachable, same_scope, same_label;
	int precedence, scope;
	unsigned common; /* bits shared with the source */
};

/* IPv6 form of an address: v4-mapped for IPv4. */
static void bytes(const struct addr *a, uint8_t out[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	if (a->family == 6) {
		memcpy(out, a->ip, 16);
		return;
	}
	memcpy(out, mapped, 12);
	memcpy(out + 12, a->ip, 4);
}

static unsigned common_bits(const uint8_t *a, const uint8_t *b)
{
	unsigned n = 0;

	while (n < 128 && !((a[n / 8] ^ b[n / 8]) >> (7 - n % 8) & 1))
		n++;
	return n;
}

static int value(const struct prefix *table, const uint8_t ip[16])
{
	while (common_bits(table->ip, ip) < table->bits)
		table++;
	return table->value;
}

static int scope(const struct addr *a)
{
	struct addr u = *a;

	if (a->family == 6 && a->ip[0] == 0xff)
		return a->ip[1] & 15;
	if (a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0xc0)
		return SCOPE_SITE;
	addr_unmap(&u);
	switch (addr_classify(&u)) {
	case ADDR_LOOPBACK:
	case ADDR_LINKLOCAL: return SCOPE_LINK;
	case ADDR_GLOBAL:
	case ADDR_UNSPEC:
	case ADDR_PRIVATE:
	case ADDR_MULTICAST:
	case ADDR_BROADCAST:
	case ADDR_RESERVED: break;
	}
	return SCOPE_GLOBAL;
}

/* The source address for a destination; false: there is none. */
static bool source(const struct addr *to, const struct order_sources *from, struct addr *ret)
{
	struct addr u = *to;

	addr_unmap(&u);
	switch (policy_peer(from->rules, &u).verdict) {
	case POLICY_LOOPBACK: *ret = u; return true;
	case POLICY_TUNNEL: *ret = u.family == 6 ? from->v6 : from->v4; return ret->family != 0;
	case POLICY_LIBC:
	case POLICY_DENY: break;
	}
	return false;
}

static struct judged judge(const struct addr *a, const struct order_sources *from)
{
	struct judged j = { .addr = *a, .scope = scope(a) };
	uint8_t ip[16], src_ip[16];
	struct addr src;

	bytes(a, ip);
	j.precedence = value(precedences, ip);
	j.reachable = source(a, from, &src);
	if (!j.reachable)
		return j;
	bytes(&src, src_ip);
	j.same_scope = scope(&src) == j.scope;
	j.same_label = value(labels, src_ip) == value(labels, ip);
	j.common = a->family == 6 ? common_bits(ip, src_ip) : 0;
	return j;
}

/* a stands before b. */
static bool before(const struct judged *a, const struct judged *b)
{
	if (a->reachable != b->reachable)
		return a->reachable; /* rule 1 */
	if (a->same_scope != b->same_scope)
		return a->same_scope; /* rule 2 */
	if (a->same_label != b->same_label)
		return a->same_label; /* rule 5 */
	if (a->precedence != b->precedence)
		return a->precedence > b->precedence; /* rule 6 */
	if (a->scope != b->scope)
		return a->scope < b->scope;				  /* rule 8 */
	return a->addr.family == b->addr.family && a->common > b->common; /* rule 9; rule 10: as they came */
}

void order_addrs(struct addr *list, size_t n, const struct order_sources *from)
{
	struct judged sorted[CTL_ADDRS_MAX];

	/* Insertion: stable, and lists are short. */
	for (size_t i = 0; i < n; i++) {
		const struct judged j = judge(&list[i], from);
		size_t at = i;

		for (; at > 0 && before(&j, &sorted[at - 1]); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = j;
	}
	for (size_t i = 0; i < n; i++)
		list[i] = sorted[i].addr;
}
