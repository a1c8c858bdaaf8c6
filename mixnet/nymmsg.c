/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages before chunking: plain, repliable (V2), reply (spec nymsphinx.md 9, 10.3, 10.4).
 *
 * Parsing points into the caller's bytes and refuses a message as a whole: one malformed SURB loses it. V1
 * repliable content is refused with an error of its own: peers do not decode it any more (versions.md 2), and
 * a client that receives replies never needs it. Called by bridge and exitsess for what nymrx delivers, and
 * by the local network's exit.
 */
#include "mixnet/nympkt.h"

#include <string.h>

#include "base/err.h"
#include "mixnet/prim.h"
#include "mixnet/surb.h"

/* SPEC nymsphinx.md 10.3: "any malformed SURB -> the whole message is lost". */
static int check_surbs(const uint8_t *surbs, unsigned n, size_t len)
{
	struct surb s;
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++)
		err = surb_parse(&s, surbs + i * len, len);
	if (n)
		prim_wipe(&s, sizeof(s));
	return err;
}

static int parse_repliable(struct nym_msg *m, struct wire_rd *r)
{
	uint8_t content;

	wire_get_copy(r, m->tag, NYM_TAG);
	content = wire_get_u8(r);
	if (wire_rd_ok(r) < 0)
		return SMX_EPROTO;
	if (content < NYM_DATA_V2)
		return SMX_EVERSION;
	if (content > NYM_HEARTBEAT_V2)
		return SMX_EPROTO;
	m->content = content;
	m->surb_count = wire_get_u16(r);
	m->surb_hops = wire_get_u8(r);
	m->surb_rotation = wire_get_u8(r);
	if (m->surb_rotation > 2 || m->surb_hops > SPHINX_HOPS_MAX || (m->surb_count && !m->surb_hops))
		return SMX_EPROTO;
	m->surbs = wire_get_bytes(r, m->surb_count * SURB_LEN(m->surb_hops));
	if (wire_rd_ok(r) < 0)
		return SMX_EPROTO;
	if (check_surbs(m->surbs, m->surb_count, SURB_LEN(m->surb_hops)) < 0)
		return SMX_EPROTO;
	if (content != NYM_DATA_V2) /* what follows the other lists has no meaning (10.3) */
		return 0;
	m->len = r->left;
	m->data = wire_get_bytes(r, r->left);
	return 0;
}

static int parse_reply(struct nym_msg *m, struct wire_rd *r)
{
	const uint8_t *who;
	uint8_t kind = wire_get_u8(r);

	if (r->bad || kind > NYM_REPLY_SURB_REQUEST)
		return SMX_EPROTO;
	m->reply = kind;
	if (kind == NYM_REPLY_DATA) {
		if (!r->left)
			return SMX_EPROTO;
		m->len = r->left;
		m->data = wire_get_bytes(r, r->left);
		return 0;
	}
	who = wire_get_bytes(r, NYM_RECIPIENT);
	m->amount = wire_get_u32(r);
	if (wire_rd_end(r) < 0)
		return SMX_EPROTO;
	return recipient_from_bytes(&m->requester, who);
}

int nym_msg_parse(struct nym_msg *m, const uint8_t *in, size_t len)
{
	struct nym_msg t;
	struct wire_rd r;
	uint8_t type;
	int err = 0;

	memset(&t, 0, sizeof(t));
	wire_rd_init(&r, in, len);
	type = wire_get_u8(&r);
	if (r.bad || type > NYM_REPLY)
		return SMX_EPROTO;
	t.type = type;
	switch (t.type) {
	case NYM_PLAIN:
		t.len = r.left;
		t.data = wire_get_bytes(&r, r.left);
		break;
	case NYM_REPLIABLE: err = parse_repliable(&t, &r); break;
	case NYM_REPLY: err = parse_reply(&t, &r); break;
	}
	if (err == 0)
		*m = t;
	return err;
}

void nym_put_plain(struct wire_wr *w, const void *data, size_t len)
{
	wire_put_u8(w, NYM_PLAIN);
	wire_put_bytes(w, data, len);
}

void nym_put_repliable(struct wire_wr *w, const uint8_t tag[NYM_TAG], enum nym_content content, unsigned n,
		       unsigned hops, uint8_t rotation)
{
	wire_put_u8(w, NYM_REPLIABLE);
	wire_put_bytes(w, tag, NYM_TAG);
	wire_put_u8(w, (uint8_t)content);
	wire_put_u16(w, (uint16_t)n);
	wire_put_u8(w, n ? (uint8_t)hops : 0);
	wire_put_u8(w, n ? rotation : 0);
}

void nym_put_reply_data(struct wire_wr *w, const void *data, size_t len)
{
	wire_put_u8(w, NYM_REPLY);
	wire_put_u8(w, NYM_REPLY_DATA);
	wire_put_bytes(w, data, len);
}

void nym_put_surb_request(struct wire_wr *w, const struct recipient *me, uint32_t amount)
{
	uint8_t *p;

	wire_put_u8(w, NYM_REPLY);
	wire_put_u8(w, NYM_REPLY_SURB_REQUEST);
	p = wire_put_reserve(w, NYM_RECIPIENT);
	if (p)
		recipient_to_bytes(p, me);
	wire_put_u32(w, amount);
}
