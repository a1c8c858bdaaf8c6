/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets that wait for slots: at most IPQ_PACKETS in all, one FIFO per flow, served in turn, so that a
 * bulk upload does not delay anybody else by more than one packet.
 *
 * A pure TCP ACK is replaced, where it stands, by a newer one of the same connection (spec traffic.md 12.4):
 * only the newest says something. Duplicates (same number, same window) are all kept, since their count is
 * the far side's loss signal.
 */
#ifndef MIXNET_IPQUEUE_H
#define MIXNET_IPQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/pool.h"
#include "base/wire.h"

#define IPQ_PACKETS 128
#define IPQ_FLOW 64 /* of one flow: a bulk upload leaves room for others */
#define IPQ_PACKET_MAX 1557

struct ipq_flow {
	struct list turn; /* in ipqueue.turn while packets wait */
	struct list packets;
	uint64_t id;
	size_t n;
};

struct ipqueue {
	struct pool pool;
	struct ipq_flow flow[IPQ_PACKETS]; /* each waiting packet has at most one flow of its own */
	struct list idle, turn;
	size_t count, acks; /* packets, and how many of them are pure ACKs */
	uint64_t acks_replaced;
};

int ipq_init(struct ipqueue *q); /* 0 or -ENOMEM */
void ipq_done(struct ipqueue *q);
void ipq_clear(struct ipqueue *q);
/* 0; 1: took the place of an older ACK; -ENOBUFS: the queue or the flow is full; -EMSGSIZE. pkt is copied. */
int ipq_push(struct ipqueue *q, const uint8_t *pkt, size_t len, uint64_t flow);
/* Length of the packet whose turn it is, 0 when nothing waits. */
size_t ipq_head(const struct ipqueue *q);
/*
 * Moves packets into a bundle (ipr.md 4) of at most room bytes, prefixes included: flow by flow, each flow's
 * packets in their order, until nothing more fits. Number of packets moved; their bytes in *ret_bytes.
 */
size_t ipq_bundle(struct ipqueue *q, struct wire_wr *w, size_t room, size_t *ret_bytes);
/* The flow whose turn it is: how many of its packets fit, in their order, into a bundle of room bytes; the
 * bundle's length in *ret_len. */
size_t ipq_fits(const struct ipqueue *q, size_t room, size_t *ret_len);
/* Moves that flow's first n packets into a bundle. Returns the flow. */
uint64_t ipq_take(struct ipqueue *q, struct wire_wr *w, size_t n);
/* The flow whose turn it is has one packet only, and is not this one. */
bool ipq_lone(const struct ipqueue *q, uint64_t flow);

#endif
