/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP's network interface over a packet link, lwIP's clock and timers, and the one place that looks into ICMP.
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

struct device_ops {
	/* Addresses and MTU are set (again): changed = they differ from before, connections must go. */
	void (*up)(void *owner, bool changed);
	void (*down)(void *owner);
	void (*writable)(void *owner);
	/* An ICMP error about a packet of ours: protocol (IPPROTO_TCP, IPPROTO_UDP), its local port, remote address with port. */
	void (*icmp_error)(void *owner, uint8_t proto, uint16_t local_port, const struct addr *remote, int err);
	/* Echo reply: whole ICMP message, identifier in bytes 4 and 5. */
	void (*echo_reply)(void *owner, const struct addr *from, uint8_t ttl, const uint8_t *msg, size_t len);
	void *owner;
};

/* Takes link's callbacks. -EBUSY: there is a device already (lwIP's state is global). 0. */
int device_init(struct loop *loop, struct pktlink *link, struct rng *rng, const struct device_ops *ops);
void device_done(void);
bool device_up(void);
unsigned device_mtu(void);
/* Tunnel's address of a family (4 or 6); family 0 in the result when there is none. */
struct addr device_addr(uint8_t family);
/* Runs lwIP's timers and sets the next; after every batch of the loop. */
void device_after(void);
uint64_t device_dropped(void); /* inbound packets not for us or malformed */
/* Sends an ICMP message (checksum is filled in) from our address. 0 or -errno. */
int device_send_icmp(const struct addr *to, uint8_t *msg, size_t len, uint8_t ttl);

void device_to_lwip(ip_addr_t *out, const struct addr *a);
void device_from_lwip(struct addr *out, const ip_addr_t *ip, uint16_t port);

#endif
