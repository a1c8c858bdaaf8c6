/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile gateway. First byte: the state in which it takes over from a genuine one; the client has come
 * there by an honest registration or login, that of gateway.vec handshake/6 with its randomness, so that
 * the recorded answers fit. Then messages: one byte of kind (0 text, 1 binary, 2 binary sealed with the
 * client's key, 3 the client asks for something), two of length, the bytes. The client answers or fails; it
 * never writes more than it was given room for, what it writes is JSON, and a failed one says why.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"
#include "base/hex.h"
#include "base/list.h"
#include "base/rng.h"
#include "mixnet/gwjson.h"
#include "mixnet/gwproto.h"
#include "mixnet/prim.h"
#include "tests/fuzz/fuzz.h"

#define CLIENT_SEED "5b27c17123fe7f3f392c32705bfaab3486bf14a9cde9565fc668f1fb3f91ab3a"
#define GATEWAY_SEED "19796bb735df86530a8a30d735cdf84a8c2b29fba4fd66b9b380c64164ca9639"
/* Ephemeral secret and salt; ephemeral secret. */
#define CLIENT_DRAWS                                                                                         \
	"ed19cc5048f550e5317dc1954fa2653e4479c8e4640e8ad146dfdcdfde8114b2"                                   \
	"432d28b1a47111d9e808885406443082"
#define GATEWAY_DRAWS "bf33c0a032f04c5a99072c5b76d2ae3e4b628a42c902f0deb090952bc2030083"
#define PACKET 386

/* Recorded draws, then zeros. */
struct replay_rng {
	struct rng rng;
	uint8_t draw[64];
	size_t at, len;
};

static void replay_fill(struct rng *base, void *buf, size_t len)
{
	struct replay_rng *r = container_of(base, struct replay_rng, rng);
	uint8_t *out = buf;

	for (; len; len--)
		*out++ = r->at < r->len ? r->draw[r->at++] : 0;
}

static void replay_init(struct replay_rng *r, const char *hex)
{
	int n = hex_decode(r->draw, sizeof(r->draw), hex, strlen(hex));

	assert(n > 0);
	r->rng.fill = replay_fill;
	r->at = 0;
	r->len = (size_t)n;
}

static void keypair(uint8_t pk[32], uint8_t sk[64], const char *hex)
{
	uint8_t seed[32];
	int n = hex_decode(seed, sizeof(seed), hex, strlen(hex));

	assert(n == 32);
	prim_ed25519_keypair(pk, sk, seed);
}

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

static struct gw_client g;
static char out[GW_TEXT_MAX];
static size_t out_len;

static void hear(const char *text)
{
	int r = gw_client_text(&g, text, strlen(text), out, sizeof(out), &out_len);

	assert(r >= 0);
}

/* An honest registration, stopped in the state wanted. A login begins with the key of one. */
static void come_to(enum gw_state want, const uint8_t gateway_pk[32], const uint8_t gateway_sk[64])
{
	static const struct gw_server_ops ops = { lookup, active, store, forget, NULL };
	static struct replay_rng rng;
	static struct gw_server s;
	char ans[GW_TEXT_MAX], ans2[GW_TEXT_MAX];
	enum gw_state through = want == GW_LOGIN ? GW_OPEN : want;
	int r;

	replay_init(&rng, GATEWAY_DRAWS);
	gw_server_init(&s, gateway_pk, gateway_sk, &rng.rng);
	if (through != GW_IDLE) {
		r = gw_client_start(&g, 0, out, sizeof(out), &out_len);
		assert(r == 0);
	}
	while (g.state != through) {
		enum gw_state was = g.state;

		if (was == GW_REGISTER) {
			hear(ans2);
		} else {
			r = gw_server_text(&s, &ops, 0, out, out_len, ans, ans2);
			assert(r > 0 && !(r & GWS_CLOSE));
			hear(ans);
		}
		assert(g.state != was);
	}
	if (want == GW_LOGIN) {
		r = gw_client_start(&g, 1778912872, out, sizeof(out), &out_len);
		assert(r == 0);
	}
	gw_server_done(&s);
	assert(g.state == want);
}

static void check_text(void)
{
	json_t *j = gwjson_load(out, out_len);

	assert(out_len && out_len < sizeof(out) && j);
	json_decref(j);
}

static void text(const uint8_t *data, size_t len)
{
	bool open = g.state == GW_OPEN;
	int r;

	out_len = 0;
	r = gw_client_text(&g, (const char *)data, len, out, sizeof(out), &out_len);
	if (r > 0 && (r & GW_OUT_SEND))
		check_text();
	assert(!open || g.state == GW_OPEN);
	assert(!(r > 0 && (r & GW_OUT_OPEN)) || (g.state == GW_OPEN && g.have_key));
	assert(memchr(g.error, '\0', sizeof(g.error)));
	assert(g.state != GW_FAILED || (r < 0 && g.error[0]));
	for (const char *p = g.error; *p; p++)
		assert((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void binary(const uint8_t *data, size_t len, bool seal)
{
	static uint8_t in[GW_FRAME_OVERHEAD + 65535];
	uint8_t *blob;
	size_t n;
	int r;

	if (seal) {
		in[0] = in[1] = 1;
		memset(in + 2, 0, GCMSIV_NONCE);
		prim_gcmsiv_seal(in + 14, g.key, in + 2, data, len);
		r = gw_client_push(&g, in, len + GW_FRAME_OVERHEAD, &blob, &n);
		assert((r == 0) == (g.state >= GW_FINISH && g.state != GW_FAILED));
		assert(r || (n == len && !memcmp(blob, data, len)));
		return;
	}
	memcpy(in, data, len);
	if (gw_client_push(&g, in, len, &blob, &n) == 0)
		assert(blob >= in && blob + n <= in + len);
}

/* What the driver does between messages. */
static void ask(const uint8_t *data, size_t len)
{
	static uint8_t frame[GW_FRAME_MAX], packet[PACKET];
	struct mixpacket m = { .rotation = ROTATION_ODD, .packet = packet, .packet_len = sizeof(packet) };
	int r = 0;

	out_len = 0;
	switch (len ? data[0] % 3 : 0) {
	case 0:
		if (gw_client_wants_claim(&g)) {
			r = gw_client_claim(&g, out, sizeof(out), &out_len);
			assert(r == GW_OUT_SEND && g.claiming && !gw_client_wants_claim(&g));
		}
		break;
	case 1: r = gw_client_forget(&g, out, sizeof(out), &out_len); break;
	case 2:
		addr_parse(&m.next_hop, "192.0.2.1:1789", 0);
		r = gw_client_seal(&g, frame, len > 1 ? data[1] * 2u : sizeof(frame), &m);
		assert(g.state == GW_OPEN || r < 0);
		if (r > 0)
			gw_client_sent(&g);
		return;
	}
	if (r > 0)
		check_text();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct replay_rng rng;
	uint8_t pk[32], sk[64], gateway_pk[32], gateway_sk[64];

	if (!size)
		return 0;
	replay_init(&rng, CLIENT_DRAWS);
	keypair(pk, sk, CLIENT_SEED);
	keypair(gateway_pk, gateway_sk, GATEWAY_SEED);
	gw_client_init(&g, pk, sk, gateway_pk, &rng.rng);
	come_to((enum gw_state)(data[0] % (GW_OPEN + 1)), gateway_pk, gateway_sk);
	data++;
	size--;
	while (size >= 3 && g.state != GW_FAILED) {
		uint8_t kind = data[0] & 3;
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		switch (kind) {
		case 0: text(data, len); break;
		case 1: binary(data, len, false); break;
		case 2: binary(data, len, true); break;
		case 3: ask(data, len); break;
		}
		data += len;
		size -= len;
	}
	gw_client_done(&g);
	return 0;
}
