/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel inside a program that runs under the preload library alone: the entry of libsmolmix.so.
 *
 * Theory of operation. The shim calls smolmix_bare() in a thread with all signals blocked and a descriptor
 * table of its own; every thread made from here inherits both. It does what smolmix-run does: settings from
 * the environment, tunnel, wait until ready, then watch until it is told to stop, drain. It talks to the shim
 * through struct bare and futexes only, never by a descriptor, since descriptors mean something else in the
 * program's table.
 *
 * The shim's thread belongs to the program's libc, and a thread's pthread_getspecific() slots are one array
 * for every libc of the process, each numbering its keys from 0: OpenSSL's data of this namespace in it would
 * be given to the program's OpenSSL to free (dig at exit: one crash in four). So that thread only waits here
 * for one of our own; and since the linker allocates with the program's malloc in any thread, which may be
 * one with a key (jemalloc), keys below KEYS_LEFT stay unused on this side.
 *
 * A forked child of the program runs the exit handlers of every library of the process, this one's and
 * OpenSSL's too, while the threads that hold their locks are gone. So OpenSSL is told to have none before
 * anybody else initialises it.
 */
#include <errno.h>
#include <linux/futex.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/rng.h"
#include "stack/ctl/bare.h"
#include "stack/host.h"
#include "stack/statsfile.h"

#define NAME_BYTES 16
#define TICK_MS 1000
#define KEYS_LEFT                                                                                            \
	32 /* glibc keeps so many slots in the thread itself; an allocator's key is among the first */

struct inside {
	struct bare *bare;
	struct settings set;
	struct tunnel *tunnel;
	struct host_way way;
};

__attribute__((visibility("default"))) bare_main_fn smolmix_bare;

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void go(struct bare *b, enum bare_phase phase)
{
	atomic_store(&b->phase, phase);
	futex_wake(&b->phase);
}

/* Options are named as on smolmix-run's command line; here they are variables. */
static void failed(struct inside *in, const char *what, const struct bridge_stats *s)
{
	char line[HOST_LINE_MAX];

	host_failure(line, what, &in->way, s);
	snprintf(in->bare->line, BARE_LINE_MAX, "%.460s (--api is SMOLMIX_API, and so on)", line);
}

static const char *value_of(const struct bare *b, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < b->n_vars; i++)
		if (!strncmp(b->vars[i], name, n) && b->vars[i][n] == '=' && b->vars[i][n + 1])
			return b->vars[i] + n + 1;
	return NULL;
}

/* What smolmix-run alone does must not be ignored: its user would be in another network, or without the
 * file's rules. */
static int not_here(struct bare *b)
{
	const char *local = value_of(b, "SMOLMIX_LOCALNET");

	if (local && strcmp(local, "0") != 0)
		snprintf(b->line, BARE_LINE_MAX,
			 "SMOLMIX_LOCALNET: only smolmix-run starts a local network; "
			 "start smolmix-localnet and set SMOLMIX_API");
	else if (value_of(b, "SMOLMIX_CONFIG"))
		snprintf(b->line, BARE_LINE_MAX,
			 "SMOLMIX_CONFIG: only smolmix-run reads a configuration file; "
			 "set the variables of its options");
	else
		return 0;
	return -1;
}

static int read_settings(struct inside *in)
{
	struct bare *b = in->bare;
	char name[SETTINGS_ENV_MAX];

	settings_defaults(&in->set);
	if (not_here(b) < 0)
		return -1;
	for (size_t i = 0; i < settings_count; i++) {
		const char *value;

		settings_env_name(settings_table[i].name, name);
		value = value_of(b, name);
		if (value &&
		    settings_apply(&in->set, &settings_table[i], name, value, b->line, BARE_LINE_MAX) < 0)
			return -1;
	}
	return settings_finish(&in->set, b->line, BARE_LINE_MAX);
}

static void write_stats(const struct inside *in)
{
	struct tunnel_stats s;
	int r;

	if (!in->set.stats_json)
		return;
	tunnel_get_stats(in->tunnel, &s);
	r = statsfile_write(in->set.stats_json, &s);
	if (r < 0)
		log_warn("SMOLMIX_STATS_JSON: %s", err_str(r));
}

static int start(struct inside *in)
{
	struct bare *b = in->bare;
	struct tunnel_cfg cfg;
	uint8_t random[NAME_BYTES];
	char hex[2 * NAME_BYTES + 1];
	int r;

	rng_fill(rng_system(), random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	snprintf(b->var, sizeof(b->var), BARE_VAR "@smolmix-%s", hex);
	host_cfg(&cfg, &in->set, bare_ctl(b));
	r = tunnel_start(&in->tunnel, &cfg);
	if (r < 0)
		snprintf(b->line, BARE_LINE_MAX, "tunnel: %s; set SMOLMIX_VERBOSE=2 to see more", err_str(r));
	return r;
}

static int wait_ready(struct inside *in)
{
	struct pollfd p = { tunnel_event_fd(in->tunnel), POLLIN, 0 };
	struct tunnel_stats s;
	uint64_t count;

	for (;;) {
		tunnel_get_stats(in->tunnel, &s);
		host_way(&in->way, &s.bridge);
		if (s.bridge.state == BRIDGE_READY)
			return 0;
		if (s.bridge.state == BRIDGE_FAILED) {
			failed(in, "cannot reach the mixnet", &s.bridge);
			return -1;
		}
		write_stats(in);
		if (poll(&p, 1, TICK_MS) > 0 && read(p.fd, &count, sizeof(count)) < 0)
			continue; /* somebody was faster: the state is read anyway */
	}
}

static void watch(struct inside *in)
{
	static const struct timespec tick = { .tv_sec = TICK_MS / 1000 };
	struct bare *b = in->bare;
	struct tunnel_stats s;

	while (!atomic_load(&b->stop)) {
		syscall(SYS_futex, &b->stop, FUTEX_WAIT_PRIVATE, 0, &tick, NULL, 0);
		tunnel_get_stats(in->tunnel, &s);
		host_way(&in->way, &s.bridge);
		if (s.bridge.state == BRIDGE_FAILED && atomic_load(&b->phase) == BARE_UP) {
			failed(in, "the tunnel is gone", &s.bridge);
			go(b, BARE_GONE);
		}
		write_stats(in);
	}
}

static void *host(void *arg)
{
	static struct inside in;
	struct bare *b = arg;

	in.bare = b;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
	if (b->log_level >= 2)
		log_init(STDERR_FILENO, b->log_level > 2 ? LOG_TRACE : LOG_INFO, "smolmix");
	if (read_settings(&in) == 0 && start(&in) == 0) {
		if (wait_ready(&in) == 0) {
			go(b, BARE_UP);
			watch(&in);
			tunnel_stop(in.tunnel, HOST_DRAIN_US);
			write_stats(&in);
		}
		tunnel_free(in.tunnel);
	}
	return NULL;
}

void smolmix_bare(struct bare *b)
{
	pthread_key_t unused;
	pthread_t t;
	int e = 0;

	for (int i = 0; i < KEYS_LEFT && !e; i++)
		e = pthread_key_create(&unused, NULL);
	go(b, BARE_STARTING);
	if (!e)
		e = pthread_create(&t, NULL, host, b);
	if (e)
		snprintf(b->line, BARE_LINE_MAX, "tunnel thread: %s; allow this user more processes",
			 err_str(-e));
	else
		pthread_join(t, NULL);
	go(b, BARE_OVER);
}
