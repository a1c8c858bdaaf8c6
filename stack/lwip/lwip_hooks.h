/* SPDX-License-Identifier: Apache-2.0 */
/* What lwIP calls in our code; defined in stack/device.c. */
#ifndef STACK_LWIP_LWIP_HOOKS_H
#define STACK_LWIP_LWIP_HOOKS_H

#include "lwip/err.h"
#include "lwip/ip_addr.h"

u32_t stack_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
		    u16_t remote_port);

/* Each TCP segment for a connection, before lwIP looks at its options; ERR_OK. */
struct tcp_hdr;
err_t stack_tcp_in(struct tcp_hdr *hdr, u16_t options, u16_t here, u8_t *rest);

#endif
