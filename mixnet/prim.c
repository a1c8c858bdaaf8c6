/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primitives over libsodium: curve, signatures, BLAKE2b, ChaCha20, LIONESS, base64.
 *
 * Theory of operation. Each function fixes the parameters which the protocols use (spec sphinx.md 4,
 * gateway.md 4), so that callers cannot pass a wrong nonce, counter or digest length. What is built over
 * BearSSL's AES stands in prim_gcmsiv.c, the SHA-256 family in prim_sha256.c, BLAKE3 in prim_blake3.c.
 *
 * Limits. LIONESS blocks are longer than 32 bytes: asserted, callers check lengths from the network. Called
 * by all engines, on any thread after prim_init().
 */
#include "mixnet/prim.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/prim_int.h"

int prim_init(void)
{
	if (sodium_init() < 0)
		return SMX_ECRYPTO;
	prim_aes_init();
	prim_sha256_init();
	return 0;
}

void prim_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

bool prim_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

/* ---- curve ---- */

int prim_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32])
{
	uint8_t shared[32];

	if (crypto_scalarmult_curve25519(shared, scalar, point)) {
		sodium_memzero(shared, sizeof(shared));
		return SMX_ECRYPTO;
	}
	memcpy(out, shared, 32);
	sodium_memzero(shared, sizeof(shared));
	return 0;
}

void prim_x25519_base(uint8_t out[32], const uint8_t scalar[32])
{
	crypto_scalarmult_curve25519_base(out, scalar);
}

static void clamp(uint8_t out[32], const uint8_t scalar[32])
{
	memcpy(out, scalar, 32);
	out[0] &= 0xf8;
	out[31] = (uint8_t)((out[31] & 0x7f) | 0x40);
}

/* out = in shifted by three bits: >> takes a clamped scalar to its eighth, << takes it back. */
static void eighth(uint8_t out[32], const uint8_t in[32])
{
	for (int i = 0; i < 31; i++)
		out[i] = (uint8_t)(in[i] >> 3 | in[i + 1] << 5);
	out[31] = in[31] >> 3;
}

static void times_eight(uint8_t out[32], const uint8_t in[32])
{
	for (int i = 31; i > 0; i--)
		out[i] = (uint8_t)(in[i] << 3 | in[i - 1] >> 5);
	out[0] = (uint8_t)(in[0] << 3);
}

/*
 * With a and b clamped (multiples of 8), a*b*P depends only on a*b modulo 8l, where l is the prime order of
 * the main subgroup: the factor 8 kills what P has of small order. Let t = (a/8)*b mod l; then 8t stands for
 * a*b. The clamped scalars are the multiples of 8 in [2^254, 2^255), and 8l is a little more than 2^255: when
 * 8t is too small, 8(l - t) = -8t is in range, and -P has the u-coordinate of P. Neither fits only for t
 * within 2^125 of 0 or of l, which no one will meet in 2^126 tries.
 *
 * This is not the scalar arithmetic that spec sphinx.md 4 (pitfall 1) warns of: the result is used through
 * clamped X25519 only and gives the same bytes. The top bit is looked at without a branch.
 */
int prim_x25519_product(uint8_t out[32], const uint8_t a[32], const uint8_t b[32])
{
	uint8_t ca[32], cb[32], t[32], minus_t[32];
	uint8_t keep;
	int err = 0;

	clamp(ca, a);
	clamp(cb, b);
	eighth(ca, ca);
	crypto_core_ed25519_scalar_mul(t, ca, cb);
	crypto_core_ed25519_scalar_negate(minus_t, t);
	keep = (uint8_t)(0 - (t[31] >> 3 & 1)); /* all ones when t >= 2^251, so 8t >= 2^254 */
	for (int i = 0; i < 32; i++)
		t[i] = (uint8_t)((t[i] & keep) | (minus_t[i] & ~keep));
	if ((t[31] & 0xf8) != 0x08)
		err = SMX_ECRYPTO;
	else
		times_eight(out, t);
	sodium_memzero(ca, sizeof(ca));
	sodium_memzero(cb, sizeof(cb));
	sodium_memzero(t, sizeof(t));
	sodium_memzero(minus_t, sizeof(minus_t));
	return err;
}

void prim_ed25519_keypair(uint8_t pk[32], uint8_t sk[64], const uint8_t seed[32])
{
	crypto_sign_seed_keypair(pk, sk, seed);
}

void prim_ed25519_sign(uint8_t sig[64], const void *msg, size_t len, const uint8_t sk[64])
{
	crypto_sign_detached(sig, NULL, msg, len, sk);
}

int prim_ed25519_verify(const uint8_t sig[64], const void *msg, size_t len, const uint8_t pk[32])
{
	return crypto_sign_verify_detached(sig, msg, len, pk) ? SMX_ECRYPTO : 0;
}

bool prim_ed25519_valid(const uint8_t pk[32])
{
	uint8_t sum[32];

	/* Addition decompresses and checks the curve equation, and nothing else; the "valid point" function
	 * also refuses small order. */
	return crypto_core_ed25519_add(sum, pk, pk) == 0;
}

/* ---- BLAKE2b, ChaCha20, LIONESS ---- */

void prim_blake2b_keyed(uint8_t out[32], const uint8_t key[64], const void *in, size_t len)
{
	crypto_generichash(out, 32, in, len, key, 64);
}

void prim_chacha20(const uint8_t key[32], uint8_t *buf, size_t len)
{
	static const uint8_t nonce[8];

	crypto_stream_chacha20_xor(buf, buf, len, nonce, key);
}

/* R = S(L xor key, R) */
static void lioness_stream(const uint8_t key[32], uint8_t *buf, size_t len)
{
	uint8_t k[32];

	for (int i = 0; i < 32; i++)
		k[i] = buf[i] ^ key[i];
	prim_chacha20(k, buf + 32, len - 32);
	sodium_memzero(k, sizeof(k));
}

/* L = L xor H(key, R) */
static void lioness_hash(const uint8_t key[64], uint8_t *buf, size_t len)
{
	uint8_t h[32];

	prim_blake2b_keyed(h, key, buf + 32, len - 32);
	for (int i = 0; i < 32; i++)
		buf[i] ^= h[i];
	sodium_memzero(h, sizeof(h));
}

/* SPEC sphinx.md 9: raw key = k1(32) || k2(64) || k3(32) || k4(64). */
void prim_lioness_encrypt(const uint8_t key[192], uint8_t *buf, size_t len)
{
	assert(len > 32);
	lioness_stream(key, buf, len);
	lioness_hash(key + 32, buf, len);
	lioness_stream(key + 96, buf, len);
	lioness_hash(key + 128, buf, len);
}

void prim_lioness_decrypt(const uint8_t key[192], uint8_t *buf, size_t len)
{
	assert(len > 32);
	lioness_hash(key + 128, buf, len);
	lioness_stream(key + 96, buf, len);
	lioness_hash(key + 32, buf, len);
	lioness_stream(key, buf, len);
}

/* ---- base64 ---- */

int prim_base64_encode(char *out, size_t cap, const uint8_t *in, size_t len)
{
	/* The size check is ours: libsodium ends the process when the text does not fit. */
	if (len > INT32_MAX / 2 || cap < sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL))
		return SMX_ELIMIT;
	sodium_bin2base64(out, cap, in, len, sodium_base64_VARIANT_ORIGINAL);
	return (int)sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL) - 1;
}

int prim_base64_decode(uint8_t *out, size_t cap, const char *in, size_t len)
{
	size_t n;

	if (len > INT32_MAX || len % 4)
		return SMX_EPROTO;
	/* Without an end pointer the whole text must be valid, with its padding and zero unused bits. */
	if (sodium_base642bin(out, cap, in, len, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		return SMX_EPROTO;
	return (int)n;
}
