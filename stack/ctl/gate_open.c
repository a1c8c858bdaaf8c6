/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel's side of the write gate.
 *
 * Theory of operation. The request is known by its first bytes, the socket's cookie among them. It is looked
 * at and left where it is as long as the program's call that writes the gate may still be running, which is
 * over when the program's buffer is full and both pieces are queued. The buffer alone does not tell: for the
 * kernel a piece is in flight before it has its bytes and is in the queue. A program that is preempted there
 * would write the rest of its gate into the connection. After bytes that were written before, which took of
 * the buffer, the gate is shorter.
 */
#include "stack/ctl/gate.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"

#define MARK 10 /* bytes that begin the request: version, operation, cookie */

static bool whole(int fd, int prog_fd, bool alone)
{
	int in_flight = 0, buffer = 0, queued = 0;
	socklen_t len = sizeof(buffer);

	return getsockopt(prog_fd, SOL_SOCKET, SO_SNDBUF, &buffer, &len) == 0 &&
	       ioctl(prog_fd, SIOCOUTQ, &in_flight) == 0 && in_flight >= buffer &&
	       (!alone || (ioctl(fd, FIONREAD, &queued) == 0 && queued >= GATE_LENGTH(buffer)));
}

/* Request, and what stands before it, are taken away. Bytes that are left. */
static int consume(int fd, uint8_t *buf, size_t len)
{
	int left = 0;

	if (recv(fd, buf, len, MSG_DONTWAIT) != (ssize_t)len || ioctl(fd, FIONREAD, &left) < 0 || left < 1)
		return -EPROTO;
	return left;
}

int gate_take(int fd, uint64_t cookie, struct addr *ret_to, int *ret_prog_fd)
{
	struct ctl_req req = { .op = CTL_CONNECT, .cookie = cookie };
	uint8_t mark[CTL_MSG_MAX], buf[2 * GATE_MAX], *at;
	int len = ctl_put_req(mark, sizeof(mark), &req), prog = -1, r;
	size_t n_fds, before;
	ssize_t n;

	if (len < MARK)
		return -EINVAL;
	for (;;) {
		n_fds = 1;
		n = fd_recv_fds(fd, buf, sizeof(buf), &prog, &n_fds, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? (int)n : -EAGAIN;
		at = memmem(buf, (size_t)n, mark, MARK);
		if (at)
			break;
		if (n_fds)
			fd_close(&prog);
		if (n < MARK)
			return -EAGAIN;
		if (recv(fd, buf, (size_t)n - MARK + 1, MSG_DONTWAIT) < 0)
			return -errno;
	}
	before = (size_t)(at - buf);
	if (!n_fds || (size_t)n - before < (size_t)len || ctl_get_req(&req, at, (size_t)len) < 0)
		r = -EPROTO;
	else if (!whole(fd, prog, !before))
		r = -EAGAIN;
	else
		r = consume(fd, buf, before + (size_t)len);
	if (r < 0) {
		if (n_fds)
			fd_close(&prog);
		return r;
	}
	*ret_to = req.addr;
	*ret_prog_fd = prog;
	return r;
}

int gate_open(int fd, int prog_fd, int length, int size)
{
	uint8_t gate[GATE_MAX];

	for (ssize_t n; length > 1; length -= (int)n) {
		n = recv(fd, gate, (size_t)(length - 1 < GATE_MAX ? length - 1 : GATE_MAX), MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
	}
	return setsockopt(prog_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0 ? -errno : 0;
}
