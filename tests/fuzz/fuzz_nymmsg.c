/* SPDX-License-Identifier: Apache-2.0 */
/* Message codec: what parses is read to its end; a plain message and a reply written again are the same
 * bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/nympkt.h"
#include "mixnet/surb.h"
#include "tests/fuzz/fuzz.h"

static uint8_t sink;

static void read_all(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink ^= p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[70000];
	struct nym_msg m;
	struct wire_wr w;

	if (size > sizeof(again) || nym_msg_parse(&m, data, size))
		return 0;
	read_all(m.data, m.len);
	if (m.type == NYM_REPLIABLE)
		read_all(m.surbs, m.surb_count * (size_t)SURB_LEN(m.surb_hops));
	wire_wr_init(&w, again, sizeof(again));
	if (m.type == NYM_PLAIN)
		nym_put_plain(&w, m.data, m.len);
	else if (m.type == NYM_REPLY && m.reply == NYM_REPLY_DATA)
		nym_put_reply_data(&w, m.data, m.len);
	else
		return 0;
	assert(wire_wr_end(&w) >= 0 && w.len == size && !memcmp(again, data, size));
	return 0;
}
