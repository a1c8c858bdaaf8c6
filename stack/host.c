/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts of a tunnel share. Causes given by the bridge mostly say themselves what to change; where they
 * do not, how far the bootstrap came tells which setting is to blame.
 */
#include "stack/host.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"

#define BOOTSTRAP_US (60 * US_PER_S)
#define EXIT_TIMEOUT_US (15 * US_PER_S)
#define CONNECT_US (60 * US_PER_S)
#define WAIT_READY_US (30 * US_PER_S)

void host_cfg(struct tunnel_cfg *ret, const struct settings *s, const char *ctl_path)
{
	*ret = (struct tunnel_cfg){
		.bridge = { .net = s->network,
			    .profile = s->profile,
			    .exit_how = s->exit_how,
			    .exit_given = s->exit_given,
			    .exit = s->exit,
			    .gateway_given = s->gateway_given,
			    .mtu = s->mtu,
			    .ipr_version = s->ipr_version,
			    .bootstrap_us = BOOTSTRAP_US,
			    .exit_timeout_us = EXIT_TIMEOUT_US,
			    .rng = rng_system() },
		.stack = { .n_dns = s->n_dns,
			   .buffer = STACK_BUFFER_DEFAULT,
			   .buffers = STACK_BUFFERS_DEFAULT,
			   .connect_us = CONNECT_US,
			   .wait_ready_us = WAIT_READY_US,
			   .rng = rng_system() },
		.ctl_path = ctl_path,
	};
	memcpy(ret->bridge.exit_country, s->exit_country, sizeof(ret->bridge.exit_country));
	memcpy(ret->bridge.gateway, s->gateway, sizeof(ret->bridge.gateway));
	memcpy(ret->stack.dns, s->dns, sizeof(ret->stack.dns));
	ret->stack.rules = s->rules;
}

void host_way(struct host_way *w, const struct bridge_stats *s)
{
	if (s->state != BRIDGE_FAILED)
		w->last = s->state;
}

static const char *remedy(enum bridge_state last)
{
	switch (last) {
	case BRIDGE_STARTING:
	case BRIDGE_DIRECTORY: return "check the network connection, or use another --network or --api";
	case BRIDGE_GATEWAY: return "use another --gateway, or check --network and --api";
	case BRIDGE_EXIT:
	case BRIDGE_READY:
	case BRIDGE_DEGRADED:
	case BRIDGE_RECONNECTING: return "use another --exit";
	case BRIDGE_DRAINING:
	case BRIDGE_CLOSED:
	case BRIDGE_FAILED: break;
	}
	return "run again with -v to see more";
}

void host_failure(char line[HOST_LINE_MAX], const char *what, const struct host_way *w,
		  const struct bridge_stats *s)
{
	bool complete = strchr(s->cause, ';') != NULL;

	snprintf(line, HOST_LINE_MAX, "%s: %s%s%s", what, s->cause[0] ? s->cause : "no reason given",
		 complete ? "" : "; ", complete ? "" : remedy(w->last));
}
