/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder's side of reply SURBs: per sender tag a FIFO of SURBs, a queue of reply fragments that wait for
 * one, and the policy of when to ask for more (spec traffic.md 8.2, nymsphinx.md 10.5). Pure bookkeeping; the
 * router sends.
 */
#ifndef TOOLS_LOCALNET_SURBSTORE_H
#define TOOLS_LOCALNET_SURBSTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/pool.h"
#include "mixnet/nympkt.h"
#include "mixnet/surb.h"

#define STORE_RESERVE 10 /* only SURB requests may use the last ten */
#define STORE_BUFFER 50	 /* nym-node's router; a plain client has 0 */
#define STORE_TARGET 200 /* no request above this many */
#define STORE_REQUEST 50
#define STORE_REQUEST_MIN 10
#define STORE_SENDERS 64
#define STORE_SURBS 8192 /* in all */
#define STORE_FRAGS 4096 /* waiting reply fragments in all */
#define STORE_REREQUEST_US (10 * UINT64_C(1000000))
#define STORE_GIVE_UP_US (300 * UINT64_C(1000000))
#define STORE_REREQUESTS 5

struct stored_surb {
	struct list link;
	unsigned hops;
	uint8_t rotation;
	uint8_t bytes[SURB_LEN(SPHINX_HOPS_MAX)];
};

struct out_frag {
	struct list link;
	bool surb_request;
	unsigned sent, limit; /* retransmissions done and allowed */
	uint8_t frag[NYM_FRAG];
};

struct sender {
	uint8_t tag[NYM_TAG];
	bool in_use;
	struct list surbs, queue;
	unsigned n_surbs, n_queue, pending, rerequests;
	uint64_t last_us; /* SURBs arrived */
};

struct surb_store {
	struct pool surbs, frags;
	struct sender sender[STORE_SENDERS];
	uint64_t dropped;
};

int surb_store_init(struct surb_store *s);
void surb_store_done(struct surb_store *s);
struct sender *surb_store_find(struct surb_store *s, const uint8_t tag[NYM_TAG]);
/* Found or made; when the table is full the one that heard from its client longest ago is dropped. */
struct sender *surb_store_get(struct surb_store *s, const uint8_t tag[NYM_TAG]);
void surb_store_drop(struct surb_store *s, struct sender *t);
/* SURBs of a repliable message; returns how many were kept. When there is no room, the sender that heard from
 * its client longest ago is dropped. */
unsigned surb_store_add(struct surb_store *s, struct sender *t, const struct nym_msg *m, uint64_t now_us);
/* A fragment to be sent: NULL when the pool is empty. The caller fills it and queues it with
 * surb_store_queue(). */
struct out_frag *surb_store_frag(struct surb_store *s);
void surb_store_queue(struct sender *t, struct out_frag *f, bool front);
void surb_store_frag_free(struct surb_store *s, struct out_frag *f);
/* Next fragment that may go out now, with its SURB (parsed into *ret); NULL: none, or not enough SURBs. */
struct out_frag *surb_store_next(struct surb_store *s, struct sender *t, struct surb *ret,
				 uint8_t *ret_rotation);
/* One SURB out of the reserve, for a request. */
bool surb_store_take(struct surb_store *s, struct sender *t, struct surb *ret, uint8_t *ret_rotation);
/* How many SURBs to ask for now (0 = none); counts them as pending. */
unsigned surb_store_want(struct sender *t);
enum store_tick { STORE_NOTHING, STORE_REREQUEST, STORE_DROP_QUEUE };
/* Every 5 s for a sender with queued data. */
enum store_tick surb_store_tick(struct sender *t, uint64_t now_us);
void surb_store_drop_queue(struct surb_store *s, struct sender *t);

#endif
