/* SPDX-License-Identifier: Apache-2.0 */
/* spec.vec, block ipr: the worked examples of spec ipr.md 3.8, each written and read back. */
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "mixnet/ipr.h"
#include "mixnet/stream.h"
#include "tests/kat/kat.h"

#define STREAM UINT64_C(0x0123456789abcdef)
#define REQUEST UINT64_C(0x1122334455667788)

static const char syn[] = "450000280001400040061c9a0a00123401010101c00001bb00000001000000005002ffffcff00000";
static const char syn_ack[] =
	"45000028000040003906239b010101010a00123401bbc00001020304000000025012ffffcbd90000";

/* key holds the message, frame_key (may be NULL) the same behind a Data frame header with this sequence
 * number. */
static void eq_message(struct kat_block *b, const char *key, const char *frame_key, uint32_t seq,
		       struct wire_wr *msg)
{
	uint8_t frame[256];
	struct stream_frame f;
	struct wire_wr w;

	if (wire_wr_end(msg) < 0) {
		kat_fail(b, "%s: not written", key);
		return;
	}
	kat_eq(b, key, msg->start, msg->len);
	if (!frame_key)
		return;
	wire_wr_init(&w, frame, sizeof(frame));
	stream_put(&w, STREAM, STREAM_DATA, seq);
	wire_put_bytes(&w, msg->start, msg->len);
	kat_eq(b, frame_key, frame, w.len);
	if (stream_parse(&f, frame, w.len) || f.id != STREAM || f.type != STREAM_DATA || f.seq != seq ||
	    f.len != msg->len || memcmp(f.payload, msg->start, f.len))
		kat_fail(b, "%s: not read back", frame_key);
}

static size_t bundle(uint8_t out[64], const char *hex)
{
	uint8_t pkt[40];
	struct wire_wr w;

	wire_wr_init(&w, out, 64);
	ipr_bundle_put(&w, pkt, (size_t)hex_decode(pkt, sizeof(pkt), hex, strlen(hex)));
	return w.len;
}

static void eq_request(struct kat_block *b, const char *key, const char *frame_key, uint32_t seq,
		       const struct ipr_request *req)
{
	struct ipr_request back;
	uint8_t buf[128];
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_request(&w, req);
	eq_message(b, key, frame_key, seq, &w);
	if (ipr_parse_request(&back, buf, w.len) || back.kind != req->kind ||
	    back.bundle_len != req->bundle_len ||
	    (req->kind == IPR_CONNECT && (back.id != req->id || back.has_timeout != req->has_timeout)))
		kat_fail(b, "%s: not read back", key);
}

static void eq_response(struct kat_block *b, const char *key, const char *frame_key, uint32_t seq,
			const struct ipr_response *res)
{
	struct ipr_response back;
	uint8_t buf[128];
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_response(&w, res);
	eq_message(b, key, frame_key, seq, &w);
	if (ipr_parse_response(&back, buf, w.len, true) || back.kind != res->kind ||
	    back.result != res->result || back.mtu != res->mtu || back.bundle_len != res->bundle_len)
		kat_fail(b, "%s: not read back", key);
}

static void requests(struct kat_block *b)
{
	struct ipr_request connect = {
		.version = IPR_V9,
		.kind = IPR_CONNECT,
		.id = REQUEST,
		.time = { .year = 2026,
			  .ordinal = 136,
			  .hour = 6,
			  .minute = 27,
			  .second = 52,
			  .nanos = 123456789 },
	};
	struct ipr_request data = { .version = IPR_V9, .kind = IPR_DATA };
	uint8_t packets[64];

	eq_request(b, "ipr.connect", "ipr.connect_frame", 0, &connect);
	connect.has_timeout = true;
	connect.buffer_timeout_ms = 20;
	eq_request(b, "ipr.connect_20ms", NULL, 0, &connect);
	data.bundle = packets;
	data.bundle_len = bundle(packets, syn);
	eq_request(b, "ipr.data_request", "ipr.data_request_frame", 1, &data);
}

static void responses(struct kat_block *b)
{
	static const uint8_t ip6[16] = { 0xfc, [14] = 0x12, 0x34 };
	static const char filtered[] = "192.168.1.1:80";
	struct ipr_response connected = { .version = IPR_V9,
					  .kind = IPR_CONNECT,
					  .id = REQUEST,
					  .result = IPR_OK,
					  .ip4 = { 10, 0, 0x12, 0x34 } };
	struct ipr_response r = { .version = IPR_V9, .id = REQUEST };
	uint8_t packets[64];

	memcpy(connected.ip6, ip6, sizeof(ip6));
	eq_response(b, "ipr.connected", "ipr.connected_frame", 0, &connected);
	connected.version = IPR_V10;
	connected.mtu = 1500;
	eq_response(b, "ipr.connected_v10", NULL, 0, &connected);
	r.kind = IPR_DATA;
	r.bundle = packets;
	r.bundle_len = bundle(packets, syn_ack);
	eq_response(b, "ipr.data_response", "ipr.data_response_frame", 1, &r);
	r = (struct ipr_response){
		.version = IPR_V9, .id = REQUEST, .kind = IPR_CONNECT, .result = IPR_NO_IP
	};
	eq_response(b, "ipr.no_ip", NULL, 0, &r);
	r.kind = IPR_PING;
	r.result = 0;
	eq_response(b, "ipr.pong", NULL, 0, &r);
	r.kind = IPR_DISCONNECT;
	r.result = IPR_DISC_OK;
	eq_response(b, "ipr.disconnected", NULL, 0, &r);
	r.result = IPR_DISC_NOT_CONNECTED;
	eq_response(b, "ipr.not_connected", NULL, 0, &r);
	r = (struct ipr_response){ .version = IPR_V9,
				   .kind = IPR_INFO,
				   .result = IPR_INFO_EXIT_POLICY,
				   .level = IPR_LEVEL_WARN,
				   .text = { filtered, sizeof(filtered) - 1 } };
	eq_response(b, "ipr.info", NULL, 0, &r);
}

static void run_ipr(struct kat_block *b)
{
	uint8_t open[STREAM_HDR];
	struct wire_wr w;

	wire_wr_init(&w, open, sizeof(open));
	stream_put(&w, STREAM, STREAM_OPEN, 0);
	kat_eq(b, "ipr.open", open, w.len);
	requests(b);
	responses(b);
}

KAT_KINDS({ "ipr", run_ipr });
