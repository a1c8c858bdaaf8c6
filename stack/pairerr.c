/* SPDX-License-Identifier: Apache-2.0 */
/* See pairerr.h. */
#include "stack/pairerr.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "stack/unixdiag.h"

int pairerr_name(int fd)
{
	const sa_family_t family = AF_UNIX;

	return bind(fd, (const struct sockaddr *)&family, sizeof(family)) < 0 ? -errno : 0;
}

static int disconnect(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof(none));
}

int pairerr_raise(int netlink_fd, int fd)
{
	struct sockaddr_un own, peer;
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	int64_t inode = unixdiag_peer(netlink_fd, fd);
	int helper, r = 0;

	if (inode <= 0)
		return inode == 0 ? -ENOTCONN : -EOPNOTSUPP;
	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return -errno;
	if (peer_len <= offsetof(struct sockaddr_un, sun_path) || own_len <= offsetof(struct sockaddr_un, sun_path))
		return -EOPNOTSUPP;
	helper = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (helper < 0)
		return -errno;
	if (disconnect(fd) < 0 ||
	    sendto(helper, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&own, own_len) < 0 ||
	    connect(fd, (struct sockaddr *)&peer, peer_len) < 0 || disconnect(fd) < 0 ||
	    connect(fd, (struct sockaddr *)&peer, peer_len) < 0 || unixdiag_peer(netlink_fd, fd) != inode)
		r = -ENOTCONN;
	close(helper);
	return r;
}
