/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small exit for simulations: reassembly, SURB store with reserve and requests (spec ipr.md 6.9, 6.10;
 * traffic.md 8.2), connect and data. It works on fragments; packets are the simulation's business.
 */
#ifndef TESTS_SIM_MODEL_EXIT_H
#define TESTS_SIM_MODEL_EXIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixnet/ipr.h"
#include "mixnet/nympkt.h"
#include "mixnet/surb.h"

struct rng;

#define MODEL_SURBS 4096
#define MODEL_QUEUE 4096

struct model_reply { /* waits for a SURB */
	uint8_t frag[NYM_FRAG];
	bool control;
};

struct model_exit {
	struct rng *rng;
	struct recipient addr;
	struct nym_rx *rx;
	/* behaviour */
	uint8_t newest; /* highest version answered: 9 or 10 */
	bool silent, refuse;
	/* called for each IP packet, and for each reply fragment with the key of its SURB; false: the network
	 * lost it */
	void (*packet)(void *owner, const uint8_t *pkt, size_t len);
	bool (*reply)(void *owner, const uint8_t surb_key[SURB_KEY], const uint8_t frag[NYM_FRAG]);
	void *owner;
	/* state */
	bool connected;
	uint8_t version;
	uint64_t stream;
	uint32_t seq;
	uint8_t surb[MODEL_SURBS][SURB_KEY];
	size_t surb_head, surb_n, pending, surb_peak;
	uint64_t surb_got_us;
	uint8_t bundle[2 * IPR_BUNDLE_MAX];
	size_t bundle_len;
	uint64_t flush_us; /* TIME_NEVER: the bundle is empty */
	struct model_reply *queue;
	size_t q_head, q_n;
	uint64_t connects, requests, replies, surbs_in, malformed, dropped, pings;
	uint8_t msg[65536];
};

int model_exit_init(struct model_exit *x, struct rng *rng); /* 0 or -ENOMEM */
void model_exit_done(struct model_exit *x);
/* A fragment from the client. */
void model_exit_input(struct model_exit *x, uint64_t now_us, const uint8_t frag[NYM_FRAG]);
/* An IP packet for the client; dropped when nobody is connected. It leaves with others of the next 20 ms. */
void model_exit_send(struct model_exit *x, uint64_t now_us, const uint8_t *pkt, size_t len);
/* Sends a bundle that waited long enough. */
void model_exit_flush(struct model_exit *x, uint64_t now_us);
uint64_t model_exit_deadline(const struct model_exit *x);
/* Every 5 s of simulated time: asks again when data waits (traffic.md 8.2). */
void model_exit_tick(struct model_exit *x, uint64_t now_us);

#endif
