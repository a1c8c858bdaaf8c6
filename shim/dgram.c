/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams with their header.
 *
 * Theory of operation (interposition.md 2.7). Every datagram on the pair starts with struct ctl_dgram, put in
 * front and taken off by one more iovec, so that boundaries, zero length, MSG_PEEK and MSG_TRUNC stay the
 * kernel's work. An error the network reported is the pair's own ECONNRESET (stack/pairerr.h): whichever call
 * meets it asks the tunnel for the errno; so poll and epoll report it as for UDP. Something without a valid
 * header is dropped, it is nobody's datagram.
 *
 * What the tunnel would only find out later is checked here, so that the call itself fails as in Linux:
 * addresses, the header of an echo request, and, for datagrams that may be too long, the tunnel's MTU.
 */
#include "shim/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/cmsg.h"
#include "shim/policy.h"
#include "shim/real.h"
#include "shim/state.h"

#define IOV_MANY 1023 /* the kernel takes 1024, one is the header's */
#define IOV_FEW 15
#define SURELY_FITS 528 /* bytes of payload in the smallest MTU a tunnel may have (576), also of IPv6 */
#define ECHO_HDR 8
#define ECHO4 8
#define ECHO6 128

struct header {
	uint8_t bytes[CTL_DGRAM_HDR];
	struct ctl_dgram d;
};

/* Is there a peer? The cache forgets and other processes connect, so "no" is checked. */
static bool connected(struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;

	if (s->flags & SOCK_PEER)
		return true;
	if (sock_ask(s, CTL_NAMES, &req, &rep) < 0 || !rep.addr2.family)
		return false;
	sock_flags(s, SOCK_PEER, 0);
	return true;
}

/* ---- errors ---- */

/* The errno behind an ECONNRESET of the pair (shown). 0: none, or somebody else has taken it. */
static int pending(const struct sock *s, bool shown)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int r = sock_ask(s, CTL_TAKE_ERROR, &req, &rep);

	if (sock_cannot_ask(r))
		return shown ? -ECONNREFUSED : 0; /* as nearly always */
	return r < 0 ? r : -rep.value;
}

int dgram_take_error(int fd, const struct sock *s)
{
	int native = 0;

	real_getsockopt_int(fd, SOL_SOCKET, SO_ERROR, &native);
	return -pending(s, native != 0);
}

static void drop_head(int fd)
{
	char byte;

	real_syscall(SYS_recvfrom, fd, (long)&byte, 1, MSG_DONTWAIT, 0, 0);
}

int dgram_next_len(int fd)
{
	int n = 0;

	real_syscall(SYS_ioctl, fd, FIONREAD, (long)&n, 0, 0, 0);
	return n > CTL_DGRAM_HDR ? n - CTL_DGRAM_HDR : 0;
}

/* ---- sending ---- */

static int option(const struct sock *s, int level, int name)
{
	struct ctl_req req = { .level = level, .name_opt = name };
	struct ctl_brief rep;

	return sock_ask(s, CTL_GETOPT, &req, &rep) == 0 ? rep.value : 0;
}

int dgram_peer(const struct sock *s, const struct addr *to)
{
	struct policy p = policy_peer(state_rules(), to);
	char text[ADDR_TEXT];

	if (s->family == 6 && to->family == 4) { /* mapped */
		if (s->kind == CTL_ICMP)
			return -EINVAL;
		if (s->flags & SOCK_V6ONLY)
			return -ENETUNREACH;
	}
	if (p.verdict == POLICY_TUNNEL || (p.verdict == POLICY_LOOPBACK && s->kind == CTL_DGRAM))
		return 0;
	if (p.verdict == POLICY_LOOPBACK)
		p = (struct policy){ POLICY_DENY, ENETUNREACH, "echo requests to this machine itself" };
	if (addr_classify(to) == ADDR_BROADCAST && !option(s, SOL_SOCKET, SO_BROADCAST))
		return -EACCES;
	state_say(STATE_WARN, "destination refused: ", p.why, NULL);
	state_say(STATE_TRACE, "refused destination was ", addr_text(to, text), NULL);
	return -p.err;
}

/* Linux: an address without a family is IPv4 for an IPv4 socket and none for an IPv6 one. */
static int given_address(const struct sock *s, const struct msghdr *m, struct addr *ret)
{
	const struct sockaddr *sa = m->msg_name;
	struct sockaddr_in in;

	if (s->family == 4 && m->msg_namelen >= sizeof(in) && sa->sa_family == AF_UNSPEC) {
		memcpy(&in, sa, sizeof(in));
		in.sin_family = AF_INET;
		return sock_addr_in(s, (struct sockaddr *)&in, sizeof(in), ret);
	}
	return sock_addr_in(s, sa, m->msg_namelen, ret);
}

static int destination(struct sock *s, const struct msghdr *m, struct ctl_dgram *d)
{
	const struct sockaddr *sa = m->msg_name;
	bool none = !sa || m->msg_namelen == 0 ||
		    (s->family == 6 && m->msg_namelen >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC);
	int r;

	if (none) {
		if (!connected(s))
			return -EDESTADDRREQ;
		d->flags = CTL_DGRAM_NO_ADDR;
		return 0;
	}
	r = given_address(s, m, &d->addr);
	if (r < 0)
		return r;
	if (d->addr.port == 0 && s->kind == CTL_DGRAM)
		return -EINVAL;
	return dgram_peer(s, &d->addr);
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

/* Kernel: ping_supported(). */
static int echo_request(const struct sock *s, const struct msghdr *m)
{
	uint8_t head[ECHO_HDR];
	size_t have = 0;

	for (size_t i = 0; i < m->msg_iovlen && have < sizeof(head); i++) {
		size_t n = m->msg_iov[i].iov_len < sizeof(head) - have ? m->msg_iov[i].iov_len
								       : sizeof(head) - have;

		memcpy(head + have, m->msg_iov[i].iov_base, n);
		have += n;
	}
	return have == sizeof(head) && head[0] == (s->family == 6 ? ECHO6 : ECHO4) && head[1] == 0 ? 0
												   : -EINVAL;
}

/* The exit drops fragments: what is longer than the tunnel's MTU could not arrive. Who cannot ask hears of it
 * from the next call. */
static int fits(const struct sock *s, const struct ctl_dgram *d, size_t len)
{
	struct ctl_req req = { .addr = d->addr, .value = (int32_t)len };
	int r = len <= SURELY_FITS ? 0 : sock_ask(s, CTL_FITS, &req, NULL);

	return sock_cannot_ask(r) ? 0 : r;
}

static ssize_t transmit(int fd, const struct sock *s, struct header *h, const struct msghdr *m,
			struct iovec *iov, int flags)
{
	struct msghdr out = { .msg_iov = iov, .msg_iovlen = m->msg_iovlen + 1 };
	ssize_t r;
	int err;

	ctl_put_dgram(h->bytes, &h->d);
	iov[0] = (struct iovec){ h->bytes, sizeof(h->bytes) };
	memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(*iov));
	while ((r = real_sendmsg(fd, &out, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL)) == -ECONNRESET) {
		err = pending(s, true);
		if (err)
			return err;
	}
	if (r == -ECONNREFUSED || r == -ENOTCONN)
		return -ENETDOWN; /* the pair's other end is gone: no tunnel */
	return r < 0 ? r : r - CTL_DGRAM_HDR;
}

static __attribute__((noinline)) ssize_t transmit_many(int fd, const struct sock *s, struct header *h,
						       const struct msghdr *m, int flags)
{
	struct iovec iov[IOV_MANY + 1];

	return transmit(fd, s, h, m, iov, flags);
}

ssize_t dgram_send(int fd, struct sock *s, const struct msghdr *m, int flags)
{
	struct header h = { .d = { .flags = 0 } };
	struct iovec iov[IOV_FEW + 1];
	ssize_t len, r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->msg_iovlen > IOV_MANY)
		return -EMSGSIZE;
	len = payload_len(m);
	if (len < 0)
		return len;
	r = s->kind == CTL_ICMP ? echo_request(s, m) : 0;
	if (r == 0)
		r = destination(s, m, &h.d);
	if (r == 0)
		r = cmsg_take(s, m, &h.d);
	if (r == 0)
		r = fits(s, &h.d, (size_t)len);
	if (r < 0)
		return r;
	if (m->msg_iovlen <= IOV_FEW)
		return transmit(fd, s, &h, m, iov, flags);
	return transmit_many(fd, s, &h, m, flags);
}

/* ---- receiving ---- */

static ssize_t receive(int fd, struct header *h, const struct msghdr *m, struct iovec *iov, int flags,
		       struct msghdr *in)
{
	*in = (struct msghdr){ .msg_iov = iov,
			       .msg_iovlen = m->msg_iovlen + 1,
			       .msg_control = m->msg_control,
			       .msg_controllen = m->msg_controllen };
	iov[0] = (struct iovec){ h->bytes, sizeof(h->bytes) };
	memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(*iov));
	return real_recvmsg(fd, in, flags & ~(MSG_OOB | MSG_WAITFORONE));
}

static __attribute__((noinline)) ssize_t receive_many(int fd, struct header *h, const struct msghdr *m,
						      int flags, struct msghdr *in)
{
	struct iovec iov[IOV_MANY + 1];

	return receive(fd, h, m, iov, flags, in);
}

/* Copies what came back of the datagram that failed. */
static ssize_t give_quote(const struct ctl_report *e, struct msghdr *m)
{
	size_t done = 0;

	for (size_t i = 0; i < m->msg_iovlen && done < e->len; i++) {
		size_t n = m->msg_iov[i].iov_len < e->len - done ? m->msg_iov[i].iov_len : e->len - done;

		memcpy(m->msg_iov[i].iov_base, e->quote + done, n);
		done += n;
	}
	if (done < e->len)
		m->msg_flags |= MSG_TRUNC;
	return (ssize_t)done;
}

/* MSG_ERRQUEUE never waits. The pair's own error goes first: the tunnel shows it again if there is more. */
static ssize_t receive_report(int fd, const struct sock *s, struct msghdr *m)
{
	struct ctl_req req = { .op = CTL_TAKE_REPORT, .cookie = s->cookie };
	struct ctl_rep rep;
	int native, r;

	real_getsockopt_int(fd, SOL_SOCKET, SO_ERROR, &native);
	r = sock_lookup(&req, &rep);
	if (r < 0)
		return r;
	if (m->msg_name)
		sock_addr_out(s, &rep.addr2, m->msg_name, &m->msg_namelen);
	cmsg_give_report(s, &rep, m);
	return give_quote(&rep.report, m);
}

ssize_t dgram_recv(int fd, struct sock *s, struct msghdr *m, int flags)
{
	struct header h;
	struct iovec iov[IOV_FEW + 1];
	struct msghdr in;
	ssize_t r;
	int err;

	if (flags & MSG_ERRQUEUE)
		return receive_report(fd, s, m);
	if (flags & MSG_OOB && s->kind == CTL_ICMP)
		return -EOPNOTSUPP;
	if (m->msg_iovlen > IOV_MANY)
		return -EMSGSIZE;
	for (;;) {
		if (m->msg_iovlen <= IOV_FEW)
			r = receive(fd, &h, m, iov, flags, &in);
		else
			r = receive_many(fd, &h, m, flags, &in);
		if (r == -ECONNRESET) {
			err = pending(s, true);
			if (err)
				return err;
			continue;
		}
		if (r <= 0) /* 0: the program has shut reading down; a datagram has a header */
			return r;
		if (r >= CTL_DGRAM_HDR && ctl_get_dgram(&h.d, h.bytes, sizeof(h.bytes)) == 0)
			break;
		if (flags & MSG_PEEK)
			drop_head(fd);
	}
	if (m->msg_name)
		sock_addr_out(s, &h.d.addr, m->msg_name, &m->msg_namelen);
	cmsg_give(s, &h.d, &in, m);
	return r - CTL_DGRAM_HDR;
}
