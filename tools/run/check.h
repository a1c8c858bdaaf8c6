/* SPDX-License-Identifier: Apache-2.0 */
/* smolmix-run --check: what this machine supports. */
#ifndef TOOLS_RUN_CHECK_H
#define TOOLS_RUN_CHECK_H

int check_run(void); /* prints; exit code 0, or 125 when a command could not be run safely */

#endif
