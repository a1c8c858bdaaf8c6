/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nym-api client (spec bootstrap.md 2-5, versions.md 5): fetches skimmed nodes, rewarded set, key-rotation
 * info and described nodes as JSON and makes a struct topology of them. One ordered URL list with fall-back;
 * size and depth limits; the epochs of all answers must agree, else everything is asked once more.
 *
 * Parsing is separate from fetching, so that vectors and fuzzers reach it.
 */
#ifndef MIXNET_API_H
#define MIXNET_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "mixnet/topology.h"
#include "mixnet/ws.h"

#define API_BODY_MAX (32u << 20)
#define API_DEPTH_MAX 32
#define API_MEMORY_MAX (96u << 20) /* of the values of one body: 8000 nodes take half */
#define API_URLS_MAX 8

/* The network to use: built in ("mainnet", "sandbox", "canary"), from --api, or from a file (design.md 8). */
struct network {
	char name[32];
	char api[API_URLS_MAX][512];
	unsigned n_api;
	char ca_file[256]; /* "" = system */
	bool allow_plain_ws;
};
int network_builtin(struct network *n, const char *name); /* 0 or SMX_ECONFIG */
int network_from_url(struct network *n, const char *url); /* 0 or SMX_ECONFIG */
/* JSON text of a network file; unknown members are an error. err gets one line naming what is wrong. 0 or
 * SMX_ECONFIG. */
int network_parse(struct network *n, const char *json, size_t len, char *err, size_t err_cap);

/* ---- parsing ---- */

struct api_skimmed {
	uint32_t rotation_id, epoch_id;
	bool has_epoch;
	size_t total; /* pagination */
	struct topo_node *node;
	size_t n, cap;
};
void api_skimmed_done(struct api_skimmed *s);
/* Appends the page's nodes (a bad node is skipped and counted in *skipped). 0, SMX_EPROTO (malformed, or
 * metadata differs from the pages before), SMX_ELIMIT, -ENOMEM. */
int api_parse_skimmed(struct api_skimmed *s, const char *json, size_t len, size_t *skipped);

struct api_rewarded {
	bool has_epoch;
	uint32_t epoch_id;
	uint32_t *layer[TOPO_LAYERS], *entry, *exit;
	size_t layer_n[TOPO_LAYERS], entry_n, exit_n;
};
void api_rewarded_done(struct api_rewarded *r);
int api_parse_rewarded(struct api_rewarded *r, const char *json, size_t len);

struct api_rotation {
	uint32_t validity_epochs, initial_epoch_id, current_epoch_id;
	int64_t epoch_start_s;
	uint64_t epoch_us;
};
int api_parse_rotation(struct api_rotation *k, const char *json, size_t len);
/* How long keys of a rotation are good, us: an epoch longer than it lasts (bootstrap.md 7). */
uint64_t api_rotation_life(const struct api_rotation *k);
/* rotation id of an epoch, bootstrap.md 7. */
uint32_t api_rotation_id(const struct api_rotation *k, uint32_t epoch_id);

/* Adds version, IPR address and country of described nodes to s->node by identity. *total from pagination, *n
 * entries seen. */
int api_parse_described(struct api_skimmed *s, const char *json, size_t len, size_t *total, size_t *n);

/* Topology of all of it (copies; release with api_topology_free). NULL: no memory. */
struct topology *api_topology(const struct api_skimmed *s, const struct api_rewarded *r);
void api_topology_free(struct topology *t);

/* ---- fetching ---- */

struct api;
struct api *api_new(struct loop *loop, struct ws *ws, const struct network *net); /* NULL: errno */
void api_free(struct api *a);
/*
 * Fetches everything; cb once. err 0: *topo and *rot; the topology belongs to the receiver
 * (api_topology_free). Else negative, and what says in one line which URL failed how ("http://127.0.0.1:1/:
 * connection refused"). Every URL of the list is tried before giving up; per request 30 s, in all until
 * deadline_us (loop time). with_exits: also the described list.
 */
void api_fetch(struct api *a, bool with_exits, uint64_t deadline_us,
	       void (*cb)(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
			  const char *what),
	       void *owner);
void api_cancel(struct api *a);

#endif
