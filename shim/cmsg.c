/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages.
 *
 * Theory of operation. To send: each message is judged as Linux's ip_cmsg_send() and ip6_datagram_send_ctl()
 * do; foreign levels are ignored there too. A source address may be named if it is the tunnel's or one of
 * loopback. To receive: the tunnel says in the header of a datagram which messages the socket's options ask
 * for (stack/ctl/ctl.h), so nothing needs to be remembered here; the time stamp is the kernel's own and comes
 * first. A buffer that is too short is treated as put_cmsg() of Linux does.
 */
#include "shim/cmsg.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/errqueue.h>

#define LOOPBACK_INDEX 1 /* places in iface.h */
#define TUNNEL_INDEX 2

/* ---- sending ---- */

static int value(const struct cmsghdr *c, int least, int most, int *ret)
{
	uint8_t byte;

	if (c->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(ret, CMSG_DATA(c), sizeof(int));
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && c->cmsg_len == CMSG_LEN(1)) {
		memcpy(&byte, CMSG_DATA(c), 1);
		*ret = byte;
	} else {
		return -EINVAL;
	}
	return *ret < least || *ret > most ? -EINVAL : 0;
}

/* -1 is the socket's own value in IPv6. */
static int take_field(const struct cmsghdr *c, int least, uint8_t flag, uint8_t *field, struct ctl_dgram *d)
{
	int v, r = value(c, least, 255, &v);

	if (r == 0 && v >= 0) {
		*field = (uint8_t)v;
		d->flags |= flag;
	}
	return r;
}

/* There are the loopback device and one interface with one address of each family. */
static int take_source(const struct addr *from, unsigned index, struct ctl_dgram *d)
{
	struct ctl_req hello = { .op = CTL_HELLO };
	struct ctl_brief rep;
	int r;

	if (index > TUNNEL_INDEX)
		return -ENODEV;
	if (addr_classify(from) == ADDR_UNSPEC)
		return 0;
	if (addr_classify(from) == ADDR_LOOPBACK) {
		memcpy(d->local, from->ip, sizeof(d->local));
		d->flags |= CTL_DGRAM_PKTINFO;
		return 0;
	}
	r = sock_request(&hello, NULL, 0, &rep);
	if (r < 0)
		return r;
	return addr_equal_ip(from, &rep.addr) || addr_equal_ip(from, &rep.addr2) ? 0 : -EINVAL;
}

static int take_pktinfo(const struct cmsghdr *c, struct ctl_dgram *d)
{
	struct addr from = { .family = 4 };
	struct in_pktinfo p;

	if (c->cmsg_len != CMSG_LEN(sizeof(p)))
		return -EINVAL;
	memcpy(&p, CMSG_DATA(c), sizeof(p));
	memcpy(from.ip, &p.ipi_spec_dst, 4);
	return take_source(&from, (unsigned)p.ipi_ifindex, d);
}

static int take_pktinfo6(const struct cmsghdr *c, struct ctl_dgram *d)
{
	struct addr from = { .family = 6 };
	struct in6_pktinfo p;

	if (c->cmsg_len < CMSG_LEN(sizeof(p)))
		return -EINVAL;
	memcpy(&p, CMSG_DATA(c), sizeof(p));
	memcpy(from.ip, &p.ipi6_addr, 16);
	addr_unmap(&from);
	return take_source(&from, p.ipi6_ifindex, d);
}

static int take_ip(const struct cmsghdr *c, struct ctl_dgram *d)
{
	switch (c->cmsg_type) {
	case IP_TTL: return take_field(c, 1, CTL_DGRAM_TTL, &d->ttl, d);
	case IP_TOS: return take_field(c, 0, CTL_DGRAM_TOS, &d->tos, d);
	case IP_PKTINFO: return take_pktinfo(c, d);
	}
	return -EINVAL;
}

static int take_ipv6(const struct cmsghdr *c, struct ctl_dgram *d)
{
	int v;

	switch (c->cmsg_type) {
	case IPV6_HOPLIMIT: return take_field(c, -1, CTL_DGRAM_TTL, &d->ttl, d);
	case IPV6_TCLASS: return take_field(c, -1, CTL_DGRAM_TOS, &d->tos, d);
	case IPV6_PKTINFO: return take_pktinfo6(c, d);
	case IPV6_DONTFRAG: return value(c, 0, 1, &v); /* nothing is fragmented */
	case IPV6_HOPOPTS:
	case IPV6_DSTOPTS:
	case IPV6_RTHDRDSTOPTS: return -EPERM; /* Linux: without CAP_NET_RAW */
	}
	return -EINVAL;
}

static int take_one(const struct sock *s, const struct cmsghdr *c, struct ctl_dgram *d)
{
	switch (c->cmsg_level) {
	case SOL_SOCKET:
		/* UDP ignores passed descriptors and credentials. */
		if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)
			return 0;
		return c->cmsg_type == SO_MARK ? -EPERM : -EINVAL;
	case IPPROTO_IP: return take_ip(c, d);
	case IPPROTO_IPV6: return s->family == 6 ? take_ipv6(c, d) : 0;
	case IPPROTO_UDP: return -EINVAL; /* UDP_SEGMENT: the option was refused */
	}
	return 0;
}

int cmsg_take(const struct sock *s, const struct msghdr *m, struct ctl_dgram *d)
{
	struct msghdr copy = *m;
	const uint8_t *end = (const uint8_t *)m->msg_control + m->msg_controllen;
	int r = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c && r == 0; c = CMSG_NXTHDR(&copy, c)) {
		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > (size_t)(end - (const uint8_t *)c))
			return -EINVAL;
		r = take_one(s, c, d);
	}
	return r;
}

/* ---- receiving ---- */

struct room {
	uint8_t *at;
	size_t left;
	int flags;
};

static void put(struct room *r, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	size_t step;

	if (r->left < sizeof(h)) {
		r->flags |= MSG_CTRUNC;
		return;
	}
	if (r->left < h.cmsg_len) {
		r->flags |= MSG_CTRUNC;
		h.cmsg_len = r->left;
	}
	step = CMSG_SPACE(len) < r->left ? CMSG_SPACE(len) : r->left;
	memcpy(r->at, &h, sizeof(h));
	memcpy(r->at + CMSG_LEN(0), data, h.cmsg_len - CMSG_LEN(0));
	r->at += step;
	r->left -= step;
}

static void put_int(struct room *r, int level, int type, int v)
{
	put(r, level, type, &v, sizeof(v));
}

static int device_of(const struct addr *local)
{
	return addr_classify(local) == ADDR_LOOPBACK ? LOOPBACK_INDEX : TUNNEL_INDEX;
}

static void put_pktinfo6(struct room *r, const struct addr *local)
{
	struct in6_pktinfo p = { .ipi6_ifindex = (unsigned)device_of(local) };
	struct sockaddr_storage ss;

	addr_to_sockaddr(local, &ss, true);
	p.ipi6_addr = ((struct sockaddr_in6 *)&ss)->sin6_addr;
	put(r, IPPROTO_IPV6, IPV6_PKTINFO, &p, sizeof(p));
}

static void put_pktinfo(struct room *r, const struct addr *local)
{
	struct in_pktinfo p = { .ipi_ifindex = device_of(local) };

	memcpy(&p.ipi_addr, local->ip, 4);
	p.ipi_spec_dst = p.ipi_addr;
	put(r, IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
}

/* In Linux's order. */
void cmsg_give(const struct sock *s, const struct ctl_dgram *d, const struct msghdr *in, struct msghdr *m)
{
	struct room r = { .left = 0 };
	struct addr local = { .family = d->addr.family };
	uint8_t tos = d->tos;

	memcpy(local.ip, d->local, sizeof(local.ip));
	if (m->msg_control && m->msg_controllen > in->msg_controllen)
		r = (struct room){ (uint8_t *)m->msg_control + in->msg_controllen,
				   m->msg_controllen - in->msg_controllen, 0 };
	if (d->flags & CTL_DGRAM_PKTINFO6 && s->family == 6)
		put_pktinfo6(&r, &local);
	if (d->flags & CTL_DGRAM_TTL6)
		put_int(&r, IPPROTO_IPV6, IPV6_HOPLIMIT, d->ttl);
	if (d->flags & CTL_DGRAM_TOS6)
		put_int(&r, IPPROTO_IPV6, IPV6_TCLASS, d->tos);
	if (d->flags & CTL_DGRAM_PKTINFO)
		put_pktinfo(&r, &local);
	if (d->flags & CTL_DGRAM_TTL)
		put_int(&r, IPPROTO_IP, IP_TTL, d->ttl);
	if (d->flags & CTL_DGRAM_TOS)
		put(&r, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	m->msg_controllen = m->msg_control && m->msg_controllen > in->msg_controllen
				    ? m->msg_controllen - r.left
				    : in->msg_controllen;
	m->msg_flags = in->msg_flags | r.flags;
}

void cmsg_give_report(const struct sock *s, const struct ctl_rep *rep, struct msghdr *m)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_storage offender;
	} e = { .ee = { .ee_errno = (uint32_t)rep->value,
			.ee_origin = rep->report.origin,
			.ee_type = rep->report.type,
			.ee_code = rep->report.code,
			.ee_info = rep->report.info } };
	struct room r = { m->msg_control, m->msg_control ? m->msg_controllen : 0, 0 };
	socklen_t len = s->family == 6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (rep->addr.family) /* an error of this machine has no offender */
		addr_to_sockaddr(&rep->addr, &e.offender, s->family == 6);

	if (s->family == 6)
		put(&r, IPPROTO_IPV6, IPV6_RECVERR, &e, sizeof(e.ee) + len);
	else
		put(&r, IPPROTO_IP, IP_RECVERR, &e, sizeof(e.ee) + len);
	m->msg_controllen = m->msg_control ? m->msg_controllen - r.left : 0;
	m->msg_flags = MSG_ERRQUEUE | r.flags;
}
