/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the tunnel: serves control requests and joins each shim socket to a kernel socket on this
 * machine. With it the same program runs bare and shimmed against the same servers, without a mixnet.
 *
 *   ctlstand PATH [CONNECT_DELAY_MS]      prints "ready" and serves until it is ended
 *
 * Theory of operation. The main thread answers requests one at a time. Each socket has a thread that relays
 * it: streams with write gate and lag byte exactly as stack/ctl/ctl.h and interposition.md 2.3, 2.4 ask of
 * the tunnel, datagrams with their header. Records stay for ever: a test program does not live long.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "stack/ctl/gate.h"
#include "stack/pairerr.h"
#include "stack/unixdiag.h"

#define SOCKS_MAX 4096
#define OPTS_MAX 64
#define CHUNK 65536

struct stand {
	pthread_mutex_t lock;
	uint64_t cookie;
	uint8_t family;
	enum ctl_kind kind;
	enum ctl_state state;
	int tunnel_fd, kernel_fd, program_fd;
	int gate, err;
	bool started;
	struct addr peer;
	struct {
		int level, name, value;
	} opt[OPTS_MAX];
	unsigned n_opt;
};

static struct stand sock[SOCKS_MAX];
static unsigned n_sock;
static unsigned delay_ms = 50;
static int diag = -1;

static void set_error(struct stand *s, int err, enum ctl_state state)
{
	pthread_mutex_lock(&s->lock);
	s->err = err;
	s->state = state;
	pthread_mutex_unlock(&s->lock);
}

static void drop_fd(struct stand *s, int *fd)
{
	pthread_mutex_lock(&s->lock);
	fd_close(fd);
	pthread_mutex_unlock(&s->lock);
}

/* ---- streams ---- */

struct relay {
	struct stand *s;
	char down[CHUNK];
	size_t down_at, down_len;
	bool up_over, down_over; /* that direction has ended and the end was passed on */
};

static int connect_kernel(struct stand *s)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&s->peer, &ss, s->family == 6);
	struct pollfd p[2] = { { s->kernel_fd, POLLOUT, 0 }, { s->tunnel_fd, POLLRDHUP, 0 } };
	int err = 0;
	socklen_t err_len = sizeof(err);

	if (connect(s->kernel_fd, (struct sockaddr *)&ss, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return errno;
		if (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR))
			return ECONNABORTED; /* given up by the program */
		if (p[0].revents)
			break;
	}
	getsockopt(s->kernel_fd, SOL_SOCKET, SO_ERROR, &err, &err_len);
	return err;
}

/* Program to kernel; one forwarded byte stays unread. 1 progress, 0 none, negative errno. */
static int pump_up(struct relay *r)
{
	struct stand *s = r->s;
	static __thread char buf[CHUNK];
	struct pollfd p = { s->tunnel_fd, POLLRDHUP, 0 };
	ssize_t n, w;

	if (r->up_over)
		return 0;
	poll(&p, 1, 0);
	n = recv(s->tunnel_fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n > 1) {
		w = send(s->kernel_fd, buf + 1, (size_t)n - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (w < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (recv(s->tunnel_fd, buf, (size_t)w, 0) != w)
			return -EIO;
		return 1;
	}
	if (p.revents & POLLRDHUP) {
		shutdown(s->kernel_fd, SHUT_WR);
		r->up_over = true;
		return 1;
	}
	return 0;
}

static int pump_down(struct relay *r)
{
	struct stand *s = r->s;
	ssize_t n;

	if (r->down_over)
		return 0;
	if (r->down_at == r->down_len) {
		n = recv(s->kernel_fd, r->down, sizeof(r->down), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0) {
			shutdown(s->tunnel_fd, SHUT_WR);
			r->down_over = true;
			return 1;
		}
		r->down_at = 0;
		r->down_len = (size_t)n;
	}
	n = send(s->tunnel_fd, r->down + r->down_at, r->down_len - r->down_at, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : errno == EPIPE ? -ECANCELED : -errno;
	r->down_at += (size_t)n;
	return 1;
}

static void wait_events(int ep)
{
	struct epoll_event ev[2];

	epoll_wait(ep, ev, 2, 1000);
}

/* Relays until both directions are over or one fails. The error the program must see, 0 for a clean end. */
static int relay(struct relay *r)
{
	struct stand *s = r->s;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC), up = 0, down = 0;

	epoll_ctl(ep, EPOLL_CTL_ADD, s->tunnel_fd, &ev);
	epoll_ctl(ep, EPOLL_CTL_ADD, s->kernel_fd, &ev);
	while (!(r->up_over && r->down_over)) {
		struct pollfd p = { s->tunnel_fd, 0, 0 };

		up = pump_up(r);
		down = pump_down(r);
		if (up < 0 || down < 0)
			break;
		poll(&p, 1, 0);
		if (p.revents & POLLHUP && r->up_over && up == 0)
			break; /* the program has closed: the kernel socket goes on by itself */
		if (!up && !down)
			wait_events(ep);
	}
	close(ep);
	return up < 0 ? -up : down < 0 ? -down : 0;
}

static void *stream_thread(void *arg)
{
	struct stand *s = arg;
	struct relay *r = calloc(1, sizeof(*r));
	struct linger reset = { 1, 0 };
	int err;
	char byte;

	if (!r)
		return NULL;
	r->s = s;
	usleep(delay_ms * 1000);
	err = connect_kernel(s);
	if (err) {
		set_error(s, err, CTL_FAILED);
		fd_close(&s->program_fd);
		drop_fd(s, &s->tunnel_fd);
		drop_fd(s, &s->kernel_fd);
		free(r);
		return NULL;
	}
	set_error(s, 0, CTL_CONNECTED);
	gate_open(s->tunnel_fd, s->program_fd, s->gate, 106496);
	fd_close(&s->program_fd);
	err = relay(r);
	if (err == 0)
		recv(s->tunnel_fd, &byte, 1, MSG_DONTWAIT); /* the lag byte: a clean end */
	else if (err == ECONNRESET || err == ECANCELED)
		setsockopt(s->kernel_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	set_error(s, err, CTL_FAILED);
	drop_fd(s, &s->tunnel_fd);
	drop_fd(s, &s->kernel_fd);
	free(r);
	return NULL;
}

/* ---- datagrams ---- */

static void dgram_error(struct stand *s, int err)
{
	set_error(s, err, s->state);
	pairerr_raise(diag, s->tunnel_fd);
}

static void dgram_up(struct stand *s)
{
	static __thread uint8_t buf[CTL_DGRAM_HDR + CTL_DGRAM_PAYLOAD_MAX];
	struct sockaddr_storage ss;
	struct ctl_dgram d;
	ssize_t n = recv(s->tunnel_fd, buf, sizeof(buf), MSG_DONTWAIT);
	bool headed = n >= 0 && ctl_get_dgram(&d, buf, (size_t)n) == 0;
	const uint8_t *payload = buf + (headed ? CTL_DGRAM_HDR : 0);
	size_t payload_len = (size_t)(buf + n - payload);
	socklen_t len = 0;

	if (n < 0)
		return;
	if (headed && !(d.flags & CTL_DGRAM_NO_ADDR))
		len = addr_to_sockaddr(&d.addr, &ss, s->family == 6);
	if (sendto(s->kernel_fd, payload, payload_len, 0, len ? (struct sockaddr *)&ss : NULL, len) < 0 &&
	    errno == ECONNREFUSED) {
		sendto(s->kernel_fd, payload, payload_len, 0, NULL, 0);
		dgram_error(s, ECONNREFUSED); /* that of an earlier one */
	}
}

static void dgram_down(struct stand *s)
{
	static __thread uint8_t buf[CTL_DGRAM_HDR + CTL_DGRAM_PAYLOAD_MAX];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ctl_dgram d = { .flags = 0 };
	ssize_t n = recvfrom(s->kernel_fd, buf + CTL_DGRAM_HDR, sizeof(buf) - CTL_DGRAM_HDR, MSG_DONTWAIT,
			     (struct sockaddr *)&ss, &len);

	if (n < 0) {
		if (errno != EAGAIN)
			dgram_error(s, errno);
		return;
	}
	addr_from_sockaddr(&d.addr, (struct sockaddr *)&ss, len);
	addr_unmap(&d.addr);
	ctl_put_dgram(buf, &d);
	send(s->tunnel_fd, buf, (size_t)n + CTL_DGRAM_HDR, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void *dgram_thread(void *arg)
{
	struct stand *s = arg;
	struct pollfd p[2] = { { s->tunnel_fd, POLLIN, 0 }, { s->kernel_fd, POLLIN, 0 } };

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN)
			dgram_up(s);
		else if (p[0].revents)
			break;
		if (p[1].revents)
			dgram_down(s);
	}
	return NULL;
}

/* ---- requests ---- */

static struct stand *find(uint64_t cookie)
{
	for (unsigned i = n_sock; i-- > 0;)
		if (sock[i].cookie == cookie)
			return &sock[i];
	return NULL;
}

static void spawn(void *(*run)(void *), struct stand *s)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, s) == 0)
		pthread_detach(t);
}

static int op_socket(const struct ctl_req *q, int fd)
{
	struct stand *s = &sock[n_sock];
	int type = q->kind == CTL_STREAM ? SOCK_STREAM : SOCK_DGRAM;
	int proto = q->kind == CTL_ICMP ? (q->family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) : 0;

	if (fd < 0 || n_sock == SOCKS_MAX)
		return ENOBUFS;
	*s = (struct stand){
		.cookie = q->cookie, .family = q->family, .kind = q->kind, .tunnel_fd = fd, .program_fd = -1
	};
	pthread_mutex_init(&s->lock, NULL);
	s->kernel_fd =
		socket(q->family == 6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);
	if (s->kernel_fd < 0)
		return errno;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (q->kind == CTL_STREAM)
		fcntl(fd, F_SETFL, 0);
	else
		pairerr_name(fd);
	n_sock++;
	if (q->kind != CTL_STREAM)
		spawn(dgram_thread, s);
	return 0;
}

static int op_connect(struct stand *s, const struct ctl_req *q)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&q->addr, &ss, s->family == 6);

	s->peer = q->addr;
	if (s->kind == CTL_STREAM)
		return EINVAL;
	if (connect(s->kernel_fd, (struct sockaddr *)&ss, len) < 0)
		return errno;
	s->state = CTL_CONNECTED;
	return 0;
}

static bool fresh(const struct stand *s)
{
	return s->kind == CTL_STREAM && (s->state == CTL_FRESH || s->state == CTL_BOUND);
}

static void begin(struct stand *s)
{
	int r = gate_take(s->tunnel_fd, s->cookie, &s->peer, &s->program_fd);

	if (r == -EAGAIN)
		return;
	s->gate = r;
	s->state = r < 0 ? CTL_FAILED : CTL_CONNECTING;
	if (r < 0)
		drop_fd(s, &s->tunnel_fd);
	else
		spawn(stream_thread, s);
}

static void local_names(struct stand *s, struct ctl_rep *p)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	pthread_mutex_lock(&s->lock);
	if (s->kernel_fd >= 0 && getsockname(s->kernel_fd, (struct sockaddr *)&ss, &len) == 0)
		addr_from_sockaddr(&p->addr, (struct sockaddr *)&ss, len);
	addr_unmap(&p->addr);
	if (s->peer.family)
		p->addr2 = s->peer;
	p->state = s->state;
	p->family = s->family;
	p->kind = s->kind;
	p->value = s->n_opt != 0;
	pthread_mutex_unlock(&s->lock);
}

static int op_bind(struct stand *s, const struct ctl_req *q, struct ctl_rep *p)
{
	struct sockaddr_storage ss;
	struct addr a = q->addr;
	socklen_t len;

	/* ADDR_UNSPEC of a dual-stack socket came unmapped only if it was mapped. */
	len = addr_to_sockaddr(&a, &ss, s->family == 6);
	if (bind(s->kernel_fd, (struct sockaddr *)&ss, len) < 0)
		return errno;
	s->state = CTL_BOUND;
	local_names(s, p);
	return 0;
}

static int op_disconnect(struct stand *s)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(s->kernel_fd, &none, sizeof(none));
	s->peer = (struct addr){ .family = 0 };
	s->state = CTL_FRESH;
	return 0;
}

static int op_setopt(struct stand *s, const struct ctl_req *q)
{
	unsigned i = 0;

	while (i < s->n_opt && (s->opt[i].level != q->level || s->opt[i].name != q->name_opt))
		i++;
	if (i == OPTS_MAX)
		return ENOPROTOOPT;
	s->opt[i].level = q->level;
	s->opt[i].name = q->name_opt;
	s->opt[i].value = q->value;
	if (i == s->n_opt)
		s->n_opt++;
	return 0;
}

/* What the tunnel knows of lwIP, the kernel knows of its socket. */
static int ask_kernel(const struct stand *s, int name, int32_t *ret)
{
	struct tcp_info info = { .tcpi_state = TCP_CLOSE };
	socklen_t len = sizeof(info);

	if (name == TCP_INFO) {
		getsockopt(s->kernel_fd, IPPROTO_TCP, TCP_INFO, &info, &len);
		*ret = info.tcpi_state;
		return 0;
	}
	return ioctl(s->kernel_fd, (unsigned long)name, ret) < 0 ? errno : 0;
}

static int op_getopt(const struct stand *s, const struct ctl_req *q, struct ctl_rep *p)
{
	if (q->level == IPPROTO_TCP &&
	    (q->name_opt == TCP_INFO || q->name_opt == SIOCOUTQ || q->name_opt == SIOCOUTQNSD))
		return ask_kernel(s, q->name_opt, &p->value);
	for (unsigned i = 0; i < s->n_opt; i++) {
		if (s->opt[i].level == q->level && s->opt[i].name == q->name_opt) {
			p->value = s->opt[i].value;
			return 0;
		}
	}
	return ENOPROTOOPT;
}

static int op_take_error(struct stand *s, struct ctl_rep *p)
{
	pthread_mutex_lock(&s->lock);
	p->value = s->err;
	p->state = s->state;
	s->err = 0;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void put_name(struct ctl_rep *p, const char *name)
{
	snprintf(p->name, sizeof(p->name), "%s", name);
}

static int op_resolve(const struct ctl_req *q, struct ctl_rep *p)
{
	static const struct {
		const char *name, *canon, *addr;
	} zone[] = {
		{ "both.stand.test", "both.stand.test", "192.0.2.1" },
		{ "both.stand.test", "both.stand.test", "2001:db8::1" },
		{ "v4.stand.test", "v4.stand.test", "192.0.2.4" },
		{ "v6.stand.test", "v6.stand.test", "2001:db8::6" },
		{ "alias.stand.test", "v4.stand.test", "192.0.2.4" },
		{ "here.stand.test", "here.stand.test", "127.0.0.1" },
	};
	bool known = false;

	if (!strcmp(q->name, "slow.stand.test")) {
		p->dns = CTL_DNS_AGAIN;
		return 0;
	}
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		struct addr a;

		if (strcmp(q->name, zone[i].name))
			continue;
		known = true;
		put_name(p, zone[i].canon);
		if (addr_parse_ip(&a, zone[i].addr) == 0 && (q->family == 0 || q->family == a.family))
			p->addrs[p->n_addrs++] = a;
	}
	p->dns = !known ? CTL_DNS_NONAME : p->n_addrs ? CTL_DNS_OK : CTL_DNS_NODATA;
	return 0;
}

static int about_socket(const struct ctl_req *q, struct ctl_rep *p, int fd)
{
	struct stand *s = find(q->cookie);

	if (q->op == CTL_SOCKET)
		return op_socket(q, fd);
	if (!s)
		return ENOTSOCK;
	switch (q->op) {
	case CTL_CONNECT: return op_connect(s, q);
	case CTL_DISCONNECT: return op_disconnect(s);
	case CTL_BIND: return op_bind(s, q, p);
	case CTL_NAMES: local_names(s, p); return 0;
	case CTL_TAKE_ERROR: return op_take_error(s, p);
	case CTL_TAKE_REPORT: return EAGAIN;
	case CTL_FITS: return 0;
	case CTL_SETOPT: return op_setopt(s, q);
	case CTL_GETOPT: return op_getopt(s, q, p);
	case CTL_HELLO:
	case CTL_SOCKET:
	case CTL_RESOLVE:
	case CTL_REVERSE:
	case CTL_LOOPBACK:
	case CTL_STATUS: break;
	}
	return EINVAL;
}

static int op_loopback(const struct ctl_req *q, int *ret_fd)
{
	struct stand *old = find(q->cookie);
	const int on = 1;

	if (old) /* its port is wanted now */
		fd_close(&old->kernel_fd);
	*ret_fd = socket(q->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(*ret_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return setsockopt(*ret_fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) < 0 ? errno : 0;
}

static int answer(const struct ctl_req *q, struct ctl_rep *p, int fd, int *ret_fd)
{
	if (q->op == CTL_LOOPBACK)
		return op_loopback(q, ret_fd);
	if (q->op == CTL_HELLO) {
		addr_parse_ip(&p->addr, "10.0.0.2");
		addr_parse_ip(&p->addr2, "fc00::2");
		p->value = 65536; /* the loopback device's */
		return 0;
	}
	if (q->op == CTL_RESOLVE)
		return op_resolve(q, p);
	if (q->op == CTL_REVERSE) {
		put_name(p, "v4.stand.test");
		p->dns = addr_classify(&q->addr) == ADDR_GLOBAL ? CTL_DNS_OK : CTL_DNS_NONAME;
		return 0;
	}
	return about_socket(q, p, fd);
}

static void serve(int client)
{
	uint8_t buf[CTL_MSG_MAX];
	struct ctl_req q;
	struct ctl_rep p = { 0 };
	int fd = -1, back = -1;
	size_t n_fd = 1;
	ssize_t n = fd_recv_fds(client, buf, sizeof(buf), &fd, &n_fd, 0);

	if (n > 0 && ctl_get_req(&q, buf, (size_t)n) == 0) {
		p.op = q.op;
		p.result = answer(&q, &p, n_fd ? fd : -1, &back);
		n = ctl_put_rep(buf, sizeof(buf), &p);
		if (n > 0)
			fd_send_fds(client, buf, (size_t)n, &back, back >= 0, 0);
		fd_close(&back);
	}
	close(client);
}

/* What comes through the pairs was sent before the control message that comes behind it. */
static void turn(int listener)
{
	static struct pollfd p[SOCKS_MAX + 1];
	static struct stand *of[SOCKS_MAX];
	nfds_t n = 0;
	int client;

	for (unsigned i = 0; i < n_sock; i++) {
		if (!fresh(&sock[i]) || sock[i].tunnel_fd < 0)
			continue;
		of[n] = &sock[i];
		p[n++] = (struct pollfd){ sock[i].tunnel_fd, POLLIN, 0 };
	}
	p[n] = (struct pollfd){ listener, POLLIN, 0 };
	if (poll(p, n + 1, -1) < 0)
		return;
	for (nfds_t i = 0; i < n; i++) {
		if (p[i].revents & POLLIN)
			begin(of[i]);
		if (p[i].revents & POLLHUP && fresh(of[i])) /* closed, never connected */
			drop_fd(of[i], &of[i]->tunnel_fd);
	}
	client = p[n].revents & POLLIN ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
	if (client >= 0)
		serve(client);
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (argc < 2)
		return 2;
	if (argc > 2)
		delay_ms = (unsigned)strtoul(argv[2], NULL, 10);
	signal(SIGPIPE, SIG_IGN);
	diag = unixdiag_open();
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[1]);
	unlink(un.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 128) < 0) {
		perror("ctlstand");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		turn(fd);
}
