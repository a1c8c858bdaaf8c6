/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as servers of the internet give them, which ours never gives: long headers, bodies that end with
 * the connection, messages in fragments with pings between them. The server is a thread that says its part.
 */
#include <bearssl.h>
#include <errno.h>
#include <pthread.h>
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
#include "mixnet/prim.h"
#include "mixnet/ws_int.h"

#define ROUND_US 1000
#define ROUNDS_MAX 20000
#define TEXT_MAX 40000

#define PIECE(f, s)                                                                                          \
	do {                                                                                                 \
		(f)->piece[(f)->pieces] = (s);                                                               \
		(f)->piece_len[(f)->pieces++] = sizeof(s) - 1;                                               \
	} while (0)

struct fix {
	struct clock_fake clock; /* a slow machine must not run into time-outs */
	struct loop *loop;
	struct ws *ws;
	int listener;
	struct addr at;
	pthread_t thread;
	/* the server's part: after the request the head (with a key of ours answered, when websocket), then
	 * pieces */
	bool websocket, talks_first, stays;
	char head[TEXT_MAX], request[4096];
	const char *piece[8];
	size_t piece_len[8];
	unsigned pieces;
	/* what came */
	bool done, opened;
	int err, status;
	char body[TEXT_MAX], text[256], binary[256];
	size_t len, text_len, binary_len;
	struct ws_conn *conn;
	unsigned drained; /* so often */
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct sockaddr_storage ss;
	struct addr any;
	socklen_t len;

	/* A proxy for programs is none of the tunnel's: it would see our gateway, and the packets. Nobody is
	 * there. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	*state = f;
	if (f)
		clock_fake_init(&f->clock, US_PER_S, 0);
	f->loop = f ? loop_new(&f->clock.clock) : NULL;
	f->ws = f->loop ? ws_new(f->loop, 16) : NULL;
	addr_parse_ip(&any, "127.0.0.1");
	len = addr_to_sockaddr(&any, &ss, false);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!f->ws || bind(f->listener, (struct sockaddr *)&ss, len) < 0 || listen(f->listener, 4) < 0)
		return -1;
	len = sizeof(ss);
	getsockname(f->listener, (struct sockaddr *)&ss, &len);
	return addr_from_sockaddr(&f->at, (struct sockaddr *)&ss, len);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	ws_free(f->ws);
	loop_free(f->loop);
	close(f->listener);
	free(f);
	return 0;
}

static void write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

/* RFC 6455 4.2.2. */
static void answer_upgrade(struct fix *f, int fd)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	const char *key = strstr(f->request, "Sec-WebSocket-Key: ");
	br_sha1_context sha;
	uint8_t hash[20];
	char text[32], head[256];
	int n;

	if (!key)
		return;
	key += strlen("Sec-WebSocket-Key: ");
	br_sha1_init(&sha);
	br_sha1_update(&sha, key, strcspn(key, "\r"));
	br_sha1_update(&sha, guid, sizeof(guid) - 1);
	br_sha1_out(&sha, hash);
	prim_base64_encode(text, sizeof(text), hash, sizeof(hash));
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		     "Sec-WebSocket-Accept: %s\r\n\r\n",
		     text);
	write_all(fd, head, (size_t)n);
}

static void *serve(void *arg)
{
	struct fix *f = arg;
	int fd = accept(f->listener, NULL, NULL);
	size_t n = 0;
	char rest[256];

	while (fd >= 0 && !f->talks_first && n < sizeof(f->request) - 1 && !strstr(f->request, "\r\n\r\n")) {
		ssize_t r = read(fd, f->request + n, sizeof(f->request) - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (f->websocket)
		answer_upgrade(f, fd);
	write_all(fd, f->head, strlen(f->head));
	for (unsigned i = 0; i < f->pieces; i++) {
		usleep(20000); /* pieces should arrive one by one; nothing fails if they do not */
		write_all(fd, f->piece[i], f->piece_len[i]);
	}
	if (!f->stays)
		shutdown(fd, SHUT_WR);
	while (read(fd, rest, sizeof(rest)) > 0)
		;
	close(fd);
	return NULL;
}

static void turn(struct fix *f)
{
	ws_dispatch(f->ws, 0);
	usleep(ROUND_US);
	f->clock.us += ROUND_US;
}

static void turns(struct fix *f, unsigned n)
{
	while (n--)
		turn(f);
}

/* Until the client has heard of the end and the server's thread is gone. */
static void until_done(struct fix *f)
{
	bool joined = false;

	for (int i = 0; i < ROUNDS_MAX && !(f->done && joined); i++) {
		turn(f);
		joined = joined || pthread_tryjoin_np(f->thread, NULL) == 0;
	}
	assert_true(f->done && joined);
}

static void got(void *owner, int err, int status, const char *body, size_t len)
{
	struct fix *f = owner;

	f->done = true;
	f->err = err;
	f->status = status;
	f->len = len;
	memcpy(f->body, body, len);
}

static void get_by(struct fix *f, const char *scheme)
{
	const struct ws_get_opts o = { .allow_plain = true, .max_body = 4096, .timeout_us = 10 * US_PER_S };
	char text[ADDR_TEXT], url[ADDR_TEXT + 16];
	struct ws_url u;

	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	snprintf(url, sizeof(url), "%s://%s/", scheme, addr_text(&f->at, text));
	assert_int_equal(ws_url_parse(&u, url), 0);
	assert_non_null(ws_get(f->ws, &u, &o, got, f));
	until_done(f);
}

static void get(struct fix *f)
{
	get_by(f, "http");
}

/* Content delivery networks put kilobytes of policies and traces into their answers. */
static void long_headers(void **state)
{
	struct fix *f = *state;
	size_t n = (size_t)snprintf(f->head, sizeof(f->head), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");

	for (int i = 0; i < 12; i++)
		n += (size_t)snprintf(f->head + n, sizeof(f->head) - n, "X-Policy-%d: %01000d\r\n", i, i);
	snprintf(f->head + n, sizeof(f->head) - n, "\r\n{}");
	get(f);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->len, 2);
}

/* RFC 9112 6.3: without a length the body ends with the connection. */
static void body_until_close(void **state)
{
	struct fix *f = *state;

	snprintf(f->head, sizeof(f->head), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":");
	PIECE(f, "1}");
	get(f);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->len, 7);
	assert_memory_equal(f->body, "{\"a\":1}", 7);
}

/* A body cut short is no answer. */
static void body_cut(void **state)
{
	struct fix *f = *state;

	snprintf(f->head, sizeof(f->head), "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"a\":");
	get(f);
	assert_int_equal(f->err, SMX_ECLOSED);
}

static void body_in_chunks(void **state)
{
	struct fix *f = *state;

	snprintf(f->head, sizeof(f->head),
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"a\":");
	PIECE(f, "\r\n2\r\n1");
	PIECE(f, "}\r\n0\r\n\r\n");
	get(f);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->len, 7);
	assert_memory_equal(f->body, "{\"a\":1}", 7);
}

/* Somebody is there, but speaks no TLS. */
static void no_tls(void **state)
{
	struct fix *f = *state;

	f->talks_first = true;
	snprintf(f->head, sizeof(f->head), "HTTP/1.1 400 Bad Request\r\n\r\n");
	get_by(f, "https");
	assert_int_equal(f->err, SMX_ECRYPTO);
}

/* ---- websocket ---- */

static void on_text(void *owner, const char *msg, size_t len)
{
	struct fix *f = owner;

	assert_true(len + f->text_len <= sizeof(f->text));
	memcpy(f->text + f->text_len, msg, len);
	f->text_len += len;
}

static void on_binary(void *owner, uint8_t *msg, size_t len)
{
	struct fix *f = owner;

	assert_true(len + f->binary_len <= sizeof(f->binary));
	memcpy(f->binary + f->binary_len, msg, len);
	f->binary_len += len;
}

static void on_closed(void *owner, int err)
{
	struct fix *f = owner;

	f->done = true;
	f->err = err;
}

static void on_open(void *owner)
{
	struct fix *f = owner;

	f->opened = true;
}

/* Sends three more, each when the one before is written. */
static void on_drained(void *owner)
{
	struct fix *f = owner;

	if (f->drained++ < 3)
		assert_int_equal(ws_send(f->conn, true, "more", 4), 0);
}

static const struct ws_conn_ops conn_ops = {
	.open = on_open, .text = on_text, .binary = on_binary, .closed = on_closed, .drained = on_drained
};

static struct ws_conn *connect_to(struct fix *f)
{
	const struct ws_get_opts o = { .allow_plain = true, .timeout_us = 10 * US_PER_S };
	char text[ADDR_TEXT], url[ADDR_TEXT + 16];
	struct ws_conn *c;
	struct ws_url u;

	f->websocket = true;
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	snprintf(url, sizeof(url), "ws://%s/", addr_text(&f->at, text));
	assert_int_equal(ws_url_parse(&u, url), 0);
	c = ws_connect(f->ws, &u, &o, 200, &conn_ops, f);
	assert_non_null(c);
	return c;
}

static void talk(struct fix *f)
{
	connect_to(f);
	until_done(f);
}

/* RFC 6455 5.4: control frames may come between the fragments of a message. */
static void fragments(void **state)
{
	struct fix *f = *state;

	PIECE(f, "\x01\x03one\x89\x02hi"); /* text, not final; ping */
	PIECE(f, "\x00\x03two\x8a\x00");   /* continuation; pong nobody asked for */
	PIECE(f, "\x80\x05thr");	   /* final, in two pieces */
	PIECE(f, "ee\x02\x02"
		 "ab\x80\x02"
		 "cd\x82\x00");		       /* binary in two fragments; an empty one */
	PIECE(f, "\x82\x01x\x88\x02\x03\xe8"); /* binary; close 1000 */
	talk(f);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->text_len, 11);
	assert_memory_equal(f->text, "onetwothree", 11);
	assert_int_equal(f->binary_len, 5);
	assert_memory_equal(f->binary, "abcdx", 5);
}

/* Nobody waits for what arrives, and a task that a task has queued sends something: in the round that is over
 * when calm is asked again. */
struct calm {
	struct fix *f;
	struct ws_conn *conn;
	struct loop_task first, second;
	bool sent;
	size_t kept; /* messages that waited when calm was asked */
};

static void calm_send(void *owner)
{
	struct calm *c = owner;

	assert_int_equal(ws_send(c->conn, true, "now", 3), 0);
	c->sent = true;
}

static void calm_first(void *owner)
{
	struct calm *c = owner;

	loop_defer(c->f->loop, &c->second, calm_send, c);
}

static bool calm(void *owner)
{
	struct calm *c = owner;

	if (c->sent) {
		c->kept = ws_queued(c->conn);
		loop_quit(c->f->loop);
	} else {
		loop_defer(c->f->loop, &c->first, calm_first, c);
	}
	return true;
}

static void nothing_to_write_waits(void **state)
{
	struct fix *f = *state;
	struct calm c = { .f = f };

	f->stays = true;
	c.conn = connect_to(f);
	f->drained = 3;
	for (int i = 0; i < ROUNDS_MAX && !f->opened; i++)
		turn(f);
	assert_true(f->opened);
	assert_int_equal(ws_run(f->ws, calm, &c), 0);
	assert_true(c.sent);
	assert_int_equal(c.kept, 0);
	ws_close(c.conn, true);
	until_done(f);
}

/* What is sent because all is written follows in the same turn: an observer would see the turn between. */
static void sent_when_drained(void **state)
{
	struct fix *f = *state;

	f->stays = true;
	f->conn = connect_to(f);
	for (int i = 0; i < ROUNDS_MAX && !f->opened; i++)
		turn(f);
	assert_true(f->opened);
	assert_int_equal(ws_send(f->conn, true, "first", 5), 0);
	for (int i = 0; i < ROUNDS_MAX && !f->drained; i++)
		turn(f);
	assert_int_equal(f->drained, 4);
	assert_int_equal(ws_queued(f->conn), 0);
	ws_close(f->conn, true);
	until_done(f);
}

/* ---- addresses of a name ---- */

#define TWO "two.test"

/* A port at an address where connections are never answered, as behind a broken route. */
struct hole {
	int listener, filler[4];
};

static void hole_open(struct hole *h, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	struct addr a;
	socklen_t len;

	addr_parse_ip(&a, ip);
	a.port = port;
	len = addr_to_sockaddr(&a, &ss, false);
	h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->listener, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(h->listener, 0), 0);
	for (size_t i = 0; i < sizeof(h->filler) / sizeof(h->filler[0]); i++) {
		h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(h->filler[i], (struct sockaddr *)&ss, len);
	}
}

static void hole_close(struct hole *h)
{
	for (size_t i = 0; i < sizeof(h->filler) / sizeof(h->filler[0]); i++)
		close(h->filler[i]);
	close(h->listener);
}

/* What a name server would have said. */
static void know(struct fix *f, const char *first, const char *second)
{
	struct ws_names *n = &f->ws->names[0];

	snprintf(n->host, sizeof(n->host), TWO);
	addr_parse_ip(&n->addr[0], first);
	addr_parse_ip(&n->addr[1], second);
	n->n = 2;
}

static void two_url(struct fix *f, struct ws_url *u, const char *scheme)
{
	char url[64];

	snprintf(url, sizeof(url), "%s://" TWO ":%u/", scheme, f->at.port);
	assert_int_equal(ws_url_parse(u, url), 0);
}

/* The first address of a name leads nowhere: the second one is asked while there is time. */
static void dead_address_first(void **state)
{
	struct fix *f = *state;
	const struct ws_get_opts o = { .allow_plain = true, .max_body = 4096, .timeout_us = 10 * US_PER_S };
	struct hole hole;
	struct ws_url u;

	hole_open(&hole, "127.0.0.2", f->at.port);
	know(f, "127.0.0.2", "127.0.0.1");
	two_url(f, &u, "http");
	snprintf(f->head, sizeof(f->head), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	assert_non_null(ws_get(f->ws, &u, &o, got, f));
	turns(f, 20);
	f->clock.us += 5 * US_PER_S;
	for (int i = 0; i < ROUNDS_MAX && !f->done; i++)
		turn(f);
	hole_close(&hole);
	if (f->err) { /* nobody came: the thread waits in vain */
		pthread_cancel(f->thread);
		pthread_join(f->thread, NULL);
	} else {
		until_done(f);
	}
	assert_int_equal(f->err, 0);
	assert_int_equal(f->status, 200);
}

/* The first address is refused by our own kernel, the second leads nowhere, and then the time is over. What
 * was under way is given up, and so are the addresses: the server may have moved. */
static void no_address_works(void **state)
{
	struct fix *f = *state;
	const struct ws_get_opts o = { .allow_plain = true, .timeout_us = US_PER_S };
	struct hole hole;
	struct ws_url u;

	hole_open(&hole, "127.0.0.2", f->at.port);
	know(f, "255.255.255.255", "127.0.0.2");
	two_url(f, &u, "ws");
	assert_non_null(ws_connect(f->ws, &u, &o, 200, &conn_ops, f));
	turns(f, 20);
	assert_false(f->done);
	f->clock.us += US_PER_S;
	turns(f, 20);
	assert_true(f->done);
	assert_int_equal(f->err, -ETIMEDOUT);
	hole_close(&hole); /* what still tried would hear of it now */
	turns(f, 1500);
	assert_string_equal(f->ws->names[0].host, "");
}

/* RFC 9110 4.2.3: the scheme's own port is left out, and some servers know their name only so. */
static void host_names(void **state)
{
	static const struct {
		const char *url, *host;
	} cases[] = {
		{ "https://validator.example/api/", "validator.example" },
		{ "https://validator.example:443/", "validator.example" },
		{ "https://validator.example:80/", "validator.example:80" },
		{ "http://a.example/", "a.example" },
		{ "ws://a.example:9000/", "a.example:9000" },
		{ "wss://a.example:443/", "a.example" },
		{ "ws://[2001:db8::1]:9000/", "[2001:db8::1]:9000" },
		{ "http://[2001:db8::1]/", "[2001:db8::1]" },
	};
	char host[WS_HOST_TEXT];
	struct ws_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ws_url_parse(&u, cases[i].url), 0);
		ws_url_host(&u, host);
		assert_string_equal(host, cases[i].host);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(long_headers),
					    T(body_until_close),
					    T(body_cut),
					    T(body_in_chunks),
					    T(no_tls),
					    T(fragments),
					    T(nothing_to_write_waits),
					    T(sent_when_drained),
					    T(dead_address_first),
					    T(no_address_works),
					    cmocka_unit_test(host_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
