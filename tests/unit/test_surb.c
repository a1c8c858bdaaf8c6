/* SPDX-License-Identifier: Apache-2.0 */
/* surb: making, parsing and using reply SURBs; the table of reply keys. surb.vec is run by tests/kat. */
#include "mixnet/surb.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/prim.h"

static struct rng_seeded seeded;

static void random_route(struct sphinx_route *r, uint8_t sk[SPHINX_HOPS_MAX][32], unsigned n)
{
	r->n = n;
	for (unsigned i = 0; i < n; i++) {
		rng_fill(&seeded.rng, sk[i], 32);
		prim_x25519_base(r->hop[i].key, sk[i]);
		memset(r->hop[i].addr, 0, 32);
		r->hop[i].addr[0] = i % 2 ? 6 : 4;
		r->hop[i].addr[1] = (uint8_t)(i + 1);
		r->hop[i].delay_ns = i;
	}
}

/* ---- one SURB ---- */

/* SPEC sphinx.md 12: the packet of a SURB is byte for byte the one its maker would have built. */
static void surb_gives_the_packet(void **state)
{
	static uint8_t from_surb[SPHINX_REGULAR_PACKET], built[SPHINX_REGULAR_PACKET];
	uint8_t bytes[SURB_LEN(SPHINX_HOPS_MAX)], digest[32], want[32], key[SURB_KEY],
		sk[SPHINX_HOPS_MAX][32];
	uint8_t plain[SPHINX_REGULAR_PLAIN], dest[32] = { 9 };
	struct sphinx_route route;
	struct surb s;

	(void)state;
	rng_fill(&seeded.rng, plain, sizeof(plain));
	for (unsigned n = 1; n <= SPHINX_HOPS_MAX; n++) {
		struct rng_seeded again;

		random_route(&route, sk, n);
		again = seeded;
		assert_int_equal(surb_make(bytes, digest, &route, dest, &seeded.rng), 0);
		rng_fill(&again.rng, key, sizeof(key));
		assert_memory_equal(bytes, key, sizeof(key));
		surb_digest(want, key);
		assert_memory_equal(digest, want, 32);
		assert_int_equal(surb_parse(&s, bytes, SURB_LEN(n)), 0);
		assert_memory_equal(s.key, key, sizeof(key));
		assert_memory_equal(s.first_hop, route.hop[0].addr, 32);
		assert_int_equal(s.keys.n, n);
		assert_int_equal(surb_use(from_surb, sizeof(from_surb), &s, plain, sizeof(plain)), 0);
		assert_int_equal(sphinx_build(built, sizeof(built), SPHINX_VERSION, &route, dest, plain,
					      sizeof(plain), &again.rng),
				 0);
		assert_memory_equal(from_surb, built, sizeof(built));
	}
}

static void reply_arrives(void **state)
{
	uint8_t bytes[SURB_LEN4], digest[32], sk[SPHINX_HOPS_MAX][32], packet[SPHINX_ACK_PACKET],
		plain[21] = "twenty-one bytes long";
	uint8_t dest[32] = { 9 };
	struct sphinx_route route;
	struct sphinx_result res;
	struct surb s;

	(void)state;
	random_route(&route, sk, 4);
	assert_int_equal(surb_make(bytes, digest, &route, dest, &seeded.rng), 0);
	assert_int_equal(surb_parse(&s, bytes, sizeof(bytes)), 0);
	assert_int_equal(surb_use(packet, sizeof(packet), &s, plain, sizeof(plain)), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(sphinx_process(packet, sizeof(packet), sk[i], &res), SPHINX_FORWARD);
		assert_memory_equal(res.next_addr, route.hop[i + 1].addr, 32);
	}
	assert_int_equal(sphinx_process(packet, sizeof(packet), sk[3], &res), SPHINX_FINAL);
	assert_memory_equal(res.dest, dest, 32);
	assert_int_equal(res.msg_len, sizeof(plain));
	assert_memory_equal(res.msg, plain, sizeof(plain));
}

static void make_refuses(void **state)
{
	uint8_t out[SURB_LEN4] = { 1, 2, 3 }, before[SURB_LEN4] = { 1, 2, 3 }, digest[32] = { 4 },
		sk[SPHINX_HOPS_MAX][32];
	uint8_t dest[32] = { 9 }, digest_before[32] = { 4 };
	struct sphinx_route route;

	(void)state;
	random_route(&route, sk, 4);
	memset(route.hop[2].key, 0, 32);
	assert_int_equal(surb_make(out, digest, &route, dest, &seeded.rng), SMX_ECRYPTO);
	route.n = 0;
	assert_int_equal(surb_make(out, digest, &route, dest, &seeded.rng), -EINVAL);
	route.n = SPHINX_HOPS_MAX + 1;
	assert_int_equal(surb_make(out, digest, &route, dest, &seeded.rng), -EINVAL);
	assert_memory_equal(out, before, sizeof(out));
	assert_memory_equal(digest, digest_before, sizeof(digest));
}

static void parse_lengths(void **state)
{
	static uint8_t in[2048];
	struct surb s, before;

	(void)state;
	rng_fill(&seeded.rng, in, sizeof(in));
	in[SURB_KEY + SPHINX_HEADER] = 4;
	memset(&s, 0x77, sizeof(s));
	before = s;
	for (size_t len = 0; len <= sizeof(in); len++) {
		size_t more = len - SURB_KEY - 380;
		bool seeds = len > SURB_KEY + 380 && more <= 80 && more % 16 == 0;
		bool keys = len > SURB_KEY + 380 && more >= 192 && more <= 960 && more % 192 == 0;
		int err = surb_parse(&s, in, len);

		if (!seeds && !keys) {
			assert_int_equal(err, SMX_EPROTO);
			assert_memory_equal(&s, &before, sizeof(s));
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(s.keys.version, seeds ? SPHINX_VERSION : SPHINX_VERSION_LEGACY);
		assert_int_equal(s.keys.n, more / (seeds ? 16 : 192));
		assert_memory_equal(seeds ? s.keys.seed[0] : s.keys.legacy[0], in + SURB_KEY + 380, 16);
		assert_int_equal(surb_parse_sphinx(&s, in + SURB_KEY, len - SURB_KEY), 0);
		s = before;
	}
}

static void parse_checks_the_address_type(void **state)
{
	uint8_t in[SURB_LEN4] = { 0 };
	struct surb s;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		in[SURB_KEY + SPHINX_HEADER] = (uint8_t)type;
		assert_int_equal(surb_parse(&s, in, sizeof(in)), type == 4 || type == 6 ? 0 : SMX_EPROTO);
		assert_int_equal(surb_parse_sphinx(&s, in + SURB_KEY, sizeof(in) - SURB_KEY), 0);
	}
}

static void use_wants_the_exact_size(void **state)
{
	uint8_t packet[SPHINX_ACK_PACKET] = { 5 }, before[SPHINX_ACK_PACKET] = { 5 }, plain[22] = { 0 };
	struct surb s = { .keys = { .version = SPHINX_VERSION, .n = 4 } };

	(void)state;
	assert_int_equal(surb_use(packet, sizeof(packet), &s, plain, 20), -EINVAL);
	assert_int_equal(surb_use(packet, sizeof(packet), &s, plain, 22), -EINVAL);
	assert_int_equal(surb_use(packet, 0, &s, plain, 0), -EINVAL);
	assert_int_equal(surb_use(packet, SPHINX_OVERHEAD, &s, plain, 0),
			 -EINVAL); /* too small for a payload */
	assert_memory_equal(packet, before, sizeof(packet));
	assert_int_equal(surb_use(packet, sizeof(packet), &s, plain, 21), 0);
}

/* ---- the table ---- */

#define SLOTS 8

struct table {
	struct surb_keys t;
	struct surb_key mem[SLOTS];
	struct surb_key *bucket[4];
};

static void table_init(struct table *x, size_t buckets)
{
	surb_keys_init(&x->t, x->mem, SLOTS, x->bucket, buckets);
}

static void number(uint8_t key[SURB_KEY], uint8_t digest[32], unsigned n)
{
	memset(key, 0, SURB_KEY);
	key[0] = (uint8_t)n;
	key[1] = (uint8_t)(n >> 8);
	surb_digest(digest, key);
}

static void add(struct table *x, unsigned n, uint64_t now_us)
{
	uint8_t key[SURB_KEY], digest[32];

	number(key, digest, n);
	surb_keys_add(&x->t, digest, key, now_us);
}

static bool take(struct table *x, unsigned n)
{
	uint8_t key[SURB_KEY], digest[32], got[SURB_KEY] = { 0 };
	bool found;

	number(key, digest, n);
	found = surb_keys_take(&x->t, digest, got);
	if (found)
		assert_memory_equal(got, key, SURB_KEY);
	return found;
}

static void table_finds_each_once(void **state)
{
	static const size_t buckets[] = { 1, 2, 4 };

	(void)state;
	for (size_t b = 0; b < 3; b++) {
		struct table x;

		table_init(&x, buckets[b]);
		assert_false(take(&x, 1));
		for (unsigned i = 0; i < SLOTS; i++)
			add(&x, i, i);
		assert_int_equal(x.t.count, SLOTS);
		for (unsigned i = 0; i < SLOTS; i++) {
			unsigned n = i * 5 % SLOTS; /* not in order of age */

			assert_true(take(&x, n));
			assert_false(take(&x, n));
		}
		assert_int_equal(x.t.count, 0);
		assert_int_equal(x.t.evicted, 0);
		surb_keys_done(&x.t);
	}
}

static void table_full_drops_the_oldest(void **state)
{
	struct table x;

	(void)state;
	table_init(&x, 2);
	for (unsigned i = 0; i < 3 * SLOTS; i++)
		add(&x, i, i);
	assert_int_equal(x.t.count, SLOTS);
	assert_int_equal(x.t.evicted, 2 * SLOTS);
	for (unsigned i = 0; i < 3 * SLOTS; i++)
		assert_int_equal(take(&x, i), i >= 2 * SLOTS);
}

static void table_expires(void **state)
{
	struct table x;

	(void)state;
	table_init(&x, 4);
	for (unsigned i = 0; i < SLOTS; i++)
		add(&x, i, 100 + i);
	assert_int_equal(surb_keys_expire(&x.t, 100), 0);
	assert_int_equal(surb_keys_expire(&x.t, 103), 3);
	assert_int_equal(x.t.count, SLOTS - 3);
	assert_false(take(&x, 2));
	assert_true(take(&x, 3));
	assert_int_equal(surb_keys_expire(&x.t, UINT64_MAX), SLOTS - 4);
	assert_int_equal(surb_keys_expire(&x.t, UINT64_MAX), 0);
	add(&x, 7, 0); /* freed slots can be used again */
	assert_true(take(&x, 7));
}

static bool all_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		if (b[i])
			return false;
	return true;
}

static void table_leaves_no_keys(void **state)
{
	static const uint8_t zero_key[SURB_KEY];
	struct table x;
	unsigned wiped = 0;

	(void)state;
	table_init(&x, 4);
	for (unsigned i = 1; i <= SLOTS; i++)
		add(&x, i, i);
	assert_true(take(&x, 3));
	for (unsigned i = 0; i < SLOTS; i++)
		wiped += !memcmp(x.mem[i].key, zero_key, SURB_KEY);
	assert_int_equal(wiped, 1);
	surb_keys_done(&x.t);
	assert_true(all_zero(x.mem, sizeof(x.mem)));
	surb_keys_done(&x.t);
	surb_keys_done(NULL);
}

static int setup(void **state)
{
	(void)state;
	rng_seeded_init(&seeded, 1);
	return prim_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(surb_gives_the_packet),
		cmocka_unit_test(reply_arrives),
		cmocka_unit_test(make_refuses),
		cmocka_unit_test(parse_lengths),
		cmocka_unit_test(parse_checks_the_address_type),
		cmocka_unit_test(use_wants_the_exact_size),
		cmocka_unit_test(table_finds_each_once),
		cmocka_unit_test(table_full_drops_the_oldest),
		cmocka_unit_test(table_expires),
		cmocka_unit_test(table_leaves_no_keys),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
