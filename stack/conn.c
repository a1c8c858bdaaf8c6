/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections.
 *
 * Theory of operation. The program holds one end of a stream socketpair, we the other.
 *
 * Write gate (stack/ctl/gate.h): the program's end was filled with the request to connect, so that the kernel
 * itself says "not writable". When the far SYN-ACK comes we read all but the last byte, which makes too
 * little room to show, and restore the send buffer through a duplicate held for that purpose only while
 * connecting: the one moment at which the program's end becomes writable, so an edge-triggered waiter hears
 * of it once. On failure, be it at once, we close with the gate unread.
 *
 * Lag byte: one byte that has already been forwarded is always left unread in our queue (first the last gate
 * byte). A close with unread bytes is a reset for the program, native, with no hook; for a clean close the
 * byte is consumed first. Because of it the queue is never empty, so reading is edge-triggered, and end of
 * file shows as RDHUP, not as a read of zero bytes.
 *
 * Reading from the program: FIONREAD says how much is queued, T. All but the last byte are received, the last
 * is peeked; what lies behind the lag byte goes to lwIP. Only as much as lwIP has room for; tcp_sent brings
 * us back. Writing to the program: pbufs wait until the end of the batch, so that few calls write them, and
 * until the socketpair takes them; tcp_recved follows what was taken. So back-pressure reaches from end to
 * end.
 *
 * Closing: EOF from the program becomes FIN after the last byte; FIN from afar becomes shutdown(SHUT_WR)
 * after the last byte. A program that closes with data unread, or to which data still comes, resets the far
 * side, as on Linux; but when what it wrote is acknowledged, since on its way through the mixnet the reset
 * may overtake it. Then the pcb of a program that has gone finishes on its own.
 *
 * A connection internal to the tunnel (DNS over TCP) has no gate and no lag byte until data flows.
 */
#include "stack/conn.h"
#include "stack/conn_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "stack/ctl/gate.h"
#include "stack/device.h"
#include "stack/unixdiag.h"

#define CHUNK 16384
#define CLOSED_US (60 * US_PER_S)   /* how long an ended connection answers for its error and names */
#define LAST_US (20 * US_PER_S)	    /* for an acknowledgement of what a program left behind */
#define SNDBUF_DEFAULT (212992 / 2) /* what the kernel doubles to its default */

static void pump_out(struct conn *c);
static void pump_in(struct conn *c);
static void begin(struct conn *c);

struct sock *conn_sock(struct conn *c)
{
	return &c->sock;
}

struct conn *conn_from_sock(struct sock *s)
{
	return container_of(s, struct conn, sock);
}

/* ---- end of life ---- */

static void free_late(void *owner)
{
	struct conn *c = owner;

	conn_rx_drop(c);
	fd_close(&c->sock.fd);
	fd_close(&c->prog_fd);
	fd_close(&c->loop_fd);
	free(c);
}

static void detach_pcb(struct conn *c)
{
	if (!c->pcb)
		return;
	tcp_arg(c->pcb, NULL);
	tcp_recv(c->pcb, NULL);
	tcp_sent(c->pcb, NULL);
	tcp_err(c->pcb, NULL);
	c->pcb = NULL;
	conn_account(c);
}

/* Both FINs are there: what is left to do is lwIP's own, however long the program reads. It frees the pcb
 * without a word, or with one that sounds like an error. */
static void leave_pcb(struct conn *c)
{
	conn_note_end(c, "ended by both sides");
	conn_account_left(c);
	detach_pcb(c);
	c->bits |= DEAD;
}

static void abort_pcb(struct conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	detach_pcb(c);
	if (!pcb)
		return;
	c->bits |= ABORTED;
	tcp_abandon(pcb, pcb->state != SYN_SENT); /* nobody to tell, as on Linux */
}

/* The socket leaves the table; memory goes at the end of the batch. */
static void finish(struct conn *c)
{
	if (!list_empty(&c->end.node))
		return;
	loop_watch_remove(&c->watch);
	loop_timer_stop(&c->timer);
	list_remove(&c->deliver.node);
	c->win.unread = 0; /* nobody takes it any more */
	conn_account(c);
	socks_remove(c->sock.all, &c->sock);
	loop_defer(c->sock.all->loop, &c->end, free_late, c);
}

static void open_gate(struct conn *c)
{
	int r = gate_open(c->sock.fd, c->prog_fd, c->gate,
			  c->sndbuf > SNDBUF_DEFAULT ? c->sndbuf : SNDBUF_DEFAULT);

	if (r < 0)
		log_debug("gate: %s", err_str(r));
	c->lag = 1;
	fd_close(&c->prog_fd);
}

/* Our end is closed; the entry stays for a while, so that the recorded error and the names can
 * be asked for. */
static void close_end(struct conn *c)
{
	loop_watch_remove(&c->watch);
	loop_timer_set(&c->timer, loop_now(c->sock.all->loop) + CLOSED_US);
	fd_close(&c->prog_fd);
	fd_close(&c->sock.fd);
	c->sock.state = c->bits & CONNECTED ? CTL_CLOSED : CTL_FAILED;
}

static void clean_close(struct conn *c)
{
	uint8_t unread[4096]; /* the lag byte; after a reset, what nobody takes any more */

	shutdown(c->sock.fd, SHUT_RD);
	while (recv(c->sock.fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
		;
	close_end(c);
}

/* Everything is over in both directions. */
static void maybe_done(struct conn *c)
{
	if (c->bits & GONE) {
		if (!c->pcb)
			finish(c);
		return;
	}
	if ((c->bits & DEAD) && c->sock.fd >= 0 && !c->rx_n && (c->bits & RX_EOF) && (c->bits & TX_EOF))
		clean_close(c);
}

static void record(struct conn *c, int err)
{
	c->sock.error = err;
	conn_note_end(c, err_str(err));
}

/* All that came is delivered: the program hears of the end with an error. Behind a far FIN that is for those
 * who send; who reads has an end of file (kernel: SOCK_DONE). */
static void end_program(struct conn *c)
{
	if (c->bits & RX_EOF)
		clean_close(c);
	else
		close_end(c); /* gate or lag byte unread: a reset, natively */
}

/* The far side, or we, ended it with an error. Linux leaves what was received to be read first, while
 * sending fails at once. */
static void reset_program(struct conn *c, int err)
{
	c->bits |= DEAD;
	record(c, err == ECONNRESET && c->bits & RX_EOF ? EPIPE : err);
	if (c->bits & GONE) {
		finish(c);
		return;
	}
	if (c->rx_n)
		pump_in(c);
	if (c->sock.fd >= 0 && c->rx_n) {
		c->bits |= RESET;
		c->sock.state = CTL_CLOSED;
		shutdown(c->sock.fd, SHUT_RD);
	} else if (c->sock.fd >= 0) {
		end_program(c);
	}
}

void conn_abort(struct conn *c, int err)
{
	if (c->sock.fd < 0 && !c->pcb)
		return;
	abort_pcb(c);
	c->bits &= ~(unsigned)WAITS_LINK;
	reset_program(c, err);
}

void conn_free(struct conn *c)
{
	conn_abort(c, ECONNRESET);
	if (c->sock.fd >= 0 && !(c->bits & GONE))
		close_end(c); /* what it has not read is lost */
	finish(c);
}

/* ---- lwIP's callbacks ---- */

static void on_err(void *arg, err_t err)
{
	struct conn *c = arg;

	if (!c)
		return;
	c->pcb = NULL; /* lwIP has freed it */
	conn_account(c);
	if (c->bits & CONNECTING)
		reset_program(c, err == ERR_RST ? ECONNREFUSED : ETIMEDOUT);
	else
		reset_program(c, err == ERR_RST ? ECONNRESET : ETIMEDOUT);
}

/* What a callback returns: lwIP must hear when its pcb was aborted meanwhile. */
static err_t verdict(const struct conn *c)
{
	return c->bits & ABORTED ? ERR_ABRT : ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct conn *c = arg;

	(void)pcb;
	(void)len;
	if (!c)
		return ERR_OK;
	conn_account(c);
	pump_out(c);
	return verdict(c);
}

/* What came in one batch goes to the program in one call. */
static void deliver(void *owner)
{
	pump_in(owner);
}

/* By a program that has gone. */
static void left_unread(struct conn *c)
{
	if (!(c->bits & UNREAD))
		loop_timer_set(&c->timer, loop_now(c->sock.all->loop) + LAST_US);
	c->bits |= UNREAD;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct conn *c = arg;

	(void)err;
	if (!c) {
		if (p) {
			tcp_recved(pcb, p->tot_len);
			pbuf_free(p);
		}
		return ERR_OK;
	}
	if (p && c->bits & GONE && c->bits & (UNREAD | FIN_SENT)) {
		left_unread(c);
		pbuf_free(p);
		return ERR_OK;
	}
	if (p) {
		c->down += p->tot_len;
		rcvwin_came(&c->win, p->tot_len, device_tight(), loop_now(c->sock.all->loop), device_rtt());
		conn_rx_put(c, p);
		conn_account(c);
	} else {
		c->bits |= RX_EOF;
		if (c->bits & FIN_SENT && !(c->bits & UNREAD))
			leave_pcb(c);
	}
	loop_defer(c->sock.all->loop, &c->deliver, deliver, c);
	return ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct conn *c = arg;

	(void)err;
	c->bits = (c->bits & ~(unsigned)CONNECTING) | CONNECTED;
	c->sock.state = CTL_CONNECTED;
	device_tune(pcb);
	rcvwin_init(&c->win, pcb, loop_now(c->sock.all->loop));
	device_from_lwip(&c->sock.local, &pcb->local_ip, pcb->local_port);
	loop_timer_stop(&c->timer);
	if (c->prog_fd >= 0)
		open_gate(c);
	c->readable = true;
	pump_out(c);
	return verdict(c);
}

/* ---- program -> lwIP ---- */

/* Reads up to room new bytes behind the lag byte into buf; *ret = how many. 0, or -errno. */
static int read_program(struct conn *c, uint8_t *buf, size_t room, size_t *ret)
{
	int queued = 0;
	size_t fresh, skip = c->lag;
	ssize_t n = 0;

	*ret = 0;
	if (ioctl(c->sock.fd, FIONREAD, &queued) < 0)
		return -errno;
	fresh = (size_t)queued - skip;
	if (!fresh)
		return 0;
	if (fresh > room)
		fresh = room;
	/* All but the last new byte are taken, the lag byte among them; the last is only looked at. */
	if (skip + fresh > 1) {
		n = recv(c->sock.fd, buf, skip + fresh - 1, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		fresh = (size_t)n + 1 - skip;
	}
	if (recv(c->sock.fd, buf + n, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
		return -EIO;
	memmove(buf, buf + skip, fresh);
	c->lag = 1;
	*ret = fresh;
	return 0;
}

static bool drained(const struct conn *c)
{
	int queued = 0;

	return ioctl(c->sock.fd, FIONREAD, &queued) < 0 || (size_t)queued <= c->lag;
}

/* Bytes, not a FIN alone: no callback of lwIP tells of its acknowledgement. */
static bool unconfirmed(const struct tcp_pcb *pcb)
{
	for (const struct tcp_seg *s = pcb->unsent; s; s = s->next)
		if (s->len)
			return true;
	for (const struct tcp_seg *s = pcb->unacked; s; s = s->next)
		if (s->len)
			return true;
	return false;
}

/* lwIP finishes by itself: sends what is left, or waits for the far FIN for a bounded time. */
static void hand_over(struct conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	rcvwin_end(pcb);
	conn_note_end(c, "closed");
	pcb->tmr = tcp_ticks; /* or that time counts from the last segment that came */
	if (tcp_close(pcb) == ERR_OK) {
		conn_account_left(c);
		detach_pcb(c);
	} else {
		abort_pcb(c);
	}
	c->bits |= FIN_SENT | DEAD;
	maybe_done(c);
}

static void reset_far(struct conn *c)
{
	conn_note_end(c, c->bits & CONNECTED
				 ? "reset by the program, which closed with data unread or SO_LINGER 0"
				 : "given up by the program");
	abort_pcb(c);
	c->bits |= DEAD;
	finish(c);
}

/* The program has gone, and lwIP has all of its bytes. */
static void send_last(struct conn *c)
{
	if (!(c->bits & (UNREAD | FIN_SENT)) && tcp_shutdown(c->pcb, 0, 1) == ERR_OK)
		c->bits |= FIN_SENT;
	if (unconfirmed(c->pcb) && !(c->bits & RX_EOF && !(c->bits & UNREAD)))
		loop_timer_set(&c->timer, loop_now(c->sock.all->loop) + LAST_US);
	else if (c->bits & UNREAD)
		reset_far(c);
	else
		hand_over(c);
}

static void send_fin(struct conn *c)
{
	if (c->bits & GONE) {
		send_last(c);
		return;
	}
	if (c->bits & FIN_SENT)
		return;
	if (tcp_shutdown(c->pcb, 0, 1) == ERR_OK)
		c->bits |= FIN_SENT;
	if (c->bits & FIN_SENT && c->bits & RX_EOF) {
		leave_pcb(c);
		maybe_done(c);
	}
}

static void pump_out(struct conn *c)
{
	static uint8_t buf[CHUNK + 1]; /* one thread */
	size_t room, n;
	bool wrote = false;
	int r;

	if (!(c->bits & CONNECTED) || !c->pcb || c->sock.fd < 0)
		return;
	while (c->readable) {
		room = conn_room(c);
		if (!room)
			break;
		r = read_program(c, buf, room < CHUNK ? room : CHUNK, &n);
		if (r < 0 || !n) {
			c->readable = false;
			break;
		}
		if (tcp_write(c->pcb, buf, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK) {
			conn_abort(c, ENOBUFS); /* bytes read cannot be put back */
			return;
		}
		c->up += n;
		conn_account(c);
		wrote = true;
	}
	if (wrote)
		tcp_output(c->pcb);
	if (c->bits & TX_EOF && c->pcb && drained(c))
		send_fin(c);
}

/* ---- lwIP -> program ---- */

static void pump_in(struct conn *c)
{
	struct iovec iov[16];

	while (c->rx_n && c->sock.fd >= 0) {
		struct msghdr mh = { .msg_iov = iov };
		size_t total = conn_rx_look(c, iov, &mh.msg_iovlen);
		ssize_t n = sendmsg(c->sock.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
			loop_watch_set(&c->watch, LOOP_IN | LOOP_OUT | LOOP_RDHUP | LOOP_ET);
			return;
		}
		if (n < 0) /* shutdown(SHUT_RD) or closed: keep acknowledging, drop */
			n = (ssize_t)total;
		conn_rx_taken(c, (size_t)n);
		conn_open_window(c, (size_t)n);
	}
	if (c->rx_n || c->sock.fd < 0)
		return;
	if (c->bits & RESET) {
		end_program(c);
		return;
	}
	if (!(c->bits & RX_EOF))
		return;
	shutdown(c->sock.fd, SHUT_WR);
	maybe_done(c);
}

/* ---- events of the socketpair ---- */

/* Both directions shut down is no close: the program may still ask for names and errors. A later close is an
 * event of its own. */
static bool program_lives(const struct conn *c)
{
	return c->bits & CONNECTED && unixdiag_peer(c->sock.all->diag, c->sock.fd) > 0;
}

static bool lingers_not(const struct conn *c)
{
	int v = 0;

	return sock_kept_option(&c->sock, SOL_SOCKET, SO_LINGER, &v) == 0 && v == CTL_LINGER(0);
}

static void program_closed(struct conn *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	c->bits |= GONE | TX_EOF;
	getsockopt(c->sock.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!(c->bits & CONNECTED) || !c->pcb || lingers_not(c)) {
		reset_far(c);
		return;
	}
	if (err == ECONNRESET || c->rx_n)
		left_unread(c);
	conn_rx_drop(c);
	c->win.unread = 0;
	conn_account(c);
	c->readable = true;
	pump_out(c); /* what it wrote still goes, then FIN or RST */
}

static void on_event(void *owner, uint32_t ev)
{
	struct conn *c = owner;

	if (ev & LOOP_IN && !(c->bits & (CONNECTING | CONNECTED))) {
		begin(c);
		if (c->sock.fd < 0)
			return;
	} else if (ev & LOOP_IN) {
		c->readable = true;
	}
	if (ev & LOOP_RDHUP && !(c->bits & TX_EOF) && c->bits & CONNECTED)
		c->bits |= TX_EOF;
	if (ev & LOOP_ERR || (ev & LOOP_HUP && !program_lives(c))) {
		program_closed(c);
		return;
	}
	if (ev & LOOP_RDHUP && c->bits & CONNECTING) { /* shutdown while connecting aborts */
		conn_abort(c, ECONNABORTED);
		return;
	}
	if (ev & LOOP_OUT && c->rx_n) {
		loop_watch_set(&c->watch, LOOP_IN | LOOP_RDHUP | LOOP_ET);
		pump_in(c);
	}
	pump_out(c);
}

/* ---- connecting ---- */

static void late(void *owner)
{
	struct conn *c = owner;

	if (c->sock.fd < 0 && !c->pcb)
		finish(c);
	else if (c->bits & GONE && !(c->bits & UNREAD))
		hand_over(c);
	else
		conn_abort(c, c->bits & WAITS_LINK ? ENETDOWN : ETIMEDOUT);
}

bool conn_forget(struct socks *all)
{
	struct conn *first = NULL;

	list_for_each(it, &all->list) {
		struct sock *s = container_of(it, struct sock, link);
		struct conn *c = conn_from_sock(s);

		if (s->kind == CTL_STREAM && s->fd < 0 && !c->pcb &&
		    (!first || c->timer.node.key < first->timer.node.key))
			first = c;
	}
	if (first)
		finish(first);
	return first;
}

/* TCP_USER_TIMEOUT, tcp(7): what was sent is unacknowledged, or cannot be sent, for so long. */
static bool overdue(struct conn *c, const struct tcp_pcb *pcb)
{
	uint64_t now_us = loop_now(c->sock.all->loop);

	if (c->acked != pcb->lastack || (!pcb->unacked && !pcb->unsent)) {
		c->acked = pcb->lastack;
		c->acked_us = now_us;
	}
	return c->user_timeout_ms && now_us - c->acked_us >= (uint64_t)c->user_timeout_ms * US_PER_MS;
}

/* lwIP would give up after its twelfth SYN, 36 s; how long an attempt lasts is for late() to say. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
	struct conn *c = arg;

	if (pcb->state == SYN_SENT) {
		pcb->nrtx = 0;
	} else if (c && overdue(c, pcb)) {
		conn_abort(c, ETIMEDOUT);
		return verdict(c);
	}
	return ERR_OK;
}

/* Sends the SYN. 0 or errno. */
static int dial(struct conn *c)
{
	struct addr own = device_addr(c->target.family);
	ip_addr_t local, remote;
	uint16_t port = c->sock.local.port;
	err_t e = ERR_USE;

	c->bits &= ~(unsigned)WAITS_LINK;
	if (!own.family)
		return ENETUNREACH;
	c->pcb = tcp_new_ip_type(c->target.family == 6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
	if (!c->pcb)
		return ENOBUFS;
	device_to_lwip(&local, &own);
	device_to_lwip(&remote, &c->target);
	if (port && sock_option(&c->sock, SOL_SOCKET, SO_REUSEADDR, 0))
		ip_set_option(c->pcb, SOF_REUSEADDR);
	for (int i = 0; i < 50 && e == ERR_USE; i++)
		e = tcp_bind(c->pcb, &local, port ? port : socks_port(c->sock.all));
	tcp_arg(c->pcb, c);
	tcp_err(c->pcb, on_err);
	tcp_recv(c->pcb, on_recv);
	tcp_sent(c->pcb, on_sent);
	tcp_poll(c->pcb, on_poll, 1); /* each 500 ms; lwIP tries to send at that pace as well */
	conn_apply_options(c);
	if (e == ERR_OK)
		e = tcp_connect(c->pcb, &remote, c->target.port, on_connected);
	if (e != ERR_OK) {
		abort_pcb(c);
		c->bits &= ~(unsigned)ABORTED; /* no callback of lwIP is under way */
		return e == ERR_USE ? EADDRINUSE : ENOBUFS;
	}
	device_from_lwip(&c->sock.local, &c->pcb->local_ip, c->pcb->local_port);
	loop_timer_set(&c->timer, loop_now(c->sock.all->loop) + c->sock.all->cfg.connect_us);
	return 0;
}

int conn_connect(struct conn *c, const struct addr *to)
{
	struct addr target = *to;
	bool redirected;
	int r;

	r = socks_route(c->sock.all, &target, &redirected);
	if (r)
		return r;
	if (conn_all_full(c)) {
		log_warn("a connection was refused: the others hold %zu MiB that their programs or far sides "
			 "have not taken; end some, or read from them",
			 c->sock.all->cfg.buffers >> 20);
		return ENOBUFS;
	}
	c->sock.peer = *to;
	c->target = target;
	c->bits |= CONNECTING;
	c->sock.state = CTL_CONNECTING;
	if (!device_up()) {
		c->bits |= WAITS_LINK;
		loop_timer_set(&c->timer, loop_now(c->sock.all->loop) + c->sock.all->cfg.wait_ready_us);
		return 0;
	}
	return dial(c);
}

/* The program's end has something for a socket that is not connected. */
static void begin(struct conn *c)
{
	struct addr to;
	int r = gate_take(c->sock.fd, c->sock.cookie, &to, &c->prog_fd);

	if (r == -EAGAIN)
		return;
	c->gate = r;
	if (r >= 0) {
		c->sock.peer = to;
		conn_note_begin(c);
	}
	r = r < 0 ? -r : conn_connect(c, &to);
	if (r)
		conn_abort(c, r);
}

void conn_link_up(struct conn *c)
{
	int r;

	if (!(c->bits & WAITS_LINK))
		return;
	r = dial(c);
	if (r)
		conn_abort(c, r);
}

void conn_readdress(struct conn *c)
{
	if (c->sock.state == CTL_CONNECTED) {
		conn_abort(c, ECONNRESET);
	} else if (c->bits & CONNECTING && c->pcb) {
		abort_pcb(c);
		c->bits &= ~(unsigned)ABORTED; /* no callback of lwIP is under way */
		c->bits |= WAITS_LINK;
	}
}

void conn_writable(struct conn *c)
{
	pump_out(c);
}

void conn_icmp(struct conn *c, int err)
{
	if (c->bits & CONNECTING)
		conn_abort(c, err == ENOPROTOOPT ? ECONNREFUSED : err);
}

bool conn_matches(const struct conn *c, uint16_t local_port, const struct addr *remote)
{
	return c->pcb && c->pcb->local_port == local_port && addr_equal(&c->target, remote);
}

struct conn *conn_new(struct socks *all, uint64_t cookie, uint8_t family, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return NULL;
	c->sock.cookie = cookie;
	c->sock.family = family;
	c->sock.kind = CTL_STREAM;
	c->sock.fd = fd;
	c->prog_fd = c->loop_fd = -1;
	c->keep_idle_s = 7200;
	c->keep_intvl_s = 75;
	c->keep_cnt = 9;
	list_init(&c->end.node);
	list_init(&c->deliver.node);
	loop_timer_init(all->loop, &c->timer, late, c);
	r = loop_watch_add(all->loop, &c->watch, fd, LOOP_IN | LOOP_RDHUP | LOOP_ET, on_event, c);
	if (r < 0) {
		free(c);
		errno = -r;
		return NULL;
	}
	socks_add(all, &c->sock);
	return c;
}
