/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a connection: those lwIP has go to its pcb, now or when there is one; the others are remembered
 * for reading back. What Linux tells of the connection's state through options is told from lwIP's pcb.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/conn_priv.h"

void conn_apply_options(struct conn *c)
{
	if (!c->pcb)
		return;
	if (c->nodelay)
		tcp_nagle_disable(c->pcb);
	else
		tcp_nagle_enable(c->pcb);
	if (c->keepalive)
		ip_set_option(c->pcb, SOF_KEEPALIVE);
	else
		ip_reset_option(c->pcb, SOF_KEEPALIVE);
	c->pcb->keep_idle = (u32_t)c->keep_idle_s * 1000;
	c->pcb->keep_intvl = (u32_t)c->keep_intvl_s * 1000;
	c->pcb->keep_cnt = (u32_t)c->keep_cnt;
}

int conn_setopt(struct conn *c, int level, int name, int value)
{
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && c->sock.state != CTL_FRESH &&
	    c->sock.state != CTL_FAILED)
		return EINVAL;
	if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
		c->keepalive = value != 0;
	} else if (level == SOL_SOCKET && name == SO_SNDBUF) {
		c->sndbuf = value;
	} else if (level == IPPROTO_TCP && name == TCP_NODELAY) {
		c->nodelay = value != 0;
	} else if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
		c->user_timeout_ms = value;
	} else if (level == IPPROTO_TCP &&
		   (name == TCP_KEEPIDLE || name == TCP_KEEPINTVL || name == TCP_KEEPCNT)) {
		if (value < 1 || value > (name == TCP_KEEPCNT ? 127 : 32767))
			return EINVAL;
		*(name == TCP_KEEPIDLE	  ? &c->keep_idle_s
		  : name == TCP_KEEPINTVL ? &c->keep_intvl_s
					  : &c->keep_cnt) = value;
	} else {
		return ENOPROTOOPT;
	}
	conn_apply_options(c);
	return 0;
}

/* Linux's number of the state the program's socket is in. */
static int linux_state(const struct conn *c)
{
	static const uint8_t states[] = {
		[CLOSED] = 7,	   [LISTEN] = 10,    [SYN_SENT] = 2,   [SYN_RCVD] = 3,
		[ESTABLISHED] = 1, [FIN_WAIT_1] = 4, [FIN_WAIT_2] = 5, [CLOSE_WAIT] = 8,
		[CLOSING] = 11,	   [LAST_ACK] = 9,   [TIME_WAIT] = 7 /* the socket itself is closed */
	};

	if (c->bits & CONNECTING)
		return states[SYN_SENT];
	return states[c->pcb ? c->pcb->state : CLOSED];
}

/* SIOCOUTQ: bytes the far side has not acknowledged; SIOCOUTQNSD: those that were not sent yet. */
static int unsent(const struct conn *c, bool sent_too)
{
	int queued = 0;

	if (!(c->bits & CONNECTED) || !c->pcb)
		return 0;
	if (c->sock.fd >= 0 && ioctl(c->sock.fd, FIONREAD, &queued) == 0)
		queued -= (int)c->lag;
	return queued + (int)(c->pcb->snd_lbb - (sent_too ? c->pcb->lastack : c->pcb->snd_nxt));
}

int conn_getopt(struct conn *c, int level, int name, int *ret)
{
	if (level == SOL_SOCKET && name == SO_KEEPALIVE)
		*ret = c->keepalive;
	else if (level == SOL_SOCKET && name == SO_SNDBUF && c->sndbuf)
		*ret = c->sndbuf;
	else if (level == IPPROTO_TCP && name == TCP_NODELAY)
		*ret = c->nodelay;
	else if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT)
		*ret = c->user_timeout_ms;
	else if (level == IPPROTO_TCP && name == TCP_KEEPIDLE)
		*ret = c->keep_idle_s;
	else if (level == IPPROTO_TCP && name == TCP_KEEPINTVL)
		*ret = c->keep_intvl_s;
	else if (level == IPPROTO_TCP && name == TCP_KEEPCNT)
		*ret = c->keep_cnt;
	else if (level == IPPROTO_TCP && name == TCP_MAXSEG)
		*ret = c->pcb ? c->pcb->mss : 536;
	else if (level == IPPROTO_TCP && name == TCP_INFO)
		*ret = linux_state(c);
	else if (level == IPPROTO_TCP && (name == SIOCOUTQ || name == SIOCOUTQNSD))
		*ret = unsent(c, name == SIOCOUTQ);
	else
		return ENOPROTOOPT;
	return 0;
}
