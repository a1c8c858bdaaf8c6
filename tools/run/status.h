/* SPDX-License-Identifier: Apache-2.0 */
/* smolmix-run --status: this user's tunnels on this machine. */
#ifndef TOOLS_RUN_STATUS_H
#define TOOLS_RUN_STATUS_H

/* Prints one line for each. Exit code: 0 when there is one and all are ready or degraded (packets flow), else
 * 1. */
int status_run(void);

#endif
