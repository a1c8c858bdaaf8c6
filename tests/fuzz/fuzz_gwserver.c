/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile clients of the local network's gateway. First byte: bit 0, logged in already; bits 1 to 3, the
 * switches (enforced credentials, upgrade mode, a session of the client is active). Then messages: one byte
 * of kind (0 text, 1 binary, 2 packet sealed with the session's key, 3 sealed request), two of length, the
 * bytes. The gateway is that of gateway.vec handshake/6 and knows the client of authenticate-v2/6, so that
 * recorded clients get in. Texts always end and are JSON; bandwidth never goes below zero by packets; a
 * forwarded packet lies in what was received.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "base/rng.h"
#include "mixnet/gwjson.h"
#include "mixnet/gwproto.h"
#include "mixnet/prim.h"
#include "tests/fuzz/fuzz.h"

#define GATEWAY_SEED "19796bb735df86530a8a30d735cdf84a8c2b29fba4fd66b9b380c64164ca9639"
#define GATEWAY_EPHEMERAL "bf33c0a032f04c5a99072c5b76d2ae3e4b628a42c902f0deb090952bc2030083"
#define KNOWN_IDENTITY "681978c9efceca4024327234a973d0d3ce328fd77c386b2b7e85d3531dc799fe"
#define KNOWN_KEY "370bfea47dfbfb7c67cfb82ccac426e9fbdb3a758c01d1f04469436f3a95d6d8"
#define NOW_S 1778912872

static struct gw_server s;
static struct gw_server_client known; /* the table; bandwidth below zero: forgotten */
static bool busy;

static void from_hex(uint8_t out[32], const char *hex)
{
	int n = hex_decode(out, 32, hex, strlen(hex));

	assert(n == 32);
}

/* Every 32 bytes asked for are the ephemeral secret; nonces are zeros. */
static void fill(struct rng *r, void *buf, size_t len)
{
	(void)r;
	if (len == 32)
		from_hex(buf, GATEWAY_EPHEMERAL);
	else
		memset(buf, 0, len);
}

static bool lookup(void *owner, const uint8_t pk[32], struct gw_server_client *c)
{
	(void)owner;
	if (known.bandwidth < 0 || memcmp(known.pk, pk, 32))
		return false;
	*c = known;
	return true;
}

static bool active(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
	return busy;
}

static void store(void *owner, const struct gw_server_client *c)
{
	(void)owner;
	known = *c;
}

static void forget(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
	known.bandwidth = -1;
}

static void check_text(const char *text)
{
	json_t *j = gwjson_load(text, strlen(text));

	assert(j && json_is_string(json_object_get(j, "type")));
	json_decref(j);
}

static void say(const char *text, size_t len)
{
	static const struct gw_server_ops ops = { lookup, active, store, forget, NULL };
	char out[GW_TEXT_MAX], out2[GW_TEXT_MAX];
	enum gw_server_state was = s.state;
	int r = gw_server_text(&s, &ops, NOW_S, text, len, out, out2);

	assert(r >= 0 && !!(r & GWS_CLOSE) == (s.state == GWS_CLOSED));
	assert(!!(r & GWS_OPEN_NOW) == (was != GWS_OPEN && s.state == GWS_OPEN));
	assert(was != GWS_OPEN || (s.state == GWS_OPEN && (r & GWS_SEND)));
	if (r & GWS_SEND)
		check_text(out);
	if (r & GWS_SEND2)
		check_text(out2);
}

static void send_binary(const uint8_t *data, size_t len, bool seal)
{
	static uint8_t in[GW_FRAME_OVERHEAD + 65535], back[GW_FRAME_OVERHEAD + 64];
	char out[GW_TEXT_MAX];
	struct mixpacket m;
	int64_t before = s.who.bandwidth;
	size_t back_len = len < 65 ? len : 65;
	int r;

	memcpy(in, data, len);
	if (seal && len) {
		in[0] = 1 + data[0] % 2;
		in[1] = 1;
		memset(in + 2, 0, GCMSIV_NONCE);
		prim_gcmsiv_seal(in + 14, s.who.key, in + 2, data + 1, len - 1);
		len += GW_FRAME_OVERHEAD - 1;
	}
	r = gw_server_binary(&s, in, len, &m, out);
	assert(r & GWS_SEND);
	check_text(out);
	if (r & GWS_FORWARD) {
		assert(m.packet >= in && m.packet + m.packet_len <= in + len);
		assert(s.who.bandwidth == (s.upgrade_mode ? before : before - (int64_t)m.packet_len));
	} else {
		assert(s.who.bandwidth == before);
	}
	assert(before < 0 || s.who.bandwidth >= 0);
	r = gw_server_push(&s, back, sizeof(back), data, back_len);
	assert((r > 0) == (s.state == GWS_OPEN && back_len <= 64));
}

static void sealed_request(const uint8_t *data, size_t len)
{
	static const uint8_t nonce[GCMSIV_NONCE];
	char text[8192];
	uint8_t sealed[1024];
	int n;

	if (len > sizeof(sealed) - GCMSIV_TAG)
		return;
	prim_gcmsiv_seal(sealed, s.who.key, nonce, data, len);
	n = gwjson_dump(json_pack("{s:s,s:o,s:o}", "type", "encryptedRequest", "ciphertext",
				  gwjson_array(sealed, len + GCMSIV_TAG), "nonce",
				  gwjson_array(nonce, sizeof(nonce))),
			text, sizeof(text));
	assert(n > 0);
	say(text, (size_t)n);
}

static void begin(uint8_t how)
{
	static struct rng rng = { fill };
	uint8_t seed[32], pk[32], sk[64];

	memset(&known, 0, sizeof(known));
	from_hex(known.pk, KNOWN_IDENTITY);
	from_hex(known.key, KNOWN_KEY);
	known.bandwidth = 10000;
	from_hex(seed, GATEWAY_SEED);
	prim_ed25519_keypair(pk, sk, seed);
	gw_server_init(&s, pk, sk, &rng);
	if (how & 1) {
		s.state = GWS_OPEN;
		s.version = GW_PROTO_MAX;
		s.who = known;
		memcpy(s.client_pk, known.pk, 32);
	}
	s.enforce_credentials = how & 2;
	s.upgrade_mode = how & 4;
	busy = how & 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	begin(data[0]);
	data++;
	size--;
	while (size >= 3 && s.state != GWS_CLOSED) {
		uint8_t kind = data[0] & 3;
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		switch (kind) {
		case 0: say((const char *)data, len); break;
		case 1: send_binary(data, len, false); break;
		case 2: send_binary(data, len, true); break;
		case 3: sealed_request(data, len); break;
		}
		data += len;
		size -= len;
	}
	gw_server_done(&s);
	return 0;
}
