/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smolmix-localnet: a whole Nym network in one process, for demos, offline development and tests.
 *
 * Theory of operation. Draws keys, starts the mix nodes, the gateways, the nym-api and the IP packet routers,
 * each on a port of its own, then prints one JSON line with what a client needs: {"api": URL, "gateway": KEY,
 * "exit": RECIPIENT, "gateways": [all of them], "exits": [...], "pid": N}. Stays in the foreground until
 * SIGINT or SIGTERM. Options are the switches of the parts (localnet.h); control.c changes them later.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/base58.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "mixnet/prim.h"
#include "tools/localnet/control.h"
#include "tools/localnet/world.h"

#define FAULTS_MAX 16

/* Faults wanted from when the network is ready: its own exits must get in first. */
static char faults[FAULTS_MAX][CONTROL_LINE];
static unsigned n_faults;
static const char *control_path;

static const char help[] =
	"Usage: smolmix-localnet [options]\n"
	"A Nym network in one process on this machine: nym-api, gateways, mix nodes, exits. It gives no anonymity.\n"
	"Prints one JSON line when ready and runs until Ctrl-C.\n"
	"\n"
	"  --address ADDR         address the nodes listen on (127.0.0.1)\n"
	"  --api-port PORT        port of the nym-api (any free one)\n"
	"  --nodes N              mix nodes in each of the three layers, 1..8 (1); also written 3xN\n"
	"  --gateways N           gateways, 1..8 (1)\n"
	"  --exits N              exits, each behind a gateway of its own (1)\n"
	"  --map ADDR[:PORT]=HOST:PORT  the exit sends packets for ADDR to HOST:PORT; repeatable\n"
	"  --exit-address ADDR    source address of the first exit's connections (127.0.0.77); others' follow\n"
	"  --exit-version 9|10    newest IP packet router version the exit answers (10)\n"
	"  --exit-mtu N           MTU of the exit's interface (1420)\n"
	"  --allow-local          the exit carries packets to private and loopback addresses\n"
	"  --loss PCT             packets lost, per hop\n"
	"  --duplicate PCT        packets sent twice, per hop\n"
	"  --reorder PCT          packets held back by 200 ms, per hop\n"
	"  --delay MS             added to every hop\n"
	"  --jitter MS            uniform extra delay of every hop\n"
	"  --fault COMMAND        one of the commands below, from when the network is ready; dashes may stand for blanks; repeatable\n"
	"  --control PATH         take commands on a local stream socket, one a line; PATH is in a folder of mode 0700\n"
	"  -v, --verbose          log to standard error; twice for more\n"
	"      --version  --help\n"
	"\n"
	"Commands (gateways and exits count from 1; without a number all of them); the answer is \"ok\" or \"error: why\":\n";

static int usage(const char *fmt, const char *arg)
{
	fprintf(stderr, "smolmix-localnet: ");
	fprintf(stderr, fmt, arg);
	fprintf(stderr, "; see --help\n");
	return 2;
}

static bool parse_num(const char *s, double min, double max, double *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (*end || end == s || !(v >= min && v <= max))
		return false;
	*ret = v;
	return true;
}

static bool parse_map(struct localnet_cfg *c, const char *s)
{
	const char *eq = strchr(s, '=');
	char from[ADDR_TEXT];
	struct map *m = &c->map[c->n_maps];

	if (!eq || (size_t)(eq - s) >= sizeof(from) || c->n_maps == LOCALNET_MAPS_MAX)
		return false;
	memcpy(from, s, (size_t)(eq - s));
	from[eq - s] = '\0';
	if (addr_parse(&m->from, from, 0) < 0 || addr_parse(&m->to, eq + 1, 0) < 0 || !m->to.port)
		return false;
	c->n_maps++;
	return true;
}

static int parse_fault(const char *s)
{
	char why[2 * CONTROL_LINE], *line = faults[n_faults];

	if (n_faults == FAULTS_MAX || snprintf(line, CONTROL_LINE, "%s", s) >= CONTROL_LINE)
		return usage("too long or too many: %s", s);
	for (char *p = line; (p = strchr(p, '-'));)
		*p = ' ';
	n_faults++;
	return control_check(line, why, sizeof(why)) < 0 ? usage("--fault: %s", why) : 0;
}

enum {
	O_ADDRESS = 256,
	O_PORT,
	O_NODES,
	O_GATEWAYS,
	O_EXITS,
	O_MAP,
	O_EXIT_ADDR,
	O_EXIT_VER,
	O_MTU,
	O_LOCAL,
	O_LOSS,
	O_DUP,
	O_REORDER,
	O_DELAY,
	O_JITTER,
	O_FAULT,
	O_CONTROL,
	O_VERSION,
	O_HELP
};

static const struct option options[] = {
	{ "address", required_argument, NULL, O_ADDRESS },
	{ "api-port", required_argument, NULL, O_PORT },
	{ "nodes", required_argument, NULL, O_NODES },
	{ "map", required_argument, NULL, O_MAP },
	{ "gateways", required_argument, NULL, O_GATEWAYS },
	{ "exits", required_argument, NULL, O_EXITS },
	{ "control", required_argument, NULL, O_CONTROL },
	{ "exit-address", required_argument, NULL, O_EXIT_ADDR },
	{ "exit-version", required_argument, NULL, O_EXIT_VER },
	{ "exit-mtu", required_argument, NULL, O_MTU },
	{ "allow-local", no_argument, NULL, O_LOCAL },
	{ "loss", required_argument, NULL, O_LOSS },
	{ "duplicate", required_argument, NULL, O_DUP },
	{ "reorder", required_argument, NULL, O_REORDER },
	{ "delay", required_argument, NULL, O_DELAY },
	{ "jitter", required_argument, NULL, O_JITTER },
	{ "fault", required_argument, NULL, O_FAULT },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, O_VERSION },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

/* One option that takes a number. */
static bool apply_number(struct localnet_cfg *c, int o, const char *arg)
{
	double v;
	bool whole;

	if (o == O_NODES && !strncmp(arg, "3x", 2))
		arg += 2;
	if (!parse_num(arg, 0, 1e6, &v))
		return false;
	whole = v == (unsigned)v;
	switch (o) {
	case O_PORT: c->api_port = (uint16_t)v; return whole && v <= 65535;
	case O_NODES: c->per_layer = (unsigned)v; return whole && v >= 1 && v <= LOCALNET_PER_LAYER_MAX;
	case O_GATEWAYS: c->gateways = (unsigned)v; return whole && v >= 1 && v <= LOCALNET_GATEWAYS_MAX;
	case O_EXITS: c->exits = (unsigned)v; return whole && v >= 1 && v <= LOCALNET_GATEWAYS_MAX;
	case O_EXIT_VER: c->exit_version = (unsigned)v; return v == 9 || v == 10;
	case O_MTU: c->mtu = (unsigned)v; return whole && v >= 1280 && v <= 1500;
	case O_LOSS: c->faults.loss = v / 100; return v <= 100;
	case O_DUP: c->faults.duplicate = v / 100; return v <= 100;
	case O_REORDER: c->faults.reorder = v / 100; return v <= 100;
	case O_DELAY: c->faults.delay_us = (uint64_t)(v * 1000); return v <= 60000;
	case O_JITTER: c->faults.jitter_us = (uint64_t)(v * 1000); return v <= 60000;
	}
	return false;
}

/* As parse_options() returns it, after something was printed. */
static int printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 1;
	fprintf(stderr, "smolmix-localnet: standard output: %s; send it elsewhere\n", err_str(-errno));
	return 2;
}

/* 0 = go on, else exit with (ret - 1). */
static int parse_options(struct world *w, int argc, char **argv)
{
	struct localnet_cfg *c = &w->cfg;
	int verbose = 0, o, at = 0;
	bool ok;

	while ((o = getopt_long(argc, argv, "v", options, &at)) != -1) {
		ok = true;
		switch (o) {
		case O_ADDRESS: ok = addr_parse_ip(&c->address, optarg) == 0; break;
		case O_MAP: ok = parse_map(c, optarg); break;
		case O_EXIT_ADDR: ok = addr_parse_ip(&c->exit_address, optarg) == 0; break;
		case O_LOCAL: c->allow_local = true; break;
		case O_FAULT:
			if (parse_fault(optarg))
				return 3;
			break;
		case O_CONTROL: control_path = optarg; break;
		case 'v': verbose++; break;
		case O_VERSION: puts("smolmix-localnet " SMOLMIX_VERSION); return printed();
		case O_HELP:
			fputs(help, stdout);
			control_help();
			return printed();
		case '?': return 3;
		default: ok = apply_number(c, o, optarg); break;
		}
		if (!ok) {
			fprintf(stderr, "smolmix-localnet: --%s: bad value: %s; see --help\n",
				options[at].name, optarg);
			return 3;
		}
	}
	if (optind < argc)
		return 1 + usage("unexpected argument: %s", argv[optind]);
	if (c->exits > c->gateways)
		return 1 + usage("%s is more than there are gateways", "--exits");
	log_init(STDERR_FILENO, verbose > 1 ? LOG_DEBUG : verbose ? LOG_INFO : LOG_WARN, "smolmix-localnet");
	return 0;
}

static void draw_node(struct rng *rng, struct node_info *n, uint32_t id, unsigned layer)
{
	uint8_t seed[32];

	n->id = id;
	n->layer = layer;
	rng_fill(rng, seed, sizeof(seed));
	prim_ed25519_keypair(n->identity_pk, n->identity_sk, seed);
	rng_fill(rng, n->sphinx_sk, sizeof(n->sphinx_sk));
	prim_x25519_base(n->sphinx_pk, n->sphinx_sk[LOCALNET_ROTATION & 1]);
	prim_wipe(seed, sizeof(seed));
}

static void draw_world(struct world *w)
{
	struct directory *d = &w->dir;

	d->rotation = LOCALNET_ROTATION;
	d->epoch = LOCALNET_EPOCH;
	for (unsigned layer = 1; layer <= 3; layer++)
		for (unsigned i = 0; i < w->cfg.per_layer; i++, d->n++)
			draw_node(&w->rng.rng, &d->node[d->n], d->n + 1, layer);
	d->gateway = d->n;
	for (unsigned i = 0; i < w->cfg.gateways; i++, d->n++)
		draw_node(&w->rng.rng, &d->node[d->n], d->n + 1, 0);
	for (unsigned i = 0; i < w->cfg.exits; i++) {
		struct node_info *g = &d->node[d->gateway + i];

		nym_self_new(&w->router_self[i], &w->rng.rng);
		memcpy(w->router_self[i].addr.gateway, g->identity_pk, 32);
		g->ipr = w->router_self[i].addr;
		g->has_ipr = true;
	}
}

static const char *gateway_text(const struct world *w, unsigned i, char out[BASE58_KEY_TEXT])
{
	base58_encode(out, BASE58_KEY_TEXT, w->dir.node[w->dir.gateway + i].identity_pk, 32);
	return out;
}

static bool announce(const struct world *w)
{
	char url[ADDR_TEXT], gw[BASE58_KEY_TEXT], ipr[NYM_RECIPIENT_TEXT];

	printf("{\"api\": \"http://%s/\", \"gateway\": \"%s\", \"exit\": \"%s\", \"gateways\": [",
	       addr_text(&w->api_at, url), gateway_text(w, 0, gw),
	       recipient_text(&w->router_self[0].addr, ipr));
	for (unsigned i = 0; i < w->cfg.gateways; i++)
		printf("%s\"%s\"", i ? ", " : "", gateway_text(w, i, gw));
	printf("], \"exits\": [");
	for (unsigned i = 0; i < w->cfg.exits; i++)
		printf("%s\"%s\"", i ? ", " : "", recipient_text(&w->router_self[i].addr, ipr));
	printf("], \"pid\": %d}\n", (int)getpid());
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void exit_ready(void *owner)
{
	struct world *w = owner;
	char why[2 * CONTROL_LINE];

	if (++w->exits_ready < w->cfg.exits)
		return;
	for (unsigned i = 0; i < n_faults; i++)
		if (control_do(w, faults[i], why, sizeof(why)) < 0)
			log_error("--fault: %s", why);
	if (!announce(w)) {
		fprintf(stderr,
			"smolmix-localnet: standard output: %s; nobody could know where this network is\n",
			err_str(-errno));
		w->failed = true;
		loop_quit(w->loop);
	}
}

static void on_signal(void *owner, uint32_t events)
{
	struct world *w = owner;
	struct signalfd_siginfo si;

	(void)events;
	if (read(w->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		loop_quit(w->loop);
}

static int watch_signals(struct world *w)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa;
	sigset_t set;

	sigemptyset(&set);
	/* nohup, and shells for jobs in the background, switch signals off; a blocked one would be read all
	 * the same. */
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		if (sigaction(ending[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(&set, ending[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signal_fd < 0)
		return -errno;
	return loop_watch_add(w->loop, &w->signals, w->signal_fd, LOOP_IN, on_signal, w);
}

static int start(struct world *w)
{
	struct directory *d = &w->dir;
	int r = prim_init();

	if (r < 0)
		return r;
	w->loop = loop_new(clock_system());
	w->ws = w->loop ? ws_new(w->loop, 256) : NULL;
	if (!w->ws)
		return -errno;
	r = watch_signals(w);
	if (r < 0)
		return r;
	rng_ahead_init(&w->rng, rng_system());
	draw_world(w);
	for (unsigned i = 0; i < d->gateway; i++) {
		w->node[i] = node_new(w->loop, &w->rng.rng, &w->cfg, d, &d->node[i], NULL, NULL);
		if (!w->node[i])
			return -errno;
	}
	for (unsigned i = 0; i < w->cfg.gateways; i++) {
		w->gateway[i] =
			gateway_new(w->loop, w->ws, &w->rng.rng, &w->cfg, d, &d->node[d->gateway + i]);
		if (!w->gateway[i])
			return -errno;
	}
	w->api = nymapi_new(w->ws, &w->cfg, d, &w->api_at);
	if (!w->api)
		return -errno;
	for (unsigned i = 0; i < w->cfg.exits; i++) {
		struct addr source = w->cfg.exit_address;

		source.ip[source.family == 4 ? 3 : 15] += (uint8_t)i;
		w->router[i] = router_new(w->loop, w->ws, &w->rng.rng, &w->cfg, d, &d->node[d->gateway + i],
					  &w->router_self[i], &source, exit_ready, w);
		if (!w->router[i])
			return -errno;
	}
	return 0;
}

static bool start_control(struct world *w)
{
	if (control_path)
		w->control = control_new(w, control_path);
	if (control_path && !w->control)
		fprintf(stderr,
			"smolmix-localnet: --control %s: %s; name a new socket in a folder of yours with mode 0700\n",
			control_path, err_str(-errno));
	return !control_path || w->control;
}

static void stop(struct world *w)
{
	control_free(w->control);
	for (unsigned i = 0; i < w->cfg.exits; i++)
		router_free(w->router[i]);
	nymapi_free(w->api);
	for (unsigned i = 0; i < w->cfg.gateways; i++)
		gateway_free(w->gateway[i]);
	for (unsigned i = 0; i < w->dir.gateway; i++)
		node_free(w->node[i]);
	ws_free(w->ws);
	loop_watch_remove(&w->signals);
	loop_free(w->loop);
	prim_wipe(&w->rng, sizeof(w->rng));
	prim_wipe(w->router_self, sizeof(w->router_self));
	prim_wipe(&w->dir, sizeof(w->dir));
}

int main(int argc, char **argv)
{
	static struct world w = {
		.cfg = { .per_layer = 1, .gateways = 1, .exits = 1, .exit_version = 10, .mtu = 1420 },
		.signal_fd = -1
	};
	int r;

	r = fd_standard();
	if (r < 0)
		return 1;
	addr_parse_ip(&w.cfg.address, "127.0.0.1");
	addr_parse_ip(&w.cfg.exit_address, "127.0.0.77");
	w.cfg.faults.reorder_us = 200 * US_PER_MS;
	rng_seeded_init(&w.hostile, 1);
	w.cfg.hostile = &w.hostile.rng;
	r = parse_options(&w, argc, argv);
	if (r)
		return r - 1;
	r = start(&w);
	if (r < 0)
		fprintf(stderr, "smolmix-localnet: cannot start: %s; see --address and --api-port\n",
			err_str(r));
	else
		r = start_control(&w) ? ws_run(w.ws, NULL, NULL) : SMX_ECONFIG;
	stop(&w);
	return r < 0 || w.failed ? 1 : 0;
}
