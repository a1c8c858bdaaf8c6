/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack of its own for a test: a link whose far end is the test, a control socket in a private folder, a
 * fake clock. One name server, 9.9.9.9.
 */
#ifndef TESTS_UNIT_STACKFIX_H
#define TESTS_UNIT_STACKFIX_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "stack/stack.h"

struct stackfix {
	struct loop *loop;
	struct rng_seeded rng;
	struct pktlink link;
	struct stack *stack;
	char dir[32], ctl[40];
};

static struct clock_fake fake; /* one for all tests: lwIP's timers know it */

/* Status may be set in cfg, send in f->link; the link is not up yet. 0 or -1. */
static inline int stackfix_new(struct stackfix *f, uint64_t seed, struct stack_cfg cfg)
{
	if (!fake.us)
		clock_fake_init(&fake, US_PER_S, 1800000000);
	rng_seeded_init(&f->rng, seed);
	cfg.rng = &f->rng.rng;
	cfg.buffer = STACK_BUFFER_DEFAULT;
	cfg.buffers = STACK_BUFFERS_DEFAULT;
	cfg.connect_us = 60 * US_PER_S;
	cfg.wait_ready_us = 30 * US_PER_S;
	cfg.n_dns = 1;
	addr_parse(&cfg.dns[0], "9.9.9.9", 53);
	f->link.mtu = 1420;
	f->loop = loop_new(&fake.clock);
	snprintf(f->dir, sizeof(f->dir), "/tmp/smolmix-test-XXXXXX");
	if (!f->loop || !mkdtemp(f->dir))
		return -1;
	snprintf(f->ctl, sizeof(f->ctl), "%s/ctl", f->dir);
	return stack_new(&f->stack, f->loop, &f->link, &cfg, f->ctl) < 0 ? -1 : 0;
}

static inline void stackfix_up(struct stackfix *f, const char *ip4)
{
	addr_parse_ip(&f->link.ip4, ip4);
	f->link.event(f->link.up, PKTLINK_UP);
}

static inline void stackfix_turn(struct stackfix *f)
{
	for (int i = 0; i < 8; i++)
		loop_dispatch(f->loop, 0);
}

static inline void stackfix_free(struct stackfix *f)
{
	stack_free(f->stack);
	loop_free(f->loop);
	rmdir(f->dir);
}

#endif
