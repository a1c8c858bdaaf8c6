/* SPDX-License-Identifier: Apache-2.0 */
/* UDP: several senders, threads, processes, copies, many sockets; and every way to wait for a datagram. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "t.h"
#include "t_main.h"

#define WAIT 20000
#define SOCKETS 20
#define THREADS 4

static int connected(const char *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (t_connect(fd, port) < 0)
		printf("connect: %s\n", t_err(-1));
	return fd;
}

static void ask(int fd)
{
	if (send(fd, "question", 8, 0) != 8)
		printf("send: %s\n", t_err(-1));
}

static void take(int fd, const char *what)
{
	char buf[16];

	SAY(what, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
}

static void waits(void)
{
	int fd = connected("T_UDP"), ep = epoll_create1(0), n;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct timeval tv = { WAIT / 1000, 0 };
	char text[64];
	fd_set set;

	printf("at once: %s\n", t_events(t_poll(fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0), text));
	ask(fd);
	printf("poll: %s\n", t_events(t_poll(fd, POLLIN, WAIT), text));
	printf("poll for both: %s\n", t_events(t_poll(fd, POLLIN | POLLOUT, 0), text));
	take(fd, "recv");
	FD_ZERO(&set);
	FD_SET(fd, &set);
	ask(fd);
	SAY("select", select(fd + 1, &set, NULL, NULL, &tv));
	take(fd, "recv");
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	n = epoll_wait(ep, &ev, 1, WAIT);
	printf("edge: %d %s\n", n, t_events((int)ev.events, text));
	SAY("no second edge", epoll_wait(ep, &ev, 1, 0));
	ev.events = EPOLLIN | EPOLLET;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
	ask(fd);
	n = epoll_wait(ep, &ev, 1, WAIT);
	printf("edge: %d %s\n", n, t_events((int)ev.events, text));
	SAY("no second edge", epoll_wait(ep, &ev, 1, 0));
	ask(fd);
	SAY("an edge for the next datagram", epoll_wait(ep, &ev, 1, WAIT));
	take(fd, "recv");
	take(fd, "recv");
	ev.events = EPOLLIN | EPOLLONESHOT;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
	ask(fd);
	SAY("one shot", epoll_wait(ep, &ev, 1, WAIT));
	SAY("no second", epoll_wait(ep, &ev, 1, 0));
	ev.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
	SAY("level", epoll_wait(ep, &ev, 1, WAIT));
	SAY("level again", epoll_wait(ep, &ev, 1, 0));
	take(fd, "recv");
	SAY("empty", epoll_wait(ep, &ev, 1, 0));
	close(ep);
	close(fd);
}

static void senders(void)
{
	struct sockaddr_in to = t_v4("T_UDP3"), from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), others = 0;
	uint16_t seen[3] = { 0 };
	bool different = true;
	char buf[16];

	sendto(fd, "question", 8, 0, (struct sockaddr *)&to, sizeof(to));
	for (int i = 0; i < 3; i++) {
		socklen_t len = sizeof(from);

		t_poll(fd, POLLIN, WAIT);
		SAY("received", recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
		seen[i] = from.sin_port;
		others += from.sin_port != to.sin_port;
		for (int k = 0; k < i; k++)
			different = different && seen[k] != seen[i];
	}
	printf("from other ports %d, all different %d\n", others, different);
	SAY("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	ask(fd);
	t_poll(fd, POLLIN, WAIT);
	take(fd, "the peer's");
	printf("no other %d\n", !t_poll(fd, POLLIN, 700));
	close(fd);
}

static void *question(void *arg)
{
	int fd = connected("T_UDP");
	char mine = *(char *)arg, got = 0;
	bool right = true;

	for (int i = 0; i < 5; i++) {
		send(fd, &mine, 1, 0);
		right = right && t_poll(fd, POLLIN, WAIT) && recv(fd, &got, 1, 0) == 1 && got == mine;
	}
	close(fd);
	return right ? arg : NULL;
}

static void threads(void)
{
	pthread_t t[THREADS];
	char name[THREADS];
	int right = 0;

	for (int i = 0; i < THREADS; i++) {
		name[i] = (char)('a' + i);
		pthread_create(&t[i], NULL, question, &name[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		right += ret != NULL;
	}
	printf("right %d\n", right);
}

static void *blocked(void *arg)
{
	char buf[16];
	ssize_t r = recv(*(int *)arg, buf, sizeof(buf), 0);

	return (void *)(intptr_t)r;
}

static void one_socket_many_threads(void)
{
	int fd = connected("T_UDP");
	pthread_t t[THREADS];
	intptr_t sum = 0;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, blocked, &fd);
	for (int i = 0; i < THREADS; i++)
		ask(fd);
	for (int i = 0; i < THREADS; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		sum += (intptr_t)ret;
	}
	printf("received %d\n", (int)sum);
	close(fd);
}

static void processes(void)
{
	struct sockaddr_in a = t_v4("T_UDP"), from = { .sin_port = 0 };
	int fd = connected("T_UDP"), copy = dup(fd), status;
	socklen_t len = sizeof(from);
	char buf[16];
	pid_t child;

	ask(copy);
	close(copy);
	t_poll(fd, POLLIN, WAIT);
	take(fd, "the copy's answer");
	child = fork();
	if (child == 0) {
		struct sockaddr none = { .sa_family = AF_UNSPEC };

		ask(fd);
		t_poll(fd, POLLIN, WAIT);
		take(fd, "the child");
		connect(fd, &none, sizeof(none));
		_exit(0);
	}
	waitpid(child, &status, 0);
	SAY("the child has disconnected it", getpeername(fd, (struct sockaddr *)&from, &len));
	SAY("sendto", sendto(fd, "question", 8, 0, (struct sockaddr *)&a, sizeof(a)));
	t_poll(fd, POLLIN, WAIT);
	len = sizeof(from);
	SAY("recvfrom", recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	printf("from the server %d\n", from.sin_port == a.sin_port);
	close(fd);
}

static void many(void)
{
	int fd[SOCKETS], right = 0;
	char got;

	for (int i = 0; i < SOCKETS; i++) {
		char c = (char)('A' + i);

		fd[i] = connected("T_UDP");
		send(fd[i], &c, 1, 0);
	}
	for (int i = 0; i < SOCKETS; i++) {
		right += t_poll(fd[i], POLLIN, WAIT) && recv(fd[i], &got, 1, 0) == 1 && got == 'A' + i;
		close(fd[i]);
	}
	printf("right %d\n", right);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "waits", .run = waits },
		{ "several senders", .run = senders },
		{ "threads", .run = threads },
		{ "threads of one socket", .run = one_socket_many_threads },
		{ "copies and children", .run = processes },
		{ "many", .run = many },
	};

	return T_MAIN(argc, argv, cases);
}
