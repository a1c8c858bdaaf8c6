/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers of the platform tests. Each p_*.c proves one family of kernel facts the design stands on, with bare
 * system calls: nothing of smolmix is linked. Exit status: 0 the facts hold, 1 one does not (one line says
 * which), 77 it cannot be tried here ("SKIP: why").
 *
 * "2.3 (2)" means interposition.md, section 2.3, item 2; "D8" a decision of design.md; a path the source that
 * relies on the fact.
 */
#ifndef TESTS_PLATFORM_P_H
#define TESTS_PLATFORM_P_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/ctl/gate.h"

/* The fact that section states: cond. */
#define FACT(section, what, cond)                                                                            \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		if (!(cond))                                                                                 \
			p_fail(__FILE__, __LINE__, section, what, #cond);                                    \
	} while (0)

/* What the test itself needs in order to ask. */
#define NEED(cond)                                                                                           \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		if (!(cond))                                                                                 \
			p_fail(__FILE__, __LINE__, "set-up", "the test cannot ask", #cond);                  \
	} while (0)

static inline _Noreturn void p_fail(const char *file, int line, const char *section, const char *what,
				    const char *cond)
{
	int e = errno;

	printf("%s:%d: %s: %s: not (%s)%s%s\n", file, line, section, what, cond, e ? ", errno " : "",
	       e ? strerrorname_np(e) : "");
	fflush(stdout);
	_exit(1);
}

static inline _Noreturn void p_skip(const char *why, int err)
{
	printf("SKIP: %s%s%s\n", why, err ? ": " : "", err ? strerror(err) : "");
	exit(77);
}

/* pair[0] is the program's end, pair[1] the tunnel's, as the shim makes them. */
static inline void p_pair(int type, int pair[2])
{
	NEED(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
}

static inline void p_close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* What poll() says now, of everything it can say. */
static inline short p_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

	NEED(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static inline int p_so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	NEED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	return err;
}

/* A call that must fail with err. */
static inline bool p_fails(ssize_t r, int err)
{
	return r == -1 && errno == err;
}

static inline int p_epoll_add(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static inline int p_epoll_with(int fd, uint32_t events)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	NEED(epoll_fd >= 0);
	NEED(p_epoll_add(epoll_fd, fd, events) == 0);
	return epoll_fd;
}

/* Collects what the set has to report now: number of events; *ret = all their bits. */
static inline int p_epoll_take(int epoll_fd, uint32_t *ret)
{
	struct epoll_event ev[8];
	int n = epoll_wait(epoll_fd, ev, 8, 0);

	NEED(n >= 0);
	*ret = 0;
	for (int i = 0; i < n; i++)
		*ret |= ev[i].events;
	return n;
}

#define P_GATE GATE_MAX

/* The write gate as stack/ctl/gate.c shuts it: one call with more than the buffer takes. Byte i is i mod 256.
 * Its length. */
static inline int p_gate(int fd)
{
	const int tiny = 1;
	char bytes[P_GATE];
	ssize_t n;

	for (int i = 0; i < P_GATE; i++)
		bytes[i] = (char)i;
	NEED(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)) == 0);
	n = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	NEED(n > 1 && n < P_GATE);
	return (int)n;
}

/* Waits for a child; true when it ended with status 0. */
static inline bool p_child_ok(pid_t pid)
{
	int status = -1;

	NEED(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A child that does work; its exit status says whether the answer was true. It dies with the test. */
static inline pid_t p_fork(bool (*work)(int arg), int arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	NEED(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(work(arg) ? 0 : 1);
	}
	return pid;
}

#endif
