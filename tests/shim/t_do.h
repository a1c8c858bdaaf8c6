/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the server of script.py, and ways to look at a socket. */
#ifndef TESTS_SHIM_T_DO_H
#define TESTS_SHIM_T_DO_H

#include <stdarg.h>
#include <sys/epoll.h>
#include <time.h>

#include "t.h"

enum { T_LONG_MS = 15000, T_QUIET_MS = 150, T_ALL = POLLIN | POLLOUT | POLLRDHUP | POLLPRI };

/* Sends command lines. */
__attribute__((format(printf, 2, 3))) static inline void t_do(int fd, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		printf("command not sent: %s\n", t_err(-1));
}

/* What another connection was seen to do (watch KEY). */
static inline void t_ask(const char *key)
{
	int fd = t_tcp("T_DO");
	char text[128] = { 0 };
	size_t n = 0;
	ssize_t r;

	t_do(fd, "ask %s\n", key);
	while (n + 1 < sizeof(text) && !strchr(text, '\n') &&
	       (r = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0)
		n += (size_t)r;
	printf("server saw: %s", n ? text : "nothing\n");
	close(fd);
}

/* Lets a connection that does "await KEY" go on. */
static inline void t_wake(const char *key)
{
	int fd = t_tcp("T_DO");
	char byte;

	t_do(fd, "wake %s\nsync\n", key);
	recv(fd, &byte, 1, 0);
	close(fd);
}

/* A key that no other connection of this run has. */
static inline void t_key(char out[32])
{
	static unsigned n;

	snprintf(out, 32, "k%d-%u", (int)getpid(), n++);
}

/* Waits until the events are there; those that were asked for or always come. */
static inline int t_until(int fd, int want)
{
	t_failed(t_poll(fd, want, T_LONG_MS));
	return t_poll(fd, T_ALL, 0);
}

/* Waits until len bytes lie ready. */
static inline void t_ready(int fd, int len)
{
	char skip[4096];

	for (int i = 0; i < T_LONG_MS / 10; i++) {
		if (recv(fd, skip, sizeof(skip), MSG_PEEK | MSG_DONTWAIT) >= len)
			return;
		usleep(10000);
	}
	printf("no %d bytes came\n", len);
}

/* Sends until nothing has gone for two seconds, and for three times the longest pause before, for a far side
 * that does not read. */
static inline void t_fill(int fd)
{
	static const char zeros[65536];
	int enough = 20;

	for (int still = 0; still < enough; still++) {
		while (send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
			enough = 3 * still > enough ? 3 * still : enough;
			still = 0;
		}
		usleep(100000);
	}
}

static inline const char *t_names(int ev)
{
	static char text[4][64];
	static unsigned i;
	char *out = text[i++ % 4];

	t_events(ev, out);
	if (ev & POLLPRI)
		snprintf(out + strlen(out), sizeof(text[0]) - strlen(out), "PRI ");
	return out;
}

/* Everything there is to read up to len, or to the end. */
static inline size_t t_read_all(int fd, char *buf, size_t len)
{
	size_t n = 0;
	ssize_t r = 1;

	while (n < len && (r = recv(fd, buf + n, len - n, 0)) > 0)
		n += (size_t)r;
	if (r < 0)
		printf("recv after %zu: %s\n", n, t_err(-1));
	return n;
}

static inline double t_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
