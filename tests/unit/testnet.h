/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest network a packet can be built for: one mix node per layer and one gateway, with their secret
 * keys, so that a test can unwrap what an engine built. For tests only: keys come from a seeded generator and
 * MUST NOT be used elsewhere.
 */
#ifndef TESTS_UNIT_TESTNET_H
#define TESTS_UNIT_TESTNET_H

#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/nympkt.h"
#include "mixnet/prim.h"
#include "mixnet/sphinx.h"
#include "mixnet/topology.h"

struct testnet {
	struct topology topo;
	struct topo_node node[4];
	uint32_t layers[TOPO_LAYERS][4];
	uint8_t sk[4][32]; /* by id */
	uint8_t gateway[32];
};

static inline void testnet_init(struct testnet *t, struct rng *rng)
{
	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < 4; i++) {
		struct topo_node *n = &t->node[i];
		uint8_t seed[32], sk[64];

		rng_fill(rng, seed, sizeof(seed));
		prim_ed25519_keypair(n->identity, sk, seed);
		rng_fill(rng, t->sk[i], sizeof(t->sk[i]));
		prim_x25519_base(n->sphinx_key, t->sk[i]);
		n->id = i;
		n->performance = 100;
		n->layer = (uint8_t)(i < 3 ? i + 1 : 0);
		n->mix = (struct addr){ .family = 4, .port = (uint16_t)(1789 + i), .ip = { 127, 0, 0, 1 } };
		n->has_entry = n->entry_role = i == 3;
		if (i == 3)
			memcpy(t->gateway, n->identity, 32);
	}
	t->topo.rotation_id = 1;
	t->topo.n = 4;
	t->topo.node = t->node;
	t->topo.any_gateway = true;
	for (unsigned l = 0; l < TOPO_LAYERS; l++)
		t->topo.layer[l] = t->layers[l];
	topology_index(&t->topo);
}

static inline void testnet_self(const struct testnet *t, struct nym_self *me, struct rng *rng)
{
	nym_self_new(me, rng);
	memcpy(me->addr.gateway, t->gateway, 32);
}

/* Through all hops, whatever their order: each node's key is tried. Message of the last hop, inside packet;
 * NULL when it is broken. */
static inline const uint8_t *testnet_unwrap(const struct testnet *t, uint8_t *packet, size_t len,
					    size_t *ret_len)
{
	for (int hop = 0; hop < 4; hop++) {
		struct sphinx_result r;
		int got = SMX_ECRYPTO;

		for (int i = 0; i < 4 && got == SMX_ECRYPTO; i++)
			got = sphinx_process(packet, len, t->sk[i], &r);
		if (got == SPHINX_FINAL) {
			*ret_len = r.msg_len;
			return r.msg;
		}
		if (got != SPHINX_FORWARD)
			return NULL;
	}
	return NULL;
}

#endif
