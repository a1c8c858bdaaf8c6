/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primitives.vec: every function of prim, and base58.
 *
 * An all-zero X25519 result and a signature key of small order may be refused (vectors/README.md, "laxer than
 * our spec").
 */
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"
#include "mixnet/prim.h"
#include "tests/kat/kat.h"

#define DATA_MAX 40000

static const char expand_info[] =
	"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
static const char key_salt[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
static const char key_info[] = "sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void run_x25519(struct kat_block *b)
{
	const uint8_t *scalar = kat_fixed(b, "scalar", 32);
	uint8_t out[32] = { 0 };
	int err;

	prim_x25519_base(out, scalar);
	kat_eq(b, "public", out, 32);
	memset(out, 0, sizeof(out));
	err = prim_x25519(out, scalar, kat_fixed(b, "point", 32));
	if (err && !all_zero(kat_fixed(b, "shared", 32), 32))
		kat_fail(b, "refused");
	kat_eq(b, "shared", out, 32);
}

static void eq_base58(struct kat_block *b, const char *key, const uint8_t *bytes, size_t len)
{
	const char *text = kat_str(b, key);
	uint8_t back[256];
	char got[512];
	int n = base58_encode(got, sizeof(got), bytes, len);

	kat_eq_str(b, key, n < 0 ? "(refused)" : got);
	n = base58_decode(back, sizeof(back), text, strlen(text));
	if (n < 0 || (size_t)n != len || memcmp(back, bytes, len))
		kat_fail(b, "%s does not decode to the bytes", key);
}

static void run_ed25519(struct kat_block *b)
{
	size_t len;
	const uint8_t *msg = kat_bytes(b, "message", &len);
	uint8_t pk[32], sk[64], sig[64];

	prim_ed25519_keypair(pk, sk, kat_fixed(b, "seed", 32));
	kat_eq(b, "public", pk, 32);
	eq_base58(b, "public_base58", pk, 32);
	prim_ed25519_sign(sig, msg, len, sk);
	kat_eq(b, "signature", sig, 64);
	if (!prim_ed25519_valid(pk) || prim_ed25519_verify(sig, msg, len, pk))
		kat_fail(b, "own signature refused");
	sig[63] ^= 1;
	if (!prim_ed25519_verify(sig, msg, len, pk))
		kat_fail(b, "spoiled signature accepted");
}

static void run_blake2b(struct kat_block *b)
{
	size_t len;
	const uint8_t *data = kat_bytes(b, "data", &len);
	uint8_t out[32];

	prim_blake2b_keyed(out, kat_fixed(b, "key", 64), data, len);
	kat_eq(b, "digest", out, 32);
}

/* A copy of the bytes of key to work on in place; *ret_len is 0 when they do not fit. */
static uint8_t *copy_of(struct kat_block *b, const char *key, size_t *ret_len)
{
	static uint8_t buf[DATA_MAX];
	const uint8_t *p = kat_bytes(b, key, ret_len);

	if (*ret_len > sizeof(buf)) {
		kat_fail(b, "%s: %zu bytes", key, *ret_len);
		*ret_len = 0;
	}
	memcpy(buf, p, *ret_len);
	return buf;
}

static void run_chacha20(struct kat_block *b)
{
	size_t len;
	uint8_t *buf = copy_of(b, "data", &len);

	prim_chacha20(kat_fixed(b, "key", 32), buf, len);
	kat_eq(b, "output", buf, len);
}

static void run_lioness(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "key", 192);
	size_t len;
	uint8_t *buf = copy_of(b, "block", &len);

	if (len <= 32) {
		kat_fail(b, "block of %zu bytes", len);
		return;
	}
	prim_lioness_encrypt(key, buf, len);
	kat_eq(b, "encrypted", buf, len);
	prim_lioness_decrypt(key, buf, len);
	kat_eq(b, "block", buf, len);
	prim_lioness_decrypt(key, buf, len);
	kat_eq(b, "decrypted", buf, len);
}

static void run_sphinx_kdf(struct kat_block *b)
{
	uint8_t expanded[288], key[192];

	prim_hkdf_sha256(expanded, sizeof(expanded), NULL, 0, kat_fixed(b, "shared_secret", 32), 32,
			 expand_info, sizeof(expand_info) - 1);
	kat_eq(b, "expanded", expanded, sizeof(expanded));
	prim_hkdf_sha256(key, sizeof(key), key_salt, sizeof(key_salt) - 1,
			 kat_fixed(b, "payload_key_seed", 16), 16, key_info, sizeof(key_info) - 1);
	kat_eq(b, "payload_key", key, sizeof(key));
}

static void run_hmac(struct kat_block *b)
{
	size_t len;
	const uint8_t *data = kat_bytes(b, "data", &len);
	uint8_t out[16];

	prim_hmac_sha256_16(out, kat_fixed(b, "key", 16), data, len);
	kat_eq(b, "mac16", out, 16);
}

/* The keystream under the zero IV, or data under an IV of its own. */
static void run_aes_ctr(struct kat_block *b)
{
	static const uint8_t zero_iv[16];
	const uint8_t *key = kat_fixed(b, "key", 16);
	static uint8_t zeros[DATA_MAX];
	uint8_t *buf;
	size_t len;

	if (kat_has(b, "keystream")) {
		kat_bytes(b, "keystream", &len);
		memset(zeros, 0, sizeof(zeros));
		if (len > sizeof(zeros))
			len = sizeof(zeros);
		prim_aes128_ctr(key, zero_iv, zeros, len);
		kat_eq(b, "keystream", zeros, len);
		return;
	}
	buf = copy_of(b, "data", &len);
	prim_aes128_ctr(key, kat_fixed(b, "iv", 16), buf, len);
	kat_eq(b, "output", buf, len);
}

static void run_blake3(struct kat_block *b)
{
	size_t len;
	const uint8_t *data = kat_bytes(b, "data", &len);
	uint8_t out[32];

	if (len > 1024) {
		kat_fail(b, "longer than a chunk");
		return;
	}
	prim_blake3(out, data, len);
	kat_eq(b, "digest", out, 32);
}

static void run_hkdf_blake3(struct kat_block *b)
{
	size_t ikm_len, salt_len, len;
	const uint8_t *ikm = kat_bytes(b, "ikm", &ikm_len), *salt = kat_bytes(b, "salt", &salt_len);
	uint8_t out[8160];

	kat_bytes(b, "okm", &len);
	if (len > sizeof(out) || salt_len > 1024 || ikm_len > 960) {
		kat_fail(b, "lengths %zu %zu %zu", len, salt_len, ikm_len);
		return;
	}
	prim_hkdf_blake3(out, len, salt, salt_len, ikm, ikm_len);
	kat_eq(b, "okm", out, len);
}

static void run_gcmsiv(struct kat_block *b)
{
	static uint8_t out[DATA_MAX];
	const uint8_t *key = kat_fixed(b, "key", 32), *nonce = kat_fixed(b, "nonce", 12), *plain, *sealed,
		      *refused;
	size_t len, sealed_len, refused_len;

	plain = kat_bytes(b, "plaintext", &len);
	sealed = kat_bytes(b, "sealed", &sealed_len);
	refused = kat_bytes(b, "refused", &refused_len);
	eq_base58(b, "key_base58", key, 32);
	if (len + GCMSIV_TAG > sizeof(out) || sealed_len > sizeof(out) || refused_len > sizeof(out)) {
		kat_fail(b, "too long");
		return;
	}
	prim_gcmsiv_seal(out, key, nonce, plain, len);
	kat_eq(b, "sealed", out, len + GCMSIV_TAG);
	if (prim_gcmsiv_open(out, key, nonce, sealed, sealed_len))
		kat_fail(b, "sealed text refused");
	kat_eq(b, "plaintext", out, len);
	if (!prim_gcmsiv_open(out, key, nonce, refused, refused_len))
		kat_fail(b, "spoiled text accepted");
}

static void run_gcmsiv_short(struct kat_block *b)
{
	static const uint8_t zeros[32];
	uint8_t out[32];

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "open.");
		size_t len;

		if (!it)
			continue;
		len = strtoul(it->key + strlen("open."), NULL, 10);
		if (len > sizeof(zeros)) {
			kat_fail(b, "%s", it->key);
			continue;
		}
		kat_eq_accepted(b, it->key, !prim_gcmsiv_open(out, zeros, zeros, zeros, len));
	}
}

static void run_base58(struct kat_block *b)
{
	uint8_t out[256];

	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len;
		const uint8_t *bytes = kat_bytes(b, kat_key("bytes%u", i), &len);

		eq_base58(b, kat_key("text%u", i), bytes, len);
	}
	for (unsigned i = 0; kat_has(b, kat_key("bad%u", i)); i++) {
		const char *text = kat_str(b, kat_key("bad%u", i));
		size_t len = strlen(text);

		/* The text stands in brackets, since it may begin or end with a space. */
		if (len < 2 || base58_decode(out, sizeof(out), text + 1, len - 2) >= 0)
			kat_fail(b, "bad%u was taken", i);
	}
	eq_base58(b, "x25519_public_base58", kat_fixed(b, "x25519_public", 32), 32);
}

KAT_KINDS({ "x25519/", run_x25519 }, { "ed25519/", run_ed25519 }, { "blake2b-keyed/", run_blake2b },
	  { "chacha20/", run_chacha20 }, { "lioness/", run_lioness }, { "sphinx-kdf/", run_sphinx_kdf },
	  { "hmac-sha256-16/", run_hmac }, { "aes-128-ctr/", run_aes_ctr }, { "blake3/", run_blake3 },
	  { "hkdf-blake3/", run_hkdf_blake3 }, { "aes-256-gcm-siv/", run_gcmsiv },
	  { "aes-256-gcm-siv/short", run_gcmsiv_short }, { "base58", run_base58 });
