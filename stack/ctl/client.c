/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: socket, connect, send, receive, close. Every step is a plain system call on this thread's
 * stack; the socket lives for the call only, so nothing is shared and nothing can go stale. Calls go through
 * syscall(2): the shim interposes the libc names.
 */
#include "stack/ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* Anybody may listen under an abstract name once its owner is gone, and names can be read in /proc/net/unix:
 * the listener must be of this user, now or when this program started (it may have changed its user since,
 * and a tunnel of its own with it). */
static int check_owner(int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == (uid_t)getauxval(AT_EUID) ? 0 : -ENETDOWN;
}

/* *ret_refusal, unless NULL: why nothing could be connected to. */
static int open_socket(const char *path, int *ret_refusal)
{
	struct sockaddr_un sa;
	int len = ctl_sockaddr(&sa, path), e;
	long fd, r;

	if (len < 0)
		return len;
	fd = syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		r = syscall(SYS_connect, (int)fd, &sa, len);
	while (r < 0 && errno == EINTR);
	if (r < 0 && ret_refusal)
		*ret_refusal = -errno;
	if (r < 0 || (path[0] == '@' && check_owner((int)fd) < 0)) {
		e = (int)fd;
		fd_close(&e);
		return -ENETDOWN;
	}
	return (int)fd;
}

static int wait_readable(int fd, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long r;

	do
		r = syscall(SYS_ppoll, &p, 1, timeout_ms < 0 ? NULL : &ts, NULL, 0);
	while (r < 0 && errno == EINTR);
	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

/* buf: for the request, then for the reply, whose length is returned. */
static ssize_t exchange(int fd, const struct ctl_req *req, const int *fds, size_t nfds, uint8_t *buf,
			size_t cap, int *ret_fd, int timeout_ms)
{
	size_t n_got = ret_fd ? 1 : 0;
	int got = -1, len = ctl_put_req(buf, cap, req), r;
	ssize_t n;

	if (len < 0)
		return -EINVAL;
	n = fd_send_fds(fd, buf, (size_t)len, fds, nfds, 0);
	if (n < 0)
		return -ENETDOWN;
	r = wait_readable(fd, timeout_ms);
	if (r < 0)
		return r;
	n = fd_recv_fds(fd, buf, cap, &got, &n_got, 0);
	if (ret_fd)
		*ret_fd = got;
	return n > 0 ? n : -ENETDOWN;
}

int ctl_call(const char *path, const struct ctl_req *req, const int *fds, size_t nfds, struct ctl_brief *rep,
	     int *ret_fd, int timeout_ms)
{
	uint8_t buf[CTL_BRIEF_MAX];
	int saved = errno, got = -1, fd = open_socket(path, NULL);
	ssize_t n = fd;

	if (fd >= 0)
		n = exchange(fd, req, fds, nfds, buf, sizeof(buf), ret_fd ? &got : NULL, timeout_ms);
	fd_close(&fd);
	if (n >= 0 && (ctl_get_brief(rep, buf, (size_t)n) < 0 || rep->op != req->op)) {
		fd_close(&got);
		n = -EPROTO;
	}
	if (ret_fd)
		*ret_fd = got;
	errno = saved;
	return n < 0 ? (int)n : 0;
}

int ctl_call_long(const char *path, const struct ctl_req *req, struct ctl_rep *rep, int timeout_ms)
{
	uint8_t buf[CTL_MSG_MAX];
	int saved = errno, fd = open_socket(path, NULL);
	ssize_t n = fd;

	if (fd >= 0)
		n = exchange(fd, req, NULL, 0, buf, sizeof(buf), NULL, timeout_ms);
	fd_close(&fd);
	if (n >= 0 && (ctl_get_rep(rep, buf, (size_t)n) < 0 || rep->op != req->op))
		n = -EPROTO;
	errno = saved;
	return n < 0 ? (int)n : 0;
}

int ctl_call_status(const char *path, struct ctl_status *s, pid_t *ret_pid, int timeout_ms)
{
	const struct ctl_req req = { .op = CTL_STATUS };
	uint8_t buf[CTL_MSG_MAX];
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int saved = errno, refusal = 0, fd = open_socket(path, &refusal);
	ssize_t n = refusal ? refusal : fd;

	if (fd >= 0 && (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
			(peer.uid != geteuid() && peer.uid != 0)))
		n = -EPERM;
	*ret_pid = peer.pid;
	if (n >= 0)
		n = exchange(fd, &req, NULL, 0, buf, sizeof(buf), NULL, timeout_ms);
	fd_close(&fd);
	if (n >= 0 && ctl_get_status(s, buf, (size_t)n) < 0)
		n = -EPROTO;
	errno = saved;
	return n < 0 ? (int)n : 0;
}
