/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts what an exit sends back into an order a TCP stack likes (spec ipr.md 2.5, traffic.md 12.8). The mixnet
 * reorders strongly: most data frames of a download arrive after a later one.
 *
 * - Data segments wait, per connection, until the bytes before them have come, at most reorder_hold() (100 to
 * 1200 ms, following the spread seen) or REORDER_PER_CONN packets. One lost frame does not stall other
 * connections.
 * - Damper: a duplicate ACK (towards an upload of ours) waits too, and is dropped when a newer cumulative ACK
 * overtakes it; reordering on the way out would otherwise look like loss, and so would a loss on the way out
 * that the shaper is about to repair. Older ACKs are dropped.
 * - UDP, ICMP, SYN and everything that is not understood pass at once. So does an RST, unless bytes before it
 * are missing.
 */
#ifndef MIXNET_REORDER_H
#define MIXNET_REORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/pool.h"

#define REORDER_CONNS 1024
#define REORDER_HELD 1024 /* packets held in all */
#define REORDER_PER_CONN 256
#define REORDER_PACKET_MAX 1560
#define REORDER_SEQS 256 /* frames remembered for the spread */
#define REORDER_BINS 128 /* of 10 ms each */

struct reorder_conn;

struct reorder {
	void (*deliver)(void *owner, const uint8_t *pkt, size_t len);
	void *owner;
	struct pool held, conns;
	struct reorder_conn *bucket[REORDER_CONNS];
	struct list lru; /* least recently used first */
	struct heap timers;
	uint32_t max_seq;
	uint64_t arrival_us[REORDER_SEQS];
	uint32_t bin[REORDER_BINS], samples;
	uint64_t hold_us, repair_us; /* repair: until a packet of ours that was lost has been sent again */
	/* counters */
	uint64_t gaps_given_up, dup_acks_dropped, old_acks_dropped, duplicates;
};

/* 0 or -ENOMEM. */
int reorder_init(struct reorder *r, void (*deliver)(void *owner, const uint8_t *pkt, size_t len),
		 void *owner);
void reorder_done(struct reorder *r);
/* Forgets everything, delivers nothing (another session begins). */
void reorder_clear(struct reorder *r);
/* A data frame with this sequence number arrived: keeps the spread. Before reorder_packet()
 * for its packets. */
void reorder_frame(struct reorder *r, uint64_t now_us, uint32_t seq);
/* One IP packet from the exit; calls deliver for it and for what it releases, now or later. */
void reorder_packet(struct reorder *r, uint64_t now_us, const uint8_t *pkt, size_t len);
/* Delivers what waited long enough. */
void reorder_tick(struct reorder *r, uint64_t now_us);
/* What acknowledgements of our packets say of the path: a round trip, and by how much round trips vary. */
void reorder_path(struct reorder *r, uint64_t rtt_us, uint64_t spread_us);
uint64_t reorder_deadline(const struct reorder *r); /* TIME_NEVER: nothing held */
/* How long a segment waits for those before it. */
uint64_t reorder_hold(const struct reorder *r);
size_t reorder_held(const struct reorder *r);

#endif
