/* SPDX-License-Identifier: Apache-2.0 */
/* What every host of a tunnel does alike (smolmix-run, the library inside a program): settings to
 * configuration, and the one line about a failure. */
#ifndef STACK_HOST_H
#define STACK_HOST_H

#include <stddef.h>

#include "stack/settings.h"
#include "stack/tunnel.h"

#define HOST_DRAIN_US (5 * US_PER_S) /* how long what a program wrote last is sent (design D17) */
#define HOST_LINE_MAX 512

/* Everything but the settings is design D17. */
void host_cfg(struct tunnel_cfg *ret, const struct settings *s, const char *ctl_path);

/* Follows the state, to know later where it failed. */
struct host_way {
	enum bridge_state last; /* the last state that was no failure */
};
void host_way(struct host_way *w, const struct bridge_stats *s);
/* "what: cause; what to change". */
void host_failure(char line[HOST_LINE_MAX], const char *what, const struct host_way *w,
		  const struct bridge_stats *s);

#endif
