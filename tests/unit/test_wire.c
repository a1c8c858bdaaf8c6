/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: every bound from both sides, and that an error sticks. */
#include "base/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"

static const uint8_t bytes[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void reads_in_order(void **state)
{
	struct wire_rd r;
	uint8_t copy[2];

	(void)state;
	wire_rd_init(&r, bytes, sizeof(bytes));
	assert_int_equal(wire_get_u8(&r), 1);
	assert_int_equal(wire_get_u16(&r), 0x0203);
	assert_int_equal(wire_get_u16le(&r), 0x0504);
	assert_int_equal(wire_get_u32(&r), 0x06070809);
	wire_get_copy(&r, copy, 2);
	assert_int_equal(copy[1], 11);
	assert_int_equal(wire_rd_ok(&r), 0);
	assert_int_equal(wire_rd_end(&r), SMX_EPROTO); /* four are left */
	assert_ptr_equal(wire_get_bytes(&r, 4), bytes + 11);
	assert_int_equal(wire_rd_end(&r), 0);
}

static void read_error_sticks(void **state)
{
	struct wire_rd r;
	uint8_t copy[3] = { 9, 9, 9 };

	(void)state;
	wire_rd_init(&r, bytes, 7);
	assert_int_equal(wire_get_u64(&r), 0); /* one byte short */
	assert_int_equal(wire_get_u8(&r), 0);  /* though seven are there */
	wire_get_copy(&r, copy, 3);
	assert_int_equal(copy[0] | copy[1] | copy[2], 0);
	assert_null(wire_get_bytes(&r, 0));
	assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
	wire_rd_init(&r, bytes, 8);
	assert_true(wire_get_u64(&r) == UINT64_C(0x0102030405060708));
	assert_int_equal(wire_rd_end(&r), 0);
	wire_rd_fail(&r);
	assert_int_equal(wire_rd_end(&r), SMX_EPROTO);
}

static void writes_what_is_read(void **state)
{
	uint8_t buf[20];
	struct wire_wr w;
	struct wire_rd r;

	(void)state;
	wire_wr_init(&w, buf, sizeof(buf));
	wire_put_u8(&w, 0xfe);
	wire_put_u16(&w, 0xabcd);
	wire_put_u16le(&w, 0x1234);
	wire_put_u32(&w, 0xdeadbeef);
	wire_put_u64(&w, UINT64_C(0x1122334455667788));
	wire_put_bytes(&w, "xy", 2);
	wire_put_zero(&w, 1);
	assert_int_equal(wire_wr_end(&w), 20);
	wire_rd_init(&r, buf, 20);
	assert_int_equal(wire_get_u8(&r), 0xfe);
	assert_int_equal(wire_get_u16(&r), 0xabcd);
	assert_int_equal(wire_get_u16le(&r), 0x1234);
	assert_int_equal(wire_get_u32(&r), 0xdeadbeef);
	assert_true(wire_get_u64(&r) == UINT64_C(0x1122334455667788));
	assert_memory_equal(wire_get_bytes(&r, 3), "xy\0", 3);
	assert_int_equal(wire_rd_end(&r), 0);
}

static void write_error_sticks(void **state)
{
	uint8_t buf[4] = { 0 };
	struct wire_wr w;

	(void)state;
	wire_wr_init(&w, buf, 3);
	wire_put_u32(&w, 0xffffffff);
	wire_put_u8(&w, 1);
	assert_null(wire_put_reserve(&w, 0));
	assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	wire_wr_init(&w, buf, 4);
	wire_put_u32(&w, 0xffffffff);
	assert_int_equal(wire_wr_end(&w), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_in_order),
		cmocka_unit_test(read_error_sticks),
		cmocka_unit_test(writes_what_is_read),
		cmocka_unit_test(write_error_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
