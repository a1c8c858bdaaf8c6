/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only exists under the shim: refusals, names from the tunnel, the environment of children. Each fact
 * prints a line; exit code 1 when one is wrong.
 */
#include <dlfcn.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "t.h"

int res_query(const char *name, int class, int type, unsigned char *out, int cap);

static int bad;

static void fact(const char *what, bool good)
{
	printf("%s %s\n", good ? "ok  " : "FAIL", what);
	fflush(stdout);
	bad += !good;
}

#define FAILS(what, call, err)                                                                               \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		long f_ret = (long)(call);                                                                   \
		fact(what, f_ret < 0 && errno == (err));                                                     \
	} while (0)

static int to(int fd, const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static void refused(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5353) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/nscd/socket" };
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0),
	    local = socket(AF_UNIX, SOCK_STREAM, 0);
	char ring[128] = { 0 };

	FAILS("raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	FAILS("packet socket", socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	FAILS("vsock", socket(AF_VSOCK, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS("netfilter netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), EPROTONOSUPPORT);
	FAILS("private address", to(tcp, "192.168.1.1", 80), ENETUNREACH);
	FAILS("link-local address", to(tcp, "169.254.169.254", 80), ENETUNREACH);
	FAILS("multicast, connected", to(udp, "224.0.0.251", 5353), ENETUNREACH);
	inet_pton(AF_INET, "224.0.0.251", &a.sin_addr);
	FAILS("multicast, sendto", sendto(udp, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), ENETUNREACH);
	inet_pton(AF_INET, "255.255.255.255", &a.sin_addr);
	FAILS("broadcast", sendto(udp, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), EACCES);
	setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &(int){ 1 }, sizeof(int));
	FAILS("broadcast, allowed to", sendto(udp, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), ENETUNREACH);
	FAILS("listen", listen(udp, 5), EOPNOTSUPP);
	FAILS("name service cache", connect(local, (struct sockaddr *)&un, sizeof(un)), ECONNREFUSED);
	FAILS("fast open", setsockopt(tcp, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int)),
	      ENOPROTOOPT);
	FAILS("kernel TLS", setsockopt(tcp, IPPROTO_TCP, TCP_ULP, "tls", 3), ENOPROTOOPT);
	FAILS("io_uring by syscall()", syscall(SYS_io_uring_setup, 4, ring), ENOSYS);
	FAILS("a real socket by syscall()", syscall(SYS_socket, AF_INET, SOCK_RAW, 1), EPERM);
	fact("the socket still connects after a refusal", t_connect(tcp, "T_ECHO") == 0);
	close(tcp);
	close(udp);
	close(local);
}

static int ask(const char *name, int family, int flags, struct addrinfo **ret)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags };

	return getaddrinfo(name, "80", &hints, ret);
}

static void names(void)
{
	struct addrinfo *l;
	struct hostent *h;

	fact("both families, IPv6 first", ask("both.stand.test", 0, 0, &l) == 0 && l->ai_family == AF_INET6 &&
						  l->ai_next && l->ai_next->ai_family == AF_INET &&
						  !l->ai_next->ai_next);
	fact("one family",
	     ask("both.stand.test", AF_INET, 0, &l) == 0 && l->ai_family == AF_INET && !l->ai_next);
	fact("upper case and a final dot", ask("v4.stand.test.", 0, 0, &l) == 0);
	fact("no data", ask("v4.stand.test", AF_INET6, 0, &l) == EAI_NODATA);
	fact("mapped", ask("v4.stand.test", AF_INET6, AI_V4MAPPED, &l) == 0 && l->ai_family == AF_INET6);
	fact("all", ask("both.stand.test", AF_INET6, AI_V4MAPPED | AI_ALL, &l) == 0 && l->ai_next);
	fact("canonical name",
	     ask("alias.stand.test", 0, AI_CANONNAME, &l) == 0 && !strcmp(l->ai_canonname, "v4.stand.test"));
	fact("unknown name", ask("nobody.stand.test", 0, 0, &l) == EAI_NONAME);
	fact("resolver in trouble", ask("slow.stand.test", 0, 0, &l) == EAI_AGAIN);
	fact("onion", ask("abc.onion", 0, 0, &l) == EAI_NONAME);
	fact("local", ask("printer.local", 0, 0, &l) == EAI_NONAME);
	fact("localhost below", ask("x.localhost", AF_INET, 0, &l) == 0);
	fact("not ASCII", ask("b\xc3\xbc"
			      "cher.test",
			      0, 0, &l) == EAI_NONAME);
	h = gethostbyname("alias.stand.test");
	fact("gethostbyname",
	     h && !strcmp(h->h_name, "v4.stand.test") && h->h_aliases[0] && !h->h_addr_list[1]);
	h = gethostbyname2("v6.stand.test", AF_INET6);
	fact("gethostbyname2", h && h->h_length == 16);
	fact("gethostbyname, unknown", !gethostbyname("nobody.stand.test") && h_errno == HOST_NOT_FOUND);
	fact("gethostbyname, no data", !gethostbyname("v6.stand.test") && h_errno == NO_DATA);
	fact("res_query",
	     res_query("v4.stand.test", 1, 1, (unsigned char[512]){ 0 }, 512) < 0 && h_errno == TRY_AGAIN);
}

static void interfaces(void)
{
	struct ifreq list[8];
	struct ifconf c = { .ifc_len = sizeof(list), .ifc_req = list };
	struct ifreq r = { .ifr_name = "smolmix0" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	fact("two interfaces", ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == 2 * (int)sizeof(list[0]));
	fact("MTU of the tunnel", ioctl(fd, SIOCGIFMTU, &r) == 0 && r.ifr_mtu == 65536);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "eth0");
	FAILS("the host's interface", ioctl(fd, SIOCGIFADDR, &r), ENODEV);
	close(fd);
}

/* Only loopback and tunnel addresses, each with its mask; what libc releases must have been made as libc
 * makes it. */
static void interface_lists(void)
{
	struct ifaddrs *all = NULL;
	struct if_nameindex *names = if_nameindex();
	char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
	int n = 0, known = 0;

	fact("getifaddrs", getifaddrs(&all) == 0);
	for (struct ifaddrs *a = all; a; a = a->ifa_next, n++) {
		bool six = a->ifa_addr->sa_family == AF_INET6;
		const void *ip = six ? (void *)&((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr
				     : (void *)&((struct sockaddr_in *)a->ifa_addr)->sin_addr;

		inet_ntop(a->ifa_addr->sa_family, ip, text, sizeof(text));
		known += !strcmp(text, "127.0.0.1") || !strcmp(text, "::1") || !strcmp(text, "10.0.0.2") ||
			 !strcmp(text, "fc00::2");
	}
	fact("loopback and tunnel, both families", n == 4 && known == 4);
	freeifaddrs(all);
	fact("if_nameindex",
	     names && !strcmp(names[0].if_name, "lo") && names[1].if_index == 2 && !names[2].if_name);
	if_freenameindex(names);
	fact("if_nametoindex", if_nametoindex("smolmix0") == 2 && !if_nametoindex("eth0"));
	fact("if_indextoname", if_indextoname(1, name) && !strcmp(name, "lo") && !if_indextoname(3, name));
}

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* A static program made on the spot: an ELF header without an interpreter. */
static void make_static(const char *path)
{
	unsigned char head[128] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755), self = open("/proc/self/exe", O_RDONLY);

	/* type and machine are this program's */
	if (pread(self, head + 16, 4, 16) != 4 || write(fd, head, sizeof(head)) < 0)
		bad++;
	close(self);
	close(fd);
}

static void children(void)
{
	char *none[] = { NULL }, *sh[] = {
		(char[]){ "sh" }, (char[]){ "-c" },
		(char[]){
			"case $LD_PRELOAD in *libsmolmix-shim.so*) test -n \"$SMOLMIX_SOCKET\";; *) exit 9;; esac" },
		NULL
	};
	char *other[] = { (char[]){ "LD_PRELOAD=" }, (char[]){ "SMOLMIX_SOCKET=/elsewhere" }, NULL };
	char path[] = "/tmp/smolmix-static-XXXXXX";
	pid_t pid = fork();

	if (pid == 0) {
		execve("/bin/sh", sh, none);
		_exit(99);
	}
	fact("preload put back over an empty environment", status_of(pid) == 0);
	pid = fork();
	if (pid == 0) {
		execle("/bin/sh", "sh", "-c", sh[2], NULL, other);
		_exit(99);
	}
	fact("and over a changed one", status_of(pid) == 0);
	fact("posix_spawnp", posix_spawnp(&pid, "sh", NULL, NULL, sh, none) == 0 && status_of(pid) == 0);
	fact("posix_spawnp, unknown", posix_spawnp(&pid, "no-such-command", NULL, NULL, sh, none) == ENOENT);
	FAILS("execvp, unknown", execvp("no-such-command", sh), ENOENT);
	close(mkstemp(path));
	make_static(path);
	FAILS("static program", execve(path, sh, none), EACCES);
	FAILS("static program by syscall()", syscall(SYS_execve, path, sh, none), EACCES);
	fact("static program by posix_spawn", posix_spawn(&pid, path, NULL, NULL, sh, none) == EACCES);
	if (geteuid() == 0 && chown(path, 12345, 0) == 0 && chmod(path, 04755) == 0)
		FAILS("set-user-id program", execl(path, "x", NULL), EPERM);
	unlink(path);
}

/* n messages with a descriptor each, the last of them an internet socket of the kernel, past the hooks. */
static void hand_over(int to, int n)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW), *sym = dlsym(libc, "socket");
	int (*kernel_socket)(int, int, int);
	struct msghdr m = { .msg_iov = &(struct iovec){ (char[]){ "x" }, 1 }, .msg_iovlen = 1 };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr h;
	} c = {
		.h = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) }
	};

	memcpy(&kernel_socket, &sym, sizeof(sym));
	m.msg_control = c.buf;
	m.msg_controllen = sizeof(c.buf);
	while (n--) {
		int fd = n ? dup(0) : kernel_socket(AF_INET, SOCK_DGRAM, 0);

		memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
		bad += sendmsg(to, &m, 0) != 1;
		close(fd);
	}
	dlclose(libc);
}

/* An internet socket that is passed to this program is refused by each call that could bring it, and nothing
 * that came with it stays open. */
static void passed_on(void)
{
	char control[3][CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct mmsghdr v[3];
	int p[2], free_fd;

	for (int i = 0; i < 3; i++)
		v[i].msg_hdr = (struct msghdr){ .msg_iov = &iov,
						.msg_iovlen = 1,
						.msg_control = control[i],
						.msg_controllen = sizeof(control[i]) };
	socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
	free_fd = dup(0);
	close(free_fd);
	hand_over(p[0], 1);
	FAILS("passed, peek", recvmsg(p[1], &v[0].msg_hdr, MSG_PEEK), EACCES);
	v[0].msg_hdr.msg_controllen = sizeof(control[0]);
	FAILS("passed, recvmsg", recvmsg(p[1], &v[0].msg_hdr, 0), EACCES);
	v[0].msg_hdr.msg_controllen = sizeof(control[0]);
	hand_over(p[0], 3);
	FAILS("passed, recvmmsg", recvmmsg(p[1], v, 3, MSG_DONTWAIT, NULL), EACCES);
	fact("nothing stays open", dup(0) == free_fd);
	close(free_fd);
	close(p[0]);
	close(p[1]);
}

static void *symbol(void *library, const char *name)
{
	return library ? dlsym(library, name) : NULL;
}

/* Libraries that are to prefer their own symbols (php loads its extensions so) are bound to the hooks all the
 * same, and who loads a library by name has it searched where its own search path says. */
static void deep(void)
{
	/* AddressSanitizer ends a program that asks for this. */
	int mode = dlsym(RTLD_DEFAULT, "__asan_init") ? RTLD_NOW : RTLD_NOW | RTLD_DEEPBIND;
	void *one = dlopen(DEEP, mode), *two = NULL, *sym = symbol(one, "deep_socket");
	int (*(*bound)(void))(int, int, int);
	void *(*load)(const char *, int);

	fact("RTLD_DEEPBIND loads", sym);
	if (!sym)
		return;
	memcpy(&bound, &sym, sizeof(sym));
	fact("RTLD_DEEPBIND is bound to the hooks", bound() == socket);
	sym = symbol(one, "deep_load");
	memcpy(&load, &sym, sizeof(sym));
	two = load("libdeeper.so", mode);
	fact("the loading library's search path holds", two);
	sym = symbol(two, "deep_socket");
	if (!sym)
		return;
	memcpy(&bound, &sym, sizeof(sym));
	fact("and the second is bound to the hooks", bound() == socket);
	fact("unknown library", !load("libnosuch.so", mode) && strstr(dlerror(), "libnosuch.so"));
}

int main(void)
{
	refused();
	passed_on();
	deep();
	names();
	interfaces();
	interface_lists();
	children();
	return bad != 0;
}
