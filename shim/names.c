/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name lookup of the shim.
 *
 * Theory of operation (interposition.md 2.11). In this order: names that must never be asked (.onion,
 * .local), the hosts file (a name it has in one family is not asked for the other: it is local, and the
 * exit's resolver need not know of it), localhost and this host's own name (both mean loopback; asking an
 * exit's resolver for the host's name would tell it), then the tunnel. There is no search list: it would tell
 * the local domain's name to the exit's resolver. /etc/resolv.conf is not read at all.
 */
#include "shim/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "shim/real.h"
#include "shim/sock.h"

#define HOSTS_FILE "/etc/hosts"
#define LINE_MAX_LEN 1024
#define WORDS_MAX (NAMES_ALIASES_MAX + 2)

/* A scope by interface name has a meaning on the link only (RFC 4007 11); a number is taken as it is, as
 * glibc does. */
static bool take_scope(struct addr *a, const char *s)
{
	bool link = addr_classify(a) == ADDR_LINKLOCAL || (a->ip[0] == 0xff && (a->ip[1] & 15) <= 2);
	unsigned long v;
	char *end;

	a->scope = link ? if_nametoindex(s) : 0;
	if (a->scope)
		return true;
	v = strtoul(s, &end, 10);
	a->scope = (uint32_t)v;
	return isdigit((unsigned char)*s) && !*end && v <= UINT32_MAX;
}

bool names_numeric(const char *s, struct addr *ret)
{
	struct in_addr v4;
	char text[INET6_ADDRSTRLEN];
	const char *scope = strchr(s, '%');
	size_t len = scope ? (size_t)(scope - s) : strlen(s);
	struct addr a = { 0 };

	if (strpbrk(s, " \t\n") || !*s)
		return false;
	if (!scope && inet_aton(s, &v4)) {
		a.family = 4;
		memcpy(a.ip, &v4, sizeof(v4));
		*ret = a;
		return true;
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (inet_pton(AF_INET6, text, a.ip) != 1)
		return false;
	a.family = 6;
	if (scope && !take_scope(&a, scope + 1))
		return false;
	*ret = a;
	return true;
}

void names_own(struct addr *ret_v4, struct addr *ret_v6)
{
	struct ctl_req req = { .op = CTL_HELLO };
	struct ctl_brief rep;

	*ret_v4 = *ret_v6 = (struct addr){ 0 };
	if (sock_request(&req, NULL, 0, &rep) < 0)
		return;
	*ret_v4 = rep.addr;
	*ret_v6 = rep.addr2;
}

/* ---- hosts file ---- */

struct reader {
	int fd;
	char buf[2048];
	size_t at, len;
	bool eof;
};

/* One line without its comment; false at the end. Overlong lines are cut. */
static bool read_line(struct reader *r, char line[LINE_MAX_LEN])
{
	size_t n = 0;
	bool any = false;

	for (;;) {
		char c;

		if (r->at == r->len) {
			ssize_t got = r->eof ? 0 : real_read(r->fd, r->buf, sizeof(r->buf));

			r->at = 0;
			r->len = got > 0 ? (size_t)got : 0;
			r->eof = got <= 0;
			if (r->eof)
				break;
		}
		any = true;
		c = r->buf[r->at++];
		if (c == '\n')
			break;
		if (n < LINE_MAX_LEN - 1)
			line[n++] = c;
	}
	line[n] = '\0';
	line[strcspn(line, "#")] = '\0';
	return any;
}

static unsigned split(char *line, char *word[WORDS_MAX])
{
	unsigned n = 0;

	while (n < WORDS_MAX) {
		line += strspn(line, " \t\r");
		if (!*line)
			break;
		word[n++] = line;
		line += strcspn(line, " \t\r");
		if (*line)
			*line++ = '\0';
	}
	return n;
}

static void copy_name(char out[CTL_NAME_MAX + 1], const char *s)
{
	size_t n = strlen(s);

	if (n > CTL_NAME_MAX)
		n = CTL_NAME_MAX;
	memcpy(out, s, n);
	out[n] = '\0';
}

static void take_names(struct names *ret, char *const *word, unsigned n)
{
	copy_name(ret->canon, word[1]);
	for (unsigned i = 2; i < n && ret->n_alias < NAMES_ALIASES_MAX; i++)
		copy_name(ret->alias[ret->n_alias++], word[i]);
}

/* Calls for each line with an address: true from judge ends the search. */
static bool search_hosts(bool (*judge)(void *ctx, const struct addr *a, char *const *word, unsigned n),
			 void *ctx)
{
	struct reader r = { .fd = real_open(HOSTS_FILE, O_RDONLY | O_CLOEXEC) };
	char line[LINE_MAX_LEN];
	char *word[WORDS_MAX];
	struct addr a;
	bool found = false;

	if (r.fd < 0)
		return false;
	while (!found && read_line(&r, line)) {
		unsigned n = split(line, word);

		if (n >= 2 && names_numeric(word[0], &a))
			found = judge(ctx, &a, word, n);
	}
	real_close(r.fd);
	return found;
}

struct by_name {
	const char *name;
	uint8_t family;
	struct names *ret;
	bool known; /* in whatever family */
};

/* A later line of the same name: its other names are aliases too. */
static void more_names(struct names *ret, char *const *word, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		bool new = strcasecmp(word[i], ret->canon) != 0;

		for (unsigned k = 0; k < ret->n_alias; k++)
			new = new &&strcasecmp(word[i], ret->alias[k]) != 0;
		if (new && ret->n_alias < NAMES_ALIASES_MAX)
			copy_name(ret->alias[ret->n_alias++], word[i]);
	}
}

static bool judge_name(void *ctx, const struct addr *a, char *const *word, unsigned n)
{
	struct by_name *q = ctx;
	bool hit = false;

	for (unsigned i = 1; i < n; i++)
		hit = hit || !strcasecmp(word[i], q->name);
	q->known = q->known || hit;
	if (hit && (q->family == 0 || q->family == a->family) && q->ret->n < CTL_ADDRS_MAX) {
		if (q->ret->n == 0)
			take_names(q->ret, word, n);
		else
			more_names(q->ret, word, n);
		q->ret->addr[q->ret->n++] = *a;
	}
	return false; /* a name may have several lines */
}

struct by_addr {
	const struct addr *addr;
	struct names *ret;
};

static bool judge_addr(void *ctx, const struct addr *a, char *const *word, unsigned n)
{
	struct by_addr *q = ctx;

	if (!addr_equal_ip(a, q->addr))
		return false;
	take_names(q->ret, word, n);
	return true;
}

/* ---- this host ---- */

static bool ends_in(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n >= d && !strcasecmp(name + n - d, domain) && (n == d || name[n - d - 1] == '.');
}

bool names_unasked(const char *full)
{
	char name[CTL_NAME_MAX + 1];
	size_t len;

	copy_name(name, full);
	len = strlen(name);
	if (len && name[len - 1] == '.')
		name[len - 1] = '\0';
	return ends_in(name, "onion") || ends_in(name, "local") || ends_in(name, "localhost");
}

static bool is_this_host(const char *name)
{
	struct utsname u;

	return ends_in(name, "localhost") || (uname(&u) == 0 && !strcasecmp(name, u.nodename));
}

static void loopback(const char *name, uint8_t family, struct names *ret)
{
	copy_name(ret->canon, name);
	if (family != 4)
		ret->addr[ret->n++] = (struct addr){ .family = 6, .ip = { [15] = 1 } };
	if (family != 6)
		ret->addr[ret->n++] = (struct addr){ .family = 4, .ip = { 127, 0, 0, 1 } };
}

/* ---- the tunnel ---- */

/* What glibc takes for the name of a host: letters, digits, '-', '_', no '-' in front, labels of 1 to 63 (RFC
 * 1123 2.1). An address is none. Both ways: a question that could have no good answer is not asked, and no
 * shell's special characters come out of a PTR record. */
static bool is_host_name(const char *name)
{
	size_t label = 0;
	struct addr a;

	if (*name == '-' || names_numeric(name, &a))
		return false;
	for (; *name; name++) {
		bool dot = *name == '.';

		if (dot ? !label
			: (*name & 0x80 || !(isalnum(*name) || *name == '-' || *name == '_')) || ++label > 63)
			return false;
		label = dot ? 0 : label;
	}
	return label > 0;
}

static enum ctl_dns ask(const char *name, uint8_t family, struct names *ret)
{
	struct ctl_req req = { .op = CTL_RESOLVE, .family = family };
	struct ctl_rep *rep = &ret->reply;
	int r;

	if (!is_host_name(name))
		return CTL_DNS_NONAME;
	copy_name(req.name, name);
	r = sock_lookup(&req, rep);
	if (r < 0)
		return CTL_DNS_AGAIN;
	if (rep->dns != CTL_DNS_OK)
		return rep->dns;
	for (unsigned i = 0; i < rep->n_addrs && i < CTL_ADDRS_MAX; i++)
		if (family == 0 || rep->addrs[i].family == family)
			ret->addr[ret->n++] = rep->addrs[i];
	/* The cache knows names in one spelling; DNS answers repeat the question's. */
	copy_name(ret->canon, is_host_name(rep->name) && strcasecmp(rep->name, name) ? rep->name : name);
	if (strcasecmp(ret->canon, name))
		copy_name(ret->alias[ret->n_alias++], name);
	return ret->n ? CTL_DNS_OK : CTL_DNS_NODATA;
}

enum ctl_dns names_lookup(const char *full, uint8_t family, struct names *ret)
{
	char name[CTL_NAME_MAX + 1];
	size_t len = strlen(full);
	struct by_name q = { name, family, ret, false };

	*ret = (struct names){ .n = 0 };
	if (len && full[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return CTL_DNS_NONAME;
	memcpy(name, full, len);
	name[len] = '\0';
	if (ends_in(name, "onion"))
		return CTL_DNS_NONAME; /* in a hosts file neither */
	search_hosts(judge_name, &q);
	if (q.known)
		return ret->n ? CTL_DNS_OK : CTL_DNS_NODATA;
	if (is_this_host(name)) {
		loopback(name, family, ret);
		return CTL_DNS_OK;
	}
	if (names_unasked(name))
		return CTL_DNS_NONAME;
	return ask(name, family, ret);
}

enum ctl_dns names_reverse(const struct addr *a, struct names *ret)
{
	struct ctl_req req = { .op = CTL_REVERSE, .addr = *a };
	struct ctl_rep *rep = &ret->reply;
	struct by_addr q = { &req.addr, ret };

	*ret = (struct names){ .n = 1 };
	req.addr.port = 0;
	addr_unmap(&req.addr);
	ret->addr[0] = req.addr;
	if (search_hosts(judge_addr, &q))
		return CTL_DNS_OK;
	if (addr_classify(&req.addr) == ADDR_LOOPBACK) {
		copy_name(ret->canon, "localhost");
		return CTL_DNS_OK;
	}
	if (addr_classify(&req.addr) != ADDR_GLOBAL)
		return CTL_DNS_NONAME;
	if (sock_lookup(&req, rep) < 0)
		return CTL_DNS_AGAIN;
	if (rep->dns != CTL_DNS_OK)
		return rep->dns;
	if (!is_host_name(rep->name))
		return CTL_DNS_NONAME;
	copy_name(ret->canon, rep->name);
	return CTL_DNS_OK;
}
