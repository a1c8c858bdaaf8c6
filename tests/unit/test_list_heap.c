/* SPDX-License-Identifier: Apache-2.0 */
/* Lists keep order under removal; the heap agrees with sorting over random operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"

struct item {
	struct list link;
	int n;
};

static void list_order(void **state)
{
	struct list head = LIST_INIT(head);
	struct item it[5];
	int want = 0;

	(void)state;
	assert_true(list_empty(&head));
	assert_null(list_pop_front(&head));
	for (int i = 0; i < 5; i++) {
		it[i].n = i;
		list_push_back(&head, &it[i].link);
	}
	list_remove(&it[2].link);
	list_remove(&it[2].link); /* safe when unlinked */
	list_push_front(&head, &it[2].link);
	assert_ptr_equal(list_pop_front(&head), &it[2].link);
	list_for_each(p, &head) {
		assert_int_equal(container_of(p, struct item, link)->n, want);
		want += want == 1 ? 2 : 1;
	}
	list_for_each_safe(p, tmp, &head)
		list_remove(p);
	assert_true(list_empty(&head));
}

#define N 300

static void heap_agrees_with_sorting(void **state)
{
	static struct heap_node node[N];
	struct heap h = { NULL };
	struct rng_seeded r;

	(void)state;
	rng_seeded_init(&r, 7);
	assert_null(heap_min(&h));
	for (int round = 0; round < 20000; round++) {
		struct heap_node *n = &node[rng_below(&r.rng, N)], *min = NULL;

		if (n->linked)
			heap_remove(&h, n);
		else
			heap_insert(&h, n, rng_below(&r.rng, 1000));
		for (int i = 0; round % 16 == 0 && i < N; i++)
			if (node[i].linked && (!min || node[i].key < min->key))
				min = &node[i];
		if (round % 16 == 0) {
			assert_int_equal(!min, !heap_min(&h));
			if (min)
				assert_true(heap_min(&h)->key == min->key);
		}
	}
	heap_remove(&h, heap_min(&h));
	for (uint64_t last = 0; heap_min(&h); heap_remove(&h, heap_min(&h))) {
		assert_true(heap_min(&h)->key >= last);
		last = heap_min(&h)->key;
	}
	for (int i = 0; i < N; i++) {
		assert_false(node[i].linked);
		heap_remove(&h, &node[i]); /* no-op */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(list_order),
					    cmocka_unit_test(heap_agrees_with_sorting) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
