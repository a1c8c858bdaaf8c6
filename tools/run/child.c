/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and watching the command.
 *
 * Theory of operation. The tunnel runs in a thread of this process, so the child of fork() only makes system
 * calls on what was prepared before: environment, filter, arguments. Signals are blocked or ignored in it as
 * they were for us. It stays in our process group: the terminal's signals reach it directly, and we only
 * outlive them. Where it has made a group of its own (timeout does) the terminal knows ours only, and its
 * signals are passed on to that group. A signal that somebody sent to smolmix-run itself is passed on to the
 * command, as is an alarm that was set before us. When the command stops (Ctrl-Z), smolmix-run stops as well,
 * so that the shell sees the job stop; both continue together. A stop that no terminal can have wanted is
 * between the command and whoever stopped it.
 *
 * This process is a subreaper: daemons of the command become our children and are collected here.
 */
#include "tools/run/child.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "tools/run/guard.h"

#define OWN_VARS 4

static const int passed[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCONT };

void child_remember(struct child *c)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigprocmask(SIG_SETMASK, NULL, &c->before.mask);
	sigaction(SIGPIPE, NULL, &c->before.pipe);
	sigaction(SIGCHLD, &dfl, &c->before.chld);
	getrlimit(RLIMIT_NOFILE, &c->before.files);
}

void child_signals(sigset_t *set)
{
	struct sigaction sa;

	sigemptyset(set);
	/* A blocked signal would reach the signalfd though it is ignored. */
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		if (passed[i] != SIGCONT && sigaction(passed[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(set, passed[i]);
	sigaddset(set, SIGCHLD);
}

/* "NAME=value", allocated. */
static char *assign(const char *name, const char *value)
{
	char *s;

	return asprintf(&s, "%s=%s", name, value) < 0 ? NULL : s;
}

static int replaced(const char *var)
{
	static const char *const names[] = { "LD_PRELOAD=", "SMOLMIX_SOCKET=", "SMOLMIX_VERBOSE=",
					     "SMOLMIX_RULE=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(var, names[i], strlen(names[i])))
			return 1;
	return 0;
}

/* The preload library goes last: others keep their order (interposition.md 2.12). */
static char *preload_value(const char *shim)
{
	const char *old = secure_getenv("LD_PRELOAD");
	char *s;

	if (!old || !*old)
		return assign("LD_PRELOAD", shim);
	return asprintf(&s, "LD_PRELOAD=%s:%s", old, shim) < 0 ? NULL : s;
}

static void free_own(char **env, size_t n, size_t own)
{
	for (size_t i = n - own; env && i < n; i++)
		free(env[i]);
	free(env);
}

static char **make_env(const struct child_cfg *cfg, size_t *ret_n)
{
	const char level[] = { (char)('0' + cfg->level), '\0' };
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + OWN_VARS + 1, sizeof(*env));
	if (!env)
		return NULL;
	n = 0;
	for (char **e = environ; *e; e++)
		if (!replaced(*e))
			env[n++] = *e;
	env[n++] = preload_value(cfg->shim);
	env[n++] = assign("SMOLMIX_SOCKET", cfg->ctl_path);
	env[n++] = assign("SMOLMIX_VERBOSE", level);
	env[n++] = assign("SMOLMIX_RULE", cfg->rules);
	*ret_n = n;
	for (size_t i = n - OWN_VARS; i < n; i++) {
		if (!env[i]) {
			free_own(env, n, OWN_VARS);
			return NULL;
		}
	}
	return env;
}

static void complain(const char *what, int err)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "smolmix-run: %.300s: cannot be started: %s\n", what,
			 err_str(err));

	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

/* A file without magic is a shell script, as execvp has it. */
static char **shell_argv(const struct child_cfg *cfg)
{
	size_t n = 0;
	char **argv;

	while (cfg->argv[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = (char *)(uintptr_t) "/bin/sh";
	argv[1] = (char *)(uintptr_t)cfg->path;
	for (size_t i = 1; i < n; i++)
		argv[i + 1] = cfg->argv[i];
	return argv;
}

static _Noreturn void run(const struct child_before *before, const struct child_cfg *cfg, char **env,
			  char **shell)
{
	int r;

	sigaction(SIGPIPE, &before->pipe, NULL);
	sigaction(SIGCHLD, &before->chld, NULL);
	sigprocmask(SIG_SETMASK, &before->mask, NULL);
	setrlimit(RLIMIT_NOFILE, &before->files);
	r = guard_install(cfg->guard);
	if (r < 0) {
		complain("the kernel guard", r);
		_exit(125);
	}
	execve(cfg->path, cfg->argv, env);
	if (errno == ENOEXEC)
		execve(shell[0], shell, env);
	r = errno;
	complain(cfg->path, r);
	_exit(r == ENOENT ? 127 : 126);
}

int child_start(struct child *c, const struct child_cfg *cfg)
{
	size_t n = 0;
	char **env = make_env(cfg, &n), **shell = shell_argv(cfg);
	int r = env && shell ? 0 : -ENOMEM;

	if (r == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		c->pid = fork();
		if (c->pid == 0)
			run(&c->before, cfg, env, shell);
		r = c->pid < 0 ? -errno : 0;
	}
	if (env)
		free_own(env, n, OWN_VARS);
	free(shell);
	return r;
}

bool child_from_terminal(const struct signalfd_siginfo *si)
{
	return si->ssi_code == SI_KERNEL && si->ssi_signo != SIGALRM;
}

/* The command's process group when it is another than ours, else 0. */
static pid_t own_group(const struct child *c)
{
	pid_t group = getpgid(c->pid);

	return group > 0 && group != getpgrp() ? group : 0;
}

void child_signal(const struct child *c, const struct signalfd_siginfo *si)
{
	if (si->ssi_signo == SIGCHLD)
		return;
	if (!child_from_terminal(si))
		kill(c->pid, (int)si->ssi_signo);
	else if (own_group(c))
		kill(-own_group(c), (int)si->ssi_signo);
}

/* Do we run in the foreground of a terminal? */
static bool in_front(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (tcgetpgrp(fd) == getpgrp())
			return true;
	return false;
}

int child_reap(struct child *c)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != c->pid)
			continue;
		if (WIFSTOPPED(status)) {
			if (WSTOPSIG(status) == SIGSTOP && !in_front())
				continue;
			kill(getpid(), SIGSTOP);
			kill(own_group(c) ? -own_group(c) : c->pid, SIGCONT);
			continue;
		}
		c->terminated = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		c->status = c->terminated ? 128 + c->terminated : WEXITSTATUS(status);
		return 1;
	}
	return pid < 0 && errno == ECHILD;
}
