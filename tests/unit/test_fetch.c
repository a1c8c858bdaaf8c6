/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching over real sockets of this machine: servers that end are gone at once, and a directory that says
 * nothing does not use up the time of the next one in the list.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base58.h"
#include "base/clock.h"
#include "base/err.h"
#include "mixnet/api.h"
#include "mixnet/prim.h"
#include "mixnet/ws.h"

#define ROUND_US 1000
#define ROUNDS_MAX 20000

struct fix {
	struct clock_fake clock; /* a slow machine must not run into time-outs */
	struct loop *loop;
	struct ws *ws;
	unsigned asked; /* requests the server has seen */
	bool done;
	int err, status;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	*state = f;
	if (f)
		clock_fake_init(&f->clock, US_PER_S, 0);
	f->loop = f ? loop_new(&f->clock.clock) : NULL;
	f->ws = f->loop ? ws_new(f->loop, 16) : NULL;
	return f->ws ? 0 : -1;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	ws_free(f->ws);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void until_done(struct fix *f)
{
	for (int i = 0; i < ROUNDS_MAX && !f->done; i++) {
		ws_dispatch(f->ws, 0);
		usleep(ROUND_US);
		f->clock.us += 2 * ROUND_US;
	}
	assert_true(f->done);
}

static void on_get(void *owner, const char *path, int *ret_status, char **ret_body, size_t *ret_len)
{
	struct fix *f = owner;

	(void)path;
	f->asked++;
	*ret_status = 404;
	*ret_body = strdup("nothing");
	*ret_len = 7;
}

static void got(void *owner, int err, int status, const char *body, size_t len)
{
	struct fix *f = owner;

	(void)body;
	(void)len;
	f->done = true;
	f->err = err;
	f->status = status;
}

static void get(struct fix *f, const struct addr *at)
{
	const struct ws_get_opts o = { .allow_plain = true, .max_body = 4096, .timeout_us = 20 * US_PER_S };
	char text[ADDR_TEXT], url[ADDR_TEXT + 16];
	struct ws_url u;

	snprintf(url, sizeof(url), "http://%s/", addr_text(at, text));
	assert_int_equal(ws_url_parse(&u, url), 0);
	f->done = false;
	assert_non_null(ws_get(f->ws, &u, &o, got, f));
	until_done(f);
}

/* A server is stopped and another begins on its port; a third beside them is not disturbed. */
static void server_ends(void **state)
{
	struct fix *f = *state;
	const struct ws_server_ops ops = { .get = on_get, .owner = f };
	struct addr at, there, other_at;
	struct ws_server *s, *other;

	addr_parse_ip(&at, "127.0.0.1");
	s = ws_listen(f->ws, &at, &there, 4096, &ops);
	other = ws_listen(f->ws, &at, &other_at, 4096, &ops);
	assert_true(s && other && there.port != other_at.port);
	get(f, &there);
	assert_int_equal(f->status, 404);
	ws_server_free(s);
	get(f, &there);
	assert_int_equal(f->err, -ECONNREFUSED);
	get(f, &other_at);
	assert_int_equal(f->status, 404);
	s = ws_listen(f->ws, &there, &at, 4096, &ops);
	assert_non_null(s);
	assert_int_equal(at.port, there.port);
	get(f, &there);
	assert_int_equal(f->status, 404);
	assert_int_equal(f->asked, 3);
	ws_server_free(s);
	ws_server_free(other);
}

static void fetched(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
		    const char *what)
{
	struct fix *f = owner;

	(void)rot;
	(void)what;
	assert_null(topo);
	f->done = true;
	f->err = err;
}

/* The first directory takes connections and says nothing, the second one is asked in time. */
static void silent_directory(void **state)
{
	struct fix *f = *state;
	const struct ws_server_ops ops = { .get = on_get, .owner = f };
	struct sockaddr_storage ss;
	struct network net = { .n_api = 2, .allow_plain_ws = true };
	struct addr at, silent_at, there;
	int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT];
	socklen_t len;
	struct ws_server *s;
	struct api *api;

	addr_parse_ip(&at, "127.0.0.1");
	len = addr_to_sockaddr(&at, &ss, false);
	assert_int_equal(bind(silent, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(silent, 4), 0);
	len = sizeof(ss);
	getsockname(silent, (struct sockaddr *)&ss, &len);
	assert_int_equal(addr_from_sockaddr(&silent_at, (struct sockaddr *)&ss, len), 0);
	s = ws_listen(f->ws, &at, &there, 4096, &ops);
	assert_non_null(s);
	snprintf(net.api[0], sizeof(net.api[0]), "http://%s/", addr_text(&silent_at, text));
	snprintf(net.api[1], sizeof(net.api[1]), "http://%s/", addr_text(&there, text));
	api = api_new(f->loop, f->ws, &net);
	assert_non_null(api);
	loop_update_now(f->loop);
	api_fetch(api, false, loop_now(f->loop) + 4 * US_PER_S, fetched, f);
	until_done(f);
	assert_int_equal(f->err, SMX_EPROTO);
	assert_int_equal(f->asked, 1);
	api_free(api);
	ws_server_free(s);
	close(silent);
}

/* A directory of three nodes whose two lists are of different epochs for the first rounds. */
struct changing {
	unsigned rounds, changed_at; /* the lists agree from this round on; 0: never */
	unsigned total, pages;	     /* what it says how many nodes there are; answers with nodes */
	unsigned per_page; /* 0: it takes no notice of pages; behind the last one it has no such page */
	bool odd_first;	   /* the first node of the first page is not one */
	char key[3][BASE58_KEY_TEXT];
};

static void changing_get(void *owner, const char *path, int *ret_status, char **ret_body, size_t *ret_len)
{
	struct changing *c = owner;
	const char *page = strstr(path, "page=");
	unsigned from = c->per_page && page ? (unsigned)atoi(page + 5) * c->per_page : 0;
	unsigned to = c->per_page && from + c->per_page < 3 ? from + c->per_page : 3;
	char json[2048];
	size_t n = 0;

	if (strstr(path, "key-rotation-info")) {
		n = (size_t)snprintf(
			json, sizeof(json),
			"{\"key_rotation_state\":{\"validity_epochs\":24,\"initial_epoch_id\":1},"
			"\"current_absolute_epoch_id\":9,\"current_epoch_start\":"
			"\"2026-05-16T04:00:11Z\",\"epoch_duration\":{\"secs\":3600,\"nanos\":0}}");
	} else if (strstr(path, "rewarded-set")) {
		c->rounds++;
		n = (size_t)snprintf(json, sizeof(json),
				     "{\"epoch_id\":%d,\"layer1\":[1],\"layer2\":[2],\"layer3\":[3],"
				     "\"entry_gateways\":[1],\"exit_gateways\":[],\"standby\":[]}",
				     c->changed_at && c->rounds >= c->changed_at ? 10 : 9);
	} else {
		n = (size_t)snprintf(json, sizeof(json),
				     "{\"metadata\":{\"absolute_epoch_id\":10,\"rotation_id\":1},\"nodes\":"
				     "{\"pagination\":{\"total\":%u},\"data\":[",
				     c->total);
		c->pages++;
		for (unsigned i = from; i < to; i++)
			n += (size_t)snprintf(json + n, sizeof(json) - n,
					      "%s{\"node_id\":%u,\"ed25519_identity_pubkey\":\"%s\","
					      "\"x25519_sphinx_pubkey\":\"%s\",\"mix_port\":1789,"
					      "\"ip_addresses\":[\"192.0.2.%u\"],\"performance\":\"%s\"}",
					      i > from ? "," : "", i + 1, c->key[i], c->key[i], i + 1,
					      c->odd_first && !i ? "odd" : "1");
		n += (size_t)snprintf(json + n, sizeof(json) - n, "]}}");
	}
	assert_true(n < sizeof(json));
	*ret_status = from < 3 ? 200 : 404;
	*ret_body = strdup(json);
	*ret_len = n;
}

static void fetched_some(void *owner, int err, struct topology *topo, const struct api_rotation *rot,
			 const char *what)
{
	struct fix *f = owner;

	(void)rot;
	f->done = true;
	f->err = err;
	f->status = topo ? (int)topo->n : 0;
	if (err == -EAGAIN)
		assert_non_null(strstr(what, "epochs"));
	api_topology_free(topo);
}

/* A fetch from one such directory. */
static void fetch_changing(struct fix *f, struct changing *c, uint64_t us)
{
	const struct ws_server_ops ops = { .get = changing_get, .owner = c };
	struct network net = { .n_api = 1, .allow_plain_ws = true };
	struct addr at, there;
	char text[ADDR_TEXT];
	struct ws_server *s;
	struct api *api;

	for (uint8_t i = 0; i < 3; i++) {
		uint8_t pk[32], sk[64], seed[32] = { i };

		prim_ed25519_keypair(pk, sk, seed);
		base58_encode(c->key[i], sizeof(c->key[i]), pk, sizeof(pk));
	}
	addr_parse_ip(&at, "127.0.0.1");
	s = ws_listen(f->ws, &at, &there, 4096, &ops);
	assert_non_null(s);
	snprintf(net.api[0], sizeof(net.api[0]), "http://%s/", addr_text(&there, text));
	api = api_new(f->loop, f->ws, &net);
	assert_non_null(api);
	f->done = false;
	loop_update_now(f->loop);
	api_fetch(api, false, loop_now(f->loop) + us, fetched_some, f);
	until_done(f);
	api_free(api);
	ws_server_free(s);
}

/* Once more at once (versions.md 5), then after a while; when the time is over it is said. */
static void between_epochs(void **state)
{
	struct changing c = { .total = 3, .changed_at = 3 }, never = { .total = 3 };

	fetch_changing(*state, &c, 20 * US_PER_S);
	assert_int_equal(((struct fix *)*state)->err, 0);
	assert_int_equal(((struct fix *)*state)->status, 3);
	assert_int_equal(c.rounds, 3);
	fetch_changing(*state, &never, US_PER_S);
	assert_int_equal(((struct fix *)*state)->err, -EAGAIN);
	assert_int_equal(never.rounds, 2);
}

/* It counts more nodes than it gives, and gives the same page whichever is asked for. */
static void one_page(void **state)
{
	struct changing c = { .total = 5, .changed_at = 1 };

	fetch_changing(*state, &c, 20 * US_PER_S);
	assert_int_equal(((struct fix *)*state)->err, 0);
	assert_int_equal(((struct fix *)*state)->status, 3);
	assert_int_equal(c.pages, 2);
}

/* What is left out of an early page does not make it ask for one behind the last. */
static void odd_node(void **state)
{
	struct changing c = { .total = 3, .changed_at = 1, .per_page = 2, .odd_first = true };

	fetch_changing(*state, &c, 20 * US_PER_S);
	assert_int_equal(c.pages, 2);
	assert_int_equal(((struct fix *)*state)->err, SMX_EROUTE); /* it was the only one of its layer */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(server_ends), T(silent_directory), T(between_epochs),
					    T(one_page), T(odd_node) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
