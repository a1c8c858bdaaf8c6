/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smolmix-run: runs a command with its network going through the mixnet.
 *
 * Theory of operation. Everything that can be judged without the network is judged first: options, the
 * command, the preload library, the guard. Then the tunnel starts in a thread of this process; when it is
 * ready the command is started behind the guard with the preload library and the path of the control socket
 * in its environment. This process waits on one poll(): signals, the tunnel's event descriptor, one tick each
 * second for the statistics file. When the command has ended, what it still had to send is sent (5 s at
 * most, or until a signal).
 *
 * If the tunnel fails later, connections reset and new ones fail; the command decides what to do.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "stack/host.h"
#include "stack/statsfile.h"
#include "stack/tunnel.h"
#include "tools/run/check.h"
#include "tools/run/child.h"
#include "tools/run/exits.h"
#include "tools/run/guard.h"
#include "tools/run/localnet.h"
#include "tools/run/options.h"
#include "tools/run/paths.h"
#include "tools/run/progress.h"
#include "tools/run/status.h"

#define EXIT_CANNOT 125
#define TICK_MS 1000

struct run {
	struct options opt;
	char command[PATHS_MAX], shim[PATHS_MAX], dir[PATHS_MAX], ctl[PATHS_MAX + 8];
	struct guard *guard;
	struct tunnel *tunnel;
	struct progress progress;
	struct child child;
	pid_t localnet;
	int signals;
	bool interrupted; /* by the terminal's SIGINT */
};

static int cannot(const char *line)
{
	fprintf(stderr, "smolmix-run: %s\n", line);
	return EXIT_CANNOT;
}

static int cannot_do(const char *what, int err, const char *change)
{
	fprintf(stderr, "smolmix-run: %s: %s; %s\n", what, err_str(err), change);
	return EXIT_CANNOT;
}

/* ---- before the network ---- */

static void start_log(const struct options *o)
{
	enum log_level level = o->verbose > 1 ? LOG_TRACE : LOG_INFO;

	/* Without -v the one line about a failure is all there is. */
	log_init(STDERR_FILENO, o->quiet || !o->verbose ? LOG_NONE : level, "smolmix-run");
}

static int take_signals(struct run *r)
{
	sigset_t set;

	child_signals(&set);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? -errno : 0;
}

/* The preload library in this very process would put our own sockets into a tunnel. */
static int preloaded(void)
{
	const char *preload = secure_getenv("LD_PRELOAD");

	if (!preload || !strstr(preload, "libsmolmix-shim.so"))
		return 0;
	if (secure_getenv("SMOLMIX_SOCKET"))
		return cannot(
			"nested: this runs under smolmix-run already, and all it starts goes through that "
			"one's tunnel; leave smolmix-run out here");
	return cannot(
		"LD_PRELOAD: smolmix-run itself has the preload library; unset it, the command will get it");
}

/* 0, or the exit code: everything that needs no network. */
static int prepare(struct run *r)
{
	char line[1024];
	const char *why;
	int e = paths_command(r->opt.command[0], r->command, line, sizeof(line));

	if (preloaded())
		return EXIT_CANNOT;
	if (e) {
		cannot(line);
		return e;
	}
	why = paths_shim(r->shim);
	if (why) {
		snprintf(line, sizeof(line), "preload library: %s", why);
		return cannot(line);
	}
	e = guard_new(&r->guard);
	if (e == 0)
		e = guard_probe(r->guard);
	if (e < 0)
		return cannot_do("kernel guard", e, "see smolmix-run --check");
	if (guard_close_inherited() && !r->opt.quiet)
		fputs("smolmix-run: standard input, output or error is an internet socket: it stays outside the tunnel\n",
		      stderr);
	e = take_signals(r);
	if (e == 0)
		e = paths_private_dir(r->dir);
	if (e < 0)
		return cannot_do("private folder", e,
				 geteuid() ? "set XDG_RUNTIME_DIR to a folder of yours with a short name"
					   : "make /tmp writable");
	snprintf(r->ctl, sizeof(r->ctl), "%s/ctl", r->dir);
	return 0;
}

/* ---- the tunnel ---- */

static void write_stats(const struct run *r)
{
	struct tunnel_stats s;

	if (!r->opt.tunnel.stats_json || !r->tunnel)
		return;
	tunnel_get_stats(r->tunnel, &s);
	statsfile_write(r->opt.tunnel.stats_json, &s);
}

/* The tunnel has some, and a socket of the program takes up to three descriptors here. The command has the
 * limit it was started with. */
static void lift_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

static int start_tunnel(struct run *r)
{
	struct tunnel_cfg cfg;
	int e;

	host_cfg(&cfg, &r->opt.tunnel, r->ctl);
	cfg.command = r->opt.command[0];
	e = tunnel_start(&r->tunnel, &cfg);
	return e < 0 ? cannot_do("tunnel", e, "run again with -v to see more") : 0;
}

/* An unwritable statistics file is found before the network is used. */
static int first_stats(const struct run *r)
{
	struct tunnel_stats none = { .bridge = { .state = BRIDGE_STARTING,
						 .profile = r->opt.tunnel.profile->name } };
	int e = r->opt.tunnel.stats_json ? statsfile_write(r->opt.tunnel.stats_json, &none) : 0;

	return e < 0 ? cannot_do("--stats-json", e, "name a regular file in a folder that can be written")
		     : 0;
}

static int failed(const struct run *r, const char *what, const struct bridge_stats *s)
{
	char line[HOST_LINE_MAX];

	host_failure(line, what, &r->progress.way, s);
	return cannot(line);
}

/* Waits for one of the two descriptors or the tick; clears the tunnel's. */
static void wait_event(const struct run *r)
{
	struct pollfd p[2] = { { r->signals, POLLIN, 0 }, { tunnel_event_fd(r->tunnel), POLLIN, 0 } };
	uint64_t count;

	if (poll(p, 2, TICK_MS) > 0 && p[1].revents && read(p[1].fd, &count, sizeof(count)) < 0)
		return;
}

/* Number of a signal that ends the bootstrap, or the wait at the end; 0 for none. */
static int ending_signal(struct run *r)
{
	struct signalfd_siginfo si;

	while (read(r->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGTSTP)
			kill(getpid(), SIGSTOP);
		r->interrupted = r->interrupted || (si.ssi_signo == SIGINT && child_from_terminal(&si));
		if (si.ssi_signo == SIGINT || si.ssi_signo == SIGTERM || si.ssi_signo == SIGHUP ||
		    si.ssi_signo == SIGQUIT || si.ssi_signo == SIGALRM)
			return (int)si.ssi_signo;
	}
	return 0;
}

/* 0 when the tunnel is ready, else the exit code. */
static int wait_ready(struct run *r)
{
	struct tunnel_stats s;

	for (;;) {
		int sig = ending_signal(r);

		if (sig)
			return 128 + sig;
		tunnel_get_stats(r->tunnel, &s);
		progress_update(&r->progress, &s.bridge);
		if (s.bridge.state == BRIDGE_READY)
			return 0;
		if (s.bridge.state == BRIDGE_FAILED)
			return failed(r, "cannot reach the mixnet", &s.bridge);
		write_stats(r);
		wait_event(r);
	}
}

/* ---- the command ---- */

static int run_command(struct run *r)
{
	int level = r->opt.quiet ? 0 : 1 + (r->opt.verbose > 2 ? 2 : r->opt.verbose);
	const struct child_cfg cfg = { .path = r->command,
				       .argv = r->opt.command,
				       .shim = r->shim,
				       .ctl_path = r->ctl,
				       .rules = r->opt.tunnel.rule_text,
				       .level = level,
				       .guard = r->guard };
	struct signalfd_siginfo si;
	struct tunnel_stats s;
	bool told = r->opt.quiet, interrupt = false;
	int e = child_start(&r->child, &cfg);

	if (e < 0)
		return cannot_do("command", e, "free memory or processes");
	while (!child_reap(&r->child)) {
		wait_event(r);
		while (read(r->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
			interrupt = interrupt || (si.ssi_signo == SIGINT && child_from_terminal(&si));
			child_signal(&r->child, &si);
		}
		tunnel_get_stats(r->tunnel, &s);
		progress_update(&r->progress, &s.bridge);
		if (s.bridge.state == BRIDGE_FAILED && !told) {
			failed(r, "the tunnel is gone", &s.bridge);
			told = true;
		}
		write_stats(r);
	}
	r->interrupted = interrupt && r->child.terminated == SIGINT;
	return r->child.status;
}

/* 0, or the signal that ended it before all was sent. */
static int finish(struct run *r, uint64_t drain_us)
{
	int sig = 0;

	if (r->tunnel) {
		tunnel_end(r->tunnel, drain_us);
		while (!tunnel_ended(r->tunnel)) {
			wait_event(r);
			sig = sig ? sig : ending_signal(r);
			if (sig)
				tunnel_end(r->tunnel, 0);
		}
		tunnel_stop(r->tunnel, 0);
		write_stats(r);
		tunnel_free(r->tunnel);
	}
	localnet_stop(r->localnet);
	guard_free(r->guard);
	if (r->dir[0]) {
		unlink(r->ctl);
		rmdir(r->dir);
	}
	return sig;
}

static int run(struct run *r)
{
	char line[1024];
	int code = prepare(r);

	if (code == 0)
		code = first_stats(r);
	if (code)
		return code;
	lift_limit();
	progress_init(&r->progress, r->opt.quiet || r->opt.verbose); /* the log has lines of its own for it */
	if (r->opt.localnet) {
		if (localnet_start(&r->localnet, &r->opt.tunnel.network, line, sizeof(line)) < 0)
			return cannot(line);
		if (!r->opt.quiet && isatty(STDERR_FILENO))
			fputs("smolmix: local test network, no anonymity\n", stderr);
	}
	code = start_tunnel(r);
	return code ? code : wait_ready(r);
}

/* What was asked to be printed is on standard output, or that is said. */
static int printed(int code)
{
	return fflush(stdout) == 0 && !ferror(stdout)
		       ? code
		       : cannot_do("standard output", -errno, "send it elsewhere");
}

/* Such a variable would be without effect and without a word. */
static void warn_misspelt(void)
{
	char line[256];

	for (char **e = environ; *e; e++)
		if (options_misspelt(*e, line, sizeof(line)))
			fprintf(stderr, "smolmix-run: %s\n", line);
}

/* Signals are left as they are: Ctrl-C ends it at once. */
static int list_exits(struct run *r)
{
	char line[1024];
	int e = 0;

	start_log(&r->opt);
	if (r->opt.localnet)
		e = localnet_start(&r->localnet, &r->opt.tunnel.network, line, sizeof(line));
	if (e == 0)
		e = exits_list(&r->opt.tunnel, line, sizeof(line));
	localnet_stop(r->localnet);
	return e < 0 ? cannot(line) : printed(0);
}

/* Ctrl-C ends loops of a shell only when what they run dies of it. */
static void die_interrupted(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	static struct run r = { .signals = -1 };
	char line[1024];
	int code = fd_standard();

	if (code < 0)
		return EXIT_CANNOT;
	child_remember(&r.child);
	if (options_parse(&r.opt, argc, argv, line, sizeof(line)) < 0)
		return cannot(line);
	switch (r.opt.action) {
	case OPTIONS_HELP: options_help(); return printed(0);
	case OPTIONS_VERSION: puts("smolmix-run " SMOLMIX_VERSION); return printed(0);
	case OPTIONS_CHECK: return printed(check_run());
	case OPTIONS_LIST_EXITS: return list_exits(&r);
	case OPTIONS_STATUS: return printed(status_run());
	case OPTIONS_RUN: break;
	}
	if (!r.opt.quiet)
		warn_misspelt();
	start_log(&r.opt);
	code = run(&r);
	if (code == 0) {
		int sig;

		code = run_command(&r);
		sig = finish(&r, HOST_DRAIN_US);
		code = sig ? 128 + sig : code;
	} else {
		finish(&r, 0);
	}
	if (r.interrupted)
		die_interrupted();
	return code;
}
