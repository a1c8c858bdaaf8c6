/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the kernel that cannot leave this machine (design D7): made here, bound to the loopback device.
 * TCP sockets are given to programs. UDP sockets are not, since a control message of sendmsg() names another
 * device past the binding (IP_PKTINFO): they stay here and the program's datagrams are relayed (dgram.c).
 */
#ifndef STACK_LOOPBACK_H
#define STACK_LOOPBACK_H

#include "stack/device.h"
#include "stack/sock.h"

/* Descriptor of a fresh TCP socket, or -errno. */
int loopback_new(uint8_t family);
/*
 * One for a program's socket, bound. That of a socket that is bound to "any" is made at once, so that the
 * port is taken on this machine whatever becomes of it. *at: the address wanted, port 0 for any free one;
 * gets the port it is. Descriptor or -errno (-EADDRINUSE).
 */
int loopback_bind(const struct sock *s, struct addr *at);

/* The UDP ones. Linux's errors, by ICMP too, are queued by themselves; h has the fields of the IP header. */

/* Receives without waiting: the sender in ret->addr, where it was sent to in ret_to. Length, or -errno. */
ssize_t loopback_recv(int fd, void *buf, size_t cap, struct ctl_dgram *ret, struct addr *ret_to);
/* Sends to an address of this machine; from h->local if it is one too and CTL_DGRAM_PKTINFO is set. 0 or
 * errno. */
int loopback_send(int fd, const struct sock *s, const struct addr *to, const struct ctl_dgram *h,
		  const void *buf, size_t len);
/* Takes the oldest error, with what came back of the payload. false: none. */
bool loopback_error(int fd, struct device_icmp *ret, uint8_t quote[CTL_QUOTE_MAX]);

#endif
