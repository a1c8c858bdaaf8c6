/* SPDX-License-Identifier: Apache-2.0 */
/* What a person at a terminal is told. */
#ifndef TOOLS_RUN_PROGRESS_H
#define TOOLS_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/host.h"

struct progress {
	bool on;
	enum bridge_state shown, stage; /* as told; as named on the line */
	struct host_way way;
};

void progress_init(struct progress *p, bool quiet);
/* Prints what is new. */
void progress_update(struct progress *p, const struct bridge_stats *s);

#endif
