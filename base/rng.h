/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness behind one pointer. rng_system() is getrandom(2) (aborts when the kernel has none: there is no
 * safe way on). The seeded one is for tests and simulations only and MUST NOT be used for keys outside them.
 * rng_ahead asks another one for many bytes at a time, for whoever draws thousands of numbers a second: of
 * one thread, and not after fork(), where parent and child would draw the same. What was drawn is wiped in
 * it, the rest by its owner.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(struct rng *r, void *buf, size_t len);
};

struct rng_seeded {
	struct rng rng;
	uint64_t s[4]; /* xoshiro256** */
};

#define RNG_AHEAD 512 /* bytes */

struct rng_ahead {
	struct rng rng;
	struct rng *from;
	size_t left;
	uint8_t buf[RNG_AHEAD]; /* the last `left` ones, zeros before them */
};

struct rng *rng_system(void);
void rng_seeded_init(struct rng_seeded *r, uint64_t seed);
void rng_ahead_init(struct rng_ahead *r, struct rng *from);

void rng_fill(struct rng *r, void *buf, size_t len);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, bound), without bias; bound > 0. */
uint32_t rng_below(struct rng *r, uint32_t bound);
/* Exponential with the given mean, rounded to integer; mean 0 gives 0 (traffic.md 2.2: -mean * ln(u), u in
 * (0,1]). */
uint64_t rng_exp(struct rng *r, uint64_t mean);

#endif
