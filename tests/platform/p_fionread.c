/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What FIONREAD counts: interposition.md 2.1 (A, ioctl), 2.4 and 2.7. On a stream all unread bytes, exactly,
 * which is what the lag-one-byte reader of stack/conn.c computes with; on a datagram socket the first
 * datagram alone.
 */
#include "p.h"

#include <sys/ioctl.h>

static int queued(int fd)
{
	int n = -1;

	FACT("2.1", "FIONREAD works on AF_UNIX sockets", ioctl(fd, FIONREAD, &n) == 0);
	return n;
}

static void stream(void)
{
	char buf[16];
	int pair[2];

	p_pair(SOCK_STREAM, pair);
	FACT("2.4", "0 on an empty stream", queued(pair[1]) == 0);
	NEED(send(pair[0], "a", 1, 0) == 1 && send(pair[0], "bcd", 3, 0) == 3 &&
	     send(pair[0], "efghij", 6, 0) == 6);
	FACT("2.4", "all messages of a stream count together", queued(pair[1]) == 10);
	FACT("2.4", "what is written the other way does not count", queued(pair[0]) == 0);
	NEED(recv(pair[1], buf, 10, MSG_PEEK) == 10);
	FACT("2.4", "peeking takes nothing away", queued(pair[1]) == 10);
	NEED(recv(pair[1], buf, 6, 0) == 6 &&
	     memcmp(buf, "abcdef", 6) == 0); /* ends inside the third message */
	FACT("2.4", "what was read is taken away, in the middle of a message too", queued(pair[1]) == 4);
	shutdown(pair[0], SHUT_WR);
	FACT("2.4", "end of file adds nothing", queued(pair[1]) == 4);
	close(pair[0]);
	FACT("2.5", "what is unread stays after a close", queued(pair[1]) == 4);
	NEED(recv(pair[1], buf, 16, 0) == 4);
	FACT("2.4", "0 again at end of file", queued(pair[1]) == 0);
	close(pair[1]);
}

static void datagrams(void)
{
	char buf[CTL_DGRAM_HDR + 8] = { 0 };
	int pair[2];

	p_pair(SOCK_DGRAM, pair);
	FACT("2.7", "0 on an empty datagram socket", queued(pair[1]) == 0);
	NEED(send(pair[0], buf, CTL_DGRAM_HDR, 0) == CTL_DGRAM_HDR);
	NEED(send(pair[0], buf, CTL_DGRAM_HDR + 8, 0) == CTL_DGRAM_HDR + 8);
	NEED(send(pair[0], buf, 0, 0) == 0);
	FACT("2.7", "the first datagram alone, header included", queued(pair[1]) == CTL_DGRAM_HDR);
	NEED(recv(pair[1], buf, 1, MSG_PEEK) == 1);
	FACT("2.7", "peeking takes nothing away", queued(pair[1]) == CTL_DGRAM_HDR);
	NEED(recv(pair[1], buf, 1, 0) == 1); /* the rest of it is dropped */
	FACT("2.7", "then the second", queued(pair[1]) == CTL_DGRAM_HDR + 8);
	NEED(recv(pair[1], buf, sizeof(buf), 0) == CTL_DGRAM_HDR + 8);
	FACT("2.7", "a zero-length datagram counts 0", queued(pair[1]) == 0 && p_poll(pair[1]) & POLLIN);
	p_close_pair(pair);
}

/* ---- the lag-one-byte reader, as stack/conn.c reads ---- */

#define TOTAL (8u << 20)
#define CHUNK 16384

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

/* The program: writes of 1 to 100 000 bytes, each after a poll, which asks more than a blocking write. */
static bool writer(int fd)
{
	static uint8_t buf[100000];
	unsigned step = 12345;

	for (size_t at = 0; at < TOTAL;) {
		size_t n, sent = 0;

		step = step * 1103515245u + 12345u;
		n = step % 4 ? step >> 16 & 0x3f : (step >> 12) % sizeof(buf);
		n = n == 0 ? 1 : n > TOTAL - at ? TOTAL - at : n;
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		while (sent < n) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };
			ssize_t r;

			FACT("2.4", "a polling writer never gets stuck", poll(&p, 1, 10000) == 1);
			r = send(fd, buf + sent, n - sent, MSG_NOSIGNAL);
			NEED(r > 0);
			sent += (size_t)r;
		}
		at += n;
	}
	return true;
}

/* New bytes behind the lag byte, all but the last of them consumed. 0: nothing new. */
static size_t read_lagging(int fd, size_t lag, uint8_t *buf, size_t room)
{
	size_t fresh = (size_t)queued(fd) - lag;
	ssize_t n = 0;

	if (fresh == 0)
		return 0;
	if (fresh > room)
		fresh = room;
	if (lag + fresh > 1) {
		n = recv(fd, buf, lag + fresh - 1, MSG_DONTWAIT);
		FACT("2.4", "one read takes as much as FIONREAD promised", n == (ssize_t)(lag + fresh - 1));
	}
	FACT("2.4", "the byte behind it can be peeked", recv(fd, buf + n, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
	memmove(buf, buf + lag, fresh);
	return fresh;
}

static void lag_reader(void)
{
	static uint8_t buf[CHUNK + 1];
	struct epoll_event ev;
	int pair[2], set;
	size_t got = 0, lag = 0, n;
	pid_t pid;

	p_pair(SOCK_STREAM, pair);
	pid = p_fork(writer, pair[0]);
	set = p_epoll_with(pair[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
	while (got < TOTAL) {
		n = read_lagging(pair[1], lag, buf, CHUNK);
		if (n == 0) {
			FACT("2.4", "new data makes an edge although a byte is unread: no stall",
			     epoll_wait(set, &ev, 1, 10000) == 1);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			FACT("2.4", "a lagging reader gets every byte in order", buf[i] == pattern(got + i));
		got += n;
		lag = 1;
		FACT("2.4", "one byte is left unread, so the queue is never empty", queued(pair[1]) >= 1);
	}
	FACT("2.4", "the writer came through", p_child_ok(pid));
	FACT("2.4", "one byte is left at the end, the last one",
	     queued(pair[1]) == 1 && recv(pair[1], buf, 1, 0) == 1 && buf[0] == pattern(TOTAL - 1));
	close(set);
	p_close_pair(pair);
}

int main(void)
{
	stream();
	datagrams();
	lag_reader();
	return 0;
}
