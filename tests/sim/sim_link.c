/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's engines (shaper, exit session and all under it) against a model exit, over a network that
 * delays, loses, duplicates and reorders, under a fake clock, for many seeds.
 *
 * Theory of operation. The functions that make and route Sphinx packets are replaced at link time: a "packet"
 * holds its acknowledgement's identifier and its fragment in the clear; a SURB holds its key. Everything else
 * is the product's code. Events (packet at the exit, ack or reply at the client) wait in a heap.
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
#include "base/err.h"
#include "base/heap.h"
#include "base/rng.h"
#include "mixnet/exitsess.h"
#include "mixnet/ippkt.h"
#include "mixnet/prim.h"
#include "mixnet/shaper.h"
#include "tests/sim/model_exit.h"
#include "tests/unit/packets.h"

#define MS US_PER_MS
#define KEYS 16384
#define EVENTS 8192
#define LOAD 600 /* packets each way */
#define FAR 0x01010101u

enum ev_kind { EV_EXIT, EV_ACK, EV_REPLY };

struct ev {
	struct heap_node at;
	struct ev *next_free;
	enum ev_kind kind;
	uint8_t id[NYM_ID], key[SURB_KEY], frag[NYM_FRAG];
};

struct sim {
	struct rng_seeded rng, net;
	uint64_t now;
	uint64_t seed;
	double loss, dup, reorder;
	uint64_t base_us, hop_us;
	struct heap events;
	struct ev *ev_mem, *ev_free;
	size_t ev_used;
	struct topology topo;
	struct nym_self me;
	struct surb_keys keys;
	struct surb_key *key_mem, **buckets;
	struct nym_rx *rx;
	struct shaper shaper;
	struct exitsess exit;
	struct model_exit model;
	struct shaper_out out;
	uint64_t slots, lost_up, lost_down, dups;
	bool up, ended, probe_seen;
	unsigned ups;
	/* load */
	uint32_t sent_up, sent_down, tcp_seq_sent, udp_got_n, udp_up_n, tcp_got_n, tcp_sent_n;
	uint32_t tcp_next;
	uint32_t tcp_disorder;
	uint8_t up_seen[2 * LOAD + 16], down_seen[2 * LOAD + 16], tcp_seen[2 * LOAD + 16];
	uint8_t msg[65536];
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
	       (unsigned long long)sim->seed, (double)sim->now / 1e6, line, what, sim->loss, sim->dup,
	       sim->reorder);
	exit(1);
}

/* ---- Sphinx in the clear ---- */

int __wrap_topology_check(const struct topology *t);
int __wrap_topology_route(const struct topology *t, const uint8_t egress[32], uint64_t mean_delay_ns,
			  struct rng *rng, struct sphinx_route *route, uint64_t *ret_expected_ns);
int __wrap_nym_surb_ack(uint8_t out[NYM_SURB_ACK], const struct nym_self *me,
			const struct sphinx_route *route, const uint8_t id[NYM_ID], struct rng *rng);
int __wrap_nym_packet_forward(uint8_t packet[SPHINX_REGULAR_PACKET], const struct recipient *to,
			      const struct sphinx_route *route, const uint8_t surb_ack[NYM_SURB_ACK],
			      const uint8_t content[NYM_FRAG], struct rng *rng);
int __wrap_nym_packet_cover(uint8_t packet[SPHINX_REGULAR_PACKET], const struct nym_self *me,
			    struct nym_covers *covers, const struct sphinx_route *route,
			    const uint8_t surb_ack[NYM_SURB_ACK], struct rng *rng);
int __wrap_surb_make(uint8_t *out, uint8_t ret_digest[32], const struct sphinx_route *route,
		     const uint8_t dest[32], struct rng *rng);

int __wrap_topology_check(const struct topology *t)
{
	(void)t;
	return 0;
}

int __wrap_topology_route(const struct topology *t, const uint8_t egress[32], uint64_t mean_delay_ns,
			  struct rng *rng, struct sphinx_route *route, uint64_t *ret_expected_ns)
{
	(void)t, (void)egress, (void)rng;
	route->n = 4;
	memset(route->hop[0].addr, 0, sizeof(route->hop[0].addr));
	memcpy(route->hop[0].addr, (uint8_t[7]){4, 0x06, 0xfe, 127, 0, 0, 1}, 7);
	if (ret_expected_ns)
		*ret_expected_ns = 3 * mean_delay_ns;
	return 0;
}

int __wrap_nym_surb_ack(uint8_t out[NYM_SURB_ACK], const struct nym_self *me,
			const struct sphinx_route *route, const uint8_t id[NYM_ID], struct rng *rng)
{
	(void)me, (void)route, (void)rng;
	memcpy(out, id, NYM_ID);
	return 0;
}

int __wrap_nym_packet_forward(uint8_t packet[SPHINX_REGULAR_PACKET], const struct recipient *to,
			      const struct sphinx_route *route, const uint8_t surb_ack[NYM_SURB_ACK],
			      const uint8_t content[NYM_FRAG], struct rng *rng)
{
	(void)to, (void)route, (void)rng;
	memcpy(packet, surb_ack, NYM_ID);
	memcpy(packet + NYM_ID, content, NYM_FRAG);
	return 0;
}

int __wrap_nym_packet_cover(uint8_t packet[SPHINX_REGULAR_PACKET], const struct nym_self *me,
			    struct nym_covers *covers, const struct sphinx_route *route,
			    const uint8_t surb_ack[NYM_SURB_ACK], struct rng *rng)
{
	(void)me, (void)covers, (void)route, (void)rng;
	memcpy(packet, surb_ack, NYM_ID);
	nym_cover_content(packet + NYM_ID);
	return 0;
}

int __wrap_surb_make(uint8_t *out, uint8_t ret_digest[32], const struct sphinx_route *route,
		     const uint8_t dest[32], struct rng *rng)
{
	(void)route, (void)dest;
	rng_fill(rng, out, SURB_KEY);
	memset(out + SURB_KEY, 0, SURB_LEN4 - SURB_KEY);
	memcpy(out + SURB_KEY + SPHINX_HEADER, (uint8_t[7]){4, 0x06, 0xfe, 127, 0, 0, 1},
	       7); /* parsers look at it */
	memset(ret_digest, 0, 32);
	memcpy(ret_digest, out, SURB_KEY);
	return 0;
}

/* ---- network ---- */

static bool chance(struct sim *s, double p)
{
	return (double)rng_u32(&s->net.rng) < p * 4294967296.0;
}

static uint64_t delay(struct sim *s)
{
	uint64_t d = s->base_us;

	for (int i = 0; i < 3; i++)
		d += rng_exp(&s->net.rng, s->hop_us);
	if (chance(s, s->reorder))
		d += rng_below(&s->net.rng, 3000) * MS;
	return d;
}

static void put_event(struct sim *s, enum ev_kind kind, const uint8_t *id, const uint8_t *key,
		      const uint8_t *frag)
{
	struct ev *e = s->ev_free;

	CHECK(e);
	s->ev_free = e->next_free;
	s->ev_used++;
	e->kind = kind;
	if (id)
		memcpy(e->id, id, NYM_ID);
	if (key)
		memcpy(e->key, key, SURB_KEY);
	if (frag)
		memcpy(e->frag, frag, NYM_FRAG);
	memset(&e->at, 0, sizeof(e->at));
	heap_insert(&s->events, &e->at, s->now + delay(s));
}

/* One packet with the network's luck. */
static bool carry(struct sim *s, enum ev_kind kind, const uint8_t *id, const uint8_t *key,
		  const uint8_t *frag)
{
	if (chance(s, s->loss))
		return false;
	put_event(s, kind, id, key, frag);
	if (chance(s, s->dup)) {
		s->dups++;
		put_event(s, kind, id, key, frag);
	}
	return true;
}

static bool model_reply(void *owner, const uint8_t key[SURB_KEY], const uint8_t frag[NYM_FRAG])
{
	return carry(owner, EV_REPLY, NULL, key, frag);
}

static void client_reply(struct sim *s, const struct ev *e)
{
	uint8_t digest[32] = {0}, key[SURB_KEY];
	struct nym_msg m;
	size_t len;
	int got;

	memcpy(digest, e->key, SURB_KEY);
	if (!surb_keys_take(&s->keys, digest, key)) /* a duplicate: its key is gone */
		return;
	got = nym_rx_insert(s->rx, s->now, e->frag, NYM_FRAG, s->msg, sizeof(s->msg), &len);
	CHECK(got >= 0);
	if (got == 1) {
		CHECK(!nym_msg_parse(&m, s->msg, len));
		exitsess_input(&s->exit, s->now, &m);
	}
}

static void run_event(struct sim *s, struct ev *e)
{
	struct ev copy = *e;

	heap_remove(&s->events, &e->at);
	e->next_free = s->ev_free;
	s->ev_free = e;
	s->ev_used--;
	switch (copy.kind) {
	case EV_EXIT:
		carry(s, EV_ACK, copy.id, NULL, NULL);
		model_exit_input(&s->model, s->now, copy.frag);
		break;
	case EV_ACK: shaper_ack(&s->shaper, s->now, copy.id); break;
	case EV_REPLY: client_reply(s, &copy); break;
	}
}

/* ---- client ---- */

static bool fill(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		 struct shaper_item *item)
{
	struct sim *s = owner;

	return exitsess_fill(&s->exit, now_us, shaper_rtt(&s->shaper), topo, class, item);
}

static void done(void *owner, uint64_t token, bool acked)
{
	struct sim *s = owner;

	exitsess_acked(&s->exit, token, acked);
}

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
		model_exit_send(&s->model, s->now, answer,
				pk_udp(answer, 0x09090909u, 53, 0x0a001234u, p.src.port, 17));
		return;
	}
	n = read_payload(p.l4 + 8, p.l4_len - 8);
	CHECK(!s->up_seen[n]);
	s->up_seen[n] = 1;
	s->udp_up_n++;
}

/* ---- one run ---- */

static void pump(struct sim *s)
{
	exitsess_tick(&s->exit, s->now);
	while (shaper_poll(&s->shaper, s->now, &s->topo, &s->out) == 1) {
		s->slots++;
		if (s->out.cover)
			continue;
		carry(s, EV_EXIT, s->out.packet, NULL, s->out.packet + NYM_ID);
	}
}

static uint64_t next_time(const struct sim *s)
{
	struct heap_node *n = heap_min(&s->events);
	uint64_t at = shaper_deadline(&s->shaper), ex = exitsess_deadline(&s->exit);

	if (ex < at)
		at = ex;
	return n && n->key < at ? n->key : at;
}

static void run_until(struct sim *s, uint64_t end)
{
	uint64_t tick = s->now + 5 * US_PER_S;

	while (s->now < end) {
		uint64_t at = next_time(s);
		struct heap_node *n;

		CHECK(at > s->now || at == next_time(s));
		if (tick < at)
			at = tick;
		s->now = at < end ? at > s->now ? at : s->now : end;
		while ((n = heap_min(&s->events)) && n->key <= s->now)
			run_event(s, container_of(n, struct ev, at));
		if (s->now >= tick) {
			model_exit_tick(&s->model, s->now);
			tick += 5 * US_PER_S;
		}
		pump(s);
		CHECK(s->exit.stock.estimate >= 0);
	}
}

static bool send_up(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];
	size_t len = pk_udp(pkt, 0x0a001234u, 5000, FAR, 53, payload);

	fill_payload(pkt + 28, n, payload);
	return !exitsess_send(&s->exit, s->now, pkt, len, 1 + n % 3);
}

static void send_down(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];

	size_t len = pk_udp(pkt, FAR, 53, 0x0a001234u, 5000, payload);
	fill_payload(pkt + 28, n, payload);
	model_exit_send(&s->model, s->now, pkt, len);
}

static void send_down_tcp(struct sim *s, uint32_t n, size_t payload)
{
	uint8_t pkt[1600];
	struct seg g = {.far = FAR,
			.near = 0x0a001234u,
			.sport = 80,
			.dport = 40000,
			.seq = s->tcp_seq_sent,
			.ack = 1,
			.win = 1000,
			.flags = IPPKT_ACK,
			.payload = payload};
	size_t len = pk_tcp(pkt, &g);

	fill_payload(pkt + 40, n, payload);
	s->tcp_seq_sent += (uint32_t)payload;
	s->tcp_sent_n++;
	model_exit_send(&s->model, s->now, pkt, len);
}

static void setup(struct sim *s, uint64_t seed)
{
	struct nym_rx_limits lim = {512, 64, 8192, 1800 * US_PER_S, 600 * US_PER_S};
	struct shaper_cfg sc = {20 * MS, 200 * MS, 15 * MS, 15 * MS};
	struct shaper_source src = {fill, done, s};
	struct exitsess_ops ops = {client_recv, event, s};
	struct exitsess_cfg ec = {.connect_us = 60 * US_PER_S, .hop_mean_us = 15 * MS, .version = IPR_V10};
	struct nym_self peer;

	memset(s, 0, sizeof(*s));
	sim = s;
	s->seed = seed;
	s->now = 1000 * US_PER_S;
	rng_seeded_init(&s->rng, seed);
	rng_seeded_init(&s->net, seed ^ 0x9e3779b97f4a7c15u);
	if (seed % 4 != 0) { /* every fourth network is perfect but for its delays */
		s->loss = rng_below(&s->net.rng, 100) / 1000.0;
		s->dup = rng_below(&s->net.rng, 50) / 1000.0;
		s->reorder = rng_below(&s->net.rng, 50) / 1000.0;
	}
	s->base_us = 5 * MS + rng_below(&s->net.rng, 300) * MS;
	s->hop_us = 5 * MS + rng_below(&s->net.rng, 20) * MS;
	s->ev_mem = calloc(EVENTS, sizeof(*s->ev_mem));
	s->key_mem = calloc(KEYS, sizeof(*s->key_mem));
	s->buckets = calloc(KEYS, sizeof(struct surb_key *));
	s->rx = nym_rx_new(&lim);
	CHECK(s->ev_mem && s->key_mem && s->buckets && s->rx);
	for (size_t i = 0; i < EVENTS; i++) {
		s->ev_mem[i].next_free = s->ev_free;
		s->ev_free = &s->ev_mem[i];
	}
	surb_keys_init(&s->keys, s->key_mem, KEYS, s->buckets, KEYS);
	s->topo.rotation_id = 1;
	nym_self_new(&s->me, &s->rng.rng);
	nym_self_new(&peer, &s->rng.rng);
	memcpy(peer.addr.gateway, peer.addr.identity, 32); /* any curve point */
	CHECK(!shaper_init(&s->shaper, &sc, &s->me, &s->rng.rng, &src));
	CHECK(!exitsess_init(&s->exit, &s->me, &s->keys, &s->rng.rng, &ops));
	CHECK(!model_exit_init(&s->model, &s->net.rng));
	s->model.addr = peer.addr;
	s->model.newest = seed % 3 ? IPR_V10 : IPR_V9;
	s->model.owner = s;
	s->model.reply = model_reply;
	s->model.packet = model_packet;
	ec.exit = s->model.addr;
	addr_parse(&ec.probe, "9.9.9.9", 53);
	shaper_start(&s->shaper, s->now);
	exitsess_start(&s->exit, &ec, s->now, 1800000000);
}

static void teardown(struct sim *s)
{
	exitsess_done(&s->exit);
	shaper_done(&s->shaper);
	model_exit_done(&s->model);
	nym_rx_free(s->rx);
	free(s->ev_mem);
	free(s->key_mem);
	free(s->buckets);
}

static void load(struct sim *s)
{
	struct rng *r = &s->net.rng;

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
		run_until(s, s->now + 40 * MS);
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
	run_until(&s, s.now + 61 * US_PER_S);
	CHECK(s.up && !s.ended && s.ups == 1);
	CHECK(s.exit.version == s.model.newest);
	CHECK(s.exit.mtu == (s.model.newest == IPR_V10 ? 1500 : IPR_MTU_DEFAULT));
	t0 = s.now;
	slots0 = s.slots;
	load(&s);
	run_until(&s, s.now + 30 * US_PER_S);
	check_counts(&s);
	/* slots by the clock: 55/s, five sigma */
	expect = 55.0 * (double)(s.now - t0) / 1e6;
	CHECK((double)(s.slots - slots0) > expect - 5 * 8 * (expect > 400 ? expect / 400 : 1) - 40);
	CHECK((double)(s.slots - slots0) < expect + 5 * 8 * (expect > 400 ? expect / 400 : 1) + 40);
	/* idle: kept alive, nothing waits */
	run_until(&s, s.now + 130 * US_PER_S);
	CHECK(!s.ended && s.probe_seen);
	CHECK(!s.exit.queue.count && !reorder_held(&s.exit.order));
	/* SURBs pushed because a keepalive was just missed are confirmed soon */
	for (int i = 0; i < 20 && shaper_unconfirmed(&s.shaper) > 8; i++)
		run_until(&s, s.now + US_PER_S);
	CHECK(shaper_unconfirmed(&s.shaper) <= 8);
	CHECK(shaper_pending(&s.shaper) <= 16);
	CHECK(nym_rx_held(s.rx) == 0);
	CHECK(s.model.surb_n >= 30 && s.model.surb_peak < 1500);
	CHECK(!s.model.malformed && !s.exit.stats.malformed && !s.keys.evicted);
	/* and it still works */
	for (uint32_t i = 0; i < 8; i++) {
		CHECK(send_up(&s, s.sent_up++, 100));
		send_down(&s, s.sent_down++, 100);
		run_until(&s, s.now + 500 * MS);
	}
	run_until(&s, s.now + 10 * US_PER_S);
	check_counts(&s);
	CHECK(!s.ended);
	/* the exit falls silent: noticed within 20 s + 3 x 3 s */
	s.model.silent = true;
	s.model.connected = false;
	run_until(&s, s.now + 35 * US_PER_S);
	CHECK(s.ended && s.exit.state == EXITSESS_ENDED);
	shaper_forget(&s.shaper);
	CHECK(!shaper_pending(&s.shaper) && !s.shaper.kept.used);
	teardown(&s);
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
