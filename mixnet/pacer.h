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
 * A thread that sleeps until a moment wakes some 40 us after it, one time in ten more than 100: as both ends
 * of a gap are late, most gaps are what they should be. But two packets whose moments have passed when it
 * wakes would leave at once, and at 250 packets a second an observer of 15000 would see that too many are
 * close together. So they keep their distance. Its last microseconds are waited for awake: going to sleep
 * takes longer.
 *
 * An engine: the bridge puts what it has built and sealed into pacer_room(), and sends what pacer_due()
 * gives.
 */
#ifndef MIXNET_PACER_H
#define MIXNET_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACER_PACKETS 16
#define PACER_FRAME 2560    /* octets of a sealed packet at most */
#define PACER_HOLD_US 12000 /* from slot to wire */
#define PACER_BUILD_US 1500 /* what building takes at most, on an ordinary machine */
#define PACER_WRITE_US 2000 /* what has left and is not written by then waits for the socket */
#define PACER_KEEP_US 2000  /* how long a packet is late at most for its distance to the one before */
#define PACER_WAY_US 15	    /* from pacer_due() to the wire and back to pacer_written(), awake */
#define PACER_NEAR_US 50    /* a sleep as short as this ends too late */

struct pacer_frame {
	uint64_t slot_us;
	size_t len;
	uint8_t buf[PACER_FRAME];
};

struct pacer {
	struct pacer_frame frame[PACER_PACKETS];
	uint64_t at_us[PACER_PACKETS];
	size_t head, n;
	uint64_t unwritten_us;	      /* how long what has left keeps others from being built */
	uint64_t left_us, left_at_us; /* the last one: when it left, and its moment */
};

/* Where the next packet is to be built; NULL: full, a departure is too near, or one is not written yet. */
struct pacer_frame *pacer_room(struct pacer *p, uint64_t now_us);
/* When there is room: 0 now; a time, or pacer_written(); TIME_NEVER: not before the next packet leaves. */
uint64_t pacer_free_us(const struct pacer *p, uint64_t now_us);
/* What pacer_room() gave holds a packet now. */
void pacer_put(struct pacer *p);
/* The oldest packet, when its time has come; it stays until pacer_pop(). NULL: none. */
const struct pacer_frame *pacer_due(const struct pacer *p, uint64_t now_us);
/* It leaves. */
void pacer_pop(struct pacer *p, uint64_t now_us);
/* All that has left is written: just now. */
void pacer_written(struct pacer *p, uint64_t now_us);
/* When to ask pacer_due(), or before it pacer_near_us(); TIME_NEVER. */
uint64_t pacer_deadline(const struct pacer *p);
/* A distance that is to be kept ends soon: then, and the caller waits for it awake; else 0. */
uint64_t pacer_near_us(const struct pacer *p, uint64_t now_us);
/* The link is lost: what waits goes with it. */
void pacer_clear(struct pacer *p);

#endif
