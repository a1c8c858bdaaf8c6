/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of datagram sockets: each ICMP error against Linux's tables, broken ICMP, the bound of the error
 * queue. */
#include "tests/unit/dgramfix.h"

struct known {
	uint8_t type, code;
	int err;
	bool hard;
	uint32_t info;
};

static void judge(uint8_t family, const struct known *k, bool connected, bool asked)
{
	struct ctl_rep rep = { .value = 0 };
	uint8_t pkt[300];
	bool heard = k->err && (asked || (connected && k->hard));
	struct addr to = far_addr(family, PORT);

	begin(family, CTL_DGRAM, true);
	if (asked)
		option(family == 6 ? IPPROTO_IPV6 : IPPROTO_IP, family == 6 ? IPV6_RECVERR : IP_RECVERR, 1);
	program_sends(0, 0, 0, "question", 8);
	if (!connected)
		dgram_sock(rig.d)->state = CTL_BOUND; /* as if sent by sendto() */
	arrive(pkt, error_about_last(pkt, k->type, k->code));
	assert_int_equal(dgram_sock(rig.d)->error, heard ? k->err : 0);
	assert_int_equal(program_sees_error(), heard);
	assert_int_equal(dgram_take_report(rig.d, &rep), heard && asked ? 0 : EAGAIN);
	if (heard && asked) {
		assert_int_equal(rep.value, k->err);
		assert_int_equal(rep.report.type, k->type);
		assert_int_equal(rep.report.code, k->code);
		assert_int_equal(rep.report.info, k->info);
		assert_int_equal(rep.report.origin, family == 6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
		assert_true(addr_equal(&rep.addr2, &to));
		assert_int_equal(rep.addr.ip[0], family == 6 ? 0x2a : 9);
		assert_int_equal(rep.report.len, 8);
		assert_memory_equal(rep.report.quote, "question", 8);
	}
	end();
}

static void error_tables(void **state)
{
	/* Linux: icmp_err_convert; __udp4_lib_err; icmpv6_err_convert. */
	static const struct known v4[] = {
		{ 3, 0, ENETUNREACH, false, 0 },
		{ 3, 1, EHOSTUNREACH, false, 0 },
		{ 3, 2, ENOPROTOOPT, true, 0 },
		{ 3, 3, ECONNREFUSED, true, 0 },
		{ 3, 4, EMSGSIZE, true, 1300 },
		{ 3, 5, EOPNOTSUPP, false, 0 },
		{ 3, 6, ENETUNREACH, true, 0 },
		{ 3, 7, EHOSTDOWN, true, 0 },
		{ 3, 8, ENONET, true, 0 },
		{ 3, 9, ENETUNREACH, true, 0 },
		{ 3, 10, EHOSTUNREACH, true, 0 },
		{ 3, 11, ENETUNREACH, false, 0 },
		{ 3, 12, EHOSTUNREACH, false, 0 },
		{ 3, 13, EHOSTUNREACH, true, 0 },
		{ 3, 14, EHOSTUNREACH, true, 0 },
		{ 3, 15, EHOSTUNREACH, true, 0 },
		{ 3, 16, 0, false, 0 },
		{ 4, 0, 0, false, 0 },
		{ 5, 0, 0, false, 0 },
		{ 11, 0, EHOSTUNREACH, false, 0 },
		{ 12, 0, EPROTO, true, 0 },
	};
	static const struct known v6[] = {
		{ 1, 0, ENETUNREACH, false, 0 },  { 1, 1, EACCES, true, 0 },
		{ 1, 2, EHOSTUNREACH, false, 0 }, { 1, 3, EHOSTUNREACH, false, 0 },
		{ 1, 4, ECONNREFUSED, true, 0 },  { 1, 5, EACCES, true, 0 },
		{ 1, 6, EACCES, true, 0 },	  { 1, 7, 0, false, 0 },
		{ 2, 0, EMSGSIZE, true, 1280 },	  { 3, 0, EHOSTUNREACH, false, 0 },
		{ 4, 0, EPROTO, true, 0 },
	};

	(void)state;
	for (int how = 0; how < 4; how++) {
		for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++)
			judge(4, &v4[i], how & 1, how & 2);
		for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++)
			judge(6, &v6[i], how & 1, how & 2);
	}
}

static void errors_of_others(void **state)
{
	uint8_t pkt[300];
	size_t len;

	(void)state;
	begin(4, CTL_DGRAM, true);
	program_sends(0, 0, 0, "question", 8);
	len = error_about_last(pkt, 3, 3);
	for (size_t i = 0; i < len; i++) { /* a different remote address, port, local port or protocol */
		if ((i < 28 + 16 || i >= 28 + 24) && i != 28 + 9)
			continue;
		pkt[i] ^= 1;
		arrive(pkt, len);
		assert_int_equal(dgram_sock(rig.d)->error, 0);
		pkt[i] ^= 1;
	}
	for (size_t n = 0; n < len; n++) { /* cut off anywhere before the ports are whole: said nothing */
		uint8_t cut[300];

		memcpy(cut, pkt, len);
		arrive(cut, n);
		assert_int_equal(dgram_sock(rig.d)->error != 0, n >= 20 + 8 + 28);
		dgram_sock(rig.d)->error = 0;
		program_sees_error();
	}
	pkt[28] = 0x4f; /* the quoted header claims to be longer than what is there */
	arrive(pkt, 20 + 8 + 28);
	assert_int_equal(dgram_sock(rig.d)->error, 0);
	end();
}

static void error_queue_bound(void **state)
{
	struct ctl_rep rep = { .value = 0 };
	uint8_t pkt[300];
	unsigned n = 0;

	(void)state;
	begin(4, CTL_DGRAM, true);
	option(IPPROTO_IP, IP_RECVERR, 1);
	program_sends(0, 0, 0, "question", 8);
	for (unsigned i = 0; i < 20; i++)
		arrive(pkt, error_about_last(pkt, 3, (uint8_t)(i % 4)));
	while (dgram_take_report(rig.d, &rep) == 0) {
		assert_int_equal(rep.report.code, n % 4);
		n++;
		assert_int_equal(program_sees_error(), n < 16); /* shown again while there are more */
	}
	assert_int_equal(n, 16);
	assert_int_equal(dgram_sock(rig.d)->error, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_tables),
		cmocka_unit_test(errors_of_others),
		cmocka_unit_test(error_queue_bound),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
