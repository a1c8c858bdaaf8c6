/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sphinx packets: building and one hop of processing (spec sphinx.md).
 *
 * Theory of operation. A header is built inside out. The key schedule gives each hop 288 bytes from the
 * secret it will share with the sender; one 360-byte AES-CTR keystream per hop serves for the filler (its
 * end) and the routing information (its beginning). The filler is what the hops' own keystream will leave at
 * the end of beta; it is computed first, since every MAC covers it. The payload gets one LIONESS layer per
 * hop, the last hop's first.
 *
 *   beta of a hop:    flag 1 | version 3 | address 32 | delay 8 | gamma of the next 16 | beta of the next 240
 *   of the last hop:  flag 1 | version 3 | destination 32 | identifier 16 | random | filler
 *
 * Speed. The secret with hop i is (x b0 .. b(i-1)) Y(i): written down as in the spec, n (n + 1) / 2
 * multiplications on the curve. Here the scalars are multiplied instead (prim_x25519_product), which leaves
 * n; the bytes are the same.
 *
 * Limits. Hops that ask for the blinding of versions 1 and 257 cannot be served (nobody sends them). Every
 * other unknown version is processed like 259, as nodes do. Called by surb, nympkt and, for processing, by
 * the local network's nodes and gateways.
 */
#include "mixnet/sphinx.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/wire.h"
#include "mixnet/prim.h"

/* spec sphinx.md 1 */
#define ALPHA 32
#define GAMMA 16
#define BETA 300
#define SLOT 60
#define STREAM (BETA + SLOT)
#define NEXT_BETA (BETA - SLOT)
#define PAYLOAD_KEY 192
#define PAYLOAD_ZEROS 16
#define PAYLOAD_MIN 33 /* LIONESS needs more than 32 bytes */
#define FINAL_INFO 52
#define FILLER_MAX (SLOT * (SPHINX_HOPS_MAX - 1))
#define MARKER 0x01

_Static_assert(ALPHA + GAMMA + BETA == SPHINX_HEADER, "header layout");
_Static_assert(SPHINX_HEADER + SPHINX_PAYLOAD_OVERHEAD == SPHINX_OVERHEAD, "overhead");

/* Offsets in the expanded secret, sphinx.md 5. The seed overlaps the legacy key. */
#define E_RHO 0
#define E_MU 16
#define E_KEY 32
#define E_BLIND 224
#define E_TAG 256
#define E_SENDER 256 /* the replay tag is of no use to the sender */
#define E_ALL 288

static const char expand_info[] =
	"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
static const char key_salt[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
static const char key_info[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

static void expand(uint8_t *out, size_t len, const uint8_t shared[32])
{
	prim_hkdf_sha256(out, len, NULL, 0, shared, 32, expand_info, sizeof(expand_info) - 1);
}

static void payload_key(uint8_t out[PAYLOAD_KEY], const uint8_t seed[SPHINX_SEED])
{
	prim_hkdf_sha256(out, PAYLOAD_KEY, key_salt, sizeof(key_salt) - 1, seed, SPHINX_SEED, key_info,
			 sizeof(key_info) - 1);
}

static void xor_stream(const uint8_t rho[16], uint8_t *buf, size_t len)
{
	static const uint8_t iv[16];

	prim_aes128_ctr(rho, iv, buf, len);
}

static void xor_bytes(uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		a[i] ^= b[i];
}

static bool full_keys(uint16_t version)
{
	return version == 1 || version == 257 || version == SPHINX_VERSION_LEGACY;
}

static bool old_blinding(uint16_t version)
{
	return version == 1 || version == 257;
}

/* Everything secret that building needs, wiped in one go. */
struct build {
	uint8_t x[32], shared[32];
	uint8_t e[SPHINX_HOPS_MAX][E_SENDER];
	uint8_t stream[SPHINX_HOPS_MAX][STREAM];
	uint8_t filler[FILLER_MAX];
	uint8_t padding[BETA - FINAL_INFO];
	uint8_t header[SPHINX_HEADER];
};

/* SPEC sphinx.md 5. Leaves the product of all scalars in x. */
static int key_schedule(struct build *b, const struct sphinx_route *route)
{
	int err;

	prim_x25519_base(b->header, b->x);
	for (unsigned i = 0; i < route->n; i++) {
		err = prim_x25519(b->shared, b->x, route->hop[i].key);
		if (err)
			return err;
		expand(b->e[i], E_SENDER, b->shared);
		if (i + 1 == route->n)
			break;
		err = prim_x25519_product(b->x, b->x, b->e[i] + E_BLIND);
		if (err)
			return err;
	}
	return 0;
}

/* SPEC sphinx.md 6: "the LAST 60*(i+1) bytes of the keystream". */
static void make_filler(struct build *b, unsigned n)
{
	memset(b->filler, 0, sizeof(b->filler));
	for (unsigned i = 0; i + 1 < n; i++)
		xor_bytes(b->filler, b->stream[i] + STREAM - SLOT * (i + 1), SLOT * (i + 1));
}

static void put_version(struct wire_wr *w, uint16_t version)
{
	wire_put_u8(w, 0);
	wire_put_u16(w, version);
}

static void put_mac(struct build *b, unsigned hop)
{
	prim_hmac_sha256_16(b->header + ALPHA, b->e[hop] + E_MU, b->header + ALPHA + GAMMA, BETA);
}

/* SPEC sphinx.md 7, final layer: the filler is not encrypted again. */
static void put_final(struct build *b, unsigned n, uint16_t version, const uint8_t dest[32],
		      const uint8_t ident[16])
{
	uint8_t *beta = b->header + ALPHA + GAMMA;
	size_t filler_len = SLOT * (n - 1);
	struct wire_wr w;

	wire_wr_init(&w, beta, BETA);
	wire_put_u8(&w, SPHINX_FINAL);
	put_version(&w, version);
	wire_put_bytes(&w, dest, 32);
	wire_put_bytes(&w, ident, 16);
	wire_put_bytes(&w, b->padding, BETA - FINAL_INFO - filler_len);
	wire_put_bytes(&w, b->filler, filler_len);
	xor_bytes(beta, b->stream[n - 1], BETA - filler_len);
	put_mac(b, n - 1);
}

/* Wraps gamma and beta, as they stand in the header, into the layer of hop i. */
static void put_forward(struct build *b, unsigned i, uint16_t version, const struct sphinx_route *route)
{
	uint8_t inner[GAMMA + NEXT_BETA], *beta = b->header + ALPHA + GAMMA;
	struct wire_wr w;

	memcpy(inner, b->header + ALPHA, sizeof(inner));
	wire_wr_init(&w, beta, BETA);
	wire_put_u8(&w, SPHINX_FORWARD);
	put_version(&w, version);
	wire_put_bytes(&w, route->hop[i + 1].addr, 32);
	wire_put_u64(&w, route->hop[i].delay_ns);
	wire_put_bytes(&w, inner, sizeof(inner));
	xor_bytes(beta, b->stream[i], BETA);
	put_mac(b, i);
}

static void give_keys(struct sphinx_keys *keys, const struct build *b, unsigned n, uint16_t version)
{
	keys->version = version;
	keys->n = n;
	for (unsigned i = 0; i < n; i++) {
		memcpy(keys->seed[i], b->e[i] + E_KEY, SPHINX_SEED);
		if (full_keys(version))
			memcpy(keys->legacy[i], b->e[i] + E_KEY, PAYLOAD_KEY);
	}
}

static int build_header(struct build *b, uint16_t version, const struct sphinx_route *route,
			const uint8_t dest[32], const uint8_t ident[16], struct rng *rng)
{
	unsigned n = route->n;
	int err;

	rng_fill(rng, b->x, sizeof(b->x));
	rng_fill(rng, b->padding, BETA - FINAL_INFO - SLOT * (n - 1));
	err = key_schedule(b, route);
	if (err)
		return err;
	memset(b->stream, 0, sizeof(b->stream));
	for (unsigned i = 0; i < n; i++)
		xor_stream(b->e[i] + E_RHO, b->stream[i], STREAM);
	make_filler(b, n);
	put_final(b, n, version, dest, ident);
	for (unsigned i = n - 1; i-- > 0;)
		put_forward(b, i, version, route);
	return 0;
}

int sphinx_header_id(uint8_t header[SPHINX_HEADER], struct sphinx_keys *keys, uint16_t version,
		     const struct sphinx_route *route, const uint8_t dest[32], const uint8_t ident[16],
		     struct rng *rng)
{
	struct build b;
	int err;

	if (!route->n || route->n > SPHINX_HOPS_MAX ||
	    (version != SPHINX_VERSION && version != SPHINX_VERSION_LEGACY))
		return -EINVAL;
	err = build_header(&b, version, route, dest, ident, rng);
	if (!err) {
		memcpy(header, b.header, SPHINX_HEADER);
		give_keys(keys, &b, route->n, version);
	}
	prim_wipe(&b, sizeof(b));
	return err;
}

int sphinx_header(uint8_t header[SPHINX_HEADER], struct sphinx_keys *keys, uint16_t version,
		  const struct sphinx_route *route, const uint8_t dest[32], struct rng *rng)
{
	static const uint8_t ident[16];

	return sphinx_header_id(header, keys, version, route, dest, ident, rng);
}

/* SPEC sphinx.md 8: 0^16 || message || 0x01 || zeros. */
int sphinx_payload(uint8_t *payload, size_t payload_len, const struct sphinx_keys *keys, const void *msg,
		   size_t msg_len)
{
	uint8_t key[PAYLOAD_KEY];

	if (payload_len < PAYLOAD_MIN || msg_len > payload_len - SPHINX_PAYLOAD_OVERHEAD)
		return -EINVAL;
	if (msg_len)
		memmove(payload + PAYLOAD_ZEROS, msg, msg_len);
	memset(payload, 0, PAYLOAD_ZEROS);
	payload[PAYLOAD_ZEROS + msg_len] = MARKER;
	memset(payload + SPHINX_PAYLOAD_OVERHEAD + msg_len, 0,
	       payload_len - SPHINX_PAYLOAD_OVERHEAD - msg_len);
	for (unsigned i = keys->n; i-- > 0;) {
		if (full_keys(keys->version)) {
			prim_lioness_encrypt(keys->legacy[i], payload, payload_len);
			continue;
		}
		payload_key(key, keys->seed[i]);
		prim_lioness_encrypt(key, payload, payload_len);
	}
	prim_wipe(key, sizeof(key));
	return 0;
}

int sphinx_build(uint8_t *packet, size_t packet_len, uint16_t version, const struct sphinx_route *route,
		 const uint8_t dest[32], const void *msg, size_t msg_len, struct rng *rng)
{
	uint8_t header[SPHINX_HEADER];
	struct sphinx_keys keys;
	int err;

	if (packet_len < SPHINX_HEADER)
		return -EINVAL;
	err = sphinx_header(header, &keys, version, route, dest, rng);
	if (err)
		return err;
	err = sphinx_payload(packet + SPHINX_HEADER, packet_len - SPHINX_HEADER, &keys, msg, msg_len);
	if (!err)
		memcpy(packet, header, SPHINX_HEADER);
	prim_wipe(&keys, sizeof(keys));
	return err;
}

/* SPEC sphinx.md 8: the last byte equal to 0x01 ends the message; like the reference, what follows it is not
 * looked at. */
int sphinx_recover(const uint8_t *payload, size_t payload_len, const uint8_t **ret_msg, size_t *ret_len)
{
	static const uint8_t zeros[PAYLOAD_ZEROS];

	if (payload_len < SPHINX_PAYLOAD_OVERHEAD || !prim_equal(payload, zeros, PAYLOAD_ZEROS))
		return SMX_EPROTO;
	for (size_t i = payload_len; i-- > PAYLOAD_ZEROS;)
		if (payload[i] == MARKER) {
			*ret_msg = payload + PAYLOAD_ZEROS;
			*ret_len = i - PAYLOAD_ZEROS;
			return 0;
		}
	return SMX_EPROTO;
}

/* What a hop knows while it works. */
struct hop {
	uint8_t shared[32], key[PAYLOAD_KEY];
	uint8_t e[E_ALL];
	uint8_t plain[STREAM];
	struct sphinx_result res;
};

/* The MAC is over the whole encrypted beta, and nothing but it. */
static int open_header(struct hop *h, const uint8_t *packet, const uint8_t sk[32])
{
	const uint8_t *beta = packet + ALPHA + GAMMA;
	uint8_t mac[GAMMA];
	int err;

	err = prim_x25519(h->shared, sk, packet);
	if (err)
		return err;
	expand(h->e, E_ALL, h->shared);
	prim_hmac_sha256_16(mac, h->e + E_MU, beta, BETA);
	if (!prim_equal(mac, packet + ALPHA, GAMMA))
		return SMX_ECRYPTO;
	memcpy(h->plain, beta, BETA);
	memset(h->plain + BETA, 0, SLOT);
	xor_stream(h->e + E_RHO, h->plain, STREAM);
	memcpy(h->res.replay_tag, h->e + E_TAG, sizeof(h->res.replay_tag));
	return 0;
}

static void open_payload(struct hop *h, uint8_t *payload, size_t len)
{
	if (full_keys(h->res.version))
		memcpy(h->key, h->e + E_KEY, PAYLOAD_KEY);
	else
		payload_key(h->key, h->e + E_KEY);
	prim_lioness_decrypt(h->key, payload, len);
}

static int forward(struct hop *h, struct wire_rd *r, uint8_t *packet, size_t packet_len)
{
	uint8_t alpha[ALPHA];
	int err;

	wire_get_copy(r, h->res.next_addr, sizeof(h->res.next_addr));
	h->res.delay_ns = wire_get_u64(r);
	if (old_blinding(h->res.version))
		return SMX_EPROTO;
	err = prim_x25519(alpha, h->e + E_BLIND, packet);
	if (err)
		return SMX_EPROTO;
	memcpy(packet, alpha, ALPHA);
	wire_get_copy(r, packet + ALPHA, GAMMA + BETA);
	open_payload(h, packet + SPHINX_HEADER, packet_len - SPHINX_HEADER);
	return SPHINX_FORWARD;
}

static int final(struct hop *h, struct wire_rd *r, uint8_t *packet, size_t packet_len)
{
	uint8_t *payload = packet + SPHINX_HEADER;
	int err;

	wire_get_copy(r, h->res.dest, sizeof(h->res.dest));
	wire_get_copy(r, h->res.ident, sizeof(h->res.ident));
	open_payload(h, payload, packet_len - SPHINX_HEADER);
	err = sphinx_recover(payload, packet_len - SPHINX_HEADER, &h->res.msg, &h->res.msg_len);
	return err ? err : SPHINX_FINAL;
}

/* SPEC sphinx.md 3: "a hop rejects no version", and the first of the three bytes is ignored. */
static int route_on(struct hop *h, uint8_t *packet, size_t packet_len)
{
	struct wire_rd r;
	uint8_t flag;

	wire_rd_init(&r, h->plain, sizeof(h->plain));
	flag = wire_get_u8(&r);
	wire_get_u8(&r);
	h->res.version = wire_get_u16(&r);
	if (flag == SPHINX_FORWARD)
		return forward(h, &r, packet, packet_len);
	if (flag == SPHINX_FINAL)
		return final(h, &r, packet, packet_len);
	return SMX_EPROTO;
}

int sphinx_process(uint8_t *packet, size_t packet_len, const uint8_t sk[32], struct sphinx_result *res)
{
	struct hop h;
	int ret;

	if (packet_len < SPHINX_HEADER + PAYLOAD_MIN)
		return SMX_EPROTO;
	memset(&h.res, 0, sizeof(h.res));
	ret = open_header(&h, packet, sk);
	if (!ret)
		ret = route_on(&h, packet, packet_len);
	if (ret > 0)
		*res = h.res;
	prim_wipe(&h, sizeof(h));
	return ret;
}
