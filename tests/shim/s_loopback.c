/* SPDX-License-Identifier: Apache-2.0 */
/* This machine's own addresses: connecting, listening and accepting work as ever, and nothing behind them
 * reaches further. */
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "t.h"
#include "t_main.h"

static struct sockaddr_in at(in_addr_t ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr = { htonl(ip) } };
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	SAY("getsockname", getsockname(fd, (struct sockaddr *)&ss, &len));
	printf("length %u\n", len);
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}

static void talk(int client, int server)
{
	char buf[8] = "";

	SAY("client sends", send(client, "hello", 5, 0));
	SAY("server receives", recv(server, buf, 5, MSG_WAITALL));
	SAY("server answers", send(server, "you", 3, 0));
	SAY("client receives", recv(client, buf, 3, MSG_WAITALL));
	SAY("client ends", shutdown(client, SHUT_WR));
	SAY("server sees it", recv(server, buf, 1, 0));
}

static void pair(in_addr_t bound, int flags)
{
	struct sockaddr_in a = at(bound, 0), from;
	socklen_t len = sizeof(from);
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), conn;
	int on = 1, got = 0;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SAY("bind", bind(s, (struct sockaddr *)&a, sizeof(a)));
	SAY("listen", listen(s, 8));
	a = at(INADDR_LOOPBACK, port_of(s));
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY("connect again", connect(c, (struct sockaddr *)&a, sizeof(a)));
	conn = accept4(s, (struct sockaddr *)&from, &len, flags);
	SAY("accept", conn < 0 ? -1 : 0);
	printf("from loopback %d, non-blocking %d\n", from.sin_addr.s_addr == htonl(INADDR_LOOPBACK),
	       !!(fcntl(conn, F_GETFL) & O_NONBLOCK));
	fcntl(conn, F_SETFL, 0);
	len = sizeof(got);
	getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &got, &len);
	printf("option set before connect is %d\n", got != 0);
	talk(c, conn);
	close(conn);
	close(c);
	close(s);
}

static void bound_to_loopback(void)
{
	pair(INADDR_LOOPBACK, 0);
}

static void bound_to_any(void)
{
	pair(INADDR_ANY, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void dual(void)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in a;
	int on = 1, s6 = socket(AF_INET6, SOCK_STREAM, 0), s4 = socket(AF_INET, SOCK_STREAM, 0), c;

	SAY("only", setsockopt(s6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	SAY("bind 6", bind(s6, (struct sockaddr *)&a6, sizeof(a6)));
	SAY("listen 6", listen(s6, 1));
	a = at(INADDR_ANY, port_of(s6));
	SAY("bind 4, same port", bind(s4, (struct sockaddr *)&a, sizeof(a)));
	SAY("listen 4", listen(s4, 1));
	c = socket(AF_INET6, SOCK_STREAM, 0);
	a6.sin6_addr = in6addr_loopback;
	a6.sin6_port = a.sin_port;
	SAY("connect 6", connect(c, (struct sockaddr *)&a6, sizeof(a6)));
	close(c);
	close(s6);
	close(s4);
}

/* Refused, and the same descriptor tries again. */
static void refused(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0);
	struct epoll_event ev = { .events = EPOLLOUT | EPOLLET };
	int ep = epoll_create1(0);
	char text[64];

	bind(s, (struct sockaddr *)&a, sizeof(a));
	a.sin_port = htons(port_of(s));
	connect(c, (struct sockaddr *)&a, sizeof(a));
	printf("events %s\n", t_events(t_poll(c, POLLIN | POLLOUT, 2000), text));
	printf("SO_ERROR %s\n", t_so_error_name(c));
	SAY("listen", listen(s, 1));
	SAY("second tells", connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY("third", connect(c, (struct sockaddr *)&a, sizeof(a)));
	epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
	SAY("epoll", epoll_wait(ep, &ev, 1, 2000));
	printf("SO_ERROR %s\n", t_so_error_name(c));
	SAY("accept", accept(s, NULL, NULL) < 0 ? -1 : 0);
	close(ep);
	close(c);
	close(s);
}

/* Bound to "any" before it was known where it goes: the port is kept, and what is set then counts on the
 * other socket too. */
static void own_port(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), conn;
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0), mine = at(INADDR_ANY, 0), from = { 0 };
	socklen_t len = sizeof(from);
	uint16_t port;

	bind(s, (struct sockaddr *)&a, sizeof(a));
	listen(s, 4);
	a.sin_port = htons(port_of(s));
	SAY("bind", bind(c, (struct sockaddr *)&mine, sizeof(mine)));
	port = port_of(c);
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	printf("kept %d\n", port && port_of(c) == port);
	conn = accept(s, (struct sockaddr *)&from, &len);
	printf("seen by the server %d\n", ntohs(from.sin_port) == port);
	close(conn);
	close(c);
	close(s);
}

static void options(void)
{
	static const struct {
		const char *what;
		int level, name, value;
	} set[] = {
		{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 20000 },
		{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 30000 },
		{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1 },
		{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 3 },
		{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 2 },
		{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77 },
		{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 5 },
		{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000 },
		{ "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1 },
		{ "IP_TTL", IPPROTO_IP, IP_TTL, 33 },
		{ "IP_TOS", IPPROTO_IP, IP_TOS, 16 },
	};
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), conn;
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0);
	struct linger l = { 1, 0 };
	socklen_t len = sizeof(l);
	char byte;

	bind(s, (struct sockaddr *)&a, sizeof(a));
	listen(s, 4);
	a.sin_port = htons(port_of(s));
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		SAY(set[i].what,
		    setsockopt(c, set[i].level, set[i].name, &set[i].value, sizeof(set[i].value)));
	SAY("SO_LINGER", setsockopt(c, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
		int v = 0;

		len = sizeof(v);
		getsockopt(c, set[i].level, set[i].name, &v, &len);
		printf("%s is %d\n", set[i].what, v);
	}
	l = (struct linger){ 7, 7 };
	len = sizeof(l);
	getsockopt(c, SOL_SOCKET, SO_LINGER, &l, &len);
	printf("SO_LINGER is %d %d\n", l.l_onoff, l.l_linger);
	conn = accept(s, NULL, NULL);
	close(c);
	SAY("server sees", recv(conn, &byte, 1, 0));
	close(conn);
	close(s);
}

/* fd by a message to ourselves; the number it has then, or -1. */
static int passed_on(int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = { .buf = { 0 } };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], got = -1;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	SAY("sendmsg", sendmsg(pair[0], &m, 0));
	SAY("recvmsg", recvmsg(pair[1], &m, 0));
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	printf("came %d\n", got >= 0);
	close(pair[0]);
	close(pair[1]);
	close(fd);
	return got;
}

/* As server programs give their sockets to workers. */
static void handed_over(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), conn;
	struct sockaddr_in a = at(INADDR_ANY, 0);

	bind(s, (struct sockaddr *)&a, sizeof(a));
	listen(s, 4);
	a = at(INADDR_LOOPBACK, port_of(s));
	s = passed_on(s);
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	c = passed_on(c);
	conn = accept(s, NULL, NULL);
	conn = passed_on(conn);
	talk(c, conn);
	close(conn);
	close(c);
	close(s);
}

static void forked(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), c;
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0);
	char byte = 0;
	int status;

	bind(s, (struct sockaddr *)&a, sizeof(a));
	listen(s, 4);
	a.sin_port = htons(port_of(s));
	fflush(stdout);
	if (fork() == 0) {
		c = accept(s, NULL, NULL);
		_exit(write(c, "!", 1) != 1);
	}
	close(s);
	c = socket(AF_INET, SOCK_STREAM, 0);
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	SAY("read", read(c, &byte, 1));
	wait(&status);
	printf("child %d\n", status);
	close(c);
}

static void wrong(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0);

	SAY("accept without listen", accept(s, NULL, NULL));
	SAY("bind", bind(s, (struct sockaddr *)&a, sizeof(a)));
	SAY("bind twice", bind(s, (struct sockaddr *)&a, sizeof(a)));
	SAY("accept of a bound one", accept(s, NULL, NULL));
	SAY("listen on datagrams", listen(u, 1));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	SAY("listen without bind", listen(s, 1));
	printf("has a port %d\n", port_of(s) != 0);
	close(s);
	close(u);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "bound to loopback", .run = bound_to_loopback },
		{ "bound to any, accept4", .run = bound_to_any },
		{ "IPv6 only beside IPv4", .run = dual },
		{ "refused", .run = refused },
		{ "a port of its own", .run = own_port },
		{ "options set before", .run = options },
		{ "handed over", .run = handed_over },
		{ "a child accepts", .run = forked },
		{ "wrong uses", .run = wrong },
	};

	if (argc > 1)
		alarm(30);
	return T_MAIN(argc, argv, cases);
}
