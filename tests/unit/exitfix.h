/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with an exit and the exit's side of it, for test_exitsess.c and test_exitlife.c.
 */
#ifndef TESTS_UNIT_EXITFIX_H
#define TESTS_UNIT_EXITFIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mixnet/exitsess.h"
#include "mixnet/stream.h"
#include "tests/unit/packets.h"
#include "tests/unit/testnet.h"

#define MS US_PER_MS
#define S US_PER_S
#define T0 (1000 * US_PER_S)
#define RTT (400 * MS)
#define KEYS 1024
#define OURS 0x0a001234u
#define FAR 0x01010101u

struct fix {
	struct rng_seeded rng;
	struct testnet net;
	struct nym_self me, peer;
	struct surb_keys keys;
	struct surb_key key_mem[KEYS], *buckets[KEYS];
	struct exitsess e;
	struct exitsess_cfg cfg;
	struct nym_rx *rx;
	uint64_t now;
	unsigned ups, ends, writables, denials, packets;
	uint8_t last[2048];
	size_t last_len;
	/* the message of the last slot */
	struct shaper_item item;
	unsigned frags;
	uint8_t buf[16384];
	struct nym_msg m;
	struct stream_frame f;
	struct ipr_request r;
};

static inline void on_recv(void *owner, const uint8_t *pkt, size_t len)
{
	struct fix *f = owner;

	f->packets++;
	assert_true(len <= sizeof(f->last));
	memcpy(f->last, pkt, len);
	f->last_len = len;
}

static inline void on_event(void *owner, enum exitsess_event ev)
{
	struct fix *f = owner;

	switch (ev) {
	case EXITSESS_EV_UP: f->ups++; break;
	case EXITSESS_EV_ENDED: f->ends++; break;
	case EXITSESS_EV_WRITABLE: f->writables++; break;
	case EXITSESS_EV_DENIED: f->denials++; break;
	}
}

static inline int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct nym_rx_limits lim = { 64, 16, 4096, 1800 * S, 600 * S };
	struct exitsess_ops ops = { on_recv, on_event, f };

	if (!f || prim_init())
		return -1;
	rng_seeded_init(&f->rng, 99);
	testnet_init(&f->net, &f->rng.rng);
	testnet_self(&f->net, &f->me, &f->rng.rng);
	testnet_self(&f->net, &f->peer, &f->rng.rng);
	surb_keys_init(&f->keys, f->key_mem, KEYS, f->buckets, KEYS);
	f->rx = nym_rx_new(&lim);
	f->now = T0;
	f->cfg = (struct exitsess_cfg){
		.exit = f->peer.addr, .version = IPR_V10, .connect_us = 15 * S, .hop_mean_us = 15 * MS
	};
	addr_parse(&f->cfg.probe, "9.9.9.9", 53);
	*state = f;
	if (exitsess_init(&f->e, &f->me, &f->keys, &f->rng.rng, &ops))
		return -1;
	exitsess_path(&f->e, RTT, 0);
	return 0;
}

static inline int teardown(void **state)
{
	struct fix *f = *state;

	exitsess_done(&f->e);
	nym_rx_free(f->rx);
	surb_keys_done(&f->keys);
	free(f);
	return 0;
}

/* One slot; fills m (and f, r when it is data). False: nothing to send, cover. Messages of several fragments
 * are taken whole. */
static inline bool slot(struct fix *f)
{
	size_t len;
	int got;

	f->frags = 0;
	do {
		if (!exitsess_fill(&f->e, f->now, &f->net.topo, SHAPER_URGENT, &f->item) &&
		    !exitsess_fill(&f->e, f->now, &f->net.topo, SHAPER_DATA, &f->item))
			return false;
		f->frags++;
		assert_memory_equal(f->item.to, &f->peer.addr, sizeof(f->peer.addr));
		got = nym_rx_insert(f->rx, f->now, f->item.frag, NYM_FRAG, f->buf, sizeof(f->buf), &len);
		assert_true(got >= 0);
	} while (!got);
	assert_int_equal(nym_msg_parse(&f->m, f->buf, len), 0);
	assert_int_equal(f->m.type, NYM_REPLIABLE);
	if (f->m.content == NYM_DATA_V2) {
		assert_int_equal(stream_parse(&f->f, f->m.data, f->m.len), 0);
		if (f->f.type == STREAM_DATA)
			assert_int_equal(ipr_parse_request(&f->r, f->f.payload, f->f.len), 0);
	}
	return true;
}

/* Next message that is data for the exit, SURB messages passed over. */
static inline bool slot_data(struct fix *f)
{
	while (slot(f))
		if (f->m.content == NYM_DATA_V2)
			return true;
	return false;
}

static inline void answer_on(struct fix *f, uint64_t stream, uint32_t seq, const struct ipr_response *r)
{
	uint8_t buf[4096];
	struct wire_wr w;
	struct nym_msg m = { .type = NYM_REPLY, .reply = NYM_REPLY_DATA };

	wire_wr_init(&w, buf, sizeof(buf));
	stream_put(&w, stream, STREAM_DATA, seq);
	ipr_put_response(&w, r);
	assert_false(w.bad);
	m.data = buf;
	m.len = w.len;
	exitsess_input(&f->e, f->now, &m);
}

static inline void answer(struct fix *f, uint32_t seq, const struct ipr_response *r)
{
	answer_on(f, f->e.stream, seq, r);
}

static inline struct ipr_response success(const struct fix *f)
{
	return (struct ipr_response){ .version = f->r.version,
				      .kind = IPR_CONNECT,
				      .id = f->r.id,
				      .result = IPR_OK,
				      .ip4 = { 10, 0, 18, 52 },
				      .ip6 = { 0xfc, [15] = 0x34 },
				      .mtu = f->r.version == IPR_V10 ? 1500 : 0 };
}

static inline void data_down(struct fix *f, uint32_t seq, const uint8_t *pkt, size_t len)
{
	uint8_t bundle[2048];
	struct wire_wr w;
	struct ipr_response r = { .version = f->e.version, .kind = IPR_DATA };

	wire_wr_init(&w, bundle, sizeof(bundle));
	ipr_bundle_put(&w, pkt, len);
	r.bundle = bundle;
	r.bundle_len = w.len;
	answer(f, seq, &r);
}

static inline void ask(struct fix *f, const struct recipient *who, uint32_t amount)
{
	struct nym_msg m = {
		.type = NYM_REPLY, .reply = NYM_REPLY_SURB_REQUEST, .requester = *who, .amount = amount
	};

	exitsess_input(&f->e, f->now, &m);
}

static inline void pong(struct fix *f)
{
	struct ipr_response r = { .version = f->e.version, .kind = IPR_PING, .id = 1 };

	answer(f, 0, &r);
}

/* Up at T0, the first probe asked a moment before and answered by a pong alone. */
static inline void up(struct fix *f)
{
	struct ipr_response r;

	f->now--;
	exitsess_start(&f->e, &f->cfg, f->now, 1800000000);
	assert_true(slot(f));
	r = success(f);
	answer(f, 0, &r);
	assert_int_equal(f->e.state, EXITSESS_UP);
	f->now++;
	while (slot(f)) /* the first supply */
		exitsess_acked(&f->e, f->item.token, true);
	pong(f);
	exitsess_tick(&f->e, f->now);
	assert_false(f->e.probing);
}

static inline int send_udp(struct fix *f, size_t len, uint64_t flow)
{
	uint8_t pkt[2048];

	return exitsess_send(&f->e, pkt, pk_udp(pkt, OURS, 5000, FAR, 53, len - 28), flow);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
