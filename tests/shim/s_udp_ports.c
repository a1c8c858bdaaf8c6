/* SPDX-License-Identifier: Apache-2.0 */
/* UDP: names, ports, connections, address families, destinations that cannot be. */
#include <netinet/udp.h>

#include "t.h"
#include "t_main.h"

#define WAIT 20000

static int port_of(int fd)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : ntohs(a.sin6_port);
}

static int bound(int domain, int port, int option)
{
	struct sockaddr_in6 a = { .sin6_family = (sa_family_t)domain, .sin6_port = htons((uint16_t)port) };
	int fd = socket(domain, SOCK_DGRAM, 0), on = 1;

	if (option)
		setsockopt(fd, option == IPV6_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET, option, &on, sizeof(on));
	errno = 0;
	printf("%s, option %d: %s\n", port ? "that port" : "any port", option,
	       t_err(bind(fd, (struct sockaddr *)&a,
			  domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(a))));
	return fd;
}

static bool answered(int fd, const struct sockaddr *to, socklen_t len)
{
	char byte;

	if (sendto(fd, "x", 1, 0, to, len) < 0) {
		printf("sendto: %s\n", t_err(-1));
		return false;
	}
	return t_poll(fd, POLLIN, WAIT) && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static void in_use(void)
{
	struct sockaddr_in to = t_v4("T_UDP");
	int fd[4], port;
	char byte;

	fd[0] = bound(AF_INET, 0, 0);
	port = port_of(fd[0]);
	printf("has a port %d\n", port > 0);
	close(bound(AF_INET, port, 0));
	close(bound(AF_INET, port, SO_REUSEADDR));
	close(bound(AF_INET6, port, IPV6_V6ONLY));
	close(bound(AF_INET6, port, 0));
	close(fd[0]);
	fd[0] = bound(AF_INET, 0, SO_REUSEADDR);
	port = port_of(fd[0]);
	close(bound(AF_INET, port, 0));
	fd[1] = bound(AF_INET, port, SO_REUSEADDR);
	printf("the same %d, the newer one gets it %d\n", port_of(fd[1]) == port,
	       sendto(fd[0], "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1 &&
		       t_poll(fd[1], POLLIN, WAIT) == POLLIN && !t_poll(fd[0], POLLIN, 0));
	recv(fd[1], &byte, 1, MSG_DONTWAIT);
	SAY("the older one connects", t_connect(fd[0], "T_UDP"));
	printf("and gets it %d\n", send(fd[0], "x", 1, 0) == 1 && t_poll(fd[0], POLLIN, WAIT) == POLLIN &&
					   !t_poll(fd[1], POLLIN, 0));
	close(fd[0]);
	close(fd[1]);
	fd[0] = bound(AF_INET, 0, SO_REUSEPORT);
	fd[1] = bound(AF_INET, port_of(fd[0]), SO_REUSEPORT);
	close(fd[0]);
	close(fd[1]);
	fd[0] = bound(AF_INET, 0, 0);
	port = port_of(fd[0]);
	close(fd[0]);
	close(bound(AF_INET, port, 0));
}

static void renamed(void)
{
	struct sockaddr_in to = t_v4("T_UDP"), other = t_v4("T_UDP3"), me;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), port;
	char byte;

	printf("no port %d\n", port_of(fd) == 0);
	printf("answer %d\n", answered(fd, (struct sockaddr *)&to, sizeof(to)));
	port = port_of(fd);
	printf("a port %d\n", port > 0);
	SAY("bind then",
	    bind(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET }, sizeof(me)));
	SAY("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	getsockname(fd, (struct sockaddr *)&me, &len);
	printf("the same port %d an address %d\n", port_of(fd) == port, me.sin_addr.s_addr != 0);
	SAY("connect elsewhere", connect(fd, (struct sockaddr *)&other, sizeof(other)));
	getpeername(fd, (struct sockaddr *)&me, &len);
	printf("the peer is it %d, the same port %d\n", me.sin_port == other.sin_port, port_of(fd) == port);
	printf("answer %d\n", answered(fd, NULL, 0));
	SAY("others are not heard", recv(fd, &byte, 1, MSG_DONTWAIT));
	printf("sendto elsewhere, not heard %d\n",
	       sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1 && !t_poll(fd, POLLIN, 600));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	getsockname(fd, (struct sockaddr *)&me, &len);
	printf("port gone %d address gone %d\n", me.sin_port == 0, me.sin_addr.s_addr == 0);
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&me, &len));
	SAY("AF_UNSPEC again", connect(fd, &none, sizeof(none)));
	printf("answer %d\n", answered(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
	fd = bound(AF_INET, 0, 0);
	port = port_of(fd);
	close(fd);
	fd = bound(AF_INET, port, 0);
	SAY("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	printf("a port asked for stays %d\n", port_of(fd) == port);
	printf("answer %d\n", answered(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

static void send_errors(void)
{
	struct sockaddr_in a = t_v4("T_UDP");
	struct sockaddr_in6 six = t_v6("T_UDP6");
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	char byte;

	a.sin_family = AF_UNSPEC;
	printf("no family is IPv4 %d\n", answered(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("IPv6 address", sendto(fd, "x", 1, 0, (struct sockaddr *)&six, sizeof(six)));
	SAY("IPv6 connect", connect(fd, (struct sockaddr *)&six, sizeof(six)));
	a.sin_family = AF_INET;
	SAY("length 15", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, 15));
	SAY("longer", sendto(fd, "x", 1, 0, (struct sockaddr *)&six, 200));
	a.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	SAY("broadcast", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY("broadcast connect", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("SO_BROADCAST", setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)));
	SAY("broadcast", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	inet_pton(AF_INET, "224.0.0.251", &a.sin_addr);
	SAY("multicast", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	inet_pton(AF_INET, "192.168.1.1", &a.sin_addr);
	SAY("private", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY("private connect", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("nothing came of it", recv(fd, &byte, 1, MSG_DONTWAIT));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	close(fd);
}

static void six(void)
{
	struct sockaddr_in6 a = t_v6("T_UDP6"), mapped = t_mapped("T_UDP"), from;
	struct sockaddr_in four = t_v4("T_UDP");
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
	socklen_t len = sizeof(from);
	char text[64], byte;

	printf("IPv6 %d\n", answered(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("V6ONLY too late", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	sendto(fd, "x", 1, 0, (struct sockaddr *)&mapped, sizeof(mapped));
	t_poll(fd, POLLIN, WAIT);
	recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &len);
	printf("mapped: from %s len %u\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)), len);
	printf("IPv4 address %d\n", answered(fd, (struct sockaddr *)&four, sizeof(four)));
	SAY("connect to it", connect(fd, (struct sockaddr *)&four, sizeof(four)));
	getpeername(fd, (struct sockaddr *)&from, &len);
	printf("peer %s\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	SAY("connect to IPv6", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("no family is no address", sendto(fd, "x", 1, 0, &none, sizeof(none)));
	printf("answer %d\n", answered(fd, NULL, 0) || answered(fd, NULL, 0));
	SAY("unknown family",
	    sendto(fd, "x", 1, 0, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(none)));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	SAY("not connected", sendto(fd, "x", 1, 0, &none, sizeof(none)));
	close(fd);
}

static void only_six(void)
{
	struct sockaddr_in6 a = t_v6("T_UDP6"), mapped = t_mapped("T_UDP");
	struct sockaddr_in four = t_v4("T_UDP");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;

	SAY("V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	SAY("mapped", sendto(fd, "x", 1, 0, (struct sockaddr *)&mapped, sizeof(mapped)));
	SAY("IPv4 address", sendto(fd, "x", 1, 0, (struct sockaddr *)&four, sizeof(four)));
	SAY("mapped connect", connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)));
	SAY("IPv4 connect", connect(fd, (struct sockaddr *)&four, sizeof(four)));
	printf("IPv6 %d\n", answered(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
}

static void shut(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char byte, text[64];

	t_connect(fd, "T_UDP");
	SAY("writing", shutdown(fd, SHUT_WR));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	SAY("write", write(fd, "x", 1));
	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	SAY("reading", shutdown(fd, SHUT_RD));
	SAY("recv, not waiting", recv(fd, &byte, 1, MSG_DONTWAIT));
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("again", recv(fd, &byte, 1, 0));
	printf("events %s\n", t_events(t_poll(fd, POLLIN | POLLRDHUP, 0), text));
	close(fd);
}

static void offload(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), v = 1200, got = 0;
	char control[CMSG_SPACE(2)] = { 0 };
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct iovec iov = { (char[]){ "ab" }, 2 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	socklen_t len = sizeof(got);

	t_connect(fd, "T_UDP");
	SAY("UDP_SEGMENT", setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &v, sizeof(v)));
	SAY("UDP_SEGMENT get", getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &got, &len));
	SAY("UDP_GRO", setsockopt(fd, IPPROTO_UDP, UDP_GRO, &v, sizeof(v)));
	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(2), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT };
	memcpy(CMSG_DATA(c), &(uint16_t){ 1 }, 2);
	SAY("UDP_SEGMENT message", sendmsg(fd, &m, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "ports in use", .run = in_use },	{ "names over a life", .run = renamed },
		{ "destinations", .run = send_errors }, { "IPv6", .run = six },
		{ "IPv6 only", .run = only_six },	{ "shutdown", .run = shut },
		{ "offload", .run = offload },
	};

	return T_MAIN(argc, argv, cases);
}
