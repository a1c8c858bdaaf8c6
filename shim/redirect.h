/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before the first line (gcc -include) of the sources that the shim shares with lower floors: binds
 * the calls in them that the shim interposes to the kernel, so that a hook never reaches itself. Definitions:
 * redirect.c.
 */
#ifndef SHIM_REDIRECT_H
#define SHIM_REDIRECT_H

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern __typeof(socket) socket __asm__("shim_raw_socket");
extern __typeof(socketpair) socketpair __asm__("shim_raw_socketpair");
extern __typeof(connect) connect __asm__("shim_raw_connect");
extern __typeof(send) send __asm__("shim_raw_send");
extern __typeof(recv) recv __asm__("shim_raw_recv");
extern __typeof(sendmsg) sendmsg __asm__("shim_raw_sendmsg");
extern __typeof(recvmsg) recvmsg __asm__("shim_raw_recvmsg");
extern __typeof(getsockopt) getsockopt __asm__("shim_raw_getsockopt");
extern __typeof(setsockopt) setsockopt __asm__("shim_raw_setsockopt");
extern __typeof(read) read __asm__("shim_raw_read");
extern __typeof(write) write __asm__("shim_raw_write");
extern __typeof(syscall) syscall __asm__("shim_raw_syscall");

#endif
