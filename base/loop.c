/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop over epoll.
 *
 * Theory of operation. One epoll descriptor holds all watches, a timerfd and an eventfd. A dispatch is: wait,
 * merge the events into their watches (which go on the ready list), run due timers, run ready watches, the
 * after hook, deferred tasks, then set the timerfd to the earliest timer. Merging first means that a callback
 * may remove any watch: it leaves the ready list and is not called. Removing during a batch is safe because
 * epoll hands us pointers only in that batch's merge step.
 *
 * Level-triggered watches that are still ready come back with the next wait. The timerfd is absolute on
 * CLOCK_BOOTTIME, so it needs setting only when the earliest deadline changes. With a fake clock there is no
 * timerfd: time moves when the test says so.
 *
 * EBADF and ENOENT from epoll_ctl are tolerated on removal: the descriptor table may belong to a host
 * program.
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fd.h"

#define BATCH 64

struct loop {
	struct clock *clock;
	int epoll_fd, timer_fd, wake_fd;
	uint64_t now, armed;
	struct heap timers;
	struct list all, ready, tasks;
	bool quit;
	bool in_batch; /* tasks will be run without another wake-up */
	bool arms;     /* the timerfd will be set at the end of this dispatch */
	void (*after)(void *owner);
	void *after_owner;
	void (*wake)(void *owner);
	void *wake_owner;
	int timer_mark, wake_mark; /* addresses that tell these descriptors from watches in epoll data */
};

static int add_mark(struct loop *l, int fd, void *mark)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = mark };

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

struct loop *loop_new(struct clock *clock)
{
	struct loop *l = calloc(1, sizeof(*l));
	bool real = clock == clock_system();

	if (!l)
		return NULL;
	l->clock = clock;
	l->armed = TIME_NEVER;
	l->timer_fd = -1;
	list_init(&l->all);
	list_init(&l->ready);
	list_init(&l->tasks);
	l->now = clock->now_us(clock);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (real)
		l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll_fd < 0 || l->wake_fd < 0 || (real && l->timer_fd < 0) ||
	    add_mark(l, l->wake_fd, &l->wake_mark) < 0 ||
	    (real && add_mark(l, l->timer_fd, &l->timer_mark) < 0)) {
		int e = errno;

		loop_free(l);
		errno = e;
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(list_empty(&l->all));
	fd_close(&l->timer_fd);
	fd_close(&l->wake_fd);
	fd_close(&l->epoll_fd);
	free(l);
}

int loop_fd(const struct loop *l)
{
	return l->epoll_fd;
}

uint64_t loop_now(const struct loop *l)
{
	return l->now;
}

void loop_update_now(struct loop *l)
{
	l->now = l->clock->now_us(l->clock);
}

struct clock *loop_clock(const struct loop *l)
{
	return l->clock;
}

/* ---- watches ---- */

static uint32_t to_epoll(uint32_t want)
{
	return (want & LOOP_IN ? EPOLLIN : 0u) | (want & LOOP_OUT ? EPOLLOUT : 0u) |
	       (want & LOOP_RDHUP ? EPOLLRDHUP : 0u) | (want & LOOP_ET ? (uint32_t)EPOLLET : 0u);
}

static uint32_t from_epoll(uint32_t e)
{
	return (e & EPOLLIN ? LOOP_IN : 0u) | (e & EPOLLOUT ? LOOP_OUT : 0u) |
	       (e & EPOLLHUP ? LOOP_HUP : 0u) | (e & EPOLLERR ? LOOP_ERR : 0u) |
	       (e & EPOLLRDHUP ? LOOP_RDHUP : 0u);
}

int loop_watch_add(struct loop *l, struct loop_watch *w, int fd, uint32_t want, void (*cb)(void *, uint32_t),
		   void *owner)
{
	struct epoll_event ev = { .events = to_epoll(want), .data.ptr = w };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*w = (struct loop_watch){ .loop = l, .fd = fd, .want = want, .cb = cb, .owner = owner };
	list_init(&w->ready);
	list_push_back(&l->all, &w->all);
	return 0;
}

int loop_watch_set(struct loop_watch *w, uint32_t want)
{
	struct epoll_event ev = { .events = to_epoll(want), .data.ptr = w };

	if (!w->loop || (want == w->want && !(want & LOOP_ET)))
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->want = want;
	return 0;
}

void loop_watch_remove(struct loop_watch *w)
{
	if (!w || !w->loop)
		return;
	if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) < 0)
		assert(errno == EBADF || errno == ENOENT || errno == EPERM);
	list_remove(&w->ready);
	list_remove(&w->all);
	w->loop = NULL;
}

/* ---- timers and tasks ---- */

void loop_timer_init(struct loop *l, struct loop_timer *t, void (*cb)(void *), void *owner)
{
	*t = (struct loop_timer){ .loop = l, .cb = cb, .owner = owner };
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t && t->loop)
		heap_remove(&t->loop->timers, &t->node);
}

static void arm(struct loop *l)
{
	struct heap_node *min = heap_min(&l->timers);
	uint64_t at = min ? min->key : TIME_NEVER;
	struct itimerspec its = { 0 };

	if (l->timer_fd < 0 || at == l->armed)
		return;
	l->armed = at;
	if (at != TIME_NEVER) {
		if (!at)
			at = 1; /* zero would disarm */
		its.it_value.tv_sec = (time_t)(at / US_PER_S);
		its.it_value.tv_nsec = (long)(at % US_PER_S * 1000);
	}
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

void loop_timer_set(struct loop_timer *t, uint64_t at_us)
{
	assert(t->loop);
	if (t->node.linked && t->node.key == at_us)
		return;
	heap_remove(&t->loop->timers, &t->node);
	if (at_us != TIME_NEVER)
		heap_insert(&t->loop->timers, &t->node, at_us);
	if (at_us < t->loop->armed && !t->loop->arms)
		arm(t->loop);
}

void loop_defer(struct loop *l, struct loop_task *t, void (*cb)(void *), void *owner)
{
	if (t->node.next && !list_empty(&t->node))
		return;
	t->cb = cb;
	t->owner = owner;
	list_push_back(&l->tasks, &t->node);
	if (!l->in_batch && eventfd_write(l->wake_fd, 1) < 0)
		assert(errno == EAGAIN);
}

void loop_set_after(struct loop *l, void (*cb)(void *), void *owner)
{
	l->after = cb;
	l->after_owner = owner;
}

void loop_set_wake(struct loop *l, void (*cb)(void *), void *owner)
{
	l->wake = cb;
	l->wake_owner = owner;
}

void loop_wake(struct loop *l)
{
	int saved = errno;

	if (eventfd_write(l->wake_fd, 1) < 0)
		errno = saved; /* EAGAIN: already awake */
	errno = saved;
}

/* ---- dispatch ---- */

static int merge(struct loop *l, const struct epoll_event *ev, int n, bool *ret_woken)
{
	eventfd_t drop;
	uint64_t expired;

	for (int i = 0; i < n; i++) {
		struct loop_watch *w = ev[i].data.ptr;

		if (ev[i].data.ptr == &l->wake_mark) {
			*ret_woken = eventfd_read(l->wake_fd, &drop) == 0;
			continue;
		}
		if (ev[i].data.ptr == &l->timer_mark) {
			if (read(l->timer_fd, &expired, sizeof(expired)) == (ssize_t)sizeof(expired))
				l->armed = TIME_NEVER;
			continue;
		}
		w->got |= from_epoll(ev[i].events);
		if (list_empty(&w->ready))
			list_push_back(&l->ready, &w->ready);
	}
	return n;
}

static int run_timers(struct loop *l)
{
	struct heap_node *min;
	int n = 0;

	while ((min = heap_min(&l->timers)) && min->key <= l->now && n < 4 * BATCH) {
		struct loop_timer *t = container_of(min, struct loop_timer, node);

		heap_remove(&l->timers, min);
		t->cb(t->owner);
		n++;
	}
	return n;
}

static int run_ready(struct loop *l)
{
	struct list *it;
	int n = 0;

	while ((it = list_pop_front(&l->ready))) {
		struct loop_watch *w = container_of(it, struct loop_watch, ready);
		uint32_t got = w->got;

		w->got = 0;
		w->cb(w->owner, got);
		n++;
	}
	return n;
}

static int run_tasks(struct loop *l)
{
	struct list batch, *it;
	int n = 0;

	if (list_empty(&l->tasks))
		return 0;
	/* Tasks queued by tasks wait for the next batch. */
	list_init(&batch);
	list_insert_after(&l->tasks, &batch);
	list_remove(&l->tasks);
	while ((it = list_pop_front(&batch))) {
		struct loop_task *t = container_of(it, struct loop_task, node);

		t->cb(t->owner);
		n++;
	}
	return n;
}

int loop_dispatch(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[BATCH];
	bool woken = false;
	int n, ran = 0;

	arm(l);
	n = epoll_wait(l->epoll_fd, ev, BATCH, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	l->now = l->clock->now_us(l->clock);
	merge(l, ev, n < 0 ? 0 : n, &woken);
	l->arms = l->in_batch = true;
	ran += run_timers(l);
	ran += run_ready(l);
	if (woken && l->wake) {
		l->wake(l->wake_owner);
		ran++;
	}
	if (l->after)
		l->after(l->after_owner);
	l->in_batch = false;
	ran += run_tasks(l);
	l->arms = false;
	arm(l);
	return ran;
}

int loop_run(struct loop *l)
{
	int r = 0;

	l->quit = false;
	while (!l->quit && r >= 0)
		r = loop_dispatch(l, -1);
	return r < 0 ? r : 0;
}

bool loop_quitting(const struct loop *l)
{
	return l->quit;
}

void loop_quit(struct loop *l)
{
	l->quit = true;
}
