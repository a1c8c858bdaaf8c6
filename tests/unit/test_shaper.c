/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet clocks: rates and exponential law with and without load, one packet per slot, what is in it,
 * acknowledgements, retransmission, limits, slow-down, lateness, silence without topology.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mixnet/framing.h"
#include "mixnet/shaper.h"
#include "tests/unit/testnet.h"

#define MS US_PER_MS
#define T0 (1000 * US_PER_S)

struct fix {
	struct rng_seeded rng;
	struct testnet net;
	struct nym_self me, peer;
	struct shaper s;
	struct shaper_out out;
	uint64_t now;
	/* source */
	unsigned data, urgent, limit; /* items to give */
	bool hurry;
	uint32_t next_set;
	uint64_t done_acked, done_lost, last_token;
	enum shaper_class last_class;
};

static bool fill(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		 struct shaper_item *item)
{
	struct fix *f = owner;
	unsigned *n = class == SHAPER_URGENT ? &f->urgent : &f->data;

	(void)now_us, (void)topo;
	if (!*n)
		return false;
	(*n)--;
	f->last_class = class;
	f->next_set++;
	memset(item->frag, (int)(f->next_set & 0xff), sizeof(item->frag));
	item->frag[0] = 0x80;
	item->frag[1] = (uint8_t)(f->next_set >> 16);
	item->frag[2] = (uint8_t)(f->next_set >> 8);
	item->frag[3] = (uint8_t)f->next_set;
	item->frag[4] = 1;
	item->frag[5] = 1;
	item->frag[6] = 0;
	item->to = &f->peer.addr;
	item->limit = f->limit;
	item->hurry = f->hurry;
	item->token = f->next_set;
	return true;
}

static void done(void *owner, uint64_t token, bool acked)
{
	struct fix *f = owner;

	f->last_token = token;
	if (acked)
		f->done_acked++;
	else
		f->done_lost++;
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct shaper_cfg cfg = { 20 * MS, 200 * MS, 15 * MS, 15 * MS };
	struct shaper_source src = { fill, done, f };

	if (!f || prim_init())
		return -1;
	rng_seeded_init(&f->rng, 42);
	testnet_init(&f->net, &f->rng.rng);
	testnet_self(&f->net, &f->me, &f->rng.rng);
	testnet_self(&f->net, &f->peer, &f->rng.rng);
	f->now = T0;
	*state = f;
	return shaper_init(&f->s, &cfg, &f->me, &f->rng.rng, &src);
}

static int teardown(void **state)
{
	struct fix *f = *state;
	int left;

	shaper_forget(&f->s);
	left = f->s.pending.used || f->s.kept.used || heap_min(&f->s.timers);
	shaper_done(&f->s);
	shaper_done(&f->s);
	free(f);
	return left ? -1 : 0;
}

/* Goes on to the next packet; false when none is due before end. */
static bool step(struct fix *f, uint64_t end)
{
	for (;;) {
		uint64_t at = shaper_deadline(&f->s);

		if (at > end) {
			f->now = end;
			return false;
		}
		if (at > f->now)
			f->now = at;
		if (shaper_poll(&f->s, f->now, &f->net.topo, &f->out) == 1)
			return true;
	}
}

static bool next_real(struct fix *f, uint64_t end)
{
	while (step(f, end))
		if (!f->out.cover)
			return true;
	return false;
}

static void ack_set(struct fix *f, uint32_t set)
{
	uint8_t id[NYM_ID] = { (uint8_t)(set >> 24), (uint8_t)(set >> 16), (uint8_t)(set >> 8), (uint8_t)set,
			       1 };

	shaper_ack(&f->s, f->now, id);
}

/* What one packet is, seen from its far end: fragment as given, acknowledgement as ours. */
static void packet(void **state)
{
	struct fix *f = *state;
	uint8_t blob[NYM_BLOB], ack[SPHINX_ACK_PACKET], id[NYM_ID];
	const uint8_t *msg, *frag;
	size_t len, frag_len;

	f->data = 1;
	shaper_start(&f->s, f->now);
	assert_true(next_real(f, T0 + 10 * US_PER_S));
	assert_int_equal(f->out.rotation, ROTATION_ODD);
	assert_int_equal(f->out.next_hop.port, 1789);
	msg = testnet_unwrap(&f->net, f->out.packet, sizeof(f->out.packet), &len);
	assert_non_null(msg);
	assert_int_equal(len, SPHINX_REGULAR_PLAIN);
	memcpy(ack, msg + 19, sizeof(ack));
	memcpy(blob, msg + NYM_SURB_ACK, sizeof(blob));
	assert_int_equal(nym_blob_open(blob, sizeof(blob), &f->peer, NULL, NULL, id, &frag, &frag_len),
			 NYM_BLOB_FRAG);
	assert_int_equal(frag_len, NYM_FRAG);
	assert_memory_equal(frag, f->s.item.frag, NYM_FRAG);
	msg = testnet_unwrap(&f->net, ack, sizeof(ack), &len);
	assert_non_null(msg);
	assert_int_equal(len, NYM_ACK);
	nym_ack_open(id, f->me.ack_key, msg);
	shaper_ack(&f->s, f->now + 400 * MS, id);
	assert_int_equal(f->done_acked, 1);
	assert_int_equal(f->last_token, 1);
	assert_int_equal(f->s.srtt_us, 400 * MS);
	shaper_ack(&f->s, f->now + 500 * MS, id);
	assert_int_equal(f->s.stats.unknown_acks, 1);
}

/* Cover comes back to ourselves as cover, its acknowledgement as the all-zero one. */
static void cover(void **state)
{
	struct fix *f = *state;
	uint8_t blob[NYM_BLOB], ack[SPHINX_ACK_PACKET], id[NYM_ID];
	const uint8_t *msg, *frag;
	size_t len;

	shaper_start(&f->s, f->now);
	assert_true(step(f, T0 + 10 * US_PER_S));
	assert_true(f->out.cover);
	msg = testnet_unwrap(&f->net, f->out.packet, sizeof(f->out.packet), &len);
	assert_non_null(msg);
	memcpy(ack, msg + 19, sizeof(ack));
	memcpy(blob, msg + NYM_SURB_ACK, sizeof(blob));
	/* Known by its key once; after that it is decrypted, and is still cover. */
	assert_int_equal(nym_blob_open(blob, sizeof(blob), &f->me, NULL, &f->s.covers, id, &frag, &len),
			 NYM_BLOB_COVER);
	assert_int_not_equal(blob[32], NYM_COVER_TEXT[0]);
	assert_int_equal(nym_blob_open(blob, sizeof(blob), &f->me, NULL, &f->s.covers, id, &frag, &len),
			 NYM_BLOB_COVER);
	assert_memory_equal(blob + 32, NYM_COVER_TEXT, sizeof(NYM_COVER_TEXT) - 1);
	msg = testnet_unwrap(&f->net, ack, sizeof(ack), &len);
	assert_non_null(msg);
	nym_ack_open(id, f->me.ack_key, msg);
	shaper_ack(&f->s, f->now, id);
	assert_int_equal(f->s.stats.cover_acks, 1);
	assert_int_equal(shaper_pending(&f->s), 0);
}

/* Data, one item after the other. Of each `of` packets one is acknowledged, way_us later. */
static void exchange(struct fix *f, unsigned items, unsigned limit, unsigned of, uint64_t way_us)
{
	f->s.cfg.main_mean_us = 100 * MS; /* cover costs time here */
	f->s.cfg.cover_mean_us = 10 * US_PER_S;
	f->hurry = true;
	f->limit = limit;
	while (items--) {
		uint64_t settled = f->done_acked + f->done_lost, ack_us = TIME_NEVER;

		f->data = 1;
		while (f->done_acked + f->done_lost == settled) {
			uint64_t end = f->now + 500 * MS;

			if (next_real(f, ack_us < end ? ack_us : end)) {
				if (ack_us == TIME_NEVER && !rng_below(&f->rng.rng, of))
					ack_us = f->now + way_us;
			} else if (f->now >= ack_us) {
				ack_set(f, f->next_set);
			}
		}
	}
}

/* Most packets get lost. That it takes long until one is sent again says nothing about the way, or each would
 * take longer because those before did. */
static void losses_are_no_longer_way(void **state)
{
	struct fix *f = *state;

	shaper_start(&f->s, f->now);
	exchange(f, 20, 0, 1, 2 * US_PER_S);
	assert_true(shaper_rtt(&f->s) > US_PER_S);
	exchange(f, 120, 1, 4, 300 * MS);
	assert_in_range(shaper_rtt(&f->s), 300 * MS, 400 * MS);
}

/* It has become a little longer than the timer thinks: acknowledgements come just after the second packet. */
static void a_longer_way_is_noticed(void **state)
{
	struct fix *f = *state;
	uint64_t again;

	shaper_start(&f->s, f->now);
	exchange(f, 40, 1, 1, 300 * MS);
	exchange(f, 40, 1, 1, 500 * MS);
	again = f->s.stats.retransmissions;
	exchange(f, 40, 1, 1, 500 * MS);
	assert_in_range(f->s.stats.retransmissions - again, 0, 4);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Kolmogorov-Smirnov distance of n intervals from the exponential law with that mean. */
static double ks(double *x, size_t n, double mean)
{
	double d = 0;

	qsort(x, n, sizeof(*x), by_value);
	for (size_t i = 0; i < n; i++) {
		double f = 1 - exp(-x[i] / mean), lo = (double)i / (double)n,
		       hi = (double)(i + 1) / (double)n;

		d = fmax(d, fmax(fabs(f - lo), fabs(hi - f)));
	}
	return d;
}

#define SLOTS 1500

/* Two Poisson processes of 50/s and 5/s are one of 55/s; so it is with empty slots and with full ones. */
static void law(void **state)
{
	struct fix *f = *state;
	static double x[SLOTS];

	for (int loaded = 0; loaded < 2; loaded++) {
		uint64_t last = f->now;
		uint64_t covers = f->s.stats.cover, reals = f->s.stats.real;

		if (!loaded)
			shaper_start(&f->s, f->now);
		for (size_t i = 0; i < SLOTS; i++) {
			f->data = loaded ? 10 : 0;
			assert_true(step(f, TIME_NEVER - 1));
			assert_int_equal(f->out.slot_us, f->now);
			x[i] = (double)(f->now - last);
			last = f->now;
			if (!f->out.cover)
				ack_set(f, f->next_set);
		}
		assert_true(ks(x, SLOTS, 1e6 / 55) < 1.63 / sqrt(SLOTS)); /* p > 0.01 */
		covers = f->s.stats.cover - covers;
		reals = f->s.stats.real - reals;
		assert_int_equal(covers + reals, SLOTS);
		if (!loaded)
			assert_int_equal(reals, 0);
		else
			assert_in_range(covers, SLOTS / 11 - 60, SLOTS / 11 + 60); /* the cover loop alone */
	}
}

static void lost_once(void **state)
{
	struct fix *f = *state;
	uint64_t sent;

	f->data = 1;
	shaper_start(&f->s, f->now);
	assert_true(next_real(f, T0 + 10 * US_PER_S));
	sent = f->now;
	assert_false(next_real(f, sent + 2900 * MS)); /* no retransmission, and patience */
	assert_int_equal(f->done_lost, 0);
	assert_false(next_real(f, sent + 8 * US_PER_S));
	assert_int_equal(f->done_lost, 1);
	assert_int_equal(f->s.stats.retransmissions, 0);
	ack_set(f, 1);
	assert_int_equal(f->done_acked, 0);
}

static void retransmission(void **state)
{
	struct fix *f = *state;
	uint8_t first[SPHINX_REGULAR_PACKET], blob[NYM_BLOB], id[NYM_ID];
	uint64_t at[4];
	const uint8_t *msg, *frag;
	size_t len;

	f->data = 1;
	f->limit = 2;
	shaper_start(&f->s, f->now);
	assert_true(next_real(f, T0 + 10 * US_PER_S));
	memcpy(first, f->out.packet, sizeof(first));
	at[0] = f->now;
	for (int i = 1; i < 3; i++) {
		assert_true(next_real(f, f->now + 15 * US_PER_S));
		at[i] = f->now;
		assert_memory_not_equal(first, f->out.packet, sizeof(first));
		msg = testnet_unwrap(&f->net, f->out.packet, sizeof(f->out.packet), &len);
		assert_non_null(msg);
		memcpy(blob, msg + NYM_SURB_ACK, sizeof(blob));
		assert_int_equal(nym_blob_open(blob, sizeof(blob), &f->peer, NULL, NULL, id, &frag, &len),
				 NYM_BLOB_FRAG);
		assert_memory_equal(frag, f->s.item.frag, NYM_FRAG);
	}
	assert_true(at[1] - at[0] >= 1500 * MS);
	assert_true(at[2] - at[1] >= 2250 * MS); /* backs off */
	assert_false(next_real(f, f->now + 15 * US_PER_S));
	assert_int_equal(f->done_lost, 1);
	assert_int_equal(f->s.stats.retransmissions, 2);
}

/* What is in a hurry is sent again when its acknowledgement is late by the measure of others, not after 1.5
 * s. */
static void hurry(void **state)
{
	struct fix *f = *state;
	uint64_t sent;

	f->limit = 1;
	f->hurry = true;
	shaper_start(&f->s, f->now);
	for (uint32_t i = 1; i <= 200;
	     i++) { /* the network takes 100 ms, the nodes what was drawn for them */
		uint64_t expected;

		f->data = 1;
		assert_true(next_real(f, f->now + US_PER_S));
		expected = heap_min(&f->s.timers)->key - f->now;
		expected = i == 1 ? 90 * MS : expected - f->s.over_us - 4 * f->s.overvar_us - 100 * MS;
		shaper_pause(&f->s);
		f->now += 100 * MS + expected;
		ack_set(f, i);
		shaper_start(&f->s, f->now);
	}
	assert_in_range(f->s.over_us, 95 * MS, 105 * MS);
	assert_true(shaper_spread(&f->s) < 20 * MS);
	f->data = 1;
	assert_true(next_real(f, f->now + US_PER_S));
	sent = f->now;
	assert_true(next_real(f, f->now + US_PER_S));
	assert_int_equal(f->s.stats.retransmissions, 1);
	assert_in_range(f->now - sent, 200 * MS, 900 * MS);
	/* what cannot be sent again is not given up any sooner for it */
	ack_set(f, f->next_set);
	f->limit = 0;
	f->data = 1;
	assert_true(next_real(f, f->now + US_PER_S));
	assert_false(next_real(f, f->now + 3 * US_PER_S));
	assert_int_equal(f->done_lost, 0);
}

/* Without a main clock: what there is leaves at once, the cover loop keeps its pace, nothing is filled up. */
static void no_clock(void **state)
{
	struct fix *f = *state;

	f->s.cfg.main_mean_us = 0;
	shaper_start(&f->s, f->now);
	f->data = 20;
	f->urgent = 1;
	for (int i = 0; i < 21; i++) {
		assert_int_equal(shaper_poll(&f->s, f->now, &f->net.topo, &f->out), 1);
		assert_false(f->out.cover);
		assert_int_equal(f->out.slot_us, f->now);
		assert_int_equal(f->last_class, i ? SHAPER_DATA : SHAPER_URGENT);
	}
	assert_int_equal(shaper_poll(&f->s, f->now, &f->net.topo, &f->out), 0);
	while (step(f, T0 + 100 * US_PER_S))
		assert_true(f->out.cover);
	assert_in_range(f->s.stats.cover, 400, 600);
	assert_int_equal(f->s.stats.real, 21);
}

static void acked_while_waiting(void **state)
{
	struct fix *f = *state;

	f->data = 1;
	f->limit = 5;
	shaper_start(&f->s, f->now);
	assert_true(next_real(f, T0 + 10 * US_PER_S));
	shaper_pause(&f->s); /* link lost: timers go on, nothing is sent */
	f->now += 10 * US_PER_S;
	assert_int_equal(shaper_poll(&f->s, f->now, &f->net.topo, &f->out), 0);
	assert_false(list_empty(&f->s.retx));
	ack_set(f, 1); /* late, before it was sent again */
	assert_true(list_empty(&f->s.retx));
	assert_int_equal(f->done_acked, 1);
	shaper_start(&f->s, f->now);
	assert_false(next_real(f, f->now + 2 * US_PER_S));
}

/* Retransmissions take every other slot while data waits, urgent things go first. */
static void shares(void **state)
{
	struct fix *f = *state;
	uint64_t retx;

	f->data = 40;
	f->limit = 1;
	shaper_start(&f->s, f->now);
	while (f->data)
		assert_true(next_real(f, f->now + US_PER_S));
	f->now += 10 * US_PER_S; /* all 40 expire; the clock restarts */
	f->limit = 0;
	f->data = 1000;
	for (int i = 0; i < 40; i++)
		assert_true(next_real(f, f->now + US_PER_S));
	retx = f->s.stats.retransmissions;
	assert_in_range(retx, 19, 21);
	f->urgent = 3;
	for (int i = 0; i < 3; i++) {
		assert_true(next_real(f, f->now + US_PER_S));
		assert_int_equal(f->last_class, SHAPER_URGENT);
	}
	assert_int_equal(f->s.stats.retransmissions, retx);
}

static void lateness(void **state)
{
	struct fix *f = *state;
	unsigned n = 0;

	shaper_start(&f->s, f->now);
	f->now += 900 * MS;
	while (shaper_poll(&f->s, f->now, &f->net.topo, &f->out) == 1)
		n++;
	assert_in_range(n, 20, 85); /* about 50, caught up */
	assert_int_equal(f->s.stats.restarts, 0);
	f->now += 60 * US_PER_S;
	n = 0;
	while (shaper_poll(&f->s, f->now, &f->net.topo, &f->out) == 1)
		n++;
	assert_in_range(n, 0, 4);
	assert_true(f->s.stats.restarts > 0);
}

/* traffic.md 3.3: up to six while the link is full, one step a second; down when it was clear for two. */
static void slow_down(void **state)
{
	struct fix *f = *state;

	shaper_start(&f->s, f->now);
	for (int i = 0; i < 20; i++)
		shaper_link(&f->s, f->now += 500 * MS, SHAPER_LINK_FULL);
	assert_int_equal(f->s.slow, SHAPER_SLOW_MAX);
	for (int i = 0; i < 10; i++)
		shaper_link(&f->s, f->now += 500 * MS, SHAPER_LINK_PRESSURE + 1);
	assert_int_equal(f->s.slow, SHAPER_SLOW_MAX);
	for (int i = 0; i < 6; i++)
		shaper_link(&f->s, f->now += 500 * MS, 0);
	assert_int_equal(f->s.slow, SHAPER_SLOW_MAX - 1);
	for (int i = 0; i < 60; i++)
		shaper_link(&f->s, f->now += 500 * MS, 0);
	assert_int_equal(f->s.slow, 1);
	/* the cover loop's packets are dropped, not delayed, while the link is full */
	shaper_link(&f->s, f->now, SHAPER_LINK_FULL);
	for (int i = 0; i < 200; i++)
		assert_true(step(f, f->now + 10 * US_PER_S));
	assert_true(f->s.stats.cover_dropped > 5);
}

static void no_route(void **state)
{
	struct fix *f = *state;

	shaper_start(&f->s, f->now);
	f->now += 500 * MS;
	assert_int_equal(shaper_poll(&f->s, f->now, NULL, &f->out), 0);
	assert_true(f->s.stats.skipped > 0);
	assert_true(shaper_deadline(&f->s) > f->now);
	/* a recipient nobody knows: the slot carries cover, the item is given up */
	memset(f->peer.addr.gateway, 1, 32);
	f->data = 1;
	f->now += 500 * MS;
	assert_int_equal(shaper_poll(&f->s, f->now, &f->net.topo, &f->out), 1);
	assert_true(f->out.cover);
	assert_int_equal(f->done_lost, 1);
	assert_int_equal(shaper_pending(&f->s), 0);
}

/* More packets in flight than entries: sent all the same. */
static void flood(void **state)
{
	struct fix *f = *state;

	f->limit = 3;
	f->data = SHAPER_KEPT + 20;
	shaper_start(&f->s, f->now);
	for (int i = 0; i < SHAPER_KEPT + 20; i++) {
		assert_true(shaper_poll(&f->s, f->s.main_us, &f->net.topo, &f->out) == 1);
		f->now = f->s.main_us;
	}
	assert_true(f->s.kept.used <= SHAPER_KEPT);
	assert_int_equal(f->s.stats.given_up, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packet),
		T(cover),
		T(losses_are_no_longer_way),
		T(a_longer_way_is_noticed),
		T(law),
		T(lost_once),
		T(hurry),
		T(no_clock),
		T(retransmission),
		T(acked_while_waiting),
		T(shares),
		T(lateness),
		T(slow_down),
		T(no_route),
		T(flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
