/* SPDX-License-Identifier: Apache-2.0 */
/*
 * res_query and its family: raw questions to a name server (SSHFP, MX, SRV, TXT).
 *
 * Theory of operation. The question goes to a resolver address of this machine, which the tunnel answers by
 * its own servers (design D5), over a socket of ours that lives for the call: a datagram, twice if need be,
 * then a stream when the answer was cut. Search lists are not used: they would tell the exit the name of the
 * local domain (interposition.md 2.11).
 *
 * resolv.h is not included: some of its names are macros for others, and both spellings are exported here,
 * those of GLIBC_2.2.5 and those of 2.34. Argument types are as there; of the state, whose layout is a part
 * of glibc's interface, only res_h_errno is touched.
 */
#include <arpa/inet.h>
#include <bits/types/res_state.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shim/hooks.h"
#include "shim/names.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"

#define DNS_HDR 12
#define QUESTION_MAX 512
#define NAME_MAX_TEXT 1024
#define TRIES 2
#define WAIT_S 5
#define RCODE_NXDOMAIN 3
#define RCODE_SERVFAIL 2
#define FLAG_TC 0x02 /* of byte 2 */

/* libc's: writes a question into buf, asks nobody. */
int res_mkquery(int op, const char *name, int class, int type, const unsigned char *data, int len,
		const unsigned char *rr, unsigned char *buf, int cap);

static int open_to_resolver(enum ctl_kind kind)
{
	const struct sockaddr_in resolver = { .sin_family = AF_INET,
					      .sin_port = htons(53),
					      .sin_addr = { htonl(0x7f000035) } };
	int fd = sock_new(4, kind, SOCK_CLOEXEC), r;

	if (fd < 0)
		return fd;
	r = shim_connect(fd, (const struct sockaddr *)&resolver, sizeof(resolver));
	if (r == 0)
		return fd;
	real_close(fd);
	return r;
}

static bool wait_readable(int fd)
{
	const struct timespec limit = { WAIT_S, 0 };
	short events;

	return real_poll1(fd, POLLIN, &limit, NULL, &events) > 0;
}

/* An answer to this very question: same id, and it is an answer. */
static bool answers(const uint8_t *q, const uint8_t *a, ssize_t n)
{
	return n >= DNS_HDR && a[0] == q[0] && a[1] == q[1] && a[2] & 0x80;
}

static int by_datagram(const uint8_t *q, size_t len, uint8_t *out, size_t cap)
{
	int fd = open_to_resolver(CTL_DGRAM);
	ssize_t n = fd;

	for (int i = 0; fd >= 0 && i < TRIES; i++) {
		n = shim_sendto(fd, q, len, MSG_NOSIGNAL, NULL, 0);
		if (n < 0 || !wait_readable(fd)) {
			n = n < 0 ? n : -ETIMEDOUT;
			continue;
		}
		n = shim_recvfrom(fd, out, cap, 0, NULL, NULL);
		if (answers(q, out, n))
			break;
		n = n < 0 ? n : -EPROTO;
	}
	if (fd >= 0)
		real_close(fd);
	return (int)n;
}

static bool read_all(int fd, uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = wait_readable(fd) ? shim_read(fd, p, len) : 0;

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* RFC 1035 4.2.2: a length of two bytes before question and answer. What does not fit is left out and the
 * answer marked as cut; its length is told all the same, so that the caller can ask with a larger buffer. */
static int by_stream(const uint8_t *q, size_t len, uint8_t *out, size_t cap)
{
	int fd = open_to_resolver(CTL_STREAM);
	uint8_t msg[2 + QUESTION_MAX];
	size_t n, kept;
	int r = fd;

	if (fd < 0 || len > QUESTION_MAX)
		return fd < 0 ? fd : -EMSGSIZE;
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	memcpy(msg + 2, q, len);
	r = -EPROTO;
	if (shim_sendto(fd, msg, len + 2, MSG_NOSIGNAL, NULL, 0) == (ssize_t)len + 2 &&
	    read_all(fd, msg, 2)) {
		n = (size_t)msg[0] << 8 | msg[1];
		kept = n < cap ? n : cap;
		if (read_all(fd, out, kept) && answers(q, out, (ssize_t)kept)) {
			r = (int)n;
			out[2] |= kept < n ? FLAG_TC : 0;
		}
	}
	real_close(fd);
	return r;
}

/* A caller with a state of its own looks there. */
static int failed(struct __res_state *state, int reason)
{
	h_errno = reason;
	if (state)
		state->res_h_errno = reason;
	return -1;
}

static int transact(struct __res_state *state, const uint8_t *q, int len, uint8_t *out, int cap)
{
	int n, whole;

	if (len < DNS_HDR || len > QUESTION_MAX || cap < DNS_HDR) {
		errno = EINVAL;
		return -1;
	}
	n = by_datagram(q, (size_t)len, out, (size_t)cap);
	if (n >= DNS_HDR && out[2] & FLAG_TC) {
		whole = by_stream(q, (size_t)len, out, (size_t)cap);
		n = whole > 0 ? whole : n;
	}
	if (n > 0)
		return n;
	errno = n == -EPROTO ? ETIMEDOUT : -n;
	return failed(state, TRY_AGAIN);
}

static int query(struct __res_state *state, const char *name, int class, int type, uint8_t *out, int cap)
{
	uint8_t q[QUESTION_MAX];
	int n = res_mkquery(0, name, class, type, NULL, 0, NULL, q, sizeof(q));

	if (n < 0)
		return failed(state, NO_RECOVERY);
	if (names_unasked(name) || rules_name(state_rules(), name) == RULE_DENY)
		return failed(state, HOST_NOT_FOUND);
	n = transact(state, q, n, out, cap);
	if (n < 0)
		return -1;
	if ((out[3] & 15) == 0 && (out[6] || out[7]))
		return n;
	switch (out[3] & 15) {
	case 0: return failed(state, NO_DATA);
	case RCODE_NXDOMAIN: return failed(state, HOST_NOT_FOUND);
	case RCODE_SERVFAIL: return failed(state, TRY_AGAIN);
	}
	return failed(state, NO_RECOVERY);
}

static int query_domain(struct __res_state *state, const char *name, const char *domain, int class, int type,
			uint8_t *out, int cap)
{
	char full[NAME_MAX_TEXT];

	if (!domain || !*domain)
		return query(state, name, class, type, out, cap);
	if (snprintf(full, sizeof(full), "%s.%s", name, domain) >= (int)sizeof(full))
		return failed(state, NO_RECOVERY);
	return query(state, full, class, type, out, cap);
}

#define QUERY(symbol)                                                                                        \
	HOOK int symbol(const char *n, int c, int t, unsigned char *out, int cap);                           \
	HOOK int symbol(const char *n, int c, int t, unsigned char *out, int cap)                            \
	{                                                                                                    \
		return query(NULL, n, c, t, out, cap);                                                       \
	}
#define DOMAIN(symbol)                                                                                       \
	HOOK int symbol(const char *n, const char *d, int c, int t, unsigned char *out, int cap);            \
	HOOK int symbol(const char *n, const char *d, int c, int t, unsigned char *out, int cap)             \
	{                                                                                                    \
		return query_domain(NULL, n, d, c, t, out, cap);                                             \
	}
#define SEND(symbol)                                                                                         \
	HOOK int symbol(const unsigned char *q, int len, unsigned char *out, int cap);                       \
	HOOK int symbol(const unsigned char *q, int len, unsigned char *out, int cap)                        \
	{                                                                                                    \
		return transact(NULL, q, len, out, cap);                                                     \
	}
#define NQUERY(symbol)                                                                                       \
	HOOK int symbol(struct __res_state *state, const char *n, int c, int t, unsigned char *out,          \
			int cap);                                                                            \
	HOOK int symbol(struct __res_state *state, const char *n, int c, int t, unsigned char *out, int cap) \
	{                                                                                                    \
		return query(state, n, c, t, out, cap);                                                      \
	}
#define NDOMAIN(symbol)                                                                                      \
	HOOK int symbol(struct __res_state *state, const char *n, const char *d, int c, int t,               \
			unsigned char *out, int cap);                                                        \
	HOOK int symbol(struct __res_state *state, const char *n, const char *d, int c, int t,               \
			unsigned char *out, int cap)                                                         \
	{                                                                                                    \
		return query_domain(state, n, d, c, t, out, cap);                                            \
	}
#define NSEND(symbol)                                                                                        \
	HOOK int symbol(struct __res_state *state, const unsigned char *q, int len, unsigned char *out,      \
			int cap);                                                                            \
	HOOK int symbol(struct __res_state *state, const unsigned char *q, int len, unsigned char *out,      \
			int cap)                                                                             \
	{                                                                                                    \
		return transact(state, q, len, out, cap);                                                    \
	}

QUERY(res_query)
QUERY(__res_query)
QUERY(res_search)
QUERY(__res_search)
DOMAIN(res_querydomain)
DOMAIN(__res_querydomain)
SEND(res_send)
SEND(__res_send)
NQUERY(res_nquery)
NQUERY(__res_nquery)
NQUERY(res_nsearch)
NQUERY(__res_nsearch)
NDOMAIN(res_nquerydomain)
NDOMAIN(__res_nquerydomain)
NSEND(res_nsend)
NSEND(__res_nsend)
