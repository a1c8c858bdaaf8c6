/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel inside this program, where no launcher provides one: started by the first call that needs it. */
#ifndef SHIM_BARE_H
#define SHIM_BARE_H

#include <stdbool.h>

/*
 * Path of the control socket of a tunnel in this process or in the one it was forked from; NULL when there is
 * none. start: none yet is a reason to start one and wait until it is ready, which takes seconds. Why there
 * is none is said once on standard error.
 */
const char *bare_ctl_path(bool start);

/* "SMOLMIX_SOCKET=..." for a child that gets another program; NULL when it has to see for itself.
 * same_process: exec replaces this process and its tunnel if vfork or fork did not come before. */
const char *bare_child_var(bool same_process);

/* This process ends: what it wrote is sent (for 5 s at most) when the tunnel is in it. Async-signal-safe. */
void bare_finish(void);

#endif
