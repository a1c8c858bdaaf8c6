/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are: the command, the preload library, smolmix-localnet, the private folder. */
#ifndef TOOLS_RUN_PATHS_H
#define TOOLS_RUN_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#define PATHS_MAX 4096

/* Finds command as a shell would and judges it. 0 and its path in out, or the exit code (125, 126, 127) with
 * one line in err. */
int paths_command(const char *command, char out[PATHS_MAX], char *err, size_t err_cap);
/* The preload library: of the build folder this program was started from, or the installed one.
 * NULL, or why it cannot be used and what to change. */
const char *paths_shim(char out[PATHS_MAX]);
/* A program in the folder of this one. 0 or -ENOENT. */
int paths_sibling(const char *name, char out[PATHS_MAX]);
/* Where private folders are made, the first that will do. How many. */
#define PATHS_BASES 2
unsigned paths_private_bases(const char *ret[PATHS_BASES]);
bool paths_is_private(const char *name); /* named as one */
/* Makes a folder only this user can enter, under $XDG_RUNTIME_DIR or /tmp, short enough for a socket in it.
 * Root's is in /tmp and can be entered, not read, by all. 0 or -errno. */
int paths_private_dir(char out[PATHS_MAX]);

#endif
