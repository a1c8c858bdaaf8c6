/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SO_COOKIE names a socket: interposition.md 2.2, design D2, shim/sock.c. It is there for AF_UNIX, each end
 * of a pair has its own, it is the same through every copy of the descriptor and never used again, so that an
 * entry of a closed descriptor can never match another socket.
 */
#include "p.h"

#include <sys/syscall.h>

#define PAIRS 5000
/* shim/sock.c keeps 52 bits of it. */
#define COOKIE_LIMIT (UINT64_C(1) << 52)

static uint64_t seen[4 * PAIRS];

static uint64_t cookie(int fd)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);

	FACT("2.2", "SO_COOKIE works on AF_UNIX sockets",
	     getsockopt(fd, SOL_SOCKET, SO_COOKIE, &v, &len) == 0);
	FACT("2.2", "SO_COOKIE is a 64-bit number other than zero", len == sizeof(v) && v != 0);
	FACT("shim/sock.c", "a cookie fits in 52 bits", v < COOKIE_LIMIT);
	return v;
}

static uint64_t expected;

static bool same_in_child(int fd)
{
	return cookie(fd) == expected;
}

static void pass_fd(int through, int fd)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u = {
		.h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS }
	};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u.buf)
	};

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	NEED(sendmsg(through, &m, 0) == 1);
}

static int take_fd(int through)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u.buf)
	};
	int fd = -1;

	NEED(recvmsg(through, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	return fd;
}

static void same_through_copies(int type, const char *self)
{
	int pair[2], carrier[2], copy;
	char fd_text[16], cookie_text[32];
	pid_t pid;

	p_pair(type, pair);
	p_pair(SOCK_SEQPACKET, carrier);
	expected = cookie(pair[0]);
	FACT("2.2", "the two ends of a pair have different cookies", cookie(pair[1]) != expected);
	FACT("2.2", "asking twice gives the same cookie", cookie(pair[0]) == expected);

	copy = dup(pair[0]);
	FACT("2.2", "dup keeps the cookie", copy >= 0 && cookie(copy) == expected);
	NEED(dup3(pair[0], carrier[0], O_CLOEXEC) == carrier[0]);
	FACT("2.2", "dup3 keeps the cookie", cookie(carrier[0]) == expected);
	close(carrier[0]);
	close(carrier[1]);
	close(copy);
	copy = fcntl(pair[0], F_DUPFD_CLOEXEC, 100);
	FACT("2.2", "F_DUPFD keeps the cookie", copy >= 100 && cookie(copy) == expected);
	close(copy);
	FACT("2.2", "fork keeps the cookie", p_child_ok(p_fork(same_in_child, pair[0])));

	p_pair(SOCK_SEQPACKET, carrier);
	pass_fd(carrier[0], pair[0]);
	copy = take_fd(carrier[1]);
	FACT("2.2", "SCM_RIGHTS keeps the cookie", copy != pair[0] && cookie(copy) == expected);
	close(copy);
	p_close_pair(carrier);

	NEED(fcntl(pair[0], F_SETFD, 0) == 0);
	snprintf(fd_text, sizeof(fd_text), "%d", pair[0]);
	snprintf(cookie_text, sizeof(cookie_text), "%llu", (unsigned long long)expected);
	pid = fork();
	NEED(pid >= 0);
	if (pid == 0) {
		execl(self, self, fd_text, cookie_text, (char *)NULL);
		_exit(1);
	}
	FACT("2.2", "exec keeps the cookie", p_child_ok(pid));
	p_close_pair(pair);
}

static void number_used_again(void)
{
	int pair[2], again[2];
	uint64_t old;

	p_pair(SOCK_STREAM, pair);
	old = cookie(pair[0]);
	syscall(SYS_close, pair[0]);
	syscall(SYS_close, pair[1]);
	p_pair(SOCK_STREAM, again);
	NEED(again[0] == pair[0]);
	FACT("2.2", "another socket behind the same number has another cookie", cookie(again[0]) != old);
	p_close_pair(again);
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void never_again(void)
{
	size_t n = 0;
	int pair[2];

	for (int i = 0; i < PAIRS; i++) {
		p_pair(SOCK_STREAM, pair);
		seen[n++] = cookie(pair[0]);
		seen[n++] = cookie(pair[1]);
		p_close_pair(pair);
		p_pair(SOCK_DGRAM, pair);
		seen[n++] = cookie(pair[0]);
		seen[n++] = cookie(pair[1]);
		p_close_pair(pair);
	}
	qsort(seen, n, sizeof(seen[0]), order);
	for (size_t i = 1; i < n; i++)
		FACT("2.2", "no cookie of a closed socket comes back", seen[i] != seen[i - 1]);
}

static int int_option(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	FACT("shim/sock.c", "SO_DOMAIN and SO_TYPE answer", getsockopt(fd, SOL_SOCKET, name, &v, &len) == 0);
	return v;
}

/* How shim/sock.c tells what cannot be ours before it asks the tunnel. */
static void not_ours(void)
{
	int pair[2], pipe_fds[2];
	uint64_t v;
	socklen_t len = sizeof(v);

	p_pair(SOCK_DGRAM, pair);
	FACT("2.8", "SO_DOMAIN of a pair is AF_UNIX", int_option(pair[0], SO_DOMAIN) == AF_UNIX);
	FACT("shim/sock.c", "SO_TYPE tells a datagram pair", int_option(pair[0], SO_TYPE) == SOCK_DGRAM);
	p_close_pair(pair);
	p_pair(SOCK_SEQPACKET, pair);
	FACT("shim/sock.c", "SO_TYPE tells the control connection",
	     int_option(pair[0], SO_TYPE) == SOCK_SEQPACKET);
	p_close_pair(pair);
	NEED(pipe2(pipe_fds, O_CLOEXEC) == 0);
	FACT("shim/sock.c", "what is no socket has no cookie",
	     p_fails(getsockopt(pipe_fds[0], SOL_SOCKET, SO_COOKIE, &v, &len), ENOTSOCK));
	p_close_pair(pipe_fds);
}

int main(int argc, char **argv)
{
	if (argc == 3) /* run by same_through_copies() */
		return cookie(atoi(argv[1])) != strtoull(argv[2], NULL, 10);
	same_through_copies(SOCK_STREAM, "/proc/self/exe");
	same_through_copies(SOCK_DGRAM, "/proc/self/exe");
	number_used_again();
	never_again();
	not_ours();
	return 0;
}
