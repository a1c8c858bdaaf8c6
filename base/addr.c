/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses. Text by inet_pton and inet_ntop (both pure), special ranges by two tables of prefixes, first
 * match wins (IANA IPv4 and IPv6 special-purpose registries).
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct range {
	uint8_t prefix[16];
	uint8_t bits;
	enum addr_class class;
};

static const struct range v4[] = {
	{ { 0, 0, 0, 0 }, 32, ADDR_UNSPEC },
	{ { 0 }, 8, ADDR_RESERVED },
	{ { 127 }, 8, ADDR_LOOPBACK },
	{ { 10 }, 8, ADDR_PRIVATE },
	{ { 172, 16 }, 12, ADDR_PRIVATE },
	{ { 192, 168 }, 16, ADDR_PRIVATE },
	{ { 100, 64 }, 10, ADDR_PRIVATE },
	{ { 169, 254 }, 16, ADDR_LINKLOCAL },
	{ { 255, 255, 255, 255 }, 32, ADDR_BROADCAST },
	{ { 224 }, 4, ADDR_MULTICAST },
	{ { 240 }, 4, ADDR_RESERVED },
	{ { 192, 0, 0, 9 }, 32, ADDR_GLOBAL },
	{ { 192, 0, 0, 10 }, 32, ADDR_GLOBAL },
	{ { 192, 0, 0 }, 24, ADDR_RESERVED },
	{ { 192, 0, 2 }, 24, ADDR_RESERVED },
	{ { 198, 51, 100 }, 24, ADDR_RESERVED },
	{ { 203, 0, 113 }, 24, ADDR_RESERVED },
	{ { 198, 18 }, 15, ADDR_RESERVED },
};

static const struct range v6[] = {
	{ { 0 }, 128, ADDR_UNSPEC },
	{ { [15] = 1 }, 128, ADDR_LOOPBACK },
	{ { 0xfc }, 7, ADDR_PRIVATE },
	{ { 0xfe, 0x80 }, 10, ADDR_LINKLOCAL },
	{ { 0xff }, 8, ADDR_MULTICAST },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, ADDR_RESERVED },    /* documentation */
	{ { 0x3f, 0xff }, 20, ADDR_RESERVED },		      /* documentation */
	{ { 0x20, 0x01, 0, 1, [15] = 1 }, 128, ADDR_GLOBAL }, /* port control protocol anycast */
	{ { 0x20, 0x01, 0, 1, [15] = 2 }, 128, ADDR_GLOBAL }, /* TURN anycast */
	{ { 0x20, 0x01, 0, 3 }, 32, ADDR_GLOBAL },	      /* AMT */
	{ { 0x20, 0x01, 0, 4, 1, 0x12 }, 48, ADDR_GLOBAL },   /* AS112 */
	{ { 0x20, 0x01, 0, 0x20 }, 28, ADDR_GLOBAL },	      /* ORCHIDv2 */
	{ { 0x20, 0x01 }, 23, ADDR_RESERVED },
	{ { 0x20, 0x02 }, 16, ADDR_RESERVED }, /* 6to4 */
	{ { 0x01 }, 64, ADDR_RESERVED },       /* discard */
	{ { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48, ADDR_RESERVED },
	{ { 0 }, 8, ADDR_RESERVED },
};

bool addr_same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return !memcmp(a, b, whole) && (!rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

int addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		*a = (struct addr){ .family = 4, .port = ntohs(in.sin_port) };
		memcpy(a->ip, &in.sin_addr, 4);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (len < 24) /* SIN6_LEN_RFC2133: Linux takes the form without scope id */
		return -EINVAL;
	memset(&in6, 0, sizeof(in6));
	memcpy(&in6, sa, len < sizeof(in6) ? len : sizeof(in6));
	*a = (struct addr){ .family = 6, .port = ntohs(in6.sin6_port), .scope = in6.sin6_scope_id };
	memcpy(a->ip, &in6.sin6_addr, 16);
	return 0;
}

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss, bool as6)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == 6 || as6) {
		struct sockaddr_in6 *s = (struct sockaddr_in6 *)ss;

		s->sin6_family = AF_INET6;
		s->sin6_port = htons(a->port);
		s->sin6_scope_id = a->scope;
		if (a->family == 6) {
			memcpy(&s->sin6_addr, a->ip, 16);
		} else {
			memcpy(&s->sin6_addr, mapped, 12);
			memcpy((uint8_t *)&s->sin6_addr + 12, a->ip, 4);
		}
		return sizeof(*s);
	}
	struct sockaddr_in *s = (struct sockaddr_in *)ss;

	s->sin_family = AF_INET;
	s->sin_port = htons(a->port);
	memcpy(&s->sin_addr, a->ip, 4);
	return sizeof(*s);
}

void addr_unmap(struct addr *a)
{
	if (a->family != 6 || memcmp(a->ip, mapped, 12))
		return;
	memcpy(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
	a->family = 4;
	a->scope = 0;
}

static int parse_number(const char *s, unsigned long max, unsigned long *ret)
{
	unsigned long v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = v * 10 + (unsigned long)(*s - '0');
		if (v > max)
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

int addr_parse_ip(struct addr *a, const char *s)
{
	struct addr r = { 0 };
	char buf[INET6_ADDRSTRLEN];
	const char *pct = strchr(s, '%');
	size_t len = pct ? (size_t)(pct - s) : strlen(s);
	unsigned long scope = 0;

	if (!len || len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, s, len);
	buf[len] = '\0';
	if (!pct && inet_pton(AF_INET, buf, r.ip) == 1)
		r.family = 4;
	else if (inet_pton(AF_INET6, buf, r.ip) == 1)
		r.family = 6;
	else
		return -EINVAL;
	if (pct && parse_number(pct + 1, UINT32_MAX, &scope) < 0)
		return -EINVAL;
	r.scope = (uint32_t)scope;
	*a = r;
	return 0;
}

int addr_parse(struct addr *a, const char *s, uint16_t default_port)
{
	char host[ADDR_TEXT];
	const char *port = NULL, *end;
	unsigned long n = default_port;
	size_t len = strlen(s);
	struct addr r;

	if (*s == '[') {
		end = strchr(++s, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
		len = (size_t)(end - s);
	} else if ((end = strchr(s, ':')) && !strchr(end + 1, ':')) {
		port = end + 1;
		len = (size_t)(end - s);
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	if (addr_parse_ip(&r, host) < 0 || (port && parse_number(port, 65535, &n) < 0))
		return -EINVAL;
	r.port = (uint16_t)n;
	*a = r;
	return 0;
}

const char *addr_text(const struct addr *a, char out[static ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "-", scope[16] = "";

	if (a->family)
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip));
	if (a->scope)
		snprintf(scope, sizeof(scope), "%%%u", a->scope);
	if (!a->port)
		snprintf(out, ADDR_TEXT, "%s%s", ip, scope);
	else if (a->family == 6)
		snprintf(out, ADDR_TEXT, "[%s%s]:%u", ip, scope, a->port);
	else
		snprintf(out, ADDR_TEXT, "%s:%u", ip, a->port);
	return out;
}

bool addr_equal_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && !memcmp(a->ip, b->ip, 16);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_equal_ip(a, b) && a->port == b->port;
}

enum addr_class addr_classify(const struct addr *a)
{
	struct addr u = *a;

	addr_unmap(&u);
	const struct range *r = u.family == 4 ? v4 : v6;
	size_t n = u.family == 4 ? sizeof(v4) / sizeof(v4[0]) : sizeof(v6) / sizeof(v6[0]);

	if (!u.family)
		return ADDR_UNSPEC;
	for (size_t i = 0; i < n; i++)
		if (addr_same_prefix(u.ip, r[i].prefix, r[i].bits))
			return r[i].class;
	return ADDR_GLOBAL;
}
