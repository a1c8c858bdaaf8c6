/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking connect seen by poll, select, epoll level- and edge-triggered, registered before and after
 * connect. */
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "t.h"

enum { WAIT_MS = 3000, QUIET_MS = 100, OTHERS = 10000 };

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

static void during(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char byte;

	SAY("again", t_connect(fd, "T_HANG"));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&ss, &len));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	printf("events %d\n", t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, QUIET_MS));
}

static void one(const char *how, const char *where)
{
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = -1, ev;
	uint32_t et = strstr(how, "et") ? EPOLLET : 0;

	printf("-- %s to %s\n", how, where);
	if (strstr(how, "before")) {
		ep = epoll_of(fd, et);
		epoll_look(ep, 0); /* what an unconnected socket reports is not the subject */
	}
	SAY("connect", t_connect(fd, where));
	if (strstr(how, "after"))
		ep = epoll_of(fd, et);
	if (ep >= 0)
		ev = epoll_look(ep, WAIT_MS);
	else
		ev = !strcmp(how, "select") ? by_select(fd) : by_poll(fd);
	printf("events %s\n", t_events(ev, text));
	if (ep >= 0 && et)
		printf("edge again %d\n", epoll_look(ep, QUIET_MS));
	if (ep >= 0 && !et)
		printf("level again %s\n", t_events(epoll_look(ep, QUIET_MS), text));
	after(fd);
	if (ep >= 0)
		close(ep);
	close(fd);
}

/* Only where the servers are behind a real route: run.py gives an address nobody can reach. */
static void nowhere(const char *ip)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	printf("-- unreachable\n");
	inet_pton(AF_INET, ip, &a.sin_addr);
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

	printf("-- timed out\n");
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){ 1 }, sizeof(int));
	SAY("connect", t_connect(fd, "T_HANG"));
	printf("events %s\n", t_events(t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 90000), text));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	close(fd);
}

static void retry(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	printf("-- connect again after success and failure\n");
	SAY("connect", t_connect(fd, "T_ECHO"));
	t_poll(fd, POLLOUT, WAIT_MS);
	SAY("second", t_connect(fd, "T_ECHO"));
	SAY("third", t_connect(fd, "T_ECHO"));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
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
static void over_exec(const char *self, const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char number[16];
	pid_t pid;

	printf("-- asked after exec, %s\n", port);
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

/* The same program, after it has had many other sockets. */
static void after_others(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), pair[2];

	printf("-- asked after many others\n");
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

int main(int argc, char **argv)
{
	static const char *const how[] = { "poll",	     "select",		"epoll lt before",
					   "epoll lt after", "epoll et before", "epoll et after" };

	if (argc == 3) {
		SAY("connect", t_connect(atoi(argv[1]), argv[2]));
		return 0;
	}
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		one(how[i], "T_ECHO");
		one(how[i], "T_CLOSED");
	}
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	printf("-- while connecting\n");
	SAY("connect", t_connect(fd, "T_HANG"));
	during(fd);
	SAY("shutdown", shutdown(fd, SHUT_RDWR));
	close(fd);
	retry();
	over_exec(argv[0], "T_CLOSED");
	over_exec(argv[0], "T_HANG");
	after_others();
	if (secure_getenv("T_NOWHERE")) {
		nowhere(secure_getenv("T_NOWHERE"));
		timed_out();
	}
	return 0;
}
