/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockname and getpeername: answered from the tunnel's record of the socket, in the family of the socket.
 */
#include <errno.h>

#include "shim/hooks.h"
#include "shim/real.h"
#include "shim/sock.h"

static int name_of(int fd, struct sockaddr *sa, socklen_t *len, bool peer, long nr)
{
	struct sock s;
	struct ctl_req req = { 0 };
	struct ctl_brief rep;
	int r;

	if (!sock_find(fd, &s))
		return (int)real_syscall(nr, fd, (long)sa, (long)len, 0, 0, 0);
	if (!len || !sa)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	r = sock_ask(&s, CTL_NAMES, &req, &rep);
	if (r < 0)
		return r;
	if (peer && (!rep.addr2.family || rep.state != CTL_CONNECTED))
		return -ENOTCONN;
	sock_addr_out(&s, peer ? &rep.addr2 : &rep.addr, sa, len);
	return 0;
}

int shim_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	return name_of(fd, sa, len, false, SYS_getsockname);
}

HOOK int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	return (int)real_ret(shim_getsockname(fd, sa, len));
}

int shim_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	return name_of(fd, sa, len, true, SYS_getpeername);
}

HOOK int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	return (int)real_ret(shim_getpeername(fd, sa, len));
}
