/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching from the nym-api.
 *
 * Theory of operation. One fetch is a sequence of GETs against one base URL: rotation info, rewarded set, all
 * pages of skimmed nodes, and, when exits are wanted, all pages of described nodes. Sequential, because it
 * runs once in five minutes and a failure is then easy to name. Any failure moves on to the next base URL;
 * when all have failed the last one's reason is reported; those of the others are in the log. Epochs that do
 * not agree between the answers repeat the whole sequence once at the same URL (versions.md 5). While a
 * network changes its epoch all its directories may be so for a while: then everything begins again after
 * EPOCH_PAUSE_US, until time is up.
 *
 * The URL that worked is tried first the next time. A request gets its share of the time that is left, so
 * that a server that says nothing does not use up the others' turn.
 */
#include "mixnet/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

#define REQUEST_US (30 * US_PER_S)
#define PAGES_MAX 64
#define EPOCH_PAUSE_US (2 * US_PER_S)

enum step { ROTATION, REWARDED, SKIMMED, DESCRIBED };

struct api {
	struct loop *loop;
	struct ws *ws;
	struct network net;
	struct ws_get *get;
	unsigned first, tried; /* index of the URL to begin with; number tried in this fetch */
	enum step step;
	unsigned page;
	bool with_exits, again, between; /* between: some directory was between two epochs */
	struct loop_timer pause;
	uint64_t deadline_us;
	struct api_rotation rotation;
	struct api_rewarded rewarded;
	struct api_skimmed skimmed;
	size_t skipped, described,
		described_total; /* bad nodes of all pages; entries seen, and said to be there */
	char what[768];
	void (*cb)(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
		   const char *what);
	void *owner;
};

static const char *base_url(const struct api *a)
{
	return a->net.api[(a->first + a->tried) % a->net.n_api];
}

static void reset_answers(struct api *a)
{
	api_rewarded_done(&a->rewarded);
	api_skimmed_done(&a->skimmed);
	a->skipped = a->described = a->described_total = 0;
	a->step = ROTATION;
	a->page = 0;
	loop_timer_stop(&a->pause);
}

static void give(struct api *a, int err, struct topology *t)
{
	reset_answers(a);
	a->cb(a->owner, err, t, &a->rotation, a->what);
}

static void request(struct api *a);

static const char *reason(int err, int status, char *buf, size_t cap)
{
	if (err == 0) {
		snprintf(buf, cap, "answered HTTP %d", status);
		return buf;
	}
	if (err == -ENOENT)
		return "no such host name";
	if (err == -EPERM)
		return "plain http is allowed to loopback only";
	if (err == SMX_ECRYPTO)
		return "certificate not accepted";
	if (err == SMX_EPROTO)
		return "the answer is not what a nym-api gives";
	if (err == -EAGAIN)
		return "its lists are of different epochs";
	if (err == SMX_EROUTE)
		return "the network it lists has no node in some layer, or no gateway";
	if (err == SMX_ECLOSED)
		return "connection closed in the middle of the answer";
	snprintf(buf, cap, "%s", err_str(err));
	if (*buf >= 'A' && *buf <= 'Z')
		*buf = (char)(*buf - 'A' + 'a');
	return buf;
}

static void failed(struct api *a, int err, int status)
{
	char buf[160];

	snprintf(a->what, sizeof(a->what), "%s: %s", base_url(a), reason(err, status, buf, sizeof(buf)));
	log_info("nym-api %s", a->what);
	reset_answers(a);
	a->again = false;
	if (++a->tried < a->net.n_api && loop_now(a->loop) < a->deadline_us) {
		request(a);
		return;
	}
	if (a->between && loop_now(a->loop) + EPOCH_PAUSE_US < a->deadline_us) {
		loop_timer_set(&a->pause, loop_now(a->loop) + EPOCH_PAUSE_US);
		return;
	}
	give(a, err ? err : SMX_EPROTO, NULL);
}

/* True when every answer speaks of the same epoch (an absent one agrees with all). */
static bool epochs_agree(const struct api *a)
{
	return !a->rewarded.has_epoch || a->rewarded.epoch_id == a->skimmed.epoch_id;
}

static void on_pause(void *owner)
{
	struct api *a = owner;

	a->tried = 0;
	a->between = false;
	request(a);
}

static void complete(struct api *a)
{
	struct topology *t;
	int r;

	if (!epochs_agree(a) && !a->again) {
		a->again = true;
		reset_answers(a);
		request(a);
		return;
	}
	if (!epochs_agree(a)) {
		a->between = true;
		failed(a, -EAGAIN, 200);
		return;
	}
	t = api_topology(&a->skimmed, &a->rewarded);
	r = t ? topology_check(t) : -ENOMEM;
	if (r < 0) {
		api_topology_free(t);
		failed(a, r, 200);
		return;
	}
	a->first = (a->first + a->tried) % a->net.n_api;
	give(a, 0, t);
}

/* A server that takes no notice of the page gives the first one again (SPEC bootstrap.md 4.1). */
static bool repeats(const struct api_skimmed *s, size_t before)
{
	for (size_t i = 0; i < before && before < s->n; i++)
		if (!memcmp(s->node[i].identity, s->node[before].identity, sizeof(s->node[i].identity)))
			return true;
	return false;
}

static int digest(struct api *a, const char *body, size_t len)
{
	size_t before = a->skimmed.n, seen = a->described;
	int r = 0;

	switch (a->step) {
	case ROTATION:
		r = api_parse_rotation(&a->rotation, body, len);
		a->step = REWARDED;
		break;
	case REWARDED:
		r = api_parse_rewarded(&a->rewarded, body, len);
		a->step = SKIMMED;
		break;
	case SKIMMED:
		r = api_parse_skimmed(&a->skimmed, body, len, &a->skipped);
		a->page++;
		if (repeats(&a->skimmed, before))
			a->skimmed.n = before;
		if (r == 0 && a->skimmed.n + a->skipped < a->skimmed.total && a->skimmed.n > before &&
		    a->page < PAGES_MAX)
			break;
		a->step = DESCRIBED;
		a->page = 0;
		break;
	case DESCRIBED:
		r = api_parse_described(&a->skimmed, body, len, &a->described_total, &a->described);
		a->page++;
		if (r == 0 && a->described < a->described_total && a->described > seen && a->page < PAGES_MAX)
			break;
		return r < 0 ? r : 1;
	}
	if (r == 0 && a->step == DESCRIBED && !a->with_exits)
		return 1;
	return r;
}

static void answered(void *owner, int err, int status, const char *body, size_t len)
{
	struct api *a = owner;
	int r;

	a->get = NULL;
	if (err < 0 || status != 200) {
		failed(a, err, status);
		return;
	}
	r = digest(a, body, len);
	if (r < 0)
		failed(a, r, status);
	else if (r == 1)
		complete(a);
	else
		request(a);
}

static void request(struct api *a)
{
	static const char *const path[] = { "v1/epoch/key-rotation-info", "v1/nym-nodes/rewarded-set",
					    "v2/unstable/nym-nodes/skimmed?page=%u",
					    "v2/nym-nodes/described?page=%u" };
	const char *base = base_url(a), *slash = base[strlen(base) - 1] == '/' ? "" : "/";
	struct ws_get_opts o = { .ca_file = *a->net.ca_file ? a->net.ca_file : NULL,
				 .allow_plain = a->net.allow_plain_ws,
				 .max_body = API_BODY_MAX,
				 .timeout_us = REQUEST_US };
	char url[640], tail[64];
	uint64_t left = a->deadline_us > loop_now(a->loop) ? a->deadline_us - loop_now(a->loop) : 1;
	uint64_t share = left / (a->net.n_api - a->tried) + 1;
	struct ws_url u;

	if (a->step < SKIMMED)
		snprintf(tail, sizeof(tail), "%s", path[a->step]);
	else
		snprintf(tail, sizeof(tail), a->step == SKIMMED ? path[SKIMMED] : path[DESCRIBED], a->page);
	snprintf(url, sizeof(url), "%s%s%s", base, slash, tail);
	if (share < o.timeout_us)
		o.timeout_us = share;
	a->get = ws_url_parse(&u, url) == 0 ? ws_get(a->ws, &u, &o, answered, a) : NULL;
	if (!a->get)
		failed(a, SMX_ECONFIG, 0);
}

struct api *api_new(struct loop *loop, struct ws *ws, const struct network *net)
{
	struct api *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->loop = loop;
	a->ws = ws;
	a->net = *net;
	loop_timer_init(loop, &a->pause, on_pause, a);
	return a;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	api_cancel(a);
	free(a);
}

void api_fetch(struct api *a, bool with_exits, uint64_t deadline_us,
	       void (*cb)(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
			  const char *what),
	       void *owner)
{
	api_cancel(a);
	a->with_exits = with_exits;
	a->deadline_us = deadline_us;
	a->tried = 0;
	a->again = a->between = false;
	a->what[0] = '\0';
	a->cb = cb;
	a->owner = owner;
	reset_answers(a);
	request(a);
}

void api_cancel(struct api *a)
{
	ws_get_cancel(a->get);
	a->get = NULL;
	reset_answers(a);
}
