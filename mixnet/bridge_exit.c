/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits, and the path of packets.
 *
 * Theory of operation. One timer stands at the nearest deadline of shaper and exit session. When it fires,
 * and after everything that came in, the pump runs: it serves the session's time, takes every due packet out
 * of the shaper and gives it to the gateway link. Back-pressure of the link is told to the shaper, which
 * slows its clock; above LINK_STOP queued packets the pump waits for the link to drain.
 *
 * What the gateway pushes is an acknowledgement, our own cover, a reply, or something a stranger sent. Only
 * replies go on: reassembly sees nothing that was not encrypted with one of our reply keys, so that nobody
 * else can speak for the exit.
 *
 * Choice of exits: the given one, or candidates drawn from the directory, at most BRIDGE_TRIES in a row, a
 * bad one remembered for the run. A lost exit is asked once more, then another one is drawn; an exit that
 * takes us again and is lost again soon is a bad one as well. Its addresses are new in any case, so the stack
 * above has to reset its connections.
 *
 * The session's events come from inside the session; they only set flags, the pump acts on them.
 */
#include "mixnet/bridge_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"

#define LINK_STOP 64		   /* packets queued in the websocket */
#define STEADY_US (300 * US_PER_S) /* a session that lasted so long says nothing bad about its exit */
#define LOSS_SAMPLE 256		   /* packets, until what came back is counted */
#define USELESS_US (8 * US_PER_S)  /* without an acknowledgement, of a gateway just opened */
#define USELESS_SAMPLE 64
#define LOSS_REFRESH_US (30 * US_PER_S)
#define MTU_LIMIT IPR_MTU_MAX

_Static_assert(PACER_FRAME >= GW_FRAME_MAX - SPHINX_PACKET_MAX + SPHINX_REGULAR_PACKET, "a frame must fit");

/* ---- the session's and the shaper's view of the bridge ---- */

static void exit_recv(void *owner, const uint8_t *pkt, size_t len)
{
	struct bridge *b = owner;

	if (b->link.recv)
		b->link.recv(b->link.up, pkt, len);
}

/* Session and gateway link are there. */
static void both_up(struct bridge *b)
{
	b->exit_tries = 0;
	loop_timer_stop(&b->retry);
	loop_timer_stop(&b->deadline);
	if (!b->ever_ready)
		b->ready_us = loop_now(b->loop);
	b->ever_ready = b->gateway_served = true;
	bridge_set_state(b, BRIDGE_READY);
	bridge_link_event(b, PKTLINK_UP);
}

static void exit_up(struct bridge *b)
{
	b->link.ip4 = b->exit.ip4;
	b->link.ip6 = b->exit.ip6;
	b->link.mtu = b->exit.mtu;
	b->link.mtu_up = b->exit.mtu_up;
	b->exit_up_us = loop_now(b->loop);
	/* What a gateway kept for us it pushes before it lets us in; and nobody is let in by a tunnel that
	 * ends. */
	if (gw_link_is_open(&b->gw) && b->state != BRIDGE_DRAINING)
		both_up(b);
}

static void exit_event(void *owner, enum exitsess_event ev)
{
	struct bridge *b = owner;

	switch (ev) {
	case EXITSESS_EV_UP: exit_up(b); break;
	case EXITSESS_EV_ENDED: b->exit_ended = true; break;
	case EXITSESS_EV_WRITABLE:
		if (b->link.event && b->link_up)
			b->link.event(b->link.up, PKTLINK_WRITABLE);
		break;
	case EXITSESS_EV_DENIED: log_trace("the exit's policy refuses %s", b->exit.denied); break;
	}
}

static bool source_fill(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
			struct shaper_item *item)
{
	struct bridge *b = owner;

	/* Without bandwidth whatever is sent is lost: the clock goes on with cover, data waits. */
	if (gw_link_starved(&b->gw))
		return false;
	exitsess_path(&b->exit, shaper_rtt(&b->shaper), shaper_spread(&b->shaper));
	return exitsess_fill(&b->exit, now_us, topo, class, item);
}

static void source_done(void *owner, uint64_t token, bool acked)
{
	struct bridge *b = owner;

	exitsess_acked(&b->exit, token, acked);
}

static int link_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct bridge *b = container_of(l, struct bridge, link);
	int r = b->link_up ? exitsess_send(&b->exit, pkt, len, flow) : -ENETDOWN;

	if (!r && !b->cfg.profile->main_mean_us) /* no slot will ask for it */
		loop_timer_set(&b->tick, loop_now(b->loop));
	return r;
}

static bool link_tight(const struct pktlink *l)
{
	return exitsess_tight(&container_of(l, struct bridge, link)->exit);
}

static uint64_t link_rtt(const struct pktlink *l)
{
	return shaper_rtt(&container_of(l, struct bridge, link)->shaper);
}

int bridge_path_init(struct bridge *b)
{
	struct shaper_cfg sc = {
		.main_mean_us = b->cfg.profile->main_mean_us,
		.cover_mean_us = b->cfg.profile->cover_mean_us,
		.hop_mean_us = b->cfg.profile->hop_mean_us,
		.ack_mean_us = b->cfg.profile->ack_mean_us,
	};
	struct shaper_source src = { source_fill, source_done, b };
	struct exitsess_ops ops = { exit_recv, exit_event, b };
	struct nym_rx_limits lim = {
		.frags = 512,
		.sets = 64,
		.recent = 16384,
		.stale_us = 60 * US_PER_S,
		.recent_us = 600 * US_PER_S,
	};
	int err;

	b->key_mem = calloc(BRIDGE_REPLY_KEYS, sizeof(*b->key_mem));
	b->key_bucket = calloc(BRIDGE_KEY_BUCKETS, sizeof(struct surb_key *));
	b->rx = nym_rx_new(&lim);
	if (!b->key_mem || !b->key_bucket || !b->rx)
		return -ENOMEM;
	surb_keys_init(&b->keys, b->key_mem, BRIDGE_REPLY_KEYS, b->key_bucket, BRIDGE_KEY_BUCKETS);
	err = shaper_init(&b->shaper, &sc, &b->me, &b->rng.rng, &src);
	if (!err)
		err = exitsess_init(&b->exit, &b->me, &b->keys, &b->rng.rng, &ops);
	b->link.send = link_send;
	b->link.tight = link_tight;
	b->link.rtt_us = link_rtt;
	return err;
}

void bridge_path_done(struct bridge *b)
{
	exitsess_done(&b->exit);
	shaper_done(&b->shaper);
	if (b->keys.mem)
		surb_keys_done(&b->keys);
	nym_rx_free(b->rx);
	free(b->key_bucket);
	free(b->key_mem);
}

void bridge_link_event(struct bridge *b, enum pktlink_event ev)
{
	if (ev == PKTLINK_DOWN && !b->link_up)
		return;
	b->link_up = ev == PKTLINK_UP;
	if (b->link.event)
		b->link.event(b->link.up, ev);
}

/* ---- choice of exits ---- */

static void exit_start(struct bridge *b)
{
	const struct topo_version *v = b->cfg.ipr_version.known ? &b->cfg.ipr_version : &b->exit_node;
	struct exitsess_cfg c = {
		.exit = b->exit_addr,
		.version = IPR_V10,
		.connect_us = b->cfg.exit_timeout_us,
		.hop_mean_us = b->cfg.profile->hop_mean_us,
		.mtu = b->cfg.mtu > MTU_LIMIT ? MTU_LIMIT : b->cfg.mtu,
		.probe = b->cfg.probe,
	};
	struct clock *clock = loop_clock(b->loop);

	/* SPEC versions.md 3: v10 first where the node is new enough or unknown. */
	if (v->known && !topo_version_at_least(v, 1, 37))
		c.version = IPR_V9;
	if (!c.probe.family)
		addr_parse(&c.probe, "9.9.9.9", 53);
	b->exit_ended = false;
	shaper_forget(&b->shaper);
	exitsess_start(&b->exit, &c, loop_now(b->loop), clock->wall_s(clock));
	bridge_set_state(b, b->ever_ready ? BRIDGE_RECONNECTING : BRIDGE_EXIT);
}

/* What the directory says about a given exit: its version. */
static void look_up_given(struct bridge *b)
{
	b->exit_addr = b->cfg.exit;
	b->exit_id = 0;
	memset(&b->exit_node, 0, sizeof(b->exit_node));
	for (size_t i = 0; i < b->exits->n; i++) {
		const struct topo_node *n = &b->exits->node[i];

		if (n->has_ipr && !memcmp(&n->ipr, &b->cfg.exit, sizeof(n->ipr))) {
			b->exit_id = n->id;
			b->exit_node = n->version;
		}
	}
}

static bool choose_given(struct bridge *b)
{
	if (b->exit_tries && !b->ever_ready) {
		bridge_fail(b, "exit: %s; check the address given with --exit, or use --exit auto",
			    b->last_why);
		return false;
	}
	look_up_given(b);
	if (!topology_by_identity(b->topo, b->exit_addr.gateway)) {
		bridge_say_why(b, "its gateway is not in the directory");
		if (!b->ever_ready)
			bridge_fail(b, "exit: the gateway of the address given with --exit is not in the "
				       "directory of this network; give another --exit, or use --exit auto");
		return false;
	}
	return true;
}

static bool choose_drawn(struct bridge *b)
{
	const struct topo_node *n = NULL;

	if (b->exit_tries < BRIDGE_TRIES)
		n = topology_pick_exit(b->exits, b->cfg.exit_how, b->cfg.exit_country, b->me.addr.gateway,
				       b->exits_tried.id, b->exits_tried.n, &b->rng.rng);
	if (!n && !b->ever_ready) {
		if (b->exit_tries)
			bridge_fail(b,
				    "exit: none of %u exits could be used; the last one: %s; try again, or "
				    "name one with --exit",
				    b->exit_tries, b->last_why);
		else
			bridge_fail(b,
				    "exit: the directory lists no usable exit%s%s; use another --exit, "
				    "--network or --api",
				    b->cfg.exit_how == EXIT_COUNTRY ? " in " : "",
				    b->cfg.exit_how == EXIT_COUNTRY ? b->cfg.exit_country : "");
		return false;
	}
	if (!n) { /* after a while the bad ones may be good again */
		b->exits_tried.n = 0;
		return false;
	}
	b->exit_addr = n->ipr;
	b->exit_id = n->id;
	b->exit_node = n->version;
	return true;
}

/* Draws and asks the next candidate; in a tunnel that was ready before, failing that, waits
 * and tries again. */
static void exit_next(struct bridge *b)
{
	bool chosen = b->cfg.exit_given ? choose_given(b) : choose_drawn(b);

	if (b->state == BRIDGE_FAILED)
		return;
	b->exit_chosen = chosen;
	b->exit_tries++;
	if (chosen) {
		exit_start(b);
		return;
	}
	bridge_set_state(b, BRIDGE_RECONNECTING);
	loop_timer_set(&b->retry, loop_now(b->loop) + retry_pause(b->exit_tries));
}

void bridge_exit_retry(struct bridge *b)
{
	if (!b->cfg.exit_given && b->exit_tries > BRIDGE_TRIES)
		b->exit_tries = 0;
	exit_next(b);
	bridge_path_pump(b);
}

/* The session ended: by the flag its event set. */
static void exit_ended(struct bridge *b)
{
	bool was_up = b->exit.was_up;

	b->exit_ended = false;
	bridge_say_why(b, "%s", b->exit.cause);
	log_info("exit: %s", b->exit.cause);
	if (b->state == BRIDGE_DRAINING)
		return;
	bridge_link_event(b, PKTLINK_DOWN);
	bridge_refresh(b, true);
	if (was_up && (!b->exit_again || loop_now(b->loop) >= b->exit_up_us + STEADY_US)) { /* D15: once */
		b->exit_again = true;
		b->reconnects++;
		exit_start(b);
		return;
	}
	b->exit_again = false;
	if (b->exit_id && !b->cfg.exit_given)
		bridge_tried_add(&b->exits_tried, b->exit_id);
	if (b->cfg.exit_given && b->ever_ready) {
		bridge_set_state(b, BRIDGE_RECONNECTING);
		loop_timer_set(&b->retry, loop_now(b->loop) + retry_pause(b->exit_tries));
		b->exit_chosen = false;
		return;
	}
	exit_next(b);
}

/* ---- path ---- */

/* Begins to count anew. */
static void count_losses(struct bridge *b)
{
	const struct shaper_stats *s = &b->shaper.stats;

	b->sent_seen = s->real + s->cover;
	b->acks_seen = s->acks + s->cover_acks;
}

void bridge_path_open(struct bridge *b)
{
	shaper_start(&b->shaper, loop_now(b->loop));
	count_losses(b);
	b->open_us = loop_now(b->loop);
	b->open_sent = b->sent_seen;
	b->open_acks = b->acks_seen;
	b->lossy = false; /* what was lost with the link */
	if (b->state == BRIDGE_DRAINING)
		return;
	if (!b->exit_chosen) {
		exit_next(b);
	} else if (b->exit.state == EXITSESS_UP) {
		exitsess_resumed(&b->exit, loop_now(b->loop));
		both_up(b);
	} else {
		exit_start(b);
	}
	bridge_path_pump(b);
}

void bridge_path_closed(struct bridge *b)
{
	shaper_pause(&b->shaper);
	pacer_clear(&b->pacer);
	bridge_link_event(b, PKTLINK_DOWN);
	loop_timer_stop(&b->tick);
}

/* What has to be done to a packet is done before its moment. */
static bool make_frame(struct bridge *b, struct pacer_frame *f)
{
	struct mixpacket m = {
		.rotation = b->made.rotation,
		.next_hop = b->made.next_hop,
		.packet = b->made.packet,
		.packet_len = sizeof(b->made.packet),
	};
	int len = gw_link_seal(&b->gw, f->buf, sizeof(f->buf), &m);

	if (len < 0) {
		b->link_dropped++;
		return false;
	}
	f->len = (size_t)len;
	f->slot_us = b->made.slot_us;
	return true;
}

static void send_frame(struct bridge *b, const struct pacer_frame *f)
{
	if (gw_link_send(&b->gw, f->buf, f->len))
		b->link_dropped++;
}

/* Now, and not when this batch of the loop began. */
static uint64_t clock_us(const struct bridge *b)
{
	struct clock *c = loop_clock(b->loop);

	return c->now_us(c);
}

static bool link_full(const struct bridge *b)
{
	return gw_link_queued(&b->gw) >= LINK_STOP;
}

static void arm(struct bridge *b)
{
	uint64_t at = exitsess_deadline(&b->exit), leave_us = pacer_deadline(&b->pacer),
		 free_us = link_full(b) ? TIME_NEVER : pacer_free_us(&b->pacer, clock_us(b)),
		 slot_us = shaper_deadline(&b->shaper);

	if (slot_us < free_us)
		slot_us = free_us;
	if (leave_us < at)
		at = leave_us;
	if (slot_us < at)
		at = slot_us;
	loop_timer_set(&b->tick, at);
}

/* Slots are served and packets leave, each at its time; building one takes as long as others may have to
 * wait, those as well that have left and are not written. */
static void serve_slots(struct bridge *b, uint64_t now_us)
{
	struct pacer_frame *room;

	for (;;) {
		const struct pacer_frame *due;
		uint64_t near_us = pacer_near_us(&b->pacer, clock_us(b));

		while (clock_us(b) < near_us)
			; /* PACER_NEAR_US at most: a sleep would end too late */
		while ((due = pacer_due(&b->pacer, clock_us(b)))) {
			send_frame(b, due);
			if (!gw_link_is_open(&b->gw))
				return;
			pacer_pop(&b->pacer, clock_us(b));
		}
		room = link_full(b) ? NULL : pacer_room(&b->pacer, clock_us(b));
		if (!room || shaper_poll(&b->shaper, now_us, b->topo, &b->made) != 1)
			return;
		if (make_frame(b, room))
			pacer_put(&b->pacer);
	}
}

/*
 * Many packets get lost on their way: the directory may know by now which node does not work. Only the
 * directory decides which nodes are used. If we left out those whose packets do not come back, our gateway
 * could choose our routes for us by dropping the others.
 */
static void watch_losses(struct bridge *b, uint64_t now_us)
{
	const struct shaper_stats *s = &b->shaper.stats;
	uint64_t sent = s->real + s->cover - b->sent_seen, acks = s->acks + s->cover_acks - b->acks_seen;
	bool before = b->lossy;

	if (sent < LOSS_SAMPLE)
		return;
	count_losses(b);
	b->lossy = acks * 3 < sent * 2;
	if (b->lossy && (!before || now_us >= b->asked_us + LOSS_REFRESH_US))
		bridge_refresh(b, false);
}

/* It takes our packets and nothing comes back, not even cover: whichever exit we asked, it would not answer.
 */
static bool gateway_useless(const struct bridge *b, uint64_t now_us)
{
	const struct shaper_stats *s = &b->shaper.stats;

	return !b->gateway_served && !b->cfg.gateway_given && b->state != BRIDGE_DRAINING &&
	       now_us >= b->open_us + USELESS_US && s->acks + s->cover_acks == b->open_acks &&
	       s->real + s->cover - b->open_sent >= USELESS_SAMPLE;
}

/* Trouble that packets still get through. */
static void judge(struct bridge *b)
{
	bool trouble = b->exit.misses || b->refresh_failures >= 3;

	if (b->state == BRIDGE_READY && trouble) {
		if (b->exit.misses)
			bridge_say_why(b, "the exit did not answer a keepalive");
		else
			bridge_say_why(b, "the directory could not be refreshed");
		bridge_set_state(b, BRIDGE_DEGRADED);
	} else if (b->state == BRIDGE_DEGRADED && !trouble)
		bridge_set_state(b, BRIDGE_READY);
}

void bridge_path_pump(struct bridge *b)
{
	uint64_t now_us = loop_now(b->loop);

	if (!gw_link_is_open(&b->gw))
		return;
	exitsess_tick(&b->exit, now_us);
	serve_slots(b, now_us);
	if (!gw_link_is_open(&b->gw))
		return;
	if (gateway_useless(b, now_us)) {
		bridge_gateway_useless(b);
		return;
	}
	shaper_link(&b->shaper, now_us, gw_link_queued(&b->gw));
	if (b->exit_ended)
		exit_ended(b);
	watch_losses(b, now_us);
	judge(b);
	if (gw_link_is_open(&b->gw))
		arm(b);
}

void bridge_path_written(struct bridge *b)
{
	pacer_written(&b->pacer, clock_us(b));
	bridge_path_pump(b);
}

static void reply(struct bridge *b, const uint8_t *frag, size_t len)
{
	uint64_t now_us = loop_now(b->loop);
	struct nym_msg m;
	size_t msg_len;
	int got = nym_rx_insert(b->rx, now_us, frag, len, b->msg, sizeof(b->msg), &msg_len);

	if (got <= 0) /* counted there */
		return;
	if (nym_msg_parse(&m, b->msg, msg_len) || m.type != NYM_REPLY) {
		b->malformed++;
		return;
	}
	exitsess_input(&b->exit, now_us, &m);
}

void bridge_path_blob(struct bridge *b, uint8_t *blob, size_t len)
{
	uint8_t id[NYM_ID];
	const uint8_t *frag;
	size_t frag_len;
	int kind = nym_blob_open(blob, len, &b->me, &b->keys, &b->shaper.covers, id, &frag, &frag_len);

	if (kind < 0) {
		b->malformed++;
		return;
	}
	b->packets_received++;
	switch ((enum nym_blob)kind) {
	case NYM_BLOB_ACK: shaper_ack(&b->shaper, loop_now(b->loop), id); return;
	case NYM_BLOB_COVER: return;
	case NYM_BLOB_FRAG: b->strangers++; return;
	case NYM_BLOB_REPLY_FRAG: reply(b, frag, frag_len); break;
	}
	bridge_path_pump(b);
}

void bridge_path_rotated(struct bridge *b)
{
	uint64_t life_us = api_rotation_life(&b->rotation), now_us = loop_now(b->loop);

	if (now_us > life_us)
		surb_keys_expire(&b->keys, now_us - life_us);
	if (b->topo && b->exit.state == EXITSESS_UP && b->exit.rotation_id != b->topo->rotation_id)
		exitsess_rotated(&b->exit);
}

bool bridge_path_drained(const struct bridge *b)
{
	return exitsess_drained(&b->exit) && !shaper_unconfirmed(&b->shaper);
}
