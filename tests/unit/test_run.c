/* SPDX-License-Identifier: Apache-2.0 */
/* smolmix-run before the network: options on the command line and in the environment, finding the command,
 * the statistics file. */
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/statsfile.h"
#include "tools/run/options.h"
#include "tools/run/paths.h"
#include "tools/run/progress.h"

#define ARGS_MAX 16

static struct options opt;
static char line[1024];

/* Parses words separated by blanks. */
static int parse(const char *words)
{
	static char buf[1024], *argv[ARGS_MAX];
	int argc = 1;
	char *save;

	snprintf(buf, sizeof(buf), "%s", words);
	argv[0] = (char[]){ "smolmix-run" };
	for (char *w = strtok_r(buf, " ", &save); w && argc < ARGS_MAX - 1; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	line[0] = '\0';
	return options_parse(&opt, argc, argv, line, sizeof(line));
}

static void accepted(void **state)
{
	assert_int_equal(parse("curl -v --exit x"), 0);
	assert_string_equal(opt.command[0], "curl");
	assert_string_equal(opt.command[1], "-v");
	assert_int_equal(opt.tunnel.exit_how, EXIT_AUTO);
	assert_string_equal(opt.tunnel.profile->name, "default");
	assert_int_equal(opt.tunnel.n_dns, 2);
	assert_int_equal(opt.tunnel.dns[0].port, 53);
	assert_int_equal(parse("--mtu=1280 --profile fast --dns 1.2.3.4:5353,[::1]:53 -vv -q -- --odd"), 0);
	assert_int_equal(opt.tunnel.mtu, 1280);
	assert_string_equal(opt.tunnel.profile->name, "fast");
	assert_int_equal(opt.tunnel.n_dns, 2);
	assert_int_equal(opt.tunnel.dns[0].port, 5353);
	assert_int_equal(opt.tunnel.dns[1].family, 6);
	assert_int_equal(opt.verbose, 2);
	assert_true(opt.quiet);
	assert_string_equal(opt.command[0], "--odd");
	assert_int_equal(parse("--exit country:de true"), 0);
	assert_int_equal(opt.tunnel.exit_how, EXIT_COUNTRY);
	assert_string_equal(opt.tunnel.exit_country, "DE");
	assert_int_equal(parse("--exit random true"), 0);
	assert_int_equal(opt.tunnel.exit_how, EXIT_RANDOM);
	assert_int_equal(parse("--profile no-poisson --unsafe-profile true"), 0);
	assert_string_equal(opt.tunnel.profile->name, "no-poisson");
	assert_int_equal(parse("--unsafe-profile true"), 0);
	assert_string_equal(opt.tunnel.profile->name, "default");
	assert_int_equal(parse("--gateway 3yv4qTKVxC5Vqgtshzkcm8nT1q9zeETnj3RMDiaREeB5 true"), 0);
	assert_true(opt.tunnel.gateway_given);
	assert_int_equal(parse("--mtu 576 true"), 0);
	assert_int_equal(parse("--mtu 1557 true"), 0);
	assert_int_equal(parse("--help"), 0);
	assert_int_equal(opt.action, OPTIONS_HELP);
	assert_int_equal(parse("--version"), 0);
	assert_int_equal(opt.action, OPTIONS_VERSION);
	assert_int_equal(parse("--check"), 0);
	assert_int_equal(opt.action, OPTIONS_CHECK);
	assert_int_equal(parse("--list-exits --exit country:de"), 0); /* the network's options count */
	assert_int_equal(opt.action, OPTIONS_LIST_EXITS);
	assert_string_equal(opt.tunnel.exit_country, "DE");
	assert_int_equal(parse("--status"), 0);
	assert_int_equal(opt.action, OPTIONS_STATUS);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"",
		"--",
		"--frobnicate true",
		"-x true",
		"-vx true",
		"--exit",
		"--exit nonsense true",
		"--exit country:XYZ true",
		"--exit country:1A true",
		"--gateway 0OIl true",
		"--dns example.org true",
		"--dns 1.2.3.4, true",
		"--dns 1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5 true",
		"--mtu 575 true",
		"--mtu 1558 true",
		"--mtu abc true",
		"--mtu -1 true",
		"--mtu= true",
		"--ipr-version 10 true",
		"--ipr-version 1.37.0-rc true",
		"--profile warp true",
		"--profile no-poisson true",
		"--unsafe-profile=1 true",
		"--network /nonexistent true",
		"--api ftp://x/ true",
		"--quiet=1 true",
		"--rule= true",
		"--rule deny true",
		"--rule=direct\t1.1.1.1 true",
		"--rule=deny\t1.1.1.1/33 true",
		"--rule=deny\texample.org:80 true",
		"--rule=deny\t*;tunnel\t127.0.0.1 true",
		"--config /nonexistent true",
		"--config /tmp true",
		"--localnet --api http://127.0.0.1:1/ true",
		"--list-exits --exit nonsense",
		"--list-exits=1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i]);
		assert_int_equal(parse(bad[i]), -1);
		/* what: why; what to change - in one line */
		assert_non_null(strchr(line, ':'));
		assert_non_null(strchr(line, ';'));
		assert_null(strchr(line, '\n'));
	}
}

static void environment(void **state)
{
	setenv("SMOLMIX_MTU", "1300", 1);
	setenv("SMOLMIX_STATS_JSON", "/tmp/x", 1);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.mtu, 1300);
	assert_string_equal(opt.tunnel.stats_json, "/tmp/x");
	assert_int_equal(parse("--mtu 1400 true"), 0);
	assert_int_equal(opt.tunnel.mtu, 1400);
	setenv("SMOLMIX_MTU", "", 1);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.mtu, 0);
	setenv("SMOLMIX_MTU", "9", 1);
	assert_int_equal(parse("true"), -1);
	assert_non_null(strstr(line, "SMOLMIX_MTU"));
	/* what says how to write it is not refused for it */
	assert_int_equal(parse("--help"), 0);
	assert_int_equal(parse("--version --config /nonexistent"), 0);
	assert_int_equal(parse("--check"), 0);
	unsetenv("SMOLMIX_MTU");
	setenv("SMOLMIX_IPR_VERSION", "1.36.2", 1);
	assert_int_equal(parse("true"), 0);
	assert_true(opt.tunnel.ipr_version.known);
	assert_int_equal(opt.tunnel.ipr_version.minor, 36);
	unsetenv("SMOLMIX_IPR_VERSION");
	unsetenv("SMOLMIX_STATS_JSON");
	setenv("SMOLMIX_VERBOSE", "0", 1);
	assert_int_equal(parse("true"), 0);
	assert_true(opt.quiet);
	assert_int_equal(parse("-v true"), 0);
	assert_false(opt.quiet);
	setenv("SMOLMIX_VERBOSE", "4", 1);
	assert_int_equal(parse("true"), -1);
	unsetenv("SMOLMIX_VERBOSE");
}

static void misspelt(void **state)
{
	static const char *const wrong[][2] = {
		{ "SMOLMIX_PROFLE=fast", "SMOLMIX_PROFILE" },
		{ "SMOLMIX_EIXT=auto", "SMOLMIX_EXIT" },
		{ "SMOLMIX_GATEWAYS=x", "SMOLMIX_GATEWAY" },
		{ "SMOLMIX_STATSJSON=/tmp/x", "SMOLMIX_STATS_JSON" },
		{ "SMOLMX_MTU=1300", "SMOLMIX_MTU" },
		{ "SMOLMIX_RULES=", "SMOLMIX_RULE" },
		{ "SMOLMIX_VERBOUS=2", "SMOLMIX_VERBOSE" },
	};
	static const char *const other[] = {
		"SMOLMIX_PROFILE=fast",
		"SMOLMIX_VERBOSE=2",
		"SMOLMIX_LOCALNET=1",
		"SMOLMIX_SOCKET=/tmp/x",
		"SMOLMIX_BUILD=build",
		"SMOLMIX_CLIENT=x",
		"SMOLMIX_DIR=x",
		"PATH=/bin",
		"SMOLMIX_",
		"SMOLMIX",
		"=",
		"",
	};
	char name[200] = "SMOLMIX_";

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		print_message("%s\n", wrong[i][0]);
		assert_true(options_misspelt(wrong[i][0], line, sizeof(line)));
		assert_int_equal(strncmp(line, wrong[i][0], strcspn(wrong[i][0], "=")), 0);
		assert_non_null(strstr(line, wrong[i][1]));
		assert_true(strchr(line, '?') > strstr(line, wrong[i][1]) + strlen(wrong[i][1]) - 1);
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		print_message("%s\n", other[i]);
		assert_false(options_misspelt(other[i], line, sizeof(line)));
	}
	memset(name + 8, 'A', sizeof(name) - 9);
	assert_false(options_misspelt(name, line, sizeof(line)));
}

/* The network that the last source names, be it the local one. */
static void networks(void **state)
{
	setenv("SMOLMIX_API", "http://127.0.0.1:1/", 1);
	assert_int_equal(parse("true"), 0);
	assert_true(opt.tunnel.network_given && !opt.localnet);
	assert_int_equal(parse("--localnet true"), 0);
	assert_true(opt.localnet && !opt.tunnel.network_given);
	setenv("SMOLMIX_LOCALNET", "1", 1);
	assert_int_equal(parse("true"), -1);
	assert_non_null(strstr(line, "--localnet"));
	unsetenv("SMOLMIX_API");
	assert_int_equal(parse("true"), 0);
	assert_true(opt.localnet && !opt.tunnel.network_given);
	assert_int_equal(parse("--network sandbox true"), 0);
	assert_true(opt.tunnel.network_given && !opt.localnet);
	assert_int_equal(parse("--localnet --network sandbox true"), -1);
	setenv("SMOLMIX_LOCALNET", "0", 1);
	assert_int_equal(parse("true"), 0);
	assert_false(opt.localnet);
	unsetenv("SMOLMIX_LOCALNET");
}

/* Ordered rules: command line, environment, file; within each as given. */
static void ruled(void **state)
{
	char many[1024] = "";

	setenv("SMOLMIX_RULE", "deny 2.2.2.2; tunnel *.org", 1);
	assert_int_equal(parse("--rule=deny\t1.1.1.1 --rule tunnel\t* true"), 0);
	assert_string_equal(opt.tunnel.rule_text, "deny\t1.1.1.1;tunnel\t*;deny 2.2.2.2; tunnel *.org;");
	assert_int_equal(opt.tunnel.rules.n, 4);
	assert_int_equal(opt.tunnel.rules.rule[0].verb, RULE_DENY);
	assert_int_equal(opt.tunnel.rules.rule[2].ip[0], 2);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.rules.n, 2);
	setenv("SMOLMIX_RULE", "deny 2.2.2.2; allow *", 1);
	assert_int_equal(parse("true"), -1);
	assert_non_null(strstr(line, "SMOLMIX_RULE: \" allow *\""));
	unsetenv("SMOLMIX_RULE");
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.rules.n, 0);
	assert_string_equal(opt.tunnel.rule_text, "");
	for (int i = 0; i < RULES_MAX; i++)
		strncat(many, "deny\t*;", sizeof(many) - strlen(many) - 1);
	setenv("SMOLMIX_RULE", many, 1);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(parse("--rule=deny\t* true"), -1);
	assert_non_null(strstr(line, "too many"));
	unsetenv("SMOLMIX_RULE");
}

static void config(const char *text, const char *words, int want)
{
	char name[] = "/tmp/smolmix-conf-XXXXXX", all[256];
	int fd = mkstemp(name);

	print_message("%s\n", text);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	snprintf(all, sizeof(all), "--config %s %s", name, words);
	assert_int_equal(parse(all), want);
	unlink(name);
}

/* A file that comes in two parts, as that of a shell's <(cat a b) does: the second is not left out. */
static void config_pipe(void **state)
{
	char words[64];
	int p[2], left = 1;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "mtu = 1300\n", 11), 11);
	pid = fork();
	if (pid == 0) {
		while (left && ioctl(p[0], FIONREAD, &left) == 0)
			usleep(1000);
		_exit(write(p[1], "rule = deny 1.1.1.1\n", 20) != 20);
	}
	close(p[1]);
	snprintf(words, sizeof(words), "--config /dev/fd/%d true", p[0]);
	assert_int_equal(parse(words), 0);
	close(p[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(opt.tunnel.mtu, 1300);
	assert_int_equal(opt.tunnel.rules.n, 1);
}

static void configuration(void **state)
{
	static const char *const bad[] = {
		"mtu 1300", "mtu =",	   "mtu = 9",	  "= 1300",	     "no-such = 1",
		"help",	    "config = /x", "localnet on", "rule = direct *", "mtu = 1300\nrule = deny x y\n"
	};
	char dir[] = "/tmp/smolmix-home-XXXXXX", file[64];
	int fd;

	config("# a comment\n\n  mtu = 1300 \r\nprofile=fast\nlocalnet\nstats-json = /tmp/a b\n", "true", 0);
	assert_int_equal(opt.tunnel.mtu, 1300);
	assert_string_equal(opt.tunnel.profile->name, "fast");
	assert_true(opt.localnet);
	assert_string_equal(opt.tunnel.stats_json, "/tmp/a b");
	/* file, environment, command line: the later one wins */
	setenv("SMOLMIX_MTU", "1400", 1);
	config("mtu = 1300", "true", 0);
	assert_int_equal(opt.tunnel.mtu, 1400);
	config("mtu = 1300", "--mtu 1500 true", 0);
	assert_int_equal(opt.tunnel.mtu, 1500);
	unsetenv("SMOLMIX_MTU");
	setenv("SMOLMIX_RULE", "deny 2.2.2.2", 1);
	config("rule = deny 3.3.3.3\nrule = deny 4.4.4.4; deny 5.5.5.5\n", "--rule=deny\t1.1.1.1 true", 0);
	assert_int_equal(opt.tunnel.rules.n, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(opt.tunnel.rules.rule[i].ip[0], i + 1);
	unsetenv("SMOLMIX_RULE");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config(bad[i], "true", -1);
		assert_non_null(strchr(line, ';'));
		assert_null(strchr(line, '\n'));
	}
	assert_non_null(strstr(line, ":2: rule"));
	/* the usual place, where there is one */
	setenv("HOME", "/dev/null", 1);
	assert_int_equal(parse("true"), 0);
	unsetenv("HOME");
	assert_int_equal(parse("true"), 0);
	setenv("HOME", "/nonexistent", 1);
	assert_non_null(mkdtemp(dir));
	setenv("XDG_CONFIG_HOME", dir, 1);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.mtu, 0);
	snprintf(file, sizeof(file), "%s/smolmix.conf", dir);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "mtu = 700", 9), 9);
	close(fd);
	assert_int_equal(parse("true"), 0);
	assert_int_equal(opt.tunnel.mtu, 700);
	unsetenv("XDG_CONFIG_HOME");
	unlink(file);
	rmdir(dir);
}

static void commands(void **state)
{
	char path[PATHS_MAX], dir[] = "/tmp/smolmix-run-XXXXXX", file[64], old[PATHS_MAX];
	int fd;

	assert_int_equal(paths_command("sh", path, line, sizeof(line)), 0);
	assert_int_equal(path[0], '/');
	assert_int_equal(paths_command("/bin/sh", path, line, sizeof(line)), 0);
	assert_int_equal(paths_command("no-such-command-here", path, line, sizeof(line)), 127);
	assert_int_equal(paths_command("/no/such/file", path, line, sizeof(line)), 127);
	assert_int_equal(paths_command("/etc/passwd", path, line, sizeof(line)), 126);
	assert_int_equal(paths_command("/tmp", path, line, sizeof(line)), 126);
	assert_int_equal(paths_command("", path, line, sizeof(line)), 127);
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/tool", dir);
	fd = open(file, O_WRONLY | O_CREAT, 0755);
	assert_int_equal(write(fd, "#!/bin/sh\n", 10), 10);
	close(fd);
	snprintf(old, sizeof(old), "%s", secure_getenv("PATH"));
	setenv("PATH", dir, 1);
	assert_int_equal(paths_command("tool", path, line, sizeof(line)), 0);
	assert_string_equal(path, file);
	assert_int_equal(paths_command("sh", path, line, sizeof(line)), 127);
	chmod(file, 0644);
	if (geteuid() != 0 || access(file, X_OK) < 0)
		assert_int_equal(paths_command("tool", path, line, sizeof(line)), 126);
	/* Statically linked: 64-bit ELF of this machine without an interpreter. */
	chmod(file, 0755);
	fd = open("/proc/self/exe", O_RDONLY);
	assert_int_equal(read(fd, path, 64), 64);
	close(fd);
	memset(path + 56, 0, 2); /* no program headers */
	fd = open(file, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, path, 64), 64);
	close(fd);
	assert_int_equal(paths_command("tool", path, line, sizeof(line)), 125);
	assert_non_null(strstr(line, "statically"));
	setenv("PATH", old, 1);
	unlink(file);
	rmdir(dir);
}

static void private_dir(void **state)
{
	char dir[PATHS_MAX];
	struct stat st;

	assert_int_equal(paths_private_dir(dir), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, geteuid() ? 0700 : 0711);
	assert_true(strlen(dir) < 100);
	assert_true(paths_is_private(strrchr(dir, '/') + 1));
	assert_false(paths_is_private("smolmix-e2e-abcdef"));
	assert_false(paths_is_private("smolmix-abcde"));
	assert_false(paths_is_private("another-abcdef"));
	rmdir(dir);
}

static void statistics(void **state)
{
	static const char *const keys[] = {
		"state",
		"cause",
		"profile",
		"exit",
		"exit_version",
		"gateway",
		"address4",
		"address6",
		"mtu",
		"bootstrap_ms",
		"uptime_ms",
		"packets_real",
		"packets_cover",
		"packets_received",
		"acks_received",
		"retransmissions",
		"replies_received",
		"surbs_sent",
		"surbs_stock",
		"bytes_up",
		"bytes_down",
		"rtt_ms",
		"connections_open",
		"connections_total",
		"dns_queries",
		"udp_dropped",
		"frames_dropped",
		"reconnects",
		"given_up",
		"unknown_acks",
		"keys_evicted",
		"gaps_given_up",
		"rx_dropped",
		"acks_awaited",
		"packets_kept",
		"reply_keys",
		"fragments_held",
		"packets_held",
		"packets_queued",
	};
	char dir[] = "/tmp/smolmix-stats-XXXXXX", file[64];
	struct tunnel_stats s = { .bridge = { .state = BRIDGE_READY,
					      .profile = "fast",
					      .mtu = 1420,
					      .bootstrap_us = 1999,
					      .cause = "a \"cause\"" },
				  .stack = { .connections_open = 3 } };
	json_t *o;

	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/s.json", dir);
	addr_parse_ip(&s.bridge.ip4, "10.0.0.5");
	assert_int_equal(statsfile_write(file, &s), 0);
	assert_int_equal(statsfile_write(file, &s), 0);
	o = json_load_file(file, 0, NULL);
	assert_non_null(o);
	assert_int_equal(json_object_size(o), sizeof(keys) / sizeof(keys[0]));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_object_get(o, keys[i]));
	assert_string_equal(json_string_value(json_object_get(o, "state")), "ready");
	assert_string_equal(json_string_value(json_object_get(o, "address4")), "10.0.0.5");
	assert_string_equal(json_string_value(json_object_get(o, "address6")), "");
	assert_int_equal(json_integer_value(json_object_get(o, "bootstrap_ms")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "connections_open")), 3);
	json_decref(o);
	unlink(file);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
	assert_int_equal(statsfile_write(file, &s), -2);
}

/* What a terminal shows of a bootstrap that was seen in these states. */
static void shown(const enum bridge_state *states, size_t n, const char *want)
{
	struct bridge_stats s = { .bootstrap_us = 2100000 };
	struct progress p;
	int out = memfd_create("terminal", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
	char got[200] = "";

	progress_init(&p, true);
	p.on = true;
	dup2(out, STDERR_FILENO);
	for (size_t i = 0; i < n; i++) {
		s.state = states[i];
		progress_update(&p, &s);
	}
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	assert_true(pread(out, got, sizeof(got) - 1, 0) >= 0);
	assert_string_equal(got, want);
	close(out);
	close(kept);
}

static void progress(void **state)
{
	static const enum bridge_state all[] = { BRIDGE_DIRECTORY, BRIDGE_GATEWAY,	BRIDGE_EXIT,
						 BRIDGE_READY,	   BRIDGE_RECONNECTING, BRIDGE_READY },
				       again[] = { BRIDGE_DIRECTORY, BRIDGE_EXIT, BRIDGE_GATEWAY,
						   BRIDGE_READY },
				       failed[] = { BRIDGE_GATEWAY, BRIDGE_FAILED };

	shown(all, 6, "smolmix: api, gateway, exit, ready in 2.1 s\n");
	shown(all + 1, 3, "smolmix: api, gateway, exit, ready in 2.1 s\n");
	shown(all + 3, 1, "smolmix: api, gateway, exit, ready in 2.1 s\n");
	shown(again, 4, "smolmix: api, gateway, exit, gateway, exit, ready in 2.1 s\n");
	shown(failed, 2, "smolmix: api, gateway\n");
}

int main(void)
{
	setenv("HOME", "/nonexistent", 1);
	unsetenv("XDG_CONFIG_HOME");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted), cmocka_unit_test(refused),	     cmocka_unit_test(environment),
		cmocka_unit_test(misspelt), cmocka_unit_test(networks),	     cmocka_unit_test(progress),
		cmocka_unit_test(ruled),    cmocka_unit_test(configuration), cmocka_unit_test(config_pipe),
		cmocka_unit_test(commands), cmocka_unit_test(private_dir),   cmocka_unit_test(statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
