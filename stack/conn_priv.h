/* SPDX-License-Identifier: Apache-2.0 */
/* A connection, for conn.c (its life and its bytes), conn_bind.c (its port), conn_held.c (what all hold),
 * conn_note.c (its line), conn_opt.c (its options) and conn_rx.c (what waits for its program). */
#ifndef STACK_CONN_PRIV_H
#define STACK_CONN_PRIV_H

#include <assert.h>
#include <sys/uio.h>

#include "lwip/tcp.h"
#include "stack/conn.h"
#include "stack/rcvwin.h"

enum {
	CONNECTING = 1,
	CONNECTED = 2,
	TX_EOF = 4,
	RX_EOF = 8,
	GONE = 16,
	DEAD = 32,
	WAITS_LINK = 64,
	FIN_SENT = 128,
	ABORTED = 256, /* tcp_abort() was called: lwIP's callbacks must say so */
	RESET = 512,   /* over with an error; the program has not read all that came */
	UNREAD = 1024  /* the program has gone and not read all that came */
};

#define RX_MAX 1024  /* segments that wait for the program */
#define RX_JOIN 2048 /* bytes; shorter neighbours are made one */
static_assert((RX_MAX - 2) / 2 * RX_JOIN > RCVWIN_MAX, "a window of the shortest segments");

struct conn {
	struct sock sock;
	unsigned bits;
	struct loop_watch watch;
	struct loop_timer timer; /* connect, waiting for the link */
	struct loop_task end, deliver;
	struct tcp_pcb *pcb;
	struct addr target; /* where packets go (peer may be redirected or mapped) */
	int prog_fd;
	int loop_fd;		 /* holds the bound port on this machine (loopback.h), or -1 */
	size_t lag;		 /* forwarded bytes still unread in our queue: 0 or 1 */
	int gate;		 /* bytes that were left to read of it when the attempt began */
	struct pbuf *rx[RX_MAX]; /* ring, for the program */
	unsigned rx_first, rx_n;
	struct rcvwin win;
	size_t held; /* its share of socks.held */
	bool readable, nodelay, keepalive;
	int keep_idle_s, keep_intvl_s, keep_cnt, sndbuf, user_timeout_ms;
	uint32_t acked; /* as on_poll() saw it last, and when nothing was late */
	uint64_t acked_us;
	unsigned number; /* of its line with -v; 0: none, or it has been said */
	uint64_t began_us, up, down;
};

/* The ring of what came for the program (conn_rx.c). Takes p. */
void conn_rx_put(struct conn *c, struct pbuf *p);
/* Up to 16 pieces and 60 000 bytes of it, which stay; how many bytes. */
size_t conn_rx_look(const struct conn *c, struct iovec iov[16], size_t *ret_n);
/* The program has the first n bytes. */
void conn_rx_taken(struct conn *c, size_t n);
void conn_rx_drop(struct conn *c);

#define HELD_LEAST 8192 /* each way: what a connection may hold, however much the others do */

/* What it holds has changed. */
void conn_account(struct conn *c);
/* The program has gone, lwIP goes on alone; the pcb's argument is NULL from now on. */
void conn_account_left(struct conn *c);
/* All together hold more than they may. */
bool conn_all_full(const struct conn *c);
/* How many of the program's bytes may be given to lwIP. */
size_t conn_room(const struct conn *c);
/* The program took n bytes: the far side may send others. */
void conn_open_window(struct conn *c, size_t n);
/* The options that lwIP keeps in its pcb. */
void conn_apply_options(struct conn *c);
/* A program's connect() begins. */
void conn_note_begin(struct conn *c);
/* It is over, for what cause; the first one counts. */
void conn_note_end(struct conn *c, const char *cause);

#endif
