/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an exit's policy refuses, in words an IP stack understands. The exit answers a refused packet with
 * "ip:port" (spec ipr.md 3.4, 6.6) and nothing a socket would notice; here that becomes the ICMP error a
 * router would have sent: communication administratively prohibited.
 */
#ifndef MIXNET_DENIED_H
#define MIXNET_DENIED_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define DENIED_NOTES 64
#define DENIED_QUOTE 48 /* IPv6 header and eight bytes */
#define DENIED_ICMP_MAX (40 + 8 + DENIED_QUOTE)

struct denied_note {
	struct addr dst; /* family 0: free */
	uint8_t len, quote[DENIED_QUOTE];
};

struct denied {
	struct denied_note note[DENIED_NOTES]; /* a ring */
	unsigned next;
};

/* Remembers the beginning of a packet that may be refused: connection attempts, datagrams, echo requests. */
void denied_note(struct denied *d, const uint8_t *pkt, size_t len);
/* The ICMP error for the oldest note with that destination, which is forgotten; text as the exit gives it
 * ("1.2.3.4:80", port 0 for ICMP). Its length, 0: no such note. */
size_t denied_icmp(struct denied *d, const char *text, uint8_t out[static DENIED_ICMP_MAX]);

#endif
