/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram sockets.
 *
 * Theory of operation. Program -> tunnel: header (destination or "the connected peer") and payload in one
 * datagram of the pair; sent by a lwIP UDP pcb, or for echo sockets as ICMP with our own identifier. What
 * libc or the kernel write for a program (stdio, sendfile, splice) has no header and is all payload. Tunnel
 * -> program: header with the source, with the control messages the program asked for as options. QUEUE_MAX
 * unread ones wait in the pair (unread.h); then the newest is dropped, as UDP does (D17). Never blocks.
 *
 * Errors are Linux's (kernel: __udp4_lib_err): ICMP reaches a connected socket when it is hard, and with
 * IP_RECVERR every socket, then also as an entry of its error queue. The errno is recorded (TAKE_ERROR) and
 * the program's end is made to report an error (pairerr.h), after what it has sent is read. An error of our
 * own about a datagram is treated the same.
 *
 * Port 53 of local resolvers is redirected (sock.c); the source of answers is put back to the address that
 * was asked, remembered for the last few destinations.
 *
 * A datagram pair tells nobody that its other end was closed: stack.c has the kernel asked from time to time
 * (unixdiag.h), and a port that is in use, or when there are too many sockets or too few descriptors, is
 * asked about at once.
 *
 * A datagram larger than the tunnel's MTU is an EMSGSIZE: the exit drops fragments (ipr.md 11), so it could
 * not arrive. Fragments that come from the exit are put together by lwIP.
 *
 * What goes to this machine itself goes out of a kernel's socket on the loopback device instead of a pcb
 * (loopback.h, design D7), with the same port where it is free. bind() to "any" makes it at once, sending
 * makes it when it is needed; one socket can have both.
 */
#include "stack/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/log.h"
#include "lwip/ip.h"
#include "lwip/udp.h"
#include "stack/dgram_opt.h"
#include "stack/errqueue.h"
#include "stack/loopback.h"
#include "stack/pairerr.h"
#include "stack/unixdiag.h"
#include "stack/unread.h"

#define BATCH 32
#define DRAIN_MAX 1024
#define QUEUE_MAX 64
#define LOOPBACK_QUEUE_MAX UNREAD_MAX /* about what a socket of Linux has room for */
#define PORT_TRIES 50
#define LOOKS_MAX 4
#define REDIRECTS 4

struct redirect {
	struct addr asked, server;
};

struct dgram {
	struct sock sock;
	struct loop_watch watch, loop_watch;
	struct loop_task end, show;
	int loop_fd; /* this machine itself; -1 */
	struct pairerr_peer program;
	struct udp_pcb *pcb;
	struct addr target; /* connected: where packets go */
	struct addr told;   /* by -vv */
	struct redirect redirect[REDIRECTS];
	unsigned redirect_next;
	uint16_t echo_id;
	struct addr bound; /* loopback address and port that bind() named: they outlive the connection */
	bool gone;
	struct errqueue errors;
	struct unread unread;
};

static uint8_t buffer[CTL_DGRAM_HDR + 65536]; /* one thread */

struct sock *dgram_sock(struct dgram *d)
{
	return &d->sock;
}

struct dgram *dgram_from_sock(struct sock *s)
{
	return container_of(s, struct dgram, sock);
}

static void free_late(void *owner)
{
	struct dgram *d = owner;

	if (d->pcb)
		udp_remove(d->pcb);
	fd_close(&d->sock.fd);
	errqueue_done(&d->errors);
	free(d);
}

static void close_loopback(struct dgram *d)
{
	loop_watch_remove(&d->loop_watch);
	fd_close(&d->loop_fd);
}

static void finish(struct dgram *d)
{
	if (d->gone)
		return;
	d->gone = true;
	loop_watch_remove(&d->watch);
	close_loopback(d);
	socks_remove(d->sock.all, &d->sock);
	loop_defer(d->sock.all->loop, &d->end, free_late, d);
}

void dgram_close(struct dgram *d)
{
	finish(d);
}

/* This machine itself? */
static bool here(const struct addr *a)
{
	return addr_classify(a) == ADDR_LOOPBACK;
}

/* ---- tunnel -> program ---- */

static void deliver(struct dgram *d, struct ctl_dgram *h, const struct addr *to, const void *payload,
		    size_t len)
{
	uint8_t hdr[CTL_DGRAM_HDR];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { (void *)payload, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	h->flags = dgram_wanted(&d->sock, to->family);
	memcpy(h->local, to->ip, sizeof(h->local));
	ctl_put_dgram(hdr, h);
	if (unread_below(&d->unread, d->sock.fd, here(to) ? LOOPBACK_QUEUE_MAX : QUEUE_MAX)) {
		if (sendmsg(d->sock.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
			unread_add(&d->unread, d->sock.fd);
			return;
		}
		if (errno == ECONNREFUSED) /* the program's end is closed */
			finish(d);
	}
	d->sock.all->stats.udp_dropped++;
}

/* The address the program knows the sender by. */
static struct addr known_as(const struct dgram *d, const struct addr *from)
{
	for (unsigned i = 0; i < REDIRECTS; i++)
		if (d->redirect[i].asked.family && addr_equal(&d->redirect[i].server, from))
			return d->redirect[i].asked;
	return *from;
}

static void on_udp(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *ip, u16_t port)
{
	struct dgram *d = arg;
	struct ctl_dgram h = { .flags = 0 };
	struct addr from, to;
	size_t len = p->tot_len;

	(void)pcb;
	device_from_lwip(&from, ip, port);
	device_from_lwip(&to, ip_current_dest_addr(), 0);
	if (ip_current_is_v6()) {
		h.ttl = IP6H_HOPLIM(ip6_current_header());
		h.tos = (uint8_t)IP6H_TC(ip6_current_header());
	} else {
		h.ttl = IPH_TTL(ip4_current_header());
		h.tos = IPH_TOS(ip4_current_header());
	}
	if (!d->gone && (d->sock.state != CTL_CONNECTED || addr_equal(&from, &d->target))) {
		h.addr = known_as(d, &from);
		pbuf_copy_partial(p, buffer, (u16_t)len, 0);
		deliver(d, &h, &to, buffer, len);
	}
	pbuf_free(p);
}

void dgram_echo(struct dgram *d, const struct device_echo *e)
{
	struct ctl_dgram h = { .ttl = e->ttl, .tos = e->tos, .addr = e->from };
	struct addr to = device_addr(e->from.family);

	if (d->gone || !d->echo_id || e->from.family != d->sock.family || e->msg[4] != d->echo_id >> 8 ||
	    e->msg[5] != (uint8_t)d->echo_id ||
	    (d->sock.state == CTL_CONNECTED && !addr_equal_ip(&e->from, &d->target)))
		return;
	deliver(d, &h, &to, e->msg, e->len);
}

/* ---- errors ---- */

static int drain(struct dgram *d, int most);

static void show(void *owner)
{
	struct dgram *d = owner;

	if (d->gone)
		return;
	drain(d, DRAIN_MAX);
	if (!d->gone && pairerr_raise(d->sock.all->diag, d->sock.fd) == -ENOTCONN)
		finish(d);
}

/* Records an error and has the program's end report it. */
static void fail(struct dgram *d, int err)
{
	d->sock.error = err;
	loop_defer(d->sock.all->loop, &d->show, show, d);
}

static bool sent_by(const struct dgram *d, const struct device_icmp *e)
{
	bool connected = d->sock.state == CTL_CONNECTED;

	if (d->sock.kind == CTL_ICMP)
		return e->proto == (d->sock.family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
		       e->local_port == d->echo_id && (!connected || addr_equal_ip(&e->remote, &d->target));
	return e->proto == IPPROTO_UDP && d->pcb && d->pcb->local_port == e->local_port &&
	       (!connected || addr_equal(&e->remote, &d->target));
}

static void heard(struct dgram *d, const struct device_icmp *e)
{
	bool asked = dgram_wants_errors(&d->sock, e->remote.family);
	struct addr to;

	if (!asked && (!e->hard || d->sock.state != CTL_CONNECTED))
		return;
	if (asked) {
		to = known_as(d, &e->remote);
		errqueue_add(&d->errors, e, &to);
	}
	fail(d, e->err);
}

void dgram_icmp(struct dgram *d, const struct device_icmp *e)
{
	if (!d->gone && sent_by(d, e))
		heard(d, e);
}

/*
 * An entry that was read takes its error with it; the next one's follows (kernel: sock_dequeue_err_skb),
 * before the program hears of the first.
 */
int dgram_take_report(struct dgram *d, struct ctl_rep *rep)
{
	bool got = errqueue_take(&d->errors, rep);

	if (got)
		d->sock.error = errqueue_error(&d->errors);
	if (d->sock.error || d->errors.n)
		show(d);
	return got ? 0 : EAGAIN;
}

/* ---- program -> tunnel ---- */

/* The kind of address a socket is bound to decides what it shares a port with. */
static const ip_addr_t *any_address(const struct dgram *d)
{
	if (d->sock.family == 4)
		return IP4_ADDR_ANY;
	return sock_option(&d->sock, IPPROTO_IPV6, IPV6_V6ONLY, 0) ? IP6_ADDR_ANY : IP_ANY_TYPE;
}

/* Ends the sockets with this port whose programs have closed them. True: there was one. sent: only those with
 * nothing left to send, and only a few that share a port are looked at. */
static bool reclaim(const struct dgram *d, uint16_t port, bool sent)
{
	unsigned looks = 0;
	bool found = false;
	int left = 0;

	list_for_each_safe(it, tmp, &d->sock.all->list) {
		struct sock *s = container_of(it, struct sock, link);
		struct dgram *other = dgram_from_sock(s);

		if (s->kind != CTL_DGRAM || other == d || s->local.port != port ||
		    (sent && looks++ >= LOOKS_MAX) || unixdiag_peer(d->sock.all->diag, s->fd) != 0 ||
		    (sent && (ioctl(s->fd, FIONREAD, &left) < 0 || left)))
			continue;
		finish(other);
		if (other->pcb)
			udp_remove(other->pcb);
		other->pcb = NULL;
		found = true;
	}
	return found;
}

static err_t bind_pcb(struct dgram *d, uint16_t port)
{
	err_t e = udp_bind(d->pcb, any_address(d), port);

	if (e == ERR_USE && reclaim(d, port, false))
		e = udp_bind(d->pcb, any_address(d), port);
	return e;
}

static int make_pcb(struct dgram *d)
{
	uint16_t port = d->sock.local.port;
	err_t e = ERR_USE;

	if (d->pcb)
		return 0;
	d->pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
	if (!d->pcb)
		return ENOBUFS;
	if (port && dgram_shares_port(&d->sock))
		ip_set_option(d->pcb, SOF_REUSEADDR);
	for (int i = 0; i < PORT_TRIES && e == ERR_USE; i++)
		e = bind_pcb(d, port ? port : socks_port(d->sock.all));
	if (e != ERR_OK) {
		udp_remove(d->pcb);
		d->pcb = NULL;
		return EADDRINUSE;
	}
	if (dgram_shares_port(&d->sock))
		ip_set_option(d->pcb, SOF_REUSEADDR);
	udp_recv(d->pcb, on_udp, d);
	d->sock.local.port = d->pcb->local_port;
	return 0;
}

static bool echo_id_used(const struct dgram *d, uint16_t id)
{
	list_for_each(it, &d->sock.all->list) {
		const struct sock *s = container_of(it, struct sock, link);

		if (s->kind == CTL_ICMP && s->family == d->sock.family &&
		    dgram_from_sock((struct sock *)s)->echo_id == id)
			return true;
	}
	return false;
}

/* Linux lets echo sockets share an identifier that is asked for by name. */
static int make_echo_id(struct dgram *d)
{
	uint16_t id = d->sock.local.port;

	if (d->echo_id)
		return 0;
	for (int i = 0; i < PORT_TRIES && (!id || (!d->sock.local.port && echo_id_used(d, id))); i++)
		id = socks_port(d->sock.all);
	d->echo_id = d->sock.local.port = id;
	return 0;
}

/* A local port, or an identifier. */
static int make_port(struct dgram *d)
{
	return d->sock.kind == CTL_ICMP ? make_echo_id(d) : make_pcb(d);
}

static void remember_redirect(struct dgram *d, const struct addr *asked, const struct addr *server)
{
	for (unsigned i = 0; i < REDIRECTS; i++)
		if (addr_equal(&d->redirect[i].server, server)) {
			d->redirect[i].asked = *asked;
			return;
		}
	d->redirect[d->redirect_next] = (struct redirect){ *asked, *server };
	d->redirect_next = (d->redirect_next + 1) % REDIRECTS;
}

/* With -vv: where this socket's datagrams go, when that changes. */
static void tell(struct dgram *d, const struct addr *to)
{
	char text[ADDR_TEXT];

	if (!log_on(LOG_TRACE) || addr_equal(&d->told, to))
		return;
	d->told = *to;
	log_trace("datagrams to %s", addr_text(to, text));
}

/* Route of *to, redirections remembered. 0 or errno. */
static int route(struct dgram *d, struct addr *to)
{
	struct addr asked = *to;
	bool redirected;
	int r;

	if (!to->family)
		return EINVAL;
	tell(d, to);
	if (d->sock.kind == CTL_DGRAM && socks_loopback(d->sock.all, to))
		return 0;
	r = socks_route(d->sock.all, to, &redirected);
	if (r == 0 && redirected) {
		addr_unmap(&asked);
		remember_redirect(d, &asked, to);
	}
	return r;
}

static bool too_long(const struct dgram *d, const struct addr *to, size_t len)
{
	return len + (to->family == 6 ? 40 : 20) + (d->sock.kind == CTL_ICMP ? 0 : 8) > device_mtu();
}

static int send_udp(struct dgram *d, const struct addr *to, const struct dgram_fields *f,
		    const uint8_t *payload, size_t len)
{
	ip_addr_t ip;
	struct pbuf *p;
	err_t e;

	if (too_long(d, to, len))
		return EMSGSIZE;
	p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);
	if (!p)
		return ENOBUFS;
	pbuf_take(p, payload, (u16_t)len);
	d->pcb->ttl = f->ttl;
	d->pcb->tos = f->tos;
	device_to_lwip(&ip, to);
	e = udp_sendto(d->pcb, p, &ip, to->port);
	pbuf_free(p);
	return e == ERR_OK ? 0 : e == ERR_RTE ? ENETUNREACH : ENOBUFS;
}

static int send_echo(struct dgram *d, const struct addr *to, const struct dgram_fields *f, uint8_t *msg,
		     size_t len)
{
	if (len < 8 || to->family != d->sock.family || msg[0] != (to->family == 6 ? 128 : 8) || msg[1])
		return EINVAL;
	msg[4] = (uint8_t)(d->echo_id >> 8);
	msg[5] = (uint8_t)d->echo_id;
	return -device_send_icmp(to, msg, len, f->ttl, f->tos);
}

/* ---- this machine itself ---- */

static void on_loopback(void *owner, uint32_t ev)
{
	struct dgram *d = owner;
	uint8_t quote[CTL_QUOTE_MAX];
	struct device_icmp e;
	struct ctl_dgram h;
	struct addr to;
	ssize_t n = 0;

	for (int i = 0; i < BATCH && !d->gone && n != -EAGAIN; i++) {
		n = loopback_recv(d->loop_fd, buffer, sizeof(buffer), &h, &to);
		if (n >= 0 && (d->sock.state != CTL_CONNECTED || addr_equal(&h.addr, &d->target)))
			deliver(d, &h, &to, buffer, (size_t)n);
	}
	while (ev & LOOP_ERR && !d->gone && loopback_error(d->loop_fd, &e, quote))
		if (d->sock.state != CTL_CONNECTED || addr_equal(&e.remote, &d->target))
			heard(d, &e);
}

/* Makes the kernel's socket at this address. 0 or errno. */
static int open_loopback(struct dgram *d, struct addr *at)
{
	int r = loopback_bind(&d->sock, at);

	if (r == -EADDRINUSE && reclaim(d, at->port, false))
		r = loopback_bind(&d->sock, at);
	if (r < 0)
		return -r;
	d->loop_fd = r;
	r = loop_watch_add(d->sock.all->loop, &d->loop_watch, d->loop_fd, LOOP_IN, on_loopback, d);
	if (r < 0)
		fd_close(&d->loop_fd);
	return -r;
}

/* For a socket that sends or connects without having been bound. */
static int need_loopback(struct dgram *d)
{
	struct addr any = { .family = d->sock.family, .port = d->sock.local.port };
	int r;

	if (d->loop_fd >= 0)
		return 0;
	r = open_loopback(d, &any);
	if (r == EADDRINUSE && any.port) {
		any.port = 0;
		r = open_loopback(d, &any);
	}
	if (r == 0 && !d->sock.local.port)
		d->sock.local.port = any.port;
	return r;
}

/* Both sides have the port, or none. */
static int bind_any(struct dgram *d, const struct addr *at)
{
	struct addr a;
	int r = EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && r == EADDRINUSE; i++) {
		a = *at;
		r = open_loopback(d, &a);
		if (r == EADDRINUSE)
			return r;
		d->sock.local.port = a.port;
		r = make_pcb(d);
		if (r)
			close_loopback(d);
		if (at->port)
			break;
	}
	return r;
}

static int bind_here(struct dgram *d, const struct addr *at)
{
	struct addr a = *at;
	int r = open_loopback(d, &a);

	d->sock.local.port = a.port;
	return r;
}

/* A server that was closed a moment ago must not be heard of any more: the kernel says so when its socket is
 * gone. */
static int send_loopback(struct dgram *d, const struct addr *to, const struct ctl_dgram *h,
			 const struct dgram_fields *f, const uint8_t *payload, size_t len)
{
	struct ctl_dgram out = *h;
	int r = need_loopback(d);

	if (r)
		return r;
	reclaim(d, to->port, true);
	out.ttl = f->ttl;
	out.tos = f->tos;
	return loopback_send(d->loop_fd, &d->sock, to, &out, payload, len);
}

static int send_one(struct dgram *d, uint8_t *bytes, size_t len)
{
	struct ctl_dgram h;
	struct dgram_fields f;
	struct addr to;
	int r;

	if (ctl_get_dgram(&h, bytes, len) == 0) {
		bytes += CTL_DGRAM_HDR;
		len -= CTL_DGRAM_HDR;
	} else { /* the program wrote it past the hooks */
		h = (struct ctl_dgram){ .flags = CTL_DGRAM_NO_ADDR };
	}
	if (h.flags & CTL_DGRAM_NO_ADDR) {
		if (d->sock.state != CTL_CONNECTED)
			return EDESTADDRREQ;
		to = d->target;
	} else {
		to = h.addr;
		r = route(d, &to);
		if (r)
			return r;
	}
	f = dgram_fields(&d->sock, &h, to.family);
	if (here(&to))
		return send_loopback(d, &to, &h, &f, bytes, len);
	if (!device_addr(to.family).family)
		return device_up() ? ENETUNREACH
				   : ENOBUFS; /* lost: UDP goes on when the link is there (D15) */
	r = make_port(d);
	if (r)
		return r;
	return d->sock.kind == CTL_ICMP ? send_echo(d, &to, &f, bytes, len)
					: send_udp(d, &to, &f, bytes, len);
}

/* Sends what the program has written, at most so many datagrams. Their number. */
static int drain(struct dgram *d, int most)
{
	int i, r;

	for (i = 0; i < most && !d->gone; i++) {
		ssize_t n = pairerr_recv(d->sock.fd, &d->program, buffer, sizeof(buffer));

		if (n < 0)
			break;
		r = send_one(d, buffer, (size_t)n);
		if (r == 0)
			continue;
		d->sock.all->stats.udp_dropped++;
		if (r != ENOBUFS) /* lost on the way like others: Linux says nothing either */
			fail(d, r);
	}
	return i;
}

static void on_event(void *owner, uint32_t ev)
{
	(void)ev;
	drain(owner, BATCH);
}

void dgram_sweep(struct socks *all)
{
	list_for_each_safe(it, tmp, &all->list) {
		struct sock *s = container_of(it, struct sock, link);
		int left = 0;

		if (s->kind != CTL_STREAM && unixdiag_peer(all->diag, s->fd) == 0 &&
		    ioctl(s->fd, FIONREAD, &left) == 0 && !left)
			finish(dgram_from_sock(s));
	}
}

/* ---- requests ---- */

int dgram_fits(struct dgram *d, const struct addr *to, int32_t len)
{
	struct addr dest = to->family ? *to : d->sock.peer;

	if (len < 0)
		return EINVAL;
	if (socks_loopback(d->sock.all, &dest) || !too_long(d, &dest, (size_t)len))
		return 0;
	if (dgram_wants_errors(&d->sock, dest.family)) {
		errqueue_add_too_long(&d->errors, &dest, device_mtu());
		show(d);
	}
	return EMSGSIZE;
}

int dgram_setopt(struct dgram *d, int level, int name, int value)
{
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && d->sock.local.port)
		return EINVAL;
	if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT) && d->loop_fd >= 0)
		setsockopt(d->loop_fd, level, name, &value, sizeof(value));
	if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT) && d->pcb) {
		if (value)
			ip_set_option(d->pcb, SOF_REUSEADDR);
		else
			ip_reset_option(d->pcb, SOF_REUSEADDR);
	}
	return ENOPROTOOPT;
}

/* What Linux's routing table gives as the source of a socket that is connected to this machine. */
static void name_here(struct dgram *d)
{
	uint16_t port = d->sock.local.port;

	if (here(&d->sock.local))
		return;
	d->sock.local = (struct addr){ .family = d->target.family };
	socks_loopback(d->sock.all, &d->sock.local);
	d->sock.local.port = port;
}

int dgram_connect(struct dgram *d, const struct addr *to)
{
	struct addr target = *to;
	ip_addr_t ip;
	int r = route(d, &target);

	if (r == 0)
		r = here(&target) ? need_loopback(d) : make_port(d);
	if (r)
		return r;
	d->target = target;
	d->sock.peer = here(&target) ? target : *to;
	d->sock.state = CTL_CONNECTED;
	if (here(&target)) {
		name_here(d);
		return 0;
	}
	if (d->pcb) { /* lwIP prefers a connected socket when two share a port */
		device_to_lwip(&ip, &target);
		udp_connect(d->pcb, &ip, target.port);
	}
	dgram_rebind(d);
	return 0;
}

/* A port that was not asked for by bind() goes with the connection (kernel: __udp_disconnect). */
void dgram_disconnect(struct dgram *d)
{
	uint16_t port = d->bound.port;

	memset(&d->target, 0, sizeof(d->target));
	memset(&d->sock.peer, 0, sizeof(d->sock.peer));
	d->sock.local = d->bound;
	d->sock.state = port ? CTL_BOUND : CTL_FRESH;
	if (!port) {
		d->echo_id = 0;
		close_loopback(d);
	}
	if (d->pcb && port) {
		udp_disconnect(d->pcb);
	} else if (d->pcb) {
		udp_remove(d->pcb);
		d->pcb = NULL;
	}
}

int dgram_bind(struct dgram *d, const struct addr *at)
{
	struct addr a = *at, own;
	enum addr_class c;
	int r;

	if (d->sock.local.port || d->sock.state != CTL_FRESH)
		return EINVAL;
	addr_unmap(&a);
	c = addr_classify(&a);
	own = device_addr(a.family);
	if (c != ADDR_UNSPEC && c != ADDR_LOOPBACK && !addr_equal_ip(&a, &own))
		return EADDRNOTAVAIL;
	d->sock.local = *at;
	if (d->sock.kind == CTL_DGRAM && c == ADDR_LOOPBACK)
		r = bind_here(d, &a);
	else if (d->sock.kind == CTL_DGRAM && c == ADDR_UNSPEC)
		r = bind_any(d, &a);
	else
		r = make_port(d);
	if (r) {
		d->sock.local = d->bound;
		return r;
	}
	if (c == ADDR_LOOPBACK)
		d->bound = *at;
	d->bound.port = at->port;
	d->sock.state = CTL_BOUND;
	return 0;
}

void dgram_rebind(struct dgram *d)
{
	struct addr own = device_addr(d->target.family);
	uint16_t port = d->sock.local.port;

	if (d->sock.state != CTL_CONNECTED || here(&d->target) || !own.family)
		return;
	d->sock.local = own;
	d->sock.local.port = port;
}

struct dgram *dgram_new(struct socks *all, uint64_t cookie, uint8_t family, enum ctl_kind kind, int fd)
{
	struct dgram *d = calloc(1, sizeof(*d));
	int r, size = 1 << 20;

	if (!d)
		return NULL;
	d->sock.cookie = cookie;
	d->sock.family = family;
	d->sock.kind = kind;
	d->sock.fd = fd;
	d->sock.local.family = d->bound.family = family;
	d->loop_fd = -1;
	list_init(&d->end.node);
	list_init(&d->show.node);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = pairerr_peer(fd, &d->program);
	if (r == 0)
		r = pairerr_name(fd);
	if (r == 0)
		r = loop_watch_add(all->loop, &d->watch, fd, LOOP_IN | LOOP_RDHUP, on_event, d);
	if (r < 0) {
		free(d);
		errno = -r;
		return NULL;
	}
	socks_add(all, &d->sock);
	return d;
}
