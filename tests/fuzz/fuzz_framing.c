/* SPDX-License-Identifier: Apache-2.0 */
/* MixPackets of both versions and node frames: what is read can be written, and is read the same again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/framing.h"
#include "tests/fuzz/fuzz.h"

static void mix(const uint8_t *in, size_t len, int version)
{
	static uint8_t buf[MIXPACKET_MAX];
	struct mixpacket m, back;
	int n;

	if (mixpacket_get(&m, in, len, version))
		return;
	n = mixpacket_put(buf, sizeof(buf), &m, version);
	assert(n > 0 && mixpacket_get(&back, buf, (size_t)n, version) == 0);
	assert(back.packet_len == m.packet_len && !memcmp(back.packet, m.packet, m.packet_len) &&
	       addr_equal(&back.next_hop, &m.next_hop) && back.rotation == m.rotation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node_frame f;
	uint8_t hdr[NODE_FRAME_HDR];

	mix(data, size, 1);
	mix(data, size, 2);
	if (node_frame_get(&f, data, size) == 1) {
		int version = f.hdr_len == NODE_FRAME_HDR ? 8 : 7;

		assert(f.hdr_len <= size);
		assert(node_frame_put(hdr, version, f.packet_len, f.rotation) == (int)f.hdr_len);
	}
	return 0;
}
