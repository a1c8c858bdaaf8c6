/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory server: the nym-api paths a client asks for, answered as JSON. Spec bootstrap.md 2, 4.
 */
#ifndef TOOLS_LOCALNET_NYMAPI_H
#define TOOLS_LOCALNET_NYMAPI_H

#include "tools/localnet/localnet.h"

struct nymapi;

/* *ret_at: where it listens. NULL: errno. dir must outlive it. */
struct nymapi *nymapi_new(struct ws *ws, const struct localnet_cfg *cfg, const struct directory *dir,
			  struct addr *ret_at);
void nymapi_free(struct nymapi *a);
/* As if its machine were switched off and on: the same port again. 0 or -errno. */
void nymapi_stop(struct nymapi *a);
int nymapi_start(struct nymapi *a);

#endif
