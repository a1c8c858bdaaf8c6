/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's packet clocks (spec traffic.md 3-7): a Poisson main stream whose every slot carries exactly
 * one packet, real or cover; an independent Poisson cover loop; acknowledgements with timers, retransmission,
 * round-trip time.
 *
 * An engine: it is asked at shaper_deadline() and answers with packets ready for the gateway. What goes into
 * a slot is decided when the slot comes: the source is asked for a fragment, in the order urgent (SURB
 * answers, control), retransmission (at most every other slot while data waits), data; else it is cover. So
 * nothing that waits has been encrypted, routed or bundled too early, and what the observer sees does not
 * depend on the source.
 */
#ifndef MIXNET_SHAPER_H
#define MIXNET_SHAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/pool.h"
#include "mixnet/nympkt.h"
#include "mixnet/sphinx.h"
#include "mixnet/topology.h"

struct rng;

#define SHAPER_PENDING 2048 /* packets waiting for their acknowledgement */
#define SHAPER_KEPT 1024    /* fragments kept for retransmission */
#define SHAPER_BUCKETS 2048 /* power of two */
#define SHAPER_SLOW_MAX 6
#define SHAPER_LINK_FULL 32 /* packets waiting in the link: traffic.md 3.3 */
#define SHAPER_LINK_PRESSURE 10

enum shaper_class { SHAPER_URGENT, SHAPER_DATA };

struct shaper_item {
	uint8_t frag[NYM_FRAG];
	const struct recipient *to; /* borrowed during fill() */
	unsigned limit;		    /* retransmissions; above 0 a copy of the fragment is kept */
	bool hurry; /* sent again as soon as the acknowledgement is overdue by what was measured */
	uint64_t token;
};

struct shaper_source {
	/* A slot is free: fill item and return true, or return false. */
	bool (*fill)(void *owner, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		     struct shaper_item *item);
	/* Once per item: acknowledged, or given up after the last timer. */
	void (*done)(void *owner, uint64_t token, bool acked);
	void *owner;
};

struct shaper_cfg {
	uint64_t main_mean_us;	/* 0: no clock, real packets at once */
	uint64_t cover_mean_us; /* 0: no cover loop */
	uint64_t hop_mean_us, ack_mean_us;
};

struct shaper_out { /* one packet for the gateway */
	bool cover;
	uint64_t slot_us; /* whose it is; not later than it was asked for */
	uint8_t rotation;
	struct addr next_hop;
	uint8_t packet[SPHINX_REGULAR_PACKET];
};

struct shaper_stats {
	uint64_t real, cover, retransmissions, acks, cover_acks, unknown_acks, given_up, skipped,
		cover_dropped, restarts;
};

struct shaper_pending;

struct shaper {
	struct shaper_cfg cfg;
	const struct nym_self *me;
	struct rng *rng;
	struct shaper_source src;
	bool running;
	uint64_t main_us, cover_us;
	struct nym_covers covers; /* the bridge looks here for what comes back */
	struct pool pending, kept;
	struct shaper_pending *bucket[SHAPER_BUCKETS];
	struct heap timers;
	struct list retx; /* waiting to be sent again */
	bool last_retx;
	uint64_t srtt_us, rttvar_us;
	uint64_t over_us, overvar_us; /* round trips beyond the delays that were drawn for them */
	/* slow-down */
	unsigned slow;
	size_t link_queued;
	uint64_t slow_changed_us, pressure_us;
	struct shaper_item item;
	struct shaper_stats stats;
};

/* 0 or -ENOMEM. me and src.owner are borrowed. */
int shaper_init(struct shaper *s, const struct shaper_cfg *cfg, const struct nym_self *me, struct rng *rng,
		const struct shaper_source *src);
void shaper_done(struct shaper *s);
/* Both clocks start (right after authentication) or pause (link lost); pending acknowledgements go on. */
void shaper_start(struct shaper *s, uint64_t now_us);
void shaper_pause(struct shaper *s);
/*
 * Serves timers and at most one due slot. 1: out holds a packet, call again; 0: nothing more is due. topo
 * NULL, or one that cannot route: slots pass in silence (stats.skipped).
 */
int shaper_poll(struct shaper *s, uint64_t now_us, const struct topology *topo, struct shaper_out *out);
/* Without a main clock it does not know of what the source has just got. */
uint64_t shaper_deadline(const struct shaper *s);
/* Packets that wait in the link now: stretches the main stream's mean up to six times (traffic.md 3.3). */
void shaper_link(struct shaper *s, uint64_t now_us, size_t queued);
/* An acknowledgement came (identifier as decrypted; all zero = cover). */
void shaper_ack(struct shaper *s, uint64_t now_us, const uint8_t id[NYM_ID]);
/* Drops everything pending without done(): the recipient was given up. */
void shaper_forget(struct shaper *s);
/* Smoothed time from sending to acknowledgement; before the first one the expected value. */
uint64_t shaper_rtt(const struct shaper *s);
/* How much later than usual an acknowledgement may come, nodes' delays aside; 0 before the first. */
uint64_t shaper_spread(const struct shaper *s);
size_t shaper_pending(const struct shaper *s);
/* Items whose fragments are kept and not yet acknowledged. */
size_t shaper_unconfirmed(const struct shaper *s);

#endif
