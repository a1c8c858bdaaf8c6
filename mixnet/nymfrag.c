/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments: headers, the arithmetic of splitting, padding (spec nymsphinx.md 8.1, 8.2, 9).
 *
 * A message that fits 255 fragments is one set with 7-byte headers throughout. Longer ones are several sets:
 * fragment 255 of a set that goes on and fragment 1 of a set that continues carry the other set's id and have
 * 10-byte headers. Padding fills the last fragment, because all fragments of a message must have one length
 * (9: the packet size follows from it).
 *
 * Limits. None on the number of sets; ids of one message are drawn independently, so two of them may be equal
 * with a chance of 2^-31 a pair, as in the reference. Called by exitsess, by the local network's exit, and by
 * nymrx, which puts the fragments together again.
 */
#include "mixnet/nympkt.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"

#define LINK_BIT 0x80000000u

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int nym_frag_parse(struct nym_frag *f, const uint8_t *in, size_t len)
{
	struct nym_frag r = { 0 };
	size_t hdr = NYM_FRAG_HDR;
	uint32_t link;

	if (len < NYM_FRAG_HDR || !(in[0] & 0x80))
		return SMX_EPROTO;
	r.set = get32(in) & ~LINK_BIT;
	r.total = in[4];
	r.pos = in[5];
	if (!r.set || !r.pos || r.pos > r.total)
		return SMX_EPROTO;
	if (in[6]) {
		hdr = NYM_FRAG_HDR_LINKED;
		if (len < hdr || !(in[6] & 0x80))
			return SMX_EPROTO;
		link = get32(in + 6) & ~LINK_BIT;
		if (!link || link == r.set)
			return SMX_EPROTO;
		if (r.pos == 1)
			r.prev = link;
		else if (r.pos == NYM_FRAGS_PER_SET && r.total == NYM_FRAGS_PER_SET)
			r.next = link;
		else
			return SMX_EPROTO;
	}
	r.data = in + hdr;
	r.len = len - hdr;
	*f = r;
	return 0;
}

void nym_frag_id(uint8_t out[NYM_ID], const uint8_t frag[NYM_FRAG])
{
	put32(out, get32(frag) & ~LINK_BIT);
	out[4] = frag[5];
}

int nym_id_parse(const uint8_t id[NYM_ID], uint32_t *ret_set, uint8_t *ret_pos)
{
	uint32_t set = get32(id);

	if (set & LINK_BIT || !set || !id[4])
		return SMX_EPROTO;
	*ret_set = set;
	*ret_pos = id[4];
	return 0;
}

static size_t div_up(size_t a, size_t b)
{
	return a / b + (a % b != 0);
}

static size_t count_sets(size_t n, size_t u)
{
	size_t full = NYM_FRAGS_PER_SET * u;

	if (n <= full)
		return 1;
	if (n <= 2 * (full - 3))
		return 2;
	return 2 + div_up(n - 2 * (full - 3), full - 6);
}

size_t nym_frag_required(size_t len, size_t frag_len, size_t *ret_free)
{
	size_t u = frag_len - NYM_FRAG_HDR, l = frag_len - NYM_FRAG_HDR_LINKED;
	size_t sets = count_sets(len, u), k, linked, before, rest;

	if (sets == 1) {
		k = len ? div_up(len, u) : 1;
		if (ret_free)
			*ret_free = k * u - len;
		return k;
	}
	linked = 2 * sets - 3; /* linked fragments in all full sets */
	before = NYM_FRAGS_PER_SET * (sets - 1);
	rest = len - linked * l - (before - linked) * u;
	k = 1 + (rest > l ? div_up(rest - l, u) : 0);
	if (ret_free)
		*ret_free = l + (k - 1) * u - rest;
	return before + k;
}

int nym_pad(struct wire_wr *w, size_t frag_len)
{
	size_t spare;

	if (w->bad)
		return SMX_ELIMIT;
	nym_frag_required(w->len + 1, frag_len, &spare);
	wire_put_u8(w, 1);
	wire_put_zero(w, spare);
	return wire_wr_end(w);
}

/* Uniform in 1..0x7fffffff. */
static uint32_t draw_set(struct rng *rng)
{
	uint32_t id;

	do
		id = rng_u32(rng) & ~LINK_BIT;
	while (!id);
	return id;
}

static void begin_set(struct nym_split *s)
{
	size_t u = s->frag_len - NYM_FRAG_HDR, l = s->frag_len - NYM_FRAG_HDR_LINKED;
	size_t left = s->len - s->off;

	s->pos = 0;
	if (s->set_no + 1 < s->sets)
		s->total = NYM_FRAGS_PER_SET;
	else if (s->prev)
		s->total = (uint8_t)(1 + (left > l ? div_up(left - l, u) : 0));
	else
		s->total = (uint8_t)(left ? div_up(left, u) : 1);
	s->next = 0;
	if (s->set_no + 1 < s->sets)
		do
			s->next = draw_set(s->rng);
		while (s->next == s->set);
}

void nym_split_init(struct nym_split *s, const uint8_t *padded, size_t len, size_t frag_len, struct rng *rng)
{
	assert(frag_len > NYM_FRAG_HDR_LINKED);
	*s = (struct nym_split){ .msg = padded, .len = len, .frag_len = frag_len, .rng = rng };
	s->sets = count_sets(len, frag_len - NYM_FRAG_HDR);
	s->set = draw_set(rng);
	begin_set(s);
}

int nym_split_next(struct nym_split *s, uint8_t *frag)
{
	uint32_t link;
	size_t hdr, n;

	if (s->pos == s->total) {
		if (++s->set_no >= s->sets)
			return 0;
		s->prev = s->set;
		s->set = s->next;
		begin_set(s);
	}
	s->pos++;
	link = s->pos == 1 ? s->prev : s->pos == NYM_FRAGS_PER_SET ? s->next : 0;
	hdr = link ? NYM_FRAG_HDR_LINKED : NYM_FRAG_HDR;
	n = s->frag_len - hdr;
	if (n > s->len - s->off)
		n = s->len - s->off;
	put32(frag, LINK_BIT | s->set);
	frag[4] = s->total;
	frag[5] = s->pos;
	frag[6] = 0;
	if (link)
		put32(frag + 6, LINK_BIT | link);
	memcpy(frag + hdr, s->msg + s->off, n);
	memset(frag + hdr + n, 0, s->frag_len - hdr - n);
	s->off += n;
	return 1;
}
