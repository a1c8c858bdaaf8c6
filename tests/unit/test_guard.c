/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel guard: what it refuses, with which errno, and what it leaves alone. Each look runs in a child of
 * its own. */
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/run/guard.h"

static struct guard *guard;

/* Exit status of look() behind the guard; 128+n for signal n. */
static int behind(int (*look)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(guard_install(guard) == 0 ? look() : 100);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* errno of a raw system call, 0 when it worked. */
static int try(long nr, long a, long b, long c)
{
	return syscall(nr, a, b, c, 0, 0, 0) < 0 ? errno : 0;
}

static int look_sockets(void)
{
	static const int refused[] = { AF_UNSPEC, AF_INET, AF_INET6, AF_PACKET, AF_VSOCK, AF_BLUETOOTH,
				       AF_XDP,	  AF_ALG,  15,	     17,	45 };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++)
			if (try(SYS_socket, refused[i], type, 0) != EACCES)
				return 1 + (int)i;
	if (try(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) != EACCES)
		return 20;
	/* Rubbish above the 32 bits the kernel looks at must not open a way round. */
	if (try(SYS_socket, (long)(UINT64_C(1) << 32 | AF_INET), SOCK_STREAM, 0) != EACCES)
		return 21;
	if (try(SYS_socket, AF_UNIX, SOCK_STREAM, 0) || try(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE))
		return 22;
	return 0;
}

static int look_pairs(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return 1;
	if (socketpair(AF_INET, SOCK_STREAM, 0, fds) == 0 || errno != EOPNOTSUPP)
		return 2;
	return 0;
}

static int look_refused(void)
{
	char ring[256] = { 0 };

	if (try(SYS_io_uring_setup, 4, (long)ring, 0) != ENOSYS)
		return 1;
	if (try(SYS_io_uring_enter, -1, 0, 0) != ENOSYS || try(SYS_io_uring_register, -1, 0, 0) != ENOSYS)
		return 2;
	if (try(SYS_clone3, 0, 0, 0) != ENOSYS)
		return 3;
	if (try(SYS_pidfd_getfd, -1, 0, 0) != EPERM || try(SYS_process_vm_writev, 1, 0, 0) != EPERM)
		return 4;
	if (try(SYS_ptrace, PTRACE_TRACEME, 0, 0) != EPERM || try(SYS_bpf, 0, 0, 0) != EPERM)
		return 5;
	if (try(SYS_userfaultfd, 0, 0, 0) != EPERM || try(SYS_setns, -1, 0, 0) != EPERM)
		return 6;
	if (try(SYS_unshare, CLONE_NEWNET, 0, 0) != EPERM ||
	    try(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS, 0, 0) != EPERM)
		return 7;
	if (try(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0) != EPERM ||
	    try(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0) != EPERM)
		return 8;
	if (try(SYS_unshare, CLONE_FILES, 0, 0) != 0)
		return 9;
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int look_ordinary(void)
{
	pthread_t t;
	int status = 1;
	pid_t pid;

	if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(look_sockets()); /* inherited */
	if (waitpid(pid, &status, 0) != pid || status)
		return 2;
	return system("exit 3") == 3 << 8 ? 0 : 3;
}

#if defined(__x86_64__)
static int look_x32(void)
{
	return try(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0) ? 1 : 2;
}

static int look_i386(void)
{
	long ret;

	/* int 0x80, number 359: socket of the 32-bit table */
	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(359), "b"(AF_INET), "c"(SOCK_STREAM), "d"(0)
			 : "memory");
	return ret < 0 ? 1 : 2;
}
#endif

static void refuses_sockets(void **state)
{
	assert_int_equal(behind(look_sockets), 0);
	assert_int_equal(behind(look_pairs), 0);
}

static void refuses_ways_round(void **state)
{
	assert_int_equal(behind(look_refused), 0);
}

static void leaves_the_rest(void **state)
{
	assert_int_equal(behind(look_ordinary), 0);
}

static void kills_foreign_calls(void **state)
{
#if defined(__x86_64__)
	assert_int_equal(behind(look_x32), 128 + SIGSYS);
	assert_int_equal(behind(look_i386), 128 + SIGSYS);
#endif
}

static void probe(void **state)
{
	assert_int_equal(guard_probe(guard), 0);
}

static void closes_inherited(void **state)
{
	int inet = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(inet > 2 && local > 2);
	assert_int_equal(guard_close_inherited(), 0);
	assert_int_equal(close(inet), -1);
	assert_int_equal(close(local), 0);
}

static int setup(void **state)
{
	return guard_new(&guard);
}

static int teardown(void **state)
{
	guard_free(guard);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_sockets), cmocka_unit_test(refuses_ways_round),
		cmocka_unit_test(leaves_the_rest), cmocka_unit_test(kills_foreign_calls),
		cmocka_unit_test(probe),	   cmocka_unit_test(closes_inherited),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
