/* SPDX-License-Identifier: Apache-2.0 */
/* What a TCP socket says after each network event, by each way to look at it; every pair on a connection of
 * its own. */
#include <sys/select.h>

#include "t_do.h"
#include "t_main.h"

/* ---- events: each returns a descriptor on which it has happened ---- */

static int fresh(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int connected(void)
{
	return t_tcp("T_DO");
}

static int data(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\n");
	t_ready(fd, 3);
	return fd;
}

static int out_of_data(void)
{
	int fd = data();
	char buf[8];

	recv(fd, buf, sizeof(buf), 0);
	return fd;
}

static int peer_fin(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "fin\n");
	t_until(fd, POLLRDHUP);
	return fd;
}

static int data_and_fin(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nfin\n");
	t_until(fd, POLLRDHUP);
	return fd;
}

static int fin_then_sent(void)
{
	int fd = peer_fin();

	t_do(fd, "sleep 1\n");
	return fd;
}

static int reset(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "rst\n");
	t_until(fd, 0);
	return fd;
}

static int data_and_reset(void)
{
	int fd = t_tcp("T_DO");
	char byte;

	/* The second byte shows that the first lies ready: a reset does not wait for what is under way. */
	t_do(fd, "say ab\n");
	t_ready(fd, 2);
	recv(fd, &byte, 1, 0);
	t_do(fd, "rst\n");
	t_until(fd, 0);
	return fd;
}

static int reset_after_shutdown(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 50\nrst\n");
	shutdown(fd, SHUT_WR);
	t_until(fd, 0);
	return fd;
}

static int reset_by_close(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "close\nunread\n");
	t_until(fd, 0);
	return fd;
}

static int shut_wr(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 20000\n"); /* or the server's end follows */
	shutdown(fd, SHUT_WR);
	return fd;
}

static int shut_rd(void)
{
	int fd = t_tcp("T_DO");

	shutdown(fd, SHUT_RD);
	return fd;
}

static int shut_rdwr(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 20000\n");
	shutdown(fd, SHUT_RDWR);
	return fd;
}

static int shut_rd_with_data(void)
{
	int fd = data();

	shutdown(fd, SHUT_RD);
	return fd;
}

static int both_fins_ours_first(void)
{
	int fd = t_tcp("T_DO");

	shutdown(fd, SHUT_WR);
	t_until(fd, 0); /* HUP */
	return fd;
}

static int both_fins_theirs_first(void)
{
	int fd = peer_fin();

	shutdown(fd, SHUT_WR);
	t_until(fd, 0);
	usleep(T_QUIET_MS * 1000); /* the acknowledgement of ours */
	return fd;
}

static int connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	t_connect(fd, "T_HANG");
	return fd;
}

static int refused_nonblocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	t_connect(fd, "T_CLOSED");
	t_until(fd, 0);
	return fd;
}

static int refused_blocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	t_connect(fd, "T_CLOSED");
	return fd;
}

static int unreachable(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };

	inet_pton(AF_INET, "192.168.1.1", &a.sin_addr);
	connect(fd, (struct sockaddr *)&a, sizeof(a));
	return fd;
}

static int dissolved(void)
{
	int fd = t_tcp("T_DO");
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(fd, &none, sizeof(none));
	return fd;
}

/* ---- ways to look ---- */

static void by_recv(int fd)
{
	char byte;

	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	SAY("recv again", recv(fd, &byte, 1, MSG_DONTWAIT));
}

static void by_send(int fd)
{
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void by_poll(int fd)
{
	printf("poll: %s\n", t_names(t_poll(fd, T_ALL, 0)));
}

static void by_select(int fd)
{
	fd_set r, w, x;
	struct timeval now = { 0, 0 };

	FD_ZERO(&r);
	FD_SET(fd, &r);
	w = x = r;
	select(fd + 1, &r, &w, &x, &now);
	printf("select: %d %d %d\n", FD_ISSET(fd, &r) != 0, FD_ISSET(fd, &w) != 0, FD_ISSET(fd, &x) != 0);
}

static void by_epoll(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET },
			   got = { 0 };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	epoll_wait(ep, &got, 1, 0);
	printf("epoll: %s, ", t_names((int)got.events));
	printf("edge again %d\n", epoll_wait(ep, &got, 1, 0));
	close(ep);
}

/* All that changes nothing. */
static void by_looking(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	by_poll(fd);
	by_select(fd);
	by_epoll(fd);
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(a);
	SAY("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
	printf("SO_ERROR %s, then", t_so_error_name(fd));
	printf(" %s\n", t_so_error_name(fd));
}

static void by_shutdown(int fd)
{
	SAY("shutdown", shutdown(fd, SHUT_WR));
}

static void by_connect(int fd)
{
	t_nonblock(fd, true);
	SAY("connect", t_connect(fd, "T_DO"));
}

static const struct {
	const char *name;
	int (*happen)(void);
} events[] = {
	{ "fresh", fresh },
	{ "connecting", connecting },
	{ "refused, non-blocking", refused_nonblocking },
	{ "refused, blocking", refused_blocking },
	{ "unreachable", unreachable },
	{ "connected", connected },
	{ "dissolved", dissolved },
	{ "data", data },
	{ "out of data", out_of_data },
	{ "peer's FIN", peer_fin },
	{ "data and FIN", data_and_fin },
	{ "peer's FIN, then sent", fin_then_sent },
	{ "reset", reset },
	{ "data and reset", data_and_reset },
	{ "own FIN, then reset", reset_after_shutdown },
	{ "reset by a close with unread bytes", reset_by_close },
	{ "own SHUT_WR", shut_wr },
	{ "own SHUT_RD", shut_rd },
	{ "own SHUT_RD with data", shut_rd_with_data },
	{ "own SHUT_RDWR", shut_rdwr },
	{ "both FINs, ours first", both_fins_ours_first },
	{ "both FINs, theirs first", both_fins_theirs_first },
	{ "full", NULL },
};

enum { N_EVENTS = sizeof(events) / sizeof(events[0]) };

/* Takes seconds to make, so both are looked at on one connection. */
static void full_and_drained(void)
{
	int fd = t_tcp("T_DO");
	char key[32];

	t_key(key);
	t_do(fd, "await %s\ncount\n", key);
	t_fill(fd);
	by_looking(fd);
	t_wake(key);
	t_until(fd, POLLOUT);
	printf("then drained\n");
	by_looking(fd);
	close(fd);
}

static void observe(int i)
{
	static void (*const ways[])(int) = { by_looking, by_recv, by_send, by_shutdown, by_connect };

	if (!events[i].happen) {
		full_and_drained();
		return;
	}
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		int fd = events[i].happen();

		ways[w](fd);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct t_case cases[N_EVENTS];

	for (int i = 0; i < N_EVENTS; i++)
		cases[i] = (struct t_case){ events[i].name, .with = observe, .arg = i };
	return t_main(argc, argv, cases, N_EVENTS, T_AT_ONCE);
}
