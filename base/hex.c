/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text without table look-ups in the encoder, so that keys may pass through it. */
#include "base/hex.h"

#include "base/err.h"

static char digit(unsigned v)
{
	/* 'a' - '0' - 10 = 39 is added for v > 9: (9 - v) is then negative and its high byte all ones */
	return (char)(v + 48 + (((9 - v) >> 8) & 39));
}

void hex_encode(char *out, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digit(in[i] >> 4);
		out[2 * i + 1] = digit(in[i] & 15);
	}
	out[2 * len] = '\0';
}

static int value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(uint8_t *out, size_t cap, const char *in, size_t len)
{
	if (len % 2 || len / 2 > cap)
		return SMX_EPROTO;
	for (size_t i = 0; i < len / 2; i++) {
		int hi = value(in[2 * i]), lo = value(in[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return SMX_EPROTO;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return (int)(len / 2);
}
