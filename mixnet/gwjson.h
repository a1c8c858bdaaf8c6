/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON texts of the gateway link, shared by both sides (spec gateway.md 5). Over jansson.
 */
#ifndef MIXNET_GWJSON_H
#define MIXNET_GWJSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define GWJSON_IN_MAX 65536

/* One object, duplicate members refused; NULL for anything else. */
json_t *gwjson_load(const char *in, size_t len);
/* Member as integer array 0..255: length, or SMX_EPROTO. */
int gwjson_bytes(const json_t *obj, const char *key, uint8_t *out, size_t cap);
json_t *gwjson_array(const uint8_t *in, size_t len);
/* Member as standard base64. */
int gwjson_base64(const json_t *obj, const char *key, uint8_t *out, size_t cap);
json_t *gwjson_base64_string(const uint8_t *in, size_t len);
/* Integer member in [min, max]; dflt when absent. 0 or SMX_EPROTO. */
int gwjson_int(const json_t *obj, const char *key, int64_t min, int64_t max, const int64_t *dflt,
	       int64_t *ret);
/* Takes obj; compact text with NUL. Length, or SMX_ELIMIT. */
int gwjson_dump(json_t *obj, char *out, size_t cap);
/* Wrapper of handshake frames: {"type":"handshakePayload","protocol_version":v,"data":[...]}. */
int gwjson_handshake(char *out, size_t cap, uint8_t version, const uint8_t *data, size_t len);

#endif
