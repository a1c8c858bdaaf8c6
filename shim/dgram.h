/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive on our datagram sockets; results as bodies of hooks (-errno). */
#ifndef SHIM_DGRAM_H
#define SHIM_DGRAM_H

#include <sys/socket.h>

#include "shim/sock.h"

ssize_t dgram_send(int fd, struct sock *s, const struct msghdr *m, int flags);
ssize_t dgram_recv(int fd, struct sock *s, struct msghdr *m, int flags);
/* Payload size of the next datagram, 0 when there is none: FIONREAD. */
int dgram_next_len(int fd);
/* Takes the pending error: SO_ERROR. Positive errno or 0. */
int dgram_take_error(int fd, const struct sock *s);
/* May the socket send or connect to this address? 0 or -errno. */
int dgram_peer(const struct sock *s, const struct addr *to);

#endif
