/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers that connections begin with (RFC 6528): on the same ports each begins behind the one
 * before, since the far side remembers that for a minute; nobody can tell them from those of other ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/loop.h"
#include "base/rng.h"
#include "stack/device.h"
#include "stack/lwip/lwip_hooks.h"

static struct clock_fake the_time;

static void none(void *owner)
{
	(void)owner;
}

static void none_up(void *owner, bool changed)
{
	(void)owner, (void)changed;
}

static uint32_t begins(const char *far_ip, uint16_t port)
{
	struct addr a;
	ip_addr_t local, remote;

	addr_parse_ip(&a, "10.0.0.9");
	device_to_lwip(&local, &a);
	addr_parse_ip(&a, far_ip);
	device_to_lwip(&remote, &a);
	return stack_tcp_isn(&local, port, &remote, 80);
}

static void test_isn(void **state)
{
	static const struct device_ops ops = { .up = none_up, .down = none, .writable = none };
	struct pktlink link = { .mtu = 1420 };
	struct rng_seeded rng;
	struct loop *loop;
	uint32_t first, other, far;

	(void)state;
	clock_fake_init(&the_time, 1000 * US_PER_S, 0);
	rng_seeded_init(&rng, 1);
	loop = loop_new(&the_time.clock);
	assert_non_null(loop);
	assert_int_equal(device_init(loop, &link, &rng.rng, &ops), 0);
	first = begins("192.88.99.80", 40000);
	other = begins("192.88.99.80", 40001);
	far = begins("192.88.99.81", 40000);
	for (unsigned s = 1; s <= 60; s++) {
		the_time.us += US_PER_S;
		loop_update_now(loop);
		assert_int_equal(begins("192.88.99.80", 40000) - first, s * 16000000);
	}
	assert_int_not_equal(first, other);
	assert_int_not_equal(first, far);
	device_done();
	assert_int_equal(device_init(loop, &link, &rng.rng, &ops), 0);
	assert_int_not_equal(begins("192.88.99.80", 40000) - first, 60 * 16000000); /* another secret */
	device_done();
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_isn) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
