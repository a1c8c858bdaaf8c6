/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One allocation cut into blocks; free blocks are chained through their first word.
 */
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pool_init(struct pool *p, size_t size, size_t total)
{
	size_t block = (size + 15) & ~(size_t)15;

	if (!block)
		block = 16;
	*p = (struct pool){ .block = block, .total = total };
	if (total && block > SIZE_MAX / total)
		return -ENOMEM;
	p->mem = aligned_alloc(16, block * (total ? total : 1));
	if (!p->mem)
		return -ENOMEM;
	for (size_t i = total; i-- > 0;) {
		void *b = (char *)p->mem + i * block;

		memcpy(b, &p->free, sizeof(p->free));
		p->free = b;
	}
	return 0;
}

void pool_done(struct pool *p)
{
	if (!p)
		return;
	assert(p->used == 0);
	if (p->mem)
		explicit_bzero(p->mem, p->block * p->total);
	free(p->mem);
	*p = (struct pool){ 0 };
}

void *pool_get(struct pool *p)
{
	void *b = p->free;

	if (!b)
		return NULL;
	memcpy(&p->free, b, sizeof(p->free));
	if (++p->used > p->peak)
		p->peak = p->used;
	return b;
}

void pool_put(struct pool *p, void *blk)
{
	size_t off;

	if (!blk)
		return;
	off = (size_t)((char *)blk - (char *)p->mem);
	assert(off % p->block == 0 && off / p->block < p->total && p->used);
	memcpy(blk, &p->free, sizeof(p->free));
	p->free = blk;
	p->used--;
}
