/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reorder hold and duplicate-ACK damper, per TCP connection.
 *
 * Theory of operation. Sequence numbers of stream frames say that something is missing, not for whom. TCP's
 * own sequence numbers do: for each connection the next byte expected from the far side is known, so a
 * segment that continues is passed at once whatever else is missing, and only a segment behind a hole of its
 * own connection waits. Waiting segments stand in a list sorted by sequence number and in a heap of
 * deadlines. When the hole is filled the list is passed as far as it continues; when the deadline of a
 * segment is over, everything up to it is passed: the hole then is a loss and the stack above has to see it.
 *
 * A pure ACK with the number and window of the last one passed is a duplicate. It waits in the same heap; a
 * segment with a newer number that is passed meanwhile deletes it. Its wait is longer than a segment's: the
 * disorder it tells of arose on the way out, its own delay on the way back adds to it, and a packet that was
 * lost on the way out is sent again by the shaper after a round trip.
 *
 * The hold follows the lateness of frames, how long after the first frame with a higher number a frame came:
 * all but one of 100000. A hole that is given up too early costs the sender half of its rate, for half a
 * minute where it is an old Reno, and a thousand frames pass in seven seconds. Lateness is counted in bins;
 * counts are halved now and then, so that the past fades. So few frames do not show what is so rare: the
 * delays in nodes are exponential, so each further power of ten is as far from the last one as that from the
 * one before, and from what one of 100 and one of 1000 exceed follows the rest. Until SAMPLES_SURE frames
 * have come the hold only grows, and the spread of acknowledgements speaks too.
 *
 * Limits: REORDER_CONNS connections, least recently used dropped after passing what they hold; REORDER_HELD
 * packets, beyond which packets pass at once. Called by exitsess.c only.
 */
#include "mixnet/reorder.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "mixnet/ippkt.h"

#define BIN_US (10 * US_PER_MS)
#define HOLD_MIN_US (100 * US_PER_MS)
#define HOLD_MAX_US (1200 * US_PER_MS)
#define HOLD_START_US (200 * US_PER_MS)
#define DAMP_MIN_US (150 * US_PER_MS)
#define SAMPLES_HALVE 8192u
#define REPAIR_US (100 * US_PER_MS)
#define SAMPLES_MIN 32u
#define SAMPLES_SURE 1024u /* before, the hold grows but does not shrink */

struct reorder_conn {
	struct reorder_conn *hash_next;
	struct list lru, segments, dups;
	struct addr far, near;
	uint32_t next_seq, ack;
	uint16_t win;
	bool ack_known;
	unsigned n_held;
};

struct held {
	struct list node;
	struct heap_node timer;
	struct reorder_conn *conn;
	uint32_t seq, end; /* of a segment */
	bool dup;	   /* a duplicate ACK, in conn->dups */
	bool has_ack;
	uint32_t ack;
	uint16_t win, len;
	uint8_t data[REORDER_PACKET_MAX];
};

int reorder_init(struct reorder *r, void (*deliver)(void *owner, const uint8_t *pkt, size_t len), void *owner)
{
	int err;

	memset(r, 0, sizeof(*r));
	r->deliver = deliver;
	r->owner = owner;
	r->hold_us = HOLD_START_US;
	list_init(&r->lru);
	err = pool_init(&r->conns, sizeof(struct reorder_conn), REORDER_CONNS);
	if (!err)
		err = pool_init(&r->held, sizeof(struct held), REORDER_HELD);
	if (err)
		pool_done(&r->conns);
	return err;
}

/* ---- table of connections ---- */

static uint32_t hash(const struct addr *far, const struct addr *near)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(far->ip); i++)
		h = (h ^ far->ip[i]) * 16777619u;
	h = (h ^ far->port) * 16777619u;
	h = (h ^ near->port) * 16777619u;
	return (h ^ h >> 15) % REORDER_CONNS;
}

static struct reorder_conn *conn_find(struct reorder *r, const struct ippkt *p)
{
	struct reorder_conn *c = r->bucket[hash(&p->src, &p->dst)];

	while (c && !(addr_equal(&c->far, &p->src) && addr_equal(&c->near, &p->dst)))
		c = c->hash_next;
	return c;
}

static void held_free(struct reorder *r, struct held *h)
{
	heap_remove(&r->timers, &h->timer);
	list_remove(&h->node);
	h->conn->n_held--;
	pool_put(&r->held, h);
}

static void free_all(struct reorder *r, struct list *held)
{
	while (!list_empty(held))
		held_free(r, container_of(held->next, struct held, node));
}

static void conn_free(struct reorder *r, struct reorder_conn *c)
{
	struct reorder_conn **at = &r->bucket[hash(&c->far, &c->near)];

	free_all(r, &c->segments);
	free_all(r, &c->dups);
	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
	list_remove(&c->lru);
	pool_put(&r->conns, c);
}

void reorder_clear(struct reorder *r)
{
	while (!list_empty(&r->lru))
		conn_free(r, container_of(r->lru.next, struct reorder_conn, lru));
	r->max_seq = 0;
	memset(r->arrival_us, 0, sizeof(r->arrival_us));
}

void reorder_done(struct reorder *r)
{
	if (!r->deliver)
		return;
	reorder_clear(r);
	pool_done(&r->held);
	pool_done(&r->conns);
	r->deliver = NULL;
}

/* ---- passing on ---- */

/* What the stack will have seen of the connection after a packet with this ACK. */
static void saw_ack(struct reorder *r, struct reorder_conn *c, uint32_t ack, uint16_t win)
{
	if (c->ack_known && ippkt_seq_lt(ack, c->ack))
		return;
	if (!c->ack_known || ack != c->ack) {
		while (!list_empty(&c->dups)) {
			held_free(r, container_of(c->dups.next, struct held, node));
			r->dup_acks_dropped++;
		}
	}
	c->ack_known = true;
	c->ack = ack;
	c->win = win;
}

static void pass_held(struct reorder *r, struct held *h)
{
	struct reorder_conn *c = h->conn;

	if (!h->dup && ippkt_seq_lt(c->next_seq, h->end))
		c->next_seq = h->end;
	if (h->has_ack && !h->dup)
		saw_ack(r, c, h->ack, h->win);
	r->deliver(r->owner, h->data, h->len);
	held_free(r, h);
}

/* The list as far as it continues. */
static void pass_contiguous(struct reorder *r, struct reorder_conn *c)
{
	while (!list_empty(&c->segments)) {
		struct held *h = container_of(c->segments.next, struct held, node);

		if (ippkt_seq_lt(c->next_seq, h->seq))
			return;
		pass_held(r, h);
	}
}

/* The hole before last is given up: everything up to it, and what continues. */
static void give_up(struct reorder *r, struct held *last)
{
	struct reorder_conn *c = last->conn;
	struct held *h;

	r->gaps_given_up++;
	do {
		h = container_of(c->segments.next, struct held, node);
		pass_held(r, h);
	} while (h != last);
	pass_contiguous(r, c);
}

static struct reorder_conn *conn_new(struct reorder *r, const struct ippkt *p)
{
	struct reorder_conn *c = pool_get(&r->conns), **at = &r->bucket[hash(&p->src, &p->dst)];

	if (!c) {
		struct reorder_conn *old = container_of(r->lru.next, struct reorder_conn, lru);

		while (!list_empty(&old->segments))
			pass_held(r, container_of(old->segments.next, struct held, node));
		conn_free(r, old);
		c = pool_get(&r->conns);
	}
	memset(c, 0, sizeof(*c));
	list_init(&c->segments);
	list_init(&c->dups);
	list_init(&c->lru);
	c->far = p->src;
	c->near = p->dst;
	c->hash_next = *at;
	*at = c;
	list_push_back(&r->lru, &c->lru);
	return c;
}

static struct held *held_new(struct reorder *r, struct reorder_conn *c, const struct ippkt *p,
			     const uint8_t *pkt, size_t len)
{
	struct held *h =
		len <= REORDER_PACKET_MAX && c->n_held < REORDER_PER_CONN ? pool_get(&r->held) : NULL;

	if (!h)
		return NULL;
	memset(&h->timer, 0, sizeof(h->timer));
	list_init(&h->node);
	h->conn = c;
	h->dup = false;
	h->has_ack = p->flags & IPPKT_ACK;
	h->ack = p->ack;
	h->win = p->win;
	h->len = (uint16_t)len;
	memcpy(h->data, pkt, len);
	c->n_held++;
	return h;
}

/* ---- what comes in ---- */

static uint32_t segment_end(const struct ippkt *p)
{
	return p->seq + (uint32_t)p->payload + (p->flags & IPPKT_FIN ? 1 : 0) +
	       (p->flags & IPPKT_SYN ? 1 : 0);
}

static void hold_segment(struct reorder *r, struct reorder_conn *c, uint64_t now_us, const struct ippkt *p,
			 const uint8_t *pkt, size_t len)
{
	struct list *at = c->segments.prev;
	struct held *h;

	for (; at != &c->segments; at = at->prev) { /* from the end: most come nearly in order */
		h = container_of(at, struct held, node);
		if (ippkt_seq_lt(h->seq, p->seq))
			break;
		if (h->seq == p->seq && h->end == segment_end(p)) {
			r->duplicates++;
			return;
		}
	}
	h = held_new(r, c, p, pkt, len);
	if (!h) { /* no room: the oldest hole of this connection is given up, the packet goes as it is */
		if (!list_empty(&c->segments))
			give_up(r, container_of(c->segments.next, struct held, node));
		r->deliver(r->owner, pkt, len);
		return;
	}
	h->seq = p->seq;
	h->end = segment_end(p);
	list_insert_after(at, &h->node);
	heap_insert(&r->timers, &h->timer, now_us + r->hold_us);
}

static void segment(struct reorder *r, struct reorder_conn *c, uint64_t now_us, const struct ippkt *p,
		    const uint8_t *pkt, size_t len)
{
	uint32_t end = segment_end(p);

	if (ippkt_seq_lt(c->next_seq, p->seq)) {
		hold_segment(r, c, now_us, p, pkt, len);
		return;
	}
	if (ippkt_seq_lt(c->next_seq, end))
		c->next_seq = end;
	if (p->flags & IPPKT_ACK)
		saw_ack(r, c, p->ack, p->win);
	r->deliver(r->owner, pkt, len);
	pass_contiguous(r, c);
}

static void pure_ack(struct reorder *r, struct reorder_conn *c, uint64_t now_us, const struct ippkt *p,
		     const uint8_t *pkt, size_t len)
{
	struct held *h;

	if (c->ack_known && ippkt_seq_lt(p->ack, c->ack)) {
		r->old_acks_dropped++;
		return;
	}
	h = c->ack_known && p->ack == c->ack && p->win == c->win ? held_new(r, c, p, pkt, len) : NULL;
	if (!h) {
		saw_ack(r, c, p->ack, p->win);
		r->deliver(r->owner, pkt, len);
		return;
	}
	h->dup = true;
	list_push_back(&c->dups, &h->node);
	heap_insert(&r->timers, &h->timer,
		    now_us + (r->hold_us > DAMP_MIN_US ? r->hold_us : DAMP_MIN_US) + r->repair_us);
}

/* SYN: numbers begin anew. */
static void restart(struct reorder *r, struct reorder_conn *c, const struct ippkt *p)
{
	free_all(r, &c->segments);
	free_all(r, &c->dups);
	c->next_seq = segment_end(p);
	c->ack_known = p->flags & IPPKT_ACK;
	c->ack = p->ack;
	c->win = p->win;
}

void reorder_packet(struct reorder *r, uint64_t now_us, const uint8_t *pkt, size_t len)
{
	struct ippkt p;
	struct reorder_conn *c;

	if (!ippkt_parse(&p, pkt, len) || p.proto != IPPKT_TCP) {
		r->deliver(r->owner, pkt, len);
		return;
	}
	c = conn_find(r, &p);
	if (!c && (p.flags & IPPKT_RST)) {
		r->deliver(r->owner, pkt, len);
		return;
	}
	if (!c) {
		c = conn_new(r, &p);
		c->next_seq = p.seq;
	}
	list_remove(&c->lru);
	list_push_back(&r->lru, &c->lru);
	if (p.flags & IPPKT_SYN) {
		if (c->next_seq != segment_end(&p)) /* not a SYN that came twice */
			restart(r, c, &p);
		r->deliver(r->owner, pkt, len);
	} else if (ippkt_pure_ack(&p)) {
		pure_ack(r, c, now_us, &p, pkt, len);
	} else {
		segment(r, c, now_us, &p, pkt, len);
	}
}

void reorder_tick(struct reorder *r, uint64_t now_us)
{
	struct heap_node *n;

	while ((n = heap_min(&r->timers)) && n->key <= now_us) {
		struct held *h = container_of(n, struct held, timer);

		if (h->dup)
			pass_held(r, h);
		else
			give_up(r, h);
	}
}

uint64_t reorder_deadline(const struct reorder *r)
{
	const struct heap_node *n = heap_min(&r->timers);

	return n ? n->key : TIME_NEVER;
}

uint64_t reorder_hold(const struct reorder *r)
{
	return r->hold_us;
}

size_t reorder_held(const struct reorder *r)
{
	return r->held.used;
}

/* ---- spread ---- */

void reorder_path(struct reorder *r, uint64_t rtt_us, uint64_t spread_us)
{
	r->repair_us = rtt_us + REPAIR_US;
	if (r->samples < SAMPLES_SURE && spread_us > r->hold_us)
		r->hold_us = spread_us < HOLD_MAX_US ? spread_us : HOLD_MAX_US;
}

/* What one frame of n exceeds at most. */
static uint64_t lateness_us(const struct reorder *r, uint32_t n)
{
	uint32_t above = 0, limit = r->samples / n;
	size_t i = REORDER_BINS;

	while (i > 0 && above + r->bin[i - 1] <= limit)
		above += r->bin[--i];
	return (i + 1) * BIN_US;
}

static void hold_update(struct reorder *r)
{
	uint64_t least_us = r->samples < SAMPLES_SURE ? r->hold_us : HOLD_MIN_US;
	uint64_t rare_us = lateness_us(r, 1000), us = rare_us + 2 * (rare_us - lateness_us(r, 100));

	r->hold_us = us < least_us ? least_us : us > HOLD_MAX_US ? HOLD_MAX_US : us;
	if (r->samples < SAMPLES_HALVE)
		return;
	r->samples = 0;
	for (size_t i = 0; i < REORDER_BINS; i++)
		r->samples += r->bin[i] /= 2;
}

void reorder_frame(struct reorder *r, uint64_t now_us, uint32_t seq)
{
	uint32_t behind = r->max_seq - seq;
	uint64_t late_us = 0;
	size_t bin;

	if (!r->max_seq || ippkt_seq_lt(r->max_seq, seq)) {
		uint32_t gap = r->max_seq ? seq - r->max_seq : 1;

		for (uint32_t i = 1; i < gap && i <= REORDER_SEQS; i++) /* skipped numbers have not come */
			r->arrival_us[(seq - i) % REORDER_SEQS] = 0;
		r->max_seq = seq;
	} else if (behind < REORDER_SEQS) {
		uint64_t first = now_us;

		for (uint32_t i = 0; i < behind; i++) {
			uint64_t at = r->arrival_us[(r->max_seq - i) % REORDER_SEQS];

			if (at && at < first)
				first = at;
		}
		late_us = now_us - first;
	} else {
		return; /* too old to say how late */
	}
	r->arrival_us[seq % REORDER_SEQS] = now_us;
	bin = (size_t)(late_us / BIN_US);
	r->bin[bin < REORDER_BINS ? bin : REORDER_BINS - 1]++;
	r->samples++;
	if (r->samples >= SAMPLES_MIN && r->samples % 16 == 0)
		hold_update(r);
}
