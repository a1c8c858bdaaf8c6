/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to a call (design D6, D7): one pure function per question, default deny. No I/O, no state.
 */
#ifndef SHIM_POLICY_H
#define SHIM_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/rules.h"

enum policy_verdict {
	POLICY_TUNNEL,	 /* through the tunnel */
	POLICY_LOOPBACK, /* relayed by the tunnel's host */
	POLICY_LIBC,	 /* not ours: the kernel may do it */
	POLICY_DENY,	 /* err says how */
};

struct policy {
	enum policy_verdict verdict;
	int err;	 /* errno, with POLICY_DENY */
	const char *why; /* one phrase, with POLICY_DENY */
};

/* socket(domain, type, protocol); type with its flags. *ret_icmp: an echo socket. */
struct policy policy_socket(int domain, int type, int protocol, bool *ret_icmp);
/* connect() or sendto() of an internet socket to a: port 53 of a local resolver first (design D5), then the
 * rules, then the default. */
struct policy policy_peer(const struct rules *rules, const struct addr *a);
/* connect() of an AF_UNIX socket to a path (len bytes, need not end in NUL; a leading NUL is an abstract
 * name). */
struct policy policy_unix(const char *path, size_t len);

#endif
