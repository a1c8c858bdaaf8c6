/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Events (packet at the exit, ack or reply at the client) wait in a heap with the time
 * of their arrival. simnet_serve() runs those that are due, then the engines' own deadlines. One simulation
 * at a time is allowed by nothing but its size.
 */
#include "tests/sim/simnet.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mixnet/prim.h"

#define TICK_US (5 * US_PER_S)
#define WANDER_S 60.0
#define TWO_PI 6.283185307179586

enum ev_kind { EV_EXIT, EV_ACK, EV_REPLY };

struct simnet_ev {
	struct heap_node at;
	struct simnet_ev *next_free;
	enum ev_kind kind;
	uint8_t id[NYM_ID], key[SURB_KEY], frag[NYM_FRAG];
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("simulation: %s\n", what);
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
	memcpy(route->hop[0].addr, (uint8_t[7]){ 4, 0x06, 0xfe, 127, 0, 0, 1 }, 7);
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
	memcpy(out + SURB_KEY + SPHINX_HEADER, (uint8_t[7]){ 4, 0x06, 0xfe, 127, 0, 0, 1 },
	       7); /* parsers look at it */
	memset(ret_digest, 0, 32);
	memcpy(ret_digest, out, SURB_KEY);
	return 0;
}

/* ---- network ---- */

bool simnet_chance(struct simnet *n, double p)
{
	return (double)rng_u32(&n->net.rng) < p * 4294967296.0;
}

static uint64_t delay(struct simnet *n)
{
	const struct simnet_cfg *c = &n->cfg;
	uint64_t d = c->base_us;

	for (int i = 0; i < 3; i++)
		d += rng_exp(&n->net.rng, c->hop_us);
	if (simnet_chance(n, c->reorder))
		d += rng_below(&n->net.rng, 3000) * US_PER_MS;
	if (c->jitter_us)
		d += rng_below(&n->net.rng, (uint32_t)c->jitter_us);
	if (c->wander_us)
		d += (uint64_t)((double)c->wander_us *
				(1 + sin((double)c->seed +
					 (double)(n->now - c->start_us) / 1e6 * TWO_PI / WANDER_S)) /
				2);
	return d;
}

static void put_event(struct simnet *n, enum ev_kind kind, const uint8_t *id, const uint8_t *key,
		      const uint8_t *frag)
{
	struct simnet_ev *e = n->ev_free;

	must(e, "too many packets under way");
	n->ev_free = e->next_free;
	e->kind = kind;
	if (id)
		memcpy(e->id, id, NYM_ID);
	if (key)
		memcpy(e->key, key, SURB_KEY);
	if (frag)
		memcpy(e->frag, frag, NYM_FRAG);
	memset(&e->at, 0, sizeof(e->at));
	heap_insert(&n->events, &e->at, n->now + delay(n));
}

/* One packet with the network's luck. */
static bool carry(struct simnet *n, enum ev_kind kind, const uint8_t *id, const uint8_t *key,
		  const uint8_t *frag)
{
	if (simnet_chance(n, n->cfg.loss))
		return false;
	put_event(n, kind, id, key, frag);
	if (simnet_chance(n, n->cfg.dup)) {
		n->dups++;
		put_event(n, kind, id, key, frag);
	}
	return true;
}

static bool model_reply(void *owner, const uint8_t key[SURB_KEY], const uint8_t frag[NYM_FRAG])
{
	return carry(owner, EV_REPLY, NULL, key, frag);
}

static void model_packet(void *owner, const uint8_t *pkt, size_t len)
{
	struct simnet *n = owner;

	n->cfg.packet(n->cfg.owner, pkt, len);
}

static void client_reply(struct simnet *n, const struct simnet_ev *e)
{
	uint8_t digest[32] = { 0 }, key[SURB_KEY];
	struct nym_msg m;
	size_t len;
	int got;

	memcpy(digest, e->key, SURB_KEY);
	if (!surb_keys_take(&n->keys, digest, key)) /* a duplicate: its key is gone */
		return;
	got = nym_rx_insert(n->rx, n->now, e->frag, NYM_FRAG, n->msg, sizeof(n->msg), &len);
	must(got >= 0, "a reply is malformed");
	if (got == 1) {
		must(!nym_msg_parse(&m, n->msg, len), "a reply's message is malformed");
		exitsess_input(&n->exit, n->now, &m);
	}
}

static void run_event(struct simnet *n, struct simnet_ev *e)
{
	struct simnet_ev copy = *e;

	heap_remove(&n->events, &e->at);
	e->next_free = n->ev_free;
	n->ev_free = e;
	switch (copy.kind) {
	case EV_EXIT:
		carry(n, EV_ACK, copy.id, NULL, NULL);
		model_exit_input(&n->model, n->now, copy.frag);
		break;
	case EV_ACK: shaper_ack(&n->shaper, n->now, copy.id); break;
	case EV_REPLY: client_reply(n, &copy); break;
	}
}

/* ---- client ---- */

static bool fill(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		 struct shaper_item *item)
{
	struct simnet *n = owner;

	exitsess_path(&n->exit, shaper_rtt(&n->shaper), shaper_spread(&n->shaper));
	return exitsess_fill(&n->exit, now_us, topo, class, item);
}

static void done(void *owner, uint64_t token, bool acked)
{
	struct simnet *n = owner;

	exitsess_acked(&n->exit, token, acked);
}

static void client_recv(void *owner, const uint8_t *pkt, size_t len)
{
	struct simnet *n = owner;

	n->cfg.recv(n->cfg.owner, pkt, len);
}

static void client_event(void *owner, enum exitsess_event ev)
{
	struct simnet *n = owner;

	n->cfg.event(n->cfg.owner, ev);
}

/* ---- run ---- */

uint64_t simnet_next(const struct simnet *n)
{
	struct heap_node *first = heap_min(&n->events);
	uint64_t at[] = { first ? first->key : TIME_NEVER, shaper_deadline(&n->shaper),
			  exitsess_deadline(&n->exit), model_exit_deadline(&n->model), n->model_tick_us };
	uint64_t next = TIME_NEVER;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		next = at[i] < next ? at[i] : next;
	return next;
}

void simnet_serve(struct simnet *n)
{
	struct heap_node *first;

	while ((first = heap_min(&n->events)) && first->key <= n->now)
		run_event(n, container_of(first, struct simnet_ev, at));
	model_exit_flush(&n->model, n->now);
	if (n->now >= n->model_tick_us) {
		model_exit_tick(&n->model, n->now);
		n->model_tick_us += TICK_US;
	}
	exitsess_tick(&n->exit, n->now);
	while (shaper_poll(&n->shaper, n->now, &n->topo, &n->out) == 1) {
		n->slots++;
		if (!n->out.cover)
			carry(n, EV_EXIT, n->out.packet, NULL, n->out.packet + NYM_ID);
	}
}

void simnet_init(struct simnet *n, const struct simnet_cfg *cfg)
{
	struct nym_rx_limits lim = { 512, 64, 8192, 1800 * US_PER_S, 600 * US_PER_S };
	struct shaper_source src = { fill, done, n };
	struct exitsess_ops ops = { client_recv, client_event, n };
	struct exitsess_cfg ec = { .connect_us = 60 * US_PER_S,
				   .hop_mean_us = cfg->clock.hop_mean_us,
				   .version = IPR_V10 };
	struct nym_self peer;

	memset(n, 0, sizeof(*n));
	n->cfg = *cfg;
	n->now = cfg->start_us;
	n->model_tick_us = n->now + TICK_US;
	rng_seeded_init(&n->rng, cfg->seed);
	rng_seeded_init(&n->net, cfg->seed ^ 0x9e3779b97f4a7c15u);
	n->ev_mem = calloc(SIMNET_EVENTS, sizeof(*n->ev_mem));
	n->key_mem = calloc(SIMNET_KEYS, sizeof(*n->key_mem));
	n->buckets = calloc(SIMNET_KEYS, sizeof(struct surb_key *));
	n->rx = nym_rx_new(&lim);
	must(n->ev_mem && n->key_mem && n->buckets && n->rx, "no memory");
	for (size_t i = 0; i < SIMNET_EVENTS; i++) {
		n->ev_mem[i].next_free = n->ev_free;
		n->ev_free = &n->ev_mem[i];
	}
	surb_keys_init(&n->keys, n->key_mem, SIMNET_KEYS, n->buckets, SIMNET_KEYS);
	n->topo.rotation_id = 1;
	nym_self_new(&n->me, &n->rng.rng);
	nym_self_new(&peer, &n->rng.rng);
	memcpy(peer.addr.gateway, peer.addr.identity, 32); /* any curve point */
	must(!shaper_init(&n->shaper, &cfg->clock, &n->me, &n->rng.rng, &src), "no memory");
	must(!exitsess_init(&n->exit, &n->me, &n->keys, &n->rng.rng, &ops), "no memory");
	must(!model_exit_init(&n->model, &n->net.rng), "no memory");
	n->model.addr = peer.addr;
	n->model.newest = cfg->newest;
	n->model.owner = n;
	n->model.reply = model_reply;
	n->model.packet = model_packet;
	ec.exit = n->model.addr;
	addr_parse(&ec.probe, "9.9.9.9", 53);
	shaper_start(&n->shaper, n->now);
	exitsess_start(&n->exit, &ec, n->now, 1800000000);
}

void simnet_done(struct simnet *n)
{
	exitsess_done(&n->exit);
	shaper_done(&n->shaper);
	model_exit_done(&n->model);
	nym_rx_free(n->rx);
	free(n->ev_mem);
	free(n->key_mem);
	free(n->buckets);
}
