/* SPDX-License-Identifier: Apache-2.0 */
/* UDP to this machine itself: servers and clients of one program, addresses, errors, ports, and the internet
 * beside it. */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/errqueue.h> /* needs time.h */

#include "t.h"
#include "t_main.h"

#define WAIT 20000
#define MANY 100
#define ONE_BY_ONE 1100
#define CROWD 900

static char big[65507], in[70000];

static struct sockaddr_in at(in_addr_t ip, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr = { htonl(ip) } };
}

static int port_of(int fd)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : ntohs(a.sin6_port);
}

static int server(in_addr_t ip)
{
	struct sockaddr_in a = at(ip, 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	SAY("bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static ssize_t take(int fd, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);

	if (!t_poll(fd, POLLIN, WAIT))
		return -1;
	return recvfrom(fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)from, from ? &len : NULL);
}

static ssize_t give(int fd, const char *text, const struct sockaddr_in *to)
{
	return sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, to ? sizeof(*to) : 0);
}

static void name(const char *what, int fd)
{
	struct sockaddr_in a = at(0, 0);
	socklen_t len = sizeof(a);
	char text[INET_ADDRSTRLEN];

	SAY(what, getsockname(fd, (struct sockaddr *)&a, &len));
	printf("%s is %s, port %d\n", what, inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)),
	       a.sin_port != 0);
}

static void there_and_back(void)
{
	static const size_t sizes[] = { 0, 1, 1200, 9000, 65507 };
	int s = server(INADDR_LOOPBACK), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s)), from = at(0, 0);

	name("server", s);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		SAY("send", sendto(c, big, sizes[i], 0, (struct sockaddr *)&to, sizeof(to)));
		SAY("server receives", take(s, &from));
		printf("from this machine %d, the client's port %d\n",
		       from.sin_addr.s_addr == htonl(INADDR_LOOPBACK), ntohs(from.sin_port) == port_of(c));
		SAY("answer", sendto(s, big, sizes[i], 0, (struct sockaddr *)&from, sizeof(from)));
		SAY("client receives", take(c, &from));
		printf("from the server %d\n",
		       from.sin_port == to.sin_port && from.sin_addr.s_addr == to.sin_addr.s_addr);
	}
	name("client", c);
	SAY("too long", sendto(c, in, 65508, 0, (struct sockaddr *)&to, sizeof(to)));
	close(s);
	close(c);
}

static void connected(void)
{
	int s = server(INADDR_LOOPBACK), other = server(INADDR_LOOPBACK), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s)), zero = at(0, port_of(s)), from = at(0, 0),
			   peer;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t len = sizeof(peer);

	SAY("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	name("client", c);
	SAY("send", give(c, "hello", NULL));
	SAY("server receives", take(s, &from));
	SAY("stranger", give(other, "stranger", &from));
	SAY("answer", give(s, "answer", &from));
	SAY("client hears the server only", take(c, NULL));
	SAY("nothing more", recv(c, in, 1, MSG_DONTWAIT));
	SAY("sendto another",
	    sendto(c, "other", 5, 0,
		   (struct sockaddr *)&(struct sockaddr_in){
			   AF_INET, htons((uint16_t)port_of(other)), { htonl(INADDR_LOOPBACK) }, "" },
		   sizeof(to)));
	SAY("the other receives", take(other, NULL));
	SAY("AF_UNSPEC", connect(c, &none, sizeof(none)));
	name("client", c);
	SAY("connect to 0.0.0.0", connect(c, (struct sockaddr *)&zero, sizeof(zero)));
	SAY("getpeername", getpeername(c, (struct sockaddr *)&peer, &len));
	printf("the peer is 127.0.0.1 %d\n", peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	SAY("send", give(c, "again", NULL));
	SAY("server receives", take(s, NULL));
	close(s);
	close(other);
	close(c);
}

/* The queue of errors: what is said of a port nobody has. */
static void report(int fd)
{
	char control[256];
	struct sockaddr_in dest = at(0, 0);
	struct iovec iov = { in, sizeof(in) };
	struct msghdr m = { .msg_name = &dest,
			    .msg_namelen = sizeof(dest),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct sock_extended_err *e;
	struct cmsghdr *c;

	SAY("error queue", recvmsg(fd, &m, MSG_ERRQUEUE));
	c = CMSG_FIRSTHDR(&m);
	if (!c)
		return;
	e = (struct sock_extended_err *)CMSG_DATA(c);
	printf("%s origin %d type %d code %d, about loopback %d\n", strerrorname_np((int)e->ee_errno),
	       e->ee_origin, e->ee_type, e->ee_code, dest.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
}

static void nobody(void)
{
	int s = server(INADDR_LOOPBACK), c = socket(AF_INET, SOCK_DGRAM, 0),
	    u = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s));
	char text[64];

	SAY("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	SAY("close", close(s));
	SAY("send", give(c, "hello", NULL));
	printf("events %s\n", t_events(t_poll(c, POLLIN, WAIT), text));
	SAY("recv", recv(c, in, 1, 0));
	SAY("send", give(c, "hello", NULL));
	t_poll(c, POLLIN, WAIT);
	printf("SO_ERROR %s", t_so_error_name(c));
	printf(", then %s\n", t_so_error_name(c));
	SAY("not connected", give(u, "hello", &to));
	printf("not told %d\n", !t_poll(u, POLLIN, 300));
	setsockopt(u, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	SAY("wants to know", give(u, "hello", &to));
	printf("events %s\n", t_events(t_poll(u, POLLIN, WAIT), text));
	report(u);
	SAY("none left", recvmsg(u, &(struct msghdr){ .msg_iovlen = 0 }, MSG_ERRQUEUE));
	close(c);
	close(u);
}

static int bound(int domain, const void *a, socklen_t len, int option)
{
	int fd = socket(domain, SOCK_DGRAM, 0), on = 1;

	if (option)
		setsockopt(fd, option == IPV6_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET, option, &on, sizeof(on));
	errno = 0;
	printf("option %d: %s\n", option, t_err(bind(fd, a, len)));
	return fd;
}

static void ports(void)
{
	int s = server(INADDR_LOOPBACK), t, port = port_of(s);
	struct sockaddr_in a = at(INADDR_LOOPBACK, port), any = at(INADDR_ANY, port),
			   second = at(INADDR_LOOPBACK + 1, port);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	close(bound(AF_INET, &a, sizeof(a), 0));
	close(bound(AF_INET, &a, sizeof(a), SO_REUSEADDR));
	close(bound(AF_INET, &any, sizeof(any), 0));
	close(bound(AF_INET6, &a6, sizeof(a6), 0));
	close(bound(AF_INET6, &a6, sizeof(a6), IPV6_V6ONLY));
	t = bound(AF_INET, &second, sizeof(second), 0);
	SAY("to the second address", give(s, "hello", &second));
	SAY("received", take(t, NULL));
	SAY("bind twice", bind(s, (struct sockaddr *)&any, sizeof(any)));
	close(t);
	close(s);
	close(bound(AF_INET, &a, sizeof(a), 0));
	close(bound(AF_INET, &any, sizeof(any), 0));
	s = bound(AF_INET, &any, sizeof(any), SO_REUSEPORT);
	close(bound(AF_INET, &any, sizeof(any), SO_REUSEPORT));
	close(s);
}

/* A server of all addresses learns at which one it was asked, and answers from there. */
static void all_addresses(void)
{
	int s = server(INADDR_ANY), c = socket(AF_INET, SOCK_DGRAM, 0), on = 1, ttl = 33;
	struct sockaddr_in to = at(INADDR_LOOPBACK + 4, port_of(s)), from = at(0, 0);
	union {
		char buf[256];
		struct cmsghdr align;
	} u;
	struct iovec iov = { in, sizeof(in) };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = u.buf,
			    .msg_controllen = sizeof(u.buf) };
	struct in_pktinfo *p;
	struct cmsghdr *h;
	char text[INET_ADDRSTRLEN];

	name("server", s);
	setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	SAY("connect", connect(c, (struct sockaddr *)&to, sizeof(to)));
	name("client", c);
	SAY("send", give(c, "hello", NULL));
	setsockopt(c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	setsockopt(c, IPPROTO_IP, IP_TOS, &(int){ 16 }, sizeof(int));
	SAY("send", give(c, "hello", NULL));
	for (int i = 0; i < 2; i++) {
		t_poll(s, POLLIN, WAIT);
		m.msg_controllen = sizeof(u.buf);
		SAY("received", recvmsg(s, &m, MSG_DONTWAIT));
		for (h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
			p = (struct in_pktinfo *)CMSG_DATA(h);
			if (h->cmsg_type == IP_PKTINFO)
				printf("at %s, device %d\n",
				       inet_ntop(AF_INET, &p->ipi_addr, text, sizeof(text)), p->ipi_ifindex);
			else
				printf("message %d is %d\n", h->cmsg_type, *(uint8_t *)CMSG_DATA(h));
		}
	}
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_type == IP_PKTINFO) {
		m.msg_controllen = h->cmsg_len;
		iov.iov_len = 6;
		SAY("answer from there", sendmsg(s, &m, 0));
	}
	SAY("client hears it", take(c, NULL));
	close(s);
	close(c);
}

static void six(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 }, from = { .sin6_port = 0 };
	int s = bound(AF_INET6, &a, sizeof(a), 0), c = socket(AF_INET6, SOCK_DGRAM, 0),
	    four = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s));
	socklen_t len = sizeof(from);
	char text[INET6_ADDRSTRLEN];

	SAY("from IPv4", give(four, "hello", &to));
	t_poll(s, POLLIN, WAIT);
	SAY("received", recvfrom(s, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	printf("from %s, %u bytes\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)), len);
	SAY("answer", sendto(s, "you", 3, 0, (struct sockaddr *)&from, len));
	SAY("received", take(four, NULL));
	a = (struct sockaddr_in6){ .sin6_family = AF_INET6,
				   .sin6_port = to.sin_port,
				   .sin6_addr = in6addr_loopback };
	SAY("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	len = sizeof(from);
	SAY("getsockname", getsockname(c, (struct sockaddr *)&from, &len));
	printf("%s\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
	SAY("send", send(c, "hello", 5, 0));
	t_poll(s, POLLIN, WAIT);
	SAY("received", recvfrom(s, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	printf("from %s\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
	SAY("IPv4 socket to IPv6", sendto(four, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	close(s);
	close(c);
	close(four);
}

/* One after the other into one's own queue, as quickly as one can. */
static void many(void)
{
	int s = server(INADDR_LOOPBACK), n = 0;
	struct sockaddr_in self = at(INADDR_LOOPBACK, port_of(s));
	char text[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%d", i);
		give(s, text, &self);
	}
	while (n < MANY && take(s, NULL) > 0 && atoi(in) == n)
		n++;
	printf("%d in order\n", n);
	close(s);
}

/* One socket for each question, as some resolvers do, more than can be open at a time. */
static void one_by_one(void)
{
	int s = server(INADDR_LOOPBACK), c, n = 0, got = 0;
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s));

	for (int i = 0; i < ONE_BY_ONE; i++) {
		c = socket(AF_INET, SOCK_DGRAM, 0);
		n += give(c, "hello", &to) == 5;
		close(c);
		got += take(s, NULL) == 5;
	}
	printf("%d sent, %d received\n", n, got);
	close(s);
}

/* As many open at a time as a tunnel allows, which has more descriptors for each than the program. */
static void crowd(void)
{
	int s = server(INADDR_LOOPBACK), fd[CROWD], n = 0, got = 0;
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s));
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	for (int i = 0; i < CROWD; i++) {
		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (give(fd[i], "hello", &to) != 5) {
			printf("%s\n", t_err(-1));
			break;
		}
		n++;
		got += take(s, NULL) == 5;
	}
	printf("%d sent, %d received\n", n, got);
	for (int i = 0; i < n; i++)
		close(fd[i]);
	close(s);
}

/* One socket speaks to this machine and to the internet. */
static void both(void)
{
	int s = server(INADDR_LOOPBACK), c = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
	    ep = epoll_create1(0), port;
	struct sockaddr_in here = at(INADDR_LOOPBACK, port_of(s)), far = t_v4("T_UDP"), from = at(0, 0);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	SAY("epoll", epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev));
	SAY("far", give(c, "far", &far));
	SAY("wait", epoll_wait(ep, &ev, 1, WAIT));
	SAY("received", take(c, &from));
	printf("from there %d\n", from.sin_port == far.sin_port);
	port = port_of(c);
	SAY("here", give(c, "here", &here));
	SAY("server receives", take(s, &from));
	printf("the same port %d\n", port_of(c) == port && ntohs(from.sin_port) == port);
	SAY("answer", give(s, "answer", &from));
	SAY("wait", epoll_wait(ep, &ev, 1, WAIT));
	SAY("received", take(c, &from));
	printf("from here %d\n", from.sin_port == here.sin_port);
	SAY("connect far", connect(c, (struct sockaddr *)&far, sizeof(far)));
	SAY("here again", give(c, "here", &here));
	SAY("server receives", take(s, &from));
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	close(s);
	close(c);
	close(ep);
}

static void forked(void)
{
	int s = server(INADDR_LOOPBACK), c = socket(AF_INET, SOCK_DGRAM, 0), status;
	struct sockaddr_in to = at(INADDR_LOOPBACK, port_of(s)), from = at(0, 0);

	fflush(stdout);
	if (fork() == 0)
		_exit(take(s, &from) == 5 && give(s, "child", &from) == 5 ? 0 : 1);
	close(s);
	SAY("send", give(c, "hello", &to));
	SAY("received", take(c, NULL));
	wait(&status);
	printf("child %d\n", status);
	close(c);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "there and back", .run = there_and_back },
		{ "connected", .run = connected },
		{ "a port nobody has", .run = nobody },
		{ "ports", .run = ports },
		{ "all addresses", .run = all_addresses },
		{ "IPv6", .run = six },
		{ "many", .run = many },
		{ "one by one", .run = one_by_one },
		{ "a crowd", .run = crowd },
		{ "this machine and the internet", .run = both },
		{ "a child answers", .run = forked },
	};

	if (argc > 1)
		alarm(90);
	return T_MAIN(argc, argv, cases);
}
