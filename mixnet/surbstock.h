/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many of our reply SURBs an exit holds, how many it should hold, and what it asked for (spec
 * ipr.md 2.7, 6.9, 9; traffic.md 8, 12.4). An estimate: SURBs sent, minus those that came back, minus those
 * that are missing.
 */
#ifndef MIXNET_SURBSTOCK_H
#define MIXNET_SURBSTOCK_H

#include <stdbool.h>
#include <stdint.h>

#define SURBSTOCK_FLOOR 80    /* the exit asks below 60 (ipr.md 6.10); a little above keeps it from asking */
#define SURBSTOCK_ASK_MAX 500 /* largest request honoured, most that is owed at a time (traffic.md 8.1) */
#define SURBSTOCK_EXIT_LOW 60
#define SURBSTOCK_EXIT_ASKS 50

struct surbstock {
	int64_t estimate;    /* at the exit or on the way to it */
	int64_t unconfirmed; /* of these, not acknowledged yet */
	int64_t doubted;     /* not in estimate */
	uint32_t owed;	     /* asked for by the exit, not sent yet */
	uint32_t max_seq;    /* highest data sequence number seen: each number cost one SURB */
	uint32_t bucket;     /* replies in the current half second */
	uint32_t bucket_prev;
	uint64_t bucket_us;
	uint64_t sent, requests;
};

void surbstock_init(struct surbstock *s);
void surbstock_sent(struct surbstock *s, unsigned n);
/* n SURBs sent before have arrived, or are taken for lost. */
void surbstock_confirmed(struct surbstock *s, unsigned n, bool arrived);
/* A data frame came back: all numbers up to seq have used SURBs. */
void surbstock_data_reply(struct surbstock *s, uint64_t now_us, uint32_t seq);
void surbstock_control_reply(struct surbstock *s);
/* The exit asks. */
void surbstock_asked(struct surbstock *s, uint32_t amount);
/* The exit does not answer: count on nothing until it does. */
void surbstock_distrust(struct surbstock *s);
/* Its SURBs belong to keys of the past. */
void surbstock_void(struct surbstock *s);

/* Data replies a second, of the busier of the last two half seconds. */
uint64_t surbstock_replies_per_s(const struct surbstock *s, uint64_t now_us);
/* How many should be there: floor + replies of one round trip and a half second. */
unsigned surbstock_target(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us);
/* How many to add now, not counting what is owed; 0 = enough. */
unsigned surbstock_missing(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us);
/* How many of room free places to fill: all, until twice the target is there. */
unsigned surbstock_ride(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us, unsigned room);

#endif
