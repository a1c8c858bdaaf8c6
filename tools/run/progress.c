/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of the bootstrap on a terminal: one line that grows ("api, gateway, exit, ready in 2.1 s"); nothing into a pipe.
 * Which nodes were chosen is not printed here.
 */
#include "tools/run/progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_init(struct progress *p, bool quiet)
{
	*p = (struct progress){ .on = !quiet && isatty(STDERR_FILENO), .shown = BRIDGE_STARTING, .last = BRIDGE_STARTING };
}

static void say(const struct progress *p, const char *text)
{
	if (p->on)
		fputs(text, stderr);
}

void progress_update(struct progress *p, const struct bridge_stats *s)
{
	if (s->state == p->shown)
		return;
	p->shown = s->state;
	switch (s->state) {
	case BRIDGE_DIRECTORY:
		say(p, "smolmix: api");
		break;
	case BRIDGE_GATEWAY:
		say(p, ", gateway");
		break;
	case BRIDGE_EXIT:
		say(p, ", exit");
		break;
	case BRIDGE_READY:
		if (p->on && p->last < BRIDGE_READY)
			fprintf(stderr, ", ready in %.1f s\n", (double)s->bootstrap_us / 1e6);
		break;
	case BRIDGE_FAILED:
		if (p->last < BRIDGE_READY && p->last > BRIDGE_STARTING)
			say(p, "\n");
		return;
	case BRIDGE_STARTING:
	case BRIDGE_DEGRADED:
	case BRIDGE_RECONNECTING:
	case BRIDGE_DRAINING:
	case BRIDGE_CLOSED:
		break;
	}
	p->last = s->state;
}

const char *progress_hint(const struct progress *p)
{
	switch (p->last) {
	case BRIDGE_STARTING:
	case BRIDGE_DIRECTORY:
		return "check the network connection, or use another --network or --api";
	case BRIDGE_GATEWAY:
		return "use another --gateway, or check --network and --api";
	case BRIDGE_EXIT:
	case BRIDGE_READY:
	case BRIDGE_DEGRADED:
	case BRIDGE_RECONNECTING:
		return "use another --exit";
	case BRIDGE_DRAINING:
	case BRIDGE_CLOSED:
	case BRIDGE_FAILED:
		break;
	}
	return "run again with -v to see more";
}
