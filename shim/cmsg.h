/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages of datagram sockets (ip(7), ipv6(7), cmsg(3)). */
#ifndef SHIM_CMSG_H
#define SHIM_CMSG_H

#include <sys/socket.h>

#include "shim/sock.h"

/* What the program sends along: into d. 0, or -errno as Linux refuses it. */
int cmsg_take(const struct sock *s, const struct msghdr *m, struct ctl_dgram *d);
/* What the program asked to get along: behind the kernel's own (in: as recvmsg left it) in the room that m
 * offers. m gets the rest of in's results. */
void cmsg_give(const struct sock *s, const struct ctl_dgram *d, const struct msghdr *in, struct msghdr *m);
/* The answer to recvmsg(MSG_ERRQUEUE) but for the payload. */
void cmsg_give_report(const struct sock *s, const struct ctl_rep *rep, struct msghdr *m);

#endif
