/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile answers.
 *
 * Theory of operation. Random bytes alone are refused by the first check. So most answers here are right but
 * for one thing: a true message with bits turned or its end missing, a well-formed message that nobody asked
 * for, a fragment of a set that never becomes whole, an IP packet with a wrong length. What is drawn by
 * chance comes from one seeded generator, so a failure can be repeated.
 *
 * Sizes: a huge body is larger than any the client takes; a bomb is small enough to be taken and costs most
 * when it is unpacked into values.
 */
#include "tools/localnet/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixnet/ippkt.h"
#include "mixnet/ipr.h"
#include "mixnet/stream.h"

#define HUGE_BODY ((size_t)48 << 20)
#define BOMB_BODY ((size_t)30 << 20)
#define DEEP_BODY ((size_t)1 << 20)
#define PACKET_MAX 1600

/* ---- bytes ---- */

bool hostile_chance(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

void hostile_flip(struct rng *r, void *bytes, size_t len)
{
	uint8_t *p = bytes;
	uint32_t n = 1 + rng_below(r, 8);
	size_t front = hostile_chance(r, 2) && len > 32 ? 32 : len; /* headers are at the front */

	for (uint32_t i = 0; i < n && front; i++)
		p[rng_below(r, (uint32_t)front)] ^= (uint8_t)(1u << rng_below(r, 8));
}

size_t hostile_cut(struct rng *r, size_t len)
{
	return len ? rng_below(r, (uint32_t)len) : 0;
}

size_t hostile_junk(struct rng *r, uint8_t *out, size_t cap)
{
	size_t len = hostile_chance(r, 2) ? rng_below(r, 64) : 1 + rng_below(r, (uint32_t)cap);

	rng_fill(r, out, len);
	if (len >= 2 && !hostile_chance(r, 4)) {
		out[0] = (uint8_t)rng_below(r, 4);
		out[1] = (uint8_t)rng_below(r, 3);
	}
	return len;
}

/* ---- texts of gateways ---- */

static json_t *odd_value(struct rng *r)
{
	char text[600];

	switch (rng_below(r, 9)) {
	case 0: return json_null();
	case 1: return json_integer(INT64_MIN);
	case 2: return json_integer(INT64_MAX);
	case 3: return json_integer(-1);
	case 4: return json_real(1e308);
	case 5: return json_array();
	case 6: return json_object();
	case 7: return json_boolean(rng_below(r, 2));
	}
	memset(text, 'a' + (int)rng_below(r, 26), sizeof(text));
	return json_stringn(text, hostile_cut(r, sizeof(text)));
}

size_t hostile_text(struct rng *r, char *out, size_t cap)
{
	static const char *const types[] = { "send",
					     "bandwidth",
					     "error",
					     "typedError",
					     "register",
					     "authenticate",
					     "handshakePayload",
					     "handshakeError",
					     "supportedProtocol",
					     "encryptedResponse",
					     "unheardOf" };
	static const char *const members[] = { "remaining_bandwidth",
					       "available_total",
					       "message",
					       "error",
					       "protocol_version",
					       "status",
					       "bandwidth_remaining",
					       "data",
					       "version",
					       "upgrade_mode",
					       "ciphertext",
					       "nonce" };
	json_t *j = json_object();
	size_t len;

	json_object_set_new(j, "type", json_string(types[rng_below(r, sizeof(types) / sizeof(types[0]))]));
	for (uint32_t i = rng_below(r, 5); i; i--)
		json_object_set_new(j, members[rng_below(r, sizeof(members) / sizeof(members[0]))],
				    odd_value(r));
	if (hostile_chance(r, 4))
		json_object_set_new(j, "error",
				    json_pack("{s:{s:o}}", "out_of_bandwidth", "available", odd_value(r)));
	len = json_dumpb(j, out, cap, JSON_COMPACT);
	json_decref(j);
	if (len > cap)
		len = 0;
	if (hostile_chance(r, 8))
		hostile_flip(r, out, len);
	return hostile_chance(r, 8) ? hostile_cut(r, len) : len;
}

/* ---- nym-api ---- */

void hostile_json(struct rng *r, json_t *j)
{
	const char *key;
	json_t *v;
	void *tmp;
	size_t i;

	json_object_foreach_safe(j, tmp, key, v)
	{
		if (hostile_chance(r, 24))
			json_object_set_new(j, key, odd_value(r));
		else
			hostile_json(r, v);
	}
	json_array_foreach(j, i, v)
	{
		if (hostile_chance(r, 24))
			json_array_set_new(j, i, odd_value(r));
		else
			hostile_json(r, v);
	}
}

/* What a small answer becomes when each of its bytes is repeated: unit after unit, inside the
 * list of nodes. */
static char *repeat(const char *before, const char *unit, const char *after, size_t total, size_t *len)
{
	size_t n = strlen(unit), at = strlen(before), end = strlen(after);
	char *out = malloc(total + at + n + end + 1);

	if (!out)
		return NULL;
	memcpy(out, before, at);
	for (; at < total; at += n)
		memcpy(out + at, unit, n);
	memcpy(out + at, after, end + 1);
	*len = at + end;
	return out;
}

char *hostile_body(struct rng *r, enum api_fault how, char *body, size_t *len)
{
	char *other = NULL;

	switch (how) {
	case API_FLIP: hostile_flip(r, body, *len); return body;
	case API_CUT: *len = hostile_cut(r, *len); return body;
	case API_HUGE: other = repeat("{", " ", "}", HUGE_BODY, len); break;
	case API_DEEP: other = repeat("{\"a\":", "[", "", DEEP_BODY, len); break;
	case API_BOMB: other = repeat("{\"nodes\":{\"data\":[{}", ",{}", "]}}", BOMB_BODY, len); break;
	case API_WELL:
	case API_503:
	case API_RUBBISH:
	case API_HALF:
	case API_LIES:
	case API_STALE: return body;
	}
	free(body);
	return other;
}

/* ---- IP packets ---- */

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A header of 20 bytes with a right checksum. */
static void ip4_checksum(uint8_t *p)
{
	put16(p + 10, 0);
	put16(p + 10, ippkt_fold(ippkt_sum(0, p, 20)));
}

/* Turns a true packet into one of a kind a client should survive; its length. */
static size_t odd_packet(struct rng *r, uint8_t *p, size_t len)
{
	bool v4 = len >= 40 && p[0] == 0x45;

	switch (rng_below(r, 6)) {
	case 0: return hostile_cut(r, len);
	case 1: rng_fill(r, p, len); return len;
	case 2: /* a fragment that waits for others */
		if (!v4)
			break;
		put16(p + 4, rng_u32(r));
		put16(p + 6, 0x2000u | rng_below(r, 8000));
		ip4_checksum(p);
		return len;
	case 3: /* an ICMP error about something */
		if (!v4)
			break;
		p[9] = 1;
		ip4_checksum(p);
		p[20] = 3;
		p[21] = (uint8_t)rng_below(r, 16);
		return len;
	case 4: /* a header with options, which are longer than the packet or nonsense */
		p[0] = (uint8_t)((v4 ? 0x40u : 0x60u) | rng_below(r, 16));
		return len;
	}
	hostile_flip(r, p, len);
	if (v4 && p[0] == 0x45)
		ip4_checksum(p);
	return len;
}

/* The first packet of a true data message; 0: it is none. */
static size_t first_packet(uint8_t *out, const uint8_t *right, size_t len)
{
	struct stream_frame f;
	struct ipr_response resp;
	struct wire_rd rd;
	const uint8_t *p;
	size_t n = 0;

	if (stream_parse(&f, right, len) < 0 || ipr_parse_response(&resp, f.payload, f.len, false) < 0 ||
	    resp.kind != IPR_DATA)
		return 0;
	wire_rd_init(&rd, resp.bundle, resp.bundle_len);
	if (ipr_bundle_next(&rd, &p, &n) != 1 || n > PACKET_MAX)
		return 0;
	memcpy(out, p, n);
	return n;
}

/* A bundle whose lengths or packets are wrong. */
static void odd_bundle(struct rng *r, struct wire_wr *w, const uint8_t *right, size_t len)
{
	uint8_t pkt[PACKET_MAX];
	size_t n = first_packet(pkt, right, len);

	if (!n) {
		n = 64;
		rng_fill(r, pkt, n);
	}
	switch (rng_below(r, 5)) {
	case 0: /* longer than what follows */
		wire_put_u16(w, (uint16_t)(n + 1 + rng_below(r, 60000)));
		wire_put_bytes(w, pkt, n);
		break;
	case 1: /* many, of almost nothing */
		for (unsigned i = 0; i < 400; i++)
			ipr_bundle_put(w, pkt, rng_below(r, 3));
		break;
	case 2:
		rng_fill(r, pkt, n);
		wire_put_bytes(w, pkt, n);
		break;
	default: ipr_bundle_put(w, pkt, odd_packet(r, pkt, n)); break;
	}
}

/* ---- messages of exits ---- */

/* A well-formed answer to nothing. */
static void unasked(struct rng *r, struct wire_wr *w)
{
	static char text[200];
	struct ipr_response resp = { .version = (uint8_t)(IPR_V9 + rng_below(r, 2)), .id = rng_u64(r) };

	memset(text, '%', sizeof(text)); /* whoever prints it had better not take it for a format */
	resp.kind = (enum ipr_kind[]){ IPR_CONNECT, IPR_PING, IPR_HEALTH, IPR_INFO,
				       IPR_DISCONNECT }[rng_below(r, 5)];
	resp.result = (int)rng_below(r, resp.kind == IPR_CONNECT ? 4 : 3);
	rng_fill(r, resp.ip4, sizeof(resp.ip4));
	rng_fill(r, resp.ip6, sizeof(resp.ip6));
	resp.mtu = (uint16_t)rng_u32(r);
	resp.text = (struct ipr_str){ text, rng_below(r, sizeof(text)) };
	for (unsigned i = 0; i < 10; i++)
		resp.build[i] = resp.text;
	ipr_put_response(w, &resp);
}

/* An IPR message whose version, kind or rest is nonsense. */
static void nonsense(struct rng *r, struct wire_wr *w)
{
	uint8_t junk[200];
	size_t n = rng_below(r, sizeof(junk));

	rng_fill(r, junk, sizeof(junk));
	wire_put_u8(w, (uint8_t)(7 + rng_below(r, 5)));
	for (uint32_t i = rng_below(r, 8); i; i--)
		wire_put_u8(w, (uint8_t)rng_below(r, 8));
	wire_put_bytes(w, junk, n);
}

/* Its stream frame: of the right stream, but for one in four, with a number near the right
 * one or anywhere. */
static void frame_like(struct rng *r, struct wire_wr *w, const uint8_t *right, size_t len)
{
	struct stream_frame f = { .id = rng_u64(r) };
	bool known = stream_parse(&f, right, len) == 0;
	uint64_t id = known && !hostile_chance(r, 4) ? f.id : rng_u64(r);
	uint32_t seq = hostile_chance(r, 2) ? f.seq + rng_below(r, 600) - 300 : rng_u32(r);

	stream_put(w, id, hostile_chance(r, 6) ? (enum stream_type)rng_below(r, 5) : STREAM_DATA, seq);
}

unsigned hostile_more(enum exit_fault how)
{
	switch (how) {
	case EXIT_SETS: return 10;
	case EXIT_BUNDLES:
	case EXIT_NONSENSE:
	case EXIT_UNASKED: return 3;
	case EXIT_REQUESTS: return 2;
	case EXIT_REPLAY: return 2;
	case EXIT_FLOOD: return 12;
	case EXIT_WELL:
	case EXIT_SILENT:
	case EXIT_IGNORE:
	case EXIT_REFUSE:
	case EXIT_STARVE:
	case EXIT_RUBBISH:
	case EXIT_FLIP:
	case EXIT_CUT: break;
	}
	return 0;
}

void hostile_message(struct rng *r, enum exit_fault how, struct wire_wr *w, const uint8_t *right, size_t len,
		     const struct recipient *me)
{
	uint8_t bundle[4 * PACKET_MAX];
	struct ipr_response data = { .version = IPR_V9, .kind = IPR_DATA, .bundle = bundle };
	struct wire_wr b;

	if (how == EXIT_REQUESTS) {
		nym_put_surb_request(w, me, (uint32_t[]){ 0, 1, 1000, UINT32_MAX }[rng_below(r, 4)]);
		if (hostile_chance(r, 4)) /* of somebody else */
			hostile_flip(r, w->start + 2, NYM_RECIPIENT);
		return;
	}
	if (how == EXIT_REPLAY || how == EXIT_SETS) { /* sets: of fragments, see hostile_frag() */
		nym_put_reply_data(w, right, len);
		return;
	}
	nym_put_reply_data(w, right, 0);
	frame_like(r, w, right, len);
	if (how == EXIT_NONSENSE) {
		nonsense(r, w);
	} else if (how == EXIT_UNASKED || (how == EXIT_FLOOD && hostile_chance(r, 2))) {
		unasked(r, w);
	} else {
		wire_wr_init(&b, bundle, sizeof(bundle));
		odd_bundle(r, &b, right, len);
		data.version = right[len > STREAM_HDR ? STREAM_HDR : 0] == IPR_V10 ? IPR_V10 : IPR_V9;
		data.bundle_len = b.len;
		ipr_put_response(w, &data);
	}
}

void hostile_right(struct rng *r, enum exit_fault how, struct wire_wr *w)
{
	if (how == EXIT_RUBBISH)
		rng_fill(r, w->start, w->len);
	if (how == EXIT_FLIP && hostile_chance(r, 2))
		hostile_flip(r, w->start, w->len);
	if (how == EXIT_CUT && hostile_chance(r, 2))
		w->len = 1 + hostile_cut(r, w->len);
}

void hostile_frag(struct rng *r, enum exit_fault how, uint8_t frag[NYM_FRAG])
{
	if (how == EXIT_FLIP && hostile_chance(r, 4))
		hostile_flip(r, frag, NYM_FRAG_HDR_LINKED);
	if (how != EXIT_SETS || hostile_chance(r, 12)) /* one in twelve comes through */
		return;
	frag[4] = hostile_chance(r, 2) ? NYM_FRAGS_PER_SET : (uint8_t)(2 + rng_below(r, 254));
	frag[5] = (uint8_t)(1 + rng_below(r, frag[4]));
	if (hostile_chance(r, 4)) { /* linked to a set that never comes */
		frag[5] = 1;
		rng_fill(r, frag + 6, 4);
		frag[6] |= 0x80;
	}
	if (hostile_chance(r, 3)) /* of a few sets: some grow large */
		memcpy(frag, (uint8_t[]){ 0x80, 0, 1, (uint8_t)rng_below(r, 3), 255 }, 5);
}
