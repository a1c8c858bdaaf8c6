/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a program should try the addresses of a host: RFC 6724, section 6. */
#ifndef SHIM_ORDER_H
#define SHIM_ORDER_H

#include <stddef.h>

#include "base/addr.h"
#include "base/rules.h"

/* Where packets would come from: the tunnel's own addresses, family 0 where it has none; and what it may
 * carry (policy.h). */
struct order_sources {
	struct addr v4, v6;
	const struct rules *rules;
};

/* n <= CTL_ADDRS_MAX. Stable: what RFC 6724 does not tell apart stays as it came. */
void order_addrs(struct addr *list, size_t n, const struct order_sources *from);

#endif
