/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prim: published answers, both sides of every bound, and the two implementations (CPU instructions,
 * portable) against each other. The files are included to reach the choice between them. primitives.vec is
 * run by tests/kat.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sodium.h>
#include <cmocka.h>

/* Both have a helper of this name. */
#define get_be32 sha_get_be32
#include "mixnet/prim_sha256.c"
#undef get_be32
#include "mixnet/prim_gcmsiv.c"

#include "base/hex.h"
#include "base/rng.h"
#include "mixnet/prim.h"

static struct rng_seeded seeded;

static void random_bytes(void *out, size_t len)
{
	rng_fill(&seeded.rng, out, len);
}

static void unhex(uint8_t *out, size_t len, const char *text)
{
	assert_int_equal(hex_decode(out, len, text, strlen(text)), (int)len);
}

static void assert_hex(const uint8_t *got, size_t len, const char *text)
{
	uint8_t want[256];

	assert_true(len <= sizeof(want));
	unhex(want, len, text);
	assert_memory_equal(got, want, len);
}

/* ---- curve ---- */

static void x25519_published(void **state)
{
	uint8_t k[32], u[32], out[32];

	(void)state;
	/* RFC 7748 5.2 and 6.1 */
	unhex(k, 32, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
	unhex(u, 32, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
	assert_int_equal(prim_x25519(out, k, u), 0);
	assert_hex(out, 32, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	unhex(k, 32, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	prim_x25519_base(out, k);
	assert_hex(out, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
}

/* Points of order 1, 2, 4 and 8 give the all-zero secret and are refused; out stays. */
static void x25519_small_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t k[32], p[32], out[32], before[32];

	(void)state;
	random_bytes(k, 32);
	random_bytes(out, 32);
	memcpy(before, out, 32);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		unhex(p, 32, points[i]);
		assert_int_equal(prim_x25519(out, k, p), SMX_ECRYPTO);
		assert_memory_equal(out, before, 32);
	}
}

static void product_is_two_multiplications(void **state)
{
	uint8_t a[32], b[32], c[32], p[32], sk[32], one[32], two[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		random_bytes(a, 32);
		random_bytes(b, 32);
		random_bytes(sk, 32);
		prim_x25519_base(p, sk);
		assert_int_equal(prim_x25519(one, a, p), 0);
		assert_int_equal(prim_x25519(two, b, one), 0);
		assert_int_equal(prim_x25519_product(c, a, b), 0);
		assert_int_equal(c[0] & 7, 0);
		assert_int_equal(c[31] & 0xc0, 0x40);
		assert_int_equal(prim_x25519(one, c, p), 0);
		assert_memory_equal(one, two, 32);
		assert_int_equal(prim_x25519_product(a, a, b), 0); /* in place */
		assert_memory_equal(a, c, 32);
	}
}

/* a and b with (a/8) b = 1 mod l: no clamped scalar stands for 8. */
static void product_out_of_range(void **state)
{
	uint8_t a[32], b[32], eighth_a[32], inv[32], inv8[32], eight[32] = { 8 }, out[32], before[32];
	int tried = 0;

	(void)state;
	assert_int_equal(crypto_core_ed25519_scalar_invert(inv8, eight), 0);
	random_bytes(out, 32);
	memcpy(before, out, 32);
	do {
		assert_true(tried++ < 64);
		random_bytes(a, 32);
		a[0] &= 0xf8;
		a[31] = (uint8_t)((a[31] & 0x7f) | 0x40);
		for (int i = 0; i < 32; i++)
			eighth_a[i] = (uint8_t)(a[i] >> 3 | (i < 31 ? a[i + 1] << 5 : 0));
		assert_int_equal(crypto_core_ed25519_scalar_invert(inv, eighth_a), 0);
		crypto_core_ed25519_scalar_mul(inv, inv, inv8);
		for (int i = 31; i >= 0; i--)
			b[i] = (uint8_t)(inv[i] << 3 | (i ? inv[i - 1] >> 5 : 0));
	} while ((b[31] & 0xc0) != 0x40);
	assert_int_equal(prim_x25519_product(out, a, b), SMX_ECRYPTO);
	assert_memory_equal(out, before, 32);
	b[0] ^= 8; /* a neighbour is fine */
	assert_int_equal(prim_x25519_product(out, a, b), 0);
}

static void ed25519_published(void **state)
{
	uint8_t seed[32], pk[32], sk[64], sig[64];

	(void)state;
	/* RFC 8032 7.1, tests 1 and 2 */
	unhex(seed, 32, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
	prim_ed25519_keypair(pk, sk, seed);
	assert_hex(pk, 32, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	prim_ed25519_sign(sig, NULL, 0, sk);
	assert_hex(sig, 64,
		   "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		   "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
	assert_int_equal(prim_ed25519_verify(sig, NULL, 0, pk), 0);
	for (int i = 0; i < 64; i++) {
		sig[i] ^= 1;
		assert_int_equal(prim_ed25519_verify(sig, NULL, 0, pk), SMX_ECRYPTO);
		sig[i] ^= 1;
	}
	assert_int_equal(prim_ed25519_verify(sig, "x", 1, pk), SMX_ECRYPTO);
}

static void ed25519_validity(void **state)
{
	uint8_t pk[32] = { 1 };

	(void)state;
	assert_true(prim_ed25519_valid(pk)); /* the neutral element: small order, yet on the curve */
	memset(pk, 0, 32);
	assert_true(prim_ed25519_valid(pk)); /* order 4 */
	pk[0] = 2;
	assert_false(prim_ed25519_valid(pk)); /* no x for y = 2 */
}

/* ---- SHA-256 ---- */

static void hkdf_published(void **state)
{
	uint8_t ikm[22], salt[13], info[10], out[42];

	(void)state;
	/* RFC 5869 A.1 and A.3 */
	memset(ikm, 0x0b, sizeof(ikm));
	unhex(salt, 13, "000102030405060708090a0b0c");
	unhex(info, 10, "f0f1f2f3f4f5f6f7f8f9");
	prim_hkdf_sha256(out, 42, salt, 13, ikm, 22, info, 10);
	assert_hex(out, 42,
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	prim_hkdf_sha256(out, 42, NULL, 0, ikm, 22, NULL, 0);
	assert_hex(out, 42,
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* A salt longer than a block is hashed first; the result must be that of the hash. */
static void hkdf_long_salt(void **state)
{
	uint8_t salt[100], hashed[32], a[64], b[64];

	(void)state;
	random_bytes(salt, sizeof(salt));
	crypto_hash_sha256(hashed, salt, sizeof(salt));
	prim_hkdf_sha256(a, 64, salt, sizeof(salt), "ikm", 3, "info", 4);
	prim_hkdf_sha256(b, 64, hashed, sizeof(hashed), "ikm", 3, "info", 4);
	assert_memory_equal(a, b, 64);
	salt[99] ^= 1;
	prim_hkdf_sha256(b, 64, salt, sizeof(salt), "ikm", 3, "info", 4);
	assert_memory_not_equal(a, b, 64);
}

static void check_sha256(void)
{
	uint8_t in[400], key[32], want[32], got[32];

	for (size_t len = 0; len <= sizeof(in); len++) {
		struct sha s;
		size_t cut;

		random_bytes(in, len);
		cut = len ? rng_below(&seeded.rng, (uint32_t)len) : 0;
		crypto_hash_sha256(want, in, len);
		sha_init(&s);
		sha_update(&s, in, cut);
		sha_update(&s, in + cut, len - cut);
		sha_final(&s, got);
		assert_memory_equal(got, want, 32);
		memset(key, 0, sizeof(key));
		random_bytes(key, 16);
		crypto_auth_hmacsha256(want, in, len, key);
		prim_hmac_sha256_16(got, key, in, len);
		assert_memory_equal(got, want, 16);
	}
}

static void sha256_against_libsodium(void **state)
{
	void (*best)(uint32_t h[8], const uint8_t *in, size_t blocks) = compress;

	(void)state;
	check_sha256();
	compress = compress_portable;
	check_sha256();
	compress = best;
}

/* ---- AES, GCM-SIV ---- */

static void aes_ctr_published(void **state)
{
	uint8_t key[16], iv[16], buf[64];

	(void)state;
	/* SP 800-38A F.5.1 */
	unhex(key, 16, "2b7e151628aed2a6abf7158809cf4f3c");
	unhex(iv, 16, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
	unhex(buf, 64,
	      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
	      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
	prim_aes128_ctr(key, iv, buf, 64);
	assert_hex(buf, 64,
		   "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
		   "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee");
}

/* The counter is the low 64 bits: a carry out of the low 32 moves on, one out of all 64 is lost. */
static void aes_ctr_carries(void **state)
{
	static const struct {
		const char *iv, *second;
	} cases[] = {
		{ "000102030405060708090a0bffffffff", "000102030405060708090a0c00000000" },
		{ "000102030405060708090affffffffff", "000102030405060708090b0000000000" },
		{ "0001020304050607ffffffffffffffff", "00010203040506070000000000000000" },
		{ "000102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e10" },
	};
	uint8_t key[16], iv[16], long_run[40], short_run[24];

	(void)state;
	random_bytes(key, 16);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(long_run, 0, sizeof(long_run));
		memset(short_run, 0, sizeof(short_run));
		unhex(iv, 16, cases[i].iv);
		prim_aes128_ctr(key, iv, long_run, sizeof(long_run));
		unhex(iv, 16, cases[i].second);
		prim_aes128_ctr(key, iv, short_run, sizeof(short_run));
		assert_memory_equal(long_run + 16, short_run, sizeof(short_run));
		assert_memory_not_equal(long_run, short_run, 16);
	}
}

/* RFC 8452: C.2 (empty), C.3 (the counter wraps). */
static void gcmsiv_published(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 3 }, in[32] = { 0 }, out[48];

	(void)state;
	prim_gcmsiv_seal(out, key, nonce, in, 0);
	assert_hex(out, 16, "07f5f4169bbf55a8400cd47ea6fd400f");
	key[0] = 0;
	nonce[0] = 0;
	unhex(in, 32, "000000000000000000000000000000004db923dc793ee6497c76dcc03a98e108");
	prim_gcmsiv_seal(out, key, nonce, in, 32);
	assert_hex(out, 48,
		   "f3f80f2cf0cb2dd9c5984fcda908456cc537703b5ba70324a6793a7bf218d3eaffffffff00000000000000000"
		   "0000000");
	unhex(in, 24, "eb3640277c7ffd1303c7a542d02d3e4c0000000000000000");
	prim_gcmsiv_seal(out, key, nonce, in, 24);
	assert_hex(out, 40,
		   "18ce4f0b8cb4d0cac65fea8f79257b20888e53e72299e56dffffffff000000000000000000000000");
}

#define LONGEST 600

static void check_gcmsiv(uint8_t *digest)
{
	uint8_t key[32], nonce[12], plain[LONGEST], sealed[LONGEST + 16], in_place[LONGEST + 16],
		out[LONGEST];
	crypto_generichash_state h;

	rng_seeded_init(&seeded, 7);
	crypto_generichash_init(&h, NULL, 0, 32);
	for (size_t len = 0; len <= LONGEST; len += len < 70 ? 1 : 53) {
		random_bytes(key, 32);
		random_bytes(nonce, 12);
		random_bytes(plain, len);
		prim_gcmsiv_seal(sealed, key, nonce, plain, len);
		memcpy(in_place, plain, len);
		prim_gcmsiv_seal(in_place, key, nonce, in_place, len);
		assert_memory_equal(in_place, sealed, len + 16);
		assert_int_equal(prim_gcmsiv_open(out, key, nonce, sealed, len + 16), 0);
		assert_true(!len || !memcmp(out, plain, len));
		assert_int_equal(prim_gcmsiv_open(in_place, key, nonce, in_place, len + 16), 0);
		assert_true(!len || !memcmp(in_place, plain, len));
		crypto_generichash_update(&h, sealed, len + 16);
	}
	crypto_generichash_final(&h, digest, 32);
}

static void gcmsiv_both_ways(void **state)
{
	const br_block_ctr_class *best_aes = aes;
	br_ghash best_ghash = ghash;
	uint8_t fast[32], portable[32];

	(void)state;
	check_gcmsiv(fast);
	aes = &br_aes_ct64_ctr_vtable;
	ghash = br_ghash_ctmul64;
	check_gcmsiv(portable);
	aes = best_aes;
	ghash = best_ghash;
	assert_memory_equal(fast, portable, 32);
}

static void gcmsiv_refuses(void **state)
{
	static const uint8_t zeros[33];
	uint8_t key[32], nonce[12], plain[33], sealed[49], out[33];

	(void)state;
	random_bytes(key, 32);
	random_bytes(nonce, 12);
	random_bytes(plain, 33);
	prim_gcmsiv_seal(sealed, key, nonce, plain, 33);
	for (int i = 0; i < 49 * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
		memset(out, 0xff, sizeof(out));
		assert_int_equal(prim_gcmsiv_open(out, key, nonce, sealed, 49), SMX_ECRYPTO);
		assert_memory_equal(out, zeros, 33); /* nothing of the plaintext is left */
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < 49; len++)
		assert_int_equal(prim_gcmsiv_open(out, key, nonce, sealed, len), SMX_ECRYPTO);
	nonce[11] ^= 1;
	assert_int_equal(prim_gcmsiv_open(out, key, nonce, sealed, 49), SMX_ECRYPTO);
	nonce[11] ^= 1;
	key[31] ^= 0x80;
	assert_int_equal(prim_gcmsiv_open(out, key, nonce, sealed, 49), SMX_ECRYPTO);
}

/* ---- LIONESS, BLAKE3 ---- */

static void lioness_inverts(void **state)
{
	uint8_t key[192], block[300], plain[300], first[300];

	(void)state;
	random_bytes(key, sizeof(key));
	for (size_t len = 33; len <= 300; len += 17) {
		random_bytes(plain, len);
		memcpy(block, plain, len);
		prim_lioness_encrypt(key, block, len);
		memcpy(first, block, len);
		assert_memory_not_equal(block, plain, len);
		prim_lioness_decrypt(key, block, len);
		assert_memory_equal(block, plain, len);
		/* One bit anywhere changes the left part and the right part. */
		block[len - 1] ^= 1;
		prim_lioness_encrypt(key, block, len);
		assert_memory_not_equal(block, first, 32);
		if (len > 40)
			assert_memory_not_equal(block + 32, first + 32, len - 32);
	}
}

static void blake3_hkdf(void **state)
{
	uint8_t a[96], b[96], salt[32] = { 0 };

	(void)state;
	/* Absent salt is 32 zero bytes (spec nymsphinx.md 2.1), and shorter outputs are prefixes. */
	prim_hkdf_blake3(a, sizeof(a), NULL, 0, "ikm", 3);
	prim_hkdf_blake3(b, sizeof(b), salt, sizeof(salt), "ikm", 3);
	assert_memory_equal(a, b, sizeof(a));
	memset(b, 0, sizeof(b));
	prim_hkdf_blake3(b, 33, NULL, 0, "ikm", 3);
	assert_memory_equal(a, b, 33);
	assert_int_equal(b[33], 0);
	prim_hkdf_blake3(b, 32, NULL, 0, "ikn", 3);
	assert_memory_not_equal(a, b, 32);
}

/* ---- small things ---- */

static void compare_and_wipe(void **state)
{
	uint8_t a[16], b[16], zero[16] = { 0 };

	(void)state;
	random_bytes(a, 16);
	memcpy(b, a, 16);
	assert_true(prim_equal(a, b, 16));
	b[15] ^= 0x80;
	assert_false(prim_equal(a, b, 16));
	assert_true(prim_equal(a, b, 15));
	assert_true(prim_equal(a, b, 0));
	prim_wipe(a, 16);
	assert_memory_equal(a, zero, 16);
}

static void base64(void **state)
{
	static const char *const texts[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	static const char *const bad[] = { "Zg",   "Zg=",  "Zh==",     "Zm9=",	  "Zm9v\n",
					   "Zm9 ", "====", "Zg==Zg==", "Zm9vZm9", "Zm-_" };
	uint8_t bin[16];
	char text[16];

	(void)state;
	/* RFC 4648 10 */
	for (size_t n = 0; n <= 6; n++) {
		size_t len = strlen(texts[n]);

		assert_int_equal(prim_base64_encode(text, len + 1, (const uint8_t *)"foobar", n), (int)len);
		assert_string_equal(text, texts[n]);
		assert_int_equal(prim_base64_encode(text, len, (const uint8_t *)"foobar", n), SMX_ELIMIT);
		assert_int_equal(prim_base64_decode(bin, n, texts[n], len), (int)n);
		assert_memory_equal(bin, "foobar", n);
		if (n)
			assert_int_equal(prim_base64_decode(bin, n - 1, texts[n], len), SMX_EPROTO);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(prim_base64_decode(bin, sizeof(bin), bad[i], strlen(bad[i])), SMX_EPROTO);
	assert_int_equal(prim_base64_encode(text, sizeof(text), bin, SIZE_MAX), SMX_ELIMIT);
}

static int setup(void **state)
{
	(void)state;
	rng_seeded_init(&seeded, 1);
	/* prim_init() starts the copies included here. */
	return prim_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x25519_published),
		cmocka_unit_test(x25519_small_order),
		cmocka_unit_test(product_is_two_multiplications),
		cmocka_unit_test(product_out_of_range),
		cmocka_unit_test(ed25519_published),
		cmocka_unit_test(ed25519_validity),
		cmocka_unit_test(hkdf_published),
		cmocka_unit_test(hkdf_long_salt),
		cmocka_unit_test(sha256_against_libsodium),
		cmocka_unit_test(aes_ctr_published),
		cmocka_unit_test(aes_ctr_carries),
		cmocka_unit_test(gcmsiv_published),
		cmocka_unit_test(gcmsiv_both_ways),
		cmocka_unit_test(gcmsiv_refuses),
		cmocka_unit_test(lioness_inverts),
		cmocka_unit_test(blake3_hkdf),
		cmocka_unit_test(compare_and_wipe),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
