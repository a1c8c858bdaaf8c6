/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user may choose about a tunnel, whoever hosts it: one table feeds smolmix-run's command line and
 * --help, and the environment (SMOLMIX_NAME) of smolmix-run and of programs under the preload library alone.
 */
#ifndef STACK_SETTINGS_H
#define STACK_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "mixnet/bridge.h"
#include "stack/stack.h"

#define SETTINGS_WHY_MAX 512
#define SETTINGS_ENV_MAX 64

struct settings {
	struct network network;
	bool network_given, exit_given, gateway_given;
	enum exit_choice exit_how;
	char exit_country[3];
	struct recipient exit;
	uint8_t gateway[32];
	struct addr dns[STACK_DNS_MAX];
	unsigned n_dns, mtu;
	struct topo_version ipr_version;
	const struct bridge_profile *profile;
	bool unsafe_profile;		/* profiles that hide little may be used */
	const char *stats_json;		/* borrowed; NULL: none */
	struct rules rules;		/* after settings_finish() */
	char rule_text[RULES_TEXT_MAX]; /* the same as text, for the shim */
	size_t rule_at; /* where the next rule goes: a source that is read later, from 0 again, stands before
			   the earlier ones */
};

struct setting {
	const char *name;  /* of the option */
	const char *value; /* how its value is called; NULL: a switch, which needs none */
	const char *help;
	const char *accepts; /* what to change when the value is refused */
	/* NULL, or the reason why the value is not good; `why` itself when that is a full sentence written
	 * there. */
	const char *(*set)(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX]);
};

extern const struct setting settings_table[];
extern const size_t settings_count;

void settings_defaults(struct settings *s);
/* Name of the environment's variable for an option: "stats-json" is SMOLMIX_STATS_JSON. */
void settings_env_name(const char *option, char out[SETTINGS_ENV_MAX]);
/* Gives one setting its value. 0, or -1 with one line in err ("origin: why; what to change"). */
int settings_apply(struct settings *s, const struct setting *row, const char *origin, const char *value,
		   char *err, size_t err_cap);
/* When all values have been given. 0, or negative with one line in err. */
int settings_finish(struct settings *s, char *err, size_t err_cap);
/* One line about a value that was refused; reason as setting.set gave it. */
void settings_refusal(char *err, size_t err_cap, const char *origin, const char *value, const char *reason,
		      const char *why, const char *accepts);
/* A decimal number in a range. */
bool settings_number(const char *s, unsigned long min, unsigned long max, unsigned long *ret);

#endif
