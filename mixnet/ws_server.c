/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server side of HTTP and websocket, for the local network and tests. A connection's user space holds one
 * pointer: the ws_conn after the upgrade, or the answer being written.
 *
 * Servers listen themselves and give lws what they accept: lws closes a vhost's own socket five seconds after
 * the vhost was given up, and a server that ends must not be reachable any more. All of them share one vhost,
 * because lws tells vhosts apart by the port they listen on; which server a connection belongs to is seen by
 * the port it came to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "mixnet/ws_int.h"

#define CHUNK 8192

struct ws_server {
	struct list link;
	struct ws *ws;
	struct ws_server_ops ops;
	size_t max_msg;
	struct addr at;
	int fd;
	struct loop_watch watch;
};

struct per_conn { /* lws allocates it per connection */
	struct ws_conn *conn;
	char *body;
	size_t len, sent;
};

/* The one a connection came to; NULL: it has ended since. */
static struct ws_server *server_of(struct lws *wsi)
{
	struct ws *w = lws_vhost_user(lws_get_vhost(wsi));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr at;

	if (getsockname(lws_get_socket_fd(wsi), (struct sockaddr *)&ss, &len) < 0 ||
	    addr_from_sockaddr(&at, (struct sockaddr *)&ss, len) < 0)
		return NULL;
	list_for_each(it, &w->servers) {
		struct ws_server *s = container_of(it, struct ws_server, link);

		if (addr_equal(&s->at, &at))
			return s;
	}
	return NULL;
}

static int start_answer(struct ws_server *s, struct lws *wsi, struct per_conn *pc, const char *path)
{
	uint8_t buf[LWS_PRE + 1024], *start = buf + LWS_PRE, *p = start, *end = buf + sizeof(buf);
	char args[512], full[1024];
	int status = 404;

	if (!s || !s->ops.get)
		return -1;
	if (lws_hdr_copy(wsi, args, sizeof(args), WSI_TOKEN_HTTP_URI_ARGS) > 0)
		snprintf(full, sizeof(full), "%.500s?%s", path, args);
	else
		snprintf(full, sizeof(full), "%.500s", path);
	s->ops.get(s->ops.owner, full, &status, &pc->body, &pc->len);
	pc->sent = 0;
	if (!pc->body ||
	    lws_add_http_common_headers(wsi, (unsigned)status, "application/json", (lws_filepos_t)pc->len, &p,
					end) ||
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
	struct ws_conn *c = s && s->ops.accept ? ws_conn_accept(s->ws, s, wsi, s->max_msg) : NULL;
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

static int server_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
			   size_t len)
{
	struct per_conn *pc = user;
	struct ws_conn *c;

	/* Other reasons concern the vhost; their user is not ours (see ws_conn_callback()). */
	if (!pc || (reason != LWS_CALLBACK_HTTP && reason != LWS_CALLBACK_HTTP_WRITEABLE &&
		    reason != LWS_CALLBACK_CLOSED_HTTP && reason != LWS_CALLBACK_ESTABLISHED &&
		    reason != LWS_CALLBACK_CLOSED && reason != LWS_CALLBACK_RECEIVE &&
		    reason != LWS_CALLBACK_SERVER_WRITEABLE))
		return 0;
	switch ((int)reason) { /* see ws_conn_event() */
	case LWS_CALLBACK_HTTP: return start_answer(server_of(wsi), wsi, pc, in);
	case LWS_CALLBACK_HTTP_WRITEABLE: return write_answer(wsi, pc);
	case LWS_CALLBACK_CLOSED_HTTP:
		free(pc->body);
		pc->body = NULL;
		return 0;
	case LWS_CALLBACK_ESTABLISHED: return upgrade(server_of(wsi), wsi, pc);
	case LWS_CALLBACK_CLOSED:
		c = pc->conn;
		pc->conn = NULL;
		break;
	default: c = pc->conn; break;
	}
	return c ? ws_conn_event(c, wsi, reason, in, len) : 0;
}

static const struct lws_protocols server_protocols[] = {
	{ .name = "smolmix-server",
	  .callback = server_callback,
	  .per_session_data_size = sizeof(struct per_conn),
	  .rx_buffer_size = 4096 },
	{ .name = NULL },
};

static void on_accept(void *owner, uint32_t events)
{
	struct ws_server *s = owner;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0)
		lws_adopt_socket_vhost(s->ws->serving, fd); /* closes it when it cannot */
}

static int listen_at(struct ws_server *s, const struct addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(at, &ss, false);
	int one = 1, r;

	s->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* its old connections may linger */
	if (bind(s->fd, (struct sockaddr *)&ss, len) < 0 || listen(s->fd, 64) < 0)
		return -errno;
	len = sizeof(ss);
	if (getsockname(s->fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	r = addr_from_sockaddr(&s->at, (struct sockaddr *)&ss, len);
	return r < 0 ? r : loop_watch_add(s->ws->loop, &s->watch, s->fd, LOOP_IN, on_accept, s);
}

static int need_vhost(struct ws *w)
{
	struct lws_context_creation_info i = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = server_protocols,
		.vhost_name = "servers",
		.user = w,
		.keepalive_timeout = 30,
	};

	if (!w->serving)
		w->serving = lws_create_vhost(w->ctx, &i);
	return w->serving ? 0 : -ENOMEM;
}

struct ws_server *ws_listen(struct ws *w, const struct addr *at, struct addr *ret_at, size_t max_msg,
			    const struct ws_server_ops *ops)
{
	struct ws_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return NULL;
	s->ws = w;
	s->ops = *ops;
	s->max_msg = max_msg;
	r = need_vhost(w);
	s->fd = -1;
	if (r == 0)
		r = listen_at(s, at);
	if (r < 0) {
		fd_close(&s->fd);
		free(s);
		errno = err_to_errno(r);
		return NULL;
	}
	*ret_at = s->at;
	list_push_back(&w->servers, &s->link);
	return s;
}

void ws_server_free(struct ws_server *s)
{
	if (!s)
		return;
	loop_watch_remove(&s->watch);
	fd_close(&s->fd);
	list_remove(&s->link);
	ws_conns_disown(s->ws, s);
	free(s);
}
