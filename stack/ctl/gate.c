/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program's side of the write gate.
 *
 * Theory of operation. The kernel cuts what a stream end writes into pieces of half the send buffer less 64
 * bytes, and takes pieces as long as what is in flight is less than the buffer. A piece costs more than those
 * 64 bytes, so two fill it, the last one is large enough to keep the end unwritable while one byte of it is
 * left unread, and a program that is stopped has sent all of it or nothing. A third piece is not offered: the
 * call would look for room once more, when the tunnel may have read the first two.
 */
#include "stack/ctl/gate.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

int gate_shut(int fd, uint64_t cookie, const struct addr *to)
{
	const struct ctl_req req = { .op = CTL_CONNECT, .cookie = cookie, .addr = *to };
	const int tiny = 1;
	static const uint8_t zeros[GATE_MAX];
	uint8_t head[CTL_BRIEF_MAX];
	int saved = errno, len = ctl_put_req(head, sizeof(head), &req), buffer = 0;
	socklen_t size = sizeof(buffer);
	struct iovec gate[] = { { head, (size_t)len }, { (void *)(uintptr_t)zeros, 0 } };
	ssize_t n;

	if (len < 0)
		return -EINVAL;
	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny));
	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size);
	errno = saved;
	if (GATE_LENGTH(buffer) > GATE_MAX || GATE_LENGTH(buffer) <= len)
		return -ENOBUFS;
	gate[1].iov_len = (size_t)(GATE_LENGTH(buffer) - len);
	n = fd_sendv_fds(fd, gate, 2, &fd, 1, MSG_DONTWAIT);
	errno = saved;
	if (n == -EAGAIN)
		return -EALREADY;
	if (n == -EPIPE || n == -ECONNRESET)
		return -ENETDOWN;
	return n < 0 ? (int)n : 0;
}
