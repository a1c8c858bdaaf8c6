/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getifaddrs and the if_* family.
 *
 * Theory of operation. FTP, WebRTC, BitTorrent and others publish the addresses they find on the machine's
 * interfaces, so the host's real ones must not be among them. libc's freeifaddrs() and if_freenameindex()
 * release what is made here: one block, and a block with a block for each name, exactly as libc allocates
 * them.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/hooks.h"
#include "shim/iface.h"
#include "shim/real.h"
#include "shim/sock.h"

#define ENTRIES (2 * IFACES)

int iface_list(struct iface out[IFACES])
{
	static const struct iface loopback = { "lo",
					       { .family = 4, .ip = { 127, 0, 0, 1 } },
					       { .family = 6, .ip = { [15] = 1 } },
					       65536,
					       IFF_UP | IFF_LOOPBACK | IFF_RUNNING };
	struct ctl_req req = { .op = CTL_HELLO };
	struct ctl_brief rep;
	int r = sock_request(&req, NULL, 0, &rep);

	if (r < 0)
		return r;
	out[0] = loopback;
	out[1] = (struct iface){ "smolmix0", rep.addr, rep.addr2, rep.value,
				 IFF_UP | IFF_POINTOPOINT | IFF_RUNNING };
	return 0;
}

/* What getifaddrs() returns, in one block. */
struct listing {
	struct ifaddrs entry[ENTRIES];
	struct sockaddr_storage addr[ENTRIES], mask[ENTRIES];
	char name[ENTRIES][IFNAMSIZ];
};

static void put_entry(struct listing *l, unsigned n, const struct iface *f, const struct addr *a)
{
	struct ifaddrs *e = &l->entry[n];
	struct addr mask = { .family = a->family };
	bool wide =
		a->family == 4 && f->flags & IFF_LOOPBACK; /* 127.0.0.0/8; all others are single addresses */

	memset(mask.ip, 0xff, wide ? 1 : a->family == 4 ? 4 : 16);
	addr_to_sockaddr(a, &l->addr[n], false);
	addr_to_sockaddr(&mask, &l->mask[n], false);
	memcpy(l->name[n], f->name, strlen(f->name) + 1);
	e->ifa_name = l->name[n];
	e->ifa_flags = (unsigned)f->flags;
	e->ifa_addr = (struct sockaddr *)&l->addr[n];
	e->ifa_netmask = (struct sockaddr *)&l->mask[n];
	if (n)
		l->entry[n - 1].ifa_next = e;
}

static int get_ifaddrs(struct ifaddrs **ret)
{
	struct iface f[IFACES];
	struct listing *l;
	unsigned n = 0;
	int r = iface_list(f);

	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	for (int i = 0; i < IFACES; i++) {
		if (f[i].addr4.family)
			put_entry(l, n++, &f[i], &f[i].addr4);
		if (f[i].addr6.family)
			put_entry(l, n++, &f[i], &f[i].addr6);
	}
	*ret = l->entry;
	return 0;
}

HOOK int getifaddrs(struct ifaddrs **ret)
{
	return (int)real_ret(get_ifaddrs(ret));
}

HOOK unsigned if_nametoindex(const char *name)
{
	struct iface f[IFACES];
	int r = iface_list(f);

	for (unsigned i = 0; r == 0 && i < IFACES; i++)
		if (!strcmp(name, f[i].name))
			return i + 1;
	errno = r < 0 ? -r : ENODEV;
	return 0;
}

HOOK char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
	struct iface f[IFACES];
	int r = iface_list(f);

	if (r < 0 || !index || index > IFACES) {
		errno = r < 0 ? -r : ENXIO;
		return NULL;
	}
	return memcpy(name, f[index - 1].name, strlen(f[index - 1].name) + 1);
}

HOOK struct if_nameindex *if_nameindex(void)
{
	struct iface f[IFACES];
	struct if_nameindex *list;
	int r = iface_list(f);

	list = r < 0 ? NULL : calloc(IFACES + 1, sizeof(*list));
	for (unsigned i = 0; list && i < IFACES; i++) {
		list[i].if_index = i + 1;
		list[i].if_name = strdup(f[i].name);
		if (!list[i].if_name) {
			if_freenameindex(list);
			list = NULL;
		}
	}
	if (!list)
		errno = r < 0 ? -r : ENOBUFS;
	return list;
}
