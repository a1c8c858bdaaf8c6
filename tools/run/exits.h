/* SPDX-License-Identifier: Apache-2.0 */
/* smolmix-run --list-exits: the exits of a network, as a table. */
#ifndef TOOLS_RUN_EXITS_H
#define TOOLS_RUN_EXITS_H

#include <stddef.h>

#include "stack/settings.h"

/* Fetches the directory and prints the exits a run with these settings may draw (all, when --exit names one).
 * 0, or -1 with one line in err. */
int exits_list(const struct settings *s, char *err, size_t err_cap);

#endif
