/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real kernel calls, and the few libc functions that hooks wrap.
 *
 * Theory of operation. A thin libc wrapper is replaced by its system call. What such a wrapper does besides,
 * being a cancellation point, is done here the way glibc before 2.41 does it: deferred cancellation is
 * switched to asynchronous for the length of the call. This is the only file that looks symbols of libc up.
 */
#include "shim/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <time.h>

struct real_libc real_libc;

long real_cancel(long nr, long a, long b, long c, long d, long e, long f)
{
	int type, unused;
	long r;

	if (__libc_single_threaded)
		return real_syscall(nr, a, b, c, d, e, f);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = real_syscall(nr, a, b, c, d, e, f);
	pthread_setcanceltype(type, &unused);
	return r;
}

long real_ret(long r)
{
	if (r < 0 && r >= -4095) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

int real_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)real_syscall(SYS_getsockopt, fd, level, name, (long)val, (long)len, 0);
}

int real_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)real_syscall(SYS_setsockopt, fd, level, name, (long)val, (long)len, 0);
}

int real_getsockopt_int(int fd, int level, int name, int *ret)
{
	int v = 0;
	socklen_t len = sizeof(v);
	int r = real_getsockopt(fd, level, name, &v, &len);

	if (r == 0)
		*ret = v;
	return r;
}

ssize_t real_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return real_cancel(SYS_sendmsg, fd, (long)m, flags, 0, 0, 0);
}

ssize_t real_recvmsg(int fd, struct msghdr *m, int flags)
{
	return real_cancel(SYS_recvmsg, fd, (long)m, flags, 0, 0, 0);
}

int real_socketpair(int type, int fds[2])
{
	return (int)real_syscall(SYS_socketpair, AF_UNIX, type, 0, (long)fds, 0, 0);
}

int real_close(int fd)
{
	return (int)real_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

int real_fcntl(int fd, int cmd, long arg)
{
	return (int)real_syscall(SYS_fcntl, fd, cmd, arg, 0, 0, 0);
}

int real_poll1(int fd, short events, const struct timespec *timeout, const uint64_t *mask, short *ret_events)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct timespec ts;
	long r;

	/* The kernel writes the remaining time back: give it a copy. */
	if (timeout)
		ts = *timeout;
	r = real_cancel(SYS_ppoll, (long)&p, 1, timeout ? (long)&ts : 0, (long)mask, sizeof(*mask), 0);
	if (r >= 0)
		*ret_events = p.revents;
	return (int)r;
}

int real_open(const char *path, int flags)
{
	return (int)real_syscall(SYS_openat, -100 /* AT_FDCWD */, (long)path, flags, 0, 0, 0);
}

ssize_t real_read(int fd, void *buf, size_t len)
{
	return real_syscall(SYS_read, fd, (long)buf, (long)len, 0, 0, 0);
}

ssize_t real_write(int fd, const void *buf, size_t len)
{
	return real_syscall(SYS_write, fd, (long)buf, (long)len, 0, 0, 0);
}

void *real_pages(size_t len)
{
	long r = real_syscall(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);

	return r < 0 && r >= -4095 ? NULL : (void *)r;
}

/* POSIX's way round ISO C: an object pointer stored as a function pointer. */
static void find(const char *name, void *ret)
{
	void *sym = dlsym(RTLD_NEXT, name);

	memcpy(ret, &sym, sizeof(sym));
}

__attribute__((used)) void *real_dlopen(void)
{
	static void *_Atomic found;
	void *sym = atomic_load_explicit(&found, memory_order_relaxed);

	if (!sym) {
		find("dlopen", &sym);
		atomic_store_explicit(&found, sym, memory_order_relaxed);
	}
	return sym;
}

void real_own_path(char *out, size_t cap)
{
	char full[PATH_MAX];
	Dl_info self;

	out[0] = '\0';
	if (dladdr(out, &self) && self.dli_fname && realpath(self.dli_fname, full) && strlen(full) < cap)
		memcpy(out, full, strlen(full) + 1);
}

void real_init(void)
{
	find("posix_spawn", &real_libc.posix_spawn);
}
