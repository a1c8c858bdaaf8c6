/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network as this epoch sees it (spec bootstrap.md 5, 6, 7, 8): nodes, layers, rotation; route drawing;
 * choice of entry gateway and exit. Pure: filled by api.c, used by everybody who builds packets.
 */
#ifndef MIXNET_TOPOLOGY_H
#define MIXNET_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "mixnet/nympkt.h"
#include "mixnet/sphinx.h"

struct rng;

#define TOPO_LAYERS 3
#define TOPO_NODES_MAX 8192
#define TOPO_HOST_MAX 256
#define TOPO_IPS_MAX 4
#define TOPO_MIN_PERFORMANCE 50

struct topo_version { /* node's semantic version; all zero = unknown */
	uint16_t major, minor, patch;
	bool known;
};
bool topo_version_at_least(const struct topo_version *v, unsigned major, unsigned minor);
/* Strict "a.b.c"; a pre-release sorts below: parsed as unknown. */
void topo_version_parse(struct topo_version *v, const char *s, size_t len);

struct topo_node {
	uint32_t id;
	uint8_t identity[32], sphinx_key[32];
	struct addr mix;	      /* first IP, mix port */
	uint8_t performance;	      /* floor(performance * 100) */
	uint8_t layer;		      /* 1..3 by the rewarded set, 0 = none */
	bool has_entry, exit_ipr;     /* entry details present; supported_roles.exit_ipr */
	bool entry_role;	      /* in the rewarded set's entry or exit gateways */
	char hostname[TOPO_HOST_MAX]; /* "" = none */
	uint16_t ws_port, wss_port;   /* wss 0 = none */
	struct addr ips[TOPO_IPS_MAX];
	unsigned n_ips;
	/* from the described list, when it was fetched */
	bool has_ipr;
	struct recipient ipr;
	struct topo_version version;
	char country[3]; /* "" = unknown */
};

struct topology {
	uint32_t rotation_id, epoch_id;
	size_t n;
	struct topo_node *node;	      /* n, sorted by identity (topology_index) */
	uint32_t *layer[TOPO_LAYERS]; /* indices of usable nodes */
	size_t layer_n[TOPO_LAYERS];
	bool any_gateway;
};

/* Sorts nodes by identity and fills the layer lists; layer[i] must point to arrays of n entries. Nodes under
 * TOPO_MIN_PERFORMANCE are dropped, gateways of recipients too (bootstrap.md 5.2): n shrinks. */
void topology_index(struct topology *t);
/* Minimally routable: every layer has a node, a gateway is named. 0 or SMX_EROUTE. */
int topology_check(const struct topology *t);
const struct topo_node *topology_by_identity(const struct topology *t, const uint8_t identity[32]);
const struct topo_node *topology_by_id(const struct topology *t, uint32_t id); /* linear */

/* Forward route: uniformly drawn node per layer, then the node with identity egress; every hop's delay drawn
 * with the given mean (0 = none). *ret_expected_ns = sum of all delays but the last (may be NULL). 0 or
 * SMX_EROUTE. */
int topology_route(const struct topology *t, const uint8_t egress[32], uint64_t mean_delay_ns,
		   struct rng *rng, struct sphinx_route *route, uint64_t *ret_expected_ns);

/* Entry gateway candidates: has_entry, performance >= 50, not in tried. Uniform. NULL: none left. */
const struct topo_node *topology_pick_gateway(const struct topology *t, const uint32_t *tried, size_t n_tried,
					      struct rng *rng);

enum exit_choice { EXIT_AUTO, EXIT_RANDOM, EXIT_COUNTRY };
/* Exit candidates (design D16): has_ipr, exit_ipr, version 1.31.0 or later, performance >= 50, routable
 * gateway, not in tried; only 1.37.0 and later where five or more exist; not the own entry gateway if another
 * is there. AUTO weights by performance, COUNTRY too, among those of country ("XX"), RANDOM is uniform. NULL:
 * none left. */
const struct topo_node *topology_pick_exit(const struct topology *t, enum exit_choice how,
					   const char *country, const uint8_t own_gateway[32],
					   const uint32_t *tried, size_t n_tried, struct rng *rng);
/* All that may be drawn so, whatever has been tried, best first: by performance, then version, then identity.
 * ret has room for t->n. Number. */
size_t topology_list_exits(const struct topology *t, enum exit_choice how, const char *country,
			   const struct topo_node **ret);

#endif
