/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something lost is tried again. An engine: the bridge says what happened, and when.
 *
 * A link that held and broke is opened again at once. Where nobody answers the pause grows with the outage (a
 * twentieth of it, 1 s to 30 s): a gateway that restarts is found soon after it is back, in proportion to how
 * long it was away. Who answers and refuses is asked after 1, 2, 5, 10, 30 s.
 *
 * After a minute it may be gone for good. When it does not even refuse, that can as well be our own network:
 * then it is gone only if the directory has answered since that minute was over, and an attempt that began
 * later failed all the same.
 *
 * One that works and is no longer in the directory is kept as long as what is known of the network from
 * before serves; then it is gone as well: there are no routes without its keys.
 */
#ifndef MIXNET_RETRY_H
#define MIXNET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry {
	bool up;
	uint64_t up_us, lost_us; /* the link opened; the outage began */
	unsigned refusals;
	bool refused;			/* the last attempt */
	uint64_t began_us, answered_us; /* the last attempt; the directory answered */
	unsigned unlisted;		/* directories in a row without it */
};

/* Pause after n failures in a row, us: 1, 2, 5, 10, 30 s. */
uint64_t retry_pause(unsigned n);
/* An attempt begins. */
void retry_begin(struct retry *r, uint64_t now_us);
/* The link is open. */
void retry_up(struct retry *r, uint64_t now_us);
/* It was lost, or an attempt failed; refused: by an answer. Returns the pause before the next attempt, us. */
uint64_t retry_lost(struct retry *r, uint64_t now_us, bool refused);
/* The directory answered: the network is there. */
void retry_answered(struct retry *r, uint64_t now_us);
/* It has been lost for a minute. */
bool retry_long(const struct retry *r, uint64_t now_us);
/* The same, and the directory has not answered since. */
bool retry_doubtful(const struct retry *r, uint64_t now_us);
/* A directory came, with it or without; stale: the one before, which has it, serves no longer. Returns
 * whether it is gone for good. */
bool retry_listed(struct retry *r, bool listed, bool stale);
/* After an attempt failed: it is gone for good. */
bool retry_gone(const struct retry *r, uint64_t now_us);

#endif
