/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking control client for the shim: one connection per request, no malloc, async-signal-safe, own inline
 * system calls only through base/fd.h and libc's raw syscall(2) entry (never the interposed names).
 */
#ifndef STACK_CTL_CLIENT_H
#define STACK_CTL_CLIENT_H

#include <sys/types.h>

#include "stack/ctl/ctl.h"

/*
 * Sends req with fds (nfds <= 1, borrowed) to the server at path and waits for the reply. 0: *rep is filled
 * (rep->result may be an errno) and *ret_fd, unless NULL, is the descriptor that came along (close-on-exec)
 * or -1. -ENETDOWN: no server, or another user's. -EPROTO: the answer made no sense. timeout_ms -1 = for
 * ever. EINTR is retried. Needs 1 KB of stack.
 */
int ctl_call(const char *path, const struct ctl_req *req, const int *fds, size_t nfds, struct ctl_brief *rep,
	     int *ret_fd, int timeout_ms);
/* The same for RESOLVE, REVERSE and TAKE_REPORT. Needs 10 KB of stack. */
int ctl_call_long(const char *path, const struct ctl_req *req, struct ctl_rep *rep, int timeout_ms);
/* STATUS, of a tunnel of this user's or of root's. 0: *s and *ret_pid, the process that listens, which is
 * known with the errors of the calls above, too. -EPERM: somebody else's. -ECONNREFUSED: nobody listens;
 * -ENOENT: nothing is there. */
int ctl_call_status(const char *path, struct ctl_status *s, pid_t *ret_pid, int timeout_ms);

#endif
