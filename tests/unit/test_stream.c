/* SPDX-License-Identifier: Apache-2.0 */
/* stream: every byte of the frame header, both sides of every bound. tests/kat runs ipr.vec and newer.vec. */
#include "mixnet/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* Spec ipr.md 3.8: stream id 0123456789abcdef. */
#define HDR(type, seq)                                                                                       \
	{                                                                                                    \
		3, 0, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, type, 0, 0, 0, seq, 0                  \
	}

static const uint8_t open_hdr[STREAM_HDR] = HDR(0, 0), data_hdr[STREAM_HDR] = HDR(1, 1);

#define ID UINT64_C(0x0123456789abcdef)

static void headers(void **state)
{
	uint8_t buf[STREAM_HDR];
	struct stream_frame f;
	struct wire_wr w;

	(void)state;
	wire_wr_init(&w, buf, sizeof(buf));
	stream_put(&w, ID, STREAM_OPEN, 0);
	assert_int_equal(wire_wr_end(&w), STREAM_HDR);
	assert_memory_equal(buf, open_hdr, STREAM_HDR);
	wire_wr_init(&w, buf, sizeof(buf));
	stream_put(&w, ID, STREAM_DATA, 1);
	assert_int_equal(wire_wr_end(&w), STREAM_HDR);
	assert_memory_equal(buf, data_hdr, STREAM_HDR);

	assert_int_equal(stream_parse(&f, open_hdr, STREAM_HDR), 0);
	assert_true(f.id == ID);
	assert_int_equal(f.type, STREAM_OPEN);
	assert_int_equal(f.seq, 0);
	assert_int_equal(stream_parse(&f, data_hdr, STREAM_HDR), 0);
	assert_true(f.id == ID);
	assert_int_equal(f.type, STREAM_DATA);
	assert_int_equal(f.seq, 1);
	assert_int_equal(f.len, 0);
}

/* Where a field begins and ends: its extremes, and every single bit of it. */
static void fields(void **state)
{
	uint8_t buf[STREAM_HDR];
	struct stream_frame f;
	struct wire_wr w;

	(void)state;
	for (unsigned bit = 0; bit < 64 + 32; bit++) {
		uint64_t id = bit < 64 ? UINT64_C(1) << bit : 0;
		uint32_t seq = bit < 64 ? 0 : UINT32_C(1) << (bit - 64);
		unsigned at = bit < 64 ? 9 - bit / 8 : 14 - (bit - 64) / 8;
		uint8_t want[STREAM_HDR] = { 3, 0 };

		want[at] = (uint8_t)(1u << bit % 8);
		wire_wr_init(&w, buf, sizeof(buf));
		stream_put(&w, id, STREAM_OPEN, seq);
		assert_memory_equal(buf, want, STREAM_HDR);
		assert_int_equal(stream_parse(&f, want, STREAM_HDR), 0);
		assert_true(f.id == id);
		assert_int_equal(f.seq, seq);
		assert_int_equal(f.type, STREAM_OPEN);
	}
	memset(buf, 0xff, sizeof(buf));
	memcpy(buf, (const uint8_t[]){ 3, 0 }, 2);
	buf[10] = STREAM_PONG;
	assert_int_equal(stream_parse(&f, buf, STREAM_HDR), 0);
	assert_true(f.id == UINT64_MAX);
	assert_int_equal(f.seq, UINT32_MAX);
	assert_int_equal(f.type, STREAM_PONG);
}

static void just_enough_room(void **state)
{
	uint8_t buf[STREAM_HDR + 1];
	struct wire_wr w;

	(void)state;
	for (size_t cap = 0; cap < STREAM_HDR; cap++) {
		memset(buf, 0xa5, sizeof(buf));
		wire_wr_init(&w, buf, cap);
		stream_put(&w, ID, STREAM_DATA, 1);
		assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);
		for (size_t i = cap; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xa5);
	}
	memset(buf, 0xa5, sizeof(buf));
	wire_wr_init(&w, buf, STREAM_HDR);
	stream_put(&w, ID, STREAM_DATA, 1);
	assert_int_equal(wire_wr_end(&w), STREAM_HDR);
	assert_int_equal(buf[STREAM_HDR], 0xa5);
}

/* The payload is what follows, to the end of the message; no length from 16 on is too short. */
static void every_length(void **state)
{
	uint8_t buf[STREAM_HDR + 300];
	struct stream_frame f;

	(void)state;
	memset(buf, 0x33, sizeof(buf));
	memcpy(buf, data_hdr, STREAM_HDR);
	for (size_t len = 0; len <= sizeof(buf); len++) {
		bool whole = len >= STREAM_HDR;

		assert_int_equal(stream_is(buf, len), whole);
		assert_int_equal(stream_parse(&f, buf, len), whole ? 0 : SMX_EPROTO);
		if (!whole)
			continue;
		assert_int_equal(f.len, len - STREAM_HDR);
		if (f.len)
			assert_ptr_equal(f.payload, buf + STREAM_HDR);
	}
}

/* Kinds are 16 bits, little-endian; only 3 is ours. What is of our kind but of an unknown type is a frame all
 * the same: it must not be taken for a bare message. */
static void kinds_and_types(void **state)
{
	uint8_t buf[STREAM_HDR];
	struct stream_frame f;

	(void)state;
	memcpy(buf, data_hdr, STREAM_HDR);
	for (unsigned kind = 0; kind <= UINT16_MAX; kind++) {
		buf[0] = (uint8_t)kind;
		buf[1] = (uint8_t)(kind >> 8);
		assert_int_equal(stream_is(buf, STREAM_HDR), kind == 3);
		assert_int_equal(stream_parse(&f, buf, STREAM_HDR), kind == 3 ? 0 : SMX_EPROTO);
	}
	memcpy(buf, data_hdr, STREAM_HDR);
	for (unsigned type = 0; type < 256; type++) {
		buf[10] = (uint8_t)type;
		assert_true(stream_is(buf, STREAM_HDR));
		assert_int_equal(stream_parse(&f, buf, STREAM_HDR), type <= 4 ? 0 : SMX_EPROTO);
		if (type <= 4)
			assert_int_equal(f.type, type);
	}
}

static void reserved_byte_is_not_read(void **state)
{
	uint8_t buf[STREAM_HDR + 1];
	struct stream_frame f;

	(void)state;
	memcpy(buf, data_hdr, STREAM_HDR);
	buf[STREAM_HDR] = 0x33;
	for (unsigned reserved = 0; reserved < 256; reserved++) {
		buf[15] = (uint8_t)reserved;
		assert_int_equal(stream_parse(&f, buf, sizeof(buf)), 0);
		assert_true(f.id == ID);
		assert_int_equal(f.seq, 1);
		assert_int_equal(f.len, 1);
		assert_int_equal(f.payload[0], 0x33);
	}
}

/* A refusal leaves what the caller had. */
static void outputs_stay(void **state)
{
	struct stream_frame f = { .id = 99, .seq = 98, .len = 97 };
	uint8_t buf[STREAM_HDR];

	(void)state;
	memcpy(buf, data_hdr, STREAM_HDR);
	buf[10] = STREAM_PONG + 1;
	assert_int_equal(stream_parse(&f, buf, STREAM_HDR), SMX_EPROTO);
	assert_int_equal(stream_parse(&f, data_hdr, STREAM_HDR - 1), SMX_EPROTO);
	assert_true(f.id == 99);
	assert_int_equal(f.seq, 98);
	assert_int_equal(f.len, 97);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),	    cmocka_unit_test(fields),
		cmocka_unit_test(just_enough_room), cmocka_unit_test(every_length),
		cmocka_unit_test(kinds_and_types),  cmocka_unit_test(reserved_byte_is_not_read),
		cmocka_unit_test(outputs_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
