/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getaddrinfo_a.
 *
 * Theory of operation. libc's version hands the list to threads of its own, inside which no hook sees the
 * lookups; and the shim makes no threads. So the whole list is looked up inside the call, in both modes:
 * GAI_NOWAIT blocks for as long as the lookups take, and what it started is done when it returns. That is
 * within its contract (a request may be done at any time), only slower to return. The rest follows by itself:
 * gai_error is a field of the request, and libc's own gai_suspend and gai_cancel, which know no such request,
 * say EAI_ALLDONE. A signal is sent as libc sends it; SIGEV_THREAD asks for a thread and is refused.
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "shim/hooks.h"
#include "shim/real.h"

static void tell(const struct sigevent *sig)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	si.si_signo = sig->sigev_signo;
	si.si_code = SI_ASYNCNL;
	si.si_pid = getpid();
	si.si_uid = getuid();
	si.si_value = sig->sigev_value;
	real_syscall(SYS_rt_sigqueueinfo, si.si_pid, si.si_signo, (long)&si, 0, 0, 0);
}

HOOK int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n, struct sigevent *restrict sig)
{
	int notify = mode == GAI_NOWAIT && sig ? sig->sigev_notify : SIGEV_NONE;

	if ((mode != GAI_WAIT && mode != GAI_NOWAIT) || notify == SIGEV_THREAD) {
		errno = notify == SIGEV_THREAD ? ENOSYS : EINVAL;
		return EAI_SYSTEM;
	}
	for (int i = 0; i < n; i++)
		if (list[i])
			list[i]->__return = getaddrinfo(list[i]->ar_name, list[i]->ar_service,
							list[i]->ar_request, &list[i]->ar_result);
	if (notify == SIGEV_SIGNAL)
		tell(sig);
	return 0;
}
