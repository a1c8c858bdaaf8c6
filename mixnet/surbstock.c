/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SURB bookkeeping of the issuer.
 *
 * Theory of operation. Data replies are numbered by the exit without gaps, so the highest number seen says
 * how many SURBs data has used, lost replies included. Control replies and requests are counted one by one.
 * SURBs in a message that was never acknowledged are taken for lost; when only the acknowledgement was lost
 * the estimate is low and the exit gets more than it needs. A request says that the exit has less than 60
 * (plus what waits there): the estimate cannot be higher than that plus what is on its way.
 *
 * When the exit is silent nobody knows what it still has, and it gets new ones. When it then answers without
 * asking for more, the old ones are believed in again: else each lost keepalive would add a whole stock to
 * what the exit holds, until its oldest ones were older than our table of reply keys.
 *
 * The rate of replies is counted in half seconds; the busier of the last two counts, so that a starting
 * download is met early.
 */
#include "mixnet/surbstock.h"

#include <string.h>

#include "base/clock.h"

#define BUCKET_US (500 * US_PER_MS)
#define SEQ_JUMP_MAX 4096u /* a larger step is not believed: the exit would empty our estimate for ever */

void surbstock_init(struct surbstock *s)
{
	memset(s, 0, sizeof(*s));
}

void surbstock_sent(struct surbstock *s, unsigned n)
{
	s->estimate += n;
	s->unconfirmed += n;
	s->sent += n;
}

void surbstock_confirmed(struct surbstock *s, unsigned n, bool arrived)
{
	s->unconfirmed -= n;
	if (s->unconfirmed < 0)
		s->unconfirmed = 0;
	if (!arrived)
		s->estimate -= n;
	if (s->estimate < 0)
		s->estimate = 0;
}

static void use(struct surbstock *s, uint32_t n)
{
	s->estimate += s->doubted;
	s->doubted = 0;
	s->estimate -= n;
	if (s->estimate < 0)
		s->estimate = 0;
}

void surbstock_data_reply(struct surbstock *s, uint64_t now_us, uint32_t seq)
{
	uint32_t step = seq - s->max_seq;

	if (now_us - s->bucket_us >= BUCKET_US) {
		s->bucket_prev = now_us - s->bucket_us < 2 * BUCKET_US ? s->bucket : 0;
		s->bucket = 0;
		s->bucket_us = now_us;
	}
	s->bucket++;
	if (!step || step >= UINT32_C(0x80000000))
		return;
	s->max_seq = seq;
	use(s, step < SEQ_JUMP_MAX ? step : 1);
}

void surbstock_control_reply(struct surbstock *s)
{
	use(s, 1);
}

void surbstock_asked(struct surbstock *s, uint32_t amount)
{
	int64_t most = SURBSTOCK_EXIT_LOW + s->unconfirmed;

	use(s, 1);
	s->requests++;
	if (s->estimate > most)
		s->estimate = most;
	if (amount > SURBSTOCK_ASK_MAX - s->owed)
		amount = SURBSTOCK_ASK_MAX - s->owed;
	s->owed += amount;
}

void surbstock_distrust(struct surbstock *s)
{
	s->doubted += s->estimate;
	s->estimate = 0;
	s->unconfirmed = 0;
}

void surbstock_void(struct surbstock *s)
{
	s->doubted = s->estimate = s->unconfirmed = 0;
}

uint64_t surbstock_replies_per_s(const struct surbstock *s, uint64_t now_us)
{
	uint32_t most = s->bucket > s->bucket_prev ? s->bucket : s->bucket_prev;

	return now_us - s->bucket_us < 2 * BUCKET_US ? most * (US_PER_S / BUCKET_US) : 0;
}

unsigned surbstock_target(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us)
{
	uint64_t ahead = surbstock_replies_per_s(s, now_us) * (rtt_us + BUCKET_US) / US_PER_S;

	return SURBSTOCK_FLOOR + (unsigned)(ahead < 2000 ? ahead : 2000);
}

unsigned surbstock_missing(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us)
{
	int64_t missing = (int64_t)surbstock_target(s, now_us, rtt_us) - s->estimate - s->owed;

	return missing > 0 ? (unsigned)missing : 0;
}

unsigned surbstock_ride(const struct surbstock *s, uint64_t now_us, uint64_t rtt_us, unsigned room)
{
	return s->estimate < 2 * (int64_t)surbstock_target(s, now_us, rtt_us) ? room : 0;
}
