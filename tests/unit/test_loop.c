/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's contract, line by line, with a fake clock; the real clock once. */
#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"

struct rig {
	struct clock_fake clock;
	struct loop *loop;
	int pair[2], other[2];
	struct loop_watch a, b;
	struct loop_timer t1, t2;
	struct loop_task task;
	char log[64];
};

static void note(struct rig *r, char c)
{
	size_t n = strlen(r->log);

	r->log[n] = c;
	r->log[n + 1] = '\0';
}

static int setup(void **state)
{
	static struct rig r;

	memset(&r, 0, sizeof(r));
	clock_fake_init(&r.clock, 1000, 0);
	r.loop = loop_new(&r.clock.clock);
	*state = &r;
	return !r.loop || fd_pair(SOCK_STREAM | SOCK_NONBLOCK, r.pair) ||
	       fd_pair(SOCK_STREAM | SOCK_NONBLOCK, r.other);
}

static int teardown(void **state)
{
	struct rig *r = *state;

	loop_watch_remove(&r->a);
	loop_watch_remove(&r->b);
	for (int i = 0; i < 2; i++) {
		fd_close(&r->pair[i]);
		fd_close(&r->other[i]);
	}
	loop_free(r->loop);
	return 0;
}

static void on_a(void *owner, uint32_t ev)
{
	note(owner, ev & LOOP_HUP ? 'H' : ev & LOOP_OUT ? 'o' : 'a');
}

static void removes_both(void *owner, uint32_t ev)
{
	struct rig *r = owner;

	(void)ev;
	note(r, 'x');
	loop_watch_remove(&r->a);
	loop_watch_remove(&r->b);
}

static void level_triggered(void **state)
{
	struct rig *r = *state;
	char c;

	assert_int_equal(loop_watch_add(r->loop, &r->a, r->pair[0], LOOP_IN, on_a, r), 0);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
	assert_int_equal(write(r->pair[1], "1", 1), 1);
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
	assert_int_equal(loop_dispatch(r->loop, 0), 1); /* still readable */
	assert_int_equal(read(r->pair[0], &c, 1), 1);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
	assert_int_equal(loop_watch_set(&r->a, LOOP_IN | LOOP_OUT), 0);
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
	assert_int_equal(loop_watch_set(&r->a, 0), 0);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
	fd_close(&r->pair[1]);
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
	assert_string_equal(r->log, "aaoH");
	assert_int_equal(loop_watch_add(r->loop, &r->b, -1, LOOP_IN, on_a, r), -EBADF);
}

static void edge_triggered(void **state)
{
	struct rig *r = *state;

	assert_int_equal(loop_watch_add(r->loop, &r->a, r->pair[0], LOOP_IN | LOOP_ET, on_a, r), 0);
	assert_int_equal(write(r->pair[1], "1", 1), 1);
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
	assert_int_equal(loop_watch_set(&r->a, LOOP_IN | LOOP_ET), 0); /* asks again */
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
}

static void removal_in_a_batch(void **state)
{
	struct rig *r = *state;

	loop_watch_add(r->loop, &r->a, r->pair[0], LOOP_OUT, removes_both, r);
	loop_watch_add(r->loop, &r->b, r->other[0], LOOP_OUT, removes_both, r);
	assert_int_equal(loop_dispatch(r->loop, 0), 1);
	assert_string_equal(r->log, "x");
	loop_watch_remove(&r->a); /* no-op */
	fd_close(&r->other[0]);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
}

static void removal_after_close(void **state)
{
	struct rig *r = *state;

	loop_watch_add(r->loop, &r->a, r->pair[0], LOOP_IN, on_a, r);
	fd_close(&r->pair[0]); /* a host program closed it */
	loop_watch_remove(&r->a);
	assert_int_equal(loop_dispatch(r->loop, 0), 0);
}

static void on_t1(void *owner)
{
	struct rig *r = owner;

	note(r, '1');
	if (strlen(r->log) < 3)
		loop_timer_set(&r->t1, loop_now(r->loop) + 10);
}

static void on_t2(void *owner)
{
	note(owner, '2');
}

static void timers(void **state)
{
	struct rig *r = *state;

	loop_timer_init(r->loop, &r->t1, on_t1, r);
	loop_timer_init(r->loop, &r->t2, on_t2, r);
	loop_timer_set(&r->t2, 1005);
	loop_timer_set(&r->t1, 1003);
	loop_timer_set(&r->t1, 1003);
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "");
	r->clock.us = 1005;
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "12");
	r->clock.us = 1014;
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "12");
	r->clock.us = 1015;
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "121");
	loop_timer_set(&r->t2, 1016);
	loop_timer_set(&r->t2, TIME_NEVER);
	loop_timer_stop(&r->t1);
	r->clock.us = 9999;
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "121");
}

static void on_task(void *owner)
{
	struct rig *r = owner;

	note(r, 't');
	if (strlen(r->log) == 1)
		loop_defer(r->loop, &r->task, on_task, r);
}

static void on_after(void *owner)
{
	note(owner, '.');
}

static void tasks(void **state)
{
	struct rig *r = *state;

	loop_defer(r->loop, &r->task, on_task, r);
	loop_defer(r->loop, &r->task, on_task, r);
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "t");
	loop_set_after(r->loop, on_after, r);
	loop_dispatch(r->loop, 0); /* the task queued by the task; the hook comes first */
	assert_string_equal(r->log, "t.t");
}

static void defer_once(void *owner)
{
	struct rig *r = owner;

	note(r, '1');
	loop_defer(r->loop, &r->task, on_task, r);
}

static void task_of_a_batch_wakes_nobody(void **state)
{
	struct rig *r = *state;
	struct pollfd p = { .fd = loop_fd(r->loop), .events = POLLIN };

	loop_timer_init(r->loop, &r->t1, defer_once, r);
	loop_timer_set(&r->t1, 1000);
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "1t");
	assert_int_equal(poll(&p, 1, 0), 0); /* nothing is left to do */
	loop_defer(r->loop, &r->task, on_task, r);
	assert_int_equal(poll(&p, 1, 0), 1); /* outside of a batch: something is */
	loop_dispatch(r->loop, 0);
	assert_string_equal(r->log, "1tt");
}

static void *waker(void *loop)
{
	loop_wake(loop);
	return NULL;
}

static void on_wake(void *owner)
{
	struct rig *r = owner;

	note(r, 'w');
	loop_quit(r->loop);
}

static void wake_from_thread(void **state)
{
	struct rig *r = *state;
	pthread_t t;

	loop_set_wake(r->loop, on_wake, r);
	assert_int_equal(pthread_create(&t, NULL, waker, r->loop), 0);
	assert_int_equal(loop_run(r->loop), 0);
	pthread_join(t, NULL);
	assert_true(loop_quitting(r->loop));
	assert_string_equal(r->log, "w");
	assert_ptr_equal(loop_clock(r->loop), &r->clock.clock);
}

struct again {
	struct rig *r;
	struct loop_timer t;
};

static void once_more(void *owner)
{
	struct again *a = owner;

	note(a->r, 'q');
	if (!a->r->log[1])
		loop_timer_set(&a->t, loop_now(a->t.loop) + US_PER_MS);
}

static void real_time(void **state)
{
	struct rig *r = *state;
	struct loop *l = loop_new(clock_system());
	struct again a = { .r = r };
	struct pollfd p = { .fd = loop_fd(l), .events = POLLIN };

	assert_non_null(l);
	loop_timer_init(l, &a.t, once_more, &a);
	loop_timer_set(&a.t, loop_now(l) + 5 * US_PER_MS);
	assert_int_equal(poll(&p, 1, 5000), 1); /* the loop is one pollable descriptor */
	while (!*r->log)
		assert_true(loop_dispatch(l, 5000) >= 0);
	assert_string_equal(r->log, "q");
	assert_int_equal(poll(&p, 1, 5000), 1); /* set by a callback as well */
	while (!r->log[1])
		assert_true(loop_dispatch(l, 5000) >= 0);
	loop_timer_set(&a.t, 0); /* in the past: at once */
	assert_int_equal(poll(&p, 1, 5000), 1);
	while (strlen(r->log) < 3)
		assert_true(loop_dispatch(l, 5000) >= 0);
	loop_free(l);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(level_triggered),
					    T(edge_triggered),
					    T(removal_in_a_batch),
					    T(removal_after_close),
					    T(timers),
					    T(tasks),
					    T(task_of_a_batch_wakes_nobody),
					    T(wake_from_thread),
					    T(real_time) };

	loop_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
