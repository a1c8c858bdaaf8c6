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

/* C0, DEL, and what UTF-8 makes of C1: terminals take U+009B for the beginning of an escape sequence. */
static void replace_controls(char *line, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i], next = i + 1 < n ? (unsigned char)line[i + 1] : 0;

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			line[i] = line[i + 1] = '?';
	}
}

void log_printable(char *out, size_t cap, const char *text, size_t len)
{
	size_t n = len < cap - 1 ? len : cap - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[n] = '\0';
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
	replace_controls(line, n);
	line[n++] = '\n';
	if (write(sink.fd, line, (size_t)n) < 0)
		n = 0; /* nowhere to report it */
	errno = saved;
}
