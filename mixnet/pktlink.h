/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the mixnet and the IP stack: something that carries raw IP packets. bridge.c offers one
 * over an exit; tests and benchmarks offer others. All calls happen in the loop's thread.
 */
#ifndef MIXNET_PKTLINK_H
#define MIXNET_PKTLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum pktlink_event {
	PKTLINK_UP,   /* ip4, ip6, mtu, mtu_up are valid; after a change of exit they differ from before */
	PKTLINK_DOWN, /* packets are dropped until UP; connections may live on when the addresses stay */
	PKTLINK_WRITABLE, /* room again after send() said -ENOBUFS */
};

struct pktlink {
	/* Set by the link. send borrows pkt. 0; -ENOBUFS: full, wait for WRITABLE; -ENETDOWN. flow identifies
	 * the connection the packet belongs to (round-robin between flows), 0 = none. */
	int (*send)(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow);
	/* Whether packets wait at the far end because the link cannot carry them all; NULL: never. */
	bool (*tight)(const struct pktlink *l);
	/* Time there and back as far as the link knows it; NULL: nothing is known. */
	uint64_t (*rtt_us)(const struct pktlink *l);
	struct addr ip4, ip6; /* family 0 = the exit gave none */
	unsigned mtu;
	unsigned mtu_up; /* of TCP segments over IPv4 on the way out, where it is larger; else 0 */
	/* Set by the stack before the link starts. recv borrows pkt. */
	void (*recv)(void *up, const uint8_t *pkt, size_t len);
	void (*event)(void *up, enum pktlink_event ev);
	void *up;
};

#endif
