/* SPDX-License-Identifier: Apache-2.0 */
/* Data on a connected stream: sizes, flags, vectors, half-close, end of file, reset. */
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "t.h"
#include "t_main.h"

enum { BIG = 1 << 20 };

static void read_all(int fd, char *buf, size_t len)
{
	size_t n = 0;

	while (n < len) {
		ssize_t r = recv(fd, buf + n, len - n, 0);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	printf("got %zu\n", n);
}

static void echo(void)
{
	int fd = t_tcp("T_ECHO"), avail = -1;
	char buf[64] = { 0 };
	struct iovec out[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "defgh" }, 5 } };
	struct iovec in[2] = { { buf, 4 }, { buf + 4, 60 } };
	struct sockaddr_in from, other = t_v4("T_CLOSED");
	socklen_t len = sizeof(from);

	SAY("writev", writev(fd, out, 2));
	t_poll(fd, POLLIN, 3000);
	SAY("FIONREAD", ioctl(fd, FIONREAD, &avail));
	printf("avail %d\n", avail);
	SAY("peek", recv(fd, buf, 2, MSG_PEEK));
	SAY("readv", readv(fd, in, 2));
	printf("text %s\n", buf);
	SAY("recv, empty", recv(fd, buf, 1, MSG_DONTWAIT));
	SAY("sendto with an address", sendto(fd, "12345", 5, 0, (struct sockaddr *)&other, sizeof(other)));
	SAY("waitall", recv(fd, buf, 5, MSG_WAITALL));
	SAY("write", write(fd, "xyz", 3));
	t_poll(fd, POLLIN, 3000);
	SAY("recvfrom", recvfrom(fd, buf, 8, 0, (struct sockaddr *)&from, &len));
	printf("address length %d\n", (int)len);
	SAY("send to throw away", send(fd, "1234567890", 10, 0));
	t_poll(fd, POLLIN, 3000);
	SAY("discard", recv(fd, NULL, 4, MSG_TRUNC));
	SAY("rest", recv(fd, buf, 64, 0));
	SAY("send nothing", send(fd, "", 0, 0));
	SAY("MSG_OOB read", recv(fd, buf, 1, MSG_OOB));
	SAY("error queue", recv(fd, buf, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
	SAY("fast open",
	    sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&other, sizeof(other)) < 0
		    ? 0
		    : 1);
	close(fd);
}

static void rights(void)
{
	int fd = t_tcp("T_ECHO");
	char buf[8] = { 0 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { { 0 } };
	struct iovec iov = { (char[]){ "fd" }, 2 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	SAY("sendmsg", sendmsg(fd, &m, 0));
	read_all(fd, buf, 2);
	close(fd);
}

static void half_close(void)
{
	int fd = t_tcp("T_COUNT");
	char buf[64] = { 0 };
	char text[64];

	for (int i = 0; i < 10; i++)
		send(fd, "0123456789", 10, 0);
	SAY("shutdown", shutdown(fd, SHUT_WR));
	SAY("send after it", send(fd, "x", 1, MSG_NOSIGNAL));
	read_all(fd, buf, 64);
	printf("server counted %s\n", buf);
	SAY("end", recv(fd, buf, 1, 0));
	printf("events %s\n", t_events(t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 1000), text));
	close(fd);
}

static void big(void)
{
	static char out[BIG], in[BIG];
	int fd = t_tcp("T_ECHO");
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < BIG; i++)
		out[i] = (char)(i * 7 + i / 251);
	while (got < BIG) {
		int ev = t_poll(fd, POLLIN | (sent < BIG ? POLLOUT : 0), 20000);
		ssize_t n = 0;

		if (!ev)
			break;
		if (ev & POLLOUT) {
			n = send(fd, out + sent, BIG - sent, MSG_DONTWAIT);
			sent += n > 0 ? (size_t)n : 0;
		}
		if (ev & POLLIN) {
			n = recv(fd, in + got, BIG - got, 0);
			if (n <= 0)
				break;
			got += (size_t)n;
		}
	}
	printf("sent %zu got %zu equal %d\n", sent, got, !memcmp(in, out, BIG));
	close(fd);
}

static void reset(void)
{
	int fd = t_tcp("T_RESET");
	char buf[64], text[64];

	send(fd, "x", 1, 0);
	SAY("data", recv(fd, buf, 3, MSG_WAITALL));
	send(fd, "y", 1, 0);
	printf("events %s\n",
	       t_events(t_poll(fd, POLLRDHUP, 3000) | t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 3000), text));
	SAY("recv", recv(fd, buf, 1, 0));
	SAY("recv again", recv(fd, buf, 1, 0));
	SAY("send", send(fd, "z", 1, MSG_NOSIGNAL));
	close(fd);
}

static void reset_asked(void)
{
	int fd = t_tcp("T_RESET");
	char buf[64];

	send(fd, "x", 1, 0);
	SAY("data", recv(fd, buf, 3, MSG_WAITALL));
	send(fd, "y", 1, 0);
	t_poll(fd, POLLRDHUP, 3000);
	printf("SO_ERROR %s, then ", t_so_error_name(fd));
	printf("%s\n", t_so_error_name(fd));
	SAY("recv", recv(fd, buf, 1, 0));
	SAY("connect again", t_connect(fd, "T_ECHO") < 0 ? 0 : 1);
	close(fd);
}

/* The compiler is not to see the arguments. */
static ssize_t bad_readv(int fd, struct iovec *v, int n)
{
	struct iovec *volatile hidden = v;
	volatile int n_hidden = n;

	return readv(fd, hidden, n_hidden);
}

/* readv() and writev() of nothing do nothing, whatever the state; send() and recv() of nothing ask for it. */
static void nothing(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = { 1, 0 };
	struct iovec v[2] = { { NULL, 0 }, { NULL, 0 } };

	SAY("not connected, readv", readv(fd, v, 2));
	SAY("not connected, writev", writev(fd, v, 2));
	t_connect(fd, "T_ECHO");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	SAY("readv", readv(fd, v, 2));
	SAY("readv of none", readv(fd, NULL, 0));
	SAY("readv nowhere", bad_readv(fd, NULL, 1));
	SAY("readv of too many", bad_readv(fd, v, 1025));
	SAY("readv of a negative number", bad_readv(fd, v, -1));
	SAY("writev", writev(fd, v, 2));
	SAY("sendmsg nowhere", sendmsg(fd, &(struct msghdr){ .msg_iovlen = 1 }, 0));
	SAY("sendmsg of too many", sendmsg(fd, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 1025 }, 0));
	SAY("recvmsg nowhere", recvmsg(fd, &(struct msghdr){ .msg_iovlen = 1 }, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "echo", .run = echo },
		{ "vectors of nothing", .run = nothing },
		{ "a descriptor sent over TCP", .run = rights },
		{ "half-close", .run = half_close },
		{ "1 MB there and back", .run = big },
		{ "reset after some data", .run = reset },
		{ "SO_ERROR after a reset", .run = reset_asked },
	};

	return T_MAIN(argc, argv, cases);
}
