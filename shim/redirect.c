/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libc calls that shared sources make inside the shim (redirect.h), as plain system calls. Not
 * cancellation points: a control request inside getsockopt() must not end the thread.
 */
#include <stdarg.h>

#include "shim/real.h"

int shim_raw_socket(int domain, int type, int protocol);
int shim_raw_socketpair(int domain, int type, int protocol, int fds[2]);
int shim_raw_connect(int fd, const struct sockaddr *sa, socklen_t len);
ssize_t shim_raw_send(int fd, const void *buf, size_t len, int flags);
ssize_t shim_raw_recv(int fd, void *buf, size_t len, int flags);
ssize_t shim_raw_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t shim_raw_recvmsg(int fd, struct msghdr *m, int flags);
int shim_raw_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int shim_raw_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
ssize_t shim_raw_read(int fd, void *buf, size_t len);
ssize_t shim_raw_write(int fd, const void *buf, size_t len);
long shim_raw_syscall(long nr, ...);

int shim_raw_socket(int domain, int type, int protocol)
{
	return (int)real_ret(real_syscall(SYS_socket, domain, type, protocol, 0, 0, 0));
}

int shim_raw_socketpair(int domain, int type, int protocol, int fds[2])
{
	return (int)real_ret(real_syscall(SYS_socketpair, domain, type, protocol, (long)fds, 0, 0));
}

int shim_raw_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)real_ret(real_syscall(SYS_connect, fd, (long)sa, len, 0, 0, 0));
}

ssize_t shim_raw_send(int fd, const void *buf, size_t len, int flags)
{
	return real_ret(real_syscall(SYS_sendto, fd, (long)buf, (long)len, flags, 0, 0));
}

ssize_t shim_raw_recv(int fd, void *buf, size_t len, int flags)
{
	return real_ret(real_syscall(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0));
}

ssize_t shim_raw_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return real_ret(real_syscall(SYS_sendmsg, fd, (long)m, flags, 0, 0, 0));
}

ssize_t shim_raw_recvmsg(int fd, struct msghdr *m, int flags)
{
	return real_ret(real_syscall(SYS_recvmsg, fd, (long)m, flags, 0, 0, 0));
}

int shim_raw_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)real_ret(real_getsockopt(fd, level, name, val, len));
}

int shim_raw_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)real_ret(real_setsockopt(fd, level, name, val, len));
}

ssize_t shim_raw_read(int fd, void *buf, size_t len)
{
	return real_ret(real_read(fd, buf, len));
}

ssize_t shim_raw_write(int fd, const void *buf, size_t len)
{
	return real_ret(real_write(fd, buf, len));
}

long shim_raw_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return real_ret(real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}
