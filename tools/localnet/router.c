/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packet router.
 *
 * Theory of operation. Messages come from the Nym client with the sender's tag. A stream frame (16-byte
 * header, kind 3) holds an IPR message of version 9 or 10; a bare message must be version 8 (transport rule,
 * spec ipr.md 6.1). Control requests are answered in line, in a stream always as Data frame with sequence 0.
 * A connected client owns an address pair 10.0.x.y / fc00::xy; its packets are checked (source, policy) and
 * handed to the exit interface. Packets from the internet are looked up by destination, bundled (1500 bytes,
 * 20 ms or what the client asked for) and sent as data responses with sequence 1, 2, ..., never retransmitted
 * (6.5).
 *
 * Clients that sent no packet for 60 s are forgotten without a word, checked every 10 s (6.7).
 *
 * Policy: only destinations in global address space, unless --map names them or --allow-local is given; a
 * denial is answered once per packet by an info message. IP fragments are dropped, as by the reference
 * (ipr.md 11, 3).
 */
#include "tools/localnet/router.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mixnet/ipr.h"
#include "mixnet/stream.h"
#include "tools/localnet/exit.h"
#include "tools/localnet/nymlink.h"

#define CLIENTS_MAX 64
#define FLUSH_US (20 * US_PER_MS)
#define IDLE_US (60 * US_PER_S)
#define SWEEP_US (10 * US_PER_S)
#define CONTROL_LIMIT 10
#define BUNDLE_CAP (2 * IPR_BUNDLE_MAX + 2)

struct client {
	struct router *router;
	bool in_use, stream_mode;
	uint8_t tag[NYM_TAG];
	uint64_t stream_id, active_us, flush_us;
	uint8_t version;
	uint16_t n; /* low bytes of both addresses */
	uint32_t seq;
	struct loop_timer flush;
	uint8_t bundle[BUNDLE_CAP];
	size_t bundle_len;
};

struct router {
	struct loop *loop;
	struct rng *rng;
	const struct localnet_cfg *cfg;
	const struct node_info *gateway;
	struct nymlink *link;
	struct exit_if *exit;
	struct loop_timer sweep;
	struct client client[CLIENTS_MAX];
	void (*ready)(void *owner);
	void *owner;
	bool was_ready;
	uint8_t out[BUNDLE_CAP + 64];
};

/* One request on its way through: who asked and how to answer. */
struct asked {
	const uint8_t *tag;
	bool framed;
	uint64_t stream_id;
};

/* ---- clients ---- */

static struct client *by_tag(struct router *r, const uint8_t tag[NYM_TAG])
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (r->client[i].in_use && !memcmp(r->client[i].tag, tag, NYM_TAG))
			return &r->client[i];
	return NULL;
}

static struct client *by_number(struct router *r, uint16_t n)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (r->client[i].in_use && r->client[i].n == n)
			return &r->client[i];
	return NULL;
}

/* The client that owns this address (source or destination of a packet), NULL for others. */
static struct client *by_address(struct router *r, const uint8_t *ip, bool v6)
{
	static const uint8_t net4[2] = { 10, 0 }, net6[14] = { 0xfc };

	if (v6 ? memcmp(ip, net6, 14) != 0 : memcmp(ip, net4, 2) != 0)
		return NULL;
	ip += v6 ? 14 : 2;
	return by_number(r, (uint16_t)(ip[0] << 8 | ip[1]));
}

static void client_drop(struct client *c)
{
	loop_timer_stop(&c->flush);
	c->in_use = false;
}

static struct client *client_add(struct router *r, const uint8_t tag[NYM_TAG])
{
	struct client *c = NULL;
	uint16_t n = 0;

	for (unsigned i = 0; i < CLIENTS_MAX && !c; i++)
		if (!r->client[i].in_use)
			c = &r->client[i];
	for (unsigned i = 0; i < 100 && c && !n; i++) {
		n = (uint16_t)(2 + rng_below(r->rng, 65533));
		if (by_number(r, n))
			n = 0;
	}
	if (!n)
		return NULL;
	c->in_use = true;
	c->n = n;
	c->seq = 0;
	c->bundle_len = 0;
	memcpy(c->tag, tag, NYM_TAG);
	return c;
}

/* ---- answers ---- */

static void send_frame(struct router *r, const uint8_t tag[NYM_TAG], const struct ipr_response *resp,
		       bool framed, uint64_t stream_id, uint32_t seq, unsigned limit)
{
	struct wire_wr w;
	int len;

	wire_wr_init(&w, r->out, sizeof(r->out));
	if (framed)
		stream_put(&w, stream_id, STREAM_DATA, seq);
	ipr_put_response(&w, resp);
	len = wire_wr_end(&w);
	if (len > 0)
		nymlink_reply(r->link, tag, r->out, (size_t)len, limit);
}

static void answer(struct router *r, const struct asked *a, const struct ipr_response *resp)
{
	send_frame(r, a->tag, resp, a->framed, a->stream_id, 0, CONTROL_LIMIT);
}

static void flush(void *owner)
{
	struct client *c = owner;
	struct ipr_response resp = {
		.version = c->version, .kind = IPR_DATA, .bundle = c->bundle, .bundle_len = c->bundle_len
	};

	if (!c->bundle_len)
		return;
	c->bundle_len = 0;
	if (++c->seq == 0)
		c->seq = 1; /* 0 is skipped on wrap */
	send_frame(c->router, c->tag, &resp, c->stream_mode, c->stream_id, c->seq, 0);
}

/* ipr.md 4: the bundler's three rules. */
static void bundle_add(struct client *c, const uint8_t *pkt, size_t len)
{
	struct wire_wr w;

	if (c->bundle_len && c->bundle_len + len + 2 > IPR_BUNDLE_MAX)
		flush(c);
	wire_wr_init(&w, c->bundle + c->bundle_len, sizeof(c->bundle) - c->bundle_len);
	ipr_bundle_put(&w, pkt, len);
	if (wire_wr_end(&w) < 0)
		return;
	if (!c->bundle_len)
		loop_timer_set(&c->flush, loop_now(c->router->loop) + c->flush_us);
	c->bundle_len += w.len;
	if (c->bundle_len > IPR_BUNDLE_MAX) {
		loop_timer_stop(&c->flush);
		flush(c);
	}
}

static void from_internet(void *owner, const uint8_t *pkt, size_t len)
{
	struct router *r = owner;
	bool v6 = pkt[0] >> 4 == 6;
	struct client *c = by_address(r, pkt + (v6 ? 24 : 16), v6);

	if (r->gateway->bad.exit != EXIT_SILENT && c && len <= IPR_BUNDLE_MAX)
		bundle_add(c, pkt, len);
}

/* ---- packets of clients ---- */

static bool allowed(const struct router *r, const struct addr *dst)
{
	for (unsigned i = 0; i < r->cfg->n_maps; i++)
		if (addr_equal_ip(&r->cfg->map[i].from, dst))
			return true;
	return r->cfg->allow_local || addr_classify(dst) == ADDR_GLOBAL;
}

static void deny(struct router *r, struct client *c, const struct addr *dst)
{
	char text[ADDR_TEXT];
	struct ipr_response resp = { .version = c->version,
				     .kind = IPR_INFO,
				     .result = IPR_INFO_EXIT_POLICY,
				     .level = IPR_LEVEL_WARN };
	size_t len;

	addr_text(dst, text);
	len = strlen(text);
	if (!dst->port && len + 2 < sizeof(text)) /* the reference writes the port always */
		memcpy(text + len, ":0", 3);
	resp.text = (struct ipr_str){ text, strlen(text) };
	send_frame(r, c->tag, &resp, c->stream_mode, c->stream_id, 0, CONTROL_LIMIT);
}

static void packet(struct router *r, const uint8_t *p, size_t len)
{
	bool v6 = len && p[0] >> 4 == 6;
	size_t hl = v6 ? 40 : 20;
	struct addr dst = { .family = v6 ? 6 : 4 };
	struct client *c;
	uint8_t proto;

	if (len < hl || (!v6 && (p[0] >> 4 != 4 || (p[0] & 15) < 5 || (size_t)(p[0] & 15) * 4 > len)))
		return;
	if (!v6)
		hl = (size_t)(p[0] & 15) * 4;
	if (!v6 && ((p[6] & 0x3f) || p[7])) /* fragments */
		return;
	proto = v6 ? p[6] : p[9];
	c = by_address(r, p + (v6 ? 8 : 12), v6);
	if (!c || len < hl + 8)
		return;
	c->active_us = loop_now(r->loop);
	memcpy(dst.ip, p + (v6 ? 24 : 16), v6 ? 16 : 4);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		dst.port = (uint16_t)(p[hl + 2] << 8 | p[hl + 3]);
	if (!allowed(r, &dst)) {
		deny(r, c, &dst);
		return;
	}
	exit_if_send(r->exit, p, len);
}

static void data(struct router *r, const struct ipr_request *req)
{
	struct wire_rd rd;
	const uint8_t *p;
	size_t len;

	wire_rd_init(&rd, req->bundle, req->bundle_len);
	while (ipr_bundle_next(&rd, &p, &len) == 1)
		packet(r, p, len);
}

/* ---- control ---- */

static void do_connect(struct router *r, const struct asked *a, const struct ipr_request *req)
{
	struct client *c = by_tag(r, a->tag);
	struct ipr_response resp = { .version = req->version, .kind = IPR_CONNECT, .id = req->id };

	if (r->gateway->bad.exit == EXIT_IGNORE || (req->has_timeout && !req->buffer_timeout_ms))
		return;
	if (c && a->framed) { /* a reconnect in stream mode gets a new pair */
		client_drop(c);
		c = NULL;
	}
	if (!c && r->gateway->bad.exit != EXIT_REFUSE)
		c = client_add(r, a->tag);
	if (!c) {
		resp.result = IPR_NO_IP;
		answer(r, a, &resp);
		return;
	}
	if (a->framed || !c->stream_mode) {
		c->stream_mode = a->framed;
		c->stream_id = a->stream_id;
		c->version = req->version;
	}
	c->active_us = loop_now(r->loop);
	c->flush_us = req->has_timeout ? req->buffer_timeout_ms * US_PER_MS : FLUSH_US;
	memcpy(resp.ip4, (uint8_t[4]){ 10, 0, (uint8_t)(c->n >> 8), (uint8_t)c->n }, 4);
	resp.ip6[0] = 0xfc;
	resp.ip6[14] = (uint8_t)(c->n >> 8);
	resp.ip6[15] = (uint8_t)c->n;
	resp.mtu = (uint16_t)r->cfg->mtu;
	answer(r, a, &resp);
}

static void do_disconnect(struct router *r, const struct asked *a, const struct ipr_request *req)
{
	struct client *c = by_tag(r, a->tag);
	struct ipr_response resp = { .version = req->version,
				     .kind = IPR_DISCONNECT,
				     .id = req->id,
				     .result = c ? IPR_DISC_OK : IPR_DISC_NOT_CONNECTED };

	if (c)
		client_drop(c);
	answer(r, a, &resp);
}

static void do_simple(struct router *r, const struct asked *a, const struct ipr_request *req)
{
	struct ipr_response resp = { .version = req->version, .kind = req->kind, .id = req->id };

	for (unsigned i = 0; i < 10; i++)
		resp.build[i] = (struct ipr_str){ "smolmix-localnet", 16 };
	answer(r, a, &resp);
}

static bool version_known(const struct router *r, uint8_t version, bool framed)
{
	if (!framed)
		return version == IPR_V8;
	return version == IPR_V9 || (version == IPR_V10 && r->cfg->exit_version >= IPR_V10);
}

static void on_message(void *owner, const uint8_t tag[NYM_TAG], const uint8_t *bytes, size_t len)
{
	struct router *r = owner;
	struct asked a = { .tag = tag };
	struct stream_frame f;
	struct ipr_request req;

	if (r->gateway->bad.exit == EXIT_SILENT)
		return;
	if (stream_is(bytes, len)) {
		if (stream_parse(&f, bytes, len) < 0 || !f.len)
			return;
		a.framed = true;
		a.stream_id = f.id;
		bytes = f.payload;
		len = f.len;
	}
	if (!len || !version_known(r, bytes[0], a.framed) || ipr_parse_request(&req, bytes, len) < 0 ||
	    req.provider != IPR_SP_TYPE)
		return;
	switch (req.kind) {
	case IPR_CONNECT: do_connect(r, &a, &req); break;
	case IPR_DISCONNECT: do_disconnect(r, &a, &req); break;
	case IPR_PING:
	case IPR_HEALTH: do_simple(r, &a, &req); break;
	case IPR_DATA: data(r, &req); break;
	case IPR_UNREQUESTED:
	case IPR_INFO: break; /* responses only */
	}
}

/* ---- what a test asks for ---- */

void router_forget(struct router *r, bool tell)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &r->client[i];
		struct ipr_response bye = { .version = c->version, .kind = IPR_UNREQUESTED };

		if (!c->in_use)
			continue;
		client_drop(c);
		if (tell)
			send_frame(r, c->tag, &bye, c->stream_mode, c->stream_id, 0, CONTROL_LIMIT);
	}
}

void router_rotated(struct router *r)
{
	nymlink_rotated(r->link);
}

/* ---- life ---- */

static void sweep(void *owner)
{
	struct router *r = owner;
	uint64_t now = loop_now(r->loop);

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (r->client[i].in_use && now - r->client[i].active_us > IDLE_US)
			client_drop(&r->client[i]);
	loop_timer_set(&r->sweep, now + SWEEP_US);
}

static void on_ready(void *owner)
{
	struct router *r = owner;

	if (r->was_ready)
		return;
	r->was_ready = true;
	r->ready(r->owner);
}

struct router *router_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			  const struct directory *dir, const struct node_info *gateway,
			  const struct nym_self *self, const struct addr *source, void (*ready)(void *owner),
			  void *owner)
{
	struct router *r = calloc(1, sizeof(*r));
	struct nymlink_ops ops = { .ready = on_ready, .message = on_message };

	if (!r)
		return NULL;
	ops.owner = r;
	r->loop = loop;
	r->rng = rng;
	r->cfg = cfg;
	r->gateway = gateway;
	r->ready = ready;
	r->owner = owner;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		r->client[i].router = r;
		loop_timer_init(loop, &r->client[i].flush, flush, &r->client[i]);
	}
	loop_timer_init(loop, &r->sweep, sweep, r);
	r->exit = exit_if_new(loop, cfg, source, from_internet, r);
	if (r->exit)
		r->link = nymlink_new(loop, ws, rng, cfg, dir, gateway, self, &ops);
	if (!r->link) {
		int e = errno;

		router_free(r);
		errno = e;
		return NULL;
	}
	sweep(r);
	return r;
}

void router_free(struct router *r)
{
	if (!r)
		return;
	loop_timer_stop(&r->sweep);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		client_drop(&r->client[i]);
	nymlink_free(r->link);
	exit_if_free(r->exit);
	free(r);
}
