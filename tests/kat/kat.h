/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known-answer tests: `kat DIR` runs every .vec file of DIR. A vector file is a list of blocks, a block a
 * name and a list of typed values (text, number, bytes). A test file registers handlers for kinds of blocks
 * with KAT_KINDS.
 *
 * A handler reads values, compares, and calls kat_fail() or one of the kat_eq functions for what differs; the
 * block has failed when one of them was called. Values that are missing or of another type fail the block too
 * and read as zeros, so handlers need no checks of their own: pointers returned here are never NULL.
 */
#ifndef TESTS_KAT_KAT_H
#define TESTS_KAT_KAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

/* Bytes behind the zeros that stand for a missing value. */
#define KAT_ZEROS 65536

struct kat_item {
	const char *key;
	char type;	      /* ':' text, '#' number, '=' bytes */
	bool seen;	      /* a handler has looked at it */
	const char *text;     /* ':' */
	int64_t num;	      /* '#' */
	const uint8_t *bytes; /* '=' */
	size_t len;	      /* of text or bytes */
};

struct kat_file;

struct kat_block {
	struct kat_file *file;
	const char *file_name; /* without directory, with .vec */
	const char *name;
	struct kat_item *item;
	size_t n, cap;
	unsigned failures;
};

/* ---- kinds ---- */

struct kat_kind {
	/* Ending in '/': every block whose name begins with it. Else: the block of exactly this name. Longest
	 * match wins. */
	const char *name;
	void (*run)(struct kat_block *b);
};

/* Adds kinds to the runner's table; a name registered twice is an error of the runner. */
void kat_register(const struct kat_kind *kinds, size_t n);

/* KAT_KINDS({ "plain/", run_plain }, { "base58", run_base58 }); once per file, at its end. */
#define KAT_KINDS(...)                                                                                       \
	static const struct kat_kind kat_kinds[] = { __VA_ARGS__ };                                          \
	__attribute__((constructor)) static void kat_register_kinds(void)                                    \
	{                                                                                                    \
		kat_register(kat_kinds, sizeof(kat_kinds) / sizeof(kat_kinds[0]));                           \
	}                                                                                                    \
	_Static_assert(sizeof(kat_kinds) > 0, "at least one kind")

/* ---- values ---- */

/* Formats a key; valid until 16 further calls: kat_bytes(b, kat_key("hop%u.address", i), &len). */
const char *kat_key(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool kat_has(struct kat_block *b, const char *key);
const char *kat_str(struct kat_block *b, const char *key);
int64_t kat_num(struct kat_block *b, const char *key);
const uint8_t *kat_bytes(struct kat_block *b, const char *key, size_t *ret_len);
/* Bytes that must be exactly len long. */
const uint8_t *kat_fixed(struct kat_block *b, const char *key, size_t len);
/* The item itself, NULL when there is none. */
struct kat_item *kat_find(struct kat_block *b, const char *key);
/* All items in order: for (size_t i = 0; i < b->n; i++) if ((it = kat_at(b, i, "parse."))) ...; an item whose
 * key does not begin with prefix gives NULL. *it->key + strlen(prefix) is the rest. */
struct kat_item *kat_at(struct kat_block *b, size_t i, const char *prefix);

/* "ok", "ok ...", "none": what the reference says when it accepts. */
bool kat_accepts(const char *text);

/* Another block of the same file; fails b when there is none, and returns an empty block then. */
struct kat_block *kat_block(struct kat_block *b, const char *name);
#define kat_network(b) kat_block(b, "network")

/* ---- verdicts ---- */

void kat_fail(struct kat_block *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* got against the bytes of key. */
void kat_eq(struct kat_block *b, const char *key, const void *got, size_t len);
/* got against the SHA-256 that stands under key; the length cannot be compared. */
void kat_eq_sha256(struct kat_block *b, const char *key, const void *got, size_t len);
void kat_eq_num(struct kat_block *b, const char *key, int64_t got);
void kat_eq_str(struct kat_block *b, const char *key, const char *got);
/* ok: we accepted. The reference's word (text under key) must agree. */
void kat_eq_accepted(struct kat_block *b, const char *key, bool ok);

/* True when outofscope.txt has a line for "<block name>#<item>" (a beginning of that is enough); the item is
 * then counted as out of scope. Whole blocks need no call: the runner skips them. */
bool kat_skip(struct kat_block *b, const char *item);

/* ---- randomness from the vectors ---- */

/* Gives the fed bytes in order, as one stream; fails the block and gives zeros when it runs dry. */
struct kat_rng {
	struct rng rng;
	struct kat_block *b;
	struct {
		const uint8_t *p;
		size_t len;
	} part[64];
	size_t n, at, off;
};

void kat_rng_init(struct kat_rng *r, struct kat_block *b);
/* p must live as long as r. */
void kat_rng_feed(struct kat_rng *r, const void *p, size_t len);
/* The bytes of key. */
void kat_rng_feed_key(struct kat_rng *r, const char *key);
/* Fails the block when bytes are left over. */
void kat_rng_end(struct kat_rng *r);

/* ---- data patterns (vectors/README.md) ---- */

/* Byte j is (31 j + 7 (j >> 8) + 3 + add) mod 256. */
void kat_pattern(uint8_t *out, size_t len, unsigned add);
void kat_sha256(uint8_t out[32], const void *in, size_t len);

#endif
