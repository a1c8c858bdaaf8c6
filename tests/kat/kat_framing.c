/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing.vec: MixPackets of both versions, node frames 7 and 8, a packet through its nodes, refusals; and
 * the whole packets of nymsphinx.vec, from message to pushed blob. Packets of the versions and sizes we do
 * not build are built here from the same parts.
 */
#include "tests/kat/kat_nym.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mixnet/framing.h"
#include "mixnet/prim.h"
#include "mixnet/surb.h"

#define SPLIT_HOP 19 /* first hop of a SURB-ACK, padded */

static uint8_t mix[MIXPACKET_MAX];

static void check_mix(struct kat_block *b, const struct mixpacket *m, int version)
{
	const char *key = version == 2 ? "mix_packet_v2" : "mix_packet_v1";
	struct mixpacket back = { 0 };
	size_t len;
	const uint8_t *bytes = kat_bytes(b, key, &len);
	int n = mixpacket_put(mix, sizeof(mix), m, version);

	kat_eq(b, key, mix, n < 0 ? 0 : (size_t)n);
	if (mixpacket_get(&back, bytes, len, version) || back.packet_len != m->packet_len ||
	    memcmp(back.packet, m->packet, m->packet_len) || !addr_equal(&back.next_hop, &m->next_hop) ||
	    back.rotation != (version == 2 ? m->rotation : ROTATION_UNKNOWN))
		kat_fail(b, "%s: not read back", key);
}

static void check_frame(struct kat_block *b, const struct mixpacket *m, int version)
{
	uint8_t hdr[NODE_FRAME_HDR] = { 0 };
	struct node_frame f = { 0 };
	int n = node_frame_put(hdr, version, m->packet_len, m->rotation);

	kat_eq(b, kat_key("frame_v%d.header", version), hdr, n < 0 ? 0 : (size_t)n);
	if (n < 0 || node_frame_get(&f, hdr, (size_t)n) != 1 || f.hdr_len != (size_t)n ||
	    f.packet_len != m->packet_len)
		kat_fail(b, "frame_v%d: not read back", version);
	kat_eq_num(b, kat_key("frame_v%d.decoded_rotation", version), f.rotation);
}

static void run_frames(struct kat_block *b)
{
	struct mixpacket m = { .rotation = (uint8_t)kat_num(b, "rotation") };
	uint8_t hop[19];
	size_t len;
	const uint8_t *p = kat_bytes(b, "next_hop", &len);

	m.packet = kat_bytes(b, "packet", &m.packet_len);
	if (nym_addr_get(&m.next_hop, p, len) != (int)len) {
		kat_fail(b, "next_hop");
		return;
	}
	kat_eq(b, "next_hop", hop, nym_addr_put(hop, &m.next_hop));
	check_mix(b, &m, 1);
	check_mix(b, &m, 2);
	check_frame(b, &m, 7);
	check_frame(b, &m, 8);
}

/* SPEC nymsphinx.md 7.3: the last node splits SURB-ACK and message. */
static void check_split(struct kat_block *b, const struct sphinx_result *res, uint8_t rotation)
{
	const uint8_t *ack = res->msg;
	uint8_t hop[19];
	struct addr first;

	kat_eq(b, "destination", res->dest, 32);
	if (res->msg_len < NYM_SURB_ACK || nym_addr_get(&first, ack, SPLIT_HOP) < 0) {
		kat_fail(b, "no SURB-ACK");
		return;
	}
	kat_eq(b, "ack.next_hop", hop, nym_addr_put(hop, &first));
	kat_eq_num(b, "ack.rotation", rotation);
	kat_eq(b, "ack.packet", ack + SPLIT_HOP, SPHINX_ACK_PACKET);
	kat_eq(b, "message", ack + NYM_SURB_ACK, res->msg_len - NYM_SURB_ACK);
}

static void run_nodes(struct kat_block *b)
{
	static uint8_t frame[NODE_FRAME_HDR + SPHINX_PACKET_MAX];
	struct kat_block *net = kat_network(b);
	uint8_t rotation = ROTATION_ODD;
	size_t len;
	const uint8_t *packet = kat_bytes(b, "packet", &len);

	if (len > SPHINX_PACKET_MAX) {
		kat_fail(b, "packet");
		return;
	}
	memcpy(frame + NODE_FRAME_HDR, packet, len);
	for (unsigned i = 0; kat_has(b, kat_key("hop%u.node", i)); i++) {
		const uint8_t *sk = kat_fixed(
			net, kat_key("node%d.sphinx_secret", (int)kat_num(b, kat_key("hop%u.node", i))), 32);
		bool last = !kat_has(b, kat_key("hop%u.node", i + 1));
		struct sphinx_result res;
		struct node_frame f;

		if (node_frame_put(frame, 8, len, rotation) != NODE_FRAME_HDR ||
		    node_frame_get(&f, frame, NODE_FRAME_HDR + len) != 1 || f.packet_len != len ||
		    sphinx_process(frame + f.hdr_len, f.packet_len, sk, &res) !=
			    (last ? SPHINX_FINAL : SPHINX_FORWARD)) {
			kat_fail(b, "hop %u", i);
			return;
		}
		rotation = f.rotation;
		if (last) {
			check_split(b, &res, rotation);
			return;
		}
		kat_eq_num(b, kat_key("hop%u.delay_ns", i), (int64_t)res.delay_ns);
		kat_eq_num(b, kat_key("hop%u.rotation_out", i), rotation);
	}
}

/* "ok", "wait" or an error, as a decoder sees these bytes. */
static const char *frame_verdict(const uint8_t *in, size_t len)
{
	struct node_frame f;
	int r = node_frame_get(&f, in, len);

	if (r < 0)
		return "refused";
	return r == 1 && len >= f.hdr_len + f.packet_len ? "ok" : "wait";
}

static void check_verdict(struct kat_block *b, const char *key, const char *ours, bool early)
{
	const char *theirs = kat_str(b, key);
	bool known = !strcmp(theirs, "ok") || !strcmp(theirs, "wait");

	if (early && !strcmp(ours, "refused") && !strcmp(theirs, "wait"))
		return;
	if (strcmp(ours, known ? theirs : "refused"))
		kat_fail(b, "%s: %s, the crate says %s", key, ours, theirs);
}

static void check_bad_frame(struct kat_block *b, unsigned i)
{
	static uint8_t buf[NODE_FRAME_HDR + SPHINX_PACKET_MAX];
	size_t head_len, len;
	const uint8_t *head = kat_bytes(b, kat_key("frame%u.head", i), &head_len);
	const uint8_t *packet = kat_bytes(b, "packet", &len);
	const char *both = kat_key("frame%u.with_packet", i);
	bool early;

	if (head_len > NODE_FRAME_HDR || len > SPHINX_PACKET_MAX) {
		kat_fail(b, "frame%u cannot be tried", i);
		return;
	}
	memcpy(buf, head, head_len);
	memcpy(buf + head_len, packet, len);
	/* What the crate refuses only with the packet at hand may be refused by its header. */
	early = kat_has(b, both) && strcmp(kat_str(b, both), "ok") && strcmp(kat_str(b, both), "wait");
	check_verdict(b, kat_key("frame%u.alone", i), frame_verdict(head, head_len), early);
	if (kat_has(b, both))
		check_verdict(b, both, frame_verdict(buf, head_len + len), false);
}

static void run_bad(struct kat_block *b)
{
	for (unsigned i = 0; kat_has(b, kat_key("frame%u.head", i)); i++)
		check_bad_frame(b, i);
	for (unsigned i = 0; kat_has(b, kat_key("mix%u.bytes", i)); i++) {
		struct mixpacket m;
		size_t len;
		const uint8_t *p = kat_bytes(b, kat_key("mix%u.bytes", i), &len);
		int version = (int)kat_num(b, kat_key("mix%u.version", i));

		kat_eq_accepted(b, kat_key("mix%u.result", i), !mixpacket_get(&m, p, len, version));
	}
}

/* ---- nymsphinx.vec: packets (nymsphinx.md 5, 6, 11, 12) ---- */

struct trip {
	struct sphinx_route route;
	uint8_t sk[SPHINX_HOPS_MAX][32];
	uint16_t version;
	uint64_t delays_ns;
};

/* KEY.route and what goes with it. */
static void trip_read(struct kat_block *b, const char *key, struct trip *t)
{
	struct kat_block *net = kat_network(b);
	const char *p = kat_str(b, kat_key("%s.route", key));
	char *end;

	memset(t, 0, sizeof(*t));
	t->version = (uint16_t)kat_num(b, kat_key("%s.version", key));
	for (;; p = end) {
		unsigned long node = strtoul(p, &end, 10);
		struct sphinx_hop *h = &t->route.hop[t->route.n];

		if (end == p || t->route.n == SPHINX_HOPS_MAX)
			break;
		memcpy(h->addr, kat_fixed(net, kat_key("node%lu.address", node), 32), 32);
		memcpy(h->key, kat_fixed(net, kat_key("node%lu.sphinx_public", node), 32), 32);
		memcpy(t->sk[t->route.n], kat_fixed(net, kat_key("node%lu.sphinx_secret", node), 32), 32);
		t->route.n++;
	}
	for (unsigned i = 0; i + 1 < t->route.n; i++) {
		t->route.hop[i].delay_ns = (uint64_t)kat_num(b, kat_key("%s.delay%u_ns", key, i));
		t->delays_ns += t->route.hop[i].delay_ns;
	}
	if (!t->route.n)
		kat_fail(b, "%s.route", key);
}

static void feed_header(struct kat_rng *rng, const char *key)
{
	kat_rng_feed_key(rng, kat_key("%s.initial_secret", key));
	kat_rng_feed_key(rng, kat_key("%s.final_padding", key));
}

/* Through all hops, in place; the final plaintext. */
static const uint8_t *walk(struct kat_block *b, const char *key, const struct trip *t, uint8_t *packet,
			   size_t packet_len, size_t *ret_len)
{
	struct sphinx_result res = { 0 };

	for (unsigned i = 0; i < t->route.n; i++) {
		bool last = i + 1 == t->route.n;
		int r = sphinx_process(packet, packet_len, t->sk[i], &res);

		if (r != (last ? SPHINX_FINAL : SPHINX_FORWARD)) {
			kat_fail(b, "%s: hop %u: %d", key, i, r);
			return NULL;
		}
		if (last)
			break;
		kat_eq_num(b, kat_key("%s.delay%u_ns", key, i), (int64_t)res.delay_ns);
		if (memcmp(res.next_addr, t->route.hop[i + 1].addr, 32))
			kat_fail(b, "%s: hop %u sends it elsewhere", key, i);
	}
	kat_eq(b, kat_key("%s.destination", key), res.dest, 32);
	*ret_len = res.msg_len;
	return res.msg;
}

/* Builds the SURB-ACK of me and follows it home. */
static void check_ack(struct kat_block *b, const struct nym_self *me, const struct trip *t)
{
	const uint8_t *id = kat_fixed(b, "packet.fragment_id", NYM_ID), *got;
	uint8_t out[NYM_SURB_ACK], content[NYM_ACK], back[NYM_ID] = { 0xff };
	struct kat_rng rng;
	size_t len;
	int err;

	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "packet.ack.iv");
	feed_header(&rng, "packet.ack");
	if (t->version == SPHINX_VERSION) {
		err = nym_surb_ack(out, me, &t->route, id, &rng.rng);
	} else {
		nym_ack_make(content, me->ack_key, id, &rng.rng);
		memcpy(out, t->route.hop[0].addr, 19);
		err = sphinx_build(out + 19, SPHINX_ACK_PACKET, t->version, &t->route, me->addr.identity,
				   content, sizeof(content), &rng.rng);
	}
	kat_rng_end(&rng);
	if (err)
		kat_fail(b, "SURB-ACK: %s", err_str(err));
	kat_eq(b, "packet.ack_prefix", out, sizeof(out));
	got = walk(b, "packet.ack", t, out + 19, SPHINX_ACK_PACKET, &len);
	if (!got)
		return;
	kat_eq(b, "packet.ack.content", got, len);
	if (len != NYM_ACK ||
	    nym_blob_open((uint8_t *)got, len, me, NULL, NULL, back, NULL, NULL) != NYM_BLOB_ACK)
		kat_fail(b, "the ack is not known as one");
	kat_eq(b, "packet.fragment_id", back, sizeof(back));
}

/* A packet of a size or version that nym_packet_forward() does not build, from the same parts. */
static int build_other(struct kat_block *b, uint8_t *packet, size_t packet_len, const struct trip *t,
		       const struct recipient *to, const uint8_t *content, size_t len, struct kat_rng *rng)
{
	static uint8_t plain[SPHINX_PACKET_MAX];
	uint8_t sk[32], dh[32], key[16];

	if (packet_len != len + 32 + NYM_SURB_ACK + SPHINX_OVERHEAD)
		return SMX_ELIMIT;
	rng_fill(&rng->rng, sk, sizeof(sk));
	memcpy(plain, kat_fixed(b, "packet.ack_prefix", NYM_SURB_ACK), NYM_SURB_ACK);
	prim_x25519_base(plain + NYM_SURB_ACK, sk);
	if (prim_x25519(dh, sk, to->encryption))
		return SMX_ECRYPTO;
	prim_hkdf_blake3(key, sizeof(key), NULL, 0, dh, sizeof(dh));
	memcpy(plain + NYM_SURB_ACK + 32, content, len);
	prim_aes128_ctr(key, (const uint8_t[16]){ 0 }, plain + NYM_SURB_ACK + 32, len);
	return sphinx_build(packet, packet_len, t->version, &t->route, to->identity, plain,
			    packet_len - SPHINX_OVERHEAD, &rng->rng);
}

/* packet against the MixPacket of the vector, and its way to the gateway that pushes the blob. */
static uint8_t *check_packet(struct kat_block *b, const struct trip *t, uint8_t rotation, uint8_t *packet,
			     size_t packet_len, size_t *ret_blob_len)
{
	struct mixpacket m = { .rotation = rotation, .packet = packet, .packet_len = packet_len };
	const uint8_t *plain;
	size_t len;
	int n;

	if (nym_addr_get(&m.next_hop, t->route.hop[0].addr, 32) < 0)
		kat_fail(b, "first hop");
	n = mixpacket_put(mix, sizeof(mix), &m, 2);
	kat_eq(b, "packet.mix_packet_v2", mix, n < 0 ? 0 : (size_t)n);
	plain = walk(b, "packet", t, packet, packet_len, &len);
	if (!plain || len < NYM_SURB_ACK)
		return NULL;
	kat_eq(b, "packet.ack_prefix", plain, NYM_SURB_ACK);
	*ret_blob_len = len - NYM_SURB_ACK;
	kat_eq(b, "packet.blob", plain + NYM_SURB_ACK, *ret_blob_len);
	return (uint8_t *)plain + NYM_SURB_ACK;
}

/* The rotation of the vector's MixPacket: only the generator knows the rotation id. */
static uint8_t rotation_in(struct kat_block *b)
{
	size_t len;
	const uint8_t *p = kat_bytes(b, "packet.mix_packet_v2", &len);

	return len > 1 ? p[1] : 0xff;
}

static uint8_t packet[SPHINX_PACKET_MAX], msg[SPHINX_PACKET_MAX];

static size_t build_forward(struct kat_block *b, const struct trip *t, const struct recipient *to,
			    const uint8_t *content, size_t len)
{
	size_t packet_len = len + 32 + NYM_SURB_ACK + SPHINX_OVERHEAD;
	struct kat_rng rng;
	int err;

	if (size_tag(packet_len) < 0) {
		kat_fail(b, "no packet of %zu bytes", packet_len);
		return 0;
	}
	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "packet.ephemeral_secret");
	feed_header(&rng, "packet");
	if (t->version == SPHINX_VERSION && packet_len == SPHINX_REGULAR_PACKET)
		err = nym_packet_forward(packet, to, &t->route,
					 kat_fixed(b, "packet.ack_prefix", NYM_SURB_ACK), content, &rng.rng);
	else
		err = build_other(b, packet, packet_len, t, to, content, len, &rng);
	kat_rng_end(&rng);
	if (err)
		kat_fail(b, "%s", err_str(err));
	return err ? 0 : packet_len;
}

static void run_packet_plain(struct kat_block *b)
{
	size_t data_len, frag_len, blob_len, len, packet_len;
	const uint8_t *data = kat_bytes(b, "data", &data_len), *frag = kat_bytes(b, "fragment", &frag_len);
	const uint8_t *got;
	uint8_t id[NYM_ID], *blob;
	struct nym_self from, to;
	struct trip t, ack;
	struct wire_wr w;

	kat_client(b, &from, 'a');
	kat_client(b, &to, 'b');
	trip_read(b, "packet", &t);
	trip_read(b, "packet.ack", &ack);
	wire_wr_init(&w, msg, sizeof(msg));
	nym_put_plain(&w, data, data_len);
	kat_fragment(b, &w);
	check_ack(b, &from, &ack);
	kat_eq_num(b, "packet.expected_delay_ns", (int64_t)(t.delays_ns + ack.delays_ns));
	packet_len = build_forward(b, &t, &to.addr, frag, frag_len);
	if (!packet_len)
		return;
	blob = check_packet(b, &t, rotation_in(b), packet, packet_len, &blob_len);
	if (!blob)
		return;
	if (nym_blob_open(blob, blob_len, &to, NULL, NULL, id, &got, &len) != NYM_BLOB_FRAG)
		kat_fail(b, "the recipient cannot open it");
	else
		kat_eq(b, "fragment", got, len);
}

/* As a client makes it: the same bytes as the packet just built. */
static void own_cover(struct kat_block *b, const struct trip *t, const struct nym_self *me,
		      struct nym_covers *covers)
{
	uint8_t own[SPHINX_REGULAR_PACKET];
	struct kat_rng rng;
	int err;

	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "packet.ephemeral_secret");
	feed_header(&rng, "packet");
	err = nym_packet_cover(own, me, covers, &t->route, kat_fixed(b, "packet.ack_prefix", NYM_SURB_ACK),
			       &rng.rng);
	kat_rng_end(&rng);
	if (err || memcmp(own, packet, sizeof(own)))
		kat_fail(b, "nym_packet_cover() makes another packet");
}

static void run_packet_cover(struct kat_block *b)
{
	uint8_t content[NYM_FRAG], id[NYM_ID], *blob;
	const uint8_t *got;
	size_t blob_len, len;
	struct nym_covers covers = { 0 };
	struct nym_self me;
	struct trip t, ack;

	kat_client(b, &me, 'a');
	trip_read(b, "packet", &t);
	trip_read(b, "packet.ack", &ack);
	kat_eq(b, "packet.fragment_id", (const uint8_t[NYM_ID]){ 0 }, NYM_ID);
	kat_eq_num(b, "packet.expected_delay_ns", 0);
	check_ack(b, &me, &ack);
	nym_cover_content(content);
	kat_eq(b, "content", content, sizeof(content));
	if (!build_forward(b, &t, &me.addr, content, sizeof(content)))
		return;
	if (t.version == SPHINX_VERSION)
		own_cover(b, &t, &me, &covers);
	blob = check_packet(b, &t, rotation_in(b), packet, SPHINX_REGULAR_PACKET, &blob_len);
	/* By its key, then by its content; one of version 258 was not made by nym_packet_cover(). */
	for (int i = t.version != SPHINX_VERSION; blob && i < 2; i++)
		if (nym_blob_open(blob, blob_len, &me, NULL, &covers, id, &got, &len) != NYM_BLOB_COVER)
			kat_fail(b, "not known as cover");
}

/* We make SURBs of version 259 only. */
static void check_surb_made(struct kat_block *b, const struct trip *t, const struct nym_self *me)
{
	uint8_t out[SURB_LEN(SPHINX_HOPS_MAX)], digest[32];
	struct kat_rng rng;

	if (t->version != SPHINX_VERSION)
		return;
	kat_rng_init(&rng, b);
	kat_rng_feed_key(&rng, "surb_key");
	feed_header(&rng, "packet");
	if (surb_make(out, digest, &t->route, me->addr.identity, &rng.rng))
		kat_fail(b, "no SURB");
	kat_rng_end(&rng);
	kat_eq(b, "surb", out, SURB_LEN(t->route.n));
	kat_eq(b, "surb_key_digest", digest, 32);
}

static void open_reply(struct kat_block *b, const struct nym_self *me, uint8_t *blob, size_t blob_len)
{
	struct surb_key mem[2], *bucket[2];
	struct surb_keys keys;
	uint8_t id[NYM_ID], again[NYM_BLOB];
	const uint8_t *got;
	size_t len;

	if (blob_len > sizeof(again)) {
		kat_fail(b, "blob of %zu bytes", blob_len);
		return;
	}
	memcpy(again, blob, blob_len);
	surb_keys_init(&keys, mem, 2, bucket, 2);
	surb_keys_add(&keys, kat_fixed(b, "surb_key_digest", 32), kat_fixed(b, "surb_key", SURB_KEY), 1);
	if (nym_blob_open(blob, blob_len, me, &keys, NULL, id, &got, &len) != NYM_BLOB_REPLY_FRAG)
		kat_fail(b, "the reply cannot be opened");
	else
		kat_eq(b, "fragment", got, len);
	/* SPEC nymsphinx.md 10.2: "Single use". */
	if (nym_blob_open(again, blob_len, me, &keys, NULL, id, &got, &len) == NYM_BLOB_REPLY_FRAG)
		kat_fail(b, "the key can be used twice");
	surb_keys_done(&keys);
}

static void run_packet_reply(struct kat_block *b)
{
	size_t surb_len, data_len, blob_len;
	const uint8_t *bytes = kat_bytes(b, "surb", &surb_len), *data = kat_bytes(b, "data", &data_len);
	struct nym_self creator, replier;
	struct trip t, ack;
	struct surb surb;
	struct wire_wr w;
	uint8_t *blob;

	kat_client(b, &creator, 'a');
	kat_client(b, &replier, 'b');
	trip_read(b, "packet", &t);
	trip_read(b, "packet.ack", &ack);
	check_surb_made(b, &t, &creator);
	wire_wr_init(&w, msg, sizeof(msg));
	nym_put_reply_data(&w, data, data_len);
	kat_fragment(b, &w);
	check_ack(b, &replier, &ack);
	/* SPEC nymsphinx.md 6: the forward part is estimated as 3 mean packet delays, 15 ms each. */
	kat_eq_num(b, "packet.expected_delay_ns", (int64_t)(3 * UINT64_C(15000000) + ack.delays_ns));
	if (surb_parse(&surb, bytes, surb_len)) {
		kat_fail(b, "the SURB is refused");
		return;
	}
	kat_eq(b, "surb_key", surb.key, SURB_KEY);
	if (nym_packet_reply(packet, &surb, kat_fixed(b, "packet.ack_prefix", NYM_SURB_ACK),
			     kat_fixed(b, "fragment", NYM_FRAG))) {
		kat_fail(b, "no reply");
		return;
	}
	blob = check_packet(b, &t, (uint8_t)kat_num(b, "surb_rotation"), packet, SPHINX_REGULAR_PACKET,
			    &blob_len);
	if (blob)
		open_reply(b, &creator, blob, blob_len);
}

KAT_KINDS({ "framing/regular-odd", run_frames }, { "framing/regular-even", run_frames },
	  { "framing/ack-unknown", run_frames }, { "framing/node", run_nodes }, { "framing/bad", run_bad },
	  { "packet/plain", run_packet_plain }, { "packet/plain-even-rotation", run_packet_plain },
	  { "packet/plain-258", run_packet_plain }, { "packet/plain-no-mix-hops", run_packet_plain },
	  { "packet/plain-extended8", run_packet_plain }, { "packet/reply", run_packet_reply },
	  { "packet/reply-258", run_packet_reply }, { "packet/cover-258", run_packet_cover },
	  { "packet/cover-259", run_packet_cover });
