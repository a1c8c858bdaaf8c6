/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages between the shim (any thread of any process of the tree) and the tunnel. Pure codec: no
 * I/O, no malloc, async-signal-safe; fuzzed from both sides.
 *
 * Transport: an AF_UNIX SOCK_SEQPACKET listener, in a private directory (0700; of root 0711, whose programs
 * may go on as other users) or, for a tunnel inside a program, which may end without a chance to clean up,
 * under an abstract name of 128 random bits ("@name"; the client checks whose it is). One connection per
 * request: connect, one request message (descriptors by SCM_RIGHTS), one reply message, close. Nothing stays
 * open in the program, threads and forked children need no locks. The server checks SO_PEERCRED (same uid, or
 * a descendant of its process); a malformed message closes that client only.
 *
 * A socket is known by the SO_COOKIE of the *program's* end of its socketpair.
 *
 *   op           request fields                 descriptors   reply
 *   HELLO        -                              -             state, addr (IPv4), addr2 (IPv6), value = mtu
 *   SOCKET       cookie, family, kind           tunnel's end  -
 *   CONNECT      cookie, addr                   -             - (datagrams only; streams: see below)
 *   DISCONNECT   cookie                         -             - (datagrams: connect(AF_UNSPEC))
 *   BIND         cookie, addr                   -             addr, with the port that was chosen
 *   NAMES        cookie                         -             addr = local, addr2 = peer, state, family,
 *                                                             kind, value = 1: an option was set
 *   TAKE_ERROR   cookie                         -             value = errno recorded (then cleared), state
 *   FITS         cookie, addr, value = length   -             result EMSGSIZE: longer than the tunnel's
 *                                                             MTU, and with IP_RECVERR now an error queued
 *   TAKE_REPORT  cookie                         -             the error queue's oldest entry (IP_RECVERR):
 *                                                             value = errno, addr = who said it, addr2 =
 *                                                             destination, report; result EAGAIN: none
 *   SETOPT       cookie, level, name_opt, value -             -
 *   GETOPT       cookie, level, name_opt        -             value. SO_LINGER: CTL_LINGER; IPPROTO_TCP
 *                                                             with TCP_INFO: the state's number, with
 *                                                             SIOCOUTQ, SIOCOUTQNSD: that many bytes
 *   RESOLVE      family (0: both), name         -             names and addresses below
 *   REVERSE      addr                           -             name
 *   LOOPBACK     cookie, family                 -             a TCP socket of the kernel comes along, bound
 *                                                             to the loopback device (design D7); value = 1:
 *                                                             and to the port that BIND gave
 *   STATUS       -                              -             the tunnel as a whole: struct ctl_status, a
 *                                                             message of its own shape
 *
 * Stream sockets: after SOCKET the shim closes its copy of the tunnel's end. CONNECT goes through the pair
 * itself, as the first part of the write gate (gate.h), and has no reply. Success: the gate is read but for
 * its last byte (lag byte), and SO_SNDBUF restored through the duplicate of the program's end, which is
 * closed as soon as the attempt ends. Failure: error recorded, tunnel's end closed with gate bytes unread.
 *
 * Datagram sockets: each datagram in both directions is struct ctl_dgram followed by the payload (design D4).
 * An error of the network (ICMP) is recorded and shown by the kernel: the program's end reports ECONNRESET
 * once (poll: POLLERR), which means TAKE_ERROR (stack/pairerr.h). Both ends have names for that; the
 * program's is given before SOCKET.
 */
#ifndef STACK_CTL_CTL_H
#define STACK_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/addr.h"

#define CTL_VERSION 1
#define CTL_MSG_MAX 4096
#define CTL_BRIEF_MAX 304 /* a request, or a reply that is a struct ctl_brief */
#define CTL_NAME_MAX 255
#define CTL_ADDRS_MAX 128 /* what an answer of about 4 KB holds, and a reply of CTL_MSG_MAX */
#define CTL_QUOTE_MAX 512 /* bytes of ours that an ICMP error quoted */
#define CTL_LINGER(seconds) ((seconds) + 1) /* value of SO_LINGER when it is on; 0: off */

/* Socket address of "/path" or of the abstract "@name"; its length, or -ENAMETOOLONG. */
int ctl_sockaddr(struct sockaddr_un *ret, const char *path);

enum ctl_op {
	CTL_HELLO = 1,
	CTL_SOCKET,
	CTL_CONNECT,
	CTL_DISCONNECT,
	CTL_BIND,
	CTL_NAMES,
	CTL_TAKE_ERROR,
	CTL_SETOPT,
	CTL_GETOPT,
	CTL_RESOLVE,
	CTL_REVERSE,
	CTL_LOOPBACK,
	CTL_TAKE_REPORT,
	CTL_FITS,
	CTL_STATUS,
	CTL_OP_LAST = CTL_STATUS,
};

enum ctl_kind { CTL_STREAM = 1, CTL_DGRAM = 2, CTL_ICMP = 3 };

/* Life of a socket as the program may know it. */
enum ctl_state {
	CTL_FRESH,
	CTL_BOUND,
	CTL_CONNECTING,
	CTL_CONNECTED,
	CTL_FAILED, /* a stream that never was connected */
	CTL_CLOSED, /* one that was */
};

/* Answers of RESOLVE and REVERSE, besides errno in result. */
enum ctl_dns {
	CTL_DNS_OK,
	CTL_DNS_NONAME, /* NXDOMAIN */
	CTL_DNS_NODATA,
	CTL_DNS_AGAIN, /* SERVFAIL, timeout */
	CTL_DNS_FAIL,
};

struct ctl_req {
	enum ctl_op op;
	uint64_t cookie;
	uint8_t family; /* 4, 6, 0 */
	enum ctl_kind kind;
	struct addr addr;
	int32_t level, name_opt; /* SETOPT, GETOPT: Linux numbers */
	int32_t value;
	char name[CTL_NAME_MAX + 1]; /* RESOLVE; NUL-terminated, no NUL inside */
};

/* What IP_RECVERR tells: Linux's struct sock_extended_err, and what of our packet came back. */
struct ctl_report {
	uint8_t origin, type, code; /* SO_EE_ORIGIN_*, ICMP */
	uint32_t info;		    /* path MTU */
	uint16_t len;
	uint8_t quote[CTL_QUOTE_MAX];
};

/* A reply without names, lists and report: all that operations but RESOLVE, REVERSE and TAKE_REPORT have.
 * Small, since programs make calls in signal handlers and threads with little stack. */
struct ctl_brief {
	enum ctl_op op;
	int32_t result;
	enum ctl_state state;
	uint8_t family;
	enum ctl_kind kind;
	int32_t value;
	struct addr addr, addr2;
};

struct ctl_rep {
	enum ctl_op op; /* repeats the request's */
	int32_t result; /* 0, or an errno as Linux would give it */
	enum ctl_dns dns;
	enum ctl_state state;
	uint8_t family;
	enum ctl_kind kind;
	int32_t value;
	struct addr addr, addr2;
	char name[CTL_NAME_MAX + 1]; /* canonical name; REVERSE: the name */
	uint8_t n_addrs;
	struct addr addrs[CTL_ADDRS_MAX];
	struct ctl_report report;
};

/* The answer to STATUS, for people: texts without control characters, "" and 0 for what is not known. */
struct ctl_status {
	char state[CTL_NAME_MAX + 1], cause[CTL_NAME_MAX + 1]; /* design D15 */
	char command[CTL_NAME_MAX + 1];			       /* that runs in it */
	char exit[CTL_NAME_MAX + 1], gateway[CTL_NAME_MAX + 1];
	struct addr ip4, ip6;
	uint64_t uptime_ms, connections; /* connections that are open */
};

/* Message length, or SMX_ELIMIT. A control character of a status is sent as "?". */
int ctl_put_req(uint8_t *buf, size_t cap, const struct ctl_req *r);
int ctl_put_rep(uint8_t *buf, size_t cap, const struct ctl_rep *r);
int ctl_put_status(uint8_t *buf, size_t cap, const struct ctl_status *s);
/* 0; SMX_EPROTO: unknown op or version, wrong length, bad enum or address, trailing bytes. */
int ctl_get_req(struct ctl_req *r, const uint8_t *buf, size_t len);
int ctl_get_rep(struct ctl_rep *r, const uint8_t *buf, size_t len);
int ctl_get_status(struct ctl_status *s, const uint8_t *buf, size_t len);
int ctl_get_brief(struct ctl_brief *r, const uint8_t *buf,
		  size_t len); /* what it has no room for: SMX_EPROTO */

/* ---- header of a datagram on a datagram pair (native byte order inside: same machine) ---- */

#define CTL_DGRAM_MAGIC 0x534d5844u /* "SMXD" */
#define CTL_DGRAM_HDR 48
#define CTL_DGRAM_PAYLOAD_MAX 65507

enum ctl_dgram_flag {
	CTL_DGRAM_NO_ADDR = 1, /* towards the tunnel: to the connected peer */
	/* Towards the tunnel: this datagram has its own. Towards the program: the control message it asked
	   for, by level. */
	CTL_DGRAM_TTL = 2,
	CTL_DGRAM_TOS = 4,
	CTL_DGRAM_PKTINFO = 8,
	CTL_DGRAM_TTL6 = 16,
	CTL_DGRAM_TOS6 = 32,
	CTL_DGRAM_PKTINFO6 = 64,
};

struct ctl_dgram {
	uint8_t flags;
	struct addr addr;  /* to the tunnel: destination; to the program: source */
	uint8_t ttl, tos;  /* to the program: as received */
	uint8_t local[16]; /* to the program: the address it came to, of the source's family; to the tunnel,
			    * with CTL_DGRAM_PKTINFO: the loopback address to send from */
};

void ctl_put_dgram(uint8_t out[CTL_DGRAM_HDR], const struct ctl_dgram *d);
int ctl_get_dgram(struct ctl_dgram *d, const uint8_t *in,
		  size_t len); /* 0 or SMX_EPROTO (short, magic, family) */

#endif
