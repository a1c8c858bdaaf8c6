/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smolmix-run --list-exits.
 *
 * Theory of operation. The directory is fetched by the client and within the time a run has for it, on a loop
 * of its own in this thread; there is no tunnel, so that no gateway hears of us. Which exits there are
 * topology.h says, the same rule that a run draws by. Signals end it as they end any program, since nothing
 * has to be put in order. Only SIGPIPE is switched off while there are sockets: a server may hang up. When
 * the reader of the table does, as head(1), that ends us as usual.
 *
 * One line per exit, columns parted by blanks, none of them empty or with a blank inside, below a header that
 * is there in a pipe, too, as that of ps(1).
 */
#include "tools/run/exits.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/base58.h"
#include "base/err.h"
#include "mixnet/api.h"
#include "stack/host.h"

#define MAX_CONNS 16
#define VERSION_TEXT 20
#define KEY_TEXT 48

struct listing {
	struct loop *loop;
	struct topology *topo;
	bool done;
	char *err;
	size_t err_cap;
};

static void on_directory(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
			 const char *what)
{
	struct listing *l = owner;

	l->topo = topo;
	l->done = true;
	if (err < 0)
		snprintf(l->err, l->err_cap,
			 "directory: %s; check the network, or use another --api or --network", what);
	loop_quit(l->loop);
}

static int fetch(struct listing *l, const struct bridge_cfg *cfg)
{
	struct ws *ws = NULL;
	struct api *api = NULL;
	int r = 0;

	l->loop = loop_new(clock_system());
	if (l->loop)
		ws = ws_new(l->loop, MAX_CONNS);
	if (ws)
		api = api_new(l->loop, ws, &cfg->net);
	if (!api)
		r = -errno;
	if (api)
		api_fetch(api, true, loop_now(l->loop) + cfg->bootstrap_us, on_directory, l);
	if (api && !l->done)
		r = ws_run(ws, NULL, NULL);
	if (!l->done)
		snprintf(l->err, l->err_cap, "directory: %s; free memory or descriptors", err_str(r));
	api_free(api);
	ws_free(ws);
	loop_free(l->loop);
	return l->topo ? 0 : -1;
}

static void print(const struct topo_node *n)
{
	char version[VERSION_TEXT], gateway[KEY_TEXT], recipient[NYM_RECIPIENT_TEXT];

	snprintf(version, sizeof(version), "%u.%u.%u", n->version.major, n->version.minor, n->version.patch);
	base58_encode(gateway, sizeof(gateway), n->ipr.gateway, sizeof(n->ipr.gateway));
	printf("%-7s %5u %-9s %-44s %s\n", n->country[0] ? n->country : "-", n->performance, version, gateway,
	       recipient_text(&n->ipr, recipient));
}

int exits_list(const struct settings *s, char *err, size_t err_cap)
{
	enum exit_choice how = s->exit_given ? EXIT_AUTO : s->exit_how;
	struct listing l = { .err = err, .err_cap = err_cap };
	static const struct topo_node *node[TOPO_NODES_MAX];
	struct tunnel_cfg cfg;
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	size_t n;
	int r;

	host_cfg(&cfg, s, NULL);
	r = fetch(&l, &cfg.bridge);
	signal(SIGPIPE, before);
	if (r < 0)
		return r;
	n = topology_list_exits(l.topo, how, s->exit_country, node);
	if (!n)
		snprintf(
			err, err_cap,
			"exit: the directory lists no usable exit%s%s; use another --exit, --network or --api",
			how == EXIT_COUNTRY ? " in " : "", how == EXIT_COUNTRY ? s->exit_country : "");
	if (n)
		printf("%-7s %5s %-9s %-44s %s\n", "COUNTRY", "PERF%", "VERSION", "GATEWAY", "RECIPIENT");
	for (size_t i = 0; i < n; i++)
		print(node[i]);
	api_topology_free(l.topo);
	return n ? 0 : -1;
}
