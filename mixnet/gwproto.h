/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client <-> entry gateway protocol (spec gateway.md): version query, registration handshake, login,
 * bandwidth, binary frames. Both sides: the client's is the product's, the gateway's serves the local network
 * and the vectors.
 *
 * Engines without I/O: a step takes one websocket message and says what to do; texts to be sent are written
 * to the caller's buffer. JSON by jansson (the one engine that allocates, for text messages only; binary
 * frames do not).
 *
 * Client states and legal moves (gw_client.state):
 *   IDLE -> VERSION -> HELLO -> FINISH -> REGISTER -> OPEN   registration (message 1, then message 3 sent)
 *   IDLE -> LOGIN -> OPEN                                    login with a key from before
 *   any -> FAILED                                            error text in gw_client.error
 */
#ifndef MIXNET_GWPROTO_H
#define MIXNET_GWPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mixnet/framing.h"

struct rng;

#define GW_PROTO_MAX 6
#define GW_PROTO_MIN 4
#define GW_TEXT_MAX 2048 /* longest text either side of ours writes */
#define GW_FRAME_OVERHEAD (2 + 12 + 16)
#define GW_FRAME_MAX (GW_FRAME_OVERHEAD + MIXPACKET_MAX)
#define GW_BANDWIDTH_LOW INT64_C(40000000)
#define GW_FREE_GRANT INT64_C(68719476736)
#define GW_ERROR_MAX 160

enum gw_state { GW_IDLE, GW_VERSION, GW_HELLO, GW_FINISH, GW_REGISTER, GW_LOGIN, GW_OPEN, GW_FAILED };
const char *gw_state_name(enum gw_state s);

struct gw_client {
	enum gw_state state;
	uint8_t identity_pk[32], identity_sk[64]; /* ours */
	uint8_t gateway_pk[32];			  /* from the directory */
	struct rng *rng;
	uint8_t version; /* negotiated, 4..6 */
	uint8_t eph_sk[32], eph_pk[32], salt[16];
	uint8_t key[32];   /* K, valid from FINISH on */
	bool have_key;	   /* a login is possible */
	int64_t bandwidth; /* last reported */
	bool claiming, upgrade_mode;
	/* Packets without an answer; of them, those whose answers come before the claim's (gateway.md 7.4) */
	uint32_t unanswered, before_claim;
	char error[GW_ERROR_MAX]; /* printable, cause of FAILED or of GW_OUT_ERROR */
};

void gw_client_init(struct gw_client *g, const uint8_t identity_pk[32], const uint8_t identity_sk[64],
		    const uint8_t gateway_pk[32], struct rng *rng);
void gw_client_done(struct gw_client *g); /* wipes */

/* What a step asks of the driver. More than one bit may be set. */
enum gw_out {
	GW_OUT_SEND = 1,	 /* a text of *out_len bytes in out is to be sent */
	GW_OUT_OPEN = 2,	 /* just became OPEN */
	GW_OUT_BANDWIDTH = 4,	 /* bandwidth changed */
	GW_OUT_NO_BANDWIDTH = 8, /* a packet was dropped for lack of it; the caller claims */
	GW_OUT_ERROR = 16,	 /* gateway sent an error after login; text in error; link stays */
	GW_OUT_SENT = 32,	 /* a packet was accepted by the gateway */
	GW_OUT_CREDENTIALS = 64, /* the free claim was refused: choose another gateway (gateway.md 9) */
	GW_OUT_UNCLAIMED = 128,	 /* the claim was refused for another reason, or its answer got lost */
};

/* First text of a connection: registration (version query first), or login when have_key. wall_s = UTC
 * seconds. 0 and out/out_len filled. */
int gw_client_start(struct gw_client *g, int64_t wall_s, char *out, size_t cap, size_t *out_len);
/* One text message. enum gw_out bits (>= 0), or negative: SMX_EPROTO, SMX_ECRYPTO, SMX_EVERSION, SMX_EREFUSED
 * with state FAILED and error set. After login unknown types are ignored (0), and what is malformed is
 * SMX_EPROTO and changes no state (count, drop). */
int gw_client_text(struct gw_client *g, const char *in, size_t len, char *out, size_t cap, size_t *out_len);
/* Writes claimFreeTestnetBandwidth unless a claim is pending (then 0). GW_OUT_SEND or 0. */
int gw_client_claim(struct gw_client *g, char *out, size_t cap, size_t *out_len);
/* Whether a claim is due (below GW_BANDWIDTH_LOW, none pending, not in upgrade mode). */
bool gw_client_wants_claim(const struct gw_client *g);
/* encryptedRequest ForgetMe{client:true}, good manners at the end of a run. GW_OUT_SEND. */
int gw_client_forget(struct gw_client *g, char *out, size_t cap, size_t *out_len);
/* Opens a pushed binary frame in place: *ret_blob points into in. 0; SMX_EPROTO / SMX_ECRYPTO (count, drop).
 * Allowed from FINISH on (offline messages may come before "register"). */
int gw_client_push(struct gw_client *g, uint8_t *in, size_t len, uint8_t **ret_blob, size_t *ret_len);
/* Binary frame for one MixPacket: kind 2 from version 5 on, else 1. Bytes written to out, or negative. Such a
 * frame may wait; gw_client_sent() when it is sent, since each is answered. */
int gw_client_seal(struct gw_client *g, uint8_t *out, size_t cap, const struct mixpacket *m);
void gw_client_sent(struct gw_client *g);

/* Random draws of start and text, in the order of the vectors: HELLO eph_sk(32), salt(16); FINISH nonce(12);
 * LOGIN nonce(12); seal nonce(12); forget nonce(12). */

/* ---- gateway side ---- */

struct gw_server_client { /* what the gateway remembers per client, owned by the caller's table */
	uint8_t pk[32];
	uint8_t key[32];
	int64_t bandwidth;
	int64_t last_login_s;
};

enum gw_server_state { GWS_NEW, GWS_HELLO, GWS_OPEN, GWS_CLOSED };

struct gw_server {
	enum gw_server_state state;
	uint8_t identity_pk[32], identity_sk[64];
	struct rng *rng;
	uint8_t max_version;			/* switch: what supportedProtocol answers (default 6) */
	bool enforce_credentials, upgrade_mode; /* switches */
	uint8_t version;
	uint8_t client_pk[32], client_eph[32];
	uint8_t eph_sk[32], eph_pk[32];
	struct gw_server_client who; /* valid from OPEN on; the caller copies changes to its table */
};

struct gw_server_ops {
	/* Fills *c and returns true when the client is registered. */
	bool (*lookup)(void *owner, const uint8_t pk[32], struct gw_server_client *c);
	/* True when a session for pk is active on another connection (gateway.md 10). */
	bool (*active)(void *owner, const uint8_t pk[32]);
	void (*store)(void *owner, const struct gw_server_client *c);
	void (*forget)(void *owner, const uint8_t pk[32]);
	void *owner;
};

void gw_server_init(struct gw_server *s, const uint8_t identity_pk[32], const uint8_t identity_sk[64],
		    struct rng *rng);
void gw_server_done(struct gw_server *s);

enum gws_out {
	GWS_SEND = 1,	  /* first text in out */
	GWS_SEND2 = 2,	  /* second text in out2 ("01" then "register"; errors twice) */
	GWS_OPEN_NOW = 4, /* client is now OPEN: push stored messages between out and out2 (register) or
			     before out (login) */
	GWS_CLOSE = 8,
};
/* One text from the client. enum gws_out bits; texts are NUL-terminated in out/out2 (GW_TEXT_MAX each). */
int gw_server_text(struct gw_server *s, const struct gw_server_ops *ops, int64_t wall_s, const char *in,
		   size_t len, char out[GW_TEXT_MAX], char out2[GW_TEXT_MAX]);
/* One binary frame, opened in place. GWS_SEND (answer in out), plus GWS_FORWARD when *m is
 * to be forwarded. */
enum { GWS_FORWARD = 16 };
int gw_server_binary(struct gw_server *s, uint8_t *in, size_t len, struct mixpacket *m,
		     char out[GW_TEXT_MAX]);
/* PushedMixMessage frame. Bytes written or negative. */
int gw_server_push(struct gw_server *s, uint8_t *out, size_t cap, const uint8_t *msg, size_t len);

#endif
