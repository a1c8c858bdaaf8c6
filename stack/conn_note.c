/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What -v says of a connection.
 *
 * Theory of operation. One line when it has ended, with its cause and what it carried; its far side is told
 * with -vv only, when it begins, under the same number. The connections of the tunnel itself (names over TCP)
 * have none: they do not begin with a program's connect().
 */
#include "stack/conn_priv.h"

#include "base/log.h"

void conn_note_begin(struct conn *c)
{
	char text[ADDR_TEXT];

	c->number = ++c->sock.all->conn_number;
	c->began_us = loop_now(c->sock.all->loop);
	log_trace("connection %u: to %s", c->number, addr_text(&c->sock.peer, text));
}

void conn_note_end(struct conn *c, const char *cause)
{
	if (!c->number)
		return;
	log_info("connection %u: %s after %.1f s; %llu bytes up, %llu down", c->number, cause,
		 (double)(loop_now(c->sock.all->loop) - c->began_us) / (double)US_PER_S,
		 (unsigned long long)c->up, (unsigned long long)c->down);
	c->number = 0;
}
