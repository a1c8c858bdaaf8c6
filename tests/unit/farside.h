/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection of the tunnel and a far side of a few lines, which acknowledges everything and counts what
 * came: an exit of the test network would hide a reset.
 */
#ifndef TESTS_UNIT_FARSIDE_H
#define TESTS_UNIT_FARSIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <linux/ip.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/list.h"
#include "stack/conn_priv.h"
#include "stack/ctl/gate.h"
#include "stack/device.h"
#include "stack/unixdiag.h"
#include "tests/unit/packets.h"

#define QUEUE 64
#define ROUNDS 50

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	char data[8];
};

static struct far {
	struct pktlink link;
	struct packet queue[QUEUE]; /* answers that wait for the next round */
	size_t n_queue;
	struct packet last; /* addresses and ports towards the program */
	uint32_t next, acked;
	unsigned fins, resets;
	size_t bytes;
	bool deaf;     /* nothing reaches it */
	bool mute;     /* it acknowledges nothing */
	uint32_t seen; /* up to here; acknowledged by itself unless mute */
	uint16_t window;
} far;

static struct clock_fake the_time;
static struct loop *loop;
static struct socks socks;
static struct conn *conn;
static int program;

static int sendmsg_error;

/* libc's, unless it is to fail. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (!sendmsg_error)
		return syscall(SYS_sendmsg, fd, m, flags);
	errno = sendmsg_error;
	return -1;
}

/* Puts a segment into the queue. A SYN scales its window, as that of every system of today does. */
static inline void far_sends(uint8_t flags, const char *data)
{
	static const char scale[] = { TCPOPT_NOP, TCPOPT_WINDOW, TCPOLEN_WINDOW, 7, 0 };
	bool syn = flags & TH_SYN, fin = flags & TH_FIN;
	struct packet *p = &far.queue[far.n_queue++];
	size_t len = strlen(syn ? scale : data), tcp_len = sizeof(p->tcp) + len;
	uint32_t pseudo;

	assert_true(far.n_queue <= QUEUE && len <= sizeof(p->data));
	*p = far.last;
	if (syn) {
		data = scale;
		p->tcp.doff = 6;
	}
	memcpy(p->data, data, len);
	p->ip.tot_len = htons((uint16_t)(sizeof(p->ip) + tcp_len));
	p->tcp.seq = htonl(far.next);
	p->tcp.ack_seq = htonl(far.acked);
	p->tcp.syn = syn;
	p->tcp.fin = fin;
	p->tcp.rst = (flags & TH_RST) != 0;
	p->tcp.psh = !syn && len;
	far.next += syn ? 1 : (uint32_t)len + fin;
	p->ip.check = htons((uint16_t)~pk_sum(&p->ip, sizeof(p->ip), 0));
	pseudo = pk_sum(&p->ip.saddr, 8, IPPROTO_TCP + (uint32_t)tcp_len);
	p->tcp.check = htons((uint16_t)~pk_sum(&p->tcp, tcp_len, pseudo));
}

/* What the tunnel sends: counted and acknowledged. */
static inline int far_gets(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct packet p = { 0 };
	size_t head, data;

	(void)l;
	(void)flow;
	memcpy(&p, pkt, len < sizeof(p) ? len : sizeof(p));
	head = sizeof(p.ip) + p.tcp.doff * 4u;
	data = ntohs(p.ip.tot_len) - head;
	far.resets += p.tcp.rst;
	if (far.deaf || p.tcp.rst)
		return 0;
	far.bytes += data;
	far.fins += p.tcp.fin;
	far.seen = ntohl(p.tcp.seq) + (uint32_t)data + p.tcp.syn + p.tcp.fin;
	if (far.mute)
		return 0;
	far.acked = far.seen;
	far.last = (struct packet){ .ip = { .version = 4,
					    .ihl = 5,
					    .ttl = 64,
					    .protocol = IPPROTO_TCP,
					    .saddr = p.ip.daddr,
					    .daddr = p.ip.saddr },
				    .tcp = { .source = p.tcp.dest,
					     .dest = p.tcp.source,
					     .doff = 5,
					     .ack = 1,
					     .window = htons(far.window) } };
	if (data || p.tcp.syn || p.tcp.fin)
		far_sends(p.tcp.syn ? TH_SYN : 0, "");
	return 0;
}

/* A few rounds; time goes on by ms. */
static inline void turn_after(unsigned ms)
{
	the_time.us += ms * US_PER_MS;
	for (int i = 0; i < ROUNDS; i++) {
		struct packet p;

		while (far.n_queue) {
			p = far.queue[0];
			memmove(far.queue, far.queue + 1, --far.n_queue * sizeof(p));
			far.link.recv(far.link.up, (uint8_t *)&p, ntohs(p.ip.tot_len));
		}
		loop_dispatch(loop, 0);
		device_after();
	}
}

static inline void turn(void)
{
	turn_after(1);
}

static inline void none(void *owner)
{
	(void)owner;
}

static inline void none_up(void *owner, bool changed)
{
	(void)owner;
	(void)changed;
}

static inline void none_icmp(void *owner, const struct device_icmp *e)
{
	(void)owner;
	(void)e;
}

static inline int connected(void **state)
{
	static const struct device_ops ops = {
		.up = none_up, .down = none, .writable = none, .icmp_error = none_icmp
	};
	struct stack_cfg cfg = { .buffer = 65536,
				 .buffers = STACK_BUFFERS_DEFAULT,
				 .connect_us = 5 * US_PER_S,
				 .wait_ready_us = US_PER_S,
				 .rng = rng_system() };
	struct addr to;
	int pair[2];

	(void)state;
	far = (struct far){ .link = { .send = far_gets, .mtu = 1420 }, .next = 1000, .window = 60000 };
	if (!the_time.us) /* lwIP's timers remember it */
		clock_fake_init(&the_time, 1000 * US_PER_S, 0);
	loop = loop_new(&the_time.clock);
	assert_non_null(loop);
	socks_init(&socks, loop, &cfg);
	socks.diag = unixdiag_open();
	assert_int_equal(device_init(loop, &far.link, cfg.rng, &ops), 0);
	addr_parse_ip(&far.link.ip4, "10.0.0.9");
	far.link.event(far.link.up, PKTLINK_UP);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	program = pair[0];
	conn = conn_new(&socks, 77, 4, pair[1]);
	assert_non_null(conn);
	addr_parse(&to, "192.88.99.80", 80);
	assert_int_equal(conn_connect(conn, &to), 0);
	turn();
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	return 0;
}

static inline int ended(void **state)
{
	(void)state;
	fd_close(&program);
	turn();
	if (socks_find(&socks, 77))
		conn_free(conn);
	turn();
	fd_close(&socks.diag);
	device_done();
	loop_free(loop);
	return 0;
}

static inline bool forgotten(void)
{
	return !socks_find(&socks, 77);
}

static inline void far_acknowledges(void)
{
	far.mute = false;
	far.acked = far.seen;
	far_sends(0, "");
	turn();
}

#endif
