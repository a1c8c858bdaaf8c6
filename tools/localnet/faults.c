/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of a hop: loss, duplication, constant delay with uniform jitter, and reordering by holding a packet
 * back. Drawn independently for every packet and hop.
 */
#include "tools/localnet/faults.h"

static bool happens(double p, struct rng *rng)
{
	return p > 0 && (double)rng_u32(rng) < p * 4294967296.0;
}

unsigned faults_apply(const struct faults *f, struct rng *rng, uint64_t ret_us[2])
{
	unsigned copies = 1;

	if (happens(f->loss, rng))
		return 0;
	if (happens(f->duplicate, rng))
		copies = 2;
	for (unsigned i = 0; i < copies; i++) {
		ret_us[i] = f->delay_us;
		if (f->jitter_us)
			ret_us[i] += rng_u64(rng) % (f->jitter_us + 1);
		if (happens(f->reorder, rng))
			ret_us[i] += f->reorder_us;
	}
	return copies;
}
