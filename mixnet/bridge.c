/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bootstrap and life of the tunnel's mixnet side: states, directory, gateways.
 *
 * Theory of operation. bridge_start() fetches the directory; with it an entry gateway is chosen and opened
 * (bridge_gw.c), and over it an exit (bridge_exit.c). Each stage has candidates: a failing one is remembered
 * and the next is drawn, at most BRIDGE_TRIES, unless the user named one. bootstrap_us bounds all of it. A
 * gateway that was opened fails still, as long as there is no tunnel, when nothing comes back through it or
 * it cannot be opened again. From the first tunnel on the gateway is kept: it is part of our address. When
 * its link is lost it is opened again with the same keys, soon (retry.h): most gateways restart, and the
 * programs wait. Pending acknowledgements, the session with the exit and the addresses stay. When it is gone
 * for good, as far as one can tell, another one is drawn, and with it an exit: for the stack above that is
 * the loss of an exit. A tunnel that was ready never fails for want of a gateway: it tries all of them again.
 *
 * The directory is refreshed every five minutes, sooner after a failure, and when a gateway link came back or
 * an exit was lost: its addresses or the network's keys may have changed. A failed refresh keeps the last one
 * (SPEC bootstrap.md 5.4, traffic.md 3.1: better than silence).
 *
 * One setter changes the state and asserts the move against a table. The owner is told by a deferred task,
 * never from inside a call of its own.
 */
#include "mixnet/bridge_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"

#define REFRESH_US (300 * US_PER_S)
#define REFRESH_AGAIN_US (60 * US_PER_S) /* after a failure */
#define REFRESH_GAP_US (10 * US_PER_S)
#define FETCH_US (30 * US_PER_S)
#define GATEWAYS_PAUSE_US (10 * US_PER_S) /* when none can be used */
#define DRAIN_STEP_US (20 * US_PER_MS)
#define LINGER_US (500 * US_PER_MS)
#define LINGER_STEP_US (5 * US_PER_MS)

static const struct bridge_profile profiles[] = {
	/* traffic.md 2.1 */
	{ "default", 20000, 200000, 15000, 15000, false },
	{ "fast", 4000, UINT64_C(2000000000), 10000, 15000, false },
	{ "no-poisson", 0, 200000, 15000, 15000, true },
};

const struct bridge_profile *bridge_profile(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

/* ---- states ---- */

const char *bridge_state_name(enum bridge_state s)
{
	static const char *const names[] = {
		[BRIDGE_STARTING] = "starting",
		[BRIDGE_DIRECTORY] = "directory",
		[BRIDGE_GATEWAY] = "gateway",
		[BRIDGE_EXIT] = "exit",
		[BRIDGE_READY] = "ready",
		[BRIDGE_DEGRADED] = "degraded",
		[BRIDGE_RECONNECTING] = "reconnecting",
		[BRIDGE_DRAINING] = "draining",
		[BRIDGE_CLOSED] = "closed",
		[BRIDGE_FAILED] = "failed",
	};

	return names[s];
}

#define TO(s) (1u << (s))
#define ENDS (TO(BRIDGE_DRAINING) | TO(BRIDGE_CLOSED) | TO(BRIDGE_FAILED))

static const unsigned legal[] = {
	[BRIDGE_STARTING] = TO(BRIDGE_DIRECTORY) | ENDS,
	[BRIDGE_DIRECTORY] = TO(BRIDGE_GATEWAY) | ENDS,
	[BRIDGE_GATEWAY] = TO(BRIDGE_GATEWAY) | TO(BRIDGE_EXIT) | ENDS,
	[BRIDGE_EXIT] =
		TO(BRIDGE_GATEWAY) | TO(BRIDGE_EXIT) | TO(BRIDGE_READY) | TO(BRIDGE_RECONNECTING) | ENDS,
	[BRIDGE_READY] = TO(BRIDGE_DEGRADED) | TO(BRIDGE_RECONNECTING) | ENDS,
	[BRIDGE_DEGRADED] = TO(BRIDGE_READY) | TO(BRIDGE_RECONNECTING) | ENDS,
	[BRIDGE_RECONNECTING] =
		TO(BRIDGE_GATEWAY) | TO(BRIDGE_READY) | TO(BRIDGE_EXIT) | TO(BRIDGE_RECONNECTING) | ENDS,
	[BRIDGE_DRAINING] = TO(BRIDGE_CLOSED) | TO(BRIDGE_FAILED),
	[BRIDGE_CLOSED] = 0,
	[BRIDGE_FAILED] = 0,
};

static void tell(void *owner)
{
	struct bridge *b = owner;
	bool final = b->state == BRIDGE_CLOSED || b->state == BRIDGE_FAILED;

	if (b->event && (!final || b->over))
		b->event(b->owner);
}

/* The owner hears of the end when the last connection is gone (and the last words to the gateway are sent),
 * or a little later: it may well end the loop then. */
static void on_linger(void *owner)
{
	struct bridge *b = owner;
	uint64_t now_us = loop_now(b->loop);

	if (!gw_link_idle(&b->gw) && now_us < b->linger_end_us) {
		loop_timer_set(&b->linger, now_us + LINGER_STEP_US);
		return;
	}
	b->over = true;
	loop_defer(b->loop, &b->notify, tell, b);
}

void bridge_set_state(struct bridge *b, enum bridge_state s)
{
	assert(legal[b->state] & TO(s));
	if (s == BRIDGE_READY)
		b->cause[0] = 0;
	if (b->state != s)
		log_info("tunnel: %s%s%s", bridge_state_name(s), b->cause[0] ? ": " : "", b->cause);
	b->state = s;
	if (s == BRIDGE_CLOSED || s == BRIDGE_FAILED) {
		b->linger_end_us = loop_now(b->loop) + LINGER_US;
		on_linger(b);
	} else {
		loop_defer(b->loop, &b->notify, tell, b);
	}
}

void bridge_say_why(struct bridge *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->last_why, sizeof(b->last_why), fmt, ap);
	va_end(ap);
	if (b->ever_ready) /* what the tunnel waits for, shown while it does */
		snprintf(b->cause, sizeof(b->cause), "%s", b->last_why);
}

static void stop_all(struct bridge *b)
{
	if (b->api)
		api_cancel(b->api);
	loop_timer_stop(&b->refresh);
	loop_timer_stop(&b->deadline);
	loop_timer_stop(&b->retry);
	loop_timer_stop(&b->tick);
	loop_timer_stop(&b->drain);
	bridge_path_closed(b);
	gw_link_close(&b->gw, b->state == BRIDGE_DRAINING);
}

void bridge_fail(struct bridge *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->cause, sizeof(b->cause), fmt, ap);
	va_end(ap);
	log_error("%s", b->cause);
	stop_all(b);
	bridge_set_state(b, BRIDGE_FAILED);
}

void bridge_tried_add(struct bridge_tried *t, uint32_t id)
{
	if (t->n == BRIDGE_TRIED_MAX) { /* the oldest may be tried again */
		memmove(t->id, t->id + 1, sizeof(t->id) - sizeof(t->id[0]));
		t->n--;
	}
	t->id[t->n++] = id;
}

/* ---- gateway ---- */

static const struct topo_node *choose_gateway(struct bridge *b)
{
	const struct topo_node *n;

	if (!b->cfg.gateway_given)
		return b->gateway_tries < BRIDGE_TRIES
			       ? topology_pick_gateway(b->topo, b->gateways.id, b->gateways.n, &b->rng.rng)
			       : NULL;
	if (b->gateway_tries)
		return NULL;
	n = topology_by_identity(b->topo, b->cfg.gateway);
	if (!n)
		bridge_say_why(b, "it is not in the directory of this network");
	else if (!n->has_entry)
		bridge_say_why(b, "it is no entry gateway");
	return n && n->has_entry ? n : NULL;
}

/* All but the one chosen last. */
static void forget_bad_gateways(struct bridge *b)
{
	b->gateways.id[0] = b->gateways.id[b->gateways.n - 1];
	b->gateways.n = 1;
	b->gateway_tries = 0;
}

static void no_gateway(struct bridge *b)
{
	if (b->ever_ready) { /* after a while the bad ones may be good again */
		gw_link_close(&b->gw, false);
		forget_bad_gateways(b);
		loop_timer_set(&b->retry, loop_now(b->loop) + GATEWAYS_PAUSE_US);
	} else if (b->cfg.gateway_given)
		bridge_fail(b,
			    "gateway: the one given with --gateway cannot be used: %s; give another, or none",
			    b->last_why);
	else if (!b->gateway_tries)
		bridge_fail(b, "gateway: the directory lists no usable entry gateway; use another --network "
			       "or --api");
	else
		bridge_fail(b,
			    "gateway: none of %u could be used; the last one: %s; try again, or name one "
			    "with --gateway",
			    b->gateway_tries, b->last_why);
}

static void gateway_next(struct bridge *b)
{
	const struct topo_node *n;

	bridge_set_state(b, b->ever_ready ? BRIDGE_RECONNECTING : BRIDGE_GATEWAY);
	while ((n = choose_gateway(b))) {
		b->gateway_tries++;
		bridge_tried_add(&b->gateways, n->id);
		memcpy(b->me.addr.gateway, n->identity, sizeof(b->me.addr.gateway));
		base58_encode(b->gateway_text, sizeof(b->gateway_text), n->identity, sizeof(n->identity));
		log_trace("entry gateway %s", b->gateway_text);
		if (!gw_link_choose(&b->gw, n, &b->me, &b->rng.rng,
				    b->cfg.net.ca_file[0] ? b->cfg.net.ca_file : NULL,
				    b->cfg.net.allow_plain_ws)) {
			gw_link_open(&b->gw);
			return;
		}
		bridge_say_why(b, "%s", b->gw.why);
	}
	no_gateway(b);
}

/* The exits that failed through the gateway before may be good. */
static void gateway_other(struct bridge *b)
{
	b->exit_chosen = b->exit_ended = false;
	b->exit_tries = 0;
	b->exits_tried.n = 0;
	gateway_next(b);
}

/* It is gone for good: another one, if there is one. */
static void gateway_leave(struct bridge *b, const char *why)
{
	if (!topology_pick_gateway(b->topo, b->gateways.id, b->gateways.n, &b->rng.rng)) {
		forget_bad_gateways(b);
		if (!topology_pick_gateway(b->topo, b->gateways.id, 1, &b->rng.rng))
			return;
	}
	bridge_say_why(b, "gateway: %s", why);
	log_warn("the gateway is gone for good, another one is taken: %s", why);
	loop_timer_stop(&b->retry);
	if (gw_link_is_open(&b->gw))
		bridge_path_closed(b);
	exitsess_abandon(&b->exit);
	shaper_forget(&b->shaper);
	b->gateway_served = false;
	b->gateway_tries = 0;
	gateway_other(b);
}

void bridge_gateway_useless(struct bridge *b)
{
	bridge_say_why(b, "none of our packets came back through it");
	log_info("gateway of no use: %s", b->last_why);
	bridge_path_closed(b);
	loop_timer_stop(&b->retry);
	gateway_other(b);
}

static void gw_open(void *owner)
{
	struct bridge *b = owner;

	retry_up(&b->again, loop_now(b->loop));
	loop_timer_stop(&b->retry);
	if (b->state == BRIDGE_RECONNECTING)
		bridge_refresh(b, b->ever_ready && !b->gateway_served);
	if (b->state == BRIDGE_GATEWAY)
		bridge_set_state(b, BRIDGE_EXIT);
	bridge_path_open(b);
}

static void gw_lost(void *owner, enum gw_link_lost how)
{
	struct bridge *b = owner;
	uint64_t now_us = loop_now(b->loop), pause_us = 0;

	if (how != GW_LOST_UNKNOWN_US) /* the next attempt registers: no reason to wait */
		pause_us = retry_lost(&b->again, now_us, how == GW_LOST_REFUSED);
	bridge_say_why(b, "%s%s", b->ever_ready ? "gateway: " : "", b->gw.why);
	bridge_path_closed(b);
	if (b->state == BRIDGE_GATEWAY) {
		gateway_next(b);
		return;
	}
	if (b->state == BRIDGE_RECONNECTING && !b->gateway_served && !b->cfg.gateway_given) {
		gateway_other(b);
		return;
	}
	if (b->state == BRIDGE_DRAINING) {
		stop_all(b);
		bridge_set_state(b, BRIDGE_CLOSED);
		return;
	}
	log_info("gateway link lost: %s; again in %u s", b->gw.why, (unsigned)(pause_us / US_PER_S));
	if (b->state != BRIDGE_RECONNECTING)
		b->reconnects++;
	bridge_set_state(b, BRIDGE_RECONNECTING);
	loop_timer_set(&b->retry, now_us + pause_us);
	if (b->cfg.gateway_given)
		return;
	if (retry_gone(&b->again, now_us))
		gateway_leave(b, b->gw.why);
	else if (retry_doubtful(&b->again, now_us))
		bridge_refresh(b, false);
}

static void gw_blob(void *owner, uint8_t *blob, size_t len)
{
	bridge_path_blob(owner, blob, len);
}

static void gw_drained(void *owner)
{
	bridge_path_written(owner);
}

static const struct gw_link_ops gw_ops = { gw_open, gw_blob, gw_lost, gw_drained };

static void on_retry(void *owner)
{
	struct bridge *b = owner;

	if (gw_link_is_open(&b->gw)) {
		bridge_exit_retry(b);
		return;
	}
	retry_begin(&b->again, loop_now(b->loop));
	gw_link_open(&b->gw);
}

/* ---- directory ---- */

static void free_topologies(struct bridge *b)
{
	if (b->exits != b->topo)
		api_topology_free(b->exits);
	api_topology_free(b->topo);
	b->topo = b->exits = NULL;
}

static void first_directory(struct bridge *b, int err, struct topology *topo, const struct api_rotation *rot,
			    const char *what)
{
	if (err) {
		bridge_fail(b, "directory: %s; check the network, or use another --api or --network", what);
		return;
	}
	b->topo = b->exits = topo;
	b->rotation = *rot;
	if (topology_check(topo)) {
		bridge_fail(b, "directory: it lists no complete route (a mix layer or all gateways are "
			       "missing); use another --api or --network");
		return;
	}
	loop_timer_set(&b->refresh, loop_now(b->loop) + REFRESH_US);
	gateway_next(b);
}

/* Whether our gateway, which topo does not list, is to be left for one of those it lists. */
static bool gateway_unlisted(struct bridge *b, const struct topology *topo)
{
	bool away = b->state == BRIDGE_RECONNECTING && !gw_link_is_open(&b->gw) &&
		    retry_long(&b->again, loop_now(b->loop));
	bool gone = retry_listed(&b->again, false, b->lossy || topo->rotation_id != b->topo->rotation_id);

	return b->ever_ready && !b->cfg.gateway_given && (away || gone) &&
	       topology_pick_gateway(topo, NULL, 0, &b->rng.rng);
}

static void next_directory(struct bridge *b, int err, struct topology *topo, const struct api_rotation *rot,
			   const char *what)
{
	const struct topo_node *gateway = err ? NULL : topology_by_identity(topo, b->me.addr.gateway);
	uint64_t pause_us = b->want_exits ? REFRESH_GAP_US : REFRESH_US;

	if (!err)
		retry_answered(&b->again, loop_now(b->loop));
	if (gateway)
		retry_listed(&b->again, true, false);
	if (!err && (topology_check(topo) || (!gateway && !gateway_unlisted(b, topo)))) {
		api_topology_free(topo);
		err = SMX_EROUTE;
		what = "it does not list our gateway, or no complete route";
	}
	if (err && !b->want_exits)
		pause_us = REFRESH_AGAIN_US;
	loop_timer_set(&b->refresh, loop_now(b->loop) + pause_us);
	if (err) {
		b->refresh_failures++;
		log_info("directory not refreshed: %s; the last one stays in use", what);
		return;
	}
	b->refresh_failures = 0;
	b->rotation = *rot;
	if (b->topo != b->exits)
		api_topology_free(b->topo);
	b->topo = topo;
	if (b->fetch_exits) {
		api_topology_free(b->exits);
		b->exits = topo;
	}
	if (gateway)
		gw_link_update(&b->gw, gateway);
	log_info("directory refreshed: rotation %u", (unsigned)topo->rotation_id);
	bridge_path_rotated(b);
	if (b->lossy)
		exitsess_rerouted(&b->exit);
	bridge_path_pump(b);
	if (!gateway)
		gateway_leave(b, "the directory does not list it any more");
}

static void on_directory(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
			 const char *what)
{
	struct bridge *b = owner;

	b->fetching = false;
	if (b->state == BRIDGE_DIRECTORY)
		first_directory(b, err, topo, rot, what);
	else
		next_directory(b, err, topo, rot, what);
}

static void fetch(struct bridge *b, bool with_exits, uint64_t limit_us)
{
	b->fetching = true;
	b->fetch_exits = with_exits;
	b->asked_us = loop_now(b->loop);
	api_fetch(b->api, with_exits, b->asked_us + limit_us, on_directory, b);
}

void bridge_refresh(struct bridge *b, bool with_exits)
{
	uint64_t now_us = loop_now(b->loop), soonest_us = b->asked_us + REFRESH_GAP_US;

	b->want_exits |= with_exits;
	if (!b->fetching)
		loop_timer_set(&b->refresh, now_us < soonest_us ? soonest_us : now_us);
}

static void on_refresh(void *owner)
{
	struct bridge *b = owner;

	if (b->fetching)
		return;
	fetch(b, b->want_exits, FETCH_US);
	b->want_exits = false;
}

/* ---- public ---- */

static void on_deadline(void *owner)
{
	struct bridge *b = owner;
	unsigned s = (unsigned)(b->cfg.bootstrap_us / US_PER_S);

	bridge_fail(b,
		    "%s: no tunnel within %u s%s%s; check the network, or choose others with --gateway and "
		    "--exit",
		    bridge_state_name(b->state), s, b->last_why[0] ? "; last: " : "", b->last_why);
}

static void on_tick(void *owner)
{
	bridge_path_pump(owner);
}

static void on_drain(void *owner);

struct bridge *bridge_new(struct loop *loop, struct ws *ws, const struct bridge_cfg *cfg,
			  void (*event)(void *owner), void *owner)
{
	struct bridge *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return NULL;
	b->loop = loop;
	b->ws = ws;
	b->cfg = *cfg;
	b->event = event;
	b->owner = owner;
	rng_ahead_init(&b->rng, cfg->rng ? cfg->rng : rng_system());
	list_init(&b->notify.node);
	nym_self_new(&b->me, &b->rng.rng);
	gw_link_init(&b->gw, loop, ws, &gw_ops, b);
	loop_timer_init(loop, &b->refresh, on_refresh, b);
	loop_timer_init(loop, &b->deadline, on_deadline, b);
	loop_timer_init(loop, &b->retry, on_retry, b);
	loop_timer_init(loop, &b->tick, on_tick, b);
	loop_timer_init(loop, &b->drain, on_drain, b);
	loop_timer_init(loop, &b->linger, on_linger, b);
	b->api = api_new(loop, ws, &b->cfg.net);
	err = b->api ? bridge_path_init(b) : -errno;
	if (!err)
		return b;
	bridge_free(b);
	errno = -err;
	return NULL;
}

void bridge_start(struct bridge *b)
{
	b->start_us = loop_now(b->loop);
	bridge_set_state(b, BRIDGE_DIRECTORY);
	loop_timer_set(&b->deadline, b->start_us + b->cfg.bootstrap_us);
	fetch(b, true, b->cfg.bootstrap_us);
}

struct pktlink *bridge_link(struct bridge *b)
{
	return &b->link;
}

enum bridge_state bridge_state(const struct bridge *b)
{
	return b->state;
}

bool bridge_busy(const struct bridge *b)
{
	return exitsess_busy(&b->exit, loop_now(b->loop), b->cfg.profile->main_mean_us);
}

void bridge_get_stats(const struct bridge *b, struct bridge_stats *s)
{
	const struct shaper_stats *sh = &b->shaper.stats;
	const struct exitsess_stats *ex = &b->exit.stats;
	const struct nym_rx_stats *rx = nym_rx_stats(b->rx);
	bool up = b->exit.state == EXITSESS_UP;

	memset(s, 0, sizeof(*s));
	s->state = b->state;
	snprintf(s->cause, sizeof(s->cause), "%s", b->cause);
	s->profile = b->cfg.profile->name;
	if (b->exit_chosen)
		recipient_text(&b->exit_addr, s->exit);
	snprintf(s->gateway, sizeof(s->gateway), "%s", b->gateway_text);
	s->exit_version = up ? b->exit.version : 0;
	s->mtu = up ? b->exit.mtu : 0;
	if (up) {
		s->ip4 = b->exit.ip4;
		s->ip6 = b->exit.ip6;
	}
	s->bootstrap_us = b->ever_ready ? b->ready_us - b->start_us : 0;
	s->uptime_us = b->start_us ? loop_now(b->loop) - b->start_us : 0;
	s->packets_real = sh->real;
	s->packets_cover = sh->cover;
	s->packets_received = b->packets_received;
	s->acks_received = sh->acks + sh->cover_acks;
	s->retransmissions = sh->retransmissions;
	s->replies_received = ex->replies;
	s->surbs_sent = b->exit.stock.sent;
	s->surbs_stock = (uint64_t)b->exit.stock.estimate;
	s->bytes_up = ex->bytes_up;
	s->bytes_down = ex->bytes_down;
	s->rtt_us = shaper_rtt(&b->shaper);
	s->frames_dropped = ex->malformed + ex->foreign + b->strangers + b->malformed + b->gw.bad_frames +
			    rx->malformed + rx->dropped_limit + ex->send_dropped + b->link_dropped +
			    b->gw.send_failed;
	s->reconnects = b->reconnects;
	s->given_up = sh->given_up;
	s->unknown_acks = sh->unknown_acks;
	s->keys_evicted = b->keys.evicted;
	s->gaps_given_up = b->exit.order.gaps_given_up;
	s->acks_awaited = shaper_pending(&b->shaper);
	s->packets_kept = shaper_unconfirmed(&b->shaper);
	s->reply_keys = b->keys.count;
	s->fragments_held = nym_rx_held(b->rx);
	s->packets_held = reorder_held(&b->exit.order);
	s->packets_queued = b->exit.queue.count;
}

static void close_now(struct bridge *b)
{
	stop_all(b);
	bridge_set_state(b, BRIDGE_CLOSED);
}

static void on_drain(void *owner)
{
	struct bridge *b = owner;
	uint64_t now_us = loop_now(b->loop);

	if (now_us >= b->drain_end_us || bridge_path_drained(b)) {
		close_now(b);
		return;
	}
	loop_timer_set(&b->drain, now_us + DRAIN_STEP_US);
}

void bridge_stop(struct bridge *b, uint64_t drain_us)
{
	if (b->state == BRIDGE_CLOSED || b->state == BRIDGE_FAILED || b->state == BRIDGE_DRAINING)
		return;
	bridge_set_state(b, BRIDGE_DRAINING);
	loop_timer_stop(&b->deadline);
	loop_timer_stop(&b->retry);
	exitsess_stop(&b->exit);
	b->drain_end_us = loop_now(b->loop) + drain_us;
	if (gw_link_is_open(&b->gw))
		on_drain(b);
	else
		close_now(b);
}

void bridge_free(struct bridge *b)
{
	if (!b)
		return;
	if (b->api)
		stop_all(b);
	api_free(b->api);
	gw_link_done(&b->gw);
	bridge_path_done(b);
	free_topologies(b);
	loop_timer_stop(&b->linger);
	list_remove(&b->notify.node);
	explicit_bzero(b, sizeof(*b)); /* keys, and SURBs in messages */
	free(b);
}
