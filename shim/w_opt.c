/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockopt and setsockopt.
 *
 * Theory of operation (interposition.md 2.8). One table says for each option of an internet socket what
 * happens: the kernel's own value of the AF_UNIX socket is right, the tunnel keeps or applies it (every such
 * option is harmless when it cannot), or it has a constant answer. What is not in the table is ENOPROTOOPT,
 * never a silent success. A few options that are not plain integers have functions of their own.
 *
 * SO_SNDBUF belongs to the write gate (w_connect.c): the program's wish goes to the tunnel only, which
 * applies it outside the gate.
 */
#include <errno.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "shim/dgram.h"
#include "shim/hooks.h"
#include "shim/iface.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"

/* Kernel numbers that older libc headers lack. */
#define OPT_SO_RCVTIMEO_NEW 66
#define OPT_SO_SNDTIMEO_NEW 67
#define OPT_SO_TIMESTAMP_NEW 63
#define OPT_SO_TIMESTAMPNS_NEW 64

enum action {
	ACT_KERNEL, /* the AF_UNIX socket's own */
	ACT_TUNNEL, /* SETOPT and GETOPT; a tunnel that does not know it (ENOPROTOOPT) lets it be a hint */
	ACT_CONST,  /* get: the default; set: ENOPROTOOPT */
	ACT_EPERM,  /* as for an unprivileged program */
};

/* Kinds of sockets: one bit for each enum ctl_kind. */
enum { STREAM = 1, UDP = 2, ECHO = 4, DGRAM = UDP | ECHO, ANY = STREAM | DGRAM };

struct option {
	int level, name;
	uint8_t kinds;
	bool v6_only;
	enum action action;
	int initial; /* answer when the tunnel keeps none */
	int min, max;
};

#define INT_ANY INT32_MIN, INT32_MAX
#define TRUTH 1, 0 /* an empty range: any integer, kept as 0 or 1 */
/* A least value of -1 stands for the initial one. */

static const struct option options[] = {
	{ SOL_SOCKET, SO_TYPE, ANY, false, ACT_CONST, 0, INT_ANY },
	{ SOL_SOCKET, SO_ACCEPTCONN, ANY, false, ACT_CONST, 0, INT_ANY },
	{ SOL_SOCKET, SO_RCVTIMEO, ANY, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_SNDTIMEO, ANY, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, OPT_SO_RCVTIMEO_NEW, ANY, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, OPT_SO_SNDTIMEO_NEW, ANY, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_RCVLOWAT, STREAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_COOKIE, ANY, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_PEEK_OFF, STREAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_TIMESTAMP, DGRAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_TIMESTAMPNS, DGRAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, OPT_SO_TIMESTAMP_NEW, DGRAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, OPT_SO_TIMESTAMPNS_NEW, DGRAM, false, ACT_KERNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_SNDBUF, ANY, false, ACT_TUNNEL, 212992, INT_ANY },
	{ SOL_SOCKET, SO_RCVBUF, ANY, false, ACT_TUNNEL, 212992, INT_ANY },
	{ SOL_SOCKET, SO_SNDBUFFORCE, ANY, false, ACT_EPERM, 0, INT_ANY },
	{ SOL_SOCKET, SO_RCVBUFFORCE, ANY, false, ACT_EPERM, 0, INT_ANY },
	{ SOL_SOCKET, SO_MARK, ANY, false, ACT_EPERM, 0, INT_ANY },
	{ SOL_SOCKET, SO_BINDTODEVICE, ANY, false, ACT_EPERM, 0, INT_ANY },
	{ SOL_SOCKET, SO_KEEPALIVE, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_REUSEADDR, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_REUSEPORT, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_BROADCAST, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_OOBINLINE, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_DONTROUTE, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ SOL_SOCKET, SO_PRIORITY, ANY, false, ACT_TUNNEL, 0, 0, 6 },
	{ SOL_SOCKET, SO_INCOMING_CPU, ANY, false, ACT_TUNNEL, 0, INT_ANY },
	{ SOL_SOCKET, SO_SNDLOWAT, ANY, false, ACT_CONST, 1, INT_ANY },
	{ SOL_SOCKET, SO_ZEROCOPY, ANY, false, ACT_CONST, 0, INT_ANY },
	{ SOL_SOCKET, SO_BUSY_POLL, ANY, false, ACT_CONST, 0, INT_ANY },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, STREAM, false, ACT_CONST, 0, INT_ANY },
	{ SOL_SOCKET, SO_INCOMING_NAPI_ID, ANY, false, ACT_CONST, 0, INT_ANY },
	{ IPPROTO_TCP, TCP_NODELAY, STREAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_TCP, TCP_CORK, STREAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_TCP, TCP_QUICKACK, STREAM, false, ACT_TUNNEL, 1, TRUTH },
	{ IPPROTO_TCP, TCP_KEEPIDLE, STREAM, false, ACT_TUNNEL, 7200, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, STREAM, false, ACT_TUNNEL, 75, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPCNT, STREAM, false, ACT_TUNNEL, 9, 1, 127 },
	{ IPPROTO_TCP, TCP_SYNCNT, STREAM, false, ACT_TUNNEL, 6, 1, 127 },
	{ IPPROTO_TCP, TCP_LINGER2, STREAM, false, ACT_TUNNEL, 60, INT_ANY },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, STREAM, false, ACT_TUNNEL, 0, INT_ANY },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, STREAM, false, ACT_TUNNEL, 0, 0, INT32_MAX },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, STREAM, false, ACT_TUNNEL, 0, 0, INT32_MAX },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, STREAM, false, ACT_TUNNEL, -1, INT_ANY },
	{ IPPROTO_TCP, TCP_MAXSEG, STREAM, false, ACT_TUNNEL, 1380, 88, 32767 },
	{ IPPROTO_IP, IP_TOS, ANY, false, ACT_TUNNEL, 0, INT_ANY },
	{ IPPROTO_IP, IP_TTL, ANY, false, ACT_TUNNEL, 64, -1, 255 },
	{ IPPROTO_IP, IP_MTU_DISCOVER, ANY, false, ACT_TUNNEL, IP_PMTUDISC_WANT, 0, 5 },
	{ IPPROTO_IP, IP_RECVERR, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_PKTINFO, DGRAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_RECVTTL, DGRAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_RECVTOS, DGRAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_RECVOPTS, DGRAM, false, ACT_TUNNEL, 0, TRUTH }, /* there never are any */
	{ IPPROTO_IP, IP_RETOPTS, DGRAM, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, ANY, false, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IP, IP_MULTICAST_TTL, DGRAM, false, ACT_TUNNEL, 1, -1,
	  255 }, /* no group can be joined: hints */
	{ IPPROTO_IP, IP_MULTICAST_LOOP, DGRAM, false, ACT_TUNNEL, 1, TRUTH },
	{ IPPROTO_IP, IP_MULTICAST_ALL, DGRAM, false, ACT_TUNNEL, 1, TRUTH },
	{ IPPROTO_IP, IP_MULTICAST_IF, ANY, false, ACT_TUNNEL, 0, INT_ANY }, /* kept as the address */
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF, ANY, true, ACT_TUNNEL, 0, INT_ANY },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, DGRAM, true, ACT_TUNNEL, 1, -1, 255 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, DGRAM, true, ACT_TUNNEL, 1, 0, 1 },
	{ IPPROTO_IPV6, IPV6_MULTICAST_ALL, DGRAM, true, ACT_TUNNEL, 1, 0, 1 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, STREAM | UDP, true, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IPV6, IPV6_V6ONLY, ECHO, true, ACT_TUNNEL, 1, TRUTH },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, ANY, true, ACT_TUNNEL, 64, -1, 255 },
	{ IPPROTO_IPV6, IPV6_TCLASS, ANY, true, ACT_TUNNEL, 0, -1, 255 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, ANY, true, ACT_TUNNEL, IPV6_PMTUDISC_WANT, 0, 5 },
	{ IPPROTO_IPV6, IPV6_RECVERR, ANY, true, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, DGRAM, true, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, DGRAM, true, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, DGRAM, true, ACT_TUNNEL, 0, TRUTH },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, ANY, true, ACT_TUNNEL, 0, TRUTH },
};

static const struct option *find(const struct sock *s, int level, int name)
{
	unsigned kind = 1u << (s->kind - CTL_STREAM);

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const struct option *o = &options[i];

		if (o->level == level && o->name == name && o->kinds & kind &&
		    (!o->v6_only || s->family == 6))
			return o;
	}
	return NULL;
}

/* Copies an answer the way Linux does: cut to *len, *len becomes what was copied. */
static int give(void *val, socklen_t *len, const void *answer, size_t n)
{
	if (!len || !val)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (*len > n)
		*len = (socklen_t)n;
	memcpy(val, answer, *len);
	return 0;
}

static int give_int(void *val, socklen_t *len, int answer)
{
	return give(val, len, &answer, sizeof(answer));
}

static int kept_by_tunnel(const struct sock *s, int level, int name, int initial)
{
	struct ctl_req req = { .level = level, .name_opt = name };
	struct ctl_brief rep;

	return sock_ask(s, CTL_GETOPT, &req, &rep) == 0 ? rep.value : initial;
}

static int get_error(int fd, const struct sock *s, void *val, socklen_t *len)
{
	int err = s->kind == CTL_STREAM ? sock_take_error(fd, s) : dgram_take_error(fd, s);

	return give_int(val, len, err);
}

static int get_linger(const struct sock *s, void *val, socklen_t *len)
{
	int v = kept_by_tunnel(s, SOL_SOCKET, SO_LINGER, 0);
	struct linger l = { .l_onoff = v != 0, .l_linger = v ? v - CTL_LINGER(0) : 0 };

	return give(val, len, &l, sizeof(l));
}

static int get_congestion(void *val, socklen_t *len)
{
	static const char name[16] = "reno"; /* lwIP's */

	return give(val, len, name, sizeof(name));
}

static int get_info(const struct sock *s, void *val, socklen_t *len)
{
	struct tcp_info info = { 0 };

	info.tcpi_state = (uint8_t)kept_by_tunnel(s, IPPROTO_TCP, TCP_INFO, 7 /* TCP_CLOSE */);
	info.tcpi_snd_mss = info.tcpi_rcv_mss = (uint32_t)kept_by_tunnel(s, IPPROTO_TCP, TCP_MAXSEG, 1380);
	return give(val, len, &info, sizeof(info));
}

/* The tunnel's MTU, once there is a peer. */
static int get_mtu(const struct sock *s, void *val, socklen_t *len)
{
	struct ctl_req req = { 0 };
	struct ctl_req hello = { .op = CTL_HELLO };
	struct ctl_brief rep;
	int r = sock_ask(s, CTL_NAMES, &req, &rep);

	if (r == 0 && !rep.addr2.family)
		return -ENOTCONN;
	if (r == 0)
		r = sock_request(&hello, NULL, 0, &rep);
	return r < 0 ? r : give_int(val, len, rep.value);
}

/* An internet socket's peer has no process. */
static int get_peercred(void *val, socklen_t *len)
{
	const struct {
		pid_t pid;
		uid_t uid;
		gid_t gid;
	} nobody = { 0, (uid_t)-1, (gid_t)-1 };

	return give(val, len, &nobody, sizeof(nobody));
}

/* Options with an answer of their own. *ret_done: this was one. */
static int get_special(int fd, const struct sock *s, int level, int name, void *val, socklen_t *len,
		       bool *ret_done)
{
	static const int protocol[] = { [CTL_STREAM] = IPPROTO_TCP, [CTL_DGRAM] = IPPROTO_UDP };

	*ret_done = true;
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_ERROR: return get_error(fd, s, val, len);
		case SO_TYPE: return give_int(val, len, s->kind == CTL_STREAM ? SOCK_STREAM : SOCK_DGRAM);
		case SO_DOMAIN: return give_int(val, len, s->family == 6 ? AF_INET6 : AF_INET);
		case SO_PROTOCOL:
			if (s->kind == CTL_ICMP)
				return give_int(val, len, s->family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
			return give_int(val, len, protocol[s->kind]);
		case SO_LINGER: return get_linger(s, val, len);
		case SO_PEERCRED: return get_peercred(val, len);
		}
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION && s->kind == CTL_STREAM)
		return get_congestion(val, len);
	if (level == IPPROTO_TCP && name == TCP_INFO && s->kind == CTL_STREAM)
		return get_info(s, val, len);
	if ((level == IPPROTO_IP && name == IP_MTU) ||
	    (level == IPPROTO_IPV6 && name == IPV6_MTU && s->family == 6))
		return get_mtu(s, val, len);
	*ret_done = false;
	return 0;
}

static int refused(int level, int name)
{
	char text[] = "option level 0000 name 0000";

	for (int i = 0; i < 4; i++) {
		text[16 - i] = (char)('0' + level % 10);
		text[26 - i] = (char)('0' + name % 10);
		level /= 10;
		name /= 10;
	}
	state_say(STATE_TRACE, "socket option refused: ", text, NULL);
	return -ENOPROTOOPT;
}

/* Linux: ip_getsockopt() has another word for it than all others. */
static bool foreign_level(const struct sock *s, int level)
{
	static const int own[] = {
		[CTL_STREAM] = IPPROTO_TCP, [CTL_DGRAM] = IPPROTO_UDP, [CTL_ICMP] = IPPROTO_IP
	};

	return s->family == 4 && level != SOL_SOCKET && level != IPPROTO_IP && level != own[s->kind];
}

int shim_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct sock s;
	const struct option *o;
	bool done;
	int r;

	if (!sock_find(fd, &s))
		return real_getsockopt(fd, level, name, val, len);
	r = get_special(fd, &s, level, name, val, len, &done);
	if (done)
		return r;
	o = find(&s, level, name);
	if (!o && foreign_level(&s, level))
		return -EOPNOTSUPP;
	if (!o)
		return refused(level, name);
	switch (o->action) {
	case ACT_KERNEL: return real_getsockopt(fd, level, name, val, len);
	case ACT_TUNNEL: return give_int(val, len, kept_by_tunnel(&s, level, name, o->initial));
	case ACT_CONST:
	case ACT_EPERM: break;
	}
	return give_int(val, len, o->initial);
}

HOOK int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)real_ret(shim_getsockopt(fd, level, name, val, len));
}

/* ---- setting ---- */

static int tell_tunnel(const struct sock *s, const struct option *o, int value)
{
	struct ctl_req req = { .level = o->level, .name_opt = o->name, .value = value };
	int r = sock_ask(s, CTL_SETOPT, &req, NULL);

	return r == -ENOPROTOOPT ? 0 : r;
}

/* Linux keeps twice what was asked for (room for its own bookkeeping), within limits. */
static int buffer_size(int wish, int least)
{
	const int most = 4 << 20;

	if (wish < 0 || wish > most / 2)
		return most;
	return wish * 2 < least ? least : wish * 2;
}

static int set_linger(const struct sock *s, const void *val, socklen_t len)
{
	static const struct option o = { SOL_SOCKET, SO_LINGER, ANY, false, ACT_TUNNEL, 0, INT_ANY };
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	if (l.l_linger < 0 || l.l_linger > 1 << 20)
		l.l_linger = 1 << 20;
	return tell_tunnel(s, &o, l.l_onoff ? CTL_LINGER(l.l_linger) : 0);
}

static int set_congestion(const void *val, socklen_t len)
{
	static const char reno[] = "reno";
	size_t n = strnlen(val, len);

	if (len == 0)
		return -EINVAL;
	return n == sizeof(reno) - 1 && !strncmp(val, reno, n) ? 0 : -ENOENT;
}

/* One of the devices that iface.h tells of, by its address or number; none is "any". */
static int set_multicast4(const struct sock *s, const struct option *o, const void *val, socklen_t len)
{
	struct ip_mreqn m = { .imr_ifindex = 0 };
	struct iface ifs[IFACES];
	bool known = false;
	int r;

	if (s->kind == CTL_STREAM || len < sizeof(struct in_addr))
		return -EINVAL;
	if (len >= sizeof(struct ip_mreqn))
		memcpy(&m, val, sizeof(m));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&m, val, sizeof(struct ip_mreq));
	else
		memcpy(&m.imr_address, val, sizeof(m.imr_address));
	r = iface_list(ifs);
	for (int i = 0; r == 0 && i < IFACES; i++)
		known = known || m.imr_ifindex == i + 1 ||
			(!m.imr_ifindex && ifs[i].addr4.family &&
			 !memcmp(ifs[i].addr4.ip, &m.imr_address, 4));
	if (!known && (m.imr_ifindex || m.imr_address.s_addr != INADDR_ANY))
		return r < 0 ? r : -EADDRNOTAVAIL;
	return tell_tunnel(s, o, (int)m.imr_address.s_addr);
}

static int set_multicast6(const struct sock *s, const struct option *o, const void *val, socklen_t len)
{
	int device;

	if (s->kind == CTL_STREAM)
		return -ENOPROTOOPT;
	if (len < sizeof(device))
		return -EINVAL;
	memcpy(&device, val, sizeof(device));
	return device < 0 || device > IFACES ? -ENODEV : tell_tunnel(s, o, device);
}

/* IP options take one byte too. */
static int value_of(int level, const void *val, socklen_t len, int *ret)
{
	uint8_t byte;

	if (!val)
		return -EFAULT;
	if (len >= sizeof(int)) {
		memcpy(ret, val, sizeof(int));
		return 0;
	}
	if (level != IPPROTO_IP || len < 1)
		return -EINVAL;
	memcpy(&byte, val, 1);
	*ret = byte;
	return 0;
}

static int set_value(const struct sock *s, const struct option *o, const void *val, socklen_t len)
{
	int v = 0;
	int r = value_of(o->level, val, len, &v);

	if (r < 0)
		return r;
	if (o->min > o->max)
		v = v != 0;
	else if (v == -1 && o->min == -1)
		v = o->initial;
	else if (v < o->min || v > o->max)
		return o->level == SOL_SOCKET ? -EPERM : -EINVAL;
	if (o->level == IPPROTO_IP && o->name == IP_TTL && v == 0)
		return -EINVAL; /* unlike IPv6's hops */
	if (o->level == SOL_SOCKET && o->name == SO_SNDBUF)
		v = buffer_size(v, 4608);
	if (o->level == SOL_SOCKET && o->name == SO_RCVBUF)
		v = buffer_size(v, 2304);
	return tell_tunnel(s, o, v);
}

/* Every address is judged by it: not worth a question each. */
static int note_v6only(struct sock *s, const void *val)
{
	int on;

	memcpy(&on, val, sizeof(on));
	sock_flags(s, on ? SOCK_V6ONLY : 0, on ? 0 : SOCK_V6ONLY);
	return 0;
}

int shim_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct sock s;
	const struct option *o;
	int r;

	if (!sock_find(fd, &s))
		return real_setsockopt(fd, level, name, val, len);
	if ((int)len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return val ? set_linger(&s, val, len) : -EFAULT;
	if (level == IPPROTO_TCP && name == TCP_CONGESTION && s.kind == CTL_STREAM)
		return val ? set_congestion(val, len) : -EFAULT;
	if ((level == IPPROTO_IP && name == IP_ADD_MEMBERSHIP) ||
	    (level == IPPROTO_IPV6 && name == IPV6_JOIN_GROUP))
		return -ENODEV; /* no interface here has multicast */
	o = find(&s, level, name);
	if (!o)
		return refused(level, name);
	switch (o->action) {
	case ACT_KERNEL: return real_setsockopt(fd, level, name, val, len);
	case ACT_TUNNEL:
		if (level == IPPROTO_IP && name == IP_MULTICAST_IF)
			return val ? set_multicast4(&s, o, val, len) : -EFAULT;
		if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF)
			return val ? set_multicast6(&s, o, val, len) : -EFAULT;
		r = set_value(&s, o, val, len);
		return r == 0 && level == IPPROTO_IPV6 && name == IPV6_V6ONLY ? note_v6only(&s, val) : r;
	case ACT_CONST: return -ENOPROTOOPT;
	case ACT_EPERM: break;
	}
	return -EPERM;
}

HOOK int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)real_ret(shim_setsockopt(fd, level, name, val, len));
}
