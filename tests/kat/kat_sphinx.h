/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the Sphinx blocks that several files use. */
#ifndef TESTS_KAT_KAT_SPHINX_H
#define TESTS_KAT_KAT_SPHINX_H

#include "mixnet/sphinx.h"
#include "tests/kat/kat.h"

/* hops, hopI.address, hopI.public_key, hopI.delay_ns. n is 0 when the vector cannot be used. */
void kat_route(struct kat_block *b, struct sphinx_route *route);

/* Sends the bytes of "packet" through hop0, hop1 .. with their secret keys and compares what each vector key,
 * where present, says: hopI.out, hopI.next_address, final.plaintext and so on. */
void kat_unwrap(struct kat_block *b);

#endif
