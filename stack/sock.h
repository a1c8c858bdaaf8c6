/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP and datagram sockets share: identity (cookie of the program's end), names, the recorded error; and
 * the table of all.
 */
#ifndef STACK_SOCK_H
#define STACK_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/rng.h"
#include "stack/ctl/ctl.h"
#include "stack/stack.h"

#define SOCK_KEPT_MAX 32

struct sock {
	struct list link, hash;
	struct socks *all;
	uint64_t cookie;
	uint8_t family;
	enum ctl_kind kind;
	enum ctl_state state;
	struct addr local, peer; /* peer as the program asked for it */
	int error;		 /* recorded errno, given out once */
	int fd;			 /* tunnel's end */
	struct {
		int level, name, value;
	} kept[SOCK_KEPT_MAX]; /* options without an effect here, for reading back and for loopback sockets */
	unsigned n_kept;
	bool options; /* one was set, here or in the connection */
};

#define SOCKS_BUCKETS 1024

/* Bytes of connections in the tunnel (conn_held.c). */
struct held {
	size_t bytes; /* of those that have a program */
	size_t left;  /* of programs that have gone: at most so many, when last counted */
	uint64_t counted_us;
};

/* Everything the sockets need to know; owned by stack.c. */
struct socks {
	struct loop *loop;
	struct rng *rng;
	int diag; /* unixdiag.h; negative: none */
	struct stack_cfg cfg;
	struct list list;
	struct list bucket[SOCKS_BUCKETS];
	struct stack_stats stats;
	struct held held;
	unsigned dns_next, conn_number;
};

void socks_init(struct socks *a, struct loop *loop, const struct stack_cfg *cfg);
struct sock *socks_find(struct socks *a, uint64_t cookie);
void socks_add(struct socks *a, struct sock *s);
void socks_remove(struct socks *a, struct sock *s);

/* An option the socket itself has no use for. 0, or ENOPROTOOPT: not kept (so many are set by no program). */
int sock_keep_option(struct sock *s, int level, int name, int value);
int sock_kept_option(const struct sock *s, int level, int name, int *ret);
/* The same, or initial where the program has set none. */
int sock_option(const struct sock *s, int level, int name, int initial);

/* Random port of the dynamic range. */
uint16_t socks_port(struct socks *a);
/* Is this the machine itself (design D7)? Then 0.0.0.0 and :: become its loopback address. Not so: what a
 * rule denies, local resolvers. */
bool socks_loopback(const struct socks *s, struct addr *a);
/*
 * Where a packet for *a really goes: port 53 of this machine, private and link-local addresses becomes a
 * configured DNS server (design D5; *redirected is set); v4-mapped addresses become IPv4. 0, or the errno for
 * a destination that is refused (the rules, then D7), with one log line.
 */
int socks_route(struct socks *s, struct addr *a, bool *redirected);

#endif
