/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.vec: the worked examples printed in the specification pages (sphinx.md 15, nymsphinx.md 2.2,
 * gateway.md 15). Their inputs stand in the pages and therefore here. Those of ipr.md are in kat_spec_ipr.c.
 */
#include <string.h>

#include "base/err.h"
#include "mixnet/prim.h"
#include "mixnet/sphinx.h"
#include "tests/kat/kat.h"

static const char expand_info[] =
	"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
static const char key_salt[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
static const char key_info[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

/* first, first + 1, .. */
static void count_up(uint8_t *out, size_t len, unsigned first)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(first + i);
}

static void expand(uint8_t out[288], const uint8_t shared[32])
{
	prim_hkdf_sha256(out, 288, NULL, 0, shared, 32, expand_info, sizeof(expand_info) - 1);
}

static void payload_key(uint8_t out[192], const uint8_t seed[16])
{
	prim_hkdf_sha256(out, 192, key_salt, sizeof(key_salt) - 1, seed, 16, key_info, sizeof(key_info) - 1);
}

/* ---- sphinx.md 15, A and B ---- */

static void run_sphinx(struct kat_block *b)
{
	uint8_t e[288], key[192], seed[16], buf[1000];

	expand(e, kat_fixed(b, "sphinx.A.s", 32));
	kat_eq(b, "sphinx.A.rho", e, 16);
	kat_eq(b, "sphinx.A.mu", e + 16, 16);
	kat_eq(b, "sphinx.A.seed", e + 32, 16);
	kat_eq_sha256(b, "sphinx.A.key_sha256", e + 32, 192);
	kat_eq(b, "sphinx.A.b", e + 224, 32);
	kat_eq(b, "sphinx.A.tau", e + 256, 32);
	payload_key(key, e + 32);
	kat_eq_sha256(b, "sphinx.A.payload_key_sha256", key, sizeof(key));

	count_up(seed, sizeof(seed), 0);
	payload_key(key, seed);
	kat_eq(b, "sphinx.B.payload_key16", key, 16);
	kat_eq_sha256(b, "sphinx.B.payload_key_sha256", key, sizeof(key));
	memset(buf, 0, 32);
	prim_aes128_ctr(seed, (const uint8_t[16]){ 0 }, buf, 32);
	kat_eq(b, "sphinx.B.keystream32", buf, 32);
	count_up(key, sizeof(key), 0);
	count_up(buf, 64, 0);
	prim_lioness_encrypt(key, buf, 64);
	kat_eq(b, "sphinx.B.lioness64", buf, 64);
	memset(key, 0x2a, sizeof(key));
	memset(buf, 0x45, sizeof(buf));
	prim_lioness_encrypt(key, buf, sizeof(buf));
	kat_eq(b, "sphinx.B.lioness1000_16", buf, 16);
	kat_eq_sha256(b, "sphinx.B.lioness1000_sha256", buf, sizeof(buf));
}

/* ---- sphinx.md 15, C and D ---- */

struct example {
	struct sphinx_route route;
	uint8_t sk[4][32], dest[32], x[32], padding[248], msg[2048];
	struct kat_rng rng;
};

static void example_init(struct example *e)
{
	e->route.n = 4;
	for (unsigned i = 0; i < 4; i++) {
		struct sphinx_hop *h = &e->route.hop[i];

		memset(e->sk[i], (int)(0x11 * (i + 1)), 32);
		prim_x25519_base(h->key, e->sk[i]);
		memset(h->addr, (int)i + 1, 32);
		h->delay_ns = UINT64_C(1000000) * (i + 1);
	}
	memset(e->dest, 0xd0, sizeof(e->dest));
	memset(e->x, 0x42, sizeof(e->x));
	memset(e->padding, 0xaa, sizeof(e->padding));
	count_up(e->msg, sizeof(e->msg), 0);
}

static struct rng *example_rng(struct example *e, struct kat_block *b)
{
	kat_rng_init(&e->rng, b);
	kat_rng_feed(&e->rng, e->x, sizeof(e->x));
	kat_rng_feed(&e->rng, e->padding, 248 - 60 * (e->route.n - 1));
	return &e->rng.rng;
}

/* What one hop derives, from the packet as it arrives. */
static void check_hop_keys(struct kat_block *b, unsigned i, const uint8_t *packet, const uint8_t sk[32])
{
	uint8_t shared[32], e[288];

	if (prim_x25519(shared, sk, packet))
		kat_fail(b, "no shared secret");
	expand(e, shared);
	kat_eq(b, kat_key("sphinx.C.hop%u.rho", i), e, 16);
	kat_eq(b, kat_key("sphinx.C.hop%u.mu", i), e + 16, 16);
	kat_eq(b, kat_key("sphinx.C.hop%u.seed", i), e + 32, 16);
	kat_eq(b, kat_key("sphinx.C.hop%u.b", i), e + 224, 32);
	kat_eq(b, kat_key("sphinx.C.hop%u.tau", i), e + 256, 32);
}

static void check_way(struct kat_block *b, const struct example *e, unsigned version, uint8_t *packet,
		      size_t len)
{
	for (unsigned i = 0; i < 4; i++) {
		struct sphinx_result res;
		int ret;

		check_hop_keys(b, i, packet, e->sk[i]);
		if (i == 3) { /* the filler stands at the end of the last hop's beta */
			kat_eq(b, "sphinx.C.filler8", packet + SPHINX_HEADER - 180, 8);
			kat_eq_sha256(b, "sphinx.C.filler_sha256", packet + SPHINX_HEADER - 180, 180);
		}
		ret = sphinx_process(packet, len, e->sk[i], &res);
		if (ret != (i == 3 ? SPHINX_FINAL : SPHINX_FORWARD)) {
			kat_fail(b, "hop %u: %s", i, err_str(ret));
			return;
		}
		if (i == 3) {
			if (res.msg_len != sizeof(e->msg) || memcmp(res.msg, e->msg, res.msg_len))
				kat_fail(b, "message");
			return;
		}
		kat_eq_sha256(b, kat_key("sphinx.C.%u.after_hop%u", version, i), packet, len);
		kat_eq(b, kat_key("sphinx.C.%u.alpha_after%u", version, i), packet, 4);
	}
}

static void check_surb(struct kat_block *b, struct example *e, unsigned version)
{
	uint8_t surb[348 + 32 + 4 * 192];
	size_t size = version == SPHINX_VERSION ? SPHINX_SEED : 192;
	struct sphinx_keys keys;

	if (sphinx_header(surb, &keys, (uint16_t)version, &e->route, e->dest, example_rng(e, b)))
		kat_fail(b, "no header");
	memcpy(surb + 348, e->route.hop[0].addr, 32);
	for (unsigned i = 0; i < 4; i++)
		memcpy(surb + 380 + i * size, version == SPHINX_VERSION ? keys.seed[i] : keys.legacy[i],
		       size);
	kat_eq_sha256(b, kat_key("sphinx.C.%u.surb", version), surb, 380 + 4 * size);
}

static void check_version(struct kat_block *b, struct example *e, unsigned version)
{
	uint8_t packet[SPHINX_REGULAR_PACKET], ack[SPHINX_ACK_PACKET];

	if (sphinx_build(packet, sizeof(packet), (uint16_t)version, &e->route, e->dest, e->msg,
			 sizeof(e->msg), example_rng(e, b)) ||
	    sphinx_build(ack, sizeof(ack), (uint16_t)version, &e->route, e->dest, e->msg, 21,
			 example_rng(e, b))) {
		kat_fail(b, "not built");
		return;
	}
	kat_rng_end(&e->rng);
	kat_eq(b, kat_key("sphinx.C.%u.alpha", version), packet, 32);
	kat_eq(b, kat_key("sphinx.C.%u.gamma", version), packet + 32, 16);
	kat_eq(b, kat_key("sphinx.C.%u.beta16", version), packet + 48, 16);
	kat_eq_sha256(b, kat_key("sphinx.C.%u.header_sha256", version), packet, SPHINX_HEADER);
	kat_eq(b, kat_key("sphinx.C.%u.delta16", version), packet + SPHINX_HEADER, 16);
	kat_eq_sha256(b, kat_key("sphinx.C.%u.sha256", version), packet, sizeof(packet));
	kat_eq_sha256(b, kat_key("sphinx.C.%u.ack_variant", version), ack, sizeof(ack));
	check_surb(b, e, version);
	check_way(b, e, version, packet, sizeof(packet));
}

static void run_packets(struct kat_block *b)
{
	static struct example e;
	uint8_t header[SPHINX_HEADER];
	struct sphinx_keys keys;

	example_init(&e);
	check_version(b, &e, SPHINX_VERSION_LEGACY);
	check_version(b, &e, SPHINX_VERSION);
	e.route.hop[0] = e.route.hop[3];
	e.route.n = 1;
	if (sphinx_header(header, &keys, SPHINX_VERSION, &e.route, e.dest, example_rng(&e, b)))
		kat_fail(b, "D not built");
	kat_eq_sha256(b, "sphinx.D.header_sha256", header, sizeof(header));
}

/* ---- nymsphinx.md 2.2 ---- */

#define FRAGMENT 1611

/* Set 0x12345678, fragment 1 of 1, the message with its marker, zeros. */
static void fragment(uint8_t out[FRAGMENT], const void *msg, size_t len)
{
	static const uint8_t head[7] = { 0x92, 0x34, 0x56, 0x78, 1, 1, 0 };

	memset(out, 0, FRAGMENT);
	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), msg, len);
	out[sizeof(head) + len] = 1;
}

static void run_nymsphinx(struct kat_block *b)
{
	static const uint8_t iv[16];
	uint8_t sk[32], pk[32], their_sk[32], their_pk[32], dh[32] = { 0 }, key[16], reply_key[16];
	uint8_t blob[32 + FRAGMENT], ack_iv[16], id[5] = { 0x12, 0x34, 0x56, 0x78, 1 };

	count_up(sk, 32, 0x01);
	count_up(their_sk, 32, 0x41);
	prim_x25519_base(pk, sk);
	prim_x25519_base(their_pk, their_sk);
	kat_eq(b, "nymsphinx.K2.ephemeral_public", pk, 32);
	kat_eq(b, "nymsphinx.K2.recipient_public", their_pk, 32);
	if (prim_x25519(dh, sk, their_pk))
		kat_fail(b, "no shared secret");
	kat_eq(b, "nymsphinx.K2.dh", dh, 32);
	prim_hkdf_blake3(key, sizeof(key), NULL, 0, dh, 32);
	kat_eq(b, "nymsphinx.K2.key", key, 16);
	count_up(reply_key, 16, 0);
	prim_blake3(blob, reply_key, 16);
	kat_eq(b, "nymsphinx.K3", blob, 32);

	fragment(blob + 32, "\0hello", 6);
	prim_aes128_ctr(key, iv, blob + 32, FRAGMENT);
	kat_eq(b, "nymsphinx.K4.first", blob + 32, 16);
	kat_eq_sha256(b, "nymsphinx.K4.sha256", blob + 32, FRAGMENT);
	memset(blob + 32, 0, FRAGMENT);
	memcpy(blob + 32, "The cake is a lie!\1", 19);
	prim_aes128_ctr(key, iv, blob + 32, FRAGMENT);
	kat_eq(b, "nymsphinx.K5.first", blob + 32, 16);
	kat_eq_sha256(b, "nymsphinx.K5.sha256", blob + 32, FRAGMENT);

	count_up(key, 16, 0xa0);
	count_up(ack_iv, 16, 0xf0);
	prim_aes128_ctr(key, ack_iv, id, sizeof(id));
	kat_eq(b, "nymsphinx.K6", id, sizeof(id));
	fragment(blob + 32, "\2\0pong", 6);
	prim_aes128_ctr(reply_key, iv, blob + 32, FRAGMENT);
	kat_eq(b, "nymsphinx.K7.first", blob + 32, 16);
	kat_eq_sha256(b, "nymsphinx.K7.sha256", blob, sizeof(blob));
}

/* ---- gateway.md 15 ---- */

struct party {
	uint8_t identity_pk[32], identity_sk[64], eph_sk[32], eph_pk[32];
};

static void party_init(struct party *p, unsigned seed_first, unsigned eph_first)
{
	uint8_t seed[32];

	count_up(seed, 32, seed_first);
	prim_ed25519_keypair(p->identity_pk, p->identity_sk, seed);
	count_up(p->eph_sk, 32, eph_first);
	prim_x25519_base(p->eph_pk, p->eph_sk);
}

/* Signs both ephemeral keys, the signer's own first. */
static void sign_keys(uint8_t sig[64], const struct party *own, const struct party *other)
{
	uint8_t both[64];

	memcpy(both, own->eph_pk, 32);
	memcpy(both + 32, other->eph_pk, 32);
	prim_ed25519_sign(sig, both, sizeof(both), own->identity_sk);
}

static void eq_sealed(struct kat_block *b, const char *key, const uint8_t k[32], unsigned nonce_first,
		      const void *in, size_t len)
{
	uint8_t nonce[GCMSIV_NONCE], out[128];

	count_up(nonce, sizeof(nonce), nonce_first);
	prim_gcmsiv_seal(out, k, nonce, in, len);
	kat_eq(b, key, out, len + GCMSIV_TAG);
}

/* signed = version || C || addressCiphertext || nonce || BE64(timestamp) */
static void check_login(struct kat_block *b, const struct party *client, const uint8_t k[32])
{
	static const uint8_t time[8] = { 0, 0, 0, 0, 0x69, 0x55, 0xb9, 0 };
	uint8_t text[101], sig[64];

	text[0] = 6;
	memcpy(text + 1, client->identity_pk, 32);
	count_up(text + 81, GCMSIV_NONCE, 0xd0);
	prim_gcmsiv_seal(text + 33, k, text + 81, client->identity_pk, 32);
	kat_eq(b, "gateway.address_ciphertext", text + 33, 48);
	memcpy(text + 93, time, sizeof(time));
	prim_ed25519_sign(sig, text, sizeof(text), client->identity_sk);
	kat_eq(b, "gateway.signature", sig, sizeof(sig));
}

static void run_gateway(struct kat_block *b)
{
	static const char forget[] = "{\"ForgetMe\":{\"client\":true,\"stats\":true}}";
	uint8_t salt[16], z[32] = { 0 }, k[32], sig[64], push[2 + GCMSIV_NONCE + 21 + GCMSIV_TAG] = { 1, 1 };
	struct party client, gateway;

	party_init(&client, 0x00, 0x40);
	party_init(&gateway, 0x20, 0x60);
	kat_eq(b, "gateway.C", client.identity_pk, 32);
	kat_eq(b, "gateway.G", gateway.identity_pk, 32);
	kat_eq(b, "gateway.X", client.eph_pk, 32);
	kat_eq(b, "gateway.Y", gateway.eph_pk, 32);
	if (prim_x25519(z, client.eph_sk, gateway.eph_pk))
		kat_fail(b, "no shared secret");
	kat_eq(b, "gateway.Z", z, 32);
	count_up(salt, sizeof(salt), 0xa0);
	prim_hkdf_blake3(k, sizeof(k), salt, sizeof(salt), z, sizeof(z));
	kat_eq(b, "gateway.K", k, 32);
	sign_keys(sig, &gateway, &client);
	kat_eq(b, "gateway.sigG", sig, 64);
	eq_sealed(b, "gateway.message2_sealed", k, 0xb0, sig, sizeof(sig));
	sign_keys(sig, &client, &gateway);
	kat_eq(b, "gateway.sigC", sig, 64);
	eq_sealed(b, "gateway.message3_sealed", k, 0xc0, sig, sizeof(sig));
	check_login(b, &client, k);
	count_up(push + 2, GCMSIV_NONCE, 0xe0);
	memset(push + 14, 0x5a, 21);
	prim_gcmsiv_seal(push + 14, k, push + 2, push + 14, 21);
	kat_eq(b, "gateway.push", push, sizeof(push));
	eq_sealed(b, "gateway.forget", k, 0xf0, forget, sizeof(forget) - 1);
}

KAT_KINDS({ "sphinx", run_sphinx }, { "sphinx-packets", run_packets }, { "nymsphinx", run_nymsphinx },
	  { "gateway", run_gateway });
