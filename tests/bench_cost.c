/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shim costs the program it is in. One worker (bench --cost) makes the same calls bare and under
 * smolmix-run, in the same run; the difference is the shim's. The limits are those of interposition.md 4: a
 * hook on a descriptor that is not ours under 1 us, a connect() under 20 us, no thread, no signal handler, at
 * most one descriptor, under 200 KB of library. A socket() waits for the answer of another process: what that
 * costs here with nothing else in it is measured too (request_bare). A connect() waits for nobody, but wakes
 * the tunnel, which on another, sleeping processor is most of it: wake_bare is a send() of one byte that
 * wakes a process.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/bench.h"
#include "tests/bench_peer.h"

#define CALLS 20000
#define CONNECTS 200
#define ROUNDS 7

enum { WRITE, READ, RECV, IOCTL, SOCKET, CONNECT, THREADS, HANDLERS, DESCRIPTORS, N_COSTS };

static const struct {
	const char *name, *unit;
	double limit;
} costs[N_COSTS] = {
	[WRITE] = { "shim_adds_write", "ns", 1000 },	    [READ] = { "shim_adds_read", "ns", 1000 },
	[RECV] = { "shim_adds_recv_unix", "ns", 1000 },	    [IOCTL] = { "shim_adds_ioctl", "ns", 1000 },
	[SOCKET] = { "shim_adds_socket", "us", 0 },	    [CONNECT] = { "connect_call", "us", 20 },
	[THREADS] = { "shim_adds_threads", "", 0 },	    [HANDLERS] = { "shim_adds_handlers", "", 0 },
	[DESCRIPTORS] = { "shim_adds_descriptors", "", 1 },
};

/* ---- worker ---- */

static int null_fd, zero_fd, unix_fd[2], pipe_fd[2];

static void do_write(void)
{
	if (write(null_fd, "x", 1) != 1)
		abort();
}

static void do_read(void)
{
	char c;

	if (read(zero_fd, &c, 1) != 1)
		abort();
}

static void do_recv(void)
{
	char c;

	recv(unix_fd[0], &c, 1, MSG_DONTWAIT);
}

static void do_ioctl(void)
{
	int n;

	ioctl(pipe_fd[0], FIONREAD, &n);
}

static double best_ns(void (*call)(void))
{
	double best = 1e12;

	for (int r = 0; r < ROUNDS; r++) {
		double t = peer_now();

		for (int i = 0; i < CALLS; i++)
			call();
		t = (peer_now() - t) * 1e9 / CALLS;
		if (t < best)
			best = t;
	}
	return best;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians: each call is a request to the tunnel. The sockets stay open until the end of a round of ten. */
static void sockets(double v[N_COSTS], const char *host)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) };
	static double made[CONNECTS], connected[CONNECTS];
	int fd[10];

	inet_pton(AF_INET, host, &to.sin_addr);
	for (int i = 0; i < CONNECTS; i++) {
		double t = peer_now(), u;

		fd[i % 10] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		u = peer_now();
		connect(fd[i % 10], (struct sockaddr *)&to, sizeof(to));
		connected[i] = (peer_now() - u) * 1e6;
		made[i] = (u - t) * 1e6;
		for (int j = 0; i % 10 == 9 && j < 10; j++)
			close(fd[j]);
	}
	qsort(made, CONNECTS, sizeof(double), by_value);
	qsort(connected, CONNECTS, sizeof(double), by_value);
	v[SOCKET] = made[CONNECTS / 2];
	v[CONNECT] = connected[CONNECTS / 2];
}

/* ---- a request to another process, with a descriptor, as socket() makes it ---- */

#define MESSAGE 64

static void answer(int listener)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	char msg[MESSAGE];

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (int i = 0; i < CONNECTS; i++) {
		int fd = epoll_wait(ep, &ev, 1, -1) == 1 ? accept(listener, NULL, NULL) : -1, got = -1;
		size_t n = 1;

		if (fd_recv_fds(fd, msg, sizeof(msg), &got, &n, 0) != MESSAGE ||
		    send(fd, msg, sizeof(msg), 0) != MESSAGE)
			_exit(1);
		close(got);
		close(fd);
	}
	_exit(0);
}

static double request_bare(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t); /* the kernel chooses a name */
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	static double took[CONNECTS];
	char msg[MESSAGE] = { 0 };
	pid_t pid;

	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd))
		return 0;
	len = sizeof(at);
	getsockname(listener, (struct sockaddr *)&at, &len);
	pid = fork();
	if (pid == 0)
		answer(listener);
	for (int i = 0; i < CONNECTS; i++) {
		double t = peer_now();
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (connect(fd, (struct sockaddr *)&at, len) ||
		    fd_send_fds(fd, msg, sizeof(msg), unix_fd, 1, 0) != MESSAGE ||
		    recv(fd, msg, sizeof(msg), 0) != MESSAGE)
			break;
		close(fd);
		took[i] = (peer_now() - t) * 1e6;
	}
	close(listener);
	waitpid(pid, NULL, 0);
	qsort(took, CONNECTS, sizeof(double), by_value);
	return took[CONNECTS / 2];
}

static double wake_bare(void)
{
	const struct timespec asleep = { .tv_nsec = 200000 };
	static double took[CONNECTS];
	int pair[2];
	char c = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 0;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		while (recv(pair[1], &c, 1, 0) == 1)
			;
		_exit(0);
	}
	close(pair[1]);
	for (int i = 0; i < CONNECTS; i++) {
		double t;

		nanosleep(&asleep, NULL);
		t = peer_now();
		if (send(pair[0], &c, 1, MSG_NOSIGNAL) != 1)
			break;
		took[i] = (peer_now() - t) * 1e6;
	}
	close(pair[0]);
	waitpid(pid, NULL, 0);
	qsort(took, CONNECTS, sizeof(double), by_value);
	return took[CONNECTS / 2];
}

static double entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static double handlers(void)
{
	int n = 0;

	for (int s = 1; s < NSIG; s++) {
		struct sigaction a;

		n += !sigaction(s, NULL, &a) && a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN;
	}
	return n;
}

int cost_worker(const char *host)
{
	double v[N_COSTS];

	null_fd = open("/dev/null", O_WRONLY);
	zero_fd = open("/dev/zero", O_RDONLY);
	if (null_fd < 0 || zero_fd < 0 || pipe(pipe_fd) || socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd))
		return 1;
	v[WRITE] = best_ns(do_write);
	v[READ] = best_ns(do_read);
	v[RECV] = best_ns(do_recv);
	v[IOCTL] = best_ns(do_ioctl);
	sockets(v, host);
	v[THREADS] = entries("/proc/self/task");
	v[HANDLERS] = handlers();
	v[DESCRIPTORS] = entries("/proc/self/fd");
	for (int i = 0; i < N_COSTS; i++)
		printf("%.3f ", v[i]);
	printf("\n");
	return 0;
}

/* ---- both runs ---- */

/* Without symbols for the debugger: what a program maps of it. */
static double loaded_kb(const char *path)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) seg;
	double bytes = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		return 0;
	if (fread(&head, sizeof(head), 1, f) == 1 && !fseek(f, (long)head.e_phoff, SEEK_SET))
		for (int i = 0; i < head.e_phnum && fread(&seg, sizeof(seg), 1, f) == 1; i++)
			bytes += seg.p_type == PT_LOAD ? (double)seg.p_memsz : 0;
	fclose(f);
	return bytes / 1000;
}

static bool measure(char *const argv[], double v[N_COSTS])
{
	int fd = -1, got = 0;
	pid_t pid = peer_spawn(argv, NULL, &fd);
	FILE *f = pid > 0 ? fdopen(fd, "r") : NULL;

	while (f && got < N_COSTS && fscanf(f, "%lf", &v[got]) == 1)
		got++;
	if (f)
		fclose(f);
	peer_stop(pid, 0);
	return got == N_COSTS;
}

void cost_report(struct bench *b, const char *run, const char *api, const char *server)
{
	char self[PEER_PATH], shim[PEER_PATH];
	char *bare_argv[] = { self, "--cost", "127.0.0.1", NULL };
	char *argv[] = {
		(char *)run, "-q", "--api", (char *)api, "--", self, "--cost", (char *)server, NULL
	};
	double v[N_COSTS], bare[N_COSTS];

	peer_path(self, "tests/bench");
	peer_path(shim, "shim/libsmolmix-shim.so");
	if (!measure(bare_argv, bare) || !measure(argv, v)) {
		bench_fail(b, "cost");
		return;
	}
	for (int i = 0; i < N_COSTS; i++)
		bench_report(b, costs[i].name, i == CONNECT ? v[i] : v[i] - bare[i], costs[i].unit,
			     costs[i].limit);
	bench_report(b, "connect_call_bare", bare[CONNECT], "us", 0);
	bench_report(b, "wake_bare", wake_bare(), "us", 0);
	bench_report(b, "request_bare", request_bare(), "us", 0);
	bench_report(b, "shim_loaded", loaded_kb(shim), "kB", 200);
}
