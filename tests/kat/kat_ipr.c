/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipr.vec and block stream/types of newer.vec: stream frames, requests and responses of the IP packet router,
 * bundles.
 *
 * The reference's decoders leave the version byte to their caller; ours refuses what is not 8, 9 or 10
 * itself.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/err.h"
#include "mixnet/ipr.h"
#include "mixnet/stream.h"
#include "tests/kat/kat.h"

#define MESSAGE 4096

/* ---- stream frames ---- */

static enum stream_type type_of(struct kat_block *b, const char *name)
{
	static const char *const names[] = { "open", "data", "openack", "ping", "pong" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(name, names[i]))
			return (enum stream_type)i;
	kat_fail(b, "type %s", name);
	return STREAM_OPEN;
}

static void check_frame(struct kat_block *b, const char *key, uint64_t id, enum stream_type type,
			uint32_t seq, const uint8_t *content, size_t len)
{
	uint8_t buf[MESSAGE];
	struct stream_frame f;
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	stream_put(&w, id, type, seq);
	wire_put_bytes(&w, content, len);
	kat_eq(b, key, buf, w.len);
	if (wire_wr_end(&w) < 0 || !stream_is(buf, w.len) || stream_parse(&f, buf, w.len) || f.id != id ||
	    f.type != type || f.seq != seq || f.len != len || memcmp(f.payload, content, len))
		kat_fail(b, "%s: not read back", key);
}

static void run_frames(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("id%u", i)); i++) {
		size_t len;
		const uint8_t *content = kat_bytes(b, kat_key("content%u", i), &len);

		check_frame(b, kat_key("frame%u", i), (uint64_t)kat_num(b, kat_key("id%u", i)),
			    type_of(b, kat_str(b, kat_key("type%u", i))),
			    (uint32_t)kat_num(b, kat_key("sequence%u", i)), content, len);
	}
}

static void run_types(struct kat_block *b)
{
	static const uint8_t content[] = { 0x33 };
	uint8_t frame[STREAM_HDR + 1] = { 3, [9] = 1, [14] = 2, [16] = 0x33 };
	struct stream_frame f;

	for (unsigned i = 0; kat_has(b, kat_key("type%u", i)); i++) {
		const char *name = kat_str(b, kat_key("type%u", i));

		frame[10] = (uint8_t)i;
		if (strcmp(name, "refused"))
			check_frame(b, kat_key("frame%u", i), 1, type_of(b, name), 2, content, 1);
		else if (stream_parse(&f, frame, sizeof(frame)) != SMX_EPROTO)
			kat_fail(b, "type %u taken", i);
	}
}

static void run_frame_decode(struct kat_block *b)
{
	struct stream_frame f;

	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len, want;
		const uint8_t *p = kat_bytes(b, kat_key("bytes%u", i), &len);
		bool stream = kat_has(b, kat_key("kind%u", i)) &&
			      !strcmp(kat_str(b, kat_key("kind%u", i)), "SphinxStream");
		bool good = stream && !kat_has(b, kat_key("error%u", i));

		if (kat_has(b, kat_key("error%u", i)))
			kat_str(b, kat_key("error%u", i));
		/* Type 2 came later (newer.vec, stream/types). */
		if (stream && len > 10 && p[10] == STREAM_OPEN_ACK)
			continue;
		if (stream_is(p, len) != stream || (stream_parse(&f, p, len) == 0) != good)
			kat_fail(b, "%u: taken or refused wrongly", i);
		if (!good)
			continue;
		kat_eq_num(b, kat_key("id%u", i), (int64_t)f.id);
		kat_eq_num(b, kat_key("sequence%u", i), f.seq);
		if (type_of(b, kat_str(b, kat_key("type%u", i))) != f.type)
			kat_fail(b, "%u: type", i);
		kat_eq(b, kat_key("content%u", i), f.payload, f.len);
		kat_bytes(b, kat_key("content%u", i), &want);
	}
}

/* ---- requests ---- */

static bool same_time(const struct ipr_time *a, const struct ipr_time *b)
{
	return a->year == b->year && a->ordinal == b->ordinal && a->hour == b->hour &&
	       a->minute == b->minute && a->second == b->second && a->nanos == b->nanos &&
	       a->off_h == b->off_h && a->off_m == b->off_m && a->off_s == b->off_s;
}

static void check_request(struct kat_block *b, const char *key, const struct ipr_request *r)
{
	uint8_t buf[MESSAGE];
	struct ipr_request back;
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_request(&w, r);
	kat_eq(b, key, buf, w.len);
	if (wire_wr_end(&w) < 0 || ipr_parse_request(&back, buf, w.len) || back.version != r->version ||
	    back.kind != r->kind)
		kat_fail(b, "%s: not read back", key);
	else if (r->kind == IPR_DATA
			 ? back.bundle_len != r->bundle_len || memcmp(back.bundle, r->bundle, r->bundle_len)
			 : back.id != r->id || !same_time(&back.time, &r->time))
		kat_fail(b, "%s: read back differently", key);
	else if (r->kind == IPR_CONNECT &&
		 (back.has_timeout != r->has_timeout ||
		  (r->has_timeout && back.buffer_timeout_ms != r->buffer_timeout_ms)))
		kat_fail(b, "%s: timeout", key);
}

static void controls(struct kat_block *b, struct ipr_request *r)
{
	static const struct {
		const char *key;
		enum ipr_kind kind;
	} kind[] = { { "connect", IPR_CONNECT },
		     { "disconnect", IPR_DISCONNECT },
		     { "ping", IPR_PING },
		     { "health", IPR_HEALTH } };

	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		r->kind = kind[i].kind;
		check_request(b, kind[i].key, r);
	}
}

static void run_requests(struct kat_block *b)
{
	int64_t timeout = kat_num(b, "buffer_timeout");
	struct ipr_request r = { .version = (uint8_t)kat_num(b, "version"),
				 .id = (uint64_t)kat_num(b, "request_id"),
				 .has_timeout = timeout >= 0 };

	if (timeout >= 0)
		r.buffer_timeout_ms = (uint64_t)timeout;
	ipr_time_from_wall(&r.time, kat_num(b, "unix_seconds"));
	r.time.nanos = (uint32_t)kat_num(b, "nanoseconds");
	kat_str(b, "time");
	controls(b, &r);
}

static void run_constructors(struct kat_block *b)
{
	static const struct {
		const char *name;
		uint8_t version;
		enum ipr_kind kind;
	} made[] = {
		{ "v8.connect", 8, IPR_CONNECT },	{ "v9.connect", 9, IPR_CONNECT },
		{ "v9.connect_20ms", 9, IPR_CONNECT },	{ "v10.connect", 10, IPR_CONNECT },
		{ "v8.disconnect", 8, IPR_DISCONNECT }, { "v8.ping", 8, IPR_PING },
		{ "v8.health", 8, IPR_HEALTH },
	};

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		struct ipr_request r = { .version = made[i].version,
					 .kind = made[i].kind,
					 .buffer_timeout_ms = 20,
					 .has_timeout = strstr(made[i].name, "20ms") != NULL };

		r.id = (uint64_t)kat_num(b, kat_key("%s.id", made[i].name));
		ipr_time_from_wall(&r.time, 1778912872);
		r.time.nanos = 123456789;
		check_request(b, made[i].name, &r);
	}
}

static bool known_version(const uint8_t *p, size_t len)
{
	return len && p[0] >= IPR_V8 && p[0] <= IPR_V10;
}

static void describe_request(char out[128], const struct ipr_request *r)
{
	static const char *const name[] = { "Connect", "Disconnect", "Ping", "Health" };

	if (r->kind == IPR_DATA)
		snprintf(out, 128, "IpPacketRequest { version: %u, data: Data }, id None", r->version);
	else
		snprintf(out, 128, "IpPacketRequest { version: %u, data: Control(%s) }, id Some(%llu)",
			 r->version, name[r->kind], (unsigned long long)r->id);
}

static void run_request_decode(struct kat_block *b)
{
	char key[64], text[128];
	struct ipr_request r;

	for (size_t i = 0; i < b->n; i++) {
		const char *dot = strchr(b->item[i].key, '.');
		size_t len;
		const uint8_t *p;
		const char *want;
		int e;

		if (!dot || strcmp(dot, ".bytes"))
			continue;
		p = kat_bytes(b, b->item[i].key, &len);
		snprintf(key, sizeof(key), "%.*s.result", (int)(dot - b->item[i].key), b->item[i].key);
		want = kat_str(b, key);
		e = ipr_parse_request(&r, p, len);
		if (len && !known_version(p, len)) {
			if (e != SMX_EVERSION)
				kat_fail(b, "%s: %d", key, e);
		} else if (!strncmp(want, "error", 5)) {
			if (e != SMX_EPROTO)
				kat_fail(b, "%s: %d", key, e);
		} else if (e) {
			kat_fail(b, "%s: refused, %d", key, e);
		} else {
			describe_request(text, &r);
			kat_eq_str(b, key, text);
		}
	}
}

/* What was understood, written again, is what the reference writes. */
static void run_requests_spoiled(struct kat_block *b)
{
	uint8_t buf[MESSAGE];
	struct ipr_request r;
	struct wire_wr w;

	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len;
		const uint8_t *p = kat_bytes(b, kat_key("bytes%u", i), &len);
		bool ok = ipr_parse_request(&r, p, len) == 0;

		if (len && !known_version(p, len)) {
			if (ok)
				kat_fail(b, "%u: version %u taken", i, p[0]);
			continue;
		}
		kat_eq_accepted(b, kat_key("result%u", i), ok);
		/* The service provider type (byte 1) is read, not kept. */
		if (!ok || p[1] != IPR_SP_TYPE)
			continue;
		wire_wr_init(&w, buf, sizeof(buf));
		ipr_put_request(&w, &r);
		kat_eq(b, kat_key("again%u", i), buf, w.len);
	}
}

/* ---- data ---- */

static void check_framed(struct kat_block *b, const char *key, const uint8_t *msg, size_t len)
{
	check_frame(b, key, (uint64_t)kat_num(b, "stream_id"), STREAM_DATA, (uint32_t)kat_num(b, "sequence"),
		    msg, len);
}

static void run_data(struct kat_block *b)
{
	struct ipr_request req = { .version = 9, .kind = IPR_DATA };
	struct ipr_response res = { .version = 9, .kind = IPR_DATA }, back;
	uint8_t bundle[MESSAGE], hdr[16];
	const uint8_t *pkt, *msg, *got;
	struct wire_wr w;
	struct wire_rd rd;
	size_t len, msg_len, got_len;

	pkt = kat_bytes(b, "ip_packet", &len);
	wire_wr_init(&w, bundle, sizeof(bundle));
	ipr_bundle_put(&w, pkt, len);
	kat_eq(b, "bundle", bundle, w.len);
	wire_rd_init(&rd, bundle, w.len);
	if (ipr_bundle_next(&rd, &got, &got_len) != 1 || got_len != len || memcmp(got, pkt, len) ||
	    ipr_bundle_next(&rd, &got, &got_len))
		kat_fail(b, "bundle: not read back");
	req.bundle = res.bundle = bundle;
	req.bundle_len = res.bundle_len = w.len;
	check_request(b, "request_v9", &req);
	msg = kat_bytes(b, "request_v9", &msg_len);
	check_framed(b, "request_frame", msg, msg_len);
	wire_wr_init(&w, hdr, sizeof(hdr));
	ipr_put_data_hdr(&w, 9, req.bundle_len);
	if (w.len != ipr_data_hdr(req.bundle_len) || w.len + req.bundle_len != msg_len ||
	    memcmp(hdr, msg, w.len))
		kat_fail(b, "header of a data request");
	msg = kat_bytes(b, "response_v9", &msg_len);
	check_framed(b, "response_frame", msg, msg_len);
	if (ipr_parse_response(&back, msg, msg_len, true) || back.kind != IPR_DATA ||
	    back.bundle_len != res.bundle_len || memcmp(back.bundle, bundle, back.bundle_len))
		kat_fail(b, "response_v9");
}

/* ---- bundles ---- */

/* The packets of one output of the crate's bundler, next in line; and the same put together by us. */
static void check_bundle(struct kat_block *b, const char *key, const char **sizes, unsigned *next)
{
	uint8_t again[MESSAGE], pattern[2048];
	const uint8_t *pkt;
	struct wire_wr w;
	struct wire_rd rd;
	size_t len, pkt_len;
	const uint8_t *p = kat_bytes(b, key, &len);

	wire_rd_init(&rd, p, len);
	wire_wr_init(&w, again, sizeof(again));
	while (ipr_bundle_next(&rd, &pkt, &pkt_len)) {
		unsigned want = 0;
		int used = 0;

		if (sscanf(*sizes, " %u%n", &want, &used) != 1 || want != pkt_len || want > sizeof(pattern)) {
			kat_fail(b, "%s: %zu bytes", key, pkt_len);
			return;
		}
		*sizes += used;
		kat_pattern(pattern, want, (*next)++);
		if (memcmp(pattern, pkt, want))
			kat_fail(b, "%s: packet %u", key, *next - 1);
		ipr_bundle_put(&w, pkt, pkt_len);
	}
	kat_eq(b, key, again, w.len);
}

static void run_bundle(struct kat_block *b)
{
	const char *sizes = kat_str(b, "decoded_sizes");
	unsigned next = 0;

	kat_eq_str(b, "sizes", sizes);
	for (unsigned i = 0; kat_has(b, kat_key("out%u", i)); i++)
		check_bundle(b, kat_key("out%u", i), &sizes, &next);
	check_bundle(b, "flush", &sizes, &next);
	if (*sizes)
		kat_fail(b, "packets missing: %s", sizes);
}

static void run_bundle_decode(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len, pkt_len, used = 0;
		const uint8_t *p = kat_bytes(b, kat_key("bytes%u", i), &len), *pkt;
		struct wire_rd rd;
		unsigned n = 0;

		wire_rd_init(&rd, p, len);
		for (; ipr_bundle_next(&rd, &pkt, &pkt_len); n++, used += 2 + pkt_len)
			kat_eq(b, kat_key("packet%u.%u", i, n), pkt, pkt_len);
		kat_eq_num(b, kat_key("packets%u", i), n);
		kat_eq_num(b, kat_key("left%u", i), (int64_t)(len - used));
	}
}

/* ---- responses ---- */

static void check_response(struct kat_block *b, const char *key, const struct ipr_response *r)
{
	uint8_t buf[MESSAGE];
	struct ipr_response back;
	struct wire_wr w;

	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_response(&w, r);
	kat_eq(b, key, buf, w.len);
	if (wire_wr_end(&w) < 0 || ipr_parse_response(&back, buf, w.len, true)) {
		kat_fail(b, "%s: not read back", key);
		return;
	}
	if (back.version != r->version || back.kind != r->kind ||
	    back.id != (r->kind == IPR_UNREQUESTED ? 0 : r->id) || back.level != r->level ||
	    back.result != r->result || back.text.len != r->text.len ||
	    (r->text.len && memcmp(back.text.p, r->text.p, r->text.len)) || back.mtu != r->mtu ||
	    memcmp(back.ip4, r->ip4, 4) || memcmp(back.ip6, r->ip6, 16) || back.ver_req != r->ver_req ||
	    back.ver_resp != r->ver_resp)
		kat_fail(b, "%s: read back differently", key);
}

static struct ipr_str text_of(const char *s)
{
	return (struct ipr_str){ s, strlen(s) };
}

static struct ipr_response connected(struct kat_block *b, uint8_t version)
{
	struct ipr_response r = { .version = version, .kind = IPR_CONNECT, .result = IPR_OK };
	struct addr a4, a6;

	r.id = (uint64_t)kat_num(b, "request_id");
	if (addr_parse_ip(&a4, kat_str(b, "ipv4")) || addr_parse_ip(&a6, kat_str(b, "ipv6"))) {
		kat_fail(b, "addresses");
		return r;
	}
	memcpy(r.ip4, a4.ip, 4);
	memcpy(r.ip6, a6.ip, 16);
	return r;
}

static void refusals(struct kat_block *b, struct ipr_response r)
{
	const struct {
		const char *key, *text;
		enum ipr_kind kind;
		int result;
	} made[] = {
		{ "connect.already", "", IPR_CONNECT, IPR_ALREADY_CONNECTED },
		{ "connect.no_ip", "", IPR_CONNECT, IPR_NO_IP },
		{ "connect.other", "no more, sorry", IPR_CONNECT, IPR_CONNECT_OTHER },
		{ "disconnect.success", "", IPR_DISCONNECT, IPR_DISC_OK },
		{ "disconnect.not_connected", "", IPR_DISCONNECT, IPR_DISC_NOT_CONNECTED },
		{ "disconnect.other", "hm", IPR_DISCONNECT, IPR_DISC_OTHER },
		{ "unrequested.mixnet", "", IPR_UNREQUESTED, IPR_UNREQ_MIXNET_TIMEOUT },
		{ "unrequested.tun", "", IPR_UNREQUESTED, IPR_UNREQ_TUN_TIMEOUT },
		{ "unrequested.other", "bye", IPR_UNREQUESTED, IPR_UNREQ_OTHER },
		{ "pong", "", IPR_PING, 0 },
	};

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		r.kind = made[i].kind;
		r.result = made[i].result;
		r.text = text_of(made[i].text);
		check_response(b, made[i].key, &r);
	}
}

static void infos(struct kat_block *b, struct ipr_response r)
{
	r.kind = IPR_INFO;
	r.result = IPR_INFO_GENERIC;
	r.text = text_of("caf\xc3\xa9");
	check_response(b, "info.generic", &r);
	r.result = IPR_INFO_VERSION;
	r.text = text_of("");
	r.level = IPR_LEVEL_ERROR;
	r.ver_req = 9;
	r.ver_resp = 251;
	check_response(b, "info.version", &r);
	r.id = 0;
	r.ver_req = r.ver_resp = 0;
	r.result = IPR_INFO_EXIT_POLICY;
	r.level = IPR_LEVEL_WARN;
	r.text = text_of("192.168.1.1:80");
	check_response(b, "info.filter", &r);
}

/* Build information is read and written again. */
static void health(struct kat_block *b, const char *key, bool has, bool routable)
{
	size_t len;
	const uint8_t *p = kat_bytes(b, key, &len);
	uint8_t buf[MESSAGE];
	struct ipr_response r;
	struct wire_wr w;

	if (ipr_parse_response(&r, p, len, true) || r.kind != IPR_HEALTH || r.has_routable != has ||
	    r.routable != routable || r.id != (uint64_t)kat_num(b, "request_id") || r.build[0].len != 8 ||
	    memcmp(r.build[0].p, "nym-node", 8)) {
		kat_fail(b, "%s", key);
		return;
	}
	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_response(&w, &r);
	kat_eq(b, key, buf, w.len);
}

static void run_responses(struct kat_block *b)
{
	struct ipr_response ok = connected(b, (uint8_t)kat_num(b, "version"));
	size_t len;
	const uint8_t *p;

	check_response(b, "connect.success", &ok);
	refusals(b, (struct ipr_response){ .version = ok.version, .id = ok.id });
	infos(b, (struct ipr_response){ .version = ok.version, .id = ok.id });
	health(b, "health", false, false);
	health(b, "health_routable", true, true);
	health(b, "health_not_routable", true, false);
	if (!kat_has(b, "connect.success.frame"))
		return;
	p = kat_bytes(b, "connect.success", &len);
	check_frame(b, "connect.success.frame", (uint64_t)kat_num(b, "stream_id"), STREAM_DATA, 0, p, len);
}

/* best_for_node is what a client asks of a node by its release; exitsess.h has that rule, tested in its own
 * suite. */
static void run_responses_v10(struct kat_block *b)
{
	struct ipr_response ok = connected(b, 10),
			    no = { .version = 10, .id = ok.id, .kind = IPR_CONNECT, .result = IPR_NO_IP };

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "connect.success.mtu");
		unsigned mtu;

		if (!it || sscanf(it->key, "connect.success.mtu%u", &mtu) != 1)
			continue;
		ok.mtu = (uint16_t)mtu;
		check_response(b, it->key, &ok);
	}
	check_response(b, "connect.no_ip", &no);
	kat_skip(b, "best_for_node");
}

static void run_response_decode(struct kat_block *b)
{
	static const char *const name[] = { "Connect(",	   "Disconnect(", "Pong(", "Health(",
					    "Unrequested", "Info(",	  "Data(" };
	uint8_t buf[MESSAGE];
	struct ipr_response r;
	struct wire_wr w;
	char key[64];

	for (size_t i = 0; i < b->n; i++) {
		const char *dot = strchr(b->item[i].key, '.'), *want;
		const uint8_t *p;
		size_t len;
		int e;

		if (!dot || strcmp(dot, ".bytes"))
			continue;
		p = kat_bytes(b, b->item[i].key, &len);
		snprintf(key, sizeof(key), "%.*s.result", (int)(dot - b->item[i].key), b->item[i].key);
		want = kat_str(b, key);
		e = ipr_parse_response(&r, p, len, true);
		if (len && !known_version(p, len)) {
			if (e != SMX_EVERSION)
				kat_fail(b, "%s: %d", key, e);
		} else if (!strncmp(want, "error", 5)) {
			if (e != SMX_EPROTO)
				kat_fail(b, "%s: %d", key, e);
		} else if (e || !strstr(want, name[r.kind])) {
			kat_fail(b, "%s: %d", key, e);
		} else { /* the good ones hold the shortest forms only */
			wire_wr_init(&w, buf, sizeof(buf));
			ipr_put_response(&w, &r);
			kat_eq(b, b->item[i].key, buf, w.len);
		}
	}
}

static void run_responses_spoiled(struct kat_block *b)
{
	uint8_t buf[MESSAGE];
	struct ipr_response r;
	struct wire_wr w;

	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len;
		const uint8_t *p = kat_bytes(b, kat_key("bytes%u", i), &len);
		bool ok = ipr_parse_response(&r, p, len, true) == 0;

		if (len && !known_version(p, len)) {
			if (ok)
				kat_fail(b, "%u: version %u taken", i, p[0]);
			continue;
		}
		kat_eq_accepted(b, kat_key("result%u", i), ok);
		if (!ok)
			continue;
		wire_wr_init(&w, buf, sizeof(buf));
		ipr_put_response(&w, &r);
		kat_eq(b, kat_key("again%u", i), buf, w.len);
	}
}

KAT_KINDS({ "stream/frames", run_frames }, { "stream/types", run_types },
	  { "stream/decode", run_frame_decode }, { "ipr/constructors", run_constructors },
	  { "ipr/requests/", run_requests }, { "ipr/request-decode", run_request_decode },
	  { "ipr/requests-spoiled", run_requests_spoiled }, { "ipr/data/", run_data },
	  { "bundle/", run_bundle }, { "bundle/decode", run_bundle_decode },
	  { "ipr/responses/", run_responses }, { "ipr/responses/v10", run_responses_v10 },
	  { "ipr/response-decode", run_response_decode }, { "ipr/responses-spoiled", run_responses_spoiled });
