/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets: one lwIP pcb, one stream socketpair. Event bits, since the two directions open and close on
 * their own.
 *
 *   bit         means                                   caveat
 *   CONNECTING  SYN sent, or waiting for the link       reading the gate's bytes lets the program write
 *   CONNECTED   the far SYN-ACK has come                one forwarded byte may lie unread (lag byte)
 *   TX_EOF      program shut its side down or closed    all it wrote is read; FIN follows the last byte
 *   RX_EOF      far side sent FIN                       what it sent may wait for room in the socketpair
 *   GONE        program closed                          nothing can be delivered any more
 *   DEAD        the pcb is gone                         only the close of the descriptor is left
 */
#ifndef STACK_CONN_H
#define STACK_CONN_H

#include "stack/sock.h"

struct conn;

/* Takes fd (tunnel's end of a stream pair). NULL: errno. */
struct conn *conn_new(struct socks *all, uint64_t cookie, uint8_t family, int fd);
struct sock *conn_sock(struct conn *c);
struct conn *conn_from_sock(struct sock *s);
/* For a socket of the tunnel's own that is neither connected nor connecting; programs ask through the socket
 * itself (stack/ctl/gate.h). 0 or errno: the attempt has failed already. */
int conn_connect(struct conn *c, const struct addr *to);
/* Before connect: local address for getsockname. 0 or errno. */
int conn_bind(struct conn *c, const struct addr *at);
/* The kernel's socket that has the port (loopback.h), for a program that listens or connects to this machine;
 * the caller's from then on. -1: none. */
int conn_take_loopback(struct conn *c);
int conn_setopt(struct conn *c, int level, int name, int value);
int conn_getopt(struct conn *c, int level, int name, int *ret);
/* The link is up: connections that waited go on. */
void conn_link_up(struct conn *c);
/* Our address is about to change: a connection ends, an attempt to connect begins
 * again with conn_link_up(). */
void conn_readdress(struct conn *c);
/* lwIP has room again (link writable). */
void conn_writable(struct conn *c);
/* An ICMP error about this connection's packets. */
void conn_icmp(struct conn *c, int err);
/* Resets: recorded errno, native reset for the program. */
void conn_abort(struct conn *c, int err);
/* The one that ended first makes room: who asks for its error or names is late. False: none has ended. */
bool conn_forget(struct socks *all);
/* Resets both sides and ends it, for the end of the stack. */
void conn_free(struct conn *c);
/* True when the local port and far address are this connection's. */
bool conn_matches(const struct conn *c, uint16_t local_port, const struct addr *remote);

#endif
