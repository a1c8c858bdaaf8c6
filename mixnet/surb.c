/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reply SURBs, and the table of the keys of those we gave away (spec sphinx.md 12, nymsphinx.md 10).
 *
 * Theory of operation. A reply SURB is a 16-byte key, a ready-made Sphinx header that leads back to us, the
 * address of its first hop, and the payload-key seed of every hop. Whoever uses it encrypts with the key and
 * puts the key's digest in front, so the table finds the key by digest when the reply comes.
 *
 * The table is a hash table with chains over entries the caller provides; a digest is a hash already, so its
 * first bytes choose the bucket. Entries hang in one list by age: the oldest goes when the table is full, and
 * expiry looks at the front only. A reader of digests from the network can fill no bucket, since only our own
 * keys are entered.
 *
 * Limits. 1 to 5 hops. Called by nympkt and exitsess, and by the local network's exit for the other side.
 */
#include "mixnet/surb.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/wire.h"
#include "mixnet/prim.h"

#define LEGACY_KEY 192
#define FIRST_HOP 32

_Static_assert(SURB_LEN(4) == SURB_LEN4, "nymsphinx.md 10.3: 460 bytes with 4 hops");

void surb_digest(uint8_t out[32], const uint8_t key[SURB_KEY])
{
	prim_blake3(out, key, SURB_KEY);
}

int surb_make(uint8_t *out, uint8_t ret_digest[32], const struct sphinx_route *route, const uint8_t dest[32],
	      struct rng *rng)
{
	uint8_t key[SURB_KEY], header[SPHINX_HEADER];
	struct sphinx_keys keys;
	struct wire_wr w;
	int err;

	rng_fill(rng, key, sizeof(key));
	err = sphinx_header(header, &keys, SPHINX_VERSION, route, dest, rng);
	if (err)
		goto wipe;
	wire_wr_init(&w, out, SURB_LEN(route->n));
	wire_put_bytes(&w, key, sizeof(key));
	wire_put_bytes(&w, header, sizeof(header));
	wire_put_bytes(&w, route->hop[0].addr, FIRST_HOP);
	for (unsigned i = 0; i < keys.n; i++)
		wire_put_bytes(&w, keys.seed[i], SPHINX_SEED);
	assert(wire_wr_end(&w) == (int)SURB_LEN(route->n));
	surb_digest(ret_digest, key);
wipe:
	prim_wipe(key, sizeof(key));
	prim_wipe(&keys, sizeof(keys));
	return err;
}

/* SPEC sphinx.md 12: "m < 192: seeds, m must be a multiple of 16; else full keys, m must be a multiple of
 * 192. ... Refuse more than 5 hops." */
static int parse_keys(struct sphinx_keys *k, struct wire_rd *r)
{
	bool full = r->left >= LEGACY_KEY;
	size_t size = full ? LEGACY_KEY : SPHINX_SEED;

	if (!r->left || r->left % size || r->left / size > SPHINX_HOPS_MAX)
		return SMX_EPROTO;
	k->version = full ? SPHINX_VERSION_LEGACY : SPHINX_VERSION;
	k->n = (unsigned)(r->left / size);
	for (unsigned i = 0; i < k->n; i++)
		wire_get_copy(r, full ? k->legacy[i] : k->seed[i], size);
	return wire_rd_end(r);
}

static int parse_into(struct surb *s, const uint8_t *in, size_t len)
{
	struct wire_rd r;

	wire_rd_init(&r, in, len);
	wire_get_copy(&r, s->header, sizeof(s->header));
	wire_get_copy(&r, s->first_hop, sizeof(s->first_hop));
	if (wire_rd_ok(&r))
		return SMX_EPROTO;
	return parse_keys(&s->keys, &r);
}

int surb_parse_sphinx(struct surb *s, const uint8_t *in, size_t len)
{
	struct surb tmp = { 0 };
	int err = parse_into(&tmp, in, len);

	if (!err)
		*s = tmp;
	prim_wipe(&tmp, sizeof(tmp));
	return err;
}

int surb_parse(struct surb *s, const uint8_t *in, size_t len)
{
	struct surb tmp = { 0 };
	int err;

	if (len < SURB_KEY)
		return SMX_EPROTO;
	err = parse_into(&tmp, in + SURB_KEY, len - SURB_KEY);
	/* Addresses of both kinds fit in 32 bytes, so the type byte is all that can be wrong (nymsphinx.md
	 * 3.3). */
	if (!err && tmp.first_hop[0] != 4 && tmp.first_hop[0] != 6)
		err = SMX_EPROTO;
	if (!err) {
		memcpy(tmp.key, in, SURB_KEY);
		*s = tmp;
	}
	prim_wipe(&tmp, sizeof(tmp));
	return err;
}

int surb_use(uint8_t *packet, size_t packet_len, const struct surb *s, const uint8_t *plain, size_t plain_len)
{
	int err;

	/* SPEC nymsphinx.md 10.2: "plaintext = exactly the packet's plaintext size (else error)". */
	if (packet_len < SPHINX_OVERHEAD || plain_len != packet_len - SPHINX_OVERHEAD)
		return -EINVAL;
	err = sphinx_payload(packet + SPHINX_HEADER, packet_len - SPHINX_HEADER, &s->keys, plain, plain_len);
	if (!err)
		memcpy(packet, s->header, SPHINX_HEADER);
	return err;
}

/* ---- the table ---- */

static struct surb_key **bucket_of(struct surb_keys *t, const uint8_t digest[32])
{
	size_t h;

	memcpy(&h, digest, sizeof(h));
	return &t->bucket[h & (t->n_bucket - 1)];
}

void surb_keys_init(struct surb_keys *t, struct surb_key *mem, size_t n, struct surb_key **bucket,
		    size_t n_bucket)
{
	assert(n && n_bucket && !(n_bucket & (n_bucket - 1)));
	memset(t, 0, sizeof(*t));
	memset(mem, 0, n * sizeof(*mem));
	memset(bucket, 0, n_bucket * sizeof(struct surb_key *));
	t->mem = mem;
	t->n = n;
	t->bucket = bucket;
	t->n_bucket = n_bucket;
	list_init(&t->age);
	list_init(&t->free);
	for (size_t i = 0; i < n; i++)
		list_push_back(&t->free, &mem[i].age);
}

void surb_keys_done(struct surb_keys *t)
{
	if (!t || !t->mem)
		return;
	prim_wipe(t->mem, t->n * sizeof(*t->mem));
	memset(t, 0, sizeof(*t));
}

static void drop(struct surb_keys *t, struct surb_key *k)
{
	struct surb_key **at = bucket_of(t, k->digest);

	while (*at != k)
		at = &(*at)->hash_next;
	*at = k->hash_next;
	list_remove(&k->age);
	prim_wipe(k, sizeof(*k));
	list_push_back(&t->free, &k->age);
	t->count--;
}

static struct surb_key *oldest(struct surb_keys *t)
{
	return list_empty(&t->age) ? NULL : container_of(t->age.next, struct surb_key, age);
}

void surb_keys_add(struct surb_keys *t, const uint8_t digest[32], const uint8_t key[SURB_KEY],
		   uint64_t now_us)
{
	struct surb_key **at = bucket_of(t, digest), *k;

	if (list_empty(&t->free)) {
		drop(t, oldest(t));
		t->evicted++;
	}
	k = container_of(list_pop_front(&t->free), struct surb_key, age);
	k->made_us = now_us;
	memcpy(k->key, key, SURB_KEY);
	memcpy(k->digest, digest, sizeof(k->digest));
	k->hash_next = *at;
	*at = k;
	list_push_back(&t->age, &k->age);
	t->count++;
}

bool surb_keys_take(struct surb_keys *t, const uint8_t digest[32], uint8_t ret_key[SURB_KEY])
{
	for (struct surb_key *k = *bucket_of(t, digest); k; k = k->hash_next) {
		if (!prim_equal(k->digest, digest, sizeof(k->digest)))
			continue;
		memcpy(ret_key, k->key, SURB_KEY);
		drop(t, k);
		return true;
	}
	return false;
}

size_t surb_keys_expire(struct surb_keys *t, uint64_t before_us)
{
	struct surb_key *k;
	size_t n = 0;

	while ((k = oldest(t)) && k->made_us < before_us) {
		drop(t, k);
		n++;
	}
	return n;
}
