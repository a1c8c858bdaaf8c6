/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit's interface to the internet: libslirp turns IP packets into sockets of this host (TCP, UDP, ICMP
 * echo; IPv4 and IPv6). The only file pair that includes libslirp. A client is a guest of libslirp's under
 * its own tunnel addresses; destinations are translated by the --map table.
 */
#ifndef TOOLS_LOCALNET_EXIT_H
#define TOOLS_LOCALNET_EXIT_H

#include "tools/localnet/localnet.h"

struct exit_if;

/* source: where its connections come from, family 0 = anywhere. recv: one IP packet from the internet,
 * destination = the client's tunnel address. NULL: errno. */
struct exit_if *exit_if_new(struct loop *loop, const struct localnet_cfg *cfg, const struct addr *source,
			    void (*recv)(void *owner, const uint8_t *pkt, size_t len), void *owner);
void exit_if_free(struct exit_if *e);
/* One checked IP packet (version, lengths) from a client. */
void exit_if_send(struct exit_if *e, const uint8_t *pkt, size_t len);

#endif
