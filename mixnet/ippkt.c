/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the headers of IP packets with the wire cursor.
 *
 * Theory of operation. Users: the queue towards the exit (which packets are pure ACKs of the same
 * connection), the ordering of what comes back (ports and sequence numbers), refusals (what opens something),
 * and the keepalive, which writes one small datagram and looks for its answer. A packet that is not
 * understood is not an error: callers then treat it as "no particular connection" and pass it at once.
 *
 * Limits: IPv6 extension headers are not followed; lwIP and the exits do not use them.
 */
#include "mixnet/ippkt.h"

#include <string.h>

#include "base/wire.h"

#define IP4_HDR 20
#define UDP_HDR 8

static bool parse_ip4(struct ippkt *p, struct wire_rd *r, size_t len)
{
	size_t hl = (size_t)(wire_get_u8(r) & 15) * 4, total;
	uint16_t frag;

	wire_get_u8(r);
	total = wire_get_u16(r);
	wire_get_u16(r);
	frag = wire_get_u16(r);
	wire_get_u8(r);
	p->proto = wire_get_u8(r);
	wire_get_u16(r);
	p->src.family = p->dst.family = 4;
	wire_get_copy(r, p->src.ip, 4);
	wire_get_copy(r, p->dst.ip, 4);
	if (r->bad || hl < IP4_HDR || total < hl || total > len || (frag & 0x3fff))
		return false;
	wire_get_bytes(r, hl - IP4_HDR);
	p->l4_len = total - hl;
	return true;
}

static bool parse_ip6(struct ippkt *p, struct wire_rd *r, size_t len)
{
	size_t payload;

	wire_get_u32(r);
	payload = wire_get_u16(r);
	p->proto = wire_get_u8(r);
	wire_get_u8(r);
	p->src.family = p->dst.family = 6;
	wire_get_copy(r, p->src.ip, 16);
	wire_get_copy(r, p->dst.ip, 16);
	if (r->bad || payload > len - 40)
		return false;
	p->l4_len = payload;
	return true;
}

static bool parse_tcp(struct ippkt *p)
{
	struct wire_rd r;
	size_t off;

	wire_rd_init(&r, p->l4, p->l4_len);
	p->src.port = wire_get_u16(&r);
	p->dst.port = wire_get_u16(&r);
	p->seq = wire_get_u32(&r);
	p->ack = wire_get_u32(&r);
	off = (size_t)(wire_get_u8(&r) >> 4) * 4;
	p->flags = wire_get_u8(&r);
	p->win = wire_get_u16(&r);
	if (r.bad || off < 20 || off > p->l4_len)
		return false;
	p->payload = p->l4_len - off;
	return true;
}

bool ippkt_parse(struct ippkt *p, const uint8_t *pkt, size_t len)
{
	struct ippkt v;
	struct wire_rd r;

	memset(&v, 0, sizeof(v));
	wire_rd_init(&r, pkt, len);
	if (!len ||
	    (pkt[0] >> 4 == 4 ? !parse_ip4(&v, &r, len) : pkt[0] >> 4 != 6 || !parse_ip6(&v, &r, len)))
		return false;
	v.l4 = wire_get_bytes(&r, v.l4_len);
	if (!v.l4)
		return false;
	if (v.proto == IPPKT_TCP && !parse_tcp(&v))
		return false;
	if (v.proto == IPPKT_UDP) {
		if (v.l4_len < UDP_HDR)
			return false;
		v.src.port = (uint16_t)(v.l4[0] << 8 | v.l4[1]);
		v.dst.port = (uint16_t)(v.l4[2] << 8 | v.l4[3]);
	}
	*p = v;
	return true;
}

bool ippkt_pure_ack(const struct ippkt *p)
{
	return p->proto == IPPKT_TCP && !p->payload &&
	       (p->flags & (IPPKT_FIN | IPPKT_SYN | IPPKT_RST | IPPKT_ACK | IPPKT_URG)) == IPPKT_ACK;
}

uint32_t ippkt_sum(uint32_t acc, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		acc += (uint32_t)b[i] << 8 | b[i + 1];
	if (len & 1)
		acc += (uint32_t)b[len - 1] << 8;
	return acc;
}

uint16_t ippkt_fold(uint32_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

size_t ippkt_put_udp4(uint8_t *out, size_t cap, const struct addr *src, const struct addr *dst, uint8_t ttl,
		      const void *payload, size_t len)
{
	size_t total = IP4_HDR + UDP_HDR + len;
	uint16_t ck;
	struct wire_wr w;

	wire_wr_init(&w, out, cap);
	wire_put_u16(&w, 0x4500);
	wire_put_u16(&w, (uint16_t)total);
	wire_put_u32(&w, 0x4000); /* no identifier, do not fragment */
	wire_put_u8(&w, ttl);
	wire_put_u8(&w, IPPKT_UDP);
	wire_put_u16(&w, 0);
	wire_put_bytes(&w, src->ip, 4);
	wire_put_bytes(&w, dst->ip, 4);
	wire_put_u16(&w, src->port);
	wire_put_u16(&w, dst->port);
	wire_put_u16(&w, (uint16_t)(UDP_HDR + len));
	wire_put_u16(&w, 0);
	wire_put_bytes(&w, payload, len);
	if (w.bad)
		return 0;
	ck = ippkt_fold(ippkt_sum(0, out, IP4_HDR));
	out[10] = (uint8_t)(ck >> 8);
	out[11] = (uint8_t)ck;
	/* pseudo header: addresses, protocol, UDP length */
	ck = ippkt_fold(ippkt_sum(ippkt_sum(IPPKT_UDP + UDP_HDR + (uint32_t)len, out + 12, 8), out + IP4_HDR,
				  UDP_HDR + len));
	if (!ck)
		ck = 0xffff;
	out[26] = (uint8_t)(ck >> 8);
	out[27] = (uint8_t)ck;
	return total;
}
