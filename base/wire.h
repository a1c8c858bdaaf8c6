/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read and write cursors over wire bytes, with a sticky error: after a failure every further call is a no-op
 * that returns zeros or NULL, so that code checks once at the end. The only place that moves pointers through
 * wire bytes.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct wire_wr {
	uint8_t *start;
	size_t cap;
	size_t len;
	bool bad;
};

void wire_rd_init(struct wire_rd *r, const void *buf, size_t len);
uint8_t wire_get_u8(struct wire_rd *r);
uint16_t wire_get_u16(struct wire_rd *r); /* big-endian, as all below */
uint32_t wire_get_u32(struct wire_rd *r);
uint64_t wire_get_u64(struct wire_rd *r);
uint16_t wire_get_u16le(struct wire_rd *r);
/* Pointer to the next n bytes (consumed), NULL when fewer are left. */
const uint8_t *wire_get_bytes(struct wire_rd *r, size_t n);
/* Copies n bytes to dst; on failure dst is zeroed. */
void wire_get_copy(struct wire_rd *r, void *dst, size_t n);
void wire_rd_fail(struct wire_rd *r);
/* 0 when nothing failed and every byte was consumed, else SMX_EPROTO. */
int wire_rd_end(const struct wire_rd *r);
/* 0 when nothing failed, bytes may be left; else SMX_EPROTO. */
int wire_rd_ok(const struct wire_rd *r);

void wire_wr_init(struct wire_wr *w, void *buf, size_t cap);
void wire_put_u8(struct wire_wr *w, uint8_t v);
void wire_put_u16(struct wire_wr *w, uint16_t v);
void wire_put_u32(struct wire_wr *w, uint32_t v);
void wire_put_u64(struct wire_wr *w, uint64_t v);
void wire_put_u16le(struct wire_wr *w, uint16_t v);
void wire_put_bytes(struct wire_wr *w, const void *src, size_t n);
void wire_put_zero(struct wire_wr *w, size_t n);
/* Reserves n bytes and returns where to write them; NULL when there is no room. */
uint8_t *wire_put_reserve(struct wire_wr *w, size_t n);
/* Number of bytes written, or SMX_ELIMIT when something did not fit. */
int wire_wr_end(const struct wire_wr *w);

#endif
