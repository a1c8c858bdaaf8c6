/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of smolmix-run.
 *
 * Theory of operation. What concerns the tunnel are rows of stack/settings; rows of the same kind for what
 * concerns this command stand here. The configuration file and then the environment are read first with the
 * same functions, so that the command line wins. Which file that is only the whole command line can tell, so
 * it is read once for that, and once more over the others. Parsing stops at the first word that is no option,
 * or after "--": the rest is the command. A value may follow "=" or be the next word.
 *
 * The file: lines of "name = value", "name" alone for a switch, "#" begins a comment line. Without --config
 * it is smolmix.conf in $XDG_CONFIG_HOME or $HOME/.config, which need not exist.
 */
#include "tools/run/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX 65536
#define FILE_NAME_MAX 1024
#define BLANKS " \t\r"
#define TYPOS_MAX 2

typedef const char *(*setter)(struct options *o, const char *value);

struct row {
	char letter;	  /* 0 = none */
	bool env;	  /* may stand in the environment and in the file */
	setter set;	  /* NULL: a setting of the tunnel */
	struct setting s; /* s.value NULL: a switch; s.set is used when set is NULL */
};

/* ---- setters ---- */

static const char *set_localnet(struct options *o, const char *value)
{
	o->localnet = !value || strcmp(value, "0") != 0;
	o->localnet_given = true;
	return NULL;
}

static const char *set_config(struct options *o, const char *value)
{
	o->config = value;
	return *value ? NULL : "is not a file name";
}

static const char *set_check(struct options *o, const char *value)
{
	o->action = OPTIONS_CHECK;
	return NULL;
}

static const char *set_list_exits(struct options *o, const char *value)
{
	o->action = OPTIONS_LIST_EXITS;
	return NULL;
}

static const char *set_status(struct options *o, const char *value)
{
	o->action = OPTIONS_STATUS;
	return NULL;
}

/* -v raises the level by one; the environment gives it as a number. */
static const char *set_verbose(struct options *o, const char *value)
{
	unsigned long v;

	if (!value) {
		o->verbose++;
		o->quiet = false;
		return NULL;
	}
	if (!settings_number(value, 0, 3, &v))
		return "is not a level";
	o->quiet = v == 0;
	o->verbose = v > 0 ? (int)v - 1 : 0;
	return NULL;
}

static const char *set_quiet(struct options *o, const char *value)
{
	o->quiet = true;
	return NULL;
}

static const char *set_version(struct options *o, const char *value)
{
	o->action = OPTIONS_VERSION;
	return NULL;
}

static const char *set_help(struct options *o, const char *value)
{
	o->action = OPTIONS_HELP;
	return NULL;
}

/* ---- the table ---- */

/* clang-format off */
static const struct row own[] = {
	{ 0, true, set_localnet,
	  { "localnet", NULL, "start a Nym network on this machine and use it (no anonymity)", "0 or 1", NULL } },
	{ 0, true, set_config,
	  { "config", "FILE", "read these options from FILE (~/.config/smolmix.conf)", "name a file", NULL } },
	{ 0, false, set_check, { "check", NULL, "say what this machine supports, and end", "", NULL } },
	{ 0, false, set_list_exits, { "list-exits", NULL, "print the exits that --exit may name, best first, and end", "", NULL } },
	{ 0, false, set_status, { "status", NULL, "print one line for each tunnel of yours that runs, and end", "", NULL } },
	{ 'v', true, set_verbose, { "verbose", NULL, "say more, how each connection ended; twice for destinations too", "use 0 to 3", NULL } },
	{ 'q', false, set_quiet, { "quiet", NULL, "say nothing but why the command could not be run", "", NULL } },
	{ 0, false, set_version, { "version", NULL, "print the version, and end", "", NULL } },
	{ 'h', false, set_help, { "help", NULL, "print this, and end", "", NULL } },
};
/* clang-format on */
#define N_OWN (sizeof(own) / sizeof(own[0]))
#define OWN_FIRST 1 /* of them stand before the settings in --help */

/* Row i of both tables in the order of --help; false behind the last one. */
static bool row_at(size_t i, struct row *ret)
{
	if (i >= OWN_FIRST && i < OWN_FIRST + settings_count) {
		*ret = (struct row){ .env = true, .s = settings_table[i - OWN_FIRST] };
		return true;
	}
	if (i >= OWN_FIRST)
		i -= settings_count;
	if (i >= N_OWN)
		return false;
	*ret = own[i];
	return true;
}

void options_help(void)
{
	char left[40], env[SETTINGS_ENV_MAX];
	struct row r;

	puts("Usage: smolmix-run [options] [--] command [arguments]\n"
	     "Runs a command with its TCP, UDP and DNS going through the Nym mixnet.\n");
	for (size_t i = 0; row_at(i, &r); i++) {
		const char comma[] = { '-', r.letter, ',', ' ', '\0' };

		snprintf(left, sizeof(left), "%s--%s%s%s", r.letter ? comma : "    ", r.s.name,
			 r.s.value ? " " : "", r.s.value ? r.s.value : "");
		settings_env_name(r.s.name, env);
		printf("  %-26s %s%s%s%s\n", left, r.s.help, r.env ? " [" : "", r.env ? env : "",
		       r.env ? "]" : "");
	}
	puts("\nRules are tried in order, the first that matches wins: \"deny D\" (as if it could not be reached), \"tunnel D\"\n"
	     "(through the mixnet, private networks behind the exit too), \"loopback D\" (this machine itself). D is an address,\n"
	     "ADDRESS/BITS or * with :PORT or :PORT-PORT if need be ([V6/BITS]:PORT), or NAME or *.NAME (only whether it is\n"
	     "looked up). Several in one value are separated by \";\". Those of the command line come before those of the\n"
	     "environment, then the configuration file's. After all: this machine by loopback, public addresses by the tunnel,\n"
	     "the rest denied. Port 53 of local addresses is always answered by the servers of --dns. No rule leads past the mixnet.\n"
	     "\nProfiles: default sends 55 packets of 2.4 kB a second and fast 250 of them, always (11.5 and 52 GB a day, 8 and 36\n"
	     "back), so that your link does not show whether you send; fast mixes less. no-poisson sends what there is at once and 5\n"
	     "a second besides (1 GB a day): your link shows when and how much you send, packets are mixed all the same.\n"
	     "\nThe configuration file has a line \"name = value\" for each option with a variable above, \"#\" begins a comment.\n"
	     "\nThe command's exit code is passed on, 128+N when signal N ended it. 125: smolmix could not do what was\n"
	     "asked; 126: the command is not executable; 127: it was not found.");
}

/* ---- parsing ---- */

struct error {
	char *text;
	size_t cap;
};

static int apply(struct options *o, const struct row *r, const char *origin, const char *value,
		 struct error *e)
{
	const char *reason;

	if (!r->set)
		return settings_apply(&o->tunnel, &r->s, origin, value, e->text, e->cap);
	reason = r->set(o, value);
	if (reason)
		settings_refusal(e->text, e->cap, origin, value, reason, NULL, r->s.accepts);
	return reason ? -1 : 0;
}

static int from_environment(struct options *o, struct error *e)
{
	char name[SETTINGS_ENV_MAX];
	struct row row;

	for (size_t i = 0; row_at(i, &row); i++) {
		const char *value;
		int r;

		if (!row.env)
			continue;
		settings_env_name(row.s.name, name);
		value = secure_getenv(name);
		if (!value || !*value)
			continue;
		r = apply(o, &row, name, value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Letters to be changed, left out, added or swapped with the next one. Both are shorter than
 * SETTINGS_ENV_MAX. */
static unsigned typos(const char *a, const char *b)
{
	static unsigned d[SETTINGS_ENV_MAX][SETTINGS_ENV_MAX];
	size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			unsigned v = (unsigned)(i + j);

			if (i && j)
				v = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (i && d[i - 1][j] + 1 < v)
				v = d[i - 1][j] + 1;
			if (j && d[i][j - 1] + 1 < v)
				v = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < v)
				v = d[i - 2][j - 2] + 1;
			d[i][j] = v;
		}
	return d[n][m];
}

bool options_misspelt(const char *var, char *text, size_t cap)
{
	char name[SETTINGS_ENV_MAX], right[SETTINGS_ENV_MAX], best[SETTINGS_ENV_MAX];
	size_t len = strcspn(var, "=");
	unsigned least = TYPOS_MAX + 1;
	struct row row;

	if (len >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)len, var);
	for (size_t i = 0; row_at(i, &row); i++) {
		unsigned n;

		if (!row.env)
			continue;
		settings_env_name(row.s.name, right);
		n = typos(name, right);
		if (!n)
			return false;
		if (n < least && 4 * n <= strlen(row.s.name) + 1) { /* short names are near each other */
			least = n;
			memcpy(best, right, sizeof(best));
		}
	}
	if (least > TYPOS_MAX)
		return false;
	snprintf(text, cap, "%s is not a setting; did you mean %s?", name, best);
	return true;
}

static bool row_by_name(const char *name, size_t len, struct row *ret)
{
	for (size_t i = 0; row_at(i, ret); i++)
		if (strlen(ret->s.name) == len && !strncmp(ret->s.name, name, len))
			return true;
	return false;
}

static const struct row *row_by_letter(char c)
{
	for (size_t i = 0; i < N_OWN; i++)
		if (own[i].letter == c)
			return &own[i];
	return NULL;
}

/* One line of the configuration file: "name = value" or "name". */
static int config_line(struct options *o, const char origin[FILE_NAME_MAX + SETTINGS_ENV_MAX], char *text,
		       struct error *e)
{
	char *name = text + strspn(text, BLANKS), *end = name + strcspn(name, BLANKS "="),
	     *value = end + strspn(end, BLANKS);
	struct row r;
	bool known = row_by_name(name, (size_t)(end - name), &r), given = *value == '=';
	char at[FILE_NAME_MAX + 2 * SETTINGS_ENV_MAX];

	if (!*name || *name == '#')
		return 0;
	*end = '\0';
	snprintf(at, sizeof(at), "%s: %.60s", origin, name);
	if (!known || !r.env || r.set == set_config) {
		snprintf(e->text, e->cap,
			 "%s: no such option in a configuration file; see smolmix-run --help", at);
		return -1;
	}
	value += given;
	value += strspn(value, BLANKS);
	for (end = strchr(value, '\0'); end > value && strchr(BLANKS, end[-1]); end--)
		end[-1] = '\0';
	if (given ? !*value : r.s.value || *value) {
		snprintf(e->text, e->cap, "%s: is not \"name = value\"; %s", at, r.s.accepts);
		return -1;
	}
	return apply(o, &r, at, given ? value : NULL, e);
}

/* As much as there is, up to cap; -1: errno. */
static ssize_t read_whole(int fd, char *text, size_t cap)
{
	size_t n = 0;
	ssize_t got;

	do {
		got = read(fd, text + n, cap - n);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0 && n < cap);
	return got < 0 ? -1 : (ssize_t)n;
}

/* Values of the file are pointed to as long as the program runs. */
static int from_file(struct options *o, const char *path, bool must, struct error *e)
{
	static char text[CONFIG_MAX];
	char origin[FILE_NAME_MAX + SETTINGS_ENV_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC), no = 1, r = 0;
	ssize_t n = fd < 0 ? -1 : read_whole(fd, text, sizeof(text));

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR) && !must)
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
	if (!(dir && *dir) && !(home && *home))
		return 0;
	n = dir && *dir ? snprintf(path, sizeof(path), "%s/smolmix.conf", dir)
			: snprintf(path, sizeof(path), "%s/.config/smolmix.conf", home);
	return n < (int)sizeof(path) ? from_file(o, path, false, e) : 0;
}

/* "--name", "--name=value", "--name value". *at is moved past a value that was the next word. */
static int long_option(struct options *o, char **argv, int *at, struct error *e)
{
	const char *word = argv[*at];
	size_t len = strcspn(word + 2, "=");
	const char *value = word[2 + len] == '=' ? word + 3 + len : NULL;
	char origin[SETTINGS_ENV_MAX];
	struct row r;

	if (!row_by_name(word + 2, len, &r)) {
		snprintf(e->text, e->cap, "%.60s: unknown option; see smolmix-run --help", word);
		return -1;
	}
	snprintf(origin, sizeof(origin), "--%s", r.s.name);
	if (!r.s.value && value) {
		snprintf(e->text, e->cap, "%s: takes no value; leave \"=%.60s\" out", origin, value);
		return -1;
	}
	if (r.s.value && !value)
		value = argv[++*at];
	if (r.s.value && !value) {
		snprintf(e->text, e->cap, "%s: needs a value; %s", origin, r.s.accepts);
		return -1;
	}
	return apply(o, &r, origin, value, e);
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
	memset(o, 0, sizeof(*o));
	settings_defaults(&o->tunnel);
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

/* What one source said of the network replaces what an earlier one did: the file may name one, the command
 * line
 * --localnet. */
struct nets {
	bool localnet, named;
};

static int merge_nets(struct options *o, struct nets *n, struct error *e)
{
	if (o->localnet && o->tunnel.network_given) {
		snprintf(e->text, e->cap,
			 "--localnet: another network was named beside it; leave --network and --api out");
		return -1;
	}
	if (o->localnet || o->tunnel.network_given)
		*n = (struct nets){ o->localnet, o->tunnel.network_given };
	else if (o->localnet_given)
		n->localnet = false;
	o->localnet = o->localnet_given = o->tunnel.network_given = false;
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap)
{
	struct error e = { err, err_cap };
	struct nets nets = { false, false };
	const char *config;
	int r;

	defaults(o);
	r = from_command_line(o, argc, argv, &e);
	/* --help helps against what is wrong elsewhere, too */
	if (r == 0 && o->action != OPTIONS_RUN && o->action != OPTIONS_LIST_EXITS)
		return 0;
	config = o->config;
	defaults(o);
	if (r == 0)
		r = from_config(o, config, &e);
	if (r == 0)
		r = merge_nets(o, &nets, &e);
	o->tunnel.rule_at = 0;
	if (r == 0)
		r = from_environment(o, &e);
	if (r == 0)
		r = merge_nets(o, &nets, &e);
	o->tunnel.rule_at = 0;
	if (r == 0)
		r = from_command_line(o, argc, argv, &e);
	if (r == 0)
		r = merge_nets(o, &nets, &e);
	if (r < 0)
		return r;
	o->localnet = nets.localnet;
	o->tunnel.network_given = nets.named;
	if (settings_finish(&o->tunnel, err, err_cap) < 0)
		return -1;
	if (o->action == OPTIONS_RUN && !o->command[0]) {
		snprintf(err, err_cap, "no command: there is nothing to run; see smolmix-run --help");
		return -1;
	}
	return 0;
}
