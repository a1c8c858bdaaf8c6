/* SPDX-License-Identifier: Apache-2.0 */
/* The local exit's store of SURBs: clients that are gone do not use it up. */
#include "tools/localnet/surbstore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define EACH 200

static void clients_that_are_gone(void **state)
{
	static uint8_t surbs[EACH * SURB_LEN(SPHINX_HOPS_MAX)];
	static struct surb_store s;
	struct nym_msg m = {
		.content = NYM_SURBS_V2, .surb_count = EACH, .surb_hops = SPHINX_HOPS_MAX, .surbs = surbs
	};
	uint8_t tag[NYM_TAG] = { 0 };

	(void)state;
	assert_int_equal(surb_store_init(&s), 0);
	for (unsigned i = 0; i < 3 * STORE_SENDERS; i++) {
		struct sender *t;

		memcpy(tag, &i, sizeof(i));
		t = surb_store_get(&s, tag);
		assert_int_equal(surb_store_add(&s, t, &m, 1000 + i), EACH);
		assert_int_equal(t->n_surbs, EACH);
		assert_ptr_equal(surb_store_find(&s, tag), t);
	}
	for (unsigned i = 0; i < 2 * STORE_SURBS / EACH; i++) /* one's own are no room */
		surb_store_add(&s, surb_store_get(&s, tag), &m, 5000);
	assert_int_equal(surb_store_get(&s, tag)->n_surbs, STORE_SURBS);
	surb_store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_that_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
