/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local port of a connection, before it connects. It is taken on this machine too (loopback.h), since the
 * socket may listen later: the descriptor that holds it stays with the connection until the program asks for
 * it, or closes.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "stack/conn_priv.h"
#include "stack/device.h"
#include "stack/loopback.h"

/* A program may close a socket and bind its port again before we have looked: ports of closed ones become
 * free. */
static void release_ports(struct socks *a)
{
	list_for_each(it, &a->list) {
		struct sock *s = container_of(it, struct sock, link);
		struct pollfd p = { s->fd, 0, 0 };

		if (s->kind == CTL_STREAM && (s->fd < 0 || (poll(&p, 1, 0) > 0 && p.revents & POLLHUP)))
			fd_close(&conn_from_sock(s)->loop_fd);
	}
}

/* The port is taken on this machine too, if that can be: the socket may listen later. */
static int take_port(struct conn *c, uint16_t *port)
{
	struct addr any = { .family = c->sock.family, .port = *port };
	int fd = loopback_bind(&c->sock, &any);

	if (fd == -EADDRINUSE) {
		release_ports(c->sock.all);
		fd = loopback_bind(&c->sock, &any);
	}
	if (fd >= 0) {
		c->loop_fd = fd;
		*port = any.port;
	}
	return fd == -EADDRINUSE ? EADDRINUSE : 0;
}

int conn_take_loopback(struct conn *c)
{
	int fd = c->loop_fd;

	c->loop_fd = -1;
	return fd;
}

int conn_bind(struct conn *c, const struct addr *at)
{
	struct addr a = *at;
	enum addr_class k;
	int r;

	if (c->bits & (CONNECTING | CONNECTED) || c->sock.local.family)
		return EINVAL;
	addr_unmap(&a);
	k = addr_classify(&a);
	if (k != ADDR_UNSPEC &&
	    !addr_equal_ip(&a, &(struct addr){ .family = device_addr(a.family).family }) &&
	    memcmp(a.ip, device_addr(a.family).ip, 16))
		return EADDRNOTAVAIL;
	r = k == ADDR_UNSPEC ? take_port(c, &a.port) : 0;
	if (r)
		return r;
	c->sock.local = *at;
	c->sock.local.port = a.port;
	if (!c->sock.local.port)
		c->sock.local.port = socks_port(c->sock.all);
	c->sock.state = CTL_BOUND;
	return 0;
}
