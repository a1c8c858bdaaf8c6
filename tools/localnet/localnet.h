/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local test network: what its parts share. One process, one loop; every part is a protocol endpoint of its own on a
 * loopback port (or on --address) and talks to the others only through sockets.
 *
 * It gives no anonymity: one machine knows everything.
 */
#ifndef TOOLS_LOCALNET_LOCALNET_H
#define TOOLS_LOCALNET_LOCALNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/loop.h"
#include "base/rng.h"
#include "mixnet/nympkt.h"
#include "mixnet/ws.h"

#define LOCALNET_NODES_MAX 32
#define LOCALNET_MAPS_MAX 32
#define LOCALNET_ROTATION 1u /* nymsphinx.md 4: a test network starts at rotation id 1 */
#define LOCALNET_EPOCH 1u

/* What happens to packets on the way from one node to the next; all zero = nothing. */
struct faults {
	double loss, duplicate, reorder; /* probabilities 0..1, per hop */
	uint64_t delay_us, jitter_us;	 /* added to every hop: delay, plus uniform 0..jitter */
	uint64_t reorder_us;		 /* a reordered packet waits so much longer */
};

/* Misbehaviour on purpose, by name (--fault NAME). */
struct misbehaviour {
	bool api_rubbish, api_half, api_503;
	int gateway_close_step; /* 0 none; 1 version query, 2 first handshake message, 3 second, 4 bandwidth claim */
	bool gateway_credentials;
	bool exit_refuse, exit_ignore, exit_starve;
};

struct map { /* --map ADDR[:PORT]=HOST:PORT */
	struct addr from; /* port 0: any */
	struct addr to;
};

struct localnet_cfg {
	struct addr address;	  /* where nodes listen; port 0 */
	uint16_t api_port;	  /* 0 = any */
	unsigned per_layer;	  /* mix nodes in each layer */
	struct faults faults;
	struct misbehaviour bad;
	struct map map[LOCALNET_MAPS_MAX];
	unsigned n_maps;
	struct addr exit_address; /* source of the exit's connections; family 0 = 127.0.0.77 */
	unsigned exit_version;	  /* newest IPR version the exit answers: 9 or 10 */
	unsigned mtu;		  /* of the exit's interface */
	bool allow_local;	  /* exit: private destinations allowed */
};

/* One node as the directory lists it. */
struct node_info {
	uint32_t id;
	uint8_t identity_pk[32], identity_sk[64];
	uint8_t sphinx_pk[32], sphinx_sk[32];
	struct addr mix;    /* filled when the node listens */
	unsigned layer;	    /* 1..3, 0 = gateway */
	uint16_t ws_port;   /* gateway */
	struct recipient ipr; /* gateway: address of its IP packet router */
};

struct directory { /* everything the nym-api tells */
	struct node_info node[LOCALNET_NODES_MAX];
	unsigned n;
	unsigned gateway; /* index of the one gateway */
	bool exit_v10;
};

/* Whether a is the mix address of a listed node: real nodes forward to no others. */
bool directory_has(const struct directory *d, const struct addr *a);

#endif
