/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the loopback device.
 *
 * Theory of operation. SO_BINDTODEVICE comes first, so there is no moment in which such a socket could reach
 * anything else, and an unprivileged program cannot undo it. Whether a port is free is the kernel's
 * judgement, by the options that the program has set.
 *
 * UDP sockets are never connected: whom a program hears is its dgram's business (dgram.c), and the errors of
 * a socket with IP_RECVERR say what they are about. All that a program may want to know of a datagram is
 * asked for.
 */
#include "stack/loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* needs time.h */

#define CONTROL_MAX 512
#define TRIES 3

union control {
	char buf[CONTROL_MAX];
	struct cmsghdr align;
};

static int failed(int fd)
{
	int err = errno;

	close(fd);
	return -err;
}

static int make(uint8_t family, int type)
{
	static const char device[] = "lo";
	int fd = socket(family == 6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device) - 1) < 0)
		return failed(fd);
	return fd;
}

int loopback_new(uint8_t family)
{
	return make(family, SOCK_STREAM);
}

static void ask_for_all(int fd, uint8_t family)
{
	static const int ip[] = { IP_RECVERR, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS };
	static const int ip6[] = { IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS };
	const int on = 1;

	for (size_t i = 0; i < sizeof(ip) / sizeof(ip[0]); i++)
		setsockopt(fd, IPPROTO_IP, ip[i], &on, sizeof(on));
	for (size_t i = 0; family == 6 && i < sizeof(ip6) / sizeof(ip6[0]); i++)
		setsockopt(fd, IPPROTO_IPV6, ip6[i], &on, sizeof(on));
}

int loopback_bind(const struct sock *s, struct addr *at)
{
	static const struct {
		int level, name;
	} judged_by[] = { { SOL_SOCKET, SO_REUSEADDR },
			  { SOL_SOCKET, SO_REUSEPORT },
			  { IPPROTO_IPV6, IPV6_V6ONLY } };
	struct addr got;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(at, &ss, s->family == 6);
	int fd = make(s->family, s->kind == CTL_STREAM ? SOCK_STREAM : SOCK_DGRAM | SOCK_NONBLOCK), v;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < sizeof(judged_by) / sizeof(judged_by[0]); i++)
		if (sock_kept_option(s, judged_by[i].level, judged_by[i].name, &v) == 0)
			setsockopt(fd, judged_by[i].level, judged_by[i].name, &v, sizeof(v));
	if (s->kind == CTL_DGRAM)
		ask_for_all(fd, s->family);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return failed(fd);
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    addr_from_sockaddr(&got, (struct sockaddr *)&ss, len) < 0)
		return failed(fd);
	at->port = got.port;
	return fd;
}

static void name(struct addr *ret, const struct sockaddr_storage *ss, socklen_t len)
{
	if (addr_from_sockaddr(ret, (const struct sockaddr *)ss, len) < 0)
		memset(ret, 0, sizeof(*ret));
	addr_unmap(ret);
}

static void note(const struct cmsghdr *c, struct ctl_dgram *ret, struct addr *ret_to)
{
	bool v6 = c->cmsg_level == IPPROTO_IPV6;
	struct in6_pktinfo p6;
	struct in_pktinfo p;
	int v = 0;

	if (c->cmsg_level != IPPROTO_IP && !v6)
		return;
	memcpy(&v, CMSG_DATA(c), c->cmsg_len < CMSG_LEN(sizeof(v)) ? 1 : sizeof(v));
	if (c->cmsg_type == (v6 ? IPV6_HOPLIMIT : IP_TTL)) {
		ret->ttl = (uint8_t)v;
	} else if (c->cmsg_type == (v6 ? IPV6_TCLASS : IP_TOS)) {
		ret->tos = (uint8_t)v;
	} else if (v6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&p6, CMSG_DATA(c), sizeof(p6));
		*ret_to = (struct addr){ .family = 6 };
		memcpy(ret_to->ip, &p6.ipi6_addr, sizeof(ret_to->ip));
		addr_unmap(ret_to);
	} else if (!v6 && c->cmsg_type == IP_PKTINFO) {
		memcpy(&p, CMSG_DATA(c), sizeof(p));
		*ret_to = (struct addr){ .family = 4 };
		memcpy(ret_to->ip, &p.ipi_addr, 4);
	}
}

static struct msghdr room(struct sockaddr_storage *name, struct iovec *iov, union control *u)
{
	return (struct msghdr){ .msg_name = name,
				.msg_namelen = sizeof(*name),
				.msg_iov = iov,
				.msg_iovlen = 1,
				.msg_control = u->buf,
				.msg_controllen = sizeof(u->buf) };
}

ssize_t loopback_recv(int fd, void *buf, size_t cap, struct ctl_dgram *ret, struct addr *ret_to)
{
	union control u;
	struct sockaddr_storage ss;
	struct iovec iov = { buf, cap };
	struct msghdr m = room(&ss, &iov, &u);
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	name(&ret->addr, &ss, m.msg_namelen);
	*ret_to = (struct addr){ .family = ret->addr.family };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		note(c, ret, ret_to);
	return n;
}

static void put(struct msghdr *m, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	m->msg_controllen += CMSG_SPACE(len);
}

static void put_fields(struct msghdr *m, const struct addr *to, const struct ctl_dgram *h)
{
	bool v6 = to->family == 6;
	struct addr from = { .family = to->family };
	struct in6_pktinfo p6 = { .ipi6_ifindex = 0 };
	struct in_pktinfo p = { .ipi_ifindex = 0 };
	const int ttl = h->ttl, tos = h->tos;

	put(m, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HOPLIMIT : IP_TTL, &ttl, sizeof(ttl));
	put(m, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos));
	memcpy(from.ip, h->local, v6 ? 16 : 4);
	if (!(h->flags & CTL_DGRAM_PKTINFO) || addr_classify(&from) != ADDR_LOOPBACK)
		return;
	if (v6) {
		memcpy(&p6.ipi6_addr, from.ip, sizeof(p6.ipi6_addr));
		put(m, IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
	} else {
		memcpy(&p.ipi_spec_dst, from.ip, sizeof(p.ipi_spec_dst));
		put(m, IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
	}
}

int loopback_send(int fd, const struct sock *s, const struct addr *to, const struct ctl_dgram *h,
		  const void *buf, size_t len)
{
	union control u;
	struct sockaddr_storage ss;
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr m = { .msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf };

	memset(&u, 0, sizeof(u));
	m.msg_namelen = addr_to_sockaddr(to, &ss, s->family == 6);
	put_fields(&m, to, h);
	/* The kernel tells of the error of an earlier datagram first, without sending; the queue
	 * has it too. */
	for (int i = 0; i < TRIES; i++)
		if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		else if (errno != ECONNREFUSED)
			break;
	return errno == EAGAIN ? ENOBUFS : errno;
}

bool loopback_error(int fd, struct device_icmp *ret, uint8_t quote[CTL_QUOTE_MAX])
{
	union control u;
	struct sockaddr_storage ss, offender;
	struct iovec iov = { quote, CTL_QUOTE_MAX };
	struct msghdr m = room(&ss, &iov, &u);
	struct sock_extended_err e = { .ee_errno = 0 };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_ERRQUEUE);

	if (n < 0)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->proto = IPPROTO_UDP;
	name(&ret->remote, &ss, m.msg_namelen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
		size_t rest = c->cmsg_len - CMSG_LEN(0);

		if ((!v4 && (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR)) ||
		    rest < sizeof(e))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		memset(&offender, 0, sizeof(offender));
		rest -= sizeof(e);
		memcpy(&offender, CMSG_DATA(c) + sizeof(e),
		       rest < sizeof(offender) ? rest : sizeof(offender));
		name(&ret->offender, &offender, (socklen_t)rest);
	}
	ret->err = (int)e.ee_errno;
	ret->hard = true; /* of what can be said of a loopback device */
	ret->type = e.ee_type;
	ret->code = e.ee_code;
	ret->info = e.ee_info;
	ret->quote = quote;
	ret->len = (size_t)n;
	return true;
}
