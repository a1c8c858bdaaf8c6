/* SPDX-License-Identifier: Apache-2.0 */
/* When packets leave, and when there is no time to build another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mixnet/pacer.h"

#define T0 (1000 * US_PER_S)

static struct pacer p;

static int setup(void **state)
{
	(void)state;
	memset(&p, 0, sizeof(p));
	return 0;
}

/* Builds the packet of a slot at now_us; false: no room. */
static bool build(uint64_t now_us, uint64_t slot_us)
{
	struct pacer_frame *o = pacer_room(&p, now_us);

	if (!o)
		return false;
	o->slot_us = slot_us;
	pacer_put(&p);
	return true;
}

static uint64_t leave_unwritten(uint64_t now_us)
{
	const struct pacer_frame *o = pacer_due(&p, now_us);
	uint64_t slot_us = o ? o->slot_us : 0;

	if (o)
		pacer_pop(&p, now_us);
	return slot_us;
}

static uint64_t leave(uint64_t now_us)
{
	uint64_t slot_us = leave_unwritten(now_us);

	pacer_written(&p, now_us + PACER_WAY_US);
	return slot_us;
}

static void leaves_a_fixed_time_after_its_slot(void **state)
{
	(void)state;
	assert_int_equal(pacer_deadline(&p), TIME_NEVER);
	assert_null(pacer_due(&p, T0));
	assert_true(build(T0 + 700, T0)); /* however long it took */
	assert_int_equal(pacer_deadline(&p), T0 + PACER_HOLD_US);
	assert_int_equal(leave(T0 + PACER_HOLD_US - 1), 0);
	assert_int_equal(leave(T0 + PACER_HOLD_US), T0);
	assert_int_equal(pacer_deadline(&p), TIME_NEVER);
}

static void nothing_is_built_when_one_is_about_to_leave(void **state)
{
	const uint64_t at = T0 + PACER_HOLD_US;

	(void)state;
	assert_true(build(T0, T0));
	assert_true(build(at - PACER_BUILD_US, T0 + 10));
	assert_false(build(at - PACER_BUILD_US + 1, T0 + 20));
	assert_int_equal(leave(at), T0);
	assert_false(build(at, T0 + 20));
	assert_int_equal(leave(at + 10), T0 + 10);
	assert_true(build(at + 10, T0 + 20));
	assert_int_equal(leave(at + 20), T0 + 20);
}

/* The link writes when it is served again: what is built before that would keep it. Where it takes nothing,
 * that does not stop the clock. */
static void nothing_is_built_before_what_left_is_written(void **state)
{
	const uint64_t at = T0 + PACER_HOLD_US;

	(void)state;
	assert_int_equal(pacer_free_us(&p, T0), 0);
	assert_true(build(T0, T0));
	assert_int_equal(leave_unwritten(at), T0);
	assert_false(build(at, T0 + 5500));
	assert_int_equal(pacer_free_us(&p, at), at + PACER_WRITE_US);
	pacer_written(&p, at);
	assert_int_equal(pacer_free_us(&p, at), 0);
	assert_true(build(at, T0 + 5500));
	assert_int_equal(leave_unwritten(at + 5500), T0 + 5500);
	assert_false(build(at + 5500, T0 + 5600));
	assert_true(build(at + 5500 + PACER_WRITE_US, T0 + 5600));
	assert_int_equal(leave_unwritten(at + 5500 + PACER_WRITE_US), T0 + 5600);
	pacer_clear(&p);
	assert_int_equal(pacer_free_us(&p, at + 5500 + PACER_WRITE_US), 0);
}

/* A slot served late, and an earlier moment than the one before it (a restarted clock). */
static void keeps_the_order(void **state)
{
	(void)state;
	assert_true(build(T0, T0 + 50));
	assert_true(build(T0, T0));
	assert_int_equal(leave(T0 + PACER_HOLD_US), 0);
	assert_int_equal(leave(T0 + PACER_HOLD_US + 50), T0 + 50);
	assert_int_equal(leave(T0 + PACER_HOLD_US + 50), T0);
	assert_true(build(T0 + 60000, T0 + 100));
	assert_int_equal(leave(T0 + 60000), T0 + 100);
}

/* Woken too late for both. The caller is there a little before. */
static void close_packets_keep_their_distance(void **state)
{
	const uint64_t at = T0 + PACER_HOLD_US;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_true(build(T0, T0 + 100 * i));
	assert_int_equal(leave_unwritten(at + 150), T0);
	assert_int_equal(pacer_deadline(&p), at + 250 - PACER_NEAR_US);
	assert_null(pacer_due(&p, at + 249));
	assert_non_null(pacer_due(&p, at + 250));
	pacer_written(&p, at + 190 + PACER_WAY_US); /* it took a while */
	assert_null(pacer_due(&p, at + 289));
	pacer_written(&p, at + 250); /* something else */
	assert_int_equal(leave_unwritten(at + 290), T0 + 100);
	assert_int_equal(pacer_deadline(&p), at + 390 - PACER_NEAR_US);
	pacer_written(&p, at + 290 + PACER_WAY_US);
	assert_int_equal(leave(at + 390), T0 + 200);
	assert_int_equal(leave(at + 490), T0 + 300);
	assert_true(build(at + 490, T0 + 2600)); /* later than that: on time */
	assert_int_equal(pacer_deadline(&p), at + 2600);
}

/* The machine stood still for longer than that: what is due must not become later and later. */
static void distances_are_given_up_for_the_clock(void **state)
{
	const uint64_t late = T0 + PACER_HOLD_US + 10 * US_PER_MS;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_true(build(T0, T0 + 3000 * i));
	assert_int_equal(leave(late), T0);
	assert_int_equal(leave(late), T0 + 3000);
	assert_int_equal(leave(late), T0 + 6000);
	assert_int_equal(leave(T0 + PACER_HOLD_US + 9000 + PACER_KEEP_US - 1), 0);
	assert_int_equal(leave(T0 + PACER_HOLD_US + 9000 + PACER_KEEP_US), T0 + 9000);
}

/* Awake for the last microseconds of a distance, once the link has what left before. */
static void the_last_moment_is_waited_for(void **state)
{
	const uint64_t at = T0 + PACER_HOLD_US;

	(void)state;
	assert_int_equal(pacer_near_us(&p, T0), 0);
	assert_true(build(T0, T0));
	assert_true(build(T0, T0 + 100));
	assert_int_equal(pacer_near_us(&p, at - 1), 0);
	assert_int_equal(leave_unwritten(at + 100), T0);
	assert_int_equal(pacer_near_us(&p, at + 199), 0);
	pacer_written(&p, at + 100 + PACER_WAY_US);
	assert_int_equal(pacer_near_us(&p, at + 200 - PACER_NEAR_US - 1), 0);
	assert_int_equal(pacer_near_us(&p, at + 200 - PACER_NEAR_US), at + 200);
}

static void has_a_bound_and_can_be_emptied(void **state)
{
	(void)state;
	for (int i = 0; i < PACER_PACKETS; i++)
		assert_true(build(T0, T0 + (uint64_t)i));
	assert_false(build(T0, T0));
	assert_int_equal(leave(T0 + PACER_HOLD_US), T0);
	assert_int_equal(p.n, PACER_PACKETS - 1);
	pacer_clear(&p);
	assert_null(pacer_due(&p, T0 + US_PER_S));
	assert_true(build(T0, T0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(leaves_a_fixed_time_after_its_slot, setup),
		cmocka_unit_test_setup(nothing_is_built_when_one_is_about_to_leave, setup),
		cmocka_unit_test_setup(nothing_is_built_before_what_left_is_written, setup),
		cmocka_unit_test_setup(keeps_the_order, setup),
		cmocka_unit_test_setup(close_packets_keep_their_distance, setup),
		cmocka_unit_test_setup(distances_are_given_up_for_the_clock, setup),
		cmocka_unit_test_setup(the_last_moment_is_waited_for, setup),
		cmocka_unit_test_setup(has_a_bound_and_can_be_emptied, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
