/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets for tests: a TCP segment or UDP datagram with chosen header fields. Checksums are left zero; a
 * test of what looks at them puts them in by pk_sum().
 */
#ifndef TESTS_UNIT_PACKETS_H
#define TESTS_UNIT_PACKETS_H

#include <stdint.h>
#include <string.h>

#include "mixnet/ippkt.h"

struct seg {
	uint32_t far, near; /* IPv4 addresses: far is the source */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t win;
	size_t payload;
	uint8_t fill;
};

static inline void pk16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void pk32(uint8_t *p, uint32_t v)
{
	pk16(p, v >> 16);
	pk16(p + 2, v & 0xffff);
}

/* RFC 1071, not complemented; s is what was added before. */
static inline uint16_t pk_sum(const void *data, size_t len, uint32_t s)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		s += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static inline size_t pk_ip4(uint8_t *out, uint8_t proto, uint32_t src, uint32_t dst, size_t l4_len)
{
	memset(out, 0, 20 + l4_len);
	out[0] = 0x45;
	pk16(out + 2, (uint32_t)(20 + l4_len));
	out[8] = 64;
	out[9] = proto;
	pk32(out + 12, src);
	pk32(out + 16, dst);
	return 20 + l4_len;
}

static inline size_t pk_tcp(uint8_t *out, const struct seg *s)
{
	size_t len = pk_ip4(out, IPPKT_TCP, s->far, s->near, 20 + s->payload);

	pk16(out + 20, s->sport);
	pk16(out + 22, s->dport);
	pk32(out + 24, s->seq);
	pk32(out + 28, s->ack);
	out[32] = 5 << 4;
	out[33] = s->flags;
	pk16(out + 34, s->win);
	memset(out + 40, s->fill, s->payload);
	return len;
}

static inline size_t pk_udp(uint8_t *out, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
			    size_t payload)
{
	size_t len = pk_ip4(out, IPPKT_UDP, src, dst, 8 + payload);

	pk16(out + 20, sport);
	pk16(out + 22, dport);
	pk16(out + 24, (uint32_t)(8 + payload));
	return len;
}

#endif
