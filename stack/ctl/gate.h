/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write gate of a stream socketpair (interposition.md 2.3 e) and the request to connect, which is the
 * first part of it.
 *
 * The program's end writes, in one call, what fills its send buffer, which was made as small as the kernel
 * allows: struct ctl_req of CONNECT with a duplicate of that end by SCM_RIGHTS, then bytes without a
 * meaning. From then on the kernel says "not writable" until the tunnel, which has read all of it but the
 * last byte, restores the buffer through the duplicate. The request needs no connection to the control socket
 * and no reply: the program waits for nobody, and the tunnel is woken once.
 *
 * No malloc. The program's side is async-signal-safe and calls through syscall(2), since the shim interposes
 * the libc names.
 */
#ifndef STACK_CTL_GATE_H
#define STACK_CTL_GATE_H

#include "stack/ctl/ctl.h"

#define GATE_MAX 6144 /* bytes; the smallest send buffer of Linux takes 4480 */
/* Two pieces as the kernel cuts them for a send buffer (unix_stream_sendmsg()). */
#define GATE_LENGTH(sndbuf) (2 * ((sndbuf) / 2 - 64))

/*
 * Program's side. fd = the program's end, cookie its SO_COOKIE. 0: the request is on its way. Nothing
 * was sent: -ENOBUFS: this kernel's buffers are too large; -EALREADY: the gate is shut already;
 * -ENETDOWN: the tunnel's end is closed; other -errno.
 */
int gate_shut(int fd, uint64_t cookie, const struct addr *to);

/*
 * Tunnel's side. fd = the tunnel's end, non-blocking. Drops what stands before the request: what was written
 * to a socket that was not connected, by calls no hook sees. Bytes of the gate that are left to read, *ret_to
 * and *ret_prog_fd (the caller's) are filled. -EAGAIN: no request yet, or not yet whole; an event follows.
 * -EPROTO: the request makes no sense. Other -errno.
 */
int gate_take(int fd, uint64_t cookie, struct addr *ret_to, int *ret_prog_fd);
/* Success: leaves the last byte of the gate unread and gives the program's end a send buffer of size (as for
 * SO_SNDBUF). 0 or -errno. */
int gate_open(int fd, int prog_fd, int length, int size);

#endif
