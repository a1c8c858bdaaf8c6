/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows and their turns.
 *
 * Theory of operation. Packets are pool blocks in a list per flow. A flow that has packets stands in the list
 * of turns; when one of its packets leaves it goes to the end of that list, or to the idle list when it has
 * none left. There are as many flow entries as packets, so a flow entry is always there when a packet block
 * is. Flows are found by walking the turns (at most 128).
 *
 * Called by exitsess.c: push from the IP stack's side, bundle at slot time.
 */
#include "mixnet/ipqueue.h"

#include <errno.h>
#include <string.h>

#include "mixnet/ippkt.h"
#include "mixnet/ipr.h"

#define PREFIX 2 /* length before each packet of a bundle */

struct ipq_packet {
	struct list node;
	uint16_t len;
	bool pure_ack;
	uint32_t ack;
	uint16_t win;
	struct addr src, dst; /* of a pure ACK */
	uint8_t data[IPQ_PACKET_MAX];
};

int ipq_init(struct ipqueue *q)
{
	memset(q, 0, sizeof(*q));
	list_init(&q->idle);
	list_init(&q->turn);
	for (size_t i = 0; i < IPQ_PACKETS; i++) {
		list_init(&q->flow[i].packets);
		list_push_back(&q->idle, &q->flow[i].turn);
	}
	return pool_init(&q->pool, sizeof(struct ipq_packet), IPQ_PACKETS);
}

void ipq_done(struct ipqueue *q)
{
	if (!q->idle.next)
		return;
	ipq_clear(q);
	pool_done(&q->pool);
}

static struct ipq_flow *turn(const struct ipqueue *q)
{
	return list_empty(&q->turn) ? NULL : container_of(q->turn.next, struct ipq_flow, turn);
}

static struct ipq_packet *first(const struct ipq_flow *f)
{
	return container_of(f->packets.next, struct ipq_packet, node);
}

static void drop_first(struct ipqueue *q, struct ipq_flow *f)
{
	struct ipq_packet *p = first(f);

	list_remove(&p->node);
	q->count--;
	q->acks -= p->pure_ack;
	f->n--;
	pool_put(&q->pool, p);
	list_remove(&f->turn);
	list_push_back(list_empty(&f->packets) ? &q->idle : &q->turn, &f->turn);
}

void ipq_clear(struct ipqueue *q)
{
	while (!list_empty(&q->turn))
		drop_first(q, turn(q));
}

static struct ipq_flow *flow_find(struct ipqueue *q, uint64_t id)
{
	list_for_each(it, &q->turn) {
		struct ipq_flow *f = container_of(it, struct ipq_flow, turn);

		if (f->id == id)
			return f;
	}
	return NULL;
}

static bool same_connection(const struct ipq_packet *q, const struct ippkt *p)
{
	return q->pure_ack && addr_equal(&q->src, &p->src) && addr_equal(&q->dst, &p->dst);
}

/* A waiting ACK that p makes worthless. */
static struct ipq_packet *older_ack(const struct ipq_flow *f, const struct ippkt *p)
{
	list_for_each(it, &f->packets) {
		struct ipq_packet *q = container_of(it, struct ipq_packet, node);

		if (same_connection(q, p) &&
		    (ippkt_seq_lt(q->ack, p->ack) || (q->ack == p->ack && p->win > q->win)))
			return q;
	}
	return NULL;
}

static void fill(struct ipq_packet *q, const uint8_t *pkt, size_t len, const struct ippkt *p, bool pure_ack)
{
	q->len = (uint16_t)len;
	q->pure_ack = pure_ack;
	if (pure_ack) {
		q->ack = p->ack;
		q->win = p->win;
		q->src = p->src;
		q->dst = p->dst;
	}
	memcpy(q->data, pkt, len);
}

int ipq_push(struct ipqueue *q, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct ippkt v;
	struct ipq_packet *p;
	struct ipq_flow *f = flow_find(q, flow);
	bool pure = ippkt_parse(&v, pkt, len) && ippkt_pure_ack(&v);

	if (!len || len > IPQ_PACKET_MAX)
		return -EMSGSIZE;
	p = f && pure ? older_ack(f, &v) : NULL;
	if (p) {
		fill(p, pkt, len, &v, true);
		q->acks_replaced++;
		return 1;
	}
	p = f && f->n >= IPQ_FLOW ? NULL : pool_get(&q->pool);
	if (!p)
		return -ENOBUFS;
	if (!f) {
		f = container_of(list_pop_front(&q->idle), struct ipq_flow, turn);
		f->id = flow;
		list_push_back(&q->turn, &f->turn);
	}
	fill(p, pkt, len, &v, pure);
	list_push_back(&f->packets, &p->node);
	q->count++;
	q->acks += pure;
	f->n++;
	return 0;
}

size_t ipq_head(const struct ipqueue *q)
{
	return list_empty(&q->turn) ? 0 : first(turn(q))->len;
}

size_t ipq_bundle(struct ipqueue *q, struct wire_wr *w, size_t room, size_t *ret_bytes)
{
	size_t n = 0, bytes = 0;
	bool progress;

	do { /* flows that do not fit keep their turn */
		progress = false;
		list_for_each_safe(it, tmp, &q->turn) {
			struct ipq_flow *f = container_of(it, struct ipq_flow, turn);
			struct ipq_packet *p = first(f);

			if ((size_t)p->len + PREFIX > room)
				continue;
			ipr_bundle_put(w, p->data, p->len);
			room -= (size_t)p->len + PREFIX;
			bytes += p->len;
			n++;
			progress = true;
			drop_first(q, f);
		}
	} while (progress);
	*ret_bytes = bytes;
	return n;
}

size_t ipq_fits(const struct ipqueue *q, size_t room, size_t *ret_len)
{
	const struct ipq_flow *f = turn(q);
	size_t n = 0, len = 0;

	*ret_len = 0;
	if (!f)
		return 0;
	list_for_each(it, &f->packets) {
		len += (size_t)container_of(it, struct ipq_packet, node)->len + PREFIX;
		if (len > room)
			break;
		*ret_len = len;
		n++;
	}
	return n;
}

uint64_t ipq_take(struct ipqueue *q, struct wire_wr *w, size_t n)
{
	struct ipq_flow *f = turn(q);

	for (; n; n--) {
		ipr_bundle_put(w, first(f)->data, first(f)->len);
		drop_first(q, f);
	}
	return f->id;
}

bool ipq_lone(const struct ipqueue *q, uint64_t flow)
{
	const struct ipq_flow *f = turn(q);

	return f && f->n == 1 && f->id != flow;
}
