/* SPDX-License-Identifier: Apache-2.0 */
/* Sending on a TCP socket: sizes, vectors, flags, full buffers, time-outs, SIGPIPE, sendfile and splice,
 * stdio. */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "t_do.h"
#include "t_main.h"

static char big[300000];
static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	pipes++;
}

/* A server that counts. */
static int counted(void)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "count\n");
	return fd;
}

static void total(int fd)
{
	char text[32] = { 0 };

	shutdown(fd, SHUT_WR);
	t_read_all(fd, text, sizeof(text) - 1);
	printf("server counted %s\n", text);
	close(fd);
}

static void plain(void)
{
	int fd = counted();

	SAY("send", send(fd, big, 10, 0));
	SAY("write", write(fd, big, 20));
	SAY("nothing", send(fd, big, 0, 0));
	SAY("write nothing", write(fd, big, 0));
	SAY("blocking, much", send(fd, big, sizeof(big), 0));
	SAY("MSG_DONTROUTE", send(fd, big, 1, MSG_DONTROUTE));
	SAY("MSG_EOR", send(fd, big, 1, MSG_EOR));
	SAY("MSG_CONFIRM", send(fd, big, 1, MSG_CONFIRM));
	SAY("pwrite", pwrite(fd, big, 1, 0));
	total(fd);
}

static void vectors(void)
{
	static struct iovec iov[1025];
	int fd = counted();

	for (int i = 0; i < 1025; i++)
		iov[i] = (struct iovec){ big, i % 5 ? 7 : 0 };
	SAY("1024 pieces", sendmsg(fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 1024 }, 0));
	SAY("1025 pieces", sendmsg(fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 1025 }, 0));
	SAY("writev, 1024", writev(fd, iov, 1024));
	SAY("writev, 1025", writev(fd, iov, 1025));
	SAY("no pieces", sendmsg(fd, &(struct msghdr){ .msg_iov = iov }, 0));
	SAY("writev, none", writev(fd, iov, 0));
	SAY("no message", sendmsg(fd, NULL, 0));
	SAY("bad buffer", send(fd, (void *)8, 4, 0));
	SAY("bad second piece", writev(fd, (struct iovec[]){ { big, 3 }, { (void *)8, 4 } }, 2) < 0 ? -1 : 0);
	close(fd);
}

static void several(void)
{
	int fd = counted();
	struct iovec iov[3] = { { big, 10 }, { big, 0 }, { big, 30 } };
	struct mmsghdr v[3];

	memset(v, 0, sizeof(v));
	for (int i = 0; i < 3; i++) {
		v[i].msg_hdr.msg_iov = &iov[i];
		v[i].msg_hdr.msg_iovlen = 1;
	}
	SAY("sendmmsg", sendmmsg(fd, v, 3, 0));
	printf("lengths %d %d %d\n", (int)v[0].msg_len, (int)v[1].msg_len, (int)v[2].msg_len);
	SAY("of nothing", sendmmsg(fd, NULL, 0, 0));
	total(fd);
}

static void addressed(void)
{
	int fd = counted();
	struct sockaddr_in a = t_v4("T_CLOSED");

	SAY("sendto with another address", sendto(fd, big, 5, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY("with a short one", sendto(fd, big, 5, 0, (struct sockaddr *)&a, 1));
	SAY("sendmsg with one", sendmsg(fd,
					&(struct msghdr){ .msg_name = &a,
							  .msg_namelen = sizeof(a),
							  .msg_iov = &(struct iovec){ big, 5 },
							  .msg_iovlen = 1 },
					0));
	total(fd);
}

static void more(void)
{
	int fd = counted(), on = 1, off = 0;

	SAY("MSG_MORE", send(fd, big, 100, MSG_MORE));
	SAY("and the rest", send(fd, big, 100, 0));
	SAY("MSG_MORE last", send(fd, big, 100, MSG_MORE));
	total(fd);
	fd = counted();
	SAY("TCP_CORK", setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	SAY("corked", send(fd, big, 100, 0));
	SAY("uncork", setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
	total(fd);
	fd = counted();
	SAY("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	for (int i = 0; i < 20; i++)
		send(fd, big, 1, 0);
	total(fd);
}

static void urgent(void)
{
	int fd = counted();

	SAY("before", send(fd, "ab", 2, 0));
	SAY("MSG_OOB", send(fd, "!", 1, MSG_OOB));
	SAY("after", send(fd, "cd", 2, 0));
	total(fd);
}

static void when_full(void)
{
	char key[32];
	struct timeval tv = { 0, 200000 };
	int fd = t_tcp("T_DO"), n = -1;

	t_key(key);
	t_do(fd, "await %s\ncount\n", key);
	t_fill(fd);
	SAY("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &n));
	printf("a lot: %d\n", n > 10000);
	SAY("SIOCOUTQNSD", ioctl(fd, SIOCOUTQNSD, &n));
	SAY("without waiting", send(fd, big, sizeof(big), MSG_DONTWAIT));
	printf("events %s\n", t_names(t_poll(fd, T_ALL, 0)));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	SAY("SO_SNDTIMEO", send(fd, big, sizeof(big), 0));
	SAY("write", write(fd, big, sizeof(big)));
	t_nonblock(fd, true);
	SAY("non-blocking", write(fd, big, sizeof(big)));
	t_wake(key);
	printf("drained: %s\n", t_names(t_until(fd, POLLOUT)));
	printf("room again %d\n", send(fd, big, 1000, 0) == 1000);
	close(fd);
}

static void partly(void)
{
	int fd = t_tcp("T_DO");
	const size_t much = 32 << 20;
	char *mem = mmap(NULL, much, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timeval tv = { 1, 0 };
	ssize_t n;

	t_do(fd, "sleep 30000\n");
	n = send(fd, mem, much, MSG_DONTWAIT);
	printf("non-blocking, a part: %d\n", n > 0 && n < (ssize_t)much);
	close(fd);
	fd = t_tcp("T_DO");
	t_do(fd, "sleep 30000\n");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	n = send(fd, mem, much, 0);
	printf("until the time-out: %s\n", n < 0 ? t_err(-1) : n < (ssize_t)much ? "a part" : "all");
	close(fd);
}

static void broken(void)
{
	int fd = t_tcp("T_DO");

	signal(SIGPIPE, on_pipe);
	shutdown(fd, SHUT_WR);
	SAY("write after shutdown", write(fd, "x", 1));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("writev", writev(fd, &(struct iovec){ "x", 1 }, 1));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("MSG_NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("nothing", send(fd, "x", 0, 0));
	printf("SIGPIPE %d\n", (int)pipes);
	close(fd);
	fd = t_tcp("T_DO");
	t_do(fd, "rst\n");
	t_until(fd, 0);
	SAY("after a reset", write(fd, "x", 1));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("again", write(fd, "x", 1));
	printf("SIGPIPE %d\n", (int)pipes);
	close(fd);
}

static int temp_file(size_t len)
{
	FILE *f = tmpfile();

	fwrite(big, 1, len, f);
	fflush(f);
	return fileno(f); /* as long as the program lives */
}

static void files(void)
{
	int fd = counted(), file = temp_file(50000), p[2];
	off_t at = 1000;

	SAY("sendfile with an offset", sendfile(fd, file, &at, 20000));
	printf("offset %ld\n", (long)at);
	lseek(file, 45000, SEEK_SET);
	SAY("from its own place", sendfile(fd, file, NULL, 20000));
	SAY("at its end", sendfile(fd, file, NULL, 20000));
	if (pipe(p) < 0)
		return;
	SAY("into a pipe", write(p[1], big, 1234));
	SAY("splice", splice(p[0], NULL, fd, NULL, 5000, 0));
	total(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	signal(SIGPIPE, SIG_IGN);
	at = 0;
	SAY("sendfile, not connected", sendfile(fd, file, &at, 100));
	SAY("write to the pipe", write(p[1], big, 10));
	SAY("splice, not connected", splice(p[0], NULL, fd, NULL, 10, 0));
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void spliced_in(void)
{
	int fd = t_tcp("T_DO"), p[2];
	char text[32] = { 0 };

	if (pipe(p) < 0)
		return;
	t_do(fd, "say spliced\n");
	t_ready(fd, 7);
	SAY("splice", splice(fd, NULL, p[1], NULL, 100, 0));
	SAY("read", read(p[0], text, sizeof(text)));
	printf("%s\n", text);
	t_do(fd, "fin\n");
	t_until(fd, POLLRDHUP);
	SAY("at the end", splice(fd, NULL, p[1], NULL, 100, 0));
	close(fd);
	close(p[0]);
	close(p[1]);
}

static void stdio(void)
{
	int fd = t_tcp("T_DO");
	FILE *out = fdopen(fd, "w"), *in = fdopen(dup(fd), "r");
	char line[64] = { 0 };

	fprintf(out, "say %s\nsay one\n", "formatted");
	fflush(out);
	printf("%zu\n", fread(line, 1, 12, in));
	printf("%s\n", line);
	dprintf(fd, "say dprintf\nfin\n");
	printf("%s\n", fgets(line, sizeof(line), in) ? line : "nothing");
	printf("end %d error %d\n", feof(in), ferror(in));
	printf("close %d %d\n", fclose(out), fclose(in));
	SAY("closed", fcntl(fd, F_GETFD));
}

static void unsent(void)
{
	int fd = t_tcp("T_DO"), n = -1;
	char byte;

	SAY("SIOCOUTQ, nothing sent", ioctl(fd, SIOCOUTQ, &n));
	printf("%d\n", n);
	t_do(fd, "sync\n");
	recv(fd, &byte, 1, 0);
	for (int i = 0; i < 100 && ioctl(fd, SIOCOUTQ, &n) == 0 && n; i++)
		usleep(50000);
	printf("acknowledged: %d\n", n);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "plain", .run = plain },
		{ "vectors", .run = vectors },
		{ "sendmmsg", .run = several },
		{ "with an address", .run = addressed },
		{ "held back", .run = more },
		{ "urgent", .run = urgent },
		{ "full", .run = when_full },
		{ "a part", .run = partly },
		{ "broken pipe", .run = broken },
		{ "sendfile and splice", .run = files },
		{ "splice from a socket", .run = spliced_in },
		{ "stdio", .run = stdio },
		{ "SIOCOUTQ", .run = unsent },
	};

	return T_MAIN(argc, argv, cases);
}
