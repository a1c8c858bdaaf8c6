/* SPDX-License-Identifier: Apache-2.0 */
/* Between the ws files only. */
#ifndef MIXNET_WS_INT_H
#define MIXNET_WS_INT_H

#include <libwebsockets.h>

#include "base/list.h"
#include "base/pool.h"
#include "mixnet/ws.h"

#define WS_KEPT_NAMES 8
#define WS_KEPT_ADDRS 8
#define WS_CA_FILES 4

struct ws_names { /* addresses of one host name */
	char host[256];
	struct addr addr[WS_KEPT_ADDRS];
	unsigned n;
};

struct ws {
	struct loop *loop;
	struct lws_context *ctx;
	struct lws_vhost *base;	   /* system CA store; also carries the loop's descriptor */
	struct lws_vhost *serving; /* connections of all servers; NULL: no server yet */
	struct {
		char file[256];
		struct lws_vhost *vhost;
	} ca[WS_CA_FILES];
	struct ws_names names[WS_KEPT_NAMES];
	unsigned names_next;
	struct list conns, gets, servers, resolves;
};

/* vhost for connections judged by ca_file (NULL: system store); NULL: errno. */
struct lws_vhost *ws_client_vhost(struct ws *w, const char *ca_file);

/* ---- name resolution, ws_resolve.c ---- */

struct ws_resolve;
/* Literal or kept addresses are given through cb too, never inside this call. cb(owner, err, names); -ENOENT:
 * no such name. NULL: errno. */
struct ws_resolve *ws_resolve(struct ws *w, const struct ws_url *u,
			      void (*cb)(void *owner, int err, const struct ws_names *n), void *owner);
void ws_resolve_cancel(struct ws_resolve *r);
void ws_resolve_forget(struct ws *w, const char *host);

/* ---- one attempt to connect: address by address, shared by GET and websocket, ws_dial.c ---- */

struct ws_dial {
	struct ws *ws;
	struct ws_url url;
	bool plain_ok;
	char ca_file[256];
	const char *method; /* NULL: websocket */
	struct ws_resolve *resolve;
	struct ws_names names;
	unsigned next;
	struct lws *wsi;
	bool told; /* how the attempt ended */
	int last_err;
	void (*failed)(void *owner, int err); /* every address failed; once */
	void *owner;			      /* user pointer of the lws connection */
	struct loop_task start, fail_task;
	struct loop_timer patience; /* with one address while there are more */
	uint64_t end_us;	    /* of all attempts; 0: none */
};

void ws_dial_start(struct ws_dial *d, struct ws *w, const struct ws_url *u, const struct ws_get_opts *o,
		   const char *method, void (*failed)(void *, int), void *owner);
/* The current attempt failed (LWS_CALLBACK_CLIENT_CONNECTION_ERROR): tries the next address, or failed(). */
void ws_dial_error(struct ws_dial *d, const char *text);
void ws_dial_cancel(struct ws_dial *d);
/* Its time is over: the same, and addresses that were known are not trusted any more. */
void ws_dial_late(struct ws_dial *d);
/* It has succeeded: its connection is the owner's. */
void ws_dial_done(struct ws_dial *d);

#define WS_HOST_TEXT 272
/* What a request names as its host: with the port unless that is the scheme's own (RFC 9110 4.2.3, 7.2). */
void ws_url_host(const struct ws_url *u, char out[WS_HOST_TEXT]);

/* ---- protocols ---- */

int ws_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
int ws_conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
/* After lws is gone. */
void ws_get_free_all(struct ws *w);

/* Connection of a server: made by ws_server.c, lives in ws.c. */
struct ws_conn *ws_conn_accept(struct ws *w, const struct ws_server *s, struct lws *wsi, size_t max_msg);
/* The connections of s have no owner any more. */
void ws_conns_disown(struct ws *w, const struct ws_server *s);
void ws_conn_adopt(struct ws_conn *c, const struct ws_conn_ops *ops, void *owner);
/* What ws_conn_callback does, for a connection whose object is known. */
int ws_conn_event(struct ws_conn *c, struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t len);

#endif
