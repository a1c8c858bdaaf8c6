/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user says about destinations: an ordered list of rules, the first that matches wins (design D7).
 * The same text in the configuration file, the environment and --rule. Pure, no malloc: the shim reads and
 * asks it inside async-signal-safe calls.
 *
 *   list         rule { ";" rule }
 *   rule         verb destination
 *   verb         "deny" | "tunnel" | "loopback"
 *   destination  "*" [ ":" ports ] | network [ ":" ports ] | NAME | "*." NAME
 *   network      1.2.3.4 | 10.0.0.0/8 | 2001:db8::/32, in brackets before a colon: [2001:db8::/32]:80
 *   ports        80 | 80-90
 *
 * NAME is that name only, *.NAME every name below it. A rule with a name decides whether the name is
 * answered, a rule with addresses whether packets may go there; neither looks at the other. `*` is every
 * address.
 *
 * A verb matches what it can do only: `tunnel` no loopback, link-local, multicast or broadcast address (a
 * tunnel cannot carry them), `loopback` nothing but this machine. No verb leads to the internet past the
 * tunnel.
 */
#ifndef BASE_RULES_H
#define BASE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define RULES_MAX 64
#define RULES_NAME_MAX 253
#define RULES_TEXT_MAX 4096 /* of a list, with its NUL */

enum rule_verb { RULE_NONE, RULE_TUNNEL, RULE_DENY, RULE_LOOPBACK };

struct rule {
	enum rule_verb verb;
	uint8_t family; /* 0: every address, 4, 6 */
	uint8_t bits;
	uint8_t ip[16];
	uint16_t port_min, port_max;
	bool below;		       /* "*." stood before the name */
	char name[RULES_NAME_MAX + 1]; /* empty: a rule about addresses */
};

struct rules {
	unsigned n;
	struct rule rule[RULES_MAX];
};

/* Where a list is wrong: the rule, and a phrase that goes on after it ("has no verb"). */
struct rules_error {
	const char *at;
	int len;
	const char *why;
};

/* Appends the rules of a list. 0, or -EINVAL with *err; r is undefined then. */
int rules_parse(struct rules *r, const char *list, struct rules_error *err);
/* Verb of the first rule that matches; RULE_NONE: the default decides. 0.0.0.0 and :: are this machine, as
 * Linux has it. */
enum rule_verb rules_addr(const struct rules *r, const struct addr *a);
/* The same for a name that is to be resolved; a final dot and case make no difference. */
enum rule_verb rules_name(const struct rules *r, const char *name);

#endif
