/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a far side may send before it hears from us: TCP's receive window, per connection. A window that
 * is too small costs rate, one that is too large fills the exit's queue, which has no bound and which
 * everything else behind that exit waits in as well.
 */
#ifndef STACK_RCVWIN_H
#define STACK_RCVWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_pcb;

#define RCVWIN_FIRST 65536
#define RCVWIN_MIN 8192
#define RCVWIN_MAX (512 * 1024)

struct rcvwin {
	uint32_t wnd;		   /* bytes the far side may be ahead of the program */
	uint32_t unread;	   /* arrived, not taken by the program */
	uint32_t come, come_tight; /* since the last change; while the tunnel was tight */
	uint64_t since_us;
	bool settled; /* the tunnel was tight once: small steps */
};

/* In the connected callback. */
void rcvwin_init(struct rcvwin *w, struct tcp_pcb *pcb, uint64_t now_us);
/* n bytes came; tight: the tunnel cannot carry what its exit has waiting; rtt_us: to the exit and back. */
void rcvwin_came(struct rcvwin *w, size_t n, bool tight, uint64_t now_us, uint64_t rtt_us);
/* The program took n bytes: opens the window (tcp_recved), to most bytes at most. pcb NULL: it has gone. */
void rcvwin_taken(struct rcvwin *w, struct tcp_pcb *pcb, size_t n, uint32_t most);
/* Before tcp_close(), when nothing is unread: without it lwIP resets. */
void rcvwin_end(struct tcp_pcb *pcb);

#endif
