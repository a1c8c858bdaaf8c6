/* SPDX-License-Identifier: Apache-2.0 */
/* Results of getaddrinfo() and its kin, by name. */
#ifndef TESTS_SHIM_T_EAI_H
#define TESTS_SHIM_T_EAI_H

#include <netdb.h>
#include <stddef.h>

static const struct {
	int value;
	const char *name;
} t_eais[] = {
	{ 0, "ok" },
	{ EAI_AGAIN, "AGAIN" },
	{ EAI_BADFLAGS, "BADFLAGS" },
	{ EAI_FAIL, "FAIL" },
	{ EAI_FAMILY, "FAMILY" },
	{ EAI_NONAME, "NONAME" },
	{ EAI_SERVICE, "SERVICE" },
	{ EAI_SOCKTYPE, "SOCKTYPE" },
	{ EAI_NODATA, "NODATA" },
	{ EAI_ADDRFAMILY, "ADDRFAMILY" },
	{ EAI_OVERFLOW, "OVERFLOW" },
	{ EAI_IDN_ENCODE, "IDN" },
	{ EAI_SYSTEM, "SYSTEM" },
	{ EAI_ALLDONE, "ALLDONE" },
	{ EAI_INPROGRESS, "INPROGRESS" },
};

static inline const char *t_eai(int e)
{
	for (size_t i = 0; i < sizeof(t_eais) / sizeof(t_eais[0]); i++)
		if (t_eais[i].value == e)
			return t_eais[i].name;
	return "?";
}

#endif
