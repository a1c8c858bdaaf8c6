/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded before the shim: what a program connects to on this machine's loopback address is moved to an
 * address behind the exit, where the same servers are found. So a suite that knows nothing of a tunnel tests
 * its clients through one.
 *
 * SMOLMIX_TEST_MOVED: the address. Only IPv4 streams; getpeername() keeps up the appearance.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static in_addr_t moved(void)
{
	const char *v = secure_getenv("SMOLMIX_TEST_MOVED");

	struct in_addr a = { htonl(INADDR_LOOPBACK) };

	if (v)
		inet_pton(AF_INET, v, &a);
	return a.s_addr;
}

__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int (*next)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
	struct sockaddr_in in;
	socklen_t type_len = sizeof(int);
	int type = 0;

	if (sa && sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len);
		if (type == SOCK_STREAM && in.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
			in.sin_addr.s_addr = moved();
			return next(fd, (struct sockaddr *)&in, sizeof(in));
		}
	}
	return next(fd, sa, len);
}

__attribute__((visibility("default"))) int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	int (*next)(int, struct sockaddr *, socklen_t *) =
		(int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT, "getpeername");
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	int r = next(fd, sa, len);

	if (r == 0 && *len >= sizeof(*in) && in->sin_family == AF_INET && in->sin_addr.s_addr == moved())
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return r;
}
