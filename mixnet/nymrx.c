/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly (spec nymsphinx.md 8.3, traffic.md 9).
 *
 * Theory of operation. A message of one fragment passes straight through. Otherwise each fragment is kept in
 * a block of the pool, chained to its set; a set knows its total and which positions it has. When a set is
 * full, its links are followed in both directions; if every linked set is full and the links are mutual, the
 * chain is copied out and its ids are remembered, so that retransmitted fragments are dropped. Remembered ids
 * stand in a ring in order of completion, found through a hash table with open addressing; they expire by
 * age, and the oldest is overwritten when the ring is full.
 *
 * Hardening (nymsphinx.md 8.3). A total that differs from the set's is refused; sets and fragments are
 * bounded, the set that heard nothing for longest goes first; a chain is no longer than the table, so a cycle
 * is never complete and ages like any other incomplete set.
 *
 * Limits. Everything is allocated in nym_rx_new(). Sets are found by a walk over a small array. Only
 * fragments of Regular packets are kept: we send no others, and a larger packet that is a whole message needs
 * no keeping. Called by bridge for each fragment, and by the local network's exit.
 */
#include "mixnet/nympkt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct held {
	struct list link; /* in its set, by arrival */
	uint8_t pos;
	uint16_t len;
	uint8_t data[NYM_FRAG];
};

struct nym_rx_set {
	struct list frags;
	bool in_use;
	uint32_t id, prev, next;
	uint8_t total, have;
	uint64_t touched_us;
	uint8_t seen[NYM_FRAGS_PER_SET / 8 + 1];
};

struct recent {
	uint32_t id; /* 0 = empty */
	uint64_t at_us;
};

struct nym_rx {
	struct nym_rx_limits lim;
	struct nym_rx_stats stats;
	struct pool pool;
	struct nym_rx_set *set;
	struct recent *recent; /* ring of ids in order of completion */
	size_t recent_next;
	uint32_t *hash; /* id -> ring index + 1, open addressing */
	size_t hash_mask;
	uint64_t swept_us;
};

#define SWEEP_US (UINT64_C(10) * 1000000)

/* ---- remembered ids ---- */

static size_t hash_slot(const struct nym_rx *rx, uint32_t id)
{
	size_t i = id * 2654435761u & rx->hash_mask;

	while (rx->hash[i] && rx->recent[rx->hash[i] - 1].id != id)
		i = (i + 1) & rx->hash_mask;
	return i;
}

static void hash_remove(struct nym_rx *rx, uint32_t id)
{
	size_t hole = hash_slot(rx, id), i = hole;

	if (!rx->hash[hole])
		return;
	rx->hash[hole] = 0;
	for (i = (i + 1) & rx->hash_mask; rx->hash[i]; i = (i + 1) & rx->hash_mask) {
		size_t home = rx->recent[rx->hash[i] - 1].id * 2654435761u & rx->hash_mask;

		if (((i - home) & rx->hash_mask) < ((i - hole) & rx->hash_mask))
			continue;
		rx->hash[hole] = rx->hash[i];
		rx->hash[i] = 0;
		hole = i;
	}
}

static bool remembered(const struct nym_rx *rx, uint32_t id, uint64_t now_us)
{
	uint32_t at = rx->hash[hash_slot(rx, id)];

	return at && now_us - rx->recent[at - 1].at_us <= rx->lim.recent_us;
}

static void remember(struct nym_rx *rx, uint32_t id, uint64_t now_us)
{
	struct recent *r = &rx->recent[rx->recent_next];

	hash_remove(rx, id);
	if (r->id && rx->hash[hash_slot(rx, r->id)] == rx->recent_next + 1)
		hash_remove(rx, r->id);
	*r = (struct recent){ id, now_us };
	rx->hash[hash_slot(rx, id)] = (uint32_t)rx->recent_next + 1;
	rx->recent_next = (rx->recent_next + 1) % rx->lim.recent;
}

/* ---- sets ---- */

static struct nym_rx_set *find_set(struct nym_rx *rx, uint32_t id)
{
	for (size_t i = 0; i < rx->lim.sets; i++)
		if (rx->set[i].in_use && rx->set[i].id == id)
			return &rx->set[i];
	return NULL;
}

static void drop_set(struct nym_rx *rx, struct nym_rx_set *s)
{
	struct list *it;

	while ((it = list_pop_front(&s->frags)))
		pool_put(&rx->pool, container_of(it, struct held, link));
	s->in_use = false;
}

static struct nym_rx_set *oldest_set(struct nym_rx *rx, const struct nym_rx_set *but)
{
	struct nym_rx_set *old = NULL;

	for (size_t i = 0; i < rx->lim.sets; i++) {
		struct nym_rx_set *s = &rx->set[i];

		if (s->in_use && s != but && (!old || s->touched_us < old->touched_us))
			old = s;
	}
	return old;
}

static struct nym_rx_set *new_set(struct nym_rx *rx, const struct nym_frag *f)
{
	struct nym_rx_set *s = NULL;

	for (size_t i = 0; i < rx->lim.sets && !s; i++)
		if (!rx->set[i].in_use)
			s = &rx->set[i];
	if (!s) {
		s = oldest_set(rx, NULL);
		drop_set(rx, s);
		rx->stats.dropped_limit++;
	}
	memset(s, 0, sizeof(*s));
	list_init(&s->frags);
	s->in_use = true;
	s->id = f->set;
	s->total = f->total;
	return s;
}

static void sweep(struct nym_rx *rx, uint64_t now_us)
{
	if (now_us - rx->swept_us < SWEEP_US)
		return;
	rx->swept_us = now_us;
	for (size_t i = 0; i < rx->lim.sets; i++) {
		struct nym_rx_set *s = &rx->set[i];

		if (s->in_use && now_us - s->touched_us > rx->lim.stale_us) {
			drop_set(rx, s);
			rx->stats.stale++;
		}
	}
}

/* ---- completion ---- */

/* First set of a chain of full, mutually linked sets that s belongs to; NULL when it is not complete. */
static struct nym_rx_set *chain_start(struct nym_rx *rx, struct nym_rx_set *s)
{
	struct nym_rx_set *first = s, *t;

	for (size_t n = 0; first->prev; n++) {
		t = find_set(rx, first->prev);
		if (n >= rx->lim.sets || !t || t->have != t->total || t->next != first->id)
			return NULL;
		first = t;
	}
	t = first;
	for (size_t n = 0; t->next; n++) {
		struct nym_rx_set *u = find_set(rx, t->next);

		if (n >= rx->lim.sets || !u || u->have != u->total || u->prev != t->id)
			return NULL;
		t = u;
	}
	return first;
}

/* Copies one full set behind *off. False when out is too small. */
static bool copy_set(const struct nym_rx_set *s, uint8_t *out, size_t cap, size_t *off)
{
	const struct held *by_pos[NYM_FRAGS_PER_SET + 1] = { NULL };

	list_for_each(it, &s->frags) {
		const struct held *h = container_of(it, struct held, link);

		by_pos[h->pos] = h;
	}
	for (unsigned p = 1; p <= s->total; p++) {
		assert(by_pos[p]);
		if (by_pos[p]->len > cap - *off)
			return false;
		memcpy(out + *off, by_pos[p]->data, by_pos[p]->len);
		*off += by_pos[p]->len;
	}
	return true;
}

/* SPEC nymsphinx.md 9: cut at the last byte equal to 1. */
static int strip(const uint8_t *out, size_t len, size_t *ret_len)
{
	while (len && out[len - 1] != 1)
		len--;
	if (!len)
		return SMX_EPROTO;
	*ret_len = len - 1;
	return 1;
}

static int complete(struct nym_rx *rx, struct nym_rx_set *s, uint64_t now_us, uint8_t *out, size_t cap,
		    size_t *ret_len)
{
	struct nym_rx_set *first = chain_start(rx, s), *t, *next;
	size_t off = 0;
	bool fits = true;
	int r;

	if (!first)
		return 0;
	for (t = first; t && fits; t = t->next ? find_set(rx, t->next) : NULL)
		fits = copy_set(t, out, cap, &off);
	for (t = first; t; t = next) {
		next = t->next ? find_set(rx, t->next) : NULL;
		remember(rx, t->id, now_us);
		drop_set(rx, t);
	}
	if (!fits) {
		rx->stats.dropped_limit++;
		return SMX_ELIMIT;
	}
	r = strip(out, off, ret_len);
	if (r < 0)
		rx->stats.malformed++;
	return r;
}

static int single(struct nym_rx *rx, const struct nym_frag *f, uint64_t now_us, uint8_t *out, size_t cap,
		  size_t *ret_len)
{
	int r;

	remember(rx, f->set, now_us);
	if (f->len > cap) {
		rx->stats.dropped_limit++;
		return SMX_ELIMIT;
	}
	memcpy(out, f->data, f->len);
	r = strip(out, f->len, ret_len);
	if (r < 0)
		rx->stats.malformed++;
	return r;
}

static struct held *take_block(struct nym_rx *rx, const struct nym_rx_set *keep)
{
	struct held *h = pool_get(&rx->pool);
	struct nym_rx_set *old;

	while (!h && (old = oldest_set(rx, keep))) {
		drop_set(rx, old);
		rx->stats.dropped_limit++;
		h = pool_get(&rx->pool);
	}
	return h;
}

/* Keeps a fragment of s. 1 when s is full now, 0 when it was known or more are missing. */
static int store(struct nym_rx *rx, struct nym_rx_set *s, const struct nym_frag *f, uint64_t now_us)
{
	struct held *h;

	if (s->total != f->total) {
		rx->stats.malformed++;
		return SMX_EPROTO;
	}
	if (s->seen[f->pos / 8] & 1u << f->pos % 8) {
		rx->stats.duplicates++;
		return 0;
	}
	h = take_block(rx, s);
	if (!h) {
		rx->stats.dropped_limit++;
		return SMX_ELIMIT;
	}
	h->pos = f->pos;
	h->len = (uint16_t)f->len;
	memcpy(h->data, f->data, f->len);
	list_init(&h->link);
	list_push_back(&s->frags, &h->link);
	s->seen[f->pos / 8] |= (uint8_t)(1u << f->pos % 8);
	s->have++;
	s->touched_us = now_us;
	if (f->prev)
		s->prev = f->prev;
	if (f->next)
		s->next = f->next;
	return s->have == s->total;
}

int nym_rx_insert(struct nym_rx *rx, uint64_t now_us, const uint8_t *frag, size_t len, uint8_t *out,
		  size_t cap, size_t *ret_len)
{
	struct nym_frag f;
	struct nym_rx_set *s;
	int r;

	sweep(rx, now_us);
	if (nym_frag_parse(&f, frag, len) < 0) {
		rx->stats.malformed++;
		return SMX_EPROTO;
	}
	if (remembered(rx, f.set, now_us)) {
		rx->stats.duplicates++;
		return 0;
	}
	s = find_set(rx, f.set);
	if (!s && f.total == 1 && !f.prev)
		return single(rx, &f, now_us, out, cap, ret_len);
	if (len > NYM_FRAG) {
		rx->stats.dropped_limit++;
		return SMX_ELIMIT;
	}
	if (!s)
		s = new_set(rx, &f);
	r = store(rx, s, &f, now_us);
	return r == 1 ? complete(rx, s, now_us, out, cap, ret_len) : r;
}

/* ---- life ---- */

struct nym_rx *nym_rx_new(const struct nym_rx_limits *lim)
{
	struct nym_rx *rx;
	size_t slots = 16;

	assert(lim->frags && lim->sets && lim->recent);
	rx = calloc(1, sizeof(*rx));
	if (!rx)
		return NULL;
	rx->lim = *lim;
	while (slots < 2 * lim->recent)
		slots *= 2;
	rx->hash_mask = slots - 1;
	rx->set = calloc(lim->sets, sizeof(*rx->set));
	rx->recent = calloc(lim->recent, sizeof(*rx->recent));
	rx->hash = calloc(slots, sizeof(*rx->hash));
	if (!rx->set || !rx->recent || !rx->hash ||
	    pool_init(&rx->pool, sizeof(struct held), lim->frags) < 0) {
		nym_rx_free(rx);
		return NULL;
	}
	return rx;
}

void nym_rx_free(struct nym_rx *rx)
{
	if (!rx)
		return;
	for (size_t i = 0; rx->set && i < rx->lim.sets; i++)
		if (rx->set[i].in_use)
			drop_set(rx, &rx->set[i]);
	pool_done(&rx->pool);
	free(rx->set);
	free(rx->recent);
	free(rx->hash);
	free(rx);
}

const struct nym_rx_stats *nym_rx_stats(const struct nym_rx *rx)
{
	return &rx->stats;
}

size_t nym_rx_held(const struct nym_rx *rx)
{
	return rx->pool.used;
}
