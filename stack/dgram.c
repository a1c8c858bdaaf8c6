/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram sockets.
 *
 * Theory of operation. Program -> tunnel: header (destination or "the connected peer") and payload in one datagram of the pair; sent by a lwIP UDP
 * pcb, or for echo sockets as ICMP with our own identifier. Tunnel -> program: header with the source; when the program's queue is
 * full the newest is dropped, as UDP does (D17). Never blocks.
 *
 * Port 53 of local resolvers is redirected (sock.c); the source of answers is put back to the address that was asked, remembered for the last few
 * destinations.
 *
 * A datagram pair tells nobody that its other end was closed: stack.c asks the kernel from time to time (unixdiag.h).
 *
 * A datagram larger than the tunnel's MTU is dropped and EMSGSIZE recorded: the exit drops fragments, so it could not arrive.
 */
#include "stack/dgram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/log.h"
#include "lwip/udp.h"
#include "stack/device.h"

#define BATCH 32
#define REDIRECTS 4
#define HEADERS(family) ((family) == 6 ? 48u : 28u)

struct redirect {
	struct addr asked, server;
};

struct dgram {
	struct sock sock;
	struct loop_watch watch;
	struct loop_task end;
	struct udp_pcb *pcb;
	struct addr target; /* connected: where packets go */
	struct redirect redirect[REDIRECTS];
	unsigned redirect_next;
	uint16_t echo_id;
	bool gone;
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
	free(d);
}

static void finish(struct dgram *d)
{
	if (d->gone)
		return;
	d->gone = true;
	loop_watch_remove(&d->watch);
	socks_remove(d->sock.all, &d->sock);
	loop_defer(d->sock.all->loop, &d->end, free_late, d);
}

void dgram_close(struct dgram *d)
{
	finish(d);
}

/* ---- tunnel -> program ---- */

static void deliver(struct dgram *d, const struct ctl_dgram *h, const void *payload, size_t len)
{
	uint8_t hdr[CTL_DGRAM_HDR];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { (void *)payload, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	ctl_put_dgram(hdr, h);
	if (sendmsg(d->sock.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	d->sock.all->stats.udp_dropped++;
	if (errno == ECONNREFUSED) /* the program's end is closed */
		finish(d);
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
	struct ctl_dgram h = { .ttl = 64 };
	struct addr from;
	size_t len = p->tot_len;

	(void)pcb;
	device_from_lwip(&from, ip, port);
	if (!d->gone && (d->sock.state != CTL_CONNECTED || addr_equal(&from, &d->target))) {
		h.addr = known_as(d, &from);
		pbuf_copy_partial(p, buffer, (u16_t)len, 0);
		deliver(d, &h, buffer, len);
	}
	pbuf_free(p);
}

void dgram_echo(struct dgram *d, const struct addr *from, uint8_t ttl, const uint8_t *msg, size_t len)
{
	struct ctl_dgram h = { .ttl = ttl, .addr = *from };

	if (d->gone || !d->echo_id || msg[4] != d->echo_id >> 8 || msg[5] != (uint8_t)d->echo_id ||
	    (d->sock.state == CTL_CONNECTED && !addr_equal_ip(from, &d->target)))
		return;
	deliver(d, &h, msg, len);
}

void dgram_icmp(struct dgram *d, uint16_t local_port, const struct addr *remote, int err)
{
	struct ctl_dgram h = { .flags = CTL_DGRAM_ERROR, .err = (uint16_t)err };

	if (d->gone || !d->pcb || d->pcb->local_port != local_port || d->sock.state != CTL_CONNECTED ||
	    !addr_equal(remote, &d->target))
		return;
	d->sock.error = err;
	h.addr = d->sock.peer;
	deliver(d, &h, NULL, 0);
}

/* ---- program -> tunnel ---- */

static int make_pcb(struct dgram *d)
{
	err_t e = ERR_USE;

	if (d->pcb)
		return 0;
	d->pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
	if (!d->pcb)
		return ENOBUFS;
	for (int i = 0; i < 50 && e == ERR_USE; i++)
		e = udp_bind(d->pcb, IP_ANY_TYPE, d->sock.local.port ? d->sock.local.port : socks_port(d->sock.all));
	if (e != ERR_OK) {
		udp_remove(d->pcb);
		d->pcb = NULL;
		return EADDRINUSE;
	}
	udp_recv(d->pcb, on_udp, d);
	d->sock.local.port = d->pcb->local_port;
	return 0;
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

/* Route of *to, redirections remembered. 0 or errno. */
static int route(struct dgram *d, struct addr *to)
{
	struct addr asked = *to;
	bool redirected;
	int r = socks_route(d->sock.all, to, &redirected);

	if (r == 0 && redirected) {
		addr_unmap(&asked);
		remember_redirect(d, &asked, to);
	}
	return r;
}

static int send_udp(struct dgram *d, const struct addr *to, const struct ctl_dgram *h, const uint8_t *payload, size_t len)
{
	ip_addr_t ip;
	struct pbuf *p;
	err_t e;
	int r = make_pcb(d);

	if (r)
		return r;
	if (len + HEADERS(to->family) > device_mtu())
		return EMSGSIZE;
	p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);
	if (!p)
		return ENOBUFS;
	pbuf_take(p, payload, (u16_t)len);
	d->pcb->ttl = h->ttl ? h->ttl : 64;
	d->pcb->tos = h->tos;
	device_to_lwip(&ip, to);
	e = udp_sendto(d->pcb, p, &ip, to->port);
	pbuf_free(p);
	return e == ERR_OK ? 0 : e == ERR_RTE ? ENETUNREACH : ENOBUFS;
}

static int send_echo(struct dgram *d, const struct addr *to, const struct ctl_dgram *h, uint8_t *msg, size_t len)
{
	int r;

	if (len < 8 || msg[0] != (to->family == 6 ? 128 : 8) || msg[1])
		return EINVAL;
	if (!d->echo_id)
		d->echo_id = socks_port(d->sock.all);
	msg[4] = (uint8_t)(d->echo_id >> 8);
	msg[5] = (uint8_t)d->echo_id;
	r = device_send_icmp(to, msg, len, h->ttl ? h->ttl : 64);
	return -r;
}

static int send_one(struct dgram *d, uint8_t *bytes, size_t len)
{
	struct ctl_dgram h;
	struct addr to;
	int r;

	if (ctl_get_dgram(&h, bytes, len) < 0)
		return EINVAL;
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
	if (!device_up() || !device_addr(to.family).family)
		return ENETUNREACH;
	bytes += CTL_DGRAM_HDR;
	len -= CTL_DGRAM_HDR;
	return d->sock.kind == CTL_ICMP ? send_echo(d, &to, &h, bytes, len) : send_udp(d, &to, &h, bytes, len);
}

static void on_event(void *owner, uint32_t ev)
{
	struct dgram *d = owner;
	ssize_t n;
	int r;

	(void)ev;
	for (int i = 0; i < BATCH && !d->gone; i++) {
		n = recv(d->sock.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0)
			break;
		r = send_one(d, buffer, (size_t)n);
		if (r) {
			d->sock.all->stats.udp_dropped++;
			d->sock.error = r;
		}
	}
}

/* ---- requests ---- */

int dgram_connect(struct dgram *d, const struct addr *to)
{
	struct addr target = *to;
	int r = route(d, &target);

	if (r == 0 && d->sock.kind == CTL_DGRAM)
		r = make_pcb(d);
	if (r)
		return r;
	d->target = target;
	d->sock.peer = *to;
	d->sock.state = CTL_CONNECTED;
	if (device_addr(target.family).family) {
		uint16_t port = d->sock.local.port;

		d->sock.local = device_addr(target.family);
		d->sock.local.port = port;
	}
	return 0;
}

void dgram_disconnect(struct dgram *d)
{
	memset(&d->target, 0, sizeof(d->target));
	memset(&d->sock.peer, 0, sizeof(d->sock.peer));
	d->sock.state = d->pcb ? CTL_BOUND : CTL_FRESH;
}

int dgram_bind(struct dgram *d, const struct addr *at)
{
	struct addr a = *at;
	int r;

	if (d->pcb || d->sock.state != CTL_FRESH)
		return EINVAL;
	addr_unmap(&a);
	if (addr_classify(&a) != ADDR_UNSPEC && addr_classify(&a) != ADDR_LOOPBACK) {
		struct addr own = device_addr(a.family);

		if (!addr_equal_ip(&a, &own))
			return EADDRNOTAVAIL;
	}
	d->sock.local = *at;
	r = d->sock.kind == CTL_DGRAM ? make_pcb(d) : 0;
	if (r) {
		memset(&d->sock.local, 0, sizeof(d->sock.local));
		return r;
	}
	d->sock.state = CTL_BOUND;
	return 0;
}

void dgram_rebind(struct dgram *d)
{
	struct addr own = device_addr(d->target.family);
	uint16_t port = d->sock.local.port;

	if (d->sock.state != CTL_CONNECTED || !own.family)
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
	d->sock.local.family = family;
	list_init(&d->end.node);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = loop_watch_add(all->loop, &d->watch, fd, LOOP_IN | LOOP_RDHUP, on_event, d);
	if (r < 0) {
		free(d);
		errno = -r;
		return NULL;
	}
	socks_add(all, &d->sock);
	return d;
}
