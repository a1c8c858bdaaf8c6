/* SPDX-License-Identifier: Apache-2.0 */
/* IPR messages both ways and bundles: what parses can be written, and what was written parses to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/ipr.h"
#include "tests/fuzz/fuzz.h"

static uint8_t buf[70000];

static void bundle(const uint8_t *p, size_t len)
{
	const uint8_t *pkt;
	struct wire_rd r;
	size_t n, sum = 0;

	wire_rd_init(&r, p, len);
	while (ipr_bundle_next(&r, &pkt, &n)) {
		sum += 2 + n;
		assert(pkt >= p && pkt + n <= p + len);
	}
	assert(sum <= len);
}

static void request(const uint8_t *in, size_t len)
{
	struct ipr_request r, back;
	struct wire_wr w;

	if (ipr_parse_request(&r, in, len))
		return;
	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_request(&w, &r);
	assert(wire_wr_end(&w) >= 0 && ipr_parse_request(&back, buf, w.len) == 0);
	assert(back.kind == r.kind && back.id == r.id && back.bundle_len == r.bundle_len);
	if (r.kind == IPR_DATA)
		bundle(r.bundle, r.bundle_len);
}

static void response(const uint8_t *in, size_t len, bool strict)
{
	struct ipr_response r, back;
	struct wire_wr w;

	if (ipr_parse_response(&r, in, len, strict))
		return;
	wire_wr_init(&w, buf, sizeof(buf));
	ipr_put_response(&w, &r);
	assert(wire_wr_end(&w) >= 0 && ipr_parse_response(&back, buf, w.len, strict) == 0);
	assert(back.kind == r.kind && back.id == r.id && back.result == r.result && back.text.len == r.text.len);
	if (r.kind == IPR_DATA)
		bundle(r.bundle, r.bundle_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return 0;
	request(data, size);
	response(data, size, true);
	response(data, size, false);
	bundle(data, size);
	return 0;
}
