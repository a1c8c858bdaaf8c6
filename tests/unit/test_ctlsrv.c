/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control server when its clients are many, silent, slow, gone or hostile: raw messages on its socket, a
 * link that swallows everything and a fake clock.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "stack/ctl/gate.h"
#include "stack/pairerr.h"
#include "tests/unit/stackfix.h"

#define MANY 1200

struct fix {
	struct stackfix base;
	int fd[MANY];
	size_t n_fd;
	unsigned told;
};

static int swallow(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	(void)l;
	(void)pkt;
	(void)len;
	(void)flow;
	return 0;
}

static void tell(void *owner, struct ctl_status *ret)
{
	struct fix *f = owner;

	snprintf(ret->state, sizeof(ret->state), "ready");
	ret->uptime_ms = ++f->told;
}

static void ignore(void *owner)
{
	(void)owner;
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct rlimit files;

	if (!f || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
	setrlimit(RLIMIT_NOFILE, &files);
	*state = f;
	f->base.link.send = swallow;
	if (stackfix_new(&f->base, 6, (struct stack_cfg){ .status = tell, .status_owner = f }) < 0)
		return -1;
	stackfix_up(&f->base, "10.0.0.9");
	return 0;
}

static void close_all(struct fix *f)
{
	while (f->n_fd)
		close(f->fd[--f->n_fd]);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	close_all(f);
	stackfix_free(&f->base);
	free(f);
	return 0;
}

/* Connects; -1: nobody takes it now. Closed at the end. */
static int client(struct fix *f)
{
	struct sockaddr_un at;
	int len = ctl_sockaddr(&at, f->base.ctl), s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	assert_true(s >= 0 && f->n_fd < MANY);
	f->fd[f->n_fd++] = s;
	return connect(s, (struct sockaddr *)&at, (socklen_t)len) < 0 ? -1 : s;
}

static void say(int s, const struct ctl_req *q, int fd)
{
	uint8_t buf[CTL_MSG_MAX];
	int n = ctl_put_req(buf, sizeof(buf), q);

	assert_int_equal(fd_send_fds(s, buf, (size_t)n, &fd, fd >= 0, 0), n);
}

/* False: nothing came. */
static bool answer(int s, struct ctl_rep *rep)
{
	uint8_t buf[CTL_MSG_MAX];
	ssize_t n = recv(s, buf, sizeof(buf), MSG_DONTWAIT);

	return n > 0 && ctl_get_rep(rep, buf, (size_t)n) == 0;
}

static bool hello(struct fix *f)
{
	const struct ctl_req q = { .op = CTL_HELLO };
	struct ctl_rep rep;
	int s = client(f);

	if (s < 0)
		return false;
	say(s, &q, -1);
	stackfix_turn(&f->base);
	return answer(s, &rep) && rep.state == CTL_CONNECTED;
}

/* errno of SOCKET with our own end left in *ret_fd. */
static int new_socket(struct fix *f, enum ctl_kind kind, int type, int *ret_fd)
{
	struct ctl_req q = { .op = CTL_SOCKET, .family = 4, .kind = kind };
	struct ctl_rep rep = { .result = -1 };
	int p[2], s = client(f);

	assert_int_equal(fd_pair(type | SOCK_NONBLOCK, p), 0);
	pairerr_name(p[0]);
	fd_cookie(p[0], &q.cookie);
	say(s, &q, p[1]);
	close(p[1]);
	stackfix_turn(&f->base);
	assert_true(answer(s, &rep));
	*ret_fd = p[0];
	return rep.result;
}

/* The tunnel stops while a name is looked up: who asked hears of it. */
static void question_at_the_end(void **state)
{
	struct fix *f = *state;
	struct ctl_req q = { .op = CTL_RESOLVE, .name = "slow.example.org" };
	struct ctl_rep rep;
	int s = client(f), gone = client(f);

	say(s, &q, -1);
	say(gone, &q, -1);
	stackfix_turn(&f->base);
	close(gone);
	f->n_fd--;
	stackfix_turn(&f->base);
	assert_false(answer(s, &rep));
	stack_free(f->base.stack);
	f->base.stack = NULL;
	assert_true(answer(s, &rep));
	assert_int_equal(rep.dns, CTL_DNS_FAIL);
}

/* Connections that say nothing, of a program that was stopped or means harm, do not keep others out. */
static void silent_clients(void **state)
{
	struct fix *f = *state;

	for (int i = 0; i < 600; i++) {
		client(f);
		if (i % 16 == 0)
			for (int k = 0; k < 4; k++)
				stackfix_turn(&f->base);
	}
	for (int i = 0; i < 80; i++)
		stackfix_turn(&f->base);
	assert_true(hello(f));
}

/* Nor do names that nobody answers; of too many at a time some are put off. */
static void slow_names(void **state)
{
	struct fix *f = *state;
	struct ctl_req q = { .op = CTL_RESOLVE, .family = 4 };
	struct ctl_rep rep;
	int put_off = 0;

	for (int i = 0; i < 1100; i++) {
		int s = client(f);

		snprintf(q.name, sizeof(q.name), "n%d.example.org", i);
		say(s, &q, -1);
		stackfix_turn(&f->base);
		put_off += answer(s, &rep) && rep.dns == CTL_DNS_AGAIN;
		if (i == 400)
			assert_int_equal(put_off, 0);
	}
	assert_true(put_off > 0);
	assert_true(hello(f));
}

/* Sockets whose attempt failed are remembered for a while, for their error. When there are too many the
 * oldest are forgotten. */
static void failed_sockets_make_room(void **state)
{
	struct fix *f = *state;
	struct addr refused;
	int fd, r = 0;

	addr_parse(&refused, "10.1.2.3", 80);
	for (int i = 0; i < STACK_CONNS_MAX + 20; i++) {
		uint64_t cookie;

		r = new_socket(f, CTL_STREAM, SOCK_STREAM, &fd);
		if (r)
			break;
		fd_cookie(fd, &cookie);
		assert_int_equal(gate_shut(fd, cookie, &refused), 0);
		stackfix_turn(&f->base);
		close(fd);
		close_all(f);
	}
	assert_int_equal(r, 0);
}

/* Descriptors that are no end of such a pair. */
static void wrong_descriptors(void **state)
{
	struct fix *f = *state;
	struct ctl_req q = { .op = CTL_SOCKET, .family = 4, .kind = CTL_STREAM, .cookie = 5 };
	struct ctl_rep rep;
	int fd, s = client(f), file = fileno(stdin);

	assert_int_equal(new_socket(f, CTL_DGRAM, SOCK_STREAM, &fd), EINVAL);
	close(fd); /* end of file, again and again, in a loop that waits for a datagram's sender */
	stackfix_turn(&f->base);
	assert_int_equal(new_socket(f, CTL_DGRAM, SOCK_SEQPACKET, &fd), EINVAL);
	close(fd);
	assert_int_equal(new_socket(f, CTL_STREAM, SOCK_DGRAM, &fd), EINVAL);
	close(fd);
	say(s, &q, file);
	stackfix_turn(&f->base);
	assert_true(answer(s, &rep));
	assert_int_equal(rep.result, EINVAL);
	assert_true(hello(f));
}

/* Whoever may ask hears how the tunnel is, as often as it likes, while it drains too. */
static void status(void **state)
{
	struct fix *f = *state;
	const struct ctl_req q = { .op = CTL_STATUS };
	struct ctl_status got;
	uint8_t buf[CTL_MSG_MAX];

	for (unsigned i = 1; i < 4; i++) {
		int s = client(f);
		ssize_t n;

		if (i == 3)
			stack_drain(f->base.stack, ignore, NULL);
		say(s, &q, -1);
		stackfix_turn(&f->base);
		n = recv(s, buf, sizeof(buf), MSG_DONTWAIT);
		assert_true(n > 0 && ctl_get_status(&got, buf, (size_t)n) == 0);
		assert_string_equal(got.state, "ready");
		assert_int_equal(got.uptime_ms, i);
		assert_int_equal(recv(s, buf, sizeof(buf), MSG_DONTWAIT), 0);
	}
}

/* Without a descriptor left for another connection the loop rests, and goes on when there is one. */
static void no_descriptors(void **state)
{
	struct fix *f = *state;
	const struct ctl_req q = { .op = CTL_HELLO };
	struct rlimit old, few;
	struct ctl_rep rep;
	int s = client(f), ran = 0;

	say(s, &q, -1);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)s;
	setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; i < 100; i++)
		ran += loop_dispatch(f->base.loop, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_true(ran < 10);
	assert_false(answer(s, &rep));
	fake.us += US_PER_S;
	stackfix_turn(&f->base);
	assert_true(answer(s, &rep));
}

/* Datagram sockets that were closed are found when they are in the way, not only from time to time: of the
 * descriptors too. */
static void closed_sockets_make_room(void **state)
{
	struct fix *f = *state;
	struct rlimit old, few;
	int fd, r = 0, made = 0;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 100;
	setrlimit(RLIMIT_NOFILE, &few);
	while (made < 500 && r == 0) {
		r = new_socket(f, CTL_DGRAM, SOCK_DGRAM, &fd);
		close(fd);
		close_all(f);
		made += r == 0;
	}
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(made, 500);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(question_at_the_end), T(silent_clients), T(slow_names), T(failed_sockets_make_room),
		T(wrong_descriptors),	T(no_descriptors), T(status),	  T(closed_sockets_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
