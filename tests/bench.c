/* SPDX-License-Identifier: Apache-2.0 */
/* Main program of the measurements: suites, output as text or as one JSON object a line, timing. */
#include "tests/bench.h"
#include "tests/bench_peer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define RUNS 9
#define RUN_S 0.1

static const struct suite {
	const char *name;
	void (*run)(struct bench *b);
} suites[] = {
	{ "crypto", bench_crypto }, { "traffic", bench_traffic }, { "stack", bench_stack },
	{ "idle", bench_idle },	    { "cost", bench_cost },
};
#define N_SUITES (sizeof(suites) / sizeof(suites[0]))

void bench_report(struct bench *b, const char *name, double value, const char *unit, double ceiling)
{
	if (b->json) {
		printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", ", name, value, unit);
		if (ceiling > 0)
			printf("\"ceiling\": %.6g, \"ratio\": %.4g}\n", ceiling, value / ceiling);
		else
			printf("\"ceiling\": null, \"ratio\": null}\n");
	} else if (ceiling > 0) {
		printf("%-28s %12.1f %-10s ceiling %12.1f  ratio %.2f\n", name, value, unit, ceiling,
		       value / ceiling);
	} else {
		printf("%-28s %12.1f %s\n", name, value, unit);
	}
	fflush(stdout);
}

void bench_fail(struct bench *b, const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	b->failed = true;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double one_run(void (*fn)(void *arg), void *arg)
{
	double start = cpu_seconds(), spent = 0;
	unsigned long calls = 0, batch = 1;

	while (spent < RUN_S) {
		for (unsigned long i = 0; i < batch; i++)
			fn(arg);
		calls += batch;
		spent = cpu_seconds() - start;
		if (spent < RUN_S / 20)
			batch *= 2;
	}
	return (double)calls / spent;
}

void bench_rates(struct bench_timed *t, unsigned n, void *arg)
{
	for (unsigned i = 0; i < n; i++)
		t[i].rate = 0;
	for (int run = 0; run < RUNS; run++)
		for (unsigned i = 0; i < n; i++) {
			double rate = one_run(t[i].fn, arg);

			if (rate > t[i].rate)
				t[i].rate = rate;
		}
}

/* "traffic" or "traffic:PART". */
static bool names(const char *arg, const char *suite)
{
	size_t n = strlen(suite);

	return !strncmp(arg, suite, n) && (!arg[n] || (arg[n] == ':' && !strcmp(suite, "traffic")));
}

static bool wanted(int argc, char **argv, const char *name, const char **ret_part)
{
	bool any = false;

	*ret_part = NULL;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			continue;
		if (!strcmp(argv[i], "all"))
			return true;
		if (names(argv[i], name)) {
			*ret_part = strchr(argv[i], ':') ? strchr(argv[i], ':') + 1 : NULL;
			return true;
		}
		any = true;
	}
	return !any;
}

static bool known(const char *arg)
{
	for (size_t i = 0; i < N_SUITES; i++)
		if (names(arg, suites[i].name))
			return true;
	return !strcmp(arg, "--json") || !strcmp(arg, "all");
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc > 1 && !strcmp(argv[1], "--worker"))
		return peer_worker(argc - 2, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "--cost"))
		return cost_worker(argv[2]);
	for (int i = 1; i < argc; i++) {
		if (!known(argv[i])) {
			fprintf(stderr, "usage: bench [--json] [all");
			for (size_t j = 0; j < N_SUITES; j++)
				fprintf(stderr, " | %s%s", suites[j].name,
					strcmp(suites[j].name, "traffic") ? "" : "[:PART]");
			fprintf(stderr, "]\n");
			return 2;
		}
		b.json |= !strcmp(argv[i], "--json");
	}
	for (size_t i = 0; i < N_SUITES; i++)
		if (wanted(argc, argv, suites[i].name, &b.part))
			suites[i].run(&b);
	return b.failed;
}
