/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IP side of the tunnel: lwIP over a packet link (device), TCP and UDP sockets over socketpairs (conn,
 * dgram), names (resolv) and the control server that the shim talks to. Everything runs in the loop's thread;
 * lwIP's state is global, so one stack per process.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/loop.h"
#include "base/rules.h"
#include "mixnet/pktlink.h"
#include "stack/ctl/ctl.h"

#define STACK_DNS_MAX 4
#define STACK_CONNS_MAX 1024
#define STACK_BUFFER_DEFAULT (512u << 10)
#define STACK_BUFFERS_DEFAULT (64u << 20)

struct stack_cfg {
	struct addr dns[STACK_DNS_MAX]; /* with port */
	unsigned n_dns;
	struct rules rules;	/* before the default (design D7); the servers above stay reachable */
	size_t buffer;		/* per connection and direction */
	size_t buffers;		/* of all connections together, both directions (conn_held.c) */
	uint64_t connect_us;	/* TCP connect gives up (60 s) */
	uint64_t wait_ready_us; /* connects wait so long for the link to be up (30 s), then ENETDOWN */
	struct rng *rng;
	/* Answers whoever asks how the tunnel is; NULL: nobody is told. */
	void (*status)(void *owner, struct ctl_status *ret);
	void *status_owner;
};

struct stack_stats {
	uint64_t connections_open, connections_total, dns_queries, udp_dropped, rx_dropped;
};

struct stack;

/* Takes the link over (sets its recv/event/up). Listens on ctl_path (directory exists, 0700). -EBUSY: one
 * exists already. */
int stack_new(struct stack **ret, struct loop *loop, struct pktlink *link, const struct stack_cfg *cfg,
	      const char *ctl_path);
/* No program has a socket, no name is looked up. */
bool stack_idle(const struct stack *s);
void stack_get_stats(const struct stack *s, struct stack_stats *st);
/* No new sockets; existing ones finish sending. drained(owner) when nothing is left to send. */
void stack_drain(struct stack *s, void (*drained)(void *owner), void *owner);
/* Resets what is left, closes the control socket. NULL is fine. */
void stack_free(struct stack *s);

#endif
