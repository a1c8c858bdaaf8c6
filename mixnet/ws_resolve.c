/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the bootstrap (nym-api, gateways with host names): getaddrinfo in a short-lived thread, so that
 * the loop and the packet clock never wait for it. The result comes back through a pipe. This is the one name
 * look-up that cannot go through the tunnel, since it happens before there is one.
 *
 * The thread owns half of the job: whoever of thread and loop ends last frees it. Answers are kept for later
 * calls; ws_resolve_forget() drops them when no address of a name could be reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "mixnet/ws_int.h"

struct ws_resolve {
	struct list link;
	struct ws *ws;
	struct loop_watch watch;
	struct loop_task done;
	int rd, wr;
	atomic_int users; /* loop and thread */
	int err;
	struct ws_names names;
	void (*cb)(void *owner, int err, const struct ws_names *n);
	void *owner;
};

static void release(struct ws_resolve *r)
{
	if (atomic_fetch_sub(&r->users, 1) > 1)
		return;
	fd_close(&r->rd);
	fd_close(&r->wr);
	free(r);
}

static void *look_up(void *arg)
{
	struct ws_resolve *r = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int e = getaddrinfo(r->names.host, NULL, &hints, &list);

	r->err = e == 0 ? 0 : e == EAI_NONAME || e == EAI_NODATA ? -ENOENT : -EHOSTUNREACH;
	for (struct addrinfo *a = list; a && r->names.n < WS_KEPT_ADDRS; a = a->ai_next)
		if (addr_from_sockaddr(&r->names.addr[r->names.n], a->ai_addr, a->ai_addrlen) == 0)
			r->names.n++;
	if (list)
		freeaddrinfo(list);
	if (write(r->wr, "", 1) < 0)
		r->err = -EIO;
	release(r);
	return NULL;
}

static void finish(struct ws_resolve *r)
{
	struct ws *w = r->ws;
	struct ws_names names = r->names;
	void (*cb)(void *, int, const struct ws_names *) = r->cb;
	void *owner = r->owner;
	int err = r->err || r->names.n ? r->err : -ENOENT;

	if (!err && *names.host) {
		w->names[w->names_next] = names;
		w->names_next = (w->names_next + 1) % WS_KEPT_NAMES;
	}
	ws_resolve_cancel(r);
	cb(owner, err, &names);
}

static void on_readable(void *owner, uint32_t events)
{
	(void)events;
	finish(owner);
}

static void on_known(void *owner)
{
	struct ws_resolve *r = owner;

	r->names.host[0] = '\0'; /* known already: not kept again */
	finish(r);
}

static int start_thread(struct ws_resolve *r)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t t;
	int p[2], e;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	r->rd = p[0];
	r->wr = p[1];
	e = loop_watch_add(r->ws->loop, &r->watch, r->rd, LOOP_IN, on_readable, r);
	if (e < 0)
		return e;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_store(&r->users, 2);
	e = pthread_create(&t, &attr, look_up, r);
	if (e)
		atomic_store(&r->users, 1);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -e;
}

static const struct ws_names *kept(const struct ws *w, const char *host)
{
	for (unsigned i = 0; i < WS_KEPT_NAMES; i++)
		if (!strcmp(w->names[i].host, host))
			return &w->names[i];
	return NULL;
}

void ws_resolve_forget(struct ws *w, const char *host)
{
	for (unsigned i = 0; i < WS_KEPT_NAMES; i++)
		if (!strcmp(w->names[i].host, host))
			w->names[i].host[0] = '\0';
}

struct ws_resolve *ws_resolve(struct ws *w, const struct ws_url *u,
			      void (*cb)(void *owner, int err, const struct ws_names *n), void *owner)
{
	struct ws_resolve *r = calloc(1, sizeof(*r));
	const struct ws_names *k = kept(w, u->host);
	int e = 0;

	if (!r)
		return NULL;
	r->ws = w;
	r->cb = cb;
	r->owner = owner;
	r->rd = r->wr = -1;
	atomic_store(&r->users, 1);
	list_init(&r->done.node);
	list_init(&r->link);
	memcpy(r->names.host, u->host, sizeof(r->names.host));
	if (u->literal) {
		addr_parse_ip(&r->names.addr[0], u->host);
		r->names.n = 1;
	} else if (k) {
		r->names = *k;
	}
	if (r->names.n)
		loop_defer(w->loop, &r->done, on_known, r);
	else
		e = start_thread(r);
	if (e < 0) {
		loop_watch_remove(&r->watch);
		release(r);
		errno = -e;
		return NULL;
	}
	list_push_back(&w->resolves, &r->link);
	return r;
}

void ws_resolve_cancel(struct ws_resolve *r)
{
	if (!r)
		return;
	loop_watch_remove(&r->watch);
	list_remove(&r->done.node);
	list_remove(&r->link);
	release(r);
}
