/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base58: the bytes are one big-endian number, written in base 58; every leading zero byte becomes a '1'.
 * Quadratic in the length, which is bounded.
 */
#include "base/base58.h"

#include <string.h>

#include "base/err.h"

#define IN_MAX 256
#define TEXT_MAX 512

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

int base58_encode(char *out, size_t cap, const uint8_t *in, size_t in_len)
{
	uint8_t digits[IN_MAX * 138 / 100 + 1];
	size_t zeros = 0, n = 0, len;

	if (in_len > IN_MAX)
		return SMX_ELIMIT;
	while (zeros < in_len && !in[zeros])
		zeros++;
	for (size_t i = zeros; i < in_len; i++) {
		unsigned carry = in[i];

		for (size_t j = 0; j < n; j++) {
			carry += (unsigned)digits[j] << 8;
			digits[j] = (uint8_t)(carry % 58);
			carry /= 58;
		}
		for (; carry; carry /= 58)
			digits[n++] = (uint8_t)(carry % 58);
	}
	len = zeros + n;
	if (len + 1 > cap)
		return SMX_ELIMIT;
	memset(out, '1', zeros);
	for (size_t i = 0; i < n; i++)
		out[zeros + i] = alphabet[digits[n - 1 - i]];
	out[len] = '\0';
	return (int)len;
}

int base58_decode(uint8_t *out, size_t cap, const char *in, size_t len)
{
	uint8_t bytes[TEXT_MAX];
	size_t zeros = 0, n = 0;

	if (len > TEXT_MAX)
		return SMX_EPROTO;
	while (zeros < len && in[zeros] == '1')
		zeros++;
	for (size_t i = zeros; i < len; i++) {
		const char *p = in[i] ? strchr(alphabet, in[i]) : NULL;
		unsigned carry;

		if (!p)
			return SMX_EPROTO;
		carry = (unsigned)(p - alphabet);
		for (size_t j = 0; j < n; j++) {
			carry += bytes[j] * 58u;
			bytes[j] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry)
			bytes[n++] = (uint8_t)carry;
	}
	if (zeros + n > cap)
		return SMX_EPROTO;
	memset(out, 0, zeros);
	for (size_t i = 0; i < n; i++)
		out[zeros + i] = bytes[n - 1 - i];
	return (int)(zeros + n);
}

int base58_decode_key(uint8_t out[32], const char *in, size_t len)
{
	uint8_t key[32];

	if (base58_decode(key, sizeof(key), in, len) != 32)
		return SMX_EPROTO;
	memcpy(out, key, 32);
	return 0;
}
