/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's engines (shaper, exit session and all under it) and a model exit with a network between them
 * that delays, loses, duplicates and reorders, under a fake clock. The functions that make and route Sphinx
 * packets are replaced at link time: a "packet" holds its acknowledgement's identifier and its fragment in
 * the clear; a SURB holds its key. Everything else is the product's code.
 */
#ifndef TESTS_SIM_SIMNET_H
#define TESTS_SIM_SIMNET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/rng.h"
#include "mixnet/exitsess.h"
#include "mixnet/shaper.h"
#include "tests/sim/model_exit.h"

#define SIMNET_KEYS 16384
#define SIMNET_EVENTS 16384

struct simnet_ev;

struct simnet_cfg {
	uint64_t seed, start_us;
	struct shaper_cfg clock;
	uint8_t newest;		  /* version of the exit */
	uint64_t base_us, hop_us; /* of a way: fixed, and the mean of each of three nodes */
	uint64_t jitter_us;	  /* uniform, added to each packet */
	uint64_t wander_us;	  /* added to all packets alike, up and down in a minute */
	double loss, dup, reorder;
	/* towards the scenario */
	void (*recv)(void *owner, const uint8_t *pkt, size_t len);   /* at the client */
	void (*packet)(void *owner, const uint8_t *pkt, size_t len); /* at the exit */
	void (*event)(void *owner, enum exitsess_event ev);
	void *owner;
};

struct simnet {
	struct simnet_cfg cfg;
	struct rng_seeded rng, net;
	uint64_t now;
	struct heap events;
	struct simnet_ev *ev_mem, *ev_free;
	struct topology topo;
	struct nym_self me;
	struct surb_keys keys;
	struct surb_key *key_mem, **buckets;
	struct nym_rx *rx;
	struct shaper shaper;
	struct exitsess exit;
	struct model_exit model;
	struct shaper_out out;
	uint64_t model_tick_us;
	uint64_t slots, dups;
	uint8_t msg[65536];
};

/* Both clocks run and the session begins. Out of memory ends the program. */
void simnet_init(struct simnet *n, const struct simnet_cfg *cfg);
void simnet_done(struct simnet *n);
/* With probability p, by the network's dice. */
bool simnet_chance(struct simnet *n, double p);
uint64_t simnet_next(const struct simnet *n); /* when something happens next */
/* Serves what is due at n->now. */
void simnet_serve(struct simnet *n);

#endif
