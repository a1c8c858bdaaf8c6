/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit interface over libslirp.
 *
 * Theory of operation. One libslirp instance plays the network 10.0.0.0/16 and fc00::/64 with the host
 * address .1; every client of the router is a guest on that virtual ethernet under its own tunnel address, so
 * no addresses of clients need translation. Packets to libslirp get an ethernet header; its ARP requests and
 * neighbour solicitations are answered here for every guest. libslirp opens ordinary sockets of this host for
 * TCP, UDP and ICMP echo.
 *
 * --map: a destination in the table is rewritten (checksums updated incrementally, RFC 1624) before libslirp
 * sees it, and the source of the answers is rewritten back by an entry in a small table of flows. 127.0.0.1
 * and ::1 as targets are presented as libslirp's host address, which it connects to the loopback. Inner
 * headers of ICMP errors are rewritten too, so that a port-unreachable finds its socket. Echo requests to an
 * address that any entry names go to that entry's host; libslirp has no way to send ICMPv6 out, so its own
 * address is all that can be pinged over IPv6.
 *
 * TTL: packets that arrive with TTL 1 end here, answered by ICMP time exceeded, as on a real exit host.
 *
 * Polling: after every batch of the loop, each libslirp names its descriptors and events; they are kept as
 * watches. Events that fired are handed to it in the same place. Nothing wakes up while nothing happens but
 * libslirp's own timers, which count from the last time it was polled.
 *
 * Limits: FLOWS translations, oldest replaced; POLL_MAX sockets; IP fragments are dropped by the router
 * before.
 */
#include "tools/localnet/exit.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mixnet/ippkt.h"

#define ETH_HDR 14
#define ETH_ARP 0x0806
#define ETH_IP4 0x0800
#define ETH_IP6 0x86dd
#define FRAME_MAX (ETH_HDR + 65536)
#define POLL_MAX 2048
#define FLOWS 4096u /* power of two */
#define FLOW_PROBE 8

static struct list exits = { &exits, &exits }; /* the loop has one hook for all of them */
static const uint8_t mac_slirp[6] = { 0x52, 0x55, 0x0a, 0x00, 0x00, 0x01 };

struct flow {
	uint64_t used_us;
	uint8_t proto;
	struct addr client, target; /* as libslirp sees them */
	struct addr original;	    /* what the client asked for */
};

struct poll_fd {
	struct loop_watch watch;
	struct exit_if *exit;
	uint32_t want, got;
	bool in_use, named;
	int fd;
};

struct slirp_timer {
	struct loop_timer timer;
	SlirpTimerCb cb;
	void *opaque;
};

struct exit_if {
	struct list link;
	struct loop *loop;
	const struct localnet_cfg *cfg;
	void (*recv)(void *owner, const uint8_t *pkt, size_t len);
	void *owner;
	Slirp *slirp;
	struct sockaddr_storage source; /* libslirp keeps a pointer to it */
	struct loop_timer timer;
	struct poll_fd fds[POLL_MAX];
	int n_fds; /* highest index in use + 1 */
	bool fired;
	uint64_t polled_us;
	struct flow flow[FLOWS];
	uint8_t frame[FRAME_MAX], out[FRAME_MAX];
};

/* ---- header helpers ---- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* RFC 1624: the checksum at ck after bytes old became new. */
static void ck_update(uint8_t *ck, const uint8_t *old, const uint8_t *new, size_t len)
{
	uint32_t acc = (uint16_t)~get16(ck);

	for (size_t i = 0; i < len; i += 2)
		acc += (uint16_t)~get16(old + i);
	acc = ippkt_sum(acc, new, len);
	put16(ck, ippkt_fold(acc));
}

struct ip_view {	    /* of one packet: where the parts are */
	uint8_t *src, *dst; /* addresses */
	size_t addr_len;
	uint8_t *l4; /* NULL: too short or a fragment */
	size_t l4_len;
	uint8_t proto, *hdr_ck; /* v4 header checksum, NULL for v6 */
};

static bool view(struct ip_view *v, uint8_t *p, size_t len)
{
	memset(v, 0, sizeof(*v));
	if (len >= 20 && p[0] >> 4 == 4) {
		size_t hl = (size_t)(p[0] & 15) * 4;

		if (hl < 20 || hl > len)
			return false;
		v->src = p + 12;
		v->dst = p + 16;
		v->addr_len = 4;
		v->proto = p[9];
		v->hdr_ck = p + 10;
		v->l4 = get16(p + 6) & 0x1fff ? NULL : p + hl;
		v->l4_len = len - hl;
		return true;
	}
	if (len >= 40 && p[0] >> 4 == 6) {
		v->src = p + 8;
		v->dst = p + 24;
		v->addr_len = 16;
		v->proto = p[6];
		v->l4 = p + 40;
		v->l4_len = len - 40;
		return true;
	}
	return false;
}

static bool has_ports(const struct ip_view *v)
{
	return v->l4 && v->l4_len >= 8 && (v->proto == IPPROTO_TCP || v->proto == IPPROTO_UDP) &&
	       (v->proto != IPPROTO_TCP || v->l4_len >= 20);
}

static struct addr make_addr(const struct ip_view *v, const uint8_t *ip, uint16_t port)
{
	struct addr a = { .family = v->addr_len == 4 ? 4 : 6, .port = port };

	memcpy(a.ip, ip, v->addr_len);
	return a;
}

/* Rewrites one address; ck: the checksum that covers it through the pseudo header, or NULL. */
static void rewrite_ip(const struct ip_view *v, uint8_t *ip, uint8_t *ck, const struct addr *to)
{
	if (ck)
		ck_update(ck, ip, to->ip, v->addr_len);
	if (v->hdr_ck)
		ck_update(v->hdr_ck, ip, to->ip, v->addr_len);
	memcpy(ip, to->ip, v->addr_len);
}

/* Rewrites one address and its port, keeping header, TCP and UDP checksums right. */
static void rewrite(const struct ip_view *v, uint8_t *ip, uint8_t *port, const struct addr *to)
{
	uint8_t new_port[2], *ck = v->proto == IPPROTO_TCP ? v->l4 + 16 : v->l4 + 6;
	bool no_ck = v->proto == IPPROTO_UDP && !get16(ck);

	put16(new_port, to->port);
	if (!no_ck)
		ck_update(ck, port, new_port, 2);
	rewrite_ip(v, ip, no_ck ? NULL : ck, to);
	if (v->proto == IPPROTO_UDP && !no_ck && !get16(ck))
		put16(ck, 0xffff);
	memcpy(port, new_port, 2);
}

/* ---- destinations by map ---- */

/* What libslirp must be told to reach the target of a map. */
static struct addr presented(const struct addr *to)
{
	struct addr a = *to;

	if (a.family == 4 && a.ip[0] == 127 && a.ip[3] == 1 && !a.ip[1] && !a.ip[2])
		memcpy(a.ip, (uint8_t[4]){ 10, 0, 0, 1 }, 4);
	if (a.family == 6 && addr_classify(to) == ADDR_LOOPBACK) {
		memset(a.ip, 0, sizeof(a.ip));
		a.ip[0] = 0xfc;
		a.ip[15] = 1;
	}
	return a;
}

static uint32_t flow_hash(uint8_t proto, const struct addr *client, const struct addr *target)
{
	uint32_t h = 2166136261u ^ proto;

	for (int i = 0; i < 16; i++)
		h = (h ^ client->ip[i] ^ (uint32_t)target->ip[i] << 8) * 16777619u;
	return (h ^ client->port ^ (uint32_t)target->port << 16) * 16777619u;
}

static struct flow *flow_find(struct exit_if *e, uint8_t proto, const struct addr *client,
			      const struct addr *target)
{
	uint32_t h = flow_hash(proto, client, target);

	for (uint32_t i = 0; i < FLOW_PROBE; i++) {
		struct flow *f = &e->flow[(h + i) & (FLOWS - 1)];

		if (f->proto == proto && addr_equal(&f->client, client) && addr_equal(&f->target, target))
			return f;
	}
	return NULL;
}

static void flow_add(struct exit_if *e, uint8_t proto, const struct addr *client, const struct addr *target,
		     const struct addr *original)
{
	uint32_t h = flow_hash(proto, client, target);
	struct flow *f = flow_find(e, proto, client, target);

	for (uint32_t i = 0; !f && i < FLOW_PROBE; i++) {
		struct flow *c = &e->flow[(h + i) & (FLOWS - 1)];

		if (!c->proto)
			f = c;
	}
	if (!f) {
		f = &e->flow[h & (FLOWS - 1)];
		for (uint32_t i = 1; i < FLOW_PROBE; i++) {
			struct flow *c = &e->flow[(h + i) & (FLOWS - 1)];

			if (c->used_us < f->used_us)
				f = c;
		}
	}
	*f = (struct flow){ loop_now(e->loop), proto, *client, *target, *original };
}

static void map_out(struct exit_if *e, struct ip_view *v)
{
	struct addr dst = make_addr(v, v->dst, get16(v->l4 + 2));
	struct addr client = make_addr(v, v->src, get16(v->l4));

	for (unsigned i = 0; i < e->cfg->n_maps; i++) {
		const struct map *m = &e->cfg->map[i];
		struct addr target;

		if (!addr_equal_ip(&m->from, &dst) || (m->from.port && m->from.port != dst.port))
			continue;
		target = presented(&m->to);
		flow_add(e, v->proto, &client, &target, &dst);
		rewrite(v, v->dst, v->l4 + 2, &target);
		return;
	}
}

static void map_in(struct exit_if *e, struct ip_view *v)
{
	struct addr src = make_addr(v, v->src, get16(v->l4));
	struct addr client = make_addr(v, v->dst, get16(v->l4 + 2));
	struct flow *f = flow_find(e, v->proto, &client, &src);

	if (!f)
		return;
	f->used_us = loop_now(e->loop);
	rewrite(v, v->src, v->l4, &f->original);
}

/* Echo request (out) or reply, either family. */
static bool is_echo(const struct ip_view *v, bool out)
{
	bool six = v->addr_len == 16;

	return v->l4 && v->l4_len >= 8 && v->proto == (six ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
	       v->l4[0] == (out ? (six ? 128 : 8) : (six ? 129 : 0));
}

/* Flows of echoes have the identifier as the client's port. */
static void map_echo_out(struct exit_if *e, struct ip_view *v)
{
	struct addr dst = make_addr(v, v->dst, 0), client = make_addr(v, v->src, get16(v->l4 + 4)), target;

	for (unsigned i = 0; i < e->cfg->n_maps; i++) {
		if (!addr_equal_ip(&e->cfg->map[i].from, &dst))
			continue;
		target = presented(&e->cfg->map[i].to);
		target.port = 0;
		flow_add(e, v->proto, &client, &target, &dst);
		rewrite_ip(v, v->dst, v->proto == IPPROTO_ICMPV6 ? v->l4 + 2 : NULL, &target);
		return;
	}
}

static void map_echo_in(struct exit_if *e, struct ip_view *v)
{
	struct addr src = make_addr(v, v->src, 0), client = make_addr(v, v->dst, get16(v->l4 + 4));
	struct flow *f = flow_find(e, v->proto, &client, &src);

	if (!f)
		return;
	f->used_us = loop_now(e->loop);
	rewrite_ip(v, v->src, v->proto == IPPROTO_ICMPV6 ? v->l4 + 2 : NULL, &f->original);
}

/* The packet quoted by an ICMPv4 error names the rewritten destination: put the original one back. */
static void map_error(struct exit_if *e, struct ip_view *v)
{
	struct ip_view in;
	struct addr client, target;
	struct flow *f;
	uint8_t *icmp = v->l4;

	if (v->proto != IPPROTO_ICMP || !icmp || v->l4_len < 8 + 28 || (icmp[0] != 3 && icmp[0] != 11) ||
	    !view(&in, icmp + 8, v->l4_len - 8) || !in.l4 || in.l4_len < 8 ||
	    (in.proto != IPPROTO_TCP && in.proto != IPPROTO_UDP))
		return;
	client = make_addr(&in, in.src, get16(in.l4));
	target = make_addr(&in, in.dst, get16(in.l4 + 2));
	f = flow_find(e, in.proto, &client, &target);
	if (!f)
		return;
	ck_update(in.hdr_ck, in.dst, f->original.ip, 4);
	memcpy(in.dst, f->original.ip, 4);
	put16(in.l4 + 2, f->original.port);
	put16(icmp + 2, 0);
	put16(icmp + 2, ippkt_fold(ippkt_sum(0, icmp, v->l4_len)));
}

/* ---- towards libslirp ---- */

static void to_slirp(struct exit_if *e, const uint8_t guest[6], uint16_t type, size_t len)
{
	memcpy(e->frame, mac_slirp, 6);
	memcpy(e->frame + 6, guest, 6);
	put16(e->frame + 12, type);
	slirp_input(e->slirp, e->frame, (int)(ETH_HDR + len));
}

/* A guest's hardware address is made of the low bytes of its tunnel address, the same for both families. */
static void guest_mac(uint8_t mac[6], const uint8_t *ip, size_t addr_len)
{
	memcpy(mac, (uint8_t[4]){ 0x52, 0x54, 0x00, 0x12 }, 4);
	memcpy(mac + 4, ip + addr_len - 2, 2);
}

/* RFC 792: quotes the header and eight bytes. */
static void time_exceeded(struct exit_if *e, const uint8_t *pkt, size_t len)
{
	size_t quote = (size_t)(pkt[0] & 15) * 4 + 8, total;
	uint8_t *o = e->out;

	if (quote > len)
		quote = len;
	total = 28 + quote;
	memset(o, 0, 28);
	o[0] = 0x45;
	put16(o + 2, (uint16_t)total);
	o[8] = 64;
	o[9] = IPPROTO_ICMP;
	memcpy(o + 12, (uint8_t[4]){ 10, 0, 0, 1 }, 4);
	memcpy(o + 16, pkt + 12, 4);
	put16(o + 10, ippkt_fold(ippkt_sum(0, o, 20)));
	o[20] = 11;
	memcpy(o + 28, pkt, quote);
	put16(o + 22, ippkt_fold(ippkt_sum(0, o + 20, 8 + quote)));
	e->recv(e->owner, o, total);
}

void exit_if_send(struct exit_if *e, const uint8_t *pkt, size_t len)
{
	uint8_t mac[6], *p = e->frame + ETH_HDR;
	struct ip_view v;

	if (len > FRAME_MAX - ETH_HDR)
		return;
	memcpy(p, pkt, len);
	if (!view(&v, p, len))
		return;
	if (v.addr_len == 4 && p[8] <= 1) {
		time_exceeded(e, pkt, len);
		return;
	}
	if (has_ports(&v))
		map_out(e, &v);
	else if (is_echo(&v, true))
		map_echo_out(e, &v);
	guest_mac(mac, v.src, v.addr_len);
	to_slirp(e, mac, v.addr_len == 4 ? ETH_IP4 : ETH_IP6, len);
}

/* ---- from libslirp ---- */

static void answer_arp(struct exit_if *e, const uint8_t *arp, size_t len)
{
	uint8_t mac[6], *r = e->frame + ETH_HDR;

	if (len < 28 || get16(arp + 6) != 1 || arp[24] != 10 || arp[25] != 0)
		return;
	guest_mac(mac, arp + 24, 4);
	memcpy(r, arp, 6);
	put16(r + 6, 2);
	memcpy(r + 8, mac, 6);
	memcpy(r + 14, arp + 24, 4);
	memcpy(r + 18, arp + 8, 6);
	memcpy(r + 24, arp + 14, 4);
	to_slirp(e, mac, ETH_ARP, 28);
	e->fired = true; /* what waited for the answer is sent by the next poll only */
}

/* RFC 4861 neighbour advertisement for the target of a solicitation. True when pkt
 * was neighbour discovery. */
static bool answer_ndp(struct exit_if *e, const uint8_t *pkt, size_t len)
{
	uint8_t mac[6], *r = e->frame + ETH_HDR;
	uint32_t acc;

	if (len < 40 + 8 || pkt[6] != IPPROTO_ICMPV6 || pkt[40] < 133 || pkt[40] > 137)
		return false;
	if (pkt[40] != 135 || len < 64)
		return true;
	guest_mac(mac, pkt + 48, 16);
	memset(r, 0, 72);
	r[0] = 0x60;
	put16(r + 4, 32);
	r[6] = IPPROTO_ICMPV6;
	r[7] = 255;
	memcpy(r + 8, pkt + 48, 16);
	memcpy(r + 24, pkt + 8, 16);
	r[40] = 136;
	r[44] = 0x60; /* solicited, override */
	memcpy(r + 48, pkt + 48, 16);
	r[64] = 2; /* target link-layer address */
	r[65] = 1;
	memcpy(r + 66, mac, 6);
	acc = ippkt_sum(0, r + 8, 32) + 32 + IPPROTO_ICMPV6;
	put16(r + 42, ippkt_fold(ippkt_sum(acc, r + 40, 32)));
	to_slirp(e, mac, ETH_IP6, 72);
	e->fired = true;
	return true;
}

/*
 * libslirp ends a connection it could not make with FIN and sequence number 0, which says nothing to a side
 * that still waits for its SYN to be answered. A reset does.
 */
static void refuse_failed(struct ip_view *v)
{
	uint8_t rst_ack = TH_RST | TH_ACK, *flags;

	if (v->proto != IPPROTO_TCP || !v->l4 || v->l4_len < 20 || get16(v->l4 + 4) || get16(v->l4 + 6))
		return;
	flags = v->l4 + 12; /* header length and flags, one word of the checksum */
	if ((flags[1] & (TH_FIN | TH_SYN | TH_RST)) != TH_FIN)
		return;
	ck_update(v->l4 + 16, flags, (uint8_t[2]){ flags[0], rst_ack }, 2);
	flags[1] = rst_ack;
}

/*
 * libslirp offers segments of its own interface's size. Servers on the internet offer those of theirs, and an
 * exit host changes nothing about that (ipr.md 6.8).
 */
static void offer_ethernet(struct ip_view *v)
{
	uint16_t mss = v->addr_len == 4 ? 1460 : 1440;
	uint8_t offer[2], *opt = v->l4 + 20;

	if (v->proto != IPPROTO_TCP || !v->l4 || v->l4_len < 24 ||
	    (v->l4[13] & (TH_SYN | TH_ACK)) != (TH_SYN | TH_ACK) || opt[0] != TCPOPT_MAXSEG ||
	    opt[1] != TCPOLEN_MAXSEG)
		return;
	put16(offer, mss);
	ck_update(v->l4 + 16, opt + 2, offer, 2);
	memcpy(opt + 2, offer, 2);
}

static ssize_t from_slirp(const void *buf, size_t len, void *opaque)
{
	struct exit_if *e = opaque;
	const uint8_t *f = buf;
	struct ip_view v;
	uint16_t type;

	if (len < ETH_HDR || len > sizeof(e->out))
		return (ssize_t)len;
	type = get16(f + 12);
	if (type == ETH_ARP)
		answer_arp(e, f + ETH_HDR, len - ETH_HDR);
	if (type != ETH_IP4 && type != ETH_IP6)
		return (ssize_t)len;
	if (type == ETH_IP6 && answer_ndp(e, f + ETH_HDR, len - ETH_HDR))
		return (ssize_t)len;
	memcpy(e->out, f + ETH_HDR, len - ETH_HDR);
	if (!view(&v, e->out, len - ETH_HDR))
		return (ssize_t)len;
	refuse_failed(&v);
	offer_ethernet(&v);
	if (has_ports(&v))
		map_in(e, &v);
	else if (is_echo(&v, false))
		map_echo_in(e, &v);
	else
		map_error(e, &v);
	e->recv(e->owner, e->out, len - ETH_HDR);
	return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
	(void)opaque;
	log_debug("exit: %s", msg);
}

static int64_t clock_ns(void *opaque)
{
	struct exit_if *e = opaque;

	return (int64_t)(loop_now(e->loop) * 1000);
}

static void timer_fired(void *owner)
{
	struct slirp_timer *t = owner;

	t->cb(t->opaque);
}

static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct exit_if *e = opaque;
	struct slirp_timer *t = calloc(1, sizeof(*t));

	if (!t)
		abort(); /* allowed: libslirp has no way to hear that a timer could not be made */
	t->cb = cb;
	t->opaque = cb_opaque;
	loop_timer_init(e->loop, &t->timer, timer_fired, t);
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct slirp_timer *t = timer;

	(void)opaque;
	loop_timer_stop(&t->timer);
	free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct slirp_timer *t = timer;

	(void)opaque;
	loop_timer_set(&t->timer, (uint64_t)expire_ms * US_PER_MS);
}

/* ---- polling ---- */

static void fd_event(void *owner, uint32_t events)
{
	struct poll_fd *p = owner;

	p->got |= events;
	p->exit->fired = true;
}

static struct poll_fd *poll_find(struct exit_if *e, int fd)
{
	for (int i = 0; i < e->n_fds; i++)
		if (e->fds[i].in_use && e->fds[i].fd == fd)
			return &e->fds[i];
	return NULL;
}

static void poll_drop(struct exit_if *e, struct poll_fd *p)
{
	loop_watch_remove(&p->watch);
	p->in_use = false;
	p->got = 0;
	while (e->n_fds && !e->fds[e->n_fds - 1].in_use)
		e->n_fds--;
}

static void register_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

/* Called before libslirp closes fd: the number may be used again at once. */
static void unregister_fd(int fd, void *opaque)
{
	struct exit_if *e = opaque;
	struct poll_fd *p = poll_find(e, fd);

	if (p)
		poll_drop(e, p);
}

static void notify(void *opaque)
{
	(void)opaque;
}

static int add_poll(int fd, int events, void *opaque)
{
	struct exit_if *e = opaque;
	struct poll_fd *p = poll_find(e, fd);
	uint32_t want = (events & SLIRP_POLL_IN ? LOOP_IN : 0u) | (events & SLIRP_POLL_OUT ? LOOP_OUT : 0u);

	for (int i = 0; !p && i < POLL_MAX; i++) {
		if (e->fds[i].in_use)
			continue;
		p = &e->fds[i];
		memset(p, 0, sizeof(*p));
		p->exit = e;
		p->fd = fd;
		if (loop_watch_add(e->loop, &p->watch, fd, want, fd_event, p) < 0)
			return -1;
		p->in_use = true;
		p->want = want;
		if (i >= e->n_fds)
			e->n_fds = i + 1;
	}
	if (!p)
		return -1;
	if (p->want != want)
		loop_watch_set(&p->watch, want);
	p->want = want;
	p->named = true;
	return (int)(p - e->fds);
}

static int get_revents(int idx, void *opaque)
{
	struct exit_if *e = opaque;
	struct poll_fd *p;
	int r;

	if (idx < 0 || idx >= POLL_MAX || !e->fds[idx].in_use)
		return 0;
	p = &e->fds[idx];
	r = (p->got & LOOP_IN ? SLIRP_POLL_IN : 0) | (p->got & LOOP_OUT ? SLIRP_POLL_OUT : 0) |
	    (p->got & LOOP_ERR ? SLIRP_POLL_ERR : 0) | (p->got & LOOP_HUP ? SLIRP_POLL_HUP : 0);
	p->got = 0;
	return r;
}

static void timeout_over(void *owner)
{
	struct exit_if *e = owner;

	e->fired = true;
}

static void poll_one(struct exit_if *e)
{
	uint32_t timeout_ms = UINT32_MAX;

	while (e->fired) { /* a poll may ask for one neighbour more, each only once */
		e->fired = false;
		e->polled_us = loop_now(e->loop);
		slirp_pollfds_poll(e->slirp, 0, get_revents, e);
	}
	for (int i = 0; i < e->n_fds; i++)
		e->fds[i].named = false;
	slirp_pollfds_fill(e->slirp, &timeout_ms, add_poll, e);
	for (int i = 0; i < e->n_fds; i++)
		if (e->fds[i].in_use && !e->fds[i].named)
			poll_drop(e, &e->fds[i]);
	/* From the last poll on: batches without an event for libslirp must not put its timers off. */
	loop_timer_set(&e->timer,
		       timeout_ms == UINT32_MAX ? TIME_NEVER : e->polled_us + timeout_ms * US_PER_MS);
}

static void after_batch(void *owner)
{
	(void)owner;
	list_for_each(it, &exits)
		poll_one(container_of(it, struct exit_if, link));
}

/* ---- life ---- */

static const SlirpCb callbacks = {
	.send_packet = from_slirp,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = register_fd,
	.unregister_poll_fd = unregister_fd,
	.notify = notify,
};

struct exit_if *exit_if_new(struct loop *loop, const struct localnet_cfg *cfg, const struct addr *source,
			    void (*recv)(void *owner, const uint8_t *pkt, size_t len), void *owner)
{
	struct exit_if *e = calloc(1, sizeof(*e));
	SlirpConfig sc = { .version = 4,
			   .in_enabled = true,
			   .in6_enabled = true,
			   .disable_dns = true,
			   .disable_dhcp = true,
			   .vprefix_len = 64 };

	if (!e)
		return NULL;
	e->loop = loop;
	e->cfg = cfg;
	e->recv = recv;
	e->owner = owner;
	inet_pton(AF_INET, "10.0.0.0", &sc.vnetwork);
	inet_pton(AF_INET, "255.255.0.0", &sc.vnetmask);
	inet_pton(AF_INET, "10.0.0.1", &sc.vhost);
	inet_pton(AF_INET, "10.0.255.255", &sc.vnameserver);
	inet_pton(AF_INET, "10.0.255.255", &sc.vdhcp_start);
	inet_pton(AF_INET6, "fc00::", &sc.vprefix_addr6);
	inet_pton(AF_INET6, "fc00::1", &sc.vhost6);
	inet_pton(AF_INET6, "fc00::ffff:ffff", &sc.vnameserver6);
	sc.if_mtu = cfg->mtu;
	sc.if_mru = 1600;
	if (source->family) {
		addr_to_sockaddr(source, &e->source, false);
		if (source->family == 4)
			sc.outbound_addr = (struct sockaddr_in *)&e->source;
		else
			sc.outbound_addr6 = (struct sockaddr_in6 *)&e->source;
	}
	e->slirp = slirp_new(&sc, &callbacks, e);
	if (!e->slirp) {
		free(e);
		errno = ENOMEM;
		return NULL;
	}
	loop_timer_init(loop, &e->timer, timeout_over, e);
	list_push_back(&exits, &e->link);
	loop_set_after(loop, after_batch, NULL);
	return e;
}

void exit_if_free(struct exit_if *e)
{
	if (!e)
		return;
	list_remove(&e->link);
	if (list_empty(&exits))
		loop_set_after(e->loop, NULL, NULL);
	loop_timer_stop(&e->timer);
	slirp_cleanup(e->slirp);
	for (int i = 0; i < e->n_fds; i++)
		if (e->fds[i].in_use)
			poll_drop(e, &e->fds[i]);
	free(e);
}
