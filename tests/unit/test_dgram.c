/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram sockets: what the IP header says, fragments that come back, the bound of the queue, a link that is
 * lost, echo identifiers, ports, this machine itself.
 */
#include "tests/unit/dgramfix.h"

static void header_fields(void **state)
{
	(void)state;
	begin(4, CTL_DGRAM, true);
	program_sends(0, 0, 0, "x", 1);
	assert_int_equal(rig.sent_len, 29);
	assert_int_equal(rig.sent[8], 64);
	assert_int_equal(rig.sent[1], 0);
	option(IPPROTO_IP, IP_TTL, 5);
	option(IPPROTO_IP, IP_TOS, 0x28);
	program_sends(0, 0, 0, "x", 1);
	assert_int_equal(rig.sent[8], 5);
	assert_int_equal(rig.sent[1], 0x28);
	program_sends(CTL_DGRAM_TTL | CTL_DGRAM_TOS, 9, 0, "x", 1);
	assert_int_equal(rig.sent[8], 9);
	assert_int_equal(rig.sent[1], 0);
	option(IPPROTO_IP, IP_TTL, -1);
	program_sends(0, 0, 0, "x", 1);
	assert_int_equal(rig.sent[8], 64);
	end();
	begin(6, CTL_DGRAM, true);
	option(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
	option(IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	option(IPPROTO_IP, IP_TTL, 99);
	program_sends(0, 0, 0, "x", 1);
	assert_int_equal(rig.sent[7], 5);
	assert_int_equal((rig.sent[0] << 4 | rig.sent[1] >> 4) & 0xff, 0x28);
	end();
}

static void echo_header_fields(void **state)
{
	static const uint8_t request[8] = { 8 }, request6[8] = { 128 };

	(void)state;
	begin(4, CTL_ICMP, true);
	option(IPPROTO_IP, IP_TTL, 3);
	option(IPPROTO_IP, IP_TOS, 0x10);
	program_sends(0, 0, 0, request, 8);
	assert_int_equal(rig.sent_len, 28);
	assert_int_equal(rig.sent[8], 3);
	assert_int_equal(rig.sent[1], 0x10);
	assert_int_equal(rig.sent[24] << 8 | rig.sent[25], dgram_sock(rig.d)->local.port);
	end();
	begin(6, CTL_ICMP, true);
	program_sends(CTL_DGRAM_TTL | CTL_DGRAM_TOS, 7, 0x20, request6, 8);
	assert_int_equal(rig.sent[7], 7);
	assert_int_equal(rig.sent[0], 0x62);
	end();
}

/* What no hook has seen is payload for the peer, if there is one. */
static void without_header(void **state)
{
	struct addr to = far_addr(4, PORT);

	(void)state;
	begin(4, CTL_DGRAM, false);
	rig.n_sent = 0;
	assert_int_equal(send(rig.program, "hello", 5, 0), 5);
	turn();
	assert_int_equal(rig.n_sent, 0);
	assert_true(program_sees_error());
	assert_int_equal(dgram_sock(rig.d)->error, EDESTADDRREQ);
	assert_int_equal(dgram_connect(rig.d, &to), 0);
	assert_int_equal(send(rig.program, "hello", 5, 0), 5);
	turn();
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig.sent_len, 33);
	assert_memory_equal(rig.sent + 28, "hello", 5);
	assert_int_equal(send(rig.program, "SMXD", 4, 0), 4);
	turn();
	assert_int_equal(rig.sent_len, 32);
	assert_int_equal(send(rig.program, "", 0, 0), 0);
	turn();
	assert_int_equal(rig.sent_len, 28);
	end();
	begin(4, CTL_ICMP, true);
	rig.n_sent = 0;
	assert_int_equal(send(rig.program, "no echo request", 15, 0), 15);
	turn();
	assert_int_equal(rig.n_sent, 0);
	assert_true(program_sees_error());
	end();
}

/* What cannot be sent is dropped and told. */
static void too_long_in_the_tunnel(void **state)
{
	static const uint8_t big[MTU];
	unsigned before;
	struct ctl_rep rep = { .value = 0 };

	(void)state;
	begin(4, CTL_DGRAM, true);
	program_sends(0, 0, 0, big, MTU - 28);
	assert_int_equal(rig.sent_len, MTU);
	before = rig.n_sent;
	program_sends(0, 0, 0, big, MTU - 27);
	assert_int_equal(rig.n_sent, before);
	assert_true(program_sees_error());
	assert_int_equal(dgram_sock(rig.d)->error, EMSGSIZE);
	assert_int_equal(dgram_fits(rig.d, &(struct addr){ .family = 0 }, MTU - 28), 0);
	assert_int_equal(dgram_fits(rig.d, &(struct addr){ .family = 0 }, MTU - 27), EMSGSIZE);
	dgram_sock(rig.d)->error = 0;
	assert_int_equal(dgram_take_report(rig.d, &rep), EAGAIN);
	option(IPPROTO_IP, IP_RECVERR, 1);
	assert_int_equal(dgram_fits(rig.d, &(struct addr){ .family = 0 }, 5000), EMSGSIZE);
	assert_true(program_sees_error());
	assert_int_equal(dgram_take_report(rig.d, &rep), 0);
	assert_int_equal(rep.value, EMSGSIZE);
	assert_int_equal(rep.report.origin, SO_EE_ORIGIN_LOCAL);
	assert_int_equal(rep.report.info, MTU);
	end();
}

/* D15: datagram sockets do not hear of a link that comes back. */
/* While the link is lost nothing leaves and nothing fails; what is young enough leaves when it is back, in
 * its order. */
static void link_down(void **state)
{
	unsigned before = rig.n_sent;

	(void)state;
	begin(4, CTL_DGRAM, true);
	rig.link.event(rig.link.up, PKTLINK_DOWN);
	program_sends(0, 0, 0, "old", 3);
	rig.clock.us += US_PER_S;
	program_sends(0, 0, 0, "a", 1);
	program_sends(0, 0, 0, "b", 1);
	assert_int_equal(rig.n_sent, before);
	assert_false(program_sees_error());
	rig.clock.us += 4 * US_PER_S;
	turn();
	rig.link.event(rig.link.up, PKTLINK_UP);
	assert_int_equal(rig.n_sent, before + 2);
	assert_int_equal(rig.sent[28], 'b');
	program_sends(0, 0, 0, "c", 1);
	assert_int_equal(rig.n_sent, before + 3);
	rig.link.event(rig.link.up, PKTLINK_UP);
	assert_int_equal(rig.n_sent, before + 3);
	end();
}

/* The last ones are kept. */
static void link_down_bound(void **state)
{
	unsigned before = rig.n_sent;

	(void)state;
	begin(4, CTL_DGRAM, true);
	for (int round = 0; round < 3; round++) {
		rig.link.event(rig.link.up, PKTLINK_DOWN);
		for (uint8_t i = 0; i < 100; i++)
			program_sends(0, 0, 0, &i, 1);
		rig.link.event(rig.link.up, PKTLINK_UP);
		assert_int_equal(rig.n_sent, before += 32);
		assert_int_equal(rig.sent[28], 99);
	}
	end();
}

/* Under another address nothing leaves that was sent under the last one; and pings wait as well. */
static void link_down_new_address(void **state)
{
	static const uint8_t ping[8] = { 8, 0, 0, 0, 1, 2, 0, 1 };
	unsigned before = rig.n_sent;

	(void)state;
	begin(4, CTL_ICMP, true);
	rig.link.event(rig.link.up, PKTLINK_DOWN);
	program_sends(0, 0, 0, ping, sizeof(ping));
	addr_parse_ip(&rig.link.ip4, "10.0.0.3");
	rig.link.event(rig.link.up, PKTLINK_UP);
	assert_int_equal(rig.n_sent, before);
	rig.link.event(rig.link.up, PKTLINK_DOWN);
	program_sends(0, 0, 0, ping, sizeof(ping));
	addr_parse_ip(&rig.link.ip4, "10.0.0.2");
	rig.link.event(rig.link.up, PKTLINK_UP);
	assert_int_equal(rig.n_sent, before);
	rig.link.event(rig.link.up, PKTLINK_DOWN);
	program_sends(0, 0, 0, ping, sizeof(ping));
	rig.link.event(rig.link.up, PKTLINK_UP);
	assert_int_equal(rig.n_sent, before + 1);
	assert_false(program_sees_error());
	end();
}

/* ---- in ---- */

static size_t datagram(uint8_t *pkt, uint8_t first, size_t len)
{
	size_t n = pk_udp(pkt, FAR, PORT, OWN, dgram_sock(rig.d)->local.port, len);

	memset(pkt + 28, first, len);
	return n;
}

static void queue_bound(void **state)
{
	uint8_t pkt[200];
	struct ctl_dgram h;

	(void)state;
	begin(4, CTL_DGRAM, true);
	for (unsigned i = 0; i < 70; i++)
		arrive(pkt, datagram(pkt, (uint8_t)i, 1 + i));
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(program_gets(&h), 1 + i);
		assert_int_equal(in[CTL_DGRAM_HDR], i);
	}
	for (unsigned i = 100; i < 120; i++)
		arrive(pkt, datagram(pkt, (uint8_t)i, 1));
	for (unsigned i = 10; i < 64; i++)
		assert_int_equal(program_gets(&h), 1 + i);
	for (unsigned i = 100; i < 110; i++) {
		assert_int_equal(program_gets(&h), 1);
		assert_int_equal(in[CTL_DGRAM_HDR], i);
	}
	assert_int_equal(program_gets(&h), -1);
	assert_int_equal(rig.socks.stats.udp_dropped >= 16, 1);
	end();
}

static void fragment(uint8_t *pkt, uint8_t proto, const uint8_t *whole, size_t at, size_t len, bool more)
{
	pk_ip4(pkt, proto, FAR, OWN, len);
	memcpy(pkt + 20, whole + at, len);
	pk16(pkt + 4, 0x4711);
	pk16(pkt + 6, (uint32_t)(at / 8) | (more ? 0x2000 : 0));
	arrive(pkt, 20 + len);
}

#define PIECE 1400

static void reassembly(void **state)
{
	static uint8_t whole[8 + 65507];
	uint8_t pkt[1600];
	struct ctl_dgram h;
	size_t pieces = (sizeof(whole) + PIECE - 1) / PIECE;

	(void)state;
	begin(4, CTL_DGRAM, true);
	pk16(whole, PORT);
	pk16(whole + 2, dgram_sock(rig.d)->local.port);
	pk16(whole + 4, sizeof(whole));
	for (size_t i = 8; i < sizeof(whole); i++)
		whole[i] = (uint8_t)(i * 31 + i / 251);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < pieces; i++) {
			size_t k = round == 1 ? pieces - 1 - i : i; /* also backwards */
			size_t at = k * PIECE, len = sizeof(whole) - at < PIECE ? sizeof(whole) - at : PIECE;

			if (round != 2 || k != 5) /* and with a hole */
				fragment(pkt, IPPROTO_UDP, whole, at, len, k + 1 < pieces);
		}
		assert_int_equal(program_gets(&h), round == 2 ? -1 : 65507);
		if (round < 2)
			assert_memory_equal(in + CTL_DGRAM_HDR, whole + 8, 65507);
	}
	end();
}

static void wanted_messages(void **state)
{
	static const struct {
		int level, name;
		uint8_t flag4, flag6;
	} o[] = {
		{ IPPROTO_IP, IP_PKTINFO, CTL_DGRAM_PKTINFO, CTL_DGRAM_PKTINFO },
		{ IPPROTO_IP, IP_RECVTTL, CTL_DGRAM_TTL, CTL_DGRAM_TTL },
		{ IPPROTO_IP, IP_RECVTOS, CTL_DGRAM_TOS, CTL_DGRAM_TOS },
		{ IPPROTO_IPV6, IPV6_RECVPKTINFO, CTL_DGRAM_PKTINFO6, CTL_DGRAM_PKTINFO6 },
		{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, 0 },
		{ IPPROTO_IPV6, IPV6_RECVTCLASS, 0, 0 },
	};
	struct addr mapped = far_addr(4, PORT);
	uint8_t pkt[200];
	struct ctl_dgram h;

	(void)state;
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]);
	     i++) { /* IPv4 packets, on a socket of either family */
		begin(i < 3 ? 4 : 6, CTL_DGRAM, false);
		assert_int_equal(dgram_connect(rig.d, &mapped), 0);
		option(o[i].level, o[i].name, 1);
		datagram(pkt, 1, 4);
		pkt[1] = 0x2e;
		pkt[8] = 57;
		arrive(pkt, 32);
		assert_int_equal(program_gets(&h), 4);
		assert_int_equal(h.flags, o[i].flag4);
		assert_int_equal(h.ttl, 57);
		assert_int_equal(h.tos, 0x2e);
		assert_memory_equal(h.local, rig.link.ip4.ip, 16);
		option(o[i].level, o[i].name, 0);
		arrive(pkt, 32);
		assert_int_equal(program_gets(&h), 4);
		assert_int_equal(h.flags, 0);
		end();
	}
}

static size_t reply(uint8_t *pkt, uint16_t id, size_t len)
{
	pk_ip4(pkt, IPPROTO_ICMP, FAR, OWN, 8 + len);
	pk16(pkt + 24, id);
	return 28 + len;
}

static void echo_replies(void **state)
{
	static uint8_t whole[3000];
	uint8_t pkt[1600];
	struct ctl_dgram h;
	struct addr at = { .family = 4, .port = 300 };

	(void)state;
	begin(4, CTL_ICMP, false);
	arrive(pkt, reply(pkt, 0, 8));
	assert_int_equal(program_gets(&h), -1); /* no identifier yet */
	assert_int_equal(dgram_bind(rig.d, &at), 0);
	arrive(pkt, reply(pkt, 300, 8));
	assert_int_equal(program_gets(&h), 16);
	assert_true(h.addr.family == 4 && h.addr.ip[0] == 8 && h.addr.port == 0);
	arrive(pkt, reply(pkt, 301, 8));
	assert_int_equal(program_gets(&h), -1);
	pk16(whole + 4, 300);
	fragment(pkt, IPPROTO_ICMP, whole, 0, 1400, true); /* a fragment is no message */
	fragment(pkt, IPPROTO_ICMP, whole, 1400, 1400, true);
	assert_int_equal(program_gets(&h), -1);
	assert_int_equal(dgram_bind(rig.d, &at), EINVAL);
	end();
}

/* ---- ports ---- */

static void port_of_the_dead(void **state)
{
	struct addr at = { .family = 4, .port = 4242 };
	struct dgram *old;
	int program;

	(void)state;
	old = make(4, CTL_DGRAM, &program);
	assert_int_equal(dgram_bind(old, &at), 0);
	begin(4, CTL_DGRAM, false);
	assert_int_equal(dgram_bind(rig.d, &at), EADDRINUSE);
	close(program);
	assert_int_equal(dgram_bind(rig.d, &at), 0);
	end();
}

/* While the program is shown an error our end has no peer for a moment. */
static void strangers(void **state)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct ctl_dgram h = { .flags = CTL_DGRAM_NO_ADDR };
	uint8_t forged[CTL_DGRAM_HDR + 1] = { 0 };
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int stranger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned before;

	(void)state;
	begin(4, CTL_DGRAM, true);
	before = rig.n_sent;
	ctl_put_dgram(forged, &h);
	assert_int_equal(getsockname(dgram_sock(rig.d)->fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(sendto(stranger, forged, sizeof(forged), 0, (struct sockaddr *)&name, len), -1);
	assert_int_equal(connect(dgram_sock(rig.d)->fd, &none, sizeof(none)), 0);
	assert_int_equal(sendto(stranger, forged, sizeof(forged), 0, (struct sockaddr *)&name, len),
			 sizeof(forged));
	assert_int_equal(pairerr_name(stranger), 0);
	assert_int_equal(sendto(stranger, forged, sizeof(forged), 0, (struct sockaddr *)&name, len),
			 sizeof(forged));
	program_sends(0, 0, 0, "x", 1);
	assert_int_equal(rig.n_sent, before + 1);
	close(stranger);
	end();
}

static void unnamed_program(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_DGRAM | SOCK_NONBLOCK, p), 0);
	errno = 0;
	assert_null(dgram_new(&rig.socks, 1, 4, CTL_DGRAM, p[1]));
	assert_int_equal(errno, EINVAL);
	close(p[0]);
	close(p[1]);
}

/* A header of no family is none of the shim's, and no way past the rules: as IPv6 it was sent to 7f00:1::. */
static void no_family(void **state)
{
	struct ctl_dgram h = { .addr = { .family = 0, .port = 9 } };
	uint8_t msg[CTL_DGRAM_HDR];
	unsigned before = rig.n_sent;

	(void)state;
	begin(6, CTL_DGRAM, false);
	ctl_put_dgram(msg, &h);
	assert_int_equal(send(rig.program, msg, sizeof(msg), 0), sizeof(msg));
	turn();
	assert_int_equal(rig.n_sent, before);
	assert_int_equal(dgram_sock(rig.d)->error, EINVAL);
	assert_int_equal(dgram_connect(rig.d, &h.addr), EINVAL);
	end();
}

/* IPv6 with extension headers, which end behind the packet: dropped here, lwIP reads on. ICMP behind one is
 * not answered, and a fragment of nothing is none. */
static void extension_headers(void **state)
{
	static const struct {
		uint8_t next, first, length, payload;
	} odd[] = {
		{ 0, 17, 200, 8 }, { 60, 17, 200, 8 }, { 43, 17, 200, 8 }, { 60, 58, 0, 16 },
		{ 44, 58, 0, 16 }, { 44, 60, 0, 16 },  { 44, 17, 0, 4 },   { 59, 0, 0, 8 },
	};
	const struct addr own = device_addr(6);

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		uint8_t pkt[56] = { 0x60, 0, 0, 0, 0, odd[i].payload, odd[i].next, 64, 0x20 };
		uint64_t before = device_dropped();

		memcpy(pkt + 24, own.ip, 16);
		pkt[40] = odd[i].first;
		pkt[41] = odd[i].length;
		rig.link.recv(rig.link.up, pkt, 40u + odd[i].payload);
		assert_int_equal(device_dropped(), before + 1);
	}
}

static void resolver_redirect(void **state)
{
	struct addr stub = { .family = 4, .port = 53, .ip = { 127, 0, 0, 53 } };
	struct ctl_rep rep = { .value = 0 };
	uint8_t pkt[300];

	(void)state;
	rig.socks.cfg.dns[0] = far_addr(4, 53);
	rig.socks.cfg.n_dns = 1;
	begin(4, CTL_DGRAM, false);
	assert_int_equal(dgram_connect(rig.d, &stub), 0);
	option(IPPROTO_IP, IP_RECVERR, 1);
	program_sends(0, 0, 0, "question", 8);
	assert_int_equal(rig.sent[16], 8);
	arrive(pkt, error_about_last(pkt, 3, 3));
	assert_int_equal(dgram_take_report(rig.d, &rep), 0);
	assert_true(addr_equal(&rep.addr2, &stub)); /* an error too is about the address that was asked */
	stub = (struct addr){ .family = 4,
			      .port = 53 }; /* 0.0.0.0 is this machine: its resolver is not to be asked */
	assert_int_equal(dgram_connect(rig.d, &stub), 0);
	rig.socks.cfg.n_dns = 0;
	end();
}

/* This machine itself, but for its resolver and what a rule denies: not into the tunnel, no limit of its MTU,
 * a bound of its own. */
static void this_machine(void **state)
{
	static const uint8_t big[1990];
	struct addr here = { .family = 4, .ip = { 127, 0, 0, 1 } };
	struct rules_error why;
	struct ctl_dgram h;
	unsigned before = rig.n_sent, n = 0;

	(void)state;
	begin(4, CTL_DGRAM, false);
	assert_int_equal(dgram_connect(rig.d, &(struct addr){ .family = 4, .port = 53 }), ENETUNREACH);
	assert_int_equal(rules_parse(&rig.socks.cfg.rules, "deny 127.0.0.0/8:9", &why), 0);
	assert_int_equal(dgram_connect(rig.d, &(struct addr){ .family = 4, .port = 9, .ip = { 127 } }),
			 ENETUNREACH);
	memset(&rig.socks.cfg.rules, 0, sizeof(rig.socks.cfg.rules));
	assert_int_equal(dgram_bind(rig.d, &here), 0);
	here.port = dgram_sock(rig.d)->local.port;
	assert_int_equal(dgram_connect(rig.d, &(struct addr){ .family = 4, .port = here.port }), 0);
	assert_true(addr_equal(&dgram_sock(rig.d)->peer, &here));
	assert_int_equal(dgram_fits(rig.d, &(struct addr){ .family = 0 }, 65507), 0);
	program_sends(0, 0, 0, big, sizeof(big));
	assert_int_equal(program_gets(&h), sizeof(big));
	assert_true(addr_equal(&h.addr, &here));
	for (int i = 0; i < 300; i++)
		program_sends(0, 0, 0, "x", 1);
	while (program_gets(&h) == 1)
		n++;
	assert_int_equal(n, 256);
	dgram_disconnect(rig.d);
	assert_true(addr_equal_ip(&dgram_sock(rig.d)->local, &here));
	assert_int_equal(rig.n_sent, before);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_fields),
		cmocka_unit_test(echo_header_fields),
		cmocka_unit_test(without_header),
		cmocka_unit_test(too_long_in_the_tunnel),
		cmocka_unit_test(link_down),
		cmocka_unit_test(link_down_bound),
		cmocka_unit_test(link_down_new_address),
		cmocka_unit_test(queue_bound),
		cmocka_unit_test(reassembly),
		cmocka_unit_test(wanted_messages),
		cmocka_unit_test(echo_replies),
		cmocka_unit_test(port_of_the_dead),
		cmocka_unit_test(strangers),
		cmocka_unit_test(unnamed_program),
		cmocka_unit_test(no_family),
		cmocka_unit_test(extension_headers),
		cmocka_unit_test(resolver_redirect),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
