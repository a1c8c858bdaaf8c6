/* SPDX-License-Identifier: Apache-2.0 */
/* smolmix-localnet as a child of smolmix-run (--localnet). */
#ifndef TOOLS_RUN_LOCALNET_H
#define TOOLS_RUN_LOCALNET_H

#include <stddef.h>
#include <sys/types.h>

#include "mixnet/api.h"

/* Starts one and waits until it is ready; fills net. 0, or -1 with one line in err. */
int localnet_start(pid_t *ret_pid, struct network *net, char *err, size_t err_cap);
void localnet_stop(pid_t pid);

#endif
