/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What IP_RECVERR keeps for recvmsg(MSG_ERRQUEUE): errors the network reported, oldest first, at most
 * ERRQUEUE_MAX of them; the newest is dropped when there is no room, as Linux does with its receive buffer.
 */
#ifndef STACK_ERRQUEUE_H
#define STACK_ERRQUEUE_H

#include <stdbool.h>

#include "stack/ctl/ctl.h"
#include "stack/device.h"

#define ERRQUEUE_MAX 16

struct errqueue_entry;

struct errqueue {
	struct errqueue_entry *entry[ERRQUEUE_MAX]; /* n of them, oldest first */
	unsigned n;
};

/* to: the destination as the program knows it. */
void errqueue_add(struct errqueue *q, const struct device_icmp *e, const struct addr *to);
/* A datagram to this address was longer than mtu. */
void errqueue_add_too_long(struct errqueue *q, const struct addr *to, unsigned mtu);
/* Takes the oldest: value, addr, addr2 and report of rep. False: there is none. */
bool errqueue_take(struct errqueue *q, struct ctl_rep *rep);
int errqueue_error(const struct errqueue *q); /* errno of the oldest if the network said it, else 0 */
void errqueue_done(struct errqueue *q);

#endif
