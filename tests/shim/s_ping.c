/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP echo sockets (icmp(7), "ping sockets"): identifiers, what is sent and received, control messages, what
 * is refused. */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "t.h"
#include "t_main.h"

#define WAIT 20000

static bool v6;

static int echo_socket(void)
{
	return socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
}

static socklen_t server(struct sockaddr_in6 *a)
{
	struct sockaddr_in four = t_v4("T_PORT");

	if (v6) { /* libslirp answers by itself for the address that run.py maps */
		*a = t_v6("T_PORT");
		a->sin6_addr.s6_addr[15]++;
		return sizeof(*a);
	}
	memcpy(a, &four, sizeof(four));
	return sizeof(four);
}

static size_t request(uint8_t *msg, size_t len, uint16_t seq)
{
	memset(msg, 'e', len);
	memset(msg, 0, 8);
	msg[0] = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	msg[4] = 0x47;
	msg[5] = 0x11; /* the kernel puts the socket's own there */
	msg[6] = (uint8_t)(seq >> 8);
	msg[7] = (uint8_t)seq;
	return len;
}

static int id_of(int fd)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : ntohs(a.sin6_port);
}

static void receive(int fd, uint16_t seq)
{
	uint8_t msg[2000];
	struct sockaddr_in6 from = { .sin6_port = 77 }, to;
	char control[256];
	struct iovec iov = { msg, sizeof(msg) };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n;
	size_t same;

	if (!t_poll(fd, POLLIN, WAIT))
		printf("nothing came\n");
	SAY("received", n = recvmsg(fd, &m, MSG_DONTWAIT));
	if (n < 8)
		return;
	server(&to);
	printf("type %d code %d own id %d seq %d\n", msg[0], msg[1], (msg[4] << 8 | msg[5]) == id_of(fd),
	       (msg[6] << 8 | msg[7]) == seq);
	for (same = 8; same < (size_t)n && msg[same] == 'e'; same++)
		;
	printf("data %d from it %d port %d len %u\n", same == (size_t)n,
	       v6 ? !memcmp(&from.sin6_addr, &to.sin6_addr, 16)
		  : ((struct sockaddr_in *)&from)->sin_addr.s_addr ==
			       ((struct sockaddr_in *)&to)->sin_addr.s_addr,
	       from.sin6_port, m.msg_namelen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		printf("control level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type, c->cmsg_len);
}

static void echoes(int six)
{
	v6 = six;

	static const size_t sizes[] = { 8, 9, 64, 1200 };
	uint8_t msg[2000];
	struct sockaddr_in6 to;
	socklen_t len = server(&to);
	int fd = echo_socket(), on = 1, got = -1;
	socklen_t got_len = sizeof(got);

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &got_len);
	printf("type %d", got);
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &got, &got_len);
	printf(" protocol %d\n", got);
	printf("no id %d\n", id_of(fd) == 0);
	for (uint16_t i = 0; i < 4; i++) {
		SAY("sent", sendto(fd, msg, request(msg, sizes[i], i), 0, (struct sockaddr *)&to, len));
		receive(fd, i);
	}
	printf("an id %d\n", id_of(fd) > 0);
	SAY("SO_TIMESTAMP", setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)));
	SAY("TTL", v6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on))
		      : setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)));
	SAY("errors", v6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on))
			 : setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)));
	if (!v6)
		SAY("IP_RETOPTS", setsockopt(fd, IPPROTO_IP, IP_RETOPTS, &on, sizeof(on)));
	sendto(fd, msg, request(msg, 64, 7), 0, (struct sockaddr *)&to, len);
	receive(fd, 7);
	SAY("error queue", recv(fd, msg, 1, MSG_ERRQUEUE));
	SAY("connect", connect(fd, (struct sockaddr *)&to, len));
	SAY("send", send(fd, msg, request(msg, 20, 8), 0));
	receive(fd, 8);
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&to, &len));
	close(fd);
}

static void refusals(int six)
{
	v6 = six;

	uint8_t msg[70000] = { 0 };
	struct sockaddr_in6 to, wrong = { .sin6_family = v6 ? AF_INET : AF_INET6 };
	socklen_t len = server(&to);
	int fd = echo_socket();

	SAY("not connected", send(fd, msg, request(msg, 8, 0), 0));
	SAY("short", sendto(fd, msg, request(msg, 8, 0) - 1, 0, (struct sockaddr *)&to, len));
	SAY("empty", sendto(fd, msg, 0, 0, (struct sockaddr *)&to, len));
	request(msg, 8, 0);
	msg[0] = v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	SAY("a reply", sendto(fd, msg, 8, 0, (struct sockaddr *)&to, len));
	msg[0] = 13;
	SAY("another type", sendto(fd, msg, 8, 0, (struct sockaddr *)&to, len));
	request(msg, 8, 0);
	msg[1] = 1;
	SAY("a code", sendto(fd, msg, 8, 0, (struct sockaddr *)&to, len));
	request(msg, 8, 0);
	SAY("too long", sendto(fd, msg, 65536, 0, (struct sockaddr *)&to, len));
	SAY("out of band", sendto(fd, msg, 8, MSG_OOB, (struct sockaddr *)&to, len));
	SAY("receive out of band", recv(fd, msg, 8, MSG_OOB | MSG_DONTWAIT));
	SAY("wrong family", sendto(fd, msg, 8, 0, (struct sockaddr *)&wrong, sizeof(wrong)));
	SAY("short address", sendto(fd, msg, 8, 0, (struct sockaddr *)&to, 8));
	SAY("nothing came of it", recv(fd, msg, 8, MSG_DONTWAIT));
	SAY("listen", listen(fd, 1));
	close(fd);
	SAY("wrong protocol",
	    socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, v6 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6));
	SAY("as a stream",
	    socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP));
}

static int with_id(int id)
{
	struct sockaddr_in6 a = { .sin6_family = v6 ? AF_INET6 : AF_INET, .sin6_port = htons((uint16_t)id) };
	int fd = echo_socket();

	SAY("bind", bind(fd, (struct sockaddr *)&a, v6 ? sizeof(a) : sizeof(struct sockaddr_in)));
	return fd;
}

static void identifiers(int six)
{
	v6 = six;

	uint8_t msg[16];
	struct sockaddr_in6 to;
	socklen_t len = server(&to);
	int a, b;

	a = with_id(77);
	printf("id %d\n", id_of(a));
	b = with_id(77);
	close(b);
	b = with_id(0);
	printf("another %d\n", id_of(b) > 0 && id_of(b) != 77);
	sendto(a, msg, request(msg, 16, 1), 0, (struct sockaddr *)&to, len);
	sendto(b, msg, request(msg, 16, 2), 0, (struct sockaddr *)&to, len);
	receive(a, 1);
	receive(b, 2);
	SAY("only its own", recv(a, msg, 1, MSG_DONTWAIT));
	close(a);
	a = with_id(77);
	close(a);
	close(b);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "echoes, IPv4", .with = echoes, .arg = 0 },
		{ "echoes, IPv6", .with = echoes, .arg = 1 },
		{ "refusals, IPv4", .with = refusals, .arg = 0 },
		{ "refusals, IPv6", .with = refusals, .arg = 1 },
		{ "identifiers, IPv4", .with = identifiers, .arg = 0 },
		{ "identifiers, IPv6", .with = identifiers, .arg = 1 },
	};

	return T_MAIN(argc, argv, cases);
}
