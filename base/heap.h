/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive pairing heap ordered by a 64-bit key (microseconds): insert O(1), remove and pop O(log n)
 * amortised, no allocation. Used for timers, pending acks and mix delays.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
	struct heap_node *child, *next, *prev; /* prev = previous sibling, or parent for the first child */
	uint64_t key;
	bool linked;
};

struct heap {
	struct heap_node *root;
};

void heap_insert(struct heap *h, struct heap_node *n, uint64_t key); /* n must not be linked */
void heap_remove(struct heap *h, struct heap_node *n);		     /* no-op when not linked */
struct heap_node *heap_min(const struct heap *h);		     /* NULL when empty */

#endif
