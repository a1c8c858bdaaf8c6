/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairing heap. A node's children form a list through next; prev of the first child is the parent, so that a
 * node can be cut out from anywhere. Removal merges the children in pairs, left to right, then right to left.
 */
#include "base/heap.h"

#include <assert.h>
#include <stddef.h>

/* Two trees without siblings become one. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
	struct heap_node *t;

	if (!a)
		return b;
	if (!b)
		return a;
	if (b->key < a->key) {
		t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	b->prev = a;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	return a;
}

static struct heap_node *merge_pairs(struct heap_node *first)
{
	struct heap_node *done = NULL, *root = NULL;

	while (first) {
		struct heap_node *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = done; /* a stack of merged pairs */
		done = a;
	}
	while (done) {
		struct heap_node *n = done;

		done = n->next;
		n->next = NULL;
		root = meld(root, n);
	}
	return root;
}

void heap_insert(struct heap *h, struct heap_node *n, uint64_t key)
{
	assert(!n->linked);
	n->child = n->next = n->prev = NULL;
	n->key = key;
	n->linked = true;
	h->root = meld(h->root, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *sub;

	if (!n->linked)
		return;
	sub = merge_pairs(n->child);
	if (n == h->root) {
		h->root = sub;
	} else {
		if (n->prev->child == n)
			n->prev->child = n->next;
		else
			n->prev->next = n->next;
		if (n->next)
			n->next->prev = n->prev;
		h->root = meld(h->root, sub);
	}
	n->child = n->next = n->prev = NULL;
	n->linked = false;
}

struct heap_node *heap_min(const struct heap *h)
{
	return h->root;
}
