/* SPDX-License-Identifier: Apache-2.0 */
/* The --stats-json file: one JSON object, replaced atomically. */
#ifndef TOOLS_RUN_STATSFILE_H
#define TOOLS_RUN_STATSFILE_H

#include "stack/tunnel.h"

/* 0 or -errno. */
int statsfile_write(const char *path, const struct tunnel_stats *s);

#endif
