/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path MTU of TCP over IPv6 (RFC 8201), where no router fragments: what a router on the way could not pass on
 * is cut smaller and sent again. Over IPv4 packets may be fragmented (DF is not set).
 */
#ifndef STACK_PATHMTU_H
#define STACK_PATHMTU_H

#include <stdint.h>

#include "base/addr.h"
#include "lwip/err.h"

struct tcp_pcb;

/* What a "packet too big" quotes, and its MTU. */
struct pathmtu_report {
	uint16_t local_port;
	const struct addr *remote; /* with port */
	uint32_t seq;		   /* the packet's first byte */
	uint32_t len;		   /* of the packet, its IP header included */
	uint32_t mtu;
};

/* Ignores what no router can have said about a packet that is under way. Not from within a callback of
 * lwIP. */
void pathmtu_exceeded(const struct pathmtu_report *r);
/* Cuts the first of t's unsent segments (there is one) to len bytes. lwIP's own cut leaves the FIN, which
 * belongs to the second part, in the first one as well: the far side would lose what is between. */
err_t pathmtu_split(struct tcp_pcb *t, uint16_t len);

#endif
