/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP gets out of the tunnel, without a machine in the way: lwIP with the device, the engines, a network
 * that delays, a model exit and a host behind it with a TCP of its own, all under a fake clock.
 *
 * Theory of operation. Each case has some downloads, some uploads and perhaps an echo of one byte at a time,
 * all from one client. After WARM_S the bytes of MEASURE_S are counted. What is asked of it stands in the
 * table: the rates, and how much may be sent a second time though nothing was lost. No byte may be wrong.
 *
 * Usage: sim_rate [part of a case's name [seed]]. Exit code 1 when a case misses what is asked of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/loop.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "mixnet/ippkt.h"
#include "mixnet/prim.h"
#include "stack/device.h"
#include "stack/rcvwin.h"
#include "tests/sim/far.h"
#include "tests/sim/simnet.h"
#include "tests/unit/packets.h"

#define MS US_PER_MS
#define WARM_S 20
#define MEASURE_S 60
#define YOUNG_WARM_S 2
#define YOUNG_MEASURE_S 8
#define SMALL_BUFFER 65536
#define WRAP_S 620 /* after that, in case 7, lwIP's 32 bits of ms begin anew: the 50th day */
#define START_US ((UINT64_C(1) << 32) * MS - WRAP_S * US_PER_S)
#define CONNS 34
#define ECHOES 400
#define FAR_IP 0xc0586350u

enum role { DOWN = 80, UP = 9, ECHO = 7 }; /* the far port */

struct client {
	struct sim *sim;
	struct tcp_pcb *pcb;
	enum role role;
	uint32_t sent, got; /* bytes of the stream */
	uint64_t asked_us;
	bool connected;
	struct rcvwin win;
};

static const struct shaper_cfg fast = { 4 * MS, 2000 * US_PER_S, 10 * MS, 15 * MS },
			       normal = { 20 * MS, 200 * MS, 15 * MS, 15 * MS };

static const struct rate_case {
	const char *name;
	const struct shaper_cfg *clock;
	uint64_t base_ms, jitter_ms, wander_ms; /* of one way, beside the mixing */
	double loss;				/* of a way, per cent */
	unsigned down, up, echo;
	double down_min, up_min; /* kB/s; 0: not asked for */
	double again_max;	 /* per cent of the bytes sent twice; 100: not asked for */
	double echo_max;	 /* ms; 0: not asked for */
	bool young;		 /* the first seconds count, and the far host has 64 KiB to send from */
} cases[] = {
	{ "default download 1", &normal, 5, 0, 0, 0, 1, 0, 0, 205, 0, 1, 0, false },
	{ "default download 4", &normal, 5, 0, 0, 0, 4, 0, 0, 205, 0, 1, 0, false },
	{ "default download 16", &normal, 5, 0, 0, 0, 16, 0, 0, 205, 0, 1, 0, false },
	{ "default upload 1", &normal, 5, 0, 0, 0, 0, 1, 0, 0, 62, 1, 0, false },
	{ "default upload 4", &normal, 5, 0, 0, 0, 0, 4, 0, 0, 62, 1, 0, false },
	{ "default upload 16", &normal, 5, 0, 0, 0, 0, 16, 0, 0, 62, 1, 0, false },
	{ "default both 2", &normal, 5, 0, 0, 0, 1, 1, 0, 80, 30, 1, 0, false },
	{ "fast download 1", &fast, 5, 0, 0, 0, 1, 0, 0, 900, 0, 1, 0, false },
	{ "fast download 4", &fast, 5, 0, 0, 0, 4, 0, 0, 900, 0, 1, 0, false },
	{ "fast download 16", &fast, 5, 0, 0, 0, 16, 0, 0, 900, 0, 1, 0, false },
	{ "fast upload 1", &fast, 5, 0, 0, 0, 0, 1, 0, 0, 270, 1, 0, false },
	{ "fast upload 4", &fast, 5, 0, 0, 0, 0, 4, 0, 0, 270, 1, 0, false },
	{ "fast both 2", &fast, 5, 0, 0, 0, 1, 1, 0, 400, 150, 1, 0, false },
	/* five legs of 60 ms, with jitter */
	{ "default far download 4", &normal, 300, 60, 0, 0, 4, 0, 0, 0.8 * 205, 0, 1, 0, false },
	{ "default far upload 1", &normal, 300, 60, 0, 0, 0, 1, 0, 0, 0.8 * 62, 1, 0, false },
	{ "fast far download 4", &fast, 300, 60, 0, 0, 4, 0, 0, 0.8 * 900, 0, 1, 0, false },
	{ "fast far upload 1", &fast, 300, 60, 0, 0, 0, 1, 0, 0, 0.8 * 270, 1, 0, false },
	/* round trips of 2 s, and 1 s more or less: all together, and each packet for itself */
	{ "wandering download 1", &normal, 450, 0, 1000, 0, 1, 0, 0, 100, 0, 1, 0, false },
	{ "wandering upload 1", &normal, 450, 0, 1000, 0, 0, 1, 0, 0, 50, 1, 0, false },
	{ "jittering download 1", &normal, 450, 1000, 0, 0, 1, 0, 0, 100, 0, 1, 0, false },
	{ "jittering upload 1", &normal, 450, 1000, 0, 0, 0, 1, 0, 0, 50, 1, 0, false },
	{ "loss 1% download 4", &normal, 100, 0, 0, 1, 4, 0, 0, 150, 0, 100, 0, false },
	{ "loss 1% upload 1", &normal, 100, 0, 0, 1, 0, 1, 0, 0, 60, 1, 0, false },
	{ "loss 3% upload 1", &normal, 100, 0, 0, 3, 0, 1, 0, 0, 50, 1, 0, false },
	{ "fast loss 1% upload 1", &fast, 100, 0, 0, 1, 0, 1, 0, 0, 200, 1, 0, false },
	{ "near echo alone", &normal, 5, 0, 0, 0, 0, 0, 1, 0, 0, 100, 140, false },
	{ "near echo beside download", &normal, 5, 0, 0, 0, 1, 0, 1, 200, 0, 5, 145, false },
	{ "near echo beside 4 downloads", &normal, 5, 0, 0, 0, 4, 0, 1, 200, 0, 5, 145, false },
	{ "near echo beside young download", &normal, 5, 0, 0, 0, 1, 0, 1, 180, 0, 5, 165, true },
	{ "echo alone", &normal, 100, 0, 0, 0, 0, 0, 1, 0, 0, 100, 340, false },
	{ "echo beside download", &normal, 100, 0, 0, 0, 1, 0, 1, 200, 0, 5, 345, false },
	{ "echo beside 4 downloads", &normal, 100, 0, 0, 0, 4, 0, 1, 200, 0, 5, 345, false },
	{ "echo beside upload", &normal, 100, 0, 0, 0, 0, 1, 1, 0, 55, 5, 490, false },
	{ "fast echo alone", &fast, 100, 0, 0, 0, 0, 0, 1, 0, 0, 100, 290, false },
	{ "fast echo beside 4 downloads", &fast, 100, 0, 0, 0, 4, 0, 1, 850, 0, 5, 417, false },
};

struct sim {
	struct simnet net;
	struct far far;
	struct pktlink link;
	struct client client[CONNS];
	size_t clients;
	bool up;
	uint64_t down_bytes, wrong;
	uint64_t echo_us[ECHOES];
	size_t echoes;
};

static struct clock_fake fake; /* one for all cases: lwIP's timers know it */
static struct loop *loop;

/* ---- wires ---- */

static int link_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct sim *s = container_of(l, struct sim, link);

	return exitsess_send(&s->net.exit, pkt, len, flow);
}

static bool link_tight(const struct pktlink *l)
{
	return exitsess_tight(&container_of(l, struct sim, link)->net.exit);
}

static uint64_t link_rtt(const struct pktlink *l)
{
	return shaper_rtt(&container_of(l, struct sim, link)->net.shaper);
}

static void at_client(void *owner, const uint8_t *pkt, size_t len)
{
	struct sim *s = owner;

	s->link.recv(s->link.up, pkt, len);
}

static void at_exit(void *owner, const uint8_t *pkt, size_t len)
{
	struct sim *s = owner;

	far_input(&s->far, s->net.now, pkt, len);
}

static void from_far(void *owner, const uint8_t *pkt, size_t len)
{
	struct sim *s = owner;

	model_exit_send(&s->net.model, s->net.now, pkt, len);
}

static void session_event(void *owner, enum exitsess_event ev)
{
	struct sim *s = owner;

	if (ev == EXITSESS_EV_UP) {
		s->up = true;
		s->link.ip4 = s->net.exit.ip4;
		s->link.mtu = IPR_MTU_DEFAULT;
		s->link.mtu_up = s->net.exit.mtu_up;
		s->link.event(s->link.up, PKTLINK_UP);
	} else if (ev == EXITSESS_EV_WRITABLE) {
		s->link.event(s->link.up, PKTLINK_WRITABLE);
	} else if (ev == EXITSESS_EV_ENDED) {
		printf("the session ended: %s\n", s->net.exit.cause);
		exit(1);
	}
}

static void dev_up(void *owner, bool changed)
{
	(void)owner, (void)changed;
}

static void dev_nothing(void *owner)
{
	(void)owner;
}

static void dev_icmp(void *owner, const struct device_icmp *e)
{
	(void)owner, (void)e;
}

static void dev_echo(void *owner, const struct device_echo *e)
{
	(void)owner, (void)e;
}

/* ---- programs ---- */

static void write_more(struct client *c)
{
	static uint8_t buf[16384];
	size_t room = tcp_sndbuf(c->pcb), n = room < sizeof(buf) ? room : sizeof(buf);

	while (n && tcp_sndqueuelen(c->pcb) + 16 <= TCP_SND_QUEUELEN) {
		for (size_t i = 0; i < n; i++)
			buf[i] = far_byte(c->sent + (uint32_t)i);
		if (tcp_write(c->pcb, buf, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
			break;
		c->sent += (uint32_t)n;
		room = tcp_sndbuf(c->pcb);
		n = room < sizeof(buf) ? room : sizeof(buf);
	}
	tcp_output(c->pcb);
}

static void echo_one(struct client *c)
{
	uint8_t byte = far_byte(c->sent++);

	c->asked_us = c->sim->net.now;
	tcp_write(c->pcb, &byte, 1, TCP_WRITE_FLAG_COPY);
	tcp_output(c->pcb);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct client *c = arg;

	(void)pcb, (void)len;
	if (c->role == UP)
		write_more(c);
	return ERR_OK;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct client *c = arg;
	struct sim *s = c->sim;

	(void)err;
	for (struct pbuf *q = p; q; q = q->next)
		for (u16_t i = 0; i < q->len; i++)
			s->wrong += ((uint8_t *)q->payload)[i] != far_byte(c->got++);
	if (c->role == DOWN)
		s->down_bytes += p->tot_len;
	rcvwin_came(&c->win, p->tot_len, device_tight(), s->net.now, device_rtt());
	rcvwin_taken(&c->win, pcb, p->tot_len, RCVWIN_MAX);
	pbuf_free(p);
	if (c->role == ECHO) {
		if (s->echoes < ECHOES)
			s->echo_us[s->echoes++] = s->net.now - c->asked_us;
		echo_one(c);
	}
	return ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct client *c = arg;

	(void)err;
	device_tune(pcb);
	rcvwin_init(&c->win, pcb, c->sim->net.now);
	c->connected = true;
	if (c->role == UP)
		write_more(c);
	if (c->role == ECHO)
		echo_one(c);
	return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
	(void)arg;
	printf("a connection ended: %d\n", err);
	exit(1);
}

static void dial(struct sim *s, enum role role)
{
	struct client *c = &s->client[s->clients++];
	struct addr to = { .family = 4, .ip = { 192, 88, 99, 80 } };
	ip_addr_t ip;

	*c = (struct client){ .sim = s, .role = role, .pcb = tcp_new_ip_type(IPADDR_TYPE_V4) };
	device_to_lwip(&ip, &to);
	tcp_arg(c->pcb, c);
	tcp_recv(c->pcb, on_recv);
	tcp_sent(c->pcb, on_sent);
	tcp_err(c->pcb, on_err);
	if (role == ECHO)
		tcp_nagle_disable(c->pcb);
	tcp_connect(c->pcb, &ip, (u16_t)role, on_connected);
}

/* ---- one case ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void run_until(struct sim *s, uint64_t end)
{
	while (s->net.now < end) {
		uint64_t at = earlier(simnet_next(&s->net), far_deadline(&s->far));

		at = earlier(at, s->net.now + (sys_timeouts_sleeptime() + 1) * MS);
		s->net.now = at < end ? at > s->net.now ? at : s->net.now : end;
		fake.us = s->net.now;
		loop_update_now(loop);
		simnet_serve(&s->net);
		far_tick(&s->far, s->net.now);
		device_after();
	}
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double share(uint64_t again, uint64_t once)
{
	return once ? 100.0 * (double)again / (double)(again + once) : 0;
}

static bool one(const struct rate_case *k, uint64_t seed)
{
	static uint64_t start = START_US;
	static struct sim s;
	static struct rng_seeded dice;
	struct device_ops ops = { dev_up, dev_nothing, dev_nothing, dev_icmp, dev_echo, NULL };
	struct simnet_cfg c = { .seed = seed,
				.start_us = start,
				.clock = *k->clock,
				.newest = IPR_V10,
				.base_us = k->base_ms * MS,
				.hop_us = k->clock->hop_mean_us,
				.jitter_us = k->jitter_ms * MS,
				.wander_us = k->wander_ms * MS,
				.loss = k->loss / 100,
				.recv = at_client,
				.packet = at_exit,
				.event = session_event,
				.owner = &s };
	uint64_t down, up_bytes, up_again, down_sent, down_again, slots, real, resent;
	unsigned warm_s = k->young ? YOUNG_WARM_S : WARM_S,
		 measure_s = k->young ? YOUNG_MEASURE_S : MEASURE_S;
	double down_rate, up_rate, again_up, again_down, echo_ms;
	bool ok;

	memset(&s, 0, sizeof(s));
	rng_seeded_init(&dice, ~seed);
	s.far.send = from_far;
	s.far.owner = &s;
	s.far.buffer = k->young ? SMALL_BUFFER : 0;
	s.link.send = link_send;
	s.link.tight = link_tight;
	s.link.rtt_us = link_rtt;
	fake.us = start;
	loop_update_now(loop);
	if (device_init(loop, &s.link, &dice.rng, &ops))
		return false;
	simnet_init(&s.net, &c);
	run_until(&s, s.net.now + 5 * US_PER_S);
	for (unsigned i = 0; i < k->down; i++)
		dial(&s, DOWN);
	for (unsigned i = 0; i < k->up; i++)
		dial(&s, UP);
	if (k->echo)
		dial(&s, ECHO);
	run_until(&s, s.net.now + warm_s * US_PER_S);
	down = s.down_bytes;
	up_bytes = s.far.up_bytes;
	up_again = s.far.up_again;
	down_sent = s.far.down_bytes;
	down_again = s.far.down_again;
	slots = s.net.slots;
	real = s.net.shaper.stats.real;
	resent = s.net.shaper.stats.retransmissions;
	s.echoes = 0;
	run_until(&s, s.net.now + measure_s * US_PER_S);
	down_rate = (double)(s.down_bytes - down) / 1000 / measure_s;
	up_rate = (double)(s.far.up_bytes - up_bytes) / 1000 / measure_s;
	again_up = share(s.far.up_again - up_again, s.far.up_bytes - up_bytes);
	again_down = share(s.far.down_again - down_again, s.far.down_bytes - down_sent);
	ok = down_rate >= k->down_min && up_rate >= k->up_min && again_up <= k->again_max &&
	     again_down <= k->again_max && !s.wrong && !s.far.wrong;
	qsort(s.echo_us, s.echoes, sizeof(s.echo_us[0]), ascending);
	echo_ms = s.echoes ? (double)s.echo_us[s.echoes / 2] / 1000 : 0;
	ok = ok && (!k->echo || (s.echoes && echo_ms <= k->echo_max));
	printf("%-31s down %7.1f up %6.1f kB/s  twice %4.2f %4.2f %%  slots %3.0f %% resent %4.1f %%  echo %4.0f ms%s\n",
	       k->name, down_rate, up_rate, again_down, again_up,
	       100.0 * (double)(s.net.shaper.stats.real - real) / (double)(s.net.slots - slots),
	       share(s.net.shaper.stats.retransmissions - resent, s.net.shaper.stats.real - real), echo_ms,
	       ok ? "" : "  MISSED");
	for (size_t i = 0; i < s.clients; i++) {
		tcp_err(s.client[i].pcb, NULL);
		tcp_abort(s.client[i].pcb);
	}
	start = s.net.now + 10 * US_PER_S;
	device_done();
	simnet_done(&s.net);
	return ok;
}

int main(int argc, char **argv)
{
	unsigned missed = 0;

	clock_fake_init(&fake, START_US, 1800000000);
	loop = loop_new(&fake.clock);
	if (prim_init() || !loop)
		return 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (argc < 2 || strstr(cases[i].name, argv[1]))
			missed += !one(&cases[i], argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	loop_free(loop);
	return missed != 0;
}
