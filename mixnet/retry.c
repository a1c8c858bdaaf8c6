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
#define GONE_US (60 * US_PER_S)
#define UNLISTED_MAX 3

uint64_t retry_pause(unsigned n)
{
	static const unsigned s[] = { 1, 2, 5, 10, 30 };

	return s[n < 5 ? n : 4] * US_PER_S;
}

void retry_begin(struct retry *r, uint64_t now_us)
{
	r->began_us = now_us;
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
	r->refused = refused;
	if (was_up && now_us >= r->up_us + STEADY_US)
		return 0;
	if (refused)
		return retry_pause(r->refusals++);
	pause_us = (now_us - r->lost_us) / OUTAGE_PART;
	return pause_us < PAUSE_MIN_US ? PAUSE_MIN_US : pause_us > PAUSE_MAX_US ? PAUSE_MAX_US : pause_us;
}

void retry_answered(struct retry *r, uint64_t now_us)
{
	r->answered_us = now_us;
}

bool retry_long(const struct retry *r, uint64_t now_us)
{
	return !r->up && now_us >= r->lost_us + GONE_US;
}

bool retry_doubtful(const struct retry *r, uint64_t now_us)
{
	return retry_long(r, now_us) && r->answered_us < r->lost_us + GONE_US;
}

bool retry_listed(struct retry *r, bool listed, bool stale)
{
	r->unlisted = listed ? 0 : r->unlisted + 1;
	return stale && r->unlisted >= UNLISTED_MAX;
}

bool retry_gone(const struct retry *r, uint64_t now_us)
{
	bool in_vain = !retry_doubtful(r, now_us) && r->began_us >= r->answered_us;

	return retry_long(r, now_us) && (r->refused || in_vain);
}
