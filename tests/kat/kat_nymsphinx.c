/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nymsphinx.vec: addresses, keys, acknowledgements, chunking, messages; its whole packets stand in
 * kat_framing.c. Messages go the whole way: written, padded, split with the vector's set ids, put together
 * again by nym_rx, parsed.
 */
#include "tests/kat/kat_nym.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/framing.h"
#include "mixnet/prim.h"
#include "mixnet/surb.h"

#define MSG_MAX (1 << 20)
#define SURBS_LISTED 4 /* a block prints no more of them */

/* ---- 3, 4: addresses, parameters ---- */

static void check_client(struct kat_block *b, char who, unsigned gateway)
{
	uint8_t pk[32], sk[64];
	char text[NYM_RECIPIENT_TEXT];
	struct recipient r;

	prim_ed25519_keypair(pk, sk, kat_fixed(b, kat_key("%c.identity_seed", who), 32));
	kat_eq(b, kat_key("%c.identity", who), pk, 32);
	memcpy(r.identity, pk, 32);
	prim_x25519_base(r.encryption, kat_fixed(b, kat_key("%c.encryption_secret", who), 32));
	kat_eq(b, kat_key("%c.encryption", who), r.encryption, 32);
	memcpy(r.gateway, kat_fixed(b, kat_key("node%u.identity", gateway), 32), 32);
	kat_eq_str(b, kat_key("%c.address", who), recipient_text(&r, text));
	kat_fixed(b, kat_key("%c.ack_key", who), 16);
}

static void run_network(struct kat_block *b)
{
	for (unsigned i = 1; i <= 8; i++) {
		uint8_t pk[32], sk[64], padded[32] = { 0 };
		struct addr a;

		prim_ed25519_keypair(pk, sk, kat_fixed(b, kat_key("node%u.identity_seed", i), 32));
		kat_eq(b, kat_key("node%u.identity", i), pk, 32);
		prim_x25519_base(pk, kat_fixed(b, kat_key("node%u.sphinx_secret", i), 32));
		kat_eq(b, kat_key("node%u.sphinx_public", i), pk, 32);
		if (!addr_parse(&a, kat_str(b, kat_key("node%u.host", i)), 0))
			nym_addr_pad(padded, &a);
		kat_eq(b, kat_key("node%u.address", i), padded, 32);
	}
	check_client(b, 'a', 7);
	check_client(b, 'b', 8);
}

static void run_recipient(struct kat_block *b)
{
	const char *text = kat_str(b, "text");
	char again[NYM_RECIPIENT_TEXT];
	uint8_t bytes[NYM_RECIPIENT];
	struct recipient r, s;

	if (recipient_parse(&r, text, strlen(text)) ||
	    recipient_from_bytes(&s, kat_fixed(b, "bytes", NYM_RECIPIENT))) {
		kat_fail(b, "refused");
		return;
	}
	recipient_to_bytes(bytes, &r);
	kat_eq(b, "bytes", bytes, sizeof(bytes));
	kat_eq_str(b, "text", recipient_text(&s, again));
	if (!kat_has(b, "identity"))
		return;
	kat_eq(b, "identity", r.identity, 32);
	kat_eq(b, "encryption", r.encryption, 32);
	kat_eq(b, "gateway", r.gateway, 32);
	kat_eq(b, "sphinx_destination", r.identity, 32);
	kat_eq(b, "sphinx_identifier", (const uint8_t[16]){ 0 }, 16);
}

static void run_bad_recipients(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("text%u", i)); i++) {
		const char *text = kat_str(b, kat_key("text%u", i));
		struct recipient r;

		kat_eq_accepted(b, kat_key("error%u", i), !recipient_parse(&r, text, strlen(text)));
	}
}

static void run_node_address(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("text%u", i)); i++) {
		uint8_t out[32] = { 0 };
		struct addr a = { 0 }, back = { 0 };
		int len, n;

		if (addr_parse(&a, kat_str(b, kat_key("text%u", i)), 0))
			kat_fail(b, "text%u", i);
		n = (int)nym_addr_put(out, &a);
		kat_eq(b, kat_key("bytes%u", i), out, (size_t)n);
		kat_eq(b, kat_key("padded19_%u", i), out, 19);
		len = nym_addr_get(&back, kat_fixed(b, kat_key("padded19_%u", i), 19), 19);
		if (len != n || !addr_equal(&a, &back))
			kat_fail(b, "padded19_%u is read as another address", i);
		nym_addr_pad(out, &a);
		kat_eq(b, kat_key("padded32_%u", i), out, 32);
	}
	for (unsigned i = 0; kat_has(b, kat_key("bad%u", i)); i++) {
		size_t len;
		const uint8_t *p = kat_bytes(b, kat_key("bad%u", i), &len);
		struct addr a;

		kat_eq_accepted(b, kat_key("error%u", i), nym_addr_get(&a, p, len) >= 0);
	}
}

static void run_rotation_byte(struct kat_block *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "id");

		if (it)
			kat_eq_num(b, it->key, rotation_byte((uint32_t)strtoul(it->key + 2, NULL, 10)));
	}
}

static void run_packet_sizes(struct kat_block *b)
{
	static uint8_t mix[1 + 7 + SPHINX_ACK_PACKET] = { 0, 4, 0, 1, 1, 2, 3, 4 };
	struct mixpacket m;

	for (unsigned t = 0; kat_has(b, kat_key("tag%u", t)) || kat_has(b, kat_key("tag%u.packet", t)); t++) {
		int size = size_from_tag((uint8_t)t);

		if (kat_has(b, kat_key("tag%u", t))) {
			kat_eq_accepted(b, kat_key("tag%u", t), size >= 0);
			continue;
		}
		kat_eq_num(b, kat_key("tag%u.packet", t), size);
		kat_eq_num(b, kat_key("tag%u.payload", t), size - SPHINX_HEADER);
		kat_eq_num(b, kat_key("tag%u.plaintext", t), size - SPHINX_OVERHEAD);
		if (size < 0 || size_tag((size_t)size) != (int)t)
			kat_fail(b, "length %d is not tag %u", size, t);
	}
	for (unsigned t = 0; kat_has(b, kat_key("type%u", t)); t++) {
		mix[0] = (uint8_t)t;
		if (t != 2)
			kat_eq_accepted(b, kat_key("type%u", t), !mixpacket_get(&m, mix, sizeof(mix), 1));
		/* SPEC nymsphinx.md 13: "reject type 2", which the crate still names. */
		else if (!mixpacket_get(&m, mix, sizeof(mix), 1))
			kat_fail(b, "Outfox is accepted");
	}
}

/* ---- 2, 6: keys and acknowledgements ---- */

static void run_payload_key(struct kat_block *b)
{
	uint8_t pk[32], dh[32] = { 0 }, blob[NYM_BLOB] = { 0 }, want[NYM_FRAG] = { 0 }, id[NYM_ID];
	struct nym_self me = { 0 };
	const uint8_t *frag;
	size_t len;

	memcpy(me.encryption_sk, kat_fixed(b, "recipient_secret", 32), 32);
	prim_x25519_base(pk, me.encryption_sk);
	kat_eq(b, "recipient_public", pk, 32);
	prim_x25519_base(pk, kat_fixed(b, "ephemeral_secret", 32));
	kat_eq(b, "ephemeral_public", pk, 32);
	if (prim_x25519(dh, me.encryption_sk, pk))
		kat_fail(b, "no shared secret");
	kat_eq(b, "shared_secret", dh, 32);
	/* The key itself stays inside; what it does to zeros shows it. */
	memcpy(blob, pk, 32);
	prim_aes128_ctr(kat_fixed(b, "key", 16), (const uint8_t[16]){ 0 }, want, sizeof(want));
	if (nym_blob_open(blob, sizeof(blob), &me, NULL, NULL, id, &frag, &len) != NYM_BLOB_FRAG ||
	    len != sizeof(want) || memcmp(frag, want, len))
		kat_fail(b, "another payload key");
}

static void run_surb_digest(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("key%u", i)); i++) {
		uint8_t digest[32];

		surb_digest(digest, kat_fixed(b, kat_key("key%u", i), SURB_KEY));
		kat_eq(b, kat_key("digest%u", i), digest, 32);
	}
}

static void run_ack_content(struct kat_block *b)
{
	const uint8_t *key = kat_fixed(b, "ack_key", 16), *id = kat_fixed(b, "fragment_id", NYM_ID);
	uint8_t out[NYM_ACK], back[NYM_ID], pos = 0;
	struct kat_rng rng;
	uint32_t set = 0;

	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "iv");
	nym_ack_make(out, key, id, &rng.rng);
	kat_rng_end(&rng);
	kat_eq(b, "content", out, sizeof(out));
	nym_ack_open(back, key, kat_fixed(b, "content", NYM_ACK));
	kat_eq(b, "fragment_id", back, sizeof(back));
	if (nym_id_parse(id, &set, &pos) && memcmp(id, (const uint8_t[NYM_ID]){ 0 }, NYM_ID))
		kat_fail(b, "the identifier is refused");
	kat_eq_num(b, "set_id", set);
	kat_eq_num(b, "position", pos);
}

/* SPEC nymsphinx.md 17: "fragment ids with set 0 or position 0: refusing is right". */
static void run_bad_ids(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		const uint8_t *id = kat_fixed(b, kat_key("bytes%u", i), NYM_ID);
		bool zero = !memcmp(id, (const uint8_t[4]){ 0 }, 4) || !id[4];
		uint32_t set;
		uint8_t pos;
		int err = nym_id_parse(id, &set, &pos);

		if (!zero || !err)
			kat_eq_accepted(b, kat_key("error%u", i), !err);
		if (zero && !err)
			kat_fail(b, "bytes%u: zeros are accepted", i);
		kat_str(b, kat_key("error%u", i));
	}
}

/* ---- 8: chunking ---- */

static void eq_frag(struct kat_block *b, const char *key, const struct nym_frag *f)
{
	kat_eq_num(b, kat_key("%s.set_id", key), f->set);
	kat_eq_num(b, kat_key("%s.total", key), f->total);
	kat_eq_num(b, kat_key("%s.position", key), f->pos);
	kat_eq_num(b, kat_key("%s.previous_set", key), f->prev);
	kat_eq_num(b, kat_key("%s.next_set", key), f->next);
	kat_eq_num(b, kat_key("%s.data_length", key), (int64_t)f->len);
}

static void run_fragment_header(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++) {
		size_t len;
		const uint8_t *p = kat_bytes(b, kat_key("bytes%u", i), &len);
		struct nym_frag f;
		int err = nym_frag_parse(&f, p, len);

		if (kat_has(b, kat_key("error%u", i)))
			kat_eq_accepted(b, kat_key("error%u", i), !err);
		else if (err)
			kat_fail(b, "bytes%u is refused", i);
		else
			eq_frag(b, kat_key("fragment%u", i), &f);
	}
}

static void run_required(struct kat_block *b)
{
	size_t frag_len = (size_t)kat_num(b, "fragment_size");

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "bytes");
		char text[64];
		size_t spare, k;

		if (!it)
			continue;
		k = nym_frag_required(strtoull(it->key + strlen("bytes"), NULL, 10), frag_len, &spare);
		snprintf(text, sizeof(text), "%zu %zu", k, spare);
		kat_eq_str(b, it->key, text);
	}
}

/* The ids of the sets a splitter draws, as the numbers it reads from rng. */
struct ids {
	uint32_t id[64];
	struct kat_rng rng;
};

static struct rng *ids_rng(struct ids *ids, struct kat_block *b, size_t n)
{
	kat_rng_init(&ids->rng, b);
	kat_rng_feed(&ids->rng, ids->id, n * sizeof(ids->id[0]));
	return &ids->rng.rng;
}

/* One set: the crate does not fill up its last fragment, and here the message is not padded. */
static void check_set(struct kat_block *b, unsigned i, struct nym_split *s, uint8_t *all)
{
	struct nym_frag f = { 0 };
	size_t at = 0, n = 0, head;

	do {
		size_t before = s->off, len;

		if (nym_split_next(s, all + at) != 1 || nym_frag_parse(&f, all + at, s->frag_len)) {
			kat_fail(b, "set%u: fragment %zu", i, n + 1);
			return;
		}
		for (len = f.len; len > s->off - before; len--)
			if (f.data[len - 1])
				kat_fail(b, "set%u: fragment %zu is not filled up with zeros", i, n + 1);
		at += s->frag_len - f.len + len;
		f.len = len;
		if (++n == 1)
			eq_frag(b, kat_key("set%u.first", i), &f);
	} while (f.pos < f.total);
	eq_frag(b, kat_key("set%u.last", i), &f);
	kat_eq_num(b, kat_key("set%u.fragments", i), (int64_t)n);
	kat_eq_num(b, kat_key("set%u.length", i), (int64_t)at);
	kat_eq_sha256(b, kat_key("set%u.sha256", i), all, at);
	kat_bytes(b, kat_key("set%u.first_bytes", i), &head);
	kat_eq(b, kat_key("set%u.first_bytes", i), all, head < at ? head : at);
}

static void run_split(struct kat_block *b)
{
	size_t len = (size_t)kat_num(b, "bytes"), frag_len = (size_t)kat_num(b, "fragment_size");
	size_t sets = (size_t)kat_num(b, "sets");
	uint8_t *msg = malloc(len), *all = malloc(NYM_FRAGS_PER_SET * frag_len);
	struct nym_split s;
	struct ids ids;

	if (!msg || !all || sets > sizeof(ids.id) / sizeof(ids.id[0])) {
		kat_fail(b, "cannot be tried");
	} else {
		kat_pattern(msg, len, 0);
		kat_eq_sha256(b, "message_sha256", msg, len);
		for (unsigned i = 0; i < sets; i++)
			ids.id[i] = (uint32_t)kat_num(b, kat_key("set%u.first.set_id", i));
		nym_split_init(&s, msg, len, frag_len, ids_rng(&ids, b, sets));
		for (unsigned i = 0; i < sets && !b->failures; i++)
			check_set(b, i, &s, all);
		if (nym_split_next(&s, all))
			kat_fail(b, "more fragments than the crate makes");
		kat_rng_end(&ids.rng);
	}
	free(msg);
	free(all);
}

/* ---- 9, 10: messages ---- */

/* What the crate says of a decoded message under prefix, against ours. */
static void eq_msg(struct kat_block *b, const char *prefix, const struct nym_msg *m)
{
	static const char *const types[] = { "plain", "repliable", "reply" };
	static const char *const contents[] = { "data v2", "additional surbs v2", "heartbeat v2" };
	uint8_t bytes[NYM_RECIPIENT];
	bool data = m->type != NYM_REPLIABLE || m->content == NYM_DATA_V2;

	kat_eq_str(b, kat_key("%stype", prefix), types[m->type]);
	if (m->type == NYM_REPLIABLE) {
		kat_eq(b, kat_key("%ssender_tag", prefix), m->tag, NYM_TAG);
		kat_eq_str(b, kat_key("%scontent", prefix), contents[m->content - NYM_DATA_V2]);
		kat_eq_num(b, kat_key("%ssurbs", prefix), m->surb_count);
		if (m->surb_count) {
			kat_eq_num(b, kat_key("%ssurb_rotation", prefix), m->surb_rotation);
			kat_eq_num(b, kat_key("%ssurb_length", prefix), (int64_t)SURB_LEN(m->surb_hops));
		}
	}
	if (m->type == NYM_REPLY && m->reply == NYM_REPLY_SURB_REQUEST) {
		kat_eq_str(b, kat_key("%scontent", prefix), "surb request");
		kat_eq_num(b, kat_key("%samount", prefix), m->amount);
		recipient_to_bytes(bytes, &m->requester);
		kat_eq(b, kat_key("%srecipient", prefix), bytes, sizeof(bytes));
		return;
	}
	if (m->type == NYM_REPLY)
		kat_eq_str(b, kat_key("%scontent", prefix), "data");
	if (data) {
		kat_eq_sha256(b, kat_key("%sdelivered_sha256", prefix), m->data, m->len);
		kat_eq_num(b, kat_key("%sdelivered_length", prefix), (int64_t)m->len);
	} else if (m->len) {
		kat_fail(b, "%s: data behind SURBs", prefix);
	}
}

static struct nym_rx *new_rx(void)
{
	struct nym_rx_limits lim = { .frags = 1024, .sets = 8, .recent = 8, .stale_us = 1, .recent_us = 1 };

	return nym_rx_new(&lim);
}

static uint8_t msg_in[MSG_MAX], msg_out[MSG_MAX];

/* Splits what w holds, with its padding, and compares; puts the fragments together again, last one first. */
static void check_fragments(struct kat_block *b, const struct wire_wr *w, bool whole)
{
	struct ids ids = { .id = { (uint32_t)kat_num(b, "set_id") } };
	size_t frag_len = (size_t)kat_num(b, "fragment_size"), n = 0, len = 0;
	uint8_t *all = malloc(NYM_FRAGS_PER_SET * frag_len);
	struct nym_rx *rx = new_rx();
	struct nym_split s;
	struct nym_msg m;
	int r = 0;

	if (!all || !rx) {
		kat_fail(b, "no memory");
		goto out;
	}
	nym_split_init(&s, w->start, w->len, frag_len, ids_rng(&ids, b, 1));
	for (; n < NYM_FRAGS_PER_SET && nym_split_next(&s, all + n * frag_len) == 1; n++)
		if (whole && kat_has(b, kat_key("fragment%zu", n)))
			kat_eq(b, kat_key("fragment%zu", n), all + n * frag_len, frag_len);
	kat_rng_end(&ids.rng);
	kat_eq_num(b, "fragments", (int64_t)n);
	if (whole)
		kat_eq_sha256(b, "fragments_sha256", all, n * frag_len);
	for (size_t i = n; i-- > 0 && !r;)
		r = nym_rx_insert(rx, 0, all + i * frag_len, frag_len, msg_out, sizeof(msg_out), &len);
	if (r != 1)
		kat_fail(b, "not put together again: %d", r);
	else if (nym_msg_parse(&m, msg_out, len))
		kat_fail(b, "not parsed");
	else
		eq_msg(b, "", &m);
out:
	nym_rx_free(rx);
	free(all);
}

/* w holds a message; whole: it is the vector's to the last byte. */
static void check_message(struct kat_block *b, struct wire_wr *w, bool whole)
{
	int len = nym_pad(w, (size_t)kat_num(b, "fragment_size"));

	if (len < 0) {
		kat_fail(b, "does not fit");
		return;
	}
	kat_eq_num(b, "padded_length", len);
	if (whole) {
		if (kat_has(b, "padded"))
			kat_eq(b, "padded", w->start, w->len);
		kat_eq_sha256(b, "padded_sha256", w->start, w->len);
	}
	check_fragments(b, w, whole);
}

static const uint8_t *pattern_of(struct kat_block *b, size_t len)
{
	static uint8_t data[MSG_MAX];

	if (len > sizeof(data)) {
		kat_fail(b, "cannot be tried");
		len = 0;
	}
	kat_pattern(data, len, 0);
	if (kat_has(b, "data"))
		kat_eq(b, "data", data, len);
	return data;
}

/* The number at the end of the block's name. */
static size_t name_len(const struct kat_block *b)
{
	const char *p = b->name + strlen(b->name);

	while (p > b->name && p[-1] >= '0' && p[-1] <= '9')
		p--;
	return strtoul(p, NULL, 10);
}

static void run_plain(struct kat_block *b)
{
	size_t len = name_len(b);
	const uint8_t *data = pattern_of(b, len);
	struct wire_wr w;

	kat_eq_sha256(b, "data_sha256", data, len);
	wire_wr_init(&w, msg_in, sizeof(msg_in));
	nym_put_plain(&w, data, len);
	check_message(b, &w, true);
}

static void run_reply(struct kat_block *b)
{
	size_t len = name_len(b);
	struct wire_wr w;

	wire_wr_init(&w, msg_in, sizeof(msg_in));
	nym_put_reply_data(&w, pattern_of(b, len), len);
	check_message(b, &w, true);
}

void kat_client(struct kat_block *b, struct nym_self *me, char who)
{
	struct kat_block *net = kat_network(b);
	const char *text = kat_str(net, kat_key("%c.address", who));

	memset(me, 0, sizeof(*me));
	if (recipient_parse(&me->addr, text, strlen(text)))
		kat_fail(b, "no client %c", who);
	memcpy(me->encryption_sk, kat_fixed(net, kat_key("%c.encryption_secret", who), 32), 32);
	memcpy(me->ack_key, kat_fixed(net, kat_key("%c.ack_key", who), 16), 16);
}

static void run_surb_request(struct kat_block *b)
{
	struct nym_self me;
	struct wire_wr w;

	kat_client(b, &me, 'b');
	wire_wr_init(&w, msg_in, sizeof(msg_in));
	nym_put_surb_request(&w, &me.addr, (uint32_t)kat_num(b, "amount"));
	check_message(b, &w, true);
}

/*
 * The SURBs of a message. A block prints the first four; further ones stand in the padded message when that
 * is printed. When it is not, the printed ones serve again: then lengths and numbers can be compared, not
 * bytes.
 */
static bool put_surbs(struct kat_block *b, struct wire_wr *w, size_t n, size_t surb_len)
{
	bool whole = true;

	for (size_t i = 0; i < n; i++) {
		size_t len = 0, at = w->len;
		const uint8_t *padded;

		if (i < SURBS_LISTED) {
			wire_put_bytes(w, kat_fixed(b, kat_key("surb%zu", i), surb_len), surb_len);
			continue;
		}
		padded = kat_has(b, "padded") ? kat_bytes(b, "padded", &len) : NULL;
		if (padded && at + surb_len <= len) {
			wire_put_bytes(w, padded + at, surb_len);
			continue;
		}
		whole = false;
		wire_put_bytes(w, kat_fixed(b, kat_key("surb%zu", i % SURBS_LISTED), surb_len), surb_len);
	}
	return whole;
}

static void run_repliable(struct kat_block *b)
{
	bool additional = !strcmp(kat_str(b, "content"), "additional surbs v2"), whole;
	size_t n = (size_t)kat_num(b, "surbs"), surb_len = 0;
	struct wire_wr w;

	if (n)
		kat_bytes(b, "surb0", &surb_len);
	wire_wr_init(&w, msg_in, sizeof(msg_in));
	nym_put_repliable(&w, kat_fixed(b, "tag", NYM_TAG), additional ? NYM_SURBS_V2 : NYM_DATA_V2,
			  (unsigned)n, n ? (unsigned)((surb_len - SURB_LEN(0)) / SPHINX_SEED) : 0,
			  rotation_byte((uint32_t)kat_num(b, "rotation_id")));
	whole = put_surbs(b, &w, n, surb_len);
	if (!additional)
		wire_put_bytes(&w, pattern_of(b, name_len(b)), name_len(b));
	check_message(b, &w, whole);
	if (!whole) { /* the hashes of what is not printed */
		kat_fixed(b, "padded_sha256", 32);
		kat_fixed(b, "fragments_sha256", 32);
	}
}

void kat_fragment(struct kat_block *b, struct wire_wr *w)
{
	struct ids ids = { 0 };
	struct nym_split s;
	size_t len;
	const uint8_t *want = kat_bytes(b, "fragment", &len);

	if (len <= NYM_FRAG_HDR_LINKED || len > sizeof(msg_out) || nym_pad(w, len) < 0) {
		kat_fail(b, "fragment");
		return;
	}
	ids.id[0] = ((uint32_t)want[0] << 24 | (uint32_t)want[1] << 16 | (uint32_t)want[2] << 8 | want[3]) &
		    0x7fffffff;
	nym_split_init(&s, w->start, w->len, len, ids_rng(&ids, b, 1));
	if (nym_split_next(&s, msg_out) != 1)
		kat_fail(b, "no fragment");
	kat_eq(b, "fragment", msg_out, len);
	nym_frag_id(msg_out, want);
	kat_eq(b, "packet.fragment_id", msg_out, NYM_ID);
}

/* ---- 9, 10: odd messages ---- */

/* Padded bytes as one fragment of a packet of no particular size. */
static int decode(struct kat_block *b, struct nym_msg *m, const uint8_t *padded, size_t len)
{
	static const uint8_t head[NYM_FRAG_HDR] = { 0x80, 0, 0, 7, 1, 1, 0 };
	struct nym_rx *rx = new_rx();
	size_t msg_len = 0;
	int r;

	if (!rx || len > sizeof(msg_in) - sizeof(head)) {
		kat_fail(b, "cannot be tried");
		nym_rx_free(rx);
		return SMX_ELIMIT;
	}
	memcpy(msg_in, head, sizeof(head));
	memcpy(msg_in + sizeof(head), padded, len);
	r = nym_rx_insert(rx, 0, msg_in, sizeof(head) + len, msg_out, sizeof(msg_out), &msg_len);
	nym_rx_free(rx);
	return r == 1 ? nym_msg_parse(m, msg_out, msg_len) : r;
}

static void check_decode(struct kat_block *b, const struct kat_item *bytes, const char *prefix,
			 const char *error_key)
{
	const char *content =
		kat_has(b, kat_key("%scontent", prefix)) ? kat_str(b, kat_key("%scontent", prefix)) : "";
	size_t len = strlen(content);
	struct nym_msg m;
	int err = decode(b, &m, bytes->bytes, bytes->len);

	if (len > 3 && !strcmp(content + len - 3, " v1")) {
		if (err != SMX_EVERSION)
			kat_fail(b, "%s: %d, expected a version error", bytes->key, err);
		if (!kat_skip(b, "v1"))
			kat_fail(b, "%s: V1 content is not decoded", bytes->key);
		return;
	}
	if (kat_has(b, error_key))
		kat_eq_accepted(b, error_key, !err);
	else if (err)
		kat_fail(b, "%s: %s", bytes->key, err_str(err));
	else
		eq_msg(b, prefix, &m);
}

static void run_decode(struct kat_block *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const char *dot = strstr(b->item[i].key, ".bytes");
		char what[64];

		if (!dot || b->item[i].type != '=')
			continue;
		b->item[i].seen = true;
		snprintf(what, sizeof(what), "%.*s.", (int)(dot - b->item[i].key), b->item[i].key);
		check_decode(b, &b->item[i], what, kat_key("%serror", what));
	}
}

static void run_spoiled(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("bytes%u", i)); i++)
		check_decode(b, kat_find(b, kat_key("bytes%u", i)), kat_key("result%u.", i),
			     kat_key("error%u", i));
}

/* ---- 10.1: which SURBs parse ---- */

static void run_surb_parse(struct kat_block *b)
{
	static const uint8_t plain[SPHINX_REGULAR_PLAIN + 1];
	uint8_t packet[SPHINX_REGULAR_PACKET];
	size_t len;
	const uint8_t *bytes = kat_bytes(b, "surb", &len);
	uint8_t bad[SURB_LEN(SPHINX_HOPS_MAX)];
	struct surb s;

	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "cut.");
		size_t n = it ? strtoul(it->key + strlen("cut."), NULL, 10) : 0;

		if (it && n <= len)
			kat_eq_accepted(b, it->key, !surb_parse(&s, bytes, n));
	}
	if (len > sizeof(bad) || surb_parse(&s, bytes, len)) {
		kat_fail(b, "surb");
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct kat_item *it = kat_at(b, i, "apply.");
		size_t n = it ? strtoul(it->key + strlen("apply."), NULL, 10) : 0;

		if (it && n <= sizeof(plain))
			kat_eq_accepted(b, it->key, !surb_use(packet, sizeof(packet), &s, plain, n));
	}
	memcpy(bad, bytes, len);
	bad[SURB_KEY + SPHINX_HEADER] = 0;
	kat_eq_accepted(b, "first_hop_type_0", !surb_parse(&s, bad, len));
	if (kat_has(b, "text") && !kat_skip(b, "text"))
		kat_fail(b, "SURBs have no text form here");
}

KAT_KINDS({ "network", run_network }, { "recipient/", run_recipient },
	  { "recipient/bad", run_bad_recipients }, { "node-address", run_node_address },
	  { "rotation-byte", run_rotation_byte }, { "packet-sizes", run_packet_sizes },
	  { "payload-key/", run_payload_key }, { "surb-key-digest", run_surb_digest },
	  { "ack-content/", run_ack_content }, { "fragment-id/bad", run_bad_ids },
	  { "fragment-header", run_fragment_header }, { "required-fragments/", run_required },
	  { "split/", run_split }, { "plain/", run_plain }, { "repliable/", run_repliable },
	  { "reply/", run_reply }, { "surb-request", run_surb_request }, { "message/decode", run_decode },
	  { "message/spoiled", run_spoiled }, { "reply-surb/parse", run_surb_parse });
