/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness. The seeded generator is xoshiro256** (Blackman and Vigna, public domain algorithm), its state
 * filled by splitmix64.
 */
#include "base/rng.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/list.h"

static void system_fill(struct rng *r, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)r;
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		len -= (size_t)n;
	}
}

struct rng *rng_system(void)
{
	static struct rng r = { system_fill };

	return &r;
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t xoshiro(uint64_t s[4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

static void seeded_fill(struct rng *r, void *buf, size_t len)
{
	struct rng_seeded *q = container_of(r, struct rng_seeded, rng);
	uint8_t *p = buf;

	while (len) {
		uint64_t v = xoshiro(q->s);
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(p, &v, n);
		p += n;
		len -= n;
	}
}

void rng_seeded_init(struct rng_seeded *r, uint64_t seed)
{
	r->rng.fill = seeded_fill;
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		r->s[i] = z ^ z >> 31;
	}
}

static void ahead_fill(struct rng *r, void *buf, size_t len)
{
	struct rng_ahead *a = container_of(r, struct rng_ahead, rng);
	uint8_t *p = buf, *next;
	size_t n;

	for (; len; p += n, len -= n) {
		if (!a->left) {
			rng_fill(a->from, a->buf, sizeof(a->buf));
			a->left = sizeof(a->buf);
		}
		n = len < a->left ? len : a->left;
		next = a->buf + sizeof(a->buf) - a->left;
		memcpy(p, next, n);
		explicit_bzero(next, n);
		a->left -= n;
	}
}

void rng_ahead_init(struct rng_ahead *r, struct rng *from)
{
	r->rng.fill = ahead_fill;
	r->from = from;
	r->left = 0;
}

void rng_fill(struct rng *r, void *buf, size_t len)
{
	r->fill(r, buf, len);
}

uint32_t rng_u32(struct rng *r)
{
	uint32_t v;

	rng_fill(r, &v, sizeof(v));
	return v;
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t v;

	rng_fill(r, &v, sizeof(v));
	return v;
}

uint32_t rng_below(struct rng *r, uint32_t bound)
{
	uint32_t limit = UINT32_MAX - UINT32_MAX % bound, v;

	do
		v = rng_u32(r);
	while (v >= limit);
	return v % bound;
}

uint64_t rng_exp(struct rng *r, uint64_t mean)
{
	double u;

	if (!mean)
		return 0;
	u = ((double)(rng_u64(r) >> 11) + 1) * 0x1p-53; /* (0, 1] */
	return (uint64_t)llround(-(double)mean * log(u));
}
