/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipients (spec nymsphinx.md 3.1) and node addresses (3.3).
 *
 * A Recipient's Ed25519 keys must be curve points, as the reference demands; small-order ones are taken, as
 * it takes them. Its X25519 key may be any 32 bytes. A text with a separator too many fails in base58, whose
 * alphabet has none.
 *
 * A node address is type, port, IP; who reads one ignores what follows it, so the padded forms need no code
 * of their own. IPv4-mapped IPv6 stays type 6. Called by whatever names a client or a node.
 */
#include "mixnet/nympkt.h"

#include <stdio.h>
#include <string.h>

#include "base/base58.h"
#include "base/err.h"
#include "mixnet/prim.h"

int recipient_from_bytes(struct recipient *r, const uint8_t in[NYM_RECIPIENT])
{
	if (!prim_ed25519_valid(in) || !prim_ed25519_valid(in + 64))
		return SMX_EPROTO;
	memcpy(r->identity, in, 32);
	memcpy(r->encryption, in + 32, 32);
	memcpy(r->gateway, in + 64, 32);
	return 0;
}

void recipient_to_bytes(uint8_t out[NYM_RECIPIENT], const struct recipient *r)
{
	memcpy(out, r->identity, 32);
	memcpy(out + 32, r->encryption, 32);
	memcpy(out + 64, r->gateway, 32);
}

int recipient_parse(struct recipient *r, const char *text, size_t len)
{
	const char *end = text + len, *at = memchr(text, '@', len);
	const char *dot = at ? memchr(text, '.', (size_t)(at - text)) : NULL;
	uint8_t bytes[NYM_RECIPIENT];

	if (!dot || base58_decode_key(bytes, text, (size_t)(dot - text)) < 0 ||
	    base58_decode_key(bytes + 32, dot + 1, (size_t)(at - dot - 1)) < 0 ||
	    base58_decode_key(bytes + 64, at + 1, (size_t)(end - at - 1)) < 0)
		return SMX_EPROTO;
	return recipient_from_bytes(r, bytes);
}

const char *recipient_text(const struct recipient *r, char out[static NYM_RECIPIENT_TEXT])
{
	char a[BASE58_KEY_TEXT], b[BASE58_KEY_TEXT], c[BASE58_KEY_TEXT];

	base58_encode(a, sizeof(a), r->identity, 32);
	base58_encode(b, sizeof(b), r->encryption, 32);
	base58_encode(c, sizeof(c), r->gateway, 32);
	snprintf(out, NYM_RECIPIENT_TEXT, "%s.%s@%s", a, b, c);
	return out;
}

size_t nym_addr_put(uint8_t out[19], const struct addr *a)
{
	size_t n = a->family == 4 ? 4 : 16;

	out[0] = a->family;
	out[1] = (uint8_t)(a->port >> 8);
	out[2] = (uint8_t)a->port;
	memcpy(out + 3, a->ip, n);
	return 3 + n;
}

int nym_addr_get(struct addr *a, const uint8_t *in, size_t len)
{
	size_t n;

	if (!len || (in[0] != 4 && in[0] != 6))
		return SMX_EPROTO;
	n = in[0] == 4 ? 4 : 16;
	if (len < 3 + n)
		return SMX_EPROTO;
	*a = (struct addr){ .family = in[0], .port = (uint16_t)(in[1] << 8 | in[2]) };
	memcpy(a->ip, in + 3, n);
	return (int)(3 + n);
}

void nym_addr_pad(uint8_t out[32], const struct addr *a)
{
	memset(out, 0, 32);
	nym_addr_put(out, a);
}
