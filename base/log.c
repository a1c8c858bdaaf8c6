/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One write(2) per line into a borrowed descriptor. The sink is one of the three allowed globals: set once at
 * start, read by every thread.
 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE 512

static struct {
	int fd;
	enum log_level level;
	const char *prefix;
} sink = { .fd = -1, .level = LOG_NONE, .prefix = "smolmix" };

void log_init(int fd, enum log_level level, const char *prefix)
{
	sink.fd = fd;
	sink.level = level;
	sink.prefix = prefix;
}

bool log_on(enum log_level level)
{
	return sink.fd >= 0 && level <= sink.level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const word[] = { "", "error: ", "warning: ", "", "debug: ", "trace: " };
	char line[LINE + 1];
	int saved = errno, n, m;
	va_list ap;

	if (!log_on(level))
		return;
	n = snprintf(line, LINE, "%s: %s", sink.prefix, word[level]);
	if (n < 0 || n >= LINE)
		n = 0;
	va_start(ap, fmt);
	m = vsnprintf(line + n, (size_t)(LINE - n), fmt, ap);
	va_end(ap);
	if (m < 0)
		m = 0;
	n = n + m < LINE ? n + m : LINE - 1;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	if (write(sink.fd, line, (size_t)n) < 0)
		n = 0; /* nowhere to report it */
	errno = saved;
}
