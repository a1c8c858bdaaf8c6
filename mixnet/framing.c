/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames (spec nymsphinx.md 4, 7.1, 11.2).
 *
 * A MixPacket has no length of its own: what is left behind the address must be one of the five packet
 * lengths. A node frame takes the length from its size tag. The packet type is always 0 (Sphinx): Outfox and
 * its size tags are refused, as the crates since 1.21.6 do (versions.md 2). Packets are not looked into.
 *
 * Called by gwproto and gwserver for MixPackets, by the local network's nodes for frames.
 */
#include "mixnet/framing.h"

#include "base/err.h"
#include "base/wire.h"
#include "mixnet/nympkt.h"

static const size_t sizes[] = { 0, SPHINX_REGULAR_PACKET, SPHINX_ACK_PACKET, SPHINX_PACKET_MAX, 8557, 16749 };

uint8_t rotation_byte(uint32_t rotation_id)
{
	if (rotation_id == 0 || rotation_id == UINT32_MAX)
		return ROTATION_UNKNOWN;
	return rotation_id & 1 ? ROTATION_ODD : ROTATION_EVEN;
}

int size_tag(size_t packet_len)
{
	for (int i = 1; i <= 5; i++)
		if (sizes[i] == packet_len)
			return i;
	return SMX_EPROTO;
}

int size_from_tag(uint8_t tag)
{
	return tag >= 1 && tag <= 5 ? (int)sizes[tag] : SMX_EPROTO;
}

int mixpacket_put(uint8_t *out, size_t cap, const struct mixpacket *m, int version)
{
	struct wire_wr w;
	uint8_t hop[19];
	size_t n;

	if (size_tag(m->packet_len) < 0 || m->rotation > ROTATION_EVEN ||
	    (m->next_hop.family != 4 && m->next_hop.family != 6))
		return SMX_EPROTO;
	n = nym_addr_put(hop, &m->next_hop);
	wire_wr_init(&w, out, cap);
	wire_put_u8(&w, 0);
	if (version >= 2)
		wire_put_u8(&w, m->rotation);
	wire_put_bytes(&w, hop, n);
	wire_put_bytes(&w, m->packet, m->packet_len);
	return wire_wr_end(&w);
}

int mixpacket_get(struct mixpacket *m, const uint8_t *in, size_t len, int version)
{
	struct mixpacket t = { 0 };
	struct wire_rd r;
	int n;

	wire_rd_init(&r, in, len);
	if (wire_get_u8(&r) != 0)
		return SMX_EPROTO;
	if (version >= 2)
		t.rotation = wire_get_u8(&r);
	if (r.bad || t.rotation > ROTATION_EVEN)
		return SMX_EPROTO;
	n = nym_addr_get(&t.next_hop, r.p, r.left);
	if (n < 0)
		return SMX_EPROTO;
	wire_get_bytes(&r, (size_t)n);
	t.packet_len = r.left;
	t.packet = wire_get_bytes(&r, r.left);
	if (size_tag(t.packet_len) < 0)
		return SMX_EPROTO;
	*m = t;
	return 0;
}

int node_frame_put(uint8_t out[NODE_FRAME_HDR], int version, size_t packet_len, uint8_t rotation)
{
	int tag = size_tag(packet_len);

	if (tag < 0 || rotation > ROTATION_EVEN || (version != 7 && version != 8))
		return SMX_EPROTO;
	out[0] = (uint8_t)version;
	out[1] = (uint8_t)tag;
	out[2] = 0;
	if (version == 7)
		return 3;
	out[3] = rotation;
	return 4;
}

int node_frame_get(struct node_frame *f, const uint8_t *in, size_t len)
{
	int size;

	if (len && in[0] != 7 && in[0] != 8)
		return SMX_EPROTO;
	if (len < 3 || (in[0] == 8 && len < 4))
		return 0;
	size = size_from_tag(in[1]);
	if (size < 0 || in[2] != 0 || (in[0] == 8 && in[3] > ROTATION_EVEN))
		return SMX_EPROTO;
	f->rotation = in[0] == 8 ? in[3] : ROTATION_UNKNOWN;
	f->hdr_len = in[0] == 8 ? 4 : 3;
	f->packet_len = (size_t)size;
	return 1;
}
