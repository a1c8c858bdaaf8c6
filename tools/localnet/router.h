/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IP packet router: a Nym client of its own (websocket to the gateway, no Poisson stream), SURB store per sender with
 * reserve and requests, IPR messages v9/v10 in stream frames (v8 bare), address pairs, bundles, exit. Spec ipr.md 6,
 * nymsphinx.md 10.5, traffic.md 8.2.
 */
#ifndef TOOLS_LOCALNET_ROUTER_H
#define TOOLS_LOCALNET_ROUTER_H

#include "tools/localnet/localnet.h"

struct router;

/* self: the router's keys with the gateway's identity filled in. ready(owner) when it is logged in. NULL: errno. */
struct router *router_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			  const struct directory *dir, const struct nym_self *self, void (*ready)(void *owner),
			  void *owner);
void router_free(struct router *r);

#endif
