/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket, bind, listen, accept, shutdown.
 *
 * Theory of operation. socket() asks the policy and makes a socketpair whose other end goes to the tunnel.
 * The rest handles our descriptors as interposition.md 2.1 A says and passes all others to the kernel. A
 * socket that is bound to a loopback address, or listens, becomes one of the kernel that this machine alone
 * can reach (design D7).
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "shim/hooks.h"
#include "shim/policy.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"

int shim_socket(int domain, int type, int protocol)
{
	bool icmp;
	struct policy p = policy_socket(domain, type, protocol, &icmp);
	enum ctl_kind kind;

	if (p.verdict == POLICY_DENY) {
		state_say(STATE_INFO, "socket refused: ", p.why, NULL);
		return -p.err;
	}
	if (p.verdict == POLICY_LIBC)
		return (int)real_syscall(SYS_socket, domain, type, protocol, 0, 0, 0);
	if (icmp)
		kind = CTL_ICMP;
	else
		kind = (type & 0xf) == SOCK_STREAM ? CTL_STREAM : CTL_DGRAM;
	return sock_new(domain == AF_INET6 ? 6 : 4, kind, type & (SOCK_NONBLOCK | SOCK_CLOEXEC));
}

HOOK int socket(int domain, int type, int protocol)
{
	return (int)real_ret(shim_socket(domain, type, protocol));
}

/* bind() takes the socket's own family only, but for AF_UNSPEC with INADDR_ANY (a habit Linux tolerates on
 * AF_INET). */
static int bind_addr(const struct sock *s, const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	struct sockaddr_in any;

	if (!sa)
		return len ? -EFAULT : -EINVAL;
	if (len < (s->family == 6 ? 24u : sizeof(struct sockaddr_in)))
		return -EINVAL;
	if (s->family == 4 && sa->sa_family == AF_UNSPEC) {
		any = *(const struct sockaddr_in *)sa;
		if (any.sin_addr.s_addr != INADDR_ANY)
			return -EAFNOSUPPORT;
		any.sin_family = AF_INET;
		return sock_addr_in(s, (const struct sockaddr *)&any, sizeof(any), ret);
	}
	if (sa->sa_family != (s->family == 6 ? AF_INET6 : AF_INET))
		return -EAFNOSUPPORT;
	return sock_addr_in(s, sa, len, ret);
}

int shim_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sock s;
	struct ctl_req req = { 0 };
	int r;

	if (!sock_find(fd, &s))
		return (int)real_syscall(SYS_bind, fd, (long)sa, len, 0, 0, 0);
	r = bind_addr(&s, sa, len, &req.addr);
	if (r < 0)
		return r;
	if (s.kind == CTL_STREAM && addr_classify(&req.addr) == ADDR_LOOPBACK) {
		r = sock_to_loopback(fd, &s);
		return r < 0 ? r : (int)real_syscall(SYS_bind, fd, (long)sa, len, 0, 0, 0);
	}
	if (s.kind != CTL_ICMP && req.addr.port && req.addr.port < 1024 && geteuid() != 0)
		return -EACCES;
	return sock_ask(&s, CTL_BIND, &req, NULL);
}

HOOK int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)real_ret(shim_bind(fd, sa, len));
}

/* Where the program bound it, as seen from this machine: "any" is any address of the loopback device. */
static int listen_on(int fd, const struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int r = sock_ask(s, CTL_NAMES, &req, &rep);

	if (r < 0)
		return r;
	if (rep.state == CTL_BOUND && addr_classify(&rep.addr) != ADDR_UNSPEC) {
		state_say(STATE_WARN,
			  "listen refused: nothing from outside can reach a program behind the tunnel", NULL);
		return -EADDRNOTAVAIL;
	}
	return sock_to_loopback(fd, s);
}

int shim_listen(int fd, int backlog)
{
	struct sock s;
	int r;

	if (!sock_find(fd, &s))
		return (int)real_syscall(SYS_listen, fd, backlog, 0, 0, 0, 0);
	if (s.kind != CTL_STREAM)
		return -EOPNOTSUPP;
	if (s.flags & SOCK_STARTED)
		return -EINVAL;
	r = listen_on(fd, &s);
	return r < 0 ? r : (int)real_syscall(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

HOOK int listen(int fd, int backlog)
{
	return (int)real_ret(shim_listen(fd, backlog));
}

int shim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct sock s;

	if (!sock_find(fd, &s))
		return (int)real_cancel(SYS_accept4, fd, (long)sa, (long)len, flags, 0, 0);
	/* Linux's answers for a socket that does not listen. */
	return s.kind == CTL_STREAM ? -EINVAL : -EOPNOTSUPP;
}

HOOK int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	return (int)real_ret(shim_accept4(fd, sa, len, flags));
}

HOOK int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return (int)real_ret(shim_accept4(fd, sa, len, 0));
}

/* Has this socket a peer, or is it on the way to one? */
static bool has_peer(struct sock *s)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int r;

	if (s->flags & SOCK_PEER)
		return true;
	r = sock_ask(s, CTL_NAMES, &req, &rep);
	if (r < 0)
		return sock_cannot_ask(r); /* the pair's own answer, then */
	return s->kind == CTL_STREAM ? rep.state == CTL_CONNECTING || rep.state == CTL_CONNECTED
				     : rep.addr2.family != 0;
}

int shim_shutdown(int fd, int how)
{
	struct sock s;

	if (sock_find(fd, &s)) {
		if (how < SHUT_RD || how > SHUT_RDWR)
			return -EINVAL;
		if (!has_peer(&s))
			return -ENOTCONN;
	}
	return (int)real_syscall(SYS_shutdown, fd, how, 0, 0, 0, 0);
}

HOOK int shutdown(int fd, int how)
{
	return (int)real_ret(shim_shutdown(fd, how));
}
