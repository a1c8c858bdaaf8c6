/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packet router messages, versions 8 (decode and vectors), 9 and 10, and IP packet bundles (spec ipr.md 3,
 * 4; bincode rules of 3.1). Pure codec, both directions; sessions are exitsess.h.
 */
#ifndef MIXNET_IPR_H
#define MIXNET_IPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

#define IPR_V8 8
#define IPR_V9 9
#define IPR_V10 10
#define IPR_SP_TYPE 1
#define IPR_SP_LAST 2 /* 0 network requester, 2 authenticator */
#define IPR_BUNDLE_MAX 1500
#define IPR_MTU_DEFAULT 1420
#define IPR_MTU_MIN 576
#define IPR_MTU_MAX 1557

enum ipr_kind { IPR_CONNECT, IPR_DISCONNECT, IPR_PING, IPR_HEALTH, IPR_UNREQUESTED, IPR_INFO, IPR_DATA };

struct ipr_time { /* UTC, as the wire has it */
	int32_t year;
	uint16_t ordinal;
	uint8_t hour, minute, second;
	uint32_t nanos;
	int8_t off_h, off_m, off_s;
};
/* Whole seconds, nanoseconds zero (ipr.md 3.3 advice: do not leak the clock). */
void ipr_time_from_wall(struct ipr_time *t, int64_t wall_s);

struct ipr_request {
	uint8_t version;
	uint8_t provider;   /* set by parsing: a router answers IPR_SP_TYPE only */
	enum ipr_kind kind; /* CONNECT, DISCONNECT, PING, HEALTH, DATA */
	uint64_t id;
	bool has_timeout;
	uint64_t buffer_timeout_ms;
	struct ipr_time time;
	const uint8_t *bundle;
	size_t bundle_len;
};

void ipr_put_request(struct wire_wr *w, const struct ipr_request *r); /* also DATA with bundle */
/* Header of a data request for a bundle of bundle_len bytes; the bundle follows. Length of that header:
 * ipr_data_hdr(). */
void ipr_put_data_hdr(struct wire_wr *w, uint8_t version, size_t bundle_len);
size_t ipr_data_hdr(size_t bundle_len);
/* 0; SMX_EPROTO; SMX_EVERSION for a version byte outside 8..10. */
int ipr_parse_request(struct ipr_request *r, const uint8_t *in, size_t len);

enum ipr_connect_result { IPR_OK, IPR_ALREADY_CONNECTED, IPR_NO_IP, IPR_CONNECT_OTHER };
enum ipr_disconnect_result { IPR_DISC_OK, IPR_DISC_NOT_CONNECTED, IPR_DISC_OTHER };
enum ipr_unrequested { IPR_UNREQ_MIXNET_TIMEOUT, IPR_UNREQ_TUN_TIMEOUT, IPR_UNREQ_OTHER };
enum ipr_info { IPR_INFO_GENERIC, IPR_INFO_VERSION, IPR_INFO_EXIT_POLICY };
enum ipr_level { IPR_LEVEL_INFO, IPR_LEVEL_WARN, IPR_LEVEL_ERROR };

struct ipr_str { /* borrowed, not NUL-terminated */
	const char *p;
	size_t len;
};

struct ipr_response {
	uint8_t version;
	enum ipr_kind kind;
	uint64_t id;
	int result; /* connect / disconnect result, unrequested reason, info reply */
	uint8_t ip4[4], ip6[16];
	uint16_t mtu;		   /* v10 connect success; 0 when the answer had none */
	struct ipr_str text;	   /* reason of OTHER, generic message, exit policy destination "ip:port" */
	uint8_t ver_req, ver_resp; /* info version mismatch */
	enum ipr_level level;
	struct ipr_str build[10]; /* health */
	bool has_routable, routable;
	const uint8_t *bundle;
	size_t bundle_len;
};

void ipr_put_response(struct wire_wr *w, const struct ipr_response *r);
/* Trailing bytes after a v9/v10 control response are tolerated, and a v10 connect success may end before the
 * MTU (versions.md 3); strict (vectors) refuses both. 0; SMX_EPROTO; SMX_EVERSION. */
int ipr_parse_response(struct ipr_response *r, const uint8_t *in, size_t len, bool strict);

/* Bundles: length:u16 BE || packet. */
void ipr_bundle_put(struct wire_wr *w, const uint8_t *pkt, size_t len);
/* Iterates; 1 = *ret_pkt, *ret_len set, 0 = no more (leftovers are ignored). Zero-length packets are returned
 * too. */
int ipr_bundle_next(struct wire_rd *r, const uint8_t **ret_pkt, size_t *ret_len);

#endif
