/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling: resolve, then one lws client connection after the other until an address answers. lws is given
 * addresses, never names (it would resolve them itself, blocking); Host, SNI and certificate check use the
 * name of the URL.
 *
 * lws reports a failed TCP connect as text without errno. When an attempt ends before anything was exchanged,
 * errno is asked from the kernel by what lws leaves: a refused connection and a timeout are told apart by the
 * words it uses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	ws_resolve_forget(d->ws, d->url.host);
	loop_defer(d->ws->loop, &d->fail_task, report, d);
}

static void attempt(struct ws_dial *d)
{
	struct lws_client_connect_info i;
	char addr[ADDR_TEXT], host[300];
	struct addr a = d->names.addr[d->next++];
	struct lws_vhost *vh = ws_client_vhost(d->ws, *d->ca_file ? d->ca_file : NULL);
	bool six = d->url.literal && strchr(d->url.host, ':');

	if (!vh) {
		give_up(d, -errno);
		return;
	}
	a.port = 0;
	snprintf(host, sizeof(host), six ? "[%s]:%u" : "%s:%u", d->url.host, d->url.port);
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
	if (!lws_client_connect_via_info(&i))
		d->wsi = NULL; /* ws_dial_error() was or will be called */
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
	loop_defer(w->loop, &d->start, begin, d);
}

static int classify(const struct ws_dial *d, const char *text)
{
	if (!text)
		return -ECONNREFUSED;
	if (strstr(text, "tls") || strstr(text, "cert") || strstr(text, "CA "))
		return SMX_ECRYPTO;
	if (strstr(text, "Timed out") || strstr(text, "timeout") || strstr(text, "Timeout"))
		return -ETIMEDOUT;
	if (strstr(text, "HS:") || strstr(text, "closed before established"))
		return d->url.tls ? SMX_ECRYPTO : SMX_EPROTO;
	return -ECONNREFUSED;
}

void ws_dial_error(struct ws_dial *d, const char *text)
{
	d->wsi = NULL;
	d->last_err = classify(d, text);
	log_debug("connect: %s", text ? text : "failed");
	if (d->next < d->names.n)
		attempt(d);
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
	if (d->wsi) {
		lws_set_wsi_user(d->wsi, NULL);
		lws_set_timeout(d->wsi, PENDING_TIMEOUT_AWAITING_PROXY_RESPONSE, LWS_TO_KILL_ASYNC);
		d->wsi = NULL;
	}
}
