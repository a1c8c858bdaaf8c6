/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IP stack alone: shim, socketpair, lwIP and the local network's exit (libslirp), no mixnet between them.
 * The peer of the same run is the same program bare, over the kernel's loopback.
 *
 * Stack and exit are a process each, as in life; a packet crosses between them in one system call on each
 * side.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "stack/stack.h"
#include "tests/bench.h"
#include "tests/bench_peer.h"
#include "tools/localnet/exit.h"

#define SERVER "192.88.99.80"
#define BATCH 64 /* packets a round of the loop */
#define MTU 1420
#define BYTES 200000000u

struct wire {
	struct pktlink link;
	struct loop *loop;
	struct loop_watch watch;
	struct exit_if *exit; /* NULL in the stack's process */
	int fd;
	bool full;
};

static void on_ready(void *owner, uint32_t events)
{
	struct wire *w = owner;
	uint8_t pkt[MTU];
	ssize_t n;

	for (int i = 0; i < BATCH && (n = recv(w->fd, pkt, sizeof(pkt), MSG_DONTWAIT)) > 0; i++) {
		if (w->exit)
			exit_if_send(w->exit, pkt, (size_t)n);
		else
			w->link.recv(w->link.up, pkt, (size_t)n);
	}
	if (w->full && (events & LOOP_OUT)) {
		w->full = false;
		loop_watch_set(&w->watch, LOOP_IN);
		w->link.event(w->link.up, PKTLINK_WRITABLE);
	}
}

static int wire_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	struct wire *w = container_of(l, struct wire, link);

	(void)flow;
	if (send(w->fd, pkt, len, MSG_DONTWAIT) == (ssize_t)len)
		return 0;
	w->full = true;
	loop_watch_set(&w->watch, LOOP_IN | LOOP_OUT);
	return -ENOBUFS;
}

/* What does not fit is lost, as on a real interface. */
static void from_exit(void *owner, const uint8_t *pkt, size_t len)
{
	struct wire *w = owner;

	if (send(w->fd, pkt, len, MSG_DONTWAIT) < 0 && errno != EAGAIN)
		loop_quit(w->loop);
}

static bool open_wire(struct wire *w, int fd)
{
	w->fd = fd;
	w->loop = loop_new(clock_system());
	return w->loop && loop_watch_add(w->loop, &w->watch, fd, LOOP_IN, on_ready, w) == 0;
}

static int host_exit(int fd, uint16_t port)
{
	struct localnet_cfg cfg = { .mtu = MTU, .n_maps = 1 };
	struct wire w = { 0 };

	addr_parse(&cfg.map[0].from, SERVER, 80);
	addr_parse(&cfg.map[0].to, "127.0.0.1", port);
	addr_parse_ip(&cfg.exit_address, "127.0.0.77");
	if (!open_wire(&w, fd))
		return 1;
	w.exit = exit_if_new(w.loop, &cfg, &cfg.exit_address, from_exit, &w);
	return !w.exit || loop_run(w.loop) < 0;
}

/* Says "ready" on its standard output when the control socket is there. */
static int host_stack(int fd, const char *ctl)
{
	struct stack_cfg sc = { .buffer = STACK_BUFFER_DEFAULT,
				.buffers = STACK_BUFFERS_DEFAULT,
				.connect_us = 10 * US_PER_S,
				.wait_ready_us = US_PER_S,
				.rng = rng_system(),
				.n_dns = 1 };
	struct wire w = { .link = { .send = wire_send, .mtu = MTU } };
	struct stack *stack;

	addr_parse(&sc.dns[0], "1.1.1.1", 53);
	if (!open_wire(&w, fd) || stack_new(&stack, w.loop, &w.link, &sc, ctl) < 0)
		return 1;
	addr_parse_ip(&w.link.ip4, "10.0.0.9");
	w.link.event(w.link.up, PKTLINK_UP);
	printf("ready\n");
	fflush(stdout);
	return loop_run(w.loop) < 0;
}

struct hosts {
	pid_t stack, exit;
};

static bool start_hosts(struct hosts *h, const char *ctl, uint16_t port)
{
	int p[2], wire[2];
	char c;
	bool ok;

	if (pipe(p) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, wire) < 0)
		return false;
	fflush(stdout);
	h->exit = fork();
	if (h->exit == 0) {
		close(p[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(host_exit(wire[0], port));
	}
	h->stack = fork();
	if (h->stack == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], STDOUT_FILENO);
		close(p[1]);
		_exit(host_stack(wire[1], ctl));
	}
	close(p[1]);
	close(wire[0]);
	close(wire[1]);
	ok = read(p[0], &c, 1) == 1;
	close(p[0]);
	return ok;
}

static void both(struct bench *b, const char *what, uint16_t port, char *const env[])
{
	struct peer_result bare, shimmed;
	struct peer_job direct, through;
	char name[32];

	peer_job(&direct, what, "127.0.0.1", port, 10ull * BYTES, 1);
	peer_job(&through, what, SERVER, 80, BYTES, 1);
	snprintf(name, sizeof(name), "stack_%s", what);
	if (!peer_run(&bare, NULL, &direct, NULL) || !peer_run(&shimmed, NULL, &through, env)) {
		bench_fail(b, name);
		return;
	}
	bench_report(b, name, BYTES / 1e6 / (shimmed.end - shimmed.connect), "MB/s",
		     10. * BYTES / 1e6 / (bare.end - bare.connect));
}

void bench_stack(struct bench *b)
{
	char dir[] = "/tmp/smolmix-bench-XXXXXX";
	char shim[PEER_PATH], ctl[64], preload[PEER_PATH + 16], as_ctl[96];
	char *env[] = { preload, as_ctl, "SMOLMIX_VERBOSE=0", NULL };
	uint16_t port = 0;
	struct hosts h = { -1, -1 };
	pid_t server;

	if (!mkdtemp(dir)) {
		bench_fail(b, "no folder for the control socket");
		return;
	}
	peer_path(shim, "shim/libsmolmix-shim.so");
	snprintf(ctl, sizeof(ctl), "%s/ctl", dir);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", shim);
	snprintf(as_ctl, sizeof(as_ctl), "SMOLMIX_SOCKET=%s", ctl);
	server = peer_server(&port);
	if (start_hosts(&h, ctl, port)) {
		both(b, "download", port, env);
		both(b, "upload", port, env);
	} else {
		bench_fail(b, "the stack did not start");
	}
	peer_stop(h.stack, SIGKILL);
	peer_stop(h.exit, SIGKILL);
	peer_stop(server, SIGKILL);
	unlink(ctl);
	rmdir(dir);
}
