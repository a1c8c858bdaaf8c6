/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an exit session puts into a slot.
 *
 * Theory of operation. Everything towards an exit is a repliable message: header, SURBs, stream frame, IPR
 * message. It is made at the moment a slot is free, mostly to fill exactly one fragment: the packets whose
 * turn it is are bundled, SURBs fill the room left (SPEC ipr.md 9: 3 beside an ACK, none beside a full
 * packet).
 *
 * Three kinds of message take several fragments. They are laid out once, and the fragments take the
 * next slots:
 * - the connect request, with its 20 SURBs;
 * - a bulk bundle: when packets of one connection wait that fill several fragments, up to BULK_SPAN of them
 * hold one bundle. No room is lost between packets, and since they reach the exit together their answers
 * share a reply, which saves SURBs. Nothing waits for it to become larger. Its packets arrive with its last
 * fragment, so a fragment that is lost is sent again;
 * - a set of ten SURBs in three fragments, where nothing but ACKs waits: 3.33 a slot and not 3.
 * Between the fragments of a bulk bundle every other slot is for a connection that has one packet only,
 * between those of a set for anything but ACKs.
 *
 * SURBs of these messages are made with the fragment they begin in. Reply keys are in the table before the
 * fragment is handed out.
 *
 * SURB messages and data share the slots: answers to a request alternate with data; a push ahead of need
 * takes every second slot while less than half of the target is there, every fifth while some is missing, and
 * every free slot. A message with three SURBs beside its packets counts as both, except that a set comes
 * after each of them while half is missing or the exit asks for ten.
 */
#include "mixnet/exitsess.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/framing.h"
#include "mixnet/ippkt.h"
#include "mixnet/stream.h"

#define HOPS (TOPO_LAYERS + 1)
#define SURBS_PER_MESSAGE 3
#define SURBS_PER_SET 10
#define SET_SPAN 3
#define BULK_SPAN 5 /* five packets of 1500 bytes and the SURB for the answer fill it */
#define BULK_LIMIT 3
#define DATA_LIMIT 1
#define CONTROL_LIMIT 10
#define SURB_LIMIT 10
#define PING_LIMIT 3
#define ROOM(span) ((size_t)(span)*NYM_FRAG_DATA - 1) /* one byte of padding at least */
#define BUNDLE_HDR (NYM_REPLIABLE_HDR + STREAM_HDR + ipr_data_hdr(IPR_BUNDLE_MAX))

_Static_assert(SET_SPAN <= EXITSESS_SPAN_MAX && BULK_SPAN <= EXITSESS_SPAN_MAX,
	       "the buffer holds any of them");

/* Token: session, and the SURBs of the message, so that exitsess_acked() can keep the books. */
static uint64_t token(const struct exitsess *e, unsigned surbs)
{
	return (uint64_t)e->session << 16 | surbs;
}

/* One SURB, its key in the table. 0 or the error of a route. */
static int make_surb(struct exitsess *e, uint64_t now_us, const struct topology *topo,
		     uint8_t surb[SURB_LEN4])
{
	struct sphinx_route route;
	uint8_t digest[32];
	int err = topology_route(topo, e->me->addr.gateway, e->cfg.hop_mean_us * 1000, e->rng, &route, NULL);

	if (!err)
		err = surb_make(surb, digest, &route, e->me->addr.identity, e->rng);
	if (!err)
		surb_keys_add(e->keys, digest, surb, now_us);
	return err;
}

/* Header and room for n SURBs, which is returned. */
static uint8_t *put_header(struct exitsess *e, const struct topology *topo, struct wire_wr *w,
			   enum nym_content content, unsigned n)
{
	nym_put_repliable(w, e->tag, content, n, HOPS, rotation_byte(topo->rotation_id));
	e->rotation_id = topo->rotation_id;
	return wire_put_reserve(w, (size_t)n * SURB_LEN4);
}

/* Header and n SURBs. 0 or the error of a route. */
static int put_surbs(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct wire_wr *w,
		     enum nym_content content, unsigned n)
{
	uint8_t *surb = put_header(e, topo, w, content, n);
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++)
		err = make_surb(e, now_us, topo, surb + (size_t)i * SURB_LEN4);
	return err;
}

/* A whole message of one fragment becomes the slot's item. */
static bool finish(struct exitsess *e, struct wire_wr *w, unsigned surbs, unsigned limit,
		   struct shaper_item *item)
{
	struct nym_split split;
	int len = nym_pad(w, NYM_FRAG);

	assert(len == NYM_FRAG_DATA);
	nym_split_init(&split, w->start, (size_t)len, NYM_FRAG, e->rng);
	nym_split_next(&split, item->frag);
	item->to = &e->cfg.exit;
	item->limit = limit;
	item->hurry = false;
	item->token = token(e, surbs);
	surbstock_sent(&e->stock, surbs);
	return true;
}

/* The SURBs that begin in the next fragment: making them all at once would take several slots' time. */
static bool make_due(struct exitsess *e, uint64_t now_us, const struct topology *topo)
{
	uint8_t *surbs = e->message + NYM_REPLIABLE_HDR;

	for (; e->split_made < e->split_surbs; e->split_made++) {
		size_t at = (size_t)e->split_made * SURB_LEN4;

		if (NYM_REPLIABLE_HDR + at >= e->split.off + NYM_FRAG_DATA)
			break;
		if (make_surb(e, now_us, topo, surbs + at))
			return false;
	}
	return true;
}

static bool next_fragment(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			  struct shaper_item *item)
{
	unsigned before = e->split_made;

	if (e->rotation_id != topo->rotation_id) { /* SURBs are of one rotation: what is left is of no use */
		e->splitting = false;
		e->stats.send_dropped += e->split_data ? e->split_packets : 0;
		e->connect_due = e->state == EXITSESS_CONNECTING;
		return false;
	}
	if (!make_due(e, now_us, topo))
		return false;
	nym_split_next(&e->split, item->frag);
	item->to = &e->cfg.exit;
	item->limit = e->split_limit;
	item->hurry = e->split_data;
	item->token = token(e, e->split_made - before);
	surbstock_sent(&e->stock, e->split_made - before);
	e->splitting = e->split.off < e->split.len;
	return true;
}

/* A whole message of several fragments, in e->message, begins to take slots. */
static bool start_split(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct wire_wr *w,
			unsigned surbs, unsigned limit, struct shaper_item *item)
{
	int len = nym_pad(w, NYM_FRAG);

	assert(len > 0);
	nym_split_init(&e->split, e->message, (size_t)len, NYM_FRAG, e->rng);
	e->splitting = true;
	e->split_surbs = surbs;
	e->split_made = 0;
	e->split_limit = limit;
	e->gave_way = false;
	return next_fragment(e, now_us, topo, item);
}

static void paid(struct exitsess *e, unsigned surbs)
{
	e->stock.owed -= e->stock.owed < surbs ? e->stock.owed : surbs;
	e->since_surbs = 0;
}

static bool surb_set(struct exitsess *e, uint64_t now_us, const struct topology *topo,
		     struct shaper_item *item)
{
	struct wire_wr w;

	wire_wr_init(&w, e->message, sizeof(e->message));
	put_header(e, topo, &w, NYM_SURBS_V2, SURBS_PER_SET);
	paid(e, SURBS_PER_SET);
	e->since_set = e->split_data = false;
	return start_split(e, now_us, topo, &w, SURBS_PER_SET, SURB_LIMIT, item);
}

/* Whether the SURBs that are wanted can go as a set. */
static bool set_fits(const struct exitsess *e, unsigned wanted)
{
	return wanted >= SURBS_PER_SET && !e->splitting && e->queue.count == e->queue.acks;
}

static bool surb_message(struct exitsess *e, uint64_t now_us, const struct topology *topo, unsigned wanted,
			 struct shaper_item *item)
{
	uint8_t buf[NYM_FRAG_DATA];
	struct wire_wr w;

	if (set_fits(e, wanted))
		return surb_set(e, now_us, topo, item);
	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_SURBS_V2, SURBS_PER_MESSAGE))
		return false;
	paid(e, SURBS_PER_MESSAGE);
	return finish(e, &w, SURBS_PER_MESSAGE, SURB_LIMIT, item);
}

/* ---- control ---- */

static void request(struct exitsess *e, uint64_t now_us, struct wire_wr *w, enum ipr_kind kind)
{
	struct ipr_request r = { .version = e->version, .kind = kind, .id = e->request_id };

	if (kind != IPR_CONNECT)
		r.id = rng_u64(e->rng);
	ipr_time_from_wall(&r.time, e->wall_s + (int64_t)((now_us - e->wall_at_us) / 1000000));
	stream_put(w, e->stream, STREAM_DATA, e->seq++);
	ipr_put_request(w, &r);
}

/* SPEC ipr.md 2.2, 2.7: no Open, Data seq 0 with 20 SURBs. */
static bool connect_message(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			    struct shaper_item *item)
{
	struct wire_wr w;

	wire_wr_init(&w, e->message, sizeof(e->message));
	put_header(e, topo, &w, NYM_DATA_V2, EXITSESS_SURBS_CONNECT);
	request(e, now_us, &w, IPR_CONNECT);
	e->connect_due = e->split_data = false;
	return start_split(e, now_us, topo, &w, EXITSESS_SURBS_CONNECT, CONTROL_LIMIT, item);
}

static bool small_request(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			  enum ipr_kind kind, unsigned limit, bool *due, struct shaper_item *item)
{
	uint8_t buf[NYM_FRAG_DATA];
	unsigned n = kind == IPR_PING ? SURBS_PER_MESSAGE : 0;
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_DATA_V2, n))
		return false;
	request(e, now_us, &w, kind);
	*due = false;
	return finish(e, &w, n, limit, item);
}

/* SPEC versions.md 3: a ping on a known stream is answered with the same number. */
static bool pong(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct shaper_item *item)
{
	uint8_t buf[NYM_FRAG_DATA];
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_DATA_V2, 0))
		return false;
	stream_put(&w, e->stream, STREAM_PONG, e->pong_nonce);
	e->pong_due = false;
	return finish(e, &w, 0, 0, item);
}

bool exitmsg_urgent(struct exitsess *e, uint64_t now_us, const struct topology *topo,
		    struct shaper_item *item)
{
	bool data_waits = e->queue.count || e->splitting;

	if (e->state == EXITSESS_CONNECTING && e->splitting)
		return next_fragment(e, now_us, topo, item);
	if (e->connect_due)
		return connect_message(e, now_us, topo, item);
	if (e->pong_due)
		return pong(e, now_us, topo, item);
	if (e->ping_due)
		return small_request(e, now_us, topo, IPR_PING, PING_LIMIT, &e->ping_due, item);
	if (e->stale_surbs && !e->stopping && (!data_waits || e->since_surbs > 0)) {
		bool one;

		e->stale_surbs--;
		e->since_surbs = 0;
		return small_request(e, now_us, topo, IPR_PING, 0, &one, item);
	}
	if (e->stock.owed && !e->stopping &&
	    (!data_waits || e->since_surbs > 0 || (e->since_set && set_fits(e, e->stock.owed))))
		return surb_message(e, now_us, topo, e->stock.owed, item);
	if (e->disconnect_due && !data_waits)
		return small_request(e, now_us, topo, IPR_DISCONNECT, 0, &e->disconnect_due, item);
	return false;
}

/* ---- data ---- */

/* SPEC ipr.md 5: one small packet that dies on the exit host. Its payload is a query for the root's name
 * servers, so that a host which does not look at the TTL has something to answer as well. */
static size_t keepalive(struct exitsess *e, uint8_t *out, size_t cap)
{
	uint8_t query[17] = { 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };
	struct addr src = e->ip4;

	rng_fill(e->rng, query, 2);
	src.port = e->probe_port;
	return ippkt_put_udp4(out, cap, &src, &e->cfg.probe, 1, query, sizeof(query));
}

/* SURBs that fit beside a bundle into a message of so many fragments. */
static unsigned free_places(unsigned span, size_t bundle_len)
{
	size_t used = NYM_REPLIABLE_HDR + STREAM_HDR + ipr_data_hdr(bundle_len) + bundle_len;

	return used < ROOM(span) ? (unsigned)((ROOM(span) - used) / SURB_LEN4) : 0;
}

static void sent_data(struct exitsess *e, uint64_t now_us, size_t packets, size_t bytes)
{
	e->stats.packets_up += packets;
	e->stats.bytes_up += bytes;
	e->up_us = now_us;
	e->since_set = true;
}

/* Fragments that packets of the connection whose turn it is fill, the last one by half at least; 0: none,
 * or one alone. How many packets, and their bundle's length. */
static unsigned bulk_span(const struct exitsess *e, size_t *ret_n, size_t *ret_len)
{
	unsigned span;

	if (e->splitting || e->probe_due)
		return 0;
	for (unsigned most = BULK_SPAN; most > 1; most = span - 1) {
		*ret_n = ipq_fits(&e->queue, ROOM(most) - BUNDLE_HDR, ret_len);
		span = (unsigned)((*ret_len + BUNDLE_HDR + NYM_FRAG_DATA) / NYM_FRAG_DATA);
		if (*ret_n < 2 || span < 2)
			return 0;
		if (*ret_len + BUNDLE_HDR >= ROOM(span) - NYM_FRAG_DATA / 2)
			return span;
	}
	return 0;
}

static bool bulk_message(struct exitsess *e, uint64_t now_us, const struct topology *topo, unsigned span,
			 size_t packets, size_t len, struct shaper_item *item)
{
	unsigned n = surbstock_ride(&e->stock, now_us, e->rtt_us, free_places(span, len));
	struct wire_wr w;

	wire_wr_init(&w, e->message, sizeof(e->message));
	put_header(e, topo, &w, NYM_DATA_V2, n);
	stream_put(&w, e->stream, STREAM_DATA, e->seq++);
	ipr_put_data_hdr(&w, e->version, len);
	e->split_flow = ipq_take(&e->queue, &w, packets);
	e->split_packets = packets;
	e->split_data = true;
	sent_data(e, now_us, packets, len - packets * 2);
	e->since_surbs++;
	return start_split(e, now_us, topo, &w, n, BULK_LIMIT, item);
}

static bool data_message(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			 struct shaper_item *item)
{
	uint8_t bundle[NYM_FRAG_DATA], buf[NYM_FRAG_DATA];
	size_t bytes, packets;
	struct wire_wr b, w;
	bool acks_only;
	unsigned n;

	wire_wr_init(&b, bundle, sizeof(bundle));
	if (e->probe_due) {
		uint8_t pkt[64];

		ipr_bundle_put(&b, pkt, keepalive(e, pkt, sizeof(pkt)));
		e->probe_due = false;
	}
	acks_only = e->queue.count == e->queue.acks;
	packets = ipq_bundle(&e->queue, &b, ROOM(1) - BUNDLE_HDR - b.len, &bytes);
	sent_data(e, now_us, packets, bytes);
	n = surbstock_ride(&e->stock, now_us, e->rtt_us, free_places(1, b.len));
	e->since_surbs = n == SURBS_PER_MESSAGE ? 0 : e->since_surbs + 1;
	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_DATA_V2, n)) {
		e->stats.send_dropped += packets;
		return false;
	}
	stream_put(&w, e->stream, STREAM_DATA, e->seq++);
	ipr_put_data_hdr(&w, e->version, b.len);
	wire_put_bytes(&w, bundle, b.len);
	finish(e, &w, n, acks_only ? 0 : DATA_LIMIT, item); /* a newer ACK says what a lost one said */
	item->hurry = true;
	return true;
}

/* Whether a push ahead of need takes the slot though packets wait. */
static bool push_first(const struct exitsess *e, uint64_t now_us, unsigned missing)
{
	unsigned target = surbstock_target(&e->stock, now_us, e->rtt_us);

	if (e->since_set && missing > target / 2 && set_fits(e, missing))
		return true;
	if (!missing || (!e->splitting && free_places(1, ipq_head(&e->queue) + 2) == SURBS_PER_MESSAGE))
		return false;
	return e->since_surbs >= (missing > target / 2 ? 1 : 4);
}

/* Whether the slot goes to somebody else's packet though a message's fragments wait: not twice in a row. */
static bool give_way(struct exitsess *e)
{
	e->gave_way = !e->gave_way &&
		      (e->split_data ? ipq_lone(&e->queue, e->split_flow) : e->queue.count > e->queue.acks);
	return e->gave_way;
}

bool exitmsg_data(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct shaper_item *item)
{
	unsigned missing = surbstock_missing(&e->stock, now_us, e->rtt_us), span;
	bool waits = e->queue.count || e->probe_due || e->splitting;
	size_t packets, len;

	if (e->state != EXITSESS_UP)
		return false;
	if (!waits || push_first(e, now_us, missing))
		return missing && !e->stopping && surb_message(e, now_us, topo, missing, item);
	if (e->splitting && !give_way(e)) {
		e->since_surbs += e->split_data;
		return next_fragment(e, now_us, topo, item);
	}
	span = bulk_span(e, &packets, &len);
	if (span)
		return bulk_message(e, now_us, topo, span, packets, len, item);
	return data_message(e, now_us, topo, item);
}
