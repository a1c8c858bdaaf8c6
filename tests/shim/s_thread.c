/* SPDX-License-Identifier: Apache-2.0 */
/* One process, several threads: one socket used by two, calls ended by another thread, cancellation, many at
 * once. */
#include <pthread.h>
#include <sys/wait.h>

#include "t_do.h"
#include "t_main.h"

struct job {
	int fd;
	long result;
	int err;
	char buf[8];
	pthread_t thread;
};

static void *receives(void *arg)
{
	struct job *j = arg;

	j->result = recv(j->fd, j->buf, 1, 0);
	j->err = errno;
	return NULL;
}

static void *fills(void *arg)
{
	static char big[1 << 20];
	struct job *j = arg;

	while ((j->result = send(j->fd, big, sizeof(big), MSG_NOSIGNAL)) > 0)
		;
	j->err = errno;
	return NULL;
}

static void *connects(void *arg)
{
	struct job *j = arg;

	j->result = t_connect(j->fd, "T_HANG");
	j->err = errno;
	return NULL;
}

static void begin(struct job *j, void *(*f)(void *))
{
	pthread_create(&j->thread, NULL, f, j);
	usleep(T_QUIET_MS * 1000);
}

static void end(struct job *j, const char *what)
{
	void *ret = NULL;

	pthread_join(j->thread, &ret);
	if (ret == PTHREAD_CANCELED)
		printf("%s: cancelled\n", what);
	else if (j->result < 0)
		printf("%s: %s\n", what, strerrorname_np(j->err));
	else
		printf("%s: %ld\n", what, j->result);
}

static void both_ways(void)
{
	struct job j = { .fd = t_tcp("T_DO") };

	begin(&j, receives);
	t_do(j.fd, "say x\n");
	end(&j, "recv while the other sends");
	close(j.fd);
}

static void shutdown_wakes_recv(int how)
{
	struct job j = { .fd = t_tcp("T_DO") };

	begin(&j, receives);
	SAY("shutdown", shutdown(j.fd, how));
	end(&j, "recv");
	close(j.fd);
}

static void shutdown_wakes_send(void)
{
	struct job j = { .fd = t_tcp("T_DO") };

	t_do(j.fd, "sleep 30000\n");
	begin(&j, fills);
	usleep(1000000);
	SAY("SHUT_WR", shutdown(j.fd, SHUT_WR));
	end(&j, "send");
	close(j.fd);
}

static void shutdown_wakes_connect(void)
{
	struct job j = { .fd = socket(AF_INET, SOCK_STREAM, 0) };

	begin(&j, connects);
	SAY("SHUT_RDWR", shutdown(j.fd, SHUT_RDWR));
	end(&j, "connect");
	close(j.fd);
}

static void cancel_connect(void)
{
	struct job j = { .fd = socket(AF_INET, SOCK_STREAM, 0) };

	begin(&j, connects);
	pthread_cancel(j.thread);
	end(&j, "connect");
	t_nonblock(j.fd, true);
	SAY("goes on", t_connect(j.fd, "T_HANG"));
	close(j.fd);
}

static void cancel_send(void)
{
	struct job j = { .fd = t_tcp("T_DO") };

	t_do(j.fd, "sleep 30000\n");
	begin(&j, fills);
	usleep(1000000);
	pthread_cancel(j.thread);
	end(&j, "send");
	close(j.fd);
}

static void reset_wakes(void)
{
	struct job j = { .fd = t_tcp("T_DO") };

	t_do(j.fd, "sleep 300\nrst\n");
	begin(&j, receives);
	end(&j, "recv at a reset");
	close(j.fd);
}

/* A descriptor that is closed while another thread sleeps on it: the sleeper still gets what comes. */
static void closed_under(void)
{
	struct job j = { .fd = t_tcp("T_DO") };

	t_do(j.fd, "sleep 500\nsay x\n");
	begin(&j, receives);
	SAY("close", close(j.fd));
	end(&j, "recv");
}

static void *one_of_many(void *arg)
{
	char text[64] = { 0 };
	int fd = t_tcp("T_DO");

	t_do(fd, "bytes 50\nfin\n");
	*(long *)arg = (long)t_read_all(fd, text, sizeof(text));
	close(fd);
	return NULL;
}

static void many(void)
{
	pthread_t t[24];
	long got[24], sum = 0;

	for (int i = 0; i < 24; i++)
		pthread_create(&t[i], NULL, one_of_many, &got[i]);
	for (int i = 0; i < 24; i++) {
		pthread_join(t[i], NULL);
		sum += got[i];
	}
	printf("24 threads got %ld\n", sum);
}

/* Two readers of one stream: each byte goes to one of them. */
static void *reads_some(void *arg)
{
	struct job *j = arg;
	char buf[16];
	ssize_t n;

	while ((n = recv(j->fd, buf, sizeof(buf), 0)) > 0)
		j->result += n;
	return NULL;
}

static void two_readers(void)
{
	int fd = t_tcp("T_DO");
	struct job a = { .fd = fd }, b = { .fd = fd };

	t_do(fd, "sleep 200\nbytes 20000\nfin\n");
	begin(&a, reads_some);
	begin(&b, reads_some);
	pthread_join(a.thread, NULL);
	pthread_join(b.thread, NULL);
	printf("together %ld\n", a.result + b.result);
	close(fd);
}

static void *opens(void *arg)
{
	for (int i = 0; i < 200; i++)
		close(socket(AF_INET, SOCK_STREAM, 0));
	return NULL;
}

static void fork_among_threads(void)
{
	pthread_t t[2];
	int fd, status = -1;
	char byte;

	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, opens, NULL);
	fflush(stdout);
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			fd = t_tcp("T_DO");
			send(fd, "sync\n", 5, 0);
			_exit(recv(fd, &byte, 1, 0) == 1 ? 7 : 8);
		}
		waitpid(pid, &status, 0);
		printf("child %d\n", WEXITSTATUS(status));
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	static const struct t_case cases[] = {
		{ "both ways", .run = both_ways },
		{ "SHUT_RD wakes recv", .with = shutdown_wakes_recv, .arg = SHUT_RD },
		{ "SHUT_RDWR wakes recv", .with = shutdown_wakes_recv, .arg = SHUT_RDWR },
		{ "SHUT_WR wakes send", .run = shutdown_wakes_send },
		{ "shutdown wakes connect", .run = shutdown_wakes_connect },
		{ "cancelled connect", .run = cancel_connect },
		{ "cancelled send", .run = cancel_send },
		{ "reset wakes", .run = reset_wakes },
		{ "closed under a reader", .run = closed_under },
		{ "many", .run = many },
		{ "two readers", .run = two_readers },
		{ "fork among threads", .run = fork_among_threads },
	};

	signal(SIGPIPE, SIG_IGN);
	return T_MAIN(argc, argv, cases);
}
