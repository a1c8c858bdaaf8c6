/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2*len lower-case digits and a NUL. Constant time in the bytes. */
void hex_encode(char *out, const uint8_t *in, size_t len);
/* Number of bytes, or SMX_EPROTO: odd length, other characters, more than cap bytes. */
int hex_decode(uint8_t *out, size_t cap, const char *in, size_t len);

#endif
