/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of a datagram socket mean for its datagrams. They are kept in the socket (sock.h); nothing
 * here can fail. */
#ifndef STACK_DGRAM_OPT_H
#define STACK_DGRAM_OPT_H

#include "stack/sock.h"

struct dgram_fields {
	uint8_t ttl, tos;
};

/* The control messages the program asked for with a datagram of this family: CTL_DGRAM_* bits. */
uint8_t dgram_wanted(const struct sock *s, uint8_t family);
/* Does it want to hear of all errors about destinations of this family (IP_RECVERR)? */
bool dgram_wants_errors(const struct sock *s, uint8_t family);
/* SO_REUSEADDR or SO_REUSEPORT. */
bool dgram_shares_port(const struct sock *s);
/* What the IP header says: of this datagram, else of the socket, else the default. */
struct dgram_fields dgram_fields(const struct sock *s, const struct ctl_dgram *h, uint8_t family);

#endif
