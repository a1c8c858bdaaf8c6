/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors with a sticky error. Every get and put goes through one function that checks the bound; after a
 * failure nothing is read or written any more.
 */
#include "base/wire.h"

#include <string.h>

#include "base/err.h"

void wire_rd_init(struct wire_rd *r, const void *buf, size_t len)
{
	*r = (struct wire_rd){ .p = buf, .left = len };
}

const uint8_t *wire_get_bytes(struct wire_rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	if (n) {
		r->p += n;
		r->left -= n;
	}
	return p;
}

static uint64_t get_be(struct wire_rd *r, size_t n)
{
	const uint8_t *p = wire_get_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t wire_get_u8(struct wire_rd *r)
{
	return (uint8_t)get_be(r, 1);
}

uint16_t wire_get_u16(struct wire_rd *r)
{
	return (uint16_t)get_be(r, 2);
}

uint32_t wire_get_u32(struct wire_rd *r)
{
	return (uint32_t)get_be(r, 4);
}

uint64_t wire_get_u64(struct wire_rd *r)
{
	return get_be(r, 8);
}

uint16_t wire_get_u16le(struct wire_rd *r)
{
	uint16_t v = wire_get_u16(r);

	return (uint16_t)(v << 8 | v >> 8);
}

void wire_get_copy(struct wire_rd *r, void *dst, size_t n)
{
	const uint8_t *p = wire_get_bytes(r, n);

	if (!n)
		return;
	if (p)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
}

void wire_rd_fail(struct wire_rd *r)
{
	r->bad = true;
}

int wire_rd_end(const struct wire_rd *r)
{
	return r->bad || r->left ? SMX_EPROTO : 0;
}

int wire_rd_ok(const struct wire_rd *r)
{
	return r->bad ? SMX_EPROTO : 0;
}

void wire_wr_init(struct wire_wr *w, void *buf, size_t cap)
{
	*w = (struct wire_wr){ .start = buf, .cap = cap };
}

uint8_t *wire_put_reserve(struct wire_wr *w, size_t n)
{
	uint8_t *p;

	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	p = w->start + w->len;
	w->len += n;
	return p;
}

static void put_be(struct wire_wr *w, uint64_t v, size_t n)
{
	uint8_t *p = wire_put_reserve(w, n);

	for (size_t i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

void wire_put_u8(struct wire_wr *w, uint8_t v)
{
	put_be(w, v, 1);
}

void wire_put_u16(struct wire_wr *w, uint16_t v)
{
	put_be(w, v, 2);
}

void wire_put_u32(struct wire_wr *w, uint32_t v)
{
	put_be(w, v, 4);
}

void wire_put_u64(struct wire_wr *w, uint64_t v)
{
	put_be(w, v, 8);
}

void wire_put_u16le(struct wire_wr *w, uint16_t v)
{
	put_be(w, (uint16_t)(v << 8 | v >> 8), 2);
}

void wire_put_bytes(struct wire_wr *w, const void *src, size_t n)
{
	uint8_t *p = wire_put_reserve(w, n);

	if (p && n)
		memcpy(p, src, n);
}

void wire_put_zero(struct wire_wr *w, size_t n)
{
	uint8_t *p = wire_put_reserve(w, n);

	if (p && n)
		memset(p, 0, n);
}

int wire_wr_end(const struct wire_wr *w)
{
	return w->bad ? SMX_ELIMIT : (int)w->len;
}
