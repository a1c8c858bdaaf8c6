/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's engines (shaper, exit session and all under it) against a model exit, over a network that
 * delays, loses, duplicates and reorders, under a fake clock, for many seeds.
 *
 * One run: connect; a load of numbered UDP packets up, numbered UDP packets and a numbered TCP stream down;
 * silence for a while; then one more exchange. What must hold: every delivered packet is byte for byte one
 * that was sent, none twice; nothing is lost that the network did not lose; TCP data arrive in order (98 of
 * 100) when nothing is lost; slots are as many as the clock says, whatever the load; at the end nothing waits
 * anywhere and the exit's stock is in its bounds.
 *
 * Usage: sim_link [seeds [first seed]]. Prints one line; exit code 1 and the seed on a failure.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "mixnet/ippkt.h"
#include "mixnet/prim.h"
#include "tests/sim/simnet.h"
#include "tests/unit/packets.h"

#define MS US_PER_MS
#define LOAD 600 /* packets each way */
#define FAR 0x01010101u

struct sim {
	struct simnet n;
	uint64_t seed;
	double loss, dup, reorder;
	bool up, ended, probe_seen;
	unsigned ups;
	/* load */
	uint32_t sent_up, sent_down, tcp_seq_sent, udp_got_n, udp_up_n, tcp_got_n, tcp_sent_n;
	uint32_t tcp_next;
	uint32_t tcp_disorder;
	uint8_t up_seen[2 * LOAD + 16], down_seen[2 * LOAD + 16], tcp_seen[2 * LOAD + 16];
};

static struct sim *sim; /* for the replaced functions and the failure report */

#define CHECK(c)                                                                                             \
	do {                                                                                                 \
		if (!(c))                                                                                    \
			fail(#c, __LINE__);                                                                  \
	} while (0)

static void __attribute__((noreturn)) fail(const char *what, int line)
{
	printf("seed %llu, t %.3f s: line %d: %s (loss %.3f dup %.3f reorder %.3f)\n",
	       (unsigned long long)sim->seed, (double)sim->n.now / 1e6, line, what, sim->loss, sim->dup,
	       sim->reorder);
	exit(1);
}

/* ---- client ---- */

static void event(void *owner, enum exitsess_event ev)
{
	struct sim *s = owner;

	switch (ev) {
	case EXITSESS_EV_UP:
		s->up = true;
		s->ups++;
		break;
	case EXITSESS_EV_ENDED: s->ended = true; break;
	case EXITSESS_EV_WRITABLE:
	case EXITSESS_EV_DENIED: break;
	}
}

static uint8_t mark(uint32_t n, size_t i)
{
	return (uint8_t)(n * 31 + i * 7);
}

/* Number in the first four payload bytes, the rest derived from it. */
static void fill_payload(uint8_t *p, uint32_t n, size_t len)
{
	for (size_t i = 4; i < len; i++)
		p[i] = mark(n, i);
	pk32(p, n);
}

static uint32_t read_payload(const uint8_t *p, size_t len)
{
	uint32_t n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];

	CHECK(n < 2 * LOAD + 16);
	for (size_t i = 4; i < len; i++)
		CHECK(p[i] == mark(n, i));
	return n;
}

static void client_recv(void *owner, const uint8_t *pkt, size_t len)
{
	struct sim *s = owner;
	struct ippkt p;

	CHECK(ippkt_parse(&p, pkt, len));
	if (p.proto == IPPKT_UDP) {
		uint32_t n = read_payload(p.l4 + 8, p.l4_len - 8);

		CHECK(!s->down_seen[n]);
		s->down_seen[n] = 1;
		s->udp_got_n++;
	} else {
		uint32_t n = read_payload(p.l4 + 20, p.payload);

		CHECK(!s->tcp_seen[n]);
		s->tcp_seen[n] = 1;
		s->tcp_got_n++;
		if (n < s->tcp_next)
			s->tcp_disorder++;
		s->tcp_next = n + 1;
	}
}

static void model_packet(void *owner, const uint8_t *pkt, size_t len)
{
	struct sim *s = owner;
	struct ippkt p;
	uint32_t n;

	CHECK(ippkt_parse(&p, pkt, len));
	CHECK(p.proto == IPPKT_UDP);
	if (p.src.port < 1024) { /* keepalive: this host answers it */
		uint8_t answer[64];

		s->probe_seen = true;
		model_exit_send(&s->n.model, s->n.now, answer,
				pk_udp(answer, 0x09090909u, 53, 0x0a001234u, p.src.port, 17));
		return;
	}
	n = read_payload(p.l4 + 8, p.l4_len - 8);
	CHECK(!s->up_seen[n]);
	s->up_seen[n] = 1;
	s->udp_up_n++;
}

/* ---- one run ---- */

static void run_until(struct sim *s, uint64_t end)
{
	while (s->n.now < end) {
		uint64_t at = simnet_next(&s->n);

		s->n.now = at < end ? at > s->n.now ? at : s->n.now : end;
		simnet_serve(&s->n);
		CHECK(s->n.exit.stock.estimate >= 0);
	}
}

static bool send_up(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];
	size_t len = pk_udp(pkt, 0x0a001234u, 5000, FAR, 53, payload);

	fill_payload(pkt + 28, n, payload);
	return !exitsess_send(&s->n.exit, pkt, len, 1 + n % 3);
}

static void send_down(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];

	size_t len = pk_udp(pkt, FAR, 53, 0x0a001234u, 5000, payload);
	fill_payload(pkt + 28, n, payload);
	model_exit_send(&s->n.model, s->n.now, pkt, len);
}

static void send_down_tcp(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];
	struct seg g = { .far = FAR,
			 .near = 0x0a001234u,
			 .sport = 80,
			 .dport = 40000,
			 .seq = s->tcp_seq_sent,
			 .ack = 1,
			 .win = 1000,
			 .flags = IPPKT_ACK,
			 .payload = payload };
	size_t len = pk_tcp(pkt, &g);

	fill_payload(pkt + 40, n, payload);
	s->tcp_seq_sent += (uint32_t)payload;
	s->tcp_sent_n++;
	model_exit_send(&s->n.model, s->n.now, pkt, len);
}

static void setup(struct sim *s, uint64_t seed)
{
	struct simnet_cfg c = { .seed = seed,
				.start_us = 1000 * US_PER_S,
				.clock = { 20 * MS, 200 * MS, 15 * MS, 15 * MS },
				.newest = seed % 3 ? IPR_V10 : IPR_V9,
				.recv = client_recv,
				.packet = model_packet,
				.event = event,
				.owner = s };
	struct rng_seeded dice;

	memset(s, 0, sizeof(*s));
	sim = s;
	s->seed = seed;
	rng_seeded_init(&dice, ~seed);
	if (seed % 4 != 0) { /* every fourth network is perfect but for its delays */
		c.loss = s->loss = rng_below(&dice.rng, 100) / 1000.0;
		c.dup = s->dup = rng_below(&dice.rng, 50) / 1000.0;
		c.reorder = s->reorder = rng_below(&dice.rng, 50) / 1000.0;
	}
	c.base_us = 5 * MS + rng_below(&dice.rng, 300) * MS;
	c.hop_us = 5 * MS + rng_below(&dice.rng, 20) * MS;
	simnet_init(&s->n, &c);
}

static void load(struct sim *s)
{
	struct rng *r = &s->n.net.rng;

	/* up faster than the clock for a while (the queue refuses), down at up to 130 packets/s */
	while (s->sent_up < LOAD || s->sent_down < LOAD) {
		for (int i = 0; i < 4 && s->sent_up < LOAD; i++) {
			size_t payload = rng_below(r, 3) ? 20 + rng_below(r, 100) : 20 + rng_below(r, 1300);

			if (!send_up(s, s->sent_up, payload))
				break;
			s->sent_up++;
		}
		for (int i = 0; i < 5 && s->sent_down < LOAD; i++, s->sent_down++)
			if (s->sent_down & 1)
				send_down_tcp(s, s->sent_down, 20 + rng_below(r, 1300));
			else
				send_down(s, s->sent_down, 20 + rng_below(r, 1300));
		run_until(s, s->n.now + 40 * MS);
	}
}

/* What counts at the end of a phase: losses the network explains, with a wide margin (packets of a bundle are
 * lost together). */
static void check_counts(struct sim *s)
{
	uint32_t udp_down = s->sent_down - s->tcp_sent_n;
	double keep = s->loss > 0 ? 1 - s->loss - 0.1 : 1;

	CHECK(s->udp_up_n >= keep * s->sent_up && s->udp_up_n <= s->sent_up);
	CHECK(s->udp_got_n >= keep * udp_down && s->udp_got_n <= udp_down);
	CHECK(s->tcp_got_n >= keep * s->tcp_sent_n && s->tcp_got_n <= s->tcp_sent_n);
	if (s->seed % 4 == 0) /* delays beyond the hold are rare, not impossible */
		CHECK(s->tcp_disorder <= s->tcp_sent_n / 50);
}

static void one(uint64_t seed)
{
	static struct sim s;
	uint64_t t0, slots0;
	double expect;

	setup(&s, seed);
	run_until(&s, s.n.now + 61 * US_PER_S);
	CHECK(s.up && !s.ended && s.ups == 1);
	CHECK(s.n.exit.version == s.n.model.newest);
	CHECK(s.n.exit.mtu == (s.n.model.newest == IPR_V10 ? 1500 : IPR_MTU_DEFAULT));
	t0 = s.n.now;
	slots0 = s.n.slots;
	load(&s);
	run_until(&s, s.n.now + 30 * US_PER_S);
	check_counts(&s);
	/* slots by the clock: 55/s, five sigma */
	expect = 55.0 * (double)(s.n.now - t0) / 1e6;
	CHECK((double)(s.n.slots - slots0) > expect - 5 * 8 * (expect > 400 ? expect / 400 : 1) - 40);
	CHECK((double)(s.n.slots - slots0) < expect + 5 * 8 * (expect > 400 ? expect / 400 : 1) + 40);
	/* idle: kept alive, nothing waits */
	run_until(&s, s.n.now + 130 * US_PER_S);
	CHECK(!s.ended && s.probe_seen);
	CHECK(!s.n.exit.queue.count && !reorder_held(&s.n.exit.order));
	/* SURBs pushed because a keepalive was just missed are confirmed soon */
	for (int i = 0; i < 20 && shaper_unconfirmed(&s.n.shaper) > 8; i++)
		run_until(&s, s.n.now + US_PER_S);
	CHECK(shaper_unconfirmed(&s.n.shaper) <= 8);
	CHECK(shaper_pending(&s.n.shaper) <= 16);
	CHECK(nym_rx_held(s.n.rx) == 0);
	CHECK(s.n.model.surb_n >= 30 && s.n.model.surb_peak < 1500);
	CHECK(!s.n.model.malformed && !s.n.exit.stats.malformed && !s.n.keys.evicted);
	/* and it still works */
	for (uint32_t i = 0; i < 8; i++) {
		CHECK(send_up(&s, s.sent_up++, 100));
		send_down(&s, s.sent_down++, 100);
		run_until(&s, s.n.now + 500 * MS);
	}
	run_until(&s, s.n.now + 10 * US_PER_S);
	check_counts(&s);
	CHECK(!s.ended);
	/* the exit falls silent: noticed within 20 s + 3 x 3 s */
	s.n.model.silent = true;
	s.n.model.connected = false;
	run_until(&s, s.n.now + 35 * US_PER_S);
	CHECK(s.ended && s.n.exit.state == EXITSESS_ENDED);
	shaper_forget(&s.n.shaper);
	CHECK(!shaper_pending(&s.n.shaper) && !s.n.shaper.kept.used);
	simnet_done(&s.n);
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 20,
		 first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	if (prim_init())
		return 1;
	for (uint64_t i = first; i < first + n; i++)
		one(i);
	printf("sim_link: %llu seeds, all as they should be\n", (unsigned long long)n);
	return 0;
}
