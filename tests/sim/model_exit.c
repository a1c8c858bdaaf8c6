/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model exit.
 *
 * Theory of operation. Fragments are reassembled by the engine under test elsewhere (nymrx has its own
 * tests). SURBs are kept as reply keys in arrival order. Every reply costs one, the last ten only serve
 * requests; more are asked for by the rule of an IP packet router in a node (buffer 50, at most 200, 50 at a
 * time), and packets leave in bundles by the rules of ipr.md 4. As there, nothing is resent for data, and
 * control and requests up to ten times, each with a SURB of its own (at once, where a real one waits for a
 * timer).
 */
#include "tests/sim/model_exit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "mixnet/stream.h"

#define RESERVE 10
#define BUFFER 50
#define STORE_MAX 200
#define ASK_MAX 50
#define RESENT 10
#define FLUSH_US (20 * US_PER_MS)

int model_exit_init(struct model_exit *x, struct rng *rng)
{
	struct nym_rx_limits lim = { 512, 64, 8192, 1800 * US_PER_S, 600 * US_PER_S };

	memset(x, 0, sizeof(*x));
	x->rng = rng;
	x->newest = IPR_V10;
	x->seq = 1;
	x->flush_us = TIME_NEVER;
	x->rx = nym_rx_new(&lim);
	x->queue = calloc(MODEL_QUEUE, sizeof(*x->queue));
	return x->rx && x->queue ? 0 : -ENOMEM;
}

void model_exit_done(struct model_exit *x)
{
	nym_rx_free(x->rx);
	free(x->queue);
}

static void use_surb(struct model_exit *x, const uint8_t *frag, bool control)
{
	for (int tries = 0; tries <= (control ? RESENT : 0) && x->surb_n; tries++) {
		uint8_t key[SURB_KEY];

		memcpy(key, x->surb[x->surb_head], SURB_KEY);
		x->surb_head = (x->surb_head + 1) % MODEL_SURBS;
		x->surb_n--;
		if (x->reply(x->owner, key, frag))
			return;
	}
}

static void make_frag(struct model_exit *x, struct wire_wr *w, uint8_t frag[NYM_FRAG])
{
	struct nym_split s;
	int len = nym_pad(w, NYM_FRAG);

	assert(len == NYM_FRAG_DATA);
	nym_split_init(&s, w->start, (size_t)len, NYM_FRAG, x->rng);
	nym_split_next(&s, frag);
}

static void ask(struct model_exit *x)
{
	size_t have = x->surb_n + x->pending, amount = x->q_n + BUFFER;
	uint8_t buf[NYM_FRAG_DATA], frag[NYM_FRAG];
	struct wire_wr w;

	if (have >= STORE_MAX || have >= x->q_n + RESERVE + BUFFER || !x->surb_n)
		return;
	if (amount > ASK_MAX)
		amount = ASK_MAX;
	wire_wr_init(&w, buf, sizeof(buf));
	nym_put_surb_request(&w, &x->addr, (uint32_t)amount);
	make_frag(x, &w, frag);
	x->pending += amount;
	x->requests++;
	use_surb(x, frag, true);
}

static void flush(struct model_exit *x)
{
	while (x->q_n && x->surb_n > RESERVE) {
		size_t at = x->q_head;

		x->q_head = (x->q_head + 1) % MODEL_QUEUE;
		x->q_n--;
		x->replies++;
		use_surb(x, x->queue[at].frag, x->queue[at].control);
	}
	ask(x);
}

static void send_frame(struct model_exit *x, uint64_t stream, uint32_t seq, const struct ipr_response *r)
{
	uint8_t msg[NYM_FRAG_DATA], frame[NYM_FRAG_DATA];
	struct wire_wr w, f;
	size_t at = (x->q_head + x->q_n) % MODEL_QUEUE;

	if (x->q_n == MODEL_QUEUE) {
		x->dropped++;
		return;
	}
	wire_wr_init(&f, frame, sizeof(frame));
	stream_put(&f, stream, STREAM_DATA, seq);
	ipr_put_response(&f, r);
	assert(!f.bad);
	wire_wr_init(&w, msg, sizeof(msg));
	nym_put_reply_data(&w, frame, f.len);
	make_frag(x, &w, x->queue[at].frag);
	x->queue[at].control = r->kind != IPR_DATA;
	x->q_n++;
	flush(x);
}

static void send_bundle(struct model_exit *x)
{
	struct ipr_response r = {
		.version = x->version, .kind = IPR_DATA, .bundle = x->bundle, .bundle_len = x->bundle_len
	};

	if (x->bundle_len)
		send_frame(x, x->stream, x->seq++, &r);
	x->bundle_len = 0;
	x->flush_us = TIME_NEVER;
}

void model_exit_send(struct model_exit *x, uint64_t now_us, const uint8_t *pkt, size_t len)
{
	struct wire_wr w;

	if (!x->connected) {
		x->dropped++;
		return;
	}
	if (x->bundle_len + len + 2 > IPR_BUNDLE_MAX)
		send_bundle(x);
	if (!x->bundle_len)
		x->flush_us = now_us + FLUSH_US;
	wire_wr_init(&w, x->bundle + x->bundle_len, sizeof(x->bundle) - x->bundle_len);
	ipr_bundle_put(&w, pkt, len);
	assert(!w.bad);
	x->bundle_len += w.len;
	if (x->bundle_len > IPR_BUNDLE_MAX)
		send_bundle(x);
}

uint64_t model_exit_deadline(const struct model_exit *x)
{
	return x->flush_us;
}

void model_exit_flush(struct model_exit *x, uint64_t now_us)
{
	if (now_us >= x->flush_us)
		send_bundle(x);
}

static void on_connect(struct model_exit *x, const struct stream_frame *f, const struct ipr_request *q)
{
	struct ipr_response r = { .version = q->version, .kind = IPR_CONNECT, .id = q->id, .result = IPR_OK };

	x->connects++;
	if (x->refuse) {
		r.result = IPR_NO_IP;
	} else {
		x->connected = true;
		x->version = q->version;
		x->stream = f->id;
		x->seq = 1;
		memcpy(r.ip4, (uint8_t[4]){ 10, 0, 18, 52 }, 4);
		r.ip6[0] = 0xfc;
		r.ip6[15] = 0x34;
		r.mtu = q->version == IPR_V10 ? 1500 : 0;
	}
	send_frame(x, f->id, 0, &r);
}

static void on_data(struct model_exit *x, const struct ipr_request *q)
{
	struct wire_rd r;
	const uint8_t *pkt;
	size_t len;

	wire_rd_init(&r, q->bundle, q->bundle_len);
	while (x->connected && ipr_bundle_next(&r, &pkt, &len) == 1)
		x->packet(x->owner, pkt, len);
}

static void on_frame(struct model_exit *x, const uint8_t *data, size_t len)
{
	struct stream_frame f;
	struct ipr_request q;
	struct ipr_response r = { .kind = IPR_PING };

	if (stream_parse(&f, data, len) || ipr_parse_request(&q, f.payload, f.len) ||
	    q.provider != IPR_SP_TYPE) {
		x->malformed++;
		return;
	}
	if (q.version > x->newest || x->silent)
		return;
	switch (q.kind) {
	case IPR_CONNECT: on_connect(x, &f, &q); break;
	case IPR_DATA: on_data(x, &q); break;
	case IPR_PING:
		x->pings++;
		r.version = q.version;
		r.id = q.id;
		send_frame(x, f.id, 0, &r);
		break;
	case IPR_DISCONNECT: x->connected = false; break;
	case IPR_HEALTH:
	case IPR_UNREQUESTED:
	case IPR_INFO: x->malformed++; break;
	}
}

static void take_surbs(struct model_exit *x, uint64_t now_us, const struct nym_msg *m)
{
	for (unsigned i = 0; i < m->surb_count && x->surb_n < MODEL_SURBS; i++) {
		memcpy(x->surb[(x->surb_head + x->surb_n) % MODEL_SURBS], m->surbs + i * SURB_LEN4, SURB_KEY);
		x->surb_n++;
		x->surbs_in++;
	}
	if (x->surb_n > x->surb_peak)
		x->surb_peak = x->surb_n;
	if (m->content == NYM_SURBS_V2)
		x->pending -= x->pending < m->surb_count ? x->pending : m->surb_count;
	if (m->surb_count)
		x->surb_got_us = now_us;
}

void model_exit_input(struct model_exit *x, uint64_t now_us, const uint8_t frag[NYM_FRAG])
{
	struct nym_msg m;
	size_t len;
	int got = nym_rx_insert(x->rx, now_us, frag, NYM_FRAG, x->msg, sizeof(x->msg), &len);

	if (got == 0)
		return;
	if (got < 0 || nym_msg_parse(&m, x->msg, len) || m.type != NYM_REPLIABLE) {
		x->malformed++;
		return;
	}
	take_surbs(x, now_us, &m);
	if (m.surb_count)
		flush(x);
	if (m.content == NYM_DATA_V2)
		on_frame(x, m.data, m.len);
}

void model_exit_tick(struct model_exit *x, uint64_t now_us)
{
	if (!x->q_n || now_us - x->surb_got_us < 10 * US_PER_S)
		return;
	x->pending = 0;
	ask(x);
}
