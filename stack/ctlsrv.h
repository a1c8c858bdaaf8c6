/* SPDX-License-Identifier: Apache-2.0 */
/* Control server: the tunnel's side of stack/ctl/ctl.h. */
#ifndef STACK_CTLSRV_H
#define STACK_CTLSRV_H

#include "stack/resolv.h"
#include "stack/sock.h"

struct ctlsrv;

/* Listens at path: in a directory nobody else can enter, or "@name" (ctl_sockaddr). 0 or -errno. */
int ctlsrv_new(struct ctlsrv **ret, struct socks *socks, struct resolv *resolv, const char *path);
/* No new sockets from now on (ENETDOWN). */
void ctlsrv_drain(struct ctlsrv *c);
void ctlsrv_free(struct ctlsrv *c); /* after resolv_free(), which answers who waits for a name */

#endif
