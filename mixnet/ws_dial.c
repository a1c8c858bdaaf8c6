/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling: resolve, then one lws client connection after the other until an address answers. lws is given
 * addresses, never names (it would resolve them itself, blocking); Host, SNI and certificate check use the
 * name of the URL.
 *
 * An address gets its share of the time until somebody answers there, and all of it from then on. Addresses
 * that came to nothing within the time are forgotten like those that failed: the server may have moved.
 *
 * lws reports a failed attempt as text without errno: classify() goes by the words it uses. Where it calls
 * back from inside the call that connects, there may be no text at all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "mixnet/ws_int.h"

static void report(void *owner)
{
	struct ws_dial *d = owner;

	d->failed(d->owner, d->last_err);
}

static void give_up(struct ws_dial *d, int err)
{
	d->last_err = err;
	loop_timer_stop(&d->patience);
	ws_resolve_forget(d->ws, d->url.host);
	loop_defer(d->ws->loop, &d->fail_task, report, d);
}

/* Cuts the attempt off; lws ends it later and tells nobody. */
static void abandon(struct ws_dial *d)
{
	if (!d->wsi)
		return;
	lws_set_wsi_user(d->wsi, NULL);
	lws_set_timeout(d->wsi, PENDING_TIMEOUT_AWAITING_PROXY_RESPONSE, LWS_TO_KILL_ASYNC);
	d->wsi = NULL;
}

/* An address that nobody answers at must not use up the time of those behind it. */
static void set_patience(struct ws_dial *d)
{
	uint64_t now_us = loop_now(d->ws->loop);
	unsigned left = d->names.n - d->next;

	if (left && d->end_us > now_us)
		loop_timer_set(&d->patience, now_us + (d->end_us - now_us) / (left + 1));
	else
		loop_timer_stop(&d->patience);
}

static void attempt(struct ws_dial *d)
{
	struct lws_client_connect_info i;
	char addr[ADDR_TEXT], host[WS_HOST_TEXT];
	struct addr a = d->names.addr[d->next++];
	struct lws_vhost *vh = ws_client_vhost(d->ws, *d->ca_file ? d->ca_file : NULL);

	if (!vh) {
		give_up(d, -errno);
		return;
	}
	a.port = 0;
	ws_url_host(&d->url, host);
	set_patience(d);
	memset(&i, 0, sizeof(i));
	i.context = d->ws->ctx;
	i.vhost = vh;
	i.address = addr_text(&a, addr);
	i.port = d->url.port;
	i.path = d->url.path;
	i.host = host;
	i.method = d->method;
	/* Another place than the one that was allowed is never asked. */
	i.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (d->url.tls ? LCCSCF_USE_SSL : 0);
	i.alpn = d->url.tls ? "http/1.1" : NULL;
	i.local_protocol_name = d->method ? "smolmix-http" : "smolmix-ws";
	i.userdata = d->owner;
	i.pwsi = &d->wsi;
	d->told = false;
	if (lws_client_connect_via_info(&i))
		return;
	/* Where the kernel refuses at once (no route, no such address family) lws may say nothing more. */
	d->wsi = NULL;
	if (!d->told)
		ws_dial_error(d, "no route");
}

static void next_address(void *owner)
{
	struct ws_dial *d = owner;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (!d->wsi || getpeername(lws_get_socket_fd(d->wsi), (struct sockaddr *)&ss, &len) == 0)
		return; /* somebody is there: the whole time is its own */
	log_debug("connect: no answer, trying the next address");
	abandon(d);
	d->last_err = -ETIMEDOUT;
	attempt(d);
}

static void resolved(void *owner, int err, const struct ws_names *n)
{
	struct ws_dial *d = owner;

	d->resolve = NULL;
	if (err < 0) {
		give_up(d, err);
		return;
	}
	d->names = *n;
	attempt(d);
}

static void begin(void *owner)
{
	struct ws_dial *d = owner;

	if (ws_url_allowed(&d->url, d->plain_ok) < 0) {
		give_up(d, -EPERM);
		return;
	}
	d->resolve = ws_resolve(d->ws, &d->url, resolved, d);
	if (!d->resolve)
		give_up(d, -errno);
}

void ws_dial_start(struct ws_dial *d, struct ws *w, const struct ws_url *u, const struct ws_get_opts *o,
		   const char *method, void (*failed)(void *, int), void *owner)
{
	memset(d, 0, sizeof(*d));
	d->ws = w;
	d->url = *u;
	d->plain_ok = o->allow_plain;
	if (o->ca_file)
		snprintf(d->ca_file, sizeof(d->ca_file), "%s", o->ca_file);
	d->method = method;
	d->failed = failed;
	d->owner = owner;
	list_init(&d->start.node);
	list_init(&d->fail_task.node);
	loop_timer_init(w->loop, &d->patience, next_address, d);
	d->end_us = o->timeout_us ? loop_now(w->loop) + o->timeout_us : 0;
	loop_defer(w->loop, &d->start, begin, d);
}

static int classify(const struct ws_dial *d, const char *text)
{
	if (!text)
		return -ECONNREFUSED;
	if (strstr(text, "tls") || strstr(text, "SSL") || strstr(text, "cert") || strstr(text, "CA "))
		return SMX_ECRYPTO;
	if (strstr(text, "Timed out") || strstr(text, "timeout") || strstr(text, "Timeout"))
		return -ETIMEDOUT;
	if (strstr(text, "no route"))
		return -EHOSTUNREACH;
	if (strstr(text, "HS:") || strstr(text, "closed before established"))
		return d->url.tls ? SMX_ECRYPTO : SMX_EPROTO;
	return -ECONNREFUSED;
}

static void go_on(void *owner)
{
	attempt(owner);
}

/* lws may call this from inside the call that connects, and forgets the connection when that returns: the
 * next one begins outside. */
void ws_dial_error(struct ws_dial *d, const char *text)
{
	d->wsi = NULL;
	d->told = true;
	d->last_err = classify(d, text);
	log_debug("connect: %s", text ? text : "failed");
	loop_timer_stop(&d->patience);
	if (d->next < d->names.n)
		loop_defer(d->ws->loop, &d->start, go_on, d);
	else
		give_up(d, d->last_err);
}

void ws_dial_cancel(struct ws_dial *d)
{
	if (!d->ws)
		return;
	ws_resolve_cancel(d->resolve);
	d->resolve = NULL;
	list_remove(&d->start.node);
	list_remove(&d->fail_task.node);
	loop_timer_stop(&d->patience);
	abandon(d);
}

void ws_dial_late(struct ws_dial *d)
{
	if (d->wsi)
		ws_resolve_forget(d->ws, d->url.host);
	ws_dial_cancel(d);
}

void ws_dial_done(struct ws_dial *d)
{
	loop_timer_stop(&d->patience);
	d->wsi = NULL;
}
