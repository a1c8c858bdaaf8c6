/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: exhaustion is an answer, blocks are distinct and aligned, counters are right, nothing is left
 * behind. */
#include "base/pool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t *watched;
static size_t left; /* bytes that were not zero when it was freed */

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
	for (size_t i = 0; p && p == watched && i < 4 * 32; i++)
		left += watched[i] != 0;
	__real_free(p);
}

/* Packets, and the keys in them, do not stay in memory that somebody else gets. */
static void wiped(void **state)
{
	struct pool p;
	void *b;

	(void)state;
	assert_int_equal(pool_init(&p, 32, 4), 0);
	watched = p.mem;
	b = pool_get(&p);
	memset(b, 0xa5, 32);
	pool_put(&p, b);
	pool_done(&p);
	assert_int_equal(left, 0);
}

static void blocks(void **state)
{
	struct pool p;
	void *b[4];

	(void)state;
	assert_int_equal(pool_init(&p, 17, 3), 0);
	for (int i = 0; i < 3; i++) {
		b[i] = pool_get(&p);
		assert_non_null(b[i]);
		assert_int_equal((uintptr_t)b[i] % 16, 0);
		for (int j = 0; j < i; j++)
			assert_true((char *)b[i] - (char *)b[j] >= 32 || (char *)b[j] - (char *)b[i] >= 32);
	}
	assert_null(pool_get(&p));
	assert_int_equal(p.used, 3);
	pool_put(&p, b[1]);
	assert_int_equal(p.used, 2);
	b[3] = pool_get(&p);
	assert_ptr_equal(b[3], b[1]);
	assert_int_equal(p.peak, 3);
	pool_put(&p, b[0]);
	pool_put(&p, b[2]);
	pool_put(&p, b[3]);
	pool_put(&p, NULL);
	pool_done(&p);
	pool_done(&p);
	pool_done(NULL);
}

static void odd_sizes(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 0, 0), 0);
	assert_null(pool_get(&p));
	pool_done(&p);
	assert_int_equal(pool_init(&p, SIZE_MAX / 4, 64), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(blocks), cmocka_unit_test(odd_sizes),
					    cmocka_unit_test(wiped) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
