/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link to the entry gateway.
 *
 * Theory of operation. Addresses are tried in order: TLS by host name where the gateway offers it, then plain
 * websockets where allowed (SPEC gateway.md 2). Each step of the handshake has 5 s. On one connection:
 * version, registration (or login), claim of free bandwidth (SPEC gateway.md 12); then packets.
 *
 * The gateway answers our own cover traffic all the time, so 15 s without a message means that the link is
 * dead even when TCP does not say so.
 *
 * The websocket reports its end asynchronously and only to its owner. Each connection therefore has an owner
 * of its own (gw_sock), cut off from the link when the link gives it up, and freed by the last call of the
 * websocket.
 */
#include "mixnet/bridge_gw.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

#define CONNECT_US (5 * US_PER_S)
#define STEP_US (5 * US_PER_S)
#define SILENCE_US (15 * US_PER_S)
#define CLAIM_GAP_US US_PER_S /* whatever it answers to them */
#define LOGINS_MAX 3	      /* refused in a row: its books may be older than our key */

struct gw_sock {
	struct list node;     /* in dropped, when given up */
	struct gw_link *link; /* NULL: given up */
	struct ws_conn *conn;
};

static void on_timer(void *owner);

void gw_link_init(struct gw_link *l, struct loop *loop, struct ws *ws, const struct gw_link_ops *ops,
		  void *owner)
{
	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->ws = ws;
	l->ops = ops;
	l->owner = owner;
	list_init(&l->dropped);
	loop_timer_init(loop, &l->timer, on_timer, l);
}

void gw_link_done(struct gw_link *l)
{
	struct list *it;

	if (!l->loop)
		return;
	gw_link_close(l, false);
	while ((it = list_pop_front(&l->dropped))) { /* the loop may end before they do */
		struct gw_sock *s = container_of(it, struct gw_sock, node);

		ws_disown(s->conn);
		free(s);
	}
	gw_client_done(&l->gw);
	l->loop = NULL;
}

static void __attribute__((format(printf, 2, 3))) say_why(struct gw_link *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
}

/* ---- addresses ---- */

static void add_url(struct gw_link *l, bool tls, const char *host, bool v6, uint16_t port)
{
	char text[TOPO_HOST_MAX + 32];
	struct ws_url *u = &l->url[l->n_urls];

	if (l->n_urls == GW_LINK_URLS || !port)
		return;
	snprintf(text, sizeof(text), "%s://%s%s%s:%u/", tls ? "wss" : "ws", v6 ? "[" : "", host,
		 v6 ? "]" : "", port);
	if (!ws_url_parse(u, text) && !ws_url_allowed(u, l->allow_plain))
		l->n_urls++;
}

static void add_urls(struct gw_link *l, const struct topo_node *node)
{
	l->n_urls = 0;
	if (node->hostname[0]) {
		add_url(l, true, node->hostname, false, node->wss_port);
		add_url(l, false, node->hostname, false, node->ws_port);
	}
	for (unsigned i = 0; i < node->n_ips; i++) {
		char text[ADDR_TEXT];
		struct addr a = node->ips[i];

		a.port = 0;
		add_url(l, false, addr_text(&a, text), a.family == 6, node->ws_port);
	}
}

int gw_link_choose(struct gw_link *l, const struct topo_node *node, const struct nym_self *me,
		   struct rng *rng, const char *ca_file, bool allow_plain)
{
	gw_link_close(l, false);
	gw_client_done(&l->gw);
	gw_client_init(&l->gw, me->addr.identity, me->identity_sk, node->identity, rng);
	l->ca_file = ca_file;
	l->allow_plain = allow_plain;
	l->refused = 0;
	add_urls(l, node);
	if (l->n_urls)
		return 0;
	say_why(l, "it offers no TLS, and plain websockets are not allowed for this network");
	return SMX_EROUTE;
}

void gw_link_update(struct gw_link *l, const struct topo_node *node)
{
	struct ws_url before[GW_LINK_URLS];
	unsigned n = l->n_urls;

	memcpy(before, l->url, sizeof(before));
	add_urls(l, node);
	if (l->n_urls)
		return;
	memcpy(l->url, before, sizeof(before)); /* none that may be used: those of before may still be good */
	l->n_urls = n;
}

/* ---- end ---- */

/* Cuts the connection off from the link; its last callback frees it. */
static void drop(struct gw_link *l, bool abort)
{
	struct gw_sock *s = l->sock;

	loop_timer_stop(&l->timer);
	l->opened = false;
	l->websocket = false;
	l->sock = NULL;
	if (!s)
		return;
	s->link = NULL;
	list_push_back(&l->dropped, &s->node);
	ws_close(s->conn, abort);
}

static void lost(struct gw_link *l, enum gw_link_lost how)
{
	drop(l, true);
	log_debug("gateway link lost: %s", l->why);
	l->ops->lost(l->owner, how);
}

void gw_link_close(struct gw_link *l, bool polite)
{
	size_t len = 0;

	if (polite && l->opened && gw_client_forget(&l->gw, l->text, sizeof(l->text), &len) > 0)
		ws_send(l->sock->conn, true, l->text, len);
	drop(l, !polite);
}

static void on_timer(void *owner)
{
	struct gw_link *l = owner;
	uint64_t now_us = loop_now(l->loop);

	if (l->opened && now_us < l->heard_us + SILENCE_US) {
		loop_timer_set(&l->timer, l->heard_us + SILENCE_US);
		return;
	}
	if (l->opened)
		say_why(l, "it has been silent for %u s", (unsigned)(SILENCE_US / US_PER_S));
	else
		say_why(l, "no answer within %u s (%s)", (unsigned)(STEP_US / US_PER_S),
			gw_state_name(l->gw.state));
	lost(l, l->opened ? GW_LOST_UNREACHABLE : GW_LOST_REFUSED);
}

/* ---- handshake ---- */

static void send_text(struct gw_link *l, size_t len)
{
	if (ws_send(l->sock->conn, true, l->text, len))
		l->send_failed++;
}

static void claim(struct gw_link *l)
{
	uint64_t now_us = loop_now(l->loop);
	size_t len = 0;

	if (l->opened && now_us < l->claim_us + CLAIM_GAP_US) /* the next answer asks again */
		return;
	if (gw_client_claim(&l->gw, l->text, sizeof(l->text), &len) & GW_OUT_SEND) {
		l->claim_us = now_us;
		send_text(l, len);
	}
}

static void now_open(struct gw_link *l)
{
	l->opened = true;
	l->no_bandwidth = false;
	l->refused = 0;
	l->heard_us = loop_now(l->loop);
	loop_timer_set(&l->timer, l->heard_us + SILENCE_US);
	l->ops->open(l->owner);
}

static void on_open(void *owner)
{
	struct gw_sock *s = owner;
	struct gw_link *l = s->link;
	size_t len = 0;
	int err;

	if (!l)
		return;
	l->websocket = true;
	err = gw_client_start(&l->gw, loop_clock(l->loop)->wall_s(loop_clock(l->loop)), l->text,
			      sizeof(l->text), &len);
	if (err < 0) {
		say_why(l, "handshake cannot begin: %s", err_str(err));
		lost(l, GW_LOST_REFUSED);
		return;
	}
	send_text(l, len);
	loop_timer_set(&l->timer, loop_now(l->loop) + STEP_US);
}

/* Whether registering may help where the login was refused. A connection of ours that the gateway still takes
 * for open does not let us register either, and gives way to a login. */
static bool must_register(struct gw_link *l)
{
	if (!l->gw.have_key || strstr(l->gw.error, "already an open connection"))
		return false;
	return strstr(l->gw.error, "not registered") || ++l->refused >= LOGINS_MAX;
}

static void on_failed(struct gw_link *l, int err)
{
	bool unknown = must_register(l);

	if (unknown)
		l->gw.have_key = false;
	say_why(l, "%s", l->gw.error[0] ? l->gw.error : err_str(err));
	lost(l, unknown ? GW_LOST_UNKNOWN_US : GW_LOST_REFUSED);
}

/* Logged in or registered; what the first claim brings decides whether the link is of use. */
static void may_open(struct gw_link *l, int bits)
{
	if (bits & GW_OUT_UNCLAIMED)
		say_why(l, "it refuses bandwidth: %s", l->gw.error);
	else if (l->gw.bandwidth <= 0 && !l->gw.upgrade_mode)
		say_why(l, "it gives no bandwidth");
	else {
		now_open(l);
		return;
	}
	lost(l, GW_LOST_REFUSED);
}

static void after_text(struct gw_link *l, int bits)
{
	if (bits & GW_OUT_BANDWIDTH)
		l->no_bandwidth = l->gw.bandwidth <= 0 && !l->gw.upgrade_mode;
	if (bits & GW_OUT_NO_BANDWIDTH) {
		l->no_bandwidth = true;
		claim(l);
	}
	if (l->gw.state != GW_OPEN)
		return;
	if (gw_client_wants_claim(&l->gw) && (l->opened || bits & GW_OUT_OPEN))
		claim(l);
	if (!l->opened && !l->gw.claiming)
		may_open(l, bits);
}

static void on_text(void *owner, const char *msg, size_t len)
{
	struct gw_sock *s = owner;
	struct gw_link *l = s->link;
	enum gw_state before;
	size_t out_len = 0;
	int bits;

	if (!l)
		return;
	before = l->gw.state;
	l->heard_us = loop_now(l->loop);
	bits = gw_client_text(&l->gw, msg, len, l->text, sizeof(l->text), &out_len);
	if (bits < 0 && l->gw.state == GW_OPEN) {
		l->bad_frames++;
		return;
	}
	if (bits < 0) {
		on_failed(l, bits);
		return;
	}
	if (bits & GW_OUT_CREDENTIALS) {
		say_why(l, "it wants paid bandwidth credentials (%s)", l->gw.error);
		lost(l, GW_LOST_REFUSED);
		return;
	}
	if (bits & GW_OUT_ERROR)
		log_debug("gateway says: %s", l->gw.error);
	if (bits & GW_OUT_SEND)
		send_text(l, out_len);
	if (!l->opened && l->gw.state != before) /* small talk is no step */
		loop_timer_set(&l->timer, l->heard_us + STEP_US);
	after_text(l, bits);
}

static void on_binary(void *owner, uint8_t *msg, size_t len)
{
	struct gw_sock *s = owner;
	struct gw_link *l = s->link;
	uint8_t *blob;
	size_t blob_len;

	if (!l)
		return;
	l->heard_us = loop_now(l->loop);
	if (gw_client_push(&l->gw, msg, len, &blob, &blob_len)) {
		l->bad_frames++;
		return;
	}
	l->ops->blob(l->owner, blob, blob_len);
}

static void connect_next(struct gw_link *l);

static void on_closed(void *owner, int err)
{
	struct gw_sock *s = owner;
	struct gw_link *l = s->link;

	list_remove(&s->node);
	free(s);
	if (!l)
		return;
	l->sock = NULL;
	loop_timer_stop(&l->timer);
	if (!l->websocket) {
		say_why(l, "%s", err ? err_str(err) : "connection closed");
		connect_next(l);
		return;
	}
	if (l->gw.state != GW_OPEN)
		say_why(l, "it closed the connection during the handshake (%s)", gw_state_name(l->gw.state));
	else
		say_why(l, "%s", err ? err_str(err) : "it closed the connection");
	lost(l, l->gw.state == GW_OPEN ? GW_LOST_UNREACHABLE : GW_LOST_REFUSED);
}

static void on_drained(void *owner)
{
	struct gw_sock *s = owner;

	if (s->link && s->link->opened)
		s->link->ops->drained(s->link->owner);
}

static const struct ws_conn_ops conn_ops = {
	.open = on_open,
	.text = on_text,
	.binary = on_binary,
	.closed = on_closed,
	.drained = on_drained,
};

static void connect_next(struct gw_link *l)
{
	struct ws_get_opts o = { .ca_file = l->ca_file,
				 .allow_plain = l->allow_plain,
				 .timeout_us = CONNECT_US };

	while (l->url_at < l->n_urls) {
		struct gw_sock *s = calloc(1, sizeof(*s));

		if (!s)
			break;
		s->link = l;
		list_init(&s->node);
		s->conn = ws_connect(l->ws, &l->url[l->url_at++], &o, GW_FRAME_MAX, &conn_ops, s);
		if (s->conn) {
			l->sock = s;
			return;
		}
		say_why(l, "%s", err_str(-errno));
		free(s);
	}
	lost(l, GW_LOST_UNREACHABLE);
}

void gw_link_open(struct gw_link *l)
{
	drop(l, true);
	l->url_at = 0;
	say_why(l, "no connection");
	connect_next(l);
}

/* ---- use ---- */

bool gw_link_is_open(const struct gw_link *l)
{
	return l->opened;
}

int gw_link_seal(struct gw_link *l, uint8_t *out, size_t cap, const struct mixpacket *m)
{
	return l->opened ? gw_client_seal(&l->gw, out, cap, m) : SMX_ESTATE;
}

int gw_link_send(struct gw_link *l, const uint8_t *frame, size_t len)
{
	int err = l->opened ? ws_send(l->sock->conn, false, frame, len) : SMX_ESTATE;

	if (!err)
		gw_client_sent(&l->gw);
	return err;
}

size_t gw_link_queued(const struct gw_link *l)
{
	return l->opened ? ws_queued(l->sock->conn) : 0;
}

bool gw_link_idle(const struct gw_link *l)
{
	return !l->sock && list_empty(&l->dropped);
}

bool gw_link_starved(const struct gw_link *l)
{
	return l->no_bandwidth;
}
