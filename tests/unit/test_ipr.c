/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipr and its bincode: both sides of every bound of requests, responses and bundles. Bytes are those of spec
 * ipr.md 3.8 and of ipr.vec, which tests/kat runs as a whole.
 */
#include "mixnet/ipr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hex.h"
#include "mixnet/bincode.h"

#define ID UINT64_C(0x1122334455667788)
#define ID_HEX "fd1122334455667788"
#define TIME_HEX "fb0fd488061b34fc075bcd15000000" /* 2026-05-16 06:27:52.123456789 */
#define TIME                                                                                                 \
	{                                                                                                    \
		.year = 2026, .ordinal = 136, .hour = 6, .minute = 27, .second = 52, .nanos = 123456789      \
	}
#define SYN "0028450000280001400040061c9a0a00123401010101c00001bb00000001000000005002ffffcff00000"
#define MTU_HEX "fb05dc" /* 1500 */
#define TEXT(s)                                                                                              \
	{                                                                                                    \
		s, sizeof(s) - 1                                                                             \
	}
#define HEX_MAX 128 /* bytes of one hex string */
#define N(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t buf[66000];

static size_t bytes(uint8_t *out, const char *hex)
{
	int n = hex_decode(out, HEX_MAX, hex, strlen(hex));

	assert_true(n >= 0);
	return (size_t)n;
}

/* ---- bincode ---- */

static void integers(void **state)
{
	static const struct {
		uint64_t v;
		const char *hex;
	} cases[] = {
		{ 0, "00" },
		{ 250, "fa" },
		{ 251, "fb00fb" },
		{ 255, "fb00ff" },
		{ 65535, "fbffff" },
		{ 65536, "fc00010000" },
		{ UINT32_MAX, "fcffffffff" },
		{ UINT64_C(1) << 32, "fd0000000100000000" },
		{ UINT64_MAX, "fdffffffffffffffff" },
	};
	uint8_t want[2 * HEX_MAX];
	struct wire_wr w;
	struct wire_rd r;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = bytes(want, cases[i].hex);

		wire_wr_init(&w, buf, len);
		bincode_put_uint(&w, cases[i].v);
		assert_int_equal(wire_wr_end(&w), len);
		assert_memory_equal(buf, want, len);
		wire_wr_init(&w, buf, len - 1);
		bincode_put_uint(&w, cases[i].v);
		assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);

		wire_rd_init(&r, want, len);
		assert_true(bincode_get_uint(&r, cases[i].v) == cases[i].v);
		assert_int_equal(wire_rd_end(&r), 0);
		for (size_t cut = 0; cut < len; cut++) {
			wire_rd_init(&r, want, cut);
			assert_true(bincode_get_uint(&r, UINT64_MAX) == 0);
			assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
		}
		if (!cases[i].v)
			continue;
		wire_rd_init(&r, want, len);
		assert_true(bincode_get_uint(&r, cases[i].v - 1) == 0);
		assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
	}
}

/* Longer forms than needed are read; the markers 0xFE and 0xFF never are. */
static void integer_forms(void **state)
{
	static const char *const forms[] = {
		"05",  "fb0005", "fc00000005", "fd0000000000000005", "fe00000000000000000000000000000005",
		"ff05"
	};
	uint8_t in[2 * HEX_MAX];
	struct wire_rd r;

	(void)state;
	for (size_t i = 0; i < N(forms); i++) {
		wire_rd_init(&r, in, bytes(in, forms[i]));
		assert_int_equal(bincode_get_uint(&r, 5), i < 4 ? 5 : 0);
		assert_int_equal(wire_rd_end(&r), i < 4 ? 0 : SMX_EPROTO);
	}
}

static void signed_integers(void **state)
{
	static const struct {
		int64_t v;
		const char *hex;
	} cases[] = {
		{ 0, "00" },
		{ -1, "01" },
		{ 1, "02" },
		{ -2, "03" },
		{ 125, "fa" },
		{ -126, "fb00fb" },
		{ INT32_MAX, "fcfffffffe" },
		{ INT32_MIN, "fcffffffff" },
		{ INT64_MAX, "fdfffffffffffffffe" },
		{ INT64_MIN, "fdffffffffffffffff" },
	};
	uint8_t want[2 * HEX_MAX];
	struct wire_wr w;
	struct wire_rd r;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = bytes(want, cases[i].hex);
		int64_t v = cases[i].v;

		wire_wr_init(&w, buf, sizeof(buf));
		bincode_put_int(&w, v);
		assert_int_equal(wire_wr_end(&w), len);
		assert_memory_equal(buf, want, len);
		wire_rd_init(&r, want, len);
		assert_true(bincode_get_int(&r, v, v) == v);
		assert_int_equal(wire_rd_end(&r), 0);
		wire_rd_init(&r, want, len);
		if (v > INT64_MIN)
			bincode_get_int(&r, INT64_MIN, v - 1);
		else
			bincode_get_int(&r, v + 1, INT64_MAX);
		assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
	}
}

static void byte_strings(void **state)
{
	static const uint8_t in[] = { 3, 'a', 'b', 'c' };
	struct wire_rd r;
	size_t len;

	(void)state;
	wire_rd_init(&r, in, sizeof(in));
	assert_ptr_equal(bincode_get_bytes(&r, &len), in + 1);
	assert_true(len == 3 && wire_rd_end(&r) == 0);
	for (size_t cut = 0; cut < sizeof(in); cut++) {
		wire_rd_init(&r, in, cut);
		assert_null(bincode_get_bytes(&r, &len));
		assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
	}
}

/* RFC 3629: first and last of every length, what lies beside them is refused. */
static void texts(void **state)
{
	static const char *const good[] = { "",		"00",	  "7f",	       "c280",	 "dfbf",
					    "e0a080",	"ed9fbf", "ee8080",    "efbfbf", "f0908080",
					    "f48fbfbf", "63c3a9", "41e282ac5a" };
	static const char *const bad[] = {
		"80",	  "bf",	    "c080",	"c1bf",	    "c3",	"c328",	    "c3c3",	"e0",
		"e282",	  "e09fbf", "eda080",	"edbfbf",   "e28228",	"f0908c",   "f08fbfbf", "f4908080",
		"f09080", "fe",	    "f5808080", "f0288080", "f0902880", "f0908028", "4180",	"ff",
	};
	uint8_t in[2 * HEX_MAX];
	struct wire_rd r;
	size_t len;

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		in[0] = (uint8_t)bytes(in + 1, good[i]);
		wire_rd_init(&r, in, 1u + in[0]);
		assert_ptr_equal(bincode_get_str(&r, &len), in + 1);
		assert_int_equal(len, in[0]);
		assert_int_equal(wire_rd_end(&r), 0);
	}
	for (size_t i = 0; i < N(bad); i++) {
		in[0] = (uint8_t)bytes(in + 1, bad[i]);
		wire_rd_init(&r, in, 1u + in[0]);
		assert_null(bincode_get_str(&r, &len));
		assert_int_equal(wire_rd_ok(&r), SMX_EPROTO);
	}
}

/* ---- requests ---- */

static const struct {
	const char *hex;
	struct ipr_request r;
} requests[] = {
	{ "09010100" ID_HEX "00" TIME_HEX, { .kind = IPR_CONNECT, .id = ID, .time = TIME } },
	{ "09010100" ID_HEX "0114" TIME_HEX,
	  { .kind = IPR_CONNECT, .id = ID, .has_timeout = true, .buffer_timeout_ms = 20, .time = TIME } },
	{ "09010101" ID_HEX TIME_HEX, { .kind = IPR_DISCONNECT, .id = ID, .time = TIME } },
	{ "09010102" ID_HEX TIME_HEX, { .kind = IPR_PING, .id = ID, .time = TIME } },
	{ "09010103" ID_HEX TIME_HEX, { .kind = IPR_HEALTH, .id = ID, .time = TIME } },
	{ "09010100fdffffffffffffffff01fdffffffffffffffff" TIME_HEX,
	  { .kind = IPR_CONNECT,
	    .id = UINT64_MAX,
	    .has_timeout = true,
	    .buffer_timeout_ms = UINT64_MAX,
	    .time = TIME } },
	{ "0901002a" SYN, { .kind = IPR_DATA, .bundle_len = 42 } },
	{ "09010000", { .kind = IPR_DATA, .bundle_len = 0 } },
};

enum { CONNECT, CONNECT_20MS, DISCONNECT, PING };

static int put_request(const struct ipr_request *r, size_t cap)
{
	struct wire_wr w;

	wire_wr_init(&w, buf, cap);
	ipr_put_request(&w, r);
	return wire_wr_end(&w);
}

/* Each in every version: into just enough room and one less, cut at every length, and with a byte behind it.
 * What was read is compared by writing it again. */
static void requests_come_back(void **state)
{
	struct ipr_request got;
	uint8_t want[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(requests); i++)
		for (uint8_t version = 8; version <= 10; version++) {
			size_t len = bytes(want, requests[i].hex);
			struct ipr_request r = requests[i].r;

			r.version = want[0] = version;
			r.bundle = want + 4;
			assert_int_equal(put_request(&r, len), len);
			assert_memory_equal(buf, want, len);
			assert_int_equal(put_request(&r, len - 1), SMX_ELIMIT);
			assert_int_equal(ipr_parse_request(&got, want, len), 0);
			assert_int_equal(put_request(&got, sizeof(buf)), len);
			assert_memory_equal(buf, want, len);
			assert_int_equal(got.provider, IPR_SP_TYPE);
			for (size_t cut = 0; cut < len; cut++)
				assert_int_equal(ipr_parse_request(&got, want, cut), SMX_EPROTO);
			want[len] = 0;
			assert_int_equal(ipr_parse_request(&got, want, len + 1), SMX_EPROTO);
		}
}

static void versions(void **state)
{
	struct ipr_request q;
	struct ipr_response p;
	uint8_t ping[2 * HEX_MAX], pong[2 * HEX_MAX];
	size_t ping_len = bytes(ping, requests[PING].hex), pong_len = bytes(pong, "090103" ID_HEX);

	(void)state;
	assert_int_equal(ipr_parse_request(&q, ping, 0), SMX_EPROTO);
	assert_int_equal(ipr_parse_response(&p, pong, 0, false), SMX_EPROTO);
	for (unsigned v = 0; v < 256; v++) {
		int want = v >= 8 && v <= 10 ? 0 : SMX_EVERSION;

		ping[0] = pong[0] = (uint8_t)v;
		assert_int_equal(ipr_parse_request(&q, ping, ping_len), want);
		assert_int_equal(ipr_parse_request(&q, ping, 1), want ? want : SMX_EPROTO);
		assert_int_equal(ipr_parse_response(&p, pong, pong_len, true), want);
		assert_int_equal(ipr_parse_response(&p, pong, pong_len, false), want);
	}
}

static void times(void **state)
{
	static const struct {
		struct ipr_time t;
		bool ok;
	} cases[] = {
		{ { .year = 2024, .ordinal = 1 }, true },
		{ { .year = 2024, .ordinal = 0 }, false },
		{ { .year = 2024,
		    .ordinal = 366,
		    .hour = 23,
		    .minute = 59,
		    .second = 59,
		    .nanos = 999999999 },
		  true },
		{ { .year = 2024, .ordinal = 367 }, false },
		{ { .year = 2024, .ordinal = 1, .hour = 24 }, false },
		{ { .year = 2024, .ordinal = 1, .minute = 60 }, false },
		{ { .year = 2024, .ordinal = 1, .second = 60 }, false },
		{ { .year = 2024, .ordinal = 1, .nanos = 1000000000 }, false },
		{ { .year = -44, .ordinal = 75, .off_h = -1, .off_m = -30, .off_s = -59 }, true },
	};
	/* Year, ordinal and nanoseconds in long forms: what the field holds, and 2^32 or 2^16 more. */
	static const char *const forms[] = {
		"0901010205fd0000000000000fd488061b3400000000",
		"0901010205fd0000000100000fd488061b3400000000",
		"0901010205fb0fd4fc00000088061b3400000000",
		"0901010205fb0fd4fc00010088061b3400000000",
		"0901010205fb0fd488061b34fd0000000000000001000000",
		"0901010205fb0fd488061b34fd0000000100000001000000",
	};
	struct ipr_request got;
	uint8_t in[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ipr_request r = { .version = IPR_V9, .kind = IPR_PING, .id = 5, .time = cases[i].t };
		int len = put_request(&r, sizeof(buf));

		assert_true(len > 0);
		assert_int_equal(ipr_parse_request(&got, buf, (size_t)len), cases[i].ok ? 0 : SMX_EPROTO);
		if (!cases[i].ok)
			continue;
		assert_true(got.time.year == r.time.year && got.time.ordinal == r.time.ordinal);
		assert_true(got.time.off_h == r.time.off_h && got.time.off_m == r.time.off_m);
		assert_int_equal(got.time.off_s, r.time.off_s);
	}
	for (size_t i = 0; i < N(forms); i++)
		assert_int_equal(ipr_parse_request(&got, in, bytes(in, forms[i])), i % 2 ? SMX_EPROTO : 0);
}

static void wall_clock(void **state)
{
	static const struct {
		int64_t wall;
		int year, ordinal, hour, minute, second;
	} cases[] = {
		{ 0, 1970, 1, 0, 0, 0 },
		{ -1, 1969, 365, 23, 59, 59 },
		{ 1704113999, 2024, 1, 12, 59, 59 },
		{ 1709164800, 2024, 60, 0, 0, 0 },
		{ 1735689599, 2024, 366, 23, 59, 59 },
		{ 1778912872, 2026, 136, 6, 27, 52 },
		{ 4107542400, 2100, 60, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ipr_time t;

		memset(&t, 0xa5, sizeof(t));
		ipr_time_from_wall(&t, cases[i].wall);
		assert_true(t.year == cases[i].year && t.ordinal == cases[i].ordinal);
		assert_true(t.hour == cases[i].hour && t.minute == cases[i].minute);
		assert_int_equal(t.second, cases[i].second);
		assert_true(!t.nanos && !t.off_h && !t.off_m && !t.off_s);
	}
}

/* The sizes of the reference's own tests (spec ipr.md 3.1). */
static void reference_sizes(void **state)
{
	struct ipr_request r = { .version = IPR_V8, .kind = IPR_CONNECT, .id = 123 };
	uint8_t bundle[32] = { 0 };

	(void)state;
	ipr_time_from_wall(&r.time, 1704113999);
	r.time.nanos = 500000000;
	assert_int_equal(put_request(&r, sizeof(buf)), 21);
	r.kind = IPR_DATA;
	r.bundle = bundle;
	r.bundle_len = sizeof(bundle);
	assert_int_equal(put_request(&r, sizeof(buf)), 36);
}

static void data_headers(void **state)
{
	static const struct {
		size_t len;
		const char *hex;
	} cases[] = { { 0, "0a010000" },	{ 250, "0a0100fa" },	   { 251, "0a0100fb00fb" },
		      { 1500, "0a0100fb05dc" }, { 65535, "0a0100fbffff" }, { 65536, "0a0100fc00010000" } };
	uint8_t want[2 * HEX_MAX];
	struct wire_wr w;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t len = bytes(want, cases[i].hex);

		assert_int_equal(ipr_data_hdr(cases[i].len), len);
		wire_wr_init(&w, buf, len);
		ipr_put_data_hdr(&w, IPR_V10, cases[i].len);
		assert_int_equal(wire_wr_end(&w), len);
		assert_memory_equal(buf, want, len);
		wire_wr_init(&w, buf, len - 1);
		ipr_put_data_hdr(&w, IPR_V10, cases[i].len);
		assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);
	}
}

/* ---- responses ---- */

static const struct {
	const char *hex;
	struct ipr_response r;
} responses[] = {
	{ "090100" ID_HEX "000a001234fc000000000000000000000000001234",
	  { .kind = IPR_CONNECT, .id = ID, .ip4 = { 10, 0, 18, 52 }, .ip6 = { 0xfc, [14] = 18, 52 } } },
	{ "090100" ID_HEX "0100", { .kind = IPR_CONNECT, .id = ID, .result = IPR_ALREADY_CONNECTED } },
	{ "090100" ID_HEX "0101", { .kind = IPR_CONNECT, .id = ID, .result = IPR_NO_IP } },
	{ "0901000701020e6e6f206d6f72652c20736f727279",
	  { .kind = IPR_CONNECT, .id = 7, .result = IPR_CONNECT_OTHER, .text = TEXT("no more, sorry") } },
	{ "090101" ID_HEX "00", { .kind = IPR_DISCONNECT, .id = ID, .result = IPR_DISC_OK } },
	{ "090101" ID_HEX "0100", { .kind = IPR_DISCONNECT, .id = ID, .result = IPR_DISC_NOT_CONNECTED } },
	{ "09010107010102686d",
	  { .kind = IPR_DISCONNECT, .id = 7, .result = IPR_DISC_OTHER, .text = TEXT("hm") } },
	{ "09010200", { .kind = IPR_UNREQUESTED, .result = IPR_UNREQ_MIXNET_TIMEOUT } },
	{ "09010201", { .kind = IPR_UNREQUESTED, .result = IPR_UNREQ_TUN_TIMEOUT } },
	{ "0901020203627965", { .kind = IPR_UNREQUESTED, .result = IPR_UNREQ_OTHER, .text = TEXT("bye") } },
	{ "090103" ID_HEX, { .kind = IPR_PING, .id = ID } },
	{ "090105070005636166c3a900",
	  { .kind = IPR_INFO, .id = 7, .result = IPR_INFO_GENERIC, .text = TEXT("caf\xc3\xa9") } },
	{ "090105070109fb02",
	  { .kind = IPR_INFO,
	    .id = 7,
	    .result = IPR_INFO_VERSION,
	    .ver_req = 9,
	    .ver_resp = 251,
	    .level = IPR_LEVEL_ERROR } },
	{ "09010500020e3139322e3136382e312e313a383001",
	  { .kind = IPR_INFO,
	    .result = IPR_INFO_EXIT_POLICY,
	    .text = TEXT("192.168.1.1:80"),
	    .level = IPR_LEVEL_WARN } },
	{ "090104050000000000000000000000", { .kind = IPR_HEALTH, .id = 5 } },
	{ "0901040501610162000163000000000001640100",
	  { .kind = IPR_HEALTH,
	    .id = 5,
	    .has_routable = true,
	    .build = { TEXT("a"), TEXT("b"), TEXT(""), TEXT("c"), [9] = TEXT("d") } } },
	{ "09010405016101620001630000000000016d0101",
	  { .kind = IPR_HEALTH,
	    .id = 5,
	    .has_routable = true,
	    .routable = true,
	    .build = { TEXT("a"), TEXT("b"), TEXT(""), TEXT("c"), [9] = TEXT("m") } } },
	{ "09002a" SYN, { .kind = IPR_DATA, .bundle_len = 42 } },
	{ "090000", { .kind = IPR_DATA, .bundle_len = 0 } },
};

static int put_response(const struct ipr_response *r, size_t cap)
{
	struct wire_wr w;

	wire_wr_init(&w, buf, cap);
	ipr_put_response(&w, r);
	return wire_wr_end(&w);
}

/* The bytes of responses[i] in this version: a success of version 10 ends with the MTU. */
static size_t response(uint8_t out[2 * HEX_MAX], struct ipr_response *r, size_t i, uint8_t version)
{
	size_t len = bytes(out, responses[i].hex);

	*r = responses[i].r;
	r->version = out[0] = version;
	r->bundle = out + 3;
	if (version == IPR_V10 && r->kind == IPR_CONNECT && r->result == IPR_OK) {
		len += bytes(out + len, MTU_HEX);
		r->mtu = 1500;
	}
	return len;
}

static void responses_come_back(void **state)
{
	struct ipr_response r, got;
	uint8_t want[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(responses); i++)
		for (uint8_t version = 8; version <= 10; version++) {
			size_t len = response(want, &r, i, version);

			assert_int_equal(put_response(&r, len), len);
			assert_memory_equal(buf, want, len);
			assert_int_equal(put_response(&r, len - 1), SMX_ELIMIT);
			for (int strict = 0; strict < 2; strict++) {
				assert_int_equal(ipr_parse_response(&got, want, len, strict), 0);
				assert_int_equal(put_response(&got, sizeof(buf)), len);
				assert_memory_equal(buf, want, len);
			}
		}
}

/* Cut short, none is taken, but for the one that lacks only its MTU; something behind one is a later
 * version's field in what is not data. Strict reading takes neither. */
static void responses_cut_and_longer(void **state)
{
	struct ipr_response r, got;
	uint8_t in[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(responses); i++)
		for (uint8_t version = 8; version <= 10; version++) {
			size_t len = response(in, &r, i, version);

			for (size_t cut = 0; cut < len; cut++) {
				bool no_mtu = r.mtu && cut == len - 3;

				assert_int_equal(ipr_parse_response(&got, in, cut, true), SMX_EPROTO);
				assert_int_equal(ipr_parse_response(&got, in, cut, false),
						 no_mtu ? 0 : SMX_EPROTO);
				if (!no_mtu)
					continue;
				assert_int_equal(got.mtu, 0);
				assert_memory_equal(got.ip6, r.ip6, sizeof(r.ip6));
			}
			in[len] = 7;
			assert_int_equal(ipr_parse_response(&got, in, len + 1, true), SMX_EPROTO);
			if (r.kind == IPR_DATA) {
				assert_int_equal(ipr_parse_response(&got, in, len + 1, false), SMX_EPROTO);
				continue;
			}
			assert_int_equal(ipr_parse_response(&got, in, len + 1, false), 0);
			assert_int_equal(put_response(&got, sizeof(buf)), len);
			assert_memory_equal(buf, in, len);
		}
}

static void mtus(void **state)
{
	static const struct {
		const char *hex;
		int mtu; /* -1: refused */
	} cases[] = { { "00", 0 },	   { "fa", 250 },	 { "fb00fb", 251 }, { "fb0500", 1280 },
		      { "fbffff", 65535 }, { "fc00010000", -1 }, { "fe", -1 } };
	struct ipr_response r, got;
	uint8_t in[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t at = response(in, &r, 0, IPR_V10) - 3, len = at + bytes(in + at, cases[i].hex);

		for (int strict = 0; strict < 2; strict++) {
			assert_int_equal(ipr_parse_response(&got, in, len, strict),
					 cases[i].mtu < 0 ? SMX_EPROTO : 0);
			if (cases[i].mtu >= 0)
				assert_int_equal(got.mtu, cases[i].mtu);
		}
	}
}

/* Byte at of a message of version 9, every value: taken are those with their bit set in mask. */
static void byte(bool request, const char *hex, size_t at, unsigned mask)
{
	struct ipr_request q = { 0 };
	struct ipr_response p;
	uint8_t in[2 * HEX_MAX];
	size_t len = bytes(in, hex);

	for (unsigned v = 0; v < 256; v++) {
		int want = v < 8 && mask >> v & 1 ? 0 : SMX_EPROTO;

		in[at] = (uint8_t)v;
		assert_int_equal(request ? ipr_parse_request(&q, in, len)
					 : ipr_parse_response(&p, in, len, true),
				 want);
		if (request && at == 1 && !want)
			assert_int_equal(q.provider, v);
		if (!request && at == 2 && v > 5) /* unknown to every version */
			assert_int_equal(ipr_parse_response(&p, in, len, false), SMX_EPROTO);
	}
}

static void request_tags(void **state)
{
	(void)state;
	byte(true, requests[PING].hex, 1, 1 << 0 | 1 << 1 | 1 << 2);
	byte(true, requests[PING].hex, 2, 1 << 1);
	byte(true, requests[PING].hex, 3, 1 << 1 | 1 << 2 | 1 << 3); /* all of one form */
	byte(true, requests[CONNECT].hex, 3, 1 << 0);
	byte(true, requests[CONNECT].hex, 13, 1 << 0);
	byte(true, requests[CONNECT_20MS].hex, 13, 1 << 1);
}

static void response_tags(void **state)
{
	(void)state;
	byte(false, "090103" ID_HEX, 1, 1 << 1);
	byte(false, "090101" ID_HEX "00", 2, 1 << 1);
	byte(false, "090100" ID_HEX "0101", 12, 1 << 1);
	byte(false, "090100" ID_HEX "0101", 13, 1 << 0 | 1 << 1); /* 2 wants a text */
	byte(false, "090101" ID_HEX "0100", 12, 1 << 1);
	byte(false, "090101" ID_HEX "0100", 13, 1 << 0);
	byte(false, "09010200", 3, 1 << 0 | 1 << 1);
	byte(false, "09010500020e3139322e3136382e312e313a383001", 4, 1 << 0 | 1 << 2);
	byte(false, "090105070109fb02", 4, 1 << 1);
	byte(false, "090105070109fb02", 7, 1 << 0 | 1 << 1 | 1 << 2);
	byte(false, "090104050000000000000000000000", 14, 1 << 0);
	byte(false, "09010405000000000000000000000100", 14, 1 << 1);
	byte(false, "09010405000000000000000000000100", 15, 1 << 0 | 1 << 1);
}

/* Wherever a text stands. The first is ipr.vec's. */
static void response_texts(void **state)
{
	static const char *const bad[] = {
		"09010005010202c328",
		"09010105010102c328",
		"0901020202c328",
		"090105070002c32800",
		"090105070202c32800",
		"0901040502c32800000000000000000000",
		"0901040500000000000000000002c32800",
	};
	struct ipr_response got;
	uint8_t in[2 * HEX_MAX];

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		for (int c3 = 0; c3 < 2; c3++) {
			size_t len = bytes(in, bad[i]);
			uint8_t *text = memchr(in, 0xc3, len);

			assert_non_null(text);
			text[1] = c3 ? 0xa9 : 0x28;
			assert_int_equal(ipr_parse_response(&got, in, len, true), c3 ? 0 : SMX_EPROTO);
		}
}

/* ---- bundles ---- */

static void bundles(void **state)
{
	static const uint8_t in[] = { 0, 1, 9, 0, 0, 0, 2, 1, 2, 0, 3, 1, 2 };
	static const struct {
		size_t cut;
		int packets;
	} cases[] = { { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 1 }, { 4, 1 },
		      { 5, 2 }, { 6, 2 }, { 8, 2 }, { 9, 3 }, { 13, 3 } };
	static const size_t at[] = { 2, 5, 7 }, lens[] = { 1, 0, 2 };
	const uint8_t *pkt;
	struct wire_rd r;
	size_t len;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		wire_rd_init(&r, in, cases[i].cut);
		for (int n = 0; n < cases[i].packets; n++) {
			assert_int_equal(ipr_bundle_next(&r, &pkt, &len), 1);
			assert_ptr_equal(pkt, in + at[n]);
			assert_int_equal(len, lens[n]);
		}
		pkt = in;
		len = 77;
		assert_int_equal(ipr_bundle_next(&r, &pkt, &len), 0);
		assert_ptr_equal(pkt, in);
		assert_int_equal(len, 77);
	}
}

static void bundle_bounds(void **state)
{
	static const size_t lens[] = { 0, 1, 255, 256, 1498, 65535 };
	static uint8_t pkt[65536];
	struct wire_wr w;

	(void)state;
	memset(pkt, 0x5a, sizeof(pkt));
	for (size_t i = 0; i < N(lens); i++) {
		wire_wr_init(&w, buf, lens[i] + 2);
		ipr_bundle_put(&w, pkt, lens[i]);
		assert_int_equal(wire_wr_end(&w), lens[i] + 2);
		assert_int_equal(buf[0] << 8 | buf[1], lens[i]);
		assert_memory_equal(buf + 2, pkt, lens[i]);
		wire_wr_init(&w, buf, lens[i] + 1);
		ipr_bundle_put(&w, pkt, lens[i]);
		assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);
	}
	wire_wr_init(&w, buf, sizeof(buf));
	ipr_bundle_put(&w, pkt, 65536);
	assert_int_equal(wire_wr_end(&w), SMX_ELIMIT);
}

static void no_such_request(void **state)
{
	struct ipr_request r = { .version = IPR_V9 };

	(void)state;
	for (r.kind = IPR_UNREQUESTED; r.kind <= IPR_INFO; r.kind++)
		assert_int_equal(put_request(&r, sizeof(buf)), SMX_ELIMIT);
}

/* A refusal leaves what the caller had. */
static void outputs_stay(void **state)
{
	struct ipr_request q, q_before;
	struct ipr_response p, p_before;
	uint8_t in[2 * HEX_MAX];
	size_t len;

	(void)state;
	memset(&q, 0x5a, sizeof(q));
	memset(&p, 0x5a, sizeof(p));
	memcpy(&q_before, &q, sizeof(q));
	memcpy(&p_before, &p, sizeof(p));
	len = bytes(in, requests[PING].hex);
	assert_int_equal(ipr_parse_request(&q, in, len - 1), SMX_EPROTO);
	in[0] = 11;
	assert_int_equal(ipr_parse_request(&q, in, len), SMX_EVERSION);
	assert_memory_equal(&q, &q_before, sizeof(q));
	len = bytes(in, responses[0].hex);
	assert_int_equal(ipr_parse_response(&p, in, len - 1, false), SMX_EPROTO);
	in[0] = 7;
	assert_int_equal(ipr_parse_response(&p, in, len, false), SMX_EVERSION);
	assert_memory_equal(&p, &p_before, sizeof(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(integer_forms),
		cmocka_unit_test(signed_integers),
		cmocka_unit_test(byte_strings),
		cmocka_unit_test(texts),
		cmocka_unit_test(requests_come_back),
		cmocka_unit_test(request_tags),
		cmocka_unit_test(versions),
		cmocka_unit_test(times),
		cmocka_unit_test(wall_clock),
		cmocka_unit_test(reference_sizes),
		cmocka_unit_test(data_headers),
		cmocka_unit_test(responses_come_back),
		cmocka_unit_test(responses_cut_and_longer),
		cmocka_unit_test(mtus),
		cmocka_unit_test(response_tags),
		cmocka_unit_test(response_texts),
		cmocka_unit_test(bundles),
		cmocka_unit_test(bundle_bounds),
		cmocka_unit_test(no_such_request),
		cmocka_unit_test(outputs_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
