/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an exit session puts into a slot.
 *
 * Theory of operation. Everything towards an exit is a repliable message: header, SURBs, stream frame, IPR
 * message. Data, SURB and small control messages are made to fill exactly one fragment at the moment a slot
 * is free: the packets whose turn it is are bundled, SURBs fill the room left (SPEC ipr.md 9: 3 beside an
 * ACK, none beside a full packet). Only the connect request, with its 20 SURBs, takes several fragments; it
 * is padded and split once and its fragments take the next slots.
 *
 * Reply keys are in the table before the fragment is handed out.
 *
 * SURB messages and data share the slots: answers to a request alternate with data; a push ahead of need
 * takes every second slot while less than half of the target is there, every fifth while some is missing, and
 * every free slot. A message with three SURBs beside its packets counts as both.
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
#define CONTROL_LIMIT 10
#define SURB_LIMIT 10
#define PING_LIMIT 3
#define ROOM (NYM_FRAG_DATA - 1) /* one byte of padding at least */

/* Token: session, and the SURBs of the message, so that exitsess_acked() can keep the books. */
static uint64_t token(const struct exitsess *e, unsigned surbs)
{
	return (uint64_t)e->session << 16 | surbs;
}

/* Header and n SURBs. 0 or the error of a route. */
static int put_surbs(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct wire_wr *w,
		     enum nym_content content, unsigned n)
{
	nym_put_repliable(w, e->tag, content, n, HOPS, rotation_byte(topo->rotation_id));
	for (unsigned i = 0; i < n; i++) {
		struct sphinx_route route;
		uint8_t digest[32], *surb = wire_put_reserve(w, SURB_LEN4);
		int err = surb ? topology_route(topo, e->me->addr.gateway, e->cfg.hop_mean_us * 1000, e->rng,
						&route, NULL)
			       : SMX_ELIMIT;

		if (!err)
			err = surb_make(surb, digest, &route, e->me->addr.identity, e->rng);
		if (err)
			return err;
		surb_keys_add(e->keys, digest, surb, topo->rotation_id, now_us);
	}
	e->rotation_id = topo->rotation_id;
	return 0;
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
	item->token = token(e, surbs);
	surbstock_sent(&e->stock, surbs);
	return true;
}

static bool surb_message(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			 struct shaper_item *item)
{
	uint8_t buf[NYM_FRAG_DATA];
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_SURBS_V2, SURBS_PER_MESSAGE))
		return false;
	e->stock.owed -= e->stock.owed < SURBS_PER_MESSAGE ? e->stock.owed : SURBS_PER_MESSAGE;
	e->since_surbs = 0;
	e->stats.surb_messages++;
	return finish(e, &w, SURBS_PER_MESSAGE, SURB_LIMIT, item);
}

/* ---- control ---- */

static void request(struct exitsess *e, uint64_t now_us, struct wire_wr *w, enum ipr_kind kind)
{
	struct ipr_request r = {.version = e->version, .kind = kind, .id = e->request_id};

	if (kind != IPR_CONNECT)
		r.id = rng_u64(e->rng);
	ipr_time_from_wall(&r.time, e->wall_s + (int64_t)((now_us - e->wall_at_us) / 1000000));
	stream_put(w, e->stream, STREAM_DATA, e->seq++);
	ipr_put_request(w, &r);
}

static bool next_fragment(struct exitsess *e, struct shaper_item *item)
{
	if (!e->splitting || nym_split_next(&e->split, item->frag) != 1) {
		e->splitting = false;
		return false;
	}
	item->to = &e->cfg.exit;
	item->limit = CONTROL_LIMIT;
	item->token = token(e, e->split_surbs);
	surbstock_sent(&e->stock, e->split_surbs);
	e->split_surbs = 0; /* booked with the first fragment */
	return true;
}

/* SPEC ipr.md 2.2, 2.7: no Open, Data seq 0 with 20 SURBs. */
static bool connect_message(struct exitsess *e, uint64_t now_us, const struct topology *topo,
			    struct shaper_item *item)
{
	struct wire_wr w;
	int len;

	wire_wr_init(&w, e->control, sizeof(e->control));
	if (put_surbs(e, now_us, topo, &w, NYM_DATA_V2, EXITSESS_SURBS_CONNECT))
		return false;
	request(e, now_us, &w, IPR_CONNECT);
	len = nym_pad(&w, NYM_FRAG);
	assert(len > 0);
	nym_split_init(&e->split, e->control, (size_t)len, NYM_FRAG, e->rng);
	e->splitting = true;
	e->split_surbs = EXITSESS_SURBS_CONNECT;
	e->connect_due = false;
	return next_fragment(e, item);
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
	bool data_waits = ipq_head(&e->queue) > 0;

	if (next_fragment(e, item))
		return true;
	if (e->connect_due)
		return connect_message(e, now_us, topo, item);
	if (e->pong_due)
		return pong(e, now_us, topo, item);
	if (e->ping_due)
		return small_request(e, now_us, topo, IPR_PING, PING_LIMIT, &e->ping_due, item);
	if (e->stock.owed && !e->stopping && (!data_waits || e->since_surbs > 0))
		return surb_message(e, now_us, topo, item);
	if (e->disconnect_due && !data_waits)
		return small_request(e, now_us, topo, IPR_DISCONNECT, 0, &e->disconnect_due, item);
	return false;
}

/* ---- data ---- */

/* SPEC ipr.md 5: one small packet that dies on the exit host. Its payload is a query for the root's name
 * servers, so that a host which does not look at the TTL has something to answer as well. */
static size_t keepalive(struct exitsess *e, uint8_t *out, size_t cap)
{
	uint8_t query[17] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};
	struct addr src = e->ip4;

	rng_fill(e->rng, query, 2);
	src.port = e->probe_port;
	return ippkt_put_udp4(out, cap, &src, &e->cfg.probe, 1, query, sizeof(query));
}

/* SURBs that fit beside a bundle. */
static unsigned free_places(size_t bundle_len)
{
	size_t used = NYM_REPLIABLE_HDR + STREAM_HDR + ipr_data_hdr(bundle_len) + bundle_len;
	size_t n = used < ROOM ? (ROOM - used) / SURB_LEN4 : 0;

	return n < SURBS_PER_MESSAGE ? (unsigned)n : SURBS_PER_MESSAGE;
}

static bool data_message(struct exitsess *e, uint64_t now_us, uint64_t rtt_us, const struct topology *topo,
			 struct shaper_item *item)
{
	uint8_t bundle[NYM_FRAG_DATA], buf[NYM_FRAG_DATA];
	size_t room = ROOM - NYM_REPLIABLE_HDR - STREAM_HDR - ipr_data_hdr(IPR_BUNDLE_MAX), bytes;
	struct wire_wr b, w;
	unsigned n;

	wire_wr_init(&b, bundle, sizeof(bundle));
	if (e->probe_due) {
		uint8_t pkt[64];

		ipr_bundle_put(&b, pkt, keepalive(e, pkt, sizeof(pkt)));
		e->probe_due = false;
	}
	e->stats.packets_up += ipq_bundle(&e->queue, &b, room - b.len, &bytes);
	e->stats.bytes_up += bytes;
	e->up_us = now_us;
	n = surbstock_ride(&e->stock, now_us, rtt_us, free_places(b.len));
	e->since_surbs = n == SURBS_PER_MESSAGE ? 0 : e->since_surbs + 1;
	wire_wr_init(&w, buf, sizeof(buf));
	if (put_surbs(e, now_us, topo, &w, NYM_DATA_V2, n)) {
		e->stats.send_dropped++;
		return false;
	}
	stream_put(&w, e->stream, STREAM_DATA, e->seq++);
	ipr_put_data_hdr(&w, e->version, b.len);
	wire_put_bytes(&w, bundle, b.len);
	return finish(e, &w, n, 0, item);
}

/* Whether a push ahead of need takes the slot though packets wait. */
static bool push_first(const struct exitsess *e, uint64_t now_us, uint64_t rtt_us, unsigned missing)
{
	unsigned target = surbstock_target(&e->stock, now_us, rtt_us);

	if (!missing || free_places(ipq_head(&e->queue) + 2) == SURBS_PER_MESSAGE)
		return false;
	return e->since_surbs >= (missing > target / 2 ? 1 : 4);
}

bool exitmsg_data(struct exitsess *e, uint64_t now_us, uint64_t rtt_us, const struct topology *topo,
		  struct shaper_item *item)
{
	unsigned missing = surbstock_missing(&e->stock, now_us, rtt_us);
	bool waits = ipq_head(&e->queue) > 0 || e->probe_due;

	if (e->state != EXITSESS_UP)
		return false;
	if (waits && !push_first(e, now_us, rtt_us, missing))
		return data_message(e, now_us, rtt_us, topo, item);
	return missing && !e->stopping && surb_message(e, now_us, topo, item);
}
