/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor helpers. All new descriptors are close-on-exec. No malloc, async-signal-safe where the kernel
 * call is.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

void fd_close(int *fd); /* closes when >= 0, sets -1, keeps errno */
/* Puts /dev/null in the place of those of 0, 1 and 2 that are closed, before anything else gets their numbers
 * and with it what is printed. They are closed again in a program that is executed. 0 or -errno. */
int fd_standard(void);
int fd_nonblock(int fd, int on);
int fd_pair(int type, int fds[2]); /* AF_UNIX socketpair; type may hold SOCK_NONBLOCK; 0 or -errno */
int fd_cookie(int fd, uint64_t *ret_cookie); /* SO_COOKIE; 0 or -errno (-ENOTSOCK...) */
/* One message with up to 4 descriptors (SCM_RIGHTS). Retries EINTR. Bytes sent, or -errno.
 * flags as send(2). */
ssize_t fd_send_fds(int sock, const void *buf, size_t len, const int *fds, size_t nfds, int flags);
/* The same, of several pieces. */
ssize_t fd_sendv_fds(int sock, const struct iovec *iov, size_t n_iov, const int *fds, size_t nfds, int flags);
/* Receives one message; *nfds in: capacity (<= 4), out: number received (close-on-exec). More descriptors
 * than capacity, or a truncated message, are closed and give -EMSGSIZE. Bytes, 0 at EOF, or -errno. */
ssize_t fd_recv_fds(int sock, void *buf, size_t len, int *fds, size_t *nfds, int flags);

#endif
