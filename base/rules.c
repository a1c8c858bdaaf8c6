/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules about destinations. A destination is told apart by its shape: a bracket or two colons mean IPv6, an
 * IPv4 address parses as one, the rest must be a name. What could never match is refused when it is read, so
 * that a typing error does not pass for a rule.
 */
#include "base/rules.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t"
#define ADDR_PART 64

struct piece {
	const char *s;
	size_t len;
};

static struct piece word(struct piece *in)
{
	struct piece w;

	while (in->len && strchr(BLANKS, *in->s)) {
		in->s++;
		in->len--;
	}
	w = (struct piece){ in->s, 0 };
	while (in->len && !strchr(BLANKS, *in->s)) {
		in->s++;
		in->len--;
		w.len++;
	}
	return w;
}

static bool is(struct piece w, const char *text)
{
	return w.len == strlen(text) && !memcmp(w.s, text, w.len);
}

static const char *find(struct piece w, char c)
{
	return w.len ? memchr(w.s, c, w.len) : NULL;
}

static bool number(struct piece w, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (!w.len)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (w.s[i] < '0' || w.s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(w.s[i] - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

/* w is what follows the destination: empty, or ":80", ":80-90". */
static const char *take_ports(struct rule *r, struct piece w)
{
	unsigned min, max;
	const char *dash;

	r->port_min = 0;
	r->port_max = 65535;
	if (!w.len)
		return NULL;
	w = (struct piece){ w.s + 1, w.len - 1 };
	dash = find(w, '-');
	if (!number((struct piece){ w.s, dash ? (size_t)(dash - w.s) : w.len }, 65535, &min))
		return "has no port after the colon";
	max = min;
	if (dash && !number((struct piece){ dash + 1, (size_t)(w.s + w.len - dash - 1) }, 65535, &max))
		return "has no port after the dash";
	if (!min || max < min)
		return "has a range of ports that is empty or begins at 0";
	r->port_min = (uint16_t)min;
	r->port_max = (uint16_t)max;
	return NULL;
}

static bool bits_beyond(const struct rule *r)
{
	for (unsigned i = r->bits; i < 128; i++)
		if (r->ip[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

/* "ADDRESS" or "ADDRESS/BITS". *ret_is: it has the shape of an address. */
static const char *take_network(struct rule *r, struct piece w, bool *ret_is)
{
	const char *slash = find(w, '/');
	size_t len = slash ? (size_t)(slash - w.s) : w.len;
	char text[ADDR_PART];
	unsigned bits;
	struct addr a;

	*ret_is = false;
	if (len >= sizeof(text))
		return NULL;
	memcpy(text, w.s, len);
	text[len] = '\0';
	if (addr_parse_ip(&a, text) < 0 || a.scope)
		return NULL;
	*ret_is = true;
	bits = a.family == 4 ? 32 : 128;
	if (slash && !number((struct piece){ slash + 1, (size_t)(w.s + w.len - slash - 1) }, bits, &bits))
		return "has no prefix length after the slash";
	r->family = a.family;
	r->bits = (uint8_t)bits;
	memcpy(r->ip, a.ip, sizeof(r->ip));
	return bits_beyond(r) ? "has address bits beyond its prefix" : NULL;
}

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

static const char *take_name(struct rule *r, struct piece w)
{
	size_t label = 0;
	bool digits = true;

	r->below = w.len > 2 && w.s[0] == '*' && w.s[1] == '.';
	if (r->below)
		w = (struct piece){ w.s + 2, w.len - 2 };
	if (w.len && w.s[w.len - 1] == '.')
		w.len--;
	if (find(w, ':'))
		return "has a name with a port: a name is looked up without one";
	if (!w.len || w.len > RULES_NAME_MAX)
		return "has no usable destination";
	for (size_t i = 0; i < w.len; i++) {
		bool dot = w.s[i] == '.';

		if ((dot && !label) || (!dot && !name_byte(w.s[i])) || (!dot && ++label > 63))
			return "has neither an address nor a name";
		digits = dot || (digits && w.s[i] >= '0' && w.s[i] <= '9');
		label = dot ? 0 : label;
	}
	if (digits)
		return "has neither an address nor a name";
	memcpy(r->name, w.s, w.len);
	r->name[w.len] = '\0';
	return NULL;
}

static const char *take_destination(struct rule *r, struct piece w)
{
	const char *colon = find(w, ':'), *end;
	struct piece host = w, ports = { w.s + w.len, 0 };
	const char *why;
	bool is_addr;

	if (w.len && w.s[0] == '[') {
		end = find(w, ']');
		if (!end || (end + 1 < w.s + w.len && end[1] != ':'))
			return "has a bracket that is not closed before the port";
		host = (struct piece){ w.s + 1, (size_t)(end - w.s - 1) };
		ports = (struct piece){ end + 1, (size_t)(w.s + w.len - end - 1) };
	} else if (colon && !memchr(colon + 1, ':', (size_t)(w.s + w.len - colon - 1))) {
		host = (struct piece){ w.s, (size_t)(colon - w.s) };
		ports = (struct piece){ colon, (size_t)(w.s + w.len - colon) };
	}
	if (is(host, "*"))
		return take_ports(r, ports);
	why = take_network(r, host, &is_addr);
	if (is_addr)
		return why ? why : take_ports(r, ports);
	return take_name(r, w);
}

/* The classes a verb can do something with. */
static bool can(enum rule_verb verb, enum addr_class class)
{
	switch (class) {
	case ADDR_GLOBAL:
	case ADDR_PRIVATE:
	case ADDR_RESERVED: return verb != RULE_LOOPBACK;
	case ADDR_LOOPBACK: return verb != RULE_TUNNEL;
	case ADDR_UNSPEC:
	case ADDR_LINKLOCAL:
	case ADDR_MULTICAST:
	case ADDR_BROADCAST: break;
	}
	return verb == RULE_DENY;
}

static const char *judge(const struct rule *r)
{
	struct addr a = { .family = r->family };
	enum addr_class class;

	if (r->name[0])
		return r->verb == RULE_LOOPBACK ? "has a name: loopback takes addresses of this machine"
						: NULL;
	memcpy(a.ip, r->ip, sizeof(a.ip));
	class = addr_classify(&a);
	if (!r->family || can(r->verb, class) ||
	    (class == ADDR_UNSPEC && r->bits < (r->family == 4 ? 32 : 128)))
		return NULL;
	return r->verb == RULE_LOOPBACK ? "is not about this machine (127.0.0.0/8, ::1)"
					: "is about addresses that no tunnel can carry";
}

static const char *take_rule(struct rules *list, struct piece text)
{
	struct piece verb = word(&text), where = word(&text);
	struct rule *r = &list->rule[list->n];
	const char *why;

	if (!verb.len)
		return NULL; /* nothing between two semicolons */
	if (list->n == RULES_MAX)
		return "is one too many";
	*r = (struct rule){ .verb = is(verb, "tunnel")	   ? RULE_TUNNEL
				    : is(verb, "deny")	   ? RULE_DENY
				    : is(verb, "loopback") ? RULE_LOOPBACK
							   : RULE_NONE };
	if (!r->verb)
		return "does not begin with deny, tunnel or loopback";
	if (!where.len || word(&text).len)
		return "is not a verb and one destination";
	why = take_destination(r, where);
	if (!why)
		why = judge(r);
	list->n += !why;
	return why;
}

int rules_parse(struct rules *r, const char *list, struct rules_error *err)
{
	for (;;) {
		struct piece text = { list, strcspn(list, ";") };
		const char *why = take_rule(r, text);

		if (why) {
			*err = (struct rules_error){ text.s, (int)text.len, why };
			return -EINVAL;
		}
		list += text.len;
		if (!*list++)
			return 0;
	}
}

enum rule_verb rules_addr(const struct rules *list, const struct addr *to)
{
	struct addr a = *to;
	enum addr_class class;

	addr_unmap(&a);
	if (addr_classify(&a) == ADDR_UNSPEC)
		a = a.family == 6 ? (struct addr){ .family = 6, .port = a.port, .ip = { [15] = 1 } }
				  : (struct addr){ .family = 4, .port = a.port, .ip = { 127, 0, 0, 1 } };
	class = addr_classify(&a);
	for (unsigned i = 0; i < list->n; i++) {
		const struct rule *r = &list->rule[i];

		if (!r->name[0] &&
		    (!r->family || (r->family == a.family && addr_same_prefix(a.ip, r->ip, r->bits))) &&
		    a.port >= r->port_min && a.port <= r->port_max && can(r->verb, class))
			return r->verb;
	}
	return RULE_NONE;
}

static bool name_matches(const struct rule *r, const char *name, size_t len)
{
	size_t n = strlen(r->name);

	if (!r->below)
		return len == n && !strncasecmp(name, r->name, n);
	return len > n + 1 && name[len - n - 1] == '.' && !strncasecmp(name + len - n, r->name, n);
}

enum rule_verb rules_name(const struct rules *list, const char *name)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	for (unsigned i = 0; i < list->n; i++)
		if (list->rule[i].name[0] && name_matches(&list->rule[i], name, len))
			return list->rule[i].verb;
	return RULE_NONE;
}
