/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many datagrams wait unread on the other end of a datagram pair.
 *
 * The kernel counts the bytes of ours that are unread (SIOCOUTQ); what each datagram added to them is
 * remembered here. They are read in order, so that the bytes that are left tell which. No errors: when the
 * kernel does not tell, none waits.
 */
#ifndef STACK_UNREAD_H
#define STACK_UNREAD_H

#include <stdbool.h>

#define UNREAD_MAX 256

/* All zeros: none. */
struct unread {
	int cost[UNREAD_MAX]; /* ring: bytes each unread datagram costs */
	unsigned oldest, n;
	int bytes;
};

/* Do fewer than most (at most UNREAD_MAX) wait? Forgets what was read. fd is our end. */
bool unread_below(struct unread *u, int fd, unsigned most);
/* One more was sent; only after unread_below() said yes. */
void unread_add(struct unread *u, int fd);

#endif
