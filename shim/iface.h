/* SPDX-License-Identifier: Apache-2.0 */
/* The network interfaces a program is told of: loopback and the tunnel, never the host's own
 * (interposition.md 2.1 D). */
#ifndef SHIM_IFACE_H
#define SHIM_IFACE_H

#include "base/addr.h"

#define IFACES 2

struct iface { /* index = place in the list + 1 */
	const char *name;
	struct addr addr4, addr6; /* family 0 = none */
	int mtu;
	short flags; /* IFF_* */
};

/* 0 or -errno: the tunnel knows its own addresses. */
int iface_list(struct iface out[IFACES]);

#endif
