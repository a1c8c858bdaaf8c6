/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nym client of the exit.
 *
 * Theory of operation. One websocket to the gateway, driven by gwproto's client engine (registration first,
 * login after a loss). Pushed blobs are acks (end a pending retransmission) or fragments; repliable messages
 * feed the SURB store and go to the owner. A reply is padded and split; each fragment takes one SURB, or
 * waits in its sender's queue until SURBs come. When the stock is low a SURB request goes out on a SURB of
 * its own (spec traffic.md 8.2).
 *
 * Retransmission: control replies and SURB requests are kept until their ack comes, timeout 1.5 x expected
 * + 1.5 s, ten times at most, each with another SURB. Data replies are sent once (ipr.md 6.5).
 */
#include "tools/localnet/nymlink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "mixnet/framing.h"
#include "mixnet/gwproto.h"
#include "mixnet/topology.h"
#include "tools/localnet/hostile.h"
#include "tools/localnet/surbstore.h"

#define HOP_MEAN_NS UINT64_C(15000000)
#define ACK_WAIT_US(expected_us) ((expected_us)*3 / 2 + 1500 * US_PER_MS)
#define MESSAGE_MAX (256 * NYM_FRAG_DATA)
#define REPLY_MAX (4 * NYM_FRAG)
#define RECONNECT_US (1 * US_PER_S)
#define TICK_US (5 * US_PER_S)
#define CONTROL_LIMIT 10

struct pending {
	struct heap_node timer;
	struct list link;
	struct out_frag *frag;
	uint8_t id[NYM_ID], tag[NYM_TAG];
};

struct nymlink {
	struct loop *loop;
	struct ws *ws;
	struct rng *rng;
	const struct localnet_cfg *cfg;
	const struct directory *dir;
	const struct node_info *gateway;
	struct nym_self self;
	struct nymlink_ops ops;
	struct gw_client gw;
	struct ws_conn *conn;
	struct loop_timer reconnect, tick, resend;
	struct topology topo;
	struct topo_node nodes[LOCALNET_NODES_MAX];
	uint32_t layers[TOPO_LAYERS][LOCALNET_NODES_MAX];
	struct nym_rx *rx;
	struct surb_store store;
	struct pool pending_pool;
	struct list pending;
	struct heap timers;
	uint64_t sent, acked, lost;
	uint8_t message[MESSAGE_MAX], reply[REPLY_MAX], packet[SPHINX_REGULAR_PACKET], frame[GW_FRAME_MAX];
	char text[GW_TEXT_MAX];
};

/* ---- gateway link ---- */

static void send_text(struct nymlink *l, size_t len)
{
	ws_send(l->conn, true, l->text, len);
}

static void gateway_out(struct nymlink *l, int out, size_t len)
{
	if (out & GW_OUT_SEND)
		send_text(l, len);
	if (gw_client_wants_claim(&l->gw) &&
	    gw_client_claim(&l->gw, l->text, sizeof(l->text), &len) == GW_OUT_SEND)
		send_text(l, len);
	if (out & GW_OUT_OPEN)
		l->ops.ready(l->ops.owner);
}

static void on_open(void *owner)
{
	struct nymlink *l = owner;
	struct clock *c = loop_clock(l->loop);
	size_t len;

	if (gw_client_start(&l->gw, c->wall_s(c), l->text, sizeof(l->text), &len) == 0)
		send_text(l, len);
}

static void on_text(void *owner, const char *msg, size_t len)
{
	struct nymlink *l = owner;
	size_t out_len = 0;
	int out = gw_client_text(&l->gw, msg, len, l->text, sizeof(l->text), &out_len);

	if (out < 0) {
		log_info("exit: gateway refused: %s", l->gw.error);
		if (strstr(l->gw.error, "not registered"))
			l->gw.have_key = false; /* the next attempt registers */
		ws_close(l->conn, false);
		return;
	}
	if (out & GW_OUT_ERROR)
		log_warn("exit: gateway said: %s", l->gw.error);
	gateway_out(l, out, out_len);
}

static void on_closed(void *owner, int err)
{
	struct nymlink *l = owner;

	log_info("exit: gateway link closed: %s", err_str(err));
	l->conn = NULL;
	loop_timer_set(&l->reconnect, loop_now(l->loop) + RECONNECT_US);
}

static void on_binary(void *owner, uint8_t *msg, size_t len);

static const struct ws_conn_ops link_ops = {
	.open = on_open,
	.text = on_text,
	.binary = on_binary,
	.closed = on_closed,
};

static void connect_gateway(void *owner)
{
	struct nymlink *l = owner;
	const struct ws_get_opts opts = { .allow_plain = true, .timeout_us = 5 * US_PER_S };
	struct addr a = l->gateway->mix;
	char url[16 + ADDR_TEXT], text[ADDR_TEXT];
	struct ws_url u;

	a.port = l->gateway->ws_port;
	snprintf(url, sizeof(url), "ws://%s/", addr_text(&a, text));
	l->gw.state = GW_IDLE;
	if (ws_url_parse(&u, url) == 0)
		l->conn = ws_connect(l->ws, &u, &opts, 1 << 16, &link_ops, l);
	if (!l->conn)
		loop_timer_set(&l->reconnect, loop_now(l->loop) + RECONNECT_US);
}

/* ---- sending through SURBs ---- */

static int own_route(struct nymlink *l, struct sphinx_route *route, uint64_t *ret_ns)
{
	return topology_route(&l->topo, l->self.addr.gateway, HOP_MEAN_NS, l->rng, route, ret_ns);
}

static int send_packet(struct nymlink *l, const struct out_frag *f, const struct surb *surb, uint8_t rotation,
		       uint64_t *ret_expected_ns)
{
	struct sphinx_route back;
	uint8_t ack[NYM_SURB_ACK], id[NYM_ID];
	struct mixpacket m = { .rotation = rotation, .packet = l->packet, .packet_len = sizeof(l->packet) };
	int r;

	if (!l->conn || l->gw.state != GW_OPEN)
		return SMX_ESTATE;
	nym_frag_id(id, f->frag);
	r = own_route(l, &back, ret_expected_ns);
	if (r == 0)
		r = nym_surb_ack(ack, &l->self, &back, id, l->rng);
	if (r == 0)
		r = nym_packet_reply(l->packet, surb, ack, f->frag);
	if (r == 0 && nym_addr_get(&m.next_hop, surb->first_hop, 32) < 0)
		r = SMX_EPROTO;
	if (r == 0)
		r = gw_client_seal(&l->gw, l->frame, sizeof(l->frame), &m);
	if (r < 0)
		return r;
	r = ws_send(l->conn, false, l->frame, (size_t)r);
	if (r)
		return r;
	gw_client_sent(&l->gw);
	l->sent++;
	return 0;
}

static void rearm(struct nymlink *l)
{
	struct heap_node *min = heap_min(&l->timers);

	loop_timer_set(&l->resend, min ? min->key : TIME_NEVER);
}

/* Takes f: keeps it until its ack when it may be sent again. */
static void keep(struct nymlink *l, const uint8_t tag[NYM_TAG], struct out_frag *f, uint64_t expected_ns)
{
	struct pending *p = f->sent < f->limit ? pool_get(&l->pending_pool) : NULL;

	if (!p) {
		surb_store_frag_free(&l->store, f);
		return;
	}
	memset(p, 0, sizeof(*p));
	p->frag = f;
	nym_frag_id(p->id, f->frag);
	memcpy(p->tag, tag, NYM_TAG);
	list_init(&p->link);
	list_push_back(&l->pending, &p->link);
	/* The forward part through a SURB is unknown: three hops of the mean (traffic.md 7.1). */
	heap_insert(&l->timers, &p->timer,
		    loop_now(l->loop) + ACK_WAIT_US((3 * HOP_MEAN_NS + expected_ns) / 1000));
	rearm(l);
}

static struct out_frag *unkeep(struct nymlink *l, struct pending *p)
{
	struct out_frag *f = p->frag;

	heap_remove(&l->timers, &p->timer);
	list_remove(&p->link);
	pool_put(&l->pending_pool, p);
	rearm(l);
	return f;
}

static void pump(struct nymlink *l, struct sender *t)
{
	struct out_frag *f;
	struct surb surb;
	uint8_t rotation;
	uint64_t expected = 0;

	if (l->gateway->bad.exit == EXIT_STARVE)
		return;
	while ((f = surb_store_next(&l->store, t, &surb, &rotation))) {
		if (send_packet(l, f, &surb, rotation, &expected) < 0)
			l->lost++;
		keep(l, t->tag, f, expected);
	}
}

/* Splits a message into fragments of the store. Number queued. */
static void queue_message(struct nymlink *l, struct sender *t, struct wire_wr *w, unsigned limit,
			  bool request)
{
	struct nym_split sp;
	struct out_frag *f;
	int len = nym_pad(w, NYM_FRAG);

	if (len < 0) {
		l->lost++;
		return;
	}
	nym_split_init(&sp, l->reply, (size_t)len, NYM_FRAG, l->rng);
	while ((f = surb_store_frag(&l->store))) {
		if (!nym_split_next(&sp, f->frag)) {
			surb_store_frag_free(&l->store, f);
			return;
		}
		if (!request)
			hostile_frag(l->cfg->hostile, l->gateway->bad.exit, f->frag);
		f->limit = limit;
		f->surb_request = request;
		surb_store_queue(t, f, request);
	}
}

static void want_more(struct nymlink *l, struct sender *t)
{
	unsigned n = l->gateway->bad.exit == EXIT_STARVE ? 0 : surb_store_want(t);
	struct wire_wr w;

	if (!n)
		return;
	wire_wr_init(&w, l->reply, sizeof(l->reply));
	nym_put_surb_request(&w, &l->self.addr, n);
	queue_message(l, t, &w, CONTROL_LIMIT, true);
	pump(l, t);
}

void nymlink_reply(struct nymlink *l, const uint8_t tag[NYM_TAG], const void *data, size_t len,
		   unsigned limit)
{
	struct sender *t = surb_store_find(&l->store, tag);
	enum exit_fault bad = l->gateway->bad.exit;
	struct wire_wr w;

	if (!t) {
		log_debug("exit: reply dropped, its sender never gave a SURB");
		l->lost++;
		return;
	}
	wire_wr_init(&w, l->reply, sizeof(l->reply));
	nym_put_reply_data(&w, data, len);
	hostile_right(l->cfg->hostile, bad, &w);
	queue_message(l, t, &w, limit, false);
	for (unsigned n = hostile_more(bad); n; n--) {
		wire_wr_init(&w, l->reply, sizeof(l->reply));
		hostile_message(l->cfg->hostile, bad, &w, data, len, &l->self.addr);
		queue_message(l, t, &w, 0, false);
	}
	pump(l, t);
	want_more(l, t);
}

static void resend(void *owner)
{
	struct nymlink *l = owner;
	struct heap_node *min;

	while ((min = heap_min(&l->timers)) && min->key <= loop_now(l->loop)) {
		struct pending *p = container_of(min, struct pending, timer);
		struct sender *t = surb_store_find(&l->store, p->tag);
		struct out_frag *f = unkeep(l, p);

		if (!t) {
			surb_store_frag_free(&l->store, f);
			continue;
		}
		f->sent++;
		surb_store_queue(t, f, true);
		pump(l, t);
	}
	rearm(l);
}

static void tick(void *owner)
{
	struct nymlink *l = owner;
	uint64_t now = loop_now(l->loop);

	for (unsigned i = 0; i < STORE_SENDERS; i++) {
		struct sender *t = &l->store.sender[i];

		if (!t->in_use)
			continue;
		switch (surb_store_tick(t, now)) {
		case STORE_NOTHING: break;
		case STORE_REREQUEST: want_more(l, t); break;
		case STORE_DROP_QUEUE: surb_store_drop_queue(&l->store, t); break;
		}
	}
	loop_timer_set(&l->tick, now + TICK_US);
}

/* ---- receiving ---- */

static void on_ack(struct nymlink *l, const uint8_t id[NYM_ID])
{
	list_for_each(it, &l->pending) {
		struct pending *p = container_of(it, struct pending, link);

		if (memcmp(p->id, id, NYM_ID)) /* allowed: identifiers */
			continue;
		surb_store_frag_free(&l->store, unkeep(l, p));
		l->acked++;
		return;
	}
}

static void on_message(struct nymlink *l, const uint8_t *bytes, size_t len)
{
	struct nym_msg m;
	struct sender *t;
	unsigned kept;

	if (nym_msg_parse(&m, bytes, len) < 0 || m.type != NYM_REPLIABLE)
		return;
	t = surb_store_get(&l->store, m.tag);
	kept = surb_store_add(&l->store, t, &m, loop_now(l->loop));
	if (kept) {
		pump(l, t);
		want_more(l, t);
	}
	if (m.content == NYM_DATA_V2)
		l->ops.message(l->ops.owner, m.tag, m.data, m.len);
}

static void on_binary(void *owner, uint8_t *msg, size_t len)
{
	struct nymlink *l = owner;
	uint8_t *blob, id[NYM_ID];
	const uint8_t *frag;
	size_t blob_len, frag_len, out_len;
	int kind;

	if (gw_client_push(&l->gw, msg, len, &blob, &blob_len) < 0)
		return;
	kind = nym_blob_open(blob, blob_len, &l->self, NULL, NULL, id, &frag, &frag_len);
	if (kind == NYM_BLOB_ACK)
		on_ack(l, id);
	if (kind == NYM_BLOB_FRAG && nym_rx_insert(l->rx, loop_now(l->loop), frag, frag_len, l->message,
						   sizeof(l->message), &out_len) == 1)
		on_message(l, l->message, out_len);
}

/* ---- life ---- */

void nymlink_rotated(struct nymlink *l)
{
	struct topology *t = &l->topo;

	t->rotation_id = l->dir->rotation;
	t->epoch_id = l->dir->epoch;
	t->node = l->nodes;
	t->n = l->dir->n;
	t->any_gateway = true;
	for (unsigned i = 0; i < t->n; i++) {
		const struct node_info *n = &l->dir->node[i];
		struct topo_node *d = &l->nodes[i];

		d->id = n->id;
		memcpy(d->identity, n->identity_pk, 32);
		memcpy(d->sphinx_key, n->sphinx_pk, 32);
		d->mix = n->mix;
		d->performance = 100;
		d->layer = (uint8_t)n->layer;
		d->has_entry = d->entry_role = n->layer == 0;
	}
	for (unsigned i = 0; i < TOPO_LAYERS; i++)
		t->layer[i] = l->layers[i];
	topology_index(t);
}

struct nymlink *nymlink_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			    const struct directory *dir, const struct node_info *gateway,
			    const struct nym_self *self, const struct nymlink_ops *ops)
{
	const struct nym_rx_limits lim = { .frags = 2048,
					   .sets = 128,
					   .recent = 4096,
					   .stale_us = 1800 * US_PER_S,
					   .recent_us = 600 * US_PER_S };
	struct nymlink *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->loop = loop;
	l->ws = ws;
	l->rng = rng;
	l->cfg = cfg;
	l->dir = dir;
	l->gateway = gateway;
	l->self = *self;
	l->ops = *ops;
	list_init(&l->pending);
	loop_timer_init(loop, &l->reconnect, connect_gateway, l);
	loop_timer_init(loop, &l->tick, tick, l);
	loop_timer_init(loop, &l->resend, resend, l);
	gw_client_init(&l->gw, self->addr.identity, self->identity_sk, self->addr.gateway, rng);
	nymlink_rotated(l);
	l->rx = nym_rx_new(&lim);
	if (!l->rx || surb_store_init(&l->store) < 0 ||
	    pool_init(&l->pending_pool, sizeof(struct pending), 256) < 0) {
		nymlink_free(l);
		errno = ENOMEM;
		return NULL;
	}
	tick(l);
	connect_gateway(l);
	return l;
}

void nymlink_free(struct nymlink *l)
{
	if (!l)
		return;
	loop_timer_stop(&l->reconnect);
	loop_timer_stop(&l->tick);
	loop_timer_stop(&l->resend);
	list_for_each_safe(it, tmp, &l->pending)
		surb_store_frag_free(&l->store, unkeep(l, container_of(it, struct pending, link)));
	loop_timer_stop(&l->resend);
	log_debug("exit: %" PRIu64 " packets sent, %" PRIu64 " acknowledged, %" PRIu64 " lost; %" PRIu64
		  " SURBs and fragments had no room",
		  l->sent, l->acked, l->lost, l->store.dropped);
	surb_store_done(&l->store);
	pool_done(&l->pending_pool);
	nym_rx_free(l->rx);
	gw_client_done(&l->gw);
	explicit_bzero(&l->self, sizeof(l->self));
	free(l);
}
