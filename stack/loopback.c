/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the loopback device.
 *
 * Theory of operation. SO_BINDTODEVICE comes first, so there is no moment in which such a socket could reach anything else, and an
 * unprivileged program cannot undo it. Whether a port is free is the kernel's judgement, by the options that the program has set.
 */
#include "stack/loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed(int fd)
{
	int err = errno;

	close(fd);
	return -err;
}

int loopback_new(uint8_t family)
{
	static const char device[] = "lo";
	int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device) - 1) < 0)
		return failed(fd);
	return fd;
}

int loopback_bind(const struct sock *s, uint16_t *port)
{
	static const struct {
		int level, name;
	} judged_by[] = { { SOL_SOCKET, SO_REUSEADDR }, { SOL_SOCKET, SO_REUSEPORT }, { IPPROTO_IPV6, IPV6_V6ONLY } };
	struct addr any = { .family = s->family, .port = *port };
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&any, &ss, s->family == 6);
	int fd = loopback_new(s->family), v;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < sizeof(judged_by) / sizeof(judged_by[0]); i++)
		if (sock_kept_option(s, judged_by[i].level, judged_by[i].name, &v) == 0)
			setsockopt(fd, judged_by[i].level, judged_by[i].name, &v, sizeof(v));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return failed(fd);
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || addr_from_sockaddr(&any, (struct sockaddr *)&ss, len) < 0)
		return failed(fd);
	*port = any.port;
	return fd;
}
