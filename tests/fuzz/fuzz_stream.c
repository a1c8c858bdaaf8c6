/* SPDX-License-Identifier: Apache-2.0 */
/* Stream frames: what parses is written again as the same bytes, but for the reserved byte; what does not
 * parse is no frame or of a type unknown here. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/stream.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t hdr[STREAM_HDR];
	struct stream_frame f;
	struct wire_wr w;

	if (stream_parse(&f, data, size)) {
		assert(!stream_is(data, size) || data[10] > STREAM_PONG);
		return 0;
	}
	assert(stream_is(data, size) && f.len == size - STREAM_HDR && f.payload == data + STREAM_HDR);
	wire_wr_init(&w, hdr, sizeof(hdr));
	stream_put(&w, f.id, f.type, f.seq);
	assert(w.len == STREAM_HDR && !memcmp(hdr, data, STREAM_HDR - 1) && !hdr[STREAM_HDR - 1]);
	return 0;
}
