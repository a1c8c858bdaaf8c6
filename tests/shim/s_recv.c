/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving from a TCP socket: flags, sizes, vectors, time-outs, what recvmsg fills in, urgent data. */
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "t_do.h"
#include "t_main.h"

static char buf[70000];

/* A connection on which this text lies ready. */
static int with_data(const char *text)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say %s\n", text);
	t_ready(fd, (int)strlen(text));
	return fd;
}

static void rest(int fd)
{
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n >= 0)
		printf("rest %.*s\n", (int)n, buf);
	else
		printf("rest %s\n", t_err(-1));
}

static void peek(void)
{
	int fd = with_data("abcdef");

	SAY("peek 2", recv(fd, buf, 2, MSG_PEEK));
	SAY("peek more than there is", recv(fd, buf, 100, MSG_PEEK));
	SAY("peek and truncate", recv(fd, buf, 2, MSG_PEEK | MSG_TRUNC));
	SAY("peek nothing", recv(fd, buf, 0, MSG_PEEK));
	rest(fd);
	SAY("peek at nothing", recv(fd, buf, 1, MSG_PEEK | MSG_DONTWAIT));
	close(fd);
}

static void waitall(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nsleep 100\nsay def\n");
	SAY("two parts", recv(fd, buf, 6, MSG_WAITALL));
	t_do(fd, "say abc\nfin\n");
	SAY("cut short by the end", recv(fd, buf, 100, MSG_WAITALL));
	SAY("at the end", recv(fd, buf, 100, MSG_WAITALL));
	close(fd);
	fd = with_data("abc");
	SAY("without waiting", recv(fd, buf, 100, MSG_WAITALL | MSG_DONTWAIT));
	close(fd);
}

static void peek_waitall(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nsleep 100\nsay def\n");
	SAY("peek for all", recv(fd, buf, 6, MSG_WAITALL | MSG_PEEK));
	rest(fd);
	close(fd);
}

static void waitall_timeout(void)
{
	int fd = t_tcp("T_DO");
	struct timeval tv = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_do(fd, "say abc\n");
	SAY("some in time", recv(fd, buf, 100, MSG_WAITALL));
	SAY("none in time", recv(fd, buf, 100, MSG_WAITALL));
	SAY("read", read(fd, buf, 1));
	t_nonblock(fd, true);
	SAY("non-blocking", read(fd, buf, 1));
	close(fd);
}

static void truncate_flag(void)
{
	int fd = with_data("abcdefghij");

	SAY("throw 4 away", recv(fd, NULL, 4, MSG_TRUNC));
	SAY("into a buffer too", recv(fd, buf, 2, MSG_TRUNC));
	rest(fd);
	SAY("nothing there", recv(fd, NULL, 4, MSG_TRUNC | MSG_DONTWAIT));
	close(fd);
	fd = t_tcp("T_DO");
	t_do(fd, "bytes 60000\nfin\n");
	t_ready(fd, 4096);
	SAY("all of many", recv(fd, NULL, 60000, MSG_TRUNC | MSG_WAITALL));
	SAY("at the end", recv(fd, NULL, 10, MSG_TRUNC));
	close(fd);
}

static void nothing(void)
{
	int fd = with_data("abc");

	SAY("read of nothing", read(fd, buf, 0));
	SAY("recv of nothing", recv(fd, buf, 0, 0));
	SAY("readv of nothing", readv(fd, NULL, 0));
	rest(fd);
	SAY("read of nothing, empty", read(fd, buf, 0));
	SAY("recv of nothing, empty", recv(fd, buf, 0, MSG_DONTWAIT));
	close(fd);
}

static void pointers(void)
{
	int fd = with_data("abcdef");
	static struct iovec bad[1025] = { { (void *)8, 4 } };
	struct iovec half[2] = { { buf, 2 }, { (void *)8, 4 } };

	SAY("bad buffer", recv(fd, (void *)8, 4, 0));
	SAY("bad iovec", readv(fd, bad, 1));
	SAY("too many iovecs", readv(fd, bad, 1025));
	SAY("half bad", readv(fd, half, 2));
	rest(fd);
	close(fd);
}

static void vectors(void)
{
	int fd = t_tcp("T_DO");
	struct iovec iov[64];

	for (int i = 0; i < 64; i++)
		iov[i] = (struct iovec){ buf + i * 10, i % 3 ? 10 : 0 };
	t_do(fd, "bytes 420\n");
	t_ready(fd, 420);
	memset(buf, 0xee, sizeof(buf));
	SAY("64 pieces", readv(fd, iov, 64));
	printf("first %d %d last %d\n", (unsigned char)buf[10], (unsigned char)buf[19],
	       (unsigned char)buf[629]);
	close(fd);
}

static void messages(void)
{
	int fd = with_data("abcdef");
	struct sockaddr_in from = { .sin_family = 77 };
	char ctl[64];
	struct iovec iov = { buf, 3 };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl),
			    .msg_flags = 0x7777 };
	socklen_t len = sizeof(from);

	SAY("recvmsg", recvmsg(fd, &m, 0));
	printf("namelen %d controllen %d flags %d family %d\n", (int)m.msg_namelen, (int)m.msg_controllen,
	       m.msg_flags, from.sin_family);
	SAY("recvfrom", recvfrom(fd, buf, 1, 0, (struct sockaddr *)&from, &len));
	printf("length %d family %d\n", (int)len, from.sin_family);
	SAY("no message", recvmsg(fd, NULL, 0));
	m.msg_iovlen = 0;
	SAY("no pieces", recvmsg(fd, &m, MSG_DONTWAIT));
	m.msg_iovlen = 1025;
	SAY("too many pieces", recvmsg(fd, &m, MSG_DONTWAIT));
	rest(fd);
	close(fd);
}

static void several(void)
{
	int fd = with_data("abcdef");
	struct iovec iov[3] = { { buf, 2 }, { buf + 10, 2 }, { buf + 20, 100 } };
	struct mmsghdr v[3];
	struct timespec soon = { 0, 1000000 };

	memset(v, 0, sizeof(v));
	for (int i = 0; i < 3; i++) {
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	SAY("recvmmsg", recvmmsg(fd, v, 3, MSG_DONTWAIT, &soon));
	printf("lengths %d %d %d\n", (int)v[0].msg_len, (int)v[1].msg_len, (int)v[2].msg_len);
	SAY("nothing more", recvmmsg(fd, v, 3, MSG_DONTWAIT, NULL));
	close(fd);
}

static void counting(void)
{
	int fd = t_tcp("T_DO"), n = -1;

	SAY("FIONREAD, empty", ioctl(fd, FIONREAD, &n));
	printf("%d\n", n);
	t_do(fd, "bytes 3000\nfin\n");
	t_until(fd, POLLRDHUP);
	ioctl(fd, FIONREAD, &n);
	printf("3000: %d\n", n);
	recv(fd, buf, 1000, 0);
	ioctl(fd, FIONREAD, &n);
	printf("2000: %d\n", n);
	SAY("rest", recv(fd, buf, sizeof(buf), 0));
	ioctl(fd, FIONREAD, &n);
	printf("at the end: %d\n", n);
	SAY("SIOCATMARK", ioctl(fd, SIOCATMARK, &n));
	close(fd);
}

static void low_water(void)
{
	int fd = with_data("abc"), v = 5;
	socklen_t len = sizeof(v);

	SAY("SO_RCVLOWAT", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v)));
	v = 0;
	getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, &len);
	printf("%d\n", v);
	printf("poll with less: %s\n", t_names(t_poll(fd, POLLIN, T_QUIET_MS)));
	SAY("recv takes less when it must not wait", recv(fd, buf, 100, MSG_DONTWAIT));
	t_do(fd, "sleep 50\nsay abc\nsleep 100\nsay defg\n");
	SAY("recv waits for more", recv(fd, buf, 100, 0));
	SAY("not blocking", recv(fd, buf, 100, MSG_DONTWAIT));
	t_do(fd, "say xyz\nfin\n");
	SAY("end comes first", recv(fd, buf, 100, 0));
	close(fd);
}

static void timeouts(void)
{
	int fd = t_tcp("T_DO");
	struct timeval tv = { 0, 100000 };
	double before;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	before = t_now();
	SAY("recv", recv(fd, buf, 1, 0));
	printf("waited %d\n", t_now() - before > 0.09);
	SAY("recvmsg",
	    recvmsg(fd, &(struct msghdr){ .msg_iov = &(struct iovec){ buf, 1 }, .msg_iovlen = 1 }, 0));
	tv = (struct timeval){ 0, 0 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_do(fd, "sleep 300\nsay x\n");
	SAY("no time-out again", recv(fd, buf, 1, 0));
	tv = (struct timeval){ 0, -1 };
	SAY("negative", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	close(fd);
}

static void urgent_received(void)
{
	int fd = t_tcp("T_DO"), mark = -1;
	char c = '-';

	t_do(fd, "say ab\nurgent !\nsay cd\n");
	t_ready(fd, 2);
	usleep(T_QUIET_MS * 1000);
	printf("events %s\n", t_names(t_poll(fd, T_ALL, 0)));
	SAY("MSG_OOB", recv(fd, &c, 1, MSG_OOB));
	printf("urgent byte %c\n", c);
	SAY("before the mark", recv(fd, buf, 100, 0));
	SAY("SIOCATMARK", ioctl(fd, SIOCATMARK, &mark));
	printf("at the mark %d\n", mark);
	close(fd);
}

static void urgent_in_line(void)
{
	int fd = t_tcp("T_DO"), on = 1;
	size_t n;

	SAY("SO_OOBINLINE", setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
	t_do(fd, "say ab\nurgent !\nsay cd\nfin\n");
	t_until(fd, POLLRDHUP);
	SAY("MSG_OOB", recv(fd, buf, 1, MSG_OOB));
	n = t_read_all(fd, buf, 100);
	printf("text %.*s\n", (int)n, buf);
	close(fd);
}

static void ends(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nfin\n");
	t_until(fd, POLLRDHUP);
	SAY("part", recv(fd, buf, 2, 0));
	SAY("rest", recv(fd, buf, 100, 0));
	SAY("end", recv(fd, buf, 100, 0));
	SAY("peek at the end", recv(fd, buf, 100, MSG_PEEK));
	SAY("end without waiting", recv(fd, buf, 100, MSG_DONTWAIT));
	SAY("read at the end", read(fd, buf, 100));
	close(fd);
}

static void flags_unknown(void)
{
	int fd = with_data("abc");

	SAY("MSG_CMSG_CLOEXEC", recv(fd, buf, 1, MSG_CMSG_CLOEXEC));
	SAY("MSG_NOSIGNAL", recv(fd, buf, 1, MSG_NOSIGNAL));
	SAY("MSG_ERRQUEUE", recv(fd, buf, 1, MSG_ERRQUEUE));
	SAY("pread", pread(fd, buf, 1, 0));
	SAY("lseek", lseek(fd, 0, SEEK_SET));
	close(fd);
}

static void much(void)
{
	int fd = t_tcp("T_DO");
	size_t n, wrong = 0;

	t_do(fd, "bytes 65000\nfin\n");
	n = t_read_all(fd, buf, sizeof(buf));
	for (size_t i = 0; i < n; i++)
		wrong += (unsigned char)buf[i] != i % 251;
	printf("%zu bytes, %zu wrong\n", n, wrong);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "peek", .run = peek },
		{ "wait for all", .run = waitall },
		{ "peek, wait for all", .run = peek_waitall },
		{ "wait for all, time-out", .run = waitall_timeout },
		{ "MSG_TRUNC", .run = truncate_flag },
		{ "nothing", .run = nothing },
		{ "bad pointers", .run = pointers },
		{ "vectors", .run = vectors },
		{ "messages", .run = messages },
		{ "recvmmsg", .run = several },
		{ "FIONREAD", .run = counting },
		{ "SO_RCVLOWAT", .run = low_water },
		{ "SO_RCVTIMEO", .run = timeouts },
		{ "urgent data", .run = urgent_received },
		{ "urgent data in line", .run = urgent_in_line },
		{ "the end", .run = ends },
		{ "other flags", .run = flags_unknown },
		{ "65000 bytes", .run = much },
	};

	return T_MAIN(argc, argv, cases);
}
