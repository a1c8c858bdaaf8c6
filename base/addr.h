/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One address type for IPv4 and IPv6 with a port, text both ways, and the special ranges (IANA
 * special-purpose registries) that policy and the exit refuse. Pure, no malloc; used by the shim inside
 * async-signal-safe calls.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	uint8_t family; /* 0 none, 4, 6 */
	uint16_t port;	/* host order */
	uint8_t ip[16]; /* v4 in the first four bytes, rest zero */
	uint32_t scope; /* IPv6 scope id */
};

enum addr_class {
	ADDR_GLOBAL,
	ADDR_UNSPEC,	/* 0.0.0.0, :: */
	ADDR_LOOPBACK,	/* 127/8, ::1 */
	ADDR_PRIVATE,	/* 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 */
	ADDR_LINKLOCAL, /* 169.254/16, fe80::/10 */
	ADDR_MULTICAST, /* 224/4, ff00::/8 */
	ADDR_BROADCAST, /* 255.255.255.255 */
	ADDR_RESERVED,	/* documentation, benchmarking, 0/8, 240/4, 192.0.0/24 except .9 .10, 6to4, 2001::/23,
			   discard... */
};

#define ADDR_TEXT 72 /* "[v6%scope]:port" and NUL */

/* -EINVAL for a short length, -EAFNOSUPPORT for another family. v4-mapped IPv6 stays family 6 (see
 * addr_unmap). */
int addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len);
/* Writes sockaddr_in, or sockaddr_in6 for family 6; as6: v4 becomes ::ffff:v4. Returns its length. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss, bool as6);
/* ::ffff:a.b.c.d becomes family 4; other addresses are left alone. */
void addr_unmap(struct addr *a);
/* Numeric only: "1.2.3.4", "::1", no port. 0 or -EINVAL. */
int addr_parse_ip(struct addr *a, const char *s);
/* "1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53"; without port the given default. 0 or -EINVAL. */
int addr_parse(struct addr *a, const char *s, uint16_t default_port);
/* Text with port ("1.2.3.4:53", "[::1]:53"); port 0 is left out, then without brackets. Returns out. */
const char *addr_text(const struct addr *a, char out[static ADDR_TEXT]);
bool addr_equal(const struct addr *a, const struct addr *b);	/* family, ip and port */
bool addr_equal_ip(const struct addr *a, const struct addr *b); /* family and ip */
/* The first bits (0..128) of two addresses' bytes are the same. */
bool addr_same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits);
/* Class of the address; a v4-mapped one is judged as IPv4. */
enum addr_class addr_classify(const struct addr *a);

#endif
