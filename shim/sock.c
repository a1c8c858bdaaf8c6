/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of the shim.
 *
 * Theory of operation. Every hook that got a descriptor asks sock_find(). It reads SO_COOKIE (unique per
 * boot, the same after dup, fork and SCM_RIGHTS, 0.3 us) and looks in a small table of 64-bit words, each
 * holding cookie, family, kind and flags at once, so that a word is valid or absent, never torn, and no lock
 * is needed. Words may be overwritten by others at any time: a miss asks the tunnel (NAMES), which also tells
 * sockets inherited over exec or received from elsewhere. Sockets that are not ours are remembered too; a
 * cookie that is not ours never becomes ours.
 *
 * Only AF_UNIX stream and datagram sockets can be ours, so the control connection itself (SEQPACKET) never
 * asks about itself.
 */
#include "shim/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fd.h"
#include "shim/bare.h"
#include "shim/real.h"
#include "shim/state.h"
#include "stack/ctl/client.h"

#define CACHE_SLOTS 2048 /* 16 KiB */
#define CACHE_WAYS 4
#define LOOPBACK_INDEX 1 /* of the loopback device in every network namespace */
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define ANSWER_MS 30000 /* names may take 20 s; everything else is immediate */

/* word = cookie << 12 | flags << 4 | kind << 2 | family6 << 1 | ours */
#define COOKIE_SHIFT 12
#define COOKIE_LIMIT (UINT64_C(1) << (64 - COOKIE_SHIFT))

static _Atomic uint64_t cache[CACHE_SLOTS];

static uint64_t pack(const struct sock *s, bool ours)
{
	return s->cookie << COOKIE_SHIFT | (uint64_t)s->flags << 4 | (uint64_t)s->kind << 2 |
	       (s->family == 6 ? 2u : 0u) | (ours ? 1u : 0u);
}

static _Atomic uint64_t *slot(uint64_t cookie, unsigned way)
{
	uint64_t h = cookie * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	return &cache[(h + way) % CACHE_SLOTS];
}

static _Atomic uint64_t *find_word(uint64_t cookie)
{
	for (unsigned i = 0; i < CACHE_WAYS; i++) {
		_Atomic uint64_t *w = slot(cookie, i);

		if (atomic_load_explicit(w, memory_order_relaxed) >> COOKIE_SHIFT == cookie)
			return w;
	}
	return NULL;
}

static void remember(const struct sock *s, bool ours)
{
	_Atomic uint64_t *w;

	if (s->cookie >= COOKIE_LIMIT || s->cookie == 0)
		return;
	w = find_word(s->cookie);
	for (unsigned i = 0; !w && i < CACHE_WAYS; i++)
		if (atomic_load_explicit(slot(s->cookie, i), memory_order_relaxed) == 0)
			w = slot(s->cookie, i);
	if (!w)
		w = slot(s->cookie, (unsigned)s->cookie % CACHE_WAYS);
	atomic_store_explicit(w, pack(s, ours), memory_order_relaxed);
}

static bool recall(struct sock *s, bool *ret_ours)
{
	_Atomic uint64_t *w = find_word(s->cookie);
	uint64_t v = w ? atomic_load_explicit(w, memory_order_relaxed) : 0;

	if (v == 0 || v >> COOKIE_SHIFT != s->cookie)
		return false;
	s->flags = (unsigned)(v >> 4 & 0xff);
	s->kind = (enum ctl_kind)(v >> 2 & 3);
	s->family = v & 2 ? 6 : 4;
	*ret_ours = v & 1;
	return true;
}

bool sock_cannot_ask(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static int transport_error(int r)
{
	/* What the caller can do something about stays; everything else means that there is no tunnel. */
	return sock_cannot_ask(r) || r == -EPROTO ? r : -ENETDOWN;
}

/* start: a tunnel of this program's own is begun if there is none. */
static const char *ctl_path(bool start)
{
	const char *given = state_ctl_path();

	return given ? given : bare_ctl_path(start);
}

/* start: as ctl_path(); what concerns a socket is no reason: there is none. */
static const char *path_for(const struct ctl_req *req)
{
	return ctl_path(req->cookie == 0);
}

int sock_request(struct ctl_req *req, const int *fds, size_t nfds, struct ctl_brief *rep)
{
	const char *path = path_for(req);
	int saved = errno;
	int r = path ? ctl_call(path, req, fds, nfds, rep, NULL, ANSWER_MS) : -ENETDOWN;

	errno = saved;
	return r < 0 ? transport_error(r) : -rep->result;
}

int sock_lookup(struct ctl_req *req, struct ctl_rep *rep)
{
	const char *path = path_for(req);
	int saved = errno;
	int r = path ? ctl_call_long(path, req, rep, ANSWER_MS) : -ENETDOWN;

	errno = saved;
	if (r < 0)
		return transport_error(r);
	return rep->result == ENOTSOCK ? -ENOTCONN : -rep->result;
}

int sock_ask(const struct sock *s, enum ctl_op op, struct ctl_req *req, struct ctl_brief *rep)
{
	struct ctl_brief unused;
	int r;

	req->op = op;
	req->cookie = s->cookie;
	r = sock_request(req, NULL, 0, rep ? rep : &unused);
	/* The tunnel forgets sockets that ended long ago. */
	return r == -ENOTSOCK ? -ENOTCONN : r;
}

static bool v6_only(const struct sock *s)
{
	struct ctl_req req = { .level = IPPROTO_IPV6, .name_opt = IPV6_V6ONLY };
	struct ctl_brief rep;

	return sock_ask(s, CTL_GETOPT, &req, &rep) == 0 && rep.value;
}

/* Could fd be ours at all, and does the tunnel know it? */
static bool ask_tunnel(int fd, struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep = { .op = 0 };
	int domain, type, r;

	s->flags = 0;
	if (real_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, &domain) < 0 || domain != AF_UNIX ||
	    real_getsockopt_int(fd, SOL_SOCKET, SO_TYPE, &type) < 0 ||
	    (type != SOCK_STREAM && type != SOCK_DGRAM))
		return false;
	r = sock_ask(s, CTL_NAMES, &req, &rep);
	if (rep.op != CTL_NAMES)
		return false; /* no answer: nothing to remember */
	if (r == 0) {
		s->family = rep.family;
		s->kind = rep.kind;
		if (rep.state >= CTL_CONNECTING && s->kind == CTL_STREAM)
			s->flags |= SOCK_STARTED;
		if (rep.addr2.family && s->kind != CTL_STREAM)
			s->flags |= SOCK_PEER;
		if (s->family == 6 && v6_only(s))
			s->flags |= SOCK_V6ONLY;
	}
	remember(s, r == 0);
	return r == 0;
}

bool sock_find(int fd, struct sock *s)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	bool ours = false;

	if (real_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return false;
	s->cookie = cookie;
	if (recall(s, &ours))
		return ours;
	return ask_tunnel(fd, s);
}

void sock_flags(struct sock *s, unsigned set, unsigned clear)
{
	s->flags = (s->flags & ~clear) | set;
	remember(s, true);
}

int sock_take_error(int fd, const struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int native = 0;
	int r = sock_ask(s, CTL_TAKE_ERROR, &req, &rep);

	real_getsockopt_int(fd, SOL_SOCKET, SO_ERROR, &native);
	if (r == 0 && rep.value > 0)
		return rep.value;
	return native;
}

/* Tells the tunnel about a new pair; its end goes along and is closed here in any case. */
static int announce(const int pair[2], uint8_t family, enum ctl_kind kind, struct sock *s)
{
	struct ctl_req req = { .op = CTL_SOCKET, .family = family, .kind = kind };
	struct ctl_brief rep;
	socklen_t len = sizeof(s->cookie);
	int r = real_getsockopt(pair[0], SOL_SOCKET, SO_COOKIE, &s->cookie, &len);

	if (r == 0) {
		req.cookie = s->cookie;
		r = sock_request(&req, &pair[1], 1, &rep);
	}
	real_close(pair[1]);
	if (r < 0)
		return r;
	s->family = family;
	s->kind = kind;
	s->flags = 0;
	remember(s, true);
	return 0;
}

int sock_new(uint8_t family, enum ctl_kind kind, int flags)
{
	struct sock s;
	int pair[2];
	int type = (kind == CTL_STREAM ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | (flags & SOCK_NONBLOCK);
	int r;

	if (!ctl_path(true))
		return -ENETDOWN;
	r = real_socketpair(type, pair);
	if (r < 0)
		return r;
	/* stack/pairerr.h: unix(7), autobind. */
	if (kind != CTL_STREAM)
		real_syscall(SYS_bind, pair[0], (long)&(sa_family_t){ AF_UNIX }, sizeof(sa_family_t), 0, 0,
			     0);
	r = announce(pair, family, kind, &s);
	if (r < 0) {
		real_close(pair[0]);
		return r;
	}
	if (!(flags & SOCK_CLOEXEC))
		real_fcntl(pair[0], F_SETFD, 0);
	return pair[0];
}

/* Puts fresh, which is close-on-exec, behind the number fd, with what the kernel keeps for fd. fresh is
 * closed in any case. */
static int replace(int fd, int fresh)
{
	static const int keep[] = { SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT };
	int flags = real_fcntl(fd, F_GETFL, 0);
	int fd_flags = real_fcntl(fd, F_GETFD, 0);
	int r;

	if (flags >= 0 && flags & O_NONBLOCK)
		real_fcntl(fresh, F_SETFL, O_RDWR | O_NONBLOCK);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
		uint64_t val[2];
		socklen_t len = sizeof(val);

		if (real_getsockopt(fd, SOL_SOCKET, keep[i], val, &len) == 0)
			real_setsockopt(fresh, SOL_SOCKET, keep[i], val, len);
	}
	r = (int)real_syscall(SYS_dup3, fresh, fd, fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0, 0, 0, 0);
	real_close(fresh);
	return r < 0 ? r : 0;
}

/* Options of a stream socket that were set before and are the tunnel's: a socket that takes its place has
 * them too. */
static const struct {
	int level, name;
} kept[] = {
	{ SOL_SOCKET, SO_REUSEADDR },	{ SOL_SOCKET, SO_REUSEPORT },
	{ SOL_SOCKET, SO_KEEPALIVE },	{ IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_IPV6, IPV6_V6ONLY },	{ SOL_SOCKET, SO_LINGER },
	{ SOL_SOCKET, SO_SNDBUF },	{ SOL_SOCKET, SO_RCVBUF },
	{ SOL_SOCKET, SO_OOBINLINE },	{ SOL_SOCKET, SO_PRIORITY },
	{ IPPROTO_TCP, TCP_CORK },	{ IPPROTO_TCP, TCP_KEEPIDLE },
	{ IPPROTO_TCP, TCP_KEEPINTVL }, { IPPROTO_TCP, TCP_KEEPCNT },
	{ IPPROTO_TCP, TCP_SYNCNT },	{ IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ IPPROTO_IP, IP_TOS },		{ IPPROTO_IP, IP_TTL },
	{ IPPROTO_IPV6, IPV6_TCLASS },	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS },
};

/* An option as the tunnel keeps it, on a socket of the kernel. */
static void set_native(int fd, int level, int name, int value)
{
	struct linger l = { .l_onoff = value != 0, .l_linger = value ? value - CTL_LINGER(0) : 0 };

	if (level == SOL_SOCKET && name == SO_LINGER) {
		real_setsockopt(fd, level, name, &l, sizeof(l));
		return;
	}
	if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF))
		value /= 2; /* the kernel doubles it */
	real_setsockopt(fd, level, name, &value, sizeof(value));
}

/* The options that were set on from: each is set on to, or on the kernel's socket fd. */
static void carry_options(const struct sock *from, const struct sock *to, int fd)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct ctl_req req = { .level = kept[i].level, .name_opt = kept[i].name };
		struct ctl_brief rep;

		if (sock_ask(from, CTL_GETOPT, &req, &rep) < 0)
			continue;
		if (to) {
			req.value = rep.value;
			sock_ask(to, CTL_SETOPT, &req, NULL);
		} else {
			set_native(fd, kept[i].level, kept[i].name, rep.value);
		}
	}
}

static bool options_set(const struct sock *s, struct ctl_brief *ret_names)
{
	struct ctl_req req = { 0 };

	return sock_ask(s, CTL_NAMES, &req, ret_names) == 0 && ret_names->value;
}

int sock_renew(int fd, struct sock *s)
{
	/* Linux resets a connection that connect(AF_UNSPEC) dissolves. */
	struct ctl_req reset = { .level = SOL_SOCKET, .name_opt = SO_LINGER, .value = CTL_LINGER(0) };
	int fresh = sock_new(s->family, s->kind, SOCK_CLOEXEC), r;
	struct ctl_brief names;
	struct sock new;
	bool v6only;

	if (fresh < 0)
		return fresh;
	if (options_set(s, &names) && sock_find(fresh, &new))
		carry_options(s, &new, -1);
	sock_ask(s, CTL_SETOPT, &reset, NULL);
	r = replace(fd, fresh);
	if (r < 0)
		return r;
	v6only = s->flags & SOCK_V6ONLY;
	if (!sock_find(fd, s))
		return -ENETDOWN;
	if (v6only)
		sock_flags(s, SOCK_V6ONLY, 0);
	return 0;
}

bool sock_is_loopback(int fd)
{
	int device, protocol;

	return real_getsockopt_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device) == 0 &&
	       device == LOOPBACK_INDEX && real_getsockopt_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) == 0 &&
	       protocol == IPPROTO_TCP;
}

/* The port that fd was bound to, "any" being all there is for a socket that is not the kernel's yet. */
static int bind_native(int fd, const struct sock *s, uint16_t port)
{
	struct addr any = { .family = s->family, .port = port };
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&any, &ss, s->family == 6);

	return (int)real_syscall(SYS_bind, fd, (long)&ss, len, 0, 0, 0);
}

int sock_to_loopback(int fd, const struct sock *s)
{
	struct ctl_req req = { .op = CTL_LOOPBACK, .cookie = s->cookie, .family = s->family };
	struct ctl_brief rep, names = { 0 };
	const char *path = ctl_path(false);
	bool options = options_set(s, &names);
	int fresh = -1, saved = errno, r = -ENETDOWN;

	if (path)
		r = ctl_call(path, &req, NULL, 0, &rep, &fresh, ANSWER_MS);
	errno = saved;
	if (r < 0 || rep.result || fresh < 0) {
		fd_close(&fresh);
		return r < 0 ? transport_error(r) : rep.result ? -rep.result : -ENETDOWN;
	}
	if (options)
		carry_options(s, NULL, fresh);
	r = names.state == CTL_BOUND && !rep.value ? bind_native(fresh, s, names.addr.port) : 0;
	if (r < 0) {
		real_close(fresh);
		return r;
	}
	return replace(fd, fresh);
}

/* Linux: an IPv6 UDP socket takes IPv4 addresses, an IPv6 stream socket only mapped ones, an echo socket none
 * (dgram.c). */
int sock_addr_in(const struct sock *s, const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	struct addr a;
	int want = s->family == 6 ? AF_INET6 : AF_INET;
	bool v4_on_v6 = s->family == 6 && s->kind == CTL_DGRAM && sa && len >= sizeof(struct sockaddr_in) &&
			sa->sa_family == AF_INET;
	socklen_t need =
		want == AF_INET || v4_on_v6 ? sizeof(struct sockaddr_in) : 24 /* RFC 2133: no scope id */;

	if (!sa)
		return len ? -EFAULT : -EINVAL;
	if (len < sizeof(sa->sa_family) || len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	/* The kernel looks at the length first, but an IPv4 address is too short for IPv6 and still a wrong
	 * family. */
	if (len < need && sa->sa_family == want)
		return -EINVAL;
	if (sa->sa_family != want && !v4_on_v6)
		return len < need ? -EINVAL : -EAFNOSUPPORT;
	if (sa->sa_family == AF_INET6 && len < sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 full = { 0 };

		memcpy(&full, sa, len);
		if (addr_from_sockaddr(&a, (struct sockaddr *)&full, sizeof(full)) < 0)
			return -EINVAL;
	} else if (addr_from_sockaddr(&a, sa, len) < 0) {
		return -EINVAL;
	}
	addr_unmap(&a);
	*ret = a;
	return 0;
}

void sock_addr_out(const struct sock *s, const struct addr *a, struct sockaddr *sa, socklen_t *len)
{
	struct addr any = { .family = s->family };
	struct sockaddr_storage ss;
	socklen_t full;

	/* A socket without an address yet answers with zeros of its family. */
	full = addr_to_sockaddr(a->family ? a : &any, &ss, s->family == 6);
	memcpy(sa, &ss, *len < full ? *len : full);
	*len = full;
}
