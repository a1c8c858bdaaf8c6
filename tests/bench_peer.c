/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server reads one request of 16 bytes, "D" or "U" and a number, and then sends or takes so many bytes;
 * it confirms an upload with one byte; "E" sends every byte back, like a shell. A process for each
 * connection: nothing here is measured. A datagram with a "D" request is answered by so many bytes in
 * datagrams, DATAGRAMS_S a second: faster than any tunnel, not faster than the exit's socket.
 */
#include "tests/bench_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 16
#define CHUNK 65536
#define ECHOES 31
#define DATAGRAMS_S 1200
#define SILENCE_S 3    /* no datagram for so long: that was the last one */
#define WARM_UP 500000 /* bytes of a download before it counts as running */

static char chunk[CHUNK];

double peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void peer_path(char out[PEER_PATH], const char *relative)
{
	ssize_t n = readlink("/proc/self/exe", out, PEER_PATH - 1);
	char *slash;

	out[n < 0 ? 0 : n] = '\0';
	for (int i = 0; i < 2 && (slash = strrchr(out, '/')); i++) /* build/tests/bench -> build */
		*slash = '\0';
	snprintf(out + strlen(out), PEER_PATH - strlen(out), "/%s", relative);
}

static bool send_all(int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, chunk, bytes < CHUNK ? (size_t)bytes : CHUNK, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes -= (uint64_t)n;
	}
	return true;
}

static bool recv_all(int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = recv(fd, chunk, bytes < CHUNK ? (size_t)bytes : CHUNK, 0);

		if (n <= 0)
			return false;
		bytes -= (uint64_t)n;
	}
	return true;
}

static void serve(int fd)
{
	char request[REQUEST + 1] = { 0 };
	uint64_t bytes;

	if (!recv_all(fd, REQUEST))
		return;
	memcpy(request, chunk, REQUEST);
	bytes = strtoull(request + 1, NULL, 10);
	while (request[0] == 'E' && recv_all(fd, 1))
		send_all(fd, 1);
	if (request[0] == 'D')
		send_all(fd, bytes);
	else if (recv_all(fd, bytes))
		send_all(fd, 1);
	recv_all(fd, 1); /* until the other side closes */
}

static void serve_datagrams(int fd)
{
	const struct timespec pause = { .tv_nsec = 1000000000 / DATAGRAMS_S };
	char request[REQUEST + 1] = { 0 };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	for (;;) {
		if (recvfrom(fd, request, REQUEST, 0, (struct sockaddr *)&from, &len) != REQUEST)
			continue;
		for (uint64_t n = strtoull(request + 1, NULL, 10) / PEER_DATAGRAM; n; n--) {
			sendto(fd, chunk, PEER_DATAGRAM, 0, (struct sockaddr *)&from, len);
			nanosleep(&pause, NULL);
		}
	}
}

pid_t peer_server(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	if (fd < 0 || udp < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0 || bind(udp, (struct sockaddr *)&a, len) < 0)
		return -1;
	*ret_port = ntohs(a.sin_port);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve_datagrams(udp);
		}
		for (;;) {
			int c = accept(fd, NULL, NULL);

			if (c >= 0 && fork() == 0) {
				serve(c);
				_exit(0);
			}
			if (c >= 0)
				close(c);
		}
	}
	close(fd);
	close(udp);
	return pid;
}

pid_t peer_spawn(char *const argv[], char *const env[], int *ret_fd)
{
	int p[2];
	pid_t pid;

	if (pipe(p) < 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(p[1], STDOUT_FILENO);
		close(p[0]);
		close(p[1]);
		for (; env && *env; env++)
			putenv(*env);
		execv(argv[0], argv);
		_exit(127);
	}
	close(p[1]);
	*ret_fd = p[0];
	return pid;
}

void peer_stop(pid_t pid, int sig)
{
	if (pid <= 0)
		return;
	kill(pid, sig);
	waitpid(pid, NULL, 0);
}

void peer_job(struct peer_job *j, const char *what, const char *host, uint16_t port, uint64_t bytes,
	      unsigned streams)
{
	peer_path(j->self, "tests/bench");
	snprintf(j->port, sizeof(j->port), "%u", port);
	snprintf(j->bytes, sizeof(j->bytes), "%llu", (unsigned long long)bytes);
	j->argv[0] = j->self;
	j->argv[1] = "--worker";
	j->argv[2] = (char *)what;
	j->argv[3] = (char *)host;
	j->argv[4] = j->port;
	j->argv[5] = j->bytes;
	snprintf(j->streams, sizeof(j->streams), "%u", streams);
	j->argv[6] = j->streams;
	j->argv[7] = NULL;
}

bool peer_result(struct peer_result *r, pid_t pid, int fd)
{
	FILE *f = fdopen(fd, "r");
	bool ok = f && fscanf(f, "%lf %lf %lf %ld", &r->connect, &r->first, &r->end, &r->rss_kb) == 4;
	int status = -1;

	if (f)
		fclose(f);
	waitpid(pid, &status, 0);
	return ok && status == 0;
}

bool peer_run(struct peer_result *r, char *const prefix[], struct peer_job *j, char *const env[])
{
	char *argv[32];
	size_t n = 0;
	int fd = -1;
	pid_t pid;

	for (; prefix && prefix[n]; n++)
		argv[n] = prefix[n];
	memcpy(argv + n, j->argv, sizeof(j->argv));
	pid = peer_spawn(argv, env, &fd);
	return pid > 0 && peer_result(r, pid, fd);
}

static long rss_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int ask(const struct sockaddr_in *to, char what, uint64_t bytes)
{
	char request[REQUEST + 1];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	snprintf(request, sizeof(request), "%c%015llu", what, (unsigned long long)bytes);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
	    send(fd, request, REQUEST, 0) != REQUEST) {
		perror("bench worker");
		return -1;
	}
	return fd;
}

/* One connection; its result to fd. */
static int transfer(const struct sockaddr_in *to, bool down, uint64_t bytes, int out)
{
	struct peer_result r;
	bool ok;
	int fd;

	r.connect = peer_now();
	fd = ask(to, down ? 'D' : 'U', bytes);
	if (fd < 0)
		return 1;
	ok = (down || send_all(fd, bytes)) && recv_all(fd, 1);
	r.first = peer_now();
	ok = ok && (!down || recv_all(fd, bytes - 1));
	r.end = peer_now();
	close(fd);
	r.rss_kb = rss_kb();
	return ok && write(out, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median time of a byte to the server and back, one at a time, or a negative number. */
static double echo_time(int fd)
{
	double took[ECHOES];

	for (int i = 0; i < ECHOES; i++) {
		took[i] = peer_now();
		if (send(fd, "x", 1, 0) != 1 || !recv_all(fd, 1))
			return -1;
		took[i] = peer_now() - took[i];
	}
	qsort(took, ECHOES, sizeof(double), ascending);
	return took[ECHOES / 2];
}

/* A shell alone, then beside a download: both medians, in the places of connect and first. */
static int latency(const struct sockaddr_in *to)
{
	int fd = ask(to, 'E', 0), down;
	double idle = echo_time(fd), loaded;
	pid_t pid;

	down = ask(to, 'D', UINT64_MAX / 32);
	if (fd < 0 || down < 0 || !recv_all(down, WARM_UP))
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(!recv_all(down, UINT64_MAX));
	loaded = echo_time(fd);
	peer_stop(pid, SIGKILL);
	printf("%.6f %.6f %.6f %ld\n", idle, loaded, peer_now(), rss_kb());
	return idle < 0 || loaded < 0;
}

/* Datagrams as they come. */
static int datagrams(const struct sockaddr_in *to, uint64_t bytes)
{
	struct timeval silence = { .tv_sec = SILENCE_S };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	double first = 0, last = 0;
	char request[REQUEST + 1];
	uint64_t n = 0;

	snprintf(request, sizeof(request), "D%015llu", (unsigned long long)bytes);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) < 0 ||
	    send(fd, request, REQUEST, 0) != REQUEST)
		return 1;
	for (; recv(fd, chunk, sizeof(chunk), 0) == PEER_DATAGRAM; n++) {
		last = peer_now();
		first = n ? first : last;
	}
	if (n < 2)
		return 1;
	printf("%.6f %.6f %.6f %ld\n", (double)(n - 1) * PEER_DATAGRAM / 1000 / (last - first),
	       (double)(n * PEER_DATAGRAM) / (double)bytes, last, rss_kb());
	return 0;
}

/* Several connections are a process each; the result spans them. "both": every other one is an upload. */
int peer_worker(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct peer_result r, all = { .connect = 1e300, .first = 1e300 };
	unsigned streams;
	uint64_t bytes;
	bool down, both;
	int p[2];

	if (argc != 5 || inet_pton(AF_INET, argv[1], &a.sin_addr) != 1 || pipe(p) < 0)
		return 2;
	both = !strcmp(argv[0], "both");
	down = both || !strcmp(argv[0], "download");
	a.sin_port = htons((uint16_t)atoi(argv[2]));
	if (!strcmp(argv[0], "latency"))
		return latency(&a);
	bytes = strtoull(argv[3], NULL, 10);
	if (!strcmp(argv[0], "udp"))
		return datagrams(&a, bytes);
	streams = (unsigned)atoi(argv[4]);
	for (unsigned i = 0; i < streams; i++) {
		bool this_down = both && i % 2 ? false : down;
		uint64_t part = this_down || !both ? bytes / streams : bytes / streams / PEER_BOTH_UP;

		if (i + 1 == streams) {
			if (transfer(&a, this_down, part, p[1]))
				return 1;
		} else if (fork() == 0) {
			_exit(transfer(&a, this_down, part, p[1]));
		}
	}
	close(p[1]);
	for (unsigned i = 0; i < streams; i++) {
		if (read(p[0], &r, sizeof(r)) != (ssize_t)sizeof(r))
			return 1;
		all.connect = r.connect < all.connect ? r.connect : all.connect;
		all.first = r.first < all.first ? r.first : all.first;
		all.end = r.end > all.end ? r.end : all.end;
		all.rss_kb = r.rss_kb;
	}
	printf("%.6f %.6f %.6f %ld\n", all.connect, all.first, all.end, all.rss_kb);
	return 0;
}
