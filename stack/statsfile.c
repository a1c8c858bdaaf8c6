/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics as a file. The keys are design.md 8's, which programs outside rely on. Written beside the target
 * and renamed over it, so that a reader never sees half an object; so it has to be a file, or nothing yet.
 */
#include "stack/statsfile.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value ? value : ""));
}

static void number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void address(json_t *o, const char *key, const struct addr *a)
{
	char out[ADDR_TEXT];
	struct addr bare = *a;

	bare.port = 0;
	text(o, key, a->family ? addr_text(&bare, out) : "");
}

static json_t *object(const struct tunnel_stats *s)
{
	const struct bridge_stats *b = &s->bridge;
	json_t *o = json_object();

	text(o, "state", bridge_state_name(b->state));
	text(o, "cause", b->cause);
	text(o, "profile", b->profile);
	text(o, "exit", b->exit);
	number(o, "exit_version", b->exit_version);
	text(o, "gateway", b->gateway);
	address(o, "address4", &b->ip4);
	address(o, "address6", &b->ip6);
	number(o, "mtu", b->mtu);
	number(o, "bootstrap_ms", b->bootstrap_us / US_PER_MS);
	number(o, "uptime_ms", b->uptime_us / US_PER_MS);
	number(o, "packets_real", b->packets_real);
	number(o, "packets_cover", b->packets_cover);
	number(o, "packets_received", b->packets_received);
	number(o, "acks_received", b->acks_received);
	number(o, "retransmissions", b->retransmissions);
	number(o, "replies_received", b->replies_received);
	number(o, "surbs_sent", b->surbs_sent);
	number(o, "surbs_stock", b->surbs_stock);
	number(o, "bytes_up", b->bytes_up);
	number(o, "bytes_down", b->bytes_down);
	number(o, "rtt_ms", b->rtt_us / US_PER_MS);
	number(o, "connections_open", s->stack.connections_open);
	number(o, "connections_total", s->stack.connections_total);
	number(o, "dns_queries", s->stack.dns_queries);
	number(o, "udp_dropped", s->stack.udp_dropped);
	number(o, "frames_dropped", b->frames_dropped);
	number(o, "reconnects", b->reconnects);
	number(o, "given_up", b->given_up);
	number(o, "unknown_acks", b->unknown_acks);
	number(o, "keys_evicted", b->keys_evicted);
	number(o, "gaps_given_up", b->gaps_given_up);
	number(o, "rx_dropped", s->stack.rx_dropped);
	number(o, "acks_awaited", b->acks_awaited);
	number(o, "packets_kept", b->packets_kept);
	number(o, "reply_keys", b->reply_keys);
	number(o, "fragments_held", b->fragments_held);
	number(o, "packets_held", b->packets_held);
	number(o, "packets_queued", b->packets_queued);
	return o;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

static int replace(const char *path, const char *json)
{
	char tmp[4096];
	struct stat st;
	int fd, r;

	if (snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return -EINVAL;
	unlink(tmp); /* left by one of the same number, or not ours */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write_all(fd, json);
	if (r == 0)
		r = write_all(fd, "\n");
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(tmp);
	return r;
}

int statsfile_write(const char *path, const struct tunnel_stats *s)
{
	json_t *o = object(s);
	char *json = json_dumps(o, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	int r = json ? replace(path, json) : -ENOMEM;

	free(json);
	json_decref(o);
	return r;
}
