/* SPDX-License-Identifier: Apache-2.0 */
/* Text of keys: known answers, bounds, refusals, round trips. */
#include "base/base58.h"
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"

static void base58_known(void **state)
{
	char text[64];
	uint8_t out[64];

	(void)state;
	assert_int_equal(base58_encode(text, sizeof(text), (const uint8_t *)"Hello World!", 12), 17);
	assert_string_equal(text, "2NEpo7TZRRrLZSi2U");
	assert_int_equal(base58_encode(text, 17, (const uint8_t *)"Hello World!", 12), SMX_ELIMIT);
	assert_int_equal(base58_encode(text, sizeof(text), (const uint8_t *)"\0\0\x28\x7f\xb4\xcd", 6), 8);
	assert_string_equal(text, "11233QC4");
	assert_int_equal(base58_decode(out, sizeof(out), "11233QC4", 8), 6);
	assert_memory_equal(out, "\0\0\x28\x7f\xb4\xcd", 6);
	assert_int_equal(base58_decode(out, 5, "11233QC4", 8), SMX_EPROTO);
	assert_int_equal(base58_decode(out, sizeof(out), "0", 1), SMX_EPROTO);
	assert_int_equal(base58_decode(out, sizeof(out), "a\0b", 3), SMX_EPROTO);
	assert_int_equal(base58_decode(out, sizeof(out), "", 0), 0);
	assert_int_equal(base58_decode_key(out, "11233QC4", 8), SMX_EPROTO);
}

static void base58_round_trip(void **state)
{
	struct rng_seeded r;
	uint8_t key[32], back[32];
	char text[BASE58_KEY_TEXT], longer[512] = { 0 };

	(void)state;
	rng_seeded_init(&r, 5);
	for (int i = 0; i < 200; i++) {
		int n;

		rng_fill(&r.rng, key, sizeof(key));
		memset(key, 0, (size_t)(i % 5));
		n = base58_encode(text, sizeof(text), key, 32);
		assert_true(n > 0);
		assert_int_equal(base58_decode_key(back, text, (size_t)n), 0);
		assert_memory_equal(back, key, 32);
	}
	memset(key, 0xff, 32);
	assert_int_equal(base58_encode(text, sizeof(text), key, 32), 44);
	assert_int_equal(base58_encode(longer, sizeof(longer), (uint8_t *)longer, 257), SMX_ELIMIT);
	assert_int_equal(base58_decode(key, 32, longer, 513), SMX_EPROTO);
}

static void hex(void **state)
{
	uint8_t all[256], back[256];
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	hex_encode(text, all, 256);
	assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
	assert_int_equal(hex_decode(back, 256, text, 512), 256);
	assert_memory_equal(all, back, 256);
	assert_int_equal(hex_decode(back, 255, text, 512), SMX_EPROTO);
	assert_int_equal(hex_decode(back, 256, text, 511), SMX_EPROTO);
	assert_int_equal(hex_decode(back, 1, "aG", 2), SMX_EPROTO);
	assert_int_equal(hex_decode(back, 1, "Fa", 2), 1);
	assert_int_equal(back[0], 0xfa);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(base58_known),
					    cmocka_unit_test(base58_round_trip), cmocka_unit_test(hex) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
