/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the far end of an AF_UNIX socketpair still exists. A datagram pair reports neither end of file nor hang-up when its other end
 * is closed; the kernel's socket diagnostics (sock_diag(7)) do.
 */
#ifndef STACK_UNIXDIAG_H
#define STACK_UNIXDIAG_H

#include <stdbool.h>

int unixdiag_open(void); /* netlink descriptor, or -errno */
/* False when it certainly is gone; true also when the kernel does not say. */
bool unixdiag_peer_alive(int netlink_fd, int fd);

#endif
