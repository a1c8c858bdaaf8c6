/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of program a file is, as far as a preloaded library cares. Reads a few hundred bytes with pread;
 * no malloc, async-signal-safe.
 */
#ifndef BASE_EXE_H
#define BASE_EXE_H

#include <stddef.h>

enum exe_kind {
	EXE_DYNAMIC,	/* of this machine, with a program interpreter: the preload works */
	EXE_LOADER,	/* the program interpreter itself */
	EXE_STATIC,	/* no interpreter: nothing can be preloaded */
	EXE_GO,		/* Go: makes its own system calls, also when linked dynamically */
	EXE_FOREIGN,	/* another architecture or word size */
	EXE_OTHER_LIBC, /* an interpreter that is not glibc's */
	EXE_SCRIPT,	/* "#!": interp is the next file to look at */
	EXE_UNKNOWN,	/* neither ELF nor script */
};

#define EXE_INTERP_MAX 256

struct exe {
	enum exe_kind kind;
	char interp[EXE_INTERP_MAX]; /* EXE_SCRIPT: interpreter path; EXE_DYNAMIC: the loader */
};

/* 0 or -errno when fd cannot be read. */
int exe_inspect(int fd, struct exe *ret);
/* A phrase for a refusal: "is statically linked"; NULL for kinds that need none. */
const char *exe_refusal(enum exe_kind kind);

#endif
