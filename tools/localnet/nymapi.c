/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nym-api of the local network: four GET paths, answered from the directory (spec bootstrap.md 2, 4).
 * Everything is in page 0, as with the real server of this version. Lists: skimmed (all),
 * skimmed/mixnodes/active, skimmed/entry-gateways, skimmed/exit-gateways; rewarded-set; key-rotation-info;
 * described.
 */
#include "tools/localnet/nymapi.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base58.h"
#include "tools/localnet/hostile.h"

struct nymapi {
	struct ws *ws;
	const struct localnet_cfg *cfg;
	const struct directory *dir;
	struct addr at;
	struct ws_server *server;
	time_t started;
};

enum selection { ALL, MIXES, ENTRIES };

static json_t *key(const uint8_t k[32])
{
	char text[BASE58_KEY_TEXT];

	base58_encode(text, sizeof(text), k, 32);
	return json_string(text);
}

static json_t *ip(const struct node_info *n)
{
	struct addr a = n->mix;
	char text[ADDR_TEXT];

	a.port = 0;
	return json_pack("[s]", addr_text(&a, text));
}

static json_t *rfc3339(time_t t)
{
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static json_t *roles(const struct node_info *n)
{
	bool gw = n->layer == 0;

	return json_pack("{s:b,s:b,s:b,s:b}", "mixnode", !gw, "entry", gw, "exit_nr", gw, "exit_ipr",
			 (int)n->has_ipr);
}

static json_t *pagination(size_t n)
{
	return json_pack("{s:i,s:i,s:i}", "total", (int)n, "page", 0, "size", (int)n);
}

static json_t *skimmed_node(const struct node_info *n)
{
	json_t *role = n->layer ? json_pack("{s:{s:i}}", "Mixnode", "layer", (int)n->layer)
				: json_string("EntryGateway");
	json_t *entry =
		n->layer ? json_null()
			 : json_pack("{s:n,s:i,s:n}", "hostname", "ws_port", (int)n->ws_port, "wss_port");

	return json_pack("{s:i,s:o,s:o,s:i,s:o,s:o,s:o,s:o,s:s}", "node_id", (int)n->id,
			 "ed25519_identity_pubkey", key(n->identity_pk), "ip_addresses", ip(n), "mix_port",
			 (int)n->mix.port, "x25519_sphinx_pubkey", key(n->sphinx_pk), "role", role,
			 "supported_roles", roles(n), "entry", entry, "performance", n->bad.dead ? "0" : "1");
}

static json_t *skimmed(const struct nymapi *a, enum selection sel)
{
	json_t *data = json_array();
	size_t n;

	for (unsigned i = 0; i < a->dir->n; i++) {
		const struct node_info *node = &a->dir->node[i];

		if (!node->bad.unlisted && (sel == ALL || (sel == MIXES) == (node->layer != 0)))
			json_array_append_new(data, skimmed_node(node));
	}
	n = json_array_size(data);
	return json_pack("{s:{s:n,s:i,s:i,s:o},s:{s:o,s:o}}", "metadata", "status", "absolute_epoch_id",
			 (int)a->dir->epoch, "rotation_id", (int)a->dir->rotation, "refreshed_at",
			 rfc3339(a->started), "nodes", "pagination", pagination(n), "data", data);
}

static json_t *ids(const struct nymapi *a, unsigned layer)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < a->dir->n; i++)
		if (a->dir->node[i].layer == layer && !a->dir->node[i].bad.unlisted)
			json_array_append_new(list, json_integer(a->dir->node[i].id));
	return list;
}

static json_t *rewarded(const struct nymapi *a)
{
	int epoch =
		(int)a->dir->epoch - (a->cfg->api_fault == API_STALE); /* not the one of the other answers */

	return json_pack("{s:i,s:o,s:[],s:o,s:o,s:o,s:[]}", "epoch_id", epoch, "entry_gateways", ids(a, 0),
			 "exit_gateways", "layer1", ids(a, 1), "layer2", ids(a, 2), "layer3", ids(a, 3),
			 "standby");
}

static json_t *rotation(const struct nymapi *a)
{
	json_t *progress = json_pack("{s:i,s:i,s:i}", "current_key_rotation_id", (int)a->dir->rotation,
				     "current_rotation_starting_epoch", (int)a->dir->epoch,
				     "current_rotation_ending_epoch", (int)a->dir->epoch);

	return json_pack("{s:{s:i,s:i},s:i,s:o,s:{s:i,s:i},s:o}", "key_rotation_state", "validity_epochs", 1,
			 "initial_epoch_id", 0, "current_absolute_epoch_id", (int)a->dir->epoch,
			 "current_epoch_start", rfc3339(a->started), "epoch_duration", "secs", 3600, "nanos",
			 0, "progress", progress);
}

static json_t *host(const struct nymapi *a, const struct node_info *n)
{
	json_t *sphinx =
		json_pack("{s:i,s:o}", "rotation_id", (int)a->dir->rotation, "public_key", key(n->sphinx_pk));

	return json_pack("{s:o,s:n,s:{s:o,s:o,s:o}}", "ip_address", ip(n), "hostname", "keys", "ed25519",
			 key(n->identity_pk), "x25519", key(n->sphinx_pk), "current_x25519_sphinx_key",
			 sphinx);
}

/* The reference reads a node only if all ten are there (bootstrap.md 4.5). */
static json_t *build(const struct nymapi *a)
{
	static const char *const unknown[] = { "build_timestamp", "commit_sha",	   "commit_timestamp",
					       "commit_branch",	  "rustc_version", "rustc_channel",
					       "cargo_profile",	  "cargo_triple" };
	json_t *b = json_pack("{s:s,s:s}", "binary_name", "smolmix-localnet", "build_version",
			      a->cfg->exit_version >= 10 ? "1.37.0" : "1.31.0");

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		json_object_set_new(b, unknown[i], json_string("unknown"));
	return b;
}

static json_t *described_node(const struct nymapi *a, const struct node_info *n)
{
	char text[NYM_RECIPIENT_TEXT];
	json_t *ipr = n->has_ipr ? json_pack("{s:s}", "address", recipient_text(&n->ipr, text)) : json_null();

	return json_pack("{s:i,s:s,s:{s:o,s:o,s:{s:n,s:b},s:o,s:o,s:{s:i,s:n}}}", "node_id", (int)n->id,
			 "contract_node_type", "nym_node", "description", "host_information", host(a, n),
			 "declared_role", roles(n), "auxiliary_details", "location",
			 "accepted_operator_terms_and_conditions", 1, "build_information", build(a),
			 "ip_packet_router", ipr, "mixnet_websockets", "ws_port", (int)n->ws_port,
			 "wss_port");
}

static json_t *described(const struct nymapi *a)
{
	json_t *data = json_array();

	for (unsigned i = 0; i < a->dir->n; i++)
		json_array_append_new(data, described_node(a, &a->dir->node[i]));
	return json_pack("{s:o,s:o}", "pagination", pagination(a->dir->n), "data", data);
}

/* Path without its query. */
static bool is(const char *path, const char *want)
{
	size_t len = strcspn(path, "?");

	return len == strlen(want) && !strncmp(path, want, len);
}

static json_t *answer(const struct nymapi *a, const char *path)
{
	if (is(path, "/v2/unstable/nym-nodes/skimmed"))
		return skimmed(a, ALL);
	if (is(path, "/v2/unstable/nym-nodes/skimmed/mixnodes/active"))
		return skimmed(a, MIXES);
	if (is(path, "/v2/unstable/nym-nodes/skimmed/entry-gateways") ||
	    is(path, "/v2/unstable/nym-nodes/skimmed/exit-gateways"))
		return skimmed(a, ENTRIES);
	if (is(path, "/v1/nym-nodes/rewarded-set"))
		return rewarded(a);
	if (is(path, "/v1/epoch/key-rotation-info"))
		return rotation(a);
	if (is(path, "/v2/nym-nodes/described"))
		return described(a);
	return NULL;
}

static void on_get(void *owner, const char *path, int *ret_status, char **ret_body, size_t *ret_len)
{
	struct nymapi *a = owner;
	enum api_fault bad = a->cfg->api_fault;
	json_t *j = answer(a, path);
	char *body;

	if (bad == API_LIES)
		hostile_json(a->cfg->hostile, j);
	body = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	*ret_status = body ? 200 : 404;
	if (!body)
		body = strdup("not found");
	if (bad == API_503) {
		free(body);
		body = strdup("relevant cache hasn't been initialised yet");
		*ret_status = 503;
	}
	if (bad == API_RUBBISH) {
		free(body);
		body = strdup("<html>this is not JSON</html>");
	}
	*ret_body = body;
	*ret_len = body ? strlen(body) : 0;
	if (bad == API_HALF)
		*ret_len /= 2;
	if (body)
		*ret_body = hostile_body(a->cfg->hostile, bad, body, ret_len);
}

int nymapi_start(struct nymapi *a)
{
	struct ws_server_ops ops = { .get = on_get, .owner = a };

	if (!a->server)
		a->server = ws_listen(a->ws, &a->at, &a->at, 4096, &ops);
	return a->server ? 0 : -errno;
}

void nymapi_stop(struct nymapi *a)
{
	ws_server_free(a->server);
	a->server = NULL;
}

struct nymapi *nymapi_new(struct ws *ws, const struct localnet_cfg *cfg, const struct directory *dir,
			  struct addr *ret_at)
{
	struct nymapi *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return NULL;
	a->ws = ws;
	a->cfg = cfg;
	a->dir = dir;
	a->started = time(NULL);
	a->at = cfg->address;
	a->at.port = cfg->api_port;
	r = nymapi_start(a);
	if (r < 0) {
		free(a);
		errno = -r;
		return NULL;
	}
	*ret_at = a->at;
	return a;
}

void nymapi_free(struct nymapi *a)
{
	if (!a)
		return;
	nymapi_stop(a);
	free(a);
}
