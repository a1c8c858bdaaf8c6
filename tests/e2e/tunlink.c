/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack whose packet link is a tun device, so that it meets this kernel's TCP, UDP and ICMP (e_kernel.py).
 *
 * usage: tunlink DEVICE CONTROL IPV4 IPV6 SEED PCAP
 *
 * Theory of operation. The device is made here and moved to the namespace of the far side by the test. Each
 * packet waits in a queue for its time; the wire's vices are drawn from the seed. PCAP gets the first bytes
 * of each packet as it passes the far end of the wire: what is lost on its way out is not in it, what is lost
 * on its way in is. Commands come by standard input, one a line, each is answered by "ok":
 *
 *   delay MS    each way                  reorder PERCENT   are 20 ms later than they should
 *   loss PERCENT                          dark 0|1          nothing passes
 *   dup PERCENT                           up                addresses are there, after the move
 *
 * The end of standard input ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rng.h"
#include "stack/stack.h"

#define PACKET 1600
#define QUEUE 8192 /* packets each way; more are lost */
#define LATE_US (20 * US_PER_MS)
#define SNAP 120
#define MTU 1420 /* what an exit says */
#define MTU_UP 1500

struct waiting {
	uint64_t at_us;
	size_t len;
	uint8_t data[PACKET];
};

/* One direction: a ring in the order of the times. */
struct way {
	struct waiting *q[QUEUE];
	unsigned first, n;
	struct loop_timer timer;
	void (*arrive)(const uint8_t *pkt, size_t len);
};

static struct {
	struct loop *loop;
	struct pktlink link;
	struct rng_seeded rng;
	struct stack *stack;
	struct loop_watch tun_watch, in_watch;
	int tun;
	FILE *pcap;
	uint64_t delay_us;
	unsigned loss, dup, reorder; /* percent */
	bool dark;
	struct way out, in;
	char line[128];
	size_t line_n;
} t;

static bool happens(unsigned percent)
{
	return percent && rng_below(&t.rng.rng, 100) < percent;
}

static void note(const uint8_t *pkt, size_t len)
{
	struct timespec now;
	uint32_t head[4];

	clock_gettime(CLOCK_REALTIME, &now);
	head[0] = (uint32_t)now.tv_sec;
	head[1] = (uint32_t)(now.tv_nsec / 1000);
	head[2] = (uint32_t)(len < SNAP ? len : SNAP);
	head[3] = (uint32_t)len;
	fwrite(head, sizeof(head), 1, t.pcap);
	fwrite(pkt, head[2], 1, t.pcap);
}

static void to_kernel(const uint8_t *pkt, size_t len)
{
	note(pkt, len);
	if (write(t.tun, pkt, len) < 0)
		fprintf(stderr, "tunlink: %zu bytes: %s\n", len, strerror(errno));
}

static void to_stack(const uint8_t *pkt, size_t len)
{
	t.link.recv(t.link.up, pkt, len);
}

static void due(void *owner)
{
	struct way *w = owner;

	while (w->n && w->q[w->first]->at_us <= loop_now(t.loop)) {
		struct waiting *p = w->q[w->first];

		w->first = (w->first + 1) % QUEUE;
		w->n--;
		w->arrive(p->data, p->len);
		free(p);
	}
	loop_timer_set(&w->timer, w->n ? w->q[w->first]->at_us : TIME_NEVER);
}

static void enqueue(struct way *w, const uint8_t *pkt, size_t len, uint64_t at_us)
{
	struct waiting *p = malloc(sizeof(*p));
	unsigned i;

	if (!p || w->n == QUEUE || len > PACKET) {
		free(p);
		return;
	}
	p->at_us = at_us;
	p->len = len;
	memcpy(p->data, pkt, len);
	for (i = w->n++; i && w->q[(w->first + i - 1) % QUEUE]->at_us > at_us; i--)
		w->q[(w->first + i) % QUEUE] = w->q[(w->first + i - 1) % QUEUE];
	w->q[(w->first + i) % QUEUE] = p;
	loop_timer_set(&w->timer, w->q[w->first]->at_us);
}

static void pass(struct way *w, const uint8_t *pkt, size_t len)
{
	uint64_t at_us = loop_now(t.loop) + t.delay_us;

	if (t.dark || happens(t.loss))
		return;
	enqueue(w, pkt, len, at_us + (happens(t.reorder) ? LATE_US : 0));
	if (happens(t.dup))
		enqueue(w, pkt, len, at_us);
}

static int link_send(struct pktlink *l, const uint8_t *pkt, size_t len, uint64_t flow)
{
	(void)l, (void)flow;
	pass(&t.out, pkt, len);
	return 0;
}

static uint64_t link_rtt(const struct pktlink *l)
{
	(void)l;
	return 2 * t.delay_us;
}

static void on_tun(void *owner, uint32_t events)
{
	uint8_t pkt[PACKET];

	(void)owner, (void)events;
	for (int i = 0; i < 64; i++) {
		ssize_t n = read(t.tun, pkt, sizeof(pkt));

		if (n <= 0)
			return;
		note(pkt, (size_t)n);
		pass(&t.in, pkt, (size_t)n);
	}
}

static bool obey(const char *line)
{
	char word[16];
	unsigned v = 0;

	if (sscanf(line, "%15s %u", word, &v) < 1)
		return false;
	if (!strcmp(word, "delay"))
		t.delay_us = v * US_PER_MS;
	else if (!strcmp(word, "loss"))
		t.loss = v;
	else if (!strcmp(word, "dup"))
		t.dup = v;
	else if (!strcmp(word, "reorder"))
		t.reorder = v;
	else if (!strcmp(word, "dark"))
		t.dark = v;
	else if (!strcmp(word, "up"))
		t.link.event(t.link.up, PKTLINK_UP);
	else
		return false;
	return true;
}

static void on_input(void *owner, uint32_t events)
{
	ssize_t n = read(STDIN_FILENO, t.line + t.line_n, 1);

	(void)owner, (void)events;
	if (n <= 0 || t.line_n + 2 > sizeof(t.line)) {
		loop_quit(t.loop);
		return;
	}
	if (t.line[t.line_n++] != '\n')
		return;
	t.line[t.line_n - 1] = '\0';
	t.line_n = 0;
	fflush(t.pcap);
	printf("%s\n", obey(t.line) ? "ok" : "what?");
	fflush(stdout);
}

static int make_device(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	perror("/dev/net/tun");
	return -1;
}

static bool open_pcap(const char *path)
{
	static const uint32_t head[6] = { 0xa1b2c3d4, 2 | 4 << 16, 0, 0, SNAP, 101 /* raw IP */ };

	t.pcap = fopen(path, "we");
	return t.pcap && fwrite(head, sizeof(head), 1, t.pcap) == 1;
}

int main(int argc, char **argv)
{
	struct stack_cfg cfg = { .buffer = STACK_BUFFER_DEFAULT,
				 .buffers = STACK_BUFFERS_DEFAULT,
				 .connect_us = 60 * US_PER_S,
				 .wait_ready_us = 30 * US_PER_S,
				 .n_dns = 1,
				 .rng = &t.rng.rng };

	if (argc != 7)
		return 2;
	log_init(STDERR_FILENO, LOG_WARN, "tunlink");
	rng_seeded_init(&t.rng, strtoull(argv[5], NULL, 10));
	addr_parse(&cfg.dns[0], "9.9.9.9", 53);
	t.tun = make_device(argv[1]);
	t.loop = loop_new(clock_system());
	if (t.tun < 0 || !t.loop || !open_pcap(argv[6]) || addr_parse_ip(&t.link.ip4, argv[3]) ||
	    addr_parse_ip(&t.link.ip6, argv[4]))
		return 1;
	t.link.send = link_send;
	t.link.rtt_us = link_rtt;
	t.link.mtu = MTU;
	t.link.mtu_up = MTU_UP;
	t.out.arrive = to_kernel;
	t.in.arrive = to_stack;
	loop_timer_init(t.loop, &t.out.timer, due, &t.out);
	loop_timer_init(t.loop, &t.in.timer, due, &t.in);
	if (stack_new(&t.stack, t.loop, &t.link, &cfg, argv[2]) < 0 ||
	    loop_watch_add(t.loop, &t.tun_watch, t.tun, LOOP_IN, on_tun, NULL) < 0 ||
	    loop_watch_add(t.loop, &t.in_watch, STDIN_FILENO, LOOP_IN, on_input, NULL) < 0)
		return 1;
	printf("ready\n");
	fflush(stdout);
	loop_run(t.loop);
	stack_free(t.stack);
	for (struct way *w = &t.out;; w = &t.in) {
		for (; w->n; w->n--, w->first = (w->first + 1) % QUEUE)
			free(w->q[w->first]);
		loop_timer_stop(&w->timer);
		if (w == &t.in)
			break;
	}
	loop_watch_remove(&t.tun_watch);
	loop_watch_remove(&t.in_watch);
	loop_free(t.loop);
	fclose(t.pcap);
	return 0;
}
