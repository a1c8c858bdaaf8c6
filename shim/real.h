/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel and libc behind the hooks. Thin calls are made by an inline system call: that needs no loader,
 * no lock and no initialised library, so it is right in signal handlers, in vfork children and before
 * constructors.
 *
 * All functions here return -errno and leave errno alone.
 */
#ifndef SHIM_REAL_H
#define SHIM_REAL_H

#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

#if defined(__x86_64__)
static inline long real_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long real_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "smolmix knows x86-64 and arm64"
#endif

/* The same for calls that may block and are cancellation points. */
long real_cancel(long nr, long a, long b, long c, long d, long e, long f);

/* -errno becomes -1 with errno set; anything else passes. */
long real_ret(long r);

int real_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int real_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
int real_getsockopt_int(int fd, int level, int name, int *ret);
ssize_t real_sendmsg(int fd, const struct msghdr *m, int flags); /* cancellation point */
ssize_t real_recvmsg(int fd, struct msghdr *m, int flags);	 /* cancellation point */
int real_socketpair(int type, int fds[2]);
int real_close(int fd);
int real_fcntl(int fd, int cmd, long arg);
/* mask: signals blocked meanwhile, NULL: those that are. Cancellation point. */
int real_poll1(int fd, short events, const struct timespec *timeout, const uint64_t *mask, short *ret_events);
int real_open(const char *path, int flags);
ssize_t real_read(int fd, void *buf, size_t len);
ssize_t real_write(int fd, const void *buf, size_t len);
/* Zeroed pages, or NULL; for arrays that are too large for the stack where malloc is not allowed. */
void *real_pages(size_t len);

/* libc's own functions behind hooks that only wrap them; looked up once by real_init(). NULL:
 * libc has none. */
struct real_libc {
	int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *,
			   const posix_spawnattr_t *, char *const[], char *const[]);
};
extern struct real_libc real_libc;
/* libc's dlopen, for w_dl.c. Looked up when first asked for: constructors of other libraries load some before
 * ours has run. */
void *real_dlopen(void);
/* Absolute path of this library; "" when it cannot be told. */
void real_own_path(char *out, size_t cap);
void real_init(void);

#endif
