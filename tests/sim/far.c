/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The receiver acknowledges every second segment, or after 40 ms, and at once what is
 * out of order. The sender is NewReno with byte counting, ten segments at first, a retransmission at the
 * third duplicate ACK, RTO by RFC 6298 with 200 ms above the round trip at least. No SACK: it hears less than
 * a real one, so what it does with disorder is the worse case. There is no FIN: simulations end with their
 * connections open.
 */
#include "tests/sim/far.h"

#include <string.h>

#include "base/clock.h"
#include "tests/unit/packets.h"

#define DELACK_US (40 * US_PER_MS)
#define RTO_FIRST_US US_PER_S
#define RTO_MIN_US (200 * US_PER_MS)
#define OFFER 1460u
#define SCALE 7
#define CLIENT_SCALE 4 /* TCP_RCV_SCALE of lwipopts.h */
#define WINDOW 1000000u

uint8_t far_byte(uint32_t n)
{
	return (uint8_t)(n ^ n >> 8 ^ n >> 16);
}

static void emit(struct far *f, struct far_conn *c, uint8_t flags, uint32_t seq, size_t payload)
{
	bool syn = flags & IPPKT_SYN;
	uint8_t pkt[1600];
	struct seg s = { .far = 0xc0586350u,
			 .near = 0x0a001234u,
			 .sport = c->port,
			 .dport = c->client_port,
			 .seq = seq,
			 .ack = c->rcv_nxt,
			 .flags = flags | IPPKT_ACK,
			 .win = WINDOW >> SCALE,
			 .payload = payload + (syn ? 8 : 0) };
	size_t len = pk_tcp(pkt, &s);

	for (size_t i = 0; i < payload; i++)
		pkt[40 + i] = far_byte(seq - 1 + (uint32_t)i);
	if (syn) {
		pkt[32] = 7 << 4;
		pk16(pkt + 34, 65535);
		memcpy(pkt + 40, (uint8_t[]){ 2, 4, OFFER >> 8, OFFER & 255, 1, 3, 3, SCALE }, 8);
	}
	pk16(pkt + 10, 0xffffu ^ pk_sum(pkt, 20, 0));
	pk16(pkt + 36,
	     0xffffu ^ pk_sum(pkt + 20, len - 20, pk_sum(pkt + 12, 8, IPPKT_TCP + (uint32_t)len - 20)));
	c->unacked = 0;
	c->ack_us = TIME_NEVER;
	f->send(f->owner, pkt, len);
}

/* ---- sending ---- */

static void timed_add(struct far *f, struct far_conn *c, uint32_t end)
{
	size_t at = (c->timed_first + c->timed_n) % FAR_TIMED;

	if (c->timed_n == FAR_TIMED)
		return;
	c->timed_n++;
	c->timed[at].end = end;
	c->timed[at].us = f->now;
}

static void send_at(struct far *f, struct far_conn *c, uint32_t seq)
{
	uint64_t left = c->give + 1 - seq; /* stream byte n has number n + 1 */
	uint32_t n = left < c->mss ? (uint32_t)left : c->mss;

	if (ippkt_seq_lt(seq, c->max)) {
		uint32_t again = c->max - seq < n ? c->max - seq : n;

		f->down_again += again;
		c->untimed = c->max;
	} else {
		timed_add(f, c, seq + n);
	}
	emit(f, c, 0, seq, n);
	if (c->rto_at_us == TIME_NEVER)
		c->rto_at_us = f->now + c->rto_us;
	if (ippkt_seq_lt(c->max, seq + n)) {
		f->down_bytes += seq + n - c->max;
		c->max = seq + n;
	}
}

static void send_more(struct far *f, struct far_conn *c)
{
	uint64_t may = c->wnd < c->cwnd ? c->wnd : c->cwnd;

	if (f->buffer && may > f->buffer)
		may = f->buffer;
	while (c->nxt < c->give + 1 && c->nxt - c->una + c->mss <= may) {
		uint64_t left = c->give + 1 - c->nxt;

		send_at(f, c, c->nxt);
		c->nxt += left < c->mss ? (uint32_t)left : c->mss;
	}
}

static void halve(struct far_conn *c)
{
	uint64_t flight = c->max - c->una;

	c->ssthresh = flight / 2 > 2 * c->mss ? flight / 2 : 2 * c->mss;
}

static void sample(struct far_conn *c, uint64_t r)
{
	uint64_t dev = r > c->srtt_us ? r - c->srtt_us : c->srtt_us - r;

	c->var_us = c->srtt_us ? (3 * c->var_us + dev) / 4 : r / 2;
	c->srtt_us = c->srtt_us ? (7 * c->srtt_us + r) / 8 : r;
	c->rto_us = c->srtt_us + (4 * c->var_us > RTO_MIN_US ? 4 * c->var_us : RTO_MIN_US);
}

/* One round trip from all segments that ack covers: that of the last one. */
static void rtt(struct far *f, struct far_conn *c, uint32_t ack)
{
	uint64_t sent_us = 0;

	while (c->timed_n && !ippkt_seq_lt(ack, c->timed[c->timed_first].end)) {
		if (ippkt_seq_lt(c->untimed, c->timed[c->timed_first].end))
			sent_us = c->timed[c->timed_first].us;
		c->timed_first = (c->timed_first + 1) % FAR_TIMED;
		c->timed_n--;
	}
	if (sent_us)
		sample(c, f->now - sent_us);
}

static void acked(struct far *f, struct far_conn *c, uint32_t ack)
{
	uint64_t n = ack - c->una;

	rtt(f, c, ack);
	c->una = ack;
	if (ippkt_seq_lt(c->nxt, ack))
		c->nxt = ack;
	c->dups = 0;
	c->rto_at_us = c->una == c->max ? TIME_NEVER : f->now + c->rto_us;
	if (c->recovering && ippkt_seq_lt(ack, c->recover)) {
		send_at(f, c, c->una); /* the next hole */
		return;
	}
	if (c->recovering)
		c->cwnd = c->ssthresh;
	else
		c->cwnd += c->cwnd < c->ssthresh ? n : n * c->mss / c->cwnd;
	c->recovering = false;
}

static void duplicate(struct far *f, struct far_conn *c)
{
	c->dups++;
	if (c->recovering)
		c->cwnd += c->mss;
	if (c->dups != 3 || c->recovering || !ippkt_seq_lt(c->recover, c->una)) /* RFC 6582 3.2 */
		return;
	halve(c);
	c->recovering = true;
	c->recover = c->max;
	c->cwnd = c->ssthresh + 3 * c->mss;
	send_at(f, c, c->una);
}

static void timed_out(struct far *f, struct far_conn *c)
{
	halve(c);
	c->cwnd = c->mss;
	c->recovering = false;
	c->recover = c->max;
	c->dups = 0;
	c->nxt = c->una;
	c->rto_us = c->rto_us * 2 < 60 * US_PER_S ? c->rto_us * 2 : 60 * US_PER_S;
	c->rto_at_us = TIME_NEVER;
	send_more(f, c);
}

/* ---- receiving ---- */

static void check_bytes(struct far *f, const struct far_conn *c, uint32_t seq, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f->wrong += p[i] != far_byte(seq - c->irs - 1 + (uint32_t)i);
}

/* Keeps what is beyond a hole. False: all of it was there. */
static bool keep(struct far_conn *c, uint32_t from, uint32_t to)
{
	size_t i = 0, j;

	while (i < c->ranges && ippkt_seq_lt(c->range[i].to, from))
		i++;
	for (j = i; j < c->ranges && !ippkt_seq_lt(to, c->range[j].from); j++) {
		if (!ippkt_seq_lt(from, c->range[j].from) && !ippkt_seq_lt(c->range[j].to, to))
			return false;
		from = ippkt_seq_lt(c->range[j].from, from) ? c->range[j].from : from;
		to = ippkt_seq_lt(to, c->range[j].to) ? c->range[j].to : to;
	}
	if (i == j && c->ranges == FAR_RANGES)
		return true; /* dropped; the sender will come again */
	memmove(&c->range[i + 1], &c->range[j], (c->ranges - j) * sizeof(c->range[0]));
	c->ranges += 1 + i - j;
	c->range[i].from = from;
	c->range[i].to = to;
	return true;
}

static void take(struct far *f, struct far_conn *c, uint32_t seq, uint32_t n)
{
	uint32_t end = seq + n;
	bool holes = c->ranges > 0;

	if (!ippkt_seq_lt(c->rcv_nxt, end) ||
	    !keep(c, ippkt_seq_lt(seq, c->rcv_nxt) ? c->rcv_nxt : seq, end)) {
		f->up_again += n;
		emit(f, c, 0, c->nxt, 0);
		return;
	}
	f->up_bytes += n;
	if (c->ranges && !ippkt_seq_lt(c->rcv_nxt, c->range[0].from)) {
		if (c->port == 7)
			c->give += c->range[0].to - c->rcv_nxt;
		c->rcv_nxt = c->range[0].to;
		memmove(&c->range[0], &c->range[1], --c->ranges * sizeof(c->range[0]));
	}
	if (holes || c->ranges || ++c->unacked >= 2)
		emit(f, c, 0, c->nxt, 0);
	else if (c->ack_us == TIME_NEVER)
		c->ack_us = f->now + DELACK_US;
}

static struct far_conn *find(struct far *f, uint16_t port, uint16_t client_port, bool syn)
{
	struct far_conn *idle = NULL;

	for (size_t i = 0; i < FAR_CONNS; i++) {
		struct far_conn *c = &f->conn[i];

		if (c->used && c->port == port && c->client_port == client_port)
			return c;
		idle = c->used || idle ? idle : c;
	}
	return syn ? idle : NULL;
}

static void begin(struct far *f, struct far_conn *c, const struct ippkt *p)
{
	memset(c, 0, sizeof(*c));
	c->used = true;
	c->port = p->dst.port;
	c->client_port = p->src.port;
	c->irs = p->seq;
	c->rcv_nxt = p->seq + 1;
	c->mss = (uint32_t)(p->l4[22] << 8 | p->l4[23]);
	c->mss = c->mss < OFFER ? c->mss : OFFER;
	c->cwnd = 10 * c->mss;
	c->ssthresh = UINT64_MAX;
	c->rto_us = RTO_FIRST_US;
	c->rto_at_us = c->ack_us = TIME_NEVER;
	c->una = c->nxt = c->max = 1;
	c->give = c->port == 80 ? UINT32_MAX / 2 : 0;
	timed_add(f, c, 1); /* the first round trip is the handshake's */
	emit(f, c, IPPKT_SYN, 0, 0);
}

void far_input(struct far *f, uint64_t now_us, const uint8_t *pkt, size_t len)
{
	struct far_conn *c;
	struct ippkt p;

	f->now = now_us;
	if (!ippkt_parse(&p, pkt, len) || p.proto != IPPKT_TCP)
		return;
	c = find(f, p.dst.port, p.src.port, p.flags & IPPKT_SYN);
	if (!c)
		return;
	if (p.flags & IPPKT_SYN) {
		if (c->used)
			emit(f, c, IPPKT_SYN, 0, 0); /* its answer was lost */
		else
			begin(f, c, &p);
		return;
	}
	if (!c->srtt_us)
		rtt(f, c, 1);
	if (ippkt_seq_lt(c->una, p.ack))
		acked(f, c, p.ack);
	else if (p.ack == c->una && !p.payload && c->una != c->max &&
		 c->wnd == (uint64_t)p.win << CLIENT_SCALE)
		duplicate(f, c);
	c->wnd = (uint64_t)p.win << CLIENT_SCALE;
	if (p.payload) {
		check_bytes(f, c, p.seq, p.l4 + p.l4_len - p.payload, p.payload);
		take(f, c, p.seq, (uint32_t)p.payload);
	}
	send_more(f, c);
}

void far_tick(struct far *f, uint64_t now_us)
{
	f->now = now_us;
	for (size_t i = 0; i < FAR_CONNS; i++) {
		struct far_conn *c = &f->conn[i];

		if (!c->used)
			continue;
		if (now_us >= c->ack_us)
			emit(f, c, 0, c->nxt, 0);
		if (now_us >= c->rto_at_us)
			timed_out(f, c);
	}
}

uint64_t far_deadline(const struct far *f)
{
	uint64_t at = TIME_NEVER;

	for (size_t i = 0; i < FAR_CONNS; i++) {
		const struct far_conn *c = &f->conn[i];

		if (c->used && c->ack_us < at)
			at = c->ack_us;
		if (c->used && c->rto_at_us < at)
			at = c->rto_at_us;
	}
	return at;
}
