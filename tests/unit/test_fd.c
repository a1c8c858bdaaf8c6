/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor helpers: close-on-exec, high numbers, cookies, descriptors over a socket and their limits. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void numbers(void **state)
{
	int p[2], bad = -1;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM | SOCK_NONBLOCK, p), 0);
	assert_true(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fd_nonblock(p[0], 0), 0);
	assert_false(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_nonblock(p[0], 1), 0);
	assert_true(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_nonblock(-1, 1), -EBADF);
	errno = 5;
	fd_close(&p[0]);
	fd_close(&p[1]);
	fd_close(&bad);
	assert_int_equal(errno, 5);
	assert_int_equal(p[0], -1);
	assert_true(fd_pair(12345, p) < 0);
}

static void standard(void **state)
{
	int kept = dup(STDOUT_FILENO), p[2];

	(void)state;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	assert_int_equal(fd_standard(), 0);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(STDOUT_FILENO, "x", 1), 1);
	assert_int_equal(fd_standard(), 0); /* nothing to do */
	assert_int_equal(fd_pair(SOCK_STREAM, p), 0);
	assert_true(p[0] > STDERR_FILENO && p[1] > STDERR_FILENO);
	fd_close(&p[0]);
	fd_close(&p[1]);
	assert_int_equal(dup2(kept, STDOUT_FILENO), STDOUT_FILENO);
	close(kept);
}

static void cookies(void **state)
{
	int p[2], d;
	uint64_t a, b, c;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, p), 0);
	d = dup(p[0]);
	assert_int_equal(fd_cookie(p[0], &a), 0);
	assert_int_equal(fd_cookie(p[1], &b), 0);
	assert_int_equal(fd_cookie(d, &c), 0);
	assert_true(a == c && a != b);
	assert_int_equal(fd_cookie(-1, &a), -EBADF);
	close(d);
	fd_close(&p[0]);
	fd_close(&p[1]);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fd_cookie(p[0], &a), -ENOTSOCK);
	close(p[0]);
	close(p[1]);
}

static int open_fds(void)
{
	int n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void passing(void **state)
{
	int p[2], got[4], before = open_fds();
	size_t n = 4;
	char buf[8];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, p), 0);
	assert_int_equal(fd_send_fds(p[0], "abc", 3, p, 2, 0), 3);
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, 0), 3);
	assert_int_equal(n, 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	/* more than the receiver has room for: closed, refused */
	assert_int_equal(fd_send_fds(p[0], "abc", 3, p, 2, 0), 3);
	n = 1;
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, 0), -EMSGSIZE);
	/* truncated message */
	assert_int_equal(fd_send_fds(p[0], "0123456789", 10, p, 1, 0), 10);
	n = 1;
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, 0), -EMSGSIZE);
	assert_int_equal(fd_send_fds(p[0], "x", 1, NULL, 0, 0), 1);
	n = 4;
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, 0), 1);
	assert_int_equal(n, 0);
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(fd_send_fds(p[0], "x", 1, p, 5, 0), -EINVAL);
	fd_close(&p[0]);
	n = 4;
	assert_int_equal(fd_recv_fds(p[1], buf, sizeof(buf), got, &n, 0), 0);
	assert_int_equal(fd_send_fds(p[1], "x", 1, NULL, 0, 0), -EPIPE);
	fd_close(&p[1]);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(numbers), cmocka_unit_test(standard),
					    cmocka_unit_test(cookies), cmocka_unit_test(passing) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
