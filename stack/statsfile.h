/* SPDX-License-Identifier: Apache-2.0 */
/* The --stats-json file: one JSON object, replaced atomically. */
#ifndef STACK_STATSFILE_H
#define STACK_STATSFILE_H

#include "stack/tunnel.h"

/* 0 or -errno. */
int statsfile_write(const char *path, const struct tunnel_stats *s);

#endif
