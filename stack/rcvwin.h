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
};

/* In the connected callback. */
void rcvwin_init(struct rcvwin *w, struct tcp_pcb *pcb);
/* n bytes came; tight: the tunnel cannot carry what its exit has waiting. */
void rcvwin_came(struct rcvwin *w, size_t n, bool tight);
/* The program took n bytes: opens the window (tcp_recved). */
void rcvwin_taken(struct rcvwin *w, struct tcp_pcb *pcb, size_t n);

#endif
