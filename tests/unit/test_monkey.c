/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections in any order of events: programs that write, read, shut down and close at random, far sides
 * that answer, stall, shut their window, send, end, reset and (half of them) lie at random, a link that is
 * lost, full, and comes back with another address, time that leaps. Whatever happens, honest streams have no
 * holes and nothing is left of them in the end; lwIP's assertions and the sanitizers see the rest.
 *
 * SEED=n begins with that seed and tells what each did, SEEDS=n tries so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <linux/ip.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/rng.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/ctl/ctl.h"
#include "stack/ctl/gate.h"
#include "stack/pairerr.h"
#include "stack/stack.h"
#include "tests/unit/packets.h"

#define SEEDS 300
#define STEPS 400
#define PROGRAMS 6
#define FARS 64
#define QUEUE 64
#define DATA 1200
#define LATE 4000000 /* ms: lwIP has given up whatever it was */

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t data[DATA + 8];
};

/* The far side of one connection. */
struct peer {
	uint16_t port; /* of the tunnel's side; 0: none */
	uint32_t isn, next, una, irs, acked;
	struct packet last;
	bool fin, over; /* its FIN was sent; it answers no more */
};

struct program {
	int fd; /* -1 */
	uint64_t cookie;
	uint32_t got;
};

static struct monkey {
	struct loop *loop;
	struct rng_seeded rng;
	struct pktlink link;
	struct stack *stack;
	char dir[32], ctl[40];
	struct program program[PROGRAMS];
	struct peer peer[FARS];
	unsigned n_peer;
	struct packet queue[QUEUE];
	unsigned n_queue;
	bool full, hostile;
	unsigned bytes, ends, resets;
} m;

static struct clock_fake fake;

static unsigned dice(unsigned n)
{
	return rng_below(&m.rng.rng, n);
}

static uint8_t byte_at(uint32_t n)
{
	return (uint8_t)(n * 2654435761u >> 24);
}

/* What no honest system says. */
static void lie(struct packet *p)
{
	static const uint8_t options[][8] = {
		{ 2, 4, 0, 1, 0 },	     { 2, 4, 0, 0, 3, 3, 14, 0 },  { 3, 3, 200, 0, 2, 4, 255, 255 },
		{ 5, 10, 0, 0, 0, 1, 0, 0 }, { 1, 1, 1, 40, 40, 0, 0, 0 }, { 2, 0, 0, 0, 0, 0, 0, 0 },
	};
	size_t head = sizeof(p->ip) + p->tcp.doff * 4u, len = ntohs(p->ip.tot_len) - head;
	uint8_t *data = (uint8_t *)p + head;

	switch (dice(7)) {
	case 0: p->tcp.ack_seq = htonl(ntohl(p->tcp.ack_seq) + dice(3000) - 1000); break;
	case 1: p->tcp.ack_seq = rng_u32(&m.rng.rng); break;
	case 2: p->tcp.window = (uint16_t)dice(65536); break;
	case 3:
		p->tcp.syn = dice(2) == 0;
		p->tcp.fin = dice(2) == 0;
		p->tcp.ack = dice(4) > 0;
		p->tcp.urg = dice(2) == 0;
		p->tcp.rst = dice(8) == 0;
		break;
	case 4: /* options; what follows moves on */
		if (p->tcp.doff != 5 || len > DATA - 8)
			return;
		memmove(data + 8, data, len);
		memcpy(data, options[dice(6)], 8);
		p->tcp.doff = 7;
		p->ip.tot_len = htons((uint16_t)(head + 8 + len));
		break;
	case 5: p->tcp.doff = dice(16) & 15; break;
	default:
		if (!len) /* far ahead or behind, without a byte */
			p->tcp.seq = htonl(ntohl(p->tcp.seq) + dice(200000) - 100000);
	}
}

static void far_sends(struct peer *e, uint8_t flags, uint32_t seq, size_t len)
{
	static const uint8_t scale[] = { TCPOPT_NOP, TCPOPT_WINDOW, TCPOLEN_WINDOW, 7 };
	struct packet *p = &m.queue[m.n_queue];
	size_t options = flags & TH_SYN ? 4 : 0, tcp_len = sizeof(p->tcp) + options + len;

	if (m.n_queue == QUEUE)
		return;
	m.n_queue++;
	*p = e->last;
	memcpy(p->data, scale, options);
	for (size_t i = 0; i < len; i++)
		p->data[options + i] = byte_at(seq + (uint32_t)i - e->isn - 1);
	p->ip.tot_len = htons((uint16_t)(sizeof(p->ip) + tcp_len));
	p->tcp.seq = htonl(seq);
	p->tcp.ack_seq = htonl(e->acked);
	p->tcp.doff = 5 + (options > 0);
	p->tcp.syn = (flags & TH_SYN) != 0;
	p->tcp.fin = (flags & TH_FIN) != 0;
	p->tcp.rst = (flags & TH_RST) != 0;
	p->tcp.window = htons((uint16_t)(dice(8) ? 2000 : dice(3)));
	if (m.hostile && dice(6) == 0) {
		lie(p);
		tcp_len = ntohs(p->ip.tot_len) - sizeof(p->ip);
	}
	p->ip.check = htons((uint16_t)~pk_sum(&p->ip, sizeof(p->ip), 0));
	p->tcp.check = htons((uint16_t)~pk_sum(&p->tcp, tcp_len,
					       pk_sum(&p->ip.saddr, 8, IPPROTO_TCP + (uint32_t)tcp_len)));
}

static struct peer *peer_of(const struct packet *p)
{
	for (unsigned i = 0; i < m.n_peer; i++)
		if (m.peer[i].port == p->tcp.source && m.peer[i].last.ip.daddr == p->ip.saddr)
			return &m.peer[i];
	if (!p->tcp.syn || m.n_peer == FARS)
		return NULL;
	m.peer[m.n_peer] = (struct peer){ .port = p->tcp.source };
	return &m.peer[m.n_peer++];
}

static int far_gets(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct packet p = { 0 };
	struct peer *e;
	size_t head, data;

	(void)l;
	(void)flow;
	if (m.full)
		return -ENOBUFS;
	memcpy(&p, pkt, len < sizeof(p) ? len : sizeof(p));
	if (p.ip.protocol != IPPROTO_TCP || dice(12) == 0)
		return 0;
	e = peer_of(&p);
	if (!e || e->over)
		return 0;
	head = sizeof(p.ip) + p.tcp.doff * 4u;
	data = ntohs(p.ip.tot_len) - head;
	e->last = (struct packet){ .ip = { .version = 4,
					   .ihl = 5,
					   .ttl = 64,
					   .protocol = IPPROTO_TCP,
					   .saddr = p.ip.daddr,
					   .daddr = p.ip.saddr },
				   .tcp = { .source = p.tcp.dest, .dest = p.tcp.source, .ack = 1 } };
	if (p.tcp.rst) {
		e->over = true;
		return 0;
	}
	if (p.tcp.syn) {
		e->irs = ntohl(p.tcp.seq);
		e->acked = e->irs + 1;
		e->isn = e->isn ? e->isn : dice(1000) + 1;
		e->next = e->una = e->isn + 1;
		if (dice(10) == 0) {
			e->over = true;
			e->isn--;
			far_sends(e, TH_RST, 0, 0);
		} else if (dice(4)) {
			far_sends(e, TH_SYN, e->isn, 0);
		}
		return 0;
	}
	if (p.tcp.ack)
		e->una = ntohl(p.tcp.ack_seq);
	if (ntohl(p.tcp.seq) == e->acked)
		e->acked += (uint32_t)data + p.tcp.fin;
	if (data || p.tcp.fin)
		far_sends(e, 0, e->next + e->fin, 0);
	return 0;
}

static void far_acts(void)
{
	struct peer *e;
	uint32_t seq;
	size_t len;

	if (!m.n_peer)
		return;
	e = &m.peer[dice(m.n_peer)];
	if (e->over || !e->last.ip.version || e->acked == e->irs)
		return;
	switch (dice(10)) {
	default:
		seq = e->fin || dice(3) == 0 ? e->una : e->next; /* again, or new */
		len = dice(2) ? dice(DATA) : 1 + dice(3);
		if (e->fin && seq + len > e->next)
			len = e->next - seq <= DATA ? e->next - seq : 0;
		if (seq + len - e->una > 200000)
			return;
		far_sends(e, 0, seq, len);
		if (!e->fin && (int32_t)(seq + (uint32_t)len - e->next) > 0)
			e->next = seq + (uint32_t)len;
		break;
	case 7:
		if (dice(3) && !e->fin)
			return;
		e->fin = true;
		far_sends(e, TH_FIN, e->next, 0);
		break;
	case 8:
		if (dice(8))
			return;
		e->over = true;
		far_sends(e, TH_RST, e->una, 0);
		break;
	}
}

static void turn(void)
{
	for (int i = 0; i < 3; i++) {
		while (m.n_queue) {
			struct packet p = m.queue[0];

			memmove(m.queue, m.queue + 1, --m.n_queue * sizeof(p));
			if (m.link.recv)
				m.link.recv(m.link.up, (uint8_t *)&p, ntohs(p.ip.tot_len));
		}
		loop_dispatch(m.loop, 0);
	}
}

static void program_opens(struct program *g)
{
	struct ctl_req q = { .op = CTL_SOCKET, .family = 4, .kind = CTL_STREAM };
	uint8_t buf[CTL_MSG_MAX];
	struct sockaddr_un at;
	struct addr to;
	int p[2], s = socket(AF_UNIX, SOCK_SEQPACKET, 0), len = ctl_sockaddr(&at, m.ctl), n;

	assert_int_equal(fd_pair(SOCK_STREAM | SOCK_NONBLOCK, p), 0);
	*g = (struct program){ .fd = p[0] };
	fd_cookie(p[0], &g->cookie);
	q.cookie = g->cookie;
	n = ctl_put_req(buf, sizeof(buf), &q);
	assert_int_equal(connect(s, (struct sockaddr *)&at, (socklen_t)len), 0);
	assert_int_equal(fd_send_fds(s, buf, (size_t)n, &p[1], 1, 0), n);
	close(p[1]);
	turn();
	close(s);
	addr_parse(&to, "192.88.99.80", 80);
	gate_shut(g->fd, g->cookie, &to);
}

/* All far sides send the same stream. */
static void program_reads(struct program *g)
{
	uint8_t buf[3000];
	ssize_t n = recv(g->fd, buf, 1 + dice(sizeof(buf)), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		m.resets++;
		return;
	}
	m.ends += n == 0;
	for (ssize_t i = 0; i < n && !m.hostile; i++)
		assert_int_equal(buf[i], byte_at(g->got++));
	m.bytes += (unsigned)n;
}

static void program_acts(struct program *g)
{
	static const uint8_t much[20000];

	if (g->fd < 0) {
		program_opens(g);
		return;
	}
	switch (dice(12)) {
	case 0:
	case 1:
	case 2: send(g->fd, much, 1 + dice(sizeof(much)), MSG_DONTWAIT | MSG_NOSIGNAL); break;
	case 3: send(g->fd, much, 1, MSG_DONTWAIT | MSG_NOSIGNAL); break;
	case 4:
		if (dice(3) == 0)
			shutdown(g->fd, SHUT_WR);
		break;
	case 5:
		if (dice(3) == 0)
			shutdown(g->fd, (int)dice(3));
		break;
	case 6:
		if (dice(2) == 0)
			fd_close(&g->fd);
		break;
	default: program_reads(g);
	}
}

static void wire_acts(void)
{
	switch (dice(40)) {
	case 0: m.link.event(m.link.up, PKTLINK_DOWN); break;
	case 1:
	case 2:
	case 3:
		if (dice(10) == 0)
			m.link.ip4.ip[3] = (uint8_t)(1 + dice(200));
		m.link.event(m.link.up, PKTLINK_UP);
		break;
	case 4:
	case 5: m.full = true; break;
	case 6:
	case 7:
	case 8:
		m.full = false;
		m.link.event(m.link.up, PKTLINK_WRITABLE);
		break;
	case 9: fake.us += (uint64_t)dice(20) * US_PER_S; break;
	case 10:
		if (dice(10) == 0)
			fake.us += 150 * US_PER_S;
		break;
	default: fake.us += dice(300) * US_PER_MS;
	}
}

static void one(uint64_t seed)
{
	struct stack_cfg cfg = { .buffer = 65536,
				 .buffers = STACK_BUFFERS_DEFAULT,
				 .connect_us = 20 * US_PER_S,
				 .wait_ready_us = 10 * US_PER_S,
				 .n_dns = 1 };
	struct stack_stats st;

	memset(&m, 0, sizeof(m));
	rng_seeded_init(&m.rng, seed);
	cfg.rng = &m.rng.rng;
	m.hostile = dice(2);
	addr_parse(&cfg.dns[0], "9.9.9.9", 53);
	m.link.send = far_gets;
	m.link.mtu = 1420;
	addr_parse_ip(&m.link.ip4, "10.0.0.9");
	m.loop = loop_new(&fake.clock);
	snprintf(m.dir, sizeof(m.dir), "/tmp/smolmix-test-XXXXXX");
	assert_non_null(mkdtemp(m.dir));
	snprintf(m.ctl, sizeof(m.ctl), "%s/ctl", m.dir);
	assert_int_equal(stack_new(&m.stack, m.loop, &m.link, &cfg, m.ctl), 0);
	m.link.event(m.link.up, PKTLINK_UP);
	for (int i = 0; i < PROGRAMS; i++)
		m.program[i].fd = -1;
	for (int i = 0; i < STEPS; i++) {
		program_acts(&m.program[dice(PROGRAMS)]);
		far_acts();
		far_acts();
		wire_acts();
		turn();
	}
	if (dice(2)) { /* all is forgotten when the programs have left and lwIP gave up */
		for (int i = 0; i < PROGRAMS; i++)
			fd_close(&m.program[i].fd);
		m.full = false;
		m.link.event(m.link.up, PKTLINK_UP);
		for (int i = 0; i < LATE / 250 && (!i || tcp_active_pcbs); i++) {
			fake.us += 250 * US_PER_MS;
			turn();
		}
		fake.us += 100 * US_PER_S;
		turn();
		stack_get_stats(m.stack, &st);
		assert_int_equal(st.connections_open, 0);
		/* who lies may go on answering for ever, as long as the program had not closed first */
		for (const struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next)
			assert_true(m.hostile && !(t->flags & TF_RXCLOSED));
	}
	stack_free(m.stack);
	for (int i = 0; i < PROGRAMS; i++)
		fd_close(&m.program[i].fd);
	loop_free(m.loop);
	rmdir(m.dir);
}

static void monkeys(void **state)
{
	const char *s = getenv("SEED"), *n = getenv("SEEDS");
	uint64_t first = s ? strtoull(s, NULL, 10) : 1, last = first + (n ? strtoull(n, NULL, 10) : SEEDS);

	(void)state;
	clock_fake_init(&fake, 1000 * US_PER_S, 0);
	for (uint64_t i = first; i < last; i++) {
		if (s)
			print_message("seed %llu\n", (unsigned long long)i);
		one(i);
		if (s)
			print_message("peers %u bytes %u ends %u resets %u\n", m.n_peer, m.bytes, m.ends,
				      m.resets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(monkeys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
