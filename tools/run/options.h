/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for: one table feeds the configuration file, the environment (SMOLMIX_NAME), the
 * command line and --help. The later one wins; rules of the later one stand before those of the earlier, so
 * that they win too.
 */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "stack/settings.h"

enum options_action {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_CHECK,
	OPTIONS_LIST_EXITS,
	OPTIONS_STATUS
};

struct options {
	enum options_action action;
	bool localnet, localnet_given, quiet;
	int verbose;
	const char *config; /* file; NULL: the usual one, if there is one */
	struct settings tunnel;
	char **command; /* NULL-terminated rest of argv */
};

/* 0, or -1 with one line in err ("what: why; what to change"). */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap);
/* A variable of the environment ("NAME=value") that is no option's, and nearly is: one line in text that says
 * so. */
bool options_misspelt(const char *var, char *text, size_t cap);
void options_help(void); /* to standard output */

#endif
