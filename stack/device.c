/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device.
 *
 * Theory of operation. lwIP has one interface without link layer. What it sends is made contiguous and given
 * to the packet link; when the link is full, lwIP hears ERR_MEM, keeps the segment and is asked again when
 * there is room (writable). What comes from the link is checked (length, version, destination is ours) and
 * passed to ip_input. ICMP is read here and not by lwIP: errors are matched to the socket whose packet they
 * quote, echo replies to echo sockets.
 *
 * lwIP's state is global, so this file's is too: one of the three allowed globals. Everything runs in the
 * loop's thread.
 *
 * Exits take longer packets than they send. lwIP's interface has the larger MTU, so that segments over IPv4
 * go out as long as the far side allows; SYNs offer the segments that the way back can carry. Over IPv6,
 * where nobody on the way may fragment, both are the smaller one.
 *
 * Datagrams sent while the link is lost wait for it, the last few of them and not for long: a gateway that
 * restarts is back after some seconds, but who asked a name server just before that asks again only when its
 * own timer says so.
 *
 * Time: lwIP's clock is the loop's. device_after() runs due lwIP timers after each batch and arms one loop
 * timer for the next.
 */
#include "stack/device.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/log.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "lwip_hooks.h"
#include "mixnet/prim.h"
#include "stack/pathmtu.h"

#define PACKET_MAX 1600
#define RTO_MAX_MS 120000
#define LEFT_MAX_MS 1800000
#define DEFAULT_MTU 1420
#define ISN_KEY 32
#define ISN_PER_US 16
#define HELD_PACKETS 32	       /* beyond, the oldest is dropped */
#define HELD_US (5 * US_PER_S) /* what resolvers wait: then they have asked again, or given up */

struct held {
	uint64_t at_us, flow;
	size_t len;
	uint8_t data[PACKET_MAX];
};

static struct {
	bool used, up, lwip_ready;
	struct loop *loop;
	struct pktlink *link;
	struct rng *rng;
	struct device_ops ops;
	struct netif netif;
	struct loop_timer timer;
	struct addr ip4, ip6;
	unsigned mtu, mtu_up;
	bool full; /* the link said -ENOBUFS */
	uint64_t dropped;
	uint8_t isn_key[ISN_KEY];
	uint8_t out[PACKET_MAX];
	struct held held[HELD_PACKETS]; /* a ring */
	unsigned held_first, n_held;
} dev;

/* ---- what lwIP asks of the platform ---- */

u32_t sys_now(void)
{
	return (u32_t)(loop_now(dev.loop) / US_PER_MS);
}

uint32_t stack_rand(void)
{
	return rng_u32(dev.rng);
}

/*
 * RFC 6528, with Linux's pace: on ports that were used before, numbers go on behind those of the connection
 * that the far side may still remember in TIME-WAIT; it would not take the SYN otherwise.
 */
u32_t stack_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
		    u16_t remote_port)
{
	struct {
		uint8_t key[ISN_KEY];
		struct addr local, remote;
	} in;
	uint8_t out[32];
	uint32_t f;

	memset(&in, 0, sizeof(in));
	memcpy(in.key, dev.isn_key, sizeof(in.key));
	device_from_lwip(&in.local, local_ip, local_port);
	device_from_lwip(&in.remote, remote_ip, remote_port);
	prim_blake3(out, &in, sizeof(in));
	prim_wipe(&in, sizeof(in));
	memcpy(&f, out, sizeof(f));
	return f + (uint32_t)(loop_now(dev.loop) * ISN_PER_US);
}

/*
 * lwIP takes a maximum segment size from any segment. A smaller one than that of the segments it has made
 * ends the process. Of what options it knows none counts outside of SYNs, so there are none. options: bytes
 * of them, here: right behind the header; the others are in the next buffer.
 */
err_t stack_tcp_in(struct tcp_hdr *hdr, u16_t options, u16_t here, u8_t *rest)
{
	if (TCPH_FLAGS(hdr) & TCP_SYN)
		return ERR_OK;
	memset(hdr + 1, LWIP_TCP_OPT_EOL, here);
	if (rest)
		memset(rest, LWIP_TCP_OPT_EOL, (size_t)(options - here));
	return ERR_OK;
}

/* ---- addresses ---- */

void device_to_lwip(ip_addr_t *out, const struct addr *a)
{
	if (a->family == 4) {
		uint32_t v;

		memcpy(&v, a->ip, 4);
		ip_addr_set_ip4_u32(out, v);
	} else {
		memset(out, 0, sizeof(*out));
		IP_SET_TYPE(out, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(out)->addr, a->ip, 16);
	}
}

void device_from_lwip(struct addr *out, const ip_addr_t *ip, uint16_t port)
{
	memset(out, 0, sizeof(*out));
	out->port = port;
	if (IP_IS_V4(ip)) {
		out->family = 4;
		memcpy(out->ip, &ip_2_ip4(ip)->addr, 4);
	} else {
		out->family = 6;
		memcpy(out->ip, ip_2_ip6(ip)->addr, 16);
	}
}

struct addr device_addr(uint8_t family)
{
	return family == 6 ? dev.ip6 : dev.ip4;
}

bool device_up(void)
{
	return dev.up;
}

unsigned device_mtu(void)
{
	return dev.mtu;
}

bool device_tight(void)
{
	return dev.link->tight && dev.link->tight(dev.link);
}

uint64_t device_rtt(void)
{
	return dev.link->rtt_us ? dev.link->rtt_us(dev.link) : 0;
}

uint64_t device_dropped(void)
{
	return dev.dropped;
}

/* ---- out ---- */

/* Packets of one connection share a flow: ports and the far address's last bytes. */
static uint64_t flow_of(const uint8_t *p, size_t len)
{
	size_t hl = p[0] >> 4 == 4 ? (size_t)(p[0] & 15) * 4 : 40;
	const uint8_t *dst = p[0] >> 4 == 4 ? p + 16 : p + 36;
	uint64_t flow;

	if (len < hl + 4)
		return 0;
	flow = (uint64_t)dst[2] << 40 | (uint64_t)dst[3] << 32;
	for (int i = 0; i < 4; i++)
		flow |= (uint64_t)p[hl + (size_t)i] << (8 * i);
	return flow | UINT64_C(1) << 63;
}

static uint16_t checksum(const uint8_t *p, size_t len, uint32_t acc)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		acc += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		acc += (uint32_t)p[len - 1] << 8;
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

/* A SYN of lwIP begins its options with the largest segment it wants: what the way back can carry. */
static void offer(uint8_t *p, size_t len)
{
	bool six = p[0] >> 4 == 6;
	size_t hl = six ? 40 : (size_t)(p[0] & 15) * 4;
	uint8_t *tcp = p + hl, *mss = tcp + 22;
	uint16_t fits = (uint16_t)(dev.mtu - (six ? 60 : 40)), ck;

	if ((six ? p[6] : p[9]) != IPPROTO_TCP || len < hl + 24 || !(tcp[13] & TCP_SYN) ||
	    tcp[20] != LWIP_TCP_OPT_MSS || (mss[0] << 8 | mss[1]) <= fits)
		return;
	/* RFC 1624; checksum() gives the complement of a sum */
	ck = checksum((uint8_t[]){ (uint8_t)~tcp[16], (uint8_t)~tcp[17], (uint8_t)~mss[0], (uint8_t)~mss[1],
				   (uint8_t)(fits >> 8), (uint8_t)fits },
		      6, 0);
	tcp[16] = (uint8_t)(ck >> 8);
	tcp[17] = (uint8_t)ck;
	mss[0] = (uint8_t)(fits >> 8);
	mss[1] = (uint8_t)fits;
}

/* A datagram in dev.out: sent, or kept until there is a link. 0 or -errno. */
static int send_datagram(size_t len, uint64_t flow)
{
	struct held *h;

	if (dev.up)
		return dev.link->send(dev.link, dev.out, len, flow);
	if (dev.n_held == HELD_PACKETS) {
		dev.held_first = (dev.held_first + 1) % HELD_PACKETS;
		dev.n_held--;
	}
	h = &dev.held[(dev.held_first + dev.n_held++) % HELD_PACKETS];
	h->at_us = loop_now(dev.loop);
	h->flow = flow;
	h->len = len;
	memcpy(h->data, dev.out, len);
	return 0;
}

static void send_held(void)
{
	for (; dev.n_held; dev.n_held--) {
		const struct held *h = &dev.held[dev.held_first];

		dev.held_first = (dev.held_first + 1) % HELD_PACKETS;
		if (loop_now(dev.loop) < h->at_us + HELD_US)
			dev.link->send(dev.link, h->data, h->len, h->flow);
	}
}

static err_t output(struct pbuf *p)
{
	int r;

	if (p->tot_len > PACKET_MAX)
		return ERR_BUF;
	pbuf_copy_partial(p, dev.out, p->tot_len, 0);
	if ((dev.out[0] >> 4 == 6 ? dev.out[6] : dev.out[9]) == IPPROTO_UDP)
		return send_datagram(p->tot_len, flow_of(dev.out, p->tot_len)) ? ERR_MEM : ERR_OK;
	if (!dev.up) /* nor under an address that is no longer ours */
		return ERR_MEM;
	if (dev.mtu_up > dev.mtu)
		offer(dev.out, p->tot_len);
	r = dev.link->send(dev.link, dev.out, p->tot_len, flow_of(dev.out, p->tot_len));
	if (r == -ENOBUFS)
		dev.full = true;
	return r == 0 ? ERR_OK : ERR_MEM;
}

static err_t output4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	(void)n;
	(void)to;
	return output(p);
}

static err_t output6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
	(void)n;
	(void)to;
	return output(p);
}

int device_send_icmp(const struct addr *to, uint8_t *msg, size_t len, uint8_t ttl, uint8_t tos)
{
	const struct addr *from = to->family == 4 ? &dev.ip4 : &dev.ip6;
	uint8_t *h = dev.out;
	size_t hl = to->family == 4 ? 20 : 40;
	uint16_t ck;

	if (!from->family)
		return -ENETUNREACH;
	if (len < 8 || hl + len > dev.mtu)
		return -EMSGSIZE;
	memset(h, 0, hl);
	msg[2] = msg[3] = 0;
	if (to->family == 4) {
		h[0] = 0x45;
		h[1] = tos;
		h[2] = (uint8_t)((hl + len) >> 8);
		h[3] = (uint8_t)(hl + len);
		h[6] = 0x40; /* do not fragment */
		h[8] = ttl;
		h[9] = IPPROTO_ICMP;
		memcpy(h + 12, from->ip, 4);
		memcpy(h + 16, to->ip, 4);
		ck = checksum(h, 20, 0);
		h[10] = (uint8_t)(ck >> 8);
		h[11] = (uint8_t)ck;
		ck = checksum(msg, len, 0);
	} else {
		h[0] = (uint8_t)(0x60 | tos >> 4);
		h[1] = (uint8_t)(tos << 4);
		h[4] = (uint8_t)(len >> 8);
		h[5] = (uint8_t)len;
		h[6] = IPPROTO_ICMPV6;
		h[7] = ttl;
		memcpy(h + 8, from->ip, 16);
		memcpy(h + 24, to->ip, 16);
		ck = (uint16_t)~checksum(h + 8, 32, (uint32_t)len + IPPROTO_ICMPV6);
		ck = checksum(msg, len, ck);
	}
	msg[2] = (uint8_t)(ck >> 8);
	msg[3] = (uint8_t)ck;
	memcpy(h + hl, msg, len);
	return send_datagram(hl + len, 0);
}

/* ---- in ---- */

/* Kernel: icmp_err_convert and udp_err(), icmpv6_err_convert and udpv6_err(). */
static void classify4(struct device_icmp *e, const uint8_t *icmp)
{
	static const struct {
		int err;
		bool hard;
	} unreach[] = {
		{ ENETUNREACH, false },	 { EHOSTUNREACH, false }, { ENOPROTOOPT, true },
		{ ECONNREFUSED, true },	 { EMSGSIZE, true },	  { EOPNOTSUPP, false },
		{ ENETUNREACH, true },	 { EHOSTDOWN, true },	  { ENONET, true },
		{ ENETUNREACH, true },	 { EHOSTUNREACH, true },  { ENETUNREACH, false },
		{ EHOSTUNREACH, false }, { EHOSTUNREACH, true },  { EHOSTUNREACH, true },
		{ EHOSTUNREACH, true },
	};

	if (e->type == 3 && e->code < sizeof(unreach) / sizeof(unreach[0])) {
		e->err = unreach[e->code].err;
		e->hard = unreach[e->code].hard;
		e->unreachable = e->code != 4;
		e->info = e->code == 4 ? (uint32_t)(icmp[6] << 8 | icmp[7]) : 0;
	} else if (e->type == 11) {
		e->err = EHOSTUNREACH;
	} else if (e->type == 12) {
		e->err = EPROTO;
		e->hard = true;
	}
}

static void classify6(struct device_icmp *e, const uint8_t *icmp)
{
	static const struct {
		int err;
		bool hard;
	} unreach[] = {
		{ ENETUNREACH, false }, { EACCES, true }, { EHOSTUNREACH, false }, { EHOSTUNREACH, false },
		{ ECONNREFUSED, true }, { EACCES, true }, { EACCES, true },
	};

	if (e->type == 1 && e->code < sizeof(unreach) / sizeof(unreach[0])) {
		e->err = unreach[e->code].err;
		e->hard = unreach[e->code].hard;
		e->unreachable = true;
	} else if (e->type == 2) {
		e->err = EMSGSIZE;
		e->hard = true;
		e->info =
			(uint32_t)icmp[4] << 24 | (uint32_t)icmp[5] << 16 | (uint32_t)icmp[6] << 8 | icmp[7];
	} else if (e->type == 3) {
		e->err = EHOSTUNREACH;
	} else if (e->type == 4) {
		e->err = EPROTO;
		e->hard = true;
	}
}

/* An error from another host about the packet it quotes: ours, so source is local. */
static void icmp_error(const struct addr *from, const uint8_t *icmp, size_t len)
{
	const uint8_t *q = icmp + 8;
	bool six = from->family == 6;
	size_t hl = six ? 40 : 20;
	struct device_icmp e = {
		.offender = *from, .type = icmp[0], .code = icmp[1], .remote = { .family = from->family }
	};

	len -= 8;
	if (len < hl + 8 || q[0] >> 4 != from->family)
		return;
	if (!six)
		hl = (size_t)(q[0] & 15) * 4;
	if (hl < 20 || len < hl + 8)
		return;
	if (six)
		classify6(&e, icmp);
	else
		classify4(&e, icmp);
	if (!e.err)
		return;
	memcpy(e.remote.ip, six ? q + 24 : q + 16, six ? 16 : 4);
	e.proto = six ? q[6] : q[9];
	if (e.proto == (six ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		if (q[hl] != (six ? 128 : 8))
			return;
		e.local_port = (uint16_t)(q[hl + 4] << 8 | q[hl + 5]);
		e.quote = q + hl;
		e.len = len - hl;
	} else {
		e.local_port = (uint16_t)(q[hl] << 8 | q[hl + 1]);
		e.remote.port = (uint16_t)(q[hl + 2] << 8 | q[hl + 3]);
		e.quote = q + hl + 8;
		e.len = len - hl - 8;
	}
	if (six && e.proto == IPPROTO_TCP && e.err == EMSGSIZE)
		pathmtu_exceeded(&(struct pathmtu_report){ .local_port = e.local_port,
							   .remote = &e.remote,
							   .seq = (uint32_t)q[hl + 4] << 24 |
								  (uint32_t)q[hl + 5] << 16 |
								  (uint32_t)q[hl + 6] << 8 | q[hl + 7],
							   .len = (uint32_t)hl + (uint32_t)(q[4] << 8 | q[5]),
							   .mtu = e.info });
	dev.ops.icmp_error(dev.ops.owner, &e);
}

/* True when the packet was ICMP and is done with. */
static bool take_icmp(const uint8_t *p, size_t len)
{
	bool six = p[0] >> 4 == 6;
	size_t hl = six ? 40 : (size_t)(p[0] & 15) * 4;
	struct device_echo e = { .from = { .family = six ? 6 : 4 } };
	uint8_t type;

	if ((six ? p[6] != IPPROTO_ICMPV6 : p[9] != IPPROTO_ICMP))
		return false;
	if (len < hl + 8 ||
	    (!six && (p[6] & 0x3f || p[7]))) { /* a fragment: no request of ours is that long */
		dev.dropped++;
		return true;
	}
	type = p[hl];
	memcpy(e.from.ip, six ? p + 8 : p + 12, six ? 16 : 4);
	e.ttl = six ? p[7] : p[8];
	e.tos = (uint8_t)(six ? p[0] << 4 | p[1] >> 4 : p[1]);
	e.msg = p + hl;
	e.len = len - hl;
	if (type == (six ? 129 : 0))
		dev.ops.echo_reply(dev.ops.owner, &e);
	else if (six ? type < 128 : type == 3 || type == 11 || type == 12)
		icmp_error(&e.from, e.msg, e.len);
	return true;
}

/* Extension headers that nobody sends through an exit are not for lwIP, which reads past their end. Fragments
 * of what we use are. */
static bool plain6(const uint8_t *p, size_t len)
{
	uint8_t next = p[6];
	size_t payload = (size_t)(p[4] << 8 | p[5]);

	if (next == IPPROTO_FRAGMENT)
		return payload >= 8 && len >= 48 && (p[40] == IPPROTO_UDP || p[40] == IPPROTO_TCP);
	return next == IPPROTO_UDP || next == IPPROTO_TCP || next == IPPROTO_ICMPV6;
}

static bool for_us(const uint8_t *p, size_t len)
{
	if (len < 20 || len > PACKET_MAX)
		return false;
	if (p[0] >> 4 == 4)
		return (size_t)(p[0] & 15) * 4 >= 20 && (size_t)(p[0] & 15) * 4 <= len && dev.ip4.family &&
		       !memcmp(p + 16, dev.ip4.ip, 4);
	return p[0] >> 4 == 6 && len >= 40 && dev.ip6.family && !memcmp(p + 24, dev.ip6.ip, 16) &&
	       plain6(p, len);
}

static void link_recv(void *up, const uint8_t *pkt, size_t len)
{
	struct pbuf *p;

	(void)up;
	if (!for_us(pkt, len)) {
		dev.dropped++;
		return;
	}
	if (take_icmp(pkt, len))
		return;
	p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
	if (!p) {
		dev.dropped++;
		return;
	}
	memcpy(p->payload, pkt, len);
	if (ip_input(p, &dev.netif) != ERR_OK)
		pbuf_free(p);
}

/*
 * A SYN that was sent again says nothing about how much the path carries (RFC 5681 3.1 lets the threshold be
 * as high as it likes), but lwIP halves its threshold to two segments: the connection would need minutes to
 * become fast.
 */
void device_tune(struct tcp_pcb *pcb)
{
	pcb->ssthresh = TCP_SND_BUF;
	if (IP_IS_V6(&pcb->remote_ip) && pcb->mss > dev.mtu - 60)
		pcb->mss = (u16_t)(dev.mtu - 60);
}

/* ---- state of the link ---- */

static void set_addresses(void)
{
	ip_addr_t a;
	ip4_addr_t any = { 0 }, mask = { 0xffffffff };

	if (dev.ip4.family) {
		device_to_lwip(&a, &dev.ip4);
		netif_set_addr(&dev.netif, ip_2_ip4(&a), &mask, &any);
	}
	if (dev.ip6.family) {
		device_to_lwip(&a, &dev.ip6);
		netif_ip6_addr_set(&dev.netif, 0, ip_2_ip6(&a));
		netif_ip6_addr_set_state(&dev.netif, 0, IP6_ADDR_PREFERRED);
	} else {
		netif_ip6_addr_set_state(&dev.netif, 0, IP6_ADDR_INVALID);
	}
}

/* What was sent into a dead link is gone. Timers that have backed off meanwhile must not keep it waiting. */
static void retry_soon(void)
{
	for (struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next)
		if (t->nrtx && t->rtime >= 0)
			t->rtime = t->rto;
}

static void link_up(void)
{
	bool changed = dev.ip4.family + dev.ip6.family != 0 &&
		       (!addr_equal_ip(&dev.ip4, &dev.link->ip4) || !addr_equal_ip(&dev.ip6, &dev.link->ip6));

	dev.up = false;
	if (changed) { /* before the new addresses are there: what resets send must not carry them */
		dev.ops.up(dev.ops.owner, true);
		dev.n_held = 0;
	}
	dev.ip4 = dev.link->ip4;
	dev.ip6 = dev.link->ip6;
	dev.mtu = dev.link->mtu ? dev.link->mtu : DEFAULT_MTU;
	dev.mtu_up = dev.link->mtu_up > dev.mtu ? dev.link->mtu_up : dev.mtu;
	dev.netif.mtu = (u16_t)dev.mtu_up;
	set_addresses();
	dev.up = true;
	netif_set_link_up(&dev.netif);
	send_held();
	retry_soon();
	dev.ops.up(dev.ops.owner, false);
}

static void link_event(void *up, enum pktlink_event ev)
{
	(void)up;
	switch (ev) {
	case PKTLINK_UP: link_up(); break;
	case PKTLINK_DOWN:
		dev.up = false;
		dev.ops.down(dev.ops.owner);
		break;
	case PKTLINK_WRITABLE:
		dev.full = false;
		for (struct tcp_pcb *t = tcp_active_pcbs, *next; t && !dev.full; t = next) {
			next = t->next;
			if (t->unsent || t->flags & TF_ACK_NOW)
				tcp_output(t);
		}
		dev.ops.writable(dev.ops.owner);
		break;
	}
}

static err_t netif_setup(struct netif *n)
{
	n->name[0] = 's';
	n->name[1] = 'm';
	n->output = output4;
	n->output_ip6 = output6;
	n->mtu = DEFAULT_MTU;
	n->flags = NETIF_FLAG_UP;
	return ERR_OK;
}

static void timer_fired(void *owner)
{
	(void)owner; /* device_after() does the work at the end of this batch */
}

/*
 * lwIP measures round trips in half seconds, takes the variation of a steady path for nothing, and times
 * segments that it sent again. Its timers must not be shorter than the path: RFC 6298's second, and a round
 * trip. Nor may they double without end: after a few losses on a slow path it would ask every ten minutes and
 * give up after an hour. Linux's longest is two minutes.
 */
static void bound_rto(struct tcp_pcb *t, uint64_t rtt_us)
{
	uint64_t us = US_PER_S + rtt_us;
	s16_t least = (s16_t)((us + TCP_SLOW_INTERVAL * US_PER_MS - 1) / (TCP_SLOW_INTERVAL * US_PER_MS));

	if (t->rto < least)
		t->rto = least;
	else if (t->rto > RTO_MAX_MS / TCP_SLOW_INTERVAL)
		t->rto = RTO_MAX_MS / TCP_SLOW_INTERVAL;
}

/* A window that is smaller than the last segment is filled with the first part of it, which must not carry
 * the FIN: lwIP is to find it cut. */
static void split_last(struct tcp_pcb *t)
{
	if (t->persist_backoff && t->unsent && t->snd_wnd && t->unsent->len > t->snd_wnd &&
	    TCPH_FLAGS(t->unsent->tcphdr) & TCP_FIN)
		pathmtu_split(t, (u16_t)t->snd_wnd);
}

/*
 * Before lwIP's timers run. It goes on asking for a window after the byte that asked was taken, the last one;
 * and ends the process over it. By acknowledgements that are lies it can be brought to wait for ever with
 * what a program left: not longer than half an hour (Linux gives up after 8 to 25 minutes).
 */
static void mend_timers(void)
{
	uint64_t rtt_us = device_rtt();

	for (struct tcp_pcb *t = tcp_active_pcbs, *next; t; t = next) {
		next = t->next;
		bound_rto(t, rtt_us);
		if (!t->unsent)
			t->persist_backoff = 0;
		split_last(t);
		if (t->flags & TF_RXCLOSED && tcp_ticks - t->tmr > LEFT_MAX_MS / TCP_SLOW_INTERVAL)
			tcp_abort(t);
	}
}

void device_after(void)
{
	u32_t ms;

	if (!sys_timeouts_sleeptime())
		mend_timers();
	sys_check_timeouts();
	ms = sys_timeouts_sleeptime();
	loop_timer_set(&dev.timer, ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE
					   ? TIME_NEVER
					   : loop_now(dev.loop) + (ms ? ms : 1) * US_PER_MS);
}

int device_init(struct loop *loop, struct pktlink *link, struct rng *rng, const struct device_ops *ops)
{
	if (dev.used)
		return -EBUSY;
	dev.used = true;
	dev.loop = loop;
	dev.link = link;
	dev.rng = rng;
	dev.ops = *ops;
	dev.up = dev.full = false;
	dev.mtu = dev.mtu_up = DEFAULT_MTU;
	dev.dropped = 0;
	dev.n_held = 0;
	memset(&dev.ip4, 0, sizeof(dev.ip4));
	memset(&dev.ip6, 0, sizeof(dev.ip6));
	rng_fill(rng, dev.isn_key, sizeof(dev.isn_key));
	if (!dev.lwip_ready)
		lwip_init();
	dev.lwip_ready = true;
	netif_add_noaddr(&dev.netif, NULL, netif_setup, ip_input);
	netif_set_default(&dev.netif);
	netif_set_up(&dev.netif);
	loop_timer_init(loop, &dev.timer, timer_fired, NULL);
	link->recv = link_recv;
	link->event = link_event;
	link->up = NULL;
	device_after();
	return 0;
}

void device_done(void)
{
	if (!dev.used)
		return;
	loop_timer_stop(&dev.timer);
	netif_remove(&dev.netif);
	dev.link->recv = NULL;
	dev.link->event = NULL;
	dev.used = dev.up = false;
}
