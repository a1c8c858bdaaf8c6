/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of smolmix-run.
 *
 * Theory of operation. Each row of the table has a name, how its value is called, a help text and a function that takes the value. The
 * configuration file and then the environment are read first with the same functions, so that the command line wins. Which file that is
 * only the whole command line can tell, so it is read once for that, and once more over the others. Parsing stops at the first word
 * that is no option, or after "--": the rest is the command. A value may follow "=" or be the next word.
 *
 * The file: lines of "name = value", "name" alone for a switch, "#" begins a comment line. Without --config it is smolmix.conf in
 * $XDG_CONFIG_HOME or $HOME/.config, which need not exist.
 *
 * A setter gives NULL, or the reason why the value is not good; what may be given instead is the row's `accepts`.
 */
#include "tools/run/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base58.h"

#define NETWORK_FILE_MAX 65536
#define CONFIG_MAX 65536
#define FILE_NAME_MAX 1024
#define MTU_MIN 576  /* design D17 */
#define MTU_MAX 1557
#define WHY_MAX 512
#define ENV_MAX 64
#define BLANKS " \t\r"

typedef const char *(*setter)(struct options *o, const char *value, char why[WHY_MAX]);

struct row {
	const char *name;
	char letter;		 /* 0 = none */
	const char *value;	 /* NULL: a switch */
	const char *help;
	const char *accepts;	 /* what to change when the value is refused */
	bool env; /* may stand in the environment and in the file */
	setter set;
};

/* ---- setters ---- */

static const char *set_localnet(struct options *o, const char *value, char why[WHY_MAX])
{
	o->localnet = !value || strcmp(value, "0") != 0;
	return NULL;
}

static const char *read_network(struct options *o, const char *path, char why[WHY_MAX])
{
	char *text = malloc(NETWORK_FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = text && fd >= 0 ? read(fd, text, NETWORK_FILE_MAX) : -1;
	char detail[WHY_MAX / 2] = "is not a network file";
	const char *bad = why;

	if (n < 0)
		snprintf(why, WHY_MAX, "cannot read %s: %s", path, strerror(errno));
	else if (n == NETWORK_FILE_MAX)
		snprintf(why, WHY_MAX, "%s is longer than %d bytes", path, NETWORK_FILE_MAX);
	else if (network_parse(&o->network, text, (size_t)n, detail, sizeof(detail)) < 0)
		snprintf(why, WHY_MAX, "%s: %s", path, detail);
	else
		bad = NULL;
	if (fd >= 0)
		close(fd);
	free(text);
	return bad;
}

static const char *set_network(struct options *o, const char *value, char why[WHY_MAX])
{
	o->network_given = true;
	if (network_builtin(&o->network, value) == 0)
		return NULL;
	return read_network(o, value, why);
}

static const char *set_api(struct options *o, const char *value, char why[WHY_MAX])
{
	o->network_given = true;
	return network_from_url(&o->network, value) < 0 ? "is not a usable URL" : NULL;
}

static const char *set_country(struct options *o, const char *cc)
{
	if (strlen(cc) != 2 || !isalpha((unsigned char)cc[0]) || !isalpha((unsigned char)cc[1]))
		return "is not a country of two letters";
	o->exit_how = EXIT_COUNTRY;
	o->exit_country[0] = (char)toupper((unsigned char)cc[0]);
	o->exit_country[1] = (char)toupper((unsigned char)cc[1]);
	return NULL;
}

static const char *set_exit(struct options *o, const char *value, char why[WHY_MAX])
{
	static const char country[] = "country:";

	o->exit_given = false;
	if (!strcmp(value, "auto"))
		o->exit_how = EXIT_AUTO;
	else if (!strcmp(value, "random"))
		o->exit_how = EXIT_RANDOM;
	else if (!strncmp(value, country, sizeof(country) - 1))
		return set_country(o, value + sizeof(country) - 1);
	else if (recipient_parse(&o->exit, value, strlen(value)) < 0)
		return "is not an exit";
	else
		o->exit_given = true;
	return NULL;
}

static const char *set_gateway(struct options *o, const char *value, char why[WHY_MAX])
{
	if (base58_decode_key(o->gateway, value, strlen(value)) < 0)
		return "is not a base58 key of 32 bytes";
	o->gateway_given = true;
	return NULL;
}

static const char *set_dns(struct options *o, const char *value, char why[WHY_MAX])
{
	char one[ADDR_TEXT];

	o->n_dns = 0;
	for (;;) {
		size_t len = strcspn(value, ",");

		if (len >= sizeof(one) || o->n_dns == STACK_DNS_MAX)
			return len >= sizeof(one) ? "is not an address" : "has too many servers";
		memcpy(one, value, len);
		one[len] = '\0';
		if (addr_parse(&o->dns[o->n_dns], one, 53) < 0)
			return "is not an address";
		o->n_dns++;
		value += len;
		if (!*value++)
			break;
	}
	o->dns_given = true;
	return NULL;
}

static bool number(const char *s, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*ret = strtoul(s, &end, 10);
	return !errno && !*end && *ret >= min && *ret <= max;
}

static const char *set_mtu(struct options *o, const char *value, char why[WHY_MAX])
{
	unsigned long v;

	if (!number(value, MTU_MIN, MTU_MAX, &v))
		return "is not a usable MTU";
	o->mtu = (unsigned)v;
	return NULL;
}

static const char *set_profile(struct options *o, const char *value, char why[WHY_MAX])
{
	o->profile = bridge_profile(value);
	return o->profile ? NULL : "is not a profile";
}

static const char *set_stats(struct options *o, const char *value, char why[WHY_MAX])
{
	o->stats_json = value;
	return *value ? NULL : "is not a file name";
}

static const char *set_config(struct options *o, const char *value, char why[WHY_MAX])
{
	o->config = value;
	return *value ? NULL : "is not a file name";
}

static const char *set_rule(struct options *o, const char *value, char why[WHY_MAX])
{
	size_t len = strlen(value) + 1, after = strlen(o->rule_text + o->rule_at);
	struct rules alone = { .n = 0 };
	struct rules_error e;

	if (rules_parse(&alone, value, &e) < 0) {
		snprintf(why, WHY_MAX, "\"%.*s\" %s", e.len < 200 ? e.len : 200, e.at, e.why);
		return why;
	}
	if (!alone.n)
		return "is no rule";
	if (o->rule_at + len + after >= sizeof(o->rule_text))
		return "is one rule too many";
	memmove(o->rule_text + o->rule_at + len, o->rule_text + o->rule_at, after + 1);
	memcpy(o->rule_text + o->rule_at, value, len - 1);
	o->rule_at += len;
	o->rule_text[o->rule_at - 1] = ';';
	return NULL;
}

static const char *set_check(struct options *o, const char *value, char why[WHY_MAX])
{
	o->action = OPTIONS_CHECK;
	return NULL;
}

/* -v raises the level by one; the environment gives it as a number. */
static const char *set_verbose(struct options *o, const char *value, char why[WHY_MAX])
{
	unsigned long v;

	if (!value) {
		o->verbose++;
		return NULL;
	}
	if (!number(value, 0, 3, &v))
		return "is not a level";
	o->quiet = v == 0;
	o->verbose = v > 0 ? (int)v - 1 : 0;
	return NULL;
}

static const char *set_quiet(struct options *o, const char *value, char why[WHY_MAX])
{
	o->quiet = true;
	return NULL;
}

static const char *set_version(struct options *o, const char *value, char why[WHY_MAX])
{
	o->action = OPTIONS_VERSION;
	return NULL;
}

static const char *set_help(struct options *o, const char *value, char why[WHY_MAX])
{
	o->action = OPTIONS_HELP;
	return NULL;
}

/* ---- the table ---- */

static const struct row rows[] = {
	{ "localnet", 0, NULL, "start a Nym network on this machine and use it (no anonymity)", "0 or 1", true,
	  set_localnet },
	{ "network", 0, "NAME|FILE", "Nym network: mainnet (default), sandbox, canary, or a network file",
	  "name a built-in network or a JSON file", true, set_network },
	{ "api", 0, "URL", "use the network whose nym-api is at URL",
	  "give an https:// URL, or http:// on a loopback address", true, set_api },
	{ "exit", 0, "WHICH", "auto (default), random, country:XX, or the address of an exit",
	  "use auto, random, country:XX or an exit's address", true, set_exit },
	{ "gateway", 0, "KEY", "entry gateway by its identity key", "take the key from the network's directory", true,
	  set_gateway },
	{ "dns", 0, "A[:PORT],B", "name servers behind the exit (9.9.9.9,1.1.1.1)",
	  "give up to four numeric addresses, separated by commas", true, set_dns },
	{ "rule", 0, "RULE", "deny, tunnel or loopback, and a destination; see below; repeatable",
	  "write \"deny 192.0.2.0/24:80-90\", \"deny *.example.org\", \"loopback 127.0.0.1:8080\" or the like", true,
	  set_rule },
	{ "mtu", 0, "N", "size of the tunnel's IP packets (from the exit, else 1420)", "use 576 to 1557", true, set_mtu },
	{ "profile", 0, "NAME", "traffic profile: default or fast", "use default or fast", true, set_profile },
	{ "stats-json", 0, "FILE", "write statistics to FILE each second and at the end", "name a file", true,
	  set_stats },
	{ "config", 0, "FILE", "read these options from FILE (~/.config/smolmix.conf)", "name a file", true, set_config },
	{ "check", 0, NULL, "say what this machine supports, and end", "", false, set_check },
	{ "verbose", 'v', NULL, "say more; twice for every destination", "use 0 to 3", true, set_verbose },
	{ "quiet", 'q', NULL, "say nothing but why the command could not be run", "", false, set_quiet },
	{ "version", 0, NULL, "print the version, and end", "", false, set_version },
	{ "help", 'h', NULL, "print this, and end", "", false, set_help },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void env_name(const struct row *r, char out[ENV_MAX])
{
	size_t n = 0;

	for (const char *c = "SMOLMIX_"; *c; c++)
		out[n++] = *c;
	for (const char *c = r->name; *c && n < ENV_MAX - 1; c++)
		out[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	out[n] = '\0';
}

void options_help(void)
{
	char left[40], env[ENV_MAX];

	puts("Usage: smolmix-run [options] [--] command [arguments]\n"
	     "Runs a command with its TCP, UDP and DNS going through the Nym mixnet.\n");
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *r = &rows[i];
		const char comma[] = { '-', r->letter, ',', ' ', '\0' };

		snprintf(left, sizeof(left), "%s--%s%s%s", r->letter ? comma : "    ", r->name, r->value ? " " : "",
			 r->value ? r->value : "");
		env_name(r, env);
		printf("  %-26s %s%s%s%s\n", left, r->help, r->env ? " [" : "", r->env ? env : "", r->env ? "]" : "");
	}
	puts("\nRules are tried in order, the first that matches wins: \"deny D\" (as if it could not be reached), \"tunnel D\"\n"
	     "(through the mixnet, private networks behind the exit too), \"loopback D\" (this machine itself). D is an address,\n"
	     "ADDRESS/BITS or * with :PORT or :PORT-PORT if need be ([V6/BITS]:PORT), or NAME or *.NAME (only whether it is\n"
	     "looked up). Several in one value are separated by \";\". Those of the command line come before those of the\n"
	     "environment, then the configuration file's. After all: this machine by loopback, public addresses by the tunnel,\n"
	     "the rest denied. Port 53 of local addresses is always answered by the servers of --dns. No rule leads past the mixnet.\n"
	     "\nThe configuration file has a line \"name = value\" for each option with a variable above, \"#\" begins a comment.\n"
	     "\nThe command's exit code is passed on, 128+N when signal N ended it. 125: smolmix could not do what was\n"
	     "asked; 126: the command is not executable; 127: it was not found.");
}

/* ---- parsing ---- */

struct error {
	char *text;
	size_t cap;
};

static int refuse_value(struct error *e, const char *origin, const struct row *r, const char *value, const char *reason,
			const char *why)
{
	if (reason == why) /* a full sentence of the setter's own */
		snprintf(e->text, e->cap, "%s: %s; %s", origin, why, r->accepts);
	else
		snprintf(e->text, e->cap, "%s: \"%.200s\" %s; %s", origin, value ? value : "", reason, r->accepts);
	return -1;
}

static int apply(struct options *o, const struct row *r, const char *origin, const char *value, struct error *e)
{
	char why[WHY_MAX] = "";
	const char *reason = r->set(o, value, why);

	return reason ? refuse_value(e, origin, r, value, reason, why) : 0;
}

static int from_environment(struct options *o, struct error *e)
{
	char name[ENV_MAX];

	for (size_t i = 0; i < N_ROWS; i++) {
		const char *value;
		int r;

		if (!rows[i].env)
			continue;
		env_name(&rows[i], name);
		value = secure_getenv(name);
		if (!value || !*value)
			continue;
		r = apply(o, &rows[i], name, value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct row *row_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len))
			return &rows[i];
	return NULL;
}

static const struct row *row_by_letter(char c)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].letter == c)
			return &rows[i];
	return NULL;
}

/* One line of the configuration file: "name = value" or "name". */
static int config_line(struct options *o, const char origin[FILE_NAME_MAX + ENV_MAX], char *text, struct error *e)
{
	char *name = text + strspn(text, BLANKS), *end = name + strcspn(name, BLANKS "="), *value = end + strspn(end, BLANKS);
	const struct row *r = row_by_name(name, (size_t)(end - name));
	bool given = *value == '=';
	char at[FILE_NAME_MAX + 2 * ENV_MAX];

	if (!*name || *name == '#')
		return 0;
	*end = '\0';
	snprintf(at, sizeof(at), "%s: %.60s", origin, name);
	if (!r || !r->env || r->set == set_config) {
		snprintf(e->text, e->cap, "%s: no such option in a configuration file; see smolmix-run --help", at);
		return -1;
	}
	value += given;
	value += strspn(value, BLANKS);
	for (end = strchr(value, '\0'); end > value && strchr(BLANKS, end[-1]); end--)
		end[-1] = '\0';
	if (given ? !*value : r->value || *value) {
		snprintf(e->text, e->cap, "%s: is not \"name = value\"; %s", at, r->accepts);
		return -1;
	}
	return apply(o, r, at, given ? value : NULL, e);
}

/* Values of the file are pointed to as long as the program runs. */
static int from_file(struct options *o, const char *path, bool must, struct error *e)
{
	static char text[CONFIG_MAX];
	char origin[FILE_NAME_MAX + ENV_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC), no = 1, r = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd < 0 && errno == ENOENT && !must)
		return 0;
	if (n < 0 || n == sizeof(text) || memchr(text, '\0', (size_t)n)) {
		snprintf(e->text, e->cap, "%s: %s; name another file with --config", path,
			 n < 0 ? strerror(errno) : "is no text of less than 64 KiB");
		r = -1;
	}
	if (fd >= 0)
		close(fd);
	if (r == 0)
		text[n] = '\0';
	for (char *line = text, *next; r == 0 && line; line = next, no++) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		snprintf(origin, sizeof(origin), "%s:%d", path, no);
		r = config_line(o, origin, line, e);
	}
	return r;
}

static int from_config(struct options *o, const char *named, struct error *e)
{
	const char *dir = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
	char path[FILE_NAME_MAX];
	int n;

	if (!named)
		named = secure_getenv("SMOLMIX_CONFIG");
	if (named && *named)
		return from_file(o, named, true, e);
	n = dir && *dir ? snprintf(path, sizeof(path), "%s/smolmix.conf", dir) :
			  snprintf(path, sizeof(path), "%s/.config/smolmix.conf", home ? home : "");
	return n < (int)sizeof(path) ? from_file(o, path, false, e) : 0;
}

/* "--name", "--name=value", "--name value". *at is moved past a value that was the next word. */
static int long_option(struct options *o, char **argv, int *at, struct error *e)
{
	const char *word = argv[*at];
	size_t len = strcspn(word + 2, "=");
	const struct row *r = row_by_name(word + 2, len);
	const char *value = word[2 + len] == '=' ? word + 3 + len : NULL;
	char origin[ENV_MAX];

	if (!r) {
		snprintf(e->text, e->cap, "%.60s: unknown option; see smolmix-run --help", word);
		return -1;
	}
	snprintf(origin, sizeof(origin), "--%s", r->name);
	if (!r->value && value) {
		snprintf(e->text, e->cap, "%s: takes no value; leave \"=%.60s\" out", origin, value);
		return -1;
	}
	if (r->value && !value)
		value = argv[++*at];
	if (r->value && !value) {
		snprintf(e->text, e->cap, "%s: needs a value; %s", origin, r->accepts);
		return -1;
	}
	return apply(o, r, origin, value, e);
}

static int short_options(struct options *o, const char *word, struct error *e)
{
	for (const char *c = word + 1; *c; c++) {
		const struct row *r = row_by_letter(*c);
		const char origin[] = { '-', *c, '\0' };

		if (!r) {
			snprintf(e->text, e->cap, "-%c: unknown option; see smolmix-run --help", *c);
			return -1;
		}
		if (apply(o, r, origin, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static void defaults(struct options *o)
{
	*o = (struct options){ .exit_how = EXIT_AUTO, .profile = bridge_profile("default") };
	network_builtin(&o->network, "mainnet");
	addr_parse(&o->dns[0], "9.9.9.9", 53);
	addr_parse(&o->dns[1], "1.1.1.1", 53);
	o->n_dns = 2;
}

static int from_command_line(struct options *o, int argc, char **argv, struct error *e)
{
	int at = 1, r = 0;

	for (; r == 0 && at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
		if (!strcmp(argv[at], "--")) {
			at++;
			break;
		}
		r = argv[at][1] == '-' ? long_option(o, argv, &at, e) : short_options(o, argv[at], e);
	}
	o->command = argv + at;
	return r;
}

int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap)
{
	struct error e = { err, err_cap };
	struct rules_error re;
	const char *config;
	int r;

	defaults(o);
	r = from_command_line(o, argc, argv, &e);
	config = o->config;
	defaults(o);
	if (r == 0)
		r = from_config(o, config, &e);
	o->rule_at = 0;
	if (r == 0)
		r = from_environment(o, &e);
	o->rule_at = 0;
	if (r == 0)
		r = from_command_line(o, argc, argv, &e);
	if (r < 0)
		return r;
	if (rules_parse(&o->rules, o->rule_text, &re) < 0) {
		snprintf(err, err_cap, "rule: \"%.*s\" %s; %d at most", re.len, re.at, re.why, RULES_MAX);
		return -1;
	}
	if (o->action == OPTIONS_RUN && !o->command[0]) {
		snprintf(err, err_cap, "no command: there is nothing to run; see smolmix-run --help");
		return -1;
	}
	if (o->localnet && o->network_given) {
		snprintf(err, err_cap, "--localnet: another network was named too; leave --network and --api out");
		return -1;
	}
	return 0;
}
