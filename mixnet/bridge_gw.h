/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link to one entry gateway: websocket, registration or login, first bandwidth claim, and then packets. A
 * driver over ws and gwproto; the bridge decides which gateway, when to try again and what a loss means.
 *
 * CLOSED -> OPENING (gw_link_open) -> OPEN (ops.open) -> CLOSED (ops.lost)
 *           OPENING -> CLOSED (ops.lost)
 */
#ifndef MIXNET_BRIDGE_GW_H
#define MIXNET_BRIDGE_GW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "mixnet/gwproto.h"
#include "mixnet/nympkt.h"
#include "mixnet/topology.h"
#include "mixnet/ws.h"

#define GW_LINK_URLS 3
#define GW_LINK_WHY 192

enum gw_link_lost {
	GW_LOST_UNREACHABLE, /* no connection, or it ended, or it went silent */
	GW_LOST_REFUSED,     /* handshake failed; another gateway may do */
	GW_LOST_UNKNOWN_US,  /* it does not know us, or refuses to: the next open registers */
};

struct gw_link_ops {
	void (*open)(void *owner);			      /* bandwidth is there: send */
	void (*blob)(void *owner, uint8_t *blob, size_t len); /* pushed message, may be changed in place */
	void (*lost)(void *owner, enum gw_link_lost how);     /* why says what; not after gw_link_close() */
	void (*drained)(void *owner);			      /* the websocket has written everything */
};

struct gw_sock;

struct gw_link {
	struct loop *loop;
	struct ws *ws;
	const struct gw_link_ops *ops;
	void *owner;
	struct gw_client gw;
	struct gw_sock *sock;
	struct list dropped; /* connections given up that have not ended yet */
	struct ws_url url[GW_LINK_URLS];
	unsigned n_urls, url_at;
	const char *ca_file;
	bool allow_plain, websocket, opened, no_bandwidth;
	struct loop_timer timer; /* handshake step, then silence */
	uint64_t heard_us, claim_us;
	unsigned refused; /* logins in a row */
	uint64_t bad_frames, send_failed;
	char why[GW_LINK_WHY];
	char text[GW_TEXT_MAX];
};

void gw_link_init(struct gw_link *l, struct loop *loop, struct ws *ws, const struct gw_link_ops *ops,
		  void *owner);
void gw_link_done(struct gw_link *l);
/* Chooses a gateway; forgets keys shared with another. 0, or SMX_EROUTE with why: it names no address that
 * may be used. */
int gw_link_choose(struct gw_link *l, const struct topo_node *node, const struct nym_self *me,
		   struct rng *rng, const char *ca_file, bool allow_plain);
/* The directory tells of the chosen one anew: its addresses, for the next time it is opened. */
void gw_link_update(struct gw_link *l, const struct topo_node *node);
/* Connects to the chosen one: login when it knows us, else registration. ops.open or ops.lost follows, the
 * latter perhaps before this returns. */
void gw_link_open(struct gw_link *l);
bool gw_link_is_open(const struct gw_link *l);
/* Makes the frame of a packet, for the connection that is open now. Its octets; SMX_ESTATE; SMX_ELIMIT. */
int gw_link_seal(struct gw_link *l, uint8_t *out, size_t cap, const struct mixpacket *m);
/* Sends it. 0; -ENOBUFS; SMX_ESTATE. */
int gw_link_send(struct gw_link *l, const uint8_t *frame, size_t len);
size_t gw_link_queued(const struct gw_link *l);
/* A claim is under way and the balance is used up: packets sent now would be lost. */
bool gw_link_starved(const struct gw_link *l);
/* polite: asks the gateway to forget us and closes with a close frame. closed() of the websocket is not
 * waited for. */
void gw_link_close(struct gw_link *l, bool polite);
/* No connection is left, nor one that is still closing. */
bool gw_link_idle(const struct gw_link *l);

#endif
