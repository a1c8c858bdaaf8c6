/* SPDX-License-Identifier: Apache-2.0 */
/* epoll in its modes over the life of a connection; descriptors: dup, flags, numbers that are used again. */
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "t_do.h"
#include "t_main.h"

static int epoll_with(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	return ep;
}

static int look(int ep, int ms)
{
	struct epoll_event ev = { 0 };

	return epoll_wait(ep, &ev, 1, ms) == 1 ? (int)ev.events : 0;
}

/* Waits for an event that has one of these bits. */
static const char *await(int ep, int bits)
{
	int ev;

	while ((ev = look(ep, T_LONG_MS)) && !(ev & bits))
		;
	return t_names(ev);
}

static void edges_of_data(void)
{
	int fd = t_tcp("T_DO"), ep = epoll_with(fd, EPOLLIN | EPOLLET);
	char buf[8];

	printf("before %d\n", look(ep, T_QUIET_MS));
	t_do(fd, "say a\n");
	printf("first %s\n", await(ep, EPOLLIN));
	printf("unread, no edge %d\n", look(ep, T_QUIET_MS));
	t_do(fd, "say b\n");
	printf("more %s\n", await(ep, EPOLLIN));
	SAY("recv", recv(fd, buf, 8, 0));
	t_do(fd, "say c\n");
	printf("after reading %s\n", await(ep, EPOLLIN));
	close(ep);
	close(fd);
}

static void edges_of_ends(void)
{
	int fd = t_tcp("T_DO"), ep = epoll_with(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);

	t_do(fd, "fin\n");
	printf("FIN %s\n", await(ep, EPOLLRDHUP));
	printf("again %d\n", look(ep, T_QUIET_MS));
	shutdown(fd, SHUT_WR);
	printf("both %s\n", await(ep, EPOLLHUP));
	printf("again %d\n", look(ep, T_QUIET_MS));
	close(ep);
	close(fd);
}

static void edge_of_reset(void)
{
	int fd = t_tcp("T_DO"), ep = epoll_with(fd, EPOLLET);

	t_do(fd, "rst\n");
	printf("reset %s\n", await(ep, EPOLLERR));
	look(ep, T_QUIET_MS); /* Linux reports the error and the change of state, one after the other: it may
				 be seen twice */
	printf("again %d\n", look(ep, T_QUIET_MS));
	close(ep);
	close(fd);
}

static void edge_of_room(void)
{
	int fd = t_tcp("T_DO"), ep;
	char key[32];

	t_key(key);
	t_do(fd, "await %s\ncount\n", key);
	t_fill(fd);
	ep = epoll_with(fd, EPOLLOUT | EPOLLET);
	printf("full %d\n", look(ep, T_QUIET_MS));
	t_wake(key);
	printf("room %s\n", await(ep, EPOLLOUT));
	close(ep);
	close(fd);
}

static void one_shot(void)
{
	int fd = t_tcp("T_DO"), ep = epoll_with(fd, EPOLLIN | EPOLLONESHOT);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };

	t_do(fd, "say a\n");
	printf("first %s\n", await(ep, EPOLLIN));
	printf("disarmed %d\n", look(ep, T_QUIET_MS));
	SAY("EPOLL_CTL_MOD", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	printf("armed %s\n", await(ep, EPOLLIN));
	close(ep);
	close(fd);
}

static void modified(void)
{
	int fd = t_tcp("T_DO"), ep = epoll_with(fd, EPOLLIN | EPOLLET);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };

	SAY("twice", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	printf("nothing %d\n", look(ep, 0));
	SAY("EPOLL_CTL_MOD", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	printf("now %s\n", t_names(look(ep, 0)));
	SAY("EPOLL_CTL_DEL", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	printf("gone %d\n", look(ep, 0));
	SAY("EPOLL_CTL_MOD", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	close(ep);
	close(fd);
}

static void two_and_nested(void)
{
	int fd = t_tcp("T_DO"), a = epoll_with(fd, EPOLLIN), b = epoll_with(fd, EPOLLIN),
	    outer = epoll_with(a, EPOLLIN);

	t_do(fd, "say a\n");
	printf("first %s, second %s, outer %s\n", await(a, EPOLLIN), await(b, EPOLLIN),
	       await(outer, EPOLLIN));
	close(outer);
	close(b);
	close(a);
	close(fd);
}

/* The registration belongs to the open file, not to the number. */
static void dup_keeps_watch(void)
{
	int fd = t_tcp("T_DO"), d = dup(fd), ep = epoll_with(fd, EPOLLIN);

	t_do(fd, "sleep 200\nsay a\n");
	close(fd);
	printf("through the dup %s\n", await(ep, EPOLLIN));
	close(d);
	printf("closed %d\n", look(ep, T_QUIET_MS));
	close(ep);
}

static void dup_while_connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), d = dup(fd),
	    ep = epoll_with(d, EPOLLOUT | EPOLLET);

	look(ep, 0); /* what an unconnected socket says is not the subject */
	SAY("connect", t_connect(fd, "T_DO"));
	close(fd);
	printf("dup %s\n", await(ep, EPOLLOUT));
	SAY("outcome by the dup", t_connect(d, "T_DO"));
	SAY("send", send(d, "sync\n", 5, 0));
	close(ep);
	close(d);
}

static void flags(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), d = dup(fd), on = 1, off = 0;
	int both = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	printf("plain %d %d\n", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
	printf("both %d %d\n", fcntl(both, F_GETFD), fcntl(both, F_GETFL) == (O_RDWR | O_NONBLOCK));
	SAY("FIONBIO", ioctl(fd, FIONBIO, &on));
	printf("dup has it %d\n", (fcntl(d, F_GETFL) & O_NONBLOCK) != 0);
	SAY("connect", t_connect(d, "T_DO"));
	t_until(fd, POLLOUT);
	SAY("recv", recv(fd, &(char){ 0 }, 1, 0));
	SAY("FIONBIO off", ioctl(d, FIONBIO, &off));
	printf("gone %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	SAY("FIOCLEX", ioctl(fd, FIOCLEX));
	printf("%d, dup %d\n", fcntl(fd, F_GETFD), fcntl(d, F_GETFD));
	printf("F_DUPFD_CLOEXEC %d\n", fcntl(fcntl(fd, F_DUPFD_CLOEXEC, 50), F_GETFD));
	close(fcntl(50, F_GETFD) >= 0 ? 50 : -1);
	close(both);
	close(d);
	close(fd);
}

static void numbers(void)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), again, file;
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	printf("next to each other %d\n", b == a + 1);
	close(a);
	again = socket(AF_INET, SOCK_STREAM, 0);
	printf("lowest again %d\n", again == a);
	syscall(SYS_close, again);
	file = open("/dev/null", O_RDWR);
	printf("a file now %d\n", file == a);
	SAY("getsockname", getsockname(file, (struct sockaddr *)&sa, &len));
	SAY("send", send(file, "x", 1, 0));
	SAY("write", write(file, "x", 1));
	SAY("connect", t_connect(file, "T_DO"));
	SAY("shutdown", shutdown(file, SHUT_WR));
	close(file);
	close(b);
}

static void put_over(void)
{
	int fd = t_tcp("T_DO"), other = t_tcp("T_DO"), file = open("/dev/null", O_RDWR);
	char byte = 0;

	SAY("over a file", dup2(fd, file) == file);
	t_do(file, "say a\n");
	SAY("recv", recv(file, &byte, 1, 0));
	SAY("over a connection", dup3(other, fd, O_CLOEXEC) == fd);
	t_do(fd, "say b\n");
	SAY("recv", recv(other, &byte, 1, 0));
	printf("%c\n", byte);
	SAY("over itself", dup2(fd, fd) == fd);
	SAY("dup3 over itself", dup3(fd, fd, 0));
	close(file);
	close(other);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "edges of data", .run = edges_of_data },
		{ "edges of ends", .run = edges_of_ends },
		{ "edge of a reset", .run = edge_of_reset },
		{ "edge of room", .run = edge_of_room },
		{ "one shot", .run = one_shot },
		{ "modified", .run = modified },
		{ "two and nested", .run = two_and_nested },
		{ "dup keeps the watch", .run = dup_keeps_watch },
		{ "dup while connecting", .run = dup_while_connecting },
		{ "flags", .run = flags },
		{ "numbers", .run = numbers },
		{ "put over", .run = put_over },
	};

	return T_MAIN(argc, argv, cases);
}
