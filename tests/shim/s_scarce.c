/* SPDX-License-Identifier: Apache-2.0 */
/* Calls where something is scarce: in a thread that has the least stack, in a signal handler on a small
 * alternate stack (each in a process of its own, since what is wrong ends it), and without a descriptor left.
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "t.h"

#define HANDLER_ROOM 4096 /* beyond what the kernel needs to call it */
#define LONG 700	  /* a datagram whose size the tunnel is asked about */

static int fd;
static long sent, got;

static void stream(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char buf[8];

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (t_connect(fd, "T_ECHO") < 0 || getpeername(fd, (struct sockaddr *)&a, &len) < 0 || t_so_error(fd))
		return;
	sent = send(fd, "abc", 3, 0);
	got = recv(fd, buf, 3, MSG_WAITALL);
	shutdown(fd, SHUT_WR);
}

static void datagram(void)
{
	char buf[LONG] = { 0 };

	if (t_connect(fd, "T_UDP") < 0 || t_so_error(fd))
		return;
	sent = send(fd, buf, sizeof(buf), 0);
	got = recv(fd, buf, sizeof(buf), 0);
}

static void refused(void)
{
	char byte;

	if (t_connect(fd, "T_UDPCLOSED") < 0)
		return;
	sent = send(fd, "x", 1, 0);
	got = recv(fd, &byte, 1, 0) < 0 ? errno : 0;
}

static void inherited(void)
{
	sent = write(fd, "", 1);
}

static void (*job)(void);

static void handler(int sig)
{
	job();
}

static void *thread(void *arg)
{
	job();
	return NULL;
}

static void on_small_stack(void)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t s = { .ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + HANDLER_ROOM };

	s.ss_sp = malloc(s.ss_size);
	sigaltstack(&s, NULL);
	sigaction(SIGUSR1, &act, NULL);
	raise(SIGUSR1);
}

static void in_small_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
	pthread_create(&t, &attr, thread, NULL);
	pthread_join(t, NULL);
}

static void try(const char *what, void (*f)(void), int type, void (*how)(void))
{
	int status = -1, pair[2];
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd = type ? socket(AF_INET, type, 0) : -1;
		if (!type && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
			fd = pair[0];
		job = f;
		how();
		printf("%s: sent %ld got %ld\n", what, sent, got);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("%s: status %x\n", what, (unsigned)status);
}

static void without_descriptors(void)
{
	int tcp = t_tcp("T_ECHO"), next = socket(AF_INET, SOCK_STREAM, 0),
	    udp = socket(AF_INET, SOCK_DGRAM, 0), closed = socket(AF_INET, SOCK_DGRAM, 0), last = dup(0);
	struct timeval limit = { 5, 0 };
	struct rlimit old, none;
	char buf[LONG] = { 0 };

	printf("-- without a descriptor left\n");
	t_connect(udp, "T_UDP");
	t_connect(closed, "T_UDPCLOSED");
	setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = (rlim_t)last + 1;
	setrlimit(RLIMIT_NOFILE, &none);
	SAY("socket", socket(AF_INET, SOCK_STREAM, 0));
	SAY("send", send(tcp, "abc", 3, 0));
	SAY("recv", recv(tcp, buf, 3, MSG_WAITALL));
	SAY("shutdown", shutdown(tcp, SHUT_WR));
	SAY("end", recv(tcp, buf, 1, 0));
	SAY("datagram", send(udp, buf, LONG, 0));
	SAY("back", recv(udp, buf, LONG, 0));
	printf("SO_ERROR %s\n", t_so_error_name(udp));
	SAY("refused", send(closed, "x", 1, 0));
	t_poll(closed, POLLIN, 3000);
	SAY("recv", recv(closed, buf, 1, MSG_DONTWAIT));
	SAY("connect", t_connect(next, "T_ECHO"));
	SAY("send", send(next, "abc", 3, 0));
	SAY("recv", recv(next, buf, 3, MSG_WAITALL));
	setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
	static void (*const how[])(void) = { in_small_thread, on_small_stack };

	for (int i = 0; i < 2; i++) {
		printf("-- %s\n", i ? "on a small alternate stack" : "in a thread with the least stack");
		try("stream", stream, SOCK_STREAM, how[i]);
		try("datagram", datagram, SOCK_DGRAM, how[i]);
		try("refused", refused, SOCK_DGRAM, how[i]);
		try("a local socket", inherited, 0, how[i]);
	}
	without_descriptors();
	return 0;
}
