/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end, seen from the far side: close, exit, linger, resets, the last
 * of several descriptors. */
#include <sys/socket.h>
#include <sys/wait.h>

#include "t_do.h"
#include "t_main.h"

static char big[400000];

/* A connection whose end and bytes are kept under the key. */
static int watched(const char *key)
{
	int fd = t_tcp("T_DO");
	char byte;

	t_do(fd, "sync\nwatch %s\n", key);
	recv(fd, &byte, 1, 0);
	return fd;
}

static void linger(int fd, int on, int seconds)
{
	struct linger l = { on, seconds };

	SAY("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

/* An exit without flushing what the parent has printed. */
static int run(void (*f)(const char *), const char *key)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		f(key);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void plain(const char *key)
{
	int fd = watched(key);

	send(fd, big, 1000, 0);
	SAY("close", close(fd));
	SAY("again", close(fd));
}

static void at_once(const char *key)
{
	close(watched(key));
}

static void much(const char *key)
{
	int fd = watched(key);

	SAY("send", send(fd, big, sizeof(big), 0));
	close(fd);
}

static void no_linger(const char *key)
{
	int fd = watched(key);

	linger(fd, 1, 0);
	SAY("close", close(fd));
}

static void some_linger(const char *key)
{
	int fd = watched(key);

	linger(fd, 1, 10);
	send(fd, big, 1000, 0);
	SAY("close", close(fd));
}

static void linger_off_again(const char *key)
{
	int fd = watched(key);

	linger(fd, 1, 0);
	linger(fd, 0, 0);
	send(fd, big, 10, 0);
	close(fd);
}

static void linger_by_dup(const char *key)
{
	int fd = watched(key), d = dup(fd);

	linger(d, 1, 0);
	close(d);
	printf("still open: %s\n", t_names(t_poll(fd, T_ALL, 0)));
	close(fd);
}

static void unread(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nwatch %s\n", key);
	t_ready(fd, 3);
	close(fd);
}

/* As TLS says goodbye to who is not the one it should be. */
static void last_words(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nwatch %s\n", key);
	t_ready(fd, 3);
	send(fd, big, 7, 0);
	close(fd);
}

static void unread_by_exit(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "say abc\nwatch %s\n", key);
	t_ready(fd, 3);
}

static void read_all(const char *key)
{
	int fd = t_tcp("T_DO");
	char buf[8];

	t_do(fd, "say abc\nwatch %s\n", key);
	t_ready(fd, 3);
	recv(fd, buf, 3, MSG_WAITALL);
	close(fd);
}

static void shut_both(const char *key)
{
	int fd = watched(key);

	send(fd, big, 1000, 0);
	shutdown(fd, SHUT_RDWR);
	t_ask(key);
	printf("still open: %s\n", t_names(t_poll(fd, T_ALL, 0)));
	close(fd);
	t_wake(key); /* for the one who asks next */
}

static void shut_then_data(const char *key)
{
	int fd = t_tcp("T_DO");
	char buf[8];

	t_do(fd, "sleep 100\nsay abc\nwatch %s\n", key);
	shutdown(fd, SHUT_WR);
	SAY("data after own FIN", recv(fd, buf, 3, MSG_WAITALL));
	close(fd);
}

/* Nobody reads any more what comes after a close. */
static void data_after_close(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 300\nsay abc\nsleep 300\nwatch %s\n", key);
	close(fd);
}

static void data_after_shut_and_close(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 600\nsay abc\nsleep 300\nwatch %s\n", key);
	shutdown(fd, SHUT_WR);
	usleep(T_QUIET_MS * 1000);
	close(fd);
}

static void exits(const char *key)
{
	send(watched(key), big, 5000, 0);
}

static void killed(const char *key)
{
	send(watched(key), big, 5000, 0);
	raise(SIGKILL);
}

static void last_of_two(const char *key)
{
	int fd = watched(key), d = dup(fd);

	send(fd, big, 100, 0);
	close(fd);
	SAY("through the other", send(d, big, 200, 0));
	close(d);
}

static void replaced(const char *key)
{
	int fd = watched(key);

	send(fd, big, 77, 0);
	SAY("dup2 over it", dup2(0, fd) == fd);
}

static void executed(const char *key)
{
	int fd = watched(key);

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	send(fd, big, 88, 0);
	execl("/bin/true", "true", (char *)NULL);
}

static void inherited(const char *key)
{
	int fd = watched(key);
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		usleep(300000);
		send(fd, big, 300, 0);
		_exit(0);
	}
	send(fd, big, 100, 0);
	close(fd);
	waitpid(pid, NULL, 0);
}

/* The parent does not wait: what an orphan sends still arrives. */
static void orphan(const char *key)
{
	int fd = watched(key);

	if (fork() == 0) {
		setsid();
		usleep(300000);
		send(fd, big, 4000, 0);
		_exit(0);
	}
}

static void while_connecting(const char *key)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	t_connect(fd, "T_HANG");
	SAY("close while connecting", close(fd));
	t_wake(key);
}

static void dissolved(const char *key)
{
	int fd = watched(key);
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	SAY("AF_UNSPEC", connect(fd, &none, sizeof(none)));
	SAY("and to another", t_connect(fd, "T_DO"));
	close(fd);
}

/* A far side that reads slowly gets all, though the program has gone. */
static void slow_reader(const char *key)
{
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 500\nwatch %s\n", key);
	SAY("send", send(fd, big, sizeof(big), 0));
}

static void closed_fd(const char *key)
{
	int fd = watched(key);
	char byte;

	close(fd);
	SAY("send", send(fd, "x", 1, 0));
	SAY("recv", recv(fd, &byte, 1, 0));
	SAY("connect", t_connect(fd, "T_DO"));
	SAY("shutdown", shutdown(fd, SHUT_WR));
	SAY("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &byte, &(socklen_t){ 1 }));
}

static void range(const char *key)
{
	int fd = watched(key);

	send(fd, big, 99, 0);
	SAY("close_range", close_range((unsigned)fd, ~0U, 0));
	SAY("a new one", t_connect(socket(AF_INET, SOCK_STREAM, 0), "T_DO"));
}

static const struct {
	const char *name;
	void (*run)(const char *);
} ends[] = {
	{ "close", plain },
	{ "close at once", at_once },
	{ "much, then close", much },
	{ "linger 0", no_linger },
	{ "linger 10", some_linger },
	{ "linger off again", linger_off_again },
	{ "linger 0 set through a dup", linger_by_dup },
	{ "unread data", unread },
	{ "last words behind unread data", last_words },
	{ "unread data at exit", unread_by_exit },
	{ "all read", read_all },
	{ "SHUT_RDWR", shut_both },
	{ "half-close, then data", shut_then_data },
	{ "data after close", data_after_close },
	{ "data after half-close and close", data_after_shut_and_close },
	{ "exit", exits },
	{ "SIGKILL", killed },
	{ "last of two descriptors", last_of_two },
	{ "dup2", replaced },
	{ "close-on-exec", executed },
	{ "inherited", inherited },
	{ "orphan", orphan },
	{ "connecting", while_connecting },
	{ "AF_UNSPEC", dissolved },
	{ "slow reader", slow_reader },
	{ "closed descriptor", closed_fd },
	{ "close_range", range },
};

enum { N_ENDS = sizeof(ends) / sizeof(ends[0]) };

static void ended(int i)
{
	char key[32];

	t_key(key);
	printf("status %d\n", run(ends[i].run, key));
	t_ask(key);
}

int main(int argc, char **argv)
{
	struct t_case cases[N_ENDS];

	for (int i = 0; i < N_ENDS; i++)
		cases[i] = (struct t_case){ ends[i].name, .with = ended, .arg = i };
	return T_MAIN(argc, argv, cases);
}
