/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames around Sphinx packets: MixPackets between client and entry gateway (spec nymsphinx.md 11.2,
 * gateway.md 8) and frames between nodes (nymsphinx.md 7.1).
 */
#ifndef MIXNET_FRAMING_H
#define MIXNET_FRAMING_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "mixnet/sphinx.h"

enum { ROTATION_UNKNOWN = 0, ROTATION_ODD = 1, ROTATION_EVEN = 2 };
/* nymsphinx.md 4: 0 and 0xffffffff are unknown. */
uint8_t rotation_byte(uint32_t rotation_id);

/* Size tag (1..5) of a whole packet length, or SMX_EPROTO; and back: length or SMX_EPROTO (tags 6, 7 are
 * refused). */
int size_tag(size_t packet_len);
int size_from_tag(uint8_t tag);

#define MIXPACKET_MAX (2 + 19 + SPHINX_PACKET_MAX)
#define MIXPACKET_REGULAR_MAX (2 + 19 + SPHINX_REGULAR_PACKET)

struct mixpacket {
	uint8_t rotation;
	struct addr next_hop;
	const uint8_t *packet;
	size_t packet_len;
};

/* V2 has the rotation byte (gateway protocol >= 5). Bytes written, or SMX_ELIMIT / SMX_EPROTO (unknown
 * size, no address). */
int mixpacket_put(uint8_t *out, size_t cap, const struct mixpacket *m, int version);
/* packet points into in. 0 or SMX_EPROTO. */
int mixpacket_get(struct mixpacket *m, const uint8_t *in, size_t len, int version);

#define NODE_FRAME_HDR 4

/* Header of a node frame: version 7 (3 bytes) or 8 (4 bytes, with rotation). Bytes written or SMX_EPROTO. */
int node_frame_put(uint8_t out[NODE_FRAME_HDR], int version, size_t packet_len, uint8_t rotation);

struct node_frame {
	uint8_t rotation;
	size_t hdr_len, packet_len;
};

/* 1: the header is complete and valid (the packet may not have arrived yet); 0: more bytes needed;
 * SMX_EPROTO: close. */
int node_frame_get(struct node_frame *f, const uint8_t *in, size_t len);

#endif
