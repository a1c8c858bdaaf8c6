/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server side of HTTP and websocket, for the local network and tests. One lws vhost per server; its user pointer is the server, a
 * connection's user space holds one pointer: the ws_conn after the upgrade, or the answer being written.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mixnet/ws_int.h"

#define CHUNK 8192

struct ws_server {
	struct list link;
	struct ws *ws;
	struct lws_vhost *vhost;
	struct ws_server_ops ops;
	size_t max_msg;
	char iface[ADDR_TEXT], name[32];
};

struct per_conn { /* lws allocates it per connection */
	struct ws_conn *conn;
	char *body;
	size_t len, sent;
};

static int start_answer(struct ws_server *s, struct lws *wsi, struct per_conn *pc, const char *path)
{
	uint8_t buf[LWS_PRE + 1024], *start = buf + LWS_PRE, *p = start, *end = buf + sizeof(buf);
	char full[1024];
	int status = 404, n;

	if (!s->ops.get)
		return -1;
	n = lws_hdr_copy(wsi, full, sizeof(full) / 2, WSI_TOKEN_HTTP_URI_ARGS);
	if (n > 0) {
		memmove(full + strlen(path) % 500 + 1, full, (size_t)n + 1);
		full[strlen(path) % 500] = '?';
		memcpy(full, path, strlen(path) % 500);
		path = full;
	}
	s->ops.get(s->ops.owner, path, &status, &pc->body, &pc->len);
	pc->sent = 0;
	if (!pc->body ||
	    lws_add_http_common_headers(wsi, (unsigned)status, "application/json", (lws_filepos_t)pc->len, &p, end) ||
	    lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;
	lws_callback_on_writable(wsi);
	return 0;
}

static int write_answer(struct lws *wsi, struct per_conn *pc)
{
	uint8_t buf[LWS_PRE + CHUNK];
	size_t n = pc->len - pc->sent < CHUNK ? pc->len - pc->sent : CHUNK;
	bool last = pc->sent + n == pc->len;

	if (!pc->body)
		return 0;
	memcpy(buf + LWS_PRE, pc->body + pc->sent, n);
	if (lws_write(wsi, buf + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) != (int)n)
		return -1;
	pc->sent += n;
	if (!last) {
		lws_callback_on_writable(wsi);
		return 0;
	}
	free(pc->body);
	pc->body = NULL;
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int upgrade(struct ws_server *s, struct lws *wsi, struct per_conn *pc)
{
	const struct ws_conn_ops *ops = NULL;
	struct ws_conn *c = s->ops.accept ? ws_conn_accept(s->ws, s, wsi, s->max_msg) : NULL;
	void *owner;

	if (!c)
		return -1;
	owner = s->ops.accept(s->ops.owner, c, &ops);
	if (!owner) {
		ws_conn_adopt(c, NULL, NULL);
		ws_close(c, true);
		return -1;
	}
	ws_conn_adopt(c, ops, owner);
	pc->conn = c;
	return ws_conn_event(c, wsi, LWS_CALLBACK_ESTABLISHED, NULL, 0);
}

static int server_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct per_conn *pc = user;
	struct ws_server *s;
	struct ws_conn *c;

	/* Other reasons concern the vhost; their user is not ours (see ws_conn_callback()). */
	if (!pc || (reason != LWS_CALLBACK_HTTP && reason != LWS_CALLBACK_HTTP_WRITEABLE &&
		    reason != LWS_CALLBACK_CLOSED_HTTP && reason != LWS_CALLBACK_ESTABLISHED &&
		    reason != LWS_CALLBACK_CLOSED && reason != LWS_CALLBACK_RECEIVE &&
		    reason != LWS_CALLBACK_SERVER_WRITEABLE))
		return 0;
	s = lws_vhost_user(lws_get_vhost(wsi));
	switch ((int)reason) { /* see ws_conn_event() */
	case LWS_CALLBACK_HTTP: return start_answer(s, wsi, pc, in);
	case LWS_CALLBACK_HTTP_WRITEABLE: return write_answer(wsi, pc);
	case LWS_CALLBACK_CLOSED_HTTP:
		free(pc->body);
		pc->body = NULL;
		return 0;
	case LWS_CALLBACK_ESTABLISHED: return upgrade(s, wsi, pc);
	case LWS_CALLBACK_CLOSED:
		c = pc->conn;
		pc->conn = NULL;
		break;
	default: c = pc->conn; break;
	}
	return c ? ws_conn_event(c, wsi, reason, in, len) : 0;
}

static const struct lws_protocols server_protocols[] = {
	{ .name = "smolmix-server", .callback = server_callback, .per_session_data_size = sizeof(struct per_conn),
	  .rx_buffer_size = 4096 },
	{ .name = NULL },
};

struct ws_server *ws_listen(struct ws *w, const struct addr *at, struct addr *ret_at, size_t max_msg,
			    const struct ws_server_ops *ops)
{
	struct ws_server *s = calloc(1, sizeof(*s));
	struct lws_context_creation_info i;
	struct addr ip = *at;
	static unsigned count;

	if (!s)
		return NULL;
	s->ws = w;
	s->ops = *ops;
	s->max_msg = max_msg;
	ip.port = 0;
	addr_text(&ip, s->iface);
	snprintf(s->name, sizeof(s->name), "server%u", count++);
	memset(&i, 0, sizeof(i));
	i.port = at->port;
	i.iface = s->iface;
	i.protocols = server_protocols;
	i.vhost_name = s->name;
	i.user = s;
	i.keepalive_timeout = 30;
	if (at->family == 4)
		i.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
	s->vhost = lws_create_vhost(w->ctx, &i);
	if (!s->vhost || lws_get_vhost_listen_port(s->vhost) <= 0) {
		free(s);
		errno = EADDRINUSE;
		return NULL;
	}
	*ret_at = ip;
	ret_at->port = (uint16_t)lws_get_vhost_listen_port(s->vhost);
	list_push_back(&w->servers, &s->link);
	return s;
}

/* lws closes the connections of the vhost in its own time, and still calls back: the object stays until ws_free(). */
void ws_server_free(struct ws_server *s)
{
	if (!s)
		return;
	s->ops = (struct ws_server_ops){ 0 };
	ws_conns_disown(s->ws, s);
	lws_vhost_destroy(s->vhost);
}

void ws_servers_free(struct ws *w)
{
	list_for_each_safe(it, tmp, &w->servers)
		free(container_of(it, struct ws_server, link));
}
