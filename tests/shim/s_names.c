/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo, getnameinfo and gethostbyname for what needs no server: numbers,
 * services, flags, localhost. */
#include <netdb.h>

#include "t.h"
#include "t_eai.h"
#include "t_main.h"

static void list(const struct addrinfo *l)
{
	for (; l; l = l->ai_next) {
		char host[128] = "", serv[32] = "";

		getnameinfo(l->ai_addr, l->ai_addrlen, host, sizeof(host), serv, sizeof(serv),
			    NI_NUMERICHOST | NI_NUMERICSERV);
		printf("  %d %d %d %s %s %s flags %x\n", l->ai_family, l->ai_socktype, l->ai_protocol, host,
		       serv, l->ai_canonname ? l->ai_canonname : "-", (unsigned)l->ai_flags);
	}
}

static void ask(const char *node, const char *service, int flags, int family, int type, int protocol)
{
	struct addrinfo hints = {
		.ai_flags = flags, .ai_family = family, .ai_socktype = type, .ai_protocol = protocol
	};
	struct addrinfo *ret = NULL;
	int e = getaddrinfo(node, service, &hints, &ret);

	printf("%s %s flags %x family %d type %d protocol %d: %s\n", node ? node : "NULL",
	       service ? service : "NULL", (unsigned)flags, family, type, protocol, t_eai(e));
	if (e == 0) {
		list(ret);
		freeaddrinfo(ret);
	}
}

static void numbers(void)
{
	static const char *const nodes[] = {
		"1.2.3.4",  "1.2.3", "127.1", "0x7f000001", "017700000001", "1.2.3.4.5",     "256.1.1.1",
		"1.2.3.4 ", "::1",   "::",    "fe80::1%lo", "fe80::1%1",    "2001:db8::1%7", "::ffff:1.2.3.4",
		"1::2::3",  "[::1]", ""
	};
	static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		for (size_t f = 0; f < 3; f++)
			ask(nodes[i], "80", AI_NUMERICHOST, families[f], SOCK_STREAM, 0);
	ask("1.2.3.4", NULL, AI_NUMERICHOST | AI_V4MAPPED, AF_INET6, SOCK_STREAM, 0);
	ask("1.2.3.4", NULL, AI_CANONNAME, AF_INET, SOCK_STREAM, 0);
	ask("1.2.3.4", NULL, 0, 0, 0, 0);
}

static void services(void)
{
	ask("1.2.3.4", "http", 0, 0, 0, 0);
	ask("1.2.3.4", "domain", 0, 0, 0, 0);
	ask("1.2.3.4", "http", 0, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "http", 0, 0, 0, IPPROTO_TCP);
	ask("1.2.3.4", "tftp", 0, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "tftp", 0, 0, 0, 0);
	ask("1.2.3.4", "no-such-service", 0, 0, 0, 0);
	ask("1.2.3.4", "http", AI_NUMERICSERV, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "80", AI_NUMERICSERV, 0, 0, 0);
	ask("1.2.3.4", "65536", 0, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "", 0, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "80", 0, 0, SOCK_RAW, 0);
	ask("1.2.3.4", NULL, 0, 0, SOCK_RAW, 1);
	ask("1.2.3.4", NULL, 0, 0, SOCK_RAW, 0);
	ask("1.2.3.4", "80", 0, 0, SOCK_STREAM, IPPROTO_UDP);
	ask("1.2.3.4", "80", 0, 0, SOCK_DGRAM, IPPROTO_UDP);
	ask("1.2.3.4", "80", 0, 0, 0, 99);
	ask("1.2.3.4", "80", 0, 0, 77, 0);
	ask("1.2.3.4", "80", 0, 0, SOCK_SEQPACKET, 0);
	ask("1.2.3.4", "80", 0, 0, 0, IPPROTO_SCTP);
}

static void passive(void)
{
	ask(NULL, "80", 0, 0, SOCK_STREAM, 0);
	ask(NULL, "80", AI_PASSIVE, 0, SOCK_STREAM, 0);
	ask(NULL, "80", AI_PASSIVE, AF_INET, SOCK_STREAM, 0);
	ask(NULL, "80", AI_PASSIVE, AF_INET6, SOCK_STREAM, 0);
	ask(NULL, NULL, 0, 0, 0, 0);
	ask("*", "80", 0, AF_INET, SOCK_STREAM, 0);
	ask("1.2.3.4", "*", 0, AF_INET, SOCK_STREAM, 0);
	ask(NULL, "80", AI_CANONNAME, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "80", 0x10000, 0, SOCK_STREAM, 0);
	ask("1.2.3.4", "80", 0, AF_UNIX, SOCK_STREAM, 0);
	ask("localhost", "80", AI_NUMERICHOST, 0, SOCK_STREAM, 0);
	ask("localhost", "80", 0, AF_INET, SOCK_STREAM, 0);
	ask("localhost", "80", AI_CANONNAME, AF_INET, SOCK_STREAM, 0);
}

static void back(const char *ip, int port, int flags, socklen_t host_len)
{
	char host[128] = "", serv[64] = "";
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int e;

	inet_pton(AF_INET, ip, &a.sin_addr);
	e = getnameinfo((struct sockaddr *)&a, sizeof(a), host, host_len, serv, sizeof(serv), flags);
	printf("getnameinfo %s %d flags %x: %s %s %s\n", ip, port, (unsigned)flags, t_eai(e), host, serv);
}

/* The loopback device is the first everywhere; nobody has a device of number 77. */
static void back_scope(const char *ip, uint32_t scope)
{
	char host[128] = "";
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_scope_id = scope };
	int e;

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	e = getnameinfo((struct sockaddr *)&a, sizeof(a), host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	printf("getnameinfo %s scope %u: %s %s\n", ip, scope, t_eai(e), host);
}

static void backwards(void)
{
	back("127.0.0.1", 80, 0, 128);
	back("1.2.3.4", 80, NI_NUMERICHOST, 128);
	back("1.2.3.4", 53, NI_NUMERICHOST | NI_DGRAM, 128);
	back("1.2.3.4", 1, NI_NUMERICHOST | NI_NUMERICSERV, 128);
	back("1.2.3.4", 64321, NI_NUMERICHOST, 128);
	back("1.2.3.4", 80, NI_NUMERICHOST, 4);
	back("1.2.3.4", 80, 0x10000, 128);
}

static void scopes(void)
{
	for (uint32_t scope = 0; scope < 2; scope++) {
		back_scope("fe80::1", scope);
		back_scope("ff02::1", scope);
		back_scope("ff01::1", scope);
		back_scope("ff05::1", scope);
		back_scope("2001:db8::1", scope);
	}
	back_scope("fe80::1", 77);
	back_scope("ff02::1", 77);
}

static void hosts(void)
{
	static const char *const names[] = { "1.2.3.4", "localhost", "127.1", "::1" };
	struct hostent h, *r = NULL;
	char small[8];
	int herr = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct hostent *e = gethostbyname(names[i]);

		if (!e) {
			printf("gethostbyname %s: h_errno %d\n", names[i], h_errno);
			continue;
		}
		printf("gethostbyname %s: %s %d %d", names[i], e->h_name, e->h_addrtype, e->h_length);
		printf(" %s\n", inet_ntoa(*(struct in_addr *)e->h_addr_list[0]));
	}
	printf("too small a buffer: %s\n",
	       strerrorname_np(gethostbyname_r("1.2.3.4", &h, small, sizeof(small), &r, &herr)));
	printf("result %d h_errno %d\n", r != NULL, herr);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "numbers", .run = numbers },
		{ "services", .run = services },
		{ "no node, flags and families", .run = passive },
		{ "getnameinfo", .run = backwards },
		{ "getnameinfo of scopes", .run = scopes },
		{ "gethostbyname", .run = hosts },
	};

	return T_MAIN(argc, argv, cases);
}
