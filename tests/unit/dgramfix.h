/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram sockets over a packet link of the test's own, for test_dgram.c and test_dgram_errors.c.
 */
#ifndef TESTS_UNIT_DGRAMFIX_H
#define TESTS_UNIT_DGRAMFIX_H

#include "stack/dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/errqueue.h>

#include "base/fd.h"
#include "stack/device.h"
#include "stack/pairerr.h"
#include "stack/unixdiag.h"
#include "tests/unit/packets.h"

#define MTU 1420
#define FAR 0x08080808u
#define OWN 0x0a000002u
#define PORT 7

static struct {
	struct clock_fake clock;
	struct loop *loop;
	struct rng_seeded rng;
	struct pktlink link;
	struct socks socks;
	struct dgram *d;
	int program;
	uint8_t sent[2000];
	size_t sent_len;
	unsigned n_sent;
} rig;

static inline int link_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	(void)l;
	(void)flow;
	assert_true(len <= sizeof(rig.sent));
	memcpy(rig.sent, pkt, len);
	rig.sent_len = len;
	rig.n_sent++;
	return 0;
}

static inline void nothing(void *owner)
{
	(void)owner;
}

static inline void up(void *owner, bool changed)
{
	(void)owner;
	(void)changed;
}

static inline void icmp_error(void *owner, const struct device_icmp *e)
{
	(void)owner;
	dgram_icmp(rig.d, e);
}

static inline void echo_reply(void *owner, const struct device_echo *e)
{
	(void)owner;
	dgram_echo(rig.d, e);
}

static inline int group_setup(void **state)
{
	struct device_ops ops = { .up = up,
				  .down = nothing,
				  .writable = nothing,
				  .icmp_error = icmp_error,
				  .echo_reply = echo_reply };
	struct stack_cfg cfg = { .rng = &rig.rng.rng };

	(void)state;
	clock_fake_init(&rig.clock, 1000, 0);
	rng_seeded_init(&rig.rng, 1);
	rig.loop = loop_new(&rig.clock.clock);
	rig.link.send = link_send;
	rig.link.mtu = MTU;
	addr_parse_ip(&rig.link.ip4, "10.0.0.2");
	addr_parse_ip(&rig.link.ip6, "fc00::2");
	if (!rig.loop || device_init(rig.loop, &rig.link, &rig.rng.rng, &ops) < 0)
		return -1;
	rig.link.event(rig.link.up, PKTLINK_UP);
	socks_init(&rig.socks, rig.loop, &cfg);
	rig.socks.diag = unixdiag_open();
	return rig.socks.diag < 0 ? -1 : 0;
}

static inline int group_teardown(void **state)
{
	(void)state;
	device_done();
	fd_close(&rig.socks.diag);
	loop_free(rig.loop);
	return 0;
}

/* A socket; its program's end. */
static inline struct dgram *make(uint8_t family, enum ctl_kind kind, int *program)
{
	uint64_t cookie = 0;
	struct dgram *d;
	int p[2];

	assert_int_equal(fd_pair(SOCK_DGRAM | SOCK_NONBLOCK, p), 0);
	fd_cookie(p[0], &cookie);
	assert_int_equal(pairerr_name(p[0]), 0);
	d = dgram_new(&rig.socks, cookie, family, kind, p[1]);
	assert_non_null(d);
	*program = p[0];
	return d;
}

static inline void turn(void)
{
	while (loop_dispatch(rig.loop, 0) > 0)
		;
}

static inline void end(void)
{
	dgram_close(rig.d);
	turn();
	close(rig.program);
}

static inline struct addr far_addr(uint8_t family, uint16_t port)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(&a, family == 6 ? "2a00:1450::8" : "8.8.8.8"), 0);
	a.port = port;
	return a;
}

static inline void begin(uint8_t family, enum ctl_kind kind, bool connect)
{
	struct addr to = far_addr(family, PORT);

	rig.d = make(family, kind, &rig.program);
	if (connect)
		assert_int_equal(dgram_connect(rig.d, &to), 0);
}

static inline void option(int level, int name, int value)
{
	assert_int_equal(dgram_setopt(rig.d, level, name, value), ENOPROTOOPT);
	assert_int_equal(sock_keep_option(dgram_sock(rig.d), level, name, value), 0);
}

static inline void program_sends(uint8_t flags, uint8_t ttl, uint8_t tos, const void *payload, size_t len)
{
	struct ctl_dgram h = { .flags = flags | CTL_DGRAM_NO_ADDR, .ttl = ttl, .tos = tos };
	uint8_t msg[CTL_DGRAM_HDR + 2000];

	ctl_put_dgram(msg, &h);
	memcpy(msg + CTL_DGRAM_HDR, payload, len);
	assert_int_equal(send(rig.program, msg, CTL_DGRAM_HDR + len, 0), CTL_DGRAM_HDR + len);
	turn();
}

static uint8_t in[CTL_DGRAM_HDR + 65536];

/* Payload length of what the program gets, -1 = nothing. */
static inline ssize_t program_gets(struct ctl_dgram *h)
{
	ssize_t n = recv(rig.program, in, sizeof(in), MSG_DONTWAIT);

	if (n < 0)
		return -1;
	assert_int_equal(ctl_get_dgram(h, in, (size_t)n), 0);
	return n - CTL_DGRAM_HDR;
}

static inline bool program_sees_error(void)
{
	struct pollfd p = { rig.program, 0, 0 };
	int e = 0;
	socklen_t len = sizeof(e);

	poll(&p, 1, 0);
	getsockopt(rig.program, SOL_SOCKET, SO_ERROR, &e, &len);
	return p.revents & POLLERR;
}

static inline void arrive(uint8_t *pkt, size_t len)
{
	uint32_t acc = 0;

	if (pkt[0] >> 4 == 4) {
		pk16(pkt + 10, 0);
		for (int i = 0; i < 20; i += 2)
			acc += (uint32_t)(pkt[i] << 8 | pkt[i + 1]);
		acc = (acc & 0xffff) + (acc >> 16);
		pk16(pkt + 10, (uint16_t)~acc);
	}
	rig.link.recv(rig.link.up, pkt, len);
	turn();
}

/* ---- out ---- */

/* An error of this type about the packet sent last. Its length. */
static inline size_t error_about_last(uint8_t *pkt, uint8_t type, uint8_t code)
{
	bool six = rig.sent[0] >> 4 == 6;
	size_t quote = rig.sent_len < 100 ? rig.sent_len : 100;

	if (six) {
		memset(pkt, 0, 48);
		pkt[0] = 0x60;
		pk16(pkt + 4, (uint32_t)(8 + quote));
		pkt[6] = IPPROTO_ICMPV6;
		pkt[7] = 64;
		pkt[8] = 0x2a;
		memcpy(pkt + 24, rig.link.ip6.ip, 16);
	} else {
		pk_ip4(pkt, IPPROTO_ICMP, 0x09090909, OWN, 8 + quote);
	}
	pkt += six ? 40 : 20;
	pkt[0] = type;
	pkt[1] = code;
	pk32(pkt + 4, six && type == 2 ? 1280 : !six && type == 3 && code == 4 ? 1300 : 0);
	memcpy(pkt + 8, rig.sent, quote);
	return (six ? 48u : 28u) + quote;
}

#endif
