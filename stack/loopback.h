/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets of the kernel that cannot leave this machine (design D7): made here, bound to the loopback device, given to programs.
 */
#ifndef STACK_LOOPBACK_H
#define STACK_LOOPBACK_H

#include "stack/sock.h"

/* Descriptor of a fresh one, or -errno. */
int loopback_new(uint8_t family);
/*
 * One for a program's stream socket that is bound to "any": its port is taken on this machine at once, whether it will listen or connect
 * through the tunnel. *port: the one wanted, 0 for any free one; becomes the one it is. Descriptor or -errno (-EADDRINUSE).
 */
int loopback_bind(const struct sock *s, uint16_t *port);

#endif
