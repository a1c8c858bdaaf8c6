/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking connect: success, refusal, time-out, signals, wrong arguments, and calls on a socket that is not
 * connected. */
#include <sys/time.h>
#include <sys/wait.h>

#include "t.h"
#include "t_main.h"

static volatile sig_atomic_t alarms, pipes;

static void on_alarm(int sig)
{
	alarms++;
}

static int to_child[2];

static void on_alarm_tell(int sig)
{
	alarms++;
	if (write(to_child[1], "x", 1) != 1)
		_exit(1);
}

static void on_pipe(int sig)
{
	pipes++;
}

static void fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char byte;

	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(a);
	SAY("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
	printf("family %d port %d len %d\n", a.sin_family, ntohs(a.sin_port), (int)len);
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("read", read(fd, &byte, 1));
	SAY("send", send(fd, "x", 1, 0));
	SAY("write", write(fd, "x", 1));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("send quietly", send(fd, "x", 1, MSG_NOSIGNAL));
	printf("SIGPIPE %d\n", (int)pipes);
	SAY("shutdown", shutdown(fd, SHUT_WR));
	SAY("accept", accept(fd, NULL, NULL));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	close(fd);
}

static void plain(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a, me;
	socklen_t len = sizeof(a);

	SAY("connect", t_connect(fd, "T_ECHO"));
	SAY("again", t_connect(fd, "T_ECHO"));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	printf("peer %s:%s\n", inet_ntoa(a.sin_addr),
	       ntohs(a.sin_port) == t_port("T_ECHO") ? "right" : "wrong");
	len = 4;
	SAY("getpeername into 4 bytes", getpeername(fd, (struct sockaddr *)&a, &len));
	printf("full length %d\n", (int)len);
	len = sizeof(me);
	SAY("getsockname", getsockname(fd, (struct sockaddr *)&me, &len));
	printf("have a port %d\n", me.sin_port != 0);
	close(fd);
}

static void refused(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	SAY("connect", t_connect(fd, "T_CLOSED"));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	SAY("and to another", t_connect(fd, "T_ECHO"));
	SAY("send", send(fd, "x", 1, 0));
	close(fd);
}

static void arguments(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = t_v4("T_ECHO");
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = a.sin_port,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	SAY("short", connect(fd, (struct sockaddr *)&a, 8));
	SAY("one byte", connect(fd, (struct sockaddr *)&a, 1));
	SAY("IPv6 address", connect(fd, (struct sockaddr *)&a6, sizeof(a6)));
	a.sin_family = AF_UNIX;
	SAY("AF_UNIX address", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	SAY("after it", t_connect(fd, "T_ECHO"));
	SAY("AF_UNSPEC on a connection", connect(fd, &none, sizeof(none)));
	SAY("once more", t_connect(fd, "T_ECHO"));
	SAY("bad descriptor", t_connect(-1, "T_ECHO"));
	SAY("no socket", t_connect(0, "T_ECHO"));
	close(fd);
}

static void arguments6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in a = t_v4("T_ECHO");
	struct sockaddr_in6 a6 = t_mapped("T_ECHO");
	socklen_t len = sizeof(a6);
	char text[64];

	SAY("IPv4 address on IPv6", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	SAY("mapped address", connect(fd, (struct sockaddr *)&a6, sizeof(a6)));
	SAY("getpeername", getpeername(fd, (struct sockaddr *)&a6, &len));
	printf("peer %s\n", inet_ntop(AF_INET6, &a6.sin6_addr, text, sizeof(text)));
	close(fd);
}

static void timeout(void)
{
	struct timeval tv = { 0, 200000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	SAY("set", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	SAY("connect", t_connect(fd, "T_HANG"));
	SAY("again", t_connect(fd, "T_HANG"));
	t_nonblock(fd, true);
	SAY("not blocking", t_connect(fd, "T_HANG"));
	close(fd);
}

static void interrupted(int flags)
{
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval once = { .it_value = { 0, 150000 } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	alarms = 0;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &once, NULL);
	if (flags & SA_RESTART) {
		/* Would wait for ever: a time-out ends it, and then EINTR is native too. */
		struct timeval tv = { 1, 0 };

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	}
	SAY("connect", t_connect(fd, "T_HANG"));
	printf("alarms %d\n", (int)alarms);
	t_nonblock(fd, true);
	SAY("again", t_connect(fd, "T_HANG"));
	close(fd);
}

/* A signal that asks for restart among others that do not: its handler runs and connect goes on, until one of
 * the others comes. */
static void both_kinds(void)
{
	struct sigaction restart = { .sa_handler = on_alarm_tell, .sa_flags = SA_RESTART },
			 interrupt = { .sa_handler = on_alarm };
	struct itimerval once = { .it_value = { 0, 200000 } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pid_t parent = getpid(), child;
	char byte;

	fflush(stdout);
	alarms = 0;
	if (pipe(to_child) < 0)
		return;
	sigaction(SIGALRM, &restart, NULL);
	sigaction(SIGUSR1, &interrupt, NULL);
	child = fork();
	if (child == 0) {
		if (read(to_child[0], &byte, 1) == 1) {
			usleep(300000);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	setitimer(ITIMER_REAL, &once, NULL);
	SAY("connect", t_connect(fd, "T_HANG"));
	printf("signals %d\n", (int)alarms);
	waitpid(child, NULL, 0);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SAY("connect", t_connect(fd, "T_ECHO"));
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "never connected", .run = fresh },
		{ "success", .run = plain },
		{ "refused, then to another", .run = refused },
		{ "arguments", .run = arguments },
		{ "arguments, IPv6", .run = arguments6 },
		{ "SO_SNDTIMEO", .run = timeout },
		{ "a signal that does not restart", .with = interrupted, .arg = 0 },
		{ "a signal that restarts, with a time-out", .with = interrupted, .arg = SA_RESTART },
		{ "signals of both kinds", .run = both_kinds },
	};

	signal(SIGPIPE, on_pipe);
	return T_MAIN(argc, argv, cases);
}
