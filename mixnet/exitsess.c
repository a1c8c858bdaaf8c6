/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a session with an exit: attempts, answers, liveness.
 *
 * Theory of operation. A connect attempt is a new random stream id and request id; version 10 gets half of
 * the time when it is tried first, version 9 the rest (SPEC versions.md 3). Answers are matched by stream id
 * and request id; everything else is counted and dropped, never an abort.
 *
 * The exit forgets a client that sends no IP packet for 60 s and sends no sign of it. At the beginning, and
 * after 20 s without traffic in either direction, a probe goes out: one small IP packet that dies on the exit
 * host, which renews the session there, and a ping, which the exit answers itself. Any frame after it is an
 * answer. Three probes in a row without one mean the exit is lost. Where the packet was answered once (some
 * hosts stay silent), its answer is asked for from then on: pongs alone, six times, then mean that the exit
 * lives but has forgotten us. It has, without a question, when nothing left here for so long.
 *
 * What goes out is made in exitmsg.c, order of what comes in is kept by reorder.c, SURB books by surbstock.c.
 * Called by the bridge.
 */
#include "mixnet/exitsess.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "mixnet/ippkt.h"
#include "mixnet/stream.h"

#define IDLE_US (20 * US_PER_S)
/* SPEC ipr.md 6.7: gone within 70 s of the last packet, which took its time */
#define FORGOTTEN_US (75 * US_PER_S)
#define PROBE_WAIT_US (3 * US_PER_S) /* with IDLE_US: a lost exit is known in 29 s */
#define MISSES_MAX 3		     /* nothing came back at all */
#define MISSES_PONG_MAX 6	     /* pongs came: the small packets themselves may have been lost */
/* versions.md 3: what an exit says is capped at this; it takes as much (ipr.md 11, 6) */
#define MTU_EXIT_MAX 1500
#define STALE_MAX 300u	    /* pings at a time for SURBs of no use */
#define PROBE_PORT_MIN 700u /* below the ports a stack hands out */
#define PROBE_PORTS 300u

static void deliver(void *owner, const uint8_t *pkt, size_t len)
{
	struct exitsess *e = owner;

	e->stats.packets_down++;
	e->stats.bytes_down += len;
	e->ops.recv(e->ops.owner, pkt, len);
}

int exitsess_init(struct exitsess *e, const struct nym_self *me, struct surb_keys *keys, struct rng *rng,
		  const struct exitsess_ops *ops)
{
	int err;

	memset(e, 0, sizeof(*e));
	e->me = me;
	e->keys = keys;
	e->rng = rng;
	e->ops = *ops;
	err = ipq_init(&e->queue);
	if (!err)
		err = reorder_init(&e->order, deliver, e);
	if (err)
		ipq_done(&e->queue);
	return err;
}

void exitsess_done(struct exitsess *e)
{
	ipq_done(&e->queue);
	reorder_done(&e->order);
}

/* ---- begin and end ---- */

static void __attribute__((format(printf, 2, 3))) end(struct exitsess *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->cause, sizeof(e->cause), fmt, ap);
	va_end(ap);
	e->state = EXITSESS_ENDED;
	e->connect_due = e->ping_due = e->probe_due = e->pong_due = e->disconnect_due = e->splitting = false;
	e->stock.owed = 0;
	ipq_clear(&e->queue);
	reorder_clear(&e->order);
	e->blocked = false;
	e->ops.event(e->ops.owner, EXITSESS_EV_ENDED);
}

/* SPEC ipr.md 5: each attempt on a stream of its own. */
static void attempt(struct exitsess *e, uint64_t now_us, uint8_t version)
{
	uint64_t left_us = e->connect_end_us - now_us;

	e->version = version;
	e->stream = rng_u64(e->rng);
	e->request_id = rng_u64(e->rng);
	e->seq = 0;
	e->splitting = false;
	e->connect_due = true;
	e->attempt_end_us = now_us + (version == IPR_V10 ? left_us / 2 : left_us);
}

void exitsess_start(struct exitsess *e, const struct exitsess_cfg *cfg, uint64_t now_us, int64_t wall_s)
{
	/* One tag per exit for the life of the identity, as the reference does; another exit must not be able
	 * to link us. */
	if (!e->tag_made || memcmp(&cfg->exit, &e->cfg.exit, sizeof(cfg->exit)) != 0)
		rng_fill(e->rng, e->tag, sizeof(e->tag));
	e->tag_made = true;
	e->cfg = *cfg;
	e->state = EXITSESS_CONNECTING;
	e->cause[0] = 0;
	e->was_up = e->stopping = e->blocked = e->probing = e->probe_works = false;
	e->ping_due = e->probe_due = e->pong_due = e->disconnect_due = false;
	e->stale_surbs = 0;
	e->session++;
	e->misses = 0;
	e->since_surbs = 0;
	e->since_set = false;
	e->wall_s = wall_s;
	e->wall_at_us = now_us;
	e->probe_port = (uint16_t)(PROBE_PORT_MIN + rng_below(e->rng, PROBE_PORTS));
	e->connect_end_us = now_us + cfg->connect_us;
	ipq_clear(&e->queue);
	reorder_clear(&e->order);
	memset(&e->refused, 0, sizeof(e->refused)); /* they are of another address */
	surbstock_init(&e->stock);
	attempt(e, now_us, cfg->version);
}

void exitsess_stop(struct exitsess *e)
{
	if (e->state != EXITSESS_UP || e->stopping)
		return;
	e->stopping = true;
	e->disconnect_due = true;
	e->ping_due = e->probe_due = false;
}

void exitsess_abandon(struct exitsess *e)
{
	if (e->state == EXITSESS_CONNECTING || e->state == EXITSESS_UP)
		end(e, "our address is gone");
}

bool exitsess_drained(const struct exitsess *e)
{
	return e->state != EXITSESS_UP ||
	       (e->stopping && !e->queue.count && !e->splitting && !e->disconnect_due);
}

/* ---- out ---- */

int exitsess_send(struct exitsess *e, const uint8_t *pkt, size_t len, uint64_t flow)
{
	int err;

	if (e->state != EXITSESS_UP || e->stopping)
		return -ENETDOWN;
	if (!len || len > e->mtu_up)
		return -EMSGSIZE;
	err = ipq_push(&e->queue, pkt, len, flow);
	if (err == -ENOBUFS)
		e->blocked = true;
	if (err < 0)
		return err;
	denied_note(&e->refused, pkt, len);
	return 0;
}

bool exitsess_fill(struct exitsess *e, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		   struct shaper_item *item)
{
	bool filled;

	if (e->state != EXITSESS_CONNECTING && e->state != EXITSESS_UP)
		return false;
	if (class == SHAPER_URGENT)
		return exitmsg_urgent(e, now_us, topo, item);
	filled = exitmsg_data(e, now_us, topo, item);
	if (e->blocked && e->queue.count <= IPQ_PACKETS / 2) {
		e->blocked = false;
		e->ops.event(e->ops.owner, EXITSESS_EV_WRITABLE);
	}
	return filled;
}

void exitsess_path(struct exitsess *e, uint64_t rtt_us, uint64_t spread_us)
{
	e->rtt_us = rtt_us;
	reorder_path(&e->order, rtt_us, spread_us);
}

void exitsess_acked(struct exitsess *e, uint64_t token, bool acked)
{
	if (token >> 16 == e->session)
		surbstock_confirmed(&e->stock, (unsigned)(token & 0xffff), acked);
}

/* The exit asks for 50 at a time, and again only when packets wait (SPEC ipr.md 6.9). */
bool exitsess_tight(const struct exitsess *e)
{
	return e->state == EXITSESS_UP && e->stock.owed > SURBSTOCK_EXIT_ASKS;
}

bool exitsess_busy(const struct exitsess *e, uint64_t now_us, uint64_t slot_us)
{
	return surbstock_replies_per_s(&e->stock, now_us) * slot_us >= 2 * US_PER_S;
}

void exitsess_rotated(struct exitsess *e)
{
	surbstock_void(&e->stock);
}

void exitsess_rerouted(struct exitsess *e)
{
	int64_t n = e->stock.estimate + e->stock.doubted;

	if (e->state != EXITSESS_UP)
		return;
	e->stale_surbs = n < STALE_MAX ? (unsigned)n : STALE_MAX;
	surbstock_void(&e->stock);
}

/* ---- in ---- */

static void probe(struct exitsess *e, uint64_t now_us)
{
	e->probing = true;
	e->probe_us = now_us;
	e->probe_due = e->ping_due = true;
	e->stats.probes++;
}

static void on_connect(struct exitsess *e, uint64_t now_us, const struct ipr_response *r)
{
	static const char *const why[] = {
		[IPR_OK] = "",
		[IPR_ALREADY_CONNECTED] = "it says we are connected already",
		[IPR_NO_IP] = "it has no free address",
		[IPR_CONNECT_OTHER] = "reason",
	};
	unsigned mtu = r->mtu ? r->mtu : IPR_MTU_DEFAULT;

	if (e->state != EXITSESS_CONNECTING || r->id != e->request_id || r->version != e->version) {
		e->stats.foreign++;
		return;
	}
	if (r->result != IPR_OK) {
		char text[64];

		log_printable(text, sizeof(text), r->text.p, r->text.len);
		end(e, "the exit refused the connection: %s%s%s", why[r->result], *text ? " " : "", text);
		return;
	}
	e->ip4 = (struct addr){ .family = 4 };
	memcpy(e->ip4.ip, r->ip4, sizeof(r->ip4));
	e->ip6 = (struct addr){ .family = 6 };
	memcpy(e->ip6.ip, r->ip6, sizeof(r->ip6));
	if (mtu < IPR_MTU_MIN)
		mtu = IPR_MTU_DEFAULT;
	e->mtu = e->cfg.mtu ? e->cfg.mtu : mtu < MTU_EXIT_MAX ? mtu : MTU_EXIT_MAX;
	/* An exit that says less than usual may have its reasons; so may the user. */
	e->mtu_up = e->cfg.mtu || mtu < IPR_MTU_DEFAULT ? e->mtu : MTU_EXIT_MAX;
	e->state = EXITSESS_UP;
	e->was_up = true;
	e->up_us = e->down_us = e->data_us = now_us;
	e->splitting = e->connect_due = false;
	probe(e, now_us); /* whether small packets are answered must be known before the exit may forget us */
	e->ops.event(e->ops.owner, EXITSESS_EV_UP);
}

/* Whether a packet answers our probe: from the probed address and port to ours, or an ICMP error that quotes
 * what went there. A program may have chosen the same port. */
static bool probe_answer(struct exitsess *e, const uint8_t *pkt, size_t len)
{
	struct ippkt p;
	size_t quoted;

	if (!ippkt_parse(&p, pkt, len) || p.src.family != 4 || !addr_equal_ip(&p.dst, &e->ip4))
		return false;
	if (p.proto == IPPKT_UDP)
		return p.dst.port == e->probe_port && addr_equal(&p.src, &e->cfg.probe);
	if (p.proto != IPPKT_ICMP || p.l4_len < 8 + 28 || (p.l4[0] != 11 && p.l4[0] != 3))
		return false;
	quoted = 8 + (size_t)(p.l4[8] & 15) * 4;
	return p.l4[8 + 9] == IPPKT_UDP && !memcmp(p.l4 + 8 + 16, e->cfg.probe.ip, 4) &&
	       quoted + 2 <= p.l4_len && (p.l4[quoted] << 8 | p.l4[quoted + 1]) == e->probe_port;
}

static void on_data(struct exitsess *e, uint64_t now_us, uint32_t seq, const struct ipr_response *r)
{
	struct wire_rd rd;
	const uint8_t *pkt;
	size_t len;

	if (e->state != EXITSESS_UP)
		return;
	e->data_us = now_us;
	surbstock_data_reply(&e->stock, now_us, seq);
	reorder_frame(&e->order, now_us, seq);
	wire_rd_init(&rd, r->bundle, r->bundle_len);
	while (ipr_bundle_next(&rd, &pkt, &len) == 1) {
		if (!len)
			continue;
		if (probe_answer(e, pkt, len))
			e->probe_works = true;
		else
			reorder_packet(&e->order, now_us, pkt, len);
	}
}

static void on_info(struct exitsess *e, const struct ipr_response *r)
{
	size_t len;
	uint8_t icmp[DENIED_ICMP_MAX];

	if (r->result != IPR_INFO_EXIT_POLICY)
		return;
	log_printable(e->denied, sizeof(e->denied), r->text.p, r->text.len);
	e->stats.denied++;
	e->ops.event(e->ops.owner, EXITSESS_EV_DENIED);
	len = denied_icmp(&e->refused, e->denied, icmp);
	if (len) /* a socket learns it at once (design D7) */
		e->ops.recv(e->ops.owner, icmp, len);
}

static void on_response(struct exitsess *e, uint64_t now_us, const struct stream_frame *f)
{
	struct ipr_response r;

	if (ipr_parse_response(&r, f->payload, f->len, false)) {
		e->stats.malformed++;
		return;
	}
	if (r.kind != IPR_DATA)
		surbstock_control_reply(&e->stock);
	switch (r.kind) {
	case IPR_CONNECT: on_connect(e, now_us, &r); break;
	case IPR_DATA: on_data(e, now_us, f->seq, &r); break;
	case IPR_DISCONNECT:
	case IPR_UNREQUESTED:
		if (e->state == EXITSESS_UP && !e->stopping)
			end(e, "the exit ended the session");
		break;
	case IPR_INFO: on_info(e, &r); break;
	case IPR_PING:
	case IPR_HEALTH: break;
	}
}

static void on_frame(struct exitsess *e, uint64_t now_us, const struct nym_msg *m)
{
	struct stream_frame f;

	if (stream_parse(&f, m->data, m->len)) {
		e->stats.malformed++;
		return;
	}
	if (f.id != e->stream || (e->state != EXITSESS_UP && e->state != EXITSESS_CONNECTING)) {
		e->stats.foreign++;
		return;
	}
	e->down_us = now_us;
	switch (f.type) {
	case STREAM_OPEN:
	case STREAM_DATA:
		if (f.len)
			on_response(e, now_us, &f);
		break;
	case STREAM_PING:
		e->pong_due = true;
		e->pong_nonce = f.seq;
		break;
	case STREAM_OPEN_ACK:
	case STREAM_PONG: break;
	}
}

void exitsess_input(struct exitsess *e, uint64_t now_us, const struct nym_msg *m)
{
	if (m->type != NYM_REPLY)
		return;
	e->stats.replies++;
	switch (m->reply) {
	case NYM_REPLY_DATA: on_frame(e, now_us, m); break;
	case NYM_REPLY_SURB_REQUEST:
		/* SPEC traffic.md 8.1: only from the exit we talk to. */
		if (memcmp(&m->requester, &e->cfg.exit, sizeof(m->requester)) != 0) {
			e->stats.foreign++;
			break;
		}
		surbstock_asked(&e->stock, m->amount);
		break;
	}
}

/* ---- time ---- */

void exitsess_resumed(struct exitsess *e, uint64_t now_us)
{
	if (e->state != EXITSESS_UP || e->stopping)
		return;
	e->misses = 0;
	surbstock_distrust(&e->stock); /* nobody knows what the exit spent on replies that were lost */
	probe(e, now_us);
}

static void liveness(struct exitsess *e, uint64_t now_us)
{
	uint64_t quiet_us = e->up_us < e->down_us ? e->up_us : e->down_us;

	if (now_us >= e->up_us + FORGOTTEN_US) { /* this machine slept, or had no gateway */
		end(e, "the exit has forgotten the session");
		return;
	}
	if (!e->probing) {
		if (now_us >= quiet_us + IDLE_US)
			probe(e, now_us);
		return;
	}
	if (e->data_us > e->probe_us || (!e->probe_works && e->down_us > e->probe_us)) {
		e->probing = false;
		e->misses = 0;
		return;
	}
	if (now_us < e->probe_us + PROBE_WAIT_US)
		return;
	if (e->misses || e->stock.estimate < 2 * SURBSTOCK_FLOOR) /* one packet may well be lost */
		surbstock_distrust(&e->stock);
	e->misses++;
	if (e->misses >= MISSES_MAX && e->down_us + MISSES_MAX * PROBE_WAIT_US <= now_us)
		end(e, "the exit does not answer any more");
	else if (e->misses >= MISSES_PONG_MAX)
		end(e, "the exit has forgotten the session");
	else
		probe(e, now_us);
}

static void connecting(struct exitsess *e, uint64_t now_us)
{
	if (now_us < e->attempt_end_us)
		return;
	if (e->version == IPR_V10)
		attempt(e, now_us, IPR_V9);
	else
		end(e, "the exit did not answer the connect request within %u s",
		    (unsigned)(e->cfg.connect_us / US_PER_S));
}

void exitsess_tick(struct exitsess *e, uint64_t now_us)
{
	reorder_tick(&e->order, now_us);
	switch (e->state) {
	case EXITSESS_CONNECTING: connecting(e, now_us); break;
	case EXITSESS_UP:
		if (!e->stopping)
			liveness(e, now_us);
		break;
	case EXITSESS_IDLE:
	case EXITSESS_ENDED: break;
	}
}

uint64_t exitsess_deadline(const struct exitsess *e)
{
	uint64_t at = reorder_deadline(&e->order), own = TIME_NEVER;

	switch (e->state) {
	case EXITSESS_CONNECTING: own = e->attempt_end_us; break;
	case EXITSESS_UP:
		if (!e->stopping)
			own = e->probing ? e->probe_us + PROBE_WAIT_US
					 : (e->up_us < e->down_us ? e->up_us : e->down_us) + IDLE_US;
		break;
	case EXITSESS_IDLE:
	case EXITSESS_ENDED: break;
	}
	return own < at ? own : at;
}
