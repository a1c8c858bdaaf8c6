/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an observer of the link to the gateway sees, whatever the user does: a fixed seed, a fake clock, real
 * packets.
 *
 * Theory of operation. Shaper and pacer run through idleness, a bulk upload, a download (small packets and
 * bursts of SURB answers), a lossy network (retransmissions) and lost links, in each profile, on a machine on
 * which building a packet takes time, more when there is something in it, and which wakes up late. The times
 * at which packets leave are tested against the exponential law of the profile's rate and, two samples,
 * against those of idleness (Kolmogorov-Smirnov, p > 0.01 each). Every packet has one size by its type; nodes
 * on its way see one version, of cover and data. tests/e2e/observer.py looks at a live link.
 *
 * That the tests can tell: a source that is served outside of the slots, as one more packet at once after
 * every fourth, has to fail them, and so do packets that leave as soon as they are built, those that are
 * written behind what is built in the same turn, and those that catch up with their moments at once.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mixnet/pacer.h"
#include "mixnet/prim.h"
#include "mixnet/shaper.h"
#include "tests/unit/testnet.h"

#define MS US_PER_MS
#define SLOTS 1600
#define LOOK_EVERY 16 /* packets: what nodes see costs as much as making one */
#define P_MIN 0.01
#define COVER_US 600 /* building takes */
#define REAL_US 1300 /* with three SURBs in it */
#define WAKE_US 30   /* from a moment to waking up */
#define LATE_US 1500 /* one time in two it takes up to that much longer */
#define WRITE_US 10

enum how { PACED, UNPACED, EXTRA, SAME_TURN, AT_ONCE };

enum doing { IDLE, UPLOAD, DOWNLOAD, LOSSY, RECONNECTS, N_DOING };

static const char *const names[N_DOING] = { "idle", "upload", "download", "loss", "reconnects" };

struct profile {
	const char *name;
	struct shaper_cfg cfg;
	double mean_us; /* of both clocks together */
};

static const struct profile profiles[] = {
	{ "default", { 20 * MS, 200 * MS, 15 * MS, 15 * MS }, 1e6 / 55 },
	{ "fast", { 4 * MS, 0, 10 * MS, 10 * MS }, 1e6 / 250 },
};

struct view {
	double gap[SLOTS];
	size_t n, real, looked, other_version;
};

struct run {
	struct rng_seeded rng;
	struct testnet net;
	struct nym_self me, peer;
	struct shaper s;
	struct pacer pacer;
	uint64_t now, last;
	enum doing doing;
	struct shaper_out out;
	struct pacer_frame leaving[PACER_PACKETS]; /* on the wire when the turn is over */
	unsigned n_leaving;
	uint32_t n;
	unsigned urgent;
	uint64_t next_small_us;
};

static bool wants(struct run *r, uint64_t now_us, enum shaper_class class)
{
	switch (r->doing) {
	case IDLE: return false;
	case UPLOAD:
	case LOSSY: return class == SHAPER_DATA;
	case DOWNLOAD:
	case RECONNECTS:
		if (class == SHAPER_URGENT)
			return r->urgent && r->urgent--;
		if (now_us < r->next_small_us)
			return false;
		r->next_small_us = now_us + 30 * MS;
		if (r->n % 16 == 0)
			r->urgent = 5;
		return true;
	case N_DOING: break;
	}
	return false;
}

static bool fill(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		 struct shaper_item *item)
{
	struct run *r = owner;

	(void)topo;
	if (!wants(r, now_us, class))
		return false;
	r->n++;
	memset(item->frag, (int)(r->n & 0xff), sizeof(item->frag));
	item->frag[0] = 0x80;
	item->frag[1] = (uint8_t)(r->n >> 16);
	item->frag[2] = (uint8_t)(r->n >> 8);
	item->frag[3] = (uint8_t)r->n;
	item->frag[4] = 1;
	item->frag[5] = 1;
	item->frag[6] = 0;
	item->to = &r->peer.addr;
	item->limit = class == SHAPER_URGENT || r->doing == LOSSY ? 10 : 0;
	item->token = r->n;
	return true;
}

static void done(void *owner, uint64_t token, bool acked)
{
	(void)owner, (void)token, (void)acked;
}

static void acknowledge(struct run *r, uint64_t now_us)
{
	uint8_t id[NYM_ID] = { (uint8_t)(r->n >> 24), (uint8_t)(r->n >> 16), (uint8_t)(r->n >> 8),
			       (uint8_t)r->n, 1 };

	if (r->doing != LOSSY || r->n % 10)
		shaper_ack(&r->s, now_us, id);
}

/* At every hop, in place. */
static bool version_everywhere(const struct testnet *t, uint8_t *packet, size_t len)
{
	struct sphinx_result r = { 0 };
	int got = SPHINX_FORWARD;

	for (int hop = 0; hop < 4 && got == SPHINX_FORWARD; hop++) {
		got = SMX_ECRYPTO;
		for (int i = 0; i < 4 && got == SMX_ECRYPTO; i++)
			got = sphinx_process(packet, len, t->sk[i], &r);
		if (r.version != SPHINX_VERSION)
			return false;
	}
	return got == SPHINX_FINAL;
}

/* A packet leaves. */
static void look(struct run *r, struct view *v, struct pacer_frame *f, enum how how)
{
	v->gap[v->n++] = (double)(r->now - r->last);
	r->last = r->now;
	if (how == EXTRA && v->n % 5 == 4)
		v->gap[v->n++] = 0;
	if (v->n % LOOK_EVERY)
		return;
	v->looked++;
	v->other_version += !version_everywhere(&r->net, f->buf, f->len);
}

/* The gap a lost link makes is not the clock's. */
static void reconnect(struct run *r)
{
	shaper_pause(&r->s);
	pacer_clear(&r->pacer);
	r->n_leaving = 0;
	r->now += 1700 * MS;
	shaper_start(&r->s, r->now);
	r->last = 0;
}

static const struct pacer_frame *due_now(const struct run *r, enum how how)
{
	const struct pacer *p = &r->pacer;

	if (how != AT_ONCE)
		return pacer_due(p, r->now);
	return p->n && p->at_us[p->head] <= r->now ? &p->frame[p->head] : NULL;
}

/* As the bridge does it. False: nothing is to be done now. */
static bool serve(struct run *r, struct view *v, enum how how)
{
	uint64_t near_us = pacer_near_us(&r->pacer, r->now);
	const struct pacer_frame *due;
	struct pacer_frame *room;

	if (near_us)
		r->now = near_us;
	due = due_now(r, how);
	if (due) {
		r->leaving[r->n_leaving++] = *due;
		pacer_pop(&r->pacer, r->now);
		if (how == SAME_TURN)
			pacer_written(&r->pacer, r->now);
		return true;
	}
	room = pacer_room(&r->pacer, r->now);
	if (!room || shaper_poll(&r->s, r->now, &r->net.topo, &r->out) != 1)
		return false;
	if (!r->out.cover)
		acknowledge(r, r->now);
	v->real += !r->out.cover;
	r->now += r->out.cover ? COVER_US : REAL_US;
	room->slot_us = how == UNPACED ? r->now - PACER_HOLD_US : r->out.slot_us;
	room->len = sizeof(r->out.packet);
	memcpy(room->buf, r->out.packet, room->len);
	pacer_put(&r->pacer);
	return true;
}

/* The turn is over. */
static void wait(struct run *r, struct view *v, enum how how)
{
	uint64_t leave = pacer_deadline(&r->pacer), slot = shaper_deadline(&r->s), free;

	for (unsigned i = 0; i < r->n_leaving && v->n < SLOTS; i++) {
		r->now += WRITE_US;
		if (r->last)
			look(r, v, &r->leaving[i], how);
		r->last = r->now;
	}
	if (r->n_leaving) {
		r->n_leaving = 0;
		pacer_written(&r->pacer, r->now);
		return;
	}
	free = pacer_free_us(&r->pacer, r->now);
	if (slot < free)
		slot = free;
	if (slot < leave)
		leave = slot;
	if (leave > r->now)
		r->now = leave + WAKE_US + rng_below(&r->rng.rng, 2) * rng_below(&r->rng.rng, LATE_US);
}

static bool observe(struct view *v, const struct profile *p, enum doing doing, enum how how)
{
	struct run *r = calloc(1, sizeof(*r));
	struct shaper_source src = { fill, done, r };
	size_t lost_at = 100;

	memset(v, 0, sizeof(*v));
	if (!r)
		return false;
	rng_seeded_init(&r->rng, 7 + doing);
	testnet_init(&r->net, &r->rng.rng);
	testnet_self(&r->net, &r->me, &r->rng.rng);
	testnet_self(&r->net, &r->peer, &r->rng.rng);
	r->doing = doing;
	if (shaper_init(&r->s, &p->cfg, &r->me, &r->rng.rng, &src)) {
		free(r);
		return false;
	}
	r->now = 1000 * US_PER_S;
	shaper_start(&r->s, r->now);
	while (v->n < SLOTS) {
		if (!serve(r, v, how))
			wait(r, v, how);
		if (doing == RECONNECTS && v->n >= lost_at) {
			reconnect(r);
			lost_at += 100;
		}
	}
	shaper_forget(&r->s);
	shaper_done(&r->s);
	free(r);
	return true;
}

/* ---- Kolmogorov-Smirnov ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Probability of a distance of at least d among n, when nothing is wrong (Kolmogorov's series with Stephens'
 * correction). */
static double probability(double d, double n)
{
	double root = sqrt(n), x = (root + 0.12 + 0.11 / root) * d, sum = 0;

	if (x < 0.2)
		return 1;
	for (int j = 1; j < 100; j++)
		sum += (j % 2 ? 2 : -2) * exp(-2 * j * j * x * x);
	return fmin(fmax(sum, 0), 1);
}

static double p_exponential(const struct view *v, double mean)
{
	double d = 0, n = (double)v->n;

	for (size_t i = 0; i < v->n; i++) {
		double f = 1 - exp(-v->gap[i] / mean);

		d = fmax(d, fmax(fabs(f - (double)i / n), fabs((double)(i + 1) / n - f)));
	}
	return probability(d, n);
}

static double p_same(const struct view *a, const struct view *b)
{
	double d = 0, n = (double)a->n, m = (double)b->n;
	size_t i = 0, j = 0;

	while (i < a->n && j < b->n) {
		double x = fmin(a->gap[i], b->gap[j]);

		while (i < a->n && a->gap[i] <= x)
			i++;
		while (j < b->n && b->gap[j] <= x)
			j++;
		d = fmax(d, fabs((double)i / n - (double)j / m));
	}
	return probability(d, n * m / (n + m));
}

static bool looks_right(const struct profile *p, const struct view *idle, struct view *v, const char *name,
			bool real)
{
	double law, same;

	qsort(v->gap, v->n, sizeof(double), by_value);
	law = p_exponential(v, p->mean_us);
	same = p_same(idle, v);
	printf("  %-20s %4zu packets, %4zu of them real: p(exponential) %.3f, p(as idle) %.3f, other "
	       "versions %zu of %zu\n",
	       name, v->n, v->real, law, same, v->other_version, v->looked);
	return law > P_MIN && same > P_MIN && v->looked && !v->other_version && real == (v->real > 0);
}

int main(void)
{
	static struct view idle, v;
	bool good = true;

	if (prim_init())
		return 1;
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		const struct profile *p = &profiles[i];

		printf("%s, %.1f packets/s\n", p->name, 1e6 / p->mean_us);
		for (int doing = IDLE; doing < N_DOING; doing++) {
			struct view *to = doing == IDLE ? &idle : &v;

			good &= observe(to, p, (enum doing)doing, PACED) &&
				looks_right(p, &idle, to, names[doing], doing != IDLE);
		}
		printf("these must show:\n");
		good &= observe(&v, p, UPLOAD, EXTRA) &&
			!looks_right(p, &idle, &v, "outside of the slots", true);
	}
	/* Where slots are rare, it takes more packets to see it. */
	good &= observe(&v, &profiles[1], DOWNLOAD, UNPACED) &&
		!looks_right(&profiles[1], &idle, &v, "as soon as built", true);
	good &= observe(&v, &profiles[1], DOWNLOAD, SAME_TURN) &&
		!looks_right(&profiles[1], &idle, &v, "written late", true);
	good &= observe(&v, &profiles[1], UPLOAD, AT_ONCE) &&
		!looks_right(&profiles[1], &idle, &v, "catching up at once", true);
	printf("sim_observer: %s\n", good ? "nothing shows but the clock" : "FAILED");
	return good ? 0 : 1;
}
