/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel guard (design D6, interposition.md 3.2): a seccomp filter under which no internet socket can be
 * made, so that a call the preload library missed is an error and not a packet.
 */
#ifndef TOOLS_RUN_GUARD_H
#define TOOLS_RUN_GUARD_H

#include <stddef.h>

struct guard; /* the compiled filter */

/* 0 or -errno. */
int guard_new(struct guard **ret);
void guard_free(struct guard *g);
/* In the child, just before exec: no_new_privs and the filter, for this process and everything it starts.
 * Async-signal-safe. 0 or -errno. */
int guard_install(const struct guard *g);
/* Tries the guard in a child of its own: 0 when an internet socket was refused there, else -errno. */
int guard_probe(const struct guard *g);
/* Closes every internet and packet socket at 3 and above that this process inherited. Number of those among
 * 0, 1, 2, which stay. */
int guard_close_inherited(void);

#endif
