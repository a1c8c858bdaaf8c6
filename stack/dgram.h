/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP and ICMP echo sockets: one datagram socketpair, every datagram with a header (stack/ctl/ctl.h).
 */
#ifndef STACK_DGRAM_H
#define STACK_DGRAM_H

#include "stack/device.h"
#include "stack/sock.h"

struct dgram;

/* Takes fd. kind: CTL_DGRAM or CTL_ICMP. NULL: errno. */
struct dgram *dgram_new(struct socks *all, uint64_t cookie, uint8_t family, enum ctl_kind kind, int fd);
struct sock *dgram_sock(struct dgram *d);
struct dgram *dgram_from_sock(struct sock *s);
/* Default peer; only its datagrams are delivered from now on. 0 or errno. */
int dgram_connect(struct dgram *d, const struct addr *to);
void dgram_disconnect(struct dgram *d);
int dgram_bind(struct dgram *d, const struct addr *at);
/* 0, an errno, or ENOPROTOOPT: an option that is only kept (sock.h). */
int dgram_setopt(struct dgram *d, int level, int name, int value);
/* Would a datagram to this address (none: the peer) be sent? 0, or EMSGSIZE, which is queued where the
 * program wants to know. */
int dgram_fits(struct dgram *d, const struct addr *to, int32_t len);
/* The oldest entry of the error queue; EAGAIN: there is none. */
int dgram_take_report(struct dgram *d, struct ctl_rep *rep);
/* An ICMP error: for this socket if it sent the packet. */
void dgram_icmp(struct dgram *d, const struct device_icmp *e);
/* An echo reply: delivered when its identifier is this socket's. */
void dgram_echo(struct dgram *d, const struct device_echo *e);
/* The socket ends (the program's end is gone). */
void dgram_close(struct dgram *d);
/* Ends the sockets whose programs have closed them; what these have sent goes out first. */
void dgram_sweep(struct socks *all);
/* The tunnel's address changed: local port and connection stay, silently (design D15). */
void dgram_rebind(struct dgram *d);

#endif
