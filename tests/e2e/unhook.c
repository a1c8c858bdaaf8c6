/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes one hook of the shim away: built with -DHOOK=name and preloaded before the shim, it sends that call
 * straight to libc. What the program then does is what it would do had the shim forgotten the call.
 */
#include <dlfcn.h>
#include <unistd.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

__attribute__((visibility("hidden"))) void *unhook_target;
__attribute__((visibility("hidden"))) void unhook_resolve(void);

void unhook_resolve(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	unhook_target = libc ? dlsym(libc, TEXT(HOOK)) : NULL;
	if (!unhook_target)
		_exit(126);
}

/* Any signature: the arguments stay where they are. */
/* clang-format off */
__asm__(".globl " TEXT(HOOK) "\n"
	".type " TEXT(HOOK) ", @function\n"
	TEXT(HOOK) ":\n"
	"	cmpq $0, unhook_target(%rip)\n"
	"	jne 1f\n"
	"	push %rax\n	push %rdi\n	push %rsi\n	push %rdx\n	push %rcx\n	push %r8\n	push %r9\n"
	"	call unhook_resolve\n"
	"	pop %r9\n	pop %r8\n	pop %rcx\n	pop %rdx\n	pop %rsi\n	pop %rdi\n	pop %rax\n"
	"1:	jmp *unhook_target(%rip)\n");
/* clang-format on */
