/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smolmix-run --status.
 *
 * Theory of operation. Every smolmix-run has a private folder with its control socket in it; the folders are
 * found by their names and owner, and each tunnel is asked over its socket. What runs in a tunnel itself has
 * that one's socket in its environment and asks it alone.
 *
 * A run that was killed leaves its folder behind. Nobody listens on its socket then and it is removed, but
 * not when the socket is new: a tunnel that just starts does not listen yet.
 */
#include "tools/run/status.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mixnet/bridge.h"
#include "stack/ctl/client.h"
#include "tools/run/paths.h"

#define ANSWER_MS 2000
#define NEW_S 10

struct found {
	unsigned n, usable;
};

static void show_text(const char *label, const char *text)
{
	if (*text)
		printf(", %s%s", label, text);
}

static void show_addr(const struct addr *a)
{
	struct addr bare = *a;
	char text[ADDR_TEXT];

	bare.port = 0;
	show_text("", a->family ? addr_text(&bare, text) : "");
}

static void show(pid_t pid, const struct ctl_status *s)
{
	uint64_t up = s->uptime_ms / 1000;

	printf("%d %s", (int)pid, s->state);
	if (s->cause[0])
		printf(" (%s)", s->cause);
	printf(": up %" PRIu64 ":%02d:%02d", up / 3600, (int)(up / 60 % 60), (int)(up % 60));
	show_text("command ", s->command);
	printf(", %" PRIu64 " connection%s", s->connections, s->connections == 1 ? "" : "s");
	show_addr(&s->ip4);
	show_addr(&s->ip6);
	show_text("gateway ", s->gateway);
	show_text("exit ", s->exit);
	putchar('\n');
}

static bool flows(const struct ctl_status *s)
{
	return !strcmp(s->state, bridge_state_name(BRIDGE_READY)) ||
	       !strcmp(s->state, bridge_state_name(BRIDGE_DEGRADED));
}

/* 0, or negative when there is no tunnel to ask. One that does not answer is one, and not usable. */
static int ask(struct found *f, const char *path)
{
	struct ctl_status s;
	pid_t pid = 0;
	int r = ctl_call_status(path, &s, &pid, ANSWER_MS);

	if (r == -EPERM || (r < 0 && !pid))
		return r;
	f->n++;
	if (r < 0) {
		fprintf(stderr,
			"smolmix-run: process %d: its tunnel does not answer; see whether it is stopped\n",
			(int)pid);
		return 0;
	}
	show(pid, &s);
	f->usable += flows(&s);
	return 0;
}

static void remove_left(int dir, const char *path)
{
	struct stat st;

	if (fstatat(dir, "ctl", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode) ||
	    st.st_mtime > time(NULL) - NEW_S)
		return;
	unlinkat(dir, "ctl", 0);
	rmdir(path);
}

static void visit(struct found *f, const char *path)
{
	int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char ctl[PATHS_MAX + 4];
	struct stat st;

	if (dir < 0)
		return;
	snprintf(ctl, sizeof(ctl), "%s/ctl", path);
	if (fstat(dir, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
	    ask(f, ctl) == -ECONNREFUSED)
		remove_left(dir, path);
	close(dir);
}

static void search(struct found *f, const char *base)
{
	DIR *d = opendir(base);
	char path[PATHS_MAX];

	for (struct dirent *e; d && (e = readdir(d));) {
		if (!paths_is_private(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
		visit(f, path);
	}
	if (d)
		closedir(d);
}

int status_run(void)
{
	const char *inside = secure_getenv("SMOLMIX_SOCKET"), *bases[PATHS_BASES];
	struct found f = { 0, 0 };

	if (inside) {
		ask(&f, inside);
	} else {
		for (unsigned i = 0, n = paths_private_bases(bases); i < n; i++)
			search(&f, bases[i]);
	}
	if (!f.n && inside)
		fputs("smolmix-run: --status: the tunnel this runs in is gone; run the command again\n",
		      stderr);
	else if (!f.n)
		fputs("smolmix-run: --status: no tunnel of yours runs; start one with smolmix-run COMMAND\n",
		      stderr);
	return f.n && f.usable == f.n ? 0 : 1;
}
