/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getaddrinfo and getnameinfo.
 *
 * Theory of operation. glibc's versions call sockets inside libc, where no hook sees them, so these are whole
 * replacements with glibc's rules for flags, socket types and services (services come from libc's files).
 * Results are allocated as glibc does, one block per entry and the canonical name apart, so that libc's
 * freeaddrinfo takes them.
 *
 * Order of results: RFC 6724 with the tunnel's source addresses (order.h). The wildcard and loopback
 * addresses of a call without a name come as Linux has them: 0.0.0.0 first, ::1 first.
 */
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/utsname.h>

#include "shim/hooks.h"
#include "shim/idn.h"
#include "shim/names.h"
#include "shim/order.h"
#include "shim/state.h"

#define SERVICE_BUF 1024
#define TYPES_MAX 8
#define KNOWN_FLAGS                                                                                          \
	(AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_ADDRCONFIG | AI_V4MAPPED | AI_NUMERICSERV |         \
	 AI_ALL | AI_IDN | AI_CANONIDN | 0x100 | 0x200 /* two IDN flags without effect since 2.28 */)
#define NI_KNOWN (NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM | NI_IDN | 64 | 128)

/* glibc's table: the order of results for one address, and what a caller may ask for. */
struct type {
	int socktype, protocol;
	bool any_protocol, no_service, by_default;
	const char *name;
};

static const struct type types[] = {
	{ SOCK_STREAM, IPPROTO_TCP, false, false, true, "tcp" },
	{ SOCK_DGRAM, IPPROTO_UDP, false, false, true, "udp" },
	{ SOCK_DCCP, IPPROTO_DCCP, false, false, false, "dccp" },
	{ SOCK_DGRAM, IPPROTO_UDPLITE, false, false, false, "udplite" },
	{ SOCK_STREAM, IPPROTO_SCTP, false, false, false, "sctp" },
	{ SOCK_SEQPACKET, IPPROTO_SCTP, false, false, false, "sctp" },
	{ SOCK_RAW, 0, true, true, true, "raw" },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

struct wanted {
	int socktype, protocol;
	in_port_t port; /* network order */
};

static bool matches(const struct type *t, const struct addrinfo *req)
{
	if (req->ai_socktype && req->ai_socktype != t->socktype)
		return false;
	return !req->ai_protocol || t->any_protocol || req->ai_protocol == t->protocol;
}

static int named_port(const char *service, const struct type *t, in_port_t *ret)
{
	char buf[SERVICE_BUF];
	struct servent entry, *found = NULL;

	if (getservbyname_r(service, t->name, &entry, buf, sizeof(buf), &found) || !found)
		return EAI_SERVICE;
	*ret = (in_port_t)found->s_port;
	return 0;
}

static struct wanted wanted(const struct type *t, const struct addrinfo *req, in_port_t port)
{
	return (struct wanted){ t->socktype, t->any_protocol ? req->ai_protocol : t->protocol, port };
}

/* A service by name and no type asked for: every type that has it. */
static int every_named(const char *service, const struct addrinfo *req, struct wanted *out, size_t *n)
{
	in_port_t port;

	for (size_t i = 0; i < N_TYPES; i++)
		if (!types[i].no_service && matches(&types[i], req) &&
		    named_port(service, &types[i], &port) == 0)
			out[(*n)++] = wanted(&types[i], req, port);
	return *n ? 0 : EAI_SERVICE;
}

/* The types and ports of the answer. 0 or EAI_*. */
static int choose_types(const char *service, const struct addrinfo *req, struct wanted *out, size_t *n)
{
	bool specific = req->ai_socktype || req->ai_protocol;
	const struct type *t = NULL;
	char *end = NULL;
	unsigned long num = service ? strtoul(service, &end, 10) : 0;
	bool named = service && (*end || (int)num < 0); /* glibc keeps the number in an int */
	in_port_t port = htons((uint16_t)num);
	int r;

	if (named && req->ai_flags & AI_NUMERICSERV)
		return EAI_NONAME;
	for (size_t i = 0; specific && i < N_TYPES && !t; i++)
		if (matches(&types[i], req))
			t = &types[i];
	if (specific && !t)
		return req->ai_socktype ? EAI_SOCKTYPE : EAI_SERVICE;
	if (service && t && t->no_service)
		return EAI_SERVICE;
	*n = 0;
	if (named && !t)
		return every_named(service, req, out, n);
	if (named) {
		r = named_port(service, t, &port);
		if (r)
			return r;
	}
	if (t) {
		out[(*n)++] = wanted(t, req, port);
		return 0;
	}
	for (size_t i = 0; i < N_TYPES; i++)
		if (types[i].by_default)
			out[(*n)++] = wanted(&types[i], req, port);
	return 0;
}

/* ---- addresses ---- */

static int eai(enum ctl_dns d)
{
	switch (d) {
	case CTL_DNS_OK: return 0;
	case CTL_DNS_NONAME: return EAI_NONAME;
	case CTL_DNS_NODATA: return EAI_NODATA;
	case CTL_DNS_AGAIN: return EAI_AGAIN;
	case CTL_DNS_FAIL: break;
	}
	return EAI_FAIL;
}

static void map_v4(struct addr *a)
{
	struct addr out = { .family = 6, .port = a->port };

	out.ip[10] = out.ip[11] = 0xff;
	memcpy(out.ip + 12, a->ip, 4);
	*a = out;
}

static void no_node(const struct addrinfo *req, struct names *ret)
{
	static const struct addr any4 = { .family = 4 }, any6 = { .family = 6 };
	static const struct addr lo4 = { .family = 4, .ip = { 127, 0, 0, 1 } },
				 lo6 = { .family = 6, .ip = { [15] = 1 } };
	bool passive = req->ai_flags & AI_PASSIVE;
	const struct addr *first = passive ? &any4 : &lo6, *second = passive ? &any6 : &lo4;
	uint8_t only = req->ai_family == AF_INET ? 4 : req->ai_family == AF_INET6 ? 6 : 0;

	ret->n = 0;
	if (!only || first->family == only)
		ret->addr[ret->n++] = *first;
	if (!only || second->family == only)
		ret->addr[ret->n++] = *second;
}

static int numeric_node(const struct addrinfo *req, struct addr *a)
{
	if (a->family == 4 && req->ai_family == AF_INET6) {
		if (!(req->ai_flags & AI_V4MAPPED))
			return EAI_ADDRFAMILY;
		map_v4(a);
	} else if (a->family == 6 && req->ai_family == AF_INET) {
		addr_unmap(a);
		if (a->family == 6)
			return EAI_ADDRFAMILY;
	}
	return 0;
}

static void order(struct names *l)
{
	struct order_sources from = { .rules = state_rules() };

	if (l->n < 2)
		return;
	names_own(&from.v4, &from.v6);
	order_addrs(l->addr, l->n, &from);
}

/* IPv4 answers for an IPv6 question: when there is no IPv6 one, or always with AI_ALL. */
static int add_mapped(const char *name, struct names *ret)
{
	struct names *v4 = malloc(sizeof(*v4));
	enum ctl_dns d;

	if (!v4)
		return EAI_MEMORY;
	d = names_lookup(name, 4, v4);
	for (unsigned i = 0; d == CTL_DNS_OK && i < v4->n && ret->n < CTL_ADDRS_MAX; i++) {
		map_v4(&v4->addr[i]);
		ret->addr[ret->n++] = v4->addr[i];
	}
	if (d == CTL_DNS_OK && !ret->canon[0])
		memcpy(ret->canon, v4->canon, sizeof(ret->canon));
	free(v4);
	return ret->n ? 0 : eai(d);
}

static int named_node(const char *name, const struct addrinfo *req, struct names *ret)
{
	uint8_t family = req->ai_family == AF_INET ? 4 : req->ai_family == AF_INET6 ? 6 : 0;
	bool mapped = family == 6 && req->ai_flags & AI_V4MAPPED;
	struct addr v4, v6;
	enum ctl_dns d;

	if (req->ai_flags & AI_ADDRCONFIG) {
		names_own(&v4, &v6);
		if (family == 0 && (v4.family != 0) != (v6.family != 0))
			family = v4.family ? 4 : 6;
		else if ((family == 4 && !v4.family && v6.family) ||
			 (family == 6 && !v6.family && v4.family && !mapped))
			return EAI_NONAME;
	}
	d = names_lookup(name, family, ret);
	if (mapped && (d == CTL_DNS_NODATA || (d == CTL_DNS_OK && req->ai_flags & AI_ALL)))
		return add_mapped(name, ret);
	return eai(d);
}

/* ---- the answer ---- */

static struct addrinfo *entry(const struct addr *a, const struct wanted *w, int flags)
{
	struct sockaddr_storage ss;
	struct addr with_port = *a;
	struct addrinfo *ai;
	socklen_t len;

	with_port.port = ntohs(w->port);
	len = addr_to_sockaddr(&with_port, &ss, false);
	ai = malloc(sizeof(*ai) + len);
	if (!ai)
		return NULL;
	*ai = (struct addrinfo){ .ai_flags = flags,
				 .ai_family = ss.ss_family,
				 .ai_socktype = w->socktype,
				 .ai_protocol = w->protocol,
				 .ai_addrlen = len,
				 .ai_addr = (struct sockaddr *)(ai + 1) };
	memcpy(ai->ai_addr, &ss, len);
	return ai;
}

static char *canonical(const char *name, int flags)
{
	char shown[NI_MAXHOST];

	if (flags & AI_CANONIDN && idn_from_dns(name, shown, sizeof(shown)) == 0)
		return strdup(shown);
	return strdup(name);
}

static int build(const struct names *l, const struct wanted *w, size_t n, int flags, struct addrinfo **ret)
{
	struct addrinfo *first = NULL, **tail = &first;

	for (unsigned i = 0; i < l->n; i++) {
		for (size_t k = 0; k < n; k++) {
			*tail = entry(&l->addr[i], &w[k], flags);
			if (!*tail)
				goto fail;
			tail = &(*tail)->ai_next;
		}
	}
	if (flags & AI_CANONNAME && first) {
		first->ai_canonname = canonical(l->canon, flags);
		if (!first->ai_canonname)
			goto fail;
	}
	*ret = first;
	return 0;
fail:
	if (first)
		freeaddrinfo(first);
	return EAI_MEMORY;
}

static int find_node(const char *node, const struct addrinfo *req, struct names *l)
{
	char name[CTL_NAME_MAX + 1];
	struct addr a;
	int r;

	*l = (struct names){ .n = 0 };
	if (!node) {
		no_node(req, l);
		return 0;
	}
	if (names_numeric(node, &a)) {
		r = numeric_node(req, &a);
		if (r)
			return r;
		l->addr[l->n++] = a;
		snprintf(l->canon, sizeof(l->canon), "%s", node);
		return 0;
	}
	if (req->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	if (req->ai_flags & AI_IDN) {
		r = idn_to_dns(node, name, sizeof(name));
		if (r)
			return r;
		node = name;
	}
	r = named_node(node, req, l);
	if (r == 0)
		order(l);
	return r;
}

HOOK int getaddrinfo(const char *restrict node, const char *restrict service,
		     const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	static const struct addrinfo none = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG };
	const struct addrinfo *req = hints ? hints : &none;
	struct wanted w[TYPES_MAX];
	struct names *l;
	size_t n = 0;
	int r, saved = errno;

	if (node && !strcmp(node, "*"))
		node = NULL;
	if (service && !strcmp(service, "*"))
		service = NULL;
	if (!node && !service)
		return EAI_NONAME;
	if (req->ai_flags & ~KNOWN_FLAGS || (req->ai_flags & AI_CANONNAME && !node))
		return EAI_BADFLAGS;
	if (req->ai_family != AF_UNSPEC && req->ai_family != AF_INET && req->ai_family != AF_INET6)
		return EAI_FAMILY;
	l = malloc(sizeof(*l));
	if (!l)
		return EAI_MEMORY;
	r = choose_types(service, req, w, &n);
	if (r == 0)
		r = find_node(node, req, l);
	if (r == 0)
		r = build(l, w, n, req->ai_flags, ret);
	free(l);
	errno = saved;
	return r;
}

/* ---- getnameinfo ---- */

static int put(char *out, socklen_t cap, const char *s)
{
	size_t n = strlen(s) + 1;

	if (n > cap)
		return EAI_OVERFLOW;
	memcpy(out, s, n);
	return 0;
}

static int put_numeric(const struct addr *a, char *out, socklen_t cap)
{
	char text[ADDR_TEXT], name[IF_NAMESIZE];
	struct addr bare = *a;
	bool link = addr_classify(a) == ADDR_LINKLOCAL ||
		    (a->family == 6 && a->ip[0] == 0xff && (a->ip[1] & 15) == 2);
	char *scope;

	bare.port = 0;
	addr_text(&bare, text);
	scope = strchr(text, '%');
	if (scope && link && if_indextoname(a->scope, name))
		snprintf(scope + 1, sizeof(text) - (size_t)(scope + 1 - text), "%s", name);
	return put(out, cap, text);
}

static int put_host(const struct addr *a, char *out, socklen_t cap, int flags)
{
	char shown[NI_MAXHOST];
	struct names *l;
	enum ctl_dns d;
	int r = 0;

	if (flags & NI_NUMERICHOST)
		return flags & NI_NAMEREQD ? EAI_NONAME : put_numeric(a, out, cap);
	l = malloc(sizeof(*l));
	if (!l)
		return EAI_MEMORY;
	d = names_reverse(a, l);
	if (d == CTL_DNS_OK) {
		bool idn = flags & NI_IDN && idn_from_dns(l->canon, shown, sizeof(shown)) == 0;

		r = put(out, cap, idn ? shown : l->canon);
	}
	free(l);
	if (d == CTL_DNS_OK)
		return r;
	if (flags & NI_NAMEREQD)
		return d == CTL_DNS_AGAIN ? EAI_AGAIN : EAI_NONAME;
	return put_numeric(a, out, cap);
}

static int put_service(const struct addr *a, char *out, socklen_t cap, int flags)
{
	char buf[SERVICE_BUF], number[8];
	struct servent e, *found = NULL;

	if (!(flags & NI_NUMERICSERV) &&
	    getservbyport_r(htons(a->port), flags & NI_DGRAM ? "udp" : "tcp", &e, buf, sizeof(buf), &found) ==
		    0 &&
	    found)
		return put(out, cap, found->s_name);
	snprintf(number, sizeof(number), "%u", a->port);
	return put(out, cap, number);
}

static int local_name(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len, char *serv,
		      socklen_t serv_len)
{
	struct sockaddr_un un = { 0 };
	struct utsname u;
	int r = 0;

	memcpy(&un, sa, len < sizeof(un) ? len : sizeof(un));
	un.sun_path[sizeof(un.sun_path) - 1] = '\0';
	if (host && host_len)
		r = put(host, host_len, uname(&u) == 0 ? u.nodename : "localhost");
	if (r == 0 && serv && serv_len)
		r = put(serv, serv_len, un.sun_path);
	return r;
}

HOOK int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
		     socklen_t host_len, char *restrict serv, socklen_t serv_len, int flags)
{
	struct addr a;
	int r = 0, saved = errno;

	if (flags & ~NI_KNOWN)
		return EAI_BADFLAGS;
	if (!sa || len < sizeof(sa->sa_family))
		return EAI_FAMILY;
	if (flags & NI_NAMEREQD && !host && !serv)
		return EAI_NONAME;
	if (sa->sa_family == AF_UNIX)
		return local_name(sa, len, host, host_len, serv, serv_len);
	if (addr_from_sockaddr(&a, sa, len) < 0)
		return EAI_FAMILY;
	if (host && host_len)
		r = put_host(&a, host, host_len, flags);
	if (r == 0 && serv && serv_len)
		r = put_service(&a, serv, serv_len, flags);
	errno = saved;
	return r;
}
