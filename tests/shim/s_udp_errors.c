/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors of UDP sockets: who hears of them, how often, by which call; and the error queue. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/errqueue.h> /* needs time.h */

#include "t.h"
#include "t_main.h"

#define WAIT 20000

static int closed_port(int domain, bool connected)
{
	struct sockaddr_in a = t_v4("T_UDPCLOSED");
	struct sockaddr_in6 b = t_v6("T_UDP6CLOSED");
	int fd = socket(domain, SOCK_DGRAM, 0);

	if (connected && connect(fd, domain == AF_INET ? (struct sockaddr *)&a : (struct sockaddr *)&b,
				 domain == AF_INET ? sizeof(a) : sizeof(b)) < 0)
		printf("connect: %s\n", t_err(-1));
	return fd;
}

static void provoke(int fd, int domain, bool connected)
{
	struct sockaddr_in a = t_v4("T_UDPCLOSED");
	struct sockaddr_in6 b = t_v6("T_UDP6CLOSED");
	const void *to = domain == AF_INET ? (void *)&a : (void *)&b;
	socklen_t len = domain == AF_INET ? sizeof(a) : sizeof(b);

	SAY("send", connected ? send(fd, "question", 8, 0) : sendto(fd, "question", 8, 0, to, len));
}

static void by_each_call(int domain)
{
	struct sockaddr_in6 name;
	socklen_t len = sizeof(name);
	struct iovec iov = { (char[4]){ 0 }, 4 };
	struct mmsghdr v[2] = { { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } } };
	int fd = closed_port(domain, true);
	char text[64], byte;

	for (int i = 0; i < 10; i++) {
		provoke(fd, domain, true);
		printf("events %s\n", t_events(t_poll(fd, POLLIN, WAIT), text));
		switch (i) {
		case 0: SAY("recv", recv(fd, &byte, 1, 0)); break;
		case 1: SAY("recv, not waiting", recv(fd, &byte, 1, MSG_DONTWAIT)); break;
		case 2: SAY("peek", recv(fd, &byte, 1, MSG_PEEK)); break;
		case 3: SAY("read", read(fd, &byte, 1)); break;
		case 4: SAY("recvmsg", recvmsg(fd, &v[0].msg_hdr, 0)); break;
		case 5: SAY("recvmmsg", recvmmsg(fd, v, 2, 0, NULL)); break;
		case 6: SAY("write", write(fd, "x", 1)); break;
		case 7: SAY("sendmmsg", sendmmsg(fd, v, 2, 0)); break;
		case 8: printf("SO_ERROR %s\n", t_so_error_name(fd)); break;
		case 9: SAY("getpeername does not", getpeername(fd, (struct sockaddr *)&name, &len)); break;
		}
		printf("SO_ERROR then %s\n", t_so_error_name(fd));
		printf("events then %s\n", t_events(t_poll(fd, POLLIN, 0), text));
	}
	close(fd);
}

static void by_each_wait(int domain)
{
	int fd = closed_port(domain, true), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct timeval tv = { WAIT / 1000, 0 };
	fd_set in, out;
	char byte, text[64];
	int n;

	provoke(fd, domain, true);
	printf("poll for nothing: %s\n", t_events(t_poll(fd, 0, WAIT), text));
	t_so_error(fd);
	provoke(fd, domain, true);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	SAY("select for reading", select(fd + 1, &in, NULL, NULL, &tv));
	FD_ZERO(&out);
	FD_SET(fd, &out);
	SAY("select for writing", select(fd + 1, NULL, &out, NULL, &tv));
	t_so_error(fd);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	provoke(fd, domain, true);
	n = epoll_wait(ep, &ev, 1, WAIT);
	printf("edge-triggered epoll: %d %s\n", n, t_events((int)ev.events, text));
	SAY("no second edge", epoll_wait(ep, &ev, 1, 0));
	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	ev.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
	provoke(fd, domain, true);
	n = epoll_wait(ep, &ev, 1, WAIT);
	printf("level-triggered epoll: %d %s\n", n, t_events((int)ev.events, text));
	SAY("still", epoll_wait(ep, &ev, 1, 0));
	t_so_error(fd);
	SAY("gone", epoll_wait(ep, &ev, 1, 0));
	close(ep);
	close(fd);
}

static void *sleeper(void *arg)
{
	char byte;

	SAY("a blocked recv", recv(*(int *)arg, &byte, 1, 0));
	return NULL;
}

static void shared(int domain)
{
	int fd = closed_port(domain, true), copy = dup(fd), status = 0;
	pthread_t t;
	pid_t child;
	char byte;

	provoke(fd, domain, true);
	t_poll(copy, POLLIN, WAIT);
	SAY("the copy reports it", recv(copy, &byte, 1, 0));
	SAY("then the first does not", recv(fd, &byte, 1, MSG_DONTWAIT));
	child = fork();
	if (child == 0) {
		provoke(fd, domain, true);
		t_poll(fd, POLLIN, WAIT);
		SAY("the child reports it", recv(fd, &byte, 1, 0));
		_exit(0);
	}
	waitpid(child, &status, 0);
	SAY("then the parent does not", recv(fd, &byte, 1, MSG_DONTWAIT));
	pthread_create(&t, NULL, sleeper, &fd);
	usleep(100000);
	if (send(copy, "x", 1, 0) < 0)
		printf("send: %s\n", t_err(-1));
	pthread_join(t, NULL);
	close(copy);
	close(fd);
}

static void nobody_asked(int domain)
{
	int fd = closed_port(domain, false);
	char byte;

	provoke(fd, domain, false);
	SAY("no event", t_poll(fd, POLLIN, 700));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	provoke(fd, domain, false);
	close(fd);
}

static void show_control(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct sock_extended_err e;
		struct sockaddr_in6 six;
		struct sockaddr_in four;
		char text[64] = "";

		printf("control level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		printf("errno %s origin %d type %d code %d info %u data %u\n",
		       strerrorname_np((int)e.ee_errno), e.ee_origin, e.ee_type, e.ee_code, e.ee_info,
		       e.ee_data);
		memcpy(&four, CMSG_DATA(c) + sizeof(e), sizeof(four));
		if (four.sin_family == AF_INET)
			inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
		else if (four.sin_family == AF_INET6) {
			memcpy(&six, CMSG_DATA(c) + sizeof(e), sizeof(six));
			inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
		}
		printf("offender family %d port %d %s\n", four.sin_family, four.sin_port,
		       four.sin_family == AF_INET ? "" : text);
	}
}

static ssize_t from_queue(int fd, size_t room, size_t control_room)
{
	char data[512], control[512];
	struct sockaddr_in6 name = { .sin6_family = 0 };
	struct iovec iov = { data, room };
	struct msghdr m = { .msg_name = &name,
			    .msg_namelen = sizeof(name),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = control_room };
	ssize_t r;

	errno = 0;
	r = recvmsg(fd, &m, MSG_ERRQUEUE);
	printf("error queue: %zd %s\n", r, r < 0 ? strerrorname_np(errno) : "");
	if (r < 0)
		return r;
	printf("flags%s%s%s payload %.*s name %d len %u port right %d\n",
	       m.msg_flags & MSG_ERRQUEUE ? " ERRQUEUE" : "", m.msg_flags & MSG_TRUNC ? " TRUNC" : "",
	       m.msg_flags & MSG_CTRUNC ? " CTRUNC" : "", (int)r, data, name.sin6_family, m.msg_namelen,
	       name.sin6_port == htons(t_port(name.sin6_family == AF_INET ? "T_UDPCLOSED" : "T_UDP6CLOSED")));
	if (control_room > 64)
		show_control(&m);
	return r;
}

static void queue(int domain, bool connected)
{
	int fd = closed_port(domain, connected), on = 1;
	char byte, text[64];

	SAY("IP_RECVERR", domain == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on))
					    : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)));
	from_queue(fd, 64, 512);
	provoke(fd, domain, connected);
	printf("events %s\n", t_events(t_poll(fd, POLLIN, WAIT), text));
	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	from_queue(fd, 64, 512);
	from_queue(fd, 64, 512);
	printf("events %s\n", t_events(t_poll(fd, POLLIN, 0), text));
	provoke(fd, domain, connected);
	printf("events %s\n", t_events(t_poll(fd, POLLIN, WAIT), text));
	from_queue(fd, 4, 20);
	SAY("the queue took the error along", recv(fd, &byte, 1, MSG_DONTWAIT));
	for (int i = 0; i < 2; i++) {
		provoke(fd, domain, connected);
		t_poll(fd, POLLIN, WAIT);
		t_so_error(fd);
	}
	from_queue(fd, 64, 512);
	printf("events, one more waits: %s\n", t_events(t_poll(fd, POLLIN, 0), text));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	from_queue(fd, 64, 512);
	from_queue(fd, 64, 512);
	close(fd);
}

static void queue_connected(int domain)
{
	queue(domain, true);
}

static void queue_unconnected(int domain)
{
	queue(domain, false);
}

/* An IPv6 socket that talks to an IPv4 address. */
static void mapped(void)
{
	struct sockaddr_in6 to = t_mapped("T_UDPCLOSED");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
	char byte, text[64];

	SAY("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	SAY("send", send(fd, "question", 8, 0));
	printf("events %s\n", t_events(t_poll(fd, POLLIN, WAIT), text));
	SAY("recv", recv(fd, &byte, 1, MSG_DONTWAIT));
	SAY("IP_RECVERR", setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)));
	SAY("send", send(fd, "question", 8, 0));
	t_poll(fd, POLLIN, WAIT);
	from_queue(fd, 64, 512);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "each call reports it once, IPv4", .with = by_each_call, .arg = AF_INET },
		{ "each call reports it once, IPv6", .with = by_each_call, .arg = AF_INET6 },
		{ "each way to wait, IPv4", .with = by_each_wait, .arg = AF_INET },
		{ "each way to wait, IPv6", .with = by_each_wait, .arg = AF_INET6 },
		{ "shared descriptors, IPv4", .with = shared, .arg = AF_INET },
		{ "shared descriptors, IPv6", .with = shared, .arg = AF_INET6 },
		{ "not connected, IPv4", .with = nobody_asked, .arg = AF_INET },
		{ "not connected, IPv6", .with = nobody_asked, .arg = AF_INET6 },
		{ "error queue, connected, IPv4", .with = queue_connected, .arg = AF_INET },
		{ "error queue, connected, IPv6", .with = queue_connected, .arg = AF_INET6 },
		{ "error queue, not connected, IPv4", .with = queue_unconnected, .arg = AF_INET },
		{ "error queue, not connected, IPv6", .with = queue_unconnected, .arg = AF_INET6 },
		{ "mapped", .run = mapped },
	};

	return T_MAIN(argc, argv, cases);
}
