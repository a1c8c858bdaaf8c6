/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the preload library and libsmolmix.so, when there is no launcher and the tunnel lives in the
 * program itself: what is known to both. The library lives in a linker namespace of its own with a libc of
 * its own, so all they share is this memory and futexes.
 *
 * phase only grows. The shim calls the entry in a thread it made; the entry returns when the tunnel has
 * ended.
 */
#ifndef STACK_CTL_BARE_H
#define STACK_CTL_BARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define BARE_ENTRY "smolmix_bare" /* bare_main_fn, the one symbol that libsmolmix.so exports for this */
#define BARE_LINE_MAX 512
#define BARE_VAR "SMOLMIX_SOCKET="

enum bare_phase {
	BARE_NONE,
	BARE_LOADING,  /* the thread is being made, the library loaded */
	BARE_STARTING, /* on the way to the exit */
	BARE_UP,       /* var is valid */
	BARE_GONE,     /* was up and is lost; line says why, the control socket still answers */
	BARE_OVER,     /* failed (line says why) or stopped */
};

struct bare {
	_Atomic uint32_t phase; /* enum bare_phase; futex */
	_Atomic uint32_t stop;	/* set by the shim: send what is left and end; futex */
	char var[sizeof(BARE_VAR) +
		 sizeof(((struct sockaddr_un *)0)->sun_path)]; /* BARE_VAR, then the control socket's path */
	char line[BARE_LINE_MAX];			       /* valid in GONE, and in OVER when not empty */
	const char *const *vars; /* "SMOLMIX_NAME=value" of the program's start */
	size_t n_vars;
	int log_level; /* 0 .. 3 as SMOLMIX_VERBOSE; from 2 on descriptor 2 is the program's standard error */
};

static inline const char *bare_ctl(const struct bare *b)
{
	return b->var + sizeof(BARE_VAR) - 1;
}

typedef void bare_main_fn(struct bare *);

#endif
