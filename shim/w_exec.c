/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec and posix_spawn: children stay inside.
 *
 * Theory of operation. A caller that hands over a cleaned environment would start a child without the
 * preload, which the guard then refuses every socket. So LD_PRELOAD and the SMOLMIX_* variables of the start
 * are put back where they are missing, and a tunnel that this program has for itself (bare.c) is named to its
 * children. Programs that cannot be covered (static, Go, set-id, foreign) are refused here with one line,
 * since they would only fail obscurely later.
 *
 * vfork children run this on their parent's memory: only stack, and fresh pages where the stack would not do;
 * no malloc, no locks, no globals written. A page or two stay behind in a vfork parent when an environment
 * had to be mended that way.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exe.h"
#include "shim/bare.h"
#include "shim/hooks.h"
#include "shim/real.h"
#include "shim/state.h"

#define PRELOAD "LD_PRELOAD="
#define PRELOAD_LEN (sizeof(PRELOAD) - 1)
#define PATH_CAP 4096
#define SCRIPT_DEPTH 5
#define ARGS_FEW 256

/* ---- what may be started ---- */

static bool gains_privilege(const struct stat *st)
{
	if (st->st_mode & S_ISUID && st->st_uid != geteuid())
		return true;
	return (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getegid();
}

static int refuse(const char *path, const char *why, int err)
{
	state_say(STATE_WARN, "not started: ", path, " ", why, NULL);
	return -err;
}

/* Judges the file behind fd and, for a script, its interpreters. 0 or -errno. The kernel judges what is
 * unreadable or unknown. */
static int check_fd(int fd, const char *path, struct exe *exe)
{
	struct stat st;
	const char *why;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (gains_privilege(&st))
		return refuse(path, "is set-user-id or set-group-id", EPERM);
	if (exe_inspect(fd, exe) < 0)
		return 0;
	why = exe_refusal(exe->kind);
	return why ? refuse(path, why, EACCES) : 0;
}

static int check_at(int dir, const char *path, int flags)
{
	struct exe exe = { .kind = EXE_UNKNOWN };
	int fd, r = 0;

	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		if (flags & AT_EMPTY_PATH && !path[0])
			fd = real_fcntl(dir, F_DUPFD_CLOEXEC, 0);
		else
			fd = (int)real_syscall(SYS_openat, dir, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK,
					       0, 0, 0);
		if (fd < 0)
			return 0;
		exe.kind = EXE_UNKNOWN;
		r = check_fd(fd, path, &exe);
		real_close(fd);
		if (r < 0 || exe.kind != EXE_SCRIPT || !exe.interp[0])
			return r;
		path = exe.interp;
		dir = AT_FDCWD;
		flags = 0;
	}
	return 0;
}

/* ---- the environment ---- */

struct env {
	char *const *use; /* what to give to the kernel */
	char *few[ARGS_FEW];
	char preload[PATH_CAP];
};

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(b, "=");

	return !strncmp(a, b, n) && a[n] == '=';
}

/* Is ours one of the entries of this LD_PRELOAD value? */
static bool preloads(const char *value, const char *ours)
{
	size_t n = strlen(ours);

	while (*value) {
		size_t len = strcspn(value, ": ");

		if (len == n && !strncmp(value, ours, n))
			return true;
		value += len;
		value += strspn(value, ": ");
	}
	return false;
}

/* Ours goes last: other preloads keep the order they were given (interposition.md 2.12). */
static char *preload_entry(const char *old, const char *ours, char *buf, size_t cap)
{
	size_t old_len = old ? strlen(old + PRELOAD_LEN) : 0;
	size_t ours_len = strlen(ours);
	size_t need = PRELOAD_LEN + old_len + 1 + ours_len + 1;
	char *out = need <= cap ? buf : real_pages(need);
	char *p = out;

	if (!out)
		return NULL;
	memcpy(p, PRELOAD, PRELOAD_LEN);
	p += PRELOAD_LEN;
	if (old_len) {
		memcpy(p, old + PRELOAD_LEN, old_len);
		p += old_len;
		*p++ = ':';
	}
	memcpy(p, ours, ours_len + 1);
	return out;
}

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

static bool complete(char *const *envp, const char *ours, const char *const *keep, size_t n_keep)
{
	size_t found = 0;
	bool preload = false;

	for (size_t i = 0; envp && envp[i]; i++) {
		if (!strncmp(envp[i], PRELOAD, PRELOAD_LEN))
			preload = preloads(envp[i] + PRELOAD_LEN, ours);
		for (size_t k = 0; k < n_keep; k++)
			if (!strcmp(envp[i], keep[k]))
				found++;
	}
	return preload && found >= n_keep;
}

/* What a child must have of SMOLMIX_*: the start's, and the way to a tunnel that this program has for itself
 * since. */
static size_t wanted(const char *keep[STATE_KEEP_MAX + 1], bool same_process)
{
	size_t n;
	const char *const *start = state_keep(&n);
	const char *own = bare_child_var(same_process);

	memcpy(keep, start, n * sizeof(*keep));
	if (own)
		keep[n++] = own;
	return n;
}

/* Fills e->use with envp as a child needs it. same_process: this process becomes it. 0 or -ENOMEM. */
static int mend(struct env *e, char *const *envp, bool same_process)
{
	const char *ours = state_preload();
	const char *keep[STATE_KEEP_MAX + 1];
	size_t n_keep = wanted(keep, same_process), n = 0, total;
	const char *old = NULL;
	char **out = e->few;

	e->use = envp;
	if (!ours || complete(envp, ours, keep, n_keep))
		return 0;
	total = count(envp) + n_keep + 2;
	if (total > ARGS_FEW)
		out = real_pages(total * sizeof(*out));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; envp && envp[i]; i++) {
		bool replaced = false;

		if (!strncmp(envp[i], PRELOAD, PRELOAD_LEN)) {
			old = envp[i];
			continue;
		}
		for (size_t k = 0; k < n_keep; k++)
			replaced = replaced || same_name(envp[i], keep[k]);
		if (!replaced)
			out[n++] = envp[i];
	}
	for (size_t k = 0; k < n_keep; k++)
		out[n++] = (char *)(uintptr_t)keep[k];
	if (old && preloads(old + PRELOAD_LEN, ours))
		out[n++] = (char *)(uintptr_t)old;
	else
		out[n++] = preload_entry(old, ours, e->preload, sizeof(e->preload));
	if (!out[n - 1])
		return -ENOMEM;
	out[n] = NULL;
	e->use = out;
	return 0;
}

/* ---- bodies ---- */

int shim_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct env e;
	int r;

	if (!path)
		return -EFAULT;
	r = check_at(dir, path, flags);
	if (r == 0)
		r = mend(&e, envp, true);
	if (r < 0)
		return r;
	if (dir == AT_FDCWD && flags == 0)
		return (int)real_syscall(SYS_execve, (long)path, (long)argv, (long)e.use, 0, 0, 0);
	return (int)real_syscall(SYS_execveat, dir, (long)path, (long)argv, (long)e.use, flags, 0);
}

int shim_execve(const char *path, char *const argv[], char *const envp[])
{
	return shim_execveat(AT_FDCWD, path, argv, envp, 0);
}

/* A file without magic is a shell script (POSIX execvp). */
static int run_shell(const char *path, char *const argv[], char *const envp[])
{
	char *few[ARGS_FEW];
	size_t n = count(argv);
	char **args = n + 3 <= ARGS_FEW ? few : real_pages((n + 3) * sizeof(*args));

	if (!args)
		return -ENOMEM;
	args[0] = (char *)(uintptr_t) "/bin/sh";
	args[1] = (char *)(uintptr_t)path;
	for (size_t i = 1; i < n; i++)
		args[i + 1] = argv[i];
	args[n ? n + 1 : 2] = NULL;
	return shim_execve("/bin/sh", args, envp);
}

static int try_exec(const char *path, char *const argv[], char *const envp[])
{
	int r = shim_execve(path, argv, envp);

	return r == -ENOEXEC ? run_shell(path, argv, envp) : r;
}

/* After this outcome, is the next folder of PATH tried? (glibc, execvp and posix_spawnp) */
static bool try_next(int r)
{
	return r == -EACCES || r == -ENOENT || r == -ENOTDIR || r == -ESTALE || r == -ENODEV ||
	       r == -ETIMEDOUT;
}

/* "" or a missing PATH is the current folder or the system's default. Calls f for every candidate until it
 * says "stop". */
static int search(const char *file, char *const argv[], char *const envp[])
{
	const char *path = NULL;
	char full[PATH_CAP];
	size_t file_len = strlen(file);
	int r = -ENOENT;
	bool denied = false;

	if (!*file)
		return -ENOENT;
	if (strchr(file, '/'))
		return try_exec(file, argv, envp);
	for (char **e = environ; e && *e && !path; e++)
		if (!strncmp(*e, "PATH=", 5))
			path = *e + 5;
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t len = strcspn(path, ":");

		if (len + file_len + 2 <= sizeof(full)) {
			memcpy(full, path, len);
			if (len)
				full[len++] = '/';
			memcpy(full + len, file, file_len + 1);
			r = try_exec(full, argv, envp);
			if (!try_next(r))
				return r;
			denied = denied || r == -EACCES;
		}
		path += strcspn(path, ":");
		if (!*path++)
			break;
	}
	return denied ? -EACCES : r;
}

/* ---- hooks ---- */

HOOK int execve(const char *path, char *const argv[], char *const envp[])
{
	return (int)real_ret(shim_execve(path, argv, envp));
}

HOOK int execv(const char *path, char *const argv[])
{
	return (int)real_ret(shim_execve(path, argv, environ));
}

HOOK int execvp(const char *file, char *const argv[])
{
	return (int)real_ret(search(file, argv, environ));
}

HOOK int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return (int)real_ret(search(file, argv, envp));
}

HOOK int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	return (int)real_ret(shim_execveat(dir, path, argv, envp, flags));
}

HOOK int fexecve(int fd, char *const argv[], char *const envp[])
{
	return (int)real_ret(shim_execveat(fd, "", argv, envp, AT_EMPTY_PATH));
}

/* Collects arg and what follows it up to NULL; into few if they fit. Reads envp after the NULL when asked. */
static char **collect(char **few, const char *arg, va_list ap, char *const **envp)
{
	va_list again;
	size_t n = 0;
	char **args = few;

	va_copy(again, ap);
	for (const char *a = arg; a; a = va_arg(again, const char *))
		n++;
	va_end(again);
	if (n + 1 > ARGS_FEW)
		args = real_pages((n + 1) * sizeof(*args));
	if (!args)
		return NULL;
	n = 0;
	for (const char *a = arg; a; a = va_arg(ap, const char *))
		args[n++] = (char *)(uintptr_t)a;
	args[n] = NULL;
	if (envp)
		*envp = va_arg(ap, char *const *);
	return args;
}

HOOK int execl(const char *path, const char *arg, ...)
{
	char *few[ARGS_FEW];
	char **args;
	va_list ap;

	va_start(ap, arg);
	args = collect(few, arg, ap, NULL);
	va_end(ap);
	return (int)real_ret(args ? shim_execve(path, args, environ) : -ENOMEM);
}

HOOK int execle(const char *path, const char *arg, ...)
{
	char *few[ARGS_FEW];
	char *const *envp = NULL;
	char **args;
	va_list ap;

	va_start(ap, arg);
	args = collect(few, arg, ap, &envp);
	va_end(ap);
	return (int)real_ret(args ? shim_execve(path, args, envp) : -ENOMEM);
}

HOOK int execlp(const char *file, const char *arg, ...)
{
	char *few[ARGS_FEW];
	char **args;
	va_list ap;

	va_start(ap, arg);
	args = collect(few, arg, ap, NULL);
	va_end(ap);
	return (int)real_ret(args ? search(file, args, environ) : -ENOMEM);
}

/* posix_spawn of libc does the work; the search of posix_spawnp is ours, so that the file that is checked is
 * the one started. */
static int spawn_at(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts,
		    const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct env e;
	int r;

	if (!real_libc.posix_spawn)
		return ENOSYS;
	r = check_at(AT_FDCWD, path, 0);
	if (r == 0)
		r = mend(&e, envp, false);
	return r < 0 ? -r : real_libc.posix_spawn(pid, path, acts, attr, argv, e.use);
}

HOOK int posix_spawn(pid_t *restrict pid, const char *restrict path,
		     const posix_spawn_file_actions_t *restrict acts, const posix_spawnattr_t *restrict attr,
		     char *const argv[restrict], char *const envp[restrict])
{
	return spawn_at(pid, path, acts, attr, argv, envp);
}

HOOK int posix_spawnp(pid_t *restrict pid, const char *restrict file,
		      const posix_spawn_file_actions_t *restrict acts, const posix_spawnattr_t *restrict attr,
		      char *const argv[restrict], char *const envp[restrict])
{
	const char *path = NULL;
	char full[PATH_CAP];
	size_t file_len = strlen(file);
	int r = ENOENT;
	bool denied = false;

	if (strchr(file, '/'))
		return spawn_at(pid, file, acts, attr, argv, envp);
	for (char **e = environ; e && *e && !path; e++)
		if (!strncmp(*e, "PATH=", 5))
			path = *e + 5;
	for (path = path ? path : "/bin:/usr/bin";; path++) {
		size_t len = strcspn(path, ":");

		if (file_len && len + file_len + 2 <= sizeof(full)) {
			memcpy(full, path, len);
			if (len)
				full[len] = '/';
			memcpy(full + len + (len != 0), file, file_len + 1);
			r = -(int)real_syscall(SYS_faccessat, AT_FDCWD, (long)full, X_OK, 0, 0, 0);
			if (r == 0)
				r = spawn_at(pid, full, acts, attr, argv, envp);
			if (!try_next(-r))
				return r;
			denied = denied || r == EACCES;
		}
		path += len;
		if (!*path)
			return denied ? EACCES : r;
	}
}
