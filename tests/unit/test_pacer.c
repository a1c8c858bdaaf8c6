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
	struct shaper_out *o = pacer_room(&p, now_us);

	if (!o)
		return false;
	o->slot_us = slot_us;
	pacer_put(&p);
	return true;
}

static uint64_t leave_unwritten(uint64_t now_us)
{
	const struct shaper_out *o = pacer_due(&p, now_us);
	uint64_t slot_us = o ? o->slot_us : 0;

	if (o)
		pacer_pop(&p, now_us);
	return slot_us;
}

static uint64_t leave(uint64_t now_us)
{
	uint64_t slot_us = leave_unwritten(now_us);

	pacer_written(&p);
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
	pacer_written(&p);
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
		cmocka_unit_test_setup(has_a_bound_and_can_be_emptied, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
