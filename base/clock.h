/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time behind one pointer. Microseconds everywhere (suffix _us); monotonic (CLOCK_BOOTTIME: counts suspend).
 * Wall time (gateway login, SURB age) in whole seconds since 1970.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
	uint64_t (*now_us)(struct clock *c);
	int64_t (*wall_s)(struct clock *c);
};

struct clock_fake {
	struct clock clock;
	uint64_t us;
	int64_t wall_base_s;
};

struct clock *clock_system(void);
void clock_fake_init(struct clock_fake *f, uint64_t us, int64_t wall_base_s);

#define US_PER_MS UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)
#define TIME_NEVER UINT64_MAX

#endif
