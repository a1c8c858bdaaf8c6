/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LP stream frames inside Nym messages (spec ipr.md 2, versions.md 3). Order is reorder.h's business.
 */
#ifndef MIXNET_STREAM_H
#define MIXNET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

#define STREAM_HDR 16
enum stream_type { STREAM_OPEN = 0, STREAM_DATA = 1, STREAM_OPEN_ACK = 2, STREAM_PING = 3, STREAM_PONG = 4 };

struct stream_frame {
	uint64_t id;
	enum stream_type type;
	uint32_t seq;
	const uint8_t *payload;
	size_t len;
};

void stream_put(struct wire_wr *w, uint64_t id, enum stream_type type,
		uint32_t seq); /* header; payload follows */
/* 0; SMX_EPROTO: short, other kind, type 5 and above. */
int stream_parse(struct stream_frame *f, const uint8_t *in, size_t len);
/* True when the bytes are an LP stream frame at all (kind 3, >= 16 bytes): how an IPR tells it from a bare
 * message. */
bool stream_is(const uint8_t *in, size_t len);

#endif
