/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IP packet router: a Nym client of its own (websocket to the gateway, no Poisson stream), SURB store per
 * sender with reserve and requests, IPR messages v9/v10 in stream frames (v8 bare), address pairs, bundles,
 * exit. Spec ipr.md 6, nymsphinx.md 10.5, traffic.md 8.2.
 */
#ifndef TOOLS_LOCALNET_ROUTER_H
#define TOOLS_LOCALNET_ROUTER_H

#include "tools/localnet/localnet.h"

struct router;

/* gateway: the node it is a client of, whose bad.exit says how it misbehaves; self: its keys, with that
 * gateway's identity filled in; source: of its connections. ready(owner) when it is logged in. NULL: errno.
 */
struct router *router_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			  const struct directory *dir, const struct node_info *gateway,
			  const struct nym_self *self, const struct addr *source, void (*ready)(void *owner),
			  void *owner);
void router_free(struct router *r);
/* Forgets its clients; tell: with a disconnect message. */
void router_forget(struct router *r, bool tell);
/* The directory has new keys. */
void router_rotated(struct router *r);

#endif
