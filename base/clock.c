/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clocks, and one that stands until it is set. */
#include "base/clock.h"

#include <time.h>

#include "base/list.h"

static uint64_t system_us(struct clock *c)
{
	struct timespec ts;

	(void)c;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

static int64_t system_wall(struct clock *c)
{
	struct timespec ts;

	(void)c;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

struct clock *clock_system(void)
{
	static struct clock c = { system_us, system_wall };

	return &c;
}

static uint64_t fake_us(struct clock *c)
{
	return container_of(c, struct clock_fake, clock)->us;
}

static int64_t fake_wall(struct clock *c)
{
	struct clock_fake *f = container_of(c, struct clock_fake, clock);

	return f->wall_base_s + (int64_t)(f->us / US_PER_S);
}

void clock_fake_init(struct clock_fake *f, uint64_t us, int64_t wall_base_s)
{
	*f = (struct clock_fake){ { fake_us, fake_wall }, us, wall_base_s };
}
