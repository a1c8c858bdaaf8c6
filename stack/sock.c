/* SPDX-License-Identifier: Apache-2.0 */
/* Table of sockets by cookie, and where destinations lead. */
#include "stack/sock.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

void socks_init(struct socks *a, struct loop *loop, const struct stack_cfg *cfg)
{
	memset(a, 0, sizeof(*a));
	a->loop = loop;
	a->rng = cfg->rng;
	a->cfg = *cfg;
	list_init(&a->list);
	for (int i = 0; i < SOCKS_BUCKETS; i++)
		list_init(&a->bucket[i]);
}

static struct list *bucket(struct socks *a, uint64_t cookie)
{
	return &a->bucket[cookie * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

struct sock *socks_find(struct socks *a, uint64_t cookie)
{
	list_for_each(it, bucket(a, cookie)) {
		struct sock *s = container_of(it, struct sock, hash);

		if (s->cookie == cookie)
			return s;
	}
	return NULL;
}

void socks_add(struct socks *a, struct sock *s)
{
	s->all = a;
	list_push_back(&a->list, &s->link);
	list_push_back(bucket(a, s->cookie), &s->hash);
	a->stats.connections_open++;
	a->stats.connections_total++;
}

void socks_remove(struct socks *a, struct sock *s)
{
	list_remove(&s->link);
	list_remove(&s->hash);
	a->stats.connections_open--;
}

int sock_keep_option(struct sock *s, int level, int name, int value)
{
	unsigned i = 0;

	while (i < s->n_kept && (s->kept[i].level != level || s->kept[i].name != name))
		i++;
	if (i == SOCK_KEPT_MAX)
		return ENOPROTOOPT;
	if (i == s->n_kept)
		s->n_kept++;
	s->kept[i].level = level;
	s->kept[i].name = name;
	s->kept[i].value = value;
	return 0;
}

int sock_kept_option(const struct sock *s, int level, int name, int *ret)
{
	for (unsigned i = 0; i < s->n_kept; i++)
		if (s->kept[i].level == level && s->kept[i].name == name) {
			*ret = s->kept[i].value;
			return 0;
		}
	return ENOPROTOOPT;
}

int sock_option(const struct sock *s, int level, int name, int initial)
{
	int v;

	return sock_kept_option(s, level, name, &v) == 0 ? v : initial;
}

uint16_t socks_port(struct socks *a)
{
	return (uint16_t)(32768 + rng_below(a->rng, 28232)); /* Linux's default dynamic range */
}

static bool own_server(const struct socks *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->cfg.n_dns; i++)
		if (addr_equal(a, &s->cfg.dns[i]))
			return true;
	return false;
}

static bool local_resolver(const struct addr *a)
{
	enum addr_class c = addr_classify(a);

	return a->port == 53 &&
	       (c == ADDR_UNSPEC || c == ADDR_LOOPBACK || c == ADDR_PRIVATE || c == ADDR_LINKLOCAL);
}

bool socks_loopback(const struct socks *s, struct addr *a)
{
	enum addr_class c;

	addr_unmap(a);
	c = addr_classify(a);
	if ((c != ADDR_UNSPEC && c != ADDR_LOOPBACK) || local_resolver(a) ||
	    rules_addr(&s->cfg.rules, a) == RULE_DENY)
		return false;
	if (c == ADDR_UNSPEC && a->family == 6)
		a->ip[15] = 1;
	else if (c == ADDR_UNSPEC)
		memcpy(a->ip, (uint8_t[4]){ 127, 0, 0, 1 }, 4);
	return true;
}

int socks_route(struct socks *s, struct addr *a, bool *redirected)
{
	enum addr_class c;
	enum rule_verb verb;
	const char *why = NULL;

	*redirected = false;
	addr_unmap(a);
	c = addr_classify(a);
	if (s->cfg.n_dns && local_resolver(a)) {
		*a = s->cfg.dns[s->dns_next++ % s->cfg.n_dns];
		*redirected = true;
		return 0;
	}
	verb = rules_addr(&s->cfg.rules, a);
	if (verb == RULE_TUNNEL || own_server(s, a))
		return 0;
	if (verb == RULE_DENY) {
		log_warn("a connection was refused: a rule denies it; see --rule");
		return ENETUNREACH;
	}
	switch (c) {
	case ADDR_GLOBAL: return 0;
	case ADDR_UNSPEC:
	case ADDR_LOOPBACK: why = "the loopback is not reachable from inside"; break;
	case ADDR_PRIVATE:
	case ADDR_LINKLOCAL: why = "local networks are not reachable through the mixnet"; break;
	case ADDR_MULTICAST:
	case ADDR_BROADCAST: why = "multicast and broadcast do not leave this machine"; break;
	case ADDR_RESERVED: why = "the address is reserved"; break;
	}
	log_warn("a connection was refused: %s; run it without smolmix-run", why);
	return ENETUNREACH;
}
