/* SPDX-License-Identifier: Apache-2.0 */
/* See dgram_opt.h. */
#include "stack/dgram_opt.h"

#include <netinet/in.h>

#define TTL 64 /* Linux's */

uint8_t dgram_wanted(const struct sock *s, uint8_t family)
{
	static const struct {
		int level, name;
		uint8_t flag;
		bool v6_packet;
	} option[] = {
		{ IPPROTO_IP, IP_RECVTTL, CTL_DGRAM_TTL, false },
		{ IPPROTO_IP, IP_RECVTOS, CTL_DGRAM_TOS, false },
		{ IPPROTO_IP, IP_PKTINFO, CTL_DGRAM_PKTINFO, false },
		{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, CTL_DGRAM_TTL6, true },
		{ IPPROTO_IPV6, IPV6_RECVTCLASS, CTL_DGRAM_TOS6, true },
		{ IPPROTO_IPV6, IPV6_RECVPKTINFO, CTL_DGRAM_PKTINFO6, true },
	};
	uint8_t flags = 0;

	if (!s->n_kept)
		return 0;
	/* Of an IPv4 packet an IPv6 socket can learn the address in its own way too (kernel:
	 * ip6_datagram_recv_common_ctl). */
	for (size_t i = 0; i < sizeof(option) / sizeof(option[0]); i++)
		if ((option[i].v6_packet == (family == 6) || option[i].flag == CTL_DGRAM_PKTINFO6) &&
		    sock_option(s, option[i].level, option[i].name, 0))
			flags |= option[i].flag;
	return flags;
}

bool dgram_wants_errors(const struct sock *s, uint8_t family)
{
	return family == 6 ? sock_option(s, IPPROTO_IPV6, IPV6_RECVERR, 0)
			   : sock_option(s, IPPROTO_IP, IP_RECVERR, 0);
}

bool dgram_shares_port(const struct sock *s)
{
	return sock_option(s, SOL_SOCKET, SO_REUSEADDR, 0) || sock_option(s, SOL_SOCKET, SO_REUSEPORT, 0);
}

struct dgram_fields dgram_fields(const struct sock *s, const struct ctl_dgram *h, uint8_t family)
{
	int ttl = family == 6 ? sock_option(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1)
			      : sock_option(s, IPPROTO_IP, IP_TTL, -1);
	int tos = family == 6 ? sock_option(s, IPPROTO_IPV6, IPV6_TCLASS, 0)
			      : sock_option(s, IPPROTO_IP, IP_TOS, 0);

	if (h->flags & CTL_DGRAM_TTL)
		ttl = h->ttl;
	if (h->flags & CTL_DGRAM_TOS)
		tos = h->tos;
	return (struct dgram_fields){ (uint8_t)(ttl < 0 ? TTL : ttl), (uint8_t)(tos < 0 ? 0 : tos) };
}
