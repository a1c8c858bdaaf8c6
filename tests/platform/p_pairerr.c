/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error on the other end of a datagram pair: stack/pairerr.c. Linux reports ECONNRESET to the peer of a
 * socket that disconnects with something unread. The other end then behaves as a UDP socket that heard of an
 * ICMP error: POLLERR, one call that fails, all as before.
 */
#include "p.h"

#include <stddef.h>
#include <sys/un.h>

static void autobind(int fd, struct sockaddr_un *name, socklen_t *len)
{
	const sa_family_t family = AF_UNIX;

	FACT("unix(7)", "an address of only a family gives a connected socket a name",
	     bind(fd, (const struct sockaddr *)&family, sizeof(family)) == 0);
	*len = sizeof(*name);
	NEED(getsockname(fd, (struct sockaddr *)name, len) == 0);
	FACT("unix(7)", "the name is abstract",
	     *len > offsetof(struct sockaddr_un, sun_path) && !name->sun_path[0]);
}

static int disconnect(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof(none));
}

struct ends {
	int program, tunnel, stranger;
	struct sockaddr_un program_name, tunnel_name;
	socklen_t program_len, tunnel_len;
};

static void raise_error(const struct ends *e)
{
	const struct sockaddr *program = (const struct sockaddr *)&e->program_name;

	NEED(disconnect(e->tunnel) == 0);
	FACT("stack/pairerr.h", "disconnecting with an empty queue says nothing",
	     !(p_poll(e->program) & POLLERR));
	FACT("stack/pairerr.h", "a socket without a peer takes what strangers send",
	     sendto(e->stranger, "", 0, MSG_DONTWAIT, (const struct sockaddr *)&e->tunnel_name,
		    e->tunnel_len) == 0);
	FACT("stack/pairerr.h", "it can be connected to its old peer by name",
	     connect(e->tunnel, program, e->program_len) == 0);
	NEED(disconnect(e->tunnel) == 0 && connect(e->tunnel, program, e->program_len) == 0);
}

static struct ends make(void)
{
	struct ends e;
	int pair[2];

	p_pair(SOCK_DGRAM, pair);
	e.program = pair[0];
	e.tunnel = pair[1];
	e.stranger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	NEED(e.stranger >= 0);
	autobind(e.program, &e.program_name, &e.program_len);
	autobind(e.tunnel, &e.tunnel_name, &e.tunnel_len);
	return e;
}

static void once_each(void)
{
	struct ends e = make();
	int ep = p_epoll_with(e.program, EPOLLIN | EPOLLET);
	uint32_t events;
	char c;

	NEED(send(e.tunnel, "down", 4, 0) == 4);
	p_epoll_take(ep, &events);
	raise_error(&e);
	FACT("stack/pairerr.h", "an edge-triggered epoll wakes",
	     p_epoll_take(ep, &events) == 1 && events & EPOLLERR);
	FACT("stack/pairerr.h", "poll says ERR beside what it said",
	     p_poll(e.program) == (POLLIN | POLLOUT | POLLERR));
	FACT("stack/pairerr.h", "a send reports it", p_fails(send(e.program, "x", 1, 0), ECONNRESET));
	FACT("stack/pairerr.h", "once", p_poll(e.program) == (POLLIN | POLLOUT));
	raise_error(&e);
	FACT("stack/pairerr.h", "a receive reports it, before what is queued",
	     p_fails(recv(e.program, &c, 1, 0), ECONNRESET));
	FACT("stack/pairerr.h", "what is queued stays", recv(e.program, &c, 1, MSG_TRUNC) == 4);
	raise_error(&e);
	FACT("stack/pairerr.h", "SO_ERROR takes it",
	     p_so_error(e.program) == ECONNRESET && p_so_error(e.program) == 0);
	FACT("stack/pairerr.h", "the pair works on, both ways",
	     send(e.program, "up", 2, 0) == 2 && recv(e.tunnel, &c, 1, MSG_TRUNC) == 2 &&
		     send(e.tunnel, "d", 1, 0) == 1 && recv(e.program, &c, 1, 0) == 1);
	close(ep);
	close(e.program);
	close(e.tunnel);
	close(e.stranger);
}

static void closed_to_strangers(void)
{
	struct ends e = make();
	const struct sockaddr *program = (const struct sockaddr *)&e.program_name;

	FACT("stack/pairerr.h", "nobody else can send to the program's end",
	     p_fails(sendto(e.stranger, "x", 1, 0, program, e.program_len), EPERM));
	FACT("stack/pairerr.h", "nor connect to it",
	     p_fails(connect(e.stranger, program, e.program_len), EPERM));
	FACT("stack/pairerr.h", "nor to the tunnel's",
	     p_fails(sendto(e.stranger, "x", 1, 0, (const struct sockaddr *)&e.tunnel_name, e.tunnel_len),
		     EPERM));
	NEED(disconnect(e.tunnel) == 0);
	FACT("stack/pairerr.h", "also while the tunnel's end has no peer",
	     p_fails(sendto(e.stranger, "x", 1, 0, program, e.program_len), EPERM));
	close(e.program);
	FACT("stack/pairerr.h", "a name goes with its socket",
	     p_fails(connect(e.tunnel, program, e.program_len), ECONNREFUSED));
	close(e.tunnel);
	close(e.stranger);
}

int main(void)
{
	once_each();
	closed_to_strangers();
	return 0;
}
