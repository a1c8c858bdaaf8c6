/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of a stream pair: interposition.md 2.4 and 2.5, stack/conn.c. An end that closes with unread bytes
 * (gate or lag byte) gives the other a native reset, one that closes with an empty queue a clean end of file.
 * TCP on loopback is asked the same questions, for the claim is that a program cannot tell the two apart.
 */
#include "p.h"

#include <netinet/in.h>
#include <signal.h>

#define ALL_FLAGS (POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP)

/* ---- native TCP ---- */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = port,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* Listener on a free port; *ret = its address. -1: no TCP here, errno. */
static int tcp_listen(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = loopback(0);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, len) < 0 || listen(fd, 4) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret, &len) < 0)
		return -1;
	return fd;
}

/* Is there a route to loopback at all? */
static bool tcp_reaches(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 &&
		  (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EINPROGRESS);
	int err = errno;

	close(fd);
	errno = err;
	return ok;
}

static void tcp_pair(int listener, const struct sockaddr_in *at, int pair[2])
{
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(pair[0] >= 0 && connect(pair[0], (const struct sockaddr *)at, sizeof(*at)) == 0);
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	NEED(pair[1] >= 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
}

/* What poll() says once all wanted flags are there: loopback is quick, not immediate. */
static short settled(int fd, short wanted)
{
	for (int i = 0; i < 1000 && (p_poll(fd) & wanted) != wanted; i++)
		usleep(1000);
	return p_poll(fd);
}

/* ---- the far side refuses, resets, ends ---- */

static void refused(void)
{
	int pair[2];

	p_pair(SOCK_STREAM, pair);
	NEED(p_gate(pair[0]) > 1);
	close(pair[1]);
	FACT("2.3 (8)", "closed with the gate unread: IN|OUT|ERR|HUP|RDHUP", p_poll(pair[0]) == ALL_FLAGS);
	FACT("2.3 (8)", "SO_ERROR is ECONNRESET", p_so_error(pair[0]) == ECONNRESET);
	FACT("2.3 (8)", "SO_ERROR is 0 the second time", p_so_error(pair[0]) == 0);
	close(pair[0]);
}

static void native_refused(void)
{
	struct sockaddr_in nobody;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    listener = tcp_listen(&nobody);

	NEED(fd >= 0 && listener >= 0);
	close(listener);
	NEED(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) < 0);
	FACT("2.3 (8)", "a refused TCP connect shows the same flags", settled(fd, ALL_FLAGS) == ALL_FLAGS);
	FACT("2.3", "SO_ERROR of TCP: the code once, then 0",
	     p_so_error(fd) == ECONNREFUSED && p_so_error(fd) == 0);
	close(fd);
}

/* The same for pair and TCP: data "xyz" and then a reset wait for the program. */
static void reset_with_data(int fd)
{
	char buf[8];

	FACT("2.4", "a reset shows IN|OUT|ERR|HUP|RDHUP", settled(fd, ALL_FLAGS) == ALL_FLAGS);
	FACT("2.4", "what came before the reset is still delivered",
	     recv(fd, buf, sizeof(buf), 0) == 3 && memcmp(buf, "xyz", 3) == 0);
	FACT("2.4", "then ECONNRESET", p_fails(recv(fd, buf, sizeof(buf), 0), ECONNRESET));
	FACT("2.4", "ECONNRESET comes once, then end of file", recv(fd, buf, sizeof(buf), 0) == 0);
	FACT("2.4", "send after a reset gives EPIPE", p_fails(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE));
	FACT("2.4", "nothing is left in SO_ERROR", p_so_error(fd) == 0);
}

static void reset_by_lag_byte(void)
{
	int pair[2];

	p_pair(SOCK_STREAM, pair);
	NEED(send(pair[0], "q", 1, 0) == 1); /* the lag byte */
	NEED(send(pair[1], "xyz", 3, 0) == 3);
	close(pair[1]);
	reset_with_data(pair[0]);
	close(pair[0]);
}

static void native_reset(int listener, const struct sockaddr_in *at)
{
	const struct linger abort_it = { 1, 0 };
	int pair[2];

	tcp_pair(listener, at, pair);
	NEED(send(pair[1], "xyz", 3, 0) == 3 && settled(pair[0], POLLIN | POLLOUT) == (POLLIN | POLLOUT));
	NEED(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it)) == 0);
	close(pair[1]);
	reset_with_data(pair[0]);
	close(pair[0]);
}

/* The same for pair and TCP, pair[1] being the far side: FIN one way, then the other. */
static void half_close(int pair[2])
{
	char buf[8];

	NEED(send(pair[1], "xyz", 3, 0) == 3);
	shutdown(pair[1], SHUT_WR);
	FACT("2.4", "a FIN shows IN|OUT|RDHUP",
	     settled(pair[0], POLLIN | POLLOUT | POLLRDHUP) == (POLLIN | POLLOUT | POLLRDHUP));
	FACT("2.5", "what came before the FIN, then end of file",
	     recv(pair[0], buf, sizeof(buf), 0) == 3 && recv(pair[0], buf, sizeof(buf), 0) == 0);
	FACT("2.4", "the flags stay after end of file was read",
	     p_poll(pair[0]) == (POLLIN | POLLOUT | POLLRDHUP));
	FACT("2.5", "the other direction goes on",
	     send(pair[0], "back", 4, MSG_NOSIGNAL) == 4 && settled(pair[1], POLLIN) & POLLIN &&
		     recv(pair[1], buf, sizeof(buf), 0) == 4);
	shutdown(pair[0], SHUT_WR);
	FACT("2.5", "the far side sees the end of the other direction",
	     settled(pair[1], POLLIN | POLLOUT | POLLRDHUP | POLLHUP) &&
		     recv(pair[1], buf, sizeof(buf), 0) == 0);
	FACT("2.4", "both FINs show IN|OUT|RDHUP|HUP",
	     settled(pair[0], POLLIN | POLLOUT | POLLRDHUP | POLLHUP) ==
		     (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
	FACT("2.4", "a clean end leaves no error", p_so_error(pair[0]) == 0 && p_so_error(pair[1]) == 0);
}

static void clean_close(void)
{
	char byte;
	int pair[2];

	p_pair(SOCK_STREAM, pair);
	NEED(send(pair[0], "q", 1, 0) == 1);
	NEED(recv(pair[1], &byte, 1, 0) == 1); /* the lag byte is consumed first */
	close(pair[1]);
	FACT("2.4", "closed with an empty queue: no ERR",
	     p_poll(pair[0]) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
	FACT("2.4", "closed with an empty queue: no error", p_so_error(pair[0]) == 0);
	FACT("2.4", "closed with an empty queue: end of file", recv(pair[0], &byte, 1, 0) == 0);
	close(pair[0]);
}

static bool wait_for_the_kill(int fd)
{
	(void)fd;
	pause();
	return false;
}

static void tunnel_killed(void)
{
	char byte;
	int pair[2], status;
	pid_t pid;

	p_pair(SOCK_STREAM, pair);
	NEED(send(pair[0], "q", 1, 0) == 1);
	pid = p_fork(wait_for_the_kill, pair[1]);
	close(pair[1]); /* the child, which holds a copy of both ends, has the last one of this */
	FACT("2.5", "a copy in another process keeps the end open", p_poll(pair[0]) == POLLOUT);
	NEED(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	FACT("2.4", "a killed tunnel is a reset", p_fails(recv(pair[0], &byte, 1, 0), ECONNRESET));
	close(pair[0]);
}

/* ---- the program ends: what the tunnel sees ---- */

static void program_closes(void)
{
	uint32_t ev;
	char buf[8];
	int pair[2], set;

	p_pair(SOCK_STREAM, pair);
	NEED(send(pair[1], "unread", 6, 0) == 6);
	close(pair[0]);
	FACT("2.4", "a program that closes with data unread: ERR and HUP for the tunnel",
	     (p_poll(pair[1]) & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
	FACT("2.4", "and ECONNRESET in SO_ERROR", p_so_error(pair[1]) == ECONNRESET);
	FACT("stack/conn.c", "writing to it fails with EPIPE",
	     p_fails(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE));
	close(pair[1]);

	p_pair(SOCK_STREAM, pair);
	NEED(send(pair[0], "last", 4, 0) == 4);
	set = p_epoll_with(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	NEED(p_epoll_take(set, &ev) == 1);
	close(pair[0]);
	FACT("2.5", "a program that closes with all read: HUP without ERR for the tunnel",
	     p_epoll_take(set, &ev) == 1 && ev & EPOLLHUP && ev & EPOLLRDHUP && !(ev & EPOLLERR));
	FACT("stack/conn.c", "no error then", p_so_error(pair[1]) == 0);
	FACT("2.5", "what it wrote last can still be read",
	     recv(pair[1], buf, sizeof(buf), 0) == 4 && memcmp(buf, "last", 4) == 0);
	FACT("2.5", "then end of file", recv(pair[1], buf, sizeof(buf), 0) == 0);
	close(set);
	close(pair[1]);
}

static void program_half_closes(void)
{
	int pair[2];

	p_pair(SOCK_STREAM, pair);
	shutdown(pair[0], SHUT_WR);
	FACT("2.5", "shutdown(SHUT_WR) is RDHUP without HUP for the tunnel",
	     p_poll(pair[1]) == (POLLIN | POLLOUT | POLLRDHUP));
	FACT("2.5", "the tunnel can still write", send(pair[1], "x", 1, MSG_NOSIGNAL) == 1);
	p_close_pair(pair);
	p_pair(SOCK_STREAM, pair);
	shutdown(pair[0], SHUT_RD);
	FACT("2.5", "after shutdown(SHUT_RD) the tunnel's writes fail with EPIPE",
	     p_fails(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE));
	FACT("2.5", "the program can still write", send(pair[0], "y", 1, MSG_NOSIGNAL) == 1);
	p_close_pair(pair);
}

/* The queue is never empty because of the lag byte: level-triggered IN would spin, edges must still come. */
static void edges_behind_the_lag_byte(void)
{
	uint32_t ev;
	char buf[8];
	int pair[2], set;

	p_pair(SOCK_STREAM, pair);
	set = p_epoll_with(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	NEED(send(pair[0], "q", 1, 0) == 1);
	FACT("2.4", "an edge for the first byte", p_epoll_take(set, &ev) == 1 && ev == EPOLLIN);
	FACT("2.4", "an unread byte makes no further edge", p_epoll_take(set, &ev) == 0);
	NEED(send(pair[0], "ab", 2, 0) == 2);
	FACT("2.4", "an edge for data behind the lag byte", p_epoll_take(set, &ev) == 1 && ev == EPOLLIN);
	NEED(recv(pair[1], buf, 2, 0) == 2);
	FACT("2.4", "reading all but the lag byte makes no edge", p_epoll_take(set, &ev) == 0);
	shutdown(pair[0], SHUT_WR);
	FACT("2.4", "half-close shows as RDHUP behind the lag byte",
	     p_epoll_take(set, &ev) == 1 && ev & EPOLLRDHUP && !(ev & EPOLLHUP));
	close(pair[0]);
	FACT("2.4", "close shows as HUP behind the lag byte", p_epoll_take(set, &ev) == 1 && ev & EPOLLHUP);
	close(set);
	close(pair[1]);
}

int main(void)
{
	struct sockaddr_in at;
	int pair[2], listener;

	refused();
	reset_by_lag_byte();
	p_pair(SOCK_STREAM, pair);
	half_close(pair);
	p_close_pair(pair);
	clean_close();
	tunnel_killed();
	program_closes();
	program_half_closes();
	edges_behind_the_lag_byte();

	listener = tcp_listen(&at);
	if (listener < 0 || !tcp_reaches(&at))
		p_skip("the pair behaves, but there is no TCP on loopback to compare it with", errno);
	close(listener); /* with the connection that was tried */
	native_refused();
	listener = tcp_listen(&at);
	NEED(listener >= 0);
	native_reset(listener, &at);
	tcp_pair(listener, &at, pair);
	half_close(pair);
	p_close_pair(pair);
	close(listener);
	return 0;
}
