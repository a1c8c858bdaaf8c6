/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of the bootstrap on a terminal: one line that grows ("api, gateway, exit, ready in 2.1 s");
 * nothing into a pipe. Which nodes were chosen is not printed here. States that went by unseen are named with
 * the next one, those that come again once more.
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

static void stage(struct progress *p, enum bridge_state state)
{
	static const char *const words[] = {
		[BRIDGE_DIRECTORY] = "smolmix: api", [BRIDGE_GATEWAY] = ", gateway", [BRIDGE_EXIT] = ", exit"
	};
	enum bridge_state last = state < BRIDGE_EXIT ? state : BRIDGE_EXIT;

	for (enum bridge_state s = state > p->stage ? p->stage + 1 : state; s <= last; s++)
		say(p, words[s]);
	p->stage = state;
}

void progress_update(struct progress *p, const struct bridge_stats *s)
{
	if (s->state == p->shown)
		return;
	p->shown = s->state;
	switch (s->state) {
	case BRIDGE_DIRECTORY:
	case BRIDGE_GATEWAY:
	case BRIDGE_EXIT:
	case BRIDGE_READY:
		if (p->way.last >= BRIDGE_READY)
			break;
		stage(p, s->state);
		if (p->on && s->state == BRIDGE_READY)
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
