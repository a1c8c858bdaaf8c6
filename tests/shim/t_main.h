/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of many cases, each of which is judged by itself.
 *
 * Without arguments it runs every case in a process of its own, in the table's order: a fork that executes
 * the program again with the case's name, so that neither a crash nor a signal handler, a limit or a
 * descriptor that was left reaches the next one. With a NAME it runs that one, --list prints their names, and
 * --together runs all in this process, for one that is watched or has a tunnel in itself.
 *
 * "== NAME" stands before what a case prints, "ended: ..." after it where it did not end as it should.
 */
#ifndef TESTS_SHIM_T_MAIN_H
#define TESTS_SHIM_T_MAIN_H

#include <sys/mman.h>
#include <sys/wait.h>

#include "t.h"

enum t_order {
	T_ONE_BY_ONE,
	T_AT_ONCE /* where waiting is most of the work; printed in order all the same */
};

struct t_case {
	const char *name;
	void (*run)(void);
	void (*with)(int); /* instead, with this argument */
	int arg;
};

enum { T_CASES = 64 };

static inline void t_run(const struct t_case *c)
{
	if (c->run)
		c->run();
	else
		c->with(c->arg);
	fflush(stdout);
}

/* A process for the case; what it prints goes to out. */
static inline pid_t t_start(char *self, const struct t_case *c, int out)
{
	char *argv[] = { self, (char *)c->name, NULL };
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		execv(self, argv);
		_exit(127);
	}
	return pid;
}

/* Waits for it and prints what it left in out, if that is a file; whether it ended as it should. */
static inline bool t_end(pid_t pid, int out)
{
	char buf[4096];
	int status = -1;
	ssize_t n;

	if (waitpid(pid, &status, 0) < 0)
		printf("ended: %s\n", t_err(-1));
	for (off_t at = 0; out != STDOUT_FILENO && (n = pread(out, buf, sizeof(buf), at)) > 0; at += n)
		fwrite(buf, 1, (size_t)n, stdout);
	if (out != STDOUT_FILENO)
		close(out);
	if (WIFSIGNALED(status))
		printf("ended: signal %d\n", WTERMSIG(status));
	else if (status)
		printf("ended: exit %d\n", WEXITSTATUS(status));
	return status == 0;
}

static inline int t_each(char *self, const struct t_case *cases, size_t n, enum t_order order)
{
	pid_t pid[T_CASES];
	int out[T_CASES], bad = 0;

	for (size_t i = 0; order == T_AT_ONCE && i < n; i++) {
		out[i] = memfd_create(cases[i].name, MFD_CLOEXEC);
		pid[i] = t_start(self, &cases[i], out[i]);
	}
	for (size_t i = 0; i < n; i++) {
		printf("== %s\n", cases[i].name);
		if (order == T_ONE_BY_ONE) {
			out[i] = STDOUT_FILENO;
			pid[i] = t_start(self, &cases[i], out[i]);
		}
		bad += !t_end(pid[i], out[i]);
	}
	return bad ? 1 : 0;
}

static inline int t_main(int argc, char **argv, const struct t_case *cases, size_t n, enum t_order order)
{
	bool list = argc == 2 && !strcmp(argv[1], "--list");
	bool together = argc == 2 && !strcmp(argv[1], "--together");

	setvbuf(stdout, NULL, _IOLBF, 0); /* what a case has printed when it crashes is to be seen */
	if (argc == 1 && n <= T_CASES)
		return t_each(argv[0], cases, n, order);
	for (size_t i = 0; i < n; i++) {
		if (list || together)
			printf("%s%s\n", together ? "== " : "", cases[i].name);
		if (together)
			t_run(&cases[i]);
		if (argc == 2 && !strcmp(argv[1], cases[i].name)) {
			t_run(&cases[i]);
			return 0;
		}
	}
	if (list || together)
		return 0;
	fprintf(stderr, "no such case, see --list\n");
	return 2;
}

/* The end of a program whose cases are a table. */
#define T_MAIN(argc, argv, cases) t_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0]), T_ONE_BY_ONE)

#endif
