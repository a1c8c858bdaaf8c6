/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets when the link under them goes, comes back, comes back with another address, or swallows
 * everything: asked over the control socket as the shim asks, with a link of the test's own and a fake clock.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/ctl/gate.h"
#include "tests/unit/packets.h"
#include "tests/unit/stackfix.h"

#define STEP (250 * US_PER_MS)
#define FIRST 0x0a000002u
#define SECOND 0x0a000003u
#define SERVER 0xc0586350u /* 192.88.99.80 */

struct fix {
	struct stackfix base;
	bool swallow;
	unsigned from_first, from_second, syns;
	uint8_t last[2048]; /* the last packet that went out */
	size_t last_len, longest;
	int fd; /* the program's socket */
	uint64_t cookie;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int wire_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct fix *f = container_of(l, struct fix, base.link);

	(void)flow;
	if (f->swallow)
		return 0;
	f->from_first += get32(pkt + 12) == FIRST;
	f->from_second += get32(pkt + 12) == SECOND;
	f->syns += (pkt[33] & (IPPKT_SYN | IPPKT_ACK)) == IPPKT_SYN;
	memcpy(f->last, pkt, len);
	f->last_len = len;
	f->longest = len > f->longest ? len : f->longest;
	return 0;
}

static uint64_t three_seconds(const struct pktlink *l)
{
	(void)l;
	return 3 * US_PER_S;
}

static void run(struct fix *f, uint64_t us)
{
	for (uint64_t end = fake.us + us;;) {
		for (int i = 0; i < 4; i++)
			loop_dispatch(f->base.loop, 0);
		if (fake.us >= end)
			return;
		fake.us += STEP;
	}
}

static void up(struct fix *f, uint32_t ip)
{
	f->base.link.ip4 = (struct addr){ .family = 4 };
	pk32(f->base.link.ip4.ip, ip);
	f->base.link.event(f->base.link.up, PKTLINK_UP);
	run(f, 0);
}

static void down(struct fix *f)
{
	f->base.link.event(f->base.link.up, PKTLINK_DOWN);
	run(f, 0);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	f->base.link.send = wire_send;
	return stackfix_new(&f->base, 5, (struct stack_cfg){ 0 });
}

static int teardown(void **state)
{
	struct fix *f = *state;

	close(f->fd);
	stackfix_free(&f->base);
	free(f);
	return 0;
}

/* One request as the shim makes it. */
static struct ctl_rep ask(struct fix *f, const struct ctl_req *q, int fd)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint8_t buf[CTL_MSG_MAX];
	struct ctl_rep rep;
	int s = socket(AF_UNIX, SOCK_SEQPACKET, 0), n = ctl_put_req(buf, sizeof(buf), q);
	ssize_t got;

	memcpy(at.sun_path, f->base.ctl, sizeof(f->base.ctl));
	assert_int_equal(connect(s, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(fd_send_fds(s, buf, (size_t)n, &fd, fd >= 0, 0), n);
	run(f, 0);
	got = recv(s, buf, sizeof(buf), MSG_DONTWAIT);
	assert_true(got > 0);
	assert_int_equal(ctl_get_rep(&rep, buf, (size_t)got), 0);
	close(s);
	return rep;
}

/* A socket that connects to port 80 of a host; nothing has been done about it yet. */
static void ask_begin(struct fix *f, const char *host)
{
	struct ctl_req q = { .op = CTL_SOCKET, .family = 4, .kind = CTL_STREAM };
	struct addr to;
	int p[2];

	assert_int_equal(fd_pair(SOCK_STREAM | SOCK_NONBLOCK, p), 0);
	fd_cookie(p[0], &f->cookie);
	f->fd = p[0];
	q.cookie = f->cookie;
	assert_int_equal(ask(f, &q, p[1]).result, 0);
	close(p[1]);
	addr_parse(&to, host, 80);
	assert_int_equal(gate_shut(f->fd, f->cookie, &to), 0);
}

static void begin(struct fix *f)
{
	ask_begin(f, "192.88.99.80");
	run(f, 0);
}

static struct ctl_rep status(struct fix *f)
{
	const struct ctl_req q = { .op = CTL_TAKE_ERROR, .cookie = f->cookie };

	return ask(f, &q, -1);
}

/* The server answers the last SYN, and takes segments of 1460 bytes. */
static void accepted(struct fix *f)
{
	struct seg s = { .far = SERVER,
			 .near = get32(f->last + 12),
			 .sport = 80,
			 .seq = 7000,
			 .win = 60000,
			 .ack = get32(f->last + 24) + 1,
			 .flags = IPPKT_SYN | IPPKT_ACK,
			 .payload = 4 };
	uint8_t pkt[64];
	size_t len;

	s.dport = (uint16_t)(f->last[20] << 8 | f->last[21]);
	len = pk_tcp(pkt, &s);
	pkt[32] = 6 << 4;
	memcpy(pkt + 40, (uint8_t[]){ 2, 4, 1460 >> 8, 1460 & 255 }, 4);
	pk16(pkt + 10, 0xffffu ^ pk_sum(pkt, 20, 0));
	pk16(pkt + 36, 0xffffu ^ pk_sum(pkt + 12, len - 12, IPPKT_TCP + (uint32_t)(len - 20)));
	f->base.link.recv(f->base.link.up, pkt, len);
	run(f, 0);
	assert_int_equal(status(f).state, CTL_CONNECTED);
}

/* An attempt under way starts again under the new address; nothing leaves under the old one. */
static void attempt_survives_new_address(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	begin(f);
	assert_int_equal(f->syns, 1);
	down(f);
	f->from_first = 0;
	up(f, SECOND);
	assert_int_equal(f->syns, 2);
	assert_int_equal(f->from_first, 0);
	assert_int_equal(status(f).value, 0);
	accepted(f);
}

/* A connection is reset. */
static void connection_ends_with_address(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep;

	up(f, FIRST);
	begin(f);
	accepted(f);
	down(f);
	assert_int_equal(status(f).state, CTL_CONNECTED);
	f->from_first = 0;
	up(f, SECOND);
	rep = status(f);
	assert_int_equal(rep.value, ECONNRESET);
	assert_int_equal(rep.state, CTL_CLOSED);
	run(f, 10 * US_PER_S);
	assert_int_equal(f->from_first, 0);
	assert_int_equal(f->from_second, 0);
}

/* The same address again: nothing happened. */
static void connection_survives_outage(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	begin(f);
	accepted(f);
	down(f);
	run(f, 100 * US_PER_S);
	up(f, FIRST);
	assert_int_equal(status(f).state, CTL_CONNECTED);
	assert_int_equal(write(f->fd, "hello", 5), 5);
	f->from_first = 0;
	run(f, US_PER_S);
	assert_int_equal(f->from_first, 1);
}

/* The link swallows packets and is found dead only later: what was sent goes again as soon as it is back. */
static void sent_again_after_stall(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	begin(f);
	accepted(f);
	f->swallow = true;
	assert_int_equal(write(f->fd, "hello", 5), 5);
	run(f, 40 * US_PER_S);
	down(f);
	f->swallow = false;
	f->from_first = 0;
	up(f, FIRST);
	run(f, US_PER_S);
	assert_true(f->from_first >= 1);
	assert_memory_equal(f->last + f->last_len - 5, "hello", 5);
}

/* Nobody answers: 60 s, not the 36 s of lwIP's twelve SYNs. */
static void attempt_lasts_its_time(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	begin(f);
	run(f, 59 * US_PER_S);
	assert_int_equal(status(f).state, CTL_CONNECTING);
	run(f, 2 * US_PER_S);
	assert_int_equal(status(f).value, ETIMEDOUT);
	assert_true(f->syns >= 15);
}

/* What is offered in the SYN fits the way back, what is sent the way out. */
static void segments(struct fix *f, unsigned mtu_up, unsigned longest)
{
	uint8_t data[3000] = { 0 };

	f->base.link.mtu_up = mtu_up;
	up(f, FIRST);
	begin(f);
	assert_int_equal(f->last[40], 2);
	assert_int_equal(f->last[42] << 8 | f->last[43], 1380);
	assert_int_equal(pk_sum(f->last + 12, f->last_len - 12, IPPKT_TCP + (uint32_t)f->last_len - 20),
			 0xffff);
	accepted(f);
	assert_int_equal(write(f->fd, data, sizeof(data)), sizeof(data));
	run(f, US_PER_S);
	assert_int_equal(f->longest, longest);
}

static void segments_as_the_link(void **state)
{
	segments(*state, 0, 1420);
}

static void segments_longer_out(void **state)
{
	segments(*state, 1500, 1500);
}

/* A SYN that had to be sent again does not make the connection slow: as many bytes are under way after some
 * round trips. */
static void slow_start_after_lost_syn(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	begin(f);
	run(f, 10 * US_PER_S);
	assert_true(f->syns > 1);
	accepted(f);
	assert_true(tcp_active_pcbs->ssthresh > 65535);
}

/* However short lwIP thinks a round trip is, it waits a second and the link's round trip. */
static void patience(void **state)
{
	struct fix *f = *state;

	f->base.link.rtt_us = three_seconds;
	up(f, FIRST);
	begin(f);
	accepted(f);
	tcp_active_pcbs->rto = 1;
	f->swallow = false;
	f->from_first = 0;
	assert_int_equal(write(f->fd, "x", 1), 1);
	run(f, 3500 * US_PER_MS);
	assert_int_equal(f->from_first, 1);
	run(f, 2 * US_PER_S);
	assert_int_equal(f->from_first, 2);
}

/* A far side that has gone silent is asked at least every two minutes, and given up before half an hour is
 * over, however long the path is. */
static void silence(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep = { .state = CTL_CONNECTED };
	unsigned before;

	up(f, FIRST);
	begin(f);
	run(f, 2 * US_PER_S);
	accepted(f);
	assert_int_equal(write(f->fd, "x", 1), 1);
	run(f, 400 * US_PER_S);
	assert_int_equal(status(f).state, CTL_CONNECTED);
	before = f->from_first;
	run(f, 240 * US_PER_S);
	assert_true(f->from_first >= before + 1);
	for (int i = 0; i < 1000 && rep.state == CTL_CONNECTED; i += 10) {
		run(f, 10 * US_PER_S);
		rep = status(f);
	}
	assert_int_equal(rep.value, ETIMEDOUT);
}

/* No link: a connect waits for it, but not for ever. */
static void attempt_waits_for_link(void **state)
{
	struct fix *f = *state;

	begin(f);
	run(f, 29 * US_PER_S);
	assert_int_equal(status(f).state, CTL_CONNECTING);
	run(f, 2 * US_PER_S);
	assert_int_equal(status(f).value, ENETDOWN);
	assert_int_equal(f->syns, 0);
}

/* What happened to a socket before somebody asks about it has its effect before the answer: here a shutdown,
 * which ends an attempt. The listener, ready a moment ago, stands first in the kernel's list once more. */
static void events_before_requests(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int other = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	up(f, FIRST);
	begin(f);
	memcpy(at.sun_path, f->base.ctl, sizeof(f->base.ctl));
	assert_int_equal(connect(other, (struct sockaddr *)&at, sizeof(at)), 0);
	loop_dispatch(f->base.loop, 0);
	assert_int_equal(shutdown(f->fd, SHUT_RDWR), 0);
	assert_int_equal(status(f).result, ENOTSOCK);
	close(other);
	run(f, 0);
}

/* What the shim asks after connect() stands behind it, although nobody waited. */
static void names_after_connect(void **state)
{
	struct fix *f = *state;

	up(f, FIRST);
	ask_begin(f, "192.88.99.80");
	assert_int_equal(status(f).state, CTL_CONNECTING);
}

/* An attempt that cannot begin ends as one that failed later: seen on the socket, cause on record. */
static void refused_at_once(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep;
	int err = 0;

	up(f, FIRST);
	ask_begin(f, "10.0.0.1");
	rep = status(f);
	assert_int_equal(rep.state, CTL_FAILED);
	assert_int_equal(rep.value, ENETUNREACH);
	assert_int_equal(getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){ sizeof(err) }), 0);
	assert_int_equal(err, ECONNRESET);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(attempt_survives_new_address),
		T(connection_ends_with_address),
		T(connection_survives_outage),
		T(sent_again_after_stall),
		T(attempt_lasts_its_time),
		T(attempt_waits_for_link),
		T(segments_as_the_link),
		T(segments_longer_out),
		T(slow_start_after_lost_syn),
		T(patience),
		T(silence),
		T(events_before_requests),
		T(names_after_connect),
		T(refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
