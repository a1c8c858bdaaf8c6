/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks, cover, acknowledgements.
 *
 * Theory of operation. Each clock is one absolute deadline; the next one is the previous deadline plus an
 * exponential sample, so lateness of the caller is caught up and the process stays Poisson (SPEC
 * traffic.md 3.1). More than a second of lateness (suspend, a blocked socket) restarts the clock from now
 * instead of sending a burst.
 *
 * Each real packet has a pending entry, found by its five-byte fragment identifier, with a timer. The timer
 * fires after 1.5 x expected delay + 1.5 s, or later when the measured round trips say so, and backs off per
 * retransmission (7.1). On expiry the entry either waits in the retransmission list or is given up. A
 * retransmission is the same fragment in a completely new packet (7.3): identical bytes would be dropped as
 * replays and would link the packets. Entries with limit 0 keep no fragment; they exist for the round-trip
 * time and for the source's books.
 *
 * The delays in the nodes are ours and known per packet; what a round trip takes beyond them is the
 * network's, and varies little. An item in a hurry (IP data) is taken for lost when that much, with its
 * variation, is over: on a fast network after a few tenths of a second, which is before a TCP above has
 * noticed.
 *
 * Limits: SHAPER_PENDING entries, SHAPER_KEPT kept fragments. An item that finds no entry is sent without one
 * and reported as acknowledged; one that finds no room for its fragment is sent once.
 *
 * Called by the bridge; the source is the exit session.
 */
#include "mixnet/shaper.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "mixnet/framing.h"

#define CATCH_UP_US US_PER_S
#define ACK_EXTRA_US (1500 * US_PER_MS)
#define HURRY_EXTRA_US (100 * US_PER_MS)
#define BACKOFF_MAX_US (10 * US_PER_S)
#define FORWARD_HOPS_DELAYED 3
#define SLOW_UP_US US_PER_S
#define SLOW_DOWN_US (2 * US_PER_S)

struct shaper_pending {
	struct shaper_pending *hash_next;
	struct heap_node timer;
	struct list retx;
	uint8_t id[NYM_ID];
	uint8_t *frag; /* kept block or NULL */
	struct recipient to;
	unsigned limit, tries; /* tries: retransmissions so far */
	bool hurry;
	uint64_t token, first_us, sent_us;
	uint64_t expected_us, before_us; /* delays of the last packet's way and back, of the one before */
};

int shaper_init(struct shaper *s, const struct shaper_cfg *cfg, const struct nym_self *me, struct rng *rng,
		const struct shaper_source *src)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->cfg = *cfg;
	s->me = me;
	s->rng = rng;
	s->src = *src;
	s->slow = 1;
	list_init(&s->retx);
	err = pool_init(&s->pending, sizeof(struct shaper_pending), SHAPER_PENDING);
	if (!err)
		err = pool_init(&s->kept, NYM_FRAG, SHAPER_KEPT);
	if (err)
		pool_done(&s->pending);
	return err;
}

/* ---- pending entries ---- */

static struct shaper_pending **bucket_of(struct shaper *s, const uint8_t id[NYM_ID])
{
	uint32_t h = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];

	return &s->bucket[(h * 2654435761u >> 16 ^ id[4]) & (SHAPER_BUCKETS - 1)];
}

static struct shaper_pending **pending_find(struct shaper *s, const uint8_t id[NYM_ID])
{
	struct shaper_pending **at = bucket_of(s, id);

	while (*at && memcmp((*at)->id, id, NYM_ID) != 0)
		at = &(*at)->hash_next;
	return at;
}

static void pending_free(struct shaper *s, struct shaper_pending **at)
{
	struct shaper_pending *p = *at;

	*at = p->hash_next;
	heap_remove(&s->timers, &p->timer);
	list_remove(&p->retx);
	pool_put(&s->kept, p->frag);
	pool_put(&s->pending, p);
}

static struct shaper_pending *pending_new(struct shaper *s, const struct shaper_item *item)
{
	struct shaper_pending *p = pool_get(&s->pending), **at;
	uint8_t id[NYM_ID];

	if (!p)
		return NULL;
	nym_frag_id(id, item->frag);
	at = pending_find(s, id);
	if (*at) { /* two messages drew the same set id: the older one is on its own now */
		uint64_t token = (*at)->token;

		pending_free(s, at);
		s->src.done(s->src.owner, token, true);
		at = pending_find(s, id);
	}
	memset(p, 0, sizeof(*p));
	list_init(&p->retx);
	memcpy(p->id, id, NYM_ID);
	p->to = *item->to;
	p->limit = item->limit;
	p->hurry = item->hurry;
	p->token = item->token;
	p->frag = item->limit ? pool_get(&s->kept) : NULL;
	if (p->frag)
		memcpy(p->frag, item->frag, NYM_FRAG);
	else
		p->limit = 0;
	p->hash_next = *at;
	*at = p;
	return p;
}

void shaper_forget(struct shaper *s)
{
	for (size_t i = 0; i < SHAPER_BUCKETS; i++)
		while (s->bucket[i])
			pending_free(s, &s->bucket[i]);
}

void shaper_done(struct shaper *s)
{
	if (!s->slow)
		return;
	shaper_forget(s);
	pool_done(&s->kept);
	pool_done(&s->pending);
	s->slow = 0;
}

/* ---- clocks ---- */

void shaper_start(struct shaper *s, uint64_t now_us)
{
	if (s->running)
		return;
	s->running = true;
	s->main_us = s->cfg.main_mean_us ? now_us + rng_exp(s->rng, s->cfg.main_mean_us) : TIME_NEVER;
	s->cover_us = s->cfg.cover_mean_us ? now_us + rng_exp(s->rng, s->cfg.cover_mean_us) : TIME_NEVER;
}

void shaper_pause(struct shaper *s)
{
	s->running = false;
	s->link_queued = 0;
}

/* Time of the slot that is served now. */
static uint64_t advance(struct shaper *s, uint64_t *clock_us, uint64_t mean_us, uint64_t now_us)
{
	uint64_t slot_us;

	if (now_us - *clock_us > CATCH_UP_US) {
		*clock_us = now_us;
		s->stats.restarts++;
	}
	slot_us = *clock_us;
	*clock_us += rng_exp(s->rng, mean_us);
	return slot_us;
}

void shaper_link(struct shaper *s, uint64_t now_us, size_t queued)
{
	s->link_queued = queued;
	if (queued > SHAPER_LINK_PRESSURE)
		s->pressure_us = now_us;
	if (queued >= SHAPER_LINK_FULL && s->slow < SHAPER_SLOW_MAX &&
	    now_us - s->slow_changed_us > SLOW_UP_US) {
		s->slow++;
		s->slow_changed_us = now_us;
	} else if (s->slow > 1 && now_us - s->pressure_us > SLOW_DOWN_US &&
		   now_us - s->slow_changed_us > SLOW_DOWN_US) {
		s->slow--;
		s->slow_changed_us = now_us;
	}
}

uint64_t shaper_deadline(const struct shaper *s)
{
	const struct heap_node *n = heap_min(&s->timers);
	uint64_t at = n ? n->key : TIME_NEVER;

	if (s->running && s->main_us < at)
		at = s->main_us;
	if (s->running && s->cover_us < at)
		at = s->cover_us;
	return at;
}

/* ---- round trips ---- */

uint64_t shaper_rtt(const struct shaper *s)
{
	return s->srtt_us
		       ? s->srtt_us
		       : FORWARD_HOPS_DELAYED * (s->cfg.hop_mean_us + s->cfg.ack_mean_us) + 200 * US_PER_MS;
}

uint64_t shaper_spread(const struct shaper *s)
{
	return 4 * s->overvar_us;
}

/* RFC 6298. */
static void smooth(uint64_t *mean, uint64_t *var, uint64_t us)
{
	uint64_t dev;

	if (!*mean) {
		*mean = us ? us : 1;
		*var = us / 2;
		return;
	}
	dev = us > *mean ? us - *mean : *mean - us;
	*var = *var - *var / 4 + dev / 4;
	*mean = *mean - *mean / 8 + us / 8;
}

static void rtt_sample(struct shaper *s, uint64_t us, uint64_t expected_us)
{
	smooth(&s->srtt_us, &s->rttvar_us, us);
	smooth(&s->over_us, &s->overvar_us, us > expected_us ? us - expected_us : 0);
}

/* SPEC traffic.md 7.1, with the advice there: floor, measured round trip, back-off 1.5 per retransmission up
 * to 10 s. */
static uint64_t ack_timeout(const struct shaper *s, const struct shaper_pending *p)
{
	uint64_t t = p->expected_us * 3 / 2 + ACK_EXTRA_US, measured = s->srtt_us + 4 * s->rttvar_us;

	if (p->hurry && p->frag && s->over_us) {
		t = p->expected_us + s->over_us + 4 * s->overvar_us + HURRY_EXTRA_US;
		measured = 0;
	}
	if (t < measured)
		t = measured;
	for (unsigned i = 0; i < p->tries && t < BACKOFF_MAX_US; i++)
		t += t / 2;
	return t < BACKOFF_MAX_US ? t : BACKOFF_MAX_US;
}

/* A fragment that is never sent again can wait longer for its books: the round trip may just have become
 * longer. */
static unsigned patience(const struct shaper_pending *p)
{
	return p->limit ? 1 : 2;
}

/* ---- packets ---- */

/* Without frag: cover to ourselves, acknowledged with the all-zero identifier (SPEC traffic.md 5.2). 0 or
 * SMX_EROUTE. */
static int build(struct shaper *s, const struct topology *topo, const struct recipient *to,
		 const uint8_t id[NYM_ID], const uint8_t *frag, struct shaper_out *out,
		 uint64_t *ret_expected_us)
{
	uint8_t surb_ack[NYM_SURB_ACK];
	struct sphinx_route route;
	uint64_t there_ns = 0, back_ns = 0;
	int err = topology_route(topo, s->me->addr.gateway, s->cfg.ack_mean_us * 1000, s->rng, &route,
				 &back_ns);

	if (!err)
		err = nym_surb_ack(surb_ack, s->me, &route, id, s->rng);
	if (!err)
		err = topology_route(topo, to->gateway, s->cfg.hop_mean_us * 1000, s->rng, &route, &there_ns);
	if (!err && frag)
		err = nym_packet_forward(out->packet, to, &route, surb_ack, frag, s->rng);
	else if (!err)
		err = nym_packet_cover(out->packet, s->me, &s->covers, &route, surb_ack, s->rng);
	if (!err && nym_addr_get(&out->next_hop, route.hop[0].addr, sizeof(route.hop[0].addr)) < 0)
		err = SMX_EROUTE;
	if (err)
		return err;
	out->cover = !frag;
	out->rotation = rotation_byte(topo->rotation_id);
	*ret_expected_us = (there_ns + back_ns) / 1000;
	return 0;
}

static bool build_cover(struct shaper *s, const struct topology *topo, struct shaper_out *out)
{
	static const uint8_t id[NYM_ID];
	uint64_t expected_us;

	if (build(s, topo, &s->me->addr, id, NULL, out, &expected_us)) {
		s->stats.skipped++;
		return false;
	}
	s->stats.cover++;
	return true;
}

static bool send_again(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out)
{
	struct shaper_pending *p = container_of(s->retx.next, struct shaper_pending, retx);

	list_remove(&p->retx);
	p->before_us = p->expected_us;
	/* no route now: try again later (7.3) */
	if (build(s, topo, &p->to, p->id, p->frag, out, &p->expected_us)) {
		heap_insert(&s->timers, &p->timer, now_us + ACK_EXTRA_US);
		return false;
	}
	p->tries++;
	p->sent_us = now_us;
	heap_insert(&s->timers, &p->timer, now_us + ack_timeout(s, p));
	s->stats.retransmissions++;
	s->stats.real++;
	return true;
}

static bool send_item(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out)
{
	const struct shaper_item *item = &s->item;
	struct shaper_pending *p = pending_new(s, item);
	uint8_t id[NYM_ID];
	uint64_t expected_us;

	nym_frag_id(id, item->frag);
	if (build(s, topo, item->to, id, item->frag, out, &expected_us)) {
		if (p && p->frag) { /* the recipient's gateway may come back with the next topology */
			heap_insert(&s->timers, &p->timer, now_us + ACK_EXTRA_US);
			return false;
		}
		if (p)
			pending_free(s, pending_find(s, id));
		s->stats.given_up++;
		s->src.done(s->src.owner, item->token, false);
		return false;
	}
	s->stats.real++;
	if (p) {
		p->first_us = p->sent_us = now_us;
		p->expected_us = expected_us;
		heap_insert(&s->timers, &p->timer, now_us + patience(p) * ack_timeout(s, p));
	} else {
		s->src.done(s->src.owner, item->token, true);
	}
	return true;
}

static bool fill(struct shaper *s, uint64_t now_us, const struct topology *topo, enum shaper_class class)
{
	return s->src.fill(s->src.owner, now_us, topo, class, &s->item);
}

/* What waits and goes first, if anything does and can be routed. */
static bool send_real(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out)
{
	bool retx = !list_empty(&s->retx);

	if (fill(s, now_us, topo, SHAPER_URGENT))
		return send_item(s, now_us, topo, out);
	if (retx && !s->last_retx) {
		s->last_retx = true;
		return send_again(s, now_us, topo, out);
	}
	if (fill(s, now_us, topo, SHAPER_DATA)) {
		s->last_retx = false;
		return send_item(s, now_us, topo, out);
	}
	if (retx)
		return send_again(s, now_us, topo, out);
	s->last_retx = false;
	return false;
}

/* One slot of the main stream. */
static bool main_slot(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out)
{
	/* A slot never stays empty because something could not be routed: the observer would see it. */
	return send_real(s, now_us, topo, out) || build_cover(s, topo, out);
}

/* ---- timers and acknowledgements ---- */

/* An acknowledgement that follows a retransmission sooner than the delays we chose for that one belongs to
 * the packet before: without these the timer would never learn that the way has become longer than it is.
 * Sooner than half a round trip would be no measure: where much gets lost, what is taken for the round trip
 * would grow by its own. */
static void ack_sample(struct shaper *s, uint64_t now_us, const struct shaper_pending *p)
{
	if (p->first_us && !p->tries)
		rtt_sample(s, now_us - p->first_us, p->expected_us);
	else if (p->first_us && p->tries == 1 && now_us - p->sent_us < p->expected_us)
		rtt_sample(s, now_us - p->first_us, p->before_us);
}

static void expire(struct shaper *s, uint64_t now_us)
{
	struct heap_node *n;

	while ((n = heap_min(&s->timers)) && n->key <= now_us) {
		struct shaper_pending *p = container_of(n, struct shaper_pending, timer);
		uint64_t token = p->token;

		heap_remove(&s->timers, n);
		if (p->tries < p->limit) {
			list_push_back(&s->retx, &p->retx);
			continue;
		}
		pending_free(s, pending_find(s, p->id));
		s->stats.given_up++;
		s->src.done(s->src.owner, token, false);
	}
}

int shaper_poll(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out)
{
	expire(s, now_us);
	if (s->running && !s->cfg.main_mean_us && topo && !topology_check(topo) &&
	    send_real(s, now_us, topo, out)) {
		out->slot_us = now_us;
		return 1;
	}
	while (s->running && (s->main_us <= now_us || s->cover_us <= now_us)) {
		bool main_due = s->main_us <= s->cover_us, sent = false;

		if (main_due)
			out->slot_us = advance(s, &s->main_us, s->cfg.main_mean_us * s->slow, now_us);
		else
			out->slot_us = advance(s, &s->cover_us, s->cfg.cover_mean_us, now_us);
		if (!topo || topology_check(topo))
			s->stats.skipped++;
		else if (main_due)
			sent = main_slot(s, now_us, topo, out);
		else if (s->link_queued >= SHAPER_LINK_FULL) /* SPEC traffic.md 5.1: dropped, not delayed */
			s->stats.cover_dropped++;
		else
			sent = build_cover(s, topo, out);
		if (sent)
			return 1;
	}
	return 0;
}

void shaper_ack(struct shaper *s, uint64_t now_us, const uint8_t id[NYM_ID])
{
	static const uint8_t cover[NYM_ID];
	struct shaper_pending **at;
	uint64_t token;

	if (!memcmp(id, cover, NYM_ID)) {
		s->stats.cover_acks++;
		return;
	}
	at = pending_find(s, id);
	if (!*at) {
		s->stats.unknown_acks++;
		return;
	}
	s->stats.acks++;
	ack_sample(s, now_us, *at);
	token = (*at)->token;
	pending_free(s, at);
	s->src.done(s->src.owner, token, true);
}

size_t shaper_pending(const struct shaper *s)
{
	return s->pending.used;
}

size_t shaper_unconfirmed(const struct shaper *s)
{
	return s->kept.used;
}
