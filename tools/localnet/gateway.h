/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry (and egress) gateway: websocket sessions by gwproto's server side, entry relay into the mix
 * nodes, final hop with ack release, storage for absent clients. Spec gateway.md 14.
 */
#ifndef TOOLS_LOCALNET_GATEWAY_H
#define TOOLS_LOCALNET_GATEWAY_H

#include "tools/localnet/localnet.h"

struct gateway;

/* Listens for nodes and for websockets; fills info->mix and info->ws_port. NULL: errno. */
struct gateway *gateway_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			    const struct directory *dir, struct node_info *info);
void gateway_free(struct gateway *g);
/* As if its machine were switched off and on: the same port again, who is registered is kept. 0 or -errno. */
void gateway_stop(struct gateway *g);
int gateway_start(struct gateway *g);
/* Ends all connections without a close frame. */
void gateway_reset(struct gateway *g);
/* It takes what comes on its connections, but nothing it says arrives. */
void gateway_half_open(struct gateway *g);
/* Ends its connections and knows nobody any more. */
void gateway_forget(struct gateway *g);

#endif
