/* SPDX-License-Identifier: Apache-2.0 */
/* International names, by the library glibc uses for them. Loads a library: not async-signal-safe. */
#ifndef SHIM_IDN_H
#define SHIM_IDN_H

#include <stddef.h>

/* From the program's locale to letters DNS knows; a name that is ASCII already is left as it is. 0,
 * EAI_IDN_ENCODE or EAI_MEMORY. */
int idn_to_dns(const char *name, char *out, size_t cap);
/* Back again. 0, or EAI_IDN_ENCODE: the name cannot be shown in this locale, the encoded form must do. */
int idn_from_dns(const char *name, char *out, size_t cap);

#endif
