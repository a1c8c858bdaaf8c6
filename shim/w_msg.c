/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data calls: read, write, send, recv and their families.
 *
 * Theory of operation. Every call becomes a sendmsg or recvmsg on our sockets (stream.c, dgram.c); other
 * descriptors get the kernel's call of the same name. Messages from other AF_UNIX sockets are searched for
 * internet sockets (SCM_RIGHTS): such a descriptor would leave the tunnel, so it is closed and the call fails
 * (interposition.md 3.2 point 7), unless it can reach nothing but this machine (design D7): server programs
 * hand those to their workers.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "shim/dgram.h"
#include "shim/hooks.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"
#include "shim/stream.h"

#define NS_PER_S 1000000000L
#define VECTORS_MAX 1024 /* Linux: UIO_MAXIOV */

void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *buf, size_t len, size_t buf_len);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t buf_len, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buf_len, int flags, struct sockaddr *from,
		       socklen_t *from_len);
ssize_t __read(int fd, void *buf, size_t len);
ssize_t __write(int fd, const void *buf, size_t len);
ssize_t __send(int fd, const void *buf, size_t len, int flags);

static ssize_t ours_send(int fd, struct sock *s, const struct msghdr *m, int flags)
{
	return s->kind == CTL_STREAM ? stream_send(fd, s, m, flags) : dgram_send(fd, s, m, flags);
}

static ssize_t ours_recv(int fd, struct sock *s, struct msghdr *m, int flags)
{
	return s->kind == CTL_STREAM ? stream_recv(fd, s, m, flags) : dgram_recv(fd, s, m, flags);
}

/* What sendmsg() and recvmsg() look at first: 0 or -errno. */
static int check_msg(const struct msghdr *m)
{
	if ((int)m->msg_namelen < 0)
		return -EINVAL;
	if (m->msg_iovlen > VECTORS_MAX)
		return -EMSGSIZE;
	return m->msg_iovlen && !m->msg_iov ? -EFAULT : 0;
}

/* Vectors of readv() and writev(): 0 says that there is room for nothing, and so nothing to be done, unlike
 * in sendmsg() and recvmsg(). Or -errno. */
static int any_room(const struct iovec *iov, int n)
{
	bool any = false;

	if (n < 0 || n > VECTORS_MAX)
		return -EINVAL;
	if (n && !iov)
		return -EFAULT;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX)
			return -EINVAL;
		any = any || iov[i].iov_len;
	}
	return any;
}

/* ---- bodies ---- */

ssize_t shim_readv(int fd, const struct iovec *iov, int n)
{
	struct sock s;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	int r;

	if (!sock_find(fd, &s))
		return real_cancel(SYS_readv, fd, (long)iov, n, 0, 0, 0);
	r = any_room(iov, n);
	return r <= 0 ? r : ours_recv(fd, &s, &m, 0);
}

ssize_t shim_writev(int fd, const struct iovec *iov, int n)
{
	struct sock s;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
	int r;

	if (!sock_find(fd, &s))
		return real_cancel(SYS_writev, fd, (long)iov, n, 0, 0, 0);
	r = any_room(iov, n);
	return r <= 0 ? r : ours_send(fd, &s, &m, 0);
}

ssize_t shim_read(int fd, void *buf, size_t len)
{
	struct sock s;
	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!sock_find(fd, &s))
		return real_cancel(SYS_read, fd, (long)buf, (long)len, 0, 0, 0);
	/* Unlike recv(), read() of nothing does nothing: it never takes a datagram. */
	return len == 0 ? 0 : ours_recv(fd, &s, &m, 0);
}

ssize_t shim_write(int fd, const void *buf, size_t len)
{
	struct sock s;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!sock_find(fd, &s))
		return real_cancel(SYS_write, fd, (long)buf, (long)len, 0, 0, 0);
	return ours_send(fd, &s, &m, 0);
}

ssize_t shim_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
		    socklen_t to_len)
{
	struct sock s;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)(uintptr_t)to, .msg_namelen = to_len
	};

	if (!sock_find(fd, &s))
		return real_cancel(SYS_sendto, fd, (long)buf, (long)len, flags, (long)to, to_len);
	return ours_send(fd, &s, &m, flags);
}

ssize_t shim_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
	struct sock s;
	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (!sock_find(fd, &s))
		return real_cancel(SYS_recvfrom, fd, (long)buf, (long)len, flags, (long)from, (long)from_len);
	if (from && from_len) {
		if ((int)*from_len < 0)
			return -EINVAL;
		m.msg_name = from;
		m.msg_namelen = *from_len;
	}
	r = ours_recv(fd, &s, &m, flags);
	if (r >= 0 && from && from_len)
		*from_len = m.msg_namelen;
	return r;
}

ssize_t shim_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sock s;
	int r;

	if (!sock_find(fd, &s))
		return real_sendmsg(fd, m, flags);
	r = m ? check_msg(m) : -EFAULT;
	return r < 0 ? r : ours_send(fd, &s, m, flags);
}

/* Calls judge for each descriptor that came with m. true: judge said so of one. */
static bool passed(struct msghdr *m, bool (*judge)(int fd))
{
	bool found = false;
	int fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		for (size_t at = CMSG_LEN(0); c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
					      at + sizeof(fd) <= c->cmsg_len;
		     at += sizeof(fd)) {
			memcpy(&fd, (char *)c + at, sizeof(fd));
			found = judge(fd) || found;
		}
	return found;
}

/* A socket that can reach more than this machine. */
static bool leads_out(int fd)
{
	int domain;

	return real_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, &domain) == 0 && domain != AF_UNIX &&
	       domain != AF_NETLINK && !sock_is_loopback(fd);
}

static bool drop(int fd)
{
	return real_close(fd) == 0;
}

/* n messages were received. If a socket that leads out came with one, all that came is closed. 0 or -EACCES.
 */
static int refuse_smuggled(struct mmsghdr *v, int n)
{
	bool found = false;

	for (int i = 0; i < n; i++)
		found = passed(&v[i].msg_hdr, leads_out) || found;
	if (!found)
		return 0;
	for (int i = 0; i < n; i++) {
		passed(&v[i].msg_hdr, drop);
		v[i].msg_hdr.msg_controllen = 0;
	}
	state_say(STATE_WARN, "an internet socket was passed to this program and has been closed", NULL);
	return -EACCES;
}

ssize_t shim_recvmsg(int fd, struct msghdr *m, int flags)
{
	struct mmsghdr one;
	struct sock s;
	ssize_t r;

	if (!sock_find(fd, &s)) {
		r = real_recvmsg(fd, m, flags);
		if (r < 0 || !m->msg_controllen)
			return r;
		one.msg_hdr = *m;
		if (refuse_smuggled(&one, 1) == 0)
			return r;
		m->msg_controllen = 0;
		return -EACCES;
	}
	if (!m)
		return -EFAULT;
	r = check_msg(m);
	return r < 0 ? r : ours_recv(fd, &s, m, flags);
}

int shim_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct sock s;
	ssize_t r;

	if (!sock_find(fd, &s))
		return (int)real_cancel(SYS_sendmmsg, fd, (long)v, n, flags, 0, 0);
	for (unsigned i = 0; i < n; i++) {
		r = shim_sendmsg(fd, &v[i].msg_hdr, flags);
		if (r < 0)
			return i ? (int)i : (int)r;
		v[i].msg_len = (unsigned)r;
	}
	return (int)n;
}

static bool expired(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

static struct timespec add(const struct timespec *timeout)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += timeout->tv_sec;
	t.tv_nsec += timeout->tv_nsec;
	if (t.tv_nsec >= NS_PER_S) {
		t.tv_nsec -= NS_PER_S;
		t.tv_sec++;
	}
	return t;
}

static void set_left(const struct timespec *end, struct timespec *timeout)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	timeout->tv_sec = end->tv_sec - now.tv_sec;
	timeout->tv_nsec = end->tv_nsec - now.tv_nsec;
	if (timeout->tv_nsec < 0) {
		timeout->tv_nsec += NS_PER_S;
		timeout->tv_sec--;
	}
	if (timeout->tv_sec < 0)
		*timeout = (struct timespec){ 0, 0 };
}

/* As in Linux the time-out is looked at between datagrams only, and what is left of it is told. */
static int ours_recvmmsg(int fd, struct sock *s, struct mmsghdr *v, unsigned n, int flags,
			 struct timespec *timeout)
{
	struct timespec end = { 0, 0 };
	ssize_t r;

	if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS_PER_S))
		return -EINVAL;
	if (timeout)
		end = add(timeout);
	for (unsigned i = 0; i < n; i++) {
		r = check_msg(&v[i].msg_hdr);
		if (r == 0)
			r = ours_recv(fd, s, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			return i ? (int)i : (int)r;
		v[i].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout)
			set_left(&end, timeout);
		if (timeout && expired(&end))
			return (int)i + 1;
	}
	return (int)n;
}

int shim_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct sock s;
	int r;

	if (sock_find(fd, &s))
		return ours_recvmmsg(fd, &s, v, n, flags, timeout);
	r = (int)real_cancel(SYS_recvmmsg, fd, (long)v, n, flags, (long)timeout, 0);
	return r > 0 && refuse_smuggled(v, r) < 0 ? -EACCES : r;
}

/* ---- hooks ---- */

HOOK ssize_t read(int fd, void *buf, size_t len)
{
	return real_ret(shim_read(fd, buf, len));
}

HOOK ssize_t __read(int fd, void *buf, size_t len)
{
	return real_ret(shim_read(fd, buf, len));
}

HOOK ssize_t __read_chk(int fd, void *buf, size_t len, size_t buf_len)
{
	if (len > buf_len)
		__chk_fail();
	return real_ret(shim_read(fd, buf, len));
}

HOOK ssize_t readv(int fd, const struct iovec *iov, int n)
{
	return real_ret(shim_readv(fd, iov, n));
}

HOOK ssize_t write(int fd, const void *buf, size_t len)
{
	return real_ret(shim_write(fd, buf, len));
}

HOOK ssize_t __write(int fd, const void *buf, size_t len)
{
	return real_ret(shim_write(fd, buf, len));
}

HOOK ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return real_ret(shim_writev(fd, iov, n));
}

HOOK ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return real_ret(shim_sendto(fd, buf, len, flags, NULL, 0));
}

HOOK ssize_t __send(int fd, const void *buf, size_t len, int flags)
{
	return real_ret(shim_sendto(fd, buf, len, flags, NULL, 0));
}

HOOK ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
		    socklen_t to_len)
{
	return real_ret(shim_sendto(fd, buf, len, flags, to, to_len));
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	return real_ret(shim_sendmsg(fd, m, flags));
}

HOOK int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	return (int)real_ret(shim_sendmmsg(fd, v, n, flags));
}

HOOK ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return real_ret(shim_recvfrom(fd, buf, len, flags, NULL, NULL));
}

HOOK ssize_t __recv_chk(int fd, void *buf, size_t len, size_t buf_len, int flags)
{
	if (len > buf_len)
		__chk_fail();
	return real_ret(shim_recvfrom(fd, buf, len, flags, NULL, NULL));
}

HOOK ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
	return real_ret(shim_recvfrom(fd, buf, len, flags, from, from_len));
}

HOOK ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buf_len, int flags, struct sockaddr *from,
			    socklen_t *from_len)
{
	if (len > buf_len)
		__chk_fail();
	return real_ret(shim_recvfrom(fd, buf, len, flags, from, from_len));
}

HOOK ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	return real_ret(shim_recvmsg(fd, m, flags));
}

HOOK int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	return (int)real_ret(shim_recvmmsg(fd, v, n, flags, timeout));
}
