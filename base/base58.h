/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base58 with the Bitcoin alphabet, no checksum (spec bootstrap.md 4: keys; nymsphinx.md 3.1: Recipient).
 */
#ifndef BASE_BASE58_H
#define BASE_BASE58_H

#include <stddef.h>
#include <stdint.h>

#define BASE58_KEY_TEXT 45 /* longest text of 32 bytes, with the NUL */

/* Text length without the NUL, or SMX_ELIMIT when cap is too small. in_len <= 256. */
int base58_encode(char *out, size_t cap, const uint8_t *in, size_t in_len);
/* Number of bytes, or SMX_EPROTO: other characters, more than cap bytes. Text of up to 512 characters. */
int base58_decode(uint8_t *out, size_t cap, const char *in, size_t len);
/* Exactly 32 bytes or SMX_EPROTO. */
int base58_decode_key(uint8_t out[32], const char *in, size_t len);

#endif
