/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IP side put together: device, sockets, resolver, control server; and what concerns all sockets at once
 * (link up, link changed, ICMP, drain).
 */
#include "stack/stack.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "lwip/priv/tcp_priv.h"
#include "stack/conn.h"
#include "stack/ctlsrv.h"
#include "stack/device.h"
#include "stack/dgram.h"
#include "stack/resolv.h"
#include "stack/unixdiag.h"

#define SWEEP_US (5 * US_PER_S) /* closed datagram sockets are found so often */

struct stack {
	struct socks socks;
	struct resolv *resolv;
	struct ctlsrv *ctl;
	struct loop_timer sweep;
	void (*drained)(void *owner);
	void *drained_owner;
};

static void on_up(void *owner, bool changed)
{
	struct stack *s = owner;

	list_for_each_safe(it, tmp, &s->socks.list) {
		struct sock *k = container_of(it, struct sock, link);

		if (k->kind != CTL_STREAM)
			dgram_rebind(dgram_from_sock(k));
		else if (changed)
			conn_readdress(conn_from_sock(k));
		else
			conn_link_up(conn_from_sock(k));
	}
	if (changed)
		log_warn("the exit changed: connections were reset, their address is gone");
}

static void on_down(void *owner)
{
	(void)owner; /* connections live on until the addresses change; new ones wait */
}

static void on_writable(void *owner)
{
	struct stack *s = owner;

	list_for_each_safe(it, tmp, &s->socks.list) {
		struct sock *k = container_of(it, struct sock, link);

		if (k->kind == CTL_STREAM)
			conn_writable(conn_from_sock(k));
	}
}

static void on_icmp_error(void *owner, const struct device_icmp *e)
{
	struct stack *s = owner;

	list_for_each_safe(it, tmp, &s->socks.list) {
		struct sock *k = container_of(it, struct sock, link);

		if (k->kind != CTL_STREAM)
			dgram_icmp(dgram_from_sock(k), e);
		else if (e->proto == IPPROTO_TCP && e->unreachable &&
			 conn_matches(conn_from_sock(k), e->local_port, &e->remote))
			conn_icmp(conn_from_sock(k), e->err);
	}
}

static void on_echo_reply(void *owner, const struct device_echo *e)
{
	struct stack *s = owner;

	list_for_each_safe(it, tmp, &s->socks.list) {
		struct sock *k = container_of(it, struct sock, link);

		if (k->kind == CTL_ICMP)
			dgram_echo(dgram_from_sock(k), e);
	}
}

/* Nothing of ours left to send: pcbs of programs that have gone finish in lwIP alone. An attempt to connect
 * holds no data. */
static bool nothing_to_send(void)
{
	for (const struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next)
		if (t->state != SYN_SENT && (t->unsent || t->unacked))
			return false;
	return true;
}

static void after_batch(void *owner)
{
	struct stack *s = owner;
	void (*cb)(void *) = s->drained;

	device_after();
	if (cb && nothing_to_send()) {
		s->drained = NULL;
		cb(s->drained_owner);
	}
}

static void sweep(void *owner)
{
	struct stack *s = owner;

	dgram_sweep(&s->socks);
	loop_timer_set(&s->sweep, loop_now(s->socks.loop) + SWEEP_US);
}

int stack_new(struct stack **ret, struct loop *loop, struct pktlink *link, const struct stack_cfg *cfg,
	      const char *ctl_path)
{
	struct stack *s = calloc(1, sizeof(*s));
	struct device_ops ops = { .up = on_up,
				  .down = on_down,
				  .writable = on_writable,
				  .icmp_error = on_icmp_error,
				  .echo_reply = on_echo_reply };
	int r;

	if (!s)
		return -ENOMEM;
	ops.owner = s;
	socks_init(&s->socks, loop, cfg);
	s->socks.diag = unixdiag_open();
	loop_timer_init(loop, &s->sweep, sweep, s);
	r = device_init(loop, link, cfg->rng, &ops);
	if (r < 0) {
		fd_close(&s->socks.diag);
		free(s);
		return r;
	}
	loop_set_after(loop, after_batch, s);
	r = resolv_new(&s->resolv, &s->socks);
	if (r == 0)
		r = ctlsrv_new(&s->ctl, &s->socks, s->resolv, ctl_path);
	if (r < 0) {
		stack_free(s);
		return r;
	}
	sweep(s);
	*ret = s;
	return 0;
}

bool stack_idle(const struct stack *s)
{
	return list_empty(&s->socks.list);
}

void stack_get_stats(const struct stack *s, struct stack_stats *st)
{
	*st = s->socks.stats;
	st->rx_dropped = device_dropped();
}

void stack_drain(struct stack *s, void (*drained)(void *owner), void *owner)
{
	ctlsrv_drain(s->ctl);
	s->drained = drained;
	s->drained_owner = owner;
}

void stack_free(struct stack *s)
{
	struct loop *loop;

	if (!s)
		return;
	loop = s->socks.loop;
	loop_timer_stop(&s->sweep);
	resolv_free(s->resolv);
	ctlsrv_free(s->ctl);
	list_for_each_safe(it, tmp, &s->socks.list) {
		struct sock *k = container_of(it, struct sock, link);

		if (k->kind == CTL_STREAM)
			conn_free(conn_from_sock(k));
		else
			dgram_close(dgram_from_sock(k));
	}
	/* What was closed is freed by the loop's deferred tasks. */
	loop_set_after(loop, NULL, NULL);
	loop_dispatch(loop, 0);
	while (tcp_active_pcbs)
		tcp_abort(tcp_active_pcbs);
	while (tcp_tw_pcbs)
		tcp_abort(tcp_tw_pcbs);
	device_done();
	fd_close(&s->socks.diag);
	free(s);
}
