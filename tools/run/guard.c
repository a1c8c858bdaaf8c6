/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp filter.
 *
 * Theory of operation. Every socket a covered program needs is AF_UNIX, so the filter only looks at scalar
 * arguments: there is nothing to race with. libseccomp compiles it in the parent; the child, which may be a
 * fork of a threaded process, only makes two system calls.
 *
 * Points of interposition.md 3.2: (1) no_new_privs; (2) native architecture only, x32 and 32-bit calls kill;
 * (3) socket() for AF_UNIX and routing netlink; (4) no io_uring, which would make sockets past the filter;
 * (5) no ways to borrow another process's sockets or to get a network of one's own; (6) inherited
 * descriptors. clone3 takes its flags from memory and is therefore "unknown": libc falls back to clone.
 * ptrace is refused too: it would reach processes outside the tree.
 */
#include "tools/run/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPT_BINDTOIFINDEX 62 /* SO_BINDTOIFINDEX; older headers lack it */

struct guard {
	size_t len; /* bytes */
	struct sock_filter code[];
};

struct refused {
	int nr, err;
};

static int add_refused(scmp_filter_ctx ctx)
{
	static const struct refused all[] = {
		{ SCMP_SYS(io_uring_setup), ENOSYS },	 { SCMP_SYS(io_uring_enter), ENOSYS },
		{ SCMP_SYS(io_uring_register), ENOSYS }, { SCMP_SYS(clone3), ENOSYS },
		{ SCMP_SYS(pidfd_getfd), EPERM },	 { SCMP_SYS(ptrace), EPERM },
		{ SCMP_SYS(process_vm_writev), EPERM },	 { SCMP_SYS(bpf), EPERM },
		{ SCMP_SYS(userfaultfd), EPERM },	 { SCMP_SYS(setns), EPERM },
		{ SCMP_SYS(kexec_load), EPERM },	 { SCMP_SYS(kexec_file_load), EPERM },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)all[i].err), all[i].nr, 0);
	return r;
}

/* All 64 bits of the argument are compared: a domain with rubbish in the upper half is refused as well. */
static int add_socket(scmp_filter_ctx ctx)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EACCES);
	const int nr = SCMP_SYS(socket);
	int r = seccomp_rule_add(ctx, refuse, nr, 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0));

	for (scmp_datum_t domain = 0; r == 0 && domain < AF_NETLINK; domain++)
		if (domain != AF_UNIX)
			r = seccomp_rule_add(ctx, refuse, nr, 1, SCMP_A0(SCMP_CMP_EQ, domain, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, refuse, nr, 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
				     SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(socketpair), 1,
				     SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	return r;
}

/* The loopback sockets the tunnel's host gives out stay bound to the loopback device, whoever runs the
 * program. */
static int add_device(scmp_filter_ctx ctx)
{
	static const scmp_datum_t names[] = { SO_BINDTODEVICE, OPT_BINDTOIFINDEX };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 2,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, SOL_SOCKET),
				     SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, names[i]));
	return r;
}

static int add_namespaces(scmp_filter_ctx ctx)
{
	static const scmp_datum_t flags[] = { CLONE_NEWNET, CLONE_NEWUSER };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(flags) / sizeof(flags[0]); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
		if (r == 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
	}
	return r;
}

/* Compiles ctx; libseccomp 2.5 writes to descriptors only. */
static int compile(scmp_filter_ctx ctx, struct guard **ret)
{
	int fd = memfd_create("guard", MFD_CLOEXEC);
	struct stat st;
	struct guard *g = NULL;
	int r = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);

	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0) {
		g = malloc(sizeof(*g) + (size_t)st.st_size);
		r = g ? 0 : -ENOMEM;
	}
	if (r == 0) {
		g->len = (size_t)st.st_size;
		if (pread(fd, g->code, g->len, 0) != (ssize_t)g->len)
			r = -EIO;
	}
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(g);
		return r;
	}
	*ret = g;
	return 0;
}

int guard_new(struct guard **ret)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = add_refused(ctx);
	if (r == 0)
		r = add_socket(ctx);
	if (r == 0)
		r = add_device(ctx);
	if (r == 0)
		r = add_namespaces(ctx);
	if (r == 0)
		r = compile(ctx, ret);
	seccomp_release(ctx);
	return r;
}

void guard_free(struct guard *g)
{
	free(g);
}

int guard_install(const struct guard *g)
{
	struct sock_fprog prog = { .len = (unsigned short)(g->len / sizeof(struct sock_filter)),
				   .filter = (struct sock_filter *)(uintptr_t)g->code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return -errno;
	return 0;
}

int guard_probe(const struct guard *g)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (guard_install(g) < 0)
			_exit(errno);
		_exit(syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0) < 0 && errno == EACCES ? 0 : EPROTO);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

static int is_outward(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return 0;
	return domain != AF_UNIX && domain != AF_NETLINK;
}

int guard_close_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	int stay = 0;

	while (d && (e = readdir(d))) {
		char *end;
		long fd = strtol(e->d_name, &end, 10);

		if (*end || end == e->d_name || fd == dirfd(d) || !is_outward((int)fd))
			continue;
		if (fd > STDERR_FILENO)
			close((int)fd);
		else
			stay++;
	}
	if (d)
		closedir(d);
	return stay;
}
