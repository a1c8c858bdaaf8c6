/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preload without a launcher.
 *
 * Theory of operation. The first socket or name makes one thread, in which libsmolmix.so is loaded and stays;
 * everybody who needs the tunnel waits on a futex until it is up or has failed. Nothing of the library ever
 * runs in a thread of the program, and nothing of the program in the library's:
 *
 * - dlmopen(LM_ID_NEWLM): a linker namespace of its own, with its own libc, OpenSSL and malloc. Preloaded
 * libraries are not in it, so its socket() is the kernel's; symbols the program exports, an allocator it
 * replaced, the OpenSSL it brings are not seen there, and the look-ups that start() switched off in the
 * program's libc work. RTLD_DEEPBIND gives none of the last three.
 * - a descriptor table of its own (CLOSE_RANGE_UNSHARE, Linux 5.9): the program cannot see the tunnel's
 * descriptors, close them or inherit them to a child; the numbers it gets are those it would get alone; and
 * none of its pipes is held open by us.
 * - all signals blocked.
 *
 * fork: the child has its parent's tunnel for as long as that process lives, through the control socket, and
 * fails closed afterwards. A child that was forked while the tunnel was being started has none, because the
 * state of the linker is unknown in it. exec: a child that becomes another program finds its parent's tunnel
 * in SMOLMIX_SOCKET (w_exec.c); if there was none it starts its own. A process that calls exec itself loses
 * its tunnel with its memory.
 *
 * Calls that start the tunnel are not async-signal-safe the first time; later they are.
 */
#include "shim/bare.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim/real.h"
#include "shim/sock.h"
#include "shim/state.h"
#include "stack/ctl/bare.h"

#define LOAD_S 10   /* a caller inside dlopen() holds the linker's lock, and would wait for ever */
#define START_S 120 /* the library gives up after 60 s by itself */
#define STOP_S 8    /* drain 5 s, goodbye 1 s */
#define DIRENTS 4096

static struct {
	struct bare shared;
	_Atomic pid_t owner; /* process that made the thread */
	atomic_bool told;    /* why it failed */
	char library[STATE_PATH_MAX];
} bare;

static enum bare_phase phase(void)
{
	return (enum bare_phase)atomic_load_explicit(&bare.shared.phase, memory_order_acquire);
}

/* ---- the thread ---- */

static void wake(_Atomic uint32_t *word)
{
	real_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
}

static void fail(const char *what, const char *why, const char *change)
{
	snprintf(bare.shared.line, sizeof(bare.shared.line), "%s: %.300s; %s", what, why, change);
	atomic_store(&bare.shared.phase, BARE_OVER);
	wake(&bare.shared.phase);
}

/* Only /dev/null stands behind 0, 1 and 2 from now on, and nothing behind other numbers. Somebody who wants
 * to see more keeps 2. */
static int own_descriptors(void)
{
	long null, r = real_syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE, 0, 0, 0);

	if (r < 0)
		return (int)r;
	null = real_open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return (int)null;
	for (int fd = 0; fd < (bare.shared.log_level >= 2 ? 2 : 3); fd++) {
		/* A program that has closed one of them finds it at that number: it is there already. */
		r = fd == null ? 0 : real_syscall(SYS_dup3, null, fd, 0, 0, 0, 0);
		if (r < 0)
			return (int)r;
	}
	return null > 2 ? real_close((int)null) : 0;
}

static void *thread(void *unused)
{
	bare_main_fn *entry;
	void *lib, *sym;
	int r = own_descriptors();

	(void)unused;
	if (r < 0) {
		fail("descriptor table", strerrordesc_np(-r), "use smolmix-run");
		return NULL;
	}
	lib = dlmopen(LM_ID_NEWLM, bare.library, RTLD_NOW | RTLD_LOCAL);
	sym = lib ? dlsym(lib, BARE_ENTRY) : NULL;
	if (!sym) {
		fail("libsmolmix.so", dlerror(), "install it, or use smolmix-run");
		return NULL;
	}
	memcpy(&entry, &sym, sizeof(entry));
	entry(&bare.shared);
	return NULL;
}

/* ../stack in the build folder, .. where it is installed. */
static bool find_library(void)
{
	static const char *const places[] = { "/../stack/libsmolmix.so", "/../libsmolmix.so" };
	const char *own = state_preload();
	const char *slash = own ? strrchr(own, '/') : NULL;

	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(bare.library, sizeof(bare.library), "%.*s%s", (int)(slash - own), own,
				 places[i]);

		if (n < (int)sizeof(bare.library) &&
		    real_syscall(SYS_faccessat, AT_FDCWD, (long)bare.library, R_OK, 0, 0, 0) == 0)
			return true;
	}
	return false;
}

static void begin(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t t;
	int e;

	bare.shared.vars = state_keep(&bare.shared.n_vars);
	bare.shared.log_level = (int)state_level();
	if (!find_library()) {
		fail("libsmolmix.so", "not found beside the preload library",
		     "build or install it, or use smolmix-run");
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	e = pthread_create(&t, &attr, thread, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		fail("tunnel thread", strerrordesc_np(e), "allow this user more processes");
}

/* ---- callers ---- */

/* Until the phase is another one, for that long altogether. Signal handlers run meanwhile and
 * may jump away. */
static void wait_while(enum bare_phase now, int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	while (phase() == now) {
		long r = real_syscall(SYS_futex, (long)&bare.shared.phase, FUTEX_WAIT_BITSET_PRIVATE, now,
				      (long)&until, 0, FUTEX_BITSET_MATCH_ANY);

		if (r == -ETIMEDOUT)
			return;
	}
}

static void tell(void)
{
	bool forked = atomic_load(&bare.owner) != getpid();

	if (atomic_exchange(&bare.told, true))
		return;
	if (phase() < BARE_UP)
		state_say(STATE_WARN, "no tunnel: ",
			  forked ? "this process was forked while it was being started"
				 : "it could not be started from here (inside dlopen?)",
			  "; make a connection earlier, or use smolmix-run", NULL);
	else if (bare.shared.line[0])
		state_say(STATE_WARN, "no tunnel: ", bare.shared.line, NULL);
}

static void start(void)
{
	uint32_t none = BARE_NONE;

	if (atomic_compare_exchange_strong(&bare.shared.phase, &none, BARE_LOADING)) {
		atomic_store(&bare.owner, getpid());
		begin();
	} else if (atomic_load(&bare.owner) != getpid()) {
		return;
	}
	wait_while(BARE_LOADING, LOAD_S);
	wait_while(BARE_STARTING, START_S);
}

const char *bare_ctl_path(bool start_it)
{
	int saved = errno;
	enum bare_phase p = phase();

	if (start_it && p < BARE_UP && state_may_host()) {
		start();
		p = phase();
	}
	if (start_it && p != BARE_NONE && p != BARE_UP)
		tell();
	errno = saved;
	return p == BARE_UP || p == BARE_GONE ? bare_ctl(&bare.shared) : NULL;
}

const char *bare_child_var(bool same_process)
{
	bool up = phase() == BARE_UP && !(same_process && atomic_load(&bare.owner) == getpid());

	return up ? bare.shared.var : NULL;
}

/* ---- the end ---- */

struct dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void close_if_ours(const char *name, int dead)
{
	struct sock s;
	int fd = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		fd = fd * 10 + *name - '0';
	if (*name == '\0' && sock_find(fd, &s))
		real_syscall(SYS_dup3, dead, fd, O_CLOEXEC, 0, 0, 0);
}

/* The tunnel sees the end of a connection when its last descriptor is closed, as the kernel would do a moment
 * later. The numbers stay taken, by something that can be neither read nor written: other threads may still
 * use them. */
static void close_sockets(void)
{
	_Alignas(struct dirent64) char buf[DIRENTS];
	int dead = real_open("/", O_PATH | O_CLOEXEC);
	int dir = real_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	while (dead >= 0 && dir >= 0 &&
	       (n = real_syscall(SYS_getdents64, dir, (long)buf, sizeof(buf), 0, 0, 0)) > 0)
		for (long at = 0; at < n; at += ((struct dirent64 *)(buf + at))->len)
			close_if_ours(((struct dirent64 *)(buf + at))->name, dead);
	if (dir >= 0)
		real_close(dir);
	if (dead >= 0)
		real_close(dead);
}

void bare_finish(void)
{
	enum bare_phase p = phase();

	if ((p != BARE_UP && p != BARE_GONE) || atomic_load(&bare.owner) != getpid())
		return;
	close_sockets();
	atomic_store(&bare.shared.stop, 1);
	wake(&bare.shared.stop);
	wait_while(p, STOP_S);
}

__attribute__((destructor)) static void at_exit(void)
{
	bare_finish();
}
