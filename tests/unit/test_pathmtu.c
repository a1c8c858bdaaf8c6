/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that are cut after lwIP made them: for a path that turns out to be narrower (RFC 8201), and for a
 * window that is smaller than the last one. The far side here says what the test wants, over IPv6, and keeps
 * the stream that comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/loop.h"
#include "base/rng.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/device.h"
#include "tests/unit/packets.h"

#define HEADERS 60
#define FAR_PORT 80
#define FAR_ISN 5000
#define STREAM 200000

static struct {
	struct loop *loop;
	struct rng_seeded rng;
	struct pktlink link;
	struct tcp_pcb *pcb;
	uint32_t isn; /* ours */
	uint16_t port;
	size_t narrow; /* packets longer than this are lost; 0: none is */
	uint8_t lost[1500], stream[STREAM];
	size_t lost_len, longest, n_packets, fin_at;
	uint32_t next; /* all before it came */
} t;

static struct clock_fake the_time;
static uint8_t data[STREAM];
static const char near_ip[] = "fd00::2", far_ip[] = "2a0e:dead:beef::80";

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What came is kept where it belongs; segments may come in any order and again. */
static void far_keeps(const uint8_t *tcp, size_t len)
{
	uint32_t at = be32(tcp + 4) - t.isn - 1;
	size_t head = (size_t)(tcp[12] >> 4) * 4, n = len - head;

	assert_true(at <= STREAM && at + n <= STREAM);
	memcpy(t.stream + at, tcp + head, n);
	if (tcp[13] & TCP_FIN) {
		assert_true(!t.fin_at || t.fin_at == at + n);
		t.fin_at = at + n;
	}
	if (at <= t.next && at + n > t.next)
		t.next = (uint32_t)(at + n);
}

static int far_gets(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	const uint8_t *tcp = pkt + 40;

	(void)l, (void)flow;
	t.n_packets++;
	if (tcp[13] & TCP_SYN) {
		t.isn = be32(tcp + 4);
		t.port = (uint16_t)(tcp[0] << 8 | tcp[1]);
		return 0;
	}
	if (len > t.longest)
		t.longest = len;
	if (t.narrow && len > t.narrow) {
		if (!t.lost_len)
			memcpy(t.lost, pkt, t.lost_len = len);
		return 0;
	}
	far_keeps(tcp, len - 40);
	return 0;
}

static void deliver(uint8_t next, const uint8_t *body, size_t len)
{
	uint8_t p[40 + 1500] = { 0x60 };

	pk16(p + 4, (uint32_t)len);
	p[6] = next;
	p[7] = 64;
	inet_pton(AF_INET6, far_ip, p + 8);
	inet_pton(AF_INET6, near_ip, p + 24);
	memcpy(p + 40, body, len);
	if (next == IPPROTO_TCP) {
		uint16_t sum = (uint16_t)~pk_sum(p + 40, len, pk_sum(p + 8, 32, (uint32_t)len + next));

		pk16(p + 56, sum);
	}
	t.link.recv(t.link.up, p, 40 + len);
	loop_dispatch(t.loop, 0);
}

static void far_says(uint8_t flags, uint32_t acked, uint16_t window)
{
	static const uint8_t options[] = { 2, 4, 1440 >> 8, 1440 & 255, 1, 3, 3, 7 };
	uint8_t s[28] = { 0 };
	bool syn = flags & TCP_SYN;

	pk16(s, FAR_PORT);
	pk16(s + 2, t.port);
	pk32(s + 4, FAR_ISN + !syn);
	pk32(s + 8, t.isn + 1 + acked);
	s[12] = syn ? 7 << 4 : 5 << 4;
	s[13] = flags;
	pk16(s + 14, window);
	memcpy(s + 20, options, sizeof(options));
	deliver(IPPROTO_TCP, s, syn ? 28 : 20);
}

/* "Packet too big" about the first packet that was lost. */
static void too_big(uint32_t mtu)
{
	uint8_t m[8 + 1232] = { 2 };

	pk32(m + 4, mtu);
	memcpy(m + 8, t.lost, sizeof(m) - 8);
	deliver(IPPROTO_ICMPV6, m, sizeof(m));
}

/* The far side acknowledges until nothing more comes. */
static void finish(void)
{
	for (uint32_t acked = UINT32_MAX; acked != t.next;) {
		acked = t.next;
		far_says(TCP_ACK, acked, 4000);
	}
}

static void later(unsigned s)
{
	for (unsigned i = 0; i < 4 * s; i++) {
		the_time.us += US_PER_S / 4;
		loop_dispatch(t.loop, 0);
		device_after();
	}
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg, (void)err;
	device_tune(pcb);
	return ERR_OK;
}

static void none(void *owner)
{
	(void)owner;
}

static void none_up(void *owner, bool changed)
{
	(void)owner, (void)changed;
}

static void none_icmp(void *owner, const struct device_icmp *e)
{
	(void)owner, (void)e;
}

static int connected(void **state)
{
	static const struct device_ops ops = {
		.up = none_up, .down = none, .writable = none, .icmp_error = none_icmp
	};
	struct addr a;
	ip_addr_t local, remote;

	(void)state;
	memset(&t, 0, sizeof(t));
	if (!the_time.us)
		clock_fake_init(&the_time, 1000 * US_PER_S, 0);
	rng_seeded_init(&t.rng, 1);
	t.link.send = far_gets;
	t.link.mtu = 1420;
	t.loop = loop_new(&the_time.clock);
	assert_non_null(t.loop);
	assert_int_equal(device_init(t.loop, &t.link, &t.rng.rng, &ops), 0);
	addr_parse_ip(&t.link.ip6, near_ip);
	t.link.event(t.link.up, PKTLINK_UP);
	addr_parse_ip(&a, near_ip);
	device_to_lwip(&local, &a);
	addr_parse_ip(&a, far_ip);
	device_to_lwip(&remote, &a);
	t.pcb = tcp_new_ip_type(IPADDR_TYPE_V6);
	assert_non_null(t.pcb);
	assert_int_equal(tcp_bind(t.pcb, &local, 0), ERR_OK);
	assert_int_equal(tcp_connect(t.pcb, &remote, FAR_PORT, on_connected), ERR_OK);
	far_says(TCP_SYN | TCP_ACK, 0, 60000);
	assert_int_equal(t.pcb->state, ESTABLISHED);
	rng_fill(&t.rng.rng, data, sizeof(data));
	return 0;
}

static int ended(void **state)
{
	(void)state;
	while (tcp_active_pcbs)
		tcp_abort(tcp_active_pcbs);
	while (tcp_tw_pcbs)
		tcp_abort(tcp_tw_pcbs);
	device_done();
	loop_free(t.loop);
	return 0;
}

static void writes(size_t from, size_t len)
{
	for (size_t n; len; from += n, len -= n) {
		n = len < 10000 ? len : 10000;
		assert_int_equal(tcp_write(t.pcb, data + from, (u16_t)n, TCP_WRITE_FLAG_COPY), ERR_OK);
	}
	assert_int_equal(tcp_output(t.pcb), ERR_OK);
}

/* All segments were as long as the link allows, and none came through. */
static void written_into_nothing(void)
{
	t.narrow = 1280;
	writes(0, 60000);
	assert_int_equal(t.longest, 1420);
	assert_int_equal(t.next, 0);
	assert_int_equal(t.lost_len, 1420);
	t.longest = 0;
}

static void test_narrow(void **state)
{
	(void)state;
	written_into_nothing();
	too_big(1280);
	assert_int_equal(t.next, 3 * 1360); /* what the congestion window allows */
	assert_int_equal(t.n_packets, 2 + 3 + 6);
	too_big(1280); /* of the second segment: nothing new */
	assert_int_equal(t.n_packets, 2 + 3 + 6);
	finish();
	assert_int_equal(t.next, 60000);
	writes(60000, 90000);
	assert_int_equal(tcp_close(t.pcb), ERR_OK);
	finish();
	assert_int_equal(t.next, 150000);
	assert_int_equal(t.fin_at, 150000);
	assert_memory_equal(t.stream, data, 150000);
	assert_int_equal(t.longest, 1280);
}

/* The FIN is behind the last byte, however the last segment is cut. */
static void test_narrow_closed(void **state)
{
	(void)state;
	t.narrow = 1300;
	writes(0, 4 * 1360);
	assert_int_equal(tcp_close(t.pcb), ERR_OK);
	too_big(1300);
	later(3);
	finish();
	assert_int_equal(t.next, 4 * 1360);
	assert_int_equal(t.fin_at, 4 * 1360);
	assert_memory_equal(t.stream, data, 4 * 1360);
}

/* What no router can have said does nothing. */
static void test_forged(void **state)
{
	uint8_t kept[sizeof(t.lost)];
	size_t n;

	(void)state;
	written_into_nothing();
	n = t.n_packets;
	memcpy(kept, t.lost, sizeof(kept));
	too_big(1279);
	too_big(0);
	too_big(1420); /* it would have fitted */
	too_big(9000);
	t.lost[40 + 4] ^= 1; /* not its sequence number */
	too_big(1280);
	memcpy(t.lost, kept, sizeof(kept));
	t.lost[40 + 1] ^= 1; /* nor its port */
	too_big(1280);
	memcpy(t.lost, kept, sizeof(kept));
	t.lost[24 + 15] ^= 1; /* nor its address */
	too_big(1280);
	memcpy(t.lost, kept, sizeof(kept));
	pk16(t.lost + 4, 1280 - 40); /* shorter than the path's MTU */
	too_big(1280);
	assert_int_equal(t.n_packets, n);
	assert_int_equal(t.pcb->mss, 1360);
	memcpy(t.lost, kept, sizeof(kept));
	t.narrow = 0;
	writes(60000, 1);
	later(4);
	finish();
	assert_int_equal(t.next, 60001);
	too_big(1280); /* acknowledged long since */
	assert_int_equal(t.pcb->mss, 1360);
}

/* A window that holds only a part of the last segment: the FIN waits for the other part. */
static void test_fin_behind_window(void **state)
{
	(void)state;
	far_says(TCP_ACK, 0, 4); /* times 128 */
	writes(0, 1000);
	assert_int_equal(t.next, 0);
	assert_int_equal(tcp_close(t.pcb), ERR_OK);
	later(2);
	assert_int_equal(t.next, 512);
	assert_int_equal(t.fin_at, 0);
	far_says(TCP_ACK, 512, 4);
	later(2);
	assert_int_equal(t.next, 1000);
	assert_int_equal(t.fin_at, 1000);
	assert_memory_equal(t.stream, data, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_narrow, connected, ended),
		cmocka_unit_test_setup_teardown(test_narrow_closed, connected, ended),
		cmocka_unit_test_setup_teardown(test_forged, connected, ended),
		cmocka_unit_test_setup_teardown(test_fin_behind_window, connected, ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
