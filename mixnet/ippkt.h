/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look into IP packets, as far as queueing and ordering need it: addresses, protocol, and the TCP header.
 * Never changes a packet, never trusts a length.
 */
#ifndef MIXNET_IPPKT_H
#define MIXNET_IPPKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define IPPKT_ICMP 1
#define IPPKT_TCP 6
#define IPPKT_UDP 17
#define IPPKT_ICMP6 58

enum { IPPKT_FIN = 1, IPPKT_SYN = 2, IPPKT_RST = 4, IPPKT_PSH = 8, IPPKT_ACK = 16, IPPKT_URG = 32 };

struct ippkt {
	uint8_t proto;
	struct addr src, dst; /* ports for TCP and UDP, else 0 */
	const uint8_t *l4;
	size_t l4_len;
	/* TCP only */
	uint8_t flags;
	uint16_t win;
	uint32_t seq, ack;
	size_t payload;
};

/* False: too short, lengths that do not fit, another IP version, a fragment, or IPv6
 * with extension headers. */
bool ippkt_parse(struct ippkt *p, const uint8_t *pkt, size_t len);
/* A TCP segment that does nothing but acknowledge. */
bool ippkt_pure_ack(const struct ippkt *p);

/* Sequence numbers modulo 2^32. */
static inline bool ippkt_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* RFC 1071: adds bytes to a sum, the last one of an odd number as the upper half of a word; the checksum of a
 * sum. */
uint32_t ippkt_sum(uint32_t acc, const uint8_t *b, size_t len);
uint16_t ippkt_fold(uint32_t acc);

/*
 * UDP datagram over IPv4 with the given TTL and checksums. len = 28 + payload bytes, returned; 0 when cap is
 * too small.
 */
size_t ippkt_put_udp4(uint8_t *out, size_t cap, const struct addr *src, const struct addr *dst, uint8_t ttl,
		      const void *payload, size_t len);

#endif
