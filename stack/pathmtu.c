/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path MTU.
 *
 * Theory of operation. Anybody can send a "packet too big". It counts when it quotes a packet of a connection
 * whose first byte was sent and is not acknowledged, and when that packet was longer than the MTU, which is
 * not below that of every IPv6 link (RFC 8201 4: such a message is discarded). What a forger who guesses all
 * that can do is bounded: segments become no shorter than 1220 bytes.
 *
 * lwIP's segments are made when the program writes. So all that wait, sent or not, are cut to the new length
 * and sent again from the first unacknowledged byte, as after a time-out, but nothing was congested: only the
 * window begins small again (RFC 1191 6.5). lwIP wants no segment in its queue to be longer than the pcb's
 * maximum, so that is lowered only when all are cut.
 *
 * Called by device.c.
 */
#include "stack/pathmtu.h"

#include <stdbool.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/device.h"

#define MTU_LEAST 1280 /* RFC 8200 5 */
#define HEADERS 60u
#define FIRST_SEGMENTS 4 /* RFC 5681 3.1, for segments of this length */

static struct tcp_pcb *find(uint16_t local_port, const struct addr *remote)
{
	for (struct tcp_pcb *t = tcp_active_pcbs; t; t = t->next) {
		struct addr a;

		device_from_lwip(&a, &t->remote_ip, t->remote_port);
		if (t->local_port == local_port && addr_equal(&a, remote))
			return t;
	}
	return NULL;
}

err_t pathmtu_split(struct tcp_pcb *t, u16_t len)
{
	bool longer = t->unsent->len > len;
	err_t e = tcp_split_unsent_seg(t, len);

	if (longer && e == ERR_OK)
		TCPH_UNSET_FLAG(t->unsent->tcphdr, TCP_FIN | TCP_PSH);
	return e;
}

/* lwIP cuts the first segment of the queue: each becomes that one in turn. */
static err_t cut(struct tcp_pcb *t, u16_t mss)
{
	struct tcp_seg *first = t->unsent;
	err_t e = ERR_OK;

	for (; t->unsent && e == ERR_OK; t->unsent = t->unsent->next)
		e = pathmtu_split(t, mss);
	t->unsent = first;
	t->unsent_oversize = 0; /* room behind a last segment that may be another one now */
	return e;
}

void pathmtu_exceeded(const struct pathmtu_report *r)
{
	struct tcp_pcb *t = find(r->local_port, r->remote);
	u16_t mss;

	if (!t || t->state == SYN_SENT || r->mtu < MTU_LEAST || r->len <= r->mtu ||
	    r->mtu >= t->mss + HEADERS || !TCP_SEQ_BETWEEN(r->seq, t->lastack, t->snd_nxt - 1))
		return;
	mss = (u16_t)(r->mtu - HEADERS);
	if (tcp_rexmit_rto_prepare(t) != ERR_OK && !t->unsent)
		return;
	if (cut(t, mss) != ERR_OK)
		return;
	t->mss = mss;
	if (t->cwnd > FIRST_SEGMENTS * (tcpwnd_size_t)mss)
		t->cwnd = FIRST_SEGMENTS * (tcpwnd_size_t)mss;
	t->rtime = 0;
	tcp_output(t);
}
