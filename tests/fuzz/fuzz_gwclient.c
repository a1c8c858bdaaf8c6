/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile gateway. First byte: the client's state (registration step, login, open). Then messages: one byte of
 * kind (even text, odd binary), two of length, the bytes. The client answers or fails; it never writes more than
 * it was given room for, and a failed one says why.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/rng.h"
#include "mixnet/gwproto.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 }, key[32] = { 2 };
	static uint8_t binary[65536];
	char out[GW_TEXT_MAX];
	struct rng_seeded rng;
	struct gw_client g;
	uint8_t *blob;
	size_t len, n;

	if (!size)
		return 0;
	rng_seeded_init(&rng, 1);
	gw_client_init(&g, seed, (uint8_t[64]){ 0 }, seed, &rng.rng);
	memcpy(g.key, key, 32);
	g.version = GW_PROTO_MAX;
	g.state = (enum gw_state)(data[0] % (GW_OPEN + 1));
	data++;
	size--;
	while (size >= 3 && g.state != GW_FAILED) {
		uint8_t kind = data[0];

		len = (size_t)data[1] << 8 | data[2];
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		n = 0;
		if (kind & 1) {
			memcpy(binary, data, len);
			if (gw_client_push(&g, binary, len, &blob, &n) == 0)
				assert(blob >= binary && blob + n <= binary + len);
		} else {
			int r = gw_client_text(&g, (const char *)data, len, out, sizeof(out), &n);

			assert(r < 0 || !(r & GW_OUT_SEND) || (n && n < sizeof(out)));
			assert((g.state == GW_FAILED) <= (g.error[0] != '\0'));
		}
		data += len;
		size -= len;
	}
	gw_client_done(&g);
	return 0;
}
