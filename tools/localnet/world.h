/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All parts of a running local network, for the program that starts them and the commands that disturb them.
 */
#ifndef TOOLS_LOCALNET_WORLD_H
#define TOOLS_LOCALNET_WORLD_H

#include "base/rng.h"
#include "tools/localnet/gateway.h"
#include "tools/localnet/localnet.h"
#include "tools/localnet/node.h"
#include "tools/localnet/nymapi.h"
#include "tools/localnet/router.h"

struct control;

struct world {
	struct localnet_cfg cfg;
	struct rng_ahead rng;
	struct directory dir;
	struct nym_self router_self[LOCALNET_GATEWAYS_MAX];
	struct loop *loop;
	struct ws *ws;
	struct node *node[LOCALNET_NODES_MAX]; /* mix nodes */
	struct gateway *gateway[LOCALNET_GATEWAYS_MAX];
	struct router *router[LOCALNET_GATEWAYS_MAX];
	struct nymapi *api;
	struct addr api_at;
	unsigned exits_ready;
	struct control *control;
	struct loop_watch signals;
	int signal_fd;
	bool failed; /* ended because nobody could be told */
	struct rng_seeded hostile;
};

#endif
