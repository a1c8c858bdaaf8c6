/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly against a hostile peer. Input: steps of three bytes, how the next fragment header is made, each
 * followed by the payload length asked for: small limits, so that they are met; time goes on by a step's last
 * byte. Nothing is held beyond the limits and every complete message is read.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "mixnet/nympkt.h"
#include "tests/fuzz/fuzz.h"

#define FRAGS 16
#define SETS 4

static uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nym_rx_limits lim = { .frags = FRAGS,
					   .sets = SETS,
					   .recent = 8,
					   .stale_us = 30 * US_PER_S,
					   .recent_us = 10 * US_PER_S };
	static uint8_t out[FRAGS * NYM_FRAG];
	struct nym_rx *rx = nym_rx_new(&lim);
	uint64_t now = US_PER_S;

	assert(rx);
	while (size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1], got;
		uint8_t frag[NYM_FRAG] = { 0 };

		data += 2;
		size -= 2;
		now += (len >> 12) * US_PER_S;
		len &= 0xfff;
		len = len > NYM_FRAG ? NYM_FRAG : len;
		memcpy(frag, data, len < size ? len : size);
		data += len < size ? len : size;
		size -= len < size ? len : size;
		if (nym_rx_insert(rx, now, frag, len, out, sizeof(out), &got) == 1)
			for (size_t i = 0; i < got; i++)
				sink ^= out[i];
		assert(nym_rx_held(rx) <= FRAGS);
	}
	nym_rx_free(rx);
	return 0;
}
