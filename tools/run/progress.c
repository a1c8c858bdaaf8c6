/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of the bootstrap on a terminal: one line that grows ("api, gateway, exit, ready in 2.1 s");
 * nothing into a pipe. Which nodes were chosen is not printed here.
 */
#include "tools/run/progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_init(struct progress *p, bool quiet)
{
	*p = (struct progress){ .on = !quiet && isatty(STDERR_FILENO),
				.shown = BRIDGE_STARTING,
				.way = { BRIDGE_STARTING } };
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
	case BRIDGE_DIRECTORY: say(p, "smolmix: api"); break;
	case BRIDGE_GATEWAY: say(p, ", gateway"); break;
	case BRIDGE_EXIT: say(p, ", exit"); break;
	case BRIDGE_READY:
		if (p->on && p->way.last < BRIDGE_READY)
			fprintf(stderr, ", ready in %.1f s\n", (double)s->bootstrap_us / 1e6);
		break;
	case BRIDGE_FAILED:
		if (p->way.last < BRIDGE_READY && p->way.last > BRIDGE_STARTING)
			say(p, "\n");
		return;
	case BRIDGE_STARTING:
	case BRIDGE_DEGRADED:
	case BRIDGE_RECONNECTING:
	case BRIDGE_DRAINING:
	case BRIDGE_CLOSED: break;
	}
	host_way(&p->way, s);
}
