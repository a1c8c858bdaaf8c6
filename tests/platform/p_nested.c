/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor for a whole loop: design D8, base/loop.h. An epoll set that holds socketpair ends, a timerfd
 * and an eventfd can itself be polled by a host program: it is readable when, and only when, something inside
 * has an event that was not collected yet. And the other way about: a program that nests its sets hears of
 * the write gate (interposition.md 2.3 e) through them.
 */
#include "p.h"

#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>

/* The host's three ways to look at the inner set. */
struct host {
	int inner, level, edge;
};

static struct host host_new(int fd, uint32_t events)
{
	struct host h = { .inner = p_epoll_with(fd, events) };

	h.level = p_epoll_with(h.inner, EPOLLIN);
	h.edge = p_epoll_with(h.inner, EPOLLIN | EPOLLET);
	return h;
}

static void host_free(const struct host *h)
{
	close(h->edge);
	close(h->level);
	close(h->inner);
}

static bool readable(const struct host *h)
{
	uint32_t ev;
	struct timeval now = { 0, 0 };
	fd_set r;
	bool by_poll = p_poll(h->inner) == POLLIN, by_select, by_epoll;

	NEED(h->inner < FD_SETSIZE);
	FD_ZERO(&r);
	FD_SET(h->inner, &r);
	by_select = select(h->inner + 1, &r, NULL, NULL, &now) == 1;
	by_epoll = p_epoll_take(h->level, &ev) == 1 && ev == EPOLLIN;
	FACT("D8", "poll, select and epoll agree about an inner set",
	     by_poll == by_select && by_poll == by_epoll);
	return by_poll;
}

static bool edge(const struct host *h)
{
	uint32_t ev;

	return p_epoll_take(h->edge, &ev) == 1;
}

static void data(uint32_t mode)
{
	uint32_t ev;
	char byte;
	int pair[2];
	struct host h;

	p_pair(SOCK_STREAM, pair);
	h = host_new(pair[1], EPOLLIN | EPOLLRDHUP | mode);
	FACT("D8", "an inner set without events is not readable", !readable(&h) && !edge(&h));
	NEED(send(pair[0], "a", 1, 0) == 1);
	FACT("D8", "data on a pair makes the inner set readable", readable(&h));
	FACT("D8", "and makes one edge for an edge-triggered host", edge(&h) && !edge(&h));
	FACT("D8", "it stays readable until collected", readable(&h));
	NEED(p_epoll_take(h.inner, &ev) == 1 && ev == EPOLLIN);
	if (mode == EPOLLET)
		FACT("2.4", "an unread byte that was collected edge-triggered leaves the set silent",
		     !readable(&h));
	else
		FACT("D8", "an unread byte that is watched level-triggered keeps it readable", readable(&h));
	NEED(recv(pair[1], &byte, 1, 0) == 1);
	FACT("D8", "a drained pair leaves the set silent", !readable(&h));
	edge(&h);
	NEED(send(pair[0], "b", 1, 0) == 1);
	FACT("D8", "later data counts again", readable(&h) && edge(&h));
	NEED(recv(pair[1], &byte, 1, 0) == 1 && p_epoll_take(h.inner, &ev) == 0);
	edge(&h);
	close(pair[0]);
	FACT("D8", "the close of the other end counts", readable(&h) && edge(&h));
	FACT("D8", "and arrives with all its bits",
	     p_epoll_take(h.inner, &ev) == 1 && ev & EPOLLHUP && ev & EPOLLRDHUP);
	close(pair[1]);
	FACT("D8", "a closed end leaves the set by itself", !readable(&h));
	host_free(&h);
}

static void datagram(void)
{
	char byte;
	int pair[2];
	struct host h;

	p_pair(SOCK_DGRAM, pair);
	h = host_new(pair[1], EPOLLIN | EPOLLRDHUP);
	FACT("D8", "an empty datagram end is silent", !readable(&h));
	NEED(send(pair[0], "", 0, 0) == 0);
	FACT("D8", "a zero-length datagram makes the inner set readable", readable(&h) && edge(&h));
	NEED(recv(pair[1], &byte, 1, 0) == 0);
	FACT("D8", "a received one leaves it silent", !readable(&h));
	host_free(&h);
	p_close_pair(pair);
}

static void gate(uint32_t mode)
{
	uint32_t ev;
	char buf[P_GATE];
	const int room = 106496;
	int pair[2], n;
	struct host h;

	p_pair(SOCK_STREAM, pair);
	n = p_gate(pair[0]);
	NEED(n > 1);
	h = host_new(pair[0], EPOLLOUT | EPOLLIN | EPOLLRDHUP | mode);
	FACT("2.3 (e)", "a gated end is silent through nested sets", !readable(&h) && !edge(&h));
	NEED(recv(pair[1], buf, (size_t)n - 1, 0) == n - 1);
	NEED(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
	FACT("2.3 (e)", "the opened gate shows through nested sets", readable(&h));
	FACT("2.3 (2)", "as one edge for an edge-triggered host", edge(&h) && !edge(&h));
	FACT("2.3 (e)", "and as OUT inside", p_epoll_take(h.inner, &ev) == 1 && ev == EPOLLOUT);
	host_free(&h);
	p_close_pair(pair);
}

static void timer_and_wake(void)
{
	const struct itimerspec soon = { .it_value = { 0, 1000000 } };
	uint64_t count = 1;
	struct pollfd p;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct host h;

	NEED(timer >= 0 && wake >= 0);
	h = host_new(timer, EPOLLIN);
	NEED(p_epoll_add(h.inner, wake, EPOLLIN) == 0);
	FACT("D8", "an idle timer and an idle eventfd are silent", !readable(&h));
	NEED(timerfd_settime(timer, 0, &soon, NULL) == 0);
	p = (struct pollfd){ .fd = h.level, .events = POLLIN };
	FACT("D8", "a timer wakes a host that sleeps two sets further out",
	     poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
	NEED(read(timer, &count, sizeof(count)) == sizeof(count));
	FACT("D8", "a read timer is silent", !readable(&h));
	count = 1;
	NEED(write(wake, &count, sizeof(count)) == sizeof(count));
	FACT("D8", "an eventfd makes the inner set readable", readable(&h));
	host_free(&h);
	close(timer);
	close(wake);
}

static bool host_sleeps(int level)
{
	struct epoll_event ev;

	return epoll_wait(level, &ev, 1, 10000) == 1 && ev.events == EPOLLIN;
}

static void sleeping_host(void)
{
	int pair[2];
	struct host h;
	pid_t pid;

	p_pair(SOCK_STREAM, pair);
	h = host_new(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	pid = p_fork(host_sleeps, h.level);
	usleep(50000);
	FACT("D8", "a host sleeps while nothing happens", waitpid(pid, NULL, WNOHANG) == 0);
	NEED(send(pair[0], "a", 1, 0) == 1);
	FACT("D8", "data on a pair wakes a sleeping host", p_child_ok(pid));
	host_free(&h);
	p_close_pair(pair);
}

int main(void)
{
	data(0);
	data(EPOLLET);
	datagram();
	gate(0);
	gate(EPOLLET);
	timer_and_wake();
	sleeping_host();
	return 0;
}
