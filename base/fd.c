/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor helpers. sendmsg and recvmsg go through syscall(2) so that they are the kernel's even where a
 * library interposes the names (the shim uses this file).
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 4

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		syscall(SYS_close, *fd);
	*fd = -1;
	errno = saved;
}

int fd_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	fd_close(&fd);
	return 0;
}

int fd_nonblock(int fd, int on)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0)
		return -errno;
	fl = on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, fl) < 0 ? -errno : 0;
}

int fd_pair(int type, int fds[2])
{
	int p[2];

	if (syscall(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, p) < 0)
		return -errno;
	fds[0] = p[0];
	fds[1] = p[1];
	return 0;
}

int fd_cookie(int fd, uint64_t *ret_cookie)
{
	uint64_t c = 0;
	socklen_t len = sizeof(c);

	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &c, &len) < 0)
		return -errno;
	*ret_cookie = c;
	return 0;
}

union control {
	char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

ssize_t fd_sendv_fds(int sock, const struct iovec *iov, size_t n_iov, const int *fds, size_t nfds, int flags)
{
	union control ctl;
	struct msghdr mh = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov };
	struct cmsghdr *c;
	ssize_t n;

	if (nfds > FDS_MAX)
		return -EINVAL;
	if (nfds) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = syscall(SYS_sendmsg, sock, &mh, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t fd_send_fds(int sock, const void *buf, size_t len, const int *fds, size_t nfds, int flags)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, len };

	return fd_sendv_fds(sock, &iov, 1, fds, nfds, flags);
}

ssize_t fd_recv_fds(int sock, void *buf, size_t len, int *fds, size_t *nfds, int flags)
{
	struct iovec iov = { buf, len };
	union control ctl;
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl)
	};
	int got[FDS_MAX] = { -1, -1, -1, -1 };
	size_t n_got = 0, cap = *nfds;
	ssize_t n;

	do
		n = syscall(SYS_recvmsg, sock, &mh, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n_got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n_got > FDS_MAX)
			n_got = FDS_MAX;
		memcpy(got, CMSG_DATA(c), n_got * sizeof(int));
	}
	if (n_got > cap || mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < n_got; i++)
			fd_close(&got[i]);
		return -EMSGSIZE;
	}
	memcpy(fds, got, n_got * sizeof(int));
	*nfds = n_got;
	return n;
}
