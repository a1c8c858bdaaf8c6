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

#include "base/clock.h"
#include "base/err.h"
#include "mixnet/api.h"
#include "mixnet/ws.h"

#define ROUND_MS 10
#define ROUNDS_MAX 6000

struct fix {
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
	f->loop = f ? loop_new(clock_system()) : NULL;
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
	for (int i = 0; i < ROUNDS_MAX && !f->done; i++)
		ws_dispatch(f->ws, ROUND_MS);
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(server_ends), T(silent_directory) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
