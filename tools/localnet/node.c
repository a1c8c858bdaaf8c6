/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mix node.
 *
 * Theory of operation. Nodes talk over TCP connections that carry frames in one direction only (spec
 * nymsphinx.md 7.1): the sender connects, nothing comes back. Each accepted connection has a read buffer of
 * two largest frames; complete frames are copied into a block and unwrapped at once (sphinx.md 11). A forward
 * packet waits in a heap until its delay (at most 10 s) plus what the wire's faults add is over, and then
 * goes to the queue of the peer it is addressed to. A final packet goes to the owner (the gateway) without
 * delay. Bad packets are counted and dropped, the counts are logged at the end; a bad frame ends its
 * connection.
 *
 * Replays are found by the replay tag in a ring of the last REPLAY_MAX tags: longer than a packet can live in
 * a test network.
 *
 * Limits: blocks come from two pools (ordinary and large packets); when they are empty packets are dropped
 * and counted. A peer that cannot be reached loses its queue and is tried again with the next packet.
 */
#include "tools/localnet/node.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/pool.h"
#include "mixnet/framing.h"
#include "mixnet/sphinx.h"
#include "tools/localnet/faults.h"
#include "tools/localnet/hostile.h"

#define NODE_SMALL_BLOCKS 4096
#define NODE_LARGE_BLOCKS 16
#define NODE_MAX_DELAY_US (10 * US_PER_S) /* sphinx.md 11: real nodes clamp here */
#define NODE_READ (2 * (NODE_FRAME_HDR + SPHINX_PACKET_MAX))
#define REPLAY_MAX 65536u /* power of two */

struct block {
	struct heap_node timer; /* while delayed */
	struct list queue;	/* while waiting for the peer's socket */
	struct addr to;
	size_t len, sent; /* frame bytes in all, bytes already written */
	bool large;
	uint8_t frame[]; /* header and packet */
};

struct inbound {
	struct list link;
	struct node *node;
	struct loop_watch watch;
	struct loop_task gone;
	int fd;
	size_t len;
	uint8_t buf[NODE_READ];
};

struct peer {
	struct list link;
	struct node *node;
	struct addr addr;
	struct loop_watch watch;
	int fd;
	bool connected;
	struct list queue;
};

struct node_stats {
	uint64_t received, forwarded, final, dropped_mac, dropped_replay, dropped_full, dropped_fault,
		dropped_bad, dropped_peer;
};

struct node {
	struct loop *loop;
	struct rng *rng;
	const struct localnet_cfg *cfg;
	const struct directory *dir;
	struct node_info *info;
	node_final_fn *final;
	void *owner;
	int fd;
	struct loop_watch watch;
	struct loop_timer timer;
	struct heap delayed;
	struct list inbound, peers;
	struct pool small, large;
	struct node_stats stats;
	uint64_t *replay_slot; /* open-addressed set of short tags, 2 * REPLAY_MAX */
	uint64_t replay_ring[REPLAY_MAX];
	size_t replay_n;
	uint8_t scratch[SPHINX_PACKET_MAX];
};

bool directory_has(const struct directory *d, const struct addr *a)
{
	for (unsigned i = 0; i < d->n; i++)
		if (addr_equal(&d->node[i].mix, a))
			return true;
	return false;
}

/* ---- replay ---- */

static size_t replay_find(const struct node *n, uint64_t tag)
{
	size_t i = tag & (2 * REPLAY_MAX - 1);

	while (n->replay_slot[i] && n->replay_slot[i] != tag)
		i = (i + 1) & (2 * REPLAY_MAX - 1);
	return i;
}

/* Removes tag and closes the gap, so that probing stays right without tombstones. */
static void replay_remove(struct node *n, uint64_t tag)
{
	size_t mask = 2 * REPLAY_MAX - 1, hole = replay_find(n, tag);

	if (!n->replay_slot[hole])
		return;
	for (size_t i = (hole + 1) & mask; n->replay_slot[i]; i = (i + 1) & mask) {
		size_t home = n->replay_slot[i] & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			n->replay_slot[hole] = n->replay_slot[i];
			hole = i;
		}
	}
	n->replay_slot[hole] = 0;
}

/* True when the tag was seen before; remembers it otherwise. */
static bool replay_seen(struct node *n, const uint8_t full[32])
{
	uint64_t tag, *old = &n->replay_ring[n->replay_n & (REPLAY_MAX - 1)];
	size_t i;

	memcpy(&tag, full, sizeof(tag));
	tag |= 1; /* 0 marks an empty slot */
	i = replay_find(n, tag);
	if (n->replay_slot[i])
		return true;
	if (*old) {
		replay_remove(n, *old);
		i = replay_find(n, tag);
	}
	n->replay_slot[i] = tag;
	*old = tag;
	n->replay_n++;
	return false;
}

/* ---- blocks ---- */

static struct block *block_new(struct node *n, size_t packet_len)
{
	bool large = packet_len > SPHINX_REGULAR_PACKET;
	struct block *b = pool_get(large ? &n->large : &n->small);

	if (!b) {
		n->stats.dropped_full++;
		return NULL;
	}
	memset(b, 0, sizeof(*b));
	b->large = large;
	list_init(&b->queue);
	return b;
}

static void block_free(struct node *n, struct block *b)
{
	pool_put(b->large ? &n->large : &n->small, b);
}

/* ---- outbound ---- */

static void peer_reset(struct peer *p)
{
	struct list *it;

	loop_watch_remove(&p->watch);
	fd_close(&p->fd);
	p->connected = false;
	while ((it = list_pop_front(&p->queue))) {
		block_free(p->node, container_of(it, struct block, queue));
		p->node->stats.dropped_peer++;
	}
}

static void peer_write(struct peer *p)
{
	while (!list_empty(&p->queue)) {
		struct block *b = container_of(p->queue.next, struct block, queue);
		ssize_t w = send(p->fd, b->frame + b->sent, b->len - b->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0 && errno == EAGAIN)
			break;
		if (w < 0) {
			log_debug("node %u: peer lost: %s", p->node->info->id, err_str(errno));
			peer_reset(p);
			return;
		}
		b->sent += (size_t)w;
		if (b->sent < b->len)
			break;
		list_remove(&b->queue);
		block_free(p->node, b);
		p->node->stats.forwarded++;
	}
	loop_watch_set(&p->watch, list_empty(&p->queue) ? 0 : LOOP_OUT);
}

static void peer_event(void *owner, uint32_t events)
{
	struct peer *p = owner;

	if (events & (LOOP_ERR | LOOP_HUP)) {
		peer_reset(p);
		return;
	}
	if (events & LOOP_OUT) {
		p->connected = true;
		peer_write(p);
	}
}

static int peer_connect(struct peer *p)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&p->addr, &ss, false);
	int one = 1, r;

	p->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(p->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		fd_close(&p->fd);
		return r;
	}
	r = loop_watch_add(p->node->loop, &p->watch, p->fd, LOOP_OUT, peer_event, p);
	if (r < 0)
		fd_close(&p->fd);
	return r;
}

static struct peer *peer_get(struct node *n, const struct addr *to)
{
	struct peer *p;

	list_for_each(it, &n->peers) {
		p = container_of(it, struct peer, link);
		if (addr_equal(&p->addr, to))
			return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->node = n;
	p->addr = *to;
	p->fd = -1;
	list_init(&p->queue);
	list_push_back(&n->peers, &p->link);
	return p;
}

static void transmit(struct node *n, struct block *b)
{
	struct peer *p = peer_get(n, &b->to);

	if (!p || (p->fd < 0 && peer_connect(p) < 0)) {
		block_free(n, b);
		n->stats.dropped_peer++;
		return;
	}
	list_push_back(&p->queue, &b->queue);
	if (p->connected)
		peer_write(p);
}

static void rearm(struct node *n)
{
	struct heap_node *min = heap_min(&n->delayed);

	loop_timer_set(&n->timer, min ? min->key : TIME_NEVER);
}

static void delays_over(void *owner)
{
	struct node *n = owner;
	struct heap_node *min;

	while ((min = heap_min(&n->delayed)) && min->key <= loop_now(n->loop)) {
		heap_remove(&n->delayed, min);
		transmit(n, container_of(min, struct block, timer));
	}
	rearm(n);
}

static void send_copy(struct node *n, const struct addr *to, const uint8_t *packet, size_t len,
		      uint8_t rotation, uint64_t delay_us)
{
	struct block *b = block_new(n, len);
	int hdr;

	if (!b)
		return;
	hdr = node_frame_put(b->frame, 8, len, rotation);
	if (hdr < 0) {
		n->stats.dropped_bad++;
		block_free(n, b);
		return;
	}
	memcpy(b->frame + hdr, packet, len);
	b->len = (size_t)hdr + len;
	if (n->info->bad.spoil == SPOIL_FLIP && hostile_chance(n->cfg->hostile, 4))
		hostile_flip(n->cfg->hostile, b->frame, b->len);
	if (n->info->bad.spoil == SPOIL_CUT && hostile_chance(n->cfg->hostile, 8))
		b->len = 1 + hostile_cut(n->cfg->hostile, b->len);
	b->to = *to;
	if (!delay_us) {
		transmit(n, b);
		return;
	}
	heap_insert(&n->delayed, &b->timer, loop_now(n->loop) + delay_us);
	rearm(n);
}

void node_send(struct node *n, const struct addr *to, const uint8_t *packet, size_t len, uint8_t rotation,
	       uint64_t delay_us)
{
	uint64_t extra[2];
	unsigned copies = faults_apply(&n->cfg->faults, n->rng, extra);

	if (!directory_has(n->dir, to)) {
		n->stats.dropped_bad++;
		return;
	}
	if (!copies)
		n->stats.dropped_fault++;
	for (unsigned i = 0; i < 4 && n->info->bad.spoil == SPOIL_REPLAY; i++)
		send_copy(n, to, packet, len, rotation, delay_us);
	for (unsigned i = 0; i < copies; i++)
		send_copy(n, to, packet, len, rotation, delay_us + n->info->bad.slow_us + extra[i]);
}

/* ---- inbound ---- */

static void process(struct node *n, const uint8_t *packet, size_t len, uint8_t rotation)
{
	struct sphinx_result res;
	struct addr next;
	uint64_t delay_us;
	int r;

	n->stats.received++;
	if (n->info->bad.dead) {
		n->stats.dropped_fault++;
		return;
	}
	memcpy(n->scratch, packet, len);
	r = sphinx_process(n->scratch, len, n->info->sphinx_sk[rotation == ROTATION_ODD], &res);
	if (r < 0) {
		n->stats.dropped_mac++;
		return;
	}
	if (replay_seen(n, res.replay_tag)) {
		n->stats.dropped_replay++;
		return;
	}
	if (r == SPHINX_FINAL) {
		n->stats.final++;
		if (n->final)
			n->final(n->owner, res.dest, res.msg, res.msg_len, len, rotation);
		return;
	}
	if (nym_addr_get(&next, res.next_addr, sizeof(res.next_addr)) < 0) {
		n->stats.dropped_bad++;
		return;
	}
	delay_us = res.delay_ns / 1000;
	node_send(n, &next, n->scratch, len, rotation,
		  delay_us < NODE_MAX_DELAY_US ? delay_us : NODE_MAX_DELAY_US);
}

static void inbound_free(void *owner)
{
	struct inbound *in = owner;

	list_remove(&in->link);
	fd_close(&in->fd);
	free(in);
}

static void inbound_end(struct inbound *in)
{
	loop_watch_remove(&in->watch);
	loop_defer(in->node->loop, &in->gone, inbound_free, in);
}

static void inbound_event(void *owner, uint32_t events)
{
	struct inbound *in = owner;
	size_t off = 0;
	struct node_frame f;
	ssize_t got = recv(in->fd, in->buf + in->len, sizeof(in->buf) - in->len, MSG_DONTWAIT);
	int r;

	(void)events;
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		inbound_end(in);
		return;
	}
	in->len += (size_t)got;
	for (;;) {
		r = node_frame_get(&f, in->buf + off, in->len - off);
		if (r < 0) {
			log_debug("node %u: bad frame, connection closed", in->node->info->id);
			inbound_end(in);
			return;
		}
		if (r == 0 || in->len - off < f.hdr_len + f.packet_len)
			break;
		process(in->node, in->buf + off + f.hdr_len, f.packet_len, f.rotation);
		off += f.hdr_len + f.packet_len;
	}
	memmove(in->buf, in->buf + off, in->len - off);
	in->len -= off;
}

static void accept_event(void *owner, uint32_t events)
{
	struct node *n = owner;
	struct inbound *in;
	int fd = accept4(n->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	in = calloc(1, sizeof(*in));
	if (!in) {
		close(fd);
		return;
	}
	in->node = n;
	in->fd = fd;
	list_init(&in->gone.node);
	list_push_back(&n->inbound, &in->link);
	if (loop_watch_add(n->loop, &in->watch, fd, LOOP_IN, inbound_event, in) < 0)
		inbound_free(in);
}

/* ---- life ---- */

static int listen_at(struct node *n)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&n->cfg->address, &ss, false);

	n->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&ss, len) < 0 || listen(n->fd, 64) < 0)
		return -errno;
	len = sizeof(ss);
	if (getsockname(n->fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr(&n->info->mix, (struct sockaddr *)&ss, len);
}

struct node *node_new(struct loop *loop, struct rng *rng, const struct localnet_cfg *cfg,
		      const struct directory *dir, struct node_info *info, node_final_fn *final, void *owner)
{
	struct node *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return NULL;
	n->loop = loop;
	n->rng = rng;
	n->cfg = cfg;
	n->dir = dir;
	n->info = info;
	n->final = final;
	n->owner = owner;
	n->fd = -1;
	list_init(&n->inbound);
	list_init(&n->peers);
	loop_timer_init(loop, &n->timer, delays_over, n);
	n->replay_slot = calloc(2 * (size_t)REPLAY_MAX, sizeof(*n->replay_slot));
	r = n->replay_slot ? 0 : -ENOMEM;
	if (r == 0)
		r = pool_init(&n->small, sizeof(struct block) + NODE_FRAME_HDR + SPHINX_REGULAR_PACKET,
			      NODE_SMALL_BLOCKS);
	if (r == 0)
		r = pool_init(&n->large, sizeof(struct block) + NODE_FRAME_HDR + SPHINX_PACKET_MAX,
			      NODE_LARGE_BLOCKS);
	if (r == 0)
		r = listen_at(n);
	if (r == 0)
		r = loop_watch_add(loop, &n->watch, n->fd, LOOP_IN, accept_event, n);
	if (r < 0) {
		node_free(n);
		errno = err_to_errno(r);
		return NULL;
	}
	return n;
}

static void say_stats(const struct node *n)
{
	const struct node_stats *s = &n->stats;

	log_debug("node %u: %" PRIu64 " packets came, %" PRIu64 " were forwarded, %" PRIu64
		  " final; dropped: %" PRIu64 " MAC, %" PRIu64 " replay, %" PRIu64 " no room, %" PRIu64
		  " by faults, %" PRIu64 " bad, %" PRIu64 " with their peer",
		  n->info->id, s->received, s->forwarded, s->final, s->dropped_mac, s->dropped_replay,
		  s->dropped_full, s->dropped_fault, s->dropped_bad, s->dropped_peer);
}

void node_free(struct node *n)
{
	struct heap_node *min;

	if (!n)
		return;
	loop_watch_remove(&n->watch);
	loop_timer_stop(&n->timer);
	fd_close(&n->fd);
	while ((min = heap_min(&n->delayed))) {
		heap_remove(&n->delayed, min);
		block_free(n, container_of(min, struct block, timer));
	}
	list_for_each_safe(it, tmp, &n->inbound) {
		struct inbound *in = container_of(it, struct inbound, link);

		loop_watch_remove(&in->watch);
		list_remove(&in->gone.node);
		inbound_free(in);
	}
	list_for_each_safe(it, tmp, &n->peers) {
		struct peer *p = container_of(it, struct peer, link);

		peer_reset(p);
		free(p);
	}
	say_stats(n);
	pool_done(&n->small);
	pool_done(&n->large);
	free(n->replay_slot);
	free(n);
}
