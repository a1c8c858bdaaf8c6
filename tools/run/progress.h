/* SPDX-License-Identifier: Apache-2.0 */
/* What a person at a terminal is told, and the one line about a failure. */
#ifndef TOOLS_RUN_PROGRESS_H
#define TOOLS_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "mixnet/bridge.h"

struct progress {
	bool on;
	enum bridge_state shown;
	enum bridge_state last; /* the last state that was no failure */
};

void progress_init(struct progress *p, bool quiet);
/* Prints what is new. */
void progress_update(struct progress *p, const struct bridge_stats *s);
/* What to change when the bootstrap failed where it did. */
const char *progress_hint(const struct progress *p);

#endif
