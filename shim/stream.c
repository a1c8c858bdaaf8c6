/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data calls on stream sockets.
 *
 * Theory of operation. The kernel's socketpair already behaves like TCP for data; this file covers the
 * differences (interposition.md 2.4, 2.9, 2.10): calls before connect, the errno the tunnel recorded in place
 * of the pair's own, addresses and ancillary data that TCP ignores, urgent data (sent in line), MSG_TRUNC as
 * a way to discard, and SIGPIPE only where TCP raises it.
 */
#include "shim/stream.h"

#include <errno.h>
#include <signal.h>

#include "shim/real.h"

#define SCRATCH 4096

/* Data may flow, or its absence is for the kernel to say, once a connect was begun. */
static bool started(struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;

	if (s->flags & SOCK_FAILED)
		return false; /* Linux: as if it had never been begun */
	if (s->flags & SOCK_STARTED)
		return true;
	if (sock_ask(s, CTL_NAMES, &req, &rep) < 0 || rep.state < CTL_CONNECTING)
		return false;
	sock_flags(s, SOCK_STARTED, 0);
	return true;
}

static ssize_t broken_pipe(int flags)
{
	long pid = real_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	long tid = real_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

	if (!(flags & MSG_NOSIGNAL))
		real_syscall(SYS_tgkill, pid, tid, SIGPIPE, 0, 0, 0);
	return -EPIPE;
}

ssize_t stream_send(int fd, struct sock *s, const struct msghdr *m, int flags)
{
	struct msghdr bare = { .msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen };
	ssize_t r;
	int err;

	if (flags & MSG_FASTOPEN)
		return -EOPNOTSUPP;
	if (!started(s))
		return broken_pipe(flags);
	r = real_sendmsg(fd, &bare, (flags & ~(MSG_OOB | MSG_ZEROCOPY)) | MSG_NOSIGNAL);
	if (r != -EPIPE && r != -ECONNRESET)
		return r;
	/* Linux: a pending error is reported once and without a signal, then EPIPE; which may be that error.
	 */
	err = sock_take_error(fd, s);
	return err && err != EPIPE ? -err : broken_pipe(flags);
}

/* TCP throws away up to len bytes when asked to receive into nothing with MSG_TRUNC. */
static ssize_t discard(int fd, size_t len, int flags)
{
	char scratch[SCRATCH];
	size_t done = 0;
	ssize_t r;

	while (done < len) {
		struct iovec iov = { scratch, len - done < SCRATCH ? len - done : SCRATCH };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

		r = real_recvmsg(fd, &m,
				 (flags & ~MSG_TRUNC) | (done && !(flags & MSG_WAITALL) ? MSG_DONTWAIT : 0));
		if (r <= 0)
			return done ? (ssize_t)done : r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static size_t iov_total(const struct msghdr *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		n += m->msg_iov[i].iov_len;
	return n;
}

ssize_t stream_recv(int fd, struct sock *s, struct msghdr *m, int flags)
{
	struct msghdr bare = { .msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen };
	ssize_t r;
	int err;

	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (!started(s))
		return -ENOTCONN;
	if (flags & MSG_OOB)
		return -EINVAL; /* urgent bytes arrive in line */
	if ((flags & (MSG_TRUNC | MSG_PEEK)) == MSG_TRUNC)
		r = discard(fd, iov_total(m), flags);
	else
		r = real_recvmsg(fd, &bare, flags & ~MSG_TRUNC);
	if (r == -ECONNRESET) {
		err = sock_take_error(fd, s);
		return err ? -err : r;
	}
	if (r < 0)
		return r;
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = bare.msg_flags;
	return r;
}
