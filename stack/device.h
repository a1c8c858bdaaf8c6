/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP's network interface over a packet link, lwIP's clock and timers, and the one place that looks into
 * ICMP.
 */
#ifndef STACK_DEVICE_H
#define STACK_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/loop.h"
#include "base/rng.h"
#include "lwip/ip_addr.h"
#include "mixnet/pktlink.h"

/* An ICMP error about a packet of ours, as Linux reads it. */
struct device_icmp {
	uint8_t proto; /* of the packet: IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP or IPPROTO_ICMPV6 (an echo
			  request) */
	uint16_t local_port;  /* or the identifier */
	struct addr remote;   /* where the packet was going, with its port */
	struct addr offender; /* who reports it */
	int err;
	bool hard;	  /* a connected socket hears of it without having asked (RFC 1122 4.1.3.3, kernel:
			     icmp_err_convert) */
	bool unreachable; /* no way there: it can end a connection attempt */
	uint8_t type, code;
	uint32_t info;	      /* path MTU */
	const uint8_t *quote; /* UDP: what came back of the payload; echo: of the ICMP message */
	size_t len;
};

struct device_echo {
	struct addr from;
	uint8_t ttl, tos;
	const uint8_t *msg; /* whole ICMP message, identifier in bytes 4 and 5 */
	size_t len;
};

struct device_ops {
	/* Addresses and MTU are set (again): changed = they differ from before, connections must go. */
	void (*up)(void *owner, bool changed);
	void (*down)(void *owner);
	void (*writable)(void *owner);
	void (*icmp_error)(void *owner, const struct device_icmp *e);
	void (*echo_reply)(void *owner, const struct device_echo *e);
	void *owner;
};

/* Takes link's callbacks. -EBUSY: there is a device already (lwIP's state is global). 0. */
int device_init(struct loop *loop, struct pktlink *link, struct rng *rng, const struct device_ops *ops);
void device_done(void);
bool device_up(void);
unsigned device_mtu(void);
bool device_tight(void);   /* the link cannot carry what waits on its far side (pktlink.h) */
uint64_t device_rtt(void); /* us to the exit and back; 0: not known */
/* Tunnel's address of a family (4 or 6); family 0 in the result when there is none. */
struct addr device_addr(uint8_t family);
/* What lwIP leaves to be said of a connection that has just been made; in its connected callback. */
struct tcp_pcb;
void device_tune(struct tcp_pcb *pcb);
/* Runs lwIP's timers and sets the next; after every batch of the loop. */
void device_after(void);
uint64_t device_dropped(void); /* inbound packets not for us or malformed */
/* Sends an ICMP message (checksum is filled in) from our address. 0 or -errno. */
int device_send_icmp(const struct addr *to, uint8_t *msg, size_t len, uint8_t ttl, uint8_t tos);

void device_to_lwip(ip_addr_t *out, const struct addr *a);
void device_from_lwip(struct addr *out, const ip_addr_t *ip, uint16_t port);

#endif
