/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.vec: both sides of the gateway link, each played alone against the recorded other side.
 *
 * A side that gives up closes the connection; unlike the reference our client sends no handshakeError before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/gwjson.h"
#include "mixnet/gwproto.h"
#include "mixnet/nympkt.h"
#include "mixnet/prim.h"
#include "tests/kat/kat.h"

#define HANDSHAKE_SALT_AT 64
#define MSG1 80
#define MSG2 124
#define MSG3 92

/* ---- sides ---- */

struct table { /* what the gateway of the vectors remembers: one client or none */
	struct gw_server_client c;
	bool known, busy, forgotten;
};

static bool lookup(void *owner, const uint8_t pk[32], struct gw_server_client *c)
{
	struct table *t = owner;

	if (!t->known || memcmp(t->c.pk, pk, 32))
		return false;
	*c = t->c;
	return true;
}

static bool active(void *owner, const uint8_t pk[32])
{
	struct table *t = owner;

	(void)pk;
	return t->busy;
}

static void store(void *owner, const struct gw_server_client *c)
{
	struct table *t = owner;

	t->c = *c;
	t->known = true;
}

static void forget(void *owner, const uint8_t pk[32])
{
	struct table *t = owner;

	(void)pk;
	t->forgotten = true;
}

struct server {
	struct gw_server s;
	struct table t;
	struct gw_server_ops ops;
	struct kat_rng rng;
	char out[GW_TEXT_MAX], out2[GW_TEXT_MAX];
};

static void server_init(struct server *v, struct kat_block *b, const uint8_t seed[32])
{
	uint8_t pk[32], sk[64];

	memset(v, 0, sizeof(*v));
	v->ops = (struct gw_server_ops){ lookup, active, store, forget, &v->t };
	kat_rng_init(&v->rng, b);
	prim_ed25519_keypair(pk, sk, seed);
	gw_server_init(&v->s, pk, sk, &v->rng.rng);
}

static int server_text(struct server *v, int64_t wall_s, const char *text)
{
	return gw_server_text(&v->s, &v->ops, wall_s, text, strlen(text), v->out, v->out2);
}

/* A gateway with a client that is logged in under this key. */
static void server_open(struct server *v, struct kat_block *b, const uint8_t key[32], int64_t bandwidth)
{
	static const uint8_t seed[32];

	server_init(v, b, seed);
	memcpy(v->s.who.key, key, 32);
	v->s.who.bandwidth = bandwidth;
	v->s.version = GW_PROTO_MAX;
	v->s.state = GWS_OPEN;
}

struct client {
	struct gw_client g;
	struct kat_rng rng;
	char out[GW_TEXT_MAX];
	size_t out_len;
};

static void client_init(struct client *c, struct kat_block *b, const uint8_t *seed, const uint8_t *gateway)
{
	uint8_t pk[32], sk[64];

	memset(c, 0, sizeof(*c));
	kat_rng_init(&c->rng, b);
	prim_ed25519_keypair(pk, sk, seed);
	gw_client_init(&c->g, pk, sk, gateway, &c->rng.rng);
}

static int client_text(struct client *c, const char *text)
{
	int r;

	c->out_len = 0;
	r = gw_client_text(&c->g, text, strlen(text), c->out, sizeof(c->out), &c->out_len);
	if (r > 0 && (r & GW_OUT_SEND))
		c->out[c->out_len] = '\0';
	return r;
}

static void client_open(struct client *c, struct kat_block *b, const uint8_t key[32], enum gw_state state)
{
	static const uint8_t zero[32];

	client_init(c, b, zero, zero);
	memcpy(c->g.key, key, 32);
	c->g.version = GW_PROTO_MAX;
	c->g.have_key = true;
	c->g.state = state;
}

/* ---- registration ---- */

/* Text i is not what the side that sent it had written. */
static bool touched(struct kat_block *b, unsigned i)
{
	const char *text = kat_str(b, kat_key("message%u.text", i));

	return !strncmp(text, "{\"data\"", 7) ||
	       (i == 2 && (strstr(b->name, "version") || !strcmp(b->name, "handshake/bad/error")));
}

static bool is_error(const char *text)
{
	return strstr(text, "\"handshakeError\"") != NULL;
}

/* Bytes at off of a message's data, zeros when it is too short for them. */
static const uint8_t *data_at(struct kat_block *b, unsigned i, size_t off, size_t want_len)
{
	static const uint8_t zero[32];
	size_t len;
	const uint8_t *p;

	if (!kat_has(b, kat_key("message%u.data", i)))
		return zero;
	p = kat_bytes(b, kat_key("message%u.data", i), &len);
	return len == want_len ? p + off : zero;
}

static void same_data(struct kat_block *b, unsigned i, const char *text)
{
	json_t *j = gwjson_load(text, strlen(text));
	uint8_t data[128];
	int n = gwjson_bytes(j, "data", data, sizeof(data));

	json_decref(j);
	kat_eq(b, kat_key("message%u.data", i), data, n < 0 ? 0 : (size_t)n);
}

static void play_client(struct kat_block *b, bool other_gateway)
{
	int64_t proposed = kat_num(b, "proposed_version");
	bool fails = strcmp(kat_str(b, "client_error"), "none") != 0;
	char version[64];
	struct client c;
	int r;

	client_init(&c, b, kat_fixed(b, "client_seed", 32), kat_fixed(b, "gateway_identity", 32));
	if (!other_gateway)
		kat_eq(b, "client_identity", c.g.identity_pk, 32);
	kat_rng_feed_key(&c.rng, "client_ephemeral_secret");
	kat_rng_feed(&c.rng, data_at(b, 1, HANDSHAKE_SALT_AT, MSG1), 16);
	if (kat_has(b, "message3.data"))
		kat_rng_feed(&c.rng, data_at(b, 3, MSG3 - 12, MSG3), 12);
	if (gw_client_start(&c.g, 0, c.out, sizeof(c.out), &c.out_len))
		kat_fail(b, "start");
	snprintf(version, sizeof(version), "{\"type\":\"supportedProtocol\",\"version\":%d}", (int)proposed);
	r = client_text(&c, version);
	if (r != GW_OUT_SEND) {
		kat_fail(b, "version answer: %d", r);
		return;
	}
	if (!touched(b, 1))
		same_data(b, 1, c.out);
	if (!touched(b, 1) && proposed <= GW_PROTO_MAX) /* we never propose what we do not know */
		kat_eq_str(b, "message1.text", c.out);
	r = client_text(&c, kat_str(b, "message2.text"));
	if (r >= 0 && !touched(b, 3))
		kat_eq_str(b, "message3.text", c.out);
	if (r >= 0 && !is_error(kat_str(b, "message3.text"))) {
		if (kat_has(b, "shared_key"))
			kat_eq(b, "shared_key", c.g.key, 32);
		r = client_text(&c, kat_str(b, "message4.text"));
		kat_rng_end(&c.rng);
	}
	if ((r < 0) != fails || (c.g.state == GW_FAILED) != fails || (c.g.error[0] != '\0') != fails)
		kat_fail(b, "client: %d, state %s", r, gw_state_name(c.g.state));
	if (!fails && (c.g.state != GW_REGISTER || c.g.version != kat_num(b, "negotiated_version")))
		kat_fail(b, "client: state %s", gw_state_name(c.g.state));
	gw_client_done(&c.g);
}

/* The gateway's messages are 2 and 4; it answers the client's 1 and 3, whatever became of its own
 * on the way. */
static void play_server(struct kat_block *b)
{
	bool fails = strcmp(kat_str(b, "gateway_error"), "none") != 0;
	struct server v;
	int r;

	server_init(&v, b, kat_fixed(b, "gateway_seed", 32));
	kat_rng_feed_key(&v.rng, "gateway_ephemeral_secret");
	kat_rng_feed(&v.rng, data_at(b, 2, MSG2 - 12, MSG2), 12);
	r = server_text(&v, 0, kat_str(b, "message1.text"));
	if (!touched(b, 2) && !is_error(kat_str(b, "message2.text")))
		kat_eq_str(b, "message2.text", v.out);
	/* Only a message 1 that was touched is refused at once. */
	if ((r == GWS_SEND) == touched(b, 1))
		kat_fail(b, "gateway: message 1: %d", r);
	if (r == GWS_SEND) {
		r = server_text(&v, 0, kat_str(b, "message3.text"));
		if (!fails && !touched(b, 4))
			kat_eq_str(b, "message4.text", v.out);
	}
	if (fails ? !(r & GWS_CLOSE) || !is_error(v.out) || v.s.state != GWS_CLOSED
		  : r != (GWS_SEND | GWS_SEND2 | GWS_OPEN_NOW) || v.s.state != GWS_OPEN)
		kat_fail(b, "gateway: %d, state %d", r, v.s.state);
	if (!fails && kat_has(b, "shared_key"))
		kat_eq(b, "shared_key", v.t.c.key, 32);
	if (!fails && v.s.version == GW_PROTO_MAX)
		kat_eq_str(kat_block(b, "responses"), "register", v.out2);
	gw_server_done(&v.s);
}

/* A client that has the session's key but not the identity it claims: no vector has that. */
static void play_impostor(struct kat_block *b)
{
	static const uint8_t zero[32];
	struct client c;
	struct server v;
	int r;

	client_init(&c, b, kat_fixed(b, "client_seed", 32), kat_fixed(b, "gateway_identity", 32));
	prim_ed25519_keypair((uint8_t[32]){ 0 }, c.g.identity_sk, zero);
	kat_rng_feed_key(&c.rng, "client_ephemeral_secret");
	kat_rng_feed(&c.rng, zero, 16 + 12);
	server_init(&v, b, kat_fixed(b, "gateway_seed", 32));
	kat_rng_feed_key(&v.rng, "gateway_ephemeral_secret");
	kat_rng_feed(&v.rng, zero, 12);
	gw_client_start(&c.g, 0, c.out, sizeof(c.out), &c.out_len);
	r = client_text(&c, "{\"type\":\"supportedProtocol\",\"version\":6}");
	if (r != GW_OUT_SEND || server_text(&v, 0, c.out) != GWS_SEND ||
	    client_text(&c, v.out) != GW_OUT_SEND)
		kat_fail(b, "impostor: not so far");
	r = server_text(&v, 0, c.out);
	if (r != (GWS_SEND | GWS_SEND2 | GWS_CLOSE) || !is_error(v.out) || v.t.known)
		kat_fail(b, "impostor: %d %s", r, v.out);
}

static void run_handshake(struct kat_block *b)
{
	play_client(b, false);
	play_server(b);
	if (!strcmp(b->name, "handshake/6"))
		play_impostor(b);
}

/* The client was told another identity than the gateway has. */
static void run_other_gateway(struct kat_block *b)
{
	play_client(b, true);
	play_server(b);
}

/* ---- login ---- */

/* A login with one thing wrong, rightly signed unless the signature is what is wrong. SPEC gateway.md 7.2. */
static void false_login(struct kat_block *b, const char *what, const char *answer)
{
	static const uint8_t zero[32];
	bool skew = !strcmp(what, "skew");
	int64_t wall_s = kat_num(b, "timestamp");
	struct client c;
	struct server v;
	int r;

	client_init(&c, b, kat_fixed(b, "client_seed", 32), zero);
	memcpy(c.g.key, kat_fixed(b, "shared_key", 32), 32);
	c.g.have_key = true;
	c.g.version = !strcmp(what, "old") ? 3 : !strcmp(what, "new") ? 7 : (uint8_t)kat_num(b, "version");
	c.g.key[0] ^= !strcmp(what, "address");
	if (!strcmp(what, "signature"))
		prim_ed25519_keypair((uint8_t[32]){ 0 }, c.g.identity_sk, zero);
	kat_rng_feed_key(&c.rng, "nonce");
	if (gw_client_start(&c.g, wall_s, c.out, sizeof(c.out), &c.out_len))
		kat_fail(b, "no login text");
	server_init(&v, b, zero);
	v.t.known = strcmp(what, "unknown") != 0;
	memcpy(v.t.c.key, kat_fixed(b, "shared_key", 32), 32);
	memcpy(v.t.c.pk, kat_fixed(b, "client_identity", 32), 32);
	v.t.busy = !strcmp(what, "active");
	for (int side = skew ? -1 : 0; side <= (skew ? 1 : 0); side += 2) {
		v.s.state = GWS_NEW;
		r = server_text(&v, wall_s + side * 121, c.out);
		if (r != (GWS_SEND | GWS_SEND2 | GWS_CLOSE) || !strstr(v.out, answer) ||
		    strcmp(v.out, v.out2))
			kat_fail(b, "login with false %s: %d %s", what, r, v.out);
	}
}

static void run_login(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "shared_key", 32), *pk = kat_fixed(b, "client_identity", 32);
	int64_t wall_s = kat_num(b, "timestamp");
	uint8_t version = (uint8_t)kat_num(b, "version");
	static const uint8_t zero[32];
	const uint8_t *signed_;
	struct client c;
	struct server v;
	size_t len;
	int r;

	signed_ = kat_bytes(b, "signed", &len);
	if (prim_ed25519_verify(kat_fixed(b, "signature", 64), signed_, len, pk) < 0 || len < 81 ||
	    memcmp(signed_ + 33, kat_fixed(b, "address_ciphertext", 48), 48))
		kat_fail(b, "signed bytes");
	client_init(&c, b, kat_fixed(b, "client_seed", 32), zero);
	memcpy(c.g.key, key, 32);
	c.g.have_key = true;
	c.g.version = version;
	kat_rng_feed_key(&c.rng, "nonce");
	if (gw_client_start(&c.g, wall_s, c.out, sizeof(c.out), &c.out_len))
		kat_fail(b, "no login text");
	kat_rng_end(&c.rng);
	kat_eq_str(b, "json", c.out);

	server_init(&v, b, zero);
	v.t.known = true;
	memcpy(v.t.c.key, key, 32);
	memcpy(v.t.c.pk, pk, 32);
	v.t.c.bandwidth = 68719400000;
	r = server_text(&v, wall_s + 120, kat_str(b, "json"));
	if (r != (GWS_SEND | GWS_OPEN_NOW) || v.s.version != version || v.t.c.last_login_s != wall_s)
		kat_fail(b, "gateway: %d %s", r, v.out);
	if (version == GW_PROTO_MAX)
		kat_eq_str(kat_block(b, "responses"), "authenticate", v.out);
	r = client_text(&c, v.out);
	if (r != (GW_OUT_OPEN | GW_OUT_BANDWIDTH) || c.g.bandwidth != 68719400000)
		kat_fail(b, "client: %d", r);
	/* The same text a second time is a replay. */
	v.s.state = GWS_NEW;
	if (!(server_text(&v, wall_s, kat_str(b, "json")) & GWS_CLOSE))
		kat_fail(b, "replay taken");
	/* SPEC gateway.md 11 has the texts. */
	false_login(b, "old", "incompatible protocol version");
	false_login(b, "new", "incompatible protocol version");
	false_login(b, "skew", "excessively skewed");
	false_login(b, "signature", "failed to verify request signature");
	false_login(b, "unknown", "the client is not registered");
	false_login(b, "address", "failed to verify provided address ciphertext");
	false_login(b, "active", "already an open connection");
}

/* ---- requests ---- */

static void run_requests(struct kat_block *b)
{
	static const char *const sealed[] = { "forget_me_client", "forget_me_both", "remember_me_mixnet",
					      "remember_me_native" };
	const uint8_t *key = kat_fixed(b, "shared_key", 32);
	static const uint8_t nonce[12];
	struct client c;
	struct server v;

	client_open(&c, b, key, GW_OPEN);
	c.g.have_key = false;
	if (gw_client_start(&c.g, 0, c.out, sizeof(c.out), &c.out_len))
		kat_fail(b, "version query");
	kat_eq_str(b, "supported_protocol", c.out);
	c.g.state = GW_OPEN;
	if (gw_client_claim(&c.g, c.out, sizeof(c.out), &c.out_len) != GW_OUT_SEND)
		kat_fail(b, "claim");
	kat_eq_str(b, "claim", c.out);
	kat_rng_feed_key(&c.rng, "forget_me_both.nonce");
	if (gw_client_forget(&c.g, c.out, sizeof(c.out), &c.out_len) != GW_OUT_SEND)
		kat_fail(b, "forget me");
	kat_eq_str(b, "forget_me_both.json", c.out);
	for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++) {
		server_open(&v, b, key, 0);
		kat_rng_feed(&v.rng, nonce, sizeof(nonce));
		if (server_text(&v, 0, kat_str(b, kat_key("%s.json", sealed[i]))) != GWS_SEND ||
		    !strstr(v.out, "encryptedResponse") || v.t.forgotten != !strncmp(sealed[i], "forget", 6))
			kat_fail(b, "%s: %s", sealed[i], v.out);
	}
	kat_skip(b, "jwt");
	kat_skip(b, "ecash");
	kat_skip(b, "register_init");
}

/* The variant shows in the answer: before login, and after it. */
static bool as_parsed(struct kat_block *b, const char *result, const char *text)
{
	static const uint8_t seed[32];
	struct server fresh, open;

	server_init(&fresh, b, seed);
	server_text(&fresh, 0, text);
	server_open(&open, b, seed, 0);
	server_text(&open, 0, text);
	if (!strcmp(result, "SupportedProtocol"))
		return strstr(fresh.out, "supportedProtocol") && strstr(open.out, "supportedProtocol");
	if (!strcmp(result, "RegisterHandshakeInitRequest"))
		return is_error(fresh.out) && fresh.s.state == GWS_CLOSED;
	if (!strcmp(result, "ClaimFreeTestnetBandwidth"))
		return fresh.s.state == GWS_CLOSED && strstr(open.out, "\"bandwidth\"");
	if (!strcmp(result, "EcashCredential") || !strcmp(result, "UpgradeModeJWT"))
		return fresh.s.state == GWS_CLOSED && strstr(open.out, "credentials");
	return !strcmp(result, "no") && fresh.s.state == GWS_CLOSED && strstr(open.out, "\"error\"");
}

/* A malformed wrapper and one that is only too short get the same answer, so these are asked apart. */
static bool is_wrapper(const char *text)
{
	static const int64_t missing = 0;
	json_t *j = gwjson_load(text, strlen(text));
	uint8_t data[8];
	int64_t v;
	bool ok = gwjson_int(j, "protocol_version", 0, 255, &missing, &v) == 0 &&
		  gwjson_bytes(j, "data", data, sizeof(data)) >= 0;

	json_decref(j);
	return ok;
}

static void run_requests_parse(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("text%u", i)); i++) {
		const char *text = kat_str(b, kat_key("text%u", i));
		const char *result = kat_str(b, kat_key("result%u", i));

		if (!as_parsed(b, result, text) ||
		    is_wrapper(text) != !strcmp(result, "RegisterHandshakeInitRequest"))
			kat_fail(b, "text %u", i);
	}
}

/* ---- responses ---- */

static void seal_request(char out[GW_TEXT_MAX], const uint8_t key[32], const char *plain)
{
	static const uint8_t nonce[12] = { 1 };
	uint8_t sealed[128];
	size_t len = strlen(plain);

	prim_gcmsiv_seal(sealed, key, nonce, (const uint8_t *)plain, len);
	gwjson_dump(json_pack("{s:s,s:o,s:o}", "type", "encryptedRequest", "ciphertext",
			      gwjson_array(sealed, len + 16), "nonce", gwjson_array(nonce, sizeof(nonce))),
		    out, GW_TEXT_MAX);
}

static void gateway_writes(struct kat_block *b, const uint8_t key[32])
{
	static uint8_t packet[2413], frame[GW_FRAME_MAX], copy[GW_FRAME_MAX];
	static const uint8_t nonce[12];
	struct mixpacket m = { .rotation = ROTATION_ODD, .packet = packet, .packet_len = sizeof(packet) },
			 got;
	char request[GW_TEXT_MAX];
	struct client c;
	struct server v;
	int n;

	server_open(&v, b, key, 0);
	server_text(&v, 0, "{\"type\":\"supportedProtocol\"}");
	kat_eq_str(b, "supported_protocol", v.out);
	server_text(&v, 0, "{\"type\":\"claimFreeTestnetBandwidth\"}");
	kat_eq_str(b, "bandwidth", v.out);
	addr_parse(&m.next_hop, "192.0.2.1:1789", 0);
	client_open(&c, b, key, GW_OPEN);
	kat_rng_feed(&c.rng, nonce, sizeof(nonce));
	n = gw_client_seal(&c.g, frame, sizeof(frame), &m);
	memcpy(copy, frame, sizeof(copy));
	if (n < 0 || gw_server_binary(&v.s, frame, (size_t)n, &got, v.out) != (GWS_SEND | GWS_FORWARD))
		kat_fail(b, "a packet: %d", n);
	kat_eq_str(b, "send", v.out);
	v.s.who.bandwidth = 0;
	if (gw_server_binary(&v.s, copy, (size_t)n, &got, v.out) != GWS_SEND)
		kat_fail(b, "a packet without bandwidth was taken");
	kat_eq_str(b, "out_of_bandwidth", v.out);
	seal_request(request, key, "{\"ForgetMe\":{\"client\":true,\"stats\":false}}");
	kat_rng_feed_key(&v.rng, "forget_me_ack.nonce");
	server_text(&v, 0, request);
	kat_eq_str(b, "forget_me_ack.json", v.out);
	seal_request(request, key, "{\"RememberMe\":{\"session_type\":\"Mixnet\"}}");
	kat_rng_feed_key(&v.rng, "remember_me_ack.nonce");
	server_text(&v, 0, request);
	kat_eq_str(b, "remember_me_ack.json", v.out);
}

/* What the client makes of one answer. */
static void understands(struct kat_block *b, const char *name, enum gw_state before, int want,
			enum gw_state after)
{
	static const uint8_t key[32];
	struct client c;
	int r;

	client_open(&c, b, key, before);
	kat_rng_feed(&c.rng, key, 32);
	kat_rng_feed(&c.rng, key, 16);
	r = client_text(&c, kat_str(b, name));
	if (r != want || c.g.state != after)
		kat_fail(b, "%s: %d, state %s", name, r, gw_state_name(c.g.state));
	if (!strcmp(name, "bandwidth_negative") && c.g.bandwidth != -1)
		kat_fail(b, "%s: %lld", name, (long long)c.g.bandwidth);
	if (!strcmp(name, "authenticate_upgrade") && !c.g.upgrade_mode)
		kat_fail(b, "%s: no upgrade mode", name);
}

static void run_responses(struct kat_block *b)
{
	understands(b, "supported_protocol", GW_VERSION, GW_OUT_SEND, GW_HELLO);
	understands(b, "register", GW_REGISTER, GW_OUT_OPEN, GW_OPEN);
	understands(b, "register_no", GW_REGISTER, SMX_EREFUSED, GW_FAILED);
	understands(b, "authenticate", GW_LOGIN, GW_OUT_OPEN | GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "authenticate_upgrade", GW_LOGIN, GW_OUT_OPEN | GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "bandwidth", GW_OPEN, GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "bandwidth_negative", GW_OPEN, GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "send", GW_OPEN, GW_OUT_SENT | GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "error", GW_OPEN, GW_OUT_ERROR, GW_OPEN);
	understands(b, "error", GW_LOGIN, SMX_EREFUSED, GW_FAILED);
	understands(b, "error_escapes", GW_OPEN, GW_OUT_ERROR, GW_OPEN);
	understands(b, "out_of_bandwidth", GW_OPEN, GW_OUT_NO_BANDWIDTH | GW_OUT_BANDWIDTH, GW_OPEN);
	understands(b, "ticket_replay", GW_OPEN, GW_OUT_ERROR, GW_OPEN);
	understands(b, "forget_me_ack.json", GW_OPEN, 0, GW_OPEN);
	understands(b, "remember_me_ack.json", GW_OPEN, 0, GW_OPEN);
	gateway_writes(b, kat_fixed(b, "shared_key", 32));
}

/* Number behind a name in the crate's debug print. */
static bool printed(const char *result, const char *name, int64_t *ret)
{
	const char *p = strstr(result, name);

	if (p)
		*ret = strtoll(p + strlen(name), NULL, 10);
	return p != NULL;
}

static void run_responses_parse(struct kat_block *b)
{
	static const uint8_t key[32];

	for (unsigned i = 0; kat_has(b, kat_key("text%u", i)); i++) {
		const char *text = kat_str(b, kat_key("text%u", i)),
			   *want = kat_str(b, kat_key("result%u", i));
		bool no = !strcmp(want, "no"), login = strstr(text, "authenticate"),
		     reg = strstr(text, "register");
		bool version = strstr(text, "supportedProtocol");
		struct client c;
		int64_t v;
		int r;

		client_open(&c, b, key,
			    login     ? GW_LOGIN
			    : reg     ? GW_REGISTER
			    : version ? GW_VERSION
				      : GW_OPEN);
		c.g.bandwidth = 77;
		kat_rng_feed(&c.rng, key, 32);
		kat_rng_feed(&c.rng, key, 16);
		r = client_text(&c, text);
		/* Unknown types and errors without a text reach the log and nothing else. */
		if (no &&
		    (login || reg || version ? r >= 0 : (r > 0 && r != GW_OUT_ERROR) || c.g.bandwidth != 77))
			kat_fail(b, "text %u: %d", i, r);
		if (!no && strstr(want, "status: false") ? r != SMX_EREFUSED : !no && r < 0)
			kat_fail(b, "text %u: %d", i, r);
		if (!no && r > 0 && (r & GW_OUT_BANDWIDTH) &&
		    (!(printed(want, "bandwidth_remaining: ", &v) || printed(want, "available_total: ", &v) ||
		       printed(want, "remaining_bandwidth: ", &v) || printed(want, "available: ", &v)) ||
		     v != c.g.bandwidth))
			kat_fail(b, "text %u: %lld bytes left", i, (long long)c.g.bandwidth);
		if (!no && c.g.upgrade_mode != (strstr(want, "upgrade_mode: true") != NULL))
			kat_fail(b, "text %u: upgrade mode", i);
	}
}

/* ---- binary frames ---- */

static void run_forward(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "shared_key", 32), *plain, *hop;
	int version = strstr(b->name, "v1") ? 1 : 2;
	uint8_t frame[GW_FRAME_MAX], mix[MIXPACKET_MAX];
	struct mixpacket m = { 0 }, got;
	struct client c;
	struct server v;
	size_t len;
	int n;

	hop = kat_bytes(b, "next_hop", &len);
	plain = kat_bytes(b, "plaintext", &len);
	m.packet = kat_bytes(b, "packet", &m.packet_len);
	m.rotation = version == 2 ? plain[1] : ROTATION_UNKNOWN;
	if (nym_addr_get(&m.next_hop, hop, 19) < 0)
		kat_fail(b, "next_hop");
	n = mixpacket_put(mix, sizeof(mix), &m, version);
	kat_eq(b, "plaintext", mix, n < 0 ? 0 : (size_t)n);
	n = 0;
	/* SPEC gateway.md 8: kind 2 from version 5 on. */
	for (int proto = version == 2 ? 5 : 4; proto <= (version == 2 ? GW_PROTO_MAX : 4); proto++) {
		client_open(&c, b, key, GW_OPEN);
		c.g.version = (uint8_t)proto;
		kat_rng_feed_key(&c.rng, "nonce");
		n = gw_client_seal(&c.g, frame, sizeof(frame), &m);
		kat_eq(b, "frame", frame, n < 0 ? 0 : (size_t)n);
	}
	server_open(&v, b, key, GW_FREE_GRANT);
	if (n < 0 || gw_server_binary(&v.s, frame, (size_t)n, &got, v.out) != (GWS_SEND | GWS_FORWARD) ||
	    got.packet_len != m.packet_len || memcmp(got.packet, m.packet, m.packet_len) ||
	    !addr_equal(&got.next_hop, &m.next_hop) || got.rotation != m.rotation)
		kat_fail(b, "gateway: %s", v.out);
}

static void run_push(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "shared_key", 32), *msg;
	uint8_t frame[4096], *blob;
	struct client c;
	struct server v;
	size_t len, got;
	int n;

	msg = kat_bytes(b, "message", &len);
	server_open(&v, b, key, 0);
	kat_rng_feed_key(&v.rng, "nonce");
	n = gw_server_push(&v.s, frame, sizeof(frame), msg, len);
	kat_eq(b, "frame", frame, n < 0 ? 0 : (size_t)n);
	client_open(&c, b, key, GW_OPEN);
	if (n < 0 || gw_client_push(&c.g, frame, (size_t)n, &blob, &got) || got != len ||
	    memcmp(blob, msg, len))
		kat_fail(b, "client");
}

static void run_binary_bad(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "shared_key", 32);

	for (size_t i = 0; i < b->n; i++) {
		const char *name = b->item[i].key, *dot = strchr(name, '.');
		int stem = (int)(dot - name);
		uint8_t frame[256], *blob;
		const uint8_t *p;
		struct client c;
		size_t len, got;
		int r;

		if (!dot || strcmp(dot, ".frame"))
			continue;
		p = kat_bytes(b, name, &len);
		if (len > sizeof(frame)) {
			kat_fail(b, "%s is too long", name);
			continue;
		}
		memcpy(frame, p, len);
		client_open(&c, b, key, GW_OPEN);
		r = gw_client_push(&c.g, frame, len, &blob, &got);
		if (kat_has(b, kat_key("%.*s.error", stem, name))) {
			bool crypto = !strcmp(kat_str(b, kat_key("%.*s.error", stem, name)),
					      "KeyUsageFailure/AeadFailure");

			/* Too short for nonce and tag is malformed to us, undecipherable to the reference. */
			if (r != (crypto && len >= GW_FRAME_OVERHEAD ? SMX_ECRYPTO : SMX_EPROTO))
				kat_fail(b, "%s: %d", name, r);
		} else if (!kat_skip(b, name)) {
			kat_eq(b, kat_key("%.*s.message", stem, name), blob, r ? 0 : got);
		} else if (r != SMX_EPROTO) {
			kat_fail(b, "%s: %d", name, r);
		}
	}
}

KAT_KINDS({ "handshake/", run_handshake }, { "handshake/bad/other-gateway", run_other_gateway },
	  { "authenticate-v2/", run_login }, { "requests", run_requests },
	  { "requests/parse", run_requests_parse }, { "responses", run_responses },
	  { "responses/parse", run_responses_parse }, { "binary/forward-v1", run_forward },
	  { "binary/forward-v2-odd", run_forward }, { "binary/forward-v2-even-ipv6", run_forward },
	  { "binary/push/", run_push }, { "binary/bad", run_binary_bad });
