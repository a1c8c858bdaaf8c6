/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes internet sockets with inline system calls, which no preloaded library can see. Prints one line per
 * try; exit code 0 when the kernel refused all of them, 1 when one was made.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static long raw(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#endif
}

int main(void)
{
	static const struct {
		const char *name;
		int family, type;
	} tries[] = {
		{ "AF_INET stream", AF_INET, SOCK_STREAM },   { "AF_INET datagram", AF_INET, SOCK_DGRAM },
		{ "AF_INET6 stream", AF_INET6, SOCK_STREAM }, { "AF_INET raw", AF_INET, SOCK_RAW },
		{ "AF_PACKET", AF_PACKET, SOCK_RAW },
	};
	char ring[128] = { 0 };
	int made = 0;
	long r;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		r = raw(SYS_socket, tries[i].family, tries[i].type, 0);
		printf("%s: %ld\n", tries[i].name, r);
		made |= r >= 0;
	}
	r = raw(SYS_io_uring_setup, 4, (long)ring, 0);
	printf("io_uring: %ld\n", r);
	made |= r != -ENOSYS;
	return made;
}
