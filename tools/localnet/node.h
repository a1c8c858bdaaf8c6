/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mix node, and the mix half of the gateway: listens for node frames, unwraps Sphinx packets, delays,
 * forwards; hands final packets to its owner. Spec nymsphinx.md 7, sphinx.md 11.
 */
#ifndef TOOLS_LOCALNET_NODE_H
#define TOOLS_LOCALNET_NODE_H

#include "tools/localnet/localnet.h"

struct node;

/* A packet whose final hop we are: plaintext recovered, with the size of the whole packet it came in. */
typedef void node_final_fn(void *owner, const uint8_t dest[32], const uint8_t *msg, size_t len,
			   size_t packet_len, uint8_t rotation);

/* Listens at cfg->address and fills info->mix. final may be NULL (mix nodes drop final
 * packets). NULL: errno. */
struct node *node_new(struct loop *loop, struct rng *rng, const struct localnet_cfg *cfg,
		      const struct directory *dir, struct node_info *info, node_final_fn *final, void *owner);
void node_free(struct node *n);
/* Sends a packet to another node after delay_us (plus the faults of the hop). Unknown nodes: dropped, as real
 * ones do. */
void node_send(struct node *n, const struct addr *to, const uint8_t *packet, size_t len, uint8_t rotation,
	       uint64_t delay_us);

#endif
