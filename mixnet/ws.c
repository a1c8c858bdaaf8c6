/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context, the joint loop, and websocket connections.
 *
 * Theory of operation. libwebsockets polls; our loop's descriptor is one of its raw files, so that its poll
 * wakes for either. ws_run() alternates lws_service() and a loop_dispatch() that does not wait: timers,
 * watches, the after hook and deferred tasks run after each round, whoever woke it. Callbacks of lws refresh
 * loop_now() first, since they run outside a dispatch.
 * While nobody waits for what arrives, or so much of it comes that it is read together, it is our loop that
 * waits, and lws looks for more when a timer has run: a cover packet that comes back wakes nobody. What is to
 * be written does not wait for that.
 *
 * A connection (struct ws_conn) is the same for client and server. Messages to be sent are copied into blocks
 * with LWS_PRE bytes of headroom, from a pool for ordinary sizes. One is written per WRITEABLE callback, and
 * what the owner sends because all is written follows in the same one.
 * Received fragments are put together up to max_msg.
 *
 * A connection's object lives until its closed() callback has returned; closed() is called exactly once.
 */
#include "mixnet/ws.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "mixnet/ws_int.h"

#define SMALL_MSG 2560	  /* a sealed Regular packet, and every text of ours */
#define QUEUE_MAX 512	  /* messages waiting in one connection */
#define SMALL_BLOCKS 64	  /* of them from the pool; more are allocated */
#define WRITE_BATCH 4	  /* messages written at once */
#define READ_MAX 16384	  /* at once: several messages */
#define HEADERS_MAX 16384 /* of an answer: twice what any server sends by default */

struct out_msg {
	struct list link;
	size_t len;
	bool text, pooled;
	uint8_t buf[]; /* LWS_PRE, then the message */
};

struct ws_conn {
	struct list link;
	struct ws *ws;
	struct lws *wsi;
	struct ws_dial dial;
	const struct ws_server *server; /* that accepted it; NULL: client */
	const struct ws_conn_ops *ops;
	void *owner;
	struct loop_timer timer; /* connect */
	struct pool small;
	struct list queue;
	size_t queued, max_msg;
	bool client, open, closing, aborting, gone;
	int err;
	struct loop_task end;
	uint8_t *in;
	size_t in_len;
};

/* ---- context ---- */

static int base_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)wsi;
	(void)reason;
	(void)user;
	(void)in;
	(void)len;
	return 0; /* the loop's descriptor: waking up is all it is for */
}

static const struct lws_protocols client_protocols[] = {
	{ .name = "smolmix-ws", .callback = ws_conn_callback, .rx_buffer_size = READ_MAX },
	{ .name = "smolmix-http", .callback = ws_http_callback, .rx_buffer_size = 4096 },
	{ .name = "smolmix-loop", .callback = base_callback },
	{ .name = NULL },
};

static void log_lws(int level, const char *line)
{
	log_debug("lws %d: %.*s", level, (int)strcspn(line, "\n"), line);
}

static struct lws_vhost *make_vhost(struct ws *w, const char *ca_file)
{
	struct lws_context_creation_info i;

	memset(&i, 0, sizeof(i));
	i.port = CONTEXT_PORT_NO_LISTEN;
	i.protocols = client_protocols;
	i.vhost_name = ca_file ? ca_file : "client";
	i.user = w;
	i.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	/* Else lws takes those of the environment, which are meant for programs. */
	i.http_proxy_address = "";
#ifdef LWS_WITH_SOCKS5
	i.socks_proxy_address = "";
#endif
	if (ca_file) {
		i.client_ssl_ca_filepath = ca_file;
		i.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
	}
	return lws_create_vhost(w->ctx, &i);
}

struct lws_vhost *ws_client_vhost(struct ws *w, const char *ca_file)
{
	if (!ca_file)
		return w->base;
	for (int i = 0; i < WS_CA_FILES; i++) {
		if (!w->ca[i].vhost) {
			if (strlen(ca_file) >= sizeof(w->ca[i].file) || access(ca_file, R_OK) < 0)
				break;
			memcpy(w->ca[i].file, ca_file, strlen(ca_file) + 1);
			w->ca[i].vhost = make_vhost(w, w->ca[i].file);
			errno = EINVAL;
			return w->ca[i].vhost;
		}
		if (!strcmp(w->ca[i].file, ca_file))
			return w->ca[i].vhost;
	}
	errno = ENOENT;
	return NULL;
}

struct ws *ws_new(struct loop *loop, unsigned max_conns)
{
	struct ws *w = calloc(1, sizeof(*w));
	struct lws_context_creation_info i;
	struct sigaction old;
	lws_sock_file_fd_type fd;

	if (!w)
		return NULL;
	w->loop = loop;
	list_init(&w->conns);
	list_init(&w->gets);
	list_init(&w->servers);
	list_init(&w->resolves);
	lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
	memset(&i, 0, sizeof(i));
	i.port = CONTEXT_PORT_NO_LISTEN;
	i.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	i.fd_limit_per_thread = max_conns + 16;
	i.max_http_header_data = HEADERS_MAX;
	i.pt_serv_buf_size = READ_MAX;
	i.user = w;
	/* lws sets SIGPIPE to be ignored for the whole process: that is the host program's business. */
	sigaction(SIGPIPE, NULL, &old);
	w->ctx = lws_create_context(&i);
	sigaction(SIGPIPE, &old, NULL);
	w->base = w->ctx ? make_vhost(w, NULL) : NULL;
	fd.filefd = w->base ? fcntl(loop_fd(loop), F_DUPFD_CLOEXEC, 0) : -1;
	if (fd.filefd < 0 ||
	    !lws_adopt_descriptor_vhost(w->base, LWS_ADOPT_RAW_FILE_DESC, fd, "smolmix-loop", NULL)) {
		if (w->ctx)
			lws_context_destroy(w->ctx);
		free(w);
		errno = ENOMEM;
		return NULL;
	}
	return w;
}

static void conn_free(struct ws_conn *c);

void ws_free(struct ws *w)
{
	if (!w)
		return;
	/* lws first: what it still reports only marks objects, which are freed below without telling their
	 * owners. */
	lws_context_destroy(w->ctx);
	ws_get_free_all(w);
	list_for_each_safe(it, tmp, &w->conns) {
		struct ws_conn *c = container_of(it, struct ws_conn, link);

		c->dial.wsi = NULL;
		ws_dial_cancel(&c->dial);
		conn_free(c);
	}
	free(w);
}

int ws_dispatch(struct ws *w, int timeout_ms)
{
	int r;

	if (timeout_ms == 0) {
		lws_service(w->ctx, -1);
		loop_update_now(w->loop);
		r = loop_dispatch(w->loop, 0);
		return r < 0 ? r : 0;
	}
	if (lws_service(w->ctx, 0) < 0)
		return -EIO;
	loop_update_now(w->loop);
	r = loop_dispatch(w->loop, 0);
	return r < 0 ? r : 0;
}

static bool writing(const struct ws *w)
{
	list_for_each(it, &w->conns)
		if (container_of(it, struct ws_conn, link)->queued)
			return true;
	return false;
}

int ws_run(struct ws *w, bool (*calm)(void *owner), void *owner)
{
	int r = loop_dispatch(w->loop, 0);

	while (r >= 0 && !loop_quitting(w->loop)) {
		bool later = calm && !writing(w) && calm(owner);

		if (later)
			r = loop_dispatch(w->loop, WS_CALM_MS);
		if (r >= 0)
			r = ws_dispatch(w, later ? 0 : -1);
	}
	return r < 0 ? r : 0;
}

/* ---- connections ---- */

static struct ws_conn *conn_new(struct ws *w, size_t max_msg)
{
	struct ws_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ws = w;
	c->max_msg = max_msg;
	c->in = malloc(max_msg);
	list_init(&c->queue);
	list_init(&c->link);
	list_init(&c->end.node);
	if (!c->in || pool_init(&c->small, sizeof(struct out_msg) + LWS_PRE + SMALL_MSG, SMALL_BLOCKS) < 0) {
		free(c->in);
		free(c);
		errno = ENOMEM;
		return NULL;
	}
	list_push_back(&w->conns, &c->link);
	return c;
}

static void msg_free(struct ws_conn *c, struct out_msg *m)
{
	if (m->pooled)
		pool_put(&c->small, m);
	else
		free(m);
}

static void conn_free(struct ws_conn *c)
{
	struct list *it;

	if (c->client)
		loop_timer_stop(&c->timer);
	list_remove(&c->end.node);
	list_remove(&c->link);
	while ((it = list_pop_front(&c->queue)))
		msg_free(c, container_of(it, struct out_msg, link));
	pool_done(&c->small);
	explicit_bzero(c->in, c->max_msg); /* messages are opened in place */
	free(c->in);
	free(c);
}

static void ended(void *owner)
{
	struct ws_conn *c = owner;

	if (c->ops && c->ops->closed)
		c->ops->closed(c->owner, c->err);
	conn_free(c);
}

/* The connection is over: closed() follows from the loop, never from inside a call of the owner. */
static void conn_end(struct ws_conn *c, int err)
{
	if (c->gone)
		return;
	c->gone = true;
	c->open = false;
	c->wsi = NULL;
	c->err = err;
	loop_defer(c->ws->loop, &c->end, ended, c);
}

static void dial_failed(void *owner, int err)
{
	conn_end(owner, err);
}

static void connect_late(void *owner)
{
	struct ws_conn *c = owner;

	ws_dial_late(&c->dial);
	conn_end(c, -ETIMEDOUT);
}

struct ws_conn *ws_connect(struct ws *w, const struct ws_url *u, const struct ws_get_opts *o, size_t max_msg,
			   const struct ws_conn_ops *ops, void *owner)
{
	struct ws_conn *c = conn_new(w, max_msg);

	if (!c)
		return NULL;
	c->client = true;
	c->ops = ops;
	c->owner = owner;
	loop_timer_init(w->loop, &c->timer, connect_late, c);
	if (o->timeout_us)
		loop_timer_set(&c->timer, loop_now(w->loop) + o->timeout_us);
	ws_dial_start(&c->dial, w, u, o, NULL, dial_failed, c);
	return c;
}

struct ws_conn *ws_conn_accept(struct ws *w, const struct ws_server *s, struct lws *wsi, size_t max_msg)
{
	struct ws_conn *c = conn_new(w, max_msg);

	if (c) {
		c->wsi = wsi;
		c->server = s;
	}
	return c;
}

void ws_conn_adopt(struct ws_conn *c, const struct ws_conn_ops *ops, void *owner)
{
	c->ops = ops;
	c->owner = owner;
}

void ws_disown(struct ws_conn *c)
{
	ws_conn_adopt(c, NULL, NULL);
	ws_close(c, true);
}

void ws_conns_disown(struct ws *w, const struct ws_server *s)
{
	list_for_each(it, &w->conns) {
		struct ws_conn *c = container_of(it, struct ws_conn, link);

		if (c->server == s)
			ws_disown(c);
	}
}

int ws_send(struct ws_conn *c, bool text, const void *msg, size_t len)
{
	bool pooled = len <= SMALL_MSG;
	struct out_msg *m;

	if (!c->open || c->closing)
		return SMX_ESTATE;
	if (c->queued >= QUEUE_MAX)
		return -ENOBUFS;
	m = pooled ? pool_get(&c->small) : NULL;
	if (!m) {
		pooled = false;
		m = malloc(sizeof(*m) + LWS_PRE + len);
	}
	if (!m)
		return -ENOBUFS;
	m->len = len;
	m->text = text;
	m->pooled = pooled;
	list_init(&m->link);
	memcpy(m->buf + LWS_PRE, msg, len);
	list_push_back(&c->queue, &m->link);
	c->queued++;
	lws_callback_on_writable(c->wsi);
	return 0;
}

size_t ws_queued(const struct ws_conn *c)
{
	return c->queued;
}

void ws_close(struct ws_conn *c, bool abort)
{
	if (c->gone)
		return;
	c->closing = true;
	c->aborting = abort;
	if (c->wsi && c->open) {
		if (abort)
			lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
		lws_callback_on_writable(c->wsi);
		return;
	}
	ws_dial_cancel(&c->dial);
	conn_end(c, 0);
}

/* ---- events of lws ---- */

static int write_one(struct ws_conn *c, struct lws *wsi)
{
	struct out_msg *m = container_of(list_pop_front(&c->queue), struct out_msg, link);
	int r = lws_write(wsi, m->buf + LWS_PRE, m->len, m->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);

	c->queued--;
	msg_free(c, m);
	return r;
}

/* What the owner sends because all is written follows at once: a turn of the loop would show between them. */
static int writeable(struct ws_conn *c, struct lws *wsi)
{
	unsigned n = 0;

	if (c->closing && (c->aborting || list_empty(&c->queue)))
		return -1; /* lws closes */
	while (!list_empty(&c->queue) && n++ < WRITE_BATCH && !lws_send_pipe_choked(wsi)) {
		if (write_one(c, wsi) < 0)
			return -1;
		if (!list_empty(&c->queue) || c->closing || !c->ops || !c->ops->drained)
			break;
		c->ops->drained(c->owner);
	}
	if (!list_empty(&c->queue) || c->closing)
		lws_callback_on_writable(wsi);
	return 0;
}

static int receive(struct ws_conn *c, struct lws *wsi, const void *in, size_t len)
{
	if (lws_is_first_fragment(wsi))
		c->in_len = 0;
	if (len > c->max_msg - c->in_len) {
		c->err = SMX_ELIMIT;
		return -1;
	}
	if (len)
		memcpy(c->in + c->in_len, in, len);
	c->in_len += len;
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
		return 0;
	if (!c->ops)
		return -1;
	if (lws_frame_is_binary(wsi)) {
		if (c->ops->binary)
			c->ops->binary(c->owner, c->in, c->in_len);
	} else if (c->ops->text) {
		c->ops->text(c->owner, (char *)c->in, c->in_len);
	}
	return 0;
}

static void established(struct ws_conn *c, struct lws *wsi)
{
	int one = 1;

	c->wsi = wsi;
	c->open = true;
	if (c->client) {
		ws_dial_done(&c->dial);
		loop_timer_stop(&c->timer);
	}
	setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (c->ops && c->ops->open)
		c->ops->open(c->owner);
}

int ws_conn_event(struct ws_conn *c, struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t len)
{
	loop_update_now(c->ws->loop);
	switch ((int)reason) { /* lws has about a hundred reasons; the rest means nothing here */
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
	case LWS_CALLBACK_ESTABLISHED: established(c, wsi); break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
	case LWS_CALLBACK_RECEIVE: return c->open ? receive(c, wsi, in, len) : -1;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
	case LWS_CALLBACK_SERVER_WRITEABLE: return writeable(c, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: ws_dial_error(&c->dial, in); break;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_CLOSED:
		if (c->client) {
			ws_dial_done(&c->dial);
			lws_set_wsi_user(wsi, NULL);
		}
		conn_end(c, c->err);
		break;
	}
	return 0;
}

int ws_conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	/* Other reasons concern the vhost and bring something else as user (an SSL_CTX, for one). */
	static const enum lws_callback_reasons about_us[] = {
		LWS_CALLBACK_CLIENT_ESTABLISHED, LWS_CALLBACK_CLIENT_RECEIVE,
		LWS_CALLBACK_CLIENT_WRITEABLE,	 LWS_CALLBACK_CLIENT_CONNECTION_ERROR,
		LWS_CALLBACK_CLIENT_CLOSED,
	};

	for (size_t i = 0; i < sizeof(about_us) / sizeof(about_us[0]); i++)
		if (reason == about_us[i] && user)
			return ws_conn_event(user, wsi, reason, in, len);
	return 0;
}
