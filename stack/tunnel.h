/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel thread: loop, libwebsockets, bridge and stack in one thread of the hosting process (smolmix-run;
 * a library user). Start, wait for ready, statistics, drain, stop. All functions may be called from any other
 * thread.
 */
#ifndef STACK_TUNNEL_H
#define STACK_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "mixnet/bridge.h"
#include "stack/stack.h"

struct tunnel_cfg {
	struct bridge_cfg bridge;
	struct stack_cfg stack;
	const char *ctl_path; /* borrowed until tunnel_free */
	const char *command;  /* for those who ask how the tunnel is; the same; NULL: not known */
};

struct tunnel_stats {
	struct bridge_stats bridge;
	struct stack_stats stack;
};

struct tunnel;

/* Starts the thread (all signals blocked in it). 0 or negative; -EBUSY: one tunnel per process. */
int tunnel_start(struct tunnel **ret, const struct tunnel_cfg *cfg);
/* A descriptor that becomes readable when the state changes (read 8 bytes to clear): for progress display. */
int tunnel_event_fd(const struct tunnel *t);
/* A snapshot taken by the tunnel thread at most 100 ms ago, or at the last state change. */
void tunnel_get_stats(struct tunnel *t, struct tunnel_stats *s);
/* The thread begins to end: it sends what is queued for at most drain_us and disconnects. Called again with 0
 * it ends at once. */
void tunnel_end(struct tunnel *t, uint64_t drain_us);
/* Has it ended? tunnel_event_fd() tells when to ask. */
bool tunnel_ended(const struct tunnel *t);
/* tunnel_end(), unless it has been called, and waits. Idempotent. */
void tunnel_stop(struct tunnel *t, uint64_t drain_us);
void tunnel_free(struct tunnel *t); /* stops with 0 when it was not stopped; NULL is fine */

#endif
