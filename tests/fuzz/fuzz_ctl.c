/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages from a hostile program and from a hostile tunnel: what parses is written as the same
 * bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "stack/ctl/ctl.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[CTL_MSG_MAX];
	struct ctl_req q;
	struct ctl_rep p;
	struct ctl_brief b;
	struct ctl_status s;
	struct ctl_dgram d;
	int n;

	if (size > CTL_MSG_MAX)
		return 0;
	if (ctl_get_req(&q, data, size) == 0) {
		n = ctl_put_req(again, sizeof(again), &q);
		assert(n == (int)size && !memcmp(again, data, size));
	}
	if (ctl_get_rep(&p, data, size) == 0) {
		assert(p.n_addrs <= CTL_ADDRS_MAX && memchr(p.name, 0, sizeof(p.name)));
		n = ctl_put_rep(again, sizeof(again), &p);
		assert(n == (int)size && !memcmp(again, data, size));
	}
	if (ctl_get_brief(&b, data, size) == 0)
		assert(size <= CTL_BRIEF_MAX && ctl_get_rep(&p, data, size) == 0 && p.op == b.op &&
		       p.result == b.result && p.value == b.value && addr_equal(&p.addr2, &b.addr2));
	if (ctl_get_status(&s, data, size) == 0) {
		n = ctl_put_status(again, sizeof(again), &s);
		assert(n == (int)size && !memcmp(again, data, size));
	}
	if (ctl_get_dgram(&d, data, size) == 0)
		assert(size >= CTL_DGRAM_HDR &&
		       (d.addr.family == 4 || d.addr.family == 6 || d.addr.family == 0));
	return 0;
}
