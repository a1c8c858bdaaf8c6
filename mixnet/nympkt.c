/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acks, payload layouts and whole packets (spec nymsphinx.md 2.1, 6, 11, 12).
 *
 * A Regular packet's plaintext is SURB-ACK(405) || key material(32) || encrypted fragment(1611). Key material
 * is an ephemeral X25519 key for packets to a known recipient, or the digest of a SURB's reply key for
 * answers. There is no MAC at this layer: size and trial decoding decide what a pushed blob is (11.3), and
 * whoever tampers with one makes another fragment of it, which the layers above refuse or not.
 *
 * Cover is written and read by the same client, which saves it a multiplication on the curve: what comes back
 * is known by the ephemeral key we gave it. And the secret shared with ourselves is the base point times both
 * our scalars; libsodium's base point costs a third of another one, except in its AVX code.
 *
 * Limits. Builds Regular packets of Sphinx version 259 only; opens blobs of every size. Called by shaper for
 * each slot, by bridge for each blob, and by the local network's exit.
 */
#include "mixnet/nympkt.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/prim.h"
#include "mixnet/surb.h"

#define COVER_LEN (sizeof(NYM_COVER_TEXT) - 1)

static const uint8_t zero_iv[16];

void nym_self_new(struct nym_self *me, struct rng *rng)
{
	uint8_t seed[32];

	memset(me, 0, sizeof(*me));
	rng_fill(rng, seed, sizeof(seed));
	prim_ed25519_keypair(me->addr.identity, me->identity_sk, seed);
	rng_fill(rng, me->encryption_sk, sizeof(me->encryption_sk));
	prim_x25519_base(me->addr.encryption, me->encryption_sk);
	rng_fill(rng, me->ack_key, sizeof(me->ack_key));
	prim_wipe(seed, sizeof(seed));
}

void nym_ack_make(uint8_t out[NYM_ACK], const uint8_t ack_key[16], const uint8_t id[NYM_ID], struct rng *rng)
{
	rng_fill(rng, out, 16);
	memcpy(out + 16, id, NYM_ID);
	prim_aes128_ctr(ack_key, out, out + 16, NYM_ID);
}

void nym_ack_open(uint8_t ret_id[NYM_ID], const uint8_t ack_key[16], const uint8_t in[NYM_ACK])
{
	memcpy(ret_id, in + 16, NYM_ID);
	prim_aes128_ctr(ack_key, in, ret_id, NYM_ID);
}

int nym_surb_ack(uint8_t out[NYM_SURB_ACK], const struct nym_self *me, const struct sphinx_route *route,
		 const uint8_t id[NYM_ID], struct rng *rng)
{
	uint8_t content[NYM_ACK];

	if (!route->n)
		return -EINVAL;
	nym_ack_make(content, me->ack_key, id, rng);
	memcpy(out, route->hop[0].addr, 19);
	return sphinx_build(out + 19, SPHINX_ACK_PACKET, SPHINX_VERSION, route, me->addr.identity, content,
			    sizeof(content), rng);
}

void nym_cover_content(uint8_t out[NYM_FRAG])
{
	memset(out, 0, NYM_FRAG);
	memcpy(out, NYM_COVER_TEXT, COVER_LEN);
	out[COVER_LEN] = 1;
}

/* SPEC nymsphinx.md 2.1: HKDF-BLAKE3 without salt of the shared secret, 16 bytes. */
static void payload_key(uint8_t key[16], const uint8_t dh[32])
{
	prim_hkdf_blake3(key, 16, NULL, 0, dh, 32);
}

/* surb_ack || key material || content under key, in a Sphinx packet. */
static int wrap(uint8_t packet[SPHINX_REGULAR_PACKET], const uint8_t dest[32],
		const struct sphinx_route *route, const uint8_t surb_ack[NYM_SURB_ACK],
		const uint8_t material[32], const uint8_t key[16], const uint8_t content[NYM_FRAG],
		struct rng *rng)
{
	uint8_t plain[SPHINX_REGULAR_PLAIN], *body = plain + NYM_SURB_ACK + 32;

	memcpy(plain, surb_ack, NYM_SURB_ACK);
	memcpy(plain + NYM_SURB_ACK, material, 32);
	memcpy(body, content, NYM_FRAG);
	prim_aes128_ctr(key, zero_iv, body, NYM_FRAG);
	return sphinx_build(packet, SPHINX_REGULAR_PACKET, SPHINX_VERSION, route, dest, plain, sizeof(plain),
			    rng);
}

int nym_packet_forward(uint8_t packet[SPHINX_REGULAR_PACKET], const struct recipient *to,
		       const struct sphinx_route *route, const uint8_t surb_ack[NYM_SURB_ACK],
		       const uint8_t content[NYM_FRAG], struct rng *rng)
{
	uint8_t sk[32], pk[32], dh[32], key[16];
	int r;

	rng_fill(rng, sk, sizeof(sk));
	r = prim_x25519(dh, sk, to->encryption);
	if (r == 0) {
		prim_x25519_base(pk, sk);
		payload_key(key, dh);
		r = wrap(packet, to->identity, route, surb_ack, pk, key, content, rng);
	}
	prim_wipe(sk, sizeof(sk));
	prim_wipe(dh, sizeof(dh));
	prim_wipe(key, sizeof(key));
	return r;
}

/* ---- cover ---- */

static uint64_t *cover_slot(struct nym_covers *covers, const uint8_t pk[32], uint64_t *ret_key)
{
	memcpy(ret_key, pk, sizeof(*ret_key));
	return &covers->key[*ret_key % NYM_COVERS];
}

/* The gateway alone could show us a key of ours before its cover comes back, and it could as well drop it. */
static bool cover_take(struct nym_covers *covers, const uint8_t pk[32])
{
	uint64_t key, *slot = cover_slot(covers, pk, &key);

	if (!key || *slot != key)
		return false;
	*slot = 0;
	return true;
}

int nym_packet_cover(uint8_t packet[SPHINX_REGULAR_PACKET], const struct nym_self *me,
		     struct nym_covers *covers, const struct sphinx_route *route,
		     const uint8_t surb_ack[NYM_SURB_ACK], struct rng *rng)
{
	uint8_t sk[32], pk[32], both[32], dh[32], key[16], content[NYM_FRAG];
	uint64_t tag, *slot;
	int r;

	rng_fill(rng, sk, sizeof(sk));
	prim_x25519_base(pk, sk);
	r = prim_x25519_product(both, sk, me->encryption_sk);
	if (r == 0) {
		prim_x25519_base(dh, both);
		payload_key(key, dh);
		nym_cover_content(content);
		r = wrap(packet, me->addr.identity, route, surb_ack, pk, key, content, rng);
	}
	if (r == 0) {
		slot = cover_slot(covers, pk, &tag);
		*slot = tag;
	}
	prim_wipe(sk, sizeof(sk));
	prim_wipe(both, sizeof(both));
	prim_wipe(dh, sizeof(dh));
	prim_wipe(key, sizeof(key));
	return r;
}

/* ---- answers and arrivals ---- */

int nym_packet_reply(uint8_t packet[SPHINX_REGULAR_PACKET], const struct surb *surb,
		     const uint8_t surb_ack[NYM_SURB_ACK], const uint8_t frag[NYM_FRAG])
{
	uint8_t plain[SPHINX_REGULAR_PLAIN], *body = plain + NYM_SURB_ACK + 32;

	memcpy(plain, surb_ack, NYM_SURB_ACK);
	surb_digest(plain + NYM_SURB_ACK, surb->key);
	memcpy(body, frag, NYM_FRAG);
	prim_aes128_ctr(surb->key, zero_iv, body, NYM_FRAG);
	return surb_use(packet, SPHINX_REGULAR_PACKET, surb, plain, sizeof(plain));
}

int nym_blob_open(uint8_t *blob, size_t len, const struct nym_self *me, struct surb_keys *keys,
		  struct nym_covers *covers, uint8_t ret_id[NYM_ID], const uint8_t **ret_frag,
		  size_t *ret_frag_len)
{
	uint8_t dh[32], key[16];
	int kind = NYM_BLOB_FRAG;

	if (len == NYM_ACK) {
		nym_ack_open(ret_id, me->ack_key, blob);
		return NYM_BLOB_ACK;
	}
	/* SPEC versions.md 2: "no '<= 48 bytes' rule beyond the 21-byte ack". */
	if (len < 32 + NYM_FRAG_HDR)
		return SMX_EPROTO;
	if (keys && surb_keys_take(keys, blob, key)) {
		kind = NYM_BLOB_REPLY_FRAG;
	} else if (covers && cover_take(covers, blob)) {
		return NYM_BLOB_COVER;
	} else {
		if (prim_x25519(dh, me->encryption_sk, blob) < 0)
			return SMX_ECRYPTO;
		payload_key(key, dh);
		prim_wipe(dh, sizeof(dh));
	}
	prim_aes128_ctr(key, zero_iv, blob + 32, len - 32);
	prim_wipe(key, sizeof(key));
	if (len - 32 >= COVER_LEN && !memcmp(blob + 32, NYM_COVER_TEXT, COVER_LEN))
		return NYM_BLOB_COVER;
	*ret_frag = blob + 32;
	*ret_frag_len = len - 32;
	return kind;
}
