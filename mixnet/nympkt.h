/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything between an application message and a Sphinx packet (spec nymsphinx.md): recipients, node
 * addresses, fragments and linked sets, padding, reassembly with limits, acks, plain / repliable / reply
 * messages (V2 when built; V1 repliable messages are not decoded), payload layouts, cover. Regular packets
 * (2413) only when building.
 *
 * Buffers belong to the caller. No malloc but in nym_rx_new().
 */
#ifndef MIXNET_NYMPKT_H
#define MIXNET_NYMPKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/wire.h"
#include "mixnet/sphinx.h"

struct rng;

#define NYM_FRAG 1611 /* fragment with header, Regular packet */
#define NYM_FRAG_HDR 7
#define NYM_FRAG_HDR_LINKED 10
#define NYM_FRAG_DATA 1604 /* unlinked */
#define NYM_FRAGS_PER_SET 255
#define NYM_BLOB 1643 /* what a gateway pushes for a Regular packet: 32 + 1611 */
#define NYM_ACK 21
#define NYM_ID 5 /* fragment identifier */
#define NYM_SURB_ACK 405
#define NYM_TAG 16
#define NYM_RECIPIENT 96
#define NYM_RECIPIENT_TEXT 136
/* Bytes before the data of a Repliable V2 message: type, tag, content tag, SURB list header. */
#define NYM_REPLIABLE_HDR 22

/* ---- 3. addresses ---- */

struct recipient {
	uint8_t identity[32];	/* Ed25519 */
	uint8_t encryption[32]; /* X25519 */
	uint8_t gateway[32];	/* Ed25519 */
};

int recipient_parse(struct recipient *r, const char *text, size_t len); /* 0 or SMX_EPROTO */
const char *recipient_text(const struct recipient *r, char out[static NYM_RECIPIENT_TEXT]);
/* SMX_EPROTO: not curve points. */
int recipient_from_bytes(struct recipient *r, const uint8_t in[NYM_RECIPIENT]);
void recipient_to_bytes(uint8_t out[NYM_RECIPIENT], const struct recipient *r);

/* 4|6, port BE, ip: 7 or 19 bytes. Bytes written. */
size_t nym_addr_put(uint8_t out[19], const struct addr *a);
/* Reads what the type byte asks for and ignores the rest; bytes read (7 or 19), or SMX_EPROTO. */
int nym_addr_get(struct addr *a, const uint8_t *in, size_t len);
void nym_addr_pad(uint8_t out[32], const struct addr *a); /* zero padded to 32 */

/* ---- 8. fragments ---- */

struct nym_frag {
	uint32_t set;	     /* 1..0x7fffffff */
	uint8_t total, pos;  /* 1..255 */
	uint32_t prev, next; /* linked set ids, 0 = none */
	const uint8_t *data;
	size_t len;
};

int nym_frag_parse(struct nym_frag *f, const uint8_t *in, size_t len); /* 0 or SMX_EPROTO */
/* Identifier as acks carry it: set id, position. */
void nym_frag_id(uint8_t out[NYM_ID], const uint8_t frag[NYM_FRAG]);
/* SMX_EPROTO: top bit, zeros. */
int nym_id_parse(const uint8_t id[NYM_ID], uint32_t *ret_set, uint8_t *ret_pos);

/* Number of fragments for len message bytes (padding marker included in len), and the bytes left free in the
 * last one. frag_len is NYM_FRAG except in vectors. */
size_t nym_frag_required(size_t len, size_t frag_len, size_t *ret_free);

/* Appends the marker 0x01 and zeros so that the message fills whole fragments. Total length or SMX_ELIMIT. */
int nym_pad(struct wire_wr *w, size_t frag_len);

struct nym_split {
	const uint8_t *msg;
	size_t len, off, frag_len, sets, set_no;
	uint32_t set, prev, next;
	uint8_t total, pos;
	struct rng *rng;
};

/* msg is padded (nym_pad). rng draws set ids. */
void nym_split_init(struct nym_split *s, const uint8_t *padded, size_t len, size_t frag_len, struct rng *rng);
/* Writes the next fragment (frag_len bytes). 1 = written, 0 = no more. */
int nym_split_next(struct nym_split *s, uint8_t *frag);

/* ---- 8.3 reassembly ---- */

struct nym_rx_set;

struct nym_rx_limits {
	size_t frags;	    /* fragments held in all (each NYM_FRAG bytes) */
	size_t sets;	    /* incomplete sets */
	size_t recent;	    /* completed set ids remembered */
	uint64_t stale_us;  /* a set without a new fragment for so long is dropped (nymsphinx.md: 30 min) */
	uint64_t recent_us; /* how long completed ids are remembered (traffic.md 9: 10 min) */
};

struct nym_rx_stats {
	uint64_t duplicates, malformed, dropped_limit, stale;
};

struct nym_rx; /* allocated once by nym_rx_new */

struct nym_rx *nym_rx_new(const struct nym_rx_limits *lim); /* NULL: no memory */
void nym_rx_free(struct nym_rx *rx);
const struct nym_rx_stats *nym_rx_stats(const struct nym_rx *rx);
size_t nym_rx_held(const struct nym_rx *rx); /* fragments held now */
/*
 * Inserts one decrypted fragment. 1: a message is complete, its bytes (padding removed) are in out, *ret_len
 * long. 0: kept or dropped, nothing complete. SMX_EPROTO: malformed fragment or padding (set ids count as
 * used). SMX_ELIMIT: table full or out too small (the message is dropped). A one-fragment message allocates
 * nothing from the pool and may come in a packet of any size; fragments of longer messages only in Regular
 * ones (else SMX_ELIMIT). When sets or fragments run out, the set that heard nothing for longest goes. out
 * may be overwritten whatever the result.
 */
int nym_rx_insert(struct nym_rx *rx, uint64_t now_us, const uint8_t *frag, size_t len, uint8_t *out,
		  size_t cap, size_t *ret_len);

/* ---- 9, 10. messages ---- */

enum nym_msg_type { NYM_PLAIN = 0, NYM_REPLIABLE = 1, NYM_REPLY = 2 };
enum nym_content { /* Repliable V2 */
		   NYM_DATA_V2 = 3,
		   NYM_SURBS_V2 = 4,
		   NYM_HEARTBEAT_V2 = 5,
};
enum nym_reply { NYM_REPLY_DATA = 0, NYM_REPLY_SURB_REQUEST = 1 };

struct nym_msg {
	enum nym_msg_type type;
	/* repliable */
	uint8_t tag[NYM_TAG];
	enum nym_content content;
	unsigned surb_count, surb_hops;
	uint8_t surb_rotation;
	const uint8_t *surbs; /* surb_count * SURB_LEN(surb_hops) bytes */
	/* reply */
	enum nym_reply reply;
	struct recipient requester; /* SURB request */
	uint32_t amount;
	/* plain, repliable data, reply data */
	const uint8_t *data;
	size_t len;
};

/* Decodes a message without padding. SMX_EPROTO; SMX_EVERSION for V1 repliable content (tags 0..2). Bytes
 * behind the SURBs of NYM_SURBS_V2 and NYM_HEARTBEAT_V2 are ignored. */
int nym_msg_parse(struct nym_msg *m, const uint8_t *in, size_t len);
void nym_put_plain(struct wire_wr *w, const void *data, size_t len);
/* Header of a repliable message; then the caller puts n SURBs of hops seeds, then data. n == 0 writes hops
 * and rotation as zero. */
void nym_put_repliable(struct wire_wr *w, const uint8_t tag[NYM_TAG], enum nym_content content, unsigned n,
		       unsigned hops, uint8_t rotation);
void nym_put_reply_data(struct wire_wr *w, const void *data, size_t len);
void nym_put_surb_request(struct wire_wr *w, const struct recipient *me, uint32_t amount);

/* ---- 2.1, 6, 11, 12. payloads ---- */

/* Own keys; also the Recipient others send to. */
struct nym_self {
	struct recipient addr;
	uint8_t identity_sk[64];
	uint8_t encryption_sk[32];
	uint8_t ack_key[16];
};

/* Fresh keys; gateway identity is filled later. */
void nym_self_new(struct nym_self *me, struct rng *rng);

void nym_ack_make(uint8_t out[NYM_ACK], const uint8_t ack_key[16], const uint8_t id[NYM_ID], struct rng *rng);
void nym_ack_open(uint8_t ret_id[NYM_ID], const uint8_t ack_key[16], const uint8_t in[NYM_ACK]);
/* first hop(19) || ack packet(386); route ends at our own gateway. Draws: 16 bytes IV, then as
 * sphinx_header(). */
int nym_surb_ack(uint8_t out[NYM_SURB_ACK], const struct nym_self *me, const struct sphinx_route *route,
		 const uint8_t id[NYM_ID], struct rng *rng);

/*
 * Regular packet to a known recipient: surb_ack || ephemeral key || encrypted. packet is
 * SPHINX_REGULAR_PACKET bytes. Draws: 32 bytes ephemeral secret, then as sphinx_header(). surb_ack comes from
 * nym_surb_ack().
 */
int nym_packet_forward(uint8_t packet[SPHINX_REGULAR_PACKET], const struct recipient *to,
		       const struct sphinx_route *route, const uint8_t surb_ack[NYM_SURB_ACK],
		       const uint8_t content[NYM_FRAG], struct rng *rng);

#define NYM_COVER_TEXT "The cake is a lie!"
void nym_cover_content(uint8_t out[NYM_FRAG]); /* traffic.md 5.2 */
#define NYM_COVERS 1024			       /* power of two */
/* Cover on its way back to us, by its ephemeral key; all zero is empty. What is overwritten before it comes
 * back is decrypted like any other blob. */
struct nym_covers {
	uint64_t key[NYM_COVERS];
};
/* Regular packet of cover to ourselves, byte for byte what nym_packet_forward() makes of nym_cover_content(),
 * and noted in covers. */
int nym_packet_cover(uint8_t packet[SPHINX_REGULAR_PACKET], const struct nym_self *me,
		     struct nym_covers *covers, const struct sphinx_route *route,
		     const uint8_t surb_ack[NYM_SURB_ACK], struct rng *rng);
struct surb;
/* Regular packet answering through a SURB. */
int nym_packet_reply(uint8_t packet[SPHINX_REGULAR_PACKET], const struct surb *surb,
		     const uint8_t surb_ack[NYM_SURB_ACK], const uint8_t frag[NYM_FRAG]);

struct surb_keys;
enum nym_blob { NYM_BLOB_ACK = 1, NYM_BLOB_FRAG, NYM_BLOB_REPLY_FRAG, NYM_BLOB_COVER };
/*
 * What a gateway pushed (nymsphinx.md 11.3), decrypted in place. NYM_BLOB_ACK: ret_id holds the identifier
 * (all zero = cover). NYM_BLOB_FRAG / _REPLY_FRAG: *ret_frag points into blob. A reply takes its key out of
 * keys, our own cover its entry out of covers (both may be NULL). SMX_EPROTO for impossible lengths,
 * SMX_ECRYPTO for an undecodable key.
 */
int nym_blob_open(uint8_t *blob, size_t len, const struct nym_self *me, struct surb_keys *keys,
		  struct nym_covers *covers, uint8_t ret_id[NYM_ID], const uint8_t **ret_frag,
		  size_t *ret_frag_len);

#endif
