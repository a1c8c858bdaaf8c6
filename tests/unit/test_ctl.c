/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: the status, its limits, and what is no status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "stack/ctl/ctl.h"

static struct ctl_status sample(void)
{
	struct ctl_status s;

	memset(&s, 0, sizeof(s));
	memcpy(s.state, "reconnecting", 13);
	memcpy(s.cause, "the gateway is gone", 20);
	memcpy(s.command, "caf\xc3\xa9", 6);
	memset(s.exit, 'x', CTL_NAME_MAX);
	addr_parse_ip(&s.ip4, "10.0.0.2");
	addr_parse_ip(&s.ip6, "fc00::2");
	s.uptime_ms = 1ull << 40;
	s.connections = 3;
	return s;
}

static void both_ways(void **state)
{
	struct ctl_status s = sample(), back;
	uint8_t buf[CTL_MSG_MAX];
	int n = ctl_put_status(buf, sizeof(buf), &s);

	(void)state;
	assert_true(n > 0);
	memset(&back, 0xff, sizeof(back));
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), 0);
	assert_memory_equal(&back, &s, sizeof(s));
	for (int len = 0; len < n; len++) {
		assert_int_equal(ctl_get_status(&back, buf, (size_t)len), SMX_EPROTO);
		assert_int_equal(ctl_put_status(buf, (size_t)len, &s), SMX_ELIMIT);
	}
	ctl_put_status(buf, sizeof(buf), &s);
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n + 1), SMX_EPROTO);
}

/* The longest one fits in a message. */
static void longest(void **state)
{
	struct ctl_status s = sample();
	uint8_t buf[CTL_MSG_MAX];

	(void)state;
	memset(s.state, 's', CTL_NAME_MAX);
	memset(s.cause, 'c', CTL_NAME_MAX);
	memset(s.command, 'p', CTL_NAME_MAX);
	memset(s.gateway, 'g', CTL_NAME_MAX);
	assert_true(ctl_put_status(buf, sizeof(buf), &s) > 5 * CTL_NAME_MAX);
}

/* It is printed on one line of a terminal. */
static void control_characters(void **state)
{
	struct ctl_status s = sample(), back;
	uint8_t buf[CTL_MSG_MAX], *at;
	int n;

	(void)state;
	memcpy(s.command, "a\n\033[2J\177", 8);
	n = ctl_put_status(buf, sizeof(buf), &s);
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), 0);
	assert_string_equal(back.command, "a??[2J?");
	at = memchr(buf, '?', (size_t)n);
	assert_non_null(at);
	for (int c = 0; c < 256; c++) {
		*at = (uint8_t)c;
		assert_int_equal(ctl_get_status(&back, buf, (size_t)n), c < 32 || c == 127 ? SMX_EPROTO : 0);
	}
}

static void other_messages(void **state)
{
	const struct ctl_rep rep = { .op = CTL_STATUS };
	const struct ctl_req req = { .op = CTL_STATUS };
	struct ctl_status s = sample(), back;
	uint8_t buf[CTL_MSG_MAX];
	int n = ctl_put_status(buf, sizeof(buf), &s);

	(void)state;
	buf[1] = CTL_FITS;
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), SMX_EPROTO);
	buf[1] = CTL_OP_LAST + 1;
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), SMX_EPROTO);
	n = ctl_put_rep(buf, sizeof(buf), &rep);
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), SMX_EPROTO);
	n = ctl_put_req(buf, sizeof(buf), &req);
	assert_int_equal(ctl_get_status(&back, buf, (size_t)n), SMX_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(longest),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(other_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
