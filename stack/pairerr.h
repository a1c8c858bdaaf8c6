/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error on the other end of a datagram pair, shown by the kernel: poll reports POLLERR, and the next send,
 * receive or SO_ERROR there reports ECONNRESET, once; just as a UDP socket reports what ICMP said of it. Both
 * ends must have names (pairerr_name).
 *
 * Theory of operation. Linux sets that error on the peer of a datagram socket which disconnects with
 * something unread. So our end is disconnected, gets a message to itself, is connected again, disconnected
 * for the second time (this one counts) and connected for good. What the other end has queued for reading
 * stays there; what it sent and we have not read is lost, so read it first.
 *
 * Strangers cannot send to a socket while its peer is set. The other end's always is; ours is not for a
 * moment, so whoever reads it looks at the sender's name. The name could have passed to somebody else if the
 * other end was closed meanwhile: its inode is compared.
 *
 * tests/platform/p_pairerr.c proves these facts.
 */
#ifndef STACK_PAIRERR_H
#define STACK_PAIRERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct pairerr_peer {
	struct sockaddr_un name;
	socklen_t len;
};

/* Gives fd a name of the kernel's choice (unix(7), autobind). 0 or -errno. */
int pairerr_name(int fd);
/* The other end's name. 0; -EINVAL: it has none. */
int pairerr_peer(int fd, struct pairerr_peer *ret);
/* Receives without waiting; what strangers sent is dropped. Length, or -errno. */
ssize_t pairerr_recv(int fd, const struct pairerr_peer *peer, void *buf, size_t cap);
/* 0; -ENOTCONN: the other end is gone, fd has no peer any more; -errno: nothing was shown. */
int pairerr_raise(int netlink_fd, int fd);

#endif
