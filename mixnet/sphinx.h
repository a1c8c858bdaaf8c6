/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sphinx packets (spec sphinx.md; crate sphinx-packet 0.6.0): build, and process at a hop. We build version
 * 259 only; 258 exists here because nodes process it (spec versions.md 2) and because the vectors hold it.
 *
 * packet = header(348: alpha 32, gamma 16, beta 300) || payload. No malloc, no clock; randomness from the
 * caller.
 */
#ifndef MIXNET_SPHINX_H
#define MIXNET_SPHINX_H

#include <stddef.h>
#include <stdint.h>

struct rng;

#define SPHINX_HOPS_MAX 5
#define SPHINX_HEADER 348
#define SPHINX_PAYLOAD_OVERHEAD 17
#define SPHINX_OVERHEAD 365
#define SPHINX_SEED 16
#define SPHINX_VERSION 259	  /* payload-key seeds: everything we build */
#define SPHINX_VERSION_LEGACY 258 /* explicit payload keys */

/* Whole packet sizes (sphinx.md 14). Plaintext = packet - 365. */
#define SPHINX_ACK_PACKET 386
#define SPHINX_REGULAR_PACKET 2413
#define SPHINX_REGULAR_PLAIN 2048
#define SPHINX_PACKET_MAX 33133

struct sphinx_hop {
	uint8_t addr[32];  /* node address field, zero padded (nymsphinx.md 3.3) */
	uint8_t key[32];   /* X25519 Sphinx key */
	uint64_t delay_ns; /* applied by this hop; the last one's is never encoded */
};

struct sphinx_route {
	unsigned n; /* 1..SPHINX_HOPS_MAX */
	struct sphinx_hop hop[SPHINX_HOPS_MAX];
};

/* Payload keys of a header, one per hop: seeds for 259. legacy is filled too (192 bytes each) when version is
 * 258. */
struct sphinx_keys {
	uint16_t version;
	unsigned n;
	uint8_t seed[SPHINX_HOPS_MAX][SPHINX_SEED];
	uint8_t legacy[SPHINX_HOPS_MAX][192]; /* only for SPHINX_VERSION_LEGACY */
};

/*
 * Header for route, plus the payload keys of every hop. Draws from rng exactly: 32 bytes initial secret, then
 * the final padding (248 - 60 (n-1) bytes). Identifier is all zero. sphinx.md 5-7. 0; -EINVAL for n or
 * version; SMX_ECRYPTO when a node key is of small order.
 */
int sphinx_header(uint8_t header[SPHINX_HEADER], struct sphinx_keys *keys, uint16_t version,
		  const struct sphinx_route *route, const uint8_t dest[32], struct rng *rng);
/* Same with the 16-byte identifier given (vectors use others than zero). */
int sphinx_header_id(uint8_t header[SPHINX_HEADER], struct sphinx_keys *keys, uint16_t version,
		     const struct sphinx_route *route, const uint8_t dest[32], const uint8_t ident[16],
		     struct rng *rng);

/* Pads msg into payload[payload_len] and adds one LIONESS layer per hop. -EINVAL when it does not fit.
 * sphinx.md 8. */
int sphinx_payload(uint8_t *payload, size_t payload_len, const struct sphinx_keys *keys, const void *msg,
		   size_t msg_len);

/* Header and payload together: packet[packet_len], packet_len = 365 + plaintext size; msg_len <= that
 * plaintext size. */
int sphinx_build(uint8_t *packet, size_t packet_len, uint16_t version, const struct sphinx_route *route,
		 const uint8_t dest[32], const void *msg, size_t msg_len, struct rng *rng);

enum { SPHINX_FORWARD = 1, SPHINX_FINAL = 2 };

struct sphinx_result {
	uint8_t next_addr[32]; /* FORWARD: node address of the next hop */
	uint64_t delay_ns;     /* FORWARD */
	uint8_t dest[32];      /* FINAL */
	uint8_t ident[16];     /* FINAL */
	const uint8_t *msg;    /* FINAL: recovered message inside packet */
	size_t msg_len;
	uint8_t replay_tag[32];
	uint16_t version;
};

/*
 * One hop (sphinx.md 11), in place: on SPHINX_FORWARD packet holds what goes to the next hop (same length).
 * Replay detection is the caller's, by replay_tag. SMX_ECRYPTO: MAC does not fit this key; packet is
 * untouched, another key may be tried. SMX_EPROTO: MAC is right but the content is not (flag, padding);
 * packet is spoiled.
 */
int sphinx_process(uint8_t *packet, size_t packet_len, const uint8_t sk[32], struct sphinx_result *res);

/* What a payload looks like after all layers (sphinx.md 8): finds the message. 0 or SMX_EPROTO. */
int sphinx_recover(const uint8_t *payload, size_t payload_len, const uint8_t **ret_msg, size_t *ret_len);

#endif
