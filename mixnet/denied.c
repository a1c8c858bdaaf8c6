/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy refusals as ICMP errors.
 *
 * Theory of operation. A ring keeps header and first eight bytes of packets that open something: TCP SYN,
 * UDP, ICMP echo request. When the exit names a refused destination, the oldest packet to it is quoted in an
 * error that seems to come from the destination. The exit refuses each packet once, so each note is used
 * once.
 *
 * Limits: a note overwritten before its refusal comes means that the socket waits for its own time-out.
 * Called by exitsess.c.
 */
#include "mixnet/denied.h"

#include <stdbool.h>
#include <string.h>

#include "base/wire.h"
#include "mixnet/ippkt.h"

#define ECHO4 8
#define ECHO6 128

void denied_note(struct denied *d, const uint8_t *pkt, size_t len)
{
	struct denied_note *n = &d->note[d->next];
	struct ippkt p;
	size_t quote;

	if (!ippkt_parse(&p, pkt, len))
		return;
	if (!(p.proto == IPPKT_TCP && (p.flags & (IPPKT_SYN | IPPKT_ACK)) == IPPKT_SYN) &&
	    p.proto != IPPKT_UDP && !(p.proto == IPPKT_ICMP && p.l4_len >= 8 && p.l4[0] == ECHO4) &&
	    !(p.proto == IPPKT_ICMP6 && p.l4_len >= 8 && p.l4[0] == ECHO6))
		return;
	quote = (size_t)(p.l4 - pkt) + 8;
	if (quote > DENIED_QUOTE) /* IPv4 options: nobody sends them */
		return;
	n->dst = p.dst;
	n->len = (uint8_t)quote;
	memcpy(n->quote, pkt, quote);
	d->next = (d->next + 1) % DENIED_NOTES;
}

static void put_sum(uint8_t *at, uint32_t acc)
{
	uint16_t ck = ippkt_fold(acc);

	at[0] = (uint8_t)(ck >> 8);
	at[1] = (uint8_t)ck;
}

/* RFC 792 type 3 code 13. */
static size_t error4(const struct denied_note *n, uint8_t *out)
{
	size_t len = 20 + 8 + (size_t)n->len;
	struct wire_wr w;

	wire_wr_init(&w, out, DENIED_ICMP_MAX);
	wire_put_u16(&w, 0x4500);
	wire_put_u16(&w, (uint16_t)len);
	wire_put_u32(&w, 0x4000);
	wire_put_u8(&w, 64);
	wire_put_u8(&w, IPPKT_ICMP);
	wire_put_u16(&w, 0);
	wire_put_bytes(&w, n->quote + 16, 4); /* from the destination ... */
	wire_put_bytes(&w, n->quote + 12, 4); /* ... to the source */
	wire_put_u16(&w, 3 << 8 | 13);
	wire_put_zero(&w, 6);
	wire_put_bytes(&w, n->quote, n->len);
	put_sum(out + 10, ippkt_sum(0, out, 20));
	put_sum(out + 22, ippkt_sum(0, out + 20, len - 20));
	return len;
}

/* RFC 4443 type 1 code 1. */
static size_t error6(const struct denied_note *n, uint8_t *out)
{
	size_t len = 40 + 8 + (size_t)n->len;
	struct wire_wr w;

	wire_wr_init(&w, out, DENIED_ICMP_MAX);
	wire_put_u32(&w, UINT32_C(6) << 28);
	wire_put_u16(&w, (uint16_t)(len - 40));
	wire_put_u8(&w, IPPKT_ICMP6);
	wire_put_u8(&w, 64);
	wire_put_bytes(&w, n->quote + 24, 16);
	wire_put_bytes(&w, n->quote + 8, 16);
	wire_put_u16(&w, 1 << 8 | 1);
	wire_put_zero(&w, 6);
	wire_put_bytes(&w, n->quote, n->len);
	put_sum(out + 42, ippkt_sum(IPPKT_ICMP6 + (uint32_t)(len - 40), out + 8, len - 8));
	return len;
}

size_t denied_icmp(struct denied *d, const char *text, uint8_t out[static DENIED_ICMP_MAX])
{
	struct addr dst;

	if (addr_parse(&dst, text, 0))
		return 0;
	for (unsigned i = 0; i < DENIED_NOTES; i++) {
		struct denied_note *n = &d->note[(d->next + i) % DENIED_NOTES];

		if (!n->dst.family || !addr_equal(&n->dst, &dst))
			continue;
		n->dst.family = 0;
		return dst.family == 4 ? error4(n, out) : error6(n, out);
	}
	return 0;
}
