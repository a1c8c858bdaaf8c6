/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that exports symbols of the tunnel's libraries and an allocator of its own, each fatal for a
 * stranger: node exports all of OpenSSL like that, browsers replace malloc. usage: clash ADDRESS PORT PATH;
 * prints what the web server answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6f757273)
#define HEADER 16
#define ARENA (256u << 20)

/* ---- libraries ---- */

static const char *who = "";

#define FATAL(name)                                                                                          \
	void name(void);                                                                                     \
	void name(void)                                                                                      \
	{                                                                                                    \
		who = #name;                                                                                 \
		abort();                                                                                     \
	}

FATAL(OPENSSL_init_crypto)
FATAL(OPENSSL_init_ssl)
FATAL(SSL_CTX_new)
FATAL(SSL_new)
FATAL(EVP_sha256)
FATAL(json_loads)
FATAL(json_loadb)
FATAL(json_object)
FATAL(ares_library_init)
FATAL(ares_init_options)
FATAL(sodium_init)
FATAL(lws_create_context)
FATAL(lws_service)
FATAL(inflate)
FATAL(tcp_new)
FATAL(tunnel_start)
FATAL(smolmix_bare)

/* ---- an allocator that knows its own ---- */

static char *arena;
static size_t used;

/* One block after the other, never used again: the program makes few. */
void *malloc(size_t n)
{
	size_t need = (n + HEADER + 15) & ~(size_t)15;
	size_t at = __atomic_fetch_add(&used, need, __ATOMIC_RELAXED);
	char *p;

	if (!arena) {
		char *fresh = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		arena = fresh; /* the first call comes before main, in one thread */
	}
	if (at + need > ARENA)
		return NULL;
	p = arena + at;
	((uint64_t *)p)[0] = MAGIC;
	((uint64_t *)p)[1] = n;
	return p + HEADER;
}

static uint64_t *header(void *p)
{
	uint64_t *h = (uint64_t *)((char *)p - HEADER);

	if ((char *)h < arena || (char *)h >= arena + ARENA || h[0] != MAGIC) {
		who = "free";
		abort();
	}
	return h;
}

void free(void *p)
{
	if (p)
		header(p);
}

void *calloc(size_t n, size_t size)
{
	return malloc(n * size); /* fresh pages are zero */
}

void *realloc(void *p, size_t n)
{
	void *q = malloc(n);

	if (p && q)
		memcpy(q, p, header(p)[1] < n ? header(p)[1] : n);
	return q;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	char buf[4096];
	int s = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n;

	if (argc != 4 || s < 0)
		return 2;
	sa.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &sa.sin_addr);
	if (connect(s, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror("connect");
		return 1;
	}
	n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.0\r\n\r\n", argv[3]);
	if (write(s, buf, (size_t)n) != n)
		return 1;
	while ((n = read(s, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return n < 0 || *who;
}
