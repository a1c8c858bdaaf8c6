/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for x_shim: to which socket() it is bound, and what it loads itself. Built twice: as libdeep,
 * whose search path is its own folder, and as libdeeper, which lies there.
 */
#include <dlfcn.h>
#include <sys/socket.h>

int (*deep_socket(void))(int, int, int);
void *deep_load(const char *name, int mode);

int (*deep_socket(void))(int, int, int)
{
	return socket;
}

/* Not a tail call (see meson.build): dlopen() looks at who calls it. */
void *deep_load(const char *name, int mode)
{
	return dlopen(name, mode);
}
