/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twenty-four days of one session under a fake clock: does anything grow, wrap or stall that an hour does not
 * show?
 *
 * Theory of operation. The network and the model exit are those of sim_link.c, whose functions are used as
 * they stand. The packet clock runs at a twentieth of its rate most of the time, so that a day costs a
 * fraction of a second; once an hour it runs at the full rate for a while, with a load both ways. Beside it a
 * client and a gateway engine keep the account of the bandwidth: what the full rate would have used is taken
 * off each minute. Keys rotate every day, expire after twenty-five hours, and the exit drops SURBs of the
 * rotation before, as the bridge and a node do it.
 *
 * What must hold, every hour: what was sent arrived as far as the network did not lose it; at rest nothing
 * waits in any pool; keys, connections and the exit's stock are within bounds that do not depend on the day;
 * slots are as many as the clock says; the account is never empty. The session may be lost (three keepalives
 * in a row are) and is begun again, as the bridge does.
 *
 * Usage: sim_days [days [seed]].
 */
#include "mixnet/gwproto.h"

#define main sim_link_main
int sim_link_main(int argc, char **argv);
#include "tests/sim/sim_link.c"
#undef main

#define HOUR_US (3600 * US_PER_S)
#define IDLE_TIMES 20 /* the packet clock is so much slower */
#define BURST 200     /* packets each way in an hour */
#define KEY_LIFE_US (25 * HOUR_US)
#define KEYS_MOST 4096	/* reply keys at any time */
#define SURBS_MOST 1000 /* at the exit, at rest */
#define CONNS_MOST 8	/* TCP connections in the reorder table */
#define PACKET_BYTES 2413

struct account {
	struct gw_client client;
	struct gw_server server;
	struct gw_server_client table;
	bool registered;
	uint64_t claims;
	char in[GW_TEXT_MAX], out[GW_TEXT_MAX], out2[GW_TEXT_MAX];
	uint8_t frame[GW_FRAME_MAX];
};

struct totals {
	uint64_t ends, keys_peak, conns_peak, pending_peak, surbs_peak, slots;
};

/* ---- bandwidth ---- */

static bool lookup(void *owner, const uint8_t pk[32], struct gw_server_client *c)
{
	struct account *a = owner;

	if (!a->registered || memcmp(pk, a->table.pk, 32)) /* allowed: public keys */
		return false;
	*c = a->table;
	return true;
}

static bool active(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
	return false;
}

static void store(void *owner, const struct gw_server_client *c)
{
	struct account *a = owner;

	a->table = *c;
	a->registered = true;
}

static void forget(void *owner, const uint8_t pk[32])
{
	(void)pk;
	((struct account *)owner)->registered = false;
}

/* What the client says goes to the gateway, and its answers back, until nobody has anything to say. */
static void talk(struct account *a, int64_t wall_s, size_t len)
{
	const struct gw_server_ops ops = { lookup, active, store, forget, a };

	while (len) {
		int r = gw_server_text(&a->server, &ops, wall_s, a->in, len, a->out, a->out2);

		CHECK(r >= 0 && !(r & GWS_CLOSE));
		len = 0;
		if (r & GWS_SEND)
			CHECK(gw_client_text(&a->client, a->out, strlen(a->out), a->in, sizeof(a->in),
					     &len) >= 0);
		if (r & GWS_SEND2)
			CHECK(gw_client_text(&a->client, a->out2, strlen(a->out2), a->in, sizeof(a->in),
					     &len) >= 0);
	}
	CHECK(a->client.state == GW_OPEN && a->server.state == GWS_OPEN);
}

static void claim_if_due(struct account *a, int64_t wall_s)
{
	size_t len = 0;

	if (!gw_client_wants_claim(&a->client))
		return;
	CHECK(gw_client_claim(&a->client, a->in, sizeof(a->in), &len) == GW_OUT_SEND);
	a->claims++;
	talk(a, wall_s, len);
}

static void account_open(struct account *a, struct rng *rng, int64_t wall_s)
{
	uint8_t pk[2][32], sk[2][64], seed[32];
	size_t len;

	memset(a, 0, sizeof(*a));
	for (int i = 0; i < 2; i++) {
		rng_fill(rng, seed, sizeof(seed));
		prim_ed25519_keypair(pk[i], sk[i], seed);
	}
	gw_client_init(&a->client, pk[0], sk[0], pk[1], rng);
	gw_server_init(&a->server, pk[1], sk[1], rng);
	CHECK(!gw_client_start(&a->client, wall_s, a->in, sizeof(a->in), &len));
	talk(a, wall_s, len);
	claim_if_due(a, wall_s);
}

/* A minute of the full rate, of which one packet is really sent. */
static void account_minute(struct account *a, int64_t wall_s)
{
	static uint8_t packet[SPHINX_REGULAR_PACKET];
	struct mixpacket m = { .rotation = 1, .packet = packet, .packet_len = sizeof(packet) }, got;
	size_t len = 0;
	int n;

	addr_parse(&m.next_hop, "127.0.0.1", 1789);
	a->server.who.bandwidth -= 55 * 60 * (int64_t)PACKET_BYTES;
	CHECK(a->server.who.bandwidth > 0);
	n = gw_client_seal(&a->client, a->frame, sizeof(a->frame), &m);
	CHECK(n > 0);
	gw_client_sent(&a->client);
	CHECK(gw_server_binary(&a->server, a->frame, (size_t)n, &got, a->out) == (GWS_SEND | GWS_FORWARD));
	CHECK(gw_client_text(&a->client, a->out, strlen(a->out), a->in, sizeof(a->in), &len) ==
	      (GW_OUT_SENT | GW_OUT_BANDWIDTH));
	claim_if_due(a, wall_s);
}

/* ---- the days ---- */

static void pace(struct sim *s, unsigned times)
{
	s->n.shaper.cfg.main_mean_us = times * 20 * MS;
	s->n.shaper.cfg.cover_mean_us = times * 200 * MS;
}

static void peak(uint64_t *most, uint64_t now)
{
	if (now > *most)
		*most = now;
}

static void note(struct sim *s, struct totals *t)
{
	peak(&t->keys_peak, s->n.keys.count);
	peak(&t->conns_peak, s->n.exit.order.conns.used);
	peak(&t->pending_peak, shaper_pending(&s->n.shaper));
	peak(&t->surbs_peak, s->n.model.surb_n);
}

/* A lost session is begun again. */
static void revive(struct sim *s, struct totals *t, int64_t wall_s)
{
	struct exitsess_cfg again = s->n.exit.cfg;

	if (!s->ended)
		return;
	t->ends++;
	s->ended = s->up = false;
	shaper_forget(&s->n.shaper);
	exitsess_start(&s->n.exit, &again, s->n.now, wall_s);
	run_until(s, s->n.now + 60 * US_PER_S);
	CHECK(s->up && !s->ended);
}

static void burst(struct sim *s)
{
	struct rng *r = &s->n.net.rng;

	s->sent_up = s->sent_down = s->udp_got_n = s->udp_up_n = s->tcp_got_n = s->tcp_sent_n = s->tcp_next =
		0;
	memset(s->up_seen, 0, sizeof(s->up_seen));
	memset(s->down_seen, 0, sizeof(s->down_seen));
	memset(s->tcp_seen, 0, sizeof(s->tcp_seen));
	pace(s, 1);
	run_until(s, s->n.now + US_PER_S);
	while (s->sent_up < BURST || s->sent_down < BURST) {
		if (s->sent_up < BURST && send_up(s, s->sent_up, 20 + rng_below(r, 1300)))
			s->sent_up++;
		if (s->sent_down < BURST && s->sent_down & 1)
			send_down_tcp(s, s->sent_down++, 20 + rng_below(r, 1300));
		else if (s->sent_down < BURST)
			send_down(s, s->sent_down++, 20 + rng_below(r, 1300));
		run_until(s, s->n.now + 40 * MS);
	}
	run_until(s, s->n.now + 20 * US_PER_S);
	if (!s->ended)
		check_counts(s);
	pace(s, IDLE_TIMES);
}

static void at_rest(struct sim *s)
{
	for (int i = 0; i < 120 && (shaper_unconfirmed(&s->n.shaper) > 8 || s->n.exit.queue.count); i++)
		run_until(s, s->n.now + US_PER_S);
	CHECK(!s->n.exit.queue.count && !reorder_held(&s->n.exit.order));
	CHECK(shaper_unconfirmed(&s->n.shaper) <= 8 && shaper_pending(&s->n.shaper) <= 32);
	CHECK(nym_rx_held(s->n.rx) == 0);
	CHECK(s->n.keys.count < KEYS_MOST && !s->n.keys.evicted);
	CHECK(s->n.exit.order.conns.used <= CONNS_MOST);
	CHECK(s->n.model.surb_n < SURBS_MOST);
	CHECK(!s->n.model.malformed && !s->n.exit.stats.malformed);
}

static void rotate(struct sim *s)
{
	s->n.topo.rotation_id++;
	surb_keys_expire(&s->n.keys, s->n.now > KEY_LIFE_US ? s->n.now - KEY_LIFE_US : 0);
	exitsess_rotated(&s->n.exit);
	s->n.model.surb_n = s->n.model.surb_n < 40 ? s->n.model.surb_n
						   : 40; /* the newest; the others are of keys gone by */
}

static void hour(struct sim *s, struct account *a, struct totals *t, int64_t *wall_s)
{
	uint64_t end = s->n.now + HOUR_US, from, slots;
	double expect;

	burst(s);
	from = s->n.now;
	slots = s->n.slots;
	while (s->n.now < end) {
		run_until(s, s->n.now + 60 * US_PER_S);
		*wall_s += 60;
		revive(s, t, *wall_s);
		account_minute(a, *wall_s);
		note(s, t);
	}
	expect = 55.0 / IDLE_TIMES * (double)(s->n.now - from) / 1e6;
	CHECK((double)(s->n.slots - slots) > 0.93 * expect &&
	      (double)(s->n.slots - slots) < 1.07 * expect); /* seven sigma */
	at_rest(s);
}

int main(int argc, char **argv)
{
	unsigned days = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 24;
	static struct sim s;
	static struct account a;
	struct totals t = { 0 };
	int64_t wall_s = 1800000000;

	if (prim_init())
		return 1;
	setup(&s, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	s.loss = s.n.cfg.loss = 0.01;
	s.dup = s.n.cfg.dup = 0.02;
	s.reorder = s.n.cfg.reorder = 0.02;
	account_open(&a, &s.n.rng.rng, wall_s);
	run_until(&s, s.n.now + 61 * US_PER_S);
	CHECK(s.up && !s.ended);
	pace(&s, IDLE_TIMES);
	for (unsigned h = 0; h < 24 * days; h++) {
		hour(&s, &a, &t, &wall_s);
		if (h % 24 == 23)
			rotate(&s);
	}
	CHECK(a.claims >= days / 6); /* a grant lasts six days */
	printf("sim_days: %u days, %llu slots, %llu sessions lost, %llu claims; most at a time: %llu reply keys, %llu packets to be "
	       "acknowledged, %llu connections, %llu SURBs at the exit\n",
	       days, (unsigned long long)s.n.slots, (unsigned long long)t.ends, (unsigned long long)a.claims,
	       (unsigned long long)t.keys_peak, (unsigned long long)t.pending_peak,
	       (unsigned long long)t.conns_peak, (unsigned long long)t.surbs_peak);
	gw_client_done(&a.client);
	gw_server_done(&a.server);
	simnet_done(&s.n);
	return 0;
}
