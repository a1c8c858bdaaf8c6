/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. As in glibc, libidn2 is loaded when the first such name comes (AI_IDN, AI_CANONIDN,
 * NI_IDN), and its absence is EAI_IDN_ENCODE. It stays loaded; dlopen counts, so nothing is remembered here.
 */
#include "shim/idn.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libidn2.so.0"
#define IDN2_MALLOC (-100) /* idn2.h */

typedef int (*convert)(const char *in, char **out, int flags);

static int by_library(const char *function, const char *name, char *out, size_t cap)
{
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	convert f = lib ? (convert)dlsym(lib, function) : NULL;
	char *got = NULL;
	int r;

	if (!f)
		return EAI_IDN_ENCODE;
	r = f(name, &got, 0);
	if (r == IDN2_MALLOC)
		return EAI_MEMORY;
	if (r == 0 && strlen(got) < cap)
		memcpy(out, got, strlen(got) + 1);
	else
		r = EAI_IDN_ENCODE;
	free(got);
	return r;
}

int idn_to_dns(const char *name, char *out, size_t cap)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] & 0x80)
			return by_library("idn2_lookup_ul", name, out, cap);
	if (len >= cap)
		return EAI_IDN_ENCODE;
	memcpy(out, name, len + 1);
	return 0;
}

int idn_from_dns(const char *name, char *out, size_t cap)
{
	return by_library("idn2_to_unicode_lzlz", name, out, cap);
}
