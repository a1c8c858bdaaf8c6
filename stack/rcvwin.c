/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive windows.
 *
 * Theory of operation. The bottleneck of a download is the supply of SURBs, and the queue before it is in the
 * exit. The link says when it is short of them (device_tight): only then is there a queue. So each time as
 * much has come as the window holds, it grows by a quarter when the tunnel was mostly not tight meanwhile,
 * and shrinks by an eighth when it was. The windows of all connections together settle at what the way holds,
 * with a short queue; a sender that does not fill its window does not matter. No round trip has to be
 * measured, so there is none to be mistaken about.
 *
 * What the program has not read counts against the window; nothing that was offered is taken back, a smaller
 * window is reached by not opening it again.
 *
 * Called by conn.c.
 */
#include "stack/rcvwin.h"

#include "lwip/tcp.h"

void rcvwin_init(struct rcvwin *w, struct tcp_pcb *pcb)
{
	*w = (struct rcvwin){ .wnd = RCVWIN_FIRST };
	if (pcb->rcv_wnd > RCVWIN_FIRST)
		pcb->rcv_wnd = pcb->rcv_ann_wnd = RCVWIN_FIRST;
}

static uint32_t limit(uint32_t wnd)
{
	return wnd < RCVWIN_MIN ? RCVWIN_MIN : wnd > RCVWIN_MAX ? RCVWIN_MAX : wnd;
}

void rcvwin_came(struct rcvwin *w, size_t n, bool tight)
{
	w->unread += (uint32_t)n;
	w->come += (uint32_t)n;
	w->come_tight += tight ? (uint32_t)n : 0;
	if (w->come < w->wnd)
		return;
	w->wnd = limit(w->come_tight > w->come / 2 ? w->wnd - w->wnd / 8 : w->wnd + w->wnd / 4);
	w->come = w->come_tight = 0;
}

void rcvwin_taken(struct rcvwin *w, struct tcp_pcb *pcb, size_t n)
{
	uint32_t room;

	w->unread -= (uint32_t)n;
	room = w->wnd > w->unread ? w->wnd - w->unread : 0;
	while (room > pcb->rcv_wnd && pcb->rcv_wnd < TCP_WND_MAX(pcb)) {
		uint32_t more = room - pcb->rcv_wnd;

		tcp_recved(pcb, (u16_t)(more < 0xffff ? more : 0xffff));
	}
}
