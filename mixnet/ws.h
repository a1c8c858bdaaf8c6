/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Websocket and HTTP over libwebsockets; ws.c is the only file that includes it. Client side for the product
 * (HTTPS GET, ws/wss), server side for the local network. Certificate and host name are always checked; plain
 * http/ws is allowed only to loopback or when the caller says so.
 *
 * libwebsockets turns our loop: ws_run() serves lws and, through its adopted descriptor, the loop (style: the
 * loop is one pollable descriptor). SIGPIPE disposition is saved and restored around context creation. All
 * calls in that one thread; callbacks never run inside the call that asked for them.
 */
#ifndef MIXNET_WS_H
#define MIXNET_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/loop.h"

struct ws;
struct ws_conn;
struct ws_get;

struct ws *ws_new(struct loop *loop, unsigned max_conns); /* NULL: errno */
void ws_free(struct ws *w);				  /* closes everything; outside callbacks only */
#define WS_CALM_MS 20
/* Serves until loop_quit(loop). 0 or -errno. calm, asked each turn, may be NULL: nobody waits for what
 * arrives, or timers run often enough for it, so it is read when one runs or after WS_CALM_MS, in fewer
 * wake-ups. */
int ws_run(struct ws *w, bool (*calm)(void *owner), void *owner);
/* One round of at most timeout_ms (tests). */
int ws_dispatch(struct ws *w, int timeout_ms);

struct ws_url {
	bool tls, websocket;
	char host[256]; /* without brackets */
	uint16_t port;
	char path[512]; /* begins with '/' */
	bool literal;	/* host is an address */
};
/* http, https, ws, wss. 0 or SMX_ECONFIG. */
int ws_url_parse(struct ws_url *u, const char *text);
/* -EPERM when u is plain and neither loopback nor allowed. */
int ws_url_allowed(const struct ws_url *u, bool allow_plain);

/* ---- HTTP GET ---- */

struct ws_get_opts {
	const char *ca_file; /* NULL: system CA store */
	bool allow_plain;
	size_t max_body;     /* more is SMX_ELIMIT */
	uint64_t timeout_us; /* connect through end of body */
};

/*
 * Resolves the name (off-thread, never blocking the loop; results are kept for later calls), tries its
 * addresses in order, sends GET with Accept: application/json and no Accept-Encoding: nothing is unpacked. cb
 * once: err 0 and the HTTP status with the body (borrowed, NUL-terminated behind len), or negative:
 * -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -ENOENT (no such name), SMX_ECRYPTO (certificate), SMX_EPROTO,
 * SMX_ELIMIT.
 */
struct ws_get *ws_get(struct ws *w, const struct ws_url *u, const struct ws_get_opts *o,
		      void (*cb)(void *owner, int err, int status, const char *body, size_t len),
		      void *owner);
void ws_get_cancel(struct ws_get *g); /* cb will not be called; NULL is fine */

/* ---- websocket, client and server connections alike ---- */

struct ws_conn_ops {
	void (*open)(void *owner);
	void (*text)(void *owner, const char *msg, size_t len); /* whole messages; borrowed */
	void (*binary)(void *owner, uint8_t *msg, size_t len);	/* may be changed in place */
	/* Once, last call. err: 0 = ended by the far side or ws_close(); else why (as ws_get). */
	void (*closed)(void *owner, int err);
	void (*drained)(void *owner); /* everything queued has been written to the socket */
};

/* Connects with timeout_us for TCP, TLS and upgrade together. TCP_NODELAY is set; pings are answered. */
struct ws_conn *ws_connect(struct ws *w, const struct ws_url *u, const struct ws_get_opts *o, size_t max_msg,
			   const struct ws_conn_ops *ops, void *owner);
/* Queues one message (copied into a block with LWS_PRE headroom from a pool of max_queue blocks). 0,
 * -ENOBUFS: queue full, SMX_ESTATE: not open. */
int ws_send(struct ws_conn *c, bool text, const void *msg, size_t len);
size_t ws_queued(const struct ws_conn *c); /* messages not yet written to the socket */
/* Starts closing; closed() follows. abort: no close frame, TCP just ends. */
void ws_close(struct ws_conn *c, bool abort);
/* Ends it like an abort; its owner hears nothing more. */
void ws_disown(struct ws_conn *c);

/* ---- server (local network) ---- */

struct ws_server;
struct ws_server_ops {
	/* HTTP GET: fill status and body (malloc'ed, freed by ws.c), content type JSON. */
	void (*get)(void *owner, const char *path_and_query, int *ret_status, char **ret_body,
		    size_t *ret_len);
	/* New websocket: return the owner for its ops, NULL refuses. */
	void *(*accept)(void *owner, struct ws_conn *c, const struct ws_conn_ops **ret_ops);
	void *owner;
};
/* at: address and port (0 = any); *ret_at is what was bound. NULL get or accept: not offered. NULL: errno. */
struct ws_server *ws_listen(struct ws *w, const struct addr *at, struct addr *ret_at, size_t max_msg,
			    const struct ws_server_ops *ops);
/* Stops listening at once and ends its websockets, whose owners hear nothing more. */
void ws_server_free(struct ws_server *s);

#endif
