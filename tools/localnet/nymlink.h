/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router's own Nym client: a websocket to the gateway, registration, bandwidth, reassembled messages in,
 * replies through SURBs out. No Poisson stream: as in nym-node, replies leave at once (spec ipr.md 6.9).
 */
#ifndef TOOLS_LOCALNET_NYMLINK_H
#define TOOLS_LOCALNET_NYMLINK_H

#include "mixnet/nympkt.h"
#include "tools/localnet/localnet.h"

struct nymlink;

struct nymlink_ops {
	void (*ready)(void *owner); /* logged in; again after a reconnect */
	/* A repliable message: SURBs are stored already; data may be empty. */
	void (*message)(void *owner, const uint8_t tag[NYM_TAG], const uint8_t *data, size_t len);
	void *owner;
};

struct nymlink *nymlink_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			    const struct directory *dir, const struct node_info *gateway,
			    const struct nym_self *self, const struct nymlink_ops *ops);
void nymlink_free(struct nymlink *l);
/* The directory has new keys. */
void nymlink_rotated(struct nymlink *l);
/* Answers tag with a reply message; limit: retransmissions allowed. Dropped (with a log line) when no SURB of
 * tag was ever seen. */
void nymlink_reply(struct nymlink *l, const uint8_t tag[NYM_TAG], const void *data, size_t len,
		   unsigned limit);

#endif
