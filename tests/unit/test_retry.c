/* SPDX-License-Identifier: Apache-2.0 */
/* How long after it is back a lost gateway is found, and how often one that is away is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mixnet/retry.h"

#define T0 (1000 * US_PER_S)

/* The link is lost after it was up for up_us, its gateway is back away_us later. Returns how long after that
 * it is found. */
static uint64_t found_after(uint64_t up_us, uint64_t away_us, unsigned *tries)
{
	struct retry r = { 0 };
	uint64_t now = T0;

	retry_up(&r, now - up_us);
	for (*tries = 1; (now += retry_lost(&r, now, false)) < T0 + away_us; ++*tries)
		;
	return now - T0 - away_us;
}

static void a_link_that_held_is_opened_again_at_once(void **state)
{
	unsigned tries;

	(void)state;
	assert_int_equal(found_after(60 * US_PER_S, 0, &tries), 0);
	assert_int_equal(tries, 1);
}

static void a_restart_is_found_soon(void **state)
{
	unsigned tries;

	(void)state;
	for (uint64_t away = US_PER_S / 2; away <= 20 * US_PER_S; away += US_PER_S / 2)
		assert_true(found_after(60 * US_PER_S, away, &tries) <= US_PER_S);
	for (uint64_t away = 20 * US_PER_S; away <= 60 * US_PER_S; away += US_PER_S / 2)
		assert_true(found_after(60 * US_PER_S, away, &tries) <= 3 * US_PER_S);
	found_after(60 * US_PER_S, 600 * US_PER_S, &tries);
	assert_in_range(tries, 2, 100);
}

static void a_long_outage_costs_two_tries_a_minute(void **state)
{
	unsigned hour, two;

	(void)state;
	found_after(60 * US_PER_S, 3600 * US_PER_S, &hour);
	found_after(60 * US_PER_S, 7200 * US_PER_S, &two);
	assert_in_range(two - hour, 119, 121);
}

static void a_link_that_breaks_at_once_is_no_busy_loop(void **state)
{
	struct retry r = { 0 };
	uint64_t now = T0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		retry_up(&r, now);
		now += US_PER_S / 10;
		assert_int_equal(retry_lost(&r, now, false), US_PER_S);
	}
}

static void who_refuses_is_asked_less_and_less(void **state)
{
	static const unsigned s[] = { 1, 2, 5, 10, 30, 30 };
	struct retry r = { 0 };

	(void)state;
	retry_up(&r, T0);
	assert_int_equal(retry_lost(&r, T0 + 60 * US_PER_S, false), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(retry_lost(&r, T0 + 61 * US_PER_S, true), s[i] * US_PER_S);
	retry_up(&r, T0 + 200 * US_PER_S);
	assert_int_equal(retry_lost(&r, T0 + 201 * US_PER_S, true), US_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_held_is_opened_again_at_once),
		cmocka_unit_test(a_restart_is_found_soon),
		cmocka_unit_test(a_long_outage_costs_two_tries_a_minute),
		cmocka_unit_test(a_link_that_breaks_at_once_is_no_busy_loop),
		cmocka_unit_test(who_refuses_is_asked_less_and_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
