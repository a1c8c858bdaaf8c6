/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.
 *
 * Theory of operation (interposition.md 2.3). A socketpair is writable from birth; a TCP socket becomes
 * writable when the handshake is done. So the request to connect goes through the pair itself and fills it to
 * the brim: the write gate (stack/ctl/gate.h). When, and only when, the far end has answered, the tunnel
 * opens it: poll, select and epoll then fire by themselves, and edge-triggered ones once. On failure the
 * tunnel closes its end with gate bytes unread, which looks like a refused connect, and has recorded the
 * errno. Either way nobody waits for the tunnel to run.
 *
 * A blocking connect waits for the same event on the same descriptor. An interrupted or timed out connect
 * goes on in the background, as in Linux. The socket states of Linux (unconnected, connecting, connected) are
 * kept as SOCK_* flags plus the tunnel's state.
 *
 * Loopback destinations (design D7) need no tunnel: the socket becomes one of the kernel that can reach
 * nothing else, and all later calls are the kernel's. A socket that an epoll instance watches already is lost
 * to it by that.
 *
 * After a failure the pair cannot be used again: the next connect puts a new pair behind the same number
 * (epoll registrations of the old one are lost then).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "shim/dgram.h"
#include "shim/hooks.h"
#include "shim/policy.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"
#include "stack/ctl/gate.h"

int __connect(int fd, const struct sockaddr *sa, socklen_t len);

#define NS_PER_S 1000000000L

/* Signals that may come and have a handler, which asks for restart or does not; bit = number - 1, as in the
 * kernel. */
struct caught {
	uint64_t restart, interrupt, blocked;
};

static struct caught caught_signals(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} act;
	struct caught c = { 0, 0, 0 };

	real_syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&c.blocked, sizeof(c.blocked), 0, 0);
	for (int sig = 1; sig <= 64; sig++) {
		uint64_t bit = UINT64_C(1) << (sig - 1);

		if (c.blocked & bit ||
		    real_syscall(SYS_rt_sigaction, sig, 0, (long)&act, sizeof(act.mask), 0, 0) < 0 ||
		    act.handler == SIG_DFL || act.handler == SIG_IGN)
			continue;
		*(act.flags & SA_RESTART ? &c.restart : &c.interrupt) |= bit;
	}
	return c;
}

/*
 * poll() for the end of an attempt, and like connect(): -EINTR only when a signal came that does not ask for
 * restart. poll() cannot tell which one it was. Where both kinds are caught those that do are blocked while
 * it sleeps, so that only the others end it, and get their chance after each slice.
 */
static int poll_restarting(int fd, short *ret_events)
{
	static const struct timespec slice = { 0, 50 * 1000000 };

	for (;;) {
		struct caught c = caught_signals();
		uint64_t mask = c.blocked | c.restart;
		bool both = c.restart && c.interrupt;
		int r = real_poll1(fd, POLLOUT, both ? &slice : NULL, both ? &mask : NULL, ret_events);

		if (r > 0 || (r < 0 && r != -EINTR) || (r == -EINTR && c.interrupt))
			return r;
	}
}

/* SO_SNDTIMEO bounds a blocking connect; false: no bound. */
static bool deadline_of(int fd, struct timespec *ret)
{
	struct timeval tv = { 0, 0 };
	socklen_t len = sizeof(tv);

	if (real_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) < 0 ||
	    (tv.tv_sec == 0 && tv.tv_usec == 0))
		return false;
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += tv.tv_sec;
	ret->tv_nsec += tv.tv_usec * 1000;
	if (ret->tv_nsec >= NS_PER_S) {
		ret->tv_nsec -= NS_PER_S;
		ret->tv_sec++;
	}
	return true;
}

static struct timespec time_left(const struct timespec *deadline)
{
	struct timespec now, left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left.tv_sec = deadline->tv_sec - now.tv_sec;
	left.tv_nsec = deadline->tv_nsec - now.tv_nsec;
	if (left.tv_nsec < 0) {
		left.tv_nsec += NS_PER_S;
		left.tv_sec--;
	}
	if (left.tv_sec < 0)
		left = (struct timespec){ 0, 0 };
	return left;
}

/* The attempt is over; what connect() says. */
static int outcome(int fd, struct sock *s, short events)
{
	int err = 0;

	if (events & (POLLERR | POLLHUP | POLLNVAL))
		err = sock_take_error(fd, s);
	sock_flags(s, err ? SOCK_FAILED : 0, SOCK_CONNECTING);
	return -err;
}

/* Waits for the end of an attempt. timed_out: what to say when SO_SNDTIMEO ends the wait; with one, signals
 * always interrupt (signal(7)). */
static int wait_connected(int fd, struct sock *s, int timed_out)
{
	struct timespec deadline, left;
	short events = 0;
	int r;

	if (deadline_of(fd, &deadline)) {
		left = time_left(&deadline);
		r = real_poll1(fd, POLLOUT, &left, NULL, &events);
	} else {
		r = poll_restarting(fd, &events);
	}
	if (r > 0)
		return outcome(fd, s, events);
	return r == 0 ? -timed_out : r;
}

static bool nonblocking(int fd)
{
	int flags = real_fcntl(fd, F_GETFL, 0);

	return flags >= 0 && flags & O_NONBLOCK;
}

static int start(int fd, struct sock *s, const struct addr *to)
{
	int r = gate_shut(fd, s->cookie, to);

	if (r < 0)
		return r;
	sock_flags(s, SOCK_STARTED | SOCK_CONNECTING, SOCK_FAILED);
	if (nonblocking(fd))
		return -EINPROGRESS;
	return wait_connected(fd, s, EINPROGRESS);
}

static int refuse_peer(const struct addr *to, struct policy p)
{
	char text[ADDR_TEXT];

	state_say(STATE_WARN, "destination refused: ", p.why, NULL);
	state_say(STATE_TRACE, "refused destination was ", addr_text(to, text), NULL);
	return -p.err;
}

static int start_loopback(int fd, const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	int r = sock_to_loopback(fd, s);

	return r < 0 ? r : (int)real_cancel(SYS_connect, fd, (long)sa, len, 0, 0, 0);
}

static int begin(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct addr to;
	struct policy p;
	int r = sock_addr_in(s, sa, len, &to);

	if (r < 0)
		return r;
	if (s->flags & SOCK_V6ONLY && to.family == 4)
		return -ENETUNREACH;
	p = policy_peer(state_rules(), &to);
	switch (p.verdict) {
	case POLICY_TUNNEL: return start(fd, s, &to);
	case POLICY_LOOPBACK: return start_loopback(fd, s, sa, len);
	case POLICY_LIBC:
	case POLICY_DENY: break;
	}
	return refuse_peer(&to, p);
}

/* connect() on a stream that was connected before, or tried to. */
static int again(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int r;

	if (s->flags & SOCK_FAILED) {
		r = sock_renew(fd, s);
		return r < 0 ? r : begin(fd, s, sa, len);
	}
	r = sock_ask(s, CTL_NAMES, &req, &rep);
	if (r < 0)
		return r;
	switch (rep.state) {
	case CTL_FRESH:
	case CTL_BOUND: return begin(fd, s, sa, len);
	case CTL_CONNECTING: return nonblocking(fd) ? -EALREADY : wait_connected(fd, s, EALREADY);
	case CTL_CONNECTED:
		if (!(s->flags & SOCK_CONNECTING))
			return -EISCONN;
		sock_flags(s, 0, SOCK_CONNECTING);
		return 0;
	case CTL_FAILED: break; /* told or not: another program, or the cache, may not know */
	case CTL_CLOSED:
		if (!(s->flags & SOCK_CONNECTING))
			return -EISCONN;
	}
	r = sock_take_error(fd, s);
	sock_flags(s, SOCK_FAILED, SOCK_CONNECTING);
	return r ? -r : -ECONNABORTED;
}

static int connect_stream(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	if (sa && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC)
		return sock_renew(fd, s);
	if (s->flags & SOCK_STARTED)
		return again(fd, s, sa, len);
	return begin(fd, s, sa, len);
}

static int connect_dgram(struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct ctl_req req = { 0 };
	int r;

	if (sa && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC) {
		r = sock_ask(s, CTL_DISCONNECT, &req, NULL);
		if (r == 0)
			sock_flags(s, 0, SOCK_PEER);
		return r;
	}
	if (s->flags & SOCK_V6ONLY && sa && len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET)
		return -EAFNOSUPPORT;
	r = sock_addr_in(s, sa, len, &req.addr);
	if (r == 0)
		r = dgram_peer(s, &req.addr);
	if (r == 0)
		r = sock_ask(s, CTL_CONNECT, &req, NULL);
	if (r == 0)
		sock_flags(s, SOCK_PEER, 0);
	return r;
}

/* A loopback socket of ours that tries again, or an internet socket that somebody handed to this program. */
static int connect_inet(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct addr to;

	if (!sock_is_loopback(fd))
		return -EACCES;
	if (addr_from_sockaddr(&to, sa, len) == 0 &&
	    policy_peer(state_rules(), &to).verdict != POLICY_LOOPBACK)
		return -ENETUNREACH;
	return (int)real_cancel(SYS_connect, fd, (long)sa, len, 0, 0, 0);
}

static int connect_foreign(int fd, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
	struct policy p;
	int domain;

	if (sa && len > offsetof(struct sockaddr_un, sun_path) && len <= sizeof(*un) &&
	    sa->sa_family == AF_UNIX) {
		p = policy_unix(un->sun_path, len - offsetof(struct sockaddr_un, sun_path));
		if (p.verdict == POLICY_DENY) {
			state_say(STATE_INFO, "local connect refused: ", p.why, NULL);
			return -p.err;
		}
	} else if (real_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, &domain) == 0 &&
		   (domain == AF_INET || domain == AF_INET6)) {
		return connect_inet(fd, sa, len);
	}
	return (int)real_cancel(SYS_connect, fd, (long)sa, len, 0, 0, 0);
}

int shim_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sock s;

	if (!sock_find(fd, &s))
		return connect_foreign(fd, sa, len);
	if (s.kind == CTL_STREAM)
		return connect_stream(fd, &s, sa, len);
	return connect_dgram(&s, sa, len);
}

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)real_ret(shim_connect(fd, sa, len));
}

HOOK int __connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)real_ret(shim_connect(fd, sa, len));
}
