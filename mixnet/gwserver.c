/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateway side of the client link, for the local network and the vectors (spec gateway.md 6, 7, 8, 14).
 *
 * States: NEW (only version queries, registration and login are taken), HELLO (message 2 sent), OPEN, CLOSED.
 * Checks of a login are made in the order of 7.2. Errors before login close the connection; those of
 * registration and login are sent twice (section 11). The table of clients belongs to the caller, reached
 * through gw_server_ops.
 */
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "mixnet/gwjson.h"
#include "mixnet/gwproto.h"
#include "mixnet/prim.h"

#define SKEW_S 120
#define SEALED_SIG 80

void gw_server_init(struct gw_server *s, const uint8_t identity_pk[32], const uint8_t identity_sk[64],
		    struct rng *rng)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->identity_pk, identity_pk, 32);
	memcpy(s->identity_sk, identity_sk, 64);
	s->rng = rng;
	s->max_version = GW_PROTO_MAX;
}

void gw_server_done(struct gw_server *s)
{
	prim_wipe(s, sizeof(*s));
}

static int put_error(char out[GW_TEXT_MAX], const char *type, const char *message)
{
	return gwjson_dump(json_pack("{s:s,s:s}", "type", type, "message", message), out, GW_TEXT_MAX);
}

/* Refusal of a registration or login. first: type of the first of the two texts. */
static int refuse(struct gw_server *s, const char *first, const char *message, char out[GW_TEXT_MAX],
		  char out2[GW_TEXT_MAX])
{
	s->state = GWS_CLOSED;
	put_error(out, first, message);
	put_error(out2, "error", message);
	return GWS_SEND | GWS_SEND2 | GWS_CLOSE;
}

static int refuse_once(struct gw_server *s, const char *message, char out[GW_TEXT_MAX])
{
	s->state = GWS_CLOSED;
	put_error(out, "error", message);
	return GWS_SEND | GWS_CLOSE;
}

/* ---- registration ---- */

static int register_init(struct gw_server *s, const struct gw_server_ops *ops, const json_t *j,
			 char out[GW_TEXT_MAX], char out2[GW_TEXT_MAX])
{
	static const char malformed[] = "Failed to perform registration handshake: malformed message";
	const int64_t missing = 0;
	uint8_t m1[80], m2[124], dh[32], both[64], sig[64];
	int64_t v;

	if (gwjson_int(j, "protocol_version", 0, 255, &missing, &v) < 0 ||
	    gwjson_bytes(j, "data", m1, sizeof(m1)) != 80 || !prim_ed25519_valid(m1))
		return refuse(s, "handshakeError", malformed, out, out2);
	if (ops->active(ops->owner, m1))
		return refuse(s, "error", "There is already an open connection to this client", out, out2);
	s->version = v < GW_PROTO_MAX ? (uint8_t)v : GW_PROTO_MAX;
	memcpy(s->client_pk, m1, 32);
	memcpy(s->client_eph, m1 + 32, 32);
	rng_fill(s->rng, s->eph_sk, sizeof(s->eph_sk));
	prim_x25519_base(s->eph_pk, s->eph_sk);
	memset(&s->who, 0, sizeof(s->who));
	memcpy(s->who.pk, s->client_pk, 32);
	if (prim_x25519(dh, s->eph_sk, s->client_eph) < 0)
		return refuse(s, "handshakeError", malformed, out, out2);
	prim_hkdf_blake3(s->who.key, 32, m1 + 64, 16, dh, 32);
	prim_wipe(dh, sizeof(dh));
	memcpy(both, s->eph_pk, 32);
	memcpy(both + 32, s->client_eph, 32);
	prim_ed25519_sign(sig, both, sizeof(both), s->identity_sk);
	memcpy(m2, s->eph_pk, 32);
	rng_fill(s->rng, m2 + 32 + SEALED_SIG, GCMSIV_NONCE);
	prim_gcmsiv_seal(m2 + 32, s->who.key, m2 + 32 + SEALED_SIG, sig, 64);
	prim_wipe(s->eph_sk, sizeof(s->eph_sk));
	s->state = GWS_HELLO;
	gwjson_handshake(out, GW_TEXT_MAX, s->version, m2, sizeof(m2));
	return GWS_SEND;
}

static int register_finish(struct gw_server *s, const struct gw_server_ops *ops, const json_t *j,
			   char out[GW_TEXT_MAX], char out2[GW_TEXT_MAX])
{
	static const char failed[] =
		"Failed to perform registration handshake: the client did not prove its identity";
	const uint8_t one = 1;
	uint8_t m3[92], sig[SEALED_SIG], both[64];
	struct gw_server_client old;

	if (gwjson_bytes(j, "data", m3, sizeof(m3)) != 92 ||
	    prim_gcmsiv_open(sig, s->who.key, m3 + SEALED_SIG, m3, SEALED_SIG) < 0)
		return refuse(s, "handshakeError", failed, out, out2);
	memcpy(both, s->client_eph, 32);
	memcpy(both + 32, s->eph_pk, 32);
	if (prim_ed25519_verify(sig, both, sizeof(both), s->client_pk) < 0)
		return refuse(s, "handshakeError", failed, out, out2);
	/* Registering again re-keys and keeps the balance. */
	if (ops->lookup(ops->owner, s->client_pk, &old)) {
		s->who.bandwidth = old.bandwidth;
		s->who.last_login_s = old.last_login_s;
	}
	ops->store(ops->owner, &s->who);
	s->state = GWS_OPEN;
	gwjson_handshake(out, GW_TEXT_MAX, s->version, &one, 1);
	gwjson_dump(json_pack("{s:s,s:i,s:b,s:b}", "type", "register", "protocol_version", (int)s->version,
			      "status", 1, "upgrade_mode", s->upgrade_mode),
		    out2, GW_TEXT_MAX);
	return GWS_SEND | GWS_SEND2 | GWS_OPEN_NOW;
}

/* ---- login (spec gateway.md 7.2) ---- */

static const char *check_login(struct gw_server *s, const struct gw_server_ops *ops, const json_t *j,
			       int64_t wall_s)
{
	uint8_t m[1 + 32 + 48 + GCMSIV_NONCE + 8], sig[64], again[48];
	uint8_t *pk = m + 1, *sealed = pk + 32, *nonce = sealed + 48;
	int64_t v, t;

	if (gwjson_int(j, "protocolVersion", 0, 255, NULL, &v) < 0 ||
	    gwjson_bytes(j, "clientIdentity", pk, 32) != 32 ||
	    gwjson_base64(j, "addressCiphertext", sealed, 48) != 48 ||
	    gwjson_base64(j, "nonce", nonce, GCMSIV_NONCE) != GCMSIV_NONCE ||
	    gwjson_int(j, "requestUnixTimestamp", 0, INT64_MAX, NULL, &t) < 0 ||
	    gwjson_bytes(j, "requestSignature", sig, 64) != 64)
		return "Only 'Register' or 'Authenticate' requests are allowed";
	if (v < GW_PROTO_MIN || v > GW_PROTO_MAX)
		return "Attempted to negotiate connection with client using incompatible protocol version";
	if (t > wall_s + SKEW_S || t < wall_s - SKEW_S)
		return "the provided request timestamp is excessively skewed";
	m[0] = (uint8_t)v;
	for (int i = 0; i < 8; i++)
		nonce[GCMSIV_NONCE + i] = (uint8_t)((uint64_t)t >> (56 - 8 * i));
	if (prim_ed25519_verify(sig, m, sizeof(m), pk) < 0)
		return "failed to verify request signature";
	if (!ops->lookup(ops->owner, pk, &s->who))
		return "the client is not registered";
	prim_gcmsiv_seal(again, s->who.key, nonce, pk, 32);
	if (!prim_equal(again, sealed, sizeof(again)))
		return "failed to verify provided address ciphertext";
	if (t <= s->who.last_login_s)
		return "the provided request timestamp is smaller or equal to one previously used";
	if (ops->active(ops->owner, pk))
		return "There is already an open connection to this client";
	s->version = (uint8_t)v;
	s->who.last_login_s = t;
	return NULL;
}

static int login(struct gw_server *s, const struct gw_server_ops *ops, int64_t wall_s, const json_t *j,
		 char out[GW_TEXT_MAX], char out2[GW_TEXT_MAX])
{
	const char *why = check_login(s, ops, j, wall_s);

	if (why)
		return refuse(s, "error", why, out, out2);
	memcpy(s->client_pk, s->who.pk, 32);
	ops->store(ops->owner, &s->who);
	s->state = GWS_OPEN;
	gwjson_dump(json_pack("{s:s,s:i,s:b,s:I,s:b}", "type", "authenticate", "protocol_version",
			      (int)s->version, "status", 1, "bandwidth_remaining",
			      (json_int_t)s->who.bandwidth, "upgrade_mode", s->upgrade_mode),
		    out, GW_TEXT_MAX);
	return GWS_SEND | GWS_OPEN_NOW;
}

/* ---- after login ---- */

static int claim(struct gw_server *s, const struct gw_server_ops *ops, char out[GW_TEXT_MAX])
{
	if (s->enforce_credentials) {
		put_error(out, "error", "This gateway is only accepting coconut credentials for bandwidth");
		return GWS_SEND;
	}
	s->who.bandwidth += GW_FREE_GRANT;
	ops->store(ops->owner, &s->who);
	gwjson_dump(json_pack("{s:s,s:I,s:b}", "type", "bandwidth", "available_total",
			      (json_int_t)s->who.bandwidth, "upgrade_mode", s->upgrade_mode),
		    out, GW_TEXT_MAX);
	return GWS_SEND;
}

/* SPEC gateway.md 7.3: externally tagged plaintexts, ForgetMe and RememberMe. */
static int encrypted(struct gw_server *s, const struct gw_server_ops *ops, const json_t *j,
		     char out[GW_TEXT_MAX])
{
	static const char forget[] = "{\"ForgetMeAck\":{}}", remember[] = "{\"RememberMeAck\":{}}";
	uint8_t in[512], nonce[GCMSIV_NONCE], sealed[64];
	int n = gwjson_bytes(j, "ciphertext", in, sizeof(in));
	const char *ack;
	json_t *req, *what;

	if (n < GCMSIV_TAG || gwjson_bytes(j, "nonce", nonce, sizeof(nonce)) != GCMSIV_NONCE ||
	    prim_gcmsiv_open(in, s->who.key, nonce, in, (size_t)n) < 0) {
		put_error(out, "error", "failed to decrypt provided text request");
		return GWS_SEND;
	}
	req = gwjson_load((const char *)in, (size_t)n - GCMSIV_TAG);
	what = json_object_get(req, "ForgetMe");
	ack = what ? forget : json_object_get(req, "RememberMe") ? remember : NULL;
	if (what && json_is_true(json_object_get(what, "client")))
		ops->forget(ops->owner, s->client_pk);
	json_decref(req);
	if (!ack) {
		put_error(out, "error", "received a text request of an unknown type");
		return GWS_SEND;
	}
	rng_fill(s->rng, nonce, sizeof(nonce));
	prim_gcmsiv_seal(sealed, s->who.key, nonce, (const uint8_t *)ack, strlen(ack));
	gwjson_dump(json_pack("{s:s,s:o,s:o}", "type", "encryptedResponse", "ciphertext",
			      gwjson_array(sealed, strlen(ack) + GCMSIV_TAG), "nonce",
			      gwjson_array(nonce, sizeof(nonce))),
		    out, GW_TEXT_MAX);
	return GWS_SEND;
}

static int version_answer(const struct gw_server *s, char out[GW_TEXT_MAX])
{
	gwjson_dump(json_pack("{s:s,s:i}", "type", "supportedProtocol", "version", (int)s->max_version), out,
		    GW_TEXT_MAX);
	return GWS_SEND;
}

static int on_open(struct gw_server *s, const struct gw_server_ops *ops, const json_t *j, const char *type,
		   char out[GW_TEXT_MAX])
{
	if (!strcmp(type, "claimFreeTestnetBandwidth"))
		return claim(s, ops, out);
	if (!strcmp(type, "encryptedRequest"))
		return encrypted(s, ops, j, out);
	if (!strcmp(type, "ecashCredential") || !strcmp(type, "upgradeModeJWT"))
		put_error(out, "error", "this gateway takes no credentials");
	else
		put_error(out, "error", "received a text request of an unknown type");
	return GWS_SEND;
}

int gw_server_text(struct gw_server *s, const struct gw_server_ops *ops, int64_t wall_s, const char *in,
		   size_t len, char out[GW_TEXT_MAX], char out2[GW_TEXT_MAX])
{
	static const char only[] = "Only 'Register' or 'Authenticate' requests are allowed";
	json_t *j = gwjson_load(in, len);
	const char *type = json_string_value(json_object_get(j, "type"));
	bool handshake =
		type && (!strcmp(type, "handshakePayload") || !strcmp(type, "registerHandshakeInitRequest"));
	int r = 0;

	out[0] = out2[0] = '\0';
	switch (s->state) {
	case GWS_NEW:
		if (handshake)
			r = register_init(s, ops, j, out, out2);
		else if (type && !strcmp(type, "authenticateV2"))
			r = login(s, ops, wall_s, j, out, out2);
		else if (type && !strcmp(type, "supportedProtocol"))
			r = version_answer(s, out);
		else
			r = refuse_once(s, only, out);
		break;
	case GWS_HELLO:
		if (type && !strcmp(type, "handshakePayload"))
			r = register_finish(s, ops, j, out, out2);
		else if (type && !strcmp(type, "handshakeError"))
			r = refuse(s, "handshakeError", "error on the remote", out, out2);
		/* other frames are skipped inside the handshake */
		break;
	case GWS_OPEN:
		if (!type) {
			put_error(out, "error",
				  "Provided text request was malformed - no object with a type");
			r = GWS_SEND;
		} else if (!strcmp(type, "supportedProtocol")) {
			r = version_answer(s, out);
		} else {
			r = on_open(s, ops, j, type, out);
		}
		break;
	case GWS_CLOSED: r = GWS_CLOSE; break;
	}
	json_decref(j);
	return r;
}

int gw_server_binary(struct gw_server *s, uint8_t *in, size_t len, struct mixpacket *m, char out[GW_TEXT_MAX])
{
	if (s->state != GWS_OPEN)
		return refuse_once(
			s,
			"possibly received a sphinx packet without prior authentication. Request is going to "
			"be ignored",
			out);
	if (len < GW_FRAME_OVERHEAD || (in[0] != 1 && in[0] != 2) || in[1] != 1 ||
	    prim_gcmsiv_open(in + 14, s->who.key, in + 2, in + 14, len - 14) < 0 ||
	    mixpacket_get(m, in + 14, len - GW_FRAME_OVERHEAD, in[0]) < 0) {
		put_error(out, "error",
			  "Provided binary request was malformed - it is not a forwarded packet");
		return GWS_SEND;
	}
	if (!s->upgrade_mode && s->who.bandwidth < (int64_t)m->packet_len) {
		gwjson_dump(json_pack("{s:s,s:{s:{s:I,s:I}}}", "type", "typedError", "error",
				      "out_of_bandwidth", "required", (json_int_t)m->packet_len, "available",
				      (json_int_t)s->who.bandwidth),
			    out, GW_TEXT_MAX);
		return GWS_SEND;
	}
	if (!s->upgrade_mode)
		s->who.bandwidth -= (int64_t)m->packet_len;
	gwjson_dump(json_pack("{s:s,s:I,s:b}", "type", "send", "remaining_bandwidth",
			      (json_int_t)s->who.bandwidth, "upgrade_mode", s->upgrade_mode),
		    out, GW_TEXT_MAX);
	return GWS_SEND | GWS_FORWARD;
}

int gw_server_push(struct gw_server *s, uint8_t *out, size_t cap, const uint8_t *msg, size_t len)
{
	if (s->state != GWS_OPEN)
		return SMX_ESTATE;
	if (cap < len + GW_FRAME_OVERHEAD)
		return SMX_ELIMIT;
	out[0] = out[1] = 1;
	rng_fill(s->rng, out + 2, GCMSIV_NONCE);
	prim_gcmsiv_seal(out + 14, s->who.key, out + 2, msg, len);
	return (int)(len + GW_FRAME_OVERHEAD);
}
