/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which network: the built-in ones (spec bootstrap.md 1, versions.md 5), one URL, or a network file.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/api.h"

static const struct {
	const char *name;
	const char *api[3];
} builtin[] = {
	{ "mainnet",
	  { "https://validator.nymtech.net/api/", "https://nym-frontdoor.global.ssl.fastly.net/api/",
	    "https://cdn1.media-platform.net/api/" } },
	{ "sandbox",
	  { "https://sandbox-nym-api1.nymtech.net/api/", "https://nym-frontdoor.vercel.app/sandbox/nym-api/",
	    NULL } },
	{ "canary",
	  { "https://canary-api.performance.nymte.ch/api/",
	    "https://nym-frontdoor.vercel.app/canary/nym-api/", NULL } },
};

static int add_api(struct network *n, const char *url)
{
	struct ws_url u;

	if (n->n_api == API_URLS_MAX || strlen(url) >= sizeof(n->api[0]) || ws_url_parse(&u, url) < 0 ||
	    u.websocket || strchr(url, '?'))
		return SMX_ECONFIG;
	snprintf(n->api[n->n_api++], sizeof(n->api[0]), "%s", url);
	return 0;
}

int network_builtin(struct network *n, const char *name)
{
	memset(n, 0, sizeof(*n));
	for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
		if (strcmp(name, builtin[i].name))
			continue;
		snprintf(n->name, sizeof(n->name), "%s", name);
		for (int j = 0; j < 3 && builtin[i].api[j]; j++)
			add_api(n, builtin[i].api[j]);
		/* Gateways of the public networks speak plain ws; their content is sealed (gateway.md 2). */
		n->allow_plain_ws = true;
		return 0;
	}
	return SMX_ECONFIG;
}

int network_from_url(struct network *n, const char *url)
{
	struct ws_url u;

	memset(n, 0, sizeof(*n));
	snprintf(n->name, sizeof(n->name), "custom");
	if (add_api(n, url) < 0 || ws_url_parse(&u, url) < 0 || ws_url_allowed(&u, false) < 0)
		return SMX_ECONFIG;
	n->allow_plain_ws = u.tls; /* as with the public networks; a plain API means loopback gateways only */
	return 0;
}

static int bad(char *err, size_t cap, const char *what, const char *member)
{
	snprintf(err, cap, "%s%s%s%s", what, member ? " \"" : "", member ? member : "", member ? "\"" : "");
	return SMX_ECONFIG;
}

static int read_apis(struct network *n, const json_t *list, char *err, size_t cap)
{
	if (!json_is_array(list) || !json_array_size(list))
		return bad(err, cap, "no URL in", "nym_api");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *url = json_string_value(json_array_get(list, i));

		if (!url || add_api(n, url) < 0)
			return bad(err, cap, "not an http or https URL in", "nym_api");
	}
	return 0;
}

static int read_member(struct network *n, const char *key, const json_t *v, char *err, size_t cap)
{
	const char *s = json_string_value(v);

	if (!strcmp(key, "name")) {
		if (!s || !*s || strlen(s) >= sizeof(n->name))
			return bad(err, cap, "not a short text:", key);
		memcpy(n->name, s, strlen(s) + 1);
		return 0;
	}
	if (!strcmp(key, "nym_api"))
		return read_apis(n, v, err, cap);
	if (!strcmp(key, "ca_file")) {
		if (json_is_null(v))
			return 0;
		if (!s || strlen(s) >= sizeof(n->ca_file))
			return bad(err, cap, "not a path:", key);
		memcpy(n->ca_file, s, strlen(s) + 1);
		return 0;
	}
	if (!strcmp(key, "allow_plain_ws")) {
		if (!json_is_boolean(v))
			return bad(err, cap, "neither true nor false:", key);
		n->allow_plain_ws = json_is_true(v);
		return 0;
	}
	return bad(err, cap, "unknown member", key);
}

int network_parse(struct network *ret, const char *json, size_t len, char *err, size_t err_cap)
{
	json_error_t je;
	json_t *j = json_loadb(json, len, JSON_REJECT_DUPLICATES, &je);
	struct network n;
	const char *key;
	json_t *v;
	int r = 0;

	memset(&n, 0, sizeof(n));
	if (!json_is_object(j)) {
		if (j)
			snprintf(err, err_cap, "not a JSON object");
		else
			snprintf(err, err_cap, "not a JSON object (line %d: %.80s)", je.line, je.text);
		json_decref(j);
		return SMX_ECONFIG;
	}
	json_object_foreach(j, key, v) if (r == 0) r = read_member(&n, key, v, err, err_cap);
	if (r == 0 && !*n.name)
		r = bad(err, err_cap, "missing", "name");
	if (r == 0 && !n.n_api)
		r = bad(err, err_cap, "missing", "nym_api");
	json_decref(j);
	if (r == 0)
		*ret = n;
	return r;
}
