/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names through the tunnel: c-ares over the tunnel's own sockets, with a cache for the run (design D5,
 * interposition.md 2.11).
 */
#ifndef STACK_RESOLV_H
#define STACK_RESOLV_H

#include "stack/sock.h"

struct resolv;

/* 0 or -errno. */
int resolv_new(struct resolv **ret, struct socks *socks);
void resolv_free(struct resolv *r); /* pending questions are answered CTL_DNS_FAIL first */
/* family 0: A and AAAA in one round trip. cb once, maybe inside this call (cache). */
void resolv_name(struct resolv *r, const char *name, uint8_t family,
		 void (*cb)(void *owner, const struct ctl_rep *rep), void *owner);
void resolv_reverse(struct resolv *r, const struct addr *a,
		    void (*cb)(void *owner, const struct ctl_rep *rep), void *owner);

#endif
