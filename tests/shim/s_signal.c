/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and TCP calls: interruption, restart, jumps out of calls, SIGPIPE, SIGIO. */
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "t_do.h"
#include "t_main.h"

static volatile sig_atomic_t caught;
static sigjmp_buf out;
static int handler_fd;

static void count(int sig)
{
	caught++;
}

static void jump(int sig)
{
	siglongjmp(out, 1);
}

static void sends(int sig)
{
	send(handler_fd, "say x\n", 6, MSG_NOSIGNAL);
}

static void on(int sig, void (*f)(int), int flags)
{
	struct sigaction act = { .sa_handler = f, .sa_flags = flags };

	caught = 0;
	sigaction(sig, &act, NULL);
}

static void alarm_in(int ms)
{
	struct itimerval once = { .it_value = { ms / 1000, ms % 1000 * 1000 } };

	setitimer(ITIMER_REAL, &once, NULL);
}

static void recv_interrupted(void)
{
	int fd = t_tcp("T_DO");
	char byte;

	on(SIGALRM, count, 0);
	alarm_in(100);
	SAY("recv", recv(fd, &byte, 1, 0));
	alarm_in(100);
	SAY("read", read(fd, &byte, 1));
	t_do(fd, "say x\n");
	SAY("works", recv(fd, &byte, 1, 0));
	printf("caught %d\n", (int)caught);
	close(fd);
}

static void recv_restarted(void)
{
	int fd = t_tcp("T_DO");
	char byte;

	on(SIGALRM, count, SA_RESTART);
	t_do(fd, "sleep 600\nsay x\n");
	alarm_in(100);
	SAY("recv", recv(fd, &byte, 1, 0));
	printf("caught %d\n", (int)caught);
	close(fd);
}

static void recv_part(void)
{
	int fd = t_tcp("T_DO");
	char buf[8];

	on(SIGALRM, count, 0);
	t_do(fd, "say abc\n");
	t_ready(fd, 3);
	alarm_in(100);
	SAY("what came before the signal", recv(fd, buf, 8, MSG_WAITALL));
	close(fd);
}

static void send_interrupted(void)
{
	static char big[1 << 16];
	int fd = t_tcp("T_DO");

	t_do(fd, "sleep 30000\n");
	t_fill(fd);
	on(SIGALRM, count, 0);
	alarm_in(100);
	SAY("send", send(fd, big, sizeof(big), 0));
	close(fd);
}

static void connect_completes(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	/* The handshake may win: then there is nothing to see, and the same is printed. */
	on(SIGALRM, count, 0);
	alarm_in(1);
	r = t_connect(fd, "T_DO");
	alarm_in(0);
	printf("first %d\n", r == 0 || errno == EINTR);
	printf("events %s\n", t_names(t_until(fd, POLLOUT)));
	printf("SO_ERROR %s\n", t_so_error_name(fd));
	SAY("send", send(fd, "sync\n", 5, 0));
	SAY("recv", recv(fd, &r, 1, 0));
	close(fd);
}

static void connect_again(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	on(SIGALRM, count, 0);
	alarm_in(100);
	SAY("connect", t_connect(fd, "T_HANG"));
	alarm_in(100);
	SAY("blocking, again", t_connect(fd, "T_HANG"));
	t_nonblock(fd, true);
	SAY("non-blocking, again", t_connect(fd, "T_HANG"));
	SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
	printf("events %s\n", t_names(t_poll(fd, T_ALL, 0)));
	close(fd);
}

static void jump_from_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	on(SIGALRM, jump, 0);
	if (sigsetjmp(out, 1) == 0) {
		alarm_in(150);
		t_connect(fd, "T_HANG");
		printf("not jumped\n");
	} else {
		printf("jumped\n");
	}
	t_nonblock(fd, true);
	SAY("connect goes on", t_connect(fd, "T_HANG"));
	close(fd);
	fd = t_tcp("T_DO");
	SAY("another works", send(fd, "sync\n", 5, 0));
	SAY("recv", recv(fd, &(char){ 0 }, 1, 0));
	close(fd);
}

static void jump_from_recv(void)
{
	int fd = t_tcp("T_DO");
	char byte;

	on(SIGALRM, jump, SA_RESTART);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(out, 1) == 0) {
			alarm_in(100);
			recv(fd, &byte, 1, 0);
			printf("not jumped\n");
		}
	}
	t_do(fd, "say x\n");
	SAY("works", recv(fd, &byte, 1, 0));
	close(fd);
}

static void from_handler(void)
{
	int fd = t_tcp("T_DO");
	char byte;

	handler_fd = fd;
	on(SIGALRM, sends, SA_RESTART);
	alarm_in(100);
	SAY("answer to what the handler sent", recv(fd, &byte, 1, 0));
	close(fd);
}

static void die_of_pipe(const char *how, bool nosignal)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = t_tcp("T_DO");

		signal(SIGPIPE, SIG_DFL);
		shutdown(fd, SHUT_WR);
		if (nosignal)
			send(fd, "x", 1, MSG_NOSIGNAL);
		else
			write(fd, "x", 1) < 0 ? _exit(2) : _exit(3);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	printf("%s: %s %d\n", how, WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void pipe_signal(void)
{
	sigset_t set;
	int fd = t_tcp("T_DO");

	die_of_pipe("default", false);
	die_of_pipe("MSG_NOSIGNAL", true);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	shutdown(fd, SHUT_WR);
	SAY("blocked", write(fd, "x", 1));
	sigpending(&set);
	printf("pending %d\n", sigismember(&set, SIGPIPE));
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	SAY("ignored", write(fd, "x", 1));
	close(fd);
}

static void io_signal(void)
{
	int fd = t_tcp("T_DO");

	on(SIGIO, count, 0);
	SAY("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	printf("F_GETOWN %d\n", fcntl(fd, F_GETOWN) == getpid());
	SAY("O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
	printf("flags %d\n", (fcntl(fd, F_GETFL) & (O_ASYNC | O_NONBLOCK)) == (O_ASYNC | O_NONBLOCK));
	caught = 0;
	t_do(fd, "sleep 100\nsay x\n");
	for (int i = 0; i < 100 && t_poll(fd, POLLIN, 100) == 0; i++)
		;
	usleep(1000);
	printf("SIGIO %d\n", caught > 0);
	close(fd);
}

static void poll_interrupted(void)
{
	int fd = t_tcp("T_DO");
	struct pollfd p = { fd, POLLIN, 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);
	fd_set r;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	on(SIGALRM, count, SA_RESTART);
	alarm_in(100);
	SAY("poll", poll(&p, 1, 5000));
	alarm_in(100);
	SAY("epoll_wait", epoll_wait(ep, &ev, 1, 5000));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	alarm_in(100);
	SAY("select", select(fd + 1, &r, NULL, NULL, NULL));
	close(ep);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "recv interrupted", .run = recv_interrupted },
		{ "recv restarted", .run = recv_restarted },
		{ "a part before the signal", .run = recv_part },
		{ "send interrupted", .run = send_interrupted },
		{ "connect interrupted, completes", .run = connect_completes },
		{ "connect interrupted, again", .run = connect_again },
		{ "jump out of connect", .run = jump_from_connect },
		{ "jump out of recv", .run = jump_from_recv },
		{ "send in a handler", .run = from_handler },
		{ "SIGPIPE", .run = pipe_signal },
		{ "SIGIO", .run = io_signal },
		{ "poll interrupted", .run = poll_interrupted },
	};

	return T_MAIN(argc, argv, cases);
}
