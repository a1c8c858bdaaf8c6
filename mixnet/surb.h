/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reply SURBs (spec sphinx.md 12, nymsphinx.md 10): make, parse, use; and the creator's table of reply keys.
 *
 * reply SURB bytes = reply key(16) || header(348) || first hop(32) || seeds(16 per hop): 460 for 4 hops.
 * A SURB is strictly single use. Keys are in the table before the SURB leaves.
 */
#ifndef MIXNET_SURB_H
#define MIXNET_SURB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "mixnet/sphinx.h"

struct rng;

#define SURB_KEY 16
#define SURB_LEN(hops) ((size_t)(SURB_KEY + SPHINX_HEADER + 32 + SPHINX_SEED * (hops)))
#define SURB_LEN4 460

/* Writes SURB_LEN(route->n) bytes and the digest under which the reply will come back. Draws: 16 bytes reply
 * key, then as sphinx_header(). Errors of sphinx_header(). */
int surb_make(uint8_t *out, uint8_t ret_digest[32], const struct sphinx_route *route, const uint8_t dest[32],
	      struct rng *rng);
void surb_digest(uint8_t out[32], const uint8_t key[SURB_KEY]); /* BLAKE3 of the key */

struct surb {
	uint8_t key[SURB_KEY];
	uint8_t header[SPHINX_HEADER];
	uint8_t first_hop[32];
	struct sphinx_keys keys;
};

/* Parses with Sphinx part lengths of seeds (1..5 hops) or, for old peers, 192-byte keys (1..5). SMX_EPROTO
 * otherwise, also when the first hop address does not parse. Input includes the 16-byte reply key. */
int surb_parse(struct surb *s, const uint8_t *in, size_t len);
/* Sphinx part only, without reply key (vectors). */
int surb_parse_sphinx(struct surb *s, const uint8_t *in, size_t len);
/* Packet of packet_len bytes from the SURB: plain must be exactly packet_len - 365 bytes long, else
 * -EINVAL. */
int surb_use(uint8_t *packet, size_t packet_len, const struct surb *s, const uint8_t *plain,
	     size_t plain_len);

/* ---- the creator's table: digest -> reply key; oldest are dropped when full ---- */

struct surb_key {
	struct list age; /* oldest first */
	struct surb_key *hash_next;
	uint64_t made_us;
	uint8_t key[SURB_KEY];
	uint8_t digest[32];
};

struct surb_keys {
	struct surb_key *mem, **bucket;
	size_t n, n_bucket, count;
	struct list age, free;
	uint64_t evicted;
};

/* mem[n] and bucket[n_bucket] belong to the caller and stay; n_bucket is a power of two. */
void surb_keys_init(struct surb_keys *t, struct surb_key *mem, size_t n, struct surb_key **bucket,
		    size_t n_bucket);
void surb_keys_done(struct surb_keys *t); /* wipes */
void surb_keys_add(struct surb_keys *t, const uint8_t digest[32], const uint8_t key[SURB_KEY],
		   uint64_t now_us);
/* Removes and returns the key for digest; false when there is none. Lookup by 32-byte
 * digest (public value). */
bool surb_keys_take(struct surb_keys *t, const uint8_t digest[32], uint8_t ret_key[SURB_KEY]);
/* Drops keys made before before_us. Number dropped. */
size_t surb_keys_expire(struct surb_keys *t, uint64_t before_us);

#endif
