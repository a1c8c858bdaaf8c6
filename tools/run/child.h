/* SPDX-License-Identifier: Apache-2.0 */
/* The command: started behind the guard, watched until it ends. */
#ifndef TOOLS_RUN_CHILD_H
#define TOOLS_RUN_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/types.h>

struct guard;

/* What this process was started with and the command is to have again. */
struct child_before {
	sigset_t mask;
	struct sigaction pipe, chld;
	struct rlimit files;
};

struct child {
	pid_t pid;
	int status;	/* exit code, once child_reap() said 1: its own, or 128+n */
	int terminated; /* number of the signal that ended it, or 0 */
	struct child_before before;
};

struct child_cfg {
	const char *path; /* file to execute */
	char **argv;
	const char *shim, *ctl_path, *rules;
	int level; /* of the shim's messages: 0 nothing .. 3 destinations */
	const struct guard *guard;
};

/* First of all: remembers the signals' state and the limit of descriptors, and has children waited for. */
void child_remember(struct child *c);
/* The signals smolmix-run takes by signalfd: those that whoever started it (nohup, a shell for a background
 * job) did not switch off. */
void child_signals(sigset_t *set);
/* Starts the command. 0 or -errno. */
int child_start(struct child *c, const struct child_cfg *cfg);
/* Did the terminal send it (Ctrl-C, Ctrl-Z), rather than a process? */
bool child_from_terminal(const struct signalfd_siginfo *si);
/* Handles one signal that arrived for smolmix-run: passes it on when the terminal has not already done so. */
void child_signal(const struct child *c, const struct signalfd_siginfo *si);
/* Collects what has ended or stopped. 1: the command has ended. 0: not yet. When it was stopped, this process
 * stops too and returns when both are continued; not so by SIGSTOP when no terminal waits for us. */
int child_reap(struct child *c);

#endif
