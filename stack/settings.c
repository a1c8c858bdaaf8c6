/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a tunnel.
 *
 * Theory of operation. Each row of the table has a name, how its value is called, a help text and a function
 * that takes the value. A setter gives NULL, or the reason why the value is not good; what may be given
 * instead is the row's `accepts`. Who reads the values from where is the caller's business.
 */
#include "stack/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base58.h"

#define NETWORK_FILE_MAX 65536
#define MTU_MIN 576 /* design D17 */
#define MTU_MAX 1557

bool settings_number(const char *s, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*ret = strtoul(s, &end, 10);
	return !errno && !*end && *ret >= min && *ret <= max;
}

/* ---- setters ---- */

static const char *read_network(struct settings *s, const char *path, char why[SETTINGS_WHY_MAX])
{
	char *text = malloc(NETWORK_FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = text && fd >= 0 ? read(fd, text, NETWORK_FILE_MAX) : -1;
	char detail[SETTINGS_WHY_MAX / 2] = "is not a network file";
	const char *bad = why;

	if (n < 0)
		snprintf(why, SETTINGS_WHY_MAX, "cannot read %s: %s", path, strerror(errno));
	else if (n == NETWORK_FILE_MAX)
		snprintf(why, SETTINGS_WHY_MAX, "%s is longer than %d bytes", path, NETWORK_FILE_MAX);
	else if (network_parse(&s->network, text, (size_t)n, detail, sizeof(detail)) < 0)
		snprintf(why, SETTINGS_WHY_MAX, "%s: %s", path, detail);
	else
		bad = NULL;
	if (fd >= 0)
		close(fd);
	free(text);
	return bad;
}

static const char *set_network(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	s->network_given = true;
	if (network_builtin(&s->network, value) == 0)
		return NULL;
	return read_network(s, value, why);
}

static const char *set_api(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	s->network_given = true;
	return network_from_url(&s->network, value) < 0 ? "is not a usable URL" : NULL;
}

static const char *set_country(struct settings *s, const char *cc)
{
	if (strlen(cc) != 2 || !isalpha((unsigned char)cc[0]) || !isalpha((unsigned char)cc[1]))
		return "is not a country of two letters";
	s->exit_how = EXIT_COUNTRY;
	s->exit_country[0] = (char)toupper((unsigned char)cc[0]);
	s->exit_country[1] = (char)toupper((unsigned char)cc[1]);
	return NULL;
}

static const char *set_exit(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const char country[] = "country:";

	s->exit_given = false;
	if (!strcmp(value, "auto"))
		s->exit_how = EXIT_AUTO;
	else if (!strcmp(value, "random"))
		s->exit_how = EXIT_RANDOM;
	else if (!strncmp(value, country, sizeof(country) - 1))
		return set_country(s, value + sizeof(country) - 1);
	else if (recipient_parse(&s->exit, value, strlen(value)) < 0)
		return "is not an exit";
	else
		s->exit_given = true;
	return NULL;
}

static const char *set_gateway(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (base58_decode_key(s->gateway, value, strlen(value)) < 0)
		return "is not a base58 key of 32 bytes";
	s->gateway_given = true;
	return NULL;
}

static const char *set_dns(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	char one[ADDR_TEXT];

	s->n_dns = 0;
	for (;;) {
		size_t len = strcspn(value, ",");

		if (len >= sizeof(one) || s->n_dns == STACK_DNS_MAX)
			return len >= sizeof(one) ? "is not an address" : "has too many servers";
		memcpy(one, value, len);
		one[len] = '\0';
		if (addr_parse(&s->dns[s->n_dns], one, 53) < 0)
			return "is not an address";
		s->n_dns++;
		value += len;
		if (!*value++)
			break;
	}
	return NULL;
}

static const char *set_mtu(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	unsigned long v;

	if (!settings_number(value, MTU_MIN, MTU_MAX, &v))
		return "is not a usable MTU";
	s->mtu = (unsigned)v;
	return NULL;
}

static const char *set_ipr_version(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	topo_version_parse(&s->ipr_version, value, strlen(value));
	return s->ipr_version.known ? NULL : "is not a version";
}

static const char *set_profile(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	s->profile = bridge_profile(value);
	return s->profile ? NULL : "is not a profile";
}

static const char *set_unsafe(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	s->unsafe_profile = !value || strcmp(value, "0") != 0;
	return NULL;
}

static const char *set_stats(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	s->stats_json = value;
	return *value ? NULL : "is not a file name";
}

static const char *set_rule(struct settings *s, const char *value, char why[SETTINGS_WHY_MAX])
{
	size_t len = strlen(value) + 1, after = strlen(s->rule_text + s->rule_at);
	struct rules alone = { .n = 0 };
	struct rules_error e;

	if (rules_parse(&alone, value, &e) < 0) {
		snprintf(why, SETTINGS_WHY_MAX, "\"%.*s\" %s", e.len < 200 ? e.len : 200, e.at, e.why);
		return why;
	}
	if (!alone.n)
		return "is no rule";
	if (s->rule_at + len + after >= sizeof(s->rule_text))
		return "is one rule too many";
	memmove(s->rule_text + s->rule_at + len, s->rule_text + s->rule_at, after + 1);
	memcpy(s->rule_text + s->rule_at, value, len - 1);
	s->rule_at += len;
	s->rule_text[s->rule_at - 1] = ';';
	return NULL;
}

/* ---- the table ---- */

const struct setting settings_table[] = {
	{ "network", "NAME|FILE", "Nym network: mainnet (default), sandbox, canary, or a network file",
	  "name a built-in network or a JSON file", set_network },
	{ "api", "URL", "use the network whose nym-api is at URL",
	  "give an https:// URL, or http:// on a loopback address", set_api },
	{ "exit", "WHICH", "auto (default), random, country:XX, or the address of an exit",
	  "use auto, random, country:XX or an exit's address", set_exit },
	{ "gateway", "KEY", "entry gateway by its identity key", "take the key from the network's directory",
	  set_gateway },
	{ "dns", "A[:PORT],B", "name servers behind the exit (9.9.9.9,1.1.1.1)",
	  "give up to four numeric addresses, separated by commas", set_dns },
	{ "rule", "RULE", "deny, tunnel or loopback, and a destination; see below; repeatable",
	  "write \"deny 192.0.2.0/24:80-90\", \"deny *.example.org\", \"loopback 127.0.0.1:8080\" or the like",
	  set_rule },
	{ "mtu", "N", "size of the tunnel's IP packets (from the exit, else 1420)", "use 576 to 1557",
	  set_mtu },
	{ "ipr-version", "A.B.C", "take the exit's software for this version (that of the directory)",
	  "write three numbers, like 1.36.0", set_ipr_version },
	{ "profile", "NAME", "traffic: default, fast, or no-poisson; see below", "use default or fast",
	  set_profile },
	{ "unsafe-profile", NULL, "allow --profile no-poisson", "0 or 1", set_unsafe },
	{ "stats-json", "FILE", "write statistics to FILE each second and at the end", "name a file",
	  set_stats },
};
const size_t settings_count = sizeof(settings_table) / sizeof(settings_table[0]);

void settings_defaults(struct settings *s)
{
	*s = (struct settings){ .exit_how = EXIT_AUTO, .profile = bridge_profile("default") };
	network_builtin(&s->network, "mainnet");
	addr_parse(&s->dns[0], "9.9.9.9", 53);
	addr_parse(&s->dns[1], "1.1.1.1", 53);
	s->n_dns = 2;
}

int settings_finish(struct settings *s, char *err, size_t err_cap)
{
	struct rules_error e;
	int r = rules_parse(&s->rules, s->rule_text, &e);

	if (r < 0) {
		snprintf(err, err_cap, "rule: \"%.*s\" %s; %d at most", e.len, e.at, e.why, RULES_MAX);
	} else if (s->profile->unsafe && !s->unsafe_profile) {
		snprintf(
			err, err_cap,
			"profile: %s shows when and how much you send; use default or fast, or allow it with "
			"--unsafe-profile",
			s->profile->name);
		r = -1;
	}
	return r;
}

void settings_env_name(const char *option, char out[SETTINGS_ENV_MAX])
{
	size_t n = 0;

	for (const char *c = "SMOLMIX_"; *c; c++)
		out[n++] = *c;
	for (const char *c = option; *c && n < SETTINGS_ENV_MAX - 1; c++)
		out[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	out[n] = '\0';
}

void settings_refusal(char *err, size_t err_cap, const char *origin, const char *value, const char *reason,
		      const char *why, const char *accepts)
{
	if (reason == why) /* a full sentence of the setter's own */
		snprintf(err, err_cap, "%s: %s; %s", origin, why, accepts);
	else
		snprintf(err, err_cap, "%s: \"%.200s\" %s; %s", origin, value ? value : "", reason, accepts);
}

int settings_apply(struct settings *s, const struct setting *row, const char *origin, const char *value,
		   char *err, size_t err_cap)
{
	char why[SETTINGS_WHY_MAX] = "";
	const char *reason = row->set(s, value, why);

	if (reason)
		settings_refusal(err, err_cap, origin, value, reason, why, row->accepts);
	return reason ? -1 : 0;
}
