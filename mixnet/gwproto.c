/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client side of the gateway link.
 *
 * Theory of operation. A connection begins with gw_client_start(): a version query that leads into the
 * registration handshake, or a signed login when a key exists. Every text goes through gw_client_text(), one
 * switch over the state; what may come in a state is listed in gwproto.h. After OPEN the texts are bandwidth
 * reports and errors. Binary frames are sealed with the shared key both ways; a push is opened in place.
 *
 * Handshake (spec gateway.md 6): X25519 and Ed25519 in four messages; the shared key is HKDF-BLAKE3 of the
 * exchange with our salt; the gateway's signature is checked with the key the directory gave.
 *
 * Used by bridge.c, the local network's exit, vectors and fuzzers. Not thread-safe, no clock.
 */
#include "mixnet/gwproto.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "mixnet/gwjson.h"
#include "mixnet/prim.h"

#define MSG1_LEN 80
#define MSG2_LEN 124
#define MSG3_LEN 92
#define SEALED_SIG 80
#define LOGIN_SIGNED (1 + 32 + 48 + GCMSIV_NONCE + 8)

const char *gw_state_name(enum gw_state s)
{
	static const char *const name[] = { "idle",	"version", "hello", "finish",
					    "register", "login",   "open",  "failed" };

	return name[s];
}

void gw_client_init(struct gw_client *g, const uint8_t identity_pk[32], const uint8_t identity_sk[64],
		    const uint8_t gateway_pk[32], struct rng *rng)
{
	memset(g, 0, sizeof(*g));
	memcpy(g->identity_pk, identity_pk, 32);
	memcpy(g->identity_sk, identity_sk, 64);
	memcpy(g->gateway_pk, gateway_pk, 32);
	g->rng = rng;
	g->version = GW_PROTO_MAX;
}

void gw_client_done(struct gw_client *g)
{
	prim_wipe(g, sizeof(*g));
}

static void set_error(struct gw_client *g, const char *text)
{
	log_printable(g->error, sizeof(g->error), text, strlen(text));
}

static int fail(struct gw_client *g, int err, const char *text)
{
	g->state = GW_FAILED;
	set_error(g, *text ? text : "no reason given");
	prim_wipe(g->eph_sk, sizeof(g->eph_sk));
	return err;
}

static int sent(struct gw_client *g, int len, size_t *out_len)
{
	if (len < 0)
		return fail(g, len, "text too long");
	*out_len = (size_t)len;
	return GW_OUT_SEND;
}

/* ---- first text ---- */

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* SPEC gateway.md 7.2. */
static int put_login(struct gw_client *g, int64_t wall_s, char *out, size_t cap)
{
	uint8_t m[LOGIN_SIGNED], sig[64];
	uint8_t *pk = m + 1, *sealed = pk + 32, *nonce = sealed + 48;

	m[0] = g->version;
	memcpy(pk, g->identity_pk, 32);
	rng_fill(g->rng, nonce, GCMSIV_NONCE);
	prim_gcmsiv_seal(sealed, g->key, nonce, pk, 32);
	put_be64(nonce + GCMSIV_NONCE, (uint64_t)wall_s);
	prim_ed25519_sign(sig, m, sizeof(m), g->identity_sk);
	return gwjson_dump(json_pack("{s:s,s:i,s:o,s:o,s:o,s:I,s:o}", "type", "authenticateV2",
				     "protocolVersion", (int)g->version, "clientIdentity",
				     gwjson_array(pk, 32), "addressCiphertext",
				     gwjson_base64_string(sealed, 48), "nonce",
				     gwjson_base64_string(nonce, GCMSIV_NONCE), "requestUnixTimestamp",
				     (json_int_t)wall_s, "requestSignature", gwjson_array(sig, 64)),
			   out, cap);
}

int gw_client_start(struct gw_client *g, int64_t wall_s, char *out, size_t cap, size_t *out_len)
{
	int n;

	if (g->have_key) {
		g->state = GW_LOGIN;
		n = put_login(g, wall_s, out, cap);
	} else {
		g->state = GW_VERSION;
		n = gwjson_dump(json_pack("{s:s}", "type", "supportedProtocol"), out, cap);
	}
	g->claiming = false;
	g->unanswered = g->before_claim = 0;
	n = sent(g, n, out_len);
	return n < 0 ? n : 0;
}

/* ---- registration ---- */

static int on_version(struct gw_client *g, const json_t *j, const char *type, char *out, size_t cap,
		      size_t *out_len)
{
	uint8_t m[MSG1_LEN];
	int64_t v;

	if (strcmp(type, "supportedProtocol"))
		return 0;
	if (gwjson_int(j, "version", 0, 255, NULL, &v) < 0)
		return fail(g, SMX_EPROTO, "malformed answer to the version query");
	if (v < GW_PROTO_MIN)
		return fail(g, SMX_EVERSION, "gateway speaks a protocol older than version 4");
	g->version = v < GW_PROTO_MAX ? (uint8_t)v : GW_PROTO_MAX;
	rng_fill(g->rng, g->eph_sk, sizeof(g->eph_sk));
	rng_fill(g->rng, g->salt, sizeof(g->salt));
	prim_x25519_base(g->eph_pk, g->eph_sk);
	memcpy(m, g->identity_pk, 32);
	memcpy(m + 32, g->eph_pk, 32);
	memcpy(m + 64, g->salt, 16);
	g->state = GW_HELLO;
	return sent(g, gwjson_handshake(out, cap, g->version, m, sizeof(m)), out_len);
}

/* Length of a handshake frame's data; message 2 decides the protocol version. */
static int handshake_data(struct gw_client *g, const json_t *j, const char *type, uint8_t *data, size_t cap)
{
	const int64_t missing = 0;
	int64_t v;
	int n;

	if (!strcmp(type, "handshakeError")) {
		const char *m = json_string_value(json_object_get(j, "message"));

		return fail(g, SMX_EREFUSED, m ? m : "handshake refused");
	}
	if (gwjson_int(j, "protocol_version", 0, 255, &missing, &v) < 0)
		return fail(g, SMX_EPROTO, "malformed handshake message");
	if (v > GW_PROTO_MAX)
		return fail(g, SMX_EVERSION, "gateway chose a protocol version we do not know");
	n = gwjson_bytes(j, "data", data, cap);
	if (n < 0)
		return fail(g, SMX_EPROTO, "malformed handshake message");
	if (g->state == GW_HELLO)
		g->version = (uint8_t)v;
	return n;
}

static bool is_handshake(const char *type)
{
	return !strcmp(type, "handshakePayload") || !strcmp(type, "handshakeError");
}

static int on_hello(struct gw_client *g, const json_t *j, const char *type, char *out, size_t cap,
		    size_t *out_len)
{
	uint8_t m2[MSG2_LEN], m3[MSG3_LEN], dh[32], sig[SEALED_SIG], both[64];
	int n, r;

	if (!is_handshake(type))
		return 0;
	n = handshake_data(g, j, type, m2, sizeof(m2));
	if (n < 0)
		return n;
	if (n != MSG2_LEN)
		return fail(g, SMX_EPROTO, "handshake message has the wrong length");
	r = prim_x25519(dh, g->eph_sk, m2);
	if (r == 0)
		prim_hkdf_blake3(g->key, sizeof(g->key), g->salt, sizeof(g->salt), dh, sizeof(dh));
	prim_wipe(dh, sizeof(dh));
	if (r == 0)
		r = prim_gcmsiv_open(sig, g->key, m2 + 32 + SEALED_SIG, m2 + 32, SEALED_SIG);
	memcpy(both, m2, 32);
	memcpy(both + 32, g->eph_pk, 32);
	if (r == 0)
		r = prim_ed25519_verify(sig, both, sizeof(both), g->gateway_pk);
	if (r < 0) {
		prim_wipe(g->key, sizeof(g->key));
		return fail(g, SMX_ECRYPTO, "gateway did not prove the identity the directory gave");
	}
	memcpy(both, g->eph_pk, 32);
	memcpy(both + 32, m2, 32);
	prim_ed25519_sign(sig, both, sizeof(both), g->identity_sk);
	rng_fill(g->rng, m3 + SEALED_SIG, GCMSIV_NONCE);
	prim_gcmsiv_seal(m3, g->key, m3 + SEALED_SIG, sig, 64);
	prim_wipe(g->eph_sk, sizeof(g->eph_sk));
	g->state = GW_FINISH;
	return sent(g, gwjson_handshake(out, cap, g->version, m3, sizeof(m3)), out_len);
}

static int on_finish(struct gw_client *g, const json_t *j, const char *type)
{
	uint8_t ok[1] = { 0 };
	int n;

	if (!is_handshake(type))
		return 0;
	n = handshake_data(g, j, type, ok, sizeof(ok));
	if (n < 0)
		return n;
	if (n != 1 || ok[0] != 1)
		return fail(g, SMX_EREFUSED, "gateway refused the handshake");
	g->state = GW_REGISTER;
	return 0;
}

static void note_upgrade(struct gw_client *g, const json_t *j)
{
	g->upgrade_mode = json_is_true(json_object_get(j, "upgrade_mode"));
}

static int on_register(struct gw_client *g, const json_t *j, const char *type)
{
	const int64_t missing = 0;
	int64_t v;

	if (strcmp(type, "register"))
		return 0;
	if (!json_is_true(json_object_get(j, "status")))
		return fail(g, SMX_EREFUSED, "gateway refused the registration");
	if (gwjson_int(j, "protocol_version", 0, 255, &missing, &v) < 0)
		return fail(g, SMX_EPROTO, "malformed answer to the registration");
	note_upgrade(g, j);
	g->have_key = true;
	g->bandwidth = 0;
	g->state = GW_OPEN;
	return GW_OUT_OPEN;
}

static int on_login(struct gw_client *g, const json_t *j, const char *type)
{
	const int64_t missing = 0;
	int64_t v, bw;

	if (strcmp(type, "authenticate"))
		return 0;
	if (!json_is_true(json_object_get(j, "status")))
		return fail(g, SMX_EREFUSED, "gateway refused the login");
	if (gwjson_int(j, "protocol_version", 0, 255, &missing, &v) < 0 || v > GW_PROTO_MAX ||
	    gwjson_int(j, "bandwidth_remaining", INT64_MIN, INT64_MAX, NULL, &bw) < 0)
		return fail(g, SMX_EPROTO, "malformed answer to the login");
	note_upgrade(g, j);
	g->bandwidth = bw;
	g->state = GW_OPEN;
	return GW_OUT_OPEN | GW_OUT_BANDWIDTH;
}

/* ---- after login ---- */

/* A text that answers a packet, unless it is a refusal of the claim: answers come in the order of requests.
 * GW_OUT_UNCLAIMED, when the claim's turn has come or is over. */
static int answered(struct gw_client *g)
{
	if (g->claiming && !g->before_claim) {
		g->claiming = false;
		return GW_OUT_UNCLAIMED;
	}
	g->before_claim -= g->claiming;
	g->unanswered -= g->unanswered > 0;
	return 0;
}

static int on_error(struct gw_client *g, const char *message)
{
	set_error(g, message);
	if (g->claiming && strstr(message, "only accepting coconut credentials")) {
		g->claiming = false;
		return GW_OUT_ERROR | GW_OUT_CREDENTIALS;
	}
	return GW_OUT_ERROR | answered(g);
}

static int on_typed_error(struct gw_client *g, const json_t *j)
{
	const json_t *oob = json_object_get(json_object_get(j, "error"), "out_of_bandwidth");

	if (!oob)
		return on_error(g, "gateway reported an error of a kind we do not know");
	if (gwjson_int(oob, "available", INT64_MIN, INT64_MAX, NULL, &g->bandwidth) < 0)
		return SMX_EPROTO;
	return GW_OUT_NO_BANDWIDTH | GW_OUT_BANDWIDTH | answered(g);
}

static int on_open(struct gw_client *g, const json_t *j, const char *type)
{
	const char *message = json_string_value(json_object_get(j, "message"));
	int r;

	if (!strcmp(type, "send")) {
		r = gwjson_int(j, "remaining_bandwidth", INT64_MIN, INT64_MAX, NULL, &g->bandwidth);
		if (r < 0)
			return r;
		note_upgrade(g, j);
		return GW_OUT_SENT | GW_OUT_BANDWIDTH | answered(g);
	}
	if (!strcmp(type, "bandwidth")) {
		r = gwjson_int(j, "available_total", INT64_MIN, INT64_MAX, NULL, &g->bandwidth);
		if (r < 0)
			return r;
		note_upgrade(g, j);
		g->claiming = false;
		return GW_OUT_BANDWIDTH;
	}
	if (!strcmp(type, "typedError"))
		return on_typed_error(g, j);
	if (!strcmp(type, "error"))
		return on_error(g, message ? message : "unknown error");
	return 0;
}

int gw_client_text(struct gw_client *g, const char *in, size_t len, char *out, size_t cap, size_t *out_len)
{
	json_t *j = gwjson_load(in, len);
	const char *type = json_string_value(json_object_get(j, "type"));
	const char *message = json_string_value(json_object_get(j, "message"));
	int r = 0;

	if (!type)
		r = g->state == GW_OPEN ? SMX_EPROTO
					: fail(g, SMX_EPROTO, "gateway sent a malformed message");
	else if (g->state != GW_OPEN && !strcmp(type, "error"))
		r = fail(g, SMX_EREFUSED, message ? message : "unknown error");
	else
		switch (g->state) {
		case GW_VERSION: r = on_version(g, j, type, out, cap, out_len); break;
		case GW_HELLO: r = on_hello(g, j, type, out, cap, out_len); break;
		case GW_FINISH: r = on_finish(g, j, type); break;
		case GW_REGISTER: r = on_register(g, j, type); break;
		case GW_LOGIN: r = on_login(g, j, type); break;
		case GW_OPEN: r = on_open(g, j, type); break;
		case GW_IDLE:
		case GW_FAILED: r = SMX_ESTATE; break;
		}
	json_decref(j);
	return r;
}

/* ---- requests ---- */

bool gw_client_wants_claim(const struct gw_client *g)
{
	return g->state == GW_OPEN && !g->claiming && !g->upgrade_mode && g->bandwidth < GW_BANDWIDTH_LOW;
}

int gw_client_claim(struct gw_client *g, char *out, size_t cap, size_t *out_len)
{
	int n;

	if (g->state != GW_OPEN || g->claiming)
		return 0;
	n = gwjson_dump(json_pack("{s:s}", "type", "claimFreeTestnetBandwidth"), out, cap);
	if (n < 0)
		return n;
	g->claiming = true;
	g->before_claim = g->unanswered;
	*out_len = (size_t)n;
	return GW_OUT_SEND;
}

int gw_client_forget(struct gw_client *g, char *out, size_t cap, size_t *out_len)
{
	static const char request[] = "{\"ForgetMe\":{\"client\":true,\"stats\":true}}";
	uint8_t nonce[GCMSIV_NONCE], sealed[sizeof(request) - 1 + GCMSIV_TAG];
	int n;

	if (g->state != GW_OPEN)
		return SMX_ESTATE;
	rng_fill(g->rng, nonce, sizeof(nonce));
	prim_gcmsiv_seal(sealed, g->key, nonce, (const uint8_t *)request, sizeof(request) - 1);
	n = gwjson_dump(json_pack("{s:s,s:o,s:o}", "type", "encryptedRequest", "ciphertext",
				  gwjson_array(sealed, sizeof(sealed)), "nonce",
				  gwjson_array(nonce, sizeof(nonce))),
			out, cap);
	if (n < 0)
		return n;
	*out_len = (size_t)n;
	return GW_OUT_SEND;
}

/* ---- binary frames (spec gateway.md 8) ---- */

int gw_client_push(struct gw_client *g, uint8_t *in, size_t len, uint8_t **ret_blob, size_t *ret_len)
{
	int r;

	if (g->state != GW_OPEN && g->state != GW_FINISH && g->state != GW_REGISTER && g->state != GW_LOGIN)
		return SMX_ESTATE;
	if (len < GW_FRAME_OVERHEAD || in[0] != 1 || in[1] != 1)
		return SMX_EPROTO;
	r = prim_gcmsiv_open(in + 14, g->key, in + 2, in + 14, len - 14);
	if (r < 0)
		return r;
	*ret_blob = in + 14;
	*ret_len = len - GW_FRAME_OVERHEAD;
	return 0;
}

int gw_client_seal(struct gw_client *g, uint8_t *out, size_t cap, const struct mixpacket *m)
{
	int n;

	if (g->state != GW_OPEN)
		return SMX_ESTATE;
	if (cap < GW_FRAME_OVERHEAD)
		return SMX_ELIMIT;
	n = mixpacket_put(out + 14, cap - GW_FRAME_OVERHEAD, m, g->version >= 5 ? 2 : 1);
	if (n < 0)
		return n;
	out[0] = g->version >= 5 ? 2 : 1;
	out[1] = 1;
	rng_fill(g->rng, out + 2, GCMSIV_NONCE);
	prim_gcmsiv_seal(out + 14, g->key, out + 2, out + 14, (size_t)n);
	return n + GW_FRAME_OVERHEAD;
}

void gw_client_sent(struct gw_client *g)
{
	g->unanswered++;
}
