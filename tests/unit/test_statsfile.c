/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics file: always whole, and never in the place of something that is no file. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/statsfile.h"

struct fix {
	char dir[40], path[64], beside[96];
};

static const struct tunnel_stats stats = { .bridge = { .profile = "default", .exit_version = 9 } };

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/smolmix-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/stats", f->dir);
	snprintf(f->beside, sizeof(f->beside), "%s.%d.tmp", f->path, (int)getpid());
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	unlink(f->path);
	unlink(f->beside);
	rmdir(f->dir);
	free(f);
	return 0;
}

static json_int_t version(const struct fix *f)
{
	json_t *o = json_load_file(f->path, 0, NULL);
	json_int_t v;

	assert_non_null(o);
	v = json_integer_value(json_object_get(o, "exit_version"));
	json_decref(o);
	return v;
}

static void written(void **state)
{
	struct fix *f = *state;
	struct tunnel_stats newer = stats;

	assert_int_equal(statsfile_write(f->path, &stats), 0);
	assert_int_equal(version(f), 9);
	newer.bridge.exit_version = 10;
	assert_int_equal(statsfile_write(f->path, &newer), 0);
	assert_int_equal(version(f), 10);
	assert_int_equal(access(f->beside, F_OK), -1);
}

/* Room for a part of it: the last one stays, and the reason is the write's own. */
static void no_room(void **state)
{
	struct fix *f = *state;
	struct rlimit old, few;

	assert_int_equal(statsfile_write(f->path, &stats), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	few = old;
	few.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &few);
	errno = ENOENT;
	assert_int_equal(statsfile_write(f->path, &stats), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(version(f), 9);
	assert_int_equal(access(f->beside, F_OK), -1);
}

static void no_directory(void **state)
{
	(void)state;
	assert_int_equal(statsfile_write("/nowhere/stats", &stats), -ENOENT);
	assert_int_equal(statsfile_write("/proc/stats", &stats), -ENOENT);
}

/* A device or a pipe would be gone: root's /dev/null, say. */
static void no_file(void **state)
{
	struct fix *f = *state;
	struct stat st;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(statsfile_write(f->path, &stats), -EINVAL);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(statsfile_write(f->dir, &stats), -EINVAL);
}

/* What lies in the way of the file beside it, in a folder that others write to, is not written through. */
static void link_beside(void **state)
{
	struct fix *f = *state;
	char other[64];
	struct stat st;

	snprintf(other, sizeof(other), "%s/other", f->dir);
	assert_int_equal(close(open(other, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(symlink(other, f->beside), 0);
	assert_int_equal(statsfile_write(f->path, &stats), 0);
	assert_int_equal(version(f), 9);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(written), T(no_room), T(no_directory), T(no_file),
					    T(link_beside) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
