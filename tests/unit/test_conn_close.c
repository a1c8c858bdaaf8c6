/* SPDX-License-Identifier: Apache-2.0 */
/* How a TCP connection of the tunnel ends on the wire, by what the program does with its end. */
#include "tests/unit/farside.h"

static void test_close(void **state)
{
	(void)state;
	assert_int_equal(write(program, "abc", 3), 3);
	fd_close(&program);
	turn();
	assert_int_equal(far.bytes, 3);
	assert_int_equal(far.fins, 1);
	assert_int_equal(far.resets, 0);
	assert_true(forgotten());
}

static void test_linger_none(void **state)
{
	(void)state;
	assert_int_equal(sock_keep_option(conn_sock(conn), SOL_SOCKET, SO_LINGER, CTL_LINGER(0)), 0);
	fd_close(&program);
	turn();
	assert_int_equal(far.fins, 0);
	assert_int_equal(far.resets, 1);
	assert_true(forgotten());
}

static void test_linger_some(void **state)
{
	(void)state;
	assert_int_equal(sock_keep_option(conn_sock(conn), SOL_SOCKET, SO_LINGER, CTL_LINGER(5)), 0);
	fd_close(&program);
	turn();
	assert_int_equal(far.fins, 1);
	assert_int_equal(far.resets, 0);
}

static void test_unread(void **state)
{
	(void)state;
	far_sends(0, "abc");
	turn();
	fd_close(&program);
	turn();
	assert_int_equal(far.fins, 0);
	assert_int_equal(far.resets, 1);
	assert_true(forgotten());
}

/* What was written before that close still goes, and the reset, which might overtake it, waits. */
static void test_unread_after_writing(void **state)
{
	(void)state;
	far_sends(0, "abc");
	turn();
	far.mute = true;
	assert_int_equal(write(program, "alert", 5), 5);
	fd_close(&program);
	turn();
	assert_int_equal(far.bytes, 5);
	assert_int_equal(far.resets, 0);
	far_sends(0, "more");
	turn();
	assert_int_equal(far.resets, 0);
	far_acknowledges();
	assert_int_equal(far.fins, 0);
	assert_int_equal(far.resets, 1);
	assert_true(forgotten());
}

/* So it does when more comes behind a clean close. */
static void test_late_data(void **state)
{
	(void)state;
	far.mute = true;
	assert_int_equal(write(program, "alert", 5), 5);
	fd_close(&program);
	turn();
	assert_int_equal(far.bytes, 5);
	assert_int_equal(far.fins, 1);
	far_sends(0, "late");
	turn();
	assert_int_equal(far.resets, 0);
	far_acknowledges();
	assert_int_equal(far.resets, 1);
	assert_true(forgotten());
}

/* It does not wait for ever, nor is a clean close ever made a reset by that. */
static void never_acknowledged(bool unread)
{
	if (unread)
		far_sends(0, "abc");
	turn();
	far.mute = true;
	assert_int_equal(write(program, "alert", 5), 5);
	fd_close(&program);
	turn();
	turn_after(15000);
	assert_false(forgotten());
	assert_int_equal(far.resets, 0);
	turn_after(10000);
	assert_true(forgotten());
	assert_int_equal(far.resets, unread);
}

static void test_unread_for_ever(void **state)
{
	(void)state;
	never_acknowledged(true);
}

static void test_close_for_ever(void **state)
{
	(void)state;
	never_acknowledged(false);
}

/* The far FIN, before the acknowledgement and after it. */
static void test_close_then_fin(void **state)
{
	(void)state;
	far.mute = true;
	assert_int_equal(write(program, "alert", 5), 5);
	fd_close(&program);
	turn();
	far_sends(TH_FIN, "");
	turn();
	assert_true(forgotten());
	far_acknowledges();
	assert_int_equal(far.bytes, 5);
	assert_int_equal(far.resets, 0);
}

/* Both directions shut down is no close: names are still to be had, and a reset would be wrong. */
static void test_shut_both(void **state)
{
	(void)state;
	assert_int_equal(write(program, "abc", 3), 3);
	assert_int_equal(shutdown(program, SHUT_RDWR), 0);
	turn();
	assert_int_equal(far.bytes, 3);
	assert_int_equal(far.fins, 1);
	assert_int_equal(far.resets, 0);
	assert_false(forgotten());
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	fd_close(&program);
	turn();
	assert_true(forgotten());
	assert_int_equal(far.resets, 0);
}

/* A half-closed connection whose program goes: it does not wait for the far FIN here, and what still comes is
 * refused. */
static void test_shut_then_close(void **state)
{
	(void)state;
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	assert_int_equal(far.fins, 1);
	assert_false(forgotten());
	fd_close(&program);
	turn();
	assert_true(forgotten());
	assert_int_equal(far.resets, 0);
	far_sends(0, "late");
	turn();
	assert_int_equal(far.resets, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_close, connected, ended),
		cmocka_unit_test_setup_teardown(test_linger_none, connected, ended),
		cmocka_unit_test_setup_teardown(test_linger_some, connected, ended),
		cmocka_unit_test_setup_teardown(test_unread, connected, ended),
		cmocka_unit_test_setup_teardown(test_unread_after_writing, connected, ended),
		cmocka_unit_test_setup_teardown(test_late_data, connected, ended),
		cmocka_unit_test_setup_teardown(test_unread_for_ever, connected, ended),
		cmocka_unit_test_setup_teardown(test_close_for_ever, connected, ended),
		cmocka_unit_test_setup_teardown(test_close_then_fin, connected, ended),
		cmocka_unit_test_setup_teardown(test_shut_both, connected, ended),
		cmocka_unit_test_setup_teardown(test_shut_then_close, connected, ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
