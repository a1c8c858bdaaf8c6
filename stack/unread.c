/* SPDX-License-Identifier: Apache-2.0 */
/* See unread.h. */
#include "stack/unread.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static int unread_bytes(int fd)
{
	int n = 0;

	ioctl(fd, SIOCOUTQ, &n);
	return n;
}

bool unread_below(struct unread *u, int fd, unsigned most)
{
	int bytes = unread_bytes(fd);

	while (u->n && (u->bytes > bytes || !bytes)) {
		u->bytes -= u->cost[u->oldest];
		u->oldest = (u->oldest + 1) % UNREAD_MAX;
		u->n--;
	}
	return u->n < most;
}

void unread_add(struct unread *u, int fd)
{
	int cost = unread_bytes(fd) - u->bytes;

	u->cost[(u->oldest + u->n++) % UNREAD_MAX] = cost > 0 ? cost : 0;
	u->bytes += cost > 0 ? cost : 0;
}
