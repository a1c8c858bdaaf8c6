/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a measured transfer: a server process that gives or takes as many bytes as it is asked for,
 * and the program that asks, which is this benchmark itself started with --worker (under the shim or bare).
 * Times are CLOCK_MONOTONIC, so that they can be compared between processes of one machine.
 */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_PATH 4096
#define PEER_DATAGRAM 1392 /* bytes: an IP packet of 1420 */
#define PEER_BOTH_UP 4	   /* "both": uploads get so many times fewer bytes, having about so much less rate */

struct peer_result {
	double connect, first, end; /* seconds of CLOCK_MONOTONIC */
	long rss_kb;
};

double peer_now(void);

/* A program of the build folder, "tools/smolmix-run": its path in out. */
void peer_path(char out[PEER_PATH], const char *relative);

/* Starts the server on 127.0.0.1; its port in *ret. */
pid_t peer_server(uint16_t *ret_port);

/* Starts argv with the additions to the environment (NULL-terminated, may be NULL); its standard output comes
 * through *ret_fd. */
pid_t peer_spawn(char *const argv[], char *const env[], int *ret_fd);
/* Ends a process and waits for it; pid <= 0 is nothing. */
void peer_stop(pid_t pid, int sig);

/* Arguments of the worker for one transfer ("download", "upload", "both"), bytes shared out to so many
 * connections at once; or "latency": connect and first are then the medians of a byte's way there and back,
 * alone and beside a download; or "udp", so many bytes in datagrams: connect is then the rate at which they
 * came, in kB/s, first the share that came. */
struct peer_job {
	char self[PEER_PATH], port[8], bytes[24], streams[8];
	char *argv[8];
};
void peer_job(struct peer_job *j, const char *what, const char *host, uint16_t port, uint64_t bytes,
	      unsigned streams);
/* Runs prefix (NULL-terminated, may be NULL) followed by the worker, waits for it and reads its result. */
bool peer_run(struct peer_result *r, char *const prefix[], struct peer_job *j, char *const env[]);
/* Reads a worker's line from fd and waits for pid. */
bool peer_result(struct peer_result *r, pid_t pid, int fd);

/* main() of the worker: argv behind --worker. */
int peer_worker(int argc, char **argv);

/* main() of the worker that measures the shim's costs, and both of its runs. */
int cost_worker(const char *host);
struct bench;
void cost_report(struct bench *b, const char *run, const char *api, const char *server);

#endif
