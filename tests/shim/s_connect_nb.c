/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking connect seen by poll, select, epoll level- and edge-triggered, registered before and after
 * connect. */
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "t.h"
#include "t_main.h"

enum { WAIT_MS = 3000, QUIET_MS = 100, OTHERS = 10000 };

static char *self;

static int by_poll(int fd)
{
	return t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, WAIT_MS);
}

static int by_select(int fd)
{
	fd_set r, w;
	struct timeval tv = { 3, 0 };

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	select(fd + 1, &r, &w, NULL, &tv);
	return (FD_ISSET(fd, &r) ? POLLIN : 0) | (FD_ISSET(fd, &w) ? POLLOUT : 0);
}

static int epoll_of(int fd, uint32_t flags)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	return ep;
}

static int epoll_look(int ep, int ms)
{
	struct epoll_event ev = { 0 };

	return epoll_wait(ep, &ev, 1, ms) == 1 ? (int)ev.events : 0;
}

static void after(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char byte;

	printf("SO_ERROR %s, then", t_so_error_name(fd));
	printf(" %s\n", t_so_error_name(fd));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&ss, &len));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	if (t_poll(fd, POLLIN, WAIT_MS))
		SAY("recv", recv(fd, &byte, 1, 0));
}

static void during(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char byte;

	SAY("connect", t_connect(fd, "T_HANG"));
	SAY("again", t_connect(fd, "T_HANG"));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&ss, &len));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	printf("events %d\n", t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, QUIET_MS));
	SAY("shutdown", shutdown(fd, SHUT_RDWR));
	close(fd);
}

static const struct {
	const char *name;
	const char *where;
	int (*wait)(int);
	enum { NEVER, BEFORE, AFTER } when; /* epoll is told of it, with these flags */
	uint32_t flags;
} ways[] = {
	{ "poll, accepted", "T_ECHO", by_poll, NEVER, 0 },
	{ "poll, refused", "T_CLOSED", by_poll, NEVER, 0 },
	{ "select, accepted", "T_ECHO", by_select, NEVER, 0 },
	{ "select, refused", "T_CLOSED", by_select, NEVER, 0 },
	{ "epoll before, accepted", "T_ECHO", NULL, BEFORE, 0 },
	{ "epoll before, refused", "T_CLOSED", NULL, BEFORE, 0 },
	{ "epoll after, accepted", "T_ECHO", NULL, AFTER, 0 },
	{ "epoll after, refused", "T_CLOSED", NULL, AFTER, 0 },
	{ "edges before, accepted", "T_ECHO", NULL, BEFORE, EPOLLET },
	{ "edges before, refused", "T_CLOSED", NULL, BEFORE, EPOLLET },
	{ "edges after, accepted", "T_ECHO", NULL, AFTER, EPOLLET },
	{ "edges after, refused", "T_CLOSED", NULL, AFTER, EPOLLET },
};

enum { N_WAYS = sizeof(ways) / sizeof(ways[0]) };

static void outcome(int i)
{
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = -1, seen;

	if (ways[i].when == BEFORE) {
		ep = epoll_of(fd, ways[i].flags);
		epoll_look(ep, 0); /* what an unconnected socket reports is not the subject */
	}
	SAY("connect", t_connect(fd, ways[i].where));
	if (ways[i].when == AFTER)
		ep = epoll_of(fd, ways[i].flags);
	seen = ep < 0 ? ways[i].wait(fd) : epoll_look(ep, WAIT_MS);
	if (t_failed(seen))
		seen |= ep < 0 ? ways[i].wait(fd) : epoll_look(ep, 0);
	printf("events %s\n", t_events(seen, text));
	if (ep >= 0 && ways[i].flags)
		printf("edge again %d\n", epoll_look(ep, QUIET_MS));
	if (ep >= 0 && !ways[i].flags)
		printf("level again %s\n", t_events(epoll_look(ep, QUIET_MS), text));
	after(fd);
	if (ep >= 0)
		close(ep);
	close(fd);
}

/* Only where the servers are behind a real route: run.py gives an address nobody can reach. */
static void nowhere(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, secure_getenv("T_NOWHERE"), &a.sin_addr);
	SAY("connect", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("and then to the server", t_connect(fd, "T_ECHO"));
	t_poll(fd, POLLOUT, WAIT_MS);
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	close(fd);
}

/* A connect nobody answers ends by itself, later or sooner. */
static void timed_out(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char text[64];

	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){ 1 }, sizeof(int));
	SAY("connect", t_connect(fd, "T_HANG"));
	printf("events %s\n", t_events(t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 90000), text));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	close(fd);
}

static void after_success(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	SAY("connect", t_connect(fd, "T_ECHO"));
	t_poll(fd, POLLOUT, WAIT_MS);
	SAY("second", t_connect(fd, "T_ECHO"));
	SAY("third", t_connect(fd, "T_ECHO"));
	close(fd);
}

static void after_failure(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	SAY("refused", t_connect(fd, "T_CLOSED"));
	t_poll(fd, POLLOUT, WAIT_MS);
	SAY("second tells", t_connect(fd, "T_ECHO"));
	SAY("third", t_connect(fd, "T_ECHO"));
	t_poll(fd, POLLOUT, WAIT_MS);
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

/* Another program, which has only the descriptor, asks for the outcome. */
static void over_exec(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char number[16];
	pid_t pid;

	SAY("connect", t_connect(fd, port));
	t_poll(fd, POLLOUT, strcmp(port, "T_HANG") ? WAIT_MS : 100);
	snprintf(number, sizeof(number), "%d", fd);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(self, self, number, port, NULL);
		_exit(99);
	}
	waitpid(pid, NULL, 0);
	close(fd);
}

static void over_exec_refused(void)
{
	over_exec("T_CLOSED");
}

static void over_exec_unanswered(void)
{
	over_exec("T_HANG");
}

/* The same program, after it has had many other sockets. */
static void after_others(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), pair[2];

	SAY("connect", t_connect(fd, "T_CLOSED"));
	t_poll(fd, POLLOUT, WAIT_MS);
	for (int i = 0; i < OTHERS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(pair[0], "x", 1) != 1)
			break;
		close(pair[0]);
		close(pair[1]);
	}
	SAY("connect", t_connect(fd, "T_CLOSED"));
	close(fd);
}

static const struct t_case others[] = {
	{ "while connecting", .run = during },
	{ "again after success", .run = after_success },
	{ "again after failure", .run = after_failure },
	{ "refused, asked after exec", .run = over_exec_refused },
	{ "unanswered, asked after exec", .run = over_exec_unanswered },
	{ "asked after many others", .run = after_others },
	{ "unreachable", .run = nowhere },
	{ "timed out", .run = timed_out },
};

enum { N_OTHERS = sizeof(others) / sizeof(others[0]), N_REAL_ROUTE = 2 /* of them, the last */ };

int main(int argc, char **argv)
{
	struct t_case cases[N_WAYS + N_OTHERS];

	self = argv[0];
	if (argc == 3) {
		SAY("connect", t_connect(atoi(argv[1]), argv[2]));
		return 0;
	}
	for (int i = 0; i < N_WAYS; i++)
		cases[i] = (struct t_case){ ways[i].name, .with = outcome, .arg = i };
	memcpy(cases + N_WAYS, others, sizeof(others));
	return t_main(argc, argv, cases, N_WAYS + N_OTHERS - (secure_getenv("T_NOWHERE") ? 0 : N_REAL_ROUTE),
		      T_ONE_BY_ONE);
}
