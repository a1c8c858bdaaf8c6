/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of smolmix-run.
 *
 * Theory of operation. The command is looked for before anything is started, so that a typing error costs
 * nothing and has the exit codes of env(1). A file that the preload library cannot cover is refused by name:
 * under the guard it would fail at its first socket, and less clearly. Scripts are judged by their
 * interpreter.
 */
#include "tools/run/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exe.h"

#define SCRIPT_DEPTH 5
#define PRIVATE "smolmix-XXXXXX"
#define SOCKET_ROOM 64 /* of the 107 bytes of a socket address, for the folder above */

/* Where the preload library is installed, seen from this program's folder, so that the tree may be moved. */
#ifndef SMOLMIX_SHIM_DIR
#define SMOLMIX_SHIM_DIR "../lib/smolmix"
#endif

enum found { FOUND, FOUND_NOT, FOUND_DENIED };

static enum found try_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? FOUND_DENIED : FOUND_NOT;
	return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? FOUND : FOUND_DENIED;
}

static enum found search(const char *command, char out[PATHS_MAX])
{
	const char *path = secure_getenv("PATH");
	enum found best = FOUND_NOT;

	if (strchr(command, '/')) {
		snprintf(out, PATHS_MAX, "%s", command);
		return try_file(out);
	}
	for (path = path ? path : "/usr/local/bin:/bin:/usr/bin"; *command;) {
		size_t len = strcspn(path, ":");
		enum found f;

		snprintf(out, PATHS_MAX, "%.*s%s%s", (int)len, path, len ? "/" : "", command);
		f = try_file(out);
		if (f == FOUND)
			return f;
		if (f == FOUND_DENIED)
			best = f;
		path += len;
		if (!*path++)
			break;
	}
	return best;
}

static bool gains_privilege(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != geteuid())
		return true;
	return (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getegid();
}

static int refuse(const char *path, const char *why, const char *instead, char *err, size_t err_cap)
{
	snprintf(err, err_cap, "%.300s: %s, so it cannot be covered; %s", path, why, instead);
	return 125;
}

static int judge(const char *first, char *err, size_t err_cap)
{
	struct exe exe = { .kind = EXE_UNKNOWN };
	char path[PATHS_MAX];

	snprintf(path, sizeof(path), "%s", first);
	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		const char *why;

		if (fd < 0)
			return 0; /* executable but not readable: the kernel's business */
		if (gains_privilege(fd)) {
			close(fd);
			return refuse(path, "is set-user-id or set-group-id",
				      "run it as that user, or use another program", err, err_cap);
		}
		if (exe_inspect(fd, &exe) < 0)
			exe.kind = EXE_UNKNOWN;
		close(fd);
		why = exe_refusal(exe.kind);
		if (why)
			return refuse(path, why,
				      "use a build that is linked dynamically with this system's glibc", err,
				      err_cap);
		if (exe.kind != EXE_SCRIPT || !exe.interp[0])
			break;
		snprintf(path, sizeof(path), "%s", exe.interp);
	}
	return 0;
}

int paths_command(const char *command, char out[PATHS_MAX], char *err, size_t err_cap)
{
	switch (search(command, out)) {
	case FOUND: return judge(out, err, err_cap);
	case FOUND_DENIED:
		snprintf(err, err_cap, "%.300s: not executable; check its permissions", command);
		return 126;
	case FOUND_NOT: break;
	}
	snprintf(err, err_cap, "%.300s: command not found; check its name and PATH", command);
	return 127;
}

static int own_folder(char out[PATHS_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATHS_MAX - 1);
	char *slash;

	if (n <= 0)
		return -ENOENT;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

int paths_sibling(const char *name, char out[PATHS_MAX])
{
	char dir[PATHS_MAX];

	if (own_folder(dir) < 0)
		return -ENOENT;
	if (snprintf(out, PATHS_MAX, "%s/%s", dir, name) >= PATHS_MAX || access(out, X_OK) < 0)
		return -ENOENT;
	return 0;
}

const char *paths_shim(char out[PATHS_MAX])
{
	static const char *const places[] = { "../shim", SMOLMIX_SHIM_DIR };
	char dir[PATHS_MAX], file[2 * PATHS_MAX];
	bool found = false;

	if (own_folder(dir) < 0)
		return "the folder of smolmix-run is unknown; mount /proc";
	for (size_t i = 0; !found && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s/libsmolmix-shim.so", places[i][0] == '/' ? "" : dir,
			 places[i]);
		found = realpath(file, out) != NULL;
	}
	if (!found)
		return "libsmolmix-shim.so was not found; build or install it";
	if (strpbrk(out, " :"))
		return "its path has a space or colon, which LD_PRELOAD cannot name; move it";
	return NULL;
}

unsigned paths_private_bases(const char *ret[PATHS_BASES])
{
	/* Root's programs may go on as other users, who have to find the socket. */
	const char *own = geteuid() ? secure_getenv("XDG_RUNTIME_DIR") : NULL;
	struct stat a, b;
	unsigned n = 0;

	if (own && own[0] == '/' && strlen(own) < SOCKET_ROOM && stat(own, &a) == 0 &&
	    (stat("/tmp", &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		ret[n++] = own;
	ret[n++] = "/tmp";
	return n;
}

bool paths_is_private(const char *name)
{
	return strlen(name) == strlen(PRIVATE) && !strncmp(name, PRIVATE, strlen(PRIVATE) - 6);
}

int paths_private_dir(char out[PATHS_MAX])
{
	const char *bases[PATHS_BASES];
	unsigned n = paths_private_bases(bases);

	for (unsigned i = 0; i < n; i++) {
		snprintf(out, PATHS_MAX, "%s/" PRIVATE, bases[i]);
		if (mkdtemp(out))
			return geteuid() || chmod(out, 0711) == 0 ? 0 : -errno;
	}
	return -errno;
}
