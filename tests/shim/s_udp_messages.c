/* SPDX-License-Identifier: Apache-2.0 */
/* UDP: control messages both ways, message flags, vectors with a time-out. */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>

#include "t.h"
#include "t_main.h"

#define WAIT 20000

static bool v6;

static int open_socket(void)
{
	struct sockaddr_in a = t_v4("T_UDP");
	struct sockaddr_in6 b = t_v6("T_UDP6");
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

	if (connect(fd, v6 ? (struct sockaddr *)&b : (struct sockaddr *)&a, v6 ? sizeof(b) : sizeof(a)) < 0)
		printf("connect: %s\n", t_err(-1));
	return fd;
}

/* The tunnel's address is another than the one here. */
static bool is_own(int fd, const void *ip, size_t len)
{
	struct sockaddr_in6 a = { .sin6_port = 0 };
	socklen_t n = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &n);
	return !memcmp(len == 4 ? (void *)&((struct sockaddr_in *)&a)->sin_addr : (void *)&a.sin6_addr, ip,
		       len);
}

static void show(int fd, struct msghdr *m)
{
	printf("flags%s%s\n", m->msg_flags & MSG_TRUNC ? " TRUNC" : "",
	       m->msg_flags & MSG_CTRUNC ? " CTRUNC" : "");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int v = 0;

		printf("level %d type %d len %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET) {
			struct timeval tv;

			memcpy(&tv, CMSG_DATA(c), sizeof(tv));
			printf(" recent %d\n", time(NULL) - tv.tv_sec < 60);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo p;

			memcpy(&p, CMSG_DATA(c), sizeof(p));
			printf(" index %d own %d %d\n", p.ipi_ifindex > 0, is_own(fd, &p.ipi_addr, 4),
			       is_own(fd, &p.ipi_spec_dst, 4));
		} else if (c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo p;

			memcpy(&p, CMSG_DATA(c), sizeof(p));
			printf(" index %d own %d\n", p.ipi6_ifindex > 0, is_own(fd, &p.ipi6_addr, 16));
		} else {
			memcpy(&v, CMSG_DATA(c),
			       c->cmsg_len - CMSG_LEN(0) < sizeof(v) ? c->cmsg_len - CMSG_LEN(0) : sizeof(v));
			if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			    c->cmsg_type == IPV6_HOPLIMIT)
				v = v > 32; /* the way here decides */
			printf(" value %d\n", v);
		}
	}
}

static void receive(int fd, size_t room)
{
	char control[256] = "", data[8]; /* what is cut off is looked at too */
	struct iovec iov = { data, 8 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room
	};

	send(fd, "ping", 4, 0);
	if (!t_poll(fd, POLLIN, WAIT))
		printf("nothing came\n");
	SAY("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT));
	if (room)
		printf("control %zu\n", m.msg_controllen);
	show(fd, &m);
}

static void asked_for(int six)
{
	v6 = six;

	static const struct {
		const char *name;
		int level, opt;
	} options[] = {
		{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
		{ "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS },
		{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO },
		{ "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL },
		{ "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS },
		{ "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO },
		{ "IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
		{ "IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS },
	};
	int fd = open_socket(), on = 1, off = 0, got;
	socklen_t len = sizeof(got);

	receive(fd, 256);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (options[i].level == IPPROTO_IPV6 && !v6)
			continue;
		SAY(options[i].name, setsockopt(fd, options[i].level, options[i].opt, &on, sizeof(on)));
		getsockopt(fd, options[i].level, options[i].opt, &got, &len);
		printf("is %d\n", got);
		receive(fd, 256);
	}
	for (size_t room = 0; room < 160; room += 13)
		receive(fd, room);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].opt, &off, sizeof(off));
	receive(fd, 256);
	close(fd);
}

/* An IPv6 socket hears of IPv4 packets by options of both levels. */
static void mapped(void)
{
	struct sockaddr_in6 to = t_mapped("T_UDP");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;

	connect(fd, (struct sockaddr *)&to, sizeof(to));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
	receive(fd, 256);
	setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	receive(fd, 256);
	close(fd);
}

static void send_with(int fd, const char *what, int level, int type, const void *data, size_t len)
{
	char control[CMSG_SPACE(64)] = { 0 }, byte;
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(len)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	memcpy(CMSG_DATA(c), data, len);
	SAY(what, sendmsg(fd, &m, 0));
	if (t_poll(fd, POLLIN, errno ? 0 : WAIT))
		recv(fd, &byte, 1, MSG_DONTWAIT);
}

static void sent_along(int six)
{
	v6 = six;

	int fd = open_socket(), n;
	struct in_pktinfo p = { .ipi_ifindex = 0 };
	struct in6_pktinfo p6 = { .ipi6_ifindex = 0 };
	uint8_t byte = 0x28;

	if (!v6) {
		send_with(fd, "IP_TTL 33", IPPROTO_IP, IP_TTL, &(int){ 33 }, sizeof(n));
		send_with(fd, "IP_TTL 0", IPPROTO_IP, IP_TTL, &(int){ 0 }, sizeof(n));
		send_with(fd, "IP_TTL 256", IPPROTO_IP, IP_TTL, &(int){ 256 }, sizeof(n));
		send_with(fd, "IP_TTL of a byte", IPPROTO_IP, IP_TTL, &byte, 1);
		send_with(fd, "IP_TOS", IPPROTO_IP, IP_TOS, &(int){ 0x28 }, sizeof(n));
		send_with(fd, "IP_TOS of a byte", IPPROTO_IP, IP_TOS, &byte, 1);
		send_with(fd, "IP_TOS 256", IPPROTO_IP, IP_TOS, &(int){ 256 }, sizeof(n));
		send_with(fd, "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
		send_with(fd, "IP_PKTINFO, short", IPPROTO_IP, IP_PKTINFO, &p, 4);
		p.ipi_ifindex = 4711;
		send_with(fd, "IP_PKTINFO, no such interface", IPPROTO_IP, IP_PKTINFO, &p, sizeof(p));
		send_with(fd, "unknown IP message", IPPROTO_IP, 200, &byte, 1);
		send_with(fd, "IPv6 message", IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){ 3000 }, sizeof(n));
	} else {
		send_with(fd, "IPV6_HOPLIMIT 33", IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){ 33 }, sizeof(n));
		send_with(fd, "IPV6_HOPLIMIT -1", IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){ -1 }, sizeof(n));
		send_with(fd, "IPV6_HOPLIMIT -2", IPPROTO_IPV6, IPV6_HOPLIMIT, &(int){ -2 }, sizeof(n));
		send_with(fd, "IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, &(int){ 0x28 }, sizeof(n));
		send_with(fd, "IPV6_TCLASS 256", IPPROTO_IPV6, IPV6_TCLASS, &(int){ 256 }, sizeof(n));
		send_with(fd, "IPV6_TCLASS of a byte", IPPROTO_IPV6, IPV6_TCLASS, &byte, 1);
		send_with(fd, "IPV6_PKTINFO", IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
		send_with(fd, "IPV6_DONTFRAG", IPPROTO_IPV6, IPV6_DONTFRAG, &(int){ 1 }, sizeof(n));
		send_with(fd, "IPV6_DONTFRAG 2", IPPROTO_IPV6, IPV6_DONTFRAG, &(int){ 2 }, sizeof(n));
		send_with(fd, "unknown IPv6 message", IPPROTO_IPV6, 200, &byte, 1);
		p6.ipi6_ifindex = 4711;
		send_with(fd, "IPV6_PKTINFO, no such interface", IPPROTO_IPV6, IPV6_PKTINFO, &p6, sizeof(p6));
	}
	send_with(fd, "foreign level", 4711, 1, &byte, 1);
	send_with(fd, "socket level", SOL_SOCKET, 4711, &byte, 1);
	send_with(fd, "descriptor", SOL_SOCKET, SCM_RIGHTS, &fd, sizeof(fd));
	close(fd);
}

static void broken_control(int six)
{
	v6 = six;

	int fd = open_socket();
	char control[CMSG_SPACE(4)] = { 0 };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){ .cmsg_len = 3, .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL };
	SAY("length below the header", sendmsg(fd, &m, 0));
	c->cmsg_len = 1000;
	SAY("length beyond the buffer", sendmsg(fd, &m, 0));
	m.msg_controllen = 4;
	SAY("too short for a header", sendmsg(fd, &m, 0));
	close(fd);
}

static void batches(int six)
{
	v6 = six;

	int fd = open_socket(), n = -1;
	char got[4][8];
	struct iovec iov[4];
	struct mmsghdr v[4] = { 0 };
	struct timespec ts = { 0, 300000000 };

	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ got[i], 8 };
		v[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	SAY("none", recvmmsg(fd, v, 4, MSG_DONTWAIT, NULL));
	send(fd, "one", 3, 0);
	SAY("MSG_WAITFORONE", recvmmsg(fd, v, 4, MSG_WAITFORONE, NULL));
	printf("%u %.3s\n", v[0].msg_len, got[0]);
	send(fd, "", 0, 0);
	send(fd, "toolongforit", 12, 0);
	SAY("two", recvmmsg(fd, v, 2, 0, NULL));
	printf("%u %u truncated %d\n", v[0].msg_len, v[1].msg_len, !!(v[1].msg_hdr.msg_flags & MSG_TRUNC));
	send(fd, "one", 3, 0);
	t_poll(fd, POLLIN, WAIT);
	ts = (struct timespec){ 0, 0 };
	SAY("a time-out that is over is looked at after the first", recvmmsg(fd, v, 4, 0, &ts));
	ts = (struct timespec){ -1, 0 };
	SAY("a time-out that is none", recvmmsg(fd, v, 4, 0, &ts));
	SAY("bind of a connected one",
	    bind(fd, (struct sockaddr *)&(struct sockaddr_in6){ .sin6_family = v6 ? AF_INET6 : AF_INET },
		 v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
	SAY("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &n));
	printf("is %d\n", n);
	SAY("FIONREAD", ioctl(fd, FIONREAD, &n));
	printf("is %d\n", n);
	send(fd, "", 0, 0);
	send(fd, "1234567", 7, 0);
	t_poll(fd, POLLIN, WAIT);
	SAY("FIONREAD of an empty one", ioctl(fd, FIONREAD, &n));
	printf("is %d\n", n);
	SAY("it", recv(fd, got, 8, 0));
	t_poll(fd, POLLIN, WAIT);
	SAY("FIONREAD", ioctl(fd, FIONREAD, &n));
	printf("is %d\n", n);
	SAY("peek", recv(fd, got, 2, MSG_PEEK | MSG_TRUNC));
	SAY("recv with all kinds of flags", recv(fd, got, 8, MSG_WAITALL | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
	SAY("send with all kinds of flags",
	    send(fd, "x", 1, MSG_CONFIRM | MSG_DONTROUTE * 0 | MSG_EOR | MSG_NOSIGNAL));
	close(fd);
}

static void time_out(int six)
{
	v6 = six;

	int fd = open_socket();
	struct timeval tv = { 0, 50000 };
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	SAY("recv", recv(fd, &byte, 1, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "messages asked for, IPv4", .with = asked_for, .arg = 0 },
		{ "messages asked for, IPv6", .with = asked_for, .arg = 1 },
		{ "messages sent along, IPv4", .with = sent_along, .arg = 0 },
		{ "messages sent along, IPv6", .with = sent_along, .arg = 1 },
		{ "broken control, IPv4", .with = broken_control, .arg = 0 },
		{ "broken control, IPv6", .with = broken_control, .arg = 1 },
		{ "batches, IPv4", .with = batches, .arg = 0 },
		{ "batches, IPv6", .with = batches, .arg = 1 },
		{ "SO_RCVTIMEO, IPv4", .with = time_out, .arg = 0 },
		{ "SO_RCVTIMEO, IPv6", .with = time_out, .arg = 1 },
		{ "messages of IPv4 on an IPv6 socket", .run = mapped },
	};

	return T_MAIN(argc, argv, cases);
}
