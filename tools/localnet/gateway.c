/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateway of the local network.
 *
 * Theory of operation. Clients connect by websocket; each connection has a gwproto server engine. Registered
 * clients live in a fixed table (key, balance, last login) with a short queue of messages stored while they
 * are away. A client's binary frame is opened, charged and its Sphinx packet handed to the node half for the
 * first mix (the entry does not unwrap). Final packets come from the node half: the first 405 bytes are the
 * SURB-ACK, released at once with the rotation of the packet it came in; the rest is pushed to the client, or
 * stored (spec nymsphinx.md 7.3, gateway.md 14).
 *
 * A login of a client that has a session is refused, as a real gateway does when the old connection answers
 * its ping (gateway.md 10).
 *
 * Misbehaviour (node_info.bad): closing at a chosen handshake step, enforcing credentials, swallowing
 * packets; stalled, nothing that comes over websockets is looked at and nothing is sent on them. Stopped, it
 * does not listen, its sessions are gone and packets to it vanish; who is registered is kept, as a real
 * gateway keeps it on disk.
 */
#include "tools/localnet/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "mixnet/gwproto.h"
#include "tools/localnet/hostile.h"
#include "tools/localnet/node.h"

#define CLIENTS_MAX 256
#define STORED_MAX 64
#define OLD_FRAMES 32
#define JUNK_MAX (4 * GW_FRAME_MAX)	 /* the client takes a quarter of it */
#define FIRST_REQUEST_US (10 * US_PER_S) /* gateway.md 2: server timers */

struct session;

struct client {
	struct gw_server_client reg;
	struct session *session;
	unsigned stored;
	struct {
		size_t len;
		uint8_t bytes[NYM_BLOB];
	} store[STORED_MAX];
};

struct session {
	struct list link;
	struct gateway *gw;
	struct ws_conn *conn;
	struct gw_server eng;
	struct client *client; /* from OPEN on */
	struct loop_timer timer;
	unsigned texts; /* received, for the fault switches */
	bool mute;	/* half-open: what we say does not get through */
};

struct gateway {
	struct loop *loop;
	struct ws *ws;
	struct rng *rng;
	const struct localnet_cfg *cfg;
	struct node_info *info;
	struct node *node;
	struct ws_server *server;
	struct list sessions;
	struct client *client[CLIENTS_MAX];
	unsigned n_clients;
	uint64_t unknown_dest, push_failed;
	uint8_t frame[GW_FRAME_MAX];
	uint8_t old[OLD_FRAMES][NYM_BLOB + GW_FRAME_OVERHEAD]; /* pushed before, for replays */
	size_t old_len[OLD_FRAMES];
	uint8_t junk[JUNK_MAX];
	char text[GW_TEXT_MAX], text2[GW_TEXT_MAX];
};

/* ---- registered clients ---- */

static struct client *client_find(struct gateway *g, const uint8_t pk[32])
{
	for (unsigned i = 0; i < g->n_clients; i++)
		if (!memcmp(g->client[i]->reg.pk, pk, 32)) /* allowed: public keys */
			return g->client[i];
	return NULL;
}

static bool op_lookup(void *owner, const uint8_t pk[32], struct gw_server_client *ret)
{
	struct client *c = client_find(owner, pk);

	if (c)
		*ret = c->reg;
	return c != NULL;
}

static bool op_active(void *owner, const uint8_t pk[32])
{
	struct client *c = client_find(owner, pk);

	return c && c->session;
}

static void op_store(void *owner, const struct gw_server_client *reg)
{
	struct gateway *g = owner;
	struct client *c = client_find(g, reg->pk);

	if (!c && g->n_clients < CLIENTS_MAX) {
		c = calloc(1, sizeof(*c));
		if (c)
			g->client[g->n_clients++] = c;
	}
	if (c)
		c->reg = *reg;
}

static void op_forget(void *owner, const uint8_t pk[32])
{
	struct gateway *g = owner;

	for (unsigned i = 0; i < g->n_clients; i++) {
		struct client *c = g->client[i];

		if (memcmp(c->reg.pk, pk, 32)) /* allowed: public keys */
			continue;
		if (c->session)
			c->session->client = NULL;
		free(c);
		g->client[i] = g->client[--g->n_clients];
		return;
	}
}

/* ---- downstream ---- */

static void push_one(struct session *s, const uint8_t *msg, size_t len)
{
	struct gateway *g = s->gw;
	bool silent = g->info->bad.stalled || s->mute;
	int n = silent ? SMX_ESTATE : gw_server_push(&s->eng, g->frame, sizeof(g->frame), msg, len);

	if (n > 0 && g->info->bad.spoil == SPOIL_FLIP && hostile_chance(g->cfg->hostile, 8))
		hostile_flip(g->cfg->hostile, g->frame, (size_t)n);
	if (n > 0 && g->info->bad.spoil == SPOIL_CUT && hostile_chance(g->cfg->hostile, 8))
		n = (int)hostile_cut(g->cfg->hostile, (size_t)n);
	if (n < 0 || ws_send(s->conn, false, g->frame, (size_t)n) < 0)
		g->push_failed++;
}

/* Frames, sealed blobs and texts of random content. */
static void push_junk(struct session *s)
{
	struct gateway *g = s->gw;
	struct rng *r = g->cfg->hostile;
	static const size_t usual[] = { 0,
					1,
					NYM_ACK,
					NYM_ACK + 1,
					32,
					40,
					NYM_BLOB - 1,
					NYM_BLOB,
					NYM_BLOB + 1,
					GW_FRAME_MAX - GW_FRAME_OVERHEAD };

	switch (rng_below(r, 4)) {
	case 0:
		ws_send(s->conn, false, g->junk,
			hostile_junk(r, g->junk, hostile_chance(r, 20) ? JUNK_MAX : GW_FRAME_MAX));
		break;
	case 1: ws_send(s->conn, true, g->junk, hostile_text(r, (char *)g->junk, GW_TEXT_MAX)); break;
	default:
		rng_fill(r, g->junk, GW_FRAME_MAX);
		push_one(s, g->junk, usual[rng_below(r, sizeof(usual) / sizeof(usual[0]))]);
	}
}

/* Old ones again, as they were; and this one sealed again. */
static void push_replays(struct session *s, const uint8_t *msg, size_t len)
{
	struct gateway *g = s->gw;
	struct rng *r = g->cfg->hostile;
	uint32_t at = rng_below(r, OLD_FRAMES);

	push_one(s, msg, len);
	if (g->old_len[at])
		ws_send(s->conn, false, g->old[at], g->old_len[at]);
	if (len + GW_FRAME_OVERHEAD <= sizeof(g->old[at])) {
		int n = gw_server_push(&s->eng, g->old[at], sizeof(g->old[at]), msg, len);

		g->old_len[at] = n > 0 ? (size_t)n : 0;
	}
}

static void push(struct session *s, const uint8_t *msg, size_t len)
{
	struct gateway *g = s->gw;
	struct rng *r = g->cfg->hostile;
	enum spoil spoil = g->info->bad.spoil;
	uint8_t wrong[NYM_BLOB];

	if ((spoil == SPOIL_FLIP || spoil == SPOIL_CUT) && len <= sizeof(wrong) && hostile_chance(r, 8)) {
		memcpy(wrong, msg, len);
		hostile_flip(r, wrong, len);
		push_one(s, wrong, spoil == SPOIL_CUT ? hostile_cut(r, len) : len);
		return;
	}
	push_one(s, msg, len);
	for (unsigned n = spoil == SPOIL_FLOOD ? 40 : spoil == SPOIL_JUNK; n; n--)
		push_junk(s);
	for (unsigned n = spoil == SPOIL_REPLAY ? 3 : 0; n; n--)
		push_replays(s, msg, len);
}

static void deliver(struct gateway *g, const uint8_t dest[32], const uint8_t *msg, size_t len)
{
	struct client *c = client_find(g, dest);

	if (!c) {
		g->unknown_dest++;
		return;
	}
	if (c->session) {
		push(c->session, msg, len);
		return;
	}
	if (c->stored == STORED_MAX || len > sizeof(c->store[0].bytes)) {
		g->push_failed++;
		return;
	}
	memcpy(c->store[c->stored].bytes, msg, len);
	c->store[c->stored++].len = len;
}

static void final_hop(void *owner, const uint8_t dest[32], const uint8_t *msg, size_t len, size_t packet_len,
		      uint8_t rotation)
{
	struct gateway *g = owner;
	struct addr first;

	if (packet_len == SPHINX_ACK_PACKET) {
		deliver(g, dest, msg, len);
		return;
	}
	/* nymsphinx.md 7.3: a malformed SURB-ACK drops the whole packet. */
	if (len < NYM_SURB_ACK || nym_addr_get(&first, msg, 19) < 0)
		return;
	deliver(g, dest, msg + NYM_SURB_ACK, len - NYM_SURB_ACK);
	node_send(g->node, &first, msg + 19, SPHINX_ACK_PACKET, rotation, 0);
}

/* ---- sessions ---- */

static void flush_stored(struct session *s)
{
	struct client *c = s->client;

	if (!c)
		return;
	for (unsigned i = 0; i < c->stored; i++)
		push(s, c->store[i].bytes, c->store[i].len);
	c->stored = 0;
}

static void session_open(struct session *s)
{
	s->client = client_find(s->gw, s->eng.who.pk);
	if (s->client)
		s->client->session = s;
	loop_timer_stop(&s->timer);
}

static bool misbehaves(struct session *s, unsigned step)
{
	if (s->gw->info->bad.close_step != step)
		return false;
	ws_close(s->conn, true);
	return true;
}

static void send_text(struct session *s, const char *text)
{
	struct rng *r = s->gw->cfg->hostile;
	char wrong[GW_TEXT_MAX];
	size_t len = strlen(text);

	if (s->mute)
		return;
	if (s->gw->info->bad.spoil == SPOIL_TEXT && hostile_chance(r, 3)) {
		memcpy(wrong, text, len);
		hostile_flip(r, wrong, len);
		ws_send(s->conn, true, wrong, hostile_chance(r, 2) ? hostile_cut(r, len) : len);
		ws_send(s->conn, true, wrong, hostile_text(r, wrong, sizeof(wrong)));
		return;
	}
	ws_send(s->conn, true, text, len);
}

static void on_text(void *owner, const char *msg, size_t len)
{
	struct session *s = owner;
	struct gateway *g = s->gw;
	const struct gw_server_ops ops = {
		.lookup = op_lookup,
		.active = op_active,
		.store = op_store,
		.forget = op_forget,
		.owner = g,
	};
	int out;

	if (g->info->bad.stalled || misbehaves(s, ++s->texts))
		return;
	out = gw_server_text(&s->eng, &ops,
			     loop_clock(g->loop)->wall_s(loop_clock(g->loop)) + g->info->bad.skew_s, msg, len,
			     g->text, g->text2);
	if (out < 0) {
		ws_close(s->conn, true);
		return;
	}
	if (out & GWS_OPEN_NOW) {
		session_open(s);
		if (!(out & GWS_SEND2)) /* login: stored messages come before the answer */
			flush_stored(s);
	}
	if (out & GWS_SEND)
		send_text(s, g->text);
	if ((out & GWS_OPEN_NOW) && (out & GWS_SEND2))
		flush_stored(s);
	if (out & GWS_SEND2)
		send_text(s, g->text2);
	if (out & GWS_CLOSE)
		ws_close(s->conn, false);
}

static void on_binary(void *owner, uint8_t *msg, size_t len)
{
	struct session *s = owner;
	struct mixpacket m;
	int out = s->gw->info->bad.stalled ? 0 : gw_server_binary(&s->eng, msg, len, &m, s->gw->text);

	if (out < 0) {
		ws_close(s->conn, true);
		return;
	}
	if ((out & GWS_FORWARD) && !s->gw->info->bad.swallows)
		node_send(s->gw->node, &m.next_hop, m.packet, m.packet_len, m.rotation, 0);
	if (out & GWS_SEND)
		send_text(s, s->gw->text);
	if (out & GWS_CLOSE)
		ws_close(s->conn, false);
}

static void on_closed(void *owner, int err)
{
	struct session *s = owner;

	(void)err;
	if (s->client) {
		s->client->session = NULL;
		s->client->reg = s->eng.who;
	}
	loop_timer_stop(&s->timer);
	list_remove(&s->link);
	gw_server_done(&s->eng);
	free(s);
}

static void on_silence(void *owner)
{
	struct session *s = owner;

	if (!s->client)
		ws_close(s->conn, true);
}

static const struct ws_conn_ops session_ops = { .text = on_text, .binary = on_binary, .closed = on_closed };

static void *on_accept(void *owner, struct ws_conn *c, const struct ws_conn_ops **ret_ops)
{
	struct gateway *g = owner;
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->gw = g;
	s->conn = c;
	gw_server_init(&s->eng, g->info->identity_pk, g->info->identity_sk, g->rng);
	s->eng.enforce_credentials = g->info->bad.credentials;
	list_push_back(&g->sessions, &s->link);
	loop_timer_init(g->loop, &s->timer, on_silence, s);
	loop_timer_set(&s->timer, loop_now(g->loop) + FIRST_REQUEST_US);
	*ret_ops = &session_ops;
	return s;
}

/* ---- life ---- */

int gateway_start(struct gateway *g)
{
	struct ws_server_ops ops = { .accept = on_accept, .owner = g };
	struct addr at = g->cfg->address, bound;

	g->info->bad.dead = false;
	if (g->server)
		return 0;
	at.port = g->info->ws_port;
	g->server = ws_listen(g->ws, &at, &bound, GW_FRAME_MAX, &ops);
	if (!g->server)
		return -errno;
	g->info->ws_port = bound.port;
	return 0;
}

void gateway_stop(struct gateway *g)
{
	g->info->bad.dead = true;
	ws_server_free(g->server); /* its connections have no owner now */
	g->server = NULL;
	list_for_each_safe(it, tmp, &g->sessions)
		on_closed(container_of(it, struct session, link), 0);
}

void gateway_reset(struct gateway *g)
{
	list_for_each_safe(it, tmp, &g->sessions)
		ws_close(container_of(it, struct session, link)->conn, true);
}

void gateway_half_open(struct gateway *g)
{
	list_for_each(it, &g->sessions) {
		struct session *s = container_of(it, struct session, link);

		s->mute = true;
		if (s->client) /* where it comes again, it is not "already connected" */
			s->client->session = NULL;
		s->client = NULL;
	}
}

void gateway_forget(struct gateway *g)
{
	gateway_reset(g);
	while (g->n_clients)
		op_forget(g, g->client[0]->reg.pk);
}

struct gateway *gateway_new(struct loop *loop, struct ws *ws, struct rng *rng, const struct localnet_cfg *cfg,
			    const struct directory *dir, struct node_info *info)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int r = -ENOMEM;

	if (!g)
		return NULL;
	g->loop = loop;
	g->ws = ws;
	g->rng = rng;
	g->cfg = cfg;
	g->info = info;
	list_init(&g->sessions);
	g->node = node_new(loop, rng, cfg, dir, info, final_hop, g);
	if (g->node)
		r = gateway_start(g);
	if (r < 0) {
		gateway_free(g);
		errno = -r;
		return NULL;
	}
	return g;
}

void gateway_free(struct gateway *g)
{
	if (!g)
		return;
	gateway_stop(g);
	log_debug("gateway: %" PRIu64 " packets for nobody, %" PRIu64 " could not be pushed or stored",
		  g->unknown_dest, g->push_failed);
	node_free(g->node);
	for (unsigned i = 0; i < g->n_clients; i++)
		free(g->client[i]);
	free(g);
}
