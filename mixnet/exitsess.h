/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session with one exit, an IP packet router (spec ipr.md 2, 5, 6, 9; versions.md 3): connect, data both
 * ways, SURB supply, keepalive, liveness. An engine: fragments leave through exitsess_fill() when the shaper
 * has a slot, replies come in through exitsess_input().
 *
 * States and legal moves:
 *   IDLE -> CONNECTING -> UP -> ENDED       exitsess_start(); connect success; lost or stopped
 *           CONNECTING -> ENDED             refused, or no answer to any attempt
 *   ENDED -> CONNECTING                     exitsess_start() again, to the same or another exit
 */
#ifndef MIXNET_EXITSESS_H
#define MIXNET_EXITSESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "mixnet/denied.h"
#include "mixnet/ipqueue.h"
#include "mixnet/ipr.h"
#include "mixnet/nympkt.h"
#include "mixnet/reorder.h"
#include "mixnet/shaper.h"
#include "mixnet/surb.h"
#include "mixnet/surbstock.h"
#include "mixnet/topology.h"

struct rng;

#define EXITSESS_SURBS_CONNECT 20 /* ipr.md 2.7: 11 and fewer cost another round trip */
#define EXITSESS_SPAN_MAX 6	  /* fragments of one message: the connect request's */
#define EXITSESS_CAUSE 160

enum exitsess_state { EXITSESS_IDLE, EXITSESS_CONNECTING, EXITSESS_UP, EXITSESS_ENDED };

enum exitsess_event {
	EXITSESS_EV_UP,	      /* ip4, ip6, mtu, version are valid */
	EXITSESS_EV_ENDED,    /* cause says why; was_up whether it had been up */
	EXITSESS_EV_WRITABLE, /* room after exitsess_send() said -ENOBUFS */
	EXITSESS_EV_DENIED,   /* the exit's policy refused a destination: denied ("ip:port") */
};

/* Called from inside exitsess_input(), _tick(), _fill(): the owner must not start, clear or free the session
 * in them. */
struct exitsess_ops {
	void (*recv)(void *owner, const uint8_t *pkt, size_t len);
	void (*event)(void *owner, enum exitsess_event ev);
	void *owner;
};

struct exitsess_cfg {
	struct recipient exit;
	uint8_t version;      /* tried first: 10 (then 9) or 9 */
	uint64_t connect_us;  /* for all attempts together */
	uint64_t hop_mean_us; /* delays inside SURBs */
	unsigned mtu;	      /* 0: what the exit says, else IPR_MTU_DEFAULT */
	struct addr probe;    /* IPv4 address and port the keepalive is sent to: a DNS server */
};

struct exitsess_stats {
	uint64_t replies, packets_up, packets_down, bytes_up, bytes_down, malformed, foreign, denied, probes;
	uint64_t send_dropped; /* packets of ours that no message came of */
};

struct exitsess {
	enum exitsess_state state;
	const struct nym_self *me;
	struct surb_keys *keys;
	struct rng *rng;
	struct exitsess_ops ops;
	struct exitsess_cfg cfg;
	bool was_up;
	char cause[EXITSESS_CAUSE];
	char denied[64];
	/* what the exit gave us */
	uint8_t version;
	struct addr ip4, ip6;
	unsigned mtu, mtu_up; /* mtu_up: what the exit takes, which may be more than it sends */
	/* attempt */
	uint64_t stream, request_id, attempt_end_us, connect_end_us;
	int64_t wall_s;
	uint64_t wall_at_us;
	uint32_t session; /* part of tokens, so that acknowledgements of an earlier session change nothing */
	uint8_t tag[NYM_TAG];
	bool tag_made;
	uint32_t seq;
	/* what wants to be sent */
	bool stopping, connect_due, disconnect_due, ping_due, probe_due, pong_due;
	uint32_t pong_nonce;
	unsigned stale_surbs; /* at the exit, to be used up by as many pings */
	/* a message of several fragments on its way out */
	bool splitting, gave_way; /* gave_way: the last slot went to another connection's packet */
	struct nym_split split;
	unsigned split_surbs, split_made, split_limit;
	bool split_data; /* packets of split_flow; else SURBs or the connect request */
	uint64_t split_flow;
	size_t split_packets;
	uint8_t message[EXITSESS_SPAN_MAX * NYM_FRAG_DATA];
	unsigned since_surbs; /* data slots since the last SURB message */
	bool since_set;	      /* a data slot since the last set of SURBs */
	bool blocked;	      /* a sender waits for WRITABLE */
	uint32_t rotation_id;
	uint64_t rtt_us;
	struct ipqueue queue;
	struct surbstock stock;
	struct reorder order;
	struct denied refused;
	/* liveness */
	uint64_t up_us, down_us, data_us, probe_us; /* last packet sent, frame and data frame got, probe */
	bool probing, probe_works;
	unsigned misses;
	uint16_t probe_port;
	struct exitsess_stats stats;
};

/* me, keys and ops.owner are borrowed. 0 or -ENOMEM. */
int exitsess_init(struct exitsess *e, const struct nym_self *me, struct surb_keys *keys, struct rng *rng,
		  const struct exitsess_ops *ops);
void exitsess_done(struct exitsess *e);

/* Begins with an exit; queued packets and everything of the session before is forgotten.
 * wall_s: UTC seconds. */
void exitsess_start(struct exitsess *e, const struct exitsess_cfg *cfg, uint64_t now_us, int64_t wall_s);
/* Sends a disconnect request with the next slot and accepts no more packets. Queued packets go first. */
void exitsess_stop(struct exitsess *e);
/* Ends the session without a word: the way to the exit is gone. */
void exitsess_abandon(struct exitsess *e);
/* Nothing is left to be sent. */
bool exitsess_drained(const struct exitsess *e);

/* Queues an IP packet. 0; -ENETDOWN: not UP; -ENOBUFS: wait for WRITABLE; -EMSGSIZE: larger than
 * mtu_up. */
int exitsess_send(struct exitsess *e, const uint8_t *pkt, size_t len, uint64_t flow);
/* What is known of the path, from shaper_rtt() and shaper_spread(). */
void exitsess_path(struct exitsess *e, uint64_t rtt_us, uint64_t spread_us);
/* struct shaper_source in terms of a session. */
bool exitsess_fill(struct exitsess *e, uint64_t now_us, const struct topology *topo, enum shaper_class class,
		   struct shaper_item *item);
/* Packets wait at the exit for SURBs that the slots cannot carry. */
bool exitsess_tight(const struct exitsess *e);
/* Two replies or more come in the mean time between slots; never without a clock (slot_us 0). */
bool exitsess_busy(const struct exitsess *e, uint64_t now_us, uint64_t slot_us);
void exitsess_acked(struct exitsess *e, uint64_t token, bool acked);
/* A message that came encrypted with one of our reply keys. Others must not be given here. */
void exitsess_input(struct exitsess *e, uint64_t now_us, const struct nym_msg *m);
/* The topology changed its key rotation: SURBs at the exit are worth nothing soon. */
void exitsess_rotated(struct exitsess *e);
/* Nodes are not used any more that SURBs at the exit lead over: pings use those up and bring new ones. */
void exitsess_rerouted(struct exitsess *e);
/* The clocks stood still for a while and run again: nothing is held against the exit, and it is asked at
 * once. */
void exitsess_resumed(struct exitsess *e, uint64_t now_us);
void exitsess_tick(struct exitsess *e, uint64_t now_us);
uint64_t exitsess_deadline(const struct exitsess *e);

/* exitmsg.c; for exitsess.c only: one slot's fragment. */
bool exitmsg_urgent(struct exitsess *e, uint64_t now_us, const struct topology *topo,
		    struct shaper_item *item);
bool exitmsg_data(struct exitsess *e, uint64_t now_us, const struct topology *topo, struct shaper_item *item);

#endif
