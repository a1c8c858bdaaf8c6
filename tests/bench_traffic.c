/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user gets: transfers of an unmodified program under smolmix-run, through smolmix-localnet, to a
 * server of this machine. Ceilings are what the sending clock R and the SURBs allow without loss (spec
 * traffic.md 12.3): down 3.33 R / 1.02 packets of 1420 bytes a second, up R segments of 1460 bytes, five of
 * them in five fragments with the SURB for their answer. A rate counts from connect() to the last byte, slow
 * start included. One connection cannot pass 64 KiB a round trip, which is libslirp's largest window (it does
 * not scale); several together show what the tunnel can. A clock that ticks 50 times a second by chance is
 * off by 3 % in 20 s: downloads take a minute or, with the fast profile, half of one. The rows that end in
 * "far" have a network whose hops take 60 ms, 30 more or less, beside the nodes' delays. And what it costs
 * while nothing happens.
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench.h"
#include "tests/bench_peer.h"

#define SERVER "192.88.99.80"
#define IDLE_S 20
#define STARTS 5
#define IDLE_CEILING 5.0 /* per cent of a core */
#define RSS_LIMIT 24576	 /* kB */
#define LOADED_S 8

struct net {
	pid_t server, localnet;
	bool far; /* hops take 60 ms, 30 more or less */
	char api[128];
	char run[PEER_PATH];
};

static bool net_start(struct net *n)
{
	char path[PEER_PATH], map[64], line[2048];
	char *argv[] = { path, "--map", map, n->far ? "--delay" : NULL, "60", "--jitter", "30", NULL };
	json_t *ready = NULL;
	uint16_t port = 0;
	ssize_t got = -1;
	int fd = -1;

	peer_path(path, "tools/smolmix-localnet");
	peer_path(n->run, "tools/smolmix-run");
	n->server = peer_server(&port);
	snprintf(map, sizeof(map), SERVER ":80=127.0.0.1:%u", port);
	n->localnet = peer_spawn(argv, NULL, &fd);
	if (n->localnet > 0)
		got = read(fd, line, sizeof(line) - 1);
	if (got > 0) {
		line[got] = '\0';
		ready = json_loads(line, 0, NULL);
	}
	close(fd);
	snprintf(n->api, sizeof(n->api), "%s", json_string_value(json_object_get(ready, "api")) ?: "");
	json_decref(ready);
	return n->api[0];
}

static void net_stop(struct net *n)
{
	peer_stop(n->localnet, SIGTERM);
	peer_stop(n->server, SIGKILL);
}

/* Memory of a process, by its line of /proc/PID/status. */
static long status_of(pid_t pid, const char *field)
{
	char path[64], line[128], fmt[64];
	long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	snprintf(fmt, sizeof(fmt), "%s: %%ld", field);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, fmt, &v) == 1)
			break;
	if (f)
		fclose(f);
	return v;
}

static double cpu_of(pid_t pid)
{
	char path[64], text[1024];
	unsigned long user = 0, sys = 0;
	const char *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	p = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	if (p)
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	fclose(f);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &child) != 1)
		child = -1;
	if (f)
		fclose(f);
	return child;
}

static bool row_wanted(const struct bench *b, const char *name)
{
	return !b->part || strstr(name, b->part);
}

static void transfer(struct bench *b, struct net *n, const char *profile, const char *what, unsigned streams,
		     uint64_t bytes, double ceiling)
{
	char *prefix[] = { n->run, "-q", "--api", n->api, "--profile", (char *)profile, "--", NULL };
	struct peer_result r;
	struct peer_job j;
	char name[64];

	peer_job(&j, what, SERVER, 80, bytes, streams);
	snprintf(name, sizeof(name), "tcp_%s_%s_%u%s", what, profile, streams, n->far ? "_far" : "");
	if (!row_wanted(b, name))
		return;
	if (!peer_run(&r, prefix, &j, NULL)) {
		bench_fail(b, name);
		return;
	}
	if (!strcmp(what, "both"))
		bytes = bytes / 2 + bytes / 2 / PEER_BOTH_UP;
	bench_report(b, name, (double)bytes / 1000 / (r.end - r.connect), "kB/s", ceiling);
}

/* Datagrams down, more than the tunnel carries: no TCP in the way. */
static void datagrams(struct bench *b, struct net *n, const char *profile, uint64_t bytes, double ceiling)
{
	char *prefix[] = { n->run, "-q", "--api", n->api, "--profile", (char *)profile, "--", NULL };
	struct peer_result r;
	struct peer_job j;
	char name[64];

	peer_job(&j, "udp", SERVER, 80, bytes, 1);
	snprintf(name, sizeof(name), "udp_download_%s", profile);
	if (!row_wanted(b, name))
		return;
	if (!peer_run(&r, prefix, &j, NULL)) {
		bench_fail(b, name);
		return;
	}
	bench_report(b, name, r.connect, "kB/s", ceiling);
	snprintf(name, sizeof(name), "udp_arrived_%s", profile);
	bench_report(b, name, r.first * 100, "%", 100);
}

/* What the tunnel costs while a download runs as fast as it goes. */
static void loaded(struct bench *b, struct net *n, const char *profile, uint64_t bytes, double limit)
{
	char *prefix[] = { n->run, "-q", "--api", n->api, "--profile", (char *)profile, "--", NULL };
	char *argv[32], name[64];
	struct peer_result r;
	struct peer_job j;
	size_t at = 0;
	double cpu, t;
	int fd = -1;
	pid_t pid;

	snprintf(name, sizeof(name), "cpu_download_%s", profile);
	if (!row_wanted(b, name))
		return;
	peer_job(&j, "download", SERVER, 80, bytes, 4);
	for (; prefix[at]; at++)
		argv[at] = prefix[at];
	memcpy(argv + at, j.argv, sizeof(j.argv));
	pid = peer_spawn(argv, NULL, &fd);
	sleep(4);
	cpu = cpu_of(pid);
	t = peer_now();
	sleep(LOADED_S);
	cpu = (cpu_of(pid) - cpu) * 100 / (peer_now() - t);
	bench_report(b, name, cpu, "% of core", limit);
	snprintf(name, sizeof(name), "rss_download_%s", profile);
	bench_report(b, name, (double)status_of(pid, "VmRSS"), "kB", RSS_LIMIT);
	if (!peer_result(&r, pid, fd) || r.end < t + LOADED_S)
		bench_fail(b, "the download was over too soon");
}

/* A shell beside a download: at most 1.5 times its idle time is the aim. */
static void latency(struct bench *b, struct net *n, const char *profile)
{
	char *prefix[] = { n->run, "-q", "--api", n->api, "--profile", (char *)profile, "--", NULL };
	struct peer_result r;
	struct peer_job j;
	char name[64];

	peer_job(&j, "latency", SERVER, 80, 0, 1);
	snprintf(name, sizeof(name), "echo_loaded_%s", profile);
	if (!row_wanted(b, name))
		return;
	if (!peer_run(&r, prefix, &j, NULL)) {
		bench_fail(b, "latency");
		return;
	}
	snprintf(name, sizeof(name), "echo_idle_%s", profile);
	bench_report(b, name, r.connect * 1000, "ms", 0);
	snprintf(name, sizeof(name), "echo_loaded_%s", profile);
	bench_report(b, name, r.first * 1000, "ms", r.connect * 1500);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From exec of smolmix-run to the first byte, and the memory the shim adds to a program. */
static void starts(struct bench *b, struct net *n)
{
	char *prefix[] = { n->run, "-q", "--api", n->api, "--", NULL };
	double whole[STARTS], path[STARTS];
	struct peer_result r, bare;
	struct peer_job j;
	uint16_t port = 0;
	pid_t server;

	peer_job(&j, "download", SERVER, 80, 1, 1);
	for (int i = 0; i < STARTS; i++) {
		double t0 = peer_now();

		if (!peer_run(&r, prefix, &j, NULL)) {
			bench_fail(b, "start");
			return;
		}
		whole[i] = r.first - t0;
		path[i] = r.first - r.connect;
	}
	qsort(whole, STARTS, sizeof(double), ascending);
	qsort(path, STARTS, sizeof(double), ascending);
	bench_report(b, "start_to_first_byte", whole[STARTS / 2] * 1000, "ms", 0);
	bench_report(b, "connect_to_first_byte", path[STARTS / 2] * 1000, "ms", 0);
	server = peer_server(&port);
	peer_job(&j, "download", "127.0.0.1", port, 1, 1);
	if (peer_run(&bare, NULL, &j, NULL))
		bench_report(b, "rss_added_by_shim", (double)(r.rss_kb - bare.rss_kb), "kB", 0);
	peer_stop(server, SIGKILL);
}

/* A program that sleeps: what smolmix-run costs with cover traffic only, and whether the program is left
 * alone. */
static void idle(struct bench *b, struct net *n, const char *profile)
{
	char *argv[] = { n->run,	  "-q", "--api", n->api, "--profile",
			 (char *)profile, "--", "sleep", "60",	 NULL };
	char name[64];
	double cpu, t;
	long woken;
	pid_t pid, program = -1;
	int fd = -1;

	pid = peer_spawn(argv, NULL, &fd);
	for (int i = 0; i < 100 && program < 0; i++) {
		usleep(100000);
		program = child_of(pid);
	}
	sleep(3);
	woken = status_of(program, "voluntary_ctxt_switches");
	cpu = cpu_of(pid);
	t = peer_now();
	sleep(IDLE_S);
	cpu = (cpu_of(pid) - cpu) * 100 / (peer_now() - t);
	if (program < 0 || woken < 0) {
		bench_fail(b, "idle");
	} else {
		snprintf(name, sizeof(name), "idle_cpu_%s", profile);
		bench_report(b, name, cpu, "% of core", IDLE_CEILING);
		snprintf(name, sizeof(name), "idle_rss_tunnel_%s", profile);
		bench_report(b, name, (double)status_of(pid, "VmRSS"), "kB", 0);
		snprintf(name, sizeof(name), "idle_wakeups_%s", profile);
		bench_report(b, name, (double)(status_of(program, "voluntary_ctxt_switches") - woken),
			     "in 20 s", 0);
	}
	close(fd);
	peer_stop(pid, SIGTERM);
}

static void with_net(struct bench *b, bool far, void (*run)(struct bench *b, struct net *n))
{
	struct net n = { .server = -1, .localnet = -1, .far = far };

	if (net_start(&n))
		run(b, &n);
	else
		bench_fail(b, "smolmix-localnet did not start");
	net_stop(&n);
}

static void all_transfers(struct bench *b, struct net *n)
{
	static const unsigned streams[] = { 1, 4, 16 };

	for (size_t i = 0; i < 3; i++) {
		transfer(b, n, "default", "download", streams[i], 12000000, 225);
		transfer(b, n, "default", "upload", streams[i], 1500000, 73);
		transfer(b, n, "fast", "download", streams[i], 30000000, 1127);
		transfer(b, n, "fast", "upload", streams[i], 6000000, 365);
	}
	transfer(b, n, "default", "both", 2, 4000000, 0);
	transfer(b, n, "fast", "both", 2, 12000000, 0);
	datagrams(b, n, "default", 2500000, 227);
	datagrams(b, n, "fast", 6000000, 1136);
	latency(b, n, "default");
	latency(b, n, "fast");
	loaded(b, n, "default", 4000000, 10);
	loaded(b, n, "fast", 20000000, 35);
}

static void far_transfers(struct bench *b, struct net *n)
{
	transfer(b, n, "default", "download", 16, 12000000, 225);
	transfer(b, n, "default", "upload", 16, 1500000, 73);
	transfer(b, n, "fast", "download", 16, 30000000, 1127);
	transfer(b, n, "fast", "upload", 16, 6000000, 365);
}

static void costs(struct bench *b, struct net *n)
{
	cost_report(b, n->run, n->api, SERVER);
}

static void all_idle(struct bench *b, struct net *n)
{
	starts(b, n);
	idle(b, n, "default");
	idle(b, n, "fast");
}

void bench_traffic(struct bench *b)
{
	with_net(b, false, all_transfers);
	with_net(b, true, far_transfers);
}

void bench_cost(struct bench *b)
{
	with_net(b, false, costs);
}

void bench_idle(struct bench *b)
{
	with_net(b, false, all_idle);
}
