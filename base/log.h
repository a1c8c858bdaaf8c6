/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one write(2) per line, no stdio, no malloc, errno kept. Default sink is nothing.
 *
 * Destinations (names, addresses of users' peers), node choices and keys are logged at LOG_TRACE only;
 * LOG_TRACE is reached by -vv, never by default.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* fd is borrowed and must stay open; -1 = no output. prefix is a string literal ("smolmix-run"). */
void log_init(int fd, enum log_level level, const char *prefix);
bool log_on(enum log_level level);
/* printf subset of vsnprintf; lines longer than 512 bytes are cut. Control characters, those of Unicode's
 * second block (C1) included, are replaced by '?'. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What a peer says, fit for a line of ours: all but printable ASCII becomes '?', what does not fit is left
 * out. */
void log_printable(char *out, size_t cap, const char *text, size_t len);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_line(LOG_TRACE, __VA_ARGS__)

#endif
