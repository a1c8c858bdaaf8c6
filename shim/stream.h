/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive on our stream sockets; results as bodies of hooks (-errno). */
#ifndef SHIM_STREAM_H
#define SHIM_STREAM_H

#include <sys/socket.h>

#include "shim/sock.h"

ssize_t stream_send(int fd, struct sock *s, const struct msghdr *m, int flags);
ssize_t stream_recv(int fd, struct sock *s, struct msghdr *m, int flags);

#endif
