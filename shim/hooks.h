/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wrapper files share: the mark of an exported hook, and the bodies of hooks that syscall() reaches
 * too. Bodies return -errno; the exported function of the same name turns that into errno.
 */
#ifndef SHIM_HOOKS_H
#define SHIM_HOOKS_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define HOOK __attribute__((visibility("default")))

/* w_socket.c */
int shim_socket(int domain, int type, int protocol);
int shim_bind(int fd, const struct sockaddr *sa, socklen_t len);
int shim_listen(int fd, int backlog);
int shim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int shim_shutdown(int fd, int how);
/* w_connect.c */
int shim_connect(int fd, const struct sockaddr *sa, socklen_t len);
/* w_name.c */
int shim_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int shim_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
/* w_opt.c */
int shim_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int shim_setsockopt(int fd, int level, int name, const void *val, socklen_t len);
/* w_msg.c */
ssize_t shim_read(int fd, void *buf, size_t len);
ssize_t shim_write(int fd, const void *buf, size_t len);
ssize_t shim_readv(int fd, const struct iovec *iov, int n);
ssize_t shim_writev(int fd, const struct iovec *iov, int n);
ssize_t shim_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
		    socklen_t to_len);
ssize_t shim_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *from_len);
ssize_t shim_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t shim_recvmsg(int fd, struct msghdr *m, int flags);
int shim_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags);
int shim_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout);
/* w_fd.c */
int shim_ioctl(int fd, unsigned long request, void *arg);
/* w_exec.c */
int shim_execve(const char *path, char *const argv[], char *const envp[]);
int shim_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags);

#endif
