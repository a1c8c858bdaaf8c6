/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel thread.
 *
 * Theory of operation. tunnel_start() makes loop, libwebsockets, bridge and stack, and a thread that runs
 * them; it alone touches them from then on. Other threads see a copy of the statistics, renewed at every
 * state change and once a second, and say what they want (stop) through flags and
 * loop_wake(). Who asks over the control socket gets a new copy.
 *
 * Stop: the stack takes no new sockets and finishes sending, the bridge drains and says goodbye, then the
 * loop ends; all within drain_us.
 */
#include "stack/tunnel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "mixnet/prim.h"

#define SNAPSHOT_US US_PER_S
#define GOODBYE_US (1 * US_PER_S) /* for the disconnect after the drain */

struct tunnel {
	struct loop *loop;
	struct ws *ws;
	struct bridge *bridge;
	struct stack *stack;
	struct loop_timer snapshot, deadline;
	pthread_t thread;
	bool started, joined, stopping;
	int event_fd;
	atomic_bool stop, done;
	_Atomic uint64_t drain_us;
	pthread_mutex_t lock; /* stats */
	struct tunnel_stats stats;
	const char *command;
};

static atomic_bool exists; /* lwIP's state is global */

/* ---- in the thread ---- */

static void take_snapshot(struct tunnel *t)
{
	struct tunnel_stats s;

	memset(&s, 0, sizeof(s));
	bridge_get_stats(t->bridge, &s.bridge);
	stack_get_stats(t->stack, &s.stack);
	pthread_mutex_lock(&t->lock);
	t->stats = s;
	pthread_mutex_unlock(&t->lock);
}

static void put_text(char out[CTL_NAME_MAX + 1], const char *text)
{
	snprintf(out, CTL_NAME_MAX + 1, "%s", text);
}

static void tell_status(void *owner, struct ctl_status *ret)
{
	struct tunnel *t = owner;
	const struct bridge_stats *b = &t->stats.bridge;

	take_snapshot(t);
	memset(ret, 0, sizeof(*ret));
	put_text(ret->state, bridge_state_name(b->state));
	put_text(ret->cause, b->cause);
	put_text(ret->command, t->command ? t->command : "");
	put_text(ret->exit, b->exit);
	put_text(ret->gateway, b->gateway);
	ret->ip4 = b->ip4;
	ret->ip6 = b->ip6;
	ret->uptime_ms = b->uptime_us / US_PER_MS;
	ret->connections = t->stats.stack.connections_open;
}

static void on_snapshot(void *owner)
{
	struct tunnel *t = owner;

	take_snapshot(t);
	loop_timer_set(&t->snapshot, loop_now(t->loop) + SNAPSHOT_US);
}

static void on_state(void *owner)
{
	struct tunnel *t = owner;
	enum bridge_state st = bridge_state(t->bridge);

	take_snapshot(t);
	if (eventfd_write(t->event_fd, 1) < 0)
		log_debug("event: %s", err_str(errno));
	if (t->stopping && (st == BRIDGE_CLOSED || st == BRIDGE_FAILED))
		loop_quit(t->loop);
}

static void on_deadline(void *owner)
{
	struct tunnel *t = owner;

	loop_quit(t->loop);
}

static void drained(void *owner)
{
	struct tunnel *t = owner;

	bridge_stop(t->bridge, GOODBYE_US);
}

static void on_wake(void *owner)
{
	struct tunnel *t = owner;
	uint64_t drain = atomic_load(&t->drain_us);
	enum bridge_state st = bridge_state(t->bridge);

	if (!atomic_load(&t->stop))
		return;
	if (t->stopping) {
		if (!drain)
			loop_quit(t->loop);
		return;
	}
	t->stopping = true;
	if (st == BRIDGE_CLOSED || st == BRIDGE_FAILED) {
		loop_quit(t->loop);
		return;
	}
	loop_timer_set(&t->deadline, loop_now(t->loop) + drain + GOODBYE_US);
	if (drain)
		stack_drain(t->stack, drained, t);
	else
		drained(t);
}

static bool calm(void *owner)
{
	const struct tunnel *t = owner;

	return bridge_state(t->bridge) == BRIDGE_READY && (stack_idle(t->stack) || bridge_busy(t->bridge));
}

static void *run(void *arg)
{
	struct tunnel *t = arg;
	int r;

	pthread_setname_np(pthread_self(), "smolmix-tunnel");
	bridge_start(t->bridge);
	on_snapshot(t);
	r = ws_run(t->ws, calm, t);
	if (r < 0)
		log_error("tunnel: %s", err_str(r));
	take_snapshot(t);
	atomic_store(&t->done, true);
	if (eventfd_write(t->event_fd, 1) < 0)
		log_debug("event: %s", err_str(errno));
	return NULL;
}

/* ---- other threads ---- */

static int start_thread(struct tunnel *t)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->started = e == 0;
	return -e;
}

int tunnel_start(struct tunnel **ret, const struct tunnel_cfg *cfg)
{
	struct stack_cfg stack = cfg->stack;
	struct tunnel *t;
	int r;

	if (atomic_exchange(&exists, true))
		return -EBUSY;
	t = calloc(1, sizeof(*t));
	if (!t) {
		atomic_store(&exists, false);
		return -ENOMEM;
	}
	stack.status = tell_status;
	stack.status_owner = t;
	t->command = cfg->command;
	pthread_mutex_init(&t->lock, NULL);
	t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = prim_init();
	if (r == 0 && !(t->loop = loop_new(clock_system())))
		r = -errno;
	if (r == 0 && !(t->ws = ws_new(t->loop, 16)))
		r = -errno;
	if (r == 0 && !(t->bridge = bridge_new(t->loop, t->ws, &cfg->bridge, on_state, t)))
		r = -errno;
	if (r == 0)
		r = stack_new(&t->stack, t->loop, bridge_link(t->bridge), &stack, cfg->ctl_path);
	if (r == 0) {
		loop_set_wake(t->loop, on_wake, t);
		loop_timer_init(t->loop, &t->snapshot, on_snapshot, t);
		loop_timer_init(t->loop, &t->deadline, on_deadline, t);
		r = start_thread(t);
	}
	if (r < 0) {
		tunnel_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tunnel_event_fd(const struct tunnel *t)
{
	return t->event_fd;
}

void tunnel_get_stats(struct tunnel *t, struct tunnel_stats *s)
{
	pthread_mutex_lock(&t->lock);
	*s = t->stats;
	pthread_mutex_unlock(&t->lock);
}

void tunnel_end(struct tunnel *t, uint64_t drain_us)
{
	if (!t->started || t->joined)
		return;
	atomic_store(&t->drain_us, drain_us);
	atomic_store(&t->stop, true);
	loop_wake(t->loop);
}

bool tunnel_ended(const struct tunnel *t)
{
	return !t->started || t->joined || atomic_load(&t->done);
}

void tunnel_stop(struct tunnel *t, uint64_t drain_us)
{
	if (!t->started || t->joined)
		return;
	if (!atomic_load(&t->stop))
		tunnel_end(t, drain_us);
	pthread_join(t->thread, NULL);
	t->joined = true;
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	tunnel_stop(t, 0);
	if (t->loop && t->started) {
		loop_timer_stop(&t->snapshot);
		loop_timer_stop(&t->deadline);
	}
	stack_free(t->stack);
	bridge_free(t->bridge);
	ws_free(t->ws);
	loop_free(t->loop);
	fd_close(&t->event_fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
	atomic_store(&exists, false);
}
