/* SPDX-License-Identifier: Apache-2.0 */
/* Options of TCP sockets by the state they are in, what is refused, and what a second attempt to connect
 * keeps. */
#include <linux/tcp.h>
#include <sys/time.h>

#include "t_do.h"
#include "t_main.h"

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? -errno : v;
}

static void set(int fd, const char *what, int level, int name, int v)
{
	SAY(what, setsockopt(fd, level, name, &v, sizeof(v)));
}

static int state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

/* A state that comes when the far side has answered. */
static void state_becomes(int fd, const char *what, int want)
{
	for (int i = 0; i < T_LONG_MS / 20 && state(fd) != want; i++)
		usleep(20000);
	printf("%s %d\n", what, state(fd));
}

static void states(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	printf("fresh %d\n", state(fd));
	t_connect(fd, "T_HANG");
	printf("connecting %d\n", state(fd));
	close(fd);
	fd = t_tcp("T_DO");
	printf("connected %d\n", state(fd));
	t_do(fd, "fin\n");
	t_until(fd, POLLRDHUP);
	printf("far FIN %d\n", state(fd));
	shutdown(fd, SHUT_WR);
	state_becomes(fd, "both", 7);
	close(fd);
	fd = t_tcp("T_DO");
	t_do(fd, "sleep 20000\n");
	shutdown(fd, SHUT_WR);
	state_becomes(fd, "own FIN acknowledged", 5);
	close(fd);
	fd = t_tcp("T_DO");
	t_do(fd, "rst\n");
	t_until(fd, 0);
	printf("reset %d\n", state(fd));
	close(fd);
}

static void info(void)
{
	int fd = t_tcp("T_DO");
	struct tcp_info i;
	socklen_t len = 1;

	SAY("one byte", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	printf("length %d state %d\n", (int)len, *(uint8_t *)&i);
	len = sizeof(i);
	SAY("all", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	printf("mss %d\n", i.tcpi_snd_mss > 500 && i.tcpi_snd_mss < 70000);
	SAY("set", setsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, sizeof(i)));
	close(fd);
}

static void congestion(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char name[32] = "";
	socklen_t len = sizeof(name);

	SAY("set reno", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	SAY("get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	printf("%s length %d\n", name, (int)len);
	SAY("set another", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
	SAY("set nothing", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
	close(fd);
}

static void buffers(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set(fd, "tiny SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 1);
	printf("%d\n", get(fd, SOL_SOCKET, SO_SNDBUF));
	set(fd, "tiny SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 1);
	printf("%d\n", get(fd, SOL_SOCKET, SO_RCVBUF));
	set(fd, "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000);
	set(fd, "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 60000);
	SAY("connect", t_connect(fd, "T_DO"));
	printf("%d %d\n", get(fd, SOL_SOCKET, SO_SNDBUF), get(fd, SOL_SOCKET, SO_RCVBUF));
	set(fd, "on a connection", SOL_SOCKET, SO_SNDBUF, 40000);
	printf("%d\n", get(fd, SOL_SOCKET, SO_SNDBUF));
	SAY("works", send(fd, "sync\n", 5, 0));
	SAY("works", recv(fd, &(char){ 0 }, 1, 0));
	close(fd);
}

static void kept_after_failure(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linger l = { 1, 3 };
	struct timeval tv = { 7, 0 };
	socklen_t len = sizeof(l);

	set(fd, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 33);
	set(fd, "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000);
	set(fd, "IP_TOS", IPPROTO_IP, IP_TOS, 0x10);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	t_nonblock(fd, true);
	SAY("refused", t_connect(fd, "T_CLOSED"));
	t_until(fd, 0);
	SAY("told", t_connect(fd, "T_DO"));
	SAY("again", t_connect(fd, "T_DO"));
	t_until(fd, POLLOUT);
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len);
	printf("nodelay %d keepalive %d idle %d sndbuf %d tos %d linger %d %d\n",
	       get(fd, IPPROTO_TCP, TCP_NODELAY), get(fd, SOL_SOCKET, SO_KEEPALIVE),
	       get(fd, IPPROTO_TCP, TCP_KEEPIDLE), get(fd, SOL_SOCKET, SO_SNDBUF),
	       get(fd, IPPROTO_IP, IP_TOS), l.l_onoff, l.l_linger);
	len = sizeof(tv);
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	printf("time-out %ld non-blocking %d\n", (long)tv.tv_sec, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	close(fd);
}

static void refused(void)
{
	static const struct {
		const char *name;
		int level, opt, value;
	} o[] = {
		{ "TCP_REPAIR_QUEUE", IPPROTO_TCP, TCP_REPAIR_QUEUE, 1 },
		{ "unknown socket option", SOL_SOCKET, 4711, 1 },
		{ "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 1 },
		{ "SO_TYPE", SOL_SOCKET, SO_TYPE, 1 },
		{ "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, 2 },
		{ "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, 6 },
		{ "SO_ERROR", SOL_SOCKET, SO_ERROR, 5 },
		{ "TCP_KEEPIDLE 0", IPPROTO_TCP, TCP_KEEPIDLE, 0 },
		{ "TCP_KEEPCNT 200", IPPROTO_TCP, TCP_KEEPCNT, 200 },
		{ "TCP_SYNCNT 0", IPPROTO_TCP, TCP_SYNCNT, 0 },
		{ "TCP_USER_TIMEOUT -1", IPPROTO_TCP, TCP_USER_TIMEOUT, -1 },
		{ "IP_TTL 0", IPPROTO_IP, IP_TTL, 0 },
		{ "IP_TTL 256", IPPROTO_IP, IP_TTL, 256 },
		{ "TCP_MAXSEG 1", IPPROTO_TCP, TCP_MAXSEG, 1 },
		{ "unknown TCP option", IPPROTO_TCP, 999, 1 },
		{ "unknown IP option", IPPROTO_IP, 999, 1 },
		{ "IPV6 on IPv4", IPPROTO_IPV6, 26, 1 },
		{ "unknown level", 777, 1, 1 },
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++)
		set(fd, o[i].name, o[i].level, o[i].opt, o[i].value);
	SAY("TCP_ULP", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "nosuch", 6));
	SAY("null value", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, sizeof(int)));
	SAY("no length", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &fd, 0));
	SAY("null length", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &fd, NULL));
	close(fd);
}

static void values(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set(fd, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 77);
	printf("%d\n", get(fd, IPPROTO_TCP, TCP_NODELAY));
	set(fd, "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	printf("%d\n", get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
	set(fd, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 5);
	printf("%d\n", get(fd, IPPROTO_TCP, TCP_KEEPINTVL));
	set(fd, "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1);
	printf("%d\n", get(fd, SOL_SOCKET, SO_OOBINLINE));
	set(fd, "SO_RCVLOWAT 0", SOL_SOCKET, SO_RCVLOWAT, 0);
	printf("%d\n", get(fd, SOL_SOCKET, SO_RCVLOWAT));
	printf("SO_SNDLOWAT %d SO_ACCEPTCONN %d TCP_FASTOPEN_CONNECT %d\n", get(fd, SOL_SOCKET, SO_SNDLOWAT),
	       get(fd, SOL_SOCKET, SO_ACCEPTCONN), get(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT));
	printf("SO_MARK %d SO_BUSY_POLL %d SO_ZEROCOPY %d\n", get(fd, SOL_SOCKET, SO_MARK),
	       get(fd, SOL_SOCKET, SO_BUSY_POLL), get(fd, SOL_SOCKET, SO_ZEROCOPY));
	printf("IP_MTU, no peer %d\n", get(fd, IPPROTO_IP, IP_MTU));
	close(fd);
}

static void shared_by_dup(void)
{
	int fd = t_tcp("T_DO"), d = dup(fd);

	set(d, "TCP_NODELAY by the dup", IPPROTO_TCP, TCP_NODELAY, 1);
	close(d);
	printf("%d\n", get(fd, IPPROTO_TCP, TCP_NODELAY));
	close(fd);
}

static int bound(const char *what, in_addr_t ip, uint16_t port, int reuse)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = port, .sin_addr = { htonl(ip) } };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	SAY(what, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

/* A port belongs to one socket, whatever that will be used for; SO_REUSEADDR says when not. */
static void taken(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = bound("any", INADDR_ANY, 0, 0), other, third;

	getsockname(fd, (struct sockaddr *)&a, &len);
	other = bound("any again", INADDR_ANY, a.sin_port, 0);
	third = bound("loopback too", INADDR_LOOPBACK, a.sin_port, 0);
	close(other);
	close(third);
	SAY("listen", listen(fd, 1));
	printf("SO_REUSEADDR %d\n", get(fd, SOL_SOCKET, SO_REUSEADDR));
	other = bound("any beside a listener", INADDR_ANY, a.sin_port, 0);
	third = bound("any beside a listener, reuse", INADDR_ANY, a.sin_port, 1);
	close(other);
	close(third);
	close(fd);
	close(bound("free again", INADDR_ANY, a.sin_port, 0));
	fd = bound("and again", INADDR_ANY, a.sin_port, 1);
	other = bound("both share", INADDR_ANY, a.sin_port, 1);
	SAY("listen", listen(fd, 1));
	SAY("the other one", listen(other, 1));
	close(fd);
	SAY("the other one", listen(other, 1));
	close(other);
	fd = bound("for a client", INADDR_ANY, a.sin_port, 1);
	SAY("connect", t_connect(fd, "T_DO"));
	other = bound("beside it", INADDR_ANY, a.sin_port, 0);
	close(other);
	close(fd);
}

/* A socket that is for IPv6 only connects to no mapped address, and it is too late to say so once it has a
 * port. */
static void v6only(void)
{
	struct sockaddr_in6 mapped = t_mapped("T_DO"), any = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;

	SAY("set", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	SAY("connect", connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)));
	SAY("connect", connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)));
	on = 0;
	SAY("reset", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	SAY("connect", connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)));
	SAY("connected", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	SAY("bind", bind(fd, (struct sockaddr *)&any, sizeof(any)));
	SAY("bound", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	printf("value %d\n", get(fd, IPPROTO_IPV6, IPV6_V6ONLY));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "TCP states", .run = states },
		{ "TCP_INFO", .run = info },
		{ "TCP_CONGESTION", .run = congestion },
		{ "buffers", .run = buffers },
		{ "kept after a failure", .run = kept_after_failure },
		{ "refused", .run = refused },
		{ "values", .run = values },
		{ "shared by dup", .run = shared_by_dup },
		{ "a port that is taken", .run = taken },
		{ "IPv6 only", .run = v6only },
	};

	return T_MAIN(argc, argv, cases);
}
