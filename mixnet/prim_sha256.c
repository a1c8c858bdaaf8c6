/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 with the CPU's instructions where it has them, and HMAC and HKDF over it.
 *
 * Theory of operation. A Sphinx hop costs about 70 SHA-256 blocks, nearly all in HKDF (spec sphinx.md 5).
 * Neither libsodium nor BearSSL uses the SHA instructions of x86: measured, HKDF and HMAC took 28 us of a hop
 * where the two multiplications on the curve took 80, and take 8 us here. Hence this file; the portable
 * function serves all other CPUs.
 *
 * HMAC keeps the states after its two key blocks, so that HKDF hashes the key once for all of its blocks.
 *
 * Limits. HKDF gives at most 255 blocks (RFC 5869), asserted, since lengths are ours. Callers: sphinx,
 * through prim.h.
 */
#include "mixnet/prim.h"

#include <assert.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "mixnet/prim_int.h"

#define BLOCK 64
#define DIGEST 32

static const uint32_t round_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct sha {
	uint32_t h[8];
	uint8_t block[BLOCK];
	size_t fill;
	uint64_t total;
};

/* ---- one block ---- */

static uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void expand_words(uint32_t w[64], const uint8_t *in)
{
	for (int i = 0; i < 16; i++)
		w[i] = get_be32(in + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
}

static void compress_portable(uint32_t h[8], const uint8_t *in, size_t blocks)
{
	uint32_t w[64], v[8];

	for (; blocks; blocks--, in += BLOCK) {
		expand_words(w, in);
		memcpy(v, h, sizeof(v));
		for (int i = 0; i < 64; i++) {
			uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
			uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
			uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_k[i] + w[i];
			uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

			memmove(v + 1, v, 7 * sizeof(v[0]));
			v[4] += t1;
			v[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += v[i];
	}
	prim_wipe(w, sizeof(w));
	prim_wipe(v, sizeof(v));
}

static void (*compress)(uint32_t h[8], const uint8_t *in, size_t blocks) = compress_portable;

#ifdef __x86_64__

#define SHA_CPU __attribute__((target("sha,sse4.1")))

/* Four rounds. The instruction does two and swaps the halves of the state. */
SHA_CPU static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w, int round)
{
	__m128i wk = _mm_add_epi32(w, _mm_loadu_si128((const __m128i *)(const void *)(round_k + round)));

	*cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, wk);
	*abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* The four words that follow the sixteen in a b c d. */
SHA_CPU static inline __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));

	return _mm_sha256msg2_epu32(sum, d);
}

SHA_CPU static inline __m128i load_words(const uint8_t *in)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)in), swap);
}

SHA_CPU static void compress_x86(uint32_t h[8], const uint8_t *in, size_t blocks)
{
	__m128i abef = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]);
	__m128i cdgh = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]);

	for (; blocks; blocks--, in += BLOCK) {
		const __m128i abef0 = abef, cdgh0 = cdgh;
		__m128i a = load_words(in), b = load_words(in + 16), c = load_words(in + 32),
			d = load_words(in + 48);

		for (int round = 0; round < 64; round += 16) {
			four_rounds(&abef, &cdgh, a, round);
			four_rounds(&abef, &cdgh, b, round + 4);
			four_rounds(&abef, &cdgh, c, round + 8);
			four_rounds(&abef, &cdgh, d, round + 12);
			a = next_words(a, b, c, d);
			b = next_words(b, c, d, a);
			c = next_words(c, d, a, b);
			d = next_words(d, a, b, c);
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	h[0] = (uint32_t)_mm_extract_epi32(abef, 3);
	h[1] = (uint32_t)_mm_extract_epi32(abef, 2);
	h[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
	h[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
	h[4] = (uint32_t)_mm_extract_epi32(abef, 1);
	h[5] = (uint32_t)_mm_extract_epi32(abef, 0);
	h[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
	h[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}

void prim_sha256_init(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
		return;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA))
		compress = compress_x86;
}

#else

void prim_sha256_init(void)
{
}

#endif

/* ---- the hash ---- */

static void sha_init(struct sha *s)
{
	static const uint32_t iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(s->h, iv, sizeof(iv));
	s->fill = 0;
	s->total = 0;
}

static void sha_update(struct sha *s, const void *in, size_t len)
{
	const uint8_t *p = in;

	s->total += len;
	while (len) {
		size_t n = BLOCK - s->fill;

		if (!s->fill && len >= BLOCK) {
			n = len - len % BLOCK;
			compress(s->h, p, n / BLOCK);
		} else {
			n = n < len ? n : len;
			memcpy(s->block + s->fill, p, n);
			s->fill += n;
			if (s->fill == BLOCK) {
				compress(s->h, s->block, 1);
				s->fill = 0;
			}
		}
		p += n;
		len -= n;
	}
}

static void sha_final(struct sha *s, uint8_t out[DIGEST])
{
	s->block[s->fill++] = 0x80;
	if (s->fill > BLOCK - 8) {
		memset(s->block + s->fill, 0, BLOCK - s->fill);
		compress(s->h, s->block, 1);
		s->fill = 0;
	}
	memset(s->block + s->fill, 0, BLOCK - 8 - s->fill);
	put_be32(s->block + BLOCK - 8, (uint32_t)(s->total >> 29));
	put_be32(s->block + BLOCK - 4, (uint32_t)(s->total << 3));
	compress(s->h, s->block, 1);
	for (int i = 0; i < 8; i++)
		put_be32(out + 4 * i, s->h[i]);
}

/* ---- HMAC, HKDF ---- */

/* Hash states behind the inner and the outer key block. */
struct hmac {
	uint32_t inner[8], outer[8];
};

static void hmac_key(struct hmac *k, const void *key, size_t len)
{
	uint8_t pad[BLOCK] = { 0 };
	struct sha s;

	sha_init(&s);
	memcpy(k->inner, s.h, sizeof(s.h));
	memcpy(k->outer, s.h, sizeof(s.h));
	if (len > BLOCK) {
		sha_update(&s, key, len);
		sha_final(&s, pad);
	} else if (len) {
		memcpy(pad, key, len);
	}
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	compress(k->inner, pad, 1);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	compress(k->outer, pad, 1);
	prim_wipe(pad, sizeof(pad));
	prim_wipe(&s, sizeof(s));
}

static void hmac_start(const struct hmac *k, struct sha *s)
{
	memcpy(s->h, k->inner, sizeof(s->h));
	s->fill = 0;
	s->total = BLOCK;
}

static void hmac_end(const struct hmac *k, struct sha *s, uint8_t out[DIGEST])
{
	uint8_t inner[DIGEST];

	sha_final(s, inner);
	memcpy(s->h, k->outer, sizeof(s->h));
	s->fill = 0;
	s->total = BLOCK;
	sha_update(s, inner, sizeof(inner));
	sha_final(s, out);
	prim_wipe(inner, sizeof(inner));
}

void prim_hmac_sha256_16(uint8_t out[16], const uint8_t key[16], const void *msg, size_t len)
{
	uint8_t mac[DIGEST];
	struct hmac k;
	struct sha s;

	hmac_key(&k, key, 16);
	hmac_start(&k, &s);
	sha_update(&s, msg, len);
	hmac_end(&k, &s, mac);
	memcpy(out, mac, 16);
	prim_wipe(&k, sizeof(k));
	prim_wipe(&s, sizeof(s));
	prim_wipe(mac, sizeof(mac));
}

void prim_hkdf_sha256(uint8_t *out, size_t out_len, const void *salt, size_t salt_len, const void *ikm,
		      size_t ikm_len, const void *info, size_t info_len)
{
	uint8_t block[DIGEST];
	struct hmac k;
	struct sha s;

	assert(out_len <= 255 * sizeof(block));
	hmac_key(&k, salt, salt_len);
	hmac_start(&k, &s);
	sha_update(&s, ikm, ikm_len);
	hmac_end(&k, &s, block);
	hmac_key(&k, block, sizeof(block));
	for (uint8_t i = 1; out_len; i++) {
		size_t n = out_len < sizeof(block) ? out_len : sizeof(block);

		hmac_start(&k, &s);
		sha_update(&s, block, i > 1 ? sizeof(block) : 0);
		sha_update(&s, info, info_len);
		sha_update(&s, &i, 1);
		hmac_end(&k, &s, block);
		memcpy(out, block, n);
		out += n;
		out_len -= n;
	}
	prim_wipe(&k, sizeof(k));
	prim_wipe(&s, sizeof(s));
	prim_wipe(block, sizeof(block));
}
