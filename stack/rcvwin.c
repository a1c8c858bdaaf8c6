/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive windows.
 *
 * Theory of operation. The bottleneck of a download is the supply of SURBs, and the queue before it is in the
 * exit. The link says when it is short of them (device_tight): only then is there a queue. So each time as
 * much has come as the window holds, it grows by a quarter, until the tunnel is tight for the first time. A
 * window that no longer limits the sender may be far too large by then: it becomes twice of what comes in a
 * round trip. From there it grows by a quarter a second when the tunnel was mostly not tight meanwhile, and
 * shrinks by an eighth when it was: with larger steps the queue comes and goes, and a shell beside the
 * download waits in it. The windows of all connections together settle at what the way holds, with a short
 * queue. The round trip is that of the link, which knows nothing of the way behind the exit: it is relied on
 * once only.
 *
 * What the program has not read counts against the window; nothing that was offered is taken back, a smaller
 * window is reached by not opening it again.
 *
 * lwIP knows of one size of window only: to tcp_close() what is missing of it is data that nobody read, for
 * which it resets and throws away what is still to be sent.
 *
 * Called by conn.c.
 */
#include "stack/rcvwin.h"

#include "base/clock.h"
#include "lwip/tcp.h"

#define QUARTER_US US_PER_S

void rcvwin_init(struct rcvwin *w, struct tcp_pcb *pcb, uint64_t now_us)
{
	*w = (struct rcvwin){ .wnd = RCVWIN_FIRST, .since_us = now_us };
	if (pcb->rcv_wnd > RCVWIN_FIRST)
		pcb->rcv_wnd = pcb->rcv_ann_wnd = RCVWIN_FIRST;
}

static uint32_t limit(uint32_t wnd)
{
	return wnd < RCVWIN_MIN ? RCVWIN_MIN : wnd > RCVWIN_MAX ? RCVWIN_MAX : wnd;
}

/* Twice what comes in a round trip, where that is less than the window; not so little that an idle time in
 * between would matter. */
static uint32_t needed(const struct rcvwin *w, uint64_t took_us, uint64_t rtt_us)
{
	uint64_t n = took_us ? UINT64_C(2) * w->come * rtt_us / took_us : w->wnd;

	if (n < RCVWIN_FIRST / 2)
		n = RCVWIN_FIRST / 2;
	return n < w->wnd ? (uint32_t)n : w->wnd;
}

void rcvwin_came(struct rcvwin *w, size_t n, bool tight, uint64_t now_us, uint64_t rtt_us)
{
	uint64_t took_us = now_us - w->since_us;
	bool first;

	w->unread += (uint32_t)n;
	w->come += (uint32_t)n;
	w->come_tight += tight ? (uint32_t)n : 0;
	first = !w->settled && w->come_tight >= RCVWIN_FIRST / 2;
	if (w->come < w->wnd && !first)
		return;
	if (first) {
		w->wnd = limit(needed(w, took_us, rtt_us));
		w->settled = true;
	} else if (w->come_tight > w->come / 2) {
		w->wnd = limit(w->wnd - w->wnd / 8);
	} else {
		if (!w->settled || took_us > QUARTER_US)
			took_us = QUARTER_US;
		w->wnd = limit(w->wnd + (uint32_t)(w->wnd / 4 * took_us / QUARTER_US));
	}
	w->come = w->come_tight = 0;
	w->since_us = now_us;
}

void rcvwin_taken(struct rcvwin *w, struct tcp_pcb *pcb, size_t n, uint32_t most)
{
	uint32_t room, wnd = w->wnd < most ? w->wnd : most;

	w->unread -= (uint32_t)n;
	room = wnd > w->unread ? wnd - w->unread : 0;
	while (pcb && room > pcb->rcv_wnd && pcb->rcv_wnd < TCP_WND_MAX(pcb)) {
		uint32_t more = room - pcb->rcv_wnd;

		tcp_recved(pcb, (u16_t)(more < 0xffff ? more : 0xffff));
	}
}

void rcvwin_end(struct tcp_pcb *pcb)
{
	pcb->rcv_wnd = TCP_WND_MAX(pcb);
}
