/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for: one table feeds the configuration file, the environment (SMOLMIX_NAME), the command line and --help. The
 * later one wins; rules of the later one stand before those of the earlier, so that they win too.
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
	const char *config;	/* file; NULL: the usual one, if there is one */
	struct rules rules;
	char rule_text[RULES_TEXT_MAX]; /* the same as text, for the shim */
	size_t rule_at;			/* where the next rule goes: rules of the command line stand before the environment's */
	char **command;		/* NULL-terminated rest of argv */
};

/* 0, or -1 with one line in err ("what: why; what to change"). */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap);
void options_help(void); /* to standard output */

#endif
