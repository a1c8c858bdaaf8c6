/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs of nym-apis and gateways: scheme://host[:port][/path], host a name, an IPv4 address or a bracketed
 * IPv6 address. User info, query of a base URL and fragments are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "mixnet/ws_int.h"

static bool port_number(const char *s, const char *end, uint16_t *ret)
{
	unsigned v = 0;

	if (s == end || end - s > 5)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned)(*s - '0');
	}
	*ret = (uint16_t)v;
	return v >= 1 && v <= 65535;
}

static bool host_chars(const char *s, bool literal6)
{
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		      *s == '-' || *s == '.' || *s == '_' || (literal6 && *s == ':')))
			return false;
	return true;
}

static const struct {
	const char *scheme;
	bool tls, websocket;
	uint16_t port;
} schemes[] = { { "http://", false, false, 80 },
		{ "https://", true, false, 443 },
		{ "ws://", false, true, 80 },
		{ "wss://", true, true, 443 } };

int ws_url_parse(struct ws_url *ret, const char *text)
{
	struct ws_url u;
	struct addr a;
	const char *p = NULL, *end, *colon, *host_end;
	bool six;

	memset(&u, 0, sizeof(u));
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && !p; i++) {
		if (strncasecmp(text, schemes[i].scheme, strlen(schemes[i].scheme)))
			continue;
		p = text + strlen(schemes[i].scheme);
		u.tls = schemes[i].tls;
		u.websocket = schemes[i].websocket;
		u.port = schemes[i].port;
	}
	if (!p)
		return SMX_ECONFIG;
	end = p + strcspn(p, "/");
	six = *p == '[';
	host_end = six ? memchr(p, ']', (size_t)(end - p)) : p + strcspn(p, ":/");
	if (!host_end)
		return SMX_ECONFIG;
	p += six;
	colon = host_end + six;
	if ((size_t)(host_end - p) >= sizeof(u.host) || host_end == p || strlen(end) >= sizeof(u.path))
		return SMX_ECONFIG;
	memcpy(u.host, p, (size_t)(host_end - p));
	if (colon < end && (*colon != ':' || !port_number(colon + 1, end, &u.port)))
		return SMX_ECONFIG;
	memcpy(u.path, *end ? end : "/", *end ? strlen(end) : 1);
	u.literal = addr_parse_ip(&a, u.host) == 0;
	if ((six && !(u.literal && a.family == 6)) || !host_chars(u.host, six) ||
	    strpbrk(u.path, "#@ \t\r\n"))
		return SMX_ECONFIG;
	*ret = u;
	return 0;
}

int ws_url_allowed(const struct ws_url *u, bool allow_plain)
{
	struct addr a;

	if (u->tls || allow_plain || !strcasecmp(u->host, "localhost"))
		return 0;
	if (u->literal && addr_parse_ip(&a, u->host) == 0 && addr_classify(&a) == ADDR_LOOPBACK)
		return 0;
	return -EPERM;
}

void ws_url_host(const struct ws_url *u, char out[WS_HOST_TEXT])
{
	bool six = u->literal && strchr(u->host, ':');
	const char *open = six ? "[" : "", *close = six ? "]" : "";

	if (u->port == (u->tls ? 443 : 80))
		snprintf(out, WS_HOST_TEXT, "%s%s%s", open, u->host, close);
	else
		snprintf(out, WS_HOST_TEXT, "%s%s%s:%u", open, u->host, close, u->port);
}
