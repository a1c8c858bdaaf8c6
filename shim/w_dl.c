/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlopen without RTLD_DEEPBIND. A library loaded with that flag looks its symbols up in itself and what it
 * needs before the hooks: it would be bound to libc's socket functions and have no network at all, because of
 * the guard. php loads its extensions so, Apache httpd its modules.
 *
 * dlopen() looks at its return address: the caller's search path and its linker namespace count. So the flag
 * is cleared and libc's function jumped to, which C has no words for.
 */
#include <dlfcn.h>

#include "shim/hooks.h"
#include "shim/real.h"

_Static_assert(RTLD_DEEPBIND == 8, "the mask below");

HOOK void *dlopen(const char *name, int mode);

#if defined(__x86_64__)
__asm__(".text\n"
	".p2align 4\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	".cfi_startproc\n"
	"endbr64\n"
	"push %rdi\n"
	".cfi_adjust_cfa_offset 8\n"
	"push %rsi\n"
	".cfi_adjust_cfa_offset 8\n"
	"sub $8, %rsp\n" /* the stack is on 16 at a call */
	".cfi_adjust_cfa_offset 8\n"
	"call real_dlopen\n"
	"add $8, %rsp\n"
	".cfi_adjust_cfa_offset -8\n"
	"pop %rsi\n"
	".cfi_adjust_cfa_offset -8\n"
	"pop %rdi\n"
	".cfi_adjust_cfa_offset -8\n"
	"and $~8, %esi\n"
	"jmp *%rax\n"
	".cfi_endproc\n"
	".size dlopen, . - dlopen\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".globl dlopen\n"
	".type dlopen, %function\n"
	"dlopen:\n"
	".cfi_startproc\n"
	"hint #34\n" /* bti c */
	"stp x29, x30, [sp, #-32]!\n"
	".cfi_def_cfa_offset 32\n"
	".cfi_offset 29, -32\n"
	".cfi_offset 30, -24\n"
	"stp x0, x1, [sp, #16]\n"
	"bl real_dlopen\n"
	"mov x16, x0\n"
	"ldp x0, x1, [sp, #16]\n"
	"ldp x29, x30, [sp], #32\n"
	".cfi_restore 29\n"
	".cfi_restore 30\n"
	".cfi_def_cfa_offset 0\n"
	"and w1, w1, #0xfffffff7\n"
	"br x16\n"
	".cfi_endproc\n"
	".size dlopen, . - dlopen\n");
#endif
