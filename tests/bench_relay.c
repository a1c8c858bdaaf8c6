/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tunnel's own part of a connection can carry: stack/conn.c between a program's socketpair and
 * a stand-in for lwIP, which takes everything at once and gives segments of full size, one a call, as many a
 * batch as its window allows (interposition.md 4, criterion 10: 1 GB/s). The peer of the same run is a relay
 * that only reads and writes: socketpair, 64 KiB buffer, /dev/null and /dev/zero.
 *
 * The program is a thread with 64 KiB calls; lwIP's functions are replaced at link time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "lwip/tcp.h"
#include "stack/conn.h"
#include "stack/device.h"
#include "stack/unixdiag.h"

#define BYTES 2000000000u
#define CALL 65536
#define SEGMENT 1380
#define LIMIT 1000.0 /* MB/s */

static tcp_connected_fn connected;
static size_t taken; /* by the stand-in */
static atomic_bool all_read;

err_t __wrap_tcp_bind(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port);
err_t __wrap_tcp_connect(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port, tcp_connected_fn fn);
err_t __wrap_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags);
err_t __wrap_tcp_output(struct tcp_pcb *pcb);
void __wrap_tcp_recved(struct tcp_pcb *pcb, u16_t len);

err_t __wrap_tcp_bind(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port)
{
	(void)pcb, (void)ip, (void)port;
	return ERR_OK;
}

err_t __wrap_tcp_connect(struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port, tcp_connected_fn fn)
{
	(void)ip, (void)port;
	pcb->snd_wnd_max = TCP_WND; /* what the far side's SYN-ACK would have said */
	connected = fn;
	return ERR_OK;
}

err_t __wrap_tcp_write(struct tcp_pcb *pcb, const void *data, u16_t len, u8_t flags)
{
	(void)pcb, (void)data, (void)flags;
	taken += len;
	return ERR_OK;
}

err_t __wrap_tcp_output(struct tcp_pcb *pcb)
{
	(void)pcb;
	return ERR_OK;
}

void __wrap_tcp_recved(struct tcp_pcb *pcb, u16_t len)
{
	pcb->rcv_wnd += len;
}

/* ---- the program ---- */

static char block[CALL];

static void *writes(void *arg)
{
	int fd = *(int *)arg;

	for (size_t left = BYTES; left;) {
		ssize_t n = write(fd, block, left < CALL ? left : CALL);

		if (n <= 0)
			return NULL;
		left -= (size_t)n;
	}
	return NULL;
}

static void *reads(void *arg)
{
	static char buf[CALL];
	int fd = *(int *)arg;

	for (size_t left = BYTES; left;) {
		ssize_t n = read(fd, buf, left < CALL ? left : CALL);

		if (n <= 0)
			return NULL;
		left -= (size_t)n;
	}
	atomic_store(&all_read, true);
	return NULL;
}

/* ---- the relays; each returns MB/s ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double plain(bool up)
{
	static char buf[CALL];
	int pair[2], other = open(up ? "/dev/null" : "/dev/zero", O_RDWR);
	pthread_t program;
	double start = now();

	if (other < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    pthread_create(&program, NULL, up ? writes : reads, &pair[0]))
		exit(1);
	for (size_t left = BYTES; left;) {
		ssize_t n = read(up ? pair[1] : other, buf, left < CALL ? left : CALL);

		if (n <= 0 || write(up ? other : pair[1], buf, (size_t)n) != n)
			exit(1);
		left -= (size_t)n;
	}
	pthread_join(program, NULL);
	start = now() - start;
	close(pair[0]);
	close(pair[1]);
	close(other);
	return BYTES / 1e6 / start;
}

static int no_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	(void)l, (void)pkt, (void)len, (void)flow;
	return 0;
}

static void no_up(void *owner, bool changed)
{
	(void)owner, (void)changed;
}

static void nothing(void *owner)
{
	(void)owner;
}

static void no_icmp(void *owner, const struct device_icmp *e)
{
	(void)owner, (void)e;
}

struct rig {
	struct pktlink link;
	struct loop *loop;
	struct socks socks;
	struct stack_cfg cfg;
};

static void begin(struct rig *r)
{
	static const struct device_ops ops = {
		.up = no_up, .down = nothing, .writable = nothing, .icmp_error = no_icmp
	};

	r->link = (struct pktlink){ .send = no_send, .mtu = 1420 };
	r->cfg = (struct stack_cfg){ .buffer = 524288,
				     .buffers = STACK_BUFFERS_DEFAULT,
				     .connect_us = US_PER_S,
				     .wait_ready_us = US_PER_S,
				     .rng = rng_system() };
	r->loop = loop_new(clock_system());
	if (!r->loop)
		exit(1);
	socks_init(&r->socks, r->loop, &r->cfg);
	r->socks.diag = unixdiag_open();
	if (device_init(r->loop, &r->link, r->cfg.rng, &ops))
		exit(1);
	addr_parse_ip(&r->link.ip4, "10.0.0.9");
	r->link.event(r->link.up, PKTLINK_UP);
}

/* As many segments as conn takes now. */
static size_t give(struct tcp_pcb *pcb, void *arg)
{
	static char data[SEGMENT];
	size_t given = 0;

	while (pcb->rcv_wnd >= SEGMENT) {
		struct pbuf *p = pbuf_alloc(PBUF_RAW, SEGMENT, PBUF_REF);

		if (!p)
			return given;
		p->payload = data;
		if (pcb->recv(arg, pcb, p, ERR_OK) != ERR_OK) {
			pbuf_free(p);
			return given;
		}
		pcb->rcv_wnd -= SEGMENT;
		given += SEGMENT;
	}
	return given;
}

static struct tcp_pcb *pcb_seen;
static void *arg_seen;

void __wrap_tcp_arg(struct tcp_pcb *pcb, void *arg);
void __real_tcp_arg(struct tcp_pcb *pcb, void *arg);

void __wrap_tcp_arg(struct tcp_pcb *pcb, void *arg)
{
	pcb_seen = pcb;
	arg_seen = arg;
	__real_tcp_arg(pcb, arg);
}

static double relay(struct rig *r, bool up)
{
	int pair[2];
	struct addr to;
	struct conn *c;
	pthread_t program;
	double start;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fd_nonblock(pair[1], 1) < 0)
		exit(1);
	c = conn_new(&r->socks, up ? 1 : 2, 4, pair[1]);
	addr_parse(&to, "192.88.99.80", 80);
	if (!c || conn_connect(c, &to) || connected(arg_seen, pcb_seen, ERR_OK))
		exit(1);
	taken = 0;
	atomic_store(&all_read, false);
	start = now();
	if (pthread_create(&program, NULL, up ? writes : reads, &pair[0]))
		exit(1);
	while (up ? taken < BYTES : !atomic_load(&all_read)) {
		bool gave = !up && give(pcb_seen, arg_seen);

		loop_dispatch(r->loop, gave ? 0 : 100);
	}
	start = now() - start;
	pthread_join(program, NULL);
	return BYTES / 1e6 / start;
}

int main(void)
{
	static struct rig r;

	begin(&r);
	for (int up = 1; up >= 0; up--) {
		double peer = plain(up), v = relay(&r, up);

		printf("relay_%-22s %12.1f MB/s       ceiling %12.1f  ratio %.2f   beside a plain relay: "
		       "%.1f, ratio %.2f\n",
		       up ? "upload" : "download", v, LIMIT, v / LIMIT, peer, v / peer);
	}
	return 0;
}
