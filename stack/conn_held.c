/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections hold in the tunnel, and the bound on all of it together (design D17).
 *
 * Theory of operation. A connection holds what came and its program has not taken, and what was taken from
 * the program and the far side has not acknowledged. The sum of all is one number, kept up to date as the
 * shares change. Above the bound a connection goes on with HELD_LEAST each way: no more is read from a
 * program while so much of it is unacknowledged, and a window is opened no further than that; what an open
 * window has promised is still taken. So nothing has to be woken: each connection is brought back by its own
 * next acknowledgement or its program's next read; and one whose program does not read cannot stop the
 * others, which that program may be waiting for.
 *
 * Of pcbs whose programs have gone lwIP tells nobody what becomes of them. What they had is added up when
 * they are left, and counted again only when that sum matters.
 *
 * Called by conn.c.
 */
#include "stack/conn_priv.h"

#include "base/clock.h"
#include "lwip/priv/tcp_priv.h"

#define COUNT_US (20 * US_PER_MS)

static size_t unacked(const struct tcp_pcb *pcb)
{
	return TCP_SND_BUF - pcb->snd_buf; /* tcp_sndbuf() knows of 64 KiB only */
}

void conn_account(struct conn *c)
{
	size_t n = c->win.unread + (c->pcb ? unacked(c->pcb) : 0);

	c->sock.all->held.bytes += n - c->held;
	c->held = n;
}

void conn_account_left(struct conn *c)
{
	c->sock.all->held.left += unacked(c->pcb);
}

static size_t count_left(void)
{
	size_t n = 0;

	for (const struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next)
		if (!t->callback_arg)
			n += unacked(t);
	return n;
}

bool conn_all_full(const struct conn *c)
{
	struct held *h = &c->sock.all->held;
	uint64_t now_us = loop_now(c->sock.all->loop);

	if (h->bytes + h->left <= c->sock.all->cfg.buffers)
		return false;
	if (h->left && now_us >= h->counted_us + COUNT_US) {
		h->left = count_left();
		h->counted_us = now_us;
	}
	return h->bytes + h->left > c->sock.all->cfg.buffers;
}

/* Beside what lwIP has room for: segments as long as tcp_write() makes them, one of them for a rest. Their
 * length is half the largest window there was, and must never become less; while there was none, one byte is
 * enough to ask for one. */
size_t conn_room(const struct conn *c)
{
	const struct tcp_pcb *pcb = c->pcb;
	size_t room = tcp_sndbuf(pcb), used = tcp_sndqueuelen(pcb) + 1u, half = pcb->snd_wnd_max / 2;
	size_t segment = half < pcb->mss ? half : pcb->mss;
	size_t queue = used < TCP_SND_QUEUELEN ? (TCP_SND_QUEUELEN - used) * segment : 0;
	size_t least = unacked(pcb) < HELD_LEAST ? HELD_LEAST - unacked(pcb) : 0;

	if (!half)
		return used == 1;
	room = queue < room ? queue : room;
	if (room > least && conn_all_full(c))
		room = least;
	return room < c->sock.all->cfg.buffer ? room : c->sock.all->cfg.buffer;
}

void conn_open_window(struct conn *c, size_t n)
{
	rcvwin_taken(&c->win, c->pcb, n, conn_all_full(c) ? HELD_LEAST : RCVWIN_MAX);
	conn_account(c);
}
