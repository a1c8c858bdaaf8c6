/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries every way to the internet that libc offers, one after the other, and prints one line per way: "ok" or
 * the error. Run natively it sends packets; under smolmix-run, and with any one hook of the shim taken away
 * (e_mutation.py), each way must either work through the tunnel or end in an error.
 *
 *   probe WEB-ADDRESS DNS-SERVER NAME      all ways
 *   probe WEB-ADDRESS                      TCP only; exit code 0 when it worked
 *
 * Each way has some seconds; what takes longer is "slow" (a program may wait for ever: that is no leak).
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 5

static const char *web_text, *dns_text, *name;
static struct sockaddr_in web = { .sin_family = AF_INET }, dns = { .sin_family = AF_INET };
static const char request[] = "GET /small HTTP/1.0\r\n\r\n";
static char self[256];
static char *no_env[] = { NULL };
static char *child_argv[] = { self, NULL, NULL };

static int web_answer(int fd)
{
	char buf[64];

	if (recv(fd, buf, sizeof(buf), 0) < 8)
		return -1;
	return memcmp(buf, "HTTP/1.1", 8) ? -1 : 0;
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || connect(fd, (struct sockaddr *)&web, sizeof(web)) ? -1 : fd;
}

static int tcp_send(void)
{
	int fd = tcp_socket();

	return fd < 0 || send(fd, request, sizeof(request) - 1, 0) < 0 ? -1 : web_answer(fd);
}

static int tcp_sendto(void)
{
	int fd = tcp_socket();

	if (fd < 0 || sendto(fd, request, sizeof(request) - 1, 0, NULL, 0) < 0 || shutdown(fd, SHUT_WR))
		return -1;
	return web_answer(fd);
}

static int tcp_fast_open(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (sendto(fd, request, sizeof(request) - 1, MSG_FASTOPEN, (struct sockaddr *)&web, sizeof(web)) < 0)
		return -1;
	return web_answer(fd);
}

static int tcp_writev(void)
{
	char buf[64];
	struct iovec out = { (void *)request, sizeof(request) - 1 }, in = { buf, sizeof(buf) };
	int fd = tcp_socket();

	return fd < 0 || writev(fd, &out, 1) < 0 || readv(fd, &in, 1) < 8 ? -1 : 0;
}

static int tcp_write(void)
{
	char buf[64];
	int fd = tcp_socket();

	return fd < 0 || write(fd, request, sizeof(request) - 1) < 0 || read(fd, buf, sizeof(buf)) < 8 ? -1
												       : 0;
}

static int tcp_sendmsg(void)
{
	char buf[64];
	struct iovec out = { (void *)request, sizeof(request) - 1 }, in = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &out, .msg_iovlen = 1 }, r = { .msg_iov = &in, .msg_iovlen = 1 };
	int fd = tcp_socket();

	return fd < 0 || sendmsg(fd, &m, 0) < 0 || recvmsg(fd, &r, 0) < 8 ? -1 : 0;
}

static int tcp_non_blocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct sockaddr_storage peer;
	socklen_t len = sizeof(err), peer_len = sizeof(peer);

	if (connect(fd, (struct sockaddr *)&web, sizeof(web)) && errno != EINPROGRESS)
		return -1;
	if (poll(&p, 1, SECONDS * 1000) < 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -1;
	errno = err;
	return err || getpeername(fd, (struct sockaddr *)&peer, &peer_len) ? -1 : 0;
}

static int tcp_by_syscall(void)
{
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || syscall(SYS_connect, fd, &web, sizeof(web)))
		return -1;
	return syscall(SYS_sendto, fd, request, sizeof(request) - 1, 0, NULL, 0) < 0 ? -1 : web_answer(fd);
}

static int mptcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);

	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&web, sizeof(web));
}

static size_t query(unsigned char *out)
{
	int n = res_mkquery(QUERY, name, C_IN, T_A, NULL, 0, NULL, out, 256);

	return n < 0 ? 0 : (size_t)n;
}

static int udp_sendto(void)
{
	unsigned char buf[512];
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || sendto(fd, buf, query(buf), 0, (struct sockaddr *)&dns, sizeof(dns)) < 0)
		return -1;
	if (recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) < 12)
		return -1;
	return from.sin_addr.s_addr == dns.sin_addr.s_addr ? 0 : -1;
}

static int udp_connected(void)
{
	unsigned char buf[512];
	struct sockaddr_in me = { .sin_family = AF_INET };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof(me)) ||
	    getsockname(fd, (struct sockaddr *)&me, &len))
		return -1;
	if (connect(fd, (struct sockaddr *)&dns, sizeof(dns)) || write(fd, buf, query(buf)) < 0)
		return -1;
	return read(fd, buf, sizeof(buf)) < 12 ? -1 : 0;
}

static int udp_sendmsg(void)
{
	unsigned char buf[512];
	struct iovec v = { buf, query(buf) };
	struct msghdr m = { .msg_name = &dns, .msg_namelen = sizeof(dns), .msg_iov = &v, .msg_iovlen = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || sendmsg(fd, &m, 0) < 0)
		return -1;
	v.iov_len = sizeof(buf);
	return recvmsg(fd, &m, 0) < 12 ? -1 : 0;
}

static int udp_sendmmsg(void)
{
	unsigned char buf[512];
	struct iovec v = { buf, query(buf) };
	struct mmsghdr m = {
		.msg_hdr = { .msg_name = &dns, .msg_namelen = sizeof(dns), .msg_iov = &v, .msg_iovlen = 1 }
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || sendmmsg(fd, &m, 1, 0) != 1)
		return -1;
	v.iov_len = sizeof(buf);
	return recvmmsg(fd, &m, 1, MSG_WAITFORONE, NULL) != 1 || m.msg_len < 12 ? -1 : 0;
}

static int udp_broadcast(void)
{
	struct sockaddr_in all = { .sin_family = AF_INET,
				   .sin_port = htons(9),
				   .sin_addr.s_addr = INADDR_BROADCAST };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&all, sizeof(all)) < 0 ? -1 : 0;
}

static int raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static int loopback(void)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&me, sizeof(me)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&me, &len) || connect(to, (struct sockaddr *)&me, sizeof(me)))
		return -1;
	return accept(fd, NULL, NULL) < 0 || connect(to, (struct sockaddr *)&web, sizeof(web)) == 0 ? -1 : 0;
}

static int by_getaddrinfo(void)
{
	struct addrinfo *ai;
	int err = getaddrinfo(name, "80", NULL, &ai);

	errno = err == EAI_SYSTEM ? errno : 0;
	return err ? -1 : 0;
}

static int by_getaddrinfo_a(void)
{
	struct gaicb cb = { .ar_name = name }, *list[] = { &cb };

	errno = 0;
	return getaddrinfo_a(GAI_WAIT, list, 1, NULL) || gai_error(&cb) ? -1 : 0;
}

static int by_gethostbyname(void)
{
	return gethostbyname(name) ? 0 : -1;
}

static int by_gethostbyname2(void)
{
	return gethostbyname2(name, AF_INET6) ? 0 : -1;
}

static int by_gethostbyname_r(void)
{
	struct hostent h, *got = NULL;
	char buf[2048];
	int err;

	return gethostbyname_r(name, &h, buf, sizeof(buf), &got, &err) || !got ? -1 : 0;
}

static int by_gethostbyname2_r(void)
{
	struct hostent h, *got = NULL;
	char buf[2048];
	int err;

	return gethostbyname2_r(name, AF_INET, &h, buf, sizeof(buf), &got, &err) || !got ? -1 : 0;
}

static int by_gethostbyaddr(void)
{
	return gethostbyaddr(&web.sin_addr, sizeof(web.sin_addr), AF_INET) ? 0 : -1;
}

static int by_gethostbyaddr_r(void)
{
	struct hostent h, *got = NULL;
	char buf[2048];
	int err;

	return gethostbyaddr_r(&web.sin_addr, sizeof(web.sin_addr), AF_INET, &h, buf, sizeof(buf), &got,
			       &err) ||
			       !got
		       ? -1
		       : 0;
}

static int by_getnameinfo(void)
{
	char host[256];

	return getnameinfo((struct sockaddr *)&web, sizeof(web), host, sizeof(host), NULL, 0, NI_NAMEREQD)
		       ? -1
		       : 0;
}

static int by_res_query(void)
{
	unsigned char buf[512];

	return res_query(name, C_IN, T_A, buf, sizeof(buf)) < 12 ? -1 : 0;
}

static int by_res_search(void)
{
	unsigned char buf[512];

	return res_search(name, C_IN, T_A, buf, sizeof(buf)) < 12 ? -1 : 0;
}

static int by_res_nquery(void)
{
	unsigned char buf[512];
	struct __res_state state = { 0 };

	return res_ninit(&state) || res_nquery(&state, name, C_IN, T_A, buf, sizeof(buf)) < 12 ? -1 : 0;
}

static int by_res_nsend(void)
{
	unsigned char buf[512], answer[512];
	struct __res_state state = { 0 };

	return res_ninit(&state) || res_nsend(&state, buf, (int)query(buf), answer, sizeof(answer)) < 12 ? -1
													 : 0;
}

static int interfaces(void)
{
	struct ifaddrs *all;
	char buf[1024];
	struct ifconf conf = { .ifc_len = sizeof(buf), .ifc_buf = buf };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if_nametoindex("lo");
	ioctl(fd, SIOCGIFCONF, &conf);
	return getifaddrs(&all);
}

/* ---- children without an environment ---- */

static int child_ended(pid_t pid)
{
	int status = 0;

	errno = 0;
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

#define EXEC(name, call)                                                                                     \
	static int name(void)                                                                                \
	{                                                                                                    \
		pid_t pid = fork();                                                                          \
                                                                                                             \
		if (!pid) {                                                                                  \
			environ = no_env;                                                                    \
			call;                                                                                \
			_exit(1);                                                                            \
		}                                                                                            \
		return child_ended(pid);                                                                     \
	}

EXEC(by_execl, execl(self, self, web_text, (char *)NULL))
EXEC(by_execle, execle(self, self, web_text, (char *)NULL, no_env))
EXEC(by_execlp, execlp(self, self, web_text, (char *)NULL))
EXEC(by_execv, execv(self, child_argv))
EXEC(by_execve, execve(self, child_argv, no_env))
EXEC(by_execvp, execvp(self, child_argv))
EXEC(by_execvpe, execvpe(self, child_argv, no_env))
EXEC(by_execveat, execveat(AT_FDCWD, self, child_argv, no_env, 0))
EXEC(by_fexecve, fexecve(open(self, O_RDONLY | O_CLOEXEC), child_argv, no_env))
EXEC(by_execve_syscall, syscall(SYS_execve, self, child_argv, no_env))

static int by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execve(self, child_argv, no_env);
		_exit(1);
	}
	return child_ended(pid);
}

static int by_posix_spawn(void)
{
	pid_t pid = -1;

	return posix_spawn(&pid, self, NULL, NULL, child_argv, no_env) ? -1 : child_ended(pid);
}

static int by_posix_spawnp(void)
{
	pid_t pid = -1;

	return posix_spawnp(&pid, self, NULL, NULL, child_argv, no_env) ? -1 : child_ended(pid);
}

static const struct way {
	const char *name;
	int (*go)(void);
} ways[] = {
	{ "tcp send", tcp_send },
	{ "tcp sendto", tcp_sendto },
	{ "tcp fast open", tcp_fast_open },
	{ "tcp writev", tcp_writev },
	{ "tcp write", tcp_write },
	{ "tcp sendmsg", tcp_sendmsg },
	{ "tcp non-blocking", tcp_non_blocking },
	{ "tcp by syscall()", tcp_by_syscall },
	{ "mptcp", mptcp },
	{ "udp sendto", udp_sendto },
	{ "udp connected", udp_connected },
	{ "udp sendmsg", udp_sendmsg },
	{ "udp sendmmsg", udp_sendmmsg },
	{ "udp broadcast", udp_broadcast },
	{ "raw socket", raw_socket },
	{ "packet socket", packet_socket },
	{ "loopback", loopback },
	{ "getaddrinfo", by_getaddrinfo },
	{ "getaddrinfo_a", by_getaddrinfo_a },
	{ "gethostbyname", by_gethostbyname },
	{ "gethostbyname2", by_gethostbyname2 },
	{ "gethostbyname_r", by_gethostbyname_r },
	{ "gethostbyname2_r", by_gethostbyname2_r },
	{ "gethostbyaddr", by_gethostbyaddr },
	{ "gethostbyaddr_r", by_gethostbyaddr_r },
	{ "getnameinfo", by_getnameinfo },
	{ "res_query", by_res_query },
	{ "res_search", by_res_search },
	{ "res_nquery", by_res_nquery },
	{ "res_nsend", by_res_nsend },
	{ "interfaces", interfaces },
	{ "execl", by_execl },
	{ "execle", by_execle },
	{ "execlp", by_execlp },
	{ "execv", by_execv },
	{ "execve", by_execve },
	{ "execvp", by_execvp },
	{ "execvpe", by_execvpe },
	{ "execveat", by_execveat },
	{ "fexecve", by_fexecve },
	{ "execve by syscall()", by_execve_syscall },
	{ "vfork", by_vfork },
	{ "posix_spawn", by_posix_spawn },
	{ "posix_spawnp", by_posix_spawnp },
};

/* Each way in a process of its own: a hook that is missing may leave anything behind. */
static void try_way(const struct way *w)
{
	pid_t pid = fork();
	int status, err;

	if (!pid) {
		alarm(SECONDS);
		errno = 0;
		if (w->go() >= 0)
			_exit(0);
		_exit(errno ? errno & 127 : 127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("%s: no process\n", w->name);
		return;
	}
	err = WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		printf("%s: %s\n", w->name, WTERMSIG(status) == SIGALRM ? "slow" : "crashed");
	else
		printf("%s: %s\n", w->name, !err ? "ok" : err == 127 ? "failed" : strerror(err));
}

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc < 2 || n < 0)
		return 2;
	web_text = child_argv[1] = argv[1];
	web.sin_port = htons(80);
	inet_pton(AF_INET, web_text, &web.sin_addr);
	if (argc == 2) {
		alarm(SECONDS);
		return tcp_send() ? 1 : 0;
	}
	dns_text = argv[2];
	name = argv[3];
	dns.sin_port = htons(53);
	inet_pton(AF_INET, dns_text, &dns.sin_addr);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		try_way(&ways[i]);
	return 0;
}
