/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams with their header.
 *
 * Theory of operation (interposition.md 2.7). Every datagram on the pair starts with struct ctl_dgram, put in front and taken off by one more
 * iovec, so that boundaries, zero length, MSG_PEEK and MSG_TRUNC stay the kernel's work. The tunnel reports an ICMP error as a datagram
 * without payload: a connected socket gets it as errno, once, from the next send or receive; an unconnected one never sees it. Something
 * without a valid header is dropped, it is nobody's datagram.
 */
#include "shim/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "shim/policy.h"
#include "shim/real.h"
#include "shim/state.h"

#define IOV_MANY 1023 /* the kernel takes 1024, one is the header's */
#define IOV_FEW 15

struct header {
	uint8_t bytes[CTL_DGRAM_HDR];
	struct ctl_dgram d;
};

/* Is there a peer? The cache forgets and other processes connect, so "no" is checked. */
static bool connected(struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_rep rep;

	if (s->flags & SOCK_PEER)
		return true;
	if (sock_ask(s, CTL_NAMES, &req, &rep) < 0 || !rep.addr2.family)
		return false;
	sock_flags(s, SOCK_PEER, 0);
	return true;
}

/* ---- errors ---- */

static void tunnel_error(const struct sock *s, int *err)
{
	struct ctl_req req = { 0 };
	struct ctl_rep rep;

	/* The same error is recorded for SO_ERROR: whoever sees it first takes both. */
	if (sock_ask(s, CTL_TAKE_ERROR, &req, &rep) == 0 && rep.value > 0)
		*err = rep.value;
}

/* Reads the header of the next datagram without taking it. Payload length, or -errno. */
static ssize_t peek(int fd, struct header *h)
{
	struct iovec iov = { h->bytes, sizeof(h->bytes) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	long r = real_syscall(SYS_recvmsg, fd, (long)&m, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC, 0, 0, 0);

	if (r < 0)
		return r;
	if (ctl_get_dgram(&h->d, h->bytes, (size_t)r < sizeof(h->bytes) ? (size_t)r : sizeof(h->bytes)) < 0)
		return -EPROTO;
	return r - CTL_DGRAM_HDR;
}

static void drop_head(int fd)
{
	char byte;

	real_syscall(SYS_recvfrom, fd, (long)&byte, 1, MSG_DONTWAIT, 0, 0);
}

int dgram_take_error(int fd, const struct sock *s)
{
	struct header h;
	int err = 0;

	if (peek(fd, &h) >= 0 && h.d.flags & CTL_DGRAM_ERROR) {
		err = h.d.err;
		drop_head(fd);
	}
	tunnel_error(s, &err);
	return err;
}

int dgram_next_len(int fd)
{
	struct header h;
	ssize_t r = peek(fd, &h);

	return r > 0 ? (int)r : 0;
}

/* ---- sending ---- */

static int cmsg_value(const struct cmsghdr *c, int *ret)
{
	if (c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EINVAL;
	memcpy(ret, CMSG_DATA(c), sizeof(int));
	return *ret < 0 || *ret > 255 ? -EINVAL : 0;
}

static int take_cmsg(const struct cmsghdr *c, struct ctl_dgram *d)
{
	int v = 0, r;
	bool tos = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
		   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS);
	bool ttl = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT);
	bool source = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) ||
		      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO);

	/* UDP ignores passed descriptors and credentials; there is one source address only. */
	if (source || (c->cmsg_level == SOL_SOCKET &&
		       (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)))
		return 0;
	if (!tos && !ttl)
		return -EINVAL;
	r = cmsg_value(c, &v);
	if (r < 0)
		return r;
	if (tos)
		d->tos = (uint8_t)v;
	else
		d->ttl = (uint8_t)v;
	return 0;
}

static int take_control(const struct msghdr *m, struct ctl_dgram *d)
{
	struct msghdr copy = *m;
	int r;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
		if (c->cmsg_len < sizeof(*c))
			return -EINVAL;
		r = take_cmsg(c, d);
		if (r < 0)
			return r;
	}
	return 0;
}

static int destination(struct sock *s, const struct msghdr *m, struct ctl_dgram *d)
{
	struct policy p;
	int r;

	if (!m->msg_name || m->msg_namelen == 0) {
		if (!connected(s))
			return -EDESTADDRREQ;
		d->flags = CTL_DGRAM_NO_ADDR;
		return 0;
	}
	r = sock_addr_in(s, m->msg_name, m->msg_namelen, &d->addr);
	if (r < 0)
		return r;
	if (d->addr.port == 0 && s->kind == CTL_DGRAM)
		return -EINVAL;
	p = policy_peer(state_rules(), &d->addr);
	if (p.verdict != POLICY_DENY)
		return 0;
	state_say(STATE_WARN, "destination refused: ", p.why, NULL);
	return -p.err;
}

static ssize_t payload_len(const struct msghdr *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++) {
		n += m->msg_iov[i].iov_len;
		if (n > CTL_DGRAM_PAYLOAD_MAX)
			return -EMSGSIZE;
	}
	return (ssize_t)n;
}

static ssize_t transmit(int fd, struct header *h, const struct msghdr *m, struct iovec *iov, int flags)
{
	struct msghdr out = { .msg_iov = iov, .msg_iovlen = m->msg_iovlen + 1 };
	ssize_t r;

	ctl_put_dgram(h->bytes, &h->d);
	iov[0] = (struct iovec){ h->bytes, sizeof(h->bytes) };
	memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(*iov));
	r = real_sendmsg(fd, &out, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (r == -ECONNREFUSED || r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		return -ENETDOWN; /* the pair's other end is gone: no tunnel */
	return r < 0 ? r : r - CTL_DGRAM_HDR;
}

static __attribute__((noinline)) ssize_t transmit_many(int fd, struct header *h, const struct msghdr *m, int flags)
{
	struct iovec iov[IOV_MANY + 1];

	return transmit(fd, h, m, iov, flags);
}

ssize_t dgram_send(int fd, struct sock *s, const struct msghdr *m, int flags)
{
	struct header h = { .d = { .flags = 0 } }, head;
	struct iovec iov[IOV_FEW + 1];
	ssize_t r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->msg_iovlen > IOV_MANY)
		return -EMSGSIZE;
	r = payload_len(m);
	if (r < 0)
		return r;
	r = destination(s, m, &h.d);
	if (r == 0)
		r = take_control(m, &h.d);
	if (r < 0)
		return r;
	/* A pending error of a connected socket is reported by whatever call comes first. */
	if (s->flags & SOCK_PEER && peek(fd, &head) >= 0 && head.d.flags & CTL_DGRAM_ERROR)
		return -dgram_take_error(fd, s);
	if (m->msg_iovlen <= IOV_FEW)
		return transmit(fd, &h, m, iov, flags);
	return transmit_many(fd, &h, m, flags);
}

/* ---- receiving ---- */

static ssize_t receive(int fd, struct header *h, const struct msghdr *m, struct iovec *iov, int flags,
		       struct msghdr *in)
{
	*in = (struct msghdr){ .msg_iov = iov, .msg_iovlen = m->msg_iovlen + 1,
			       .msg_control = m->msg_control, .msg_controllen = m->msg_controllen };
	iov[0] = (struct iovec){ h->bytes, sizeof(h->bytes) };
	memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(*iov));
	return real_recvmsg(fd, in, flags & ~(MSG_OOB | MSG_WAITFORONE));
}

static __attribute__((noinline)) ssize_t receive_many(int fd, struct header *h, const struct msghdr *m, int flags,
						      struct msghdr *in)
{
	struct iovec iov[IOV_MANY + 1];

	return receive(fd, h, m, iov, flags, in);
}

/* An ICMP error at the head of the queue. Negative: tell the program. 0: go on. */
static int handle_error(int fd, struct sock *s, const struct header *h, int flags)
{
	int err = h->d.err;

	if (flags & MSG_PEEK)
		drop_head(fd);
	if (!(s->flags & SOCK_PEER))
		return 0;
	tunnel_error(s, &err);
	return -err;
}

static void deliver(const struct sock *s, const struct header *h, const struct msghdr *in, struct msghdr *m)
{
	if (m->msg_name)
		sock_addr_out(s, &h->d.addr, m->msg_name, &m->msg_namelen);
	m->msg_controllen = in->msg_controllen;
	m->msg_flags = in->msg_flags;
}

ssize_t dgram_recv(int fd, struct sock *s, struct msghdr *m, int flags)
{
	struct header h;
	struct iovec iov[IOV_FEW + 1];
	struct msghdr in;
	ssize_t r;
	int err;

	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (flags & MSG_OOB)
		return -EINVAL;
	if (m->msg_iovlen > IOV_MANY)
		return -EMSGSIZE;
	for (;;) {
		if (m->msg_iovlen <= IOV_FEW)
			r = receive(fd, &h, m, iov, flags, &in);
		else
			r = receive_many(fd, &h, m, flags, &in);
		if (r == -ECONNRESET)
			return -ENETDOWN;
		if (r < 0)
			return r;
		if (r < CTL_DGRAM_HDR || ctl_get_dgram(&h.d, h.bytes, sizeof(h.bytes)) < 0) {
			if (flags & MSG_PEEK)
				drop_head(fd);
			continue;
		}
		if (!(h.d.flags & CTL_DGRAM_ERROR))
			break;
		err = handle_error(fd, s, &h, flags);
		if (err < 0)
			return err;
	}
	deliver(s, &h, &in, m);
	return r - CTL_DGRAM_HDR;
}
