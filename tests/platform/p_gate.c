/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write gate: interposition.md 2.3 (e), design D3, stack/ctl/gate.c. A program's end whose
 * send buffer was made tiny and filled by one call is not writable in any way a program can look, until the
 * tunnel restores the buffer, whether or not it has read the gate down to its last byte before; then every
 * waiter hears of it, an edge-triggered one exactly once.
 */
#include "p.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/select.h>

static char big[262144], sink[262144];

static void restore_sndbuf(int fd)
{
	const int v = 212992 / 2; /* stack/conn.c SNDBUF_DEFAULT */

	NEED(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)) == 0);
}

/* What the tunnel does on SYN-ACK: all but the last byte in one read; then the buffer. */
static void drain(const int pair[2], int gate)
{
	char buf[P_GATE];

	FACT("2.3 (1)", "one read takes all of the gate but its last byte",
	     recv(pair[1], buf, (size_t)gate - 1, MSG_DONTWAIT) == gate - 1);
	FACT("2.3 (2)", "a piece of which one byte is left keeps the gate shut", p_poll(pair[0]) == 0);
	restore_sndbuf(pair[0]);
}

static int gated_pair(int pair[2])
{
	int gate, in_flight, buffer;

	p_pair(SOCK_STREAM, pair);
	FACT("2.3", "a fresh pair is writable", p_poll(pair[0]) == POLLOUT);
	gate = p_gate(pair[0]);
	FACT("2.3 (1)", "one call shuts the gate", p_poll(pair[0]) == 0);
	NEED(ioctl(pair[0], SIOCOUTQ, &in_flight) == 0 &&
	     getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, &(socklen_t){ sizeof(buffer) }) == 0);
	FACT("stack/ctl/gate.c", "what is in flight is then no less than the buffer", in_flight >= buffer);
	FACT("stack/ctl/gate.c", "two pieces fill the buffer", gate == GATE_LENGTH(buffer));
	return gate;
}

static bool select_writable(int fd)
{
	struct timeval now = { 0, 0 };
	fd_set w;

	NEED(fd < FD_SETSIZE);
	FD_ZERO(&w);
	FD_SET(fd, &w);
	return select(fd + 1, NULL, &w, NULL, &now) == 1;
}

static bool child_sees_shut(int fd)
{
	return p_poll(fd) == 0 && !select_writable(fd);
}

static bool child_sees_open(int fd)
{
	return p_poll(fd) == POLLOUT && select_writable(fd);
}

static void shut_for_everyone(void)
{
	int pair[2], gate = gated_pair(pair), copy = dup(pair[0]);
	int level = p_epoll_with(pair[0], EPOLLOUT | EPOLLIN | EPOLLRDHUP);
	uint32_t ev;

	NEED(copy >= 0);
	FACT("2.3 (1)", "poll reports nothing while gated", p_poll(pair[0]) == 0);
	FACT("2.3 (1)", "select reports nothing while gated", !select_writable(pair[0]));
	FACT("2.3 (e)", "level-triggered epoll reports nothing while gated", p_epoll_take(level, &ev) == 0);
	FACT("2.3 (e)", "a duplicate is gated too", p_poll(copy) == 0);
	FACT("2.3 (e)", "a forked child sees the gate", p_child_ok(p_fork(child_sees_shut, pair[0])));
	FACT("2.3 (4)", "send gives EAGAIN", p_fails(send(pair[0], "x", 1, MSG_NOSIGNAL), EAGAIN));
	FACT("2.3 (4)", "write gives EAGAIN", p_fails(write(pair[0], "x", 1), EAGAIN));
	FACT("2.3", "recv gives EAGAIN as while a TCP socket connects",
	     p_fails(recv(pair[0], &(char){ 0 }, 1, 0), EAGAIN));
	drain(pair, gate);
	FACT("2.3 (3)", "poll reports OUT and nothing else once drained", p_poll(pair[0]) == POLLOUT);
	FACT("2.3 (e)", "select reports it", select_writable(pair[0]));
	FACT("2.3 (e)", "level-triggered epoll reports it", p_epoll_take(level, &ev) == 1 && ev == EPOLLOUT);
	FACT("2.3 (e)", "a duplicate is open too", p_poll(copy) == POLLOUT);
	FACT("2.3 (e)", "a forked child sees it open", p_child_ok(p_fork(child_sees_open, pair[0])));
	FACT("2.3 (8)", "no error is pending", p_so_error(pair[0]) == 0);
	close(level);
	close(copy);
	p_close_pair(pair);
}

/* Edge-triggered sets made before the gate (nginx: add, then connect) and behind it; looked at after every
 * step. */
static void one_edge(bool one_by_one)
{
	int pair[2], before, during, gate, copy;
	uint32_t ev;
	char buf[P_GATE];

	p_pair(SOCK_STREAM, pair);
	before = p_epoll_with(pair[0], EPOLLOUT | EPOLLIN | EPOLLRDHUP | EPOLLET);
	NEED(p_epoll_take(before, &ev) == 1); /* writable from birth */
	gate = p_gate(pair[0]);
	copy = dup(pair[0]);
	NEED(copy >= 0);
	during = p_epoll_with(pair[0], EPOLLOUT | EPOLLIN | EPOLLRDHUP | EPOLLET);
	for (int left = gate; left > 1;) {
		ssize_t n = recv(pair[1], buf, one_by_one ? 1 : (size_t)left - 1, MSG_DONTWAIT);

		NEED(n > 0);
		left -= (int)n;
		FACT("2.3 (2)", "no edge while the gate is read, set made before the gate",
		     p_epoll_take(before, &ev) == 0);
		FACT("2.3 (2)", "no edge while the gate is read, set made while gated",
		     p_epoll_take(during, &ev) == 0);
	}
	restore_sndbuf(copy);
	close(copy);
	FACT("2.3 (2, 3)", "the restored buffer is an edge, set made before the gate",
	     p_epoll_take(before, &ev) == 1 && ev == EPOLLOUT);
	FACT("2.3 (2, 3)", "the restored buffer is an edge, set made while gated",
	     p_epoll_take(during, &ev) == 1 && ev == EPOLLOUT);
	FACT("2.3 (2)", "no second edge follows",
	     p_epoll_take(before, &ev) == 0 && p_epoll_take(during, &ev) == 0);
	close(before);
	close(during);
	p_close_pair(pair);
}

static bool child_waits(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 10000) == 1 && p.revents == POLLOUT;
}

/* A blocking connect sleeps on the gate. */
static void sleeper_wakes(void)
{
	int pair[2], gate = gated_pair(pair);
	pid_t pid = p_fork(child_waits, pair[0]);

	usleep(50000);
	FACT("2.3 (6)", "poll sleeps while gated", waitpid(pid, NULL, WNOHANG) == 0);
	drain(pair, gate);
	FACT("2.3 (6)", "the drain wakes a sleeper", p_child_ok(pid));
	p_close_pair(pair);
}

/* The gate bytes stand before the program's, and the last of them does not get in the way of large writes. */
static void order_and_room(void)
{
	char buf[8];
	int pair[2], gate = gated_pair(pair), copy = dup(pair[0]);

	NEED(copy >= 0);
	restore_sndbuf(copy);
	close(copy);
	FACT("2.3 (1)", "what is left of the gate is its last byte",
	     recv(pair[1], sink, (size_t)gate - 1, MSG_DONTWAIT) == gate - 1);
	FACT("2.3 (3)", "SO_SNDBUF set through a duplicate holds for the program's descriptor",
	     send(pair[0], "abc", 3, 0) == 3 && send(pair[0], big, 65536, 0) == 65536);
	FACT("2.3 (4)", "the last gate byte comes before the program's bytes",
	     recv(pair[1], buf, 4, 0) == 4 && buf[0] == (char)(gate - 1) && memcmp(buf + 1, "abc", 3) == 0);
	p_close_pair(pair);
}

/*
 * Memory of a message is freed with its last byte, so the lag byte holds on to all of the message it ends.
 * That must stay below the quarter of the send buffer up to which the kernel says "writable", or a program
 * that polls would wait for ever.
 */
static void lag_byte_leaves_room(void)
{
	int pair[2];

	for (size_t n = 1; n <= sizeof(big); n += 509) {
		ssize_t left;

		p_pair(SOCK_STREAM, pair);
		restore_sndbuf(pair[0]);
		left = send(pair[0], big, n, 0);
		NEED(left > 0);
		while (left > 1) {
			ssize_t r = recv(pair[1], sink, (size_t)left - 1, 0);

			NEED(r > 0);
			left -= r;
		}
		FACT("2.4", "writable with only the lag byte of a write of any size unread",
		     p_poll(pair[0]) == POLLOUT);
		p_close_pair(pair);
	}
}

/* Why the program's own SO_SNDBUF requests must not reach the kernel while it connects. */
static void raising_opens(void)
{
	int pair[2];

	gated_pair(pair);
	restore_sndbuf(pair[0]);
	FACT("2.3 (3)", "raising SO_SNDBUF opens the gate", p_poll(pair[0]) == POLLOUT);
	p_close_pair(pair);
}

/* A program that gives up while connecting: the tunnel watches with IN | RDHUP | ET. */
static void given_up(void)
{
	uint32_t ev;
	int pair[2], set;

	gated_pair(pair);
	set = p_epoll_with(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	FACT("stack/conn.c", "gate bytes give the tunnel IN only",
	     p_epoll_take(set, &ev) == 1 && ev == EPOLLIN);
	shutdown(pair[0], SHUT_WR);
	FACT("2.3 (7)", "shutdown while gated gives the tunnel RDHUP without HUP",
	     p_epoll_take(set, &ev) == 1 && ev & EPOLLRDHUP && !(ev & (EPOLLHUP | EPOLLERR)));
	close(pair[0]);
	FACT("2.3 (7)", "close while gated gives the tunnel HUP",
	     p_epoll_take(set, &ev) == 1 && ev & EPOLLHUP);
	close(set);
	close(pair[1]);
}

int main(void)
{
	shut_for_everyone();
	one_edge(false);
	one_edge(true);
	sleeper_wakes();
	order_and_room();
	lag_byte_leaves_room();
	raising_opens();
	given_up();
	return 0;
}
