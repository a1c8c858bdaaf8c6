/* SPDX-License-Identifier: Apache-2.0 */
/* topology: versions, index, routes, and whom the choices may and may not fall on. */
#include "mixnet/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"

#define NODES 16
#define DRAWS 4000

struct net {
	struct topology t;
	struct topo_node node[NODES];
	uint32_t layer[TOPO_LAYERS][NODES];
	struct rng_seeded rng;
};

/*
 * Nodes 0..8 are mix nodes, three in each layer; 9..15 entry gateways with an exit. Identities go down while
 * ids go up.
 */
static void net_init(struct net *n)
{
	memset(n, 0, sizeof(*n));
	rng_seeded_init(&n->rng, 7);
	for (uint32_t i = 0; i < NODES; i++) {
		struct topo_node *d = &n->node[i];

		d->id = 100 + i;
		d->identity[0] = (uint8_t)(200 - i);
		memset(d->sphinx_key, 0x40 + (int)i, 32);
		d->sphinx_key[0] = (uint8_t)i;
		d->performance = 100;
		d->mix = (struct addr){ .family = 4,
					.port = (uint16_t)(1000 + i),
					.ip = { 192, 0, 2, (uint8_t)i } };
		d->n_ips = 1;
		d->ips[0] = d->mix;
		d->ips[0].port = 0;
		d->layer = i < 9 ? (uint8_t)(1 + i % 3) : 0;
		if (i >= 9) {
			d->has_entry = d->entry_role = d->exit_ipr = d->has_ipr = true;
			memcpy(d->ipr.gateway, d->identity, 32);
			topo_version_parse(&d->version, "1.36.0", 6);
			memcpy(d->country, i % 2 ? "CH" : "DE", 3);
		}
	}
	for (int l = 0; l < TOPO_LAYERS; l++)
		n->t.layer[l] = n->layer[l];
	n->t.node = n->node;
	n->t.n = NODES;
	n->t.any_gateway = true;
}

static struct topo_node *node(struct net *n, uint32_t id)
{
	return (struct topo_node *)topology_by_id(&n->t, id);
}

static void versions(void **state)
{
	struct topo_version v;

	(void)state;
	topo_version_parse(&v, "1.37.2", 6);
	assert_true(v.known && v.major == 1 && v.minor == 37 && v.patch == 2);
	assert_true(topo_version_at_least(&v, 1, 37) && topo_version_at_least(&v, 0, 99));
	assert_false(topo_version_at_least(&v, 1, 38) || topo_version_at_least(&v, 2, 0));
	topo_version_parse(&v, "1.37.2+build", 12);
	assert_true(v.known);
	static const char *const bad[] = { "",	     "1",	  "1.2",    "1.2.",  "1.2.3-rc.1",
					   "01.2.3", "1.2.70000", "v1.2.3", "1.2.3 " };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		topo_version_parse(&v, bad[i], strlen(bad[i]));
		assert_false(v.known || topo_version_at_least(&v, 0, 0));
	}
}

static void index_sorts_and_drops(void **state)
{
	struct net n;

	(void)state;
	net_init(&n);
	n.node[1].performance = TOPO_MIN_PERFORMANCE - 1;
	n.node[4].performance = TOPO_MIN_PERFORMANCE;
	topology_index(&n.t);
	assert_int_equal(n.t.n, NODES - 1);
	assert_null(topology_by_id(&n.t, 101));
	assert_non_null(topology_by_id(&n.t, 104));
	assert_int_equal(n.t.layer_n[0], 3);
	assert_int_equal(n.t.layer_n[1], 2); /* 101 was of layer 2 */
	for (size_t i = 1; i < n.t.n; i++)
		assert_true(memcmp(n.node[i - 1].identity, n.node[i].identity, 32) < 0);
	for (size_t i = 0; i < n.t.n; i++)
		assert_ptr_equal(topology_by_identity(&n.t, n.node[i].identity), &n.node[i]);
	assert_null(topology_by_identity(&n.t, (uint8_t[32]){ 199 }));
	assert_int_equal(topology_check(&n.t), 0);
}

static void not_routable(void **state)
{
	static const uint8_t nobody[32] = { 1 };
	struct sphinx_route route;
	struct net n;

	(void)state;
	net_init(&n);
	topology_index(&n.t);
	assert_int_equal(topology_route(&n.t, nobody, 0, &n.rng.rng, &route, NULL), SMX_EROUTE);
	n.t.any_gateway = false;
	assert_int_equal(topology_check(&n.t), SMX_EROUTE);
	assert_int_equal(topology_route(&n.t, node(&n, 109)->identity, 0, &n.rng.rng, &route, NULL),
			 SMX_EROUTE);
	for (int layer = 0; layer < TOPO_LAYERS; layer++) {
		net_init(&n);
		for (int i = layer; i < 9; i += 3)
			n.node[i].performance = 0;
		topology_index(&n.t);
		assert_int_equal(topology_check(&n.t), SMX_EROUTE);
	}
}

/* The hop is the node whose number is the first byte of its key: whole key, mix address. */
static unsigned check_hop(struct net *n, const struct sphinx_hop *h)
{
	const struct topo_node *d = topology_by_id(&n->t, 100u + h->key[0]);
	uint8_t addr[32];

	assert_non_null(d);
	assert_memory_equal(h->key, d->sphinx_key, 32);
	nym_addr_pad(addr, &d->mix);
	assert_memory_equal(h->addr, addr, 32);
	return h->key[0];
}

static void routes_go_by_layer(void **state)
{
	unsigned seen[NODES] = { 0 }, below_median = 0;
	struct sphinx_route route;
	uint64_t expected, sum, total = 0;
	struct net n;

	(void)state;
	net_init(&n);
	topology_index(&n.t);
	for (int i = 0; i < DRAWS; i++) {
		assert_int_equal(
			topology_route(&n.t, node(&n, 109)->identity, 1000000, &n.rng.rng, &route, &expected),
			0);
		assert_int_equal(route.n, 4);
		sum = 0;
		for (int h = 0; h < 3; h++) {
			unsigned who = check_hop(&n, &route.hop[h]);

			assert_int_equal(who % 3, h);
			assert_true(who < 9);
			seen[who]++;
			sum += route.hop[h].delay_ns;
		}
		assert_int_equal(check_hop(&n, &route.hop[3]), 9);
		assert_true(sum == expected);
		total += sum;
		for (int h = 0; h < 4; h++)
			below_median += route.hop[h].delay_ns < 693147; /* ln 2 of the mean */
	}
	/* Exponential delays: mean and median within 6 deviations. */
	assert_in_range(total / DRAWS, 3000000 - 165000, 3000000 + 165000);
	assert_in_range(below_median, 2 * DRAWS - 380, 2 * DRAWS + 380);
	for (int i = 0; i < 9; i++) /* each of three with probability 1/3: 6 deviations of sqrt(n p q) */
		assert_in_range(seen[i], DRAWS / 3 - 180, DRAWS / 3 + 180);
	/* Any node that is listed may be the egress (bootstrap.md 5.3). */
	assert_int_equal(topology_route(&n.t, node(&n, 104)->identity, 0, &n.rng.rng, &route, NULL), 0);
	assert_int_equal(check_hop(&n, &route.hop[3]), 4);
	assert_int_equal(topology_route(&n.t, node(&n, 109)->identity, 0, &n.rng.rng, &route, &expected), 0);
	assert_true(expected == 0 && route.hop[3].delay_ns == 0);
}

static void gateways(void **state)
{
	uint32_t tried[NODES];
	size_t n_tried = 0;
	struct net n;

	(void)state;
	net_init(&n);
	n.node[10].has_entry = false;
	n.node[11].performance = 10;
	n.node[12].n_ips = 0;
	topology_index(&n.t);
	for (const struct topo_node *g; (g = topology_pick_gateway(&n.t, tried, n_tried, &n.rng.rng));
	     n_tried++) {
		assert_true(g->id == 109 || g->id >= 113);
		tried[n_tried] = g->id;
	}
	assert_int_equal(n_tried, 4); /* all of them, each once */
}

static bool exit_drawn(struct net *n, enum exit_choice how, const char *country, const uint8_t *own,
		       uint32_t id)
{
	for (int i = 0; i < DRAWS / 10; i++)
		if (topology_pick_exit(&n->t, how, country, own, NULL, 0, &n->rng.rng)->id == id)
			return true;
	return false;
}

static void exits(void **state)
{
	static const uint8_t none[32];
	struct net n;

	(void)state;
	net_init(&n);
	n.node[9].exit_ipr = false;
	n.node[10].has_ipr = false;
	topo_version_parse(&n.node[11].version, "1.30.9", 6);
	n.node[12].ipr.gateway[0] = 1; /* a gateway nobody lists */
	topology_index(&n.t);
	for (uint32_t id = 109; id < 113; id++)
		assert_false(exit_drawn(&n, EXIT_AUTO, NULL, none, id));
	for (uint32_t id = 113; id < 116; id++)
		assert_true(exit_drawn(&n, EXIT_AUTO, NULL, none, id));
	/* 113 and 115 are in Switzerland. */
	assert_false(exit_drawn(&n, EXIT_COUNTRY, "CH", none, 114));
	assert_true(exit_drawn(&n, EXIT_COUNTRY, "CH", none, 113));
	assert_null(topology_pick_exit(&n.t, EXIT_COUNTRY, "XX", none, NULL, 0, &n.rng.rng));
	/* The own entry gateway's exit only when there is no other. */
	assert_false(exit_drawn(&n, EXIT_RANDOM, NULL, node(&n, 113)->identity, 113));
	uint32_t tried[] = { 114, 115 };

	assert_int_equal(
		topology_pick_exit(&n.t, EXIT_RANDOM, NULL, node(&n, 113)->identity, tried, 2, &n.rng.rng)
			->id,
		113);
	uint32_t all[] = { 113, 114, 115 };

	assert_null(topology_pick_exit(&n.t, EXIT_AUTO, NULL, none, all, 3, &n.rng.rng));
}

static void newer_exits_first(void **state)
{
	static const uint8_t none[32];
	struct net n;

	(void)state;
	net_init(&n);
	for (int i = 9; i < 13; i++)
		topo_version_parse(&n.node[i].version, "1.37.0", 6);
	topology_index(&n.t);
	assert_true(exit_drawn(&n, EXIT_RANDOM, NULL, none, 115)); /* four are too few */
	topo_version_parse(&node(&n, 113)->version, "1.40.0", 6);
	assert_false(exit_drawn(&n, EXIT_RANDOM, NULL, none, 115));
	assert_true(exit_drawn(&n, EXIT_RANDOM, NULL, none, 113));
}

/* What is listed is what may be drawn, older ones too; best first. */
static void listed_exits(void **state)
{
	static const uint32_t all[] = { 110, 109, 114, 115 }, swiss[] = { 109, 115 };
	const struct topo_node *got[NODES];
	struct net n;

	(void)state;
	net_init(&n);
	topo_version_parse(&n.node[9].version, "1.36.9", 6);
	topo_version_parse(&n.node[10].version, "1.37.0", 6);
	topo_version_parse(&n.node[11].version, "1.30.9", 6);
	n.node[12].exit_ipr = false;
	n.node[13].performance = 49;
	n.node[14].performance = 99;
	n.node[15].performance = 50;
	topology_index(&n.t);
	assert_int_equal(topology_list_exits(&n.t, EXIT_AUTO, NULL, got), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(got[i]->id, all[i]);
	assert_int_equal(topology_list_exits(&n.t, EXIT_RANDOM, NULL, got), 4);
	assert_int_equal(topology_list_exits(&n.t, EXIT_COUNTRY, "CH", got), 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(got[i]->id, swiss[i]);
	assert_int_equal(topology_list_exits(&n.t, EXIT_COUNTRY, "XX", got), 0);
}

/* AUTO goes by performance, RANDOM does not. */
static void weights(void **state)
{
	static const uint8_t none[32];
	unsigned low[2] = { 0, 0 };
	struct net n;

	(void)state;
	net_init(&n);
	for (int i = 11; i < NODES; i++)
		n.node[i].has_ipr = false;
	n.node[9].performance = 50;
	topology_index(&n.t);
	for (int i = 0; i < DRAWS; i++) {
		low[0] += topology_pick_exit(&n.t, EXIT_AUTO, NULL, none, NULL, 0, &n.rng.rng)->id == 109;
		low[1] += topology_pick_exit(&n.t, EXIT_RANDOM, NULL, none, NULL, 0, &n.rng.rng)->id == 109;
	}
	assert_in_range(low[0], DRAWS / 3 - 180, DRAWS / 3 + 180);
	assert_in_range(low[1], DRAWS / 2 - 190, DRAWS / 2 + 190);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions),	     cmocka_unit_test(index_sorts_and_drops),
		cmocka_unit_test(not_routable),	     cmocka_unit_test(routes_go_by_layer),
		cmocka_unit_test(gateways),	     cmocka_unit_test(exits),
		cmocka_unit_test(newer_exits_first), cmocka_unit_test(listed_exits),
		cmocka_unit_test(weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
