/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults while the network runs: commands of one line, from --fault and from a socket (--control).
 */
#ifndef TOOLS_LOCALNET_CONTROL_H
#define TOOLS_LOCALNET_CONTROL_H

#include <stddef.h>

struct control;
struct world;

#define CONTROL_LINE 128

/* Lists the commands on standard output. */
void control_help(void);
/* 0, or -1 with what is wrong in why. */
int control_check(const char *line, char *why, size_t cap);
int control_do(struct world *w, const char *line, char *why, size_t cap);

/* Listens at path, whose folder must be ours alone. Each line is a command; each is answered by "ok" or
 * "error: why". NULL: errno. */
struct control *control_new(struct world *w, const char *path);
void control_free(struct control *c);

#endif
