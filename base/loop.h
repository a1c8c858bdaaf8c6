/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop: one epoll set that also holds one timerfd and one eventfd, so that the whole loop is one
 * descriptor (loop_fd) another loop can turn.
 *
 * Contract
 * - Watchers, timers and tasks are structs embedded in their owner; adding cannot fail for lack of memory,
 * only epoll_ctl can fail.
 * - Events of a batch are merged into the watchers first, then callbacks run; a callback may add or remove
 * anything, itself included. A removed watcher is never called again, even when its event was already merged.
 * - loop_now() is constant during one dispatch. Timers are absolute microseconds of the loop's clock.
 * - Objects are freed by loop_defer() at the end of the batch, never inside their own callback chain.
 * - Level-triggered by default; LOOP_ET asks for edge-triggered (the lag-byte reader needs it).
 * - Only loop_wake() may be called from another thread or a signal handler; it runs wake_cb in the loop's
 * thread.
 * - With a fake clock nothing sleeps: tests set the clock and call loop_dispatch(l, 0).
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"

enum { LOOP_IN = 1, LOOP_OUT = 2, LOOP_HUP = 4, LOOP_ERR = 8, LOOP_RDHUP = 16, LOOP_ET = 32 };

struct loop;

struct loop_watch {
	struct list ready, all;
	struct loop *loop;
	int fd;
	uint32_t want, got;
	void (*cb)(void *owner, uint32_t events); /* events: LOOP_IN ... merged since the last call */
	void *owner;
};

struct loop_timer {
	struct heap_node node;
	struct loop *loop;
	void (*cb)(void *owner);
	void *owner;
};

struct loop_task {
	struct list node;
	void (*cb)(void *owner);
	void *owner;
};

struct loop *loop_new(struct clock *clock); /* NULL: errno is set */
void loop_free(struct loop *l);		    /* NULL is fine; watchers must be gone */
int loop_fd(const struct loop *l);	    /* becomes readable when loop_dispatch() has work */
uint64_t loop_now(const struct loop *l);
/* Reads the clock again: for callbacks that another loop calls, outside loop_dispatch(). */
void loop_update_now(struct loop *l);
struct clock *loop_clock(const struct loop *l);

/* Waits up to timeout_ms (-1 for ever, 0 not at all) and runs one batch. Number of callbacks
 * run, or -errno. */
int loop_dispatch(struct loop *l, int timeout_ms);
/* Dispatches until loop_quit(). */
int loop_run(struct loop *l);
void loop_quit(struct loop *l);
bool loop_quitting(const struct loop *l); /* loop_quit() was called since loop_run() began */

/* The fd stays the caller's and must outlive the watch. want = LOOP_IN|LOOP_OUT|LOOP_ET|LOOP_RDHUP; HUP and
 * ERR are always reported. 0 or -errno. */
int loop_watch_add(struct loop *l, struct loop_watch *w, int fd, uint32_t want, void (*cb)(void *, uint32_t),
		   void *owner);
int loop_watch_set(struct loop_watch *w, uint32_t want);
void loop_watch_remove(struct loop_watch *w); /* no-op when not added; call before closing the fd */

void loop_timer_init(struct loop *l, struct loop_timer *t, void (*cb)(void *), void *owner);
void loop_timer_set(struct loop_timer *t, uint64_t at_us); /* TIME_NEVER disarms; re-arming moves it */
void loop_timer_stop(struct loop_timer *t);

/* Runs cb(owner) once at the end of the current batch (or the next one). No-op when already queued. */
void loop_defer(struct loop *l, struct loop_task *t, void (*cb)(void *), void *owner);
/* Called after the callbacks of every batch, before deferred tasks (lwIP's timers, deadline re-arming). */
void loop_set_after(struct loop *l, void (*cb)(void *), void *owner);
/* From any thread: makes wake_cb run in the loop's thread. */
void loop_set_wake(struct loop *l, void (*cb)(void *), void *owner);
void loop_wake(struct loop *l);

#endif
