/* SPDX-License-Identifier: Apache-2.0 */
/* Calls where something is scarce: in a thread that has the least stack, in a signal handler on a small
 * alternate stack, and without a descriptor left.
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>

#include "t.h"
#include "t_main.h"

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

static const struct {
	const char *name;
	void (*job)(void);
	int type;
	void (*how)(void);
} tries[] = {
	{ "stream in a thread with the least stack", stream, SOCK_STREAM, in_small_thread },
	{ "datagram in a thread with the least stack", datagram, SOCK_DGRAM, in_small_thread },
	{ "refused in a thread with the least stack", refused, SOCK_DGRAM, in_small_thread },
	{ "a local socket in a thread with the least stack", inherited, 0, in_small_thread },
	{ "stream on a small alternate stack", stream, SOCK_STREAM, on_small_stack },
	{ "datagram on a small alternate stack", datagram, SOCK_DGRAM, on_small_stack },
	{ "refused on a small alternate stack", refused, SOCK_DGRAM, on_small_stack },
	{ "a local socket on a small alternate stack", inherited, 0, on_small_stack },
};

enum { N_TRIES = sizeof(tries) / sizeof(tries[0]) };

static void try(int i)
{
	int pair[2];

	fd = tries[i].type ? socket(AF_INET, tries[i].type, 0) : -1;
	if (!tries[i].type && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
		fd = pair[0];
	sent = got = 0;
	job = tries[i].job;
	tries[i].how();
	printf("sent %ld got %ld\n", sent, got);
}

static void without_descriptors(void)
{
	int tcp = t_tcp("T_ECHO"), next = socket(AF_INET, SOCK_STREAM, 0),
	    udp = socket(AF_INET, SOCK_DGRAM, 0), closed = socket(AF_INET, SOCK_DGRAM, 0), last = dup(0);
	struct timeval limit = { 5, 0 };
	struct rlimit old, none;
	char buf[LONG] = { 0 };

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

int main(int argc, char **argv)
{
	struct t_case cases[N_TRIES + 1];

	for (int i = 0; i < N_TRIES; i++)
		cases[i] = (struct t_case){ tries[i].name, .with = try, .arg = i };
	cases[N_TRIES] = (struct t_case){ "without a descriptor left", .run = without_descriptors };
	return T_MAIN(argc, argv, cases);
}
