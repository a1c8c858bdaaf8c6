/* SPDX-License-Identifier: Apache-2.0 */
/* Socket options: values, lengths, errors. */
#include <netinet/tcp.h>
#include <sys/time.h>

#include "t.h"
#include "t_main.h"

struct opt {
	const char *name;
	int level, opt;
};

static const struct opt both[] = {
	{ "SO_TYPE", SOL_SOCKET, SO_TYPE },
	{ "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN },
	{ "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL },
	{ "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN },
	{ "SO_ERROR", SOL_SOCKET, SO_ERROR },
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR },
	{ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT },
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE },
	{ "SO_BROADCAST", SOL_SOCKET, SO_BROADCAST },
	{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE },
	{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY },
	{ "IP_TOS", IPPROTO_IP, IP_TOS },
	{ "IP_TTL", IPPROTO_IP, IP_TTL },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER },
	{ "IP_RECVERR", IPPROTO_IP, IP_RECVERR },
};

static const struct opt tcp[] = {
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY },   { "TCP_CORK", IPPROTO_TCP, TCP_CORK },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE }, { "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT },   { "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT },
};

static const struct opt dgram[] = {
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
	{ "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS },
	{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO },
	{ "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL },
	{ "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS },
	{ "IP_RECVOPTS", IPPROTO_IP, IP_RECVOPTS },
	{ "IP_RETOPTS", IPPROTO_IP, IP_RETOPTS },
	{ "IP_RECVERR", IPPROTO_IP, IP_RECVERR },
	{ "IP_MULTICAST_TTL", IPPROTO_IP, IP_MULTICAST_TTL },
	{ "IP_MULTICAST_LOOP", IPPROTO_IP, IP_MULTICAST_LOOP },
};

static const struct opt six[] = {
	{ "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY },
	{ "IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS },
	{ "IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS },
	{ "IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER },
	{ "IPV6_RECVERR", IPPROTO_IPV6, IPV6_RECVERR },
	{ "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO },
	{ "IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ "IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS },
	{ "IPV6_DONTFRAG", IPPROTO_IPV6, IPV6_DONTFRAG },
	{ "IPV6_MULTICAST_HOPS", IPPROTO_IPV6, IPV6_MULTICAST_HOPS },
	{ "IPV6_MULTICAST_LOOP", IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
};

static void get(int fd, const struct opt *o)
{
	int v = -1;
	socklen_t len = sizeof(v);
	int r = getsockopt(fd, o->level, o->opt, &v, &len);

	printf("%s: %s %d len %d\n", o->name, t_err(r), v, (int)len);
}

static void set(int fd, const struct opt *o, int v)
{
	printf("set %d ", v);
	SAY(o->name, setsockopt(fd, o->level, o->opt, &v, sizeof(v)));
	get(fd, o);
}

static void lengths(int fd)
{
	int v = 0x01020304;
	uint8_t byte = 0x10;
	socklen_t len = 2;

	SAY("short set", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, 2));
	SAY("one byte TOS", setsockopt(fd, IPPROTO_IP, IP_TOS, &byte, 1));
	get(fd, &(struct opt){ "IP_TOS", IPPROTO_IP, IP_TOS });
	SAY("short get", getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	printf("len %d low half %d\n", (int)len, v & 0xffff);
	len = (socklen_t)-1;
	SAY("negative length", getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	len = 64;
	char big[64];

	SAY("long get", getsockopt(fd, SOL_SOCKET, SO_TYPE, big, &len));
	printf("len %d\n", (int)len);
	SAY("unknown option", setsockopt(fd, SOL_SOCKET, 4711, &v, sizeof(v)));
	len = sizeof(v);
	SAY("unknown option get", getsockopt(fd, SOL_SOCKET, 4711, &v, &len));
	SAY("not a socket", setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
}

static void structured(int fd)
{
	struct linger l = { 1, 5 };
	struct timeval tv = { 3, 250000 };
	socklen_t len = sizeof(l);

	SAY("set linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	l = (struct linger){ 9, 9 };
	SAY("get linger", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	printf("linger %d %d\n", l.l_onoff, l.l_linger);
	l = (struct linger){ 0, 0 };
	SAY("no linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY("set time-out", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	len = sizeof(tv);
	SAY("get time-out", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	printf("time-out %ld\n", (long)tv.tv_sec);
	tv = (struct timeval){ 0, 100000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

/* Which device multicast leaves by: the program may say so, though none of ours goes anywhere. */
static void multicast_if(int type)
{
	int fd = socket(AF_INET, type, 0), fd6 = socket(AF_INET6, type, 0);
	static const char *const address[] = { "0.0.0.0", "127.0.0.1", "203.0.113.9" };
	static const int device[] = { 0, 1, 99, -1 };
	struct ip_mreqn m = { .imr_ifindex = 0 };
	struct in_addr a;
	socklen_t len;
	int v;

	for (size_t i = 0; i < 3; i++) {
		inet_pton(AF_INET, address[i], &a);
		printf("%s ", address[i]);
		SAY("IP_MULTICAST_IF", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
		a.s_addr = 7;
		len = sizeof(a);
		SAY("get", getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len));
		printf("is %s len %u\n", inet_ntoa(a), len);
	}
	SAY("short", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, 3));
	for (size_t i = 0; i < 4; i++) {
		m.imr_ifindex = device[i];
		printf("device %d ", device[i]);
		SAY("IP_MULTICAST_IF", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)));
		printf("device %d ", device[i]);
		SAY("IPV6_MULTICAST_IF",
		    setsockopt(fd6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &device[i], sizeof(int)));
		v = 7;
		len = sizeof(v);
		SAY("get", getsockopt(fd6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, &len));
		printf("is %d len %u\n", v, len);
	}
	SAY("short", setsockopt(fd6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, 3));
}

static void buffers(int fd)
{
	int v = 100000, got = 0;
	socklen_t len = sizeof(got);

	SAY("SO_RCVBUF", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len);
	printf("doubled %d\n", got == 200000);
	SAY("SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &len);
	printf("doubled %d\n", got == 200000);
}

static void on(int type)
{
	int fd = socket(AF_INET, type, 0);
	char byte;

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		get(fd, &both[i]);
	for (size_t i = 5; i < 10; i++)
		set(fd, &both[i], i == 6 ? 1 : 5);
	set(fd, &both[10], 3);
	set(fd, &both[11], 0x10);
	set(fd, &both[12], 33);
	set(fd, &both[12], 300);
	set(fd, &both[13], IP_PMTUDISC_DO);
	if (type == SOCK_STREAM) {
		for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
			get(fd, &tcp[i]);
		for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
			set(fd, &tcp[i], 11);
		set(fd, &tcp[2], 0);
		set(fd, &tcp[2], 40000);
	}
	lengths(fd);
	structured(fd);
	buffers(fd);
	if (type == SOCK_STREAM) {
		SAY("connect with all that", t_connect(fd, "T_ECHO"));
		SAY("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)));
	}
	SAY("time-out at work", recv(fd, &byte, 1, 0));
	close(fd);
}

/* Values at, and one beyond, their ends. */
static void values(int family, int protocol)
{
	static const int value[] = { 1, 0, 7, -1, -2, 255, 256 };
	int fd = socket(family, SOCK_DGRAM, protocol);

	for (size_t i = 0; i < 3; i++)
		get(fd, &both[i]);
	for (size_t i = 0; i < sizeof(dgram) / sizeof(dgram[0]); i++) {
		get(fd, &dgram[i]);
		for (size_t v = 0; v < sizeof(value) / sizeof(value[0]); v++)
			set(fd, &dgram[i], value[v]);
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		get(fd, &six[i]);
		for (size_t v = 0; v < sizeof(value) / sizeof(value[0]); v++)
			set(fd, &six[i], value[v]);
	}
	close(fd);
}

static void udp_values(int family)
{
	values(family, 0);
}

static void echo_values(int family)
{
	values(family, family == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "TCP", .with = on, .arg = SOCK_STREAM },
		{ "UDP", .with = on, .arg = SOCK_DGRAM },
		{ "datagram values, IPv4", .with = udp_values, .arg = AF_INET },
		{ "datagram values, IPv6", .with = udp_values, .arg = AF_INET6 },
		{ "echo values, IPv4", .with = echo_values, .arg = AF_INET },
		{ "echo values, IPv6", .with = echo_values, .arg = AF_INET6 },
		{ "multicast device, TCP", .with = multicast_if, .arg = SOCK_STREAM },
		{ "multicast device, UDP", .with = multicast_if, .arg = SOCK_DGRAM },
	};

	return T_MAIN(argc, argv, cases);
}
