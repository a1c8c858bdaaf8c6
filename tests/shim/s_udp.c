/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: sizes, boundaries, addresses, flags, vectors, errors. */
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "t.h"
#include "t_main.h"

static char big[70000], in[70000];

static void sizes(int fd, bool connected)
{
	static const size_t len[] = { 0, 1, 1200, 1472, 9000, 65507 };
	struct sockaddr_in a = t_v4("T_UDP"), from;
	socklen_t from_len;
	const char *limit = secure_getenv("T_UDPMAX"); /* a tunnel's MTU */
	size_t max = limit ? (size_t)atoi(limit) : 65507;

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]) && len[i] <= max; i++) {
		ssize_t r = connected ? send(fd, big, len[i], 0)
				      : sendto(fd, big, len[i], 0, (struct sockaddr *)&a, sizeof(a));

		SAY("sent", r);
		if (!t_poll(fd, POLLIN, 3000)) {
			printf("nothing came back\n");
			continue;
		}
		from_len = sizeof(from);
		r = recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
		SAY("received", r);
		printf("same %d from the server %d\n", r == (ssize_t)len[i] && !memcmp(in, big, len[i]),
		       from_len == sizeof(from) && from.sin_port == a.sin_port &&
			       from.sin_addr.s_addr == a.sin_addr.s_addr);
	}
	SAY("one more than UDP carries",
	    connected ? send(fd, big, 65508, 0)
		      : sendto(fd, big, 65508, 0, (struct sockaddr *)&a, sizeof(a)));
}

static void unconnected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = t_v4("T_UDP"), me;
	socklen_t len = sizeof(me);

	SAY("send", send(fd, "x", 1, 0));
	SAY("write", write(fd, "x", 1));
	SAY("empty queue", recv(fd, in, 1, MSG_DONTWAIT));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&me, &len));
	a.sin_port = 0;
	SAY("to port 0", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY("short address", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, 8));
	a.sin_family = AF_UNIX;
	SAY("wrong family", sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
}

static void sizes_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in me;
	socklen_t len = sizeof(me);

	sizes(fd, false);
	SAY("getsockname", getsockname(fd, (struct sockaddr *)&me, &len));
	printf("has a port %d\n", me.sin_port != 0);
	close(fd);
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	SAY("connect", t_connect(fd, "T_UDP"));
	return fd;
}

static void sizes_connected(void)
{
	int fd = connected();

	sizes(fd, true);
	close(fd);
}

static void flags(void)
{
	int fd = connected();
	char small[4];
	int avail = -1;
	struct iovec iov = { small, sizeof(small) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	send(fd, "0123456789", 10, 0);
	t_poll(fd, POLLIN, 3000);
	SAY("FIONREAD", ioctl(fd, FIONREAD, &avail));
	printf("avail %d\n", avail);
	SAY("peek", recv(fd, small, 4, MSG_PEEK));
	SAY("peek, true length", recv(fd, small, 4, MSG_PEEK | MSG_TRUNC));
	SAY("recvmsg", recvmsg(fd, &m, 0));
	printf("truncated %d\n", !!(m.msg_flags & MSG_TRUNC));
	SAY("queue is empty", recv(fd, small, 4, MSG_DONTWAIT));
	send(fd, "0123456789", 10, 0);
	t_poll(fd, POLLIN, 3000);
	SAY("true length", recv(fd, small, 4, MSG_TRUNC));
	send(fd, "abc", 3, 0);
	t_poll(fd, POLLIN, 3000);
	SAY("into nothing", recv(fd, NULL, 0, 0));
	SAY("and it was taken", recv(fd, small, 4, MSG_DONTWAIT));
	SAY("error queue", recv(fd, small, 4, MSG_ERRQUEUE | MSG_DONTWAIT));
	SAY("out of band", send(fd, "x", 1, MSG_OOB));
	SAY("listen", listen(fd, 1));
	SAY("accept", accept(fd, NULL, NULL));
	close(fd);
}

static void vectors(void)
{
	int fd = connected();
	char a[4] = { 0 }, b[8] = { 0 };
	struct iovec out[3] = { { (char[]){ "ab" }, 2 }, { NULL, 0 }, { (char[]){ "cdef" }, 4 } };
	struct iovec iov[2] = { { a, 3 }, { b, 8 } };
	struct mmsghdr v[3] = { 0 };
	struct iovec one[3] = { { (char[]){ "1" }, 1 }, { (char[]){ "22" }, 2 }, { (char[]){ "333" }, 3 } };
	char got[3][8] = { { 0 } };
	struct timespec ts = { 2, 0 };

	SAY("writev", writev(fd, out, 3));
	t_poll(fd, POLLIN, 3000);
	SAY("readv", readv(fd, iov, 2));
	printf("%s %s\n", a, b);
	SAY("writev of nothing", writev(fd, out + 1, 1));
	SAY("sent nothing", t_poll(fd, POLLIN, 300));
	SAY("write of nothing", write(fd, "", 0));
	SAY("sent a datagram", t_poll(fd, POLLIN, 3000));
	SAY("readv of nothing", readv(fd, out + 1, 1));
	SAY("left it there", recv(fd, b, 1, MSG_DONTWAIT));
	SAY("sendmmsg of nothing", sendmmsg(fd, NULL, 0, 0));
	for (int i = 0; i < 3; i++)
		v[i].msg_hdr = (struct msghdr){ .msg_iov = &one[i], .msg_iovlen = 1 };
	SAY("sendmmsg", sendmmsg(fd, v, 3, 0));
	printf("%u %u %u\n", v[0].msg_len, v[1].msg_len, v[2].msg_len);
	for (int i = 0; i < 3; i++)
		one[i] = (struct iovec){ got[i], 8 };
	SAY("recvmmsg", recvmmsg(fd, v, 3, 0, &ts));
	printf("%u %u %u %s %s %s\n", v[0].msg_len, v[1].msg_len, v[2].msg_len, got[0], got[1], got[2]);
	SAY("recvmmsg, empty", recvmmsg(fd, v, 3, MSG_DONTWAIT, NULL));
	close(fd);
}

static void answer(const char *what, int fd)
{
	struct timeval limit = { 5, 0 };
	char buf[16] = { 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	SAY(what, recv(fd, buf, sizeof(buf) - 1, 0));
	printf("%s\n", buf);
}

/* What is written inside libc and inside the kernel. */
static void unseen(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), file = open("/proc/self/exe", O_RDONLY), p[2];
	off_t name = 1; /* "ELF" */
	FILE *f;

	t_connect(fd, "T_UDP");
	SAY("dprintf", dprintf(fd, "one %d", 1));
	answer("one", fd);
	f = fdopen(dup(fd), "w");
	fprintf(f, "two\n");
	SAY("fclose", fclose(f));
	answer("two", fd);
	SAY("sendfile", sendfile(fd, file, &name, 3));
	answer("file", fd);
	if (pipe(p) == 0 && write(p[1], "three", 5) == 5)
		SAY("splice", splice(p[0], NULL, fd, NULL, 5, 0));
	answer("three", fd);
	close(p[0]);
	close(p[1]);
	close(file);
	close(fd);
}

static void dissolved(void)
{
	int fd = connected();
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in a = t_v4("T_UDP");
	socklen_t len = sizeof(a);
	char byte;

	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	SAY("send", send(fd, "x", 1, 0));
	t_poll(fd, POLLIN, 3000);
	SAY("read of nothing", read(fd, &byte, 0));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	SAY("send", send(fd, "x", 1, 0));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	SAY("connect again", t_connect(fd, "T_UDP"));
	close(fd);
}

static void refused(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char byte, text[64];

	SAY("connect", t_connect(fd, "T_UDPCLOSED"));
	SAY("send", send(fd, "x", 1, 0));
	printf("events %s\n", t_events(t_poll(fd, POLLIN, 3000), text));
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("recv again", recv(fd, &byte, 1, MSG_DONTWAIT));
	SAY("send", send(fd, "x", 1, 0));
	t_poll(fd, POLLIN, 3000);
	SAY("send tells", send(fd, "x", 1, 0));
	SAY("send", send(fd, "x", 1, 0));
	t_poll(fd, POLLIN, 3000);
	printf("SO_ERROR %s, then ", t_so_error_name(fd));
	printf("%s\n", t_so_error_name(fd));
	close(fd);
}

static void bound(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET }, b;
	socklen_t len = sizeof(b);

	SAY("short", bind(fd, (struct sockaddr *)&a, 8));
	SAY("any", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("getsockname", getsockname(fd, (struct sockaddr *)&b, &len));
	printf("has a port %d\n", b.sin_port != 0);
	SAY("twice", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	SAY("shutdown", shutdown(fd, SHUT_WR));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	a.sin_family = AF_INET6;
	SAY("wrong family", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_UNSPEC;
	SAY("unspecified family, any address", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "not connected", .run = unconnected },
		{ "sizes, not connected", .run = sizes_unconnected },
		{ "connected, then no more", .run = dissolved },
		{ "sizes, connected", .run = sizes_connected },
		{ "flags", .run = flags },
		{ "vectors", .run = vectors },
		{ "written by libc and the kernel", .run = unseen },
		{ "connected to a closed port", .run = refused },
		{ "bind", .run = bound },
	};

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 + i / 253);
	return T_MAIN(argc, argv, cases);
}
