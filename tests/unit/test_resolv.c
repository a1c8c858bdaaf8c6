/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver: what is believed, how long it is remembered, when TCP is tried. Questions come over the
 * control socket, the test is the link and the name server behind it, the cache's clock is a fake one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "stack/ctl/ctl.h"
#include "tests/unit/packets.h"
#include "tests/unit/stackfix.h"

#define OWN 0x0a000009u
#define SERVER 0x09090909u

#define QR 0x8180u
#define TC 0x0200u
#define NXDOMAIN 3u

#define NAME_B                                                                                               \
	"\x01"                                                                                               \
	"b\x07"                                                                                              \
	"example\x03org\0"
#define RR_A(name, ttl) name "\0\x01\0\x01\0\0" ttl "\0\x04\xc0\x58\x63\x50"
#define RR_CNAME_B(ttl) "\xc0\x0c\0\x05\0\x01\0\0" ttl "\0\x0f" NAME_B

struct fix {
	struct stackfix base;
	uint8_t query[512]; /* the last one, as an IP packet */
	size_t query_len;
	unsigned queries, syns;
};

static int wire_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct fix *f = container_of(l, struct fix, base.link);

	(void)flow;
	if (pkt[9] == IPPKT_TCP) {
		f->syns += pkt[33] == IPPKT_SYN && pkt[23] == 53;
		return 0;
	}
	assert_true(len < sizeof(f->query) && pkt[23] == 53);
	memcpy(f->query, pkt, len);
	f->query_len = len;
	f->queries++;
	return 0;
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	*state = f;
	f->base.link.send = wire_send;
	if (stackfix_new(&f->base, 7, (struct stack_cfg){ 0 }) < 0)
		return -1;
	stackfix_up(&f->base, "10.0.0.9");
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	stackfix_free(&f->base);
	free(f);
	return 0;
}

/* Asks for the IPv4 addresses. The descriptor the answer comes on. */
static int ask(struct fix *f, const char *name)
{
	struct ctl_req q = { .op = CTL_RESOLVE, .family = 4 };
	uint8_t buf[CTL_MSG_MAX];
	struct sockaddr_un at;
	int len = ctl_sockaddr(&at, f->base.ctl), s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0), n;

	snprintf(q.name, sizeof(q.name), "%s", name);
	n = ctl_put_req(buf, sizeof(buf), &q);
	assert_int_equal(connect(s, (struct sockaddr *)&at, (socklen_t)len), 0);
	assert_int_equal(send(s, buf, (size_t)n, 0), n);
	stackfix_turn(&f->base);
	return s;
}

/* False: nothing came yet. Otherwise s is closed. */
static bool answered(int s, struct ctl_rep *rep)
{
	uint8_t buf[CTL_MSG_MAX];
	ssize_t n = recv(s, buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	assert_int_equal(ctl_get_rep(rep, buf, (size_t)n), 0);
	close(s);
	return true;
}

/* The answer of a server to the last question, with n records; id is added to the right one. */
static void server_says(struct fix *f, uint32_t server, uint16_t id, unsigned flags, unsigned n,
			const char *records, size_t len)
{
	uint8_t pkt[1024];
	const uint8_t *q = f->query + 28;
	size_t question = 12 + strlen((const char *)q + 12) + 5;
	size_t all =
		pk_udp(pkt, server, 53, OWN, (uint16_t)(f->query[20] << 8 | f->query[21]), question + len);
	uint8_t *a = pkt + 28;

	memcpy(a, q, question);
	pk16(a, (uint32_t)(q[0] << 8 | q[1]) + id);
	pk16(a + 2, flags);
	pk16(a + 6, n);
	pk16(a + 10, 0);
	memcpy(a + question, records, len);
	pk16(pkt + 10, 0xffffu ^ pk_sum(pkt, 20, 0));
	f->base.link.recv(f->base.link.up, pkt, all);
	stackfix_turn(&f->base);
}

static void says_a(struct fix *f, uint32_t server, uint16_t id)
{
	static const char a[] = RR_A("\xc0\x0c", "\x0e\x10");

	server_says(f, server, id, QR, 1, a, sizeof(a) - 1);
}

/* Only the server that was asked, and to the question that is open. */
static void believed(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep;
	int s = ask(f, "a.example.org");

	assert_int_equal(f->queries, 1);
	says_a(f, SERVER + 1, 0);
	assert_false(answered(s, &rep));
	says_a(f, SERVER, 1);
	assert_false(answered(s, &rep));
	says_a(f, SERVER, 0);
	assert_true(answered(s, &rep));
	assert_int_equal(rep.dns, CTL_DNS_OK);
	assert_int_equal(rep.n_addrs, 1);
	fake.us += 3599 * US_PER_S;
	assert_true(answered(ask(f, "A.Example.org"), &rep));
	assert_int_equal(f->queries, 1);
	fake.us += 2 * US_PER_S;
	s = ask(f, "a.example.org");
	assert_int_equal(f->queries, 2);
	says_a(f, SERVER, 0);
	assert_true(answered(s, &rep));
}

/* An alias that is valid for a moment may lead elsewhere then, however long the address is valid. */
static void alias_ttl(void **state)
{
	static const char chain[] = RR_CNAME_B("\0\x05") RR_A(NAME_B, "\x0e\x10");
	struct fix *f = *state;
	struct ctl_rep rep;
	int s = ask(f, "a.example.org");

	server_says(f, SERVER, 0, QR, 2, chain, sizeof(chain) - 1);
	assert_true(answered(s, &rep));
	assert_int_equal(rep.n_addrs, 1);
	assert_string_equal(rep.name, "b.example.org");
	fake.us += 4 * US_PER_S;
	assert_true(answered(ask(f, "a.example.org"), &rep));
	assert_int_equal(f->queries, 1);
	fake.us += 2 * US_PER_S;
	s = ask(f, "a.example.org");
	assert_int_equal(f->queries, 2);
	server_says(f, SERVER, 0, QR, 2, chain, sizeof(chain) - 1);
	assert_true(answered(s, &rep));
}

static void no_such_name(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep;
	int s = ask(f, "a.example.org");

	server_says(f, SERVER, 0, QR | NXDOMAIN, 0, "", 0);
	assert_true(answered(s, &rep));
	assert_int_equal(rep.dns, CTL_DNS_NONAME);
	fake.us += 29 * US_PER_S;
	assert_true(answered(ask(f, "a.example.org"), &rep));
	assert_int_equal(rep.dns, CTL_DNS_NONAME);
	fake.us += 2 * US_PER_S;
	s = ask(f, "a.example.org");
	assert_int_equal(f->queries, 2);
	says_a(f, SERVER, 0);
	assert_true(answered(s, &rep));
	assert_int_equal(rep.dns, CTL_DNS_OK);
}

static void truncated(void **state)
{
	struct fix *f = *state;
	struct ctl_rep rep;
	int s = ask(f, "a.example.org");

	assert_int_equal(f->syns, 0);
	server_says(f, SERVER, 0, QR | TC, 0, "", 0);
	assert_false(answered(s, &rep));
	assert_int_equal(f->syns, 1);
	close(s);
	stackfix_turn(&f->base);
}

/* Each is asked by itself; the answers come in another order. */
static void at_the_same_time(void **state)
{
	struct fix *f = *state;
	uint8_t first[sizeof(f->query)];
	struct ctl_rep rep;
	int a = ask(f, "a.example.org"), b;

	memcpy(first, f->query, sizeof(first));
	b = ask(f, "b.example.org");
	assert_int_equal(f->queries, 2);
	server_says(f, SERVER, 0, QR | NXDOMAIN, 0, "", 0);
	assert_true(answered(b, &rep));
	assert_int_equal(rep.dns, CTL_DNS_NONAME);
	assert_false(answered(a, &rep));
	memcpy(f->query, first, sizeof(first));
	says_a(f, SERVER, 0);
	assert_true(answered(a, &rep));
	assert_int_equal(rep.dns, CTL_DNS_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(believed), T(alias_ttl), T(no_such_name), T(truncated), T(at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
