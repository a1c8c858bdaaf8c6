/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a session with an exit notices that the exit has gone, or has forgotten us, and when it does not.
 */
#include "tests/unit/exitfix.h"

static void probe_answered(struct fix *f)
{
	uint8_t pkt[64];

	data_down(f, ++f->e.stock.max_seq, pkt, pk_udp(pkt, 0x09090909u, 53, OURS, f->e.probe_port, 17));
}

static void keepalive(void **state)
{
	struct fix *f = *state;
	struct wire_rd r;
	struct ippkt p;
	const uint8_t *pkt;
	size_t len;
	unsigned pings = 0, probes = 0;
	uint8_t pkt_of[64];

	up(f);
	f->now = exitsess_deadline(&f->e);
	assert_int_equal(f->now, T0 + 20 * S);
	exitsess_tick(&f->e, f->now - 1);
	assert_false(slot(f));
	exitsess_tick(&f->e, f->now);
	while (slot(f)) {
		pings += f->r.kind == IPR_PING;
		if (f->r.kind != IPR_DATA)
			continue;
		probes++;
		wire_rd_init(&r, f->r.bundle, f->r.bundle_len);
		assert_int_equal(ipr_bundle_next(&r, &pkt, &len), 1);
		assert_true(ippkt_parse(&p, pkt, len));
		assert_int_equal(p.proto, IPPKT_UDP);
		assert_int_equal(pkt[8], 1);
		assert_int_equal(p.dst.port, 53);
		assert_true(addr_equal_ip(&p.src, &f->e.ip4));
	}
	assert_int_equal(pings, 1);
	assert_int_equal(probes, 1);
	f->now += 300 * MS;
	probe_answered(f);
	assert_int_equal(f->packets, 0); /* our own business */
	/* a program may have the same port: what others send to it is its own */
	data_down(f, ++f->e.stock.max_seq, pkt_of, pk_udp(pkt_of, FAR, 53, OURS, f->e.probe_port, 17));
	data_down(f, ++f->e.stock.max_seq, pkt_of,
		  pk_udp(pkt_of, 0x09090909u, 123, OURS, f->e.probe_port, 17));
	assert_int_equal(f->packets, 2);
	f->now = T0 + 25 * S;
	exitsess_tick(&f->e, f->now);
	assert_int_equal(f->e.misses, 0);
	assert_true(exitsess_deadline(&f->e) > f->now + 10 * S);
}

static void exit_gone(void **state)
{
	struct fix *f = *state;

	up(f);
	for (f->now = T0 + 20 * S; f->now < T0 + 29 * S; f->now += 3 * S) {
		exitsess_tick(&f->e, f->now);
		while (slot(f))
			;
	}
	exitsess_tick(&f->e, T0 + 29 * S - 1);
	assert_int_equal(f->ends, 0);
	assert_int_equal(f->e.misses, 2);
	exitsess_tick(&f->e, T0 + 29 * S);
	assert_int_equal(f->ends, 1);
	assert_true(f->e.was_up);
	assert_non_null(strstr(f->e.cause, "does not answer"));
	assert_int_equal(send_udp(f, 100, 1), -ENETDOWN);
}

/* The exit answers pings, but packets, which it used to answer, are no longer answered. */
static void forgotten(void **state)
{
	struct fix *f = *state;

	up(f);
	f->now = T0 + 20 * S;
	exitsess_tick(&f->e, f->now);
	while (slot(f))
		;
	f->now += S;
	probe_answered(f);
	f->now = T0 + 25 * S;
	exitsess_tick(&f->e, f->now);
	for (int i = 0; i < 20 && !f->ends; i++) {
		f->now += 3 * S;
		exitsess_tick(&f->e, f->now);
		if (f->ends)
			break;
		while (slot(f))
			;
		if (f->e.probing)
			pong(f);
	}
	assert_int_equal(f->ends, 1);
	assert_non_null(strstr(f->e.cause, "forgotten"));
}

/* The exit forgets a client that was never idle before: packets go out all the time, nothing but pongs comes
 * back. */
static void forgotten_while_busy(void **state)
{
	struct fix *f = *state;

	up(f);
	f->now += S;
	assert_int_equal(f->e.stats.probes, 1); /* from the beginning */
	probe_answered(f);
	for (int i = 0; i < 60 && !f->ends; i++) {
		f->now += S;
		exitsess_tick(&f->e, f->now);
		if (f->ends)
			break;
		assert_int_equal(send_udp(f, 100, 1), 0);
		while (slot(f))
			;
		if (f->e.probing)
			pong(f);
	}
	assert_int_equal(f->ends, 1);
	assert_non_null(strstr(f->e.cause, "forgotten"));
}

/* A host that swallows probes is alive as long as pongs come. */
static void silent_host(void **state)
{
	struct fix *f = *state;

	up(f);
	for (int i = 0; i < 100; i++) {
		f->now += 3 * S;
		exitsess_tick(&f->e, f->now);
		while (slot(f))
			;
		if (!f->e.probing)
			continue;
		f->now += S;
		pong(f);
	}
	assert_int_equal(f->ends, 0);
	assert_int_equal(f->e.misses, 0);
	assert_true(f->e.stats.probes >= 10);
}

static void resumed(void **state)
{
	struct fix *f = *state;

	up(f);
	f->now += 60 * S;
	exitsess_resumed(&f->e, f->now);
	exitsess_tick(&f->e, f->now);
	assert_int_equal(f->ends, 0);
	assert_true(f->e.probing);
	assert_true(slot_data(f));
}

/* The machine slept, or there was no gateway, for longer than the exit remembers anybody: asking it would be
 * waiting for nothing. */
static void slept(void **state)
{
	struct fix *f = *state;

	up(f);
	while (slot(f))
		;
	f->now = f->e.up_us + 75 * S;
	exitsess_resumed(&f->e, f->now);
	exitsess_tick(&f->e, f->now);
	assert_int_equal(f->ends, 1);
	assert_non_null(strstr(f->e.cause, "forgotten"));
	assert_true(f->e.was_up);
}

/* One lost packet says nothing about a full stock; two say that it may be empty, until an answer comes. */
static void missed(void **state)
{
	struct fix *f = *state;
	int64_t before;

	up(f);
	f->e.stock.estimate = 2 * SURBSTOCK_FLOOR + 40;
	for (f->now = T0 + 20 * S; f->now < T0 + 24 * S; f->now += 3 * S) {
		exitsess_tick(&f->e, f->now);
		while (slot(f))
			assert_int_equal(f->m.content, NYM_DATA_V2);
	}
	assert_int_equal(f->e.misses, 1);
	assert_true(f->e.stock.estimate >= 2 * SURBSTOCK_FLOOR);
	before = f->e.stock.estimate;
	exitsess_tick(&f->e, f->now);
	assert_int_equal(f->e.misses, 2);
	assert_int_equal(f->e.stock.estimate, 0);
	while (slot(f))
		;
	assert_true(f->e.stock.estimate >= SURBSTOCK_FLOOR);
	pong(f);
	assert_true(f->e.stock.estimate >= before + SURBSTOCK_FLOOR - 1);
	assert_false(slot(f));
}

/* As many pings as the exit has SURBs, each with new ones; data get every other slot. */
static void rerouted(void **state)
{
	struct fix *f = *state;
	unsigned pings = 0, slots = 0;
	int64_t held;

	up(f);
	held = f->e.stock.estimate;
	assert_true(held >= SURBSTOCK_FLOOR);
	exitsess_rerouted(&f->e);
	for (int i = 0; i < 20; i++)
		assert_int_equal(send_udp(f, 1400, 1), 0);
	while (slot(f)) {
		pings += f->m.content == NYM_DATA_V2 && f->r.kind == IPR_PING && f->m.surb_count;
		slots += f->frags;
		assert_true((!f->e.queue.count && !f->e.splitting) || pings <= slots / 2 + 2);
	}
	assert_int_equal(pings, held);
	assert_true(f->e.stock.estimate >= SURBSTOCK_FLOOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(keepalive), T(exit_gone), T(forgotten), T(forgotten_while_busy), T(silent_host), T(resumed),
		T(slept),     T(missed),    T(rerouted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
