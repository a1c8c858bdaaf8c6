/* SPDX-License-Identifier: Apache-2.0 */
/* surb.vec: SURB bytes, the packet a SURB makes, its way through the hops, and which lengths parse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "mixnet/prim.h"
#include "mixnet/surb.h"
#include "tests/kat/kat_sphinx.h"

#define FIXED_PART (SPHINX_HEADER + 32)

/* The Sphinx part of a SURB has no function of its own: ours always stands behind a reply key and has
 * identifier zero. */
static void check_bytes(struct kat_block *b)
{
	uint8_t header[SPHINX_HEADER], surb[2048];
	struct sphinx_route route;
	struct sphinx_keys keys;
	struct kat_rng rng;
	struct wire_wr w;
	int err;

	kat_route(b, &route);
	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "initial_secret");
	kat_rng_feed_key(&rng, "final_padding");
	err = sphinx_header_id(header, &keys, (uint16_t)kat_num(b, "version"), &route,
			       kat_fixed(b, "destination", 32), kat_fixed(b, "identifier", 16), &rng.rng);
	if (err) {
		kat_fail(b, "header: %s", err_str(err));
		return;
	}
	kat_rng_end(&rng);
	wire_wr_init(&w, surb, sizeof(surb));
	wire_put_bytes(&w, header, sizeof(header));
	wire_put_bytes(&w, route.hop[0].addr, 32);
	for (unsigned i = 0; i < keys.n; i++)
		if (keys.version == SPHINX_VERSION_LEGACY)
			wire_put_bytes(&w, keys.legacy[i], 192);
		else
			wire_put_bytes(&w, keys.seed[i], SPHINX_SEED);
	kat_eq(b, "surb", surb, (size_t)wire_wr_end(&w));
}

static void run_surb(struct kat_block *b)
{
	static uint8_t packet[SPHINX_PACKET_MAX];
	size_t len, msg_len, payload_len = (size_t)kat_num(b, "payload_size");
	const uint8_t *bytes = kat_bytes(b, "surb", &len), *msg = kat_bytes(b, "message", &msg_len);
	struct surb s;

	check_bytes(b);
	if (payload_len > sizeof(packet) - SPHINX_HEADER || surb_parse_sphinx(&s, bytes, len)) {
		kat_fail(b, "does not parse");
		return;
	}
	kat_eq(b, "first_hop", s.first_hop, sizeof(s.first_hop));
	if (s.keys.version != kat_num(b, "version") || s.keys.n != kat_num(b, "hops"))
		kat_fail(b, "parsed as version %u, %u hops", s.keys.version, s.keys.n);
	if (surb_use(packet, SPHINX_HEADER + payload_len, &s, msg, msg_len)) {
		kat_fail(b, "cannot be used");
		return;
	}
	kat_eq(b, "packet", packet, SPHINX_HEADER + payload_len);
	kat_eq_sha256(b, "packet_sha256", packet, SPHINX_HEADER + payload_len);
	kat_unwrap(b);
}

/*
 * We take seeds or 192-byte keys, 1 to 5 of them. The old crate also takes more, the new one no keys (spec
 * sphinx.md 12): in both cases refusing or taking is right.
 */
static void check_length(struct kat_block *b, struct kat_item *it)
{
	static uint8_t bytes[4096];
	size_t len = strtoul(it->key + strlen("parse."), NULL, 10), more = len - FIXED_PART;
	bool many =
		kat_accepts(it->text) && (len >= FIXED_PART + 192 ? more > 5 * 192 : more > 5 * SPHINX_SEED);
	bool keys = len >= FIXED_PART + 192 && more % 192 == 0;
	unsigned hops = 0;
	struct surb s;
	int err;

	if (len > sizeof(bytes)) {
		kat_fail(b, "%s: cannot be tried", it->key);
		return;
	}
	err = surb_parse_sphinx(&s, bytes, len);
	if ((many && err) || (keys && !err && !kat_accepts(it->text)))
		return;
	kat_eq_accepted(b, it->key, !err);
	if (err)
		return;
	if (sscanf(it->text, "ok hops %u", &hops) != 1 || s.keys.n != hops)
		kat_fail(b, "%s: %u hops", it->key, s.keys.n);
	if (strstr(it->text, "seeds") && s.keys.version != SPHINX_VERSION)
		kat_fail(b, "%s: not taken as seeds", it->key);
}

static void run_lengths(struct kat_block *b)
{
	struct sphinx_route route = { .n = 0 };
	uint8_t out[SURB_LEN4], digest[32];
	struct rng_seeded rng;

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "parse.");

		if (it)
			check_length(b, it);
	}
	rng_seeded_init(&rng, 1);
	if (kat_has(b, "make.no_hops"))
		kat_eq_accepted(b, "make.no_hops", !surb_make(out, digest, &route, digest, &rng.rng));
	/* make.one_delay_short: our route holds a delay with every hop. */
	kat_has(b, "make.one_delay_short");
	if (kat_has(b, "use.message_too_long")) {
		struct surb s = { .keys = { .version = SPHINX_VERSION, .n = 1 } };
		uint8_t packet[SPHINX_ACK_PACKET], plain[22] = { 0 };

		kat_eq_accepted(b, "use.message_too_long",
				!surb_use(packet, sizeof(packet), &s, plain, sizeof(plain)));
	}
}

KAT_KINDS({ "surb/258/", run_surb }, { "surb/259/", run_surb }, { "surb/parse-lengths", run_lengths });
