/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bincode integers: 0..250 in one byte; 0xFB, 0xFC, 0xFD announce 2, 4, 8 bytes. 0xFE (16 bytes) and 0xFF
 * never fit a field here.
 */
#include "mixnet/bincode.h"

void bincode_put_uint(struct wire_wr *w, uint64_t v)
{
	if (v <= 250) {
		wire_put_u8(w, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		wire_put_u8(w, 0xfb);
		wire_put_u16(w, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		wire_put_u8(w, 0xfc);
		wire_put_u32(w, (uint32_t)v);
	} else {
		wire_put_u8(w, 0xfd);
		wire_put_u64(w, v);
	}
}

void bincode_put_int(struct wire_wr *w, int64_t v)
{
	bincode_put_uint(w, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

uint64_t bincode_get_uint(struct wire_rd *r, uint64_t max)
{
	uint8_t first = wire_get_u8(r);
	uint64_t v = first;

	if (first == 0xfb)
		v = wire_get_u16(r);
	else if (first == 0xfc)
		v = wire_get_u32(r);
	else if (first == 0xfd)
		v = wire_get_u64(r);
	else if (first > 0xfd)
		wire_rd_fail(r);
	if (v > max)
		wire_rd_fail(r);
	return r->bad ? 0 : v;
}

int64_t bincode_get_int(struct wire_rd *r, int64_t min, int64_t max)
{
	uint64_t u = bincode_get_uint(r, UINT64_MAX);
	int64_t v = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);

	if (v < min || v > max)
		wire_rd_fail(r);
	return r->bad ? 0 : v;
}

bool bincode_get_bool(struct wire_rd *r)
{
	uint8_t b = wire_get_u8(r);

	if (b > 1)
		wire_rd_fail(r);
	return b == 1 && !r->bad;
}

const uint8_t *bincode_get_bytes(struct wire_rd *r, size_t *ret_len)
{
	size_t n = bincode_get_uint(r, r->left);

	*ret_len = n;
	return wire_get_bytes(r, n);
}

/* RFC 3629: shortest forms, no surrogates, nothing above U+10FFFF. */
static bool utf8(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint8_t c = p[i];
		size_t k = c < 0x80		   ? 1
			   : c >= 0xc2 && c < 0xe0 ? 2
			   : c >= 0xe0 && c < 0xf0 ? 3
			   : c >= 0xf0 && c < 0xf5 ? 4
						   : 0;

		if (!k || i + k > n)
			return false;
		for (size_t j = 1; j < k; j++)
			if ((p[i + j] & 0xc0) != 0x80)
				return false;
		if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) ||
		    (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f))
			return false;
		i += k;
	}
	return true;
}

const char *bincode_get_str(struct wire_rd *r, size_t *ret_len)
{
	const uint8_t *p = bincode_get_bytes(r, ret_len);

	if (p && !utf8(p, *ret_len))
		wire_rd_fail(r);
	return r->bad ? NULL : (const char *)p;
}

void bincode_put_bytes(struct wire_wr *w, const void *p, size_t len)
{
	bincode_put_uint(w, len);
	wire_put_bytes(w, p, len);
}
