/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exact cryptographic primitives the protocols use, one function each. Only its .c files (prim*.c)
 * include libsodium and BearSSL. libsodium: X25519, Ed25519, BLAKE2b, ChaCha20, constant-time compare.
 * BearSSL: AES-CTR (AES-NI where present), GHASH (PCLMUL where present). Ours, because no packaged library
 * has them: BLAKE3 of one chunk, HMAC/HKDF over it, AES-256-GCM-SIV (RFC 8452), LIONESS, and SHA-256 with the
 * CPU's instructions (prim_sha256.c says what that brings).
 *
 * Known answers: vectors primitives.vec. All functions are thread-safe after prim_init().
 */
#ifndef MIXNET_PRIM_H
#define MIXNET_PRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng;

/* Once per process before anything else (picks AES, GHASH and SHA-256 code by CPU). 0 or SMX_ECRYPTO. */
int prim_init(void);

void prim_wipe(void *p, size_t len);
bool prim_equal(const void *a, const void *b, size_t len); /* constant time */

/* RFC 7748, clamped at use. SMX_ECRYPTO when the result is all zero (small-order input). out != in. */
int prim_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);
void prim_x25519_base(uint8_t out[32], const uint8_t scalar[32]);
/*
 * A scalar that does in one multiplication what a and b do one after the other: for every point p of the
 * curve (all honest public keys; not its twist) X25519(out, p) = X25519(b, X25519(a, p)), byte for byte. out
 * is in clamped form; a and b are clamped at use. SMX_ECRYPTO with a chance of 2^-126: take other scalars.
 * out may be a or b.
 */
int prim_x25519_product(uint8_t out[32], const uint8_t a[32], const uint8_t b[32]);

/* RFC 8032. sk = seed || pk (libsodium's form). */
void prim_ed25519_keypair(uint8_t pk[32], uint8_t sk[64], const uint8_t seed[32]);
void prim_ed25519_sign(uint8_t sig[64], const void *msg, size_t len, const uint8_t sk[64]);
int prim_ed25519_verify(const uint8_t sig[64], const void *msg, size_t len,
			const uint8_t pk[32]); /* 0 or SMX_ECRYPTO */
/* Whether pk decompresses to a curve point (nymsphinx.md 3.1: small-order ones are accepted). */
bool prim_ed25519_valid(const uint8_t pk[32]);

void prim_hmac_sha256_16(uint8_t out[16], const uint8_t key[16], const void *msg,
			 size_t len); /* sphinx.md 4 */
/* RFC 5869; salt may be empty (NULL, 0); out_len <= 8160. */
void prim_hkdf_sha256(uint8_t *out, size_t out_len, const void *salt, size_t salt_len, const void *ikm,
		      size_t ikm_len, const void *info, size_t info_len);
void prim_blake3(uint8_t out[32], const void *in, size_t len); /* plain hash, one chunk: len <= 1024 */
/* HKDF over HMAC over BLAKE3, block size 64, empty info, out_len <= 8160, ikm_len <= 960, salt_len <= 1024
 * (nymsphinx.md 2.1, gateway.md 4.1). */
void prim_hkdf_blake3(uint8_t *out, size_t out_len, const void *salt, size_t salt_len, const void *ikm,
		      size_t ikm_len);
void prim_blake2b_keyed(uint8_t out[32], const uint8_t key[64], const void *in, size_t len);

/* XORs the keystream into buf, block counter from iv (big-endian). */
void prim_aes128_ctr(const uint8_t key[16], const uint8_t iv[16], uint8_t *buf, size_t len);
/* XORs ChaCha20 with zero nonce and counter 0 into buf. */
void prim_chacha20(const uint8_t key[32], uint8_t *buf, size_t len);

/* sphinx.md 9; in place, len > 32. */
void prim_lioness_encrypt(const uint8_t key[192], uint8_t *buf, size_t len);
void prim_lioness_decrypt(const uint8_t key[192], uint8_t *buf, size_t len);

#define GCMSIV_TAG 16
#define GCMSIV_NONCE 12
/* AEAD_AES_256_GCM_SIV, empty AAD (gateway.md 4.2). out has len + 16 bytes (ciphertext || tag); out == in is
 * allowed. */
void prim_gcmsiv_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in,
		      size_t len);
/* in has len bytes including the tag; out gets len - 16. 0, or SMX_ECRYPTO with out wiped. out == in is
 * allowed. */
int prim_gcmsiv_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in,
		     size_t len);

/* Standard base64 with padding (gateway.md 5). Text length or SMX_ELIMIT / bytes or SMX_EPROTO. */
int prim_base64_encode(char *out, size_t cap, const uint8_t *in, size_t len);
int prim_base64_decode(uint8_t *out, size_t cap, const char *in, size_t len);

#endif
