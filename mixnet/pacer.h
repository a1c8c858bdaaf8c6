/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that are built and wait for their moment on the wire.
 *
 * Making a packet takes as long as what is in it: 0.6 ms for cover, twice that with three SURBs in it. Sent
 * when they are ready, packets would tell an observer of the link, by their distances, whether they carry
 * something. So each leaves a fixed time after its slot (spec traffic.md 3: the clock alone decides), long
 * enough for building a few. And since there is one thread, nothing is built while a departure is near, nor
 * before what has left is written, which the link does when it is served again. A link that takes nothing for
 * a while stops nothing: what happens then is the shaper's decision.
 *
 * An engine: the bridge asks shaper_poll() to fill pacer_room(), and sends what pacer_due() gives.
 */
#ifndef MIXNET_PACER_H
#define MIXNET_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixnet/shaper.h"

#define PACER_PACKETS 16
#define PACER_HOLD_US 6000  /* from slot to wire */
#define PACER_BUILD_US 1500 /* what building takes at most, on an ordinary machine */
#define PACER_WRITE_US 2000 /* what has left and is not written by then waits for the socket */

struct pacer {
	struct shaper_out out[PACER_PACKETS];
	uint64_t at_us[PACER_PACKETS];
	size_t head, n;
	uint64_t unwritten_us; /* how long what has left keeps others from being built */
};

/* Where the next packet is to be built; NULL: full, a departure is too near, or one is not written yet. */
struct shaper_out *pacer_room(struct pacer *p, uint64_t now_us);
/* When there is room: 0 now; a time, or pacer_written(); TIME_NEVER: not before the next packet leaves. */
uint64_t pacer_free_us(const struct pacer *p, uint64_t now_us);
/* What pacer_room() gave holds a packet now. */
void pacer_put(struct pacer *p);
/* The oldest packet, when its time has come; it stays until pacer_pop(). NULL: none. */
const struct shaper_out *pacer_due(const struct pacer *p, uint64_t now_us);
/* It leaves. */
void pacer_pop(struct pacer *p, uint64_t now_us);
/* All that has left is written. */
void pacer_written(struct pacer *p);
/* When the next packet is due; TIME_NEVER. */
uint64_t pacer_deadline(const struct pacer *p);
/* The link is lost: what waits goes with it. */
void pacer_clear(struct pacer *p);

#endif
