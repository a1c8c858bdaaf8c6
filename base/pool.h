/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-size blocks taken at start, counted. Exhaustion is an answer (NULL), not an error: the caller drops
 * or waits.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool {
	void *mem;
	void *free;
	size_t block, total, used, peak;
};

/* Allocates total blocks of at least size bytes, 16-byte aligned. 0 or -ENOMEM. */
int pool_init(struct pool *p, size_t size, size_t total);
/* Wipes: packets hold keys and what programs said. NULL and zeroed pools are fine; all blocks must be back.
 */
void pool_done(struct pool *p);
void *pool_get(struct pool *p);		  /* content undefined; NULL when empty */
void pool_put(struct pool *p, void *blk); /* NULL is fine; asserts that blk belongs to p */

#endif
