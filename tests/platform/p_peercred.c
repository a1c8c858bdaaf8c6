/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a control connection: interposition.md 2.2, stack/ctl/ctl.h, stack/ctlsrv.c.
 * SO_PEERCRED of a connection to a SOCK_SEQPACKET listener names pid, effective uid and gid as they were at
 * connect(), and a directory of mode 0700 keeps others out. Requests are single messages: they arrive whole,
 * with their descriptors, and the end is a message of no bytes.
 */
#include "p.h"

#include <sys/stat.h>
#include <sys/un.h>

#define NOBODY 65534

static char dir[] = "/tmp/smolmix-platform-XXXXXX";
static struct sockaddr_un at = { .sun_family = AF_UNIX };

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	NEED(fd >= 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool connects(int unused)
{
	(void)unused;
	return dial() >= 0;
}

static bool connects_as_nobody(int unused)
{
	(void)unused;
	NEED(setresgid((gid_t)-1, NOBODY, (gid_t)-1) == 0 && setresuid((uid_t)-1, NOBODY, (uid_t)-1) == 0);
	return dial() >= 0;
}

static bool refused_as_nobody(int unused)
{
	(void)unused;
	NEED(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
	return dial() < 0 && errno == EACCES;
}

/* The child has connected and is gone: what does the kernel say about it? */
static struct ucred peer_of(int listener, pid_t pid)
{
	struct ucred c = { 0 };
	socklen_t len = sizeof(c);
	int fd;

	NEED(p_child_ok(pid));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	NEED(fd >= 0);
	FACT("2.2", "SO_PEERCRED works on an accepted SEQPACKET connection",
	     getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 && len == sizeof(c));
	close(fd);
	return c;
}

static void creds(int listener)
{
	pid_t pid = p_fork(connects, 0);
	struct ucred c = peer_of(listener, pid);

	FACT("2.2", "pid is the one that connected, even after its end", c.pid == pid && pid != getpid());
	FACT("stack/ctlsrv.c", "uid and gid are the effective ones",
	     c.uid == geteuid() && c.gid == getegid());
}

static void other_user(int listener)
{
	struct ucred c;
	pid_t pid;

	NEED(chmod(dir, 0755) == 0 && chmod(at.sun_path, 0777) == 0);
	pid = p_fork(connects_as_nobody, 0);
	c = peer_of(listener, pid);
	FACT("stack/ctlsrv.c", "another effective user shows, whatever the real one is",
	     c.uid == NOBODY && c.gid == NOBODY);
	NEED(chmod(dir, 0700) == 0);
	FACT("stack/ctl/ctl.h", "a directory of mode 0700 keeps other users out",
	     p_child_ok(p_fork(refused_as_nobody, 0)));
}

static ssize_t send_with_fd(int through, const void *msg, size_t len, int fd)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u = {
		.h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS }
	};
	struct iovec iov = { (void *)(uintptr_t)msg, len };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u.buf)
	};

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmsg(through, &m, MSG_NOSIGNAL);
}

static void messages(int listener)
{
	static char msg[CTL_MSG_MAX], back[CTL_MSG_MAX];
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = { back, sizeof(back) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u.buf)
	};
	int client = dial(), server = accept4(listener, NULL, NULL, SOCK_CLOEXEC), pair[2], fd = -1;

	NEED(client >= 0 && server >= 0);
	p_pair(SOCK_STREAM, pair);
	memset(msg, 0x3c, sizeof(msg));
	NEED(send_with_fd(client, msg, sizeof(msg), pair[1]) == sizeof(msg));
	close(pair[1]);
	NEED(send(client, "two", 3, 0) == 3);
	close(client);
	FACT("2.2", "a message of the greatest length arrives whole and alone",
	     recvmsg(server, &m, MSG_CMSG_CLOEXEC) == sizeof(msg) && memcmp(msg, back, sizeof(msg)) == 0);
	FACT("2.2", "with its descriptor", CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	FACT("2.2", "which is the socket that was sent",
	     send(fd, "x", 1, 0) == 1 && recv(pair[0], back, 2, 0) == 1);
	FACT("stack/ctl/ctl.h", "the next message follows after the sender's close",
	     recv(server, back, sizeof(back), 0) == 3);
	FACT("stack/ctl/ctl.h", "then the end", recv(server, back, sizeof(back), 0) == 0);
	close(fd);
	close(pair[0]);
	close(server);
}

static bool all(int listener)
{
	creds(listener);
	messages(listener);
	if (geteuid() == 0)
		other_user(listener);
	return true;
}

int main(void)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool held;

	NEED(listener >= 0 && mkdtemp(dir));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/ctl", dir);
	NEED(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 8) == 0);
	held = p_child_ok(
		p_fork(all, listener)); /* a process of its own, so that the directory goes in any case */
	unlink(at.sun_path);
	rmdir(dir);
	return !held;
}
