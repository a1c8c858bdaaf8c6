/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bincode as the IPR uses it (spec ipr.md 3.1): big-endian, variable-length integers, shortest form when
 * written.
 */
#ifndef MIXNET_BINCODE_H
#define MIXNET_BINCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/wire.h"

void bincode_put_uint(struct wire_wr *w, uint64_t v);
void bincode_put_int(struct wire_wr *w, int64_t v); /* zig-zag */
/* Value up to max; longer forms than needed are taken; a larger value or marker 0xFE, 0xFF makes the cursor
 * fail. */
uint64_t bincode_get_uint(struct wire_rd *r, uint64_t max);
int64_t bincode_get_int(struct wire_rd *r, int64_t min, int64_t max);
bool bincode_get_bool(struct wire_rd *r); /* 0 or 1, else failure; also the tag of an option */
/* Length-prefixed bytes; points into the input. */
const uint8_t *bincode_get_bytes(struct wire_rd *r, size_t *ret_len);
/* The same, required to be UTF-8. */
const char *bincode_get_str(struct wire_rd *r, size_t *ret_len);
void bincode_put_bytes(struct wire_wr *w, const void *p, size_t len);

#endif
