/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a real zone, asked in every way libc offers. One line per question, so that the bare and the
 * shimmed run can be laid side by side; names.py serves the zone, the hosts file and resolv.conf, and has the
 * reviewed differences.
 */
#include <limits.h>
#include <locale.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>

#include "t.h"
#include "t_eai.h"
#include "t_main.h"

#define Z "smolmix.test"

/* " family/type/protocol address port" of each, and the canonical name where it stands. */
static void put_list(const struct addrinfo *l)
{
	for (; l; l = l->ai_next) {
		char ip[INET6_ADDRSTRLEN] = "?";
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)l->ai_addr;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)l->ai_addr;
		bool six = l->ai_family == AF_INET6;

		inet_ntop(l->ai_family, six ? (const void *)&v6->sin6_addr : &v4->sin_addr, ip, sizeof(ip));
		printf(" %d/%d/%d %s", l->ai_family, l->ai_socktype, l->ai_protocol, ip);
		if (six && v6->sin6_scope_id)
			printf("%%%u", v6->sin6_scope_id);
		printf(" %u", ntohs(six ? v6->sin6_port : v4->sin_port));
		if (l->ai_canonname)
			printf(" (%s)", l->ai_canonname);
		if (l->ai_addrlen != (six ? sizeof(*v6) : sizeof(*v4)))
			printf(" length %u", l->ai_addrlen);
	}
	putchar('\n');
	fflush(stdout);
}

struct question {
	const char *node, *service;
	int flags, family, type, protocol;
};

static const char *shown(const char *s)
{
	return !s ? "NULL" : strlen(s) < 80 ? s : "LONG";
}

static void ask(const struct question *q, bool no_hints)
{
	struct addrinfo hints = { .ai_flags = q->flags,
				  .ai_family = q->family,
				  .ai_socktype = q->type,
				  .ai_protocol = q->protocol };
	struct addrinfo *ret = NULL;
	int e;

	printf("gai %s %s", shown(q->node), shown(q->service));
	if (no_hints)
		printf(" nohints:");
	else
		printf(" %x %d %d %d:", (unsigned)q->flags, q->family, q->type, q->protocol);
	fflush(stdout);
	errno = 0;
	e = getaddrinfo(q->node, q->service, no_hints ? NULL : &hints, &ret);
	printf(" %s%s%s", t_eai(e), e == EAI_SYSTEM ? " " : "",
	       e == EAI_SYSTEM ? strerrorname_np(errno) : "");
	put_list(e ? NULL : ret);
	if (e == 0)
		freeaddrinfo(ret);
}

#define S SOCK_STREAM
#define LABEL63 "a12345678901234567890123456789012345678901234567890123456789012"
#define NAME250                                                                                              \
	LABEL63 "." LABEL63 "." LABEL63 "."                                                                  \
		"a1234567890123456789012345678901234567890123456789012345678"

static const struct question questions[] = {
	/* families, types, services */
	{ "www." Z, "80", 0, 0, S, 0 },
	{ "www." Z, "80", 0, AF_INET, S, 0 },
	{ "www." Z, "80", 0, AF_INET6, S, 0 },
	{ "www." Z, "http", 0, AF_INET, 0, 0 },
	{ "www." Z, "domain", 0, AF_INET, 0, 0 },
	{ "www." Z, NULL, 0, 0, 0, 0 },
	{ "www." Z, "80", 0, 0, SOCK_DGRAM, 0 },
	{ "www." Z, "80", 0, 0, 0, IPPROTO_UDP },
	{ "www." Z, "nosuchservice", 0, 0, 0, 0 },
	{ "www." Z, "http", AI_NUMERICSERV, 0, S, 0 },
	{ "www." Z, "80", AI_PASSIVE, 0, S, 0 },
	{ "v4only." Z, "80", 0, 0, S, 0 },
	{ "v4only." Z, "80", 0, AF_INET6, S, 0 },
	{ "v6only." Z, "80", 0, 0, S, 0 },
	{ "v6only." Z, "80", 0, AF_INET, S, 0 },
	/* mapping, ADDRCONFIG */
	{ "v4only." Z, "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "v6only." Z, "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "www." Z, "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "www." Z, "80", AI_V4MAPPED | AI_ALL, AF_INET6, S, 0 },
	{ "www." Z, "80", AI_ALL, AF_INET6, S, 0 },
	{ "v4only." Z, "80", AI_V4MAPPED | AI_ALL, AF_INET6, S, 0 },
	{ "nothing." Z, "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "www." Z, "80", AI_V4MAPPED, 0, S, 0 },
	{ "www." Z, "80", AI_ADDRCONFIG, 0, S, 0 },
	{ "www." Z, "80", AI_ADDRCONFIG, AF_INET6, S, 0 },
	{ "1.2.3.4", "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "1.2.3.4", "80", AI_V4MAPPED | AI_ALL, AF_INET6, S, 0 },
	{ "1.2.3.4", "80", 0, AF_INET6, S, 0 },
	{ "::ffff:1.2.3.4", "80", 0, AF_INET, S, 0 },
	{ "::ffff:1.2.3.4", "80", 0, AF_INET6, S, 0 },
	{ "2a0e::1", "80", 0, AF_INET, S, 0 },
	/* numbers are never asked */
	{ "1.2.3", "80", 0, 0, S, 0 },
	{ "1.2", "80", 0, 0, S, 0 },
	{ "16909060", "80", 0, 0, S, 0 },
	{ "0x01020304", "80", 0, 0, S, 0 },
	{ "010.1.1.1", "80", 0, 0, S, 0 },
	{ "0x1.2.3.4", "80", 0, 0, S, 0 },
	{ "1.2.3.4.", "80", 0, 0, S, 0 },
	{ "1.2.3.256", "80", 0, 0, S, 0 },
	{ "4294967296", "80", 0, 0, S, 0 },
	{ " 1.2.3.4", "80", 0, 0, S, 0 },
	{ "1.2.3.4 x", "80", 0, 0, S, 0 },
	{ "fe80::1%lo", "80", 0, 0, S, 0 },
	{ "fe80::1%1", "80", 0, 0, S, 0 },
	{ "fe80::1%77", "80", 0, 0, S, 0 },
	{ "fe80::1%nosuch", "80", 0, 0, S, 0 },
	{ "2a0e::1%7", "80", 0, 0, S, 0 },
	{ "2a0e::1%lo", "80", 0, 0, S, 0 },
	{ "ff02::1%lo", "80", 0, 0, S, 0 },
	{ "fe80::1%", "80", 0, 0, S, 0 },
	{ "1.2.3.4%lo", "80", 0, 0, S, 0 },
	{ "::1", "80", 0, 0, S, 0 },
	{ "1:2:3:4:5:6:7:8:9", "80", 0, 0, S, 0 },
	{ "www." Z, "80", AI_NUMERICHOST, 0, S, 0 },
	{ "1.2.3.4", "80", AI_CANONNAME, 0, S, 0 },
	{ "127.1", "80", AI_CANONNAME, 0, S, 0 },
	{ "fe80::1%1", "80", AI_CANONNAME, 0, S, 0 },
	{ "1.2.3.4", NULL, 0, 0, 0, 0 },
	/* nothing, stars, bad hints */
	{ NULL, "80", 0, 0, S, 0 },
	{ NULL, "80", AI_PASSIVE, 0, S, 0 },
	{ NULL, "80", AI_PASSIVE, AF_INET6, 0, 0 },
	{ NULL, NULL, 0, 0, 0, 0 },
	{ "", "80", 0, 0, S, 0 },
	{ "*", "80", 0, 0, S, 0 },
	{ "*", "*", 0, 0, S, 0 },
	{ NULL, "80", AI_CANONNAME, 0, S, 0 },
	{ "www." Z, "80", 0x100000, 0, S, 0 },
	{ "www." Z, "80", 0, AF_UNIX, S, 0 },
	{ "www." Z, "80", 0, 0, 99, 0 },
	{ "www." Z, "80", 0, 0, S, IPPROTO_UDP },
	{ "www." Z, "-1", 0, AF_INET, S, 0 },
	{ "www." Z, "65536", 0, AF_INET, S, 0 },
	{ "www." Z, "80x", 0, AF_INET, S, 0 },
	{ "www." Z, "", 0, AF_INET, S, 0 },
	{ "www." Z, " 80", 0, AF_INET, S, 0 },
	{ "www." Z, "80", 0, AF_INET, SOCK_RAW, 0 },
	{ "www." Z, NULL, 0, AF_INET, SOCK_RAW, 89 },
	{ "www." Z, NULL, 0, AF_INET, 0, 89 },
	/* canonical names and chains */
	{ "www." Z, "80", AI_CANONNAME, 0, S, 0 },
	{ "www." Z ".", "80", AI_CANONNAME, 0, S, 0 },
	{ "alias." Z, "80", AI_CANONNAME, 0, S, 0 },
	{ "alias." Z, "80", AI_CANONNAME, AF_INET6, S, 0 },
	{ "chain1." Z, "80", AI_CANONNAME, 0, 0, 0 },
	{ "chain1." Z, "80", 0, AF_INET, S, 0 },
	{ "dangling." Z, "80", 0, 0, S, 0 },
	{ "toempty." Z, "80", 0, 0, S, 0 },
	{ "loop1." Z, "80", 0, 0, S, 0 },
	{ "alias." Z, "80", AI_CANONNAME | AI_V4MAPPED, AF_INET6, S, 0 },
	{ "alias4." Z, "80", AI_CANONNAME | AI_V4MAPPED, AF_INET6, S, 0 },
	/* nothing there */
	{ "nothing." Z, "80", 0, 0, S, 0 },
	{ "nothing." Z, "80", 0, AF_INET, S, 0 },
	{ "nothing." Z, "80", AI_CANONNAME, AF_INET6, S, 0 },
	{ "empty." Z, "80", 0, 0, S, 0 },
	{ "empty." Z, "80", 0, AF_INET, S, 0 },
	{ "empty." Z, "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "servfail." Z, "80", 0, 0, S, 0 },
	{ "servfail." Z, "80", 0, AF_INET, S, 0 },
	{ "refused." Z, "80", 0, AF_INET, S, 0 },
	{ "formerr." Z, "80", 0, AF_INET, S, 0 },
	{ "half." Z, "80", 0, 0, S, 0 },
	{ "half6." Z, "80", 0, 0, S, 0 },
	{ "mixed." Z, "80", 0, 0, S, 0 },
	/* many, and their order */
	{ "many." Z, "80", 0, 0, S, 0 },
	{ "big." Z, "80", 0, AF_INET, S, 0 },
	{ "order." Z, "80", 0, 0, S, 0 },
	{ "order6." Z, "80", 0, AF_INET6, S, 0 },
	{ "scopes." Z, "80", 0, 0, S, 0 },
	{ "scopes." Z, "80", AI_V4MAPPED | AI_ALL, AF_INET6, S, 0 },
	/* names as such */
	{ "WWW.SmolMix.Test", "80", AI_CANONNAME, AF_INET, S, 0 },
	{ "under_score." Z, "80", 0, AF_INET, S, 0 },
	{ "-dash." Z, "80", 0, AF_INET, S, 0 },
	{ "star*." Z, "80", 0, AF_INET, S, 0 },
	{ "a..b", "80", 0, 0, S, 0 },
	{ ".", "80", 0, 0, S, 0 },
	{ "..", "80", 0, 0, S, 0 },
	{ ".www." Z, "80", 0, 0, S, 0 },
	{ "www." Z "..", "80", 0, 0, S, 0 },
	{ "w ww." Z, "80", 0, 0, S, 0 },
	{ LABEL63 "." Z, "80", 0, AF_INET, S, 0 },
	{ LABEL63 "3." Z, "80", 0, AF_INET, S, 0 },
	{ NAME250, "80", 0, AF_INET, S, 0 },
	{ NAME250 "." Z, "80", 0, AF_INET, S, 0 },
	{ "ba\\100d." Z, "80", 0, AF_INET, S, 0 },
	/* international names */
	{ "b\xc3\xbc"
	  "cher." Z,
	  "80", 0, AF_INET, S, 0 },
	{ "b\xc3\xbc"
	  "cher." Z,
	  "80", AI_IDN, AF_INET, S, 0 },
	{ "b\xc3\xbc"
	  "cher." Z,
	  "80", AI_IDN | AI_CANONNAME, AF_INET, S, 0 },
	{ "b\xc3\xbc"
	  "cher." Z,
	  "80", AI_IDN | AI_CANONNAME | AI_CANONIDN, AF_INET, S, 0 },
	{ "xn--bcher-kva." Z, "80", AI_CANONNAME | AI_CANONIDN, AF_INET, S, 0 },
	{ "xn--bcher-kva." Z, "80", AI_CANONNAME, AF_INET, S, 0 },
	{ "www." Z, "80", AI_IDN | AI_CANONNAME, AF_INET, S, 0 },
	{ "b\xff\xfe"
	  "d." Z,
	  "80", AI_IDN, AF_INET, S, 0 },
	{ "b\xc3\xbc"
	  "cher." Z,
	  "80", AI_NUMERICHOST, AF_INET, S, 0 },
	/* what must not be asked */
	{ "abcdef.onion", "80", 0, 0, S, 0 },
	{ "printer.local", "80", 0, 0, S, 0 },
	{ "localhost", "80", 0, 0, S, 0 },
	{ "localhost", "80", 0, AF_INET, S, 0 },
	{ "localhost", "80", AI_ADDRCONFIG, 0, S, 0 },
	{ "localhost.", "80", AI_CANONNAME, 0, S, 0 },
	{ "x.localhost", "80", 0, 0, S, 0 },
	{ "x.localhost", "80", 0, AF_INET6, S, 0 },
	/* hosts file */
	{ "fileboth", "80", AI_CANONNAME, 0, S, 0 },
	{ "FileBoth", "80", AI_CANONNAME, AF_INET, S, 0 },
	{ "filealias", "80", AI_CANONNAME, 0, S, 0 },
	{ "file4", "80", 0, AF_INET6, S, 0 },
	{ "file4", "80", AI_V4MAPPED, AF_INET6, S, 0 },
	{ "file6", "80", 0, AF_INET, S, 0 },
	{ "filetwice", "80", AI_CANONNAME, AF_INET, S, 0 },
	{ "file4.", "80", 0, AF_INET, S, 0 },
	{ "file." Z, "80", 0, 0, S, 0 },
	/* search list and ndots */
	{ "www", "80", 0, AF_INET, S, 0 },
	{ "www", "80", AI_CANONNAME, AF_INET, S, 0 },
	{ "single", "80", 0, AF_INET, S, 0 },
	{ "single.", "80", 0, AF_INET, S, 0 },
	{ "a.sub", "80", 0, AF_INET, S, 0 },
	{ "nosuchlabel", "80", 0, AF_INET, S, 0 },
};

static void all_questions(void)
{
	static const struct question plain[] = { { "www." Z, "80", 0, 0, 0, 0 },
						 { "v4only." Z, NULL, 0, 0, 0, 0 },
						 { "1.2.3.4", "80", 0, 0, 0, 0 },
						 { NULL, "http", 0, 0, 0, 0 },
						 { "nothing." Z, NULL, 0, 0, 0, 0 } };

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		ask(&questions[i], false);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		ask(&plain[i], true);
}

/* ---- gethostbyname and relatives ---- */

static void put_host(const struct hostent *h, int herr)
{
	if (!h) {
		printf(" none h_errno %d\n", herr);
		return;
	}
	printf(" %s %d/%d", h->h_name, h->h_addrtype, h->h_length);
	for (char **a = h->h_aliases; *a; a++)
		printf(" alias %s", *a);
	for (char **a = h->h_addr_list; *a; a++) {
		char ip[INET6_ADDRSTRLEN];

		printf(" %s", inet_ntop(h->h_addrtype, *a, ip, sizeof(ip)));
	}
	putchar('\n');
	fflush(stdout);
}

static void by_name(const char *name, int af)
{
	printf("gethostbyname2 %s %d:", shown(name), af);
	h_errno = 77;
	put_host(gethostbyname2(name, af), h_errno);
}

/* The growth protocol: doubled until it fits; what ERANGE leaves behind. */
static void by_name_r(const char *name, int af)
{
	char buf[65536];
	struct hostent h, *ret = &h;
	int herr = 77, r = ERANGE, sizes = 0;

	printf("gethostbyname2_r %s %d:", shown(name), af);
	for (size_t cap = 4; r == ERANGE && cap <= sizeof(buf); cap *= 2, sizes++) {
		ret = &h;
		r = gethostbyname2_r(name, af, &h, buf, cap, &ret, &herr);
		if (r == ERANGE && (ret || herr != NETDB_INTERNAL))
			printf(" odd(%d)", herr);
	}
	printf(" %s%s", r ? strerrorname_np(r) : "ok", ret && sizes > 1 ? " grown" : "");
	put_host(ret, herr);
}

static void by_addr(const char *ip, int af, socklen_t len)
{
	unsigned char raw[16];
	char buf[8192];
	struct hostent h, *ret = &h;
	int herr = 77, r;

	inet_pton(af == AF_INET6 ? AF_INET6 : AF_INET, ip, raw);
	printf("gethostbyaddr %s %d %u:", ip, af, len);
	h_errno = 77;
	put_host(gethostbyaddr(raw, len, af), h_errno);
	printf("gethostbyaddr_r %s %d %u:", ip, af, len);
	r = gethostbyaddr_r(raw, len, af, &h, buf, sizeof(buf), &ret, &herr);
	printf(" %s", r ? strerrorname_np(r) : "ok");
	put_host(ret, herr);
	if (!ret)
		return;
	r = gethostbyaddr_r(raw, len, af, &h, buf, 8, &ret, &herr);
	printf("gethostbyaddr_r %s small: %s %s %d\n", ip, r ? strerrorname_np(r) : "ok",
	       ret ? "found" : "none", herr);
}

static void hosts(void)
{
	static const char *const names[] = { "www." Z,	   "v4only." Z,	 "v6only." Z,	"alias." Z,
					     "chain1." Z,  "nothing." Z, "empty." Z,	"servfail." Z,
					     "many." Z,	   "1.2.3.4",	 "127.1",	"::1",
					     "fe80::1%lo", "1.2.3.4.",	 "localhost",	"fileboth",
					     "filealias",  "filetwice",	 "file6",	"x.onion",
					     "",	   ".",		 NAME250 "." Z, "WWW." Z ".",
					     "dangling." Z };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		by_name(names[i], AF_INET);
		by_name(names[i], AF_INET6);
		by_name_r(names[i], AF_INET);
		by_name_r(names[i], AF_INET6);
	}
	printf("gethostbyname www:");
	put_host(gethostbyname("www." Z), h_errno);
	by_name_r("www." Z, AF_UNIX);
	by_addr("192.88.99.80", AF_INET, 4);
	by_addr("2a0e:dead:beef::80", AF_INET6, 16);
	by_addr("192.88.99.81", AF_INET, 4);
	by_addr("192.88.99.82", AF_INET, 4);
	by_addr("127.0.0.1", AF_INET, 4);
	by_addr("::1", AF_INET6, 16);
	by_addr("::ffff:192.88.99.80", AF_INET6, 16);
	by_addr("192.88.99.200", AF_INET, 4);
	by_addr("192.168.77.77", AF_INET, 4);
	by_addr("192.88.99.80", AF_INET, 3);
	by_addr("192.88.99.80", AF_INET6, 4);
	by_addr("192.88.99.80", AF_UNIX, 4);
}

/* ---- getnameinfo ---- */

static void back(const char *ip, uint16_t port, int flags, socklen_t host_len, socklen_t serv_len)
{
	char host[NI_MAXHOST] = "", serv[NI_MAXSERV] = "";
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_scope_id = strchr(ip, '%') ? 1 : 0 };
	char text[64];
	int e;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(ip, "%"), ip);
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		e = getnameinfo((struct sockaddr *)&v4, sizeof(v4), host_len ? host : NULL, host_len,
				serv_len ? serv : NULL, serv_len, flags);
	else
		e = inet_pton(AF_INET6, text, &v6.sin6_addr) == 1
			    ? getnameinfo((struct sockaddr *)&v6, sizeof(v6), host_len ? host : NULL,
					  host_len, serv_len ? serv : NULL, serv_len, flags)
			    : 77;
	printf("getnameinfo %s %u %x %u %u: %s %s %s\n", ip, port, (unsigned)flags, host_len, serv_len,
	       t_eai(e), e ? "" : host, e ? "" : serv);
}

static void backwards(void)
{
	static const int flags[] = { 0,
				     NI_NUMERICHOST,
				     NI_NUMERICSERV,
				     NI_NOFQDN,
				     NI_NAMEREQD,
				     NI_DGRAM,
				     NI_IDN,
				     NI_NUMERICHOST | NI_NUMERICSERV,
				     NI_NAMEREQD | NI_NUMERICHOST,
				     NI_NOFQDN | NI_NAMEREQD,
				     0x10000 };
	static const char *const ips[] = {
		"192.88.99.80", "2a0e:dead:beef::80", "192.88.99.200",	     "127.0.0.1", "::1",
		"192.88.99.83", "fe80::1%lo",	      "::ffff:192.88.99.80", "0.0.0.0"
	};
	struct sockaddr_in short_one = { .sin_family = AF_INET };
	char host[64];

	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++)
		for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++)
			back(ips[i], 514, flags[f], NI_MAXHOST, NI_MAXSERV);
	back("192.88.99.81", 80, 0, NI_MAXHOST, NI_MAXSERV);
	back("192.168.77.77", 80, 0, NI_MAXHOST, NI_MAXSERV);
	back("192.88.99.80", 80, 0, 5, NI_MAXSERV);
	back("192.88.99.80", 80, NI_NUMERICHOST, 5, NI_MAXSERV);
	back("192.88.99.80", 80, 0, NI_MAXHOST, 2);
	back("192.88.99.80", 80, 0, NI_MAXHOST, 0);
	back("192.88.99.80", 80, 0, 0, NI_MAXSERV);
	back("192.88.99.80", 80, 0, 0, 0);
	back("192.88.99.80", 0, 0, NI_MAXHOST, NI_MAXSERV);
	printf("getnameinfo short: %s\n",
	       t_eai(getnameinfo((struct sockaddr *)&short_one, 8, host, sizeof(host), NULL, 0, 0)));
	short_one.sin_family = AF_APPLETALK;
	printf("getnameinfo family: %s\n", t_eai(getnameinfo((struct sockaddr *)&short_one, sizeof(short_one),
							     host, sizeof(host), NULL, 0, 0)));
}

/* ---- getaddrinfo_a ---- */

static volatile sig_atomic_t told;

static void on_told(int sig, siginfo_t *si, void *ctx)
{
	told = si->si_code == SI_ASYNCNL ? si->si_value.sival_int : -1;
}

static void asynchronous(void)
{
	struct addrinfo hints = { .ai_socktype = S, .ai_family = AF_INET };
	struct gaicb one = { .ar_name = "www." Z, .ar_service = "80", .ar_request = &hints },
		     two = { .ar_name = "nothing." Z, .ar_request = &hints };
	struct gaicb *list[] = { &one, NULL, &two };
	const struct gaicb *waited[] = { &one, &two };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	struct sigevent sig = { .sigev_notify = SIGEV_SIGNAL,
				.sigev_signo = SIGUSR1,
				.sigev_value = { .sival_int = 42 } };
	struct sigaction sa = { .sa_sigaction = on_told, .sa_flags = SA_SIGINFO };
	const struct timespec limit = { 20, 0 };

	printf("getaddrinfo_a wait: %s", t_eai(getaddrinfo_a(GAI_WAIT, list, 3, NULL)));
	printf(" %s %s", t_eai(gai_error(&one)), t_eai(gai_error(&two)));
	put_list(one.ar_result);
	freeaddrinfo(one.ar_result);
	one.ar_result = NULL;
	printf("getaddrinfo_a nowait: %s", t_eai(getaddrinfo_a(GAI_NOWAIT, list, 3, &none)));
	while (gai_error(&one) == EAI_INPROGRESS || gai_error(&two) == EAI_INPROGRESS)
		gai_suspend(waited, 2, &limit);
	printf(" %s %s", t_eai(gai_error(&one)), t_eai(gai_error(&two)));
	printf(" suspend %s cancel %s", t_eai(gai_suspend(waited, 2, &limit)), t_eai(gai_cancel(&one)));
	put_list(one.ar_result);
	freeaddrinfo(one.ar_result);
	one.ar_result = NULL;
	sigaction(SIGUSR1, &sa, NULL);
	printf("getaddrinfo_a signal: %s", t_eai(getaddrinfo_a(GAI_NOWAIT, list, 1, &sig)));
	for (int i = 0; i < 500 && !told; i++)
		poll(NULL, 0, 20);
	printf(" told %d", (int)told);
	put_list(one.ar_result);
	printf("getaddrinfo_a mode: %s\n", t_eai(getaddrinfo_a(9, list, 1, NULL)));
}

/* ---- raw answers ---- */

static void put_answer(int n, const unsigned char *a)
{
	if (n < 0)
		printf(" none h_errno %d\n", h_errno);
	else
		printf(" %s rcode %d counts %d %d\n", n > 12 ? "answer" : "header", a[3] & 15,
		       a[4] << 8 | a[5], a[6] << 8 | a[7]);
	fflush(stdout);
}

/* An answer that the buffer is too small for: how long it is, so that a program can ask with a larger one. */
static void put_cut(const char *name, int type, int n, const unsigned char *a)
{
	printf("cut %s %d: length %d", name, type, n);
	if (n >= 12)
		printf(" truncated %d rcode %d counts %d %d", !!(a[2] & 2), a[3] & 15, a[4] << 8 | a[5],
		       a[6] << 8 | a[7]);
	printf("\n");
}

/* The spelling of old programs, which the headers do not know any more. */
#ifdef __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif
#define OLD(name) __asm__(".symver old_" #name ",__" #name "@" FIRST_VERSION)
OLD(res_query);
OLD(res_search);
OLD(res_querydomain);
OLD(res_send);
OLD(res_nquery);
OLD(res_nsearch);
OLD(res_nquerydomain);
OLD(res_nsend);
int old_res_query(const char *name, int class, int type, unsigned char *out, int cap);
int old_res_search(const char *name, int class, int type, unsigned char *out, int cap);
int old_res_querydomain(const char *name, const char *domain, int class, int type, unsigned char *out,
			int cap);
int old_res_send(const unsigned char *q, int len, unsigned char *out, int cap);
int old_res_nquery(res_state st, const char *name, int class, int type, unsigned char *out, int cap);
int old_res_nsearch(res_state st, const char *name, int class, int type, unsigned char *out, int cap);
int old_res_nquerydomain(res_state st, const char *name, const char *domain, int class, int type,
			 unsigned char *out, int cap);
int old_res_nsend(res_state st, const unsigned char *q, int len, unsigned char *out, int cap);

static const struct {
	const char *spelling;
	int (*query)(const char *name, int class, int type, unsigned char *out, int cap);
	int (*search)(const char *name, int class, int type, unsigned char *out, int cap);
	int (*querydomain)(const char *name, const char *domain, int class, int type, unsigned char *out,
			   int cap);
	int (*send)(const unsigned char *q, int len, unsigned char *out, int cap);
	int (*nquery)(res_state st, const char *name, int class, int type, unsigned char *out, int cap);
	int (*nsearch)(res_state st, const char *name, int class, int type, unsigned char *out, int cap);
	int (*nquerydomain)(res_state st, const char *name, const char *domain, int class, int type,
			    unsigned char *out, int cap);
	int (*nsend)(res_state st, const unsigned char *q, int len, unsigned char *out, int cap);
} family[] = {
	{ "new", res_query, res_search, res_querydomain, res_send, res_nquery, res_nsearch, res_nquerydomain,
	  res_nsend },
	{ "old", old_res_query, old_res_search, old_res_querydomain, old_res_send, old_res_nquery,
	  old_res_nsearch, old_res_nquerydomain, old_res_nsend },
};

static void raw(void)
{
	static const struct {
		const char *name;
		int type;
	} asked[] = { { "www." Z, 1 },
		      { "www." Z, 28 },
		      { "www." Z, 16 },
		      { "alias." Z, 1 },
		      { "nothing." Z, 1 },
		      { "empty." Z, 1 },
		      { "servfail." Z, 1 },
		      { "big." Z, 1 },
		      { "bigtxt." Z, 16 },
		      { "www", 1 },
		      { "", 1 },
		      { "a..b", 1 },
		      { "abcdef.onion", 1 },
		      { "printer.local.", 1 },
		      { "x.localhost", 1 } };
	struct __res_state st = { 0 };
	unsigned char out[8192], q[512];
	int len;

	printf("res_ninit: %d\n", res_ninit(&st));
	len = res_mkquery(ns_o_query, "www." Z, 1, 1, NULL, 0, NULL, q, sizeof(q));
	for (size_t f = 0; f < 2; f++) {
		printf("spelling %s\n", family[f].spelling);
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			printf("res_query %s %d:", asked[i].name, asked[i].type);
			h_errno = 77;
			put_answer(family[f].query(asked[i].name, 1, asked[i].type, out, sizeof(out)), out);
		}
		printf("res_nquery:");
		put_answer(family[f].nquery(&st, "www." Z, 1, 1, out, sizeof(out)), out);
		printf("res_search:");
		put_answer(family[f].search("www." Z, 1, 1, out, sizeof(out)), out);
		printf("res_nsearch:");
		put_answer(family[f].nsearch(&st, "nothing." Z, 1, 1, out, sizeof(out)), out);
		printf("res_search by search list:");
		put_answer(family[f].search("www", 1, 1, out, sizeof(out)), out);
		printf("res_querydomain:");
		put_answer(family[f].querydomain("www", Z, 1, 1, out, sizeof(out)), out);
		printf("res_nquerydomain:");
		put_answer(family[f].nquerydomain(&st, "www", Z, 1, 16, out, sizeof(out)), out);
		printf("res_send:");
		put_answer(family[f].send(q, len, out, sizeof(out)), out);
		printf("res_nsend:");
		put_answer(family[f].nsend(&st, q, len, out, sizeof(out)), out);
		printf("res_send small:");
		put_answer(family[f].send(q, len, out, 20), out);
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			st.res_h_errno = 77;
			printf("res_nquery %s %d:", asked[i].name, asked[i].type);
			put_answer(family[f].nquery(&st, asked[i].name, 1, asked[i].type, out, sizeof(out)),
				   out);
			printf("its own h_errno %d\n", st.res_h_errno);
		}
		put_cut("big." Z, 1, family[f].query("big." Z, 1, 1, out, 600), out);
		put_cut("bigtxt." Z, 16, family[f].query("bigtxt." Z, 1, 16, out, 600), out);
		put_cut("bigtxt." Z, 16, family[f].nquery(&st, "bigtxt." Z, 1, 16, out, 100), out);
	}
	res_nclose(&st);
}

/* ---- where the stack is small ---- */

static void *with_little_stack(void *arg)
{
	static const struct question asked[] = {
		{ "192.88.99.80", "80", AI_NUMERICHOST, AF_INET, S, 0 },
		{ "www." Z, "http", 0, AF_UNSPEC, S, 0 },
		{ "fileboth", "80", AI_CANONNAME, AF_UNSPEC, S, 0 },
	};
	static unsigned char out[8192];
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		ask(&asked[i], false);
	by_name("www." Z, AF_INET);
	inet_pton(AF_INET, "192.88.99.80", &a.sin_addr);
	printf("gethostbyaddr:");
	put_host(gethostbyaddr(&a.sin_addr, sizeof(a.sin_addr), AF_INET), h_errno);
	printf("getnameinfo: %s",
	       t_eai(getnameinfo((struct sockaddr *)&a, sizeof(a), host, sizeof(host), NULL, 0, 0)));
	printf(" %s\n", host);
	printf("res_query:");
	put_answer(res_query("www." Z, 1, 1, out, sizeof(out)), out);
	return arg;
}

static void small_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
	pthread_create(&t, &attr, with_little_stack, NULL);
	pthread_join(t, NULL);
}

/* ---- services, protocols and networks: files only ---- */

static void services(void)
{
	struct servent *s = getservbyname("http", "tcp");
	struct protoent *p = getprotobyname("udp");

	printf("getservbyname: %s %d\n", s ? s->s_name : "none", s ? ntohs((uint16_t)s->s_port) : -1);
	s = getservbyport(htons(53), "udp");
	printf("getservbyport: %s\n", s ? s->s_name : "none");
	printf("getservbyname none: %s\n", getservbyname("nosuchservice", "tcp") ? "found" : "none");
	printf("getprotobyname: %s %d\n", p ? p->p_name : "none", p ? p->p_proto : -1);
	printf("getnetbyname: %s\n", getnetbyname("nosuchnet." Z) ? "found" : "none");
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "getaddrinfo", .run = all_questions },
		{ "gethostbyname", .run = hosts },
		{ "getnameinfo", .run = backwards },
		{ "getaddrinfo_a", .run = asynchronous },
		{ "raw answers", .run = raw },
		{ "services", .run = services },
		{ "in a thread with the least stack", .run = small_thread },
	};

	setlocale(LC_ALL, "C.UTF-8");
	return T_MAIN(argc, argv, cases);
}
