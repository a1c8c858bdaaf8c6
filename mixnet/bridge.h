/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From nothing to an IP link through the mixnet: directory (api) -> entry gateway (ws, gwproto) -> exit
 * (exitsess) -> ready, and what keeps it there: topology refresh, bandwidth claims, gateway reconnects with
 * the same identity, keepalive, exit loss. A driver: owns sockets and timers, calls the engines.
 *
 * States (design D15). Legal moves:
 *   STARTING -> DIRECTORY -> GATEWAY -> EXIT -> READY
 *   GATEWAY -> GATEWAY (next candidate), EXIT -> EXIT (next candidate)
 *   EXIT | RECONNECTING -> GATEWAY          the gateway does not serve, before there ever was a tunnel
 *   READY <-> DEGRADED            topology or keepalive trouble, packets still flow
 *   READY | DEGRADED | EXIT -> RECONNECTING -> READY | EXIT   gateway link lost and back / exit lost
 *   RECONNECTING -> RECONNECTING  the next attempt; another gateway, when ours is gone for good (retry.h)
 *   any -> DRAINING -> CLOSED     bridge_stop()
 *   any but CLOSED -> FAILED      cause set; final
 */
#ifndef MIXNET_BRIDGE_H
#define MIXNET_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "mixnet/api.h"
#include "mixnet/nympkt.h"
#include "mixnet/pktlink.h"
#include "mixnet/topology.h"
#include "mixnet/ws.h"

enum bridge_state {
	BRIDGE_STARTING,
	BRIDGE_DIRECTORY,
	BRIDGE_GATEWAY,
	BRIDGE_EXIT,
	BRIDGE_READY,
	BRIDGE_DEGRADED,
	BRIDGE_RECONNECTING,
	BRIDGE_DRAINING,
	BRIDGE_CLOSED,
	BRIDGE_FAILED,
};
const char *bridge_state_name(enum bridge_state s);

#define BRIDGE_CAUSE 256

struct bridge_profile {
	const char *name;      /* "default", "fast", "no-poisson" */
	uint64_t main_mean_us; /* 0: packets leave as they come */
	uint64_t cover_mean_us, hop_mean_us, ack_mean_us;
	bool unsafe; /* an observer of the link sees when and how much is sent */
};
const struct bridge_profile *bridge_profile(const char *name); /* NULL: unknown */

struct bridge_cfg {
	struct network net;
	const struct bridge_profile *profile;
	enum exit_choice exit_how;
	char exit_country[3];
	bool exit_given;
	struct recipient exit; /* when exit_given */
	bool gateway_given;
	uint8_t gateway[32];		 /* when gateway_given */
	unsigned mtu;			 /* 0 = from the exit, else 1420 */
	struct topo_version ipr_version; /* unknown = what the directory says of the exit */
	uint64_t bootstrap_us;		 /* give up after (60 s) */
	uint64_t exit_timeout_us;	 /* per exit (15 s) */
	struct addr probe; /* keepalives go to this address and port (IPv4, a DNS server); family 0
			      = 9.9.9.9:53 */
	struct rng *rng;
};

/* Values of the stats file (design.md 8); all since start. */
struct bridge_stats {
	enum bridge_state state;
	char cause[BRIDGE_CAUSE];
	const char *profile;
	char exit[NYM_RECIPIENT_TEXT];
	char gateway[48];
	unsigned exit_version, mtu;
	struct addr ip4, ip6;
	uint64_t bootstrap_us, uptime_us;
	uint64_t packets_real, packets_cover, packets_received, acks_received, retransmissions,
		replies_received;
	uint64_t surbs_sent, surbs_stock, bytes_up, bytes_down, rtt_us, reconnects;
	/* came in malformed, from strangers or without room; could not be put into a message or on the link
	 */
	uint64_t frames_dropped;
	uint64_t given_up, unknown_acks, keys_evicted, gaps_given_up; /* errors beside frames_dropped */
	/* what is held now: sent and not acknowledged, of them kept to be sent again, reply keys, fragments
	 * of unfinished messages, IP packets waiting for their order, and for slots */
	uint64_t acks_awaited, packets_kept, reply_keys, fragments_held, packets_held, packets_queued;
};

struct bridge;

/* event(owner): the state changed (read it with bridge_stats()). NULL: errno. */
struct bridge *bridge_new(struct loop *loop, struct ws *ws, const struct bridge_cfg *cfg,
			  void (*event)(void *owner), void *owner);
void bridge_start(struct bridge *b);
/* The IP link; valid as long as the bridge. */
struct pktlink *bridge_link(struct bridge *b);
enum bridge_state bridge_state(const struct bridge *b);
/* So much arrives (exitsess_busy) that the clock of the slots wakes the thread often enough to read it. */
bool bridge_busy(const struct bridge *b);
void bridge_get_stats(const struct bridge *b, struct bridge_stats *s);
/* Clocks keep running until the queues are empty or drain_us is over; then disconnect, ForgetMe, close: state
 * CLOSED. */
void bridge_stop(struct bridge *b, uint64_t drain_us);
void bridge_free(struct bridge *b); /* after the event of CLOSED or FAILED, or never started */

#endif
