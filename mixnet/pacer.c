/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring in the order of the slots. A packet whose slot was served too late for its moment leaves as soon as
 * it is built, never before one of an earlier slot. Called by the bridge.
 */
#include "mixnet/pacer.h"

#include "base/clock.h"

struct shaper_out *pacer_room(struct pacer *p, uint64_t now_us)
{
	if (pacer_free_us(p, now_us))
		return NULL;
	return &p->out[(p->head + p->n) % PACER_PACKETS];
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

	p->at_us[i] = p->out[i].slot_us + PACER_HOLD_US;
	if (p->n && p->at_us[i] < p->at_us[before])
		p->at_us[i] = p->at_us[before];
	p->n++;
}

const struct shaper_out *pacer_due(const struct pacer *p, uint64_t now_us)
{
	return pacer_deadline(p) <= now_us ? &p->out[p->head] : NULL;
}

void pacer_pop(struct pacer *p, uint64_t now_us)
{
	p->unwritten_us = now_us + PACER_WRITE_US;
	p->head = (p->head + 1) % PACER_PACKETS;
	p->n--;
}

void pacer_written(struct pacer *p)
{
	p->unwritten_us = 0;
}

uint64_t pacer_deadline(const struct pacer *p)
{
	return p->n ? p->at_us[p->head] : TIME_NEVER;
}

void pacer_clear(struct pacer *p)
{
	p->head = p->n = 0;
	p->unwritten_us = 0;
}
