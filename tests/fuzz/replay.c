/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of the fuzz targets in ordinary builds: runs the target once on every file given, and on every file
 * of every folder given, so that corpora are ordinary tests. With clang's libFuzzer (meson -Dfuzz=true) this
 * file is left out.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static unsigned run;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = NULL;
	size_t len = 0;

	if (!f) {
		perror(path);
		return -1;
	}
	for (;;) {
		uint8_t *more = realloc(buf, len + 65536);
		size_t got;

		if (!more) {
			free(buf);
			fclose(f);
			return -1;
		}
		buf = more;
		got = fread(buf + len, 1, 65536, f);
		if (!got)
			break;
		len += got;
	}
	fclose(f);
	/* An exact copy, so that a sanitizer sees a read behind the end. */
	uint8_t *exact = malloc(len ? len : 1);

	for (size_t i = 0; exact && i < len; i++)
		exact[i] = buf[i];
	free(buf);
	if (!exact)
		return -1;
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	run++;
	return 0;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char sub[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		r |= replay_file(sub);
	}
	if (d)
		closedir(d);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++)
		r |= replay(argv[i]);
	printf("%u inputs\n", run);
	return r || !run;
}
