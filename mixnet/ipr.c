/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPR messages and bundles (spec ipr.md 3, 4).
 *
 * Requests begin with version and service provider type, responses with the version only. The versions 8, 9
 * and 10 differ in the version byte and in the MTU at the end of a v10 connect success. Writers emit the
 * shortest integers; readers take longer ones.
 */
#include "mixnet/ipr.h"

#include <string.h>
#include <time.h>

#include "base/err.h"
#include "mixnet/bincode.h"

enum { BODY_DATA = 0, BODY_CONTROL = 1 };
enum { REQ_CONNECT = 0, REQ_DISCONNECT, REQ_PING, REQ_HEALTH, REQ_LAST = REQ_HEALTH };
enum {
	RESP_CONNECT = 0,
	RESP_DISCONNECT,
	RESP_UNREQUESTED,
	RESP_PONG,
	RESP_HEALTH,
	RESP_INFO,
	RESP_LAST = RESP_INFO
};

void ipr_time_from_wall(struct ipr_time *t, int64_t wall_s)
{
	time_t s = wall_s;
	struct tm tm;

	gmtime_r(&s, &tm);
	*t = (struct ipr_time){ .year = tm.tm_year + 1900,
				.ordinal = (uint16_t)(tm.tm_yday + 1),
				.hour = (uint8_t)tm.tm_hour,
				.minute = (uint8_t)tm.tm_min,
				.second = (uint8_t)tm.tm_sec };
}

static void put_time(struct wire_wr *w, const struct ipr_time *t)
{
	bincode_put_int(w, t->year);
	bincode_put_uint(w, t->ordinal);
	wire_put_u8(w, t->hour);
	wire_put_u8(w, t->minute);
	wire_put_u8(w, t->second);
	bincode_put_uint(w, t->nanos);
	wire_put_u8(w, (uint8_t)t->off_h);
	wire_put_u8(w, (uint8_t)t->off_m);
	wire_put_u8(w, (uint8_t)t->off_s);
}

static void get_time(struct wire_rd *r, struct ipr_time *t)
{
	t->year = (int32_t)bincode_get_int(r, INT32_MIN, INT32_MAX);
	t->ordinal = (uint16_t)bincode_get_uint(r, UINT16_MAX);
	t->hour = wire_get_u8(r);
	t->minute = wire_get_u8(r);
	t->second = wire_get_u8(r);
	t->nanos = (uint32_t)bincode_get_uint(r, UINT32_MAX);
	t->off_h = (int8_t)wire_get_u8(r);
	t->off_m = (int8_t)wire_get_u8(r);
	t->off_s = (int8_t)wire_get_u8(r);
	if (!t->ordinal || t->ordinal > 366 || t->hour > 23 || t->minute > 59 || t->second > 59 ||
	    t->nanos > 999999999)
		wire_rd_fail(r);
}

/* ---- requests ---- */

void ipr_put_data_hdr(struct wire_wr *w, uint8_t version, size_t bundle_len)
{
	wire_put_u8(w, version);
	wire_put_u8(w, IPR_SP_TYPE);
	wire_put_u8(w, BODY_DATA);
	bincode_put_uint(w, bundle_len);
}

size_t ipr_data_hdr(size_t bundle_len)
{
	return 3 + (bundle_len <= 250 ? 1u : bundle_len <= UINT16_MAX ? 3u : 5u);
}

void ipr_put_request(struct wire_wr *w, const struct ipr_request *q)
{
	static const uint8_t tag[] = { [IPR_CONNECT] = REQ_CONNECT,
				       [IPR_DISCONNECT] = REQ_DISCONNECT,
				       [IPR_PING] = REQ_PING,
				       [IPR_HEALTH] = REQ_HEALTH };

	if (q->kind == IPR_DATA) {
		ipr_put_data_hdr(w, q->version, q->bundle_len);
		wire_put_bytes(w, q->bundle, q->bundle_len);
		return;
	}
	if (q->kind > IPR_HEALTH) { /* no request */
		w->bad = true;
		return;
	}
	wire_put_u8(w, q->version);
	wire_put_u8(w, IPR_SP_TYPE);
	wire_put_u8(w, BODY_CONTROL);
	wire_put_u8(w, tag[q->kind]);
	bincode_put_uint(w, q->id);
	if (q->kind == IPR_CONNECT) {
		wire_put_u8(w, q->has_timeout);
		if (q->has_timeout)
			bincode_put_uint(w, q->buffer_timeout_ms);
	}
	put_time(w, &q->time);
}

int ipr_parse_request(struct ipr_request *ret, const uint8_t *in, size_t len)
{
	static const enum ipr_kind kind[] = { IPR_CONNECT, IPR_DISCONNECT, IPR_PING, IPR_HEALTH };
	struct ipr_request q;
	struct wire_rd r;

	memset(&q, 0, sizeof(q));
	wire_rd_init(&r, in, len);
	q.version = wire_get_u8(&r);
	if (!r.bad && (q.version < IPR_V8 || q.version > IPR_V10))
		return SMX_EVERSION;
	q.provider = (uint8_t)bincode_get_uint(&r, IPR_SP_LAST);
	if (bincode_get_uint(&r, BODY_CONTROL) == BODY_DATA) {
		q.kind = IPR_DATA;
		q.bundle = bincode_get_bytes(&r, &q.bundle_len);
	} else {
		q.kind = kind[bincode_get_uint(&r, REQ_LAST)];
		q.id = bincode_get_uint(&r, UINT64_MAX);
		if (q.kind == IPR_CONNECT && bincode_get_bool(&r)) {
			q.has_timeout = true;
			q.buffer_timeout_ms = bincode_get_uint(&r, UINT64_MAX);
		}
		get_time(&r, &q.time);
	}
	if (wire_rd_end(&r) < 0)
		return SMX_EPROTO;
	*ret = q;
	return 0;
}

/* ---- responses ---- */

static void put_str(struct wire_wr *w, const struct ipr_str *s)
{
	bincode_put_bytes(w, s->p, s->len);
}

static struct ipr_str get_str(struct wire_rd *r)
{
	struct ipr_str s;

	s.p = bincode_get_str(r, &s.len);
	return s;
}

static void put_info(struct wire_wr *w, const struct ipr_response *p)
{
	wire_put_u8(w, RESP_INFO);
	bincode_put_uint(w, p->id);
	wire_put_u8(w, (uint8_t)p->result);
	if (p->result == IPR_INFO_VERSION) {
		wire_put_u8(w, p->ver_req);
		wire_put_u8(w, p->ver_resp);
	} else {
		put_str(w, &p->text);
	}
	wire_put_u8(w, (uint8_t)p->level);
}

/* Success is 0; a failure is 1, its tag, and a text for the last tag. */
static void put_result(struct wire_wr *w, const struct ipr_response *p, int other)
{
	wire_put_u8(w, p->result != 0);
	if (!p->result)
		return;
	wire_put_u8(w, (uint8_t)(p->result - 1));
	if (p->result == other)
		put_str(w, &p->text);
}

static void put_health(struct wire_wr *w, const struct ipr_response *p)
{
	wire_put_u8(w, RESP_HEALTH);
	bincode_put_uint(w, p->id);
	for (int i = 0; i < 10; i++)
		put_str(w, &p->build[i]);
	wire_put_u8(w, p->has_routable);
	if (p->has_routable)
		wire_put_u8(w, p->routable);
}

static void put_connect(struct wire_wr *w, const struct ipr_response *p)
{
	wire_put_u8(w, RESP_CONNECT);
	bincode_put_uint(w, p->id);
	put_result(w, p, IPR_CONNECT_OTHER);
	if (p->result)
		return;
	wire_put_bytes(w, p->ip4, 4);
	wire_put_bytes(w, p->ip6, 16);
	if (p->version >= IPR_V10)
		bincode_put_uint(w, p->mtu);
}

void ipr_put_response(struct wire_wr *w, const struct ipr_response *p)
{
	wire_put_u8(w, p->version);
	wire_put_u8(w, p->kind == IPR_DATA ? BODY_DATA : BODY_CONTROL);
	switch (p->kind) {
	case IPR_DATA: bincode_put_bytes(w, p->bundle, p->bundle_len); break;
	case IPR_CONNECT: put_connect(w, p); break;
	case IPR_DISCONNECT:
		wire_put_u8(w, RESP_DISCONNECT);
		bincode_put_uint(w, p->id);
		put_result(w, p, IPR_DISC_OTHER);
		break;
	case IPR_UNREQUESTED:
		wire_put_u8(w, RESP_UNREQUESTED);
		wire_put_u8(w, (uint8_t)p->result);
		if (p->result == IPR_UNREQ_OTHER)
			put_str(w, &p->text);
		break;
	case IPR_PING:
		wire_put_u8(w, RESP_PONG);
		bincode_put_uint(w, p->id);
		break;
	case IPR_HEALTH: put_health(w, p); break;
	case IPR_INFO: put_info(w, p); break;
	}
}

static void get_result(struct wire_rd *r, struct ipr_response *p, int other)
{
	if (!bincode_get_uint(r, 1))
		return;
	p->result = (int)bincode_get_uint(r, (uint64_t)other - 1) + 1;
	if (p->result == other)
		p->text = get_str(r);
}

static void get_connect(struct wire_rd *r, struct ipr_response *p, bool strict)
{
	p->kind = IPR_CONNECT;
	p->id = bincode_get_uint(r, UINT64_MAX);
	get_result(r, p, IPR_CONNECT_OTHER);
	if (p->result)
		return;
	wire_get_copy(r, p->ip4, 4);
	wire_get_copy(r, p->ip6, 16);
	/* versions.md 3, rule 5: an answer of version 10 without MTU is a success */
	if (p->version >= IPR_V10 && (strict || r->left))
		p->mtu = (uint16_t)bincode_get_uint(r, UINT16_MAX);
}

static void get_info(struct wire_rd *r, struct ipr_response *p)
{
	p->kind = IPR_INFO;
	p->id = bincode_get_uint(r, UINT64_MAX);
	p->result = (int)bincode_get_uint(r, IPR_INFO_EXIT_POLICY);
	if (p->result == IPR_INFO_VERSION) {
		p->ver_req = wire_get_u8(r);
		p->ver_resp = wire_get_u8(r);
	} else {
		p->text = get_str(r);
	}
	p->level = (enum ipr_level)bincode_get_uint(r, IPR_LEVEL_ERROR);
}

static void get_health(struct wire_rd *r, struct ipr_response *p)
{
	p->kind = IPR_HEALTH;
	p->id = bincode_get_uint(r, UINT64_MAX);
	for (int i = 0; i < 10; i++)
		p->build[i] = get_str(r);
	p->has_routable = bincode_get_bool(r);
	if (p->has_routable)
		p->routable = bincode_get_bool(r);
}

static void get_control(struct wire_rd *r, struct ipr_response *p, bool strict)
{
	switch (bincode_get_uint(r, RESP_LAST)) {
	case RESP_CONNECT: get_connect(r, p, strict); break;
	case RESP_DISCONNECT:
		p->kind = IPR_DISCONNECT;
		p->id = bincode_get_uint(r, UINT64_MAX);
		get_result(r, p, IPR_DISC_OTHER);
		break;
	case RESP_UNREQUESTED:
		p->kind = IPR_UNREQUESTED;
		p->result = (int)bincode_get_uint(r, IPR_UNREQ_OTHER);
		if (p->result == IPR_UNREQ_OTHER)
			p->text = get_str(r);
		break;
	case RESP_PONG:
		p->kind = IPR_PING;
		p->id = bincode_get_uint(r, UINT64_MAX);
		break;
	case RESP_HEALTH: get_health(r, p); break;
	case RESP_INFO: get_info(r, p); break;
	}
}

int ipr_parse_response(struct ipr_response *ret, const uint8_t *in, size_t len, bool strict)
{
	struct ipr_response p;
	struct wire_rd r;

	memset(&p, 0, sizeof(p));
	wire_rd_init(&r, in, len);
	p.version = wire_get_u8(&r);
	if (!r.bad && (p.version < IPR_V8 || p.version > IPR_V10))
		return SMX_EVERSION;
	if (bincode_get_uint(&r, BODY_CONTROL) == BODY_CONTROL) {
		get_control(&r, &p, strict);
	} else {
		p.kind = IPR_DATA;
		p.bundle = bincode_get_bytes(&r, &p.bundle_len);
		strict = true;
	}
	if (wire_rd_ok(&r) < 0 || (strict && wire_rd_end(&r) < 0))
		return SMX_EPROTO;
	*ret = p;
	return 0;
}

/* ---- bundles ---- */

void ipr_bundle_put(struct wire_wr *w, const uint8_t *pkt, size_t len)
{
	if (len > UINT16_MAX) {
		w->bad = true;
		return;
	}
	wire_put_u16(w, (uint16_t)len);
	wire_put_bytes(w, pkt, len);
}

int ipr_bundle_next(struct wire_rd *r, const uint8_t **ret_pkt, size_t *ret_len)
{
	size_t len = wire_get_u16(r);
	const uint8_t *p = wire_get_bytes(r, len);

	if (r->bad)
		return 0;
	*ret_pkt = p;
	*ret_len = len;
	return 1;
}
