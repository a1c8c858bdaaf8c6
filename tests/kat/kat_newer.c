/* SPDX-License-Identifier: Apache-2.0 */
/* newer.vec: what the releases after 1.21 changed. Its SURB lengths are tested in kat_surb.c, its stream
 * frames with the IPR messages. */
#include "tests/kat/kat_sphinx.h"

/* A statement about the crates: every packet of sphinx.vec and surb.vec is the same to both releases. */
static void run_same(struct kat_block *b)
{
	kat_eq_num(b, "equal", kat_num(b, "compared"));
}

/* We build no version 260, but hops treat it like 259. */
static void run_260(struct kat_block *b)
{
	struct sphinx_route route;

	kat_route(b, &route);
	if (kat_num(b, "version") != 260)
		kat_fail(b, "version");
	kat_fixed(b, "initial_secret", 32);
	kat_unwrap(b);
}

KAT_KINDS({ "sphinx-packet-0.8.0", run_same }, { "sphinx/260/", run_260 });
