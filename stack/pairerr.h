/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error on the other end of a datagram pair, shown by the kernel: poll reports POLLERR, and the next send, receive or SO_ERROR there
 * reports ECONNRESET, once; just as a UDP socket reports what ICMP said of it. Both ends must have names (pairerr_name).
 *
 * Theory of operation. Linux sets that error on the peer of a datagram socket which disconnects with something unread. So our end is
 * disconnected, gets a message to itself, is connected again, disconnected for the second time (this one counts) and connected for
 * good. What the other end has queued for reading stays there; what it sent and we have not read is lost, so read it first. A
 * socket cannot be sent to by strangers while its peer is set, and the other end's never changes. The name could have passed to
 * somebody else if the other end was closed meanwhile: its inode is compared.
 *
 * tests/platform/p_pairerr.c proves these facts.
 */
#ifndef STACK_PAIRERR_H
#define STACK_PAIRERR_H

/* Gives fd a name of the kernel's choice (unix(7), autobind). 0 or -errno. */
int pairerr_name(int fd);
/* 0; -ENOTCONN: the other end is gone, fd has no peer any more; -errno: nothing was shown. */
int pairerr_raise(int netlink_fd, int fd);

#endif
