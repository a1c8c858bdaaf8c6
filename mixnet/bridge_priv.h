/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge's inside, shared by bridge.c (states, directory, gateways) and bridge_exit.c (exits and the path
 * of packets).
 */
#ifndef MIXNET_BRIDGE_PRIV_H
#define MIXNET_BRIDGE_PRIV_H

#include "base/rng.h"
#include "mixnet/bridge.h"
#include "mixnet/bridge_gw.h"
#include "mixnet/exitsess.h"
#include "mixnet/pacer.h"
#include "mixnet/retry.h"
#include "mixnet/shaper.h"

#define BRIDGE_TRIES 5	    /* gateways, and exits, tried before giving up (D16) */
#define BRIDGE_TRIED_MAX 64 /* remembered as bad for the run */
#define BRIDGE_REPLY_KEYS 16384
#define BRIDGE_KEY_BUCKETS 16384
#define BRIDGE_MSG_MAX 65536

struct bridge_tried {
	uint32_t id[BRIDGE_TRIED_MAX];
	size_t n;
};

struct bridge {
	struct loop *loop;
	struct ws *ws;
	struct bridge_cfg cfg;
	void (*event)(void *owner);
	void *owner;
	struct loop_task notify;
	struct pktlink link;
	enum bridge_state state;
	char cause[BRIDGE_CAUSE];
	char last_why[BRIDGE_CAUSE]; /* why the last candidate failed */
	uint64_t start_us, ready_us;
	struct nym_self me;
	struct rng_ahead rng;
	/* directory */
	struct api *api;
	bool fetching, fetch_exits, want_exits; /* with the list of exits: this time, next time */
	struct topology *topo, *exits; /* exits: the last one with the described list; may be the same */
	struct api_rotation rotation;
	unsigned refresh_failures;
	uint64_t asked_us; /* the directory, last */
	struct loop_timer refresh, deadline, retry, tick, drain, linger;
	uint64_t drain_end_us, linger_end_us;
	/* gateway */
	struct gw_link gw;
	char gateway_text[48];
	struct bridge_tried gateways;
	unsigned gateway_tries;
	bool gateway_served; /* there was a tunnel through it */
	struct retry again;
	uint64_t reconnects;
	/* exit */
	struct exitsess exit;
	struct bridge_tried exits_tried;
	unsigned exit_tries;
	uint32_t exit_id; /* 0: not in the directory */
	struct recipient exit_addr;
	struct topo_version exit_node;
	bool exit_chosen, exit_ended, exit_again, link_up, ever_ready;
	uint64_t exit_up_us;
	bool over; /* the owner may be told of the final state */
	/* path */
	struct shaper shaper;
	struct surb_keys keys;
	struct surb_key *key_mem;
	struct surb_key **key_bucket;
	struct nym_rx *rx;
	struct shaper_out made; /* the packet just built, until it is sealed */
	struct pacer pacer;
	uint64_t open_us, open_sent, open_acks; /* when the gateway link opened */
	uint64_t sent_seen, acks_seen;
	bool lossy; /* more than a third of the packets got lost lately */
	uint64_t packets_received, strangers, malformed, link_dropped;
	uint8_t msg[BRIDGE_MSG_MAX];
};

/* bridge.c */
void bridge_set_state(struct bridge *b, enum bridge_state s);
/* One line: what, why, and which option changes it. */
void bridge_fail(struct bridge *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bridge_say_why(struct bridge *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Asks the directory again soon: something changed. with_exits: also for the list of exits. */
void bridge_refresh(struct bridge *b, bool with_exits);
/* The gateway is open but of no use, and there never was a tunnel: takes the next one. */
void bridge_gateway_useless(struct bridge *b);
void bridge_tried_add(struct bridge_tried *t, uint32_t id);

/* bridge_exit.c */
int bridge_path_init(struct bridge *b); /* 0 or -ENOMEM */
void bridge_path_done(struct bridge *b);
/* The gateway link is open: clocks run, the session goes on or begins. */
void bridge_path_open(struct bridge *b);
void bridge_path_closed(struct bridge *b);
void bridge_path_blob(struct bridge *b, uint8_t *blob, size_t len);
/* All that was given to the gateway link is written. */
void bridge_path_written(struct bridge *b);
/* Serves everything due and arms the timer. */
void bridge_path_pump(struct bridge *b);
void bridge_path_rotated(struct bridge *b);
/* Everything has been sent and, where that matters, acknowledged. */
bool bridge_path_drained(const struct bridge *b);
/* Retry timer in states EXIT and RECONNECTING with an open link. */
void bridge_exit_retry(struct bridge *b);
void bridge_link_event(struct bridge *b, enum pktlink_event ev);

#endif
