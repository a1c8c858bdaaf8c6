/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner of the known-answer tests: kat [-u] DIR
 *
 * Theory of operation. Every .vec file of DIR is read whole and cut in place: a line is "key : text", "key #
 * number" or "key = hex"; the key "name" after an empty line begins a block. A block goes to the handler
 * whose name matches longest (kat.h). Handlers register before main() runs.
 *
 * Exit code 1 when a block fails, when no handler knows it, or when a line cannot be read; 2 when there is
 * nothing to run. A block is left out only when outofscope.txt, reviewed like code, has a line for it. -u
 * also lists the values no handler looked at.
 */
#include "tests/kat/kat.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "base/list.h"
#include "mixnet/prim.h"

#define KINDS_MAX 256
#define BLOCKS_MAX 4096
#define SCOPE_MAX 256

struct kat_file {
	char *data;
	struct kat_block block[BLOCKS_MAX];
	size_t n;
	unsigned passed, failed, out;
};

static struct kat_kind kinds[KINDS_MAX];
static size_t n_kinds;
static bool kind_twice;

static char *scope_data, *scope[SCOPE_MAX];
static size_t n_scope;

static const uint8_t zeros[KAT_ZEROS];
static struct kat_block empty_block = { .file_name = "", .name = "" };

/* ---- kinds ---- */

void kat_register(const struct kat_kind *k, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n_kinds; j++)
			if (!strcmp(kinds[j].name, k[i].name)) {
				fprintf(stderr, "kat: kind %s registered twice\n", k[i].name);
				kind_twice = true;
			}
		if (n_kinds < KINDS_MAX)
			kinds[n_kinds++] = k[i];
	}
}

static bool kind_matches(const char *kind, const char *name)
{
	size_t len = strlen(kind);

	return kind[len - 1] == '/' ? !strncmp(kind, name, len) : !strcmp(kind, name);
}

static const struct kat_kind *kind_of(const char *name)
{
	const struct kat_kind *best = NULL;

	for (size_t i = 0; i < n_kinds; i++)
		if (kind_matches(kinds[i].name, name) &&
		    (!best || strlen(kinds[i].name) > strlen(best->name)))
			best = &kinds[i];
	return best;
}

/* ---- values ---- */

const char *kat_key(const char *fmt, ...)
{
	static char ring[16][128];
	static unsigned at;
	char *out = ring[at++ % 16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, sizeof(ring[0]), fmt, ap);
	va_end(ap);
	return out;
}

struct kat_item *kat_find(struct kat_block *b, const char *key)
{
	for (size_t i = 0; i < b->n; i++)
		if (!strcmp(b->item[i].key, key)) {
			b->item[i].seen = true;
			return &b->item[i];
		}
	return NULL;
}

bool kat_has(struct kat_block *b, const char *key)
{
	return kat_find(b, key) != NULL;
}

static struct kat_item *typed(struct kat_block *b, const char *key, char type)
{
	struct kat_item *it = kat_find(b, key);

	if (it && it->type == type)
		return it;
	kat_fail(b, "%s: %s", key, it ? "is of another type" : "is missing");
	return NULL;
}

const char *kat_str(struct kat_block *b, const char *key)
{
	struct kat_item *it = typed(b, key, ':');

	return it ? it->text : "";
}

int64_t kat_num(struct kat_block *b, const char *key)
{
	struct kat_item *it = typed(b, key, '#');

	return it ? it->num : 0;
}

const uint8_t *kat_bytes(struct kat_block *b, const char *key, size_t *ret_len)
{
	struct kat_item *it = typed(b, key, '=');

	*ret_len = it ? it->len : 0;
	return it ? it->bytes : zeros;
}

const uint8_t *kat_fixed(struct kat_block *b, const char *key, size_t len)
{
	size_t got;
	const uint8_t *p = kat_bytes(b, key, &got);

	if (got == len)
		return p;
	kat_fail(b, "%s: %zu bytes instead of %zu", key, got, len);
	return zeros;
}

struct kat_item *kat_at(struct kat_block *b, size_t i, const char *prefix)
{
	struct kat_item *it = &b->item[i];

	if (strncmp(it->key, prefix, strlen(prefix)))
		return NULL;
	it->seen = true;
	return it;
}

bool kat_accepts(const char *text)
{
	return !strcmp(text, "ok") || !strncmp(text, "ok ", 3) || !strcmp(text, "none");
}

struct kat_block *kat_block(struct kat_block *b, const char *name)
{
	for (size_t i = 0; i < b->file->n; i++)
		if (!strcmp(b->file->block[i].name, name))
			return &b->file->block[i];
	kat_fail(b, "the file has no block %s", name);
	return &empty_block;
}

/* ---- verdicts ---- */

void kat_fail(struct kat_block *b, const char *fmt, ...)
{
	va_list ap;

	b->failures++;
	printf("FAIL %s %s: ", b->file_name, b->name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void differ(struct kat_block *b, const char *key, const uint8_t *got, size_t len, const uint8_t *want,
		   size_t want_len)
{
	char got_text[33] = "", want_text[33] = "";
	size_t at = 0;

	while (at < len && at < want_len && got[at] == want[at])
		at++;
	hex_encode(got_text, got + at, len - at < 16 ? len - at : 16);
	hex_encode(want_text, want + at, want_len - at < 16 ? want_len - at : 16);
	kat_fail(b, "%s: %zu bytes, expected %zu; at byte %zu %s, expected %s", key, len, want_len, at,
		 got_text, want_text);
}

void kat_eq(struct kat_block *b, const char *key, const void *got, size_t len)
{
	struct kat_item *it = typed(b, key, '=');

	if (it && (it->len != len || (len && memcmp(it->bytes, got, len))))
		differ(b, key, got, len, it->bytes, it->len);
}

void kat_eq_sha256(struct kat_block *b, const char *key, const void *got, size_t len)
{
	uint8_t h[32];

	kat_sha256(h, got, len);
	kat_eq(b, key, h, sizeof(h));
}

void kat_eq_num(struct kat_block *b, const char *key, int64_t got)
{
	struct kat_item *it = typed(b, key, '#');

	if (it && it->num != got)
		kat_fail(b, "%s: %" PRId64 ", expected %" PRId64, key, got, it->num);
}

void kat_eq_str(struct kat_block *b, const char *key, const char *got)
{
	struct kat_item *it = typed(b, key, ':');

	if (it && strcmp(it->text, got))
		kat_fail(b, "%s: \"%s\", expected \"%s\"", key, got, it->text);
}

void kat_eq_accepted(struct kat_block *b, const char *key, bool ok)
{
	struct kat_item *it = typed(b, key, ':');

	if (it && kat_accepts(it->text) != ok)
		kat_fail(b, "%s: we %s, the reference says %s", key, ok ? "accept" : "refuse", it->text);
}

/* ---- scope ---- */

static bool out_of_scope(const char *what)
{
	for (size_t i = 0; i < n_scope; i++)
		if (!strncmp(scope[i], what, strlen(scope[i])))
			return true;
	return false;
}

bool kat_skip(struct kat_block *b, const char *item)
{
	char what[512];

	snprintf(what, sizeof(what), "%s#%s", b->name, item);
	if (!out_of_scope(what))
		return false;
	b->file->out++;
	return true;
}

/* ---- randomness, patterns ---- */

static void kat_rng_fill(struct rng *base, void *buf, size_t len)
{
	struct kat_rng *r = container_of(base, struct kat_rng, rng);
	uint8_t *out = buf;

	for (; len; len--) {
		while (r->at < r->n && r->off == r->part[r->at].len) {
			r->at++;
			r->off = 0;
		}
		if (r->at == r->n) {
			kat_fail(r->b, "%zu more random bytes drawn than the vector has", len);
			memset(out, 0, len);
			return;
		}
		*out++ = r->part[r->at].p[r->off++];
	}
}

void kat_rng_init(struct kat_rng *r, struct kat_block *b)
{
	memset(r, 0, sizeof(*r));
	r->rng.fill = kat_rng_fill;
	r->b = b;
}

void kat_rng_feed(struct kat_rng *r, const void *p, size_t len)
{
	if (r->n == sizeof(r->part) / sizeof(r->part[0])) {
		kat_fail(r->b, "too many pieces of randomness");
		return;
	}
	r->part[r->n].p = p;
	r->part[r->n++].len = len;
}

void kat_rng_feed_key(struct kat_rng *r, const char *key)
{
	size_t len;
	const uint8_t *p = kat_bytes(r->b, key, &len);

	kat_rng_feed(r, p, len);
}

void kat_rng_end(struct kat_rng *r)
{
	size_t left = 0;

	for (size_t i = r->at; i < r->n; i++)
		left += r->part[i].len;
	left -= r->at < r->n ? r->off : 0;
	if (left)
		kat_fail(r->b, "%zu of the vector's random bytes were not drawn", left);
}

void kat_pattern(uint8_t *out, size_t len, unsigned add)
{
	for (size_t j = 0; j < len; j++)
		out[j] = (uint8_t)(31 * j + 7 * (j >> 8) + 3 + add);
}

void kat_sha256(uint8_t out[32], const void *in, size_t len)
{
	crypto_hash_sha256(out, in, len);
}

/* ---- reading ---- */

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *data = NULL;
	long size;

	if (!f)
		return NULL;
	if (!fseek(f, 0, SEEK_END) && (size = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
		data = malloc((size_t)size + 1);
		if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
			free(data);
			data = NULL;
		}
		if (data)
			data[size] = '\0';
	}
	fclose(f);
	return data;
}

static bool add_item(struct kat_block *b, const struct kat_item *it)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 32;
		struct kat_item *more = realloc(b->item, cap * sizeof(*more));

		if (!more)
			return false;
		b->item = more;
		b->cap = cap;
	}
	b->item[b->n++] = *it;
	return true;
}

static bool parse_value(struct kat_item *it, char *value)
{
	int n;

	switch (it->type) {
	case ':':
		it->text = value;
		it->len = strlen(value);
		return true;
	case '#':
		errno = 0;
		/* Numbers above INT64_MAX keep their 64 bits. */
		it->num = *value == '-' ? strtoll(value, &value, 10) : (int64_t)strtoull(value, &value, 10);
		return !errno && !*value;
	case '=':
		it->len = strlen(value);
		n = hex_decode((uint8_t *)value, it->len / 2, value, it->len);
		it->bytes = (uint8_t *)value;
		it->len = n < 0 ? 0 : (size_t)n;
		return n >= 0;
	}
	return false;
}

/* One line; first: it may begin a block. False when it is none of the forms of vectors/README.md. */
static bool parse_line(struct kat_file *f, const char *file_name, char *line, bool first)
{
	char *space = strchr(line, ' ');
	struct kat_item it = { .key = line };

	if (!space || !space[1])
		return false;
	*space = '\0';
	it.type = space[1];
	if (!parse_value(&it, space[2] ? space + 3 : space + 2))
		return false;
	if (first) {
		if (strcmp(it.key, "name") || it.type != ':' || f->n == BLOCKS_MAX)
			return false;
		f->block[f->n++] = (struct kat_block){ .file = f, .file_name = file_name, .name = it.text };
		return true;
	}
	return add_item(&f->block[f->n - 1], &it);
}

static bool parse_file(struct kat_file *f, const char *file_name)
{
	bool ok = true, first = true;
	unsigned no = 0;

	for (char *line = f->data, *end; line; line = end) {
		no++;
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (!*line)
			first = true;
		if (!*line || *line == '#')
			continue;
		if (parse_line(f, file_name, line, first)) {
			first = false;
			continue;
		}
		printf("FAIL %s line %u cannot be read\n", file_name, no);
		ok = false;
	}
	return ok;
}

/* Lines "beginning of a block name, or block#item : reason". A line without a reason is not one. */
static bool read_scope(const char *path)
{
	scope_data = slurp(path);
	if (!scope_data)
		return false;
	for (char *line = scope_data, *end; line; line = end) {
		char *reason;

		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (!*line || *line == '#')
			continue;
		reason = strstr(line, " : ");
		if (!reason || !reason[3] || n_scope == SCOPE_MAX)
			return false;
		*reason = '\0';
		scope[n_scope++] = line;
	}
	return true;
}

/* ---- running ---- */

static void run_block(struct kat_file *f, struct kat_block *b)
{
	const struct kat_kind *k = kind_of(b->name);

	if (out_of_scope(b->name)) {
		f->out++;
		return;
	}
	if (k)
		k->run(b);
	else
		kat_fail(b, "no test knows this kind of block");
	if (b->failures)
		f->failed++;
	else
		f->passed++;
}

static void list_unused(const struct kat_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		for (size_t j = 0; j < f->block[i].n; j++) {
			const struct kat_item *it = &f->block[i].item[j];

			if (!it->seen && strcmp(it->key, "what") && !out_of_scope(f->block[i].name))
				printf("unused %s %s: %s\n", f->block[i].file_name, f->block[i].name,
				       it->key);
		}
}

/* True when every block passed. */
static bool run_file(const char *dir, const char *name, bool unused)
{
	struct kat_file *f = calloc(1, sizeof(*f));
	char path[4096];
	bool ok = false;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (f)
		f->data = slurp(path);
	if (!f || !f->data) {
		printf("FAIL %s cannot be read\n", path);
	} else {
		ok = parse_file(f, name);
		for (size_t i = 0; i < f->n; i++)
			run_block(f, &f->block[i]);
		if (unused)
			list_unused(f);
		printf("%s: %u passed, %u failed, %u out of scope\n", name, f->passed, f->failed, f->out);
		ok = ok && !f->failed && f->n;
	}
	for (size_t i = 0; f && i < f->n; i++)
		free(f->block[i].item);
	if (f)
		free(f->data);
	free(f);
	return ok;
}

static int is_vec(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 4 && !strcmp(d->d_name + len - 4, ".vec");
}

int main(int argc, char **argv)
{
	bool unused = argc > 1 && !strcmp(argv[1], "-u"), ok = true;
	struct dirent **list = NULL;
	int n;

	if (argc != 2 + unused) {
		fprintf(stderr, "usage: kat [-u] DIR\n");
		return 2;
	}
	if (kind_twice || prim_init() || !read_scope(KAT_SCOPE)) {
		fprintf(stderr, "kat: cannot start (kinds, crypto library, or %s)\n", KAT_SCOPE);
		return 2;
	}
	n = scandir(argv[1 + unused], &list, is_vec, alphasort);
	if (n <= 0) {
		fprintf(stderr, "kat: no .vec file in %s\n", argv[1 + unused]);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		ok &= run_file(argv[1 + unused], list[i]->d_name, unused);
		free(list[i]);
	}
	free(list);
	free(scope_data);
	return !ok;
}
