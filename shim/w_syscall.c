/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall(): libuv, and so dig and node, call sockets by number. The numbers of calls that have a hook go
 * through the same bodies, rings that would make sockets do not exist, everything else passes unchanged with
 * six arguments.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <unistd.h>

#include "shim/hooks.h"
#include "shim/real.h"

struct args {
	long a[6];
};

static long data_call(long nr, const struct args *p, bool *ret_done)
{
	const long *a = p->a;
	int fd = (int)a[0];

	*ret_done = true;
	switch (nr) {
	case SYS_read: return shim_read(fd, (void *)a[1], (size_t)a[2]);
	case SYS_write: return shim_write(fd, (const void *)a[1], (size_t)a[2]);
	case SYS_readv: return shim_readv(fd, (const struct iovec *)a[1], (int)a[2]);
	case SYS_writev: return shim_writev(fd, (const struct iovec *)a[1], (int)a[2]);
	case SYS_sendto:
		return shim_sendto(fd, (const void *)a[1], (size_t)a[2], (int)a[3],
				   (const struct sockaddr *)a[4], (socklen_t)a[5]);
	case SYS_recvfrom:
		return shim_recvfrom(fd, (void *)a[1], (size_t)a[2], (int)a[3], (struct sockaddr *)a[4],
				     (socklen_t *)a[5]);
	case SYS_sendmsg: return shim_sendmsg(fd, (const struct msghdr *)a[1], (int)a[2]);
	case SYS_recvmsg: return shim_recvmsg(fd, (struct msghdr *)a[1], (int)a[2]);
	case SYS_sendmmsg: return shim_sendmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3]);
	case SYS_recvmmsg:
		return shim_recvmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3],
				     (struct timespec *)a[4]);
	}
	*ret_done = false;
	return 0;
}

static long socket_call(long nr, const struct args *p, bool *ret_done)
{
	const long *a = p->a;
	int fd = (int)a[0];

	*ret_done = true;
	switch (nr) {
	case SYS_socket: return shim_socket((int)a[0], (int)a[1], (int)a[2]);
	case SYS_bind: return shim_bind(fd, (const struct sockaddr *)a[1], (socklen_t)a[2]);
	case SYS_connect: return shim_connect(fd, (const struct sockaddr *)a[1], (socklen_t)a[2]);
	case SYS_listen: return shim_listen(fd, (int)a[1]);
	case SYS_accept: return shim_accept4(fd, (struct sockaddr *)a[1], (socklen_t *)a[2], 0);
	case SYS_accept4: return shim_accept4(fd, (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]);
	case SYS_shutdown: return shim_shutdown(fd, (int)a[1]);
	case SYS_getsockname: return shim_getsockname(fd, (struct sockaddr *)a[1], (socklen_t *)a[2]);
	case SYS_getpeername: return shim_getpeername(fd, (struct sockaddr *)a[1], (socklen_t *)a[2]);
	case SYS_getsockopt:
		return shim_getsockopt(fd, (int)a[1], (int)a[2], (void *)a[3], (socklen_t *)a[4]);
	case SYS_setsockopt:
		return shim_setsockopt(fd, (int)a[1], (int)a[2], (const void *)a[3], (socklen_t)a[4]);
	}
	*ret_done = false;
	return 0;
}

static long other_call(long nr, const struct args *p)
{
	const long *a = p->a;

	switch (nr) {
	case SYS_ioctl: return shim_ioctl((int)a[0], (unsigned long)a[1], (void *)a[2]);
	case SYS_execve: return shim_execve((const char *)a[0], (char *const *)a[1], (char *const *)a[2]);
	case SYS_execveat:
		return shim_execveat((int)a[0], (const char *)a[1], (char *const *)a[2], (char *const *)a[3],
				     (int)a[4]);
	case SYS_io_uring_setup:
	case SYS_io_uring_enter:
	case SYS_io_uring_register: return -ENOSYS;
	}
	return real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

HOOK long syscall(long nr, ...)
{
	struct args p;
	va_list ap;
	bool done;
	long r;

	/* Callers give as many arguments as the call has; reading more only reads what lies there. */
	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		p.a[i] = va_arg(ap, long);
	va_end(ap);
	r = socket_call(nr, &p, &done);
	if (!done)
		r = data_call(nr, &p, &done);
	if (!done)
		r = other_call(nr, &p);
	return real_ret(r);
}
