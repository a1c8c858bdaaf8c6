/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP GET over libwebsockets. The whole body is kept, up to max_body. Compression is not offered: lws does
 * not unpack it, and nym-api answers plain when nothing is offered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/ws_int.h"

struct ws_get {
	struct list link;
	struct ws *ws;
	struct ws_dial dial;
	struct lws *wsi; /* after the headers came */
	struct loop_timer timer;
	struct loop_task done;
	size_t max_body, len, cap;
	char *body;
	int status, err;
	bool finished;
	void (*cb)(void *owner, int err, int status, const char *body, size_t len);
	void *owner;
};

static void get_free(struct ws_get *g)
{
	list_remove(&g->link);
	list_remove(&g->done.node);
	loop_timer_stop(&g->timer);
	free(g->body);
	free(g);
}

static void give(void *owner)
{
	struct ws_get *g = owner;

	list_remove(&g->link);
	g->cb(g->owner, g->err, g->status, g->body ? g->body : "", g->len);
	get_free(g);
}

static void finish(struct ws_get *g, int err)
{
	if (g->finished)
		return;
	g->finished = true;
	g->err = err;
	if (g->wsi) {
		lws_set_wsi_user(g->wsi, NULL);
		lws_set_timeout(g->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
		g->wsi = NULL;
	}
	loop_defer(g->ws->loop, &g->done, give, g);
}

static void failed(void *owner, int err)
{
	finish(owner, err);
}

static void late(void *owner)
{
	struct ws_get *g = owner;

	ws_dial_late(&g->dial);
	finish(g, -ETIMEDOUT);
}

struct ws_get *ws_get(struct ws *w, const struct ws_url *u, const struct ws_get_opts *o,
		      void (*cb)(void *owner, int err, int status, const char *body, size_t len), void *owner)
{
	struct ws_get *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->ws = w;
	g->max_body = o->max_body;
	g->cb = cb;
	g->owner = owner;
	list_init(&g->done.node);
	list_push_back(&w->gets, &g->link);
	loop_timer_init(w->loop, &g->timer, late, g);
	loop_timer_set(&g->timer, loop_now(w->loop) + o->timeout_us);
	ws_dial_start(&g->dial, w, u, o, "GET", failed, g);
	return g;
}

void ws_get_cancel(struct ws_get *g)
{
	if (!g)
		return;
	ws_dial_cancel(&g->dial);
	if (g->wsi) {
		lws_set_wsi_user(g->wsi, NULL);
		lws_set_timeout(g->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
	}
	get_free(g);
}

void ws_get_free_all(struct ws *w)
{
	list_for_each_safe(it, tmp, &w->gets) {
		struct ws_get *g = container_of(it, struct ws_get, link);

		g->wsi = g->dial.wsi = NULL;
		ws_get_cancel(g);
	}
}

static int add_headers(struct lws *wsi, void *in, size_t len)
{
	static const struct {
		const char *name, *value;
	} header[] = { { "accept:", "application/json" }, { "user-agent:", "smolmix/" SMOLMIX_VERSION } };
	unsigned char **p = in, *end = *p + len;

	for (size_t i = 0; i < 2; i++)
		if (lws_add_http_header_by_name(wsi, (const unsigned char *)header[i].name,
						(const unsigned char *)header[i].value,
						(int)strlen(header[i].value), p, end))
			return -1;
	return 0;
}

static int append(struct ws_get *g, const void *in, size_t len)
{
	size_t need = g->len + len + 1, cap = g->cap ? g->cap : 4096;
	char *more;

	if (len > g->max_body - g->len) {
		finish(g, SMX_ELIMIT);
		return -1;
	}
	while (cap < need)
		cap *= 2;
	if (cap != g->cap) {
		more = realloc(g->body, cap);
		if (!more) {
			finish(g, -ENOMEM);
			return -1;
		}
		g->body = more;
		g->cap = cap;
	}
	memcpy(g->body + g->len, in, len);
	g->len += len;
	g->body[g->len] = '\0';
	return 0;
}

static int pull(struct lws *wsi)
{
	char buf[LWS_PRE + 4096], *p = buf + LWS_PRE;
	int n = 4096;

	return lws_http_client_read(wsi, &p, &n) < 0 ? -1 : 0;
}

static int get_event(struct ws_get *g, struct lws *wsi, enum lws_callback_reasons reason, void *in,
		     size_t len)
{
	loop_update_now(g->ws->loop);
	switch ((int)reason) { /* see ws_conn_event() */
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return add_headers(wsi, in, len);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: ws_dial_error(&g->dial, in); break;
	case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
		g->wsi = wsi;
		ws_dial_done(&g->dial);
		g->status = (int)lws_http_client_http_response(wsi);
		break;
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP: return pull(wsi);
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ: return append(g, in, len);
	case LWS_CALLBACK_COMPLETED_CLIENT_HTTP: finish(g, 0); break;
	case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
		g->wsi = NULL;
		ws_dial_done(&g->dial);
		lws_set_wsi_user(wsi, NULL);
		finish(g, SMX_ECLOSED);
		break;
	}
	return 0;
}

int ws_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	static const enum lws_callback_reasons about_us[] = {
		LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER,
		LWS_CALLBACK_CLIENT_CONNECTION_ERROR,
		LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP,
		LWS_CALLBACK_RECEIVE_CLIENT_HTTP,
		LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ,
		LWS_CALLBACK_COMPLETED_CLIENT_HTTP,
		LWS_CALLBACK_CLOSED_CLIENT_HTTP,
	};

	for (size_t i = 0; i < sizeof(about_us) / sizeof(about_us[0]); i++)
		if (reason == about_us[i] && user)
			return get_event(user, wsi, reason, in, len);
	return 0;
}
