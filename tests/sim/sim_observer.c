/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an observer of the link to the gateway sees, whatever the user does: a fixed seed, a fake clock, real
 * packets.
 *
 * Theory of operation. The shaper runs through idleness, a bulk upload, a download (small packets and bursts
 * of SURB answers), a lossy network (retransmissions) and lost links, in each profile. The times of its
 * packets are tested against the exponential law of the profile's rate and, two samples, against those of
 * idleness (Kolmogorov-Smirnov, p > 0.01 each). Every packet has one size by its type; nodes on its way see
 * one version, of cover and data. What takes time between a slot and the wire is not here:
 * tests/e2e/observer.py looks at a live link.
 *
 * That the tests can tell: a source that is served outside of the slots, as one more packet at once after
 * every fourth, has to fail them.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mixnet/prim.h"
#include "mixnet/shaper.h"
#include "tests/unit/testnet.h"

#define MS US_PER_MS
#define SLOTS 800
#define LOOK_EVERY 16 /* packets: what nodes see costs as much as making one */
#define P_MIN 0.01

enum doing { IDLE, UPLOAD, DOWNLOAD, LOSSY, RECONNECTS, N_DOING };

static const char *const names[N_DOING] = {"idle", "upload", "download", "loss", "reconnects"};

struct profile {
	const char *name;
	struct shaper_cfg cfg;
	double mean_us; /* of both clocks together */
};

static const struct profile profiles[] = {
	{"default", {20 * MS, 200 * MS, 15 * MS, 15 * MS}, 1e6 / 55},
	{"fast", {4 * MS, 0, 10 * MS, 10 * MS}, 1e6 / 250},
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
	struct shaper_out out;
	enum doing doing;
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
	uint8_t id[NYM_ID] = {(uint8_t)(r->n >> 24), (uint8_t)(r->n >> 16), (uint8_t)(r->n >> 8),
			      (uint8_t)r->n, 1};

	if (r->doing != LOSSY || r->n % 10)
		shaper_ack(&r->s, now_us, id);
}

/* At every hop, in place. */
static bool version_everywhere(const struct testnet *t, uint8_t *packet, size_t len)
{
	struct sphinx_result r = {0};
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

static void look(struct view *v, const struct testnet *t, struct shaper_out *out)
{
	v->real += !out->cover;
	if (v->n % LOOK_EVERY)
		return;
	v->looked++;
	v->other_version += !version_everywhere(t, out->packet, sizeof(out->packet));
}

/* The gap a lost link makes is not the clock's. */
static uint64_t reconnect(struct run *r, uint64_t now_us)
{
	shaper_pause(&r->s);
	now_us += 1700 * MS;
	shaper_start(&r->s, now_us);
	return now_us;
}

static bool observe(struct view *v, const struct profile *p, enum doing doing, bool cheat)
{
	struct run *r = calloc(1, sizeof(*r));
	struct shaper_source src = {fill, done, r};
	uint64_t now = 1000 * US_PER_S, last = now;

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
	shaper_start(&r->s, now);
	while (v->n < SLOTS) {
		now = shaper_deadline(&r->s);
		while (v->n < SLOTS && shaper_poll(&r->s, now, &r->net.topo, &r->out) == 1) {
			v->gap[v->n++] = (double)(now - last);
			last = now;
			look(v, &r->net, &r->out);
			if (!r->out.cover)
				acknowledge(r, now);
			if (cheat && v->n % 5 == 4)
				v->gap[v->n++] = 0;
		}
		if (doing == RECONNECTS && v->n % 100 == 99) {
			now = reconnect(r, now);
			last = now;
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

static bool looks_right(const struct profile *p, const struct view *idle, struct view *v, enum doing doing)
{
	double law, same;

	qsort(v->gap, v->n, sizeof(double), by_value);
	law = p_exponential(v, p->mean_us);
	same = p_same(idle, v);
	printf("%-8s %-10s %4zu packets, %4zu of them real: p(exponential) %.3f, p(as idle) %.3f, other "
	       "versions %zu of %zu\n",
	       p->name, names[doing], v->n, v->real, law, same, v->other_version, v->looked);
	return law > P_MIN && same > P_MIN && v->looked && !v->other_version &&
	       (doing == IDLE) == (v->real == 0);
}

int main(void)
{
	static struct view idle, v;
	bool good = true;

	if (prim_init())
		return 1;
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		const struct profile *p = &profiles[i];

		for (int doing = IDLE; doing < N_DOING; doing++) {
			struct view *to = doing == IDLE ? &idle : &v;

			good &= observe(to, p, (enum doing)doing, false) &&
				looks_right(p, &idle, to, (enum doing)doing);
		}
		printf("a source that is served outside of the slots, which must show:\n");
		good &= observe(&v, p, UPLOAD, true) && !looks_right(p, &idle, &v, UPLOAD);
	}
	printf("sim_observer: %s\n", good ? "nothing shows but the clock" : "FAILED");
	return good ? 0 : 1;
}
