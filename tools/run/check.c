/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smolmix-run --check. One line per fact; what is needed and missing says so. Each kernel feature is tried,
 * not concluded from a version number.
 */
#include "tools/run/check.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "tools/run/guard.h"
#include "tools/run/paths.h"

static void line(const char *what, const char *how)
{
	printf("%-22s %s\n", what, how);
}

static bool user_namespaces(void)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : 1);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool check_guard(void)
{
	struct guard *g = NULL;
	char text[160];
	int r = guard_new(&g);

	if (r == 0)
		r = guard_probe(g);
	guard_free(g);
	if (r < 0)
		snprintf(text, sizeof(text), "NO: %s; commands cannot be run safely here", err_str(r));
	else
		snprintf(text, sizeof(text), "yes: internet sockets were refused in a test process");
	line("kernel guard (seccomp)", text);
	return r == 0;
}

static bool check_shim(void)
{
	char path[PATHS_MAX];
	const char *why = paths_shim(path);

	if (why)
		snprintf(path, sizeof(path), "NO: %s", why);
	line("preload library", path);
	return !why;
}

static void check_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	char text[64];

	if (abi < 0)
		snprintf(text, sizeof(text), "no (%s); not needed", strerror(errno));
	else
		snprintf(text, sizeof(text), "yes, ABI %ld; not needed", abi);
	line("landlock", text);
}

int check_run(void)
{
	struct utsname u;
	char text[512];
	bool ok;

	uname(&u);
	snprintf(text, sizeof(text), "%s %s %s", u.sysname, u.release, u.machine);
	line("smolmix", SMOLMIX_VERSION);
	line("kernel", text);
	ok = check_shim();
	ok = check_guard() && ok;
	check_landlock();
	line("user namespaces", user_namespaces() ? "yes; not needed" : "no; not needed");
	line("dynamic programs", ok ? "covered" : "NOT covered");
	line("static, Go, set-id", "refused");
	return ok ? 0 : 125;
}
