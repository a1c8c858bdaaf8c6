/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of nymsphinx.vec that two files use. */
#ifndef TESTS_KAT_KAT_NYM_H
#define TESTS_KAT_KAT_NYM_H

#include "mixnet/nympkt.h"
#include "tests/kat/kat.h"

/* Client 'a' or 'b' of block network; identity_sk stays zero. */
void kat_client(struct kat_block *b, struct nym_self *me, char who);

/* w holds a typed message: pads and splits it; its only fragment must be the one under key "fragment", with
 * the identifier under "packet.fragment_id". */
void kat_fragment(struct kat_block *b, struct wire_wr *w);

#endif
