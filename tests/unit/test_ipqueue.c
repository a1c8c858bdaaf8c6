/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue towards the exit: bounds, turns of flows, replacement of ACKs, bundles; and the reader of packet
 * headers under it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mixnet/ippkt.h"
#include "mixnet/ipqueue.h"
#include "mixnet/ipr.h"
#include "tests/unit/packets.h"

#define FAR 0x01010101u
#define NEAR 0x0a001234u

static struct ipqueue *queue(void)
{
	struct ipqueue *q = malloc(sizeof(*q));

	assert_non_null(q);
	assert_int_equal(ipq_init(q), 0);
	return q;
}

static void drop_queue(struct ipqueue *q)
{
	ipq_clear(q);
	assert_int_equal(q->count, 0);
	assert_int_equal(q->pool.used, 0);
	ipq_done(q);
	free(q);
}

static int push_ack(struct ipqueue *q, uint64_t flow, uint16_t port, uint32_t ack, uint16_t win)
{
	uint8_t pkt[64];
	struct seg s = { .far = NEAR,
			 .near = FAR,
			 .sport = port,
			 .dport = 80,
			 .ack = ack,
			 .win = win,
			 .flags = IPPKT_ACK };

	return ipq_push(q, pkt, pk_tcp(pkt, &s), flow);
}

static int push_plain(struct ipqueue *q, uint64_t flow, size_t len, uint8_t mark)
{
	uint8_t pkt[2000];

	memset(pkt, mark, sizeof(pkt));
	return ipq_push(q, pkt, len, flow);
}

/* Bundles with the given room; marks[] gets the last byte of each packet. */
static size_t take(struct ipqueue *q, size_t room, uint8_t *marks)
{
	uint8_t buf[4096];
	struct wire_wr w;
	struct wire_rd r;
	const uint8_t *pkt;
	size_t len, bytes, n, i = 0;

	wire_wr_init(&w, buf, sizeof(buf));
	n = ipq_bundle(q, &w, room, &bytes);
	assert_false(w.bad);
	assert_true(w.len <= room);
	wire_rd_init(&r, buf, w.len);
	while (ipr_bundle_next(&r, &pkt, &len) == 1) {
		bytes -= len;
		marks[i++] = pkt[len - 1];
	}
	assert_int_equal(i, n);
	assert_int_equal(bytes, 0);
	return n;
}

static void bounds(void **state)
{
	struct ipqueue *q = queue();

	(void)state;
	assert_int_equal(push_plain(q, 1, 0, 0), -EMSGSIZE);
	assert_int_equal(push_plain(q, 1, IPQ_PACKET_MAX + 1, 0), -EMSGSIZE);
	assert_int_equal(push_plain(q, 1, IPQ_PACKET_MAX, 0), 0);
	for (size_t i = 1; i < IPQ_FLOW; i++)
		assert_int_equal(push_plain(q, 1, 100, 0), 0);
	assert_int_equal(push_plain(q, 1, 100, 0), -ENOBUFS);
	for (size_t i = IPQ_FLOW; i < IPQ_PACKETS; i++)
		assert_int_equal(push_plain(q, i, 100, 0), 0);
	assert_int_equal(push_plain(q, 5000, 100, 0), -ENOBUFS);
	assert_int_equal(q->count, IPQ_PACKETS);
	drop_queue(q);
}

static void turns(void **state)
{
	struct ipqueue *q = queue();
	uint8_t m[16];

	(void)state;
	for (uint8_t i = 0; i < 4; i++)
		push_plain(q, 1, 1000, (uint8_t)(10 + i));
	push_plain(q, 2, 1000, 20);
	push_plain(q, 3, 1000, 30);
	assert_int_equal(ipq_head(q), 1000);
	assert_int_equal(take(q, 1100, m), 1);
	assert_int_equal(m[0], 10);
	assert_int_equal(take(q, 1100, m), 1);
	assert_int_equal(m[0], 20);
	assert_int_equal(take(q, 1100, m), 1);
	assert_int_equal(m[0], 30);
	assert_int_equal(take(q, 1100, m), 1);
	assert_int_equal(m[0], 11);
	assert_int_equal(take(q, 2004, m), 2); /* exactly two with their prefixes */
	assert_int_equal(m[0], 12);
	assert_int_equal(m[1], 13);
	assert_int_equal(ipq_head(q), 0);
	assert_int_equal(take(q, 2000, m), 0);
	drop_queue(q);
}

/* A small packet of another flow rides beside a large one; order inside a flow is kept. */
static void bundling(void **state)
{
	struct ipqueue *q = queue();
	uint8_t m[16];

	(void)state;
	push_plain(q, 1, 1400, 1);
	push_plain(q, 1, 40, 2);
	push_plain(q, 2, 1400, 3);
	push_plain(q, 2, 40, 4);
	push_plain(q, 3, 40, 5);
	assert_int_equal(take(q, 1402 + 42 + 41, m), 2);
	assert_int_equal(m[0], 1);
	assert_int_equal(m[1], 5); /* 4 must not overtake 3 */
	assert_int_equal(take(q, 1402 + 42, m), 2);
	assert_int_equal(m[0], 3);
	assert_int_equal(m[1], 2);
	assert_int_equal(take(q, 42, m), 1);
	assert_int_equal(m[0], 4);
	drop_queue(q);
}

static void acks(void **state)
{
	struct ipqueue *q = queue();
	uint8_t buf[2048];
	struct wire_wr w;
	struct ippkt p;
	size_t bytes;

	(void)state;
	assert_int_equal(push_ack(q, 7, 1000, 5000, 100), 0);
	assert_int_equal(push_ack(q, 7, 1000, 6000, 100), 1); /* newer */
	assert_int_equal(push_ack(q, 7, 1000, 6000, 100), 0); /* a duplicate is a signal */
	assert_int_equal(push_ack(q, 7, 1000, 5500, 100), 0); /* older replaces nothing */
	assert_int_equal(push_ack(q, 7, 1001, 9000, 100), 0); /* another connection of the flow */
	assert_int_equal(push_ack(q, 7, 1001, 9000, 200), 1); /* window update */
	assert_int_equal(push_ack(q, 8, 1000, 7000, 100), 0); /* another flow */
	assert_int_equal(q->count, 5);
	assert_int_equal(q->acks_replaced, 2);
	wire_wr_init(&w, buf, sizeof(buf));
	assert_int_equal(ipq_bundle(q, &w, 42, &bytes), 1);
	assert_true(ippkt_parse(&p, buf + 2, 40));
	assert_int_equal(p.ack, 6000);
	/* across the wrap of sequence numbers */
	ipq_clear(q);
	assert_int_equal(push_ack(q, 7, 1000, 0xfffffff0u, 100), 0);
	assert_int_equal(push_ack(q, 7, 1000, 0x10u, 100), 1);
	drop_queue(q);
}

/* Packets of one flow alone, as many as fit. */
static void one_flow(void **state)
{
	struct ipqueue *q = queue();
	uint8_t buf[8192];
	struct wire_wr w;
	size_t len;

	(void)state;
	assert_int_equal(ipq_fits(q, 5000, &len), 0);
	assert_false(ipq_lone(q, 1));
	push_plain(q, 1, 1000, 10);
	push_plain(q, 2, 500, 20);
	push_plain(q, 1, 1000, 11);
	push_plain(q, 1, 1000, 12);
	assert_int_equal(ipq_fits(q, 1001, &len), 0);
	assert_int_equal(ipq_fits(q, 2004, &len), 2);
	assert_int_equal(len, 2004);
	assert_int_equal(ipq_fits(q, 9000, &len), 3);
	assert_false(ipq_lone(q, 2)); /* three packets */
	wire_wr_init(&w, buf, sizeof(buf));
	assert_int_equal(ipq_take(q, &w, 2), 1);
	assert_int_equal(w.len, 2004);
	assert_int_equal(buf[2], 10);
	assert_int_equal(buf[1004], 11);
	assert_true(ipq_lone(q, 1)); /* flow 2's turn */
	assert_false(ipq_lone(q, 2));
	assert_int_equal(q->acks, 0);
	push_ack(q, 3, 40000, 100, 5);
	push_ack(q, 3, 40000, 200, 5);
	assert_int_equal(q->acks, 1);
	take(q, 9000, buf);
	assert_int_equal(q->acks, 0);
	drop_queue(q);
}

static void headers(void **state)
{
	uint8_t pkt[128];
	struct ippkt p;
	struct seg s = { .far = FAR,
			 .near = NEAR,
			 .sport = 1,
			 .dport = 2,
			 .seq = 3,
			 .ack = 4,
			 .flags = IPPKT_ACK,
			 .win = 5,
			 .payload = 6 };
	size_t len = pk_tcp(pkt, &s);

	(void)state;
	assert_true(ippkt_parse(&p, pkt, len));
	assert_int_equal(p.payload, 6);
	assert_int_equal(p.seq, 3);
	assert_int_equal(p.ack, 4);
	assert_int_equal(p.win, 5);
	assert_false(ippkt_pure_ack(&p));
	for (size_t n = 0; n < len; n++)
		assert_false(ippkt_parse(&p, pkt, n));
	pkt[32] = 15 << 4; /* options past the end */
	assert_false(ippkt_parse(&p, pkt, len));
	pkt[32] = 5 << 4;
	pkt[6] = 0x20; /* first fragment */
	assert_false(ippkt_parse(&p, pkt, len));
	pkt[6] = 0x40; /* don't fragment */
	assert_true(ippkt_parse(&p, pkt, len));
	pkt[0] = 0x55;
	assert_false(ippkt_parse(&p, pkt, len));
	s.payload = 0;
	len = pk_tcp(pkt, &s);
	assert_true(ippkt_parse(&p, pkt, len));
	assert_true(ippkt_pure_ack(&p));
	/* IPv6, UDP */
	memset(pkt, 0, sizeof(pkt));
	pkt[0] = 0x60;
	pkt[5] = 8;
	pkt[6] = IPPKT_UDP;
	pkt[40] = 1;
	pkt[43] = 53;
	assert_true(ippkt_parse(&p, pkt, 48));
	assert_int_equal(p.src.port, 256);
	assert_int_equal(p.dst.port, 53);
	assert_false(ippkt_parse(&p, pkt, 47));
	pkt[5] = 7;
	assert_false(ippkt_parse(&p, pkt, 48));
}

/* Checksums of the datagram written add up to all ones. */
static void datagram(void **state)
{
	struct addr src = { .family = 4, .port = 700, .ip = { 10, 0, 18, 52 } };
	struct addr dst = { .family = 4, .port = 53, .ip = { 9, 9, 9, 9 } };
	uint8_t out[64];
	uint32_t sum = 0;
	struct ippkt p;

	(void)state;
	assert_int_equal(ippkt_put_udp4(out, 32, &src, &dst, 1, "hello", 5), 0);
	assert_int_equal(ippkt_put_udp4(out, 33, &src, &dst, 1, "hello", 5), 33);
	assert_true(ippkt_parse(&p, out, 33));
	assert_true(addr_equal(&p.src, &src));
	assert_true(addr_equal(&p.dst, &dst));
	assert_int_equal(out[8], 1);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)out[i] << 8 | out[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
	out[33] = 0;
	sum = IPPKT_UDP + 13;
	for (size_t i = 12; i < 34; i += 2)
		sum += (uint32_t)out[i] << 8 | out[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds),   cmocka_unit_test(one_flow), cmocka_unit_test(turns),
		cmocka_unit_test(bundling), cmocka_unit_test(acks),	cmocka_unit_test(headers),
		cmocka_unit_test(datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
