/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection of the tunnel: its bytes, what the far side does to it, its port and its gate. */
#include "tests/unit/farside.h"

static void test_both_ends(void **state)
{
	char byte;

	(void)state;
	far_sends(TH_FIN, "");
	turn();
	assert_int_equal(read(program, &byte, 1), 0);
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	assert_int_equal(far.fins, 1);
	assert_int_equal(far.resets, 0);
	assert_int_equal(conn_sock(conn)->state, CTL_CLOSED);
	assert_false(forgotten());
}

#define SOME 80 /* bytes; more than lies ready in the pair */

/* Bytes went up (so there is a lag byte), and more came than the pair takes; the program reads none yet. */
static void unread_bytes(void)
{
	const int tiny = 1;

	assert_int_equal(write(program, "abc", 3), 3);
	turn();
	setsockopt(conn_sock(conn)->fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny));
	for (int i = 0; i < SOME / 8; i++) {
		far_sends(0, "12345678");
		turn();
	}
}

/* A slow reader: some bytes at a time. Their number until it has none, or an end. */
static size_t read_all(ssize_t *ret_last)
{
	size_t all = 0;
	char bytes[8];

	for (;;) {
		*ret_last = read(program, bytes, sizeof(bytes));
		if (*ret_last <= 0)
			return all;
		all += (size_t)*ret_last;
		turn();
	}
}

/* Linux: a reset leaves what was received to be read, and then says so; sending fails at once. */
static void test_reset_behind_data(void **state)
{
	ssize_t last;

	(void)state;
	unread_bytes();
	far_sends(TH_RST, "");
	turn();
	assert_int_equal(conn_sock(conn)->error, ECONNRESET);
	assert_int_equal(send(program, "abc", 3, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE); /* what it is, the shim asks the tunnel */
	assert_int_equal(read_all(&last), SOME);
	assert_int_equal(last, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(read(program, &last, 1), 0);
}

/* ... unless the far side had ended its stream before: then that is what a reader sees. */
static void test_reset_behind_fin(void **state)
{
	ssize_t last;

	(void)state;
	unread_bytes();
	far_sends(TH_FIN, "");
	turn();
	assert_int_equal(write(program, "abc", 3), 3);
	turn();
	far_sends(TH_RST, "");
	turn();
	assert_int_equal(conn_sock(conn)->error, EPIPE);
	assert_int_equal(read_all(&last), SOME);
	assert_int_equal(last, 0);
	assert_int_equal(send(program, "abc", 3, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

static void test_fin_read_then_reset(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(write(program, "abc", 3), 3);
	turn();
	far_sends(TH_FIN, "");
	turn();
	far_sends(TH_RST, "");
	turn();
	assert_int_equal(read(program, &byte, 1), 0);
	assert_int_equal(read(program, &byte, 1), 0);
	assert_int_equal(conn_sock(conn)->error, EPIPE);
	assert_int_equal(conn_sock(conn)->state, CTL_CLOSED);
}

/* The program leaves before it has read all, the stack before the program. */
static void test_reset_unread_closed(void **state)
{
	(void)state;
	unread_bytes();
	far_sends(TH_RST, "");
	turn();
	fd_close(&program);
	turn();
	assert_true(forgotten());
}

static void test_reset_unread_stopped(void **state)
{
	ssize_t last;

	(void)state;
	unread_bytes();
	far_sends(TH_RST, "");
	turn();
	conn_free(conn);
	turn();
	assert_true(read_all(&last) < SOME);
	assert_int_equal(last, -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Both sides have said all they want to; the program has not read it. */
static void test_both_ends_unread(void **state)
{
	ssize_t last;

	(void)state;
	unread_bytes();
	far_sends(TH_FIN, "");
	turn();
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	assert_int_equal(far.fins, 1);
	turn();
	assert_int_equal(conn_sock(conn)->error, 0);
	assert_int_equal(read_all(&last), SOME);
	assert_int_equal(last, 0);
	assert_int_equal(conn_sock(conn)->error, 0);
	assert_int_equal(far.resets, 0);
}

/* The same when ours came first: lwIP forgets its pcb while the program still reads. */
static void test_read_after_time_wait(void **state)
{
	ssize_t last;

	(void)state;
	unread_bytes();
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	far_sends(TH_FIN, "");
	turn();
	for (int i = 0; i < 600; i++)
		turn_after(500);
	assert_int_equal(read_all(&last), SOME);
	assert_int_equal(last, 0);
}

/* Very many very small segments, unread, then the end of both sides. */
static void test_tiny_segments_unread(void **state)
{
	const size_t n = 1200;
	ssize_t last;

	(void)state;
	unread_bytes();
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	for (size_t i = 0; i < n; i++) {
		far_sends(0, "x");
		if (far.n_queue == QUEUE)
			turn();
	}
	far_sends(TH_FIN, "");
	turn();
	assert_int_equal(read_all(&last), SOME + n);
	assert_int_equal(last, 0);
}

/* A second connection from the port of one that waits in TIME-WAIT, to another host: what Linux allows with
 * SO_REUSEADDR. errno of the attempt. */
static int from_port(uint64_t cookie, uint16_t *port, const char *host, bool reuse)
{
	struct addr at = { .family = 4, .port = *port }, to;
	struct conn *c;
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	c = conn_new(&socks, cookie, 4, pair[1]);
	assert_non_null(c);
	assert_int_equal(sock_keep_option(conn_sock(c), SOL_SOCKET, SO_REUSEADDR, reuse), 0);
	assert_int_equal(conn_bind(c, &at), 0);
	*port = conn_sock(c)->local.port;
	addr_parse(&to, host, 80);
	r = conn_connect(c, &to);
	turn();
	close(pair[0]);
	turn();
	if (socks_find(&socks, cookie))
		conn_free(c);
	return r;
}

static void test_port_again(void **state)
{
	uint16_t port = 0;

	(void)state;
	assert_int_equal(from_port(78, &port, "192.88.99.80", true), 0);
	assert_int_equal(far.fins, 1);
	far_sends(TH_FIN, "");
	turn();
	assert_int_equal(from_port(79, &port, "192.88.99.81", false), EADDRINUSE);
	assert_int_equal(from_port(80, &port, "192.88.99.81", true), 0);
}

/* As on Linux a far side that has not answered hears nothing of it. */
static void test_given_up(void **state)
{
	uint16_t port = 0;

	(void)state;
	far.deaf = true;
	from_port(78, &port, "192.88.99.81", false);
	assert_int_equal(far.resets, 0);
}

/* Many small segments under way, then much at once, in segments as short as the far side asks for: lwIP's
 * queue is full before its buffer. */
static void test_many_segments(void **state)
{
	static const char much[60000];
	const struct tcp_pcb *pcb = conn->pcb;

	(void)state;
	assert_int_equal(conn_setopt(conn, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(program, much, 1000), 1000);
		turn();
	}
	far.deaf = true;
	for (int i = 0; i < TCP_SND_QUEUELEN && pcb->snd_queuelen < TCP_SND_QUEUELEN - 20; i++) {
		assert_int_equal(write(program, "x", 1), 1);
		loop_dispatch(loop, 0);
	}
	assert_int_equal(pcb->snd_queuelen, TCP_SND_QUEUELEN - 20);
	assert_int_equal(write(program, much, sizeof(much)), sizeof(much));
	turn();
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	assert_true(pcb->snd_queuelen > TCP_SND_QUEUELEN - 20);
}

/* A far side that takes nothing at first and little later (a tarpit, a small machine): segments are not made
 * longer than those that follow; lwIP would not survive it. */
static void test_window_from_nothing(void **state)
{
	struct conn *c;
	struct addr to;
	char much[2000] = { 0 };
	int pair[2];

	(void)state;
	far.window = 0;
	far.bytes = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	c = conn_new(&socks, 78, 4, pair[1]);
	assert_non_null(c);
	addr_parse(&to, "192.88.99.80", 80);
	assert_int_equal(conn_connect(c, &to), 0);
	turn();
	assert_int_equal(conn_sock(c)->state, CTL_CONNECTED);
	assert_int_equal(write(pair[0], much, sizeof(much)), sizeof(much));
	turn();
	far.window = 2; /* scaled: 256 */
	for (int i = 0; i < 100 && c->pcb->snd_wnd < 256; i++)
		turn_after(500);
	assert_int_equal(write(pair[0], much, sizeof(much)), sizeof(much));
	for (int i = 0; i < 200; i++)
		turn_after(500);
	assert_true(far.bytes >= 2 * sizeof(much)); /* a probe is one byte, sent twice */
	assert_int_equal(conn_sock(c)->state, CTL_CONNECTED);
	close(pair[0]);
	turn();
}

/* The window is shut and stays so, but the byte that asks for it is taken, and it was the last one. */
static void test_probe_taken(void **state)
{
	(void)state;
	far.window = 0;
	assert_int_equal(write(program, "a", 1), 1);
	turn();
	far.bytes = 0;
	assert_int_equal(write(program, "b", 1), 1);
	for (int i = 0; i < 20; i++)
		turn_after(500);
	assert_int_equal(far.bytes, 1);
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	far.window = 60000;
	assert_int_equal(write(program, "cd", 2), 2);
	for (int i = 0; i < 40; i++)
		turn_after(500);
	assert_true(far.bytes >= 3);
}

/* The far side ended its stream long ago, and what the program says at last gets lost on its way: it is sent
 * again all the same. */
static void test_last_words(void **state)
{
	(void)state;
	far_sends(TH_FIN, "");
	turn();
	for (int i = 0; i < 1200; i++)
		turn_after(250);
	far.deaf = true;
	assert_int_equal(write(program, "abc", 3), 3);
	fd_close(&program);
	for (int i = 0; i < 4; i++)
		turn_after(500);
	far.deaf = false;
	for (int i = 0; i < 60; i++)
		turn_after(500);
	assert_int_equal(far.bytes, 3);
	assert_int_equal(far.fins, 1);
}

/* The kernel has no memory for a moment: nothing of the stream is lost. */
static void test_no_memory(void **state)
{
	char bytes[16];

	(void)state;
	sendmsg_error = ENOBUFS;
	far_sends(0, "12345678");
	turn();
	sendmsg_error = ENOMEM;
	far_sends(0, "abcdefgh");
	turn();
	assert_int_equal(read(program, bytes, sizeof(bytes)), -1);
	sendmsg_error = 0;
	turn();
	assert_int_equal(read(program, bytes, sizeof(bytes)), 16);
	assert_memory_equal(bytes, "12345678abcdefgh", 16);
}

/* splice and stdio reach the pair without a hook: what they wrote before connect is no part of the stream,
 * nor of the gate. */
static void test_written_before_gate(void **state)
{
	struct conn *c;
	struct addr to;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(write(pair[0], "before", 6), 6);
	c = conn_new(&socks, 78, 4, pair[1]);
	assert_non_null(c);
	addr_parse(&to, "192.88.99.80", 80);
	assert_int_equal(gate_shut(pair[0], 78, &to), 0);
	assert_int_equal(gate_shut(pair[0], 78, &to), -EALREADY);
	turn();
	assert_int_equal(conn_sock(c)->state, CTL_CONNECTED);
	assert_int_equal(far.bytes, 0);
	assert_int_equal(write(pair[0], "abc", 3), 3);
	turn();
	assert_int_equal(far.bytes, 3);
	close(pair[0]);
	turn();
	assert_null(socks_find(&socks, 78));
}

/* A request as it looks while the program's call is still writing the gate, without a descriptor, and when
 * the rest has come. */
static void test_gate_in_pieces(void **state)
{
	const struct ctl_req wrong = { .op = CTL_CONNECT, .cookie = 79 };
	struct ctl_req q = { .op = CTL_CONNECT, .cookie = 78 };
	const int tiny = 1;
	uint8_t buf[GATE_MAX] = { 0 };
	struct conn *c, *other;
	int pair[2], pair2[2], n, buffer, piece;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair2), 0);
	c = conn_new(&socks, 78, 4, pair[1]);
	other = conn_new(&socks, 79, 4, pair2[1]);
	addr_parse(&q.addr, "192.88.99.80", 80);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny));
	getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, &(socklen_t){ sizeof(buffer) });
	piece = GATE_LENGTH(buffer) / 2;
	ctl_put_req(buf, sizeof(buf), &q);
	assert_int_equal(fd_send_fds(pair[0], buf, (size_t)piece, pair, 1, 0), piece);
	turn();
	assert_int_equal(conn_sock(c)->state, CTL_FRESH);
	n = ctl_put_req(buf, sizeof(buf), &wrong);
	assert_int_equal(write(pair2[0], buf, (size_t)n), n);
	assert_int_equal(write(pair[0], buf, (size_t)piece), piece);
	turn();
	assert_int_equal(conn_sock(c)->state, CTL_CONNECTED);
	assert_int_equal(conn_sock(other)->state, CTL_FAILED);
	assert_int_equal(conn_sock(other)->error, EPROTO);
	close(pair[0]);
	close(pair2[0]);
	conn_free(other);
	turn();
}

/* tcp(7): transmitted data may remain unacknowledged for so long. Without the option lwIP goes on for
 * minutes. */
static void test_user_timeout(void **state)
{
	int value = 0;

	(void)state;
	assert_int_equal(conn_setopt(conn, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), 0);
	assert_int_equal(conn_getopt(conn, IPPROTO_TCP, TCP_USER_TIMEOUT, &value), 0);
	assert_int_equal(value, 5000);
	for (int i = 0; i < 100; i++)
		turn_after(100); /* idle: nothing is late */
	assert_int_equal(write(program, "abc", 3), 3);
	turn();
	for (int i = 0; i < 100; i++)
		turn_after(100); /* acknowledged: nothing is late either */
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	far.deaf = true;
	assert_int_equal(write(program, "abc", 3), 3);
	turn();
	for (int i = 0; i < 45; i++)
		turn_after(100);
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
	for (int i = 0; i < 15; i++)
		turn_after(100);
	assert_int_equal(conn_sock(conn)->state, CTL_CLOSED);
	assert_int_equal(conn_sock(conn)->error, ETIMEDOUT);
	assert_int_equal(read(program, &value, 1), -1);
	assert_int_equal(errno, ECONNRESET); /* what it is, the shim asks the tunnel */
}

static void test_no_user_timeout(void **state)
{
	(void)state;
	far.deaf = true;
	assert_int_equal(write(program, "abc", 3), 3);
	for (int i = 0; i < 100; i++)
		turn_after(100);
	assert_int_equal(conn_sock(conn)->state, CTL_CONNECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ends, connected, ended),
		cmocka_unit_test_setup_teardown(test_reset_behind_data, connected, ended),
		cmocka_unit_test_setup_teardown(test_reset_behind_fin, connected, ended),
		cmocka_unit_test_setup_teardown(test_fin_read_then_reset, connected, ended),
		cmocka_unit_test_setup_teardown(test_reset_unread_closed, connected, ended),
		cmocka_unit_test_setup_teardown(test_reset_unread_stopped, connected, ended),
		cmocka_unit_test_setup_teardown(test_both_ends_unread, connected, ended),
		cmocka_unit_test_setup_teardown(test_read_after_time_wait, connected, ended),
		cmocka_unit_test_setup_teardown(test_tiny_segments_unread, connected, ended),
		cmocka_unit_test_setup_teardown(test_port_again, connected, ended),
		cmocka_unit_test_setup_teardown(test_given_up, connected, ended),
		cmocka_unit_test_setup_teardown(test_window_from_nothing, connected, ended),
		cmocka_unit_test_setup_teardown(test_probe_taken, connected, ended),
		cmocka_unit_test_setup_teardown(test_last_words, connected, ended),
		cmocka_unit_test_setup_teardown(test_many_segments, connected, ended),
		cmocka_unit_test_setup_teardown(test_no_memory, connected, ended),
		cmocka_unit_test_setup_teardown(test_written_before_gate, connected, ended),
		cmocka_unit_test_setup_teardown(test_gate_in_pieces, connected, ended),
		cmocka_unit_test_setup_teardown(test_user_timeout, connected, ended),
		cmocka_unit_test_setup_teardown(test_no_user_timeout, connected, ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
