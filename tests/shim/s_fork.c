/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and process trees: fork, vfork, exec with and without an environment, spawn, descriptors
 * passed, few descriptors left. */
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "t_do.h"
#include "t_main.h"

enum how { BY_FORK, BY_VFORK, BY_SPAWN };

static char *self;

static void talk(int fd, const char *who)
{
	char buf[8] = { 0 };

	t_do(fd, "say hello\n");
	recv(fd, buf, 5, MSG_WAITALL);
	printf("%s heard %s\n", who, buf);
	fflush(stdout);
}

static void wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	fflush(stdout);
}

static pid_t fork_clean(void)
{
	fflush(stdout);
	return fork();
}

static void alternating(void)
{
	int fd = t_tcp("T_DO"), back[2];
	char byte;
	pid_t pid;

	if (pipe(back) < 0)
		return;
	pid = fork_clean();
	if (pid == 0) {
		for (int i = 0; i < 3; i++) {
			if (read(back[0], &byte, 1) != 1)
				_exit(1);
			talk(fd, "child");
			kill(getppid(), 0);
		}
		_exit(5);
	}
	for (int i = 0; i < 3; i++) {
		talk(fd, "parent");
		if (write(back[1], "x", 1) != 1)
			break;
		usleep(400000);
	}
	wait_for(pid);
	close(fd);
	close(back[0]);
	close(back[1]);
}

static void child_closes(void)
{
	int fd = t_tcp("T_DO");
	pid_t pid = fork_clean();

	if (pid == 0)
		_exit(close(fd));
	wait_for(pid);
	talk(fd, "parent");
	pid = fork_clean();
	if (pid == 0) {
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	wait_for(pid);
	SAY("send after the child's shutdown", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

static void while_connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	pid_t pid;

	SAY("connect", t_connect(fd, "T_DO"));
	pid = fork_clean();
	if (pid == 0) {
		printf("child's events %s\n", t_names(t_until(fd, POLLOUT)));
		printf("SO_ERROR %s\n", t_so_error_name(fd));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	SAY("parent's connect", t_connect(fd, "T_DO"));
	SAY("again", t_connect(fd, "T_DO"));
	close(fd);
}

/* An error is told once, to whoever asks first. */
static void error_once(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	pid_t pid;

	t_connect(fd, "T_CLOSED");
	t_until(fd, 0);
	pid = fork_clean();
	if (pid == 0) {
		printf("child %s\n", t_so_error_name(fd));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	printf("parent %s\n", t_so_error_name(fd));
	close(fd);
}

static void daemonised(void)
{
	int fd = t_tcp("T_DO");
	char key[32], num[16];
	pid_t pid;

	t_key(key);
	snprintf(num, sizeof(num), "%d", fd);
	pid = fork_clean();
	if (pid == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		usleep(200000);
		t_do(fd, "wake %s\n", key); /* by then its parent has gone */
		_exit(0);
	}
	close(fd);
	wait_for(pid);
	t_ask(key);
}

/* The program itself as a child: "child FD" talks over what it inherited and over a connection of its own. */
static void executed(int how)
{
	int fd = t_tcp("T_DO");
	char num[16], port[32], host[64];
	char *argv[] = { self, (char[]){ "child" }, num, NULL }, *envp[] = { port, host, NULL };
	posix_spawn_file_actions_t acts;
	pid_t pid = -1;

	snprintf(port, sizeof(port), "T_DO=%d", t_port("T_DO"));
	snprintf(host, sizeof(host), "T_HOST=%s", t_host());
	fflush(stdout);
	snprintf(num, sizeof(num), "%d", fd);
	if (how == BY_SPAWN) {
		snprintf(num, sizeof(num), "%d", 77);
		posix_spawn_file_actions_init(&acts);
		posix_spawn_file_actions_adddup2(&acts, fd, 77);
		posix_spawn_file_actions_addclose(&acts, fd);
		if (posix_spawn(&pid, self, &acts, NULL, argv, envp))
			printf("not spawned\n");
		posix_spawn_file_actions_destroy(&acts);
	} else {
		pid = how == BY_FORK ? fork() : vfork();
		if (pid == 0) {
			execve(self, argv, envp);
			_exit(99);
		}
	}
	wait_for(pid);
	close(fd);
}

static void close_on_exec(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char num[16];
	pid_t pid;

	t_connect(fd, "T_DO");
	snprintf(num, sizeof(num), "%d", fd);
	pid = fork_clean();
	if (pid == 0) {
		execl(self, self, "open", num, (char *)NULL);
		_exit(99);
	}
	wait_for(pid);
	fcntl(fd, F_SETFD, 0);
	pid = fork_clean();
	if (pid == 0) {
		execl(self, self, "open", num, (char *)NULL);
		_exit(99);
	}
	wait_for(pid);
	close(fd);
}

static void send_fd(int sock, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { { 0 } };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	sendmsg(sock, &m, 0);
}

static int receive_fd(int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)
	};
	int fd = -1;

	if (recvmsg(sock, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A connection to the child and one back. */
static void passed_both_ways(void)
{
	int pair[2], fd, back;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return;
	pid = fork_clean();
	if (pid == 0) {
		talk(receive_fd(pair[1]), "child, received");
		send_fd(pair[1], t_tcp("T_DO"));
		_exit(0);
	}
	fd = t_tcp("T_DO");
	send_fd(pair[0], fd);
	close(fd);
	back = receive_fd(pair[0]);
	wait_for(pid);
	talk(back, "parent, received");
	close(back);
	close(pair[0]);
	close(pair[1]);
}

static void everything_closed(void)
{
	pid_t pid = fork_clean();

	if (pid == 0) {
		int out = dup(STDOUT_FILENO);

		dup2(out, 3);
		close_range(4, ~0U, 0);
		close_range(0, 2, 0);
		dup2(3, STDOUT_FILENO);
		talk(t_tcp("T_DO"), "after close_range");
		_exit(0);
	}
	wait_for(pid);
}

static void few_descriptors(void)
{
	pid_t pid = fork_clean();

	if (pid == 0) {
		struct rlimit few = { 16, 16 };
		int fd, n = 0;

		setrlimit(RLIMIT_NOFILE, &few);
		close_range(3, ~0U, 0);
		talk(t_tcp("T_DO"), "with 16");
		while ((fd = dup(0)) >= 0)
			n++;
		SAY("socket when none is left", socket(AF_INET, SOCK_STREAM, 0));
		close(15);
		close(14);
		close(13);
		close(12);
		talk(t_tcp("T_DO"), "with a few again");
		_exit(n > 5);
	}
	wait_for(pid);
}

static void many_children(void)
{
	pid_t pid[16];
	int good = 0, status;

	fflush(stdout);
	for (int i = 0; i < 16; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			int fd = t_tcp("T_DO");
			char byte = 0;

			t_do(fd, "say %c\n", 'a' + i);
			recv(fd, &byte, 1, 0);
			_exit(byte == 'a' + i ? 0 : 1);
		}
	}
	for (int i = 0; i < 16; i++) {
		waitpid(pid[i], &status, 0);
		good += status == 0;
	}
	printf("good %d\n", good);
}

static void piped(void)
{
	int fd = t_tcp("T_DO");
	char cmd[64], line[64] = { 0 };
	FILE *p;

	fflush(stdout);
	snprintf(cmd, sizeof(cmd), "echo say shell >&%d; head -c 5 <&%d", fd, fd);
	p = popen(cmd, "r");
	printf("popen: %s\n", fgets(line, sizeof(line), p) ? line : "nothing");
	printf("status %d\n", pclose(p));
	close(fd);
}

/* What apt and many servers do: root goes on as somebody else. Where the test is not root nobody can. */
static void another_user(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			printf("cannot become another user\n");
		else
			talk(t_tcp("T_DO"), "another user");
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static int as_child(char **argv)
{
	int fd = atoi(argv[2]);

	if (!strcmp(argv[1], "open"))
		return fcntl(fd, F_GETFD) < 0 ? 11 : 12;
	talk(fd, "inherited");
	talk(t_tcp("T_DO"), "own");
	return 4;
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "alternating", .run = alternating },
		{ "child closes", .run = child_closes },
		{ "fork while connecting", .run = while_connecting },
		{ "an error is told once", .run = error_once },
		{ "daemon", .run = daemonised },
		{ "close-on-exec", .run = close_on_exec },
		{ "passed both ways", .run = passed_both_ways },
		{ "close_range", .run = everything_closed },
		{ "16 descriptors", .run = few_descriptors },
		{ "16 children", .run = many_children },
		{ "popen", .run = piped },
		{ "another user", .run = another_user },
		{ "exec after fork", .with = executed, .arg = BY_FORK },
		{ "exec after vfork", .with = executed, .arg = BY_VFORK },
		{ "posix_spawn with dup2", .with = executed, .arg = BY_SPAWN },
	};

	if (argc == 3)
		return as_child(argv);
	self = argv[0];
	return T_MAIN(argc, argv, cases);
}
