/* SPDX-License-Identifier: Apache-2.0 */
/* Between the prim files only: choice of code by CPU, parts of prim_init(). */
#ifndef MIXNET_PRIM_INT_H
#define MIXNET_PRIM_INT_H

void prim_aes_init(void);
void prim_sha256_init(void);

#endif
