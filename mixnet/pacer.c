/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring in the order of the slots. A packet whose slot was served too late for its moment leaves as soon as
 * it is built, never before one of an earlier slot. One whose moment has passed when the one before it leaves
 * keeps its distance to that one; the next that is later than that is on time again. Called by the bridge.
 */
#include "mixnet/pacer.h"

#include "base/clock.h"

/* The moment of the next one has passed when the last one left. */
static bool kept(const struct pacer *p)
{
	uint64_t at_us = p->at_us[p->head];

	return at_us <= p->left_us && at_us >= p->left_at_us;
}

static uint64_t moment(const struct pacer *p)
{
	uint64_t at_us = p->at_us[p->head], distant_us = p->left_us + at_us - p->left_at_us;

	if (!kept(p))
		return at_us;
	return distant_us < at_us + PACER_KEEP_US ? distant_us : at_us + PACER_KEEP_US;
}

struct pacer_frame *pacer_room(struct pacer *p, uint64_t now_us)
{
	if (pacer_free_us(p, now_us))
		return NULL;
	return &p->frame[(p->head + p->n) % PACER_PACKETS];
}

uint64_t pacer_free_us(const struct pacer *p, uint64_t now_us)
{
	if (p->n == PACER_PACKETS || pacer_deadline(p) < now_us + PACER_BUILD_US)
		return TIME_NEVER;
	return p->unwritten_us > now_us ? p->unwritten_us : 0;
}

void pacer_put(struct pacer *p)
{
	size_t i = (p->head + p->n) % PACER_PACKETS;
	size_t before = (i + PACER_PACKETS - 1) % PACER_PACKETS;

	p->at_us[i] = p->frame[i].slot_us + PACER_HOLD_US;
	if (p->n && p->at_us[i] < p->at_us[before])
		p->at_us[i] = p->at_us[before];
	p->n++;
}

const struct pacer_frame *pacer_due(const struct pacer *p, uint64_t now_us)
{
	return p->n && moment(p) <= now_us ? &p->frame[p->head] : NULL;
}

void pacer_pop(struct pacer *p, uint64_t now_us)
{
	p->unwritten_us = now_us + PACER_WRITE_US;
	p->left_us = now_us;
	p->left_at_us = p->at_us[p->head];
	p->head = (p->head + 1) % PACER_PACKETS;
	p->n--;
}

void pacer_written(struct pacer *p, uint64_t now_us)
{
	if (p->unwritten_us)
		p->left_us = now_us - PACER_WAY_US;
	p->unwritten_us = 0;
}

uint64_t pacer_deadline(const struct pacer *p)
{
	return p->n ? moment(p) - (kept(p) ? PACER_NEAR_US : 0) : TIME_NEVER;
}

uint64_t pacer_near_us(const struct pacer *p, uint64_t now_us)
{
	if (!p->n || !kept(p) || p->unwritten_us > now_us || pacer_deadline(p) > now_us)
		return 0;
	return moment(p);
}

void pacer_clear(struct pacer *p)
{
	p->head = p->n = 0;
	p->unwritten_us = p->left_us = 0;
}
