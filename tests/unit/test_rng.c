/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness: repeatable when seeded, unbiased below a bound, exponential with the right
 * mean and variance. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

static void seeded_repeats(void **state)
{
	struct rng_seeded a, b;
	uint8_t x[21], y[21];

	(void)state;
	rng_seeded_init(&a, 1);
	rng_seeded_init(&b, 1);
	rng_fill(&a.rng, x, sizeof(x));
	rng_fill(&b.rng, y, sizeof(y));
	assert_memory_equal(x, y, sizeof(x));
	rng_seeded_init(&b, 2);
	rng_fill(&b.rng, y, sizeof(y));
	assert_memory_not_equal(x, y, sizeof(x));
	assert_true(rng_u64(rng_system()) != rng_u64(rng_system()));
}

static void below_is_even(void **state)
{
	struct rng_seeded r;
	unsigned count[7] = { 0 };

	(void)state;
	rng_seeded_init(&r, 3);
	for (int i = 0; i < 70000; i++)
		count[rng_below(&r.rng, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(count[i], 9600, 10400);
	assert_int_equal(rng_below(&r.rng, 1), 0);
}

static void exponential(void **state)
{
	struct rng_seeded r;
	double sum = 0, squares = 0, n = 200000;

	(void)state;
	rng_seeded_init(&r, 4);
	assert_int_equal(rng_exp(&r.rng, 0), 0);
	for (int i = 0; i < (int)n; i++) {
		double v = (double)rng_exp(&r.rng, 20000);

		sum += v;
		squares += v * v;
	}
	assert_true(sum / n > 19800 && sum / n < 20200);
	assert_true(squares / n - sum / n * sum / n > 0.97 * 4e8);
	assert_true(squares / n - sum / n * sum / n < 1.03 * 4e8);
}

struct asked {
	struct rng rng;
	struct rng_seeded from;
	unsigned times;
};

static void asked_fill(struct rng *r, void *buf, size_t len)
{
	struct asked *a = (struct asked *)r;

	a->times++;
	rng_fill(&a->from.rng, buf, len);
}

/* The same bytes in the same order, each once, whatever the sizes; asked for 512 at a time, and gone from the
 * buffer once they were drawn. */
static void ahead(void **state)
{
	static const size_t draws[] = { 1, 4, 8, 32, 511, 512, 0, 1300, 8, 7 };
	uint8_t want[4 * RNG_AHEAD + RNG_AHEAD], got[sizeof(want)];
	struct asked from = { .rng = { asked_fill } };
	struct rng_seeded same;
	struct rng_ahead r;
	size_t at = 0;

	(void)state;
	rng_seeded_init(&from.from, 5);
	rng_seeded_init(&same, 5);
	rng_fill(&same.rng, want, sizeof(want));
	rng_ahead_init(&r, &from.rng);
	assert_int_equal(from.times, 0);
	for (size_t i = 0; i < sizeof(draws) / sizeof(draws[0]); i++) {
		rng_fill(&r.rng, got + at, draws[i]);
		at += draws[i];
	}
	assert_memory_equal(got, want, at);
	assert_int_equal(from.times, (at + RNG_AHEAD - 1) / RNG_AHEAD);
	for (size_t i = 0; i < sizeof(r.buf) - r.left; i++)
		assert_int_equal(r.buf[i], 0);
	assert_memory_equal(r.buf + sizeof(r.buf) - r.left, want + at, r.left);
	assert_true(r.left);
}

static void clocks(void **state)
{
	struct clock_fake f;
	struct clock *s = clock_system();

	(void)state;
	clock_fake_init(&f, 5, 1000);
	assert_int_equal(f.clock.now_us(&f.clock), 5);
	f.us = 3 * US_PER_S;
	assert_int_equal(f.clock.wall_s(&f.clock), 1003);
	assert_true(s->now_us(s) <= s->now_us(s));
	assert_true(s->wall_s(s) > 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(seeded_repeats), cmocka_unit_test(below_is_even),
					    cmocka_unit_test(exponential), cmocka_unit_test(ahead),
					    cmocka_unit_test(clocks) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
