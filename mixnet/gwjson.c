/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of the gateway link (spec gateway.md 5): internally tagged objects, byte strings as arrays of
 * integers, base64 in authenticateV2 only. Duplicate members are an error, unknown ones are ignored.
 */
#include "mixnet/gwjson.h"

#include <string.h>

#include "base/err.h"
#include "mixnet/prim.h"

json_t *gwjson_load(const char *in, size_t len)
{
	json_t *j;

	if (len > GWJSON_IN_MAX)
		return NULL;
	j = json_loadb(in, len, JSON_REJECT_DUPLICATES, NULL);
	if (j && !json_is_object(j)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int gwjson_bytes(const json_t *obj, const char *key, uint8_t *out, size_t cap)
{
	const json_t *a = json_object_get(obj, key);
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > cap)
		return SMX_EPROTO;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(a, i);
		json_int_t b = json_integer_value(v);

		if (!json_is_integer(v) || b < 0 || b > 255)
			return SMX_EPROTO;
		out[i] = (uint8_t)b;
	}
	return (int)n;
}

json_t *gwjson_array(const uint8_t *in, size_t len)
{
	json_t *a = json_array();

	for (size_t i = 0; i < len; i++)
		json_array_append_new(a, json_integer(in[i]));
	return a;
}

int gwjson_base64(const json_t *obj, const char *key, uint8_t *out, size_t cap)
{
	const json_t *s = json_object_get(obj, key);

	if (!json_is_string(s))
		return SMX_EPROTO;
	return prim_base64_decode(out, cap, json_string_value(s), json_string_length(s));
}

json_t *gwjson_base64_string(const uint8_t *in, size_t len)
{
	char text[256];

	return prim_base64_encode(text, sizeof(text), in, len) < 0 ? NULL : json_string(text);
}

int gwjson_int(const json_t *obj, const char *key, int64_t min, int64_t max, const int64_t *dflt,
	       int64_t *ret)
{
	const json_t *v = json_object_get(obj, key);

	if (!v && dflt) {
		*ret = *dflt;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return SMX_EPROTO;
	*ret = json_integer_value(v);
	return 0;
}

int gwjson_dump(json_t *obj, char *out, size_t cap)
{
	size_t n = obj ? json_dumpb(obj, out, cap, JSON_COMPACT) : 0;

	json_decref(obj);
	if (!n || n >= cap)
		return SMX_ELIMIT;
	out[n] = '\0';
	return (int)n;
}

int gwjson_handshake(char *out, size_t cap, uint8_t version, const uint8_t *data, size_t len)
{
	return gwjson_dump(json_pack("{s:s,s:i,s:o}", "type", "handshakePayload", "protocol_version",
				     (int)version, "data", gwjson_array(data, len)),
			   out, cap);
}
