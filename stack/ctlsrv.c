/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control server.
 *
 * Theory of operation. Listens on an AF_UNIX SEQPACKET socket. A connection carries one request and gets one
 * reply; only RESOLVE and REVERSE are answered later. The peer has our uid, or descends from this process:
 * what root started through the tunnel may go on as another user (apt, chronyd). A message that does not
 * parse, or brings the wrong descriptors, closes that connection and nothing else. Descriptors of refused
 * requests are closed.
 *
 * A request is never answered in the turn that accepts its connection, although it is usually there: what
 * happened to the sockets before it was sent (a connect, a close) may stand behind the listener in that
 * turn's events, and has to be seen first.
 *
 * One client does not keep the others out: of connections that say nothing CLIENTS_MAX are kept, then the
 * oldest has to go; NAMES_MAX wait for names, further ones are told to ask again. Without a descriptor for
 * the next connection the listener rests for a moment.
 */
#include "stack/ctlsrv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "stack/conn.h"
#include "stack/device.h"
#include "stack/dgram.h"
#include "stack/loopback.h"

#define CLIENTS_MAX 256
#define NAMES_MAX 1024
#define FILES_SPARE 32 /* descriptors left when those of closed sockets are looked for */
#define REST_US (100 * US_PER_MS)
#define GENERATIONS_MAX 1000

struct ctl_client {
	struct list link;
	struct ctlsrv *srv;
	struct loop_watch watch;
	struct loop_task end;
	unsigned *counted; /* n_clients or n_names of srv */
	int fd;
	bool waiting; /* a name is being resolved */
};

struct ctlsrv {
	struct socks *socks;
	struct resolv *resolv;
	struct loop_watch watch;
	struct loop_timer rest;
	int fd;
	bool draining;
	struct list clients,
		names; /* oldest first; those whose request has not come, and that wait for names */
	unsigned n_clients, n_names;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": abstract, nothing to remove */
};

static void client_free(void *owner)
{
	struct ctl_client *c = owner;

	list_remove(&c->link);
	--*c->counted;
	fd_close(&c->fd);
	free(c);
}

static void client_end(struct ctl_client *c)
{
	if (c->fd < 0)
		return;
	loop_watch_remove(&c->watch);
	fd_close(&c->fd);
	if (!c->waiting)
		loop_defer(c->srv->socks->loop, &c->end, client_free, c);
}

/* n < 0: there is no answer. fd goes along when it is not -1; it stays the caller's. */
static void answer(struct ctl_client *c, const uint8_t *buf, int n, int fd)
{
	if (n > 0 && c->fd >= 0 && fd_send_fds(c->fd, buf, (size_t)n, &fd, fd >= 0, MSG_DONTWAIT) < 0)
		log_debug("control client went away");
	client_end(c);
}

static void reply(struct ctl_client *c, const struct ctl_rep *rep, int fd)
{
	uint8_t buf[CTL_MSG_MAX];

	answer(c, buf, ctl_put_rep(buf, sizeof(buf), rep), fd);
}

/* ---- requests ---- */

static bool is_end(int fd, enum ctl_kind kind)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == (kind == CTL_STREAM ? SOCK_STREAM : SOCK_DGRAM);
}

/* fd was the lowest number free. In a bare preload the limit is the program's, not one for thousands. */
static bool few_left(int fd)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) == 0 && (rlim_t)fd + FILES_SPARE >= l.rlim_cur;
}

static bool room(struct socks *all, int fd)
{
	if (all->stats.connections_open >= STACK_CONNS_MAX || few_left(fd))
		dgram_sweep(all);
	return all->stats.connections_open < STACK_CONNS_MAX || conn_forget(all);
}

/* SOCKET brings the tunnel's end. Takes it. */
static int do_socket(struct ctlsrv *srv, const struct ctl_req *q, int fd)
{
	void *s;

	if (srv->draining)
		return ENETDOWN;
	if (!q->kind || !q->family || !is_end(fd, q->kind) || socks_find(srv->socks, q->cookie))
		return EINVAL;
	if (!room(srv->socks, fd))
		return ENOBUFS;
	if (fd_nonblock(fd, 1) < 0)
		return EINVAL;
	s = q->kind == CTL_STREAM ? (void *)conn_new(srv->socks, q->cookie, q->family, fd)
				  : (void *)dgram_new(srv->socks, q->cookie, q->family, q->kind, fd);
	return s ? 0 : errno;
}

static int do_names(struct sock *s, struct ctl_rep *rep)
{
	rep->addr = s->local;
	rep->addr2 = s->peer;
	rep->state = s->state;
	rep->family = s->family;
	rep->kind = s->kind;
	rep->value = s->options;
	return 0;
}

static int on_sock(struct sock *s, const struct ctl_req *q, struct ctl_rep *rep)
{
	bool stream = s->kind == CTL_STREAM;
	int r;

	switch (q->op) {
	case CTL_CONNECT: return stream ? EINVAL : dgram_connect(dgram_from_sock(s), &q->addr);
	case CTL_DISCONNECT:
		if (stream)
			return EAFNOSUPPORT;
		dgram_disconnect(dgram_from_sock(s));
		return 0;
	case CTL_BIND:
		r = stream ? conn_bind(conn_from_sock(s), &q->addr)
			   : dgram_bind(dgram_from_sock(s), &q->addr);
		rep->addr = s->local;
		return r;
	case CTL_NAMES: return do_names(s, rep);
	case CTL_TAKE_ERROR:
		rep->value = s->error;
		rep->state = s->state;
		s->error = 0;
		return 0;
	case CTL_SETOPT:
		r = stream ? conn_setopt(conn_from_sock(s), q->level, q->name_opt, q->value)
			   : dgram_setopt(dgram_from_sock(s), q->level, q->name_opt, q->value);
		r = r == ENOPROTOOPT ? sock_keep_option(s, q->level, q->name_opt, q->value) : r;
		s->options = s->options || r == 0;
		return r;
	case CTL_GETOPT:
		r = stream ? conn_getopt(conn_from_sock(s), q->level, q->name_opt, &rep->value) : ENOPROTOOPT;
		return r == ENOPROTOOPT ? sock_kept_option(s, q->level, q->name_opt, &rep->value) : r;
	case CTL_TAKE_REPORT: return stream ? EAGAIN : dgram_take_report(dgram_from_sock(s), rep);
	case CTL_FITS: return stream ? EINVAL : dgram_fits(dgram_from_sock(s), &q->addr, q->value);
	case CTL_HELLO:
	case CTL_SOCKET:
	case CTL_RESOLVE:
	case CTL_REVERSE:
	case CTL_LOOPBACK:
	case CTL_STATUS: break; /* not about one socket */
	}
	return EINVAL;
}

/* The socket that holds the port of the one that asks, if there is one. */
static int loopback_socket(struct ctlsrv *srv, const struct ctl_req *q, bool *ret_bound)
{
	struct sock *s = socks_find(srv->socks, q->cookie);
	int fd = s && s->kind == CTL_STREAM ? conn_take_loopback(conn_from_sock(s)) : -1;

	*ret_bound = fd >= 0;
	return fd >= 0 ? fd : loopback_new(q->family);
}

static void do_loopback(struct ctl_client *c, const struct ctl_req *q)
{
	struct ctl_rep rep = { .op = q->op };
	bool bound = false;
	int fd = c->srv->draining ? -ENETDOWN : loopback_socket(c->srv, q, &bound);

	if (fd < 0) {
		rep.result = -fd;
		log_info("no loopback socket: %s", err_str(fd));
		fd = -1;
	}
	rep.value = bound;
	reply(c, &rep, fd);
	fd_close(&fd);
}

static void do_status(struct ctl_client *c)
{
	const struct stack_cfg *cfg = &c->srv->socks->cfg;
	struct ctl_status s = { .connections = 0 };
	uint8_t buf[CTL_MSG_MAX];

	if (cfg->status)
		cfg->status(cfg->status_owner, &s);
	answer(c, buf, cfg->status ? ctl_put_status(buf, sizeof(buf), &s) : -ENOTSUP, -1);
}

static void resolved(void *owner, const struct ctl_rep *rep)
{
	struct ctl_client *c = owner;

	c->waiting = false;
	if (c->fd >= 0)
		reply(c, rep, -1);
	else
		loop_defer(c->srv->socks->loop, &c->end, client_free, c);
}

static void do_name(struct ctl_client *c, const struct ctl_req *q)
{
	struct ctlsrv *srv = c->srv;
	struct ctl_rep rep = { .op = q->op, .dns = CTL_DNS_AGAIN };

	if (q->op == CTL_RESOLVE && rules_name(&srv->socks->cfg.rules, q->name) == RULE_DENY) {
		log_warn("a name was not looked up: a rule denies it; see --rule");
		rep.dns = CTL_DNS_NONAME;
	}
	if (rep.dns == CTL_DNS_NONAME || srv->n_names == NAMES_MAX) {
		reply(c, &rep, -1);
		return;
	}
	c->waiting = true;
	list_remove(&c->link);
	list_push_back(&srv->names, &c->link);
	--*c->counted;
	c->counted = &srv->n_names;
	++*c->counted;
	if (q->op == CTL_RESOLVE) {
		log_trace("name %s is looked up", q->name);
		resolv_name(srv->resolv, q->name, q->family, resolved, c);
	} else {
		resolv_reverse(srv->resolv, &q->addr, resolved, c);
	}
}

static void handle(struct ctl_client *c, const struct ctl_req *q, int *fd)
{
	struct ctlsrv *srv = c->srv;
	struct ctl_rep rep = { .op = q->op };
	struct sock *s;

	if (q->op == CTL_RESOLVE || q->op == CTL_REVERSE) {
		do_name(c, q);
		return;
	}
	if (q->op == CTL_LOOPBACK) {
		do_loopback(c, q);
		return;
	}
	if (q->op == CTL_STATUS) {
		do_status(c);
		return;
	}
	if (q->op == CTL_HELLO) {
		rep.addr = device_addr(4);
		rep.addr2 = device_addr(6);
		rep.value = (int32_t)device_mtu();
		rep.state = device_up() ? CTL_CONNECTED : CTL_FRESH;
	} else if (q->op == CTL_SOCKET) {
		rep.result = *fd < 0 ? EINVAL : do_socket(srv, q, *fd);
		if (rep.result == 0)
			*fd = -1;
	} else {
		s = socks_find(srv->socks, q->cookie);
		rep.result = s ? on_sock(s, q, &rep) : ENOTSOCK;
	}
	reply(c, &rep, -1);
}

static void on_client(void *owner, uint32_t ev)
{
	struct ctl_client *c = owner;
	uint8_t buf[CTL_MSG_MAX];
	struct ctl_req q;
	int fd = -1;
	size_t n_fds = 1;
	ssize_t n;

	(void)ev;
	if (c->waiting) { /* it closed before the answer */
		client_end(c);
		return;
	}
	n = fd_recv_fds(c->fd, buf, sizeof(buf), &fd, &n_fds, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n <= 0 || ctl_get_req(&q, buf, (size_t)n) < 0) {
		if (n > 0)
			log_warn("malformed control message; its sender is disconnected");
		fd_close(&fd);
		client_end(c);
		return;
	}
	handle(c, &q, &fd);
	fd_close(&fd);
}

/* Of a process; 0 if it is gone. Its name may have any characters in it, so the fields are counted from the
 * last parenthesis. */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[512], *p;
	int fd, parent = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* Children that lose their parents become those of smolmix-run (tools/run/child.c), so that its tree stays
 * one. */
static bool descends(pid_t pid)
{
	for (unsigned depth = 0; pid > 1 && depth < GENERATIONS_MAX; depth++) {
		if (pid == getpid())
			return true;
		pid = parent_of(pid);
	}
	return false;
}

static void on_accept(void *owner, uint32_t ev)
{
	struct ctlsrv *srv = owner;
	struct ctl_client *c;
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd = accept4(srv->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)ev;
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
			log_warn("control connection: %s", err_str(errno));
			loop_watch_set(&srv->watch, 0);
			loop_timer_set(&srv->rest, loop_now(srv->socks->loop) + REST_US);
		}
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != geteuid() && !descends(peer.pid))) {
		log_warn("control connection of another user refused");
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->srv = srv;
	c->fd = fd;
	c->counted = &srv->n_clients;
	list_init(&c->end.node);
	if (srv->n_clients == CLIENTS_MAX)
		client_end(container_of(srv->clients.next, struct ctl_client, link));
	list_push_back(&srv->clients, &c->link);
	srv->n_clients++;
	if (loop_watch_add(srv->socks->loop, &c->watch, fd, LOOP_IN, on_client, c) < 0)
		client_free(c);
}

static void rested(void *owner)
{
	struct ctlsrv *srv = owner;

	loop_watch_set(&srv->watch, LOOP_IN);
}

/* ---- life ---- */

int ctlsrv_new(struct ctlsrv **ret, struct socks *socks, struct resolv *resolv, const char *path)
{
	struct ctlsrv *c = calloc(1, sizeof(*c));
	struct sockaddr_un sa;
	int len = ctl_sockaddr(&sa, path), r = len < 0 ? len : 0;

	if (!c)
		return -ENOMEM;
	c->socks = socks;
	c->resolv = resolv;
	list_init(&c->clients);
	list_init(&c->names);
	loop_timer_init(socks->loop, &c->rest, rested, c);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r == 0 &&
	    (c->fd < 0 || bind(c->fd, (struct sockaddr *)&sa, (socklen_t)len) < 0 ||
	     (sa.sun_path[0] && chmod(path, geteuid() ? 0600 : 0666) < 0) || listen(c->fd, 256) < 0))
		r = -errno;
	if (r == 0)
		r = loop_watch_add(socks->loop, &c->watch, c->fd, LOOP_IN, on_accept, c);
	if (r < 0) {
		fd_close(&c->fd);
		free(c);
		return r;
	}
	if (sa.sun_path[0])
		memcpy(c->path, sa.sun_path, sizeof(c->path));
	*ret = c;
	return 0;
}

void ctlsrv_drain(struct ctlsrv *c)
{
	c->draining = true;
}

static void free_all(struct list *clients)
{
	list_for_each_safe(it, tmp, clients) {
		struct ctl_client *k = container_of(it, struct ctl_client, link);

		loop_watch_remove(&k->watch);
		list_remove(&k->end.node);
		client_free(k);
	}
}

void ctlsrv_free(struct ctlsrv *c)
{
	if (!c)
		return;
	loop_watch_remove(&c->watch);
	loop_timer_stop(&c->rest);
	fd_close(&c->fd);
	if (c->path[0])
		unlink(c->path);
	free_all(&c->clients);
	free_all(&c->names);
	free(c);
}
