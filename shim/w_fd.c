/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioctl on our sockets.
 *
 * Theory of operation. close, dup, fcntl and poll need no hook (design D2): a descriptor is known by its
 * cookie, and the shim keeps none of its own open. What is left are the ioctls whose answer differs: FIONREAD
 * counts the datagram header, and questions about interfaces are answered with `lo` and one interface that
 * has the tunnel's address, never with the host's real ones.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/dgram.h"
#include "shim/hooks.h"
#include "shim/iface.h"
#include "shim/real.h"
#include "shim/sock.h"

static void put_addr(struct sockaddr *sa, const struct addr *a)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET };

	if (a->family == 4)
		addr_to_sockaddr(a, &ss, false);
	memcpy(sa, &ss, sizeof(*sa));
}

static int list_interfaces(const struct iface ifs[IFACES], struct ifconf *c)
{
	int n = 0;

	if (!c->ifc_buf) {
		c->ifc_len = IFACES * (int)sizeof(struct ifreq);
		return 0;
	}
	for (; n < IFACES && (n + 1) * (int)sizeof(struct ifreq) <= c->ifc_len; n++) {
		struct ifreq *r = &c->ifc_req[n];

		memset(r, 0, sizeof(*r));
		strncpy(r->ifr_name, ifs[n].name, IFNAMSIZ - 1);
		put_addr(&r->ifr_addr, &ifs[n].addr4);
	}
	c->ifc_len = n * (int)sizeof(struct ifreq);
	return 0;
}

static int about_interface(const struct iface *f, int index, unsigned long request, struct ifreq *r)
{
	const struct addr host_mask = { .family = 4, .ip = { 255, 255, 255, 255 } };
	const struct addr lo_mask = { .family = 4, .ip = { 255 } };

	switch (request) {
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR: put_addr(&r->ifr_addr, &f->addr4); return 0;
	case SIOCGIFNETMASK: put_addr(&r->ifr_netmask, index == 1 ? &lo_mask : &host_mask); return 0;
	case SIOCGIFFLAGS: r->ifr_flags = f->flags; return 0;
	case SIOCGIFMTU: r->ifr_mtu = f->mtu; return 0;
	case SIOCGIFINDEX: r->ifr_ifindex = index; return 0;
	case SIOCGIFNAME: strncpy(r->ifr_name, f->name, IFNAMSIZ - 1); return 0;
	}
	return -EPERM;
}

static int interface_call(unsigned long request, void *arg)
{
	struct iface ifs[IFACES];
	struct ifreq *r = arg;
	int e;

	if (!arg)
		return -EFAULT;
	e = iface_list(ifs);
	if (e < 0)
		return e;
	if (request == SIOCGIFCONF)
		return list_interfaces(ifs, arg);
	for (int i = 0; i < IFACES; i++) {
		bool named = request == SIOCGIFNAME ? r->ifr_ifindex == i + 1
						    : !strncmp(r->ifr_name, ifs[i].name, IFNAMSIZ);

		if (named)
			return about_interface(&ifs[i], i + 1, request, r);
	}
	return -ENODEV;
}

/* The pair's queue says nothing about what the far end has acknowledged: the tunnel knows. */
static int unsent(const struct sock *s, unsigned long request, int *ret)
{
	struct ctl_req req = { .level = IPPROTO_TCP, .name_opt = (int)request };
	struct ctl_brief rep;
	int r = sock_ask(s, CTL_GETOPT, &req, &rep);

	if (r == 0 && !ret)
		r = -EFAULT;
	if (r == 0)
		*ret = rep.value;
	return r;
}

int shim_ioctl(int fd, unsigned long request, void *arg)
{
	struct sock s;

	if (!sock_find(fd, &s))
		return (int)real_syscall(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
	if (request == FIONREAD && s.kind != CTL_STREAM) {
		*(int *)arg = dgram_next_len(fd);
		return 0;
	}
	if (request == SIOCATMARK) {
		*(int *)arg = 0;
		return 0;
	}
	if (s.kind == CTL_STREAM &&
	    (request == SIOCOUTQ || request == SIOCOUTQNSD)) /* a datagram in the pair is not sent yet */
		return unsent(&s, request, arg);
	if (request >> 8 == 0x89 && request != SIOCSPGRP && request != FIOSETOWN && request != SIOCGPGRP &&
	    request != FIOGETOWN)
		return interface_call(request, arg);
	return (int)real_syscall(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

HOOK int ioctl(int fd, unsigned long request, ...)
{
	void *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return (int)real_ret(shim_ioctl(fd, request, arg));
}
