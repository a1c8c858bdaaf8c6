/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the shim's test programs: plain POSIX, prints facts, knows nothing of the shim. Ports come from
 * run.py. */
#ifndef TESTS_SHIM_T_H
#define TESTS_SHIM_T_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline const char *t_err(long r)
{
	return r >= 0 ? "ok" : strerrorname_np(errno);
}

/* Prints what a call returned: the value, or the errno's name. */
#define SAY(what, call)                                                                                      \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		long t_ret = (long)(call);                                                                   \
		if (t_ret >= 0)                                                                              \
			printf("%s: %ld\n", what, t_ret);                                                    \
		else                                                                                         \
			printf("%s: %s\n", what, strerrorname_np(errno));                                    \
		fflush(stdout);                                                                              \
	} while (0)

static inline uint16_t t_port(const char *name)
{
	const char *v = secure_getenv(name);

	return v ? (uint16_t)atoi(v) : 0;
}

/* Where the servers are: an address of this machine that looks public. */
static inline const char *t_host(void)
{
	const char *v = secure_getenv("T_HOST");

	return v ? v : "127.0.0.1";
}

static inline struct sockaddr_in t_v4(const char *port_name)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(t_port(port_name)) };

	inet_pton(AF_INET, t_host(), &a.sin_addr);
	return a;
}

static inline struct sockaddr_in6 t_v6(const char *port_name)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(t_port(port_name)) };
	const char *host = secure_getenv("T_HOST6");

	inet_pton(AF_INET6, host ? host : "::1", &a.sin6_addr);
	return a;
}

/* The IPv4 server as an IPv6 socket names it. */
static inline struct sockaddr_in6 t_mapped(const char *port_name)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(t_port(port_name)) };
	char text[64];

	snprintf(text, sizeof(text), "::ffff:%s", t_host());
	inet_pton(AF_INET6, text, &a.sin6_addr);
	return a;
}

static inline int t_connect(int fd, const char *port_name)
{
	struct sockaddr_in a = t_v4(port_name);

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static inline int t_tcp(const char *port_name)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (t_connect(fd, port_name) < 0)
		printf("connect to %s: %s\n", port_name, t_err(-1));
	return fd;
}

static inline int t_so_error(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
	return e;
}

static inline const char *t_so_error_name(int fd)
{
	int e = t_so_error(fd);

	return e ? strerrorname_np(e) : "0";
}

static inline const char *t_events(int e, char out[64])
{
	snprintf(out, 64, "%s%s%s%s%s", e & POLLIN ? "IN " : "", e & POLLOUT ? "OUT " : "",
		 e & POLLERR ? "ERR " : "", e & POLLHUP ? "HUP " : "", e & POLLRDHUP ? "RDHUP " : "");
	return out;
}

/* Events within ms; 0 = none. */
static inline int t_poll(int fd, int events, int ms)
{
	struct pollfd p = { fd, (short)events, 0 };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

/* Whether these are the events of a failure. Its parts (error, end, room) come one after the other, and who
 * is quick sees the first alone, on Linux and in a pair: so this takes a moment, after which all are there.
 */
static inline bool t_failed(int events)
{
	if (events & POLLERR)
		usleep(50000);
	return events & POLLERR;
}

static inline void t_nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK);
}

#endif
