/* SPDX-License-Identifier: Apache-2.0 */
/* See pairerr.h. */
#include "stack/pairerr.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stack/unixdiag.h"

int pairerr_name(int fd)
{
	const sa_family_t family = AF_UNIX;

	return bind(fd, (const struct sockaddr *)&family, sizeof(family)) < 0 ? -errno : 0;
}

int pairerr_peer(int fd, struct pairerr_peer *ret)
{
	ret->len = sizeof(ret->name);
	if (getpeername(fd, (struct sockaddr *)&ret->name, &ret->len) < 0)
		return -errno;
	return ret->len > offsetof(struct sockaddr_un, sun_path) ? 0 : -EINVAL;
}

ssize_t pairerr_recv(int fd, const struct pairerr_peer *peer, void *buf, size_t cap)
{
	struct sockaddr_un from;
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = recvfrom(fd, buf, cap, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	} while (n >= 0 && (len != peer->len || memcmp(&from, &peer->name, len)));
	return n < 0 ? -errno : n;
}

static int disconnect(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof(none));
}

int pairerr_raise(int netlink_fd, int fd)
{
	struct pairerr_peer peer;
	struct sockaddr_un own;
	socklen_t own_len = sizeof(own);
	int64_t inode = unixdiag_peer(netlink_fd, fd);
	int helper, r;

	if (inode <= 0)
		return inode == 0 ? -ENOTCONN : -EOPNOTSUPP;
	r = pairerr_peer(fd, &peer);
	if (r < 0)
		return r;
	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
		return -errno;
	helper = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (helper < 0)
		return -errno;
	if (disconnect(fd) < 0 ||
	    sendto(helper, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&own, own_len) < 0 ||
	    connect(fd, (struct sockaddr *)&peer.name, peer.len) < 0 || disconnect(fd) < 0 ||
	    connect(fd, (struct sockaddr *)&peer.name, peer.len) < 0 ||
	    unixdiag_peer(netlink_fd, fd) != inode)
		r = -ENOTCONN;
	close(helper);
	return r;
}
