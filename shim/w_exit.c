/* SPDX-License-Identifier: Apache-2.0 */
/*
 * _exit and _Exit: exit without the destructors that would let a tunnel in this process send what is left
 * (bare.c). exit() and quick_exit() of libc do not come here: they end inside libc, exit() after the
 * destructors.
 */
#include <stdlib.h>
#include <unistd.h>

#include "shim/bare.h"
#include "shim/hooks.h"
#include "shim/real.h"

static _Noreturn void leave(int status)
{
	bare_finish();
	for (;;)
		real_syscall(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

HOOK _Noreturn void _exit(int status)
{
	leave(status);
}

HOOK _Noreturn void _Exit(int status)
{
	leave(status);
}
