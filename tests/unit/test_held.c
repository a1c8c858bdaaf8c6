/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all connections together may hold: above the bound new ones are refused, those that are there go on
 * with little, what was promised is taken, and everything arrives in the end.
 */
#include "tests/unit/farside.h"

#define BOUND 40000
#define CHUNK 16384 /* read from a program at once */
#define SEGMENT 1000

static uint64_t promised; /* by the first connection: up to here it takes data */

static int far_gets_window(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	const struct packet *p = (const struct packet *)pkt;

	promised = ntohl(p->tcp.ack_seq) + ((uint64_t)ntohs(p->tcp.window) << TCP_RCV_SCALE);
	return far_gets(l, pkt, len, flow);
}

static int bounded(void **state)
{
	int r = connected(state);

	socks.cfg.buffers = BOUND;
	return r;
}

/* Numbered bytes towards the first connection, as far as its window goes. Returns how many. */
static size_t far_fills(void)
{
	struct {
		struct packet p;
		uint8_t more[SEGMENT];
	} seg;
	uint8_t *data = (uint8_t *)&seg + sizeof(struct iphdr) + sizeof(struct tcphdr);
	size_t tcp_len = sizeof(struct tcphdr) + SEGMENT, n = 0;

	for (; far.next + SEGMENT <= promised; n += SEGMENT) {
		seg.p = far.last;
		seg.p.ip.tot_len = htons((uint16_t)(sizeof(struct iphdr) + tcp_len));
		seg.p.tcp.seq = htonl(far.next);
		seg.p.tcp.ack_seq = htonl(far.acked);
		seg.p.ip.check = htons((uint16_t)~pk_sum(&seg.p.ip, sizeof(seg.p.ip), 0));
		for (size_t i = 0; i < SEGMENT; i++)
			data[i] = (uint8_t)((far.next + i) % 251);
		seg.p.tcp.check = htons((uint16_t)~pk_sum(
			&seg.p.tcp, tcp_len, pk_sum(&seg.p.ip.saddr, 8, IPPROTO_TCP + (uint32_t)tcp_len)));
		far.next += SEGMENT;
		far.link.recv(far.link.up, (uint8_t *)&seg, sizeof(struct iphdr) + tcp_len);
	}
	return n;
}

/* One more connection, its program's end in *ret. errno of the attempt. */
static int another(uint64_t cookie, struct conn **ret_c, int *ret)
{
	struct addr to;
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*ret = pair[0];
	*ret_c = conn_new(&socks, cookie, 4, pair[1]);
	assert_non_null(*ret_c);
	addr_parse(&to, "192.88.99.80", 81);
	r = conn_connect(*ret_c, &to);
	turn();
	return r;
}

/* May one more connect? */
static int refused(void)
{
	struct conn *c;
	int fd, r = another(99, &c, &fd);

	fd_close(&fd);
	turn();
	if (socks_find(&socks, 99))
		conn_free(c);
	turn();
	return r;
}

static void write_all(int fd, size_t n)
{
	static const char bytes[60000];

	assert_int_equal(write(fd, bytes, n), n);
}

static void test_unacknowledged(void **state)
{
	struct conn *other;
	int fd;

	(void)state;
	assert_int_equal(another(78, &other, &fd), 0);
	far.deaf = true;
	for (int i = 0; i < 2; i++) {
		write_all(program, 60000);
		turn();
	}
	assert_in_range(socks.held.bytes, BOUND, BOUND + CHUNK);
	assert_int_equal(refused(), ENOBUFS);
	far.deaf = false;
	write_all(fd, 60000); /* the first one is stuck until its timer says so */
	turn();
	assert_int_equal(far.bytes, 60000);
	for (int i = 0; i < 20; i++)
		turn_after(500);
	assert_int_equal(far.bytes, 180000);
	assert_int_equal(socks.held.bytes, 0);
	assert_int_equal(refused(), 0);
	close(fd);
	turn();
}

/* What programs leave behind counts as well, until it has arrived or nobody tries any more. */
static void test_left_behind(void **state)
{
	(void)state;
	far.deaf = true;
	write_all(program, 45000); /* all of it is read */
	turn();
	fd_close(&program);
	turn();
	assert_false(forgotten());
	assert_int_equal(refused(), ENOBUFS);
	turn_after(20000); /* it is lwIP's alone now */
	assert_true(forgotten());
	assert_int_equal(socks.held.bytes, 0);
	assert_int_equal(refused(), ENOBUFS);
	far.deaf = false;
	for (int i = 0; i < 40; i++)
		turn_after(500);
	assert_int_equal(far.bytes, 45000);
	assert_int_equal(refused(), 0);
}

static void test_reset_with_much(void **state)
{
	(void)state;
	far.deaf = true;
	write_all(program, 60000);
	turn();
	assert_int_equal(refused(), ENOBUFS);
	conn_abort(conn, ECONNRESET);
	turn();
	assert_int_equal(socks.held.bytes, 0);
	assert_int_equal(refused(), 0);
}

/* A program that does not read: what its window promised is taken, then it stays shut; as it reads, all
 * comes. Meanwhile another one goes on. */
static void test_unread_much(void **state)
{
	const int small = 1;
	struct conn *other;
	uint32_t seen;
	size_t total, got = 0;
	int fd;

	(void)state;
	assert_int_equal(another(78, &other, &fd), 0);
	far.link.send = far_gets_window;
	setsockopt(conn_sock(conn)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	write_all(program, 1); /* far.last is about this connection again */
	turn();
	seen = conn->pcb->rcv_nxt;
	far.next = seen;
	total = far_fills();
	assert_in_range(total, RCVWIN_FIRST - SEGMENT, RCVWIN_FIRST);
	turn();
	assert_true(socks.held.bytes > BOUND);
	assert_int_equal(far_fills(), 0);
	for (int i = 0; i < 3; i++) {
		struct packet mine = far.last;

		write_all(fd, 30000);
		turn();
		far.last = mine;
	}
	assert_int_equal(far.bytes, 90001);
	socks.cfg.buffers = 0; /* full for ever: it must go on all the same */
	for (int i = 0; i < 4000 && total < 1000000; i++) {
		uint8_t bytes[4096];
		ssize_t n = read(program, bytes, sizeof(bytes));

		for (ssize_t k = 0; k < n; k++)
			assert_int_equal(bytes[k], (uint8_t)((seen + got++) % 251));
		loop_dispatch(loop, 0);
		device_after();
		total += far_fills();
		assert_true(i < 100 || socks.held.bytes <= HELD_LEAST);
	}
	assert_true(total >= 1000000);
	conn_free(other);
	close(fd);
	turn();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unacknowledged, bounded, ended),
		cmocka_unit_test_setup_teardown(test_left_behind, bounded, ended),
		cmocka_unit_test_setup_teardown(test_reset_with_much, bounded, ended),
		cmocka_unit_test_setup_teardown(test_unread_much, bounded, ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
