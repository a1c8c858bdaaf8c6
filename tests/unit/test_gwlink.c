/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to a gateway that is not as ours: one that refuses logins, claims and bandwidth in words of its
 * own, that says what nobody understands, and that moves. The gateway speaks over real sockets of this
 * machine.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "mixnet/bridge_gw.h"
#include "mixnet/prim.h"
#include "mixnet/ws.h"

#define ROUND_US 1000
#define ROUNDS_MAX 20000
#define MSG_MAX 65536

struct fix {
	struct clock_fake clock; /* a slow machine must not run into time-outs */
	struct loop *loop;
	struct ws *ws;
	struct ws_server *server;
	struct addr at;
	/* gateway */
	uint8_t pk[32], sk[64];
	struct gw_server eng;
	struct gw_server_client known;
	bool knows;
	struct ws_conn *conn;
	const char *login_error, *claim_answer, *packet_answer;
	bool chats; /* instead of the answer to the first question */
	unsigned logins, registrations, claims, packets;
	/* client */
	struct nym_self me;
	struct topo_node node;
	struct gw_link link;
	unsigned opened, lost;
	enum gw_link_lost how;
};

/* ---- gateway ---- */

static bool op_lookup(void *owner, const uint8_t pk[32], struct gw_server_client *c)
{
	struct fix *f = owner;

	(void)pk;
	*c = f->known;
	return f->knows;
}

static bool op_active(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
	return false;
}

static void op_store(void *owner, const struct gw_server_client *c)
{
	struct fix *f = owner;

	f->known = *c;
	f->known.last_login_s = 0; /* the tests log in more than once a second */
	f->knows = true;
}

static void op_forget(void *owner, const uint8_t pk[32])
{
	(void)owner, (void)pk;
}

static void say(struct fix *f, const char *text)
{
	assert_int_equal(ws_send(f->conn, true, text, strlen(text)), 0);
}

static void say_error(struct fix *f, const char *message)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"type\":\"error\",\"message\":\"%s\"}", message);
	say(f, text);
}

static void gateway_text(void *owner, const char *msg, size_t len)
{
	struct fix *f = owner;
	const struct gw_server_ops ops = { op_lookup, op_active, op_store, op_forget, f };
	char out[GW_TEXT_MAX], out2[GW_TEXT_MAX], in[GW_TEXT_MAX];
	int bits;

	assert_true(len < sizeof(in));
	memcpy(in, msg, len);
	in[len] = 0;
	f->registrations += strstr(in, "supportedProtocol") != NULL;
	if (f->chats)
		return;
	if (strstr(in, "authenticateV2")) {
		f->logins++;
		if (f->login_error) {
			say_error(f, f->login_error);
			ws_close(f->conn, false);
			return;
		}
	}
	if (strstr(in, "claimFree")) {
		f->claims++;
		if (f->claim_answer) {
			say(f, f->claim_answer);
			return;
		}
	}
	bits = gw_server_text(&f->eng, &ops, loop_clock(f->loop)->wall_s(loop_clock(f->loop)), in, len, out,
			      out2);
	if (bits & GWS_SEND)
		say(f, out);
	if (bits & GWS_SEND2)
		say(f, out2);
}

static void gateway_binary(void *owner, uint8_t *msg, size_t len)
{
	struct fix *f = owner;
	char out[GW_TEXT_MAX];
	struct mixpacket m;

	f->packets++;
	if (f->packet_answer)
		say(f, f->packet_answer);
	else if (gw_server_binary(&f->eng, msg, len, &m, out) & GWS_SEND)
		say(f, out);
}

static void gateway_closed(void *owner, int err)
{
	struct fix *f = owner;

	(void)err;
	f->conn = NULL;
}

static void *gateway_accept(void *owner, struct ws_conn *c, const struct ws_conn_ops **ret_ops)
{
	static const struct ws_conn_ops ops = { .text = gateway_text,
						.binary = gateway_binary,
						.closed = gateway_closed };
	struct fix *f = owner;

	if (f->conn)
		ws_disown(f->conn);
	f->conn = c;
	gw_server_init(&f->eng, f->pk, f->sk, rng_system());
	*ret_ops = &ops;
	return f;
}

/* ---- client ---- */

static void on_open(void *owner)
{
	struct fix *f = owner;

	f->opened++;
}

static void on_blob(void *owner, uint8_t *blob, size_t len)
{
	(void)owner, (void)blob, (void)len;
}

static void on_lost(void *owner, enum gw_link_lost how)
{
	struct fix *f = owner;

	f->lost++;
	f->how = how;
}

static void on_drained(void *owner)
{
	(void)owner;
}

static const struct gw_link_ops link_ops = { on_open, on_blob, on_lost, on_drained };

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	const struct ws_server_ops ops = { .accept = gateway_accept, .owner = f };
	const uint8_t seed[32] = { 7 };
	struct addr any;

	*state = f;
	if (f)
		clock_fake_init(&f->clock, US_PER_S, 1767225600);
	f->loop = f ? loop_new(&f->clock.clock) : NULL;
	f->ws = f->loop ? ws_new(f->loop, 16) : NULL;
	addr_parse_ip(&any, "127.0.0.1");
	f->server = f->ws ? ws_listen(f->ws, &any, &f->at, MSG_MAX, &ops) : NULL;
	if (!f->server)
		return -1;
	prim_ed25519_keypair(f->pk, f->sk, seed);
	nym_self_new(&f->me, rng_system());
	memcpy(f->node.identity, f->pk, 32);
	f->node.has_entry = true;
	f->node.ws_port = f->at.port;
	f->node.ips[0] = any;
	f->node.n_ips = 1;
	gw_link_init(&f->link, f->loop, f->ws, &link_ops, f);
	return gw_link_choose(&f->link, &f->node, &f->me, rng_system(), NULL, false);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	gw_link_done(&f->link);
	ws_server_free(f->server);
	ws_free(f->ws);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void turn(struct fix *f)
{
	ws_dispatch(f->ws, 0);
	usleep(ROUND_US);
	f->clock.us += ROUND_US;
}

/* Until the link is open or lost. */
static void open_link(struct fix *f)
{
	unsigned before = f->opened + f->lost;

	gw_link_open(&f->link);
	for (int i = 0; i < ROUNDS_MAX && f->opened + f->lost == before; i++)
		turn(f);
	assert_int_equal(f->opened + f->lost, before + 1);
}

/* Opens it, and the gateway ends it. */
static void be_registered(struct fix *f)
{
	open_link(f);
	assert_int_equal(f->opened, 1);
	assert_int_equal(f->registrations, 1);
	ws_close(f->conn, true);
	for (int i = 0; i < ROUNDS_MAX && !f->lost; i++)
		turn(f);
	assert_int_equal(f->how, GW_LOST_UNREACHABLE);
}

/* Its books are older than our key: after some refusals we register again. */
static void logins_refused(void **state)
{
	struct fix *f = *state;

	be_registered(f);
	f->login_error = "failed to verify provided address ciphertext";
	for (int i = 0; i < 2; i++) {
		open_link(f);
		assert_int_equal(f->how, GW_LOST_REFUSED);
	}
	open_link(f);
	assert_int_equal(f->how, GW_LOST_UNKNOWN_US);
	assert_int_equal(f->registrations, 1);
	open_link(f);
	assert_int_equal(f->opened, 2);
	assert_int_equal(f->registrations, 2);
	/* and the next time there is a login again */
	f->login_error = NULL;
	open_link(f);
	assert_int_equal(f->opened, 3);
	assert_int_equal(f->logins, 4);
}

/* It takes a dead connection of ours for open: only a login ends that one (gateway.md 10). */
static void still_there(void **state)
{
	struct fix *f = *state;

	be_registered(f);
	f->login_error = "There is already an open connection to this client";
	for (int i = 0; i < 6; i++) {
		open_link(f);
		assert_int_equal(f->how, GW_LOST_REFUSED);
	}
	assert_int_equal(f->logins, 6);
	assert_int_equal(f->registrations, 1);
}

/* It keeps talking and never answers: that is no reason to stay. */
static void small_talk(void **state)
{
	struct fix *f = *state;

	f->chats = true;
	gw_link_open(&f->link);
	for (int i = 0; i < 20 && !f->lost; i++) {
		f->clock.us += US_PER_S;
		for (int j = 0; j < 20; j++)
			turn(f);
		if (f->conn && !f->lost)
			say(f, "{\"type\":\"weather\",\"text\":\"fine\"}");
	}
	assert_int_equal(f->lost, 1);
	assert_int_equal(f->how, GW_LOST_REFUSED);
}

/* Whatever the words: an error is the claim's answer when nothing else was asked. */
static void claim_refused(void **state)
{
	struct fix *f = *state;

	f->claim_answer = "{\"type\":\"error\",\"message\":\"no free bandwidth here\"}";
	open_link(f);
	assert_int_equal(f->how, GW_LOST_REFUSED);
	assert_non_null(strstr(f->link.why, "no free bandwidth here"));
	assert_int_equal(f->claims, 1);
}

static void nothing_granted(void **state)
{
	struct fix *f = *state;

	f->claim_answer = "{\"type\":\"bandwidth\",\"available_total\":0}";
	open_link(f);
	assert_int_equal(f->how, GW_LOST_REFUSED);
	assert_int_equal(f->claims, 1);
}

/* Less than what makes us claim, but something: no claim follows the other. */
static void little_granted(void **state)
{
	struct fix *f = *state;

	f->claim_answer = "{\"type\":\"bandwidth\",\"available_total\":5000000}";
	open_link(f);
	assert_int_equal(f->opened, 1);
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_int_equal(f->claims, 1);
}

static void send_packet(struct fix *f)
{
	static uint8_t packet[386], frame[GW_FRAME_MAX];
	const struct mixpacket m = { .next_hop = f->at, .packet = packet, .packet_len = sizeof(packet) };
	unsigned before = f->packets;
	int len = gw_link_seal(&f->link, frame, sizeof(frame), &m);

	assert_true(len > 0);
	assert_int_equal(gw_link_send(&f->link, frame, (size_t)len), 0);
	for (int i = 0; i < ROUNDS_MAX && f->packets == before; i++)
		turn(f);
}

/* The grant ends at midnight and the first claim after it fails: there is a second one. */
static void claim_fails_later(void **state)
{
	struct fix *f = *state;

	open_link(f);
	assert_int_equal(f->claims, 1);
	f->clock.us += 2 * US_PER_S;
	send_packet(f);
	f->claim_answer = "{\"type\":\"error\",\"message\":\"the database is locked\"}";
	f->packet_answer =
		"{\"type\":\"typedError\",\"error\":{\"out_of_bandwidth\":{\"required\":386,\"available\":0}}}";
	send_packet(f);
	for (int i = 0; i < 200; i++)
		turn(f);
	assert_int_equal(f->claims, 2);
	assert_true(gw_link_starved(&f->link));
	f->claim_answer = NULL;
	f->clock.us += 2 * US_PER_S;
	for (int i = 0; i < 40 && f->claims == 2; i++)
		send_packet(f);
	f->packet_answer = NULL;
	send_packet(f);
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_int_equal(f->claims, 3);
	assert_false(gw_link_starved(&f->link));
	assert_int_equal(f->lost, 0);
}

/* After the login nothing it says ends the link, and nothing of it is taken. */
static void nonsense(void **state)
{
	static const char *const texts[] = {
		"nonsense",
		"[]",
		"{}",
		"{\"type\":\"send\"}",
		"{\"type\":\"send\",\"remaining_bandwidth\":\"many\",\"upgrade_mode\":true}",
		"{\"type\":\"bandwidth\",\"available_total\":\"many\",\"upgrade_mode\":true}",
		"{\"type\":\"somethingNew\",\"value\":1}",
		"{\"type\":\"typedError\",\"error\":{\"something_new\":1}}",
		"{\"type\":\"encryptedResponse\",\"ciphertext\":[1],\"nonce\":[2]}",
		"{\"type\":\"error\",\"message\":\"Provided text request was malformed\"}",
	};
	struct fix *f = *state;
	int64_t before;

	open_link(f);
	before = f->link.gw.bandwidth;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		say(f, texts[i]);
	for (int i = 0; i < 200; i++)
		turn(f);
	assert_int_equal(f->lost, 0);
	assert_true(gw_link_is_open(&f->link));
	assert_int_equal(f->link.bad_frames, 6);
	assert_true(f->link.gw.bandwidth == before);
	assert_false(f->link.gw.upgrade_mode);
	send_packet(f);
	assert_int_equal(f->packets, 1);
}

/* The directory says where it is now. */
static void gateway_moves(void **state)
{
	struct fix *f = *state;
	struct topo_node node = f->node;

	be_registered(f);
	node.ws_port = 1; /* nobody is there */
	gw_link_update(&f->link, &node);
	open_link(f);
	assert_int_equal(f->how, GW_LOST_UNREACHABLE);
	gw_link_update(&f->link, &f->node);
	open_link(f);
	assert_int_equal(f->opened, 2);
	assert_int_equal(f->logins, 1);
	node.n_ips = 0; /* a directory that has lost its addresses changes nothing */
	gw_link_update(&f->link, &node);
	open_link(f);
	assert_int_equal(f->opened, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(logins_refused),	  T(still_there),     T(small_talk),
					    T(claim_refused),	  T(nothing_granted), T(little_granted),
					    T(claim_fails_later), T(nonsense),	      T(gateway_moves) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
