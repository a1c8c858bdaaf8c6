/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram pairs: interposition.md 2.7, stack/dgram.c, shim/dgram.c. Boundaries, zero length and truncation
 * are the kernel's work; a full queue says EAGAIN and loses nothing; the death of the other end is silent
 * until one sends. SOCK_SEQPACKET, the alternative, cannot tell a zero-length datagram from the end.
 */
#include "p.h"

#include <sys/uio.h>

#define PAYLOAD CTL_DGRAM_PAYLOAD_MAX

static uint8_t big[CTL_DGRAM_HDR + PAYLOAD + 1], back[CTL_DGRAM_HDR + PAYLOAD + 1];

static void boundaries(void)
{
	int pair[2];

	p_pair(SOCK_DGRAM, pair);
	NEED(send(pair[0], "one", 3, 0) == 3 && send(pair[0], "", 0, 0) == 0 &&
	     send(pair[0], "three", 5, 0) == 5);
	FACT("2.7", "one receive takes one datagram",
	     recv(pair[1], back, sizeof(back), 0) == 3 && memcmp(back, "one", 3) == 0);
	FACT("2.7", "a zero-length datagram wakes a reader", p_poll(pair[1]) & POLLIN);
	FACT("2.7", "a zero-length datagram is received as one", recv(pair[1], back, sizeof(back), 0) == 0);
	FACT("2.7", "and the next one follows",
	     recv(pair[1], back, sizeof(back), 0) == 5 && memcmp(back, "three", 5) == 0);
	FACT("2.7", "an empty queue gives EAGAIN, not 0",
	     p_fails(recv(pair[1], back, sizeof(back), 0), EAGAIN));
	p_close_pair(pair);
}

static ssize_t receive(int fd, struct iovec *iov, size_t n, int flags, int *ret_flags)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t r = recvmsg(fd, &m, flags);

	*ret_flags = m.msg_flags;
	return r;
}

static void truncation(void)
{
	uint8_t hdr[CTL_DGRAM_HDR];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { back, 4 } };
	int pair[2], flags;

	p_pair(SOCK_DGRAM, pair);
	for (int i = 0; i < 3; i++)
		NEED(send(pair[0], big, CTL_DGRAM_HDR + 100, 0) == CTL_DGRAM_HDR + 100);
	NEED(send(pair[0], "next", 4, 0) == 4);
	FACT("2.7", "MSG_PEEK | MSG_TRUNC gives the full length and leaves the datagram",
	     receive(pair[1], iov, 1, MSG_PEEK | MSG_TRUNC, &flags) == CTL_DGRAM_HDR + 100);
	FACT("2.7", "short room gives the room's length and MSG_TRUNC in msg_flags",
	     receive(pair[1], iov, 2, 0, &flags) == CTL_DGRAM_HDR + 4 && flags & MSG_TRUNC);
	FACT("2.7", "MSG_TRUNC in flags gives the full length",
	     receive(pair[1], iov, 2, MSG_TRUNC, &flags) == CTL_DGRAM_HDR + 100 && flags & MSG_TRUNC);
	iov[1].iov_len = 100;
	FACT("2.7", "enough room: no MSG_TRUNC",
	     receive(pair[1], iov, 2, 0, &flags) == CTL_DGRAM_HDR + 100 && !(flags & MSG_TRUNC));
	FACT("2.7", "what was cut off is gone",
	     recv(pair[1], back, sizeof(back), 0) == 4 && memcmp(back, "next", 4) == 0);
	p_close_pair(pair);
}

/* Header and payload in two pieces each way, up to the longest UDP payload. */
static void sizes(void)
{
	static const size_t size[] = { 0, 1, 1200, 1472, PAYLOAD };
	uint8_t hdr[CTL_DGRAM_HDR], got_hdr[CTL_DGRAM_HDR];
	int pair[2], flags;

	p_pair(SOCK_DGRAM, pair);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	memset(hdr, 0x5a, sizeof(hdr));
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		struct iovec out[2] = { { hdr, sizeof(hdr) }, { big, size[i] } };
		struct iovec in[2] = { { got_hdr, sizeof(got_hdr) }, { back, sizeof(back) } };
		struct msghdr m = { .msg_iov = out, .msg_iovlen = 2 };
		ssize_t total = (ssize_t)(CTL_DGRAM_HDR + size[i]);

		FACT("2.7", "UDP payloads of 0, 1, 1200, 1472 and 65507 bytes go in with a header",
		     sendmsg(pair[0], &m, MSG_DONTWAIT) == total);
		FACT("2.7", "and come out in one piece",
		     receive(pair[1], in, 2, 0, &flags) == total && !(flags & MSG_TRUNC));
		FACT("2.7", "header and payload come apart where they were joined",
		     memcmp(hdr, got_hdr, sizeof(hdr)) == 0 && memcmp(big, back, size[i]) == 0);
	}
	p_close_pair(pair);
}

/* D17: the newest is dropped when the queue is full; MSG_DONTWAIT tells, nothing that is queued suffers. */
static void full_queue(void)
{
	int pair[2], n = 0;
	uint32_t v;

	p_pair(SOCK_DGRAM, pair);
	NEED(fcntl(pair[0], F_SETFL, 0) == 0);
	for (v = 0; send(pair[0], &v, sizeof(v), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(v); v++)
		n++;
	FACT("2.7", "a full queue gives EAGAIN",
	     p_fails(send(pair[0], &v, sizeof(v), MSG_DONTWAIT | MSG_NOSIGNAL), EAGAIN));
	FACT("2.7", "a pair holds far more than max_dgram_qlen's default of 10", n >= 64);
	FACT("2.7", "a full queue is not writable", !(p_poll(pair[0]) & POLLOUT));
	for (int i = 0; i < n; i++)
		FACT("D17", "what was queued is complete and in order",
		     recv(pair[1], &v, sizeof(v), 0) == sizeof(v) && v == (uint32_t)i);
	FACT("D17", "what was refused did not arrive", p_fails(recv(pair[1], &v, sizeof(v), 0), EAGAIN));
	FACT("2.7", "an emptied queue is writable again", p_poll(pair[0]) == POLLOUT);
	p_close_pair(pair);
}

static void silent_death(void)
{
	int pair[2];

	p_pair(SOCK_DGRAM, pair);
	NEED(send(pair[0], "last", 4, 0) == 4 && send(pair[1], "unread", 6, 0) == 6);
	close(pair[0]);
	FACT("2.7", "datagrams outlive the end that sent them", recv(pair[1], back, sizeof(back), 0) == 4);
	FACT("2.7", "a closed end gives neither HUP nor ERR nor IN",
	     !(p_poll(pair[1]) & (POLLIN | POLLHUP | POLLERR | POLLRDHUP)));
	FACT("2.7", "nor end of file", p_fails(recv(pair[1], back, sizeof(back), 0), EAGAIN));
	FACT("2.7", "sending to it gives ECONNREFUSED",
	     p_fails(send(pair[1], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), ECONNREFUSED));
	close(pair[1]);
}

static void why_not_seqpacket(void)
{
	int pair[2];

	p_pair(SOCK_SEQPACKET, pair);
	NEED(send(pair[0], "", 0, 0) == 0);
	FACT("2.7 (D)", "SEQPACKET: a zero-length datagram is received as 0",
	     recv(pair[1], back, sizeof(back), 0) == 0);
	close(pair[0]);
	FACT("2.7 (D)", "SEQPACKET: so is the end", recv(pair[1], back, sizeof(back), 0) == 0);
	close(pair[1]);
}

int main(void)
{
	boundaries();
	truncation();
	sizes();
	full_queue();
	silent_death();
	why_not_seqpacket();
	return 0;
}
