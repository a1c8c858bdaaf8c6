/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which socket is at the far end of an AF_UNIX socketpair. A datagram pair reports neither end of file nor
 * hang-up when its other end is closed, and a stream pair reports the same hang-up for a close and for both
 * directions shut down; the kernel's socket diagnostics (sock_diag(7)) tell.
 */
#ifndef STACK_UNIXDIAG_H
#define STACK_UNIXDIAG_H

#include <stdint.h>

int unixdiag_open(void); /* netlink descriptor, or -errno */
/* Inode of fd's peer; 0: it was closed; -1: the kernel does not say, or there is none. */
int64_t unixdiag_peer(int netlink_fd, int fd);

#endif
