/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which descriptors are ours, and what the tunnel knows about them. A descriptor is known by its SO_COOKIE
 * (design D2); what is remembered here is a cache, the tunnel has the truth. Lock-free and async-signal-safe
 * throughout.
 */
#ifndef SHIM_SOCK_H
#define SHIM_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stack/ctl/ctl.h"

enum sock_flag {
	SOCK_STARTED = 1,    /* stream: a connect was begun, data calls may go to the kernel */
	SOCK_CONNECTING = 2, /* stream: connect() has not yet reported the outcome */
	SOCK_FAILED = 4,     /* stream: connect() reported a failure; the next one starts afresh */
	SOCK_PEER = 8,	     /* datagram: connected */
	SOCK_V6ONLY = 16,    /* takes no IPv4 address */
};

struct sock {
	uint64_t cookie;
	uint8_t family; /* 4, 6 */
	enum ctl_kind kind;
	unsigned flags;
};

/* true: fd is ours and *s is filled. Keeps errno. */
bool sock_find(int fd, struct sock *s);
/* Changes flags of a socket that sock_find() knows, here and in the cache. */
void sock_flags(struct sock *s, unsigned set, unsigned clear);

/* Makes a socketpair, gives the tunnel its end and returns the program's: the lowest free number. flags:
 * SOCK_NONBLOCK, SOCK_CLOEXEC. Or -errno. */
int sock_new(uint8_t family, enum ctl_kind kind, int flags);
/* Puts a fresh socket behind the number fd: for connect() after a failure and to AF_UNSPEC. 0 or -errno. */
int sock_renew(int fd, struct sock *s);
/* Puts a TCP socket of the kernel behind the number fd that can reach this machine only: bound to the
 * loopback device by the tunnel's host, which no unprivileged program can undo (and the guard lets nobody
 * try). From then on fd is not ours. It keeps its port and its options. 0 or -errno. */
int sock_to_loopback(int fd, const struct sock *s);
/* Is fd such a socket, or one that was accepted from it? */
bool sock_is_loopback(int fd);

/* One request about s; op and cookie are filled in. 0, or -errno from either side. rep may be NULL. */
int sock_ask(const struct sock *s, enum ctl_op op, struct ctl_req *req, struct ctl_brief *rep);
/* The same for requests without a socket (HELLO). */
int sock_request(struct ctl_req *req, const int *fds, size_t nfds, struct ctl_brief *rep);
/* The same for RESOLVE, REVERSE and TAKE_REPORT, whose replies are long. */
int sock_lookup(struct ctl_req *req, struct ctl_rep *rep);
/* Was that because this process has no descriptor or memory left to ask with? The tunnel is there then. */
bool sock_cannot_ask(int r);
/* Takes the recorded error: positive errno, 0 when there is none. Clears the kernel's own too. */
int sock_take_error(int fd, const struct sock *s);

/* Address from the program for this socket, as connect() and sendto() judge it. v4-mapped becomes IPv4. 0 or
 * -errno. */
int sock_addr_in(const struct sock *s, const struct sockaddr *sa, socklen_t len, struct addr *ret);
/* Address to the program: cut to *len, *len becomes the full length (recvfrom, getsockname). */
void sock_addr_out(const struct sock *s, const struct addr *a, struct sockaddr *sa, socklen_t *len);

#endif
