/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket diagnostics about a pair: stack/unixdiag.c, which stack/stack.c asks because a datagram pair does
 * not tell that its other end was closed (interposition.md 2.7). One question by inode of our end is answered
 * at once with the peer's inode, which turns 0 when the last copy of the peer is closed. The queue lengths it
 * can name as well agree with FIONREAD.
 */
#include "p.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct answer {
	uint32_t ino;
	bool has_peer, has_queue;
	uint32_t peer_ino, unread;
};

static uint32_t inode(int fd)
{
	struct stat st;

	NEED(fstat(fd, &st) == 0);
	return (uint32_t)st.st_ino;
}

/* 0, or the errno with which the kernel declines. */
static int ask(int netlink, uint32_t ino, struct answer *ret)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} q = { .h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST },
		.r = { .sdiag_family = AF_UNIX,
		       .udiag_states = UINT32_MAX,
		       .udiag_ino = ino,
		       .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
		       .udiag_cookie = { UINT32_MAX, UINT32_MAX } } };
	union {
		struct nlmsghdr h;
		char buf[1024];
	} a;
	struct unix_diag_msg *m = NLMSG_DATA(&a.h);
	struct rtattr *at = (struct rtattr *)(m + 1);
	ssize_t n;
	int left;

	memset(ret, 0, sizeof(*ret));
	NEED(send(netlink, &q, sizeof(q), 0) == sizeof(q));
	n = recv(netlink, &a, sizeof(a), 0);
	FACT("stack/unixdiag.c", "the answer waits when the question was sent, also without blocking", n > 0);
	if (a.h.nlmsg_type == NLMSG_ERROR)
		return -((struct nlmsgerr *)NLMSG_DATA(&a.h))->error;
	NEED(a.h.nlmsg_type == SOCK_DIAG_BY_FAMILY && n >= (ssize_t)NLMSG_LENGTH(sizeof(*m)));
	ret->ino = m->udiag_ino;
	left = (int)(a.h.nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == UNIX_DIAG_PEER) {
			ret->has_peer = true;
			memcpy(&ret->peer_ino, RTA_DATA(at), sizeof(ret->peer_ino));
		}
		if (at->rta_type == UNIX_DIAG_RQLEN) {
			ret->has_queue = true;
			ret->unread = ((struct unix_diag_rqlen *)RTA_DATA(at))->udiag_rqueue;
		}
	}
	return 0;
}

static struct answer about(int netlink, int fd)
{
	struct answer a;

	FACT("stack/unixdiag.c", "the kernel answers about a pair's end", ask(netlink, inode(fd), &a) == 0);
	FACT("stack/unixdiag.c", "the answer is about the socket that was asked for", a.ino == inode(fd));
	return a;
}

static bool alive(int netlink, int fd, uint32_t peer)
{
	struct answer a = about(netlink, fd);

	return a.has_peer && a.peer_ino == peer;
}

static bool gone(int netlink, int fd)
{
	struct answer a = about(netlink, fd);

	return a.has_peer && a.peer_ino == 0;
}

static bool holds_until_told(int fd)
{
	char byte;

	NEED(fcntl(fd, F_SETFL, 0) == 0);
	return recv(fd, &byte, 1, 0) == 1;
}

static void peer(int netlink, int type)
{
	int pair[2], copy;
	uint32_t ino;
	pid_t pid;

	p_pair(type, pair);
	ino = inode(pair[0]);
	FACT("stack/unixdiag.c", "inodes of the two ends differ", ino != inode(pair[1]) && ino != 0);
	FACT("stack/unixdiag.c", "the peer's inode is that of the other end", alive(netlink, pair[1], ino));
	FACT("stack/unixdiag.c", "and the other way round", alive(netlink, pair[0], inode(pair[1])));
	copy = dup(pair[0]);
	NEED(copy >= 0);
	close(pair[0]);
	FACT("stack/unixdiag.c", "a duplicate keeps the peer alive", alive(netlink, pair[1], ino));
	pid = p_fork(holds_until_told, copy);
	close(copy);
	FACT("stack/unixdiag.c", "a copy in another process keeps the peer alive",
	     alive(netlink, pair[1], ino));
	NEED(send(pair[1], "x", 1, 0) == 1 && p_child_ok(pid));
	FACT("stack/unixdiag.c", "the peer's inode is 0 when its last copy is closed",
	     gone(netlink, pair[1]));
	FACT("stack/unixdiag.c", "and stays 0", gone(netlink, pair[1]));
	close(pair[1]);
}

static void queue(int netlink, int type)
{
	struct answer a;
	int pair[2], n = -1;

	p_pair(type, pair);
	NEED(send(pair[0], "abc", 3, 0) == 3 && send(pair[0], "defgh", 5, 0) == 5 &&
	     ioctl(pair[1], FIONREAD, &n) == 0);
	a = about(netlink, pair[1]);
	FACT("2.4", "the queue it names is what FIONREAD counts", a.has_queue && a.unread == (uint32_t)n);
	FACT("2.4", "stream: all bytes; datagrams: the first one", n == (type == SOCK_STREAM ? 8 : 3));
	a = about(netlink, pair[0]);
	FACT("2.4", "the sender's own queue is empty", a.has_queue && a.unread == 0);
	p_close_pair(pair);
}

static void unknown(int netlink)
{
	struct answer a;
	uint32_t ino;
	int pair[2];

	p_pair(SOCK_DGRAM, pair);
	ino = inode(pair[0]);
	p_close_pair(pair);
	FACT("stack/unixdiag.c", "a socket that is no more is an error, not an answer",
	     ask(netlink, ino, &a) == ENOENT);
}

int main(void)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG), pair[2],
	    err;
	struct answer a;

	if (netlink < 0)
		p_skip("no sock_diag netlink here", errno);
	p_pair(SOCK_DGRAM, pair);
	err = ask(netlink, inode(pair[1]), &a);
	p_close_pair(pair);
	if (err)
		p_skip("the kernel answers no unix_diag questions here", err);
	peer(netlink, SOCK_DGRAM);
	peer(netlink, SOCK_STREAM);
	queue(netlink, SOCK_STREAM);
	queue(netlink, SOCK_DGRAM);
	unknown(netlink);
	close(netlink);
	return 0;
}
