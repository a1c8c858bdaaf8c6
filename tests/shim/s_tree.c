/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets over dup, fork, vfork, exec, posix_spawn, descriptor passing; children with a cleaned environment;
 * threads. */
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "t.h"
#include "t_main.h"

enum how { BY_FORK, BY_VFORK, BY_SPAWN };

static char *self;

static void talk(int fd, const char *who)
{
	char buf[16] = { 0 };

	SAY(who, send(fd, "hello", 5, 0));
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

static void dups(void)
{
	int fd = t_tcp("T_ECHO"), d = dup(fd), high = fcntl(fd, F_DUPFD, 100);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	close(fd);
	talk(d, "dup");
	talk(high, "F_DUPFD");
	SAY("getpeername", getpeername(high, (struct sockaddr *)&a, &len));
	SAY("dup2 over it", dup2(0, d) == d);
	SAY("no longer a socket", getpeername(d, (struct sockaddr *)&a, &len));
	close(high);
	close(d);
}

static void forks(void)
{
	int fd = t_tcp("T_ECHO");
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		talk(fd, "child");
		talk(t_tcp("T_ECHO"), "child's own");
		_exit(3);
	}
	wait_for(pid);
	talk(fd, "parent");
	close(fd);
}

static void started(int how)
{
	int fd = t_tcp("T_ECHO");
	char num[16];
	char *argv[] = { self, (char[]){ "child" }, num, NULL };
	/* All that run.py gave: the shim's own variables are not among them. */
	char port[64], host[64], *envp[] = { port, host, NULL };
	pid_t pid = -1;

	snprintf(num, sizeof(num), "%d", fd);
	snprintf(port, sizeof(port), "T_ECHO=%d", t_port("T_ECHO"));
	snprintf(host, sizeof(host), "T_HOST=%s", t_host());
	fflush(stdout);
	if (how == BY_SPAWN)
		posix_spawn(&pid, self, NULL, NULL, argv, envp);
	else if (how == BY_FORK)
		pid = fork();
	else
		pid = vfork();
	if (pid == 0) {
		execve(self, argv, envp);
		_exit(99);
	}
	wait_for(pid);
	close(fd);
}

static void shell(void)
{
	int fd = t_tcp("T_ECHO");
	char cmd[128];

	fflush(stdout);
	snprintf(cmd, sizeof(cmd), "echo from the shell >&%d; head -n 1 <&%d", fd, fd);
	printf("system %d\n", WEXITSTATUS(system(cmd)));
	close(fd);
}

static void spawned(const char *what, const char *file)
{
	char *argv[] = { (char[]){ "true" }, NULL };
	pid_t pid;
	int r = posix_spawnp(&pid, file, NULL, NULL, argv, environ);

	printf("%s: %s\n", what, r ? strerrorname_np(r) : "started");
	if (r == 0)
		wait_for(pid);
}

/* What stands in the way in an earlier folder of PATH is passed over. */
static void searched(void)
{
	char folder[] = "/tmp/smolmix-path-XXXXXX", file[64], path[128];
	char *old = strdup(secure_getenv("PATH"));

	if (!mkdtemp(folder))
		return;
	snprintf(file, sizeof(file), "%s/true", folder);
	snprintf(path, sizeof(path), "%s:/nowhere:/bin:/usr/bin", folder);
	setenv("PATH", path, 1);
	mkdir(file, 0755);
	spawned("a folder first", "true");
	setenv("PATH", folder, 1);
	spawned("nothing but a folder", "true");
	spawned("nothing", "false");
	rmdir(file);
	close(open(file, O_WRONLY | O_CREAT, 0644));
	spawned("nothing to execute", "true");
	setenv("PATH", path, 1);
	spawned("first a file that cannot be executed", "true");
	spawned("no name", "");
	setenv("PATH", old, 1);
	unlink(file);
	rmdir(folder);
	free(old);
}

static void passing(void)
{
	int pair[2], fd = t_tcp("T_ECHO"), got = -1;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { { 0 } };
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	SAY("sendmsg", sendmsg(pair[0], &m, 0));
	close(fd);
	SAY("recvmsg", recvmsg(pair[1], &m, 0));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	talk(got, "received");
	close(got);
	close(pair[0]);
	close(pair[1]);
}

static void *worker(void *arg)
{
	int fd = t_tcp("T_ECHO");
	char out[100], in[100] = { 0 };
	intptr_t good = 0;

	for (int i = 0; i < 20; i++) {
		memset(out, 'a' + i, sizeof(out));
		good += send(fd, out, sizeof(out), 0) == sizeof(out) &&
			recv(fd, in, sizeof(in), MSG_WAITALL) == sizeof(in) && !memcmp(in, out, sizeof(in));
	}
	close(fd);
	return (void *)good;
}

static void threads(void)
{
	pthread_t t[8];
	intptr_t sum = 0;

	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	for (int i = 0; i < 8; i++) {
		void *good;

		pthread_join(t[i], &good);
		sum += (intptr_t)good;
	}
	printf("good %ld\n", (long)sum);
}

static void *sleeper(void *arg)
{
	char byte;

	recv(*(int *)arg, &byte, 1, 0);
	return NULL;
}

static void cancelled(void)
{
	int fd = t_tcp("T_ECHO");
	pthread_t t;
	void *ret = NULL;

	pthread_create(&t, NULL, sleeper, &fd);
	usleep(100000);
	pthread_cancel(t);
	pthread_join(t, &ret);
	printf("cancelled %d\n", ret == PTHREAD_CANCELED);
	talk(fd, "after it");
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "dup", .run = dups },
		{ "fork", .run = forks },
		{ "exec after fork", .with = started, .arg = BY_FORK },
		{ "exec after vfork", .with = started, .arg = BY_VFORK },
		{ "posix_spawn", .with = started, .arg = BY_SPAWN },
		{ "a shell", .run = shell },
		{ "posix_spawnp", .run = searched },
		{ "passed over a unix socket", .run = passing },
		{ "threads", .run = threads },
		{ "cancellation of recv", .run = cancelled },
	};

	self = argv[0];
	if (argc == 3) {
		talk(atoi(argv[2]), "inherited");
		talk(t_tcp("T_ECHO"), "own");
		return 4;
	}
	return T_MAIN(argc, argv, cases);
}
