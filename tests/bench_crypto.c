/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of the cryptography of a packet.
 *
 * The ceiling of sphinx_build is the X25519 limit of spec traffic.md 12.5: a 4-hop header done as the
 * specification writes it takes ten multiplications and one of the base point, and nothing else is counted.
 * Our key schedule needs four and one (sphinx.c), so the ratio can be above 1; the second line has the
 * ceiling that leaves. A hop multiplies twice. One core.
 */
#include <stdint.h>
#include <string.h>

#include "base/rng.h"
#include "mixnet/prim.h"
#include "mixnet/sphinx.h"
#include "mixnet/surb.h"
#include "tests/bench.h"

#define HOPS 4
#define FRAME 2424 /* a MixPacket of a regular packet on the gateway link, about */

struct state {
	struct sphinx_route route;
	uint8_t sk[HOPS][32], dest[32];
	uint8_t msg[SPHINX_REGULAR_PLAIN];
	uint8_t packet[SPHINX_REGULAR_PACKET], work[SPHINX_REGULAR_PACKET];
	uint8_t surb[SURB_LEN4], digest[32];
	uint8_t scalar[32], point[32], base[32];
	uint8_t key[32], nonce[GCMSIV_NONCE], clear[FRAME], frame[FRAME + GCMSIV_TAG];
	struct surb parsed;
	struct rng_seeded rng;
	int err;
};

static void x25519(void *arg)
{
	struct state *s = arg;
	uint8_t out[32];

	s->err |= prim_x25519(out, s->scalar, s->point);
	memcpy(s->point, out, 32);
}

static void x25519_base(void *arg)
{
	struct state *s = arg;

	prim_x25519_base(s->base, s->base);
}

static void build(void *arg)
{
	struct state *s = arg;

	s->err |= sphinx_build(s->packet, sizeof(s->packet), SPHINX_VERSION, &s->route, s->dest, s->msg,
			       sizeof(s->msg), &s->rng.rng);
}

static void process(void *arg)
{
	struct state *s = arg;
	struct sphinx_result res;

	memcpy(s->work, s->packet, sizeof(s->work));
	s->err |= sphinx_process(s->work, sizeof(s->work), s->sk[0], &res) != SPHINX_FORWARD;
}

static void make_surb(void *arg)
{
	struct state *s = arg;

	s->err |= surb_make(s->surb, s->digest, &s->route, s->dest, &s->rng.rng);
}

static void use_surb(void *arg)
{
	struct state *s = arg;

	s->err |= surb_use(s->work, sizeof(s->work), &s->parsed, s->msg, sizeof(s->msg));
}

static void seal(void *arg)
{
	struct state *s = arg;

	prim_gcmsiv_seal(s->frame, s->key, s->nonce, s->clear, FRAME);
}

static void open(void *arg)
{
	struct state *s = arg;
	uint8_t out[FRAME];

	s->err |= prim_gcmsiv_open(out, s->key, s->nonce, s->frame, sizeof(s->frame));
}

static void init(struct state *s)
{
	memset(s, 0, sizeof(*s));
	rng_seeded_init(&s->rng, 1);
	rng_fill(&s->rng.rng, s->scalar, sizeof(s->scalar));
	prim_x25519_base(s->point, s->scalar);
	s->route.n = HOPS;
	for (unsigned i = 0; i < HOPS; i++) {
		rng_fill(&s->rng.rng, s->sk[i], 32);
		prim_x25519_base(s->route.hop[i].key, s->sk[i]);
		s->route.hop[i].addr[0] = 4;
		s->route.hop[i].delay_ns = 15000000;
	}
	make_surb(s);
	s->err |= surb_parse(&s->parsed, s->surb, sizeof(s->surb));
}

void bench_crypto(struct bench *b)
{
	enum { X25519, BASE, BUILD, PROCESS, MAKE, USE, SEAL, OPEN, N };
	struct bench_timed t[N] = {
		[X25519] = { .fn = x25519 },   [BASE] = { .fn = x25519_base }, [BUILD] = { .fn = build },
		[PROCESS] = { .fn = process }, [MAKE] = { .fn = make_surb },   [USE] = { .fn = use_surb },
		[SEAL] = { .fn = seal },       [OPEN] = { .fn = open },
	};
	static struct state s;
	double mult, base;

	if (prim_init()) {
		bench_fail(b, "crypto libraries do not start");
		return;
	}
	init(&s);
	bench_rates(t, N, &s);
	mult = t[X25519].rate;
	base = t[BASE].rate;
	bench_report(b, "x25519_per_s", mult, "1/s", 0);
	bench_report(b, "x25519_base_per_s", base, "1/s", 0);
	bench_report(b, "sphinx_build_per_s", t[BUILD].rate, "packets/s", 1 / (10 / mult + 1 / base));
	bench_report(b, "sphinx_build_own_limit", t[BUILD].rate, "packets/s", 1 / (4 / mult + 1 / base));
	bench_report(b, "sphinx_process_per_s", t[PROCESS].rate, "packets/s", mult / 2);
	bench_report(b, "surb_make_per_s", t[MAKE].rate, "surbs/s", 1 / (10 / mult + 1 / base));
	bench_report(b, "surb_use_per_s", t[USE].rate, "packets/s", 0);
	bench_report(b, "gcmsiv_seal", t[SEAL].rate * FRAME / 1e6, "MB/s", 0);
	bench_report(b, "gcmsiv_seal_frame", 1e6 / t[SEAL].rate, "us", 0);
	bench_report(b, "gcmsiv_open", t[OPEN].rate * FRAME / 1e6, "MB/s", 0);
	bench_report(b, "gcmsiv_open_frame", 1e6 / t[OPEN].rate, "us", 0);
	if (s.err)
		bench_fail(b, "a measured call failed");
}
