/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one global of the shim: what the environment said when the program started, and where refusals are
 * reported.
 */
#ifndef SHIM_STATE_H
#define SHIM_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rules.h"

#define STATE_KEEP_MAX 16
#define STATE_PATH_MAX 4096

enum state_level { STATE_QUIET, STATE_WARN, STATE_INFO, STATE_TRACE };

/* Path of the control socket of the tunnel this program was started for; NULL when it was
 * started for none. */
const char *state_ctl_path(void);
/* No tunnel was given and this program may have one of its own (shim/bare.h); if neither, every internet call
 * fails with ENETDOWN. */
bool state_may_host(void);
enum state_level state_level(void);
/* Path of this library as LD_PRELOAD must name it; NULL when unknown. */
const char *state_preload(void);
/* The user's rules about destinations. Before they are read, or when they are no rules: deny everything. */
const struct rules *state_rules(void);
/* The SMOLMIX_ variables of the start ("NAME=value"), *n of them. */
const char *const *state_keep(size_t *n);

/* One line on the program's standard error, when that is still the one it started with: the parts
 * (NULL-terminated) in a row. Async-signal-safe; keeps errno. */
void state_say(enum state_level level, const char *part, ...) __attribute__((sentinel));

#endif
