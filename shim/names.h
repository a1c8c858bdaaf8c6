/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and addresses behind getaddrinfo, gethostbyname and their families: numbers, the hosts file and this
 * host's own names are answered here; everything else is one request to the tunnel. No malloc.
 */
#ifndef SHIM_NAMES_H
#define SHIM_NAMES_H

#include <stdbool.h>

#include "base/addr.h"
#include "stack/ctl/ctl.h"

#define NAMES_ALIASES_MAX 8

/* Not for the stack: it may be a thread's of 16 KiB, and this is half of that. */
struct names {
	struct ctl_rep reply; /* what the tunnel said */
	char canon[CTL_NAME_MAX + 1];
	char alias[NAMES_ALIASES_MAX][CTL_NAME_MAX + 1];
	unsigned n_alias, n;
	struct addr addr[CTL_ADDRS_MAX];
};

/* Name to addresses. family 0 (both), 4, 6. Canonical name and addresses are filled with CTL_DNS_OK
 * (n >= 1). */
enum ctl_dns names_lookup(const char *name, uint8_t family, struct names *ret);
/* Names no resolver may hear of: .onion, .local, .localhost (RFC 7686, 6762, 6761). A final dot makes no
 * difference. */
bool names_unasked(const char *name);
/* Address to name. Private addresses are never asked outside. */
enum ctl_dns names_reverse(const struct addr *a, struct names *ret);
/* Legacy forms of inet_aton too ("127.1", "0x7f000001"), scope ids by name or number; the port is 0. */
bool names_numeric(const char *s, struct addr *ret);
/* The tunnel's addresses; family 0 where it has none, and both while they are not known. */
void names_own(struct addr *ret_v4, struct addr *ret_v6);

#endif
