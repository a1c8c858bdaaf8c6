/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LP stream frames (spec ipr.md 2.1): kind u16 little-endian (3), stream id u64, type u8, sequence u32,
 * reserved u8, all else big-endian. The reserved byte is not checked. Types 2 to 4 parse (versions.md 3);
 * what to do with them is the session's business.
 */
#include "mixnet/stream.h"

#include "base/err.h"

#define LP_SPHINX_STREAM 3

void stream_put(struct wire_wr *w, uint64_t id, enum stream_type type, uint32_t seq)
{
	wire_put_u16le(w, LP_SPHINX_STREAM);
	wire_put_u64(w, id);
	wire_put_u8(w, (uint8_t)type);
	wire_put_u32(w, seq);
	wire_put_u8(w, 0);
}

bool stream_is(const uint8_t *in, size_t len)
{
	return len >= STREAM_HDR && in[0] == LP_SPHINX_STREAM && in[1] == 0;
}

int stream_parse(struct stream_frame *f, const uint8_t *in, size_t len)
{
	struct stream_frame t = { 0 };
	struct wire_rd r;
	uint8_t type;

	if (!stream_is(in, len))
		return SMX_EPROTO;
	wire_rd_init(&r, in + 2, len - 2);
	t.id = wire_get_u64(&r);
	type = wire_get_u8(&r);
	t.seq = wire_get_u32(&r);
	wire_get_u8(&r);
	t.len = r.left;
	t.payload = wire_get_bytes(&r, r.left);
	if (r.bad || type > STREAM_PONG)
		return SMX_EPROTO;
	t.type = type;
	*f = t;
	return 0;
}
