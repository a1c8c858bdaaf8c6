/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that lie: what a gateway, an exit, a node or the nym-api makes of an answer before it leaves, so that
 * tests see what the client makes of it. All draws come from one generator (localnet_cfg.hostile), which the
 * command "seed" begins anew.
 */
#ifndef TOOLS_LOCALNET_HOSTILE_H
#define TOOLS_LOCALNET_HOSTILE_H

#include <jansson.h>

#include "base/wire.h"
#include "tools/localnet/localnet.h"

/* True once in n. */
bool hostile_chance(struct rng *r, uint32_t n);
/* Turns a few bits. */
void hostile_flip(struct rng *r, void *bytes, size_t len);
/* A shorter length. */
size_t hostile_cut(struct rng *r, size_t len);
/* A text like those of a gateway with wrong members, or none at all; its length. */
size_t hostile_text(struct rng *r, char *out, size_t cap);
/* Bytes that may begin like a pushed frame; their number. */
size_t hostile_junk(struct rng *r, uint8_t *out, size_t cap);

/* Puts wrong values into a JSON text of the nym-api. */
void hostile_json(struct rng *r, json_t *j);
/* The body of an answer, malloc'ed, instead of body (which is freed). */
char *hostile_body(struct rng *r, enum api_fault how, char *body, size_t *len);

/* Number of messages an exit sends beside the one it should. */
unsigned hostile_more(enum exit_fault how);
/* One of them; right: the message it should send (a stream frame). me: the exit. */
void hostile_message(struct rng *r, enum exit_fault how, struct wire_wr *w, const uint8_t *right, size_t len,
		     const struct recipient *me);
/* What becomes of the right message, w.start..w.len, and of a fragment. */
void hostile_right(struct rng *r, enum exit_fault how, struct wire_wr *w);
void hostile_frag(struct rng *r, enum exit_fault how, uint8_t frag[NYM_FRAG]);

#endif
