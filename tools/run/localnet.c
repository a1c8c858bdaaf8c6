/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local test network for --localnet: the program of the same folder, in a process group of its own so
 * that Ctrl-C ends the command first and the network last; the kernel ends it when smolmix-run dies.
 */
#include "tools/run/localnet.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/run/paths.h"

#define PROGRAM "smolmix-localnet"
#define READY_MS 15000
#define LINE_CAP 4096

static void child(const char *path, const int out[2], pid_t parent)
{
	char *argv[] = { (char[]){ PROGRAM }, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || dup2(out[1], STDOUT_FILENO) < 0)
		_exit(126);
	execv(path, argv);
	_exit(127);
}

/* The line it prints when it is ready; "" when it ends or stays silent. */
static void read_line(int fd, char line[LINE_CAP])
{
	struct pollfd p = { fd, POLLIN, 0 };
	size_t n = 0;

	while (n < LINE_CAP - 1 && poll(&p, 1, READY_MS) > 0) {
		ssize_t got = read(fd, line + n, LINE_CAP - 1 - n);

		if (got <= 0)
			break;
		n += (size_t)got;
		if (memchr(line, '\n', n))
			break;
	}
	line[n] = '\0';
}

static int use_line(const char *line, struct network *net)
{
	json_error_t bad;
	json_t *o = json_loads(line, JSON_DISABLE_EOF_CHECK, &bad);
	const char *url = json_string_value(json_object_get(o, "api"));
	int r = url ? network_from_url(net, url) : -1;

	json_decref(o);
	return r;
}

int localnet_start(pid_t *ret_pid, struct network *net, char *err, size_t err_cap)
{
	char path[PATHS_MAX], line[LINE_CAP];
	pid_t pid, self = getpid();
	int out[2];

	if (paths_sibling(PROGRAM, path) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		snprintf(err, err_cap, "--localnet: %s is not beside smolmix-run; build it", PROGRAM);
		return -1;
	}
	pid = fork();
	if (pid == 0)
		child(path, out, self);
	close(out[1]);
	line[0] = '\0';
	if (pid > 0)
		read_line(out[0], line);
	close(out[0]);
	if (pid > 0 && use_line(line, net) == 0) {
		*ret_pid = pid;
		return 0;
	}
	if (pid > 0)
		localnet_stop(pid);
	snprintf(err, err_cap, "--localnet: %s did not start; run it by itself to see why", PROGRAM);
	return -1;
}

void localnet_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
