/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the shim, read once.
 *
 * Theory of operation. A constructor copies the SMOLMIX_* variables into static storage, so that a program
 * that clears its environment changes nothing. A hook that runs before the constructor (another library's
 * constructor, an early malloc replacement) reads them itself: the first caller claims the job by an atomic
 * exchange. Whoever comes while it is being done sees no tunnel and fails closed; nobody waits, so a signal
 * handler cannot deadlock here. Programs that gained privileges get no settings.
 *
 * Globals: only `state` below.
 */
#include "shim/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/real.h"

#define ENV_PREFIX "SMOLMIX_"
#define TEXT_MAX 8192

int __nss_configure_lookup(const char *dbname, const char *service_line);

static const struct rules nothing = { .n = 1, .rule = { { .verb = RULE_DENY, .port_max = 65535 } } };

static struct {
	_Atomic int ready; /* 0 not begun, 1 being read, 2 valid */
	const char *ctl_path;
	bool may_host;
	enum state_level level;
	const char *keep[STATE_KEEP_MAX];
	size_t n_keep;
	char text[TEXT_MAX];
	struct rules rules;
	bool rules_bad;
	char preload[STATE_PATH_MAX]; /* "" until somebody has asked */
	dev_t err_dev;		      /* what standard error was at the start */
	ino_t err_ino;
} state;

static void take(const char *var)
{
	const char *value = strchr(var, '=');
	size_t len = strlen(var) + 1;
	size_t used =
		state.n_keep ? (size_t)(strchr(state.keep[state.n_keep - 1], '\0') + 1 - state.text) : 0;
	char *copy = state.text + used;
	struct rules_error err;

	if (!value)
		return;
	if (state.n_keep == STATE_KEEP_MAX || len > TEXT_MAX - used) {
		state.rules_bad = true; /* a rule may have been among what did not fit */
		return;
	}
	memcpy(copy, var, len);
	state.keep[state.n_keep++] = copy;
	value = copy + (value + 1 - var);
	if (!strncmp(var, "SMOLMIX_SOCKET=", 15)) {
		state.ctl_path = value[0] == '/' || value[0] == '@' ? value : NULL;
		state.may_host = false;
	} else if (!strncmp(var, "SMOLMIX_VERBOSE=", 16) && value[0] >= '0' && value[0] <= '3') {
		state.level = (enum state_level)(value[0] - '0');
	} else if (!strncmp(var, "SMOLMIX_RULE=", 13)) {
		state.rules_bad = state.rules_bad || rules_parse(&state.rules, value, &err) < 0;
	}
}

static void read_settings(void)
{
	struct stat st;

	state.level = STATE_WARN;
	if (getauxval(AT_SECURE))
		return;
	state.may_host = true;
	for (char **e = environ; e && *e; e++)
		if (!strncmp(*e, ENV_PREFIX, sizeof(ENV_PREFIX) - 1))
			take(*e);
	if (fstat(STDERR_FILENO, &st) == 0) {
		state.err_dev = st.st_dev;
		state.err_ino = st.st_ino;
	}
}

static bool ready(void)
{
	int none = 0;

	if (atomic_load_explicit(&state.ready, memory_order_acquire) == 2)
		return true;
	if (!atomic_compare_exchange_strong(&state.ready, &none, 1))
		return atomic_load_explicit(&state.ready, memory_order_acquire) == 2;
	read_settings();
	atomic_store_explicit(&state.ready, 2, memory_order_release);
	return true;
}

__attribute__((constructor)) static void start(void)
{
	int saved = errno;

	ready();
	real_init();
	state_preload();
	/* Second line of defence for lookups inside libc that no hook sees (design D5). */
	__nss_configure_lookup("hosts", "files");
	__nss_configure_lookup("networks", "files");
	errno = saved;
}

const char *state_ctl_path(void)
{
	return ready() ? state.ctl_path : NULL;
}

bool state_may_host(void)
{
	return ready() && state.may_host;
}

enum state_level state_level(void)
{
	return ready() ? state.level : STATE_QUIET;
}

const char *state_preload(void)
{
	if (!state.preload[0]) /* the constructor asks first, unless another library's comes before it */
		real_own_path(state.preload, sizeof(state.preload));
	return state.preload[0] ? state.preload : NULL;
}

const struct rules *state_rules(void)
{
	return ready() && !state.rules_bad ? &state.rules : &nothing;
}

const char *const *state_keep(size_t *n)
{
	*n = ready() ? state.n_keep : 0;
	return state.keep;
}

static size_t append(char *line, size_t used, size_t cap, const char *s)
{
	while (*s && used < cap)
		line[used++] = *s++;
	return used;
}

void state_say(enum state_level level, const char *part, ...)
{
	int saved = errno;
	char line[512];
	size_t n;
	struct stat st;
	va_list ap;

	if (!ready() || level > state.level)
		return;
	if (fstat(STDERR_FILENO, &st) < 0 || st.st_dev != state.err_dev || st.st_ino != state.err_ino) {
		errno = saved;
		return;
	}
	n = append(line, 0, sizeof(line) - 1, "smolmix: ");
	va_start(ap, part);
	for (; part; part = va_arg(ap, const char *))
		n = append(line, n, sizeof(line) - 1, part);
	va_end(ap);
	line[n++] = '\n';
	real_write(STDERR_FILENO, line, n);
	errno = saved;
}
