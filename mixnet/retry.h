/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something lost is tried again. An engine: the bridge says what happened, and when.
 *
 * A link that held and broke is opened again at once. Where nobody answers the pause grows with the outage (a
 * twentieth of it, 1 s to 30 s): a gateway that restarts is found soon after it is back, in proportion to how
 * long it was away. Who answers and refuses is asked after 1, 2, 5, 10, 30 s.
 */
#ifndef MIXNET_RETRY_H
#define MIXNET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry {
	bool up;
	uint64_t up_us, lost_us; /* the link opened; the outage began */
	unsigned refusals;
};

/* Pause after n failures in a row, us: 1, 2, 5, 10, 30 s. */
uint64_t retry_pause(unsigned n);
/* The link is open. */
void retry_up(struct retry *r, uint64_t now_us);
/* It was lost, or an attempt failed; refused: by an answer. Returns the pause before the next attempt, us. */
uint64_t retry_lost(struct retry *r, uint64_t now_us, bool refused);

#endif
