/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that disturb the network.
 *
 * Theory of operation. One table: the words of a command, the numbers it takes, what it does. Commands set a
 * field that a part of the network looks at (struct misbehaviour, struct faults), or call the part. Gateways
 * and exits are counted from 1 in the order of the ready line; without a number all of them are meant. Mix
 * nodes are named by the id the directory gives them.
 *
 * The socket is a stream; a connection may send any number of lines and gets one line for each, in order.
 */
#include "tools/localnet/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "mixnet/prim.h"
#include "tools/localnet/world.h"

#define NUMBERS_MAX 2
#define MS_MAX 60000

struct command;

/* One command with its numbers, while it runs. */
struct order {
	struct world *w;
	const struct command *cmd;
	double num[NUMBERS_MAX];
	unsigned n;
};

struct command {
	const char *words, *args, *help;
	unsigned min, max;		   /* numbers it takes */
	int (*run)(const struct order *o); /* 0 or negative; NULL world: only looks at the numbers */
	size_t value;
};

/* ---- what they do ---- */

static int wire_share(const struct order *o)
{
	if (o->num[0] > 100)
		return -ERANGE;
	if (o->w)
		*(double *)((char *)&o->w->cfg.faults + o->cmd->value) = o->num[0] / 100;
	return 0;
}

static int wire_time(const struct order *o)
{
	if (o->num[0] > MS_MAX)
		return -ERANGE;
	if (o->w)
		*(uint64_t *)((char *)&o->w->cfg.faults + o->cmd->value) = (uint64_t)(o->num[0] * 1000);
	return 0;
}

static int api_answers(const struct order *o)
{
	if (!o->w)
		return 0;
	o->w->cfg.api_fault = (enum api_fault)o->cmd->value;
	return nymapi_start(o->w->api);
}

static int api_down(const struct order *o)
{
	if (o->w)
		nymapi_stop(o->w->api);
	return 0;
}

enum { NODE_OK, NODE_DEAD, NODE_SLOW };

static int mix_node(const struct order *o)
{
	struct misbehaviour *bad;

	if (o->num[0] < 1 || o->num[1] > MS_MAX)
		return -ERANGE;
	if (!o->w)
		return 0;
	if (o->num[0] > o->w->dir.gateway)
		return -ERANGE;
	bad = &o->w->dir.node[(unsigned)o->num[0] - 1].bad;
	bad->dead = o->cmd->value == NODE_DEAD;
	bad->spoil = SPOIL_NOT;
	bad->slow_us = o->cmd->value == NODE_SLOW ? (uint64_t)(o->num[1] * 1000) : 0;
	return 0;
}

static int mix_node_spoils(const struct order *o)
{
	if (o->num[0] < 1)
		return -ERANGE;
	if (!o->w)
		return 0;
	if (o->num[0] > o->w->dir.gateway)
		return -ERANGE;
	o->w->dir.node[(unsigned)o->num[0] - 1].bad.spoil = (enum spoil)o->cmd->value;
	return 0;
}

static int seed(const struct order *o)
{
	if (o->w)
		rng_seeded_init(&o->w->hostile, (uint64_t)o->num[0]);
	return 0;
}

/* The chosen ones of count: first index and one behind the last; which is the position of their number. */
static int chosen(const struct order *o, unsigned which, unsigned count, unsigned *ret_from, unsigned *ret_to)
{
	unsigned at = o->n > which ? (unsigned)o->num[which] : 0;

	*ret_from = at ? at - 1 : 0;
	*ret_to = at ? at : count;
	return o->n > which && (at < 1 || at > count) ? -ERANGE : 0;
}

enum {
	GATEWAY_OK,
	GATEWAY_STOP,
	GATEWAY_START,
	GATEWAY_RESET,
	GATEWAY_FORGET,
	GATEWAY_STALL,
	GATEWAY_HALF,
	GATEWAY_CREDENTIALS,
	GATEWAY_SWALLOW,
	GATEWAY_UNLIST,
	GATEWAY_CLOSE,
	GATEWAY_SKEW
};

static int one_gateway(const struct order *o, unsigned i)
{
	struct gateway *g = o->w->gateway[i];
	struct misbehaviour *bad = &o->w->dir.node[o->w->dir.gateway + i].bad;

	switch (o->cmd->value) {
	case GATEWAY_OK:
		bad->stalled = bad->credentials = bad->swallows = bad->unlisted = false;
		bad->close_step = 0;
		bad->skew_s = 0;
		bad->spoil = SPOIL_NOT;
		return 0;
	case GATEWAY_STOP: gateway_stop(g); return 0;
	case GATEWAY_START: return gateway_start(g);
	case GATEWAY_RESET: gateway_reset(g); return 0;
	case GATEWAY_FORGET: gateway_forget(g); return 0;
	case GATEWAY_STALL: bad->stalled = true; return 0;
	case GATEWAY_HALF: gateway_half_open(g); return 0;
	case GATEWAY_SKEW: bad->skew_s = (int64_t)o->num[0]; return 0;
	case GATEWAY_CREDENTIALS: bad->credentials = true; return 0;
	case GATEWAY_SWALLOW: bad->swallows = true; return 0;
	case GATEWAY_UNLIST: bad->unlisted = true; return 0;
	case GATEWAY_CLOSE: bad->close_step = (unsigned)o->num[0]; return 0;
	}
	return 0;
}

/* What a command does to each of those it means; which is the position of their number. */
static int each(const struct order *o, unsigned which, unsigned count,
		int (*one)(const struct order *o, unsigned i))
{
	unsigned i, to;
	int r;

	if (!o->w)
		return 0;
	r = chosen(o, which, count, &i, &to);
	for (; i < to && r == 0; i++)
		r = one(o, i);
	return r;
}

static struct misbehaviour *faults_of(const struct order *o, unsigned gateway)
{
	return &o->w->dir.node[o->w->dir.gateway + gateway].bad;
}

static int gateways(const struct order *o)
{
	bool number = o->cmd->value == GATEWAY_CLOSE || o->cmd->value == GATEWAY_SKEW;

	if (o->cmd->value == GATEWAY_CLOSE && (o->num[0] < 1 || o->num[0] > 4))
		return -ERANGE;
	return each(o, number, o->w ? o->w->cfg.gateways : 0, one_gateway);
}

static int one_gateway_spoils(const struct order *o, unsigned i)
{
	faults_of(o, i)->spoil = (enum spoil)o->cmd->value;
	return 0;
}

static int gateways_spoil(const struct order *o)
{
	return each(o, 0, o->w ? o->w->cfg.gateways : 0, one_gateway_spoils);
}

static int one_exit_behaves(const struct order *o, unsigned i)
{
	faults_of(o, i)->exit = (enum exit_fault)o->cmd->value;
	return 0;
}

static int exit_behaves(const struct order *o)
{
	return each(o, 0, o->w ? o->w->cfg.exits : 0, one_exit_behaves);
}

static int one_exit_forgets(const struct order *o, unsigned i)
{
	router_forget(o->w->router[i], o->cmd->value);
	return 0;
}

static int exit_forgets(const struct order *o)
{
	return each(o, 0, o->w ? o->w->cfg.exits : 0, one_exit_forgets);
}

/* nymsphinx.md 4: keys of even and odd rotations take turns; those of the one before stay good. */
static int rotate(const struct order *o)
{
	struct directory *d;

	if (!o->w)
		return 0;
	d = &o->w->dir;
	d->rotation++;
	d->epoch++;
	for (unsigned i = 0; i < d->n; i++) {
		uint8_t *sk = d->node[i].sphinx_sk[d->rotation & 1];

		rng_fill(&o->w->rng.rng, sk, 32);
		prim_x25519_base(d->node[i].sphinx_pk, sk);
	}
	for (unsigned i = 0; i < o->w->cfg.exits; i++)
		router_rotated(o->w->router[i]);
	return 0;
}

static int next_epoch(const struct order *o)
{
	if (o->w)
		o->w->dir.epoch++;
	return 0;
}

/* ---- the table ---- */

#define WIRE(field) offsetof(struct faults, field)

static const struct command commands[] = {
	{ "loss", "PCT", "packets lost, per hop", 1, 1, wire_share, WIRE(loss) },
	{ "duplicate", "PCT", "packets sent twice, per hop", 1, 1, wire_share, WIRE(duplicate) },
	{ "reorder", "PCT", "packets held back by 200 ms, per hop", 1, 1, wire_share, WIRE(reorder) },
	{ "delay", "MS", "added to every hop", 1, 1, wire_time, WIRE(delay_us) },
	{ "jitter", "MS", "uniform extra delay of every hop", 1, 1, wire_time, WIRE(jitter_us) },
	{ "api ok", "", "answers", 0, 0, api_answers, API_WELL },
	{ "api down", "", "does not listen", 0, 0, api_down, 0 },
	{ "api 503", "", "answers that it is not ready", 0, 0, api_answers, API_503 },
	{ "api rubbish", "", "answers what is no JSON", 0, 0, api_answers, API_RUBBISH },
	{ "api half", "", "answers half of the JSON", 0, 0, api_answers, API_HALF },
	{ "api stale", "", "answers for two epochs at once", 0, 0, api_answers, API_STALE },
	{ "api flip", "", "turns bits of its answers", 0, 0, api_answers, API_FLIP },
	{ "api cut", "", "ends its answers anywhere", 0, 0, api_answers, API_CUT },
	{ "api huge", "", "answers 48 MB", 0, 0, api_answers, API_HUGE },
	{ "api deep", "", "answers a million brackets", 0, 0, api_answers, API_DEEP },
	{ "api bomb", "", "answers ten million empty nodes", 0, 0, api_answers, API_BOMB },
	{ "api lies", "", "answers with wrong values", 0, 0, api_answers, API_LIES },
	{ "node ok", "ID", "the mix node works", 1, 1, mix_node, NODE_OK },
	{ "node dead", "ID", "packets to it vanish; the directory gives it no performance", 1, 1, mix_node,
	  NODE_DEAD },
	{ "node slow", "ID MS", "it delays each packet so much more", 2, 2, mix_node, NODE_SLOW },
	{ "node flip", "ID", "it turns bits of what it sends", 1, 1, mix_node_spoils, SPOIL_FLIP },
	{ "node cut", "ID", "it sends less than it says", 1, 1, mix_node_spoils, SPOIL_CUT },
	{ "node replay", "ID", "it sends each packet five times", 1, 1, mix_node_spoils, SPOIL_REPLAY },
	{ "gateway ok", "[N]", "ends all but stop", 0, 1, gateways, GATEWAY_OK },
	{ "gateway stop", "[N]", "does not listen; connections end", 0, 1, gateways, GATEWAY_STOP },
	{ "gateway start", "[N]", "listens again", 0, 1, gateways, GATEWAY_START },
	{ "gateway reset", "[N]", "ends its connections", 0, 1, gateways, GATEWAY_RESET },
	{ "gateway forget", "[N]", "ends its connections and knows nobody any more", 0, 1, gateways,
	  GATEWAY_FORGET },
	{ "gateway stall", "[N]", "keeps its connections but does nothing", 0, 1, gateways, GATEWAY_STALL },
	{ "gateway half", "[N]", "takes what comes on its connections, but its answers get lost", 0, 1,
	  gateways, GATEWAY_HALF },
	{ "gateway skew", "SECONDS [N]", "its clock is ahead", 1, 2, gateways, GATEWAY_SKEW },
	{ "gateway credentials", "[N]", "wants to be paid by new connections", 0, 1, gateways,
	  GATEWAY_CREDENTIALS },
	{ "gateway swallow", "[N]", "says that it sends what it gets, and does not", 0, 1, gateways,
	  GATEWAY_SWALLOW },
	{ "gateway unlist", "[N]", "works, but the directory does not name it", 0, 1, gateways,
	  GATEWAY_UNLIST },
	{ "gateway close", "STEP [N]", "closes new connections at step 1..4 of the handshake", 1, 2, gateways,
	  GATEWAY_CLOSE },
	{ "gateway flip", "[N]", "turns bits of what it pushes", 0, 1, gateways_spoil, SPOIL_FLIP },
	{ "gateway cut", "[N]", "pushes less than it should", 0, 1, gateways_spoil, SPOIL_CUT },
	{ "gateway junk", "[N]", "pushes random frames and texts of every type", 0, 1, gateways_spoil,
	  SPOIL_JUNK },
	{ "gateway flood", "[N]", "forty of them with each packet", 0, 1, gateways_spoil, SPOIL_FLOOD },
	{ "gateway replay", "[N]", "pushes acknowledgements and replies again", 0, 1, gateways_spoil,
	  SPOIL_REPLAY },
	{ "gateway text", "[N]", "spoils every third text, of handshakes too", 0, 1, gateways_spoil,
	  SPOIL_TEXT },
	{ "exit ok", "[N]", "works", 0, 1, exit_behaves, EXIT_WELL },
	{ "exit silent", "[N]", "does nothing at all", 0, 1, exit_behaves, EXIT_SILENT },
	{ "exit ignore", "[N]", "does not answer connect requests", 0, 1, exit_behaves, EXIT_IGNORE },
	{ "exit refuse", "[N]", "refuses new clients", 0, 1, exit_behaves, EXIT_REFUSE },
	{ "exit starve", "[N]", "behaves as if it never had a SURB", 0, 1, exit_behaves, EXIT_STARVE },
	{ "exit rubbish", "[N]", "answers random bytes", 0, 1, exit_behaves, EXIT_RUBBISH },
	{ "exit flip", "[N]", "turns bits of its answers and their fragments", 0, 1, exit_behaves,
	  EXIT_FLIP },
	{ "exit cut", "[N]", "ends its answers anywhere", 0, 1, exit_behaves, EXIT_CUT },
	{ "exit sets", "[N]", "adds fragments of large messages that never become whole", 0, 1, exit_behaves,
	  EXIT_SETS },
	{ "exit bundles", "[N]", "adds bundles and IP packets that are malformed", 0, 1, exit_behaves,
	  EXIT_BUNDLES },
	{ "exit nonsense", "[N]", "adds messages of wrong versions and kinds", 0, 1, exit_behaves,
	  EXIT_NONSENSE },
	{ "exit unasked", "[N]", "adds answers to nothing", 0, 1, exit_behaves, EXIT_UNASKED },
	{ "exit requests", "[N]", "adds requests for any number of SURBs", 0, 1, exit_behaves,
	  EXIT_REQUESTS },
	{ "exit replay", "[N]", "answers everything three times", 0, 1, exit_behaves, EXIT_REPLAY },
	{ "exit flood", "[N]", "adds twelve answers to each", 0, 1, exit_behaves, EXIT_FLOOD },
	{ "exit forget", "[N]", "forgets its clients without a word", 0, 1, exit_forgets, false },
	{ "exit end", "[N]", "forgets its clients and tells them", 0, 1, exit_forgets, true },
	{ "seed", "N", "the draws of flip, cut, junk and so on begin anew", 1, 1, seed, 0 },
	{ "epoch", "", "a new epoch, with the same keys", 0, 0, next_epoch, 0 },
	{ "rotate", "", "new keys for all nodes", 0, 0, rotate, 0 },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void control_help(void)
{
	char left[40];

	for (size_t i = 0; i < N_COMMANDS; i++) {
		snprintf(left, sizeof(left), "%s %s", commands[i].words, commands[i].args);
		printf("  %-22s %s\n", left, commands[i].help);
	}
}

static int refuse(char *why, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *why, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, cap, fmt, ap);
	va_end(ap);
	return -1;
}

static const struct command *find(const char *line)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		size_t len = strlen(commands[i].words);

		if (!strncmp(line, commands[i].words, len) && (!line[len] || line[len] == ' '))
			return &commands[i];
	}
	return NULL;
}

int control_do(struct world *w, const char *line, char *why, size_t cap)
{
	struct order o = { .w = w, .cmd = find(line) };
	const char *p;
	int r;

	if (!o.cmd)
		return refuse(why, cap, "no such command: %s; see smolmix-localnet --help", line);
	p = line + strlen(o.cmd->words);
	for (; *p && o.n < NUMBERS_MAX; o.n++) {
		char *end;

		o.num[o.n] = strtod(p, &end);
		if (end == p || (*end && *end != ' ') || !(o.num[o.n] >= 0 && o.num[o.n] <= UINT16_MAX))
			break;
		p = end;
	}
	if (*p || o.n < o.cmd->min || o.n > o.cmd->max)
		return refuse(why, cap, "%s takes: %s", o.cmd->words, *o.cmd->args ? o.cmd->args : "nothing");
	r = o.cmd->run(&o);
	if (r == -ERANGE)
		return refuse(why, cap, "out of range: %s", line);
	return r < 0 ? refuse(why, cap, "%s: %s", line, err_str(r)) : 0;
}

int control_check(const char *line, char *why, size_t cap)
{
	return control_do(NULL, line, why, cap);
}

/* ---- the socket ---- */

struct peer {
	struct list link;
	struct control *control;
	struct loop_watch watch;
	struct loop_task gone;
	int fd;
	size_t len;
	char buf[CONTROL_LINE];
};

struct control {
	struct world *w;
	struct loop_watch watch;
	struct list peers;
	int fd;
	struct sockaddr_un at;
};

static void peer_free(void *owner)
{
	struct peer *p = owner;

	loop_watch_remove(&p->watch);
	list_remove(&p->link);
	list_remove(&p->gone.node);
	fd_close(&p->fd);
	free(p);
}

static bool answer(struct peer *p, const char *line)
{
	char why[2 * CONTROL_LINE], out[sizeof(why) + 16];
	int n = control_do(p->control->w, line, why, sizeof(why)) == 0
			? snprintf(out, sizeof(out), "ok\n")
			: snprintf(out, sizeof(out), "error: %s\n", why);

	log_info("command: %s", line);
	return send(p->fd, out, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n;
}

static void peer_event(void *owner, uint32_t events)
{
	struct peer *p = owner;
	ssize_t got = recv(p->fd, p->buf + p->len, sizeof(p->buf) - p->len, MSG_DONTWAIT);
	char *end;
	bool good = got > 0;

	(void)events;
	if (got < 0 && errno == EAGAIN)
		return;
	p->len += good ? (size_t)got : 0;
	while (good && (end = memchr(p->buf, '\n', p->len))) {
		size_t used = (size_t)(end - p->buf) + 1;

		*end = '\0';
		good = answer(p, p->buf);
		memmove(p->buf, p->buf + used, p->len - used);
		p->len -= used;
	}
	if (good && p->len < sizeof(p->buf))
		return;
	loop_watch_remove(&p->watch);
	loop_defer(p->control->w->loop, &p->gone, peer_free, p);
}

static void accept_event(void *owner, uint32_t events)
{
	struct control *c = owner;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *p = fd < 0 ? NULL : calloc(1, sizeof(*p));

	(void)events;
	if (!p) {
		fd_close(&fd);
		return;
	}
	p->control = c;
	p->fd = fd;
	list_init(&p->gone.node);
	list_push_back(&c->peers, &p->link);
	if (loop_watch_add(c->w->loop, &p->watch, fd, LOOP_IN, peer_event, p) < 0)
		peer_free(p);
}

/* Nobody else can reach a socket in a folder that is ours alone. */
static int check_folder(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	if (stat(dir, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077) ? 0 : -EPERM;
}

static int listen_at(struct control *c, const char *path)
{
	int r = check_folder(path);

	if (r < 0)
		return r;
	c->at.sun_family = AF_UNIX;
	memcpy(c->at.sun_path, path, strlen(path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&c->at, sizeof(c->at)) < 0) {
		c->at.sun_path[0] = '\0'; /* not ours */
		return -errno;
	}
	return listen(c->fd, 8) < 0 ? -errno
				    : loop_watch_add(c->w->loop, &c->watch, c->fd, LOOP_IN, accept_event, c);
}

struct control *control_new(struct world *w, const char *path)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return NULL;
	c->w = w;
	c->fd = -1;
	list_init(&c->peers);
	r = listen_at(c, path);
	if (r == 0)
		return c;
	control_free(c);
	errno = -r;
	return NULL;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	list_for_each_safe(it, tmp, &c->peers)
		peer_free(container_of(it, struct peer, link));
	loop_watch_remove(&c->watch);
	fd_close(&c->fd);
	if (c->at.sun_path[0])
		unlink(c->at.sun_path);
	free(c);
}
