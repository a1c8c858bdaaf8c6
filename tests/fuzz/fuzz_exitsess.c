/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies of a hostile exit. Input: a sequence of steps, each one byte of kind and two of length
 * (big-endian), then so many bytes. Kinds: reply data as it comes; reply data on the right stream (the header
 * is put in front); the same with an IPR response header and the request id; a request for SURBs; time goes
 * on; a slot is served. Nothing may crash, nothing may be held beyond the limits, the estimate stays sane.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "mixnet/exitsess.h"
#include "mixnet/stream.h"
#include "tests/fuzz/fuzz.h"

#define KEYS 256

static struct exitsess e;
static struct nym_self me;
static struct surb_keys keys;
static struct surb_key key_mem[KEYS];
static struct surb_key *buckets[KEYS];
static struct topology no_topology;
static struct shaper_item item;
static uint64_t now;

static uint8_t sink; /* every byte delivered is read */

static void on_recv(void *owner, const uint8_t *pkt, size_t len)
{
	(void)owner;
	for (size_t i = 0; i < len; i++)
		sink ^= pkt[i];
}

static void on_event(void *owner, enum exitsess_event ev)
{
	(void)owner, (void)ev;
}

static void input(const uint8_t *data, size_t len)
{
	struct nym_msg m = { .type = NYM_REPLY, .reply = NYM_REPLY_DATA, .data = data, .len = len };

	exitsess_input(&e, now, &m);
}

static void framed(const uint8_t *data, size_t len, bool response)
{
	uint8_t *buf = malloc(STREAM_HDR + 16 + len);
	struct wire_wr w;

	assert(buf);
	wire_wr_init(&w, buf, STREAM_HDR + 16 + len);
	stream_put(&w, e.stream, STREAM_DATA, len ? data[0] : 0);
	if (response) {
		wire_put_u8(&w, e.version);
		wire_put_u8(&w, 1); /* control, connect, our request */
		wire_put_u8(&w, 0);
		wire_put_u8(&w, 0xfd);
		wire_put_u64(&w, e.request_id);
	}
	wire_put_bytes(&w, data, len);
	input(buf, w.len);
	free(buf);
}

static void step(uint8_t kind, const uint8_t *data, size_t len)
{
	struct nym_msg m = { .type = NYM_REPLY, .reply = NYM_REPLY_SURB_REQUEST, .requester = e.cfg.exit };

	switch (kind % 6) {
	case 0: input(data, len); break;
	case 1: framed(data, len, false); break;
	case 2: framed(data, len, true); break;
	case 3:
		m.amount = len < 4 ? 50
				   : (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
					     (uint32_t)data[2] << 8 | data[3];
		exitsess_input(&e, now, &m);
		break;
	case 4:
		now += len * 10 * US_PER_MS;
		exitsess_tick(&e, now);
		break;
	case 5: /* no topology: SURBs cannot be made, data is dropped */
		if (!exitsess_fill(&e, now, &no_topology, SHAPER_URGENT, &item))
			exitsess_fill(&e, now, &no_topology, SHAPER_DATA, &item);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct exitsess_ops ops = { on_recv, on_event, NULL };
	struct exitsess_cfg cfg = { .version = IPR_V10, .connect_us = 15 * US_PER_S, .hop_mean_us = 15000 };
	struct rng_seeded rng;

	sink = 0;
	rng_seeded_init(&rng, 1);
	now = 1000 * US_PER_S;
	surb_keys_init(&keys, key_mem, KEYS, buckets, KEYS);
	if (exitsess_init(&e, &me, &keys, &rng.rng, &ops))
		return 0;
	exitsess_start(&e, &cfg, now, 1800000000);
	while (size >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2];

		if (len > size - 3)
			len = size - 3;
		step(data[0], data + 3, len);
		assert(e.stock.estimate >= 0 && e.stock.owed <= SURBSTOCK_ASK_MAX);
		assert(reorder_held(&e.order) <= REORDER_HELD);
		data += 3 + len;
		size -= 3 + len;
	}
	assert(e.stats.packets_down || !sink);
	exitsess_done(&e);
	surb_keys_done(&keys);
	return 0;
}
