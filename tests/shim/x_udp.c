/* SPDX-License-Identifier: Apache-2.0 */
/* UDP and echo sockets: what no loopback device can show. Only through the mixnet; judges itself. */
#include <netinet/ip_icmp.h>
#include <time.h>
#include <linux/errqueue.h> /* needs time.h */

#include "t.h"

#define WAIT 20000
#define BURST 100
#define QUEUE 64

static int failed;

static void fact(const char *what, bool good)
{
	printf("%s %s\n", good ? "ok  " : "FAIL", what);
	fflush(stdout);
	failed += !good;
}

static int connected(const char *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (t_connect(fd, port) < 0)
		fact("connect", false);
	return fd;
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	getsockopt(fd, level, name, &v, &len);
	return v;
}

static bool set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v)) == 0;
}

struct report {
	struct sock_extended_err ee;
	struct sockaddr_in offender, to;
	ssize_t n;
	uint8_t data[64];
};

/* The next entry of the error queue; its errno, or 0. */
static int next_report(int fd, struct report *r)
{
	char control[128];
	struct iovec iov = { r->data, sizeof(r->data) };
	struct msghdr m = { .msg_name = &r->to,
			    .msg_namelen = sizeof(r->to),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	r->n = recvmsg(fd, &m, MSG_ERRQUEUE);
	c = r->n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR)
		return 0;
	memcpy(&r->ee, CMSG_DATA(c), sizeof(r->ee));
	memcpy(&r->offender, CMSG_DATA(c) + sizeof(r->ee), sizeof(r->offender));
	return (int)r->ee.ee_errno;
}

static void longest(void)
{
	static char big[65508];
	int fd = connected("T_UDP"), mtu = get(fd, IPPROTO_IP, IP_MTU);
	struct sockaddr_in to = t_v4("T_UDP");
	struct report r;

	fact("IP_MTU of a connected socket", mtu >= 576 && mtu <= 1600);
	fact("as long as the MTU allows", send(fd, big, (size_t)mtu - 28, 0) == mtu - 28 &&
						  t_poll(fd, POLLIN, WAIT) == POLLIN &&
						  recv(fd, big, sizeof(big), 0) == mtu - 28);
	fact("a byte more is EMSGSIZE", send(fd, big, (size_t)mtu - 27, 0) < 0 && errno == EMSGSIZE);
	fact("65507 bytes too", send(fd, big, 65507, 0) < 0 && errno == EMSGSIZE);
	fact("and 65508", send(fd, big, 65508, 0) < 0 && errno == EMSGSIZE);
	fact("nothing is pending then", t_so_error(fd) == 0 && t_poll(fd, POLLIN, 0) == 0);
	fact("not connected: the same", sendto(socket(AF_INET, SOCK_DGRAM, 0), big, (size_t)mtu - 27, 0,
					       (struct sockaddr *)&to, sizeof(to)) < 0 &&
						errno == EMSGSIZE);
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	fact("with IP_RECVERR also", send(fd, big, 3000, 0) < 0 && errno == EMSGSIZE);
	fact("poll tells", t_poll(fd, POLLIN, WAIT) == POLLERR);
	fact("the queue has the MTU", next_report(fd, &r) == EMSGSIZE &&
					      r.ee.ee_origin == SO_EE_ORIGIN_LOCAL &&
					      (int)r.ee.ee_info == mtu && r.n == 0 &&
					      r.offender.sin_family == 0 && r.to.sin_port == to.sin_port);
	fact("once", next_report(fd, &r) == 0 && errno == EAGAIN && t_poll(fd, POLLIN, 0) == 0);
	send(fd, big, 3000, 0);
	fact("no other call reports it",
	     send(fd, "x", 1, 0) == 1 && t_poll(fd, POLLIN, WAIT) && recv(fd, big, 8, 0) == 1);
	close(fd);
}

/* The exit answers the last hop by ICMP. */
static void expired(void)
{
	int fd = connected("T_UDP");
	struct sockaddr_in to = t_v4("T_UDP");
	struct report r;
	char byte;

	fact("IP_TTL", set(fd, IPPROTO_IP, IP_TTL, 1) && get(fd, IPPROTO_IP, IP_TTL) == 1);
	fact("a soft error is for those who ask",
	     send(fd, "question", 8, 0) == 8 && t_poll(fd, POLLIN, 1500) == 0 && t_so_error(fd) == 0);
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send(fd, "question", 8, 0);
	fact("asked for: POLLERR", t_poll(fd, POLLIN, WAIT) == POLLERR);
	fact("EHOSTUNREACH", recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EHOSTUNREACH);
	fact("the queue says who and why",
	     next_report(fd, &r) == EHOSTUNREACH && r.ee.ee_origin == SO_EE_ORIGIN_ICMP &&
		     r.ee.ee_type == ICMP_TIME_EXCEEDED && r.ee.ee_code == 0 &&
		     r.offender.sin_family == AF_INET && r.offender.sin_addr.s_addr != to.sin_addr.s_addr &&
		     r.to.sin_addr.s_addr == to.sin_addr.s_addr && r.to.sin_port == to.sin_port);
	fact("IP_TTL -1 is the default again", set(fd, IPPROTO_IP, IP_TTL, -1) && send(fd, "x", 1, 0) == 1 &&
						       t_poll(fd, POLLIN, WAIT) == POLLIN &&
						       recv(fd, &byte, 1, 0) == 1);
	close(fd);
}

/* By message and not by option. */
static void expired_once(void)
{
	int fd = connected("T_UDP");
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct report r;

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
			       .cmsg_level = IPPROTO_IP,
			       .cmsg_type = IP_TTL };
	memcpy(CMSG_DATA(c), &(int){ 1 }, sizeof(int));
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	fact("IP_TTL of one datagram", sendmsg(fd, &m, 0) == 1 && t_poll(fd, POLLIN, WAIT) == POLLERR &&
					       next_report(fd, &r) == EHOSTUNREACH);
	fact("not of the next",
	     send(fd, "x", 1, 0) == 1 && t_poll(fd, POLLIN, WAIT) == POLLIN && recv(fd, &byte, 1, 0) == 1);
	close(fd);
}

static void echo_expired(void)
{
	uint8_t msg[64] = { ICMP_ECHO, 0, 0, 0, 0, 0, 0, 5 };
	struct sockaddr_in to = t_v4("T_UDP"), me;
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct report r;

	set(fd, IPPROTO_IP, IP_TTL, 1);
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	fact("an echo request that expires",
	     sendto(fd, msg, sizeof(msg), 0, (struct sockaddr *)&to, sizeof(to)) == sizeof(msg) &&
		     t_poll(fd, POLLIN, WAIT) == POLLERR);
	getsockname(fd, (struct sockaddr *)&me, &len);
	fact("comes back with its head",
	     next_report(fd, &r) == EHOSTUNREACH && r.n >= 8 && r.data[0] == ICMP_ECHO &&
		     (r.data[4] << 8 | r.data[5]) == ntohs(me.sin_port) && r.data[7] == 5 &&
		     r.to.sin_port == 0 && r.to.sin_addr.s_addr == to.sin_addr.s_addr);
	fact("too long for the tunnel",
	     sendto(fd, (char[3000]){ ICMP_ECHO }, 3000, 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
		     errno == EMSGSIZE && next_report(fd, &r) == EMSGSIZE);
	close(fd);
}

static void source(void)
{
	int fd = connected("T_UDP");
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = { 0 };
	struct iovec iov = { (char[8]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct sockaddr_in me;
	socklen_t len = sizeof(me);
	struct in_pktinfo p = { 0 };

	getsockname(fd, (struct sockaddr *)&me, &len);
	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(p)),
			       .cmsg_level = IPPROTO_IP,
			       .cmsg_type = IP_PKTINFO };
	p.ipi_spec_dst = me.sin_addr;
	memcpy(CMSG_DATA(c), &p, sizeof(p));
	set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	fact("IP_PKTINFO with the tunnel's address", sendmsg(fd, &m, 0) == 1);
	t_poll(fd, POLLIN, WAIT);
	recvmsg(fd, &m, 0);
	memcpy(&p, CMSG_DATA(c), sizeof(p));
	fact("and back", m.msg_controllen == sizeof(control) && p.ipi_addr.s_addr == me.sin_addr.s_addr &&
				 p.ipi_ifindex == 2);
	fact("what came can be sent", sendmsg(fd, &m, 0) >= 0);
	inet_pton(AF_INET, "203.0.113.1", &p.ipi_spec_dst);
	memcpy(CMSG_DATA(c), &p, sizeof(p));
	fact("another's address", sendmsg(fd, &m, 0) < 0 && errno == EINVAL);
	close(fd);
}

/* tests/unit/test_dgram.c shows which ones. */
static void bounded(void)
{
	int fd = connected("T_UDP"), probe = connected("T_UDP"), n = 0;
	char got, byte = 0;

	for (int i = 0; i < BURST; i++) {
		byte = (char)i;
		send(fd, &byte, 1, 0);
	}
	send(probe, &byte, 1, 0);
	fact("all were answered", t_poll(probe, POLLIN, WAIT) == POLLIN);
	poll(NULL, 0, 500);
	while (recv(fd, &got, 1, MSG_DONTWAIT) == 1)
		n++;
	fact("a socket keeps 64 datagrams", n == QUEUE);
	for (int i = 0; i < 3; i++)
		send(fd, &byte, 1, 0);
	for (n = 0; n < 3 && t_poll(fd, POLLIN, WAIT);)
		n += recv(fd, &got, 1, 0) == 1;
	fact("and takes more when they are read", n == 3);
	close(fd);
	close(probe);
}

int main(void)
{
	longest();
	expired();
	expired_once();
	echo_expired();
	source();
	bounded();
	return failed != 0;
}
