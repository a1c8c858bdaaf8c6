/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of a tunnel that is asked from all sides, for programs that watch threads (ThreadSanitizer,
 * helgrind).
 *
 * usage: host API CONTROL
 *
 * Theory of operation. smolmix-run installs the kernel guard, which valgrind does not know, and asks its
 * tunnel now and then. This one has no guard and does at once what a host may do: two threads read the
 * statistics, a third waits for changes, a fourth stops the tunnel while they go on. Programs use the tunnel
 * by CONTROL meanwhile. "ready" is printed, the end of standard input begins the stop.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "stack/host.h"

#define READERS 2
#define PAUSE_US 5000
#define WAIT_MS 100
#define READY_S 300 /* valgrind is slow */

struct hosted {
	struct tunnel *tunnel;
	_Atomic bool over;
};

static void *read_stats(void *arg)
{
	struct hosted *h = arg;
	struct tunnel_stats s;

	while (!atomic_load(&h->over)) {
		tunnel_get_stats(h->tunnel, &s);
		log_info("state %u", (unsigned)s.bridge.state);
		usleep(PAUSE_US);
	}
	return NULL;
}

static void *watch(void *arg)
{
	struct hosted *h = arg;
	struct pollfd p = { tunnel_event_fd(h->tunnel), POLLIN, 0 };
	uint64_t count;

	while (!atomic_load(&h->over))
		if (poll(&p, 1, WAIT_MS) > 0 && read(p.fd, &count, sizeof(count)) < 0)
			break;
	return NULL;
}

static void *stop(void *arg)
{
	struct hosted *h = arg;
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	tunnel_stop(h->tunnel, HOST_DRAIN_US);
	return NULL;
}

static bool wait_ready(struct tunnel *t)
{
	struct tunnel_stats s;

	for (int i = 0; i < READY_S * 10; i++) {
		tunnel_get_stats(t, &s);
		if (s.bridge.state == BRIDGE_READY)
			return true;
		if (s.bridge.state == BRIDGE_FAILED)
			break;
		usleep(100000);
	}
	fprintf(stderr, "host: the tunnel did not become ready\n");
	return false;
}

static bool apply(struct settings *set, const char *name, const char *value)
{
	char line[SETTINGS_WHY_MAX];

	for (size_t i = 0; i < settings_count; i++) {
		if (strcmp(settings_table[i].name, name) != 0)
			continue;
		if (settings_apply(set, &settings_table[i], name, value, line, sizeof(line)) == 0)
			return true;
		fprintf(stderr, "host: %s\n", line);
	}
	return false;
}

int main(int argc, char **argv)
{
	static struct hosted h;
	void *(*const work[READERS + 2])(void *) = { read_stats, read_stats, watch, stop };
	pthread_t t[READERS + 2];
	struct tunnel_cfg cfg;
	struct settings set;
	char line[SETTINGS_WHY_MAX];
	bool ready;

	settings_defaults(&set);
	if (argc != 3 || !apply(&set, "api", argv[1]) || settings_finish(&set, line, sizeof(line)) < 0)
		return 2;
	log_init(STDERR_FILENO, LOG_WARN, "host");
	host_cfg(&cfg, &set, argv[2]);
	cfg.bridge.bootstrap_us = cfg.bridge.exit_timeout_us = READY_S * US_PER_S;
	if (tunnel_start(&h.tunnel, &cfg) < 0)
		return 1;
	for (size_t i = 0; i < READERS + 2; i++)
		if (pthread_create(&t[i], NULL, work[i], &h))
			return 1;
	ready = wait_ready(h.tunnel);
	printf("%s\n", ready ? "ready" : "failed");
	fflush(stdout);
	pthread_join(t[READERS + 1], NULL);
	atomic_store(&h.over, true);
	for (size_t i = 0; i <= READERS; i++)
		pthread_join(t[i], NULL);
	tunnel_free(h.tunnel);
	return ready ? 0 : 1;
}
