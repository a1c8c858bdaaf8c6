/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with an exit, message by message: connect and its fall-back, refusals, data and SURBs beside it,
 * requests, supply, rubbish, back-pressure, the end.
 */
#include "tests/unit/exitfix.h"

/* ---- connect ---- */

static void connect_v10(void **state)
{
	struct fix *f = *state;
	struct ipr_response r;

	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	assert_int_equal(send_udp(f, 100, 1), -ENETDOWN);
	assert_true(slot(f));
	assert_int_equal(f->frags, 6);
	assert_int_equal(f->item.limit, 10);
	assert_int_equal(f->m.surb_count, EXITSESS_SURBS_CONNECT);
	assert_int_equal(f->m.surb_rotation, 1);
	assert_int_equal(f->keys.count, EXITSESS_SURBS_CONNECT);
	assert_int_equal(f->f.seq, 0);
	assert_int_equal(f->r.kind, IPR_CONNECT);
	assert_int_equal(f->r.version, IPR_V10);
	assert_false(f->r.has_timeout);
	assert_int_equal(f->r.time.nanos, 0);
	assert_false(slot(f));
	r = success(f);
	r.id++;
	answer(f, 0, &r); /* somebody else's */
	r.id--;
	r.version = IPR_V9;
	answer(f, 0, &r); /* not what was asked */
	r.version = IPR_V10;
	answer_on(f, f->e.stream + 1, 0, &r);
	assert_int_equal(f->ups, 0);
	assert_int_equal(f->e.stats.foreign, 3);
	answer(f, 0, &r);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->e.mtu, 1500);
	assert_int_equal(f->e.ip4.ip[2], 18);
	assert_int_equal(f->e.ip6.ip[15], 0x34);
	answer(f, 0, &r); /* a second one changes nothing */
	assert_int_equal(f->ups, 1);
}

static void fall_back(void **state)
{
	struct fix *f = *state;
	uint64_t stream, id;
	struct ipr_response r, late;

	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	assert_true(slot(f));
	stream = f->f.id;
	id = f->r.id;
	late = success(f);
	assert_int_equal(exitsess_deadline(&f->e), T0 + 7500 * MS);
	f->now = T0 + 7500 * MS - 1;
	exitsess_tick(&f->e, f->now);
	assert_false(slot(f));
	exitsess_tick(&f->e, ++f->now);
	assert_true(slot(f));
	assert_int_equal(f->r.version, IPR_V9);
	assert_int_equal(f->f.seq, 0);
	assert_true(f->f.id != stream && f->r.id != id);
	answer_on(f, stream, 0,
		  &late); /* the exit gives a new pair to the new stream: the old answer is void */
	assert_int_equal(f->ups, 0);
	r = success(f);
	answer(f, 0, &r);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->e.version, IPR_V9);
	assert_int_equal(f->e.mtu, IPR_MTU_DEFAULT);
}

static void silence(void **state)
{
	struct fix *f = *state;

	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	exitsess_tick(&f->e, T0 + 7500 * MS);
	exitsess_tick(&f->e, T0 + 15 * S - 1);
	assert_int_equal(f->ends, 0);
	exitsess_tick(&f->e, T0 + 15 * S);
	assert_int_equal(f->ends, 1);
	assert_false(f->e.was_up);
	assert_non_null(strstr(f->e.cause, "15 s"));
	assert_int_equal(exitsess_deadline(&f->e), TIME_NEVER);
	/* and once more, with v9 only */
	f->cfg.version = IPR_V9;
	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	assert_true(slot(f));
	assert_int_equal(f->r.version, IPR_V9);
	assert_int_equal(exitsess_deadline(&f->e), f->now + 15 * S);
}

static void refusals(void **state)
{
	struct fix *f = *state;
	struct {
		int result;
		const char *text, *cause;
	} t[] = { { IPR_NO_IP, "", "no free address" },
		  { IPR_ALREADY_CONNECTED, "", "connected already" },
		  { IPR_CONNECT_OTHER, "go\naway", "go?away" } };

	for (size_t i = 0; i < 3; i++) {
		struct ipr_response r;

		exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
		assert_true(slot(f));
		r = success(f);
		r.result = t[i].result;
		r.text = (struct ipr_str){ t[i].text, strlen(t[i].text) };
		answer(f, 0, &r);
		assert_int_equal(f->ends, i + 1);
		assert_non_null(strstr(f->e.cause, t[i].cause));
		assert_false(slot(f));
	}
}

static void mtu(void **state)
{
	struct fix *f = *state;
	struct {
		unsigned set;
		uint16_t said;
		unsigned is;
	} t[] = { { 0, 1500, 1500 }, { 0, 9000, 1500 }, { 0, 1280, 1280 },
		  { 0, 0, 1420 },    { 0, 100, 1420 },	{ 1557, 1280, 1557 } };

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct ipr_response r;

		f->cfg.mtu = t[i].set;
		exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
		assert_true(slot(f));
		r = success(f);
		r.mtu = t[i].said;
		answer(f, 0, &r);
		assert_int_equal(f->e.mtu, t[i].is);
		assert_int_equal(f->e.mtu_up, t[i].set ? t[i].set : t[i].is < 1420 ? t[i].is : 1500);
	}
	assert_int_equal(send_udp(f, 1557, 1), 0);
	assert_int_equal(send_udp(f, 1558, 1), -EMSGSIZE);
	do /* the first probe goes before */
		assert_true(slot_data(f));
	while (f->r.kind != IPR_DATA || f->r.bundle_len < 1000);
	assert_int_equal(f->frags, 1); /* the largest packet is one Sphinx packet */
	assert_int_equal(f->r.bundle_len, 1559);
	assert_int_equal(f->m.surb_count, 0);
}

/* ---- data and SURBs ---- */

static void room(void **state)
{
	struct fix *f = *state;
	struct {
		size_t len;
		unsigned surbs;
	} t[] = { { 40, 3 },  { 179, 3 },  { 180, 2 },	{ 637, 2 },
		  { 638, 1 }, { 1097, 1 }, { 1098, 0 }, { 1420, 0 } }; /* ipr.md 9 */
	uint32_t seq;

	up(f);
	seq = f->e.seq;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		surbstock_distrust(&f->e.stock);
		f->e.stock.estimate = 100;
		assert_int_equal(send_udp(f, t[i].len, 1), 0);
		assert_true(slot(f));
		assert_int_equal(f->frags, 1);
		assert_int_equal(f->item.limit, 1);
		assert_true(f->item.hurry);
		assert_int_equal(f->r.kind, IPR_DATA);
		assert_int_equal(f->r.version, IPR_V10);
		assert_int_equal(f->f.seq, seq++);
		assert_int_equal(f->r.bundle_len, t[i].len + 2);
		assert_int_equal(f->m.surb_count, t[i].surbs);
	}
	f->e.stock.estimate = 1000; /* more than enough: none */
	assert_int_equal(send_udp(f, 40, 1), 0);
	assert_true(slot(f));
	assert_int_equal(f->m.surb_count, 0);
}

static void requests(void **state)
{
	struct fix *f = *state;
	struct recipient other = f->peer.addr;
	unsigned n = 0;

	up(f);
	f->e.stock.estimate = 1000;
	other.identity[0] ^= 1;
	ask(f, &other, 50);
	f->e.stock.estimate = 1000;
	assert_false(slot(f));
	ask(f, &f->peer.addr, 50);
	f->e.stock.estimate = 1000;
	while (slot(f)) { /* nothing else waits: sets of ten in three fragments */
		assert_int_equal(f->m.content, NYM_SURBS_V2);
		assert_int_equal(f->m.surb_count, 10);
		assert_int_equal(f->frags, 3);
		assert_int_equal(f->item.limit, 10);
		assert_false(f->item.hurry);
		n++;
	}
	assert_int_equal(n, 5);
	ask(f, &f->peer.addr, 600);
	assert_int_equal(f->e.stock.owed, 500);
	ask(f, &f->peer.addr, 0xffffffffu);
	assert_int_equal(f->e.stock.owed, 500);
	/* answers leave every other slot to data */
	f->e.stock.estimate = 1000;
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(send_udp(f, 1400, i), 0);
	n = 0;
	for (int i = 0; i < 10; i++) {
		assert_true(slot(f));
		n += f->m.content == NYM_DATA_V2;
	}
	assert_int_equal(n, 5);
}

static void supply(void **state)
{
	struct fix *f = *state;
	unsigned data = 0, surbs = 0;
	uint8_t pkt[100];
	size_t len = pk_udp(pkt, FAR, 53, OURS, 5000, 20);

	up(f);
	assert_true(f->e.stock.estimate >= SURBSTOCK_FLOOR && f->e.stock.estimate < SURBSTOCK_FLOOR + 3);
	assert_false(slot(f));
	data_down(f, 1, pkt, len);
	data_down(f, 5, pkt, len); /* 2 to 4 are lost or late: their SURBs are used all the same */
	assert_true(f->e.stock.estimate <= SURBSTOCK_FLOOR + 2 - 5);
	data_down(f, 3, pkt, len);
	assert_int_equal(f->packets, 3);
	assert_true(slot(f)); /* empty slots refill it */
	assert_int_equal(f->m.content, NYM_SURBS_V2);
	/* low stock during an upload: SURB messages share the slots */
	surbstock_distrust(&f->e.stock);
	for (uint64_t i = 0; i < 60; i++)
		send_udp(f, 1400, i);
	for (int i = 0; i < 20; i++) {
		assert_true(slot(f));
		*(f->m.content == NYM_DATA_V2 ? &data : &surbs) += 1;
	}
	assert_int_equal(data, 10);
	assert_int_equal(surbs, 10);
	/* SURBs in a message that never arrived do not count */
	f->e.stock.estimate = 50;
	f->e.stock.unconfirmed = 3;
	exitsess_acked(&f->e, f->item.token & ~UINT64_C(0xffff), false);
	assert_int_equal(f->e.stock.estimate, 50);
	exitsess_acked(&f->e, (f->item.token & ~UINT64_C(0xffff)) | 3, false);
	assert_int_equal(f->e.stock.estimate, 47);
	exitsess_acked(&f->e, 3, false); /* of an earlier session */
	assert_int_equal(f->e.stock.estimate, 47);
	exitsess_rotated(&f->e);
	assert_int_equal(f->e.stock.estimate, 0);
}

/* At 50 slots a second from 100 replies a second on, and no longer than they come. */
static void busy(void **state)
{
	struct fix *f = *state;
	uint64_t slot_us = 20 * US_PER_MS;
	uint8_t pkt[100];
	size_t len = pk_udp(pkt, FAR, 53, OURS, 5000, 20);
	uint32_t seq = 0;

	up(f);
	f->now += US_PER_S;
	assert_false(exitsess_busy(&f->e, f->now, slot_us));
	while (seq < 49)
		data_down(f, ++seq, pkt, len);
	assert_false(exitsess_busy(&f->e, f->now, slot_us));
	data_down(f, ++seq, pkt, len);
	assert_true(exitsess_busy(&f->e, f->now, slot_us));
	assert_false(exitsess_busy(&f->e, f->now, slot_us / 5)); /* a clock of 250 a second wants more */
	assert_false(exitsess_busy(&f->e, f->now, 0));
	f->now += US_PER_S;
	assert_false(exitsess_busy(&f->e, f->now, slot_us));
}

static void bundles(void **state)
{
	struct fix *f = *state;
	struct wire_rd r;
	const uint8_t *p;
	size_t len;
	int n = 0;

	up(f);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(send_udp(f, 60, i), 0);
	assert_true(slot(f));
	wire_rd_init(&r, f->r.bundle, f->r.bundle_len);
	while (ipr_bundle_next(&r, &p, &len) == 1)
		n++;
	assert_int_equal(n, 5);
	assert_int_equal(f->m.surb_count, 2);
	assert_false(slot(f));
	assert_int_equal(f->e.stats.packets_up, 5);
	assert_int_equal(f->e.stats.bytes_up, 300);
}

static void fill_bulk(struct fix *f, unsigned n, size_t len)
{
	surbstock_distrust(&f->e.stock);
	f->e.stock.estimate = 100;
	while (n--)
		assert_int_equal(send_udp(f, len, 7), 0);
}

/* Full packets of one connection that wait share a message of several fragments. */
static void bulk(void **state)
{
	struct fix *f = *state;
	struct {
		unsigned waiting;
		size_t len;
		unsigned frags, packets, surbs;
	} t[] = { { 1, 1500, 1, 1, 0 }, { 2, 1500, 2, 2, 0 }, { 5, 1500, 5, 5, 1 }, { 9, 1500, 5, 5, 1 },
		  { 3, 1420, 3, 3, 1 }, { 2, 900, 1, 1, 1 },  { 3, 600, 1, 2, 0 } };

	up(f);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct wire_rd r;
		const uint8_t *p;
		size_t len;
		unsigned n = 0;

		fill_bulk(f, t[i].waiting, t[i].len);
		assert_true(slot(f));
		assert_int_equal(f->frags, t[i].frags);
		assert_int_equal(f->m.surb_count, t[i].surbs);
		assert_int_equal(f->item.limit, t[i].frags > 1 ? 3 : 1);
		assert_true(f->item.hurry);
		wire_rd_init(&r, f->r.bundle, f->r.bundle_len);
		for (; ipr_bundle_next(&r, &p, &len) == 1; n++)
			assert_int_equal(len, t[i].len);
		assert_int_equal(n, t[i].packets);
		while (f->e.queue.count)
			assert_true(slot(f));
	}
	assert_true(exitsess_drained(&f->e) == false);
	assert_int_equal(f->e.stats.packets_up, 25);
}

/* One fragment's slot, whatever it is part of. */
static bool one_slot(struct fix *f)
{
	return exitsess_fill(&f->e, f->now, &f->net.topo, SHAPER_URGENT, &f->item) ||
	       exitsess_fill(&f->e, f->now, &f->net.topo, SHAPER_DATA, &f->item);
}

/* With new keys the rest of a message is of no use: its packets are lost, and counted. */
static void bulk_given_up(void **state)
{
	struct fix *f = *state;

	up(f);
	fill_bulk(f, 5, 1500);
	assert_true(one_slot(f));
	assert_true(f->e.splitting);
	assert_int_equal(f->e.stats.send_dropped, 0);
	f->net.topo.rotation_id++;
	one_slot(f);
	assert_false(f->e.splitting);
	assert_int_equal(f->e.stats.send_dropped, 5);
}

/* Between the fragments others get every other slot; the end waits for all fragments. */
static void bulk_gives_way(void **state)
{
	struct fix *f = *state;
	uint8_t of_bulk[16] = { 0 };

	up(f);
	fill_bulk(f, 5, 1500);
	assert_true(one_slot(f));
	assert_int_equal(send_udp(f, 100, 1), 0);
	assert_int_equal(send_udp(f, 1500, 2), 0);
	for (int i = 0; i < 6; i++) {
		assert_true(one_slot(f));
		of_bulk[i] = f->item.frag[4] == 5;
	}
	assert_memory_equal(of_bulk, ((uint8_t[]){ 0, 1, 0, 1, 1, 1 }), 6);
	fill_bulk(f, 2, 1500);
	assert_true(one_slot(f));
	exitsess_stop(&f->e);
	assert_false(exitsess_drained(&f->e));
	assert_true(one_slot(f));
	assert_int_equal(f->item.frag[4], 2);
	assert_false(exitsess_drained(&f->e));
	assert_true(one_slot(f)); /* the disconnect request */
	assert_true(exitsess_drained(&f->e));
}

/* Beside a download's ACKs SURBs go in sets, with an ACK between two of them; beside anything
 * else by threes. */
static void sets(void **state)
{
	struct fix *f = *state;
	uint8_t ack[64];
	struct seg s = { .far = OURS, .near = FAR, .sport = 5000, .dport = 80, .win = 9, .flags = IPPKT_ACK };

	up(f);
	for (unsigned i = 0; i < 3; i++) {
		surbstock_distrust(&f->e.stock);
		s.ack++;
		assert_int_equal(exitsess_send(&f->e, ack, pk_tcp(ack, &s), 1), 0);
		assert_true(slot(f));
		assert_int_equal(f->m.content, NYM_DATA_V2);
		assert_int_equal(f->item.limit, 0); /* the next ACK says what this one says */
		s.ack++;
		assert_int_equal(exitsess_send(&f->e, ack, pk_tcp(ack, &s), 1), 0);
		surbstock_distrust(&f->e.stock);
		assert_true(slot(f));
		assert_int_equal(f->m.content, NYM_SURBS_V2);
		assert_int_equal(f->m.surb_count, 10);
	}
	assert_true(slot(f));
	surbstock_distrust(&f->e.stock);
	assert_int_equal(send_udp(f, 1400, 1), 0);
	assert_true(slot(f));
	while (f->m.content == NYM_DATA_V2) {
		surbstock_distrust(&f->e.stock);
		assert_int_equal(send_udp(f, 1400, 1), 0);
		assert_true(slot(f));
	}
	assert_int_equal(f->m.surb_count, 3);
}

/* Whether packets wait at the exit: it asks again and again. */
static void tight(void **state)
{
	struct fix *f = *state;

	up(f);
	assert_false(exitsess_tight(&f->e));
	ask(f, &f->peer.addr, 50);
	assert_false(exitsess_tight(&f->e));
	ask(f, &f->peer.addr, 50);
	assert_true(exitsess_tight(&f->e));
	while (slot(f))
		;
	assert_false(exitsess_tight(&f->e));
}

static void back_pressure(void **state)
{
	struct fix *f = *state;
	unsigned n = 0;

	up(f);
	for (uint64_t i = 0; !send_udp(f, 1400, i % 8); i++)
		n++;
	assert_int_equal(n, IPQ_PACKETS);
	while (f->e.queue.count > IPQ_PACKETS / 2) {
		assert_int_equal(f->writables, 0);
		assert_true(slot(f));
	}
	assert_int_equal(f->writables, 1);
	while (slot(f))
		;
	assert_int_equal(f->writables, 1);
}

/* ---- other messages ---- */

static void other_messages(void **state)
{
	struct fix *f = *state;
	struct nym_msg m = { .type = NYM_REPLY, .reply = NYM_REPLY_DATA };
	struct ipr_response r = { .version = IPR_V10,
				  .kind = IPR_INFO,
				  .result = IPR_INFO_EXIT_POLICY,
				  .level = IPR_LEVEL_WARN,
				  .text = { "192.168.1.1:80", 14 } };
	uint8_t buf[64];
	struct wire_wr w;

	up(f);
	answer(f, 0, &r);
	assert_int_equal(f->denials, 1);
	assert_string_equal(f->e.denied, "192.168.1.1:80");
	assert_int_equal(f->packets, 0); /* nothing of ours went there */
	/* a ping on our stream is answered with its number */
	wire_wr_init(&w, buf, sizeof(buf));
	stream_put(&w, f->e.stream, STREAM_PING, 77);
	m.data = buf;
	m.len = w.len;
	exitsess_input(&f->e, f->now, &m);
	assert_true(slot(f));
	assert_int_equal(f->f.type, STREAM_PONG);
	assert_int_equal(f->f.seq, 77);
	assert_int_equal(f->f.id, f->e.stream);
	/* rubbish of every length */
	for (size_t n = 0; n < sizeof(buf); n++) {
		memset(buf, 0xa5, sizeof(buf));
		m.len = n;
		exitsess_input(&f->e, f->now, &m);
	}
	assert_true(f->e.stats.malformed >= sizeof(buf));
	m.type = NYM_PLAIN;
	exitsess_input(&f->e, f->now, &m);
	assert_int_equal(f->ends, 0);
	r.kind = IPR_UNREQUESTED;
	r.result = IPR_UNREQ_MIXNET_TIMEOUT;
	answer(f, 0, &r);
	assert_int_equal(f->ends, 1);
}

/* A refusal of the exit reaches the socket as ICMP, once per packet. */
static void refused(void **state)
{
	struct fix *f = *state;
	uint8_t pkt[128];
	struct seg syn = { .far = OURS, .near = FAR, .sport = 40000, .dport = 25, .flags = IPPKT_SYN };
	struct ipr_response r = { .version = IPR_V10,
				  .kind = IPR_INFO,
				  .result = IPR_INFO_EXIT_POLICY,
				  .level = IPR_LEVEL_WARN,
				  .text = { "1.1.1.1:25", 10 } };
	size_t len = pk_tcp(pkt, &syn);

	up(f);
	assert_int_equal(exitsess_send(&f->e, pkt, len, 1), 0);
	answer(f, 0, &r);
	assert_int_equal(f->packets, 1);
	assert_int_equal(f->last_len, 56);
	assert_int_equal(f->last[9], IPPKT_ICMP);
	assert_int_equal(f->last[20], 3);
	assert_int_equal(f->last[21], 13);
	assert_memory_equal(f->last + 28, pkt, 28);
	assert_memory_equal(f->last + 12, pkt + 16, 4);
	assert_memory_equal(f->last + 16, pkt + 12, 4);
	assert_int_equal(pk_sum(f->last, 20, 0), 0xffff);
	assert_int_equal(pk_sum(f->last + 20, 36, 0), 0xffff);
	answer(f, 0, &r);
	assert_int_equal(f->packets, 1);
	/* IPv6, UDP */
	memset(pkt, 0, sizeof(pkt));
	pkt[0] = 0x60;
	pkt[5] = 10;
	pkt[6] = IPPKT_UDP;
	pkt[8] = 0xfc;
	pkt[24] = 0x20;
	pkt[39] = 1;
	pk16(pkt + 40, 5000);
	pk16(pkt + 42, 443);
	assert_int_equal(exitsess_send(&f->e, pkt, 50, 1), 0);
	r.text = (struct ipr_str){ "[2000::1]:443", 13 };
	answer(f, 0, &r);
	assert_int_equal(f->packets, 2);
	assert_int_equal(f->last_len, 96);
	assert_int_equal(f->last[40], 1);
	assert_int_equal(f->last[41], 1);
	assert_int_equal(pk_sum(f->last + 8, 88, IPPKT_ICMP6 + 56), 0xffff);
	/* what was sent to an exit before, and taken, says nothing of this one's refusals */
	len = pk_tcp(pkt, &syn);
	assert_int_equal(exitsess_send(&f->e, pkt, len, 1), 0);
	f->now++;
	up(f);
	syn.far = OURS + 1;
	len = pk_tcp(pkt, &syn);
	assert_int_equal(exitsess_send(&f->e, pkt, len, 1), 0);
	r.text = (struct ipr_str){ "1.1.1.1:25", 10 };
	answer(f, 0, &r);
	assert_int_equal(f->packets, 3);
	assert_memory_equal(f->last + 28, pkt, 28);
}

static void stop(void **state)
{
	struct fix *f = *state;

	up(f);
	assert_int_equal(send_udp(f, 1400, 1), 0);
	exitsess_stop(&f->e);
	assert_false(exitsess_drained(&f->e));
	assert_int_equal(send_udp(f, 100, 1), -ENETDOWN);
	assert_true(slot(f));
	assert_int_equal(f->r.kind, IPR_DATA);
	assert_true(slot(f));
	assert_int_equal(f->r.kind, IPR_DISCONNECT);
	assert_true(exitsess_drained(&f->e));
	assert_false(slot(f));
	assert_int_equal(f->ends, 0);
}

/* Without a route for SURBs nothing is sent and nothing breaks. */
static void no_route(void **state)
{
	struct fix *f = *state;

	f->net.topo.layer_n[1] = 0;
	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	assert_false(slot(f));
	testnet_init(&f->net, &f->rng.rng);
	memcpy(f->me.addr.gateway, f->net.gateway, 32);
	assert_true(slot(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connect_v10),	   T(fall_back), T(silence),	    T(refusals), T(mtu),
		T(room),	   T(requests),	 T(supply),	    T(busy),	 T(bundles),
		T(back_pressure),  T(bulk),	 T(bulk_gives_way), T(sets),	 T(tight),
		T(other_messages), T(refused),	 T(stop),	    T(no_route), T(bulk_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
