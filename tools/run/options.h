/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for: one table feeds the command line, the environment (SMOLMIX_NAME, read before it) and --help.
 */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "mixnet/bridge.h"
#include "stack/stack.h"

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_CHECK };

struct options {
	enum options_action action;
	bool localnet, network_given, dns_given, quiet;
	int verbose;
	struct network network;
	enum exit_choice exit_how;
	char exit_country[3];
	bool exit_given, gateway_given;
	struct recipient exit;
	uint8_t gateway[32];
	struct addr dns[STACK_DNS_MAX];
	unsigned n_dns, mtu;
	const struct bridge_profile *profile;
	const char *stats_json; /* NULL: none */
	char **command;		/* NULL-terminated rest of argv */
};

/* 0, or -1 with one line in err ("what: why; what to change"). */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap);
void options_help(void); /* to standard output */

#endif
