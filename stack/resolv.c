/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolver.
 *
 * Theory of operation. c-ares gets socket functions of ours: a "socket" it opens is the program's end of a
 * socketpair whose other end is an ordinary socket of this stack, so DNS is a client of the tunnel like any
 * other and no kernel socket exists. UDP datagrams get and lose the header of stack/ctl/ctl.h on the way. Its
 * descriptors are watched by the loop; its timeouts become one loop timer.
 *
 * Everything c-ares would read from the host (servers, search list, hosts file, lookup order) is given
 * instead, so that it reads nothing.
 *
 * A question for both families is one for each, sent together: what is known of one is not asked again, and
 * one that failed is not taken for an answer.
 *
 * Cache: direct-mapped by name and family; TTL, the shortest of the chain, 1 s to 1 h, negative answers 30 s,
 * failures not at all.
 */
#include "stack/resolv.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "stack/conn.h"
#include "stack/dgram.h"
#include "stack/pairerr.h"

#define CACHE 1024u
#define TTL_MIN 1
#define TTL_MAX 3600
#define TTL_NEGATIVE 30
#define FDS_MAX 64
#define TIMEOUT_MS 5000
#define TRIES 2
#define EDNS_SIZE 1232 /* DNS flag day 2020: fits into any IPv6 packet, and in the tunnel's MTU */

struct entry {
	char name[CTL_NAME_MAX + 1];
	uint8_t family;
	uint64_t until_us;
	struct ctl_rep rep;
};

struct ares_fd {
	struct resolv *r;
	struct loop_watch watch;
	int fd;
	bool used, stream;
};

struct resolv {
	struct socks *socks;
	ares_channel channel;
	struct loop_timer timer;
	struct ares_fd fds[FDS_MAX];
	struct entry *cache;
	bool library;
};

struct question {
	struct resolv *r;
	char name[CTL_NAME_MAX + 1];
	uint8_t family;
	void (*cb)(void *owner, const struct ctl_rep *rep);
	void *owner;
};

/* ---- sockets for c-ares ---- */

static struct ares_fd *find_fd(struct resolv *r, int fd)
{
	for (int i = 0; i < FDS_MAX; i++)
		if (r->fds[i].used && r->fds[i].fd == fd)
			return &r->fds[i];
	return NULL;
}

static ares_socket_t open_fd(int domain, int type, int protocol, void *user)
{
	struct resolv *r = user;
	struct ares_fd *f = NULL;
	bool stream = (type & 0xf) == SOCK_STREAM;
	uint64_t cookie;
	int p[2];
	void *s;

	(void)protocol;
	for (int i = 0; i < FDS_MAX && !f; i++)
		if (!r->fds[i].used)
			f = &r->fds[i];
	if (!f || fd_pair((stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, p) < 0) {
		errno = EMFILE;
		return ARES_SOCKET_BAD;
	}
	fd_cookie(p[0], &cookie);
	if (!stream)
		pairerr_name(p[0]);
	s = stream ? (void *)conn_new(r->socks, cookie, domain == AF_INET6 ? 6 : 4, p[1])
		   : (void *)dgram_new(r->socks, cookie, domain == AF_INET6 ? 6 : 4, CTL_DGRAM, p[1]);
	if (!s) {
		fd_close(&p[0]);
		fd_close(&p[1]);
		return ARES_SOCKET_BAD;
	}
	*f = (struct ares_fd){ .r = r, .fd = p[0], .used = true, .stream = stream };
	return p[0];
}

static int close_fd(ares_socket_t fd, void *user)
{
	struct ares_fd *f = find_fd(user, fd);
	uint64_t cookie;
	struct sock *s;

	if (!f)
		return -1;
	loop_watch_remove(&f->watch);
	f->used = false;
	if (!f->stream && fd_cookie(fd, &cookie) == 0 && (s = socks_find(f->r->socks, cookie)))
		dgram_close(dgram_from_sock(s));
	return close(fd);
}

static int connect_fd(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t len, void *user)
{
	struct resolv *r = user;
	struct ares_fd *f = find_fd(r, fd);
	struct addr to;
	uint64_t cookie;
	struct sock *s;
	int e;

	if (!f || fd_cookie(fd, &cookie) < 0 || !(s = socks_find(r->socks, cookie)) ||
	    addr_from_sockaddr(&to, sa, len) < 0) {
		errno = EBADF;
		return -1;
	}
	e = f->stream ? conn_connect(conn_from_sock(s), &to) : dgram_connect(dgram_from_sock(s), &to);
	errno = e ? e : EINPROGRESS;
	return e || f->stream ? -1 : 0;
}

static ares_ssize_t recv_fd(ares_socket_t fd, void *buf, size_t len, int flags, struct sockaddr *from,
			    ares_socklen_t *from_len, void *user)
{
	struct ares_fd *f = find_fd(user, fd);
	uint8_t hdr[CTL_DGRAM_HDR];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { buf, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	struct sockaddr_storage ss;
	struct ctl_dgram h;
	ssize_t n;

	if (!f || f->stream)
		return recv(fd, buf, len, flags | MSG_DONTWAIT);
	n = recvmsg(fd, &mh, flags | MSG_DONTWAIT);
	if (n < 0)
		return n;
	if (ctl_get_dgram(&h, hdr, (size_t)n < sizeof(hdr) ? (size_t)n : sizeof(hdr)) < 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (from && from_len) {
		socklen_t l = addr_to_sockaddr(&h.addr, &ss, false);

		memcpy(from, &ss, l < *from_len ? l : *from_len);
		*from_len = l;
	}
	return n - CTL_DGRAM_HDR;
}

static ares_ssize_t send_fd(ares_socket_t fd, const struct iovec *iov, int n_iov, void *user)
{
	struct ares_fd *f = find_fd(user, fd);
	uint8_t hdr[CTL_DGRAM_HDR];
	struct iovec all[8] = { { hdr, sizeof(hdr) } };
	struct msghdr mh = { .msg_iov = all };
	const struct ctl_dgram h = { .flags = CTL_DGRAM_NO_ADDR };
	int skip = f && f->stream ? 0 : 1;
	ssize_t n;

	if (!f || n_iov > 7) {
		errno = EINVAL;
		return -1;
	}
	ctl_put_dgram(hdr, &h);
	memcpy(all + skip, iov, (size_t)n_iov * sizeof(*iov));
	mh.msg_iovlen = (size_t)(n_iov + skip);
	n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? n : n - (skip ? CTL_DGRAM_HDR : 0);
}

static const struct ares_socket_functions functions = { open_fd, close_fd, connect_fd, recv_fd, send_fd };

/* ---- the loop ---- */

static void rearm(struct resolv *r)
{
	struct timeval tv;

	if (ares_timeout(r->channel, NULL, &tv))
		loop_timer_set(&r->timer, loop_now(r->socks->loop) + (uint64_t)tv.tv_sec * US_PER_S +
						  (uint64_t)tv.tv_usec + 1000);
	else
		loop_timer_stop(&r->timer);
}

static void on_fd(void *owner, uint32_t ev)
{
	struct ares_fd *f = owner;
	struct resolv *r = f->r;
	bool in = ev & (LOOP_IN | LOOP_HUP | LOOP_ERR);

	ares_process_fd(r->channel, in ? f->fd : ARES_SOCKET_BAD, ev & LOOP_OUT ? f->fd : ARES_SOCKET_BAD);
	rearm(r);
}

static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolv *r = data;
	struct ares_fd *f = find_fd(r, fd);
	uint32_t want = (readable ? LOOP_IN : 0u) | (writable ? LOOP_OUT : 0u);

	if (!f)
		return;
	if (!want)
		loop_watch_remove(&f->watch);
	else if (f->watch.loop)
		loop_watch_set(&f->watch, want);
	else
		loop_watch_add(r->socks->loop, &f->watch, fd, want, on_fd, f);
}

static void on_timer(void *owner)
{
	struct resolv *r = owner;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(r);
}

/* ---- cache ---- */

static struct entry *slot(struct resolv *r, const char *name, uint8_t family)
{
	uint32_t h = 2166136261u ^ family;

	for (; *name; name++)
		h = (h ^ (uint32_t)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name)) * 16777619u;
	return &r->cache[h % CACHE];
}

static const struct ctl_rep *cached(struct resolv *r, const char *name, uint8_t family)
{
	struct entry *e = slot(r, name, family);

	if (e->family != family || strcasecmp(e->name, name) || e->until_us <= loop_now(r->socks->loop))
		return NULL;
	return &e->rep;
}

/* A name that does not exist has no records of the other family either (RFC 8020). */
static const struct ctl_rep *known(struct resolv *r, const char *name, uint8_t family)
{
	const struct ctl_rep *rep = cached(r, name, family);

	if (!rep) {
		rep = cached(r, name, family == 4 ? 6 : 4);
		if (rep && rep->dns != CTL_DNS_NONAME)
			rep = NULL;
	}
	return rep;
}

static void keep(struct question *q, const struct ctl_rep *rep, int ttl_s)
{
	struct entry *e = slot(q->r, q->name, q->family);

	memcpy(e->name, q->name, sizeof(e->name));
	e->family = q->family;
	e->rep = *rep;
	e->until_us = loop_now(q->r->socks->loop) + (uint64_t)ttl_s * US_PER_S;
}

/* ---- questions ---- */

static enum ctl_dns outcome(int status)
{
	switch (status) {
	case ARES_SUCCESS: return CTL_DNS_OK;
	case ARES_ENOTFOUND: return CTL_DNS_NONAME;
	case ARES_ENODATA: return CTL_DNS_NODATA;
	case ARES_EBADNAME: return CTL_DNS_NONAME;
	case ARES_ETIMEOUT:
	case ARES_ESERVFAIL:
	case ARES_ECONNREFUSED: return CTL_DNS_AGAIN;
	default: return CTL_DNS_FAIL;
	}
}

static int fill(struct ctl_rep *rep, const struct ares_addrinfo *info)
{
	int ttl = TTL_MAX;

	for (const struct ares_addrinfo_node *n = info->nodes; n && rep->n_addrs < CTL_ADDRS_MAX;
	     n = n->ai_next) {
		if (addr_from_sockaddr(&rep->addrs[rep->n_addrs], n->ai_addr, n->ai_addrlen) < 0)
			continue;
		rep->n_addrs++;
		if (n->ai_ttl < ttl)
			ttl = n->ai_ttl;
	}
	for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next) {
		if (c->name)
			snprintf(rep->name, sizeof(rep->name), "%s", c->name);
		if (c->ttl < ttl)
			ttl = c->ttl;
	}
	return ttl < TTL_MIN ? TTL_MIN : ttl;
}

static void on_addrinfo(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *q = arg;
	struct ctl_rep rep = { .op = CTL_RESOLVE, .dns = outcome(status) };
	int ttl = TTL_NEGATIVE;

	(void)timeouts;
	snprintf(rep.name, sizeof(rep.name), "%s", q->name);
	if (info)
		ttl = fill(&rep, info);
	if (rep.dns == CTL_DNS_OK && !rep.n_addrs)
		rep.dns = CTL_DNS_NODATA;
	if (rep.dns <= CTL_DNS_NODATA)
		keep(q, &rep, ttl);
	if (info)
		ares_freeaddrinfo(info);
	q->cb(q->owner, &rep);
	free(q);
}

static const struct ctl_rep no_answer = { .op = CTL_RESOLVE, .dns = CTL_DNS_FAIL };

static struct question *ask(struct resolv *r, const char *name, uint8_t family,
			    void (*cb)(void *owner, const struct ctl_rep *rep), void *owner)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->r = r;
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->family = family;
	q->cb = cb;
	q->owner = owner;
	r->socks->stats.dns_queries++;
	return q;
}

static void one_family(struct resolv *r, const char *name, uint8_t family,
		       void (*cb)(void *owner, const struct ctl_rep *rep), void *owner)
{
	struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT | ARES_AI_CANONNAME,
					     .ai_family = family == 4 ? AF_INET : AF_INET6 };
	const struct ctl_rep *rep = known(r, name, family);
	struct question *q;

	if (rep) {
		cb(owner, rep);
		return;
	}
	q = ask(r, name, family, cb, owner);
	if (!q) {
		cb(owner, &no_answer);
		return;
	}
	ares_getaddrinfo(r->channel, name, NULL, &hints, on_addrinfo, q);
	rearm(r);
}

/* ---- both families ---- */

struct both {
	struct ctl_rep rep;
	unsigned left;
	void (*cb)(void *owner, const struct ctl_rep *rep);
	void *owner;
};

/* One family's addresses are an answer, whatever became of the other. Without any: trouble, in which the
 * other answer may be missing, before what is known. */
static void join(struct ctl_rep *all, const struct ctl_rep *one)
{
	static const int rank[] = { [CTL_DNS_OK] = 0,
				    [CTL_DNS_AGAIN] = 1,
				    [CTL_DNS_FAIL] = 2,
				    [CTL_DNS_NODATA] = 3,
				    [CTL_DNS_NONAME] = 4 };

	if (rank[one->dns] < rank[all->dns]) {
		all->dns = one->dns;
		memcpy(all->name, one->name, sizeof(all->name));
	}
	for (unsigned i = 0; i < one->n_addrs && all->n_addrs < CTL_ADDRS_MAX; i++)
		all->addrs[all->n_addrs++] = one->addrs[i];
}

static void on_half(void *owner, const struct ctl_rep *rep)
{
	struct both *b = owner;

	join(&b->rep, rep);
	if (--b->left)
		return;
	b->cb(b->owner, &b->rep);
	free(b);
}

void resolv_name(struct resolv *r, const char *name, uint8_t family,
		 void (*cb)(void *owner, const struct ctl_rep *rep), void *owner)
{
	struct both *b;

	if (family) {
		one_family(r, name, family, cb, owner);
		return;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		cb(owner, &no_answer);
		return;
	}
	*b = (struct both){
		.rep = { .op = CTL_RESOLVE, .dns = CTL_DNS_NONAME }, .left = 2, .cb = cb, .owner = owner
	};
	one_family(r, name, 6, on_half, b);
	one_family(r, name, 4, on_half, b);
}

static void on_host(void *arg, int status, int timeouts, struct hostent *host)
{
	struct question *q = arg;
	struct ctl_rep rep = { .op = CTL_REVERSE, .dns = outcome(status) };

	(void)timeouts;
	/* c-ares has the last PTR record in h_name and all of them, in order, in h_aliases; libc takes the
	 * first. */
	if (host && host->h_name)
		snprintf(rep.name, sizeof(rep.name), "%s",
			 host->h_aliases && host->h_aliases[0] ? host->h_aliases[0] : host->h_name);
	if (rep.dns <= CTL_DNS_NODATA)
		keep(q, &rep, TTL_NEGATIVE * 2);
	q->cb(q->owner, &rep);
	free(q);
}

void resolv_reverse(struct resolv *r, const struct addr *a,
		    void (*cb)(void *owner, const struct ctl_rep *rep), void *owner)
{
	const struct ctl_rep failed = { .op = CTL_REVERSE, .dns = CTL_DNS_FAIL };
	const struct ctl_rep *rep;
	struct addr ip = *a;
	char text[ADDR_TEXT];
	struct question *q;

	ip.port = 0;
	addr_text(&ip, text);
	rep = cached(r, text, 255);
	if (rep) {
		cb(owner, rep);
		return;
	}
	q = ask(r, text, 255, cb, owner);
	if (!q) {
		cb(owner, &failed);
		return;
	}
	ares_gethostbyaddr(r->channel, a->ip, a->family == 6 ? 16 : 4, a->family == 6 ? AF_INET6 : AF_INET,
			   on_host, q);
	rearm(r);
}

/* ---- life ---- */

static int set_servers(struct resolv *r)
{
	struct ares_addr_port_node node[STACK_DNS_MAX];
	unsigned n = r->socks->cfg.n_dns;

	memset(node, 0, sizeof(node));
	for (unsigned i = 0; i < n; i++) {
		const struct addr *a = &r->socks->cfg.dns[i];

		node[i].next = i + 1 < n ? &node[i + 1] : NULL;
		node[i].family = a->family == 6 ? AF_INET6 : AF_INET;
		memcpy(&node[i].addr, a->ip, a->family == 6 ? 16 : 4);
		node[i].udp_port = node[i].tcp_port = a->port;
	}
	return n ? ares_set_servers_ports(r->channel, node) : ARES_EBADSTR;
}

int resolv_new(struct resolv **ret, struct socks *socks)
{
	struct resolv *r = calloc(1, sizeof(*r));
	struct in_addr nowhere = { 0 };
	struct ares_options o = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
				  .timeout = TIMEOUT_MS,
				  .tries = TRIES,
				  .ednspsz = EDNS_SIZE,
				  .ndots = 1,
				  .servers = &nowhere,
				  .nservers = 1,
				  .lookups = (char *)"b",
				  .sock_state_cb = on_state };
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_NDOTS |
		   ARES_OPT_SERVERS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS |
		   ARES_OPT_SORTLIST;

	if (!r)
		return -ENOMEM;
	r->socks = socks;
	o.sock_state_cb_data = r;
	r->cache = calloc(CACHE, sizeof(*r->cache));
	r->library = r->cache && ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
	if (!r->library || ares_init_options(&r->channel, &o, mask) != ARES_SUCCESS) {
		resolv_free(r);
		return -ENOMEM;
	}
	ares_set_socket_functions(r->channel, &functions, r);
	if (set_servers(r) != ARES_SUCCESS) {
		resolv_free(r);
		return SMX_ECONFIG;
	}
	loop_timer_init(socks->loop, &r->timer, on_timer, r);
	*ret = r;
	return 0;
}

void resolv_free(struct resolv *r)
{
	if (!r)
		return;
	if (r->channel)
		ares_destroy(r->channel);
	loop_timer_stop(&r->timer);
	if (r->library)
		ares_library_cleanup();
	free(r->cache);
	free(r);
}
