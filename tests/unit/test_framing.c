/* SPDX-License-Identifier: Apache-2.0 */
/* framing: both sides of every bound of MixPackets and node frames. framing.vec is run by tests/kat. */
#include "mixnet/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static const size_t sizes[] = { SPHINX_REGULAR_PACKET, SPHINX_ACK_PACKET, SPHINX_PACKET_MAX, 8557, 16749 };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t packet[SPHINX_PACKET_MAX], buf[MIXPACKET_MAX + 1];

static void rotations(void **state)
{
	(void)state;
	assert_int_equal(rotation_byte(0), ROTATION_UNKNOWN);
	assert_int_equal(rotation_byte(1), ROTATION_ODD);
	assert_int_equal(rotation_byte(2), ROTATION_EVEN);
	assert_int_equal(rotation_byte(UINT32_MAX - 1), ROTATION_EVEN);
	assert_int_equal(rotation_byte(UINT32_MAX), ROTATION_UNKNOWN);
}

static void size_tags(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		assert_int_equal(size_tag(sizes[i]), i + 1);
		assert_int_equal(size_tag(sizes[i] - 1), SMX_EPROTO);
		assert_int_equal(size_tag(sizes[i] + 1), SMX_EPROTO);
		assert_int_equal(size_from_tag((uint8_t)(i + 1)), sizes[i]);
	}
	assert_int_equal(size_tag(0), SMX_EPROTO);
	assert_int_equal(size_from_tag(0), SMX_EPROTO);
	for (unsigned t = SIZES + 1; t < 256; t++)
		assert_int_equal(size_from_tag((uint8_t)t), SMX_EPROTO);
}

static struct mixpacket some(uint8_t family, size_t len)
{
	return (struct mixpacket){ .rotation = ROTATION_EVEN,
				   .next_hop = { .family = family, .port = 1789, .ip = { 192, 0, 2, 1 } },
				   .packet = packet,
				   .packet_len = len };
}

/* Every size, address family and version, into just enough bytes and one less. */
static void mixpackets_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++)
		for (int v6 = 0; v6 < 2; v6++)
			for (int version = 1; version <= 2; version++) {
				struct mixpacket m = some(v6 ? 6 : 4, sizes[i]), got;
				size_t want = (size_t)version + (v6 ? 19 : 7) + sizes[i];

				memset(packet, (int)i + 1, sizes[i]);
				assert_int_equal(mixpacket_put(buf, want - 1, &m, version), SMX_ELIMIT);
				assert_int_equal(mixpacket_put(buf, want, &m, version), want);
				assert_int_equal(mixpacket_get(&got, buf, want, version), 0);
				assert_int_equal(got.rotation, version == 2 ? ROTATION_EVEN : 0);
				assert_true(addr_equal(&got.next_hop, &m.next_hop));
				assert_ptr_equal(got.packet, buf + want - sizes[i]);
				assert_int_equal(got.packet_len, sizes[i]);
				assert_memory_equal(got.packet, packet, sizes[i]);
				assert_int_equal(mixpacket_get(&got, buf, want - 1, version), SMX_EPROTO);
				assert_int_equal(mixpacket_get(&got, buf, want + 1, version), SMX_EPROTO);
			}
}

static void mixpackets_refused(void **state)
{
	struct mixpacket m = some(4, SPHINX_ACK_PACKET), got;
	size_t len = 2 + 7 + SPHINX_ACK_PACKET;

	(void)state;
	m.rotation = 3;
	assert_int_equal(mixpacket_put(buf, sizeof(buf), &m, 2), SMX_EPROTO);
	m = some(4, SPHINX_ACK_PACKET + 1);
	assert_int_equal(mixpacket_put(buf, sizeof(buf), &m, 2), SMX_EPROTO);
	m = some(0, SPHINX_ACK_PACKET);
	assert_int_equal(mixpacket_put(buf, sizeof(buf), &m, 2), SMX_EPROTO);
	m = some(4, SPHINX_ACK_PACKET);
	assert_int_equal(mixpacket_put(buf, sizeof(buf), &m, 2), len);

	for (size_t n = 0; n < 2 + 7 + 1; n++)
		assert_int_equal(mixpacket_get(&got, buf, n, 2), SMX_EPROTO);
	for (unsigned type = 1; type < 256; type++) {
		buf[0] = (uint8_t)type;
		assert_int_equal(mixpacket_get(&got, buf, len, 2), SMX_EPROTO);
	}
	buf[0] = 0;
	for (unsigned rotation = 0; rotation < 256; rotation++) {
		buf[1] = (uint8_t)rotation;
		assert_int_equal(mixpacket_get(&got, buf, len, 2), rotation <= 2 ? 0 : SMX_EPROTO);
	}
	buf[1] = 0;
	for (unsigned family = 0; family < 256; family++) {
		buf[2] = (uint8_t)family;
		assert_int_equal(mixpacket_get(&got, buf, len, 2), family == 4 ? 0 : SMX_EPROTO);
	}
}

/* A refusal leaves what the caller had. */
static void outputs_stay(void **state)
{
	struct mixpacket got = { .rotation = 99 };
	struct node_frame f = { .rotation = 99 };

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(mixpacket_get(&got, buf, sizeof(buf), 2), SMX_EPROTO);
	assert_int_equal(got.rotation, 99);
	assert_int_equal(node_frame_get(&f, buf, sizeof(buf)), SMX_EPROTO);
	assert_int_equal(f.rotation, 99);
}

static void frames_come_back(void **state)
{
	uint8_t hdr[NODE_FRAME_HDR];
	struct node_frame f;

	(void)state;
	for (int version = 7; version <= 8; version++)
		for (size_t i = 0; i < SIZES; i++)
			for (uint8_t rotation = 0; rotation <= 2; rotation++) {
				int n = node_frame_put(hdr, version, sizes[i], rotation);

				assert_int_equal(n, version - 4);
				for (int have = 0; have < n; have++)
					assert_int_equal(node_frame_get(&f, hdr, (size_t)have), 0);
				assert_int_equal(node_frame_get(&f, hdr, (size_t)n), 1);
				assert_int_equal(f.hdr_len, n);
				assert_int_equal(f.packet_len, sizes[i]);
				assert_int_equal(f.rotation, version == 8 ? rotation : ROTATION_UNKNOWN);
			}
}

static void frames_refused(void **state)
{
	uint8_t hdr[NODE_FRAME_HDR];
	struct node_frame f;

	(void)state;
	assert_int_equal(node_frame_put(hdr, 6, SPHINX_ACK_PACKET, 0), SMX_EPROTO);
	assert_int_equal(node_frame_put(hdr, 9, SPHINX_ACK_PACKET, 0), SMX_EPROTO);
	assert_int_equal(node_frame_put(hdr, 8, SPHINX_ACK_PACKET, 3), SMX_EPROTO);
	assert_int_equal(node_frame_put(hdr, 8, SPHINX_ACK_PACKET - 1, 0), SMX_EPROTO);
	/* A byte at a time, all values: version, size tag, type, rotation. */
	for (unsigned at = 0; at < NODE_FRAME_HDR; at++)
		for (unsigned v = 0; v < 256; v++) {
			bool ok = at == 0   ? v == 7 || v == 8
				  : at == 1 ? v >= 1 && v <= 5
				  : at == 2 ? !v
					    : v <= 2;

			memcpy(hdr, (const uint8_t[]){ 8, 2, 0, 1 }, sizeof(hdr));
			hdr[at] = (uint8_t)v;
			assert_int_equal(node_frame_get(&f, hdr, sizeof(hdr)), ok ? 1 : SMX_EPROTO);
		}
	/* The version is judged alone. */
	hdr[0] = 6;
	assert_int_equal(node_frame_get(&f, hdr, 1), SMX_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rotations),
		cmocka_unit_test(size_tags),
		cmocka_unit_test(mixpackets_come_back),
		cmocka_unit_test(mixpackets_refused),
		cmocka_unit_test(outputs_stay),
		cmocka_unit_test(frames_come_back),
		cmocka_unit_test(frames_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
