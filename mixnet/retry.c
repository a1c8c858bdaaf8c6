/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. An outage begins when an open link is lost. Only a link that held for STEADY_US is
 * opened again at once, so that one that opens and breaks is no busy loop. Called by the bridge.
 */
#include "mixnet/retry.h"

#include "base/clock.h"

#define STEADY_US (10 * US_PER_S)
#define PAUSE_MIN_US US_PER_S
#define PAUSE_MAX_US (30 * US_PER_S)
#define OUTAGE_PART 20

uint64_t retry_pause(unsigned n)
{
	static const unsigned s[] = { 1, 2, 5, 10, 30 };

	return s[n < 5 ? n : 4] * US_PER_S;
}

void retry_up(struct retry *r, uint64_t now_us)
{
	r->up = true;
	r->up_us = now_us;
}

uint64_t retry_lost(struct retry *r, uint64_t now_us, bool refused)
{
	bool was_up = r->up;
	uint64_t pause_us;

	if (was_up) {
		r->lost_us = now_us;
		r->refusals = 0;
	}
	r->up = false;
	if (was_up && now_us >= r->up_us + STEADY_US)
		return 0;
	if (refused)
		return retry_pause(r->refusals++);
	pause_us = (now_us - r->lost_us) / OUTAGE_PART;
	return pause_us < PAUSE_MIN_US ? PAUSE_MIN_US : pause_us > PAUSE_MAX_US ? PAUSE_MAX_US : pause_us;
}
