/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sphinx: the key schedule against the way the specification writes it, packets through all hops, every
 * refusal. The engine is included, to reach the key schedule and to build headers that the public functions
 * refuse to build.
 */
#include "mixnet/sphinx.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hex.h"
#include "base/list.h"

struct counting_rng {
	struct rng rng;
	struct rng *from;
	size_t calls, bytes;
};

static struct rng_seeded seeded;

static void counting_fill(struct rng *r, void *buf, size_t len)
{
	struct counting_rng *c = container_of(r, struct counting_rng, rng);

	c->calls++;
	c->bytes += len;
	rng_fill(c->from, buf, len);
}

static struct counting_rng counting(void)
{
	return (struct counting_rng){ .rng = { counting_fill }, .from = &seeded.rng };
}

static void random_route(struct sphinx_route *r, uint8_t sk[SPHINX_HOPS_MAX][32], unsigned n)
{
	r->n = n;
	for (unsigned i = 0; i < n; i++) {
		rng_fill(&seeded.rng, sk[i], 32);
		prim_x25519_base(r->hop[i].key, sk[i]);
		rng_fill(&seeded.rng, r->hop[i].addr, 32);
		r->hop[i].delay_ns = rng_u64(&seeded.rng);
	}
}

/* ---- key schedule ---- */

/* SPEC sphinx.md 5, word for word: n (n + 1) / 2 multiplications. */
static void slow_schedule(struct build *b, const struct sphinx_route *route)
{
	prim_x25519_base(b->header, b->x);
	for (unsigned i = 0; i < route->n; i++) {
		uint8_t s[32], t[32];

		assert_int_equal(prim_x25519(s, b->x, route->hop[i].key), 0);
		for (unsigned j = 0; j < i; j++) {
			assert_int_equal(prim_x25519(t, b->e[j] + E_BLIND, s), 0);
			memcpy(s, t, 32);
		}
		expand(b->e[i], E_SENDER, s);
	}
}

static void schedules_agree(void **state)
{
	static struct build fast, slow;
	uint8_t sk[SPHINX_HOPS_MAX][32];
	struct sphinx_route route;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		random_route(&route, sk, 1 + i % SPHINX_HOPS_MAX);
		memset(&fast, 0, sizeof(fast));
		memset(&slow, 0, sizeof(slow));
		rng_fill(&seeded.rng, fast.x, 32);
		memcpy(slow.x, fast.x, 32);
		assert_int_equal(key_schedule(&fast, &route), 0);
		slow_schedule(&slow, &route);
		assert_memory_equal(fast.header, slow.header, ALPHA);
		assert_memory_equal(fast.e, slow.e, sizeof(fast.e));
	}
}

/* Keys that are a multiple of the base point plus a point of order 8: both ways drop that part, and give the
 * same. */
static void schedules_agree_on_mixed_order(void **state)
{
	static const char *const keys[] = {
		"7e174ff9d546abba83da675c42390150e7d747423ed3acfe9c4377ebb86f860e",
		"d8bbef48a212df19fca93fece8d30cde6cf093c8dab78abebb2002c7f06bab57",
		"5f203b073a2597b4427bd6c6a8cd211f75aa99831ff409a2b682a2397dc00554",
		"42fe9049f628570cd4e9aa3df09d36e62fd0fba00ee691c32349b95d2dc0922e",
	};
	static struct build fast, slow;
	struct sphinx_route route = { .n = 4 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(hex_decode(route.hop[i].key, 32, keys[i], 64), 32);
	for (unsigned i = 0; i < 20; i++) {
		memset(&fast, 0, sizeof(fast));
		memset(&slow, 0, sizeof(slow));
		rng_fill(&seeded.rng, fast.x, 32);
		memcpy(slow.x, fast.x, 32);
		assert_int_equal(key_schedule(&fast, &route), 0);
		slow_schedule(&slow, &route);
		assert_memory_equal(fast.e, slow.e, sizeof(fast.e));
	}
}

/* ---- whole packets ---- */

static void through_all_hops(void **state)
{
	static const size_t plain_sizes[] = { 16, 21, 2048, 8192, 32768 };
	static uint8_t packet[SPHINX_PACKET_MAX], msg[32768];
	static const uint16_t versions[] = { SPHINX_VERSION, SPHINX_VERSION_LEGACY };
	uint8_t sk[SPHINX_HOPS_MAX][32], dest[32], ident[16] = { 0 };
	struct sphinx_route route;

	(void)state;
	rng_fill(&seeded.rng, msg, sizeof(msg));
	rng_fill(&seeded.rng, dest, sizeof(dest));
	for (unsigned k = 0; k < 50; k++) {
		size_t plain = plain_sizes[k / 2 % 5], len = plain + SPHINX_OVERHEAD;
		size_t msg_len = k % 3 ? plain : rng_below(&seeded.rng, (uint32_t)plain);
		unsigned n = 1 + k % 5;

		random_route(&route, sk, n);
		assert_int_equal(
			sphinx_build(packet, len, versions[k % 2], &route, dest, msg, msg_len, &seeded.rng),
			0);
		for (unsigned i = 0; i < n; i++) {
			bool last = i + 1 == n;
			struct sphinx_result res;

			assert_int_equal(sphinx_process(packet, len, sk[i], &res),
					 last ? SPHINX_FINAL : SPHINX_FORWARD);
			assert_int_equal(res.version, versions[k % 2]);
			if (!last) {
				assert_memory_equal(res.next_addr, route.hop[i + 1].addr, 32);
				assert_true(res.delay_ns == route.hop[i].delay_ns);
				continue;
			}
			assert_memory_equal(res.dest, dest, 32);
			assert_memory_equal(res.ident, ident, 16);
			assert_int_equal(res.msg_len, msg_len);
			assert_true(!msg_len || !memcmp(res.msg, msg, msg_len));
		}
	}
}

static void two_packets_differ_everywhere(void **state)
{
	uint8_t a[SPHINX_ACK_PACKET], b[SPHINX_ACK_PACKET], sk[SPHINX_HOPS_MAX][32], dest[32] = { 1 };
	struct sphinx_route route;
	size_t same = 0;

	(void)state;
	random_route(&route, sk, 4);
	assert_int_equal(sphinx_build(a, sizeof(a), SPHINX_VERSION, &route, dest, "same", 4, &seeded.rng), 0);
	assert_int_equal(sphinx_build(b, sizeof(b), SPHINX_VERSION, &route, dest, "same", 4, &seeded.rng), 0);
	for (size_t i = 0; i < sizeof(a); i++)
		same += a[i] == b[i];
	assert_true(same < 16);
}

static void draws_what_the_header_says(void **state)
{
	uint8_t header[SPHINX_HEADER], sk[SPHINX_HOPS_MAX][32], dest[32] = { 1 };
	struct sphinx_route route;
	struct sphinx_keys keys;

	(void)state;
	for (unsigned n = 1; n <= SPHINX_HOPS_MAX; n++) {
		struct counting_rng rng = counting();

		random_route(&route, sk, n);
		assert_int_equal(sphinx_header(header, &keys, SPHINX_VERSION, &route, dest, &rng.rng), 0);
		assert_int_equal(rng.bytes, 32 + 248 - 60 * (n - 1));
		assert_int_equal(rng.calls, 2);
		assert_int_equal(keys.n, n);
		assert_int_equal(keys.version, SPHINX_VERSION);
	}
}

/* ---- what building refuses ---- */

static void build_refuses_routes(void **state)
{
	static const uint16_t versions[] = { 0, 1, 257, 260, 65535 };
	uint8_t header[SPHINX_HEADER] = { 7 }, before[SPHINX_HEADER] = { 7 }, sk[SPHINX_HOPS_MAX][32],
		dest[32] = { 1 };
	struct counting_rng rng = counting();
	struct sphinx_keys keys, keys_before;
	struct sphinx_route route;

	(void)state;
	memset(&keys, 0x55, sizeof(keys));
	keys_before = keys;
	random_route(&route, sk, 5);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		assert_int_equal(sphinx_header(header, &keys, versions[i], &route, dest, &rng.rng), -EINVAL);
	route.n = 0;
	assert_int_equal(sphinx_header(header, &keys, SPHINX_VERSION, &route, dest, &rng.rng), -EINVAL);
	route.n = SPHINX_HOPS_MAX + 1;
	assert_int_equal(sphinx_header(header, &keys, SPHINX_VERSION, &route, dest, &rng.rng), -EINVAL);
	assert_int_equal(rng.bytes, 0);
	for (unsigned i = 0; i < 5; i++) { /* a key of order 1 or 4 at any place */
		random_route(&route, sk, 5);
		memset(route.hop[i].key, 0, 32);
		route.hop[i].key[0] = (uint8_t)(i % 2);
		assert_int_equal(sphinx_header(header, &keys, SPHINX_VERSION, &route, dest, &rng.rng),
				 SMX_ECRYPTO);
	}
	assert_memory_equal(header, before, sizeof(header));
	assert_memory_equal(&keys, &keys_before, sizeof(keys));
}

static void payload_bounds(void **state)
{
	uint8_t payload[64], packet[512], msg[64] = { 0 }, sk[SPHINX_HOPS_MAX][32], dest[32] = { 1 };
	struct sphinx_keys keys = { .version = SPHINX_VERSION, .n = 1 };
	struct sphinx_route route;

	(void)state;
	assert_int_equal(sphinx_payload(payload, 32, &keys, msg, 0), -EINVAL);
	assert_int_equal(sphinx_payload(payload, 0, &keys, msg, 0), -EINVAL);
	assert_int_equal(sphinx_payload(payload, 33, &keys, msg, 0), 0);
	assert_int_equal(sphinx_payload(payload, 33, &keys, msg, 16), 0);
	assert_int_equal(sphinx_payload(payload, 33, &keys, msg, 17), -EINVAL);
	assert_int_equal(sphinx_payload(payload, 64, &keys, msg, 47), 0);
	assert_int_equal(sphinx_payload(payload, 64, &keys, msg, 48), -EINVAL);
	random_route(&route, sk, 1);
	for (size_t len = 0; len < SPHINX_HEADER + 33; len += 20)
		assert_int_equal(sphinx_build(packet, len, SPHINX_VERSION, &route, dest, msg, 0, &seeded.rng),
				 -EINVAL);
	assert_int_equal(sphinx_build(packet, 386, SPHINX_VERSION, &route, dest, msg, 22, &seeded.rng),
			 -EINVAL);
	assert_int_equal(sphinx_build(packet, 386, SPHINX_VERSION, &route, dest, msg, 21, &seeded.rng), 0);
}

static void recover_bounds(void **state)
{
	uint8_t p[40] = { 0 };
	const uint8_t *msg;
	size_t len;

	(void)state;
	p[16] = 1;
	assert_int_equal(sphinx_recover(p, 16, &msg, &len), SMX_EPROTO);
	assert_int_equal(sphinx_recover(p, 17, &msg, &len), 0);
	assert_int_equal(len, 0);
	p[39] = 1;
	assert_int_equal(sphinx_recover(p, 40, &msg, &len), 0);
	assert_int_equal(len, 23);
	assert_ptr_equal(msg, p + 16);
	p[16] = 0;
	p[39] = 0;
	assert_int_equal(sphinx_recover(p, 40, &msg, &len), SMX_EPROTO); /* no marker */
	p[39] = 1;
	for (int i = 0; i < 16; i++) {
		p[i] = 0x80;
		assert_int_equal(sphinx_recover(p, 40, &msg, &len), SMX_EPROTO);
		p[i] = 0;
	}
}

/* ---- what a hop refuses ---- */

static uint8_t good[SPHINX_ACK_PACKET], good_sk[SPHINX_HOPS_MAX][32];
static struct sphinx_route good_route;

static int build_good(void **state)
{
	uint8_t dest[32] = { 1 };

	(void)state;
	random_route(&good_route, good_sk, 2);
	return sphinx_build(good, sizeof(good), SPHINX_VERSION, &good_route, dest, "message", 7, &seeded.rng);
}

static void any_header_bit_is_refused(void **state)
{
	uint8_t packet[SPHINX_ACK_PACKET], before[SPHINX_ACK_PACKET];
	struct sphinx_result res;

	(void)state;
	for (size_t bit = 0; bit < SPHINX_HEADER * 8; bit += bit < 48 * 8 ? 1 : 5) {
		memcpy(packet, good, sizeof(packet));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(before, packet, sizeof(packet));
		if (bit == 31 * 8 + 7) { /* SPEC sphinx.md 15 E: X25519 ignores it */
			assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res),
					 SPHINX_FORWARD);
			continue;
		}
		assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), SMX_ECRYPTO);
		assert_memory_equal(packet, before, sizeof(packet));
	}
	memcpy(packet, good, sizeof(packet));
	assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[1], &res),
			 SMX_ECRYPTO); /* another node's key */
	assert_memory_equal(packet, good, sizeof(packet));
	memset(packet, 0, 32);
	assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res),
			 SMX_ECRYPTO); /* all-zero secret */
}

static void any_payload_bit_spoils_the_message(void **state)
{
	uint8_t packet[SPHINX_ACK_PACKET];
	struct sphinx_result res;

	(void)state;
	for (size_t bit = SPHINX_HEADER * 8; bit < sizeof(packet) * 8; bit++) {
		memcpy(packet, good, sizeof(packet));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), SPHINX_FORWARD);
		assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[1], &res), SMX_EPROTO);
	}
}

static void short_packets_are_refused(void **state)
{
	uint8_t packet[SPHINX_ACK_PACKET];
	struct sphinx_result res;

	(void)state;
	for (size_t len = 0; len <= SPHINX_HEADER + 32; len++) {
		memcpy(packet, good, sizeof(packet));
		assert_int_equal(sphinx_process(packet, len, good_sk[0], &res), SMX_EPROTO);
		assert_memory_equal(packet, good, sizeof(packet));
	}
	assert_int_equal(sphinx_process(packet, SPHINX_HEADER + 33, good_sk[0], &res), SPHINX_FORWARD);
}

/* A 2-hop header of this version whose first layer has this flag, MACs right. */
static void craft(uint8_t packet[SPHINX_ACK_PACKET], uint16_t version, uint8_t flag)
{
	static const uint8_t dest[32], ident[16];
	static struct build b;

	assert_int_equal(build_header(&b, version, &good_route, dest, ident, &seeded.rng), 0);
	b.header[ALPHA + GAMMA] ^= (uint8_t)(SPHINX_FORWARD ^ flag);
	put_mac(&b, 0);
	memcpy(packet, good, SPHINX_ACK_PACKET);
	memcpy(packet, b.header, SPHINX_HEADER);
}

static void flags_and_versions(void **state)
{
	static const uint16_t taken[] = { 0, 2, 256, 258, 259, 260, 65535 };
	uint8_t packet[SPHINX_ACK_PACKET];
	struct sphinx_result res;

	(void)state;
	for (unsigned flag = 0; flag < 256; flag++) {
		int want = flag == SPHINX_FORWARD ? SPHINX_FORWARD : SMX_EPROTO;

		/* FINAL is a flag that exists, but the payload is for two hops. */
		craft(packet, SPHINX_VERSION, (uint8_t)flag);
		assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), want);
	}
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		craft(packet, taken[i], SPHINX_FORWARD);
		assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), SPHINX_FORWARD);
		assert_int_equal(res.version, taken[i]);
	}
	craft(packet, 1, SPHINX_FORWARD);
	assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), SMX_EPROTO);
	craft(packet, 257, SPHINX_FORWARD);
	assert_int_equal(sphinx_process(packet, sizeof(packet), good_sk[0], &res), SMX_EPROTO);
}

static void replay_tags(void **state)
{
	uint8_t a[SPHINX_ACK_PACKET], b[SPHINX_ACK_PACKET];
	struct sphinx_result ra, rb;

	(void)state;
	memcpy(a, good, sizeof(a));
	memcpy(b, good, sizeof(b));
	assert_int_equal(sphinx_process(a, sizeof(a), good_sk[0], &ra), SPHINX_FORWARD);
	assert_int_equal(sphinx_process(b, sizeof(b), good_sk[0], &rb), SPHINX_FORWARD);
	assert_memory_equal(ra.replay_tag, rb.replay_tag, 32);
	assert_int_equal(sphinx_process(b, sizeof(b), good_sk[1], &rb), SPHINX_FINAL);
	assert_memory_not_equal(ra.replay_tag, rb.replay_tag, 32);
	craft(b, SPHINX_VERSION, SPHINX_FORWARD);
	assert_int_equal(sphinx_process(b, sizeof(b), good_sk[0], &rb), SPHINX_FORWARD);
	assert_memory_not_equal(ra.replay_tag, rb.replay_tag, 32);
}

static int setup(void **state)
{
	rng_seeded_init(&seeded, 1);
	return prim_init() || build_good(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedules_agree),
		cmocka_unit_test(schedules_agree_on_mixed_order),
		cmocka_unit_test(through_all_hops),
		cmocka_unit_test(two_packets_differ_everywhere),
		cmocka_unit_test(draws_what_the_header_says),
		cmocka_unit_test(build_refuses_routes),
		cmocka_unit_test(payload_bounds),
		cmocka_unit_test(recover_bounds),
		cmocka_unit_test(any_header_bit_is_refused),
		cmocka_unit_test(any_payload_bit_spoils_the_message),
		cmocka_unit_test(short_packets_are_refused),
		cmocka_unit_test(flags_and_versions),
		cmocka_unit_test(replay_tags),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
