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

struct outage {
	bool refuses, directory; /* the gateway answers; the directory does, when asked */
	uint64_t back_us;	 /* our own network, and with it the directory; 0: there */
	bool found;		 /* the gateway, as soon as our network is back */
};

/* The link is lost at T0 and tried again for an hour. Returns after how long it counts as gone; 0: never. */
static uint64_t gone_after(const struct outage *o)
{
	struct retry r = { 0 };
	uint64_t now = T0, asked_us = 0;

	retry_up(&r, now - 60 * US_PER_S);
	while (now < T0 + 3600 * US_PER_S) {
		now += retry_lost(&r, now, o->refuses && now != T0);
		if (asked_us && asked_us <= now && o->directory && asked_us >= T0 + o->back_us)
			retry_answered(&r, asked_us);
		retry_begin(&r, now);
		if (o->found && now >= T0 + o->back_us)
			return 0;
		now += US_PER_S / 10;
		if (retry_gone(&r, now))
			return now - T0;
		asked_us = retry_doubtful(&r, now) ? now + US_PER_S / 2 : 0;
	}
	return 0;
}

static void a_gateway_is_gone_after_a_minute(void **state)
{
	const struct outage silent = { .directory = true }, refuses = { .refuses = true };

	(void)state;
	assert_in_range(gone_after(&silent), 60 * US_PER_S, 70 * US_PER_S);
	assert_in_range(gone_after(&refuses), 60 * US_PER_S, 90 * US_PER_S);
}

static void our_own_network_is_no_gateway(void **state)
{
	struct outage o = { 0 };

	(void)state;
	assert_int_equal(gone_after(&o), 0);
	o = (struct outage){ .directory = true, .found = true };
	for (o.back_us = US_PER_S; o.back_us < 600 * US_PER_S; o.back_us += US_PER_S / 3)
		assert_int_equal(gone_after(&o), 0);
	o = (struct outage){ .directory = true, .back_us = 600 * US_PER_S };
	assert_in_range(gone_after(&o), 600 * US_PER_S, 700 * US_PER_S);
}

/* What the directory said before the minute was over says nothing about now. */
static void an_answer_counts_for_later_attempts(void **state)
{
	struct retry r = { 0 };

	(void)state;
	retry_up(&r, T0 - 60 * US_PER_S);
	retry_lost(&r, T0, false);
	retry_answered(&r, T0 + 10 * US_PER_S);
	retry_begin(&r, T0 + 59 * US_PER_S);
	retry_lost(&r, T0 + 61 * US_PER_S, false);
	assert_true(retry_doubtful(&r, T0 + 61 * US_PER_S));
	assert_false(retry_gone(&r, T0 + 61 * US_PER_S));
	retry_begin(&r, T0 + 62 * US_PER_S);
	retry_answered(&r, T0 + 63 * US_PER_S);
	retry_lost(&r, T0 + 64 * US_PER_S, false);
	assert_false(retry_gone(&r, T0 + 64 * US_PER_S));
	retry_begin(&r, T0 + 65 * US_PER_S);
	retry_lost(&r, T0 + 66 * US_PER_S, false);
	assert_true(retry_gone(&r, T0 + 66 * US_PER_S));
	retry_up(&r, T0 + 70 * US_PER_S);
	assert_false(retry_long(&r, T0 + 200 * US_PER_S));
}

static void an_unlisted_one_is_kept_while_it_serves(void **state)
{
	struct retry r = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_false(retry_listed(&r, false, false));
	assert_true(retry_listed(&r, false, true));
	assert_false(retry_listed(&r, true, true));
	assert_false(retry_listed(&r, false, true));
	assert_false(retry_listed(&r, false, true));
	assert_true(retry_listed(&r, false, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_held_is_opened_again_at_once),
		cmocka_unit_test(a_restart_is_found_soon),
		cmocka_unit_test(a_long_outage_costs_two_tries_a_minute),
		cmocka_unit_test(a_link_that_breaks_at_once_is_no_busy_loop),
		cmocka_unit_test(who_refuses_is_asked_less_and_less),
		cmocka_unit_test(a_gateway_is_gone_after_a_minute),
		cmocka_unit_test(our_own_network_is_no_gateway),
		cmocka_unit_test(an_answer_counts_for_later_attempts),
		cmocka_unit_test(an_unlisted_one_is_kept_while_it_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
