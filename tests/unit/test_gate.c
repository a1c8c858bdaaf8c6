/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write gate while the program's call that shuts it still runs. The kernel counts a piece as in flight
 * before it has its bytes, so a program that is preempted there looks as if its buffer were full. Here it
 * stops there for certain: the bytes of the last piece are on a page that is missing (userfaultfd).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "stack/ctl/gate.h"

#define ROUNDS 200
#define PRESENT 2 /* pages before the missing one; the gate is not longer */

struct call {
	int fd;
	const uint8_t *bytes;
	size_t len;
	ssize_t sent;
};

static void *shuts(void *arg)
{
	struct call *c = arg;

	c->sent = fd_send_fds(c->fd, c->bytes, c->len, &c->fd, 1, MSG_DONTWAIT);
	return NULL;
}

/* Bytes that a gate has in this kernel. */
static size_t length(const struct addr *to)
{
	int pair[2], queued = 0;

	assert_int_equal(fd_pair(SOCK_STREAM | SOCK_NONBLOCK, pair), 0);
	assert_int_equal(gate_shut(pair[0], 77, to), 0);
	assert_int_equal(ioctl(pair[1], FIONREAD, &queued), 0);
	close(pair[0]);
	close(pair[1]);
	return (size_t)queued;
}

/* One page that is missing, behind others that are there; -1: this machine has no such thing for us. */
static int missing_page(uint8_t **ret_pages, size_t page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	uint8_t *p;

	if (uffd < 0)
		return -1;
	p = mmap(NULL, (PRESENT + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 0, PRESENT * page);
	range.range.start = (uintptr_t)p + PRESENT * page;
	range.range.len = page;
	assert_int_equal(ioctl(uffd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
	*ret_pages = p;
	return uffd;
}

static void test_call_still_runs(void **state)
{
	struct ctl_req q = { .op = CTL_CONNECT, .cookie = 78 };
	const int tiny = 1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
	struct uffdio_zeropage fill = { 0 };
	struct pollfd fault = { .events = POLLIN };
	struct call call = { 0 };
	pthread_t program;
	uint8_t *pages = NULL, request[CTL_BRIEF_MAX];
	int pair[2], prog = -1, len;
	struct addr to;

	(void)state;
	addr_parse(&q.addr, "192.88.99.80", 80);
	n = length(&q.addr);
	assert_true(n <= PRESENT * page);
	fault.fd = missing_page(&pages, page);
	if (fault.fd < 0)
		skip();
	assert_int_equal(fd_pair(SOCK_STREAM | SOCK_NONBLOCK, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)), 0);
	len = ctl_put_req(request, sizeof(request), &q);
	assert_true(len > 0);
	call.fd = pair[0];
	call.bytes = memcpy(pages + PRESENT * page - (n - 1), request, (size_t)len);
	call.len = n; /* all but the last byte are there */
	assert_int_equal(pthread_create(&program, NULL, shuts, &call), 0);
	assert_int_equal(poll(&fault, 1, 10000), 1);
	assert_int_equal(gate_take(pair[1], 78, &to, &prog), -EAGAIN);
	fill.range.start = (uintptr_t)pages + PRESENT * page;
	fill.range.len = page;
	assert_int_equal(ioctl(fault.fd, UFFDIO_ZEROPAGE, &fill), 0);
	assert_int_equal(pthread_join(program, NULL), 0);
	assert_int_equal(call.sent, n);
	assert_int_equal(gate_take(pair[1], 78, &to, &prog), n - (size_t)len);
	assert_true(addr_equal(&to, &q.addr));
	close(prog);
	close(pair[0]);
	close(pair[1]);
	close(fault.fd);
	munmap(pages, (PRESENT + 1) * page);
}

struct drain {
	int fd;
	size_t n;
	_Atomic bool runs;
};

static void *drains(void *arg)
{
	struct drain *d = arg;
	uint8_t buf[GATE_MAX];

	atomic_store(&d->runs, true);
	for (ssize_t n = -1; n; n = recv(d->fd, buf, sizeof(buf), MSG_DONTWAIT))
		d->n += n > 0 ? (size_t)n : 0;
	return NULL;
}

/* Whoever reads while the call runs gets the gate and nothing behind it. */
static void test_read_meanwhile(void **state)
{
	const struct addr to = { .family = 4 };
	size_t n = length(&to);

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct drain d = { 0 };
		pthread_t reader;
		int pair[2];

		assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
		d.fd = pair[1];
		assert_int_equal(pthread_create(&reader, NULL, drains, &d), 0);
		while (!atomic_load(&d.runs))
			sched_yield();
		assert_int_equal(gate_shut(pair[0], 77, &to), 0);
		close(pair[0]);
		assert_int_equal(pthread_join(reader, NULL), 0);
		close(pair[1]);
		assert_int_equal(d.n, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_call_still_runs),
					    cmocka_unit_test(test_read_meanwhile) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
