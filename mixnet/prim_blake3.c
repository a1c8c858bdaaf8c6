/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE3 of a single chunk, and HMAC and HKDF over it.
 *
 * Theory of operation. The protocols hash a few dozen bytes with BLAKE3 in its default mode (spec
 * nymsphinx.md 2, gateway.md 4.1), so the tree above chunks, keyed mode and extended output are left out. A
 * chunk of up to 1024 bytes is a chain of 64-byte blocks: the first has flag CHUNK_START, the last CHUNK_END
 * and ROOT, and the first half of its output is the digest. The last block is compressed at the end only,
 * since before that nobody knows that it is the last.
 *
 * HMAC is RFC 2104 over this hash with 64-byte blocks (not BLAKE3's keyed mode); HKDF is RFC 5869 with empty
 * info.
 *
 * Limits. 1024 bytes of input, HMAC's key block included: asserted, since all lengths are ours.
 */
#include "mixnet/prim.h"

#include <assert.h>
#include <string.h>

#define BLOCK 64
#define CHUNK 1024

enum { CHUNK_START = 1, CHUNK_END = 2, ROOT = 8 };

struct hash {
	uint32_t cv[8];
	uint8_t block[BLOCK];
	size_t fill;
	size_t total;
};

static const uint32_t iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static const uint8_t permutation[16] = { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 };

static uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void mix(uint32_t v[16], int a, int b, int c, int d, uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotr(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotr(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 7);
}

static void seven_rounds(uint32_t v[16], uint32_t m[16])
{
	for (int round = 0; round < 7; round++) {
		uint32_t next[16];

		mix(v, 0, 4, 8, 12, m[0], m[1]);
		mix(v, 1, 5, 9, 13, m[2], m[3]);
		mix(v, 2, 6, 10, 14, m[4], m[5]);
		mix(v, 3, 7, 11, 15, m[6], m[7]);
		mix(v, 0, 5, 10, 15, m[8], m[9]);
		mix(v, 1, 6, 11, 12, m[10], m[11]);
		mix(v, 2, 7, 8, 13, m[12], m[13]);
		mix(v, 3, 4, 9, 14, m[14], m[15]);
		for (int i = 0; i < 16; i++)
			next[i] = m[permutation[i]];
		memcpy(m, next, sizeof(next));
		prim_wipe(next, sizeof(next));
	}
}

/* The chunk counter is 0 in the only chunk there is. */
static void compress(uint32_t cv[8], const uint8_t block[BLOCK], size_t len, uint32_t flags)
{
	uint32_t m[16], v[16];

	for (int i = 0; i < 16; i++)
		m[i] = (uint32_t)block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
		       (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
	memcpy(v, cv, 32);
	memcpy(v + 8, iv, 16);
	v[12] = 0;
	v[13] = 0;
	v[14] = (uint32_t)len;
	v[15] = flags;
	seven_rounds(v, m);
	for (int i = 0; i < 8; i++)
		cv[i] = v[i] ^ v[i + 8];
	prim_wipe(m, sizeof(m));
	prim_wipe(v, sizeof(v));
}

static void hash_init(struct hash *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->cv, iv, sizeof(iv));
}

static uint32_t start_flag(const struct hash *h)
{
	return h->total - h->fill ? 0 : CHUNK_START;
}

static void hash_update(struct hash *h, const void *in, size_t len)
{
	const uint8_t *p = in;

	assert(len <= CHUNK - h->total);
	while (len) {
		size_t n = BLOCK - h->fill;

		if (!n) {
			compress(h->cv, h->block, BLOCK, start_flag(h));
			memset(h->block, 0, BLOCK);
			h->fill = 0;
			continue;
		}
		if (n > len)
			n = len;
		memcpy(h->block + h->fill, p, n);
		h->fill += n;
		h->total += n;
		p += n;
		len -= n;
	}
}

static void hash_final(struct hash *h, uint8_t out[32])
{
	compress(h->cv, h->block, h->fill, start_flag(h) | CHUNK_END | ROOT);
	for (int i = 0; i < 32; i++)
		out[i] = (uint8_t)(h->cv[i / 4] >> 8 * (i % 4));
	prim_wipe(h, sizeof(*h));
}

void prim_blake3(uint8_t out[32], const void *in, size_t len)
{
	struct hash h;

	hash_init(&h);
	hash_update(&h, in, len);
	hash_final(&h, out);
}

/* The message is two pieces: RFC 5869 appends a counter. */
static void hmac(uint8_t out[32], const void *key, size_t key_len, const void *msg, size_t len,
		 const void *more, size_t more_len)
{
	uint8_t pad[BLOCK] = { 0 }, inner[32];
	struct hash h;

	if (key_len > BLOCK)
		prim_blake3(pad, key, key_len);
	else if (key_len)
		memcpy(pad, key, key_len);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	hash_init(&h);
	hash_update(&h, pad, BLOCK);
	hash_update(&h, msg, len);
	hash_update(&h, more, more_len);
	hash_final(&h, inner);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_init(&h);
	hash_update(&h, pad, BLOCK);
	hash_update(&h, inner, sizeof(inner));
	hash_final(&h, out);
	prim_wipe(pad, sizeof(pad));
	prim_wipe(inner, sizeof(inner));
}

void prim_hkdf_blake3(uint8_t *out, size_t out_len, const void *salt, size_t salt_len, const void *ikm,
		      size_t ikm_len)
{
	uint8_t prk[32], block[32];

	assert(out_len <= 255 * sizeof(block));
	hmac(prk, salt, salt_len, ikm, ikm_len, NULL, 0);
	for (uint8_t i = 1; out_len; i++) {
		size_t n = out_len < sizeof(block) ? out_len : sizeof(block);

		hmac(block, prk, sizeof(prk), block, i > 1 ? sizeof(block) : 0, &i, 1);
		memcpy(out, block, n);
		out += n;
		out_len -= n;
	}
	prim_wipe(prk, sizeof(prk));
	prim_wipe(block, sizeof(block));
}
