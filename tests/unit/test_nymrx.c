/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nymrx: fragments become messages again, in any order, once; what is refused, dropped and forgotten. The
 * clock is a number of the test. nymsphinx.vec is run by tests/kat.
 */
#include "mixnet/nympkt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"

#define MSG_MAX (1 << 20)
#define PADDED_MAX (MSG_MAX + 2 * NYM_FRAG)
#define FRAGS_MAX 800
#define SET_DATA (255 * NYM_FRAG_DATA) /* the only set of a message */

#define STALE_US (30 * 60 * US_PER_S)
#define RECENT_US (10 * 60 * US_PER_S)
#define SWEEP_US (10 * US_PER_S)

static struct rng_seeded seeded;
static uint8_t out[PADDED_MAX];
static size_t out_len;

static struct nym_rx *rx_with(size_t frags, size_t sets, size_t recent)
{
	struct nym_rx_limits lim = {
		.frags = frags, .sets = sets, .recent = recent, .stale_us = STALE_US, .recent_us = RECENT_US
	};
	struct nym_rx *rx = nym_rx_new(&lim);

	assert_non_null(rx);
	return rx;
}

/* ---- fragments by hand ---- */

/* A fragment full of fill; link 0: none. Its length is that of a Regular packet. */
static const uint8_t *frag(uint32_t set, unsigned total, unsigned pos, uint32_t link, uint8_t fill)
{
	static uint8_t f[NYM_FRAG];
	struct wire_wr w;

	memset(f, fill, sizeof(f));
	wire_wr_init(&w, f, sizeof(f));
	wire_put_u32(&w, 0x80000000u | set);
	wire_put_u8(&w, (uint8_t)total);
	wire_put_u8(&w, (uint8_t)pos);
	if (link)
		wire_put_u32(&w, 0x80000000u | link);
	else
		wire_put_u8(&w, 0);
	return f;
}

static int put(struct nym_rx *rx, uint64_t now_us, const uint8_t *f)
{
	return nym_rx_insert(rx, now_us, f, NYM_FRAG, out, sizeof(out), &out_len);
}

/* A set of 255 without its fragments 1 and 255. */
static void put_middle(struct nym_rx *rx, uint32_t set)
{
	for (unsigned pos = 2; pos < 255; pos++)
		assert_int_equal(put(rx, 0, frag(set, 255, pos, 0, 1)), 0);
}

/* ---- messages ---- */

struct parts {
	uint8_t *msg, *frag;
	size_t len, n;
};

static void parts_make(struct parts *p, size_t len)
{
	struct nym_split s;
	struct wire_wr w;
	size_t spare, want;
	int padded;

	p->len = len;
	p->msg = malloc(PADDED_MAX);
	p->frag = malloc((size_t)FRAGS_MAX * NYM_FRAG);
	assert_true(p->msg && p->frag);
	rng_fill(&seeded.rng, p->msg, len);
	wire_wr_init(&w, p->msg, PADDED_MAX);
	wire_put_reserve(&w, len);
	padded = nym_pad(&w, NYM_FRAG);
	assert_true(padded > 0 && (size_t)padded > len);
	want = nym_frag_required(len + 1, NYM_FRAG, &spare);
	assert_int_equal(padded, len + 1 + spare);
	nym_split_init(&s, p->msg, (size_t)padded, NYM_FRAG, &seeded.rng);
	for (p->n = 0; p->n < FRAGS_MAX && nym_split_next(&s, p->frag + p->n * NYM_FRAG) == 1; p->n++)
		;
	assert_int_equal(p->n, want);
	assert_int_equal(s.off, padded);
}

static void parts_done(struct parts *p)
{
	free(p->msg);
	free(p->frag);
}

static void shuffle(uint32_t *order, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = rng_below(&seeded.rng, (uint32_t)i);
		uint32_t t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void assert_message(const struct parts *p)
{
	assert_int_equal(out_len, p->len);
	assert_memory_equal(out, p->msg, p->len);
}

/* One in eight fragments comes twice, all in any order; then everything comes again. The message must come
 * with the last fragment that is new, and once. */
static void deliver(struct nym_rx *rx, const struct parts *p, uint64_t now_us)
{
	static uint32_t order[2 * FRAGS_MAX];
	uint64_t dups = nym_rx_stats(rx)->duplicates;
	bool seen[FRAGS_MAX] = { false };
	size_t n = 0, distinct = 0;

	for (size_t i = 0; i < p->n; i++)
		order[n++] = (uint32_t)i;
	for (size_t i = 0; i < p->n; i++)
		if (!rng_below(&seeded.rng, 8))
			order[n++] = (uint32_t)i;
	shuffle(order, n);
	for (size_t i = 0; i < n; i++) {
		int r = put(rx, now_us, p->frag + (size_t)order[i] * NYM_FRAG);
		bool last = !seen[order[i]] && distinct + 1 == p->n;

		distinct += !seen[order[i]];
		seen[order[i]] = true;
		assert_int_equal(r, last);
		if (last)
			assert_message(p);
	}
	assert_int_equal(distinct, p->n);
	for (size_t i = 0; i < p->n; i++)
		assert_int_equal(put(rx, now_us, p->frag + i * NYM_FRAG), 0);
	assert_int_equal(nym_rx_stats(rx)->duplicates - dups, n);
	assert_int_equal(nym_rx_held(rx), 0);
}

static void check_length(size_t len, size_t sets)
{
	struct nym_rx *rx = rx_with(FRAGS_MAX, sets, sets);
	struct parts p;

	parts_make(&p, len);
	deliver(rx, &p, 0);
	assert_int_equal(nym_rx_stats(rx)->malformed + nym_rx_stats(rx)->dropped_limit, 0);
	parts_done(&p);
	nym_rx_free(rx);
}

/* Both sides of every length where the number of fragments or sets changes; the table is as long as the
 * chain, no longer. */
static void messages_of_every_kind(void **state)
{
	static const size_t two = 2 * (SET_DATA - 3);

	(void)state;
	check_length(0, 1);
	check_length(1, 1);
	check_length(NYM_FRAG_DATA - 1, 1);
	check_length(NYM_FRAG_DATA, 1);
	check_length(2 * NYM_FRAG_DATA - 1, 1);
	check_length(2 * NYM_FRAG_DATA, 1);
	check_length(SET_DATA - 1, 1);
	check_length(SET_DATA, 2);
	check_length(SET_DATA - 3 + 1600, 2);
	check_length(SET_DATA - 3 + 1601, 2);
	check_length(two - 1, 2);
	check_length(two, 3);
	check_length(MSG_MAX, 3);
}

static void messages_of_random_length(void **state)
{
	struct nym_rx *rx = rx_with(FRAGS_MAX, 4, 64);

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		uint32_t bound = (uint32_t)1 << (1 + rng_below(&seeded.rng, 20));
		struct parts p;

		parts_make(&p, 1 + rng_below(&seeded.rng, bound));
		deliver(rx, &p, i);
		parts_done(&p);
	}
	nym_rx_free(rx);
}

/* Two messages at a time, fragment by fragment; the longer one is complete later. */
static void messages_side_by_side(void **state)
{
	struct nym_rx *rx = rx_with(FRAGS_MAX, 4, 8);
	struct parts a, b;

	(void)state;
	parts_make(&a, 100000);
	parts_make(&b, 500000);
	for (size_t i = 0; i < b.n; i++) {
		if (i < a.n)
			assert_int_equal(put(rx, 0, a.frag + i * NYM_FRAG), i + 1 == a.n);
		if (i + 1 == a.n)
			assert_message(&a);
		assert_int_equal(put(rx, 0, b.frag + i * NYM_FRAG), i + 1 == b.n);
	}
	assert_message(&b);
	assert_int_equal(nym_rx_held(rx), 0);
	parts_done(&a);
	parts_done(&b);
	nym_rx_free(rx);
}

/* ---- refusals ---- */

static void check_header(const uint8_t *f, size_t len, bool ok)
{
	struct nym_frag got;
	struct nym_rx *rx = rx_with(2, 2, 2);
	int r = nym_rx_insert(rx, 0, f, len, out, sizeof(out), &out_len);

	assert_int_equal(nym_frag_parse(&got, f, len), ok ? 0 : SMX_EPROTO);
	assert_int_equal(r, ok ? 0 : SMX_EPROTO);
	assert_int_equal(nym_rx_stats(rx)->malformed, !ok);
	assert_int_equal(nym_rx_held(rx), ok);
	nym_rx_free(rx);
}

/* SPEC nymsphinx.md 8.1: "each violation = malformed". */
static void malformed_fragments(void **state)
{
	uint8_t f[NYM_FRAG];

	(void)state;
	check_header(frag(1, 2, 1, 0, 0), NYM_FRAG_HDR, true);
	check_header(frag(1, 2, 1, 0, 0), NYM_FRAG_HDR - 1, false);
	check_header(frag(1, 2, 1, 5, 0), NYM_FRAG_HDR_LINKED, true);
	check_header(frag(1, 2, 1, 5, 0), NYM_FRAG_HDR_LINKED - 1, false);
	check_header(frag(1, 2, 1, 5, 0), 0, false);
	check_header(frag(0, 2, 1, 0, 0), NYM_FRAG, false);
	check_header(frag(0x7fffffff, 2, 1, 0, 0), NYM_FRAG, true);
	check_header(frag(1, 2, 0, 0, 0), NYM_FRAG, false);
	check_header(frag(1, 2, 2, 0, 0), NYM_FRAG, true);
	check_header(frag(1, 2, 3, 0, 0), NYM_FRAG, false);
	check_header(frag(1, 0, 0, 0, 0), NYM_FRAG, false);
	check_header(frag(7, 2, 1, 7, 0), NYM_FRAG, false);
	check_header(frag(7, 255, 254, 8, 0), NYM_FRAG, false);
	check_header(frag(7, 255, 255, 8, 0), NYM_FRAG, true);
	check_header(frag(7, 254, 254, 8, 0), NYM_FRAG, false);
	memcpy(f, frag(1, 2, 1, 0, 0), sizeof(f));
	f[0] &= 0x7f;
	check_header(f, sizeof(f), false);
	memcpy(f, frag(1, 2, 1, 5, 0), sizeof(f));
	f[6] = 0x40;
	check_header(f, sizeof(f), false);
	memset(f + 7, 0, 3);
	f[6] = 0x80;
	check_header(f, sizeof(f), false);
}

/* SPEC nymsphinx.md 8.3: "drop a fragment whose total differs from the buffer's". */
static void totals_must_agree(void **state)
{
	struct nym_rx *rx = rx_with(4, 2, 2);

	(void)state;
	assert_int_equal(put(rx, 0, frag(9, 2, 1, 0, 7)), 0);
	assert_int_equal(put(rx, 0, frag(9, 3, 2, 0, 7)), SMX_EPROTO);
	assert_int_equal(put(rx, 0, frag(9, 1, 1, 0, 7)), SMX_EPROTO);
	assert_int_equal(nym_rx_stats(rx)->malformed, 2);
	assert_int_equal(nym_rx_held(rx), 1);
	assert_int_equal(put(rx, 0, frag(9, 2, 2, 0, 1)), 1);
	assert_int_equal(out_len, 2 * NYM_FRAG_DATA - 1);
	nym_rx_free(rx);
}

/* SPEC nymsphinx.md 9: cut at the last 1; without one the message is lost and its ids are used. */
static void padding(void **state)
{
	struct nym_rx *rx = rx_with(4, 2, 8);
	uint8_t f[NYM_FRAG];

	(void)state;
	memcpy(f, frag(1, 1, 1, 0, 0), sizeof(f));
	f[20] = f[50] = 1;
	f[51] = 9;
	assert_int_equal(put(rx, 0, f), 1);
	assert_int_equal(out_len, 50 - NYM_FRAG_HDR);
	assert_int_equal(put(rx, 0, frag(2, 1, 1, 0, 2)), SMX_EPROTO);
	assert_int_equal(put(rx, 0, frag(2, 1, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 0, frag(3, 2, 1, 0, 2)), 0);
	assert_int_equal(put(rx, 0, frag(3, 2, 2, 0, 0)), SMX_EPROTO);
	assert_int_equal(put(rx, 0, frag(3, 2, 2, 0, 1)), 0);
	assert_int_equal(nym_rx_stats(rx)->malformed, 2);
	assert_int_equal(nym_rx_stats(rx)->duplicates, 2);
	assert_int_equal(nym_rx_held(rx), 0);
	nym_rx_free(rx);
}

static void out_too_small(void **state)
{
	static const size_t two = 2 * NYM_FRAG_DATA;
	struct nym_rx *rx = rx_with(4, 2, 8);

	(void)state;
	assert_int_equal(nym_rx_insert(rx, 0, frag(1, 1, 1, 0, 1), NYM_FRAG, out, NYM_FRAG_DATA, &out_len),
			 1);
	assert_int_equal(
		nym_rx_insert(rx, 0, frag(2, 1, 1, 0, 1), NYM_FRAG, out, NYM_FRAG_DATA - 1, &out_len),
		SMX_ELIMIT);
	assert_int_equal(put(rx, 0, frag(2, 1, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 0, frag(3, 2, 1, 0, 1)), 0);
	assert_int_equal(nym_rx_insert(rx, 0, frag(3, 2, 2, 0, 1), NYM_FRAG, out, two, &out_len), 1);
	assert_int_equal(put(rx, 0, frag(4, 2, 1, 0, 1)), 0);
	assert_int_equal(nym_rx_insert(rx, 0, frag(4, 2, 2, 0, 1), NYM_FRAG, out, two - 1, &out_len),
			 SMX_ELIMIT);
	assert_int_equal(put(rx, 0, frag(4, 2, 2, 0, 1)), 0);
	assert_int_equal(nym_rx_stats(rx)->dropped_limit, 2);
	assert_int_equal(nym_rx_held(rx), 0);
	nym_rx_free(rx);
}

/* Only a whole message may come in a packet larger than Regular. */
static void larger_packets(void **state)
{
	static uint8_t f[8192];
	struct nym_rx *rx = rx_with(4, 2, 8);

	(void)state;
	memset(f, 1, sizeof(f));
	memcpy(f, frag(1, 1, 1, 0, 1), NYM_FRAG_HDR);
	assert_int_equal(nym_rx_insert(rx, 0, f, sizeof(f), out, sizeof(out), &out_len), 1);
	assert_int_equal(out_len, sizeof(f) - NYM_FRAG_HDR - 1);
	memcpy(f, frag(2, 2, 1, 0, 1), NYM_FRAG_HDR);
	assert_int_equal(nym_rx_insert(rx, 0, f, NYM_FRAG + 1, out, sizeof(out), &out_len), SMX_ELIMIT);
	assert_int_equal(nym_rx_held(rx), 0);
	assert_int_equal(nym_rx_insert(rx, 0, f, NYM_FRAG, out, sizeof(out), &out_len), 0);
	assert_int_equal(nym_rx_held(rx), 1);
	nym_rx_free(rx);
}

/* ---- links ---- */

/* SPEC nymsphinx.md 8.3: "refuse link cycles". They age like what is incomplete. */
static void cycles_are_never_complete(void **state)
{
	(void)state;
	for (uint32_t n = 2; n <= 3; n++) {
		struct nym_rx *rx = rx_with(3 * 255, 3, 8);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t prev = 10 * n + (i + n - 1) % n, next = 10 * n + (i + 1) % n;

			put_middle(rx, 10 * n + i);
			assert_int_equal(put(rx, 0, frag(10 * n + i, 255, 1, prev, 1)), 0);
			assert_int_equal(put(rx, 0, frag(10 * n + i, 255, 255, next, 1)), 0);
		}
		assert_int_equal(nym_rx_held(rx), n * 255);
		/* A fragment of something else brings the time. */
		assert_int_equal(put(rx, STALE_US + 1, frag(99, 1, 1, 0, 1)), 1);
		assert_int_equal(nym_rx_held(rx), 0);
		assert_int_equal(nym_rx_stats(rx)->stale, n);
		nym_rx_free(rx);
	}
}

/* SPEC nymsphinx.md 8.3: "A.next = B <=> B.previous = A". */
static void links_must_be_mutual(void **state)
{
	static const struct {
		uint32_t next, prev; /* of set 1 and of set 2 */
		int last;
	} cases[] = { { 2, 1, 1 }, { 3, 1, 0 }, { 2, 3, 0 }, { 2, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int second_first = 0; second_first < 2; second_first++) {
			struct nym_rx *rx = rx_with(2 * 255, 3, 8);
			int r;

			put_middle(rx, 1);
			assert_int_equal(put(rx, 0, frag(1, 255, 1, 0, 1)), 0);
			if (!second_first)
				assert_int_equal(put(rx, 0, frag(1, 255, 255, cases[i].next, 1)), 0);
			assert_int_equal(put(rx, 0, frag(2, 2, 1, cases[i].prev, 1)), 0);
			r = put(rx, 0, frag(2, 2, 2, 0, 1));
			if (!cases[i].prev) {
				/* Set 2 is a message of its own. */
				assert_int_equal(r, 1);
				r = 0;
			}
			if (second_first) {
				assert_int_equal(r, 0);
				r = put(rx, 0, frag(1, 255, 255, cases[i].next, 1));
			}
			assert_int_equal(r, cases[i].last);
			if (r == 1)
				assert_int_equal(out_len, SET_DATA - 3 + 1601 + 1604 - 1);
			nym_rx_free(rx);
		}
}

/* One linked fragment is a set of its own and waits for the other. */
static void linked_set_of_one(void **state)
{
	struct nym_rx *rx = rx_with(256, 2, 8);

	(void)state;
	assert_int_equal(put(rx, 0, frag(2, 1, 1, 1, 1)), 0);
	assert_int_equal(nym_rx_held(rx), 1);
	put_middle(rx, 1);
	assert_int_equal(put(rx, 0, frag(1, 255, 255, 2, 1)), 0);
	assert_int_equal(put(rx, 0, frag(1, 255, 1, 0, 1)), 1);
	assert_int_equal(out_len, SET_DATA - 3 + 1601 - 1);
	nym_rx_free(rx);
}

/* ---- limits ---- */

static void sets_are_limited(void **state)
{
	struct nym_rx *rx = rx_with(16, 3, 8);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(put(rx, id, frag(id, 3, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 4, frag(1, 3, 2, 0, 1)), 0);
	assert_int_equal(nym_rx_stats(rx)->dropped_limit, 0);
	/* Set 2 heard nothing for longest. */
	assert_int_equal(put(rx, 5, frag(4, 3, 1, 0, 1)), 0);
	assert_int_equal(nym_rx_stats(rx)->dropped_limit, 1);
	assert_int_equal(nym_rx_held(rx), 4);
	assert_int_equal(put(rx, 6, frag(1, 3, 3, 0, 1)), 1);
	assert_int_equal(put(rx, 7, frag(3, 3, 2, 0, 1)), 0);
	assert_int_equal(put(rx, 7, frag(3, 3, 3, 0, 1)), 1);
	assert_int_equal(put(rx, 8, frag(2, 3, 2, 0, 1)), 0);
	assert_int_equal(put(rx, 8, frag(2, 3, 3, 0, 1)), 0);
	assert_int_equal(put(rx, 8, frag(2, 3, 1, 0, 1)), 1);
	nym_rx_free(rx);
}

static void fragments_are_limited(void **state)
{
	struct nym_rx *rx = rx_with(4, 4, 8);

	(void)state;
	assert_int_equal(put(rx, 1, frag(1, 9, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 2, frag(2, 9, 1, 0, 1)), 0);
	for (unsigned pos = 2; pos <= 3; pos++)
		assert_int_equal(put(rx, 3, frag(1, 9, pos, 0, 1)), 0);
	assert_int_equal(nym_rx_held(rx), 4);
	/* Set 2 goes for set 1, then nothing is left to go. */
	assert_int_equal(put(rx, 4, frag(1, 9, 4, 0, 1)), 0);
	assert_int_equal(nym_rx_stats(rx)->dropped_limit, 1);
	assert_int_equal(nym_rx_held(rx), 4);
	assert_int_equal(put(rx, 5, frag(1, 9, 5, 0, 1)), SMX_ELIMIT);
	assert_int_equal(nym_rx_stats(rx)->dropped_limit, 2);
	/* A newer set takes the place of all of it; whole messages need no place. */
	assert_int_equal(put(rx, 6, frag(7, 1, 1, 0, 1)), 1);
	assert_int_equal(nym_rx_held(rx), 4);
	assert_int_equal(put(rx, 6, frag(3, 2, 1, 0, 1)), 0);
	assert_int_equal(nym_rx_held(rx), 1);
	assert_int_equal(put(rx, 6, frag(3, 2, 2, 0, 1)), 1);
	nym_rx_free(rx);
}

/* SPEC nymsphinx.md 8.3: 30 minutes without a new fragment, looked at every 10 s at most. */
static void stale_sets_go(void **state)
{
	struct nym_rx *rx = rx_with(4, 4, 8);
	uint64_t t = STALE_US;

	(void)state;
	assert_int_equal(put(rx, 0, frag(1, 3, 1, 0, 1)), 0);
	assert_int_equal(put(rx, t, frag(50, 1, 1, 0, 1)), 1);
	assert_int_equal(nym_rx_held(rx), 1);
	assert_int_equal(put(rx, t + SWEEP_US - 1, frag(51, 1, 1, 0, 1)), 1);
	assert_int_equal(nym_rx_held(rx), 1);
	assert_int_equal(put(rx, t + SWEEP_US, frag(52, 1, 1, 0, 1)), 1);
	assert_int_equal(nym_rx_held(rx), 0);
	assert_int_equal(nym_rx_stats(rx)->stale, 1);
	/* A new fragment counts, a known one does not. */
	assert_int_equal(put(rx, 2 * t, frag(2, 3, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 2 * t + t / 2, frag(2, 3, 2, 0, 1)), 0);
	assert_int_equal(put(rx, 3 * t + 1, frag(2, 3, 2, 0, 1)), 0);
	assert_int_equal(nym_rx_held(rx), 2);
	assert_int_equal(put(rx, 3 * t + t / 2 + 1, frag(53, 1, 1, 0, 1)), 1);
	assert_int_equal(nym_rx_held(rx), 0);
	assert_int_equal(nym_rx_stats(rx)->stale, 2);
	nym_rx_free(rx);
}

/* ---- ids of completed sets ---- */

static void completed_ids_expire(void **state)
{
	struct nym_rx *rx = rx_with(4, 4, 8);

	(void)state;
	assert_int_equal(put(rx, 5, frag(1, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, 5 + RECENT_US, frag(1, 1, 1, 0, 1)), 0);
	assert_int_equal(put(rx, 5 + RECENT_US, frag(1, 2, 1, 0, 1)), 0);
	assert_int_equal(nym_rx_held(rx), 0);
	assert_int_equal(nym_rx_stats(rx)->duplicates, 2);
	assert_int_equal(put(rx, 6 + RECENT_US, frag(1, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, 6 + 2 * RECENT_US, frag(1, 1, 1, 0, 1)), 0);
	nym_rx_free(rx);
}

/* Against a plain array: the last n ids completed, whatever their number and order. */
static void check_memory(size_t n, uint32_t ids, unsigned rounds)
{
	struct nym_rx *rx = rx_with(1, 1, n);
	uint32_t ring[64] = { 0 };
	size_t at = 0;

	for (unsigned i = 0; i < rounds; i++) {
		/* Ids that differ in high bits only meet in the hash table, too. */
		uint32_t id = 1 + (rng_below(&seeded.rng, ids) << 16);
		bool known = false;

		for (size_t j = 0; j < n; j++)
			known |= ring[j] == id;
		assert_int_equal(put(rx, i, frag(id, 1, 1, 0, 1)), !known);
		if (known)
			continue;
		ring[at] = id;
		at = (at + 1) % n;
	}
	nym_rx_free(rx);
}

static void completed_ids_are_limited(void **state)
{
	(void)state;
	check_memory(1, 3, 300);
	check_memory(7, 14, 3000);
	check_memory(8, 9, 3000);
	check_memory(64, 100, 10000);
	check_memory(64, 30000, 10000);
}

/* An id that comes again after it expired stands in the ring twice; the old place must not take the new one
 * with it. */
static void expired_id_comes_again(void **state)
{
	struct nym_rx *rx = rx_with(1, 1, 3);
	uint64_t t = RECENT_US + 1;

	(void)state;
	assert_int_equal(put(rx, 0, frag(1, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, t, frag(1, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, t, frag(2, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, t, frag(3, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, t, frag(1, 1, 1, 0, 1)), 0);
	assert_int_equal(put(rx, t, frag(4, 1, 1, 0, 1)), 1);
	assert_int_equal(put(rx, t, frag(1, 1, 1, 0, 1)), 1);
	nym_rx_free(rx);
}

static void without_memory(void **state)
{
	struct nym_rx_limits lim = { .frags = SIZE_MAX / 64, .sets = 2, .recent = 2 };

	(void)state;
	assert_null(nym_rx_new(&lim));
	nym_rx_free(NULL);
}

static int setup(void **state)
{
	(void)state;
	rng_seeded_init(&seeded, 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_every_kind),
		cmocka_unit_test(messages_of_random_length),
		cmocka_unit_test(messages_side_by_side),
		cmocka_unit_test(malformed_fragments),
		cmocka_unit_test(totals_must_agree),
		cmocka_unit_test(padding),
		cmocka_unit_test(out_too_small),
		cmocka_unit_test(larger_packets),
		cmocka_unit_test(cycles_are_never_complete),
		cmocka_unit_test(links_must_be_mutual),
		cmocka_unit_test(linked_set_of_one),
		cmocka_unit_test(sets_are_limited),
		cmocka_unit_test(fragments_are_limited),
		cmocka_unit_test(stale_sets_go),
		cmocka_unit_test(completed_ids_expire),
		cmocka_unit_test(completed_ids_are_limited),
		cmocka_unit_test(expired_id_comes_again),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
