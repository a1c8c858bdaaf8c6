/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codec of control messages. A message is version, op, then every field of the structure in order, integers
 * big-endian, names with a length byte. All requests have one shape and all replies another, but for the
 * status: short, fixed, easy to check; what an operation does not use is zero.
 */
#include "stack/ctl/ctl.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"

int ctl_sockaddr(struct sockaddr_un *ret, const char *path)
{
	size_t n = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (n >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, n);
	if (path[0] != '@')
		return (int)sizeof(*ret);
	ret->sun_path[0] = '\0'; /* unix(7): an abstract name is as long as the address says */
	return (int)(offsetof(struct sockaddr_un, sun_path) + n);
}

static void put_addr(struct wire_wr *w, const struct addr *a)
{
	wire_put_u8(w, a->family);
	wire_put_u16(w, a->port);
	wire_put_bytes(w, a->ip, 16);
	wire_put_u32(w, a->scope);
}

static void get_addr(struct wire_rd *r, struct addr *a)
{
	static const uint8_t zero[12];

	a->family = wire_get_u8(r);
	a->port = wire_get_u16(r);
	wire_get_copy(r, a->ip, 16);
	a->scope = wire_get_u32(r);
	if ((a->family != 0 && a->family != 4 && a->family != 6) ||
	    (a->family == 4 && memcmp(a->ip + 4, zero, 12)))
		wire_rd_fail(r);
}

static void put_name(struct wire_wr *w, const char *name)
{
	size_t n = strnlen(name, CTL_NAME_MAX);

	wire_put_u8(w, (uint8_t)n);
	wire_put_bytes(w, name, n);
}

static void get_name(struct wire_rd *r, char *name)
{
	size_t n = wire_get_u8(r);

	wire_get_copy(r, name, n);
	name[n] = '\0';
	if (strlen(name) != n) /* a NUL inside */
		wire_rd_fail(r);
}

static uint8_t get_enum(struct wire_rd *r, uint8_t max)
{
	uint8_t v = wire_get_u8(r);

	if (v > max)
		wire_rd_fail(r);
	return v;
}

static uint8_t get_family(struct wire_rd *r)
{
	uint8_t f = wire_get_u8(r);

	if (f != 0 && f != 4 && f != 6)
		wire_rd_fail(r);
	return f;
}

static uint8_t get_op(struct wire_rd *r)
{
	uint8_t op;

	if (wire_get_u8(r) != CTL_VERSION)
		wire_rd_fail(r);
	op = get_enum(r, CTL_OP_LAST);
	if (op < CTL_HELLO)
		wire_rd_fail(r);
	return op;
}

int ctl_put_req(uint8_t *buf, size_t cap, const struct ctl_req *q)
{
	struct wire_wr w;

	wire_wr_init(&w, buf, cap);
	wire_put_u8(&w, CTL_VERSION);
	wire_put_u8(&w, (uint8_t)q->op);
	wire_put_u64(&w, q->cookie);
	wire_put_u8(&w, q->family);
	wire_put_u8(&w, (uint8_t)q->kind);
	put_addr(&w, &q->addr);
	wire_put_u32(&w, (uint32_t)q->level);
	wire_put_u32(&w, (uint32_t)q->name_opt);
	wire_put_u32(&w, (uint32_t)q->value);
	put_name(&w, q->name);
	return wire_wr_end(&w);
}

int ctl_get_req(struct ctl_req *ret, const uint8_t *buf, size_t len)
{
	struct ctl_req q;
	struct wire_rd r;

	memset(&q, 0, sizeof(q));
	wire_rd_init(&r, buf, len);
	q.op = get_op(&r);
	q.cookie = wire_get_u64(&r);
	q.family = get_family(&r);
	q.kind = get_enum(&r, CTL_ICMP);
	get_addr(&r, &q.addr);
	q.level = (int32_t)wire_get_u32(&r);
	q.name_opt = (int32_t)wire_get_u32(&r);
	q.value = (int32_t)wire_get_u32(&r);
	get_name(&r, q.name);
	if (wire_rd_end(&r) < 0)
		return SMX_EPROTO;
	*ret = q;
	return 0;
}

static void put_report(struct wire_wr *w, const struct ctl_report *r)
{
	uint16_t len = r->len < CTL_QUOTE_MAX ? r->len : CTL_QUOTE_MAX;

	wire_put_u8(w, r->origin);
	wire_put_u8(w, r->type);
	wire_put_u8(w, r->code);
	wire_put_u32(w, r->info);
	wire_put_u16(w, len);
	wire_put_bytes(w, r->quote, len);
}

static void get_report(struct wire_rd *r, struct ctl_report *ret)
{
	ret->origin = wire_get_u8(r);
	ret->type = wire_get_u8(r);
	ret->code = wire_get_u8(r);
	ret->info = wire_get_u32(r);
	ret->len = wire_get_u16(r);
	if (ret->len > CTL_QUOTE_MAX)
		wire_rd_fail(r);
	else
		wire_get_copy(r, ret->quote, ret->len);
}

int ctl_put_rep(uint8_t *buf, size_t cap, const struct ctl_rep *p)
{
	struct wire_wr w;

	wire_wr_init(&w, buf, cap);
	wire_put_u8(&w, CTL_VERSION);
	wire_put_u8(&w, (uint8_t)p->op);
	wire_put_u32(&w, (uint32_t)p->result);
	wire_put_u8(&w, (uint8_t)p->dns);
	wire_put_u8(&w, (uint8_t)p->state);
	wire_put_u8(&w, p->family);
	wire_put_u8(&w, (uint8_t)p->kind);
	wire_put_u32(&w, (uint32_t)p->value);
	put_addr(&w, &p->addr);
	put_addr(&w, &p->addr2);
	put_name(&w, p->name);
	wire_put_u8(&w, p->n_addrs);
	for (unsigned i = 0; i < p->n_addrs && i < CTL_ADDRS_MAX; i++)
		put_addr(&w, &p->addrs[i]);
	put_report(&w, &p->report);
	return wire_wr_end(&w);
}

static enum ctl_dns get_brief(struct wire_rd *r, struct ctl_brief *ret)
{
	enum ctl_dns dns;

	memset(ret, 0, sizeof(*ret));
	ret->op = get_op(r);
	ret->result = (int32_t)wire_get_u32(r);
	dns = get_enum(r, CTL_DNS_FAIL);
	ret->state = get_enum(r, CTL_CLOSED);
	ret->family = get_family(r);
	ret->kind = get_enum(r, CTL_ICMP);
	ret->value = (int32_t)wire_get_u32(r);
	get_addr(r, &ret->addr);
	get_addr(r, &ret->addr2);
	return dns;
}

int ctl_get_brief(struct ctl_brief *ret, const uint8_t *buf, size_t len)
{
	static const uint8_t nothing[11]; /* name, list of addresses, report */
	uint8_t rest[sizeof(nothing)] = { 0 };
	struct ctl_brief b;
	struct wire_rd r;

	wire_rd_init(&r, buf, len);
	if (get_brief(&r, &b) != CTL_DNS_OK)
		wire_rd_fail(&r);
	wire_get_copy(&r, rest, sizeof(rest));
	if (wire_rd_end(&r) < 0 || memcmp(rest, nothing, sizeof(rest)))
		return SMX_EPROTO;
	*ret = b;
	return 0;
}

int ctl_get_rep(struct ctl_rep *ret, const uint8_t *buf, size_t len)
{
	struct ctl_brief b;
	struct ctl_rep p;
	struct wire_rd r;

	memset(&p, 0, sizeof(p));
	wire_rd_init(&r, buf, len);
	p.dns = get_brief(&r, &b);
	p.op = b.op;
	p.result = b.result;
	p.state = b.state;
	p.family = b.family;
	p.kind = b.kind;
	p.value = b.value;
	p.addr = b.addr;
	p.addr2 = b.addr2;
	get_name(&r, p.name);
	p.n_addrs = get_enum(&r, CTL_ADDRS_MAX);
	for (unsigned i = 0; i < p.n_addrs && !r.bad; i++)
		get_addr(&r, &p.addrs[i]);
	get_report(&r, &p.report);
	if (wire_rd_end(&r) < 0)
		return SMX_EPROTO;
	*ret = p;
	return 0;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static void put_text(struct wire_wr *w, const char *text)
{
	size_t n = strnlen(text, CTL_NAME_MAX);

	wire_put_u8(w, (uint8_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put_u8(w, is_control(text[i]) ? '?' : (uint8_t)text[i]);
}

static void get_text(struct wire_rd *r, char *text)
{
	get_name(r, text);
	for (; *text; text++)
		if (is_control(*text))
			wire_rd_fail(r);
}

int ctl_put_status(uint8_t *buf, size_t cap, const struct ctl_status *s)
{
	struct wire_wr w;

	wire_wr_init(&w, buf, cap);
	wire_put_u8(&w, CTL_VERSION);
	wire_put_u8(&w, CTL_STATUS);
	put_text(&w, s->state);
	put_text(&w, s->cause);
	put_text(&w, s->command);
	put_text(&w, s->exit);
	put_text(&w, s->gateway);
	put_addr(&w, &s->ip4);
	put_addr(&w, &s->ip6);
	wire_put_u64(&w, s->uptime_ms);
	wire_put_u64(&w, s->connections);
	return wire_wr_end(&w);
}

int ctl_get_status(struct ctl_status *ret, const uint8_t *buf, size_t len)
{
	struct ctl_status s;
	struct wire_rd r;

	memset(&s, 0, sizeof(s));
	wire_rd_init(&r, buf, len);
	if (get_op(&r) != CTL_STATUS)
		wire_rd_fail(&r);
	get_text(&r, s.state);
	get_text(&r, s.cause);
	get_text(&r, s.command);
	get_text(&r, s.exit);
	get_text(&r, s.gateway);
	get_addr(&r, &s.ip4);
	get_addr(&r, &s.ip6);
	s.uptime_ms = wire_get_u64(&r);
	s.connections = wire_get_u64(&r);
	if (wire_rd_end(&r) < 0)
		return SMX_EPROTO;
	*ret = s;
	return 0;
}

void ctl_put_dgram(uint8_t out[CTL_DGRAM_HDR], const struct ctl_dgram *d)
{
	struct wire_wr w;

	memset(out, 0, CTL_DGRAM_HDR);
	wire_wr_init(&w, out, CTL_DGRAM_HDR);
	wire_put_u32(&w, CTL_DGRAM_MAGIC);
	wire_put_u8(&w, d->flags);
	wire_put_u8(&w, d->ttl);
	wire_put_u8(&w, d->tos);
	wire_put_u8(&w, 0);
	put_addr(&w, &d->addr);
	wire_put_bytes(&w, d->local, sizeof(d->local));
}

int ctl_get_dgram(struct ctl_dgram *ret, const uint8_t *in, size_t len)
{
	struct ctl_dgram d;
	struct wire_rd r;

	memset(&d, 0, sizeof(d));
	if (len < CTL_DGRAM_HDR)
		return SMX_EPROTO;
	wire_rd_init(&r, in, CTL_DGRAM_HDR);
	if (wire_get_u32(&r) != CTL_DGRAM_MAGIC)
		return SMX_EPROTO;
	d.flags = wire_get_u8(&r);
	d.ttl = wire_get_u8(&r);
	d.tos = wire_get_u8(&r);
	wire_get_u8(&r);
	get_addr(&r, &d.addr);
	wire_get_copy(&r, d.local, sizeof(d.local));
	if (wire_rd_ok(&r) < 0)
		return SMX_EPROTO;
	*ret = d;
	return 0;
}
