/* SPDX-License-Identifier: Apache-2.0 */
/* sphinx.vec: packets built with given randomness, every hop of their way, and packets that hops refuse. */
#include "tests/kat/kat_sphinx.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/prim.h"

static const char expand_info[] =
	"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
static const char key_salt[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
static const char key_info[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

void kat_route(struct kat_block *b, struct sphinx_route *route)
{
	int64_t n = kat_num(b, "hops");

	memset(route, 0, sizeof(*route));
	if (n < 1 || n > SPHINX_HOPS_MAX) {
		kat_fail(b, "hops");
		return;
	}
	route->n = (unsigned)n;
	for (unsigned i = 0; i < route->n; i++) {
		struct sphinx_hop *h = &route->hop[i];
		uint8_t pk[32];

		memcpy(h->addr, kat_fixed(b, kat_key("hop%u.address", i), 32), 32);
		memcpy(h->key, kat_fixed(b, kat_key("hop%u.public_key", i), 32), 32);
		h->delay_ns = (uint64_t)kat_num(b, kat_key("hop%u.delay_ns", i));
		prim_x25519_base(pk, kat_fixed(b, kat_key("hop%u.secret_key", i), 32));
		kat_eq(b, kat_key("hop%u.public_key", i), pk, 32);
	}
}

static void maybe_eq(struct kat_block *b, const char *key, const void *got, size_t len)
{
	if (kat_has(b, key))
		kat_eq(b, key, got, len);
}

static void maybe_sha256(struct kat_block *b, const char *key, const void *got, size_t len)
{
	if (kat_has(b, key))
		kat_eq_sha256(b, key, got, len);
}

/* The secrets of hop i as the vector lists them, against prim. */
static void check_secrets(struct kat_block *b, unsigned i, const uint8_t *packet,
			  const struct sphinx_result *res)
{
	uint8_t shared[32], e[288], key[192], plain[300];

	if (!kat_has(b, kat_key("hop%u.expanded", i)))
		return;
	if (prim_x25519(shared, kat_fixed(b, kat_key("hop%u.secret_key", i), 32), packet))
		kat_fail(b, "hop %u: no shared secret", i);
	kat_eq(b, kat_key("hop%u.shared_secret", i), shared, 32);
	prim_hkdf_sha256(e, sizeof(e), NULL, 0, shared, 32, expand_info, sizeof(expand_info) - 1);
	kat_eq(b, kat_key("hop%u.expanded", i), e, sizeof(e));
	if (memcmp(res->replay_tag, e + 256, 32))
		kat_fail(b, "hop %u: replay tag", i);
	memcpy(key, e + 32, sizeof(key));
	if (res->version != SPHINX_VERSION_LEGACY)
		prim_hkdf_sha256(key, sizeof(key), key_salt, sizeof(key_salt) - 1, e + 32, 16, key_info,
				 sizeof(key_info) - 1);
	kat_eq(b, kat_key("hop%u.payload_key", i), key, sizeof(key));
	memcpy(plain, packet + 48, sizeof(plain));
	prim_aes128_ctr(e, (const uint8_t[16]){ 0 }, plain, sizeof(plain));
	kat_eq(b, kat_key("hop%u.routing_plain", i), plain, sizeof(plain));
}

static void check_forward(struct kat_block *b, unsigned i, const uint8_t *packet, size_t len,
			  const struct sphinx_result *res)
{
	maybe_eq(b, kat_key("hop%u.next_address", i), res->next_addr, 32);
	if (kat_has(b, kat_key("hop%u.next_delay_ns", i)))
		kat_eq_num(b, kat_key("hop%u.next_delay_ns", i), (int64_t)res->delay_ns);
	maybe_eq(b, kat_key("hop%u.out", i), packet, len);
	maybe_eq(b, kat_key("hop%u.out_header", i), packet, SPHINX_HEADER);
	maybe_sha256(b, kat_key("hop%u.out_sha256", i), packet, len);
}

static void check_final(struct kat_block *b, const uint8_t *packet, size_t len,
			const struct sphinx_result *res)
{
	maybe_eq(b, "final.destination", res->dest, 32);
	maybe_eq(b, "final.identifier", res->ident, 16);
	maybe_eq(b, "final.payload", packet + SPHINX_HEADER, len - SPHINX_HEADER);
	maybe_sha256(b, "final.payload_sha256", packet + SPHINX_HEADER, len - SPHINX_HEADER);
	if (kat_has(b, "final.version"))
		kat_eq_num(b, "final.version", res->version);
	kat_eq(b, "final.plaintext", res->msg, res->msg_len);
}

static uint8_t *copy_packet(struct kat_block *b, size_t *ret_len)
{
	static uint8_t packet[SPHINX_PACKET_MAX];
	const uint8_t *p = kat_bytes(b, "packet", ret_len);

	if (*ret_len > sizeof(packet)) {
		kat_fail(b, "packet of %zu bytes", *ret_len);
		*ret_len = 0;
	}
	memcpy(packet, p, *ret_len);
	return packet;
}

void kat_unwrap(struct kat_block *b)
{
	uint8_t before[SPHINX_HEADER] = { 0 };
	size_t len;
	uint8_t *packet = copy_packet(b, &len);

	for (unsigned i = 0; i < (unsigned)kat_num(b, "hops"); i++) {
		bool last = i + 1 == (unsigned)kat_num(b, "hops");
		struct sphinx_result res;
		int ret;

		if (len >= SPHINX_HEADER)
			memcpy(before, packet, SPHINX_HEADER);
		ret = sphinx_process(packet, len, kat_fixed(b, kat_key("hop%u.secret_key", i), 32), &res);
		if (ret != (last ? SPHINX_FINAL : SPHINX_FORWARD)) {
			kat_fail(b, "hop %u: %d (%s)", i, ret, err_str(ret));
			return;
		}
		check_secrets(b, i, before, &res);
		if (last)
			check_final(b, packet, len, &res);
		else
			check_forward(b, i, packet, len, &res);
	}
}

static void check_keys(struct kat_block *b, const struct sphinx_keys *keys)
{
	for (unsigned i = 0; i < keys->n; i++) {
		const uint8_t *e = kat_fixed(b, kat_key("hop%u.expanded", i), 288);

		if (memcmp(keys->seed[i], e + 32, SPHINX_SEED))
			kat_fail(b, "hop %u: payload key seed", i);
		if (keys->version == SPHINX_VERSION_LEGACY)
			kat_eq(b, kat_key("hop%u.payload_key", i), keys->legacy[i], 192);
	}
}

static void run_build(struct kat_block *b)
{
	static uint8_t packet[SPHINX_PACKET_MAX];
	size_t msg_len, payload_len = (size_t)kat_num(b, "payload_size");
	const uint8_t *msg = kat_bytes(b, "message", &msg_len);
	struct sphinx_route route;
	struct sphinx_keys keys;
	struct kat_rng rng;
	int err;

	kat_route(b, &route);
	if (payload_len > sizeof(packet) - SPHINX_HEADER) {
		kat_fail(b, "payload_size");
		return;
	}
	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "initial_secret");
	kat_rng_feed_key(&rng, "final_padding");
	err = sphinx_header_id(packet, &keys, (uint16_t)kat_num(b, "version"), &route,
			       kat_fixed(b, "destination", 32), kat_fixed(b, "identifier", 16), &rng.rng);
	if (!err)
		err = sphinx_payload(packet + SPHINX_HEADER, payload_len, &keys, msg, msg_len);
	if (err) {
		kat_fail(b, "build: %s", err_str(err));
		return;
	}
	kat_rng_end(&rng);
	kat_eq(b, "packet", packet, SPHINX_HEADER + payload_len);
	kat_eq_sha256(b, "packet_sha256", packet, SPHINX_HEADER + payload_len);
	check_keys(b, &keys);
	kat_unwrap(b);
}

/* Packets that somebody spoiled: which hop refuses, and what the others make of them. */
static void run_spoiled(struct kat_block *b)
{
	int64_t refused_at = kat_num(b, "refused_at_hop"), final_hop = -1;
	static uint8_t before[SPHINX_PACKET_MAX];
	bool zero_alpha;
	size_t len;
	uint8_t *packet = copy_packet(b, &len);
	struct sphinx_result res;
	unsigned i = 0;
	int ret;

	if (kat_has(b, "final_hop"))
		final_hop = kat_num(b, "final_hop");
	zero_alpha = len >= 32 && !memcmp(packet, (const uint8_t[32]){ 0 }, 32);
	do {
		memcpy(before, packet, len);
		ret = sphinx_process(packet, len, kat_fixed(b, kat_key("hop%u.secret_key", i), 32), &res);
		i++;
	} while (ret == SPHINX_FORWARD && i < SPHINX_HOPS_MAX);
	i--;
	/* vectors/README.md: all-zero X25519 results may be refused. */
	if (zero_alpha && ret == SMX_ECRYPTO)
		return;
	kat_eq_accepted(b, "error", ret > 0);
	if (ret < 0 && refused_at != i)
		kat_fail(b, "refused at hop %u", i);
	if (ret == SMX_ECRYPTO && memcmp(before, packet, len))
		kat_fail(b, "refused by the MAC, yet the packet has changed");
	if ((ret == SPHINX_FINAL || final_hop >= 0) && final_hop != i)
		kat_fail(b, "hop %u was the last", i);
	if (ret == SPHINX_FINAL)
		check_final(b, packet, len, &res);
	else if (final_hop >= 0)
		kat_eq(b, "final.payload", packet + SPHINX_HEADER, len - SPHINX_HEADER);
}

/* A packet for one hop whose key everybody knows. */
static int build_plain(uint8_t *packet, size_t len, uint8_t sk[32], const void *msg, size_t msg_len)
{
	struct sphinx_route route = { .n = 1 };
	struct rng_seeded rng;

	memset(sk, 0x11, 32);
	prim_x25519_base(route.hop[0].key, sk);
	rng_seeded_init(&rng, 1);
	return sphinx_build(packet, len, SPHINX_VERSION, &route, (const uint8_t[32]){ 0 }, msg, msg_len,
			    &rng.rng);
}

/*
 * parse.N: we have no parser apart from processing, which also needs a payload longer than 32 bytes: lengths
 * between may be refused. build_10_bytes.payload_size_N: a message of 10 bytes into a payload of N.
 */
static void run_lengths(struct kat_block *b)
{
	uint8_t packet[1024], sk[32];
	struct sphinx_result res;

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "parse.");
		size_t len;
		int ret;

		if (!it)
			continue;
		len = strtoul(it->key + strlen("parse."), NULL, 10);
		if (len > sizeof(packet) || build_plain(packet, 386, sk, "message", 7)) {
			kat_fail(b, "%s: cannot be tried", it->key);
			continue;
		}
		ret = sphinx_process(packet, len, sk, &res);
		if (ret > 0 || !kat_accepts(it->text) || len > 380)
			kat_eq_accepted(b, it->key, ret > 0);
	}
	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "build_10_bytes.payload_size_");
		size_t len;

		if (!it)
			continue;
		len = strtoul(it->key + strlen("build_10_bytes.payload_size_"), NULL, 10);
		if (len <= sizeof(packet) - SPHINX_HEADER)
			kat_eq_accepted(b, it->key,
					!build_plain(packet, SPHINX_HEADER + len, sk, "0123456789", 10));
	}
}

KAT_KINDS({ "sphinx/258/", run_build }, { "sphinx/259/", run_build }, { "sphinx/flip/", run_spoiled },
	  { "sphinx/patch/", run_spoiled }, { "sphinx/padding/", run_spoiled },
	  { "sphinx/wrong-key", run_spoiled }, { "sphinx/zero-alpha", run_spoiled },
	  { "sphinx/lengths", run_lengths });
