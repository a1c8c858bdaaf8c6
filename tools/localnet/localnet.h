/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local test network: what its parts share. One process, one loop; every part is a protocol endpoint of
 * its own on a loopback port (or on --address) and talks to the others only through sockets.
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
#define LOCALNET_MAPS_MAX 64
#define LOCALNET_PER_LAYER_MAX 8u
#define LOCALNET_GATEWAYS_MAX 8u
#define LOCALNET_ROTATION 1u /* nymsphinx.md 4: a test network starts at rotation id 1 */
#define LOCALNET_EPOCH 1u

/* What happens to packets on the way from one node to the next; all zero = nothing. */
struct faults {
	double loss, duplicate, reorder; /* probabilities 0..1, per hop */
	uint64_t delay_us, jitter_us;	 /* added to every hop: delay, plus uniform 0..jitter */
	uint64_t reorder_us;		 /* a reordered packet waits so much longer */
};

/* Misbehaviour on purpose: set by commands (control.h). */
enum api_fault {
	API_WELL,
	API_503,
	API_RUBBISH,
	API_HALF,
	API_STALE,
	API_FLIP,
	API_CUT,
	API_HUGE,
	API_DEEP,
	API_BOMB,
	API_LIES
};
enum exit_fault {
	EXIT_WELL,
	EXIT_SILENT,
	EXIT_IGNORE,
	EXIT_REFUSE,
	EXIT_STARVE,
	EXIT_RUBBISH,
	EXIT_FLIP,
	EXIT_CUT,
	EXIT_SETS,
	EXIT_BUNDLES,
	EXIT_NONSENSE,
	EXIT_UNASKED,
	EXIT_REQUESTS,
	EXIT_REPLAY,
	EXIT_FLOOD
};
/* What a node or gateway does to what it sends (hostile.h). */
enum spoil { SPOIL_NOT, SPOIL_FLIP, SPOIL_CUT, SPOIL_JUNK, SPOIL_FLOOD, SPOIL_REPLAY, SPOIL_TEXT };

struct misbehaviour {	     /* of one node */
	bool dead;	     /* packets to it vanish */
	uint64_t slow_us;    /* each packet waits so much longer here */
	bool stalled;	     /* gateway: connections stay, nothing is said or done on them */
	bool swallows;	     /* gateway: says of each packet that it was sent, and sends none */
	int64_t skew_s;	     /* gateway: its clock is so much ahead */
	bool credentials;    /* gateway: wants to be paid */
	bool unlisted;	     /* gateway: the directory does not name it */
	unsigned close_step; /* gateway: 0 none; 1 version query, 2 first handshake message, 3 second, 4
				bandwidth claim */
	enum spoil spoil;
	enum exit_fault exit; /* of the IP packet router behind this gateway */
};

struct map {		  /* --map ADDR[:PORT]=HOST:PORT */
	struct addr from; /* port 0: any */
	struct addr to;
};

struct localnet_cfg {
	struct addr address;	  /* where nodes listen; port 0 */
	uint16_t api_port;	  /* 0 = any */
	unsigned per_layer;	  /* mix nodes in each layer */
	unsigned gateways, exits; /* exit i is a client of gateway i */
	struct faults faults;
	enum api_fault api_fault;
	struct rng *hostile; /* draws of hostile.h */
	struct map map[LOCALNET_MAPS_MAX];
	unsigned n_maps;
	struct addr exit_address; /* source of the first exit's connections; the others' follow */
	unsigned exit_version;	  /* newest IPR version the exit answers: 9 or 10 */
	unsigned mtu;		  /* of the exit's interface */
	bool allow_local;	  /* exit: private destinations allowed */
};

/* One node as the directory lists it. */
struct node_info {
	uint32_t id;
	uint8_t identity_pk[32], identity_sk[64];
	uint8_t sphinx_pk[32];	  /* of the current rotation */
	uint8_t sphinx_sk[2][32]; /* even and odd rotation: the one before stays good */
	struct addr mix;	  /* filled when the node listens */
	unsigned layer;		  /* 1..3, 0 = gateway */
	uint16_t ws_port;	  /* gateway */
	bool has_ipr;		  /* gateway */
	struct recipient ipr;	  /* address of its IP packet router */
	struct misbehaviour bad;
};

struct directory { /* everything the nym-api tells */
	struct node_info node[LOCALNET_NODES_MAX];
	unsigned n;
	unsigned gateway; /* index of the first gateway: the last nodes are gateways */
	uint32_t rotation, epoch;
};

/* Whether a is the mix address of a listed node: real nodes forward to no others. */
bool directory_has(const struct directory *d, const struct addr *a);

#endif
