/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SURB store. SURBs and fragments come from two pools shared by all senders. When there are no SURBs left,
 * the sender that heard from its client longest ago loses all of its; who has them all himself gets no more,
 * which is counted.
 */
#include "tools/localnet/surbstore.h"

#include <string.h>

int surb_store_init(struct surb_store *s)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = pool_init(&s->surbs, sizeof(struct stored_surb), STORE_SURBS);
	if (r < 0)
		return r;
	return pool_init(&s->frags, sizeof(struct out_frag), STORE_FRAGS);
}

void surb_store_done(struct surb_store *s)
{
	for (unsigned i = 0; i < STORE_SENDERS; i++)
		surb_store_drop(s, &s->sender[i]);
	pool_done(&s->surbs);
	pool_done(&s->frags);
}

struct sender *surb_store_find(struct surb_store *s, const uint8_t tag[NYM_TAG])
{
	for (unsigned i = 0; i < STORE_SENDERS; i++)
		if (s->sender[i].in_use && !memcmp(s->sender[i].tag, tag, NYM_TAG))
			return &s->sender[i];
	return NULL;
}

struct sender *surb_store_get(struct surb_store *s, const uint8_t tag[NYM_TAG])
{
	struct sender *t = surb_store_find(s, tag), *oldest = &s->sender[0];

	if (t)
		return t;
	for (unsigned i = 0; i < STORE_SENDERS; i++) {
		if (!s->sender[i].in_use) {
			oldest = &s->sender[i];
			break;
		}
		if (s->sender[i].last_us < oldest->last_us)
			oldest = &s->sender[i];
	}
	surb_store_drop(s, oldest);
	memset(oldest, 0, sizeof(*oldest));
	oldest->in_use = true;
	memcpy(oldest->tag, tag, NYM_TAG);
	list_init(&oldest->surbs);
	list_init(&oldest->queue);
	return oldest;
}

void surb_store_drop_queue(struct surb_store *s, struct sender *t)
{
	struct list *it;

	while ((it = list_pop_front(&t->queue)))
		pool_put(&s->frags, container_of(it, struct out_frag, link));
	t->n_queue = 0;
}

void surb_store_drop(struct surb_store *s, struct sender *t)
{
	struct list *it;

	if (!t->in_use)
		return;
	while ((it = list_pop_front(&t->surbs)))
		pool_put(&s->surbs, container_of(it, struct stored_surb, link));
	surb_store_drop_queue(s, t);
	t->in_use = false;
}

/* A SURB for t; when there is none left, all of the sender that heard from its client longest ago are. NULL:
 * t has them all. */
static struct stored_surb *make_surb(struct surb_store *s, const struct sender *t)
{
	struct stored_surb *b = pool_get(&s->surbs);
	struct sender *oldest = NULL;

	for (unsigned i = 0; i < STORE_SENDERS && !b; i++) {
		struct sender *o = &s->sender[i];

		if (o != t && o->in_use && !list_empty(&o->surbs) &&
		    (!oldest || o->last_us < oldest->last_us))
			oldest = o;
	}
	if (oldest)
		surb_store_drop(s, oldest);
	return b ? b : pool_get(&s->surbs);
}

unsigned surb_store_add(struct surb_store *s, struct sender *t, const struct nym_msg *m, uint64_t now_us)
{
	size_t len = SURB_LEN(m->surb_hops);
	unsigned kept = 0;

	if (m->content == NYM_SURBS_V2)
		t->pending -= m->surb_count < t->pending ? m->surb_count : t->pending;
	for (unsigned i = 0; i < m->surb_count; i++) {
		struct stored_surb *b = make_surb(s, t);

		if (!b) {
			s->dropped += m->surb_count - i;
			break;
		}
		b->hops = m->surb_hops;
		b->rotation = m->surb_rotation;
		memcpy(b->bytes, m->surbs + i * len, len);
		list_push_back(&t->surbs, &b->link);
		kept++;
	}
	t->n_surbs += kept;
	if (kept) {
		t->last_us = now_us;
		t->rerequests = 0;
	}
	return kept;
}

struct out_frag *surb_store_frag(struct surb_store *s)
{
	struct out_frag *f = pool_get(&s->frags);

	if (!f) {
		s->dropped++;
		return NULL;
	}
	list_init(&f->link);
	f->surb_request = false;
	f->sent = f->limit = 0;
	return f;
}

void surb_store_frag_free(struct surb_store *s, struct out_frag *f)
{
	pool_put(&s->frags, f);
}

void surb_store_queue(struct sender *t, struct out_frag *f, bool front)
{
	if (front)
		list_push_front(&t->queue, &f->link);
	else
		list_push_back(&t->queue, &f->link);
	t->n_queue++;
}

bool surb_store_take(struct surb_store *s, struct sender *t, struct surb *ret, uint8_t *ret_rotation)
{
	struct list *it;

	while ((it = list_pop_front(&t->surbs))) {
		struct stored_surb *b = container_of(it, struct stored_surb, link);
		int r = surb_parse(ret, b->bytes, SURB_LEN(b->hops));

		*ret_rotation = b->rotation;
		t->n_surbs--;
		pool_put(&s->surbs, b);
		if (r == 0)
			return true;
	}
	return false;
}

struct out_frag *surb_store_next(struct surb_store *s, struct sender *t, struct surb *ret,
				 uint8_t *ret_rotation)
{
	struct list *it;
	struct out_frag *f;

	if (list_empty(&t->queue))
		return NULL;
	f = container_of(t->queue.next, struct out_frag, link);
	/* A retransmission may also go when exactly the reserve is left. */
	if (t->n_surbs < STORE_RESERVE + (f->sent ? 0u : 1u) && !(f->surb_request && t->n_surbs))
		return NULL;
	if (!surb_store_take(s, t, ret, ret_rotation))
		return NULL;
	it = list_pop_front(&t->queue);
	t->n_queue--;
	return container_of(it, struct out_frag, link);
}

unsigned surb_store_want(struct sender *t)
{
	unsigned have = t->n_surbs + t->pending, n = t->n_queue + STORE_BUFFER;

	if (have >= STORE_TARGET || have >= t->n_queue + STORE_RESERVE + STORE_BUFFER || !t->n_surbs)
		return 0;
	n = n < STORE_REQUEST_MIN ? STORE_REQUEST_MIN : n > STORE_REQUEST ? STORE_REQUEST : n;
	t->pending += n;
	return n;
}

enum store_tick surb_store_tick(struct sender *t, uint64_t now_us)
{
	if (!t->n_queue)
		return STORE_NOTHING;
	if (!t->last_us || t->rerequests > STORE_REREQUESTS || now_us - t->last_us > STORE_GIVE_UP_US)
		return STORE_DROP_QUEUE;
	if (now_us - t->last_us <= STORE_REREQUEST_US)
		return STORE_NOTHING;
	t->rerequests++;
	t->pending = 0;
	return STORE_REREQUEST;
}
