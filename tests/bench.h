/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measurements with their ceilings: bench [--json] [SUITE ...], or traffic:PART for the rows of the
 * longest one that have PART in their names. A suite is one function in the table of
 * bench.c; it reports each figure by bench_report().
 */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdbool.h>

struct bench {
	bool json;
	bool failed;	  /* a suite could not measure what it should */
	const char *part; /* of a row's name; NULL: all rows */
};

/* One figure. ceiling: what the machine or the protocol allows at best, 0 when there is none; ratio = value /
 * ceiling. */
void bench_report(struct bench *b, const char *name, double value, const char *unit, double ceiling);
/* Says on stderr why a figure is missing; the program then ends with 1. */
void bench_fail(struct bench *b, const char *why);

struct bench_timed {
	void (*fn)(void *arg);
	double rate; /* calls per second of this thread's CPU time */
};

/*
 * Fills in the rates of n functions, all called with arg: the best of nine runs of a tenth of a second each.
 * The functions take turns, so that a machine that is slower for a while is so for all of them and ratios
 * stay right.
 */
void bench_rates(struct bench_timed *t, unsigned n, void *arg);

void bench_crypto(struct bench *b);
void bench_traffic(struct bench *b); /* transfers through smolmix-localnet */
void bench_stack(struct bench *b);   /* shim and lwIP without the mixnet */
void bench_idle(struct bench *b);    /* start, memory, cost of doing nothing */
void bench_cost(struct bench *b);    /* what the shim adds to a program's calls */

#endif
