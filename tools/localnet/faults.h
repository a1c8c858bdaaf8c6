/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulated wires do to one packet. */
#ifndef TOOLS_LOCALNET_FAULTS_H
#define TOOLS_LOCALNET_FAULTS_H

#include "tools/localnet/localnet.h"

/* Number of copies to send (0 = lost, 1, 2); each one's extra delay is in ret_us[0..1]. */
unsigned faults_apply(const struct faults *f, struct rng *rng, uint64_t ret_us[2]);

#endif
