/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPR messages both ways, as they come and as versions 9 and 10, and bundles. What parses is written again:
 * never longer than it came, the same bytes when as long; what was written is read and written alike again.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "mixnet/ipr.h"
#include "tests/fuzz/fuzz.h"

#define MAX 65536

static uint8_t in[MAX], once[MAX + 16], twice[MAX + 16];

static size_t put_request(uint8_t *out, const struct ipr_request *r)
{
	struct wire_wr w;

	wire_wr_init(&w, out, sizeof(once));
	ipr_put_request(&w, r);
	assert(wire_wr_end(&w) > 0);
	return w.len;
}

static size_t put_response(uint8_t *out, const struct ipr_response *r)
{
	struct wire_wr w;

	wire_wr_init(&w, out, sizeof(once));
	ipr_put_response(&w, r);
	assert(wire_wr_end(&w) > 0);
	return w.len;
}

/* Every packet lies inside, and written again the packets are the beginning of the bundle. */
static void bundle(const uint8_t *p, size_t len)
{
	const uint8_t *pkt;
	struct wire_rd r;
	struct wire_wr w;
	size_t n;

	wire_rd_init(&r, p, len);
	wire_wr_init(&w, twice, sizeof(twice));
	while (ipr_bundle_next(&r, &pkt, &n)) {
		assert(pkt >= p && pkt + n <= p + len);
		ipr_bundle_put(&w, pkt, n);
	}
	assert(wire_wr_end(&w) >= 0 && w.len <= len && (!w.len || !memcmp(twice, p, w.len)));
}

static void request(const uint8_t *p, size_t len)
{
	struct ipr_request r, back;
	size_t n;

	if (ipr_parse_request(&r, p, len))
		return;
	n = put_request(once, &r);
	assert(n <= len);
	/* The service provider type is read, but always written as the router's. */
	assert(n < len || (!memcmp(once + 2, p + 2, n - 2) && once[0] == p[0] && r.provider == p[1]));
	assert(ipr_parse_request(&back, once, n) == 0 && back.kind == r.kind && back.version == p[0]);
	assert(put_request(twice, &back) == n && !memcmp(once, twice, n));
	if (r.kind == IPR_DATA)
		bundle(r.bundle, r.bundle_len);
}

static void response(const uint8_t *p, size_t len)
{
	struct ipr_response strict, r, back;
	bool taken = ipr_parse_response(&strict, p, len, true) == 0;
	size_t n;

	if (ipr_parse_response(&r, p, len, false)) {
		assert(!taken); /* what strict reading takes, the other takes */
		return;
	}
	n = put_response(once, &r);
	if (taken) {
		assert(n <= len && (n < len || !memcmp(once, p, n)));
		assert(put_response(twice, &strict) == n && !memcmp(once, twice, n));
	} else {
		assert(r.kind != IPR_DATA);
	}
	assert(ipr_parse_response(&back, once, n, true) == 0 && back.kind == r.kind && back.version == p[0]);
	assert(put_response(twice, &back) == n && !memcmp(once, twice, n));
	if (r.kind == IPR_DATA)
		bundle(r.bundle, r.bundle_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > MAX)
		return 0;
	request(data, size);
	response(data, size);
	bundle(data, size);
	for (uint8_t version = IPR_V9; size && version <= IPR_V10; version++) {
		memcpy(in, data, size);
		in[0] = version;
		request(in, size);
		response(in, size);
	}
	return 0;
}
