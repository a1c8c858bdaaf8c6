/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts and errno; log lines: level, one line, control bytes, length, errno kept. */
#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void errors(void **state)
{
	(void)state;
	for (int e = SMX_EBASE + 1; e < SMX_ELAST; e++) {
		assert_true(strlen(err_str(e)) > 3);
		assert_in_range(err_to_errno(e), 1, 200);
	}
	assert_string_equal(err_str(0), "success");
	assert_string_equal(err_str(-ENOENT), err_str(ENOENT));
	assert_string_equal(err_str(-99999), "unknown error");
	assert_int_equal(err_to_errno(0), 0);
	assert_int_equal(err_to_errno(-ECONNREFUSED), ECONNREFUSED);
	assert_int_equal(err_to_errno(ECONNREFUSED), ECONNREFUSED);
	assert_int_equal(err_to_errno(-4000), EIO);
	assert_int_equal(err_to_errno(-70000), EIO);
	assert_int_equal(err_to_errno(SMX_EROUTE), ENETUNREACH);
}

static void log_lines(void **state)
{
	char buf[2048], filler[700];
	int p[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_false(log_on(LOG_ERROR));
	log_init(p[1], LOG_INFO, "test");
	assert_true(log_on(LOG_INFO));
	assert_false(log_on(LOG_DEBUG));
	errno = 77;
	log_debug("never");
	log_warn("a\nb %d", 5);
	assert_int_equal(errno, 77);
	n = read(p[0], buf, sizeof(buf));
	assert_int_equal(n, 21);
	assert_memory_equal(buf, "test: warning: a?b 5\n", 21);
	/* U+009B begins an escape sequence as ESC [ does; other letters are left alone */
	log_error("\033[1m \302\2331m \303\251");
	n = read(p[0], buf, sizeof(buf));
	assert_int_equal(n, 26);
	assert_memory_equal(buf, "test: error: ?[1m ??1m \303\251\n", 26);
	memset(filler, 'x', sizeof(filler));
	filler[sizeof(filler) - 1] = '\0';
	log_error("%s", filler);
	n = read(p[0], buf, sizeof(buf));
	assert_int_equal(n, 512);
	assert_int_equal(buf[511], '\n');
	log_init(-1, LOG_INFO, "test");
	close(p[0]);
	close(p[1]);
}

/* What a peer says, in a line of ours. */
static void foreign_text(void **state)
{
	static const char said[] = "go\033[2J\302\233away\177 \303\251";
	char out[32], small[4];

	(void)state;
	log_printable(out, sizeof(out), said, sizeof(said) - 1);
	assert_string_equal(out, "go?[2J??away? ??");
	log_printable(small, sizeof(small), said, sizeof(said) - 1);
	assert_string_equal(small, "go?");
	log_printable(out, sizeof(out), NULL, 0);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(errors), cmocka_unit_test(log_lines),
					    cmocka_unit_test(foreign_text) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
