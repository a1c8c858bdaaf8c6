/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gethostbyname and relatives.
 *
 * Theory of operation. The reentrant functions build a struct hostent in the caller's buffer (ERANGE when it
 * is too small, as glibc does); the others use one static buffer, which POSIX allows to be overwritten by the
 * next call.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shim/hooks.h"
#include "shim/names.h"

/* ---- struct hostent ---- */

struct room {
	char *at;
	size_t left;
};

static void *take(struct room *r, size_t n, size_t align)
{
	size_t pad = (align - (uintptr_t)r->at % align) % align;
	void *p = r->at + pad;

	if (r->left < pad || r->left - pad < n)
		return NULL;
	r->at += pad + n;
	r->left -= pad + n;
	return p;
}

static char *take_text(struct room *r, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = take(r, n, 1);

	if (p)
		memcpy(p, s, n);
	return p;
}

/* 0 or ERANGE. */
static int fill(const struct names *l, int af, struct hostent *h, char *buf, size_t cap)
{
	struct room room = { buf, cap };
	size_t len = af == AF_INET ? 4 : 16;
	char **alias = take(&room, (l->n_alias + 1) * sizeof(*alias), sizeof(*alias));
	char **list = take(&room, (l->n + 1) * sizeof(*list), sizeof(*list));

	if (!alias || !list)
		return ERANGE;
	for (unsigned i = 0; i < l->n; i++) {
		list[i] = take(&room, len, sizeof(uint32_t));
		if (!list[i])
			return ERANGE;
		memcpy(list[i], l->addr[i].ip, len);
	}
	list[l->n] = NULL;
	for (unsigned i = 0; i < l->n_alias; i++) {
		alias[i] = take_text(&room, l->alias[i]);
		if (!alias[i])
			return ERANGE;
	}
	alias[l->n_alias] = NULL;
	*h = (struct hostent){ .h_name = take_text(&room, l->canon),
			       .h_aliases = alias,
			       .h_addrtype = af,
			       .h_length = (int)len,
			       .h_addr_list = list };
	return h->h_name ? 0 : ERANGE;
}

static int herr(enum ctl_dns d)
{
	switch (d) {
	case CTL_DNS_OK: return NETDB_SUCCESS;
	case CTL_DNS_NONAME: return HOST_NOT_FOUND;
	case CTL_DNS_NODATA: return NO_DATA;
	case CTL_DNS_AGAIN: return TRY_AGAIN;
	case CTL_DNS_FAIL: break;
	}
	return NO_RECOVERY;
}

static int answer(enum ctl_dns d, const struct names *l, int af, struct hostent *h, char *buf, size_t cap,
		  struct hostent **ret, int *ret_herr)
{
	int r;

	*ret = NULL;
	*ret_herr = herr(d);
	if (d != CTL_DNS_OK)
		return 0; /* glibc: h_errno has it all */
	r = fill(l, af, h, buf, cap);
	if (r) {
		*ret_herr = NETDB_INTERNAL;
		return r;
	}
	*ret = h;
	return 0;
}

static enum ctl_dns lookup(const char *name, int af, struct names *l)
{
	struct addr a;

	if (!names_numeric(name, &a))
		return names_lookup(name, af == AF_INET ? 4 : 6, l);
	if (strchr(name, '%')) /* a hostent has no room for a scope */
		return CTL_DNS_NONAME;
	if (a.family != (af == AF_INET ? 4 : 6))
		return CTL_DNS_NONAME;
	*l = (struct names){ .n = 1, .addr = { a } };
	memcpy(l->canon, name, strnlen(name, CTL_NAME_MAX));
	return CTL_DNS_OK;
}

static int by_name(const char *name, int af, struct hostent *h, char *buf, size_t cap, struct hostent **ret,
		   int *ret_herr)
{
	struct names *l;
	int r;

	*ret = NULL;
	*ret_herr = NO_DATA;
	if (af != AF_INET && af != AF_INET6)
		return EAFNOSUPPORT;
	*ret_herr = NETDB_INTERNAL;
	l = malloc(sizeof(*l));
	if (!l)
		return ENOMEM;
	r = answer(lookup(name, af, l), l, af, h, buf, cap, ret, ret_herr);
	free(l);
	return r;
}

static int by_addr(const void *raw, socklen_t len, int af, struct hostent *h, char *buf, size_t cap,
		   struct hostent **ret, int *ret_herr)
{
	struct names *l;
	int r;
	struct addr a = { .family = af == AF_INET ? 4 : 6 };

	*ret = NULL;
	*ret_herr = NETDB_INTERNAL;
	if (af != AF_INET && af != AF_INET6)
		return EAFNOSUPPORT;
	if (len != (af == AF_INET ? 4u : 16u))
		return EAFNOSUPPORT;
	memcpy(a.ip, raw, len);
	addr_unmap(&a); /* the answer is about the IPv4 address then */
	l = malloc(sizeof(*l));
	if (!l)
		return ENOMEM;
	r = answer(names_reverse(&a, l), l, a.family == 4 ? AF_INET : AF_INET6, h, buf, cap, ret, ret_herr);
	free(l);
	return r;
}

HOOK int gethostbyname2_r(const char *restrict name, int af, struct hostent *restrict h, char *restrict buf,
			  size_t cap, struct hostent **restrict ret, int *restrict ret_herr)
{
	return by_name(name, af, h, buf, cap, ret, ret_herr);
}

HOOK int gethostbyname_r(const char *restrict name, struct hostent *restrict h, char *restrict buf,
			 size_t cap, struct hostent **restrict ret, int *restrict ret_herr)
{
	return by_name(name, AF_INET, h, buf, cap, ret, ret_herr);
}

HOOK int gethostbyaddr_r(const void *restrict raw, socklen_t len, int af, struct hostent *restrict h,
			 char *restrict buf, size_t cap, struct hostent **restrict ret,
			 int *restrict ret_herr)
{
	return by_addr(raw, len, af, h, buf, cap, ret, ret_herr);
}

static struct {
	struct hostent entry;
	char buf[8192];
} shared;

static struct hostent *shared_answer(int r, struct hostent *found, int herr_value)
{
	if (r)
		errno = r;
	if (!found)
		h_errno = herr_value;
	return found;
}

HOOK struct hostent *gethostbyname2(const char *name, int af)
{
	struct hostent *found;
	int h, r = by_name(name, af, &shared.entry, shared.buf, sizeof(shared.buf), &found, &h);

	return shared_answer(r, found, h);
}

HOOK struct hostent *gethostbyname(const char *name)
{
	return gethostbyname2(name, AF_INET);
}

HOOK struct hostent *gethostbyaddr(const void *raw, socklen_t len, int af)
{
	struct hostent *found;
	int h, r = by_addr(raw, len, af, &shared.entry, shared.buf, sizeof(shared.buf), &found, &h);

	return shared_answer(r, found, h);
}
