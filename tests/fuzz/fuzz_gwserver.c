/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile clients of the local network's gateway: first byte even = before login, odd = logged in; then messages
 * as in fuzz_gwclient.c. Texts always end; bandwidth never goes below zero by packets.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/rng.h"
#include "mixnet/gwproto.h"
#include "mixnet/prim.h"
#include "tests/fuzz/fuzz.h"

static bool lookup(void *owner, const uint8_t pk[32], struct gw_server_client *c)
{
	(void)owner, (void)pk, (void)c;
	return false;
}

static bool active(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
	return false;
}

static void store(void *owner, const struct gw_server_client *c)
{
	(void)owner, (void)c;
}

static void forget(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	static const struct gw_server_ops ops = { lookup, active, store, forget, NULL };
	static uint8_t binary[65536];
	char out[GW_TEXT_MAX], out2[GW_TEXT_MAX];
	uint8_t pk[32], sk[64];
	struct rng_seeded rng;
	struct gw_server s;
	struct mixpacket m;
	size_t len;

	if (!size)
		return 0;
	rng_seeded_init(&rng, 1);
	prim_ed25519_keypair(pk, sk, seed);
	gw_server_init(&s, pk, sk, &rng.rng);
	if (data[0] & 1) {
		s.state = GWS_OPEN;
		s.version = GW_PROTO_MAX;
		s.who.bandwidth = 10000;
	}
	data++;
	size--;
	while (size >= 3 && s.state != GWS_CLOSED) {
		uint8_t kind = data[0];

		len = (size_t)data[1] << 8 | data[2];
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		if (kind & 1) {
			memcpy(binary, data, len);
			gw_server_binary(&s, binary, len, &m, out);
			assert(s.who.bandwidth >= 0);
		} else {
			gw_server_text(&s, &ops, 1778912872, (const char *)data, len, out, out2);
			assert(strlen(out) < GW_TEXT_MAX && strlen(out2) < GW_TEXT_MAX);
		}
		data += len;
		size -= len;
	}
	gw_server_done(&s);
	return 0;
}
