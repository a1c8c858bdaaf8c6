/* SPDX-License-Identifier: Apache-2.0 */
/* socket() itself: what exists, which errno otherwise, flags, lowest number, closing behind libc's back. */
#include <sys/stat.h>
#include <sys/syscall.h>

#include "t.h"
#include "t_main.h"

static void one(int domain, int type, int protocol)
{
	int fd = socket(domain, type, protocol);

	printf("socket %d %d %d: %s\n", domain, type, protocol, t_err(fd));
	if (fd >= 0)
		close(fd);
}

static void table(void)
{
	static const int protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, 255, 262, 263, -1 };

	for (int d = AF_INET; d <= AF_INET6; d += AF_INET6 - AF_INET)
		for (int t = SOCK_STREAM; t <= SOCK_DGRAM; t++)
			for (size_t p = 0; p < sizeof(protocols) / sizeof(protocols[0]); p++)
				one(d, t, protocols[p]);
	one(AF_INET, SOCK_SEQPACKET, 0);
	one(AF_INET, SOCK_RDM, 0);
	one(AF_INET, 0, 0);
	one(AF_INET6, 0, IPPROTO_TCP);
	one(AF_INET, 11, 0);
	one(AF_INET, SOCK_STREAM | 0x100, 0);
	one(AF_UNSPEC, SOCK_STREAM, 0);
	one(AF_UNIX, SOCK_STREAM, 0);
	one(99, SOCK_STREAM, 0);
	one(-1, SOCK_STREAM, 0);
}

static void flags(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int plain = socket(AF_INET, SOCK_DGRAM, 0);
	struct stat st;

	printf("nonblock %d cloexec %d\n", !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fcntl(fd, F_GETFD));
	printf("nonblock %d cloexec %d\n", !!(fcntl(plain, F_GETFL) & O_NONBLOCK), fcntl(plain, F_GETFD));
	SAY("fstat", fstat(fd, &st));
	printf("is a socket %d\n", S_ISSOCK(st.st_mode));
	printf("numbers are the lowest: %d\n", plain == fd + 1);
	close(fd);
	printf("and used again: %d\n", socket(AF_INET6, SOCK_STREAM, 0) == fd);
	close(fd);
	close(plain);
}

/* A number that libc never saw closed must not be taken for the socket it was. */
static void behind_the_back(void)
{
	int fd = t_tcp("T_ECHO"), file;
	char byte;

	syscall(SYS_close, fd);
	file = open("/dev/zero", O_RDONLY);
	printf("same number %d\n", file == fd);
	SAY("read from the file", read(file, &byte, 1));
	SAY("send to the file", send(file, "x", 1, 0));
	SAY("getpeername of the file",
	    getpeername(file, (struct sockaddr *)&(struct sockaddr_in){ 0 }, &(socklen_t){ 16 }));
	close(file);
	SAY("closed", recv(fd, &byte, 1, 0));
}

static void by_number(void)
{
	struct sockaddr_in a = t_v4("T_ECHO");
	char buf[8];
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	SAY("SYS_connect", syscall(SYS_connect, fd, &a, sizeof(a)));
	SAY("SYS_sendto", syscall(SYS_sendto, fd, "abc", 3, 0, NULL, 0));
	SAY("SYS_recvfrom", syscall(SYS_recvfrom, fd, buf, 3, MSG_WAITALL, NULL, NULL));
	SAY("SYS_getpid", syscall(SYS_getpid) == getpid());
	SAY("SYS_close", syscall(SYS_close, fd));
	SAY("unknown", syscall(9999));
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "what exists", .run = table },
		{ "flags and numbers", .run = flags },
		{ "closed behind libc's back", .run = behind_the_back },
		{ "by system call number", .run = by_number },
	};

	return T_MAIN(argc, argv, cases);
}
