/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reorder hold and duplicate-ACK damper: order, deadlines, what passes at once, what is dropped, limits, and
 * that nothing stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "mixnet/reorder.h"
#include "tests/unit/packets.h"

#define FAR 0x01010101u
#define NEAR 0x0a001234u
#define MS US_PER_MS

static struct got {
	uint32_t seq, ack;
	uint16_t dport;
	uint8_t flags, proto;
	size_t payload;
} got[4096];
static size_t n_got;

static void deliver(void *owner, const uint8_t *pkt, size_t len)
{
	struct ippkt p;

	(void)owner;
	assert_true(n_got < 4096);
	memset(&got[n_got], 0, sizeof(got[0]));
	if (ippkt_parse(&p, pkt, len))
		got[n_got] = (struct got){ p.seq, p.ack, p.dst.port, p.flags, p.proto, p.payload };
	n_got++;
}

static int setup(void **state)
{
	struct reorder *r = malloc(sizeof(*r));

	n_got = 0;
	*state = r;
	return !r || reorder_init(r, deliver, NULL);
}

static int teardown(void **state)
{
	struct reorder *r = *state;

	reorder_clear(r);
	if (r->held.used || r->conns.used || reorder_deadline(r) != TIME_NEVER)
		return -1;
	reorder_done(r);
	reorder_done(r);
	free(r);
	return 0;
}

static void in(struct reorder *r, uint64_t at, uint16_t port, uint32_t seq, size_t payload, uint32_t ack,
	       uint8_t flags)
{
	uint8_t pkt[2000];
	struct seg s = { .far = FAR,
			 .near = NEAR,
			 .sport = 80,
			 .dport = port,
			 .seq = seq,
			 .ack = ack,
			 .win = 1000,
			 .flags = flags,
			 .payload = payload };

	reorder_packet(r, at, pkt, pk_tcp(pkt, &s));
}

static void syn(struct reorder *r, uint16_t port, uint32_t seq, uint32_t ack)
{
	in(r, 0, port, seq, 0, ack, IPPKT_SYN | IPPKT_ACK);
	n_got = 0;
}

static void expect(size_t i, uint32_t seq)
{
	assert_true(i < n_got);
	assert_int_equal(got[i].seq, seq);
}

static void in_order(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 1);
	in(r, 1 * MS, 1, 100, 10, 1, IPPKT_ACK);
	in(r, 2 * MS, 1, 110, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 2);
	assert_int_equal(reorder_held(r), 0);
}

static void swapped(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 1);
	in(r, 1 * MS, 1, 120, 10, 1, IPPKT_ACK);
	in(r, 2 * MS, 1, 110, 10, 1, IPPKT_ACK);
	in(r, 3 * MS, 1, 120, 10, 1, IPPKT_ACK); /* again */
	assert_int_equal(n_got, 0);
	assert_int_equal(reorder_held(r), 2);
	assert_int_equal(r->duplicates, 1);
	in(r, 4 * MS, 1, 100, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 3);
	expect(0, 100);
	expect(1, 110);
	expect(2, 120);
	assert_int_equal(reorder_deadline(r), TIME_NEVER);
}

/* The hole is given up at the deadline, not before; what was lost passes when it comes after all. */
static void gap(void **state)
{
	struct reorder *r = *state;
	uint64_t hold = reorder_hold(r);

	syn(r, 1, 99, 1);
	in(r, 10 * MS, 1, 110, 10, 1, IPPKT_ACK);
	in(r, 20 * MS, 1, 120, 10, 1, IPPKT_ACK);
	in(r, 30 * MS, 1, 140, 10, 1, IPPKT_ACK);
	assert_int_equal(reorder_deadline(r), 10 * MS + hold);
	reorder_tick(r, 10 * MS + hold - 1);
	assert_int_equal(n_got, 0);
	reorder_tick(r, 10 * MS + hold);
	assert_int_equal(n_got, 2); /* 110, and 120 that continues it; 140 waits for its own time */
	expect(0, 110);
	expect(1, 120);
	in(r, 12 * MS + hold, 1, 100, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 3);
	expect(2, 100);
	reorder_tick(r, 30 * MS + hold);
	assert_int_equal(n_got, 4);
	expect(3, 140);
	assert_int_equal(r->gaps_given_up, 2);
}

static void others_pass(void **state)
{
	struct reorder *r = *state;
	uint8_t pkt[200];

	syn(r, 1, 99, 1);
	syn(r, 2, 99, 1);
	in(r, 1 * MS, 1, 200, 10, 1, IPPKT_ACK);
	in(r, 1 * MS, 2, 100, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0].dport, 2);
	reorder_packet(r, 1 * MS, pkt, pk_udp(pkt, FAR, 53, NEAR, 1, 30));
	assert_int_equal(n_got, 2);
	reorder_packet(r, 1 * MS, (const uint8_t *)"rubbish", 7);
	assert_int_equal(n_got, 3);
	in(r, 2 * MS, 9, 5, 0, 1, IPPKT_RST | IPPKT_ACK); /* refused connect: no connection known */
	assert_int_equal(n_got, 4);
}

/* A reset behind missing bytes waits for them; FIN counts as a byte. */
static void reset_and_fin(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 1);
	in(r, 1 * MS, 1, 111, 0, 1, IPPKT_RST);
	in(r, 1 * MS, 1, 110, 0, 1, IPPKT_FIN | IPPKT_ACK);
	assert_int_equal(n_got, 0);
	in(r, 2 * MS, 1, 100, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 3);
	assert_int_equal(got[1].flags, IPPKT_FIN | IPPKT_ACK);
	assert_int_equal(got[2].flags, IPPKT_RST);
}

static void damper(void **state)
{
	struct reorder *r = *state;
	uint64_t wait = reorder_hold(r) > 150 * MS ? reorder_hold(r) : 150 * MS;

	syn(r, 1, 99, 500);
	in(r, 1 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	assert_int_equal(n_got, 1);
	for (int i = 0; i < 3; i++)
		in(r, 10 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	assert_int_equal(n_got, 1);
	in(r, 20 * MS, 1, 100, 0, 3000, IPPKT_ACK); /* overtakes them */
	assert_int_equal(n_got, 2);
	assert_int_equal(r->dup_acks_dropped, 3);
	assert_int_equal(reorder_held(r), 0);
	in(r, 21 * MS, 1, 100, 0, 2000, IPPKT_ACK); /* older */
	assert_int_equal(n_got, 2);
	assert_int_equal(r->old_acks_dropped, 1);
	/* real loss: the duplicates come through, all of them, later */
	for (int i = 0; i < 3; i++)
		in(r, 30 * MS, 1, 100, 0, 3000, IPPKT_ACK);
	reorder_tick(r, 30 * MS + wait - 1);
	assert_int_equal(n_got, 2);
	reorder_tick(r, 30 * MS + wait);
	assert_int_equal(n_got, 5);
}

/* A packet lost on the way out is sent again by the shaper: duplicates wait until that can have helped. */
static void damper_repair(void **state)
{
	struct reorder *r = *state;
	uint64_t wait = reorder_hold(r) + 400 * MS + 100 * MS;

	reorder_path(r, 400 * MS, 0);
	syn(r, 1, 99, 500);
	in(r, 1 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	in(r, 2 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	reorder_tick(r, 2 * MS + wait - 1);
	assert_int_equal(n_got, 1);
	reorder_tick(r, 2 * MS + wait);
	assert_int_equal(n_got, 2);
}

/* An ACK number on a data segment overtakes duplicates as well. */
static void damper_data(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 500);
	in(r, 1 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	in(r, 2 * MS, 1, 100, 0, 1000, IPPKT_ACK);
	in(r, 3 * MS, 1, 100, 10, 2000, IPPKT_ACK);
	assert_int_equal(n_got, 2);
	assert_int_equal(r->dup_acks_dropped, 1);
}

static void window_update(void **state)
{
	struct reorder *r = *state;
	uint8_t pkt[64];
	struct seg s = { .far = FAR,
			 .near = NEAR,
			 .sport = 80,
			 .dport = 1,
			 .seq = 100,
			 .ack = 500,
			 .win = 2000,
			 .flags = IPPKT_ACK };

	syn(r, 1, 99, 500);
	reorder_packet(r, 1 * MS, pkt, pk_tcp(pkt, &s));
	assert_int_equal(n_got, 1);
}

static void limits(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 1);
	for (uint32_t i = 0; i < REORDER_PER_CONN; i++)
		in(r, 1 * MS, 1, 200 + 10 * i, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 0);
	assert_int_equal(reorder_held(r), REORDER_PER_CONN);
	in(r, 1 * MS, 1, 200 + 10 * REORDER_PER_CONN, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, REORDER_PER_CONN + 1);
	for (size_t i = 0; i < n_got; i++)
		expect(i, 200 + 10 * (uint32_t)i);
	/* more connections than the table holds: the oldest passes what it has */
	n_got = 0;
	in(r, 2 * MS, 2, 100, 10, 1, IPPKT_ACK);
	in(r, 2 * MS, 2, 120, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 1);
	for (uint32_t i = 0; i < REORDER_CONNS; i++)
		in(r, 3 * MS, (uint16_t)(1000 + i), 100, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 2 + REORDER_CONNS);
	assert_int_equal(r->conns.used, REORDER_CONNS);
}

/* A new connection on the same ports begins anew. */
static void reuse(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 99, 1);
	in(r, 1 * MS, 1, 200, 10, 1, IPPKT_ACK);
	syn(r, 1, 5000000, 1);
	assert_int_equal(reorder_held(r), 0);
	in(r, 2 * MS, 1, 5000001, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 1);
}

static void wrap(void **state)
{
	struct reorder *r = *state;

	syn(r, 1, 0xfffffff5u, 1);
	in(r, 1 * MS, 1, 0x00000000u, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 0);
	in(r, 1 * MS, 1, 0xfffffff6u, 10, 1, IPPKT_ACK);
	assert_int_equal(n_got, 2);
}

/* The hold follows the spread: it grows at once, shrinks when much has been seen; quiet 100 ms,
 * wild 1.2 s. */
static void spread(void **state)
{
	struct reorder *r = *state;
	uint64_t t = US_PER_S;

	assert_int_equal(reorder_hold(r), 200 * MS);
	reorder_path(r, 300 * MS, 700 * MS); /* acknowledgements vary so much already */
	assert_int_equal(reorder_hold(r), 700 * MS);
	for (uint32_t i = 1; i < 1000; i++)
		reorder_frame(r, t += 10 * MS, i);
	assert_int_equal(reorder_hold(r), 700 * MS);
	for (uint32_t i = 1000; i < 1100; i++)
		reorder_frame(r, t += 10 * MS, i);
	assert_int_equal(reorder_hold(r), 100 * MS);
	reorder_path(r, 300 * MS, 700 * MS); /* the frames themselves are the better witness */
	assert_int_equal(reorder_hold(r), 100 * MS);
	for (uint32_t i = 1100; i < 3100; i += 2) { /* every other frame 150 ms late */
		reorder_frame(r, t += 200 * MS, i + 1);
		reorder_frame(r, t + 150 * MS, i);
	}
	assert_in_range(reorder_hold(r), 155 * MS, 185 * MS);
	for (uint32_t i = 3100; i < 6100; i += 2) {
		reorder_frame(r, t += 2000 * MS, i + 1);
		reorder_frame(r, t + 1500 * MS, i);
	}
	assert_int_equal(reorder_hold(r), 1200 * MS);
}

struct frame {
	uint64_t at_us;
	uint32_t seq;
};

static int by_arrival(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

/* Ten minutes of a download over nodes that delay by 15 ms on average: hardly a frame is later than the hold,
 * and the hold is not out of all proportion. */
static void late_frames_are_awaited(void **state)
{
	enum { FRAMES = 100000 };
	struct frame *f = calloc(FRAMES, sizeof(*f));
	uint64_t *before = malloc(FRAMES * sizeof(*before)), sent_us = US_PER_S, hold_us = 0;
	struct reorder *r = *state;
	struct rng_seeded g;
	unsigned late = 0;

	assert_true(f && before);
	rng_seeded_init(&g, 5);
	for (uint32_t i = 0; i < FRAMES; i++) {
		sent_us += rng_exp(&g.rng, 6 * MS);
		f[i] = (struct frame){ sent_us, i + 1 };
		for (int hop = 0; hop < 3; hop++)
			f[i].at_us += rng_exp(&g.rng, 15 * MS);
	}
	/* when the first frame with a higher number comes */
	before[FRAMES - 1] = TIME_NEVER;
	for (uint32_t i = FRAMES - 1; i-- > 0;)
		before[i] = before[i + 1] < f[i + 1].at_us ? before[i + 1] : f[i + 1].at_us;
	qsort(f, FRAMES, sizeof(*f), by_arrival);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint64_t first = before[f[i].seq - 1];

		late += first < f[i].at_us && f[i].at_us - first > reorder_hold(r);
		reorder_frame(r, f[i].at_us, f[i].seq);
		if (reorder_hold(r) > hold_us && i > 2000)
			hold_us = reorder_hold(r);
	}
	assert_in_range(late, 0, 3);
	assert_in_range(hold_us, 150 * MS, 350 * MS);
	free(f);
	free(before);
}

/* Random order with bounded lateness: every byte in order, without waiting for a deadline when nothing is
 * lost. */
static void shuffle(void **state)
{
	struct reorder *r = *state;
	struct rng_seeded g;
	uint32_t order[500];

	rng_seeded_init(&g, 7);
	syn(r, 1, 99, 1);
	for (uint32_t i = 0; i < 500; i++)
		order[i] = i;
	for (uint32_t i = 0; i + 1 < 500; i++) {
		uint32_t j = i + rng_below(&g.rng, i + 20 < 500 ? 20 : 500 - i), x = order[i];

		order[i] = order[j];
		order[j] = x;
	}
	for (uint32_t i = 0; i < 500; i++)
		in(r, i * MS / 10, 1, 100 + order[i] * 7, 7, 1, IPPKT_ACK);
	assert_int_equal(n_got, 500);
	for (uint32_t i = 0; i < 500; i++)
		expect(i, 100 + i * 7);
	assert_int_equal(r->gaps_given_up, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(in_order), T(swapped),     T(gap),	       T(others_pass), T(reset_and_fin),
		T(damper),   T(damper_data), T(damper_repair), T(limits),      T(window_update),
		T(reuse),    T(wrap),	     T(spread),	       T(shuffle),     T(late_frames_are_awaited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
