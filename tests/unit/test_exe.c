/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of executables, from made-up files with one property each; broken ones must not confuse. */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/exe.h"

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64, OTHER_MACHINE = EM_AARCH64 };
#else
enum { OUR_MACHINE = EM_AARCH64, OTHER_MACHINE = EM_X86_64 };
#endif

struct image {
	Elf64_Ehdr e;
	Elf64_Phdr p[2];
	char interp[64];
	struct {
		Elf64_Nhdr h;
		char name[4];
		char desc[4];
	} note[2];
};

static struct image dynamic(const char *interp)
{
	struct image i = { .e = { .e_type = ET_DYN,
				  .e_machine = OUR_MACHINE,
				  .e_phoff = offsetof(struct image, p),
				  .e_phentsize = sizeof(Elf64_Phdr),
				  .e_phnum = 1 } };

	memcpy(i.e.e_ident, ELFMAG, SELFMAG);
	i.e.e_ident[EI_CLASS] = ELFCLASS64;
	i.e.e_ident[EI_DATA] = ELFDATA2LSB;
	i.p[0] = (Elf64_Phdr){ .p_type = PT_INTERP,
			       .p_offset = offsetof(struct image, interp),
			       .p_filesz = sizeof(i.interp) };
	snprintf(i.interp, sizeof(i.interp), "%s", interp);
	return i;
}

static struct exe inspect(const void *data, size_t len)
{
	int fd = memfd_create("exe", MFD_CLOEXEC);
	struct exe x;

	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(exe_inspect(fd, &x), 0);
	close(fd);
	return x;
}

static enum exe_kind kind(const struct image *i)
{
	return inspect(i, sizeof(*i)).kind;
}

static void elf_kinds(void **state)
{
	struct image i = dynamic("/lib64/ld-linux-x86-64.so.2");
	struct exe x = inspect(&i, sizeof(i));

	assert_int_equal(x.kind, EXE_DYNAMIC);
	assert_string_equal(x.interp, "/lib64/ld-linux-x86-64.so.2");
	i = dynamic("/lib/ld-musl-x86_64.so.1");
	assert_int_equal(kind(&i), EXE_OTHER_LIBC);
	i.e.e_phnum = 0;
	assert_int_equal(kind(&i), EXE_STATIC);
	i = dynamic("/lib64/ld-linux-x86-64.so.2");
	i.e.e_machine = OTHER_MACHINE;
	assert_int_equal(kind(&i), EXE_FOREIGN);
	i.e.e_machine = OUR_MACHINE;
	i.e.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(kind(&i), EXE_FOREIGN);
}

static void go(void **state)
{
	struct image i = dynamic("/lib64/ld-linux-x86-64.so.2");

	i.e.e_phnum = 2;
	i.p[1] = (Elf64_Phdr){ .p_type = PT_NOTE,
			       .p_offset = offsetof(struct image, note),
			       .p_filesz = sizeof(i.note) };
	i.note[0].h = i.note[1].h = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 4 };
	memcpy(i.note[0].name, "GNU", 4);
	memcpy(i.note[1].name, "Go\0", 4);
	assert_int_equal(kind(&i), EXE_GO);
	memcpy(i.note[1].name, "Gox", 4);
	assert_int_equal(kind(&i), EXE_DYNAMIC);
	/* A note that claims to be larger than the file ends the search. */
	memcpy(i.note[1].name, "Go\0", 4);
	i.note[0].h.n_descsz = 0xfffffff0;
	assert_int_equal(kind(&i), EXE_DYNAMIC);
}

static void broken(void **state)
{
	struct image i = dynamic("/lib64/ld-linux-x86-64.so.2");

	assert_int_equal(inspect(&i, 3).kind, EXE_UNKNOWN);
	assert_int_equal(inspect(&i, sizeof(Elf64_Ehdr) - 1).kind, EXE_FOREIGN);
	assert_int_equal(inspect(&i, sizeof(Elf64_Ehdr)).kind, EXE_STATIC);
	i.e.e_phoff = UINT64_MAX - 8;
	assert_int_equal(kind(&i), EXE_STATIC);
	i = dynamic("/lib64/ld-linux-x86-64.so.2");
	i.e.e_phnum = 0xffff;
	assert_int_equal(kind(&i), EXE_DYNAMIC);
	assert_int_equal(exe_inspect(-1, &(struct exe){ .kind = EXE_UNKNOWN }), -9);
}

static void scripts(void **state)
{
	static const char plain[] = "#!/bin/sh -e\n", spaced[] = "#! \t/usr/bin/env python3\n",
			  none[] = "echo hi\n";
	char lengthy[600] = "#!/";
	struct exe x = inspect(plain, sizeof(plain) - 1);

	assert_int_equal(x.kind, EXE_SCRIPT);
	assert_string_equal(x.interp, "/bin/sh");
	x = inspect(spaced, sizeof(spaced) - 1);
	assert_string_equal(x.interp, "/usr/bin/env");
	assert_int_equal(inspect(none, sizeof(none) - 1).kind, EXE_UNKNOWN);
	assert_int_equal(inspect("", 0).kind, EXE_UNKNOWN);
	memset(lengthy + 3, 'x', sizeof(lengthy) - 3);
	x = inspect(lengthy, sizeof(lengthy));
	assert_int_equal(x.kind, EXE_SCRIPT);
	assert_true(strlen(x.interp) < EXE_INTERP_MAX);
}

static void system_files(void **state)
{
	struct exe x;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(exe_inspect(fd, &x), 0);
	assert_int_equal(x.kind, EXE_DYNAMIC);
	close(fd);
	fd = open(x.interp, O_RDONLY | O_CLOEXEC);
	assert_int_equal(exe_inspect(fd, &x), 0);
	assert_int_equal(x.kind, EXE_LOADER);
	close(fd);
}

static void refusals(void **state)
{
	static const enum exe_kind fine[] = { EXE_DYNAMIC, EXE_LOADER, EXE_SCRIPT, EXE_UNKNOWN };
	static const enum exe_kind bad[] = { EXE_STATIC, EXE_GO, EXE_FOREIGN, EXE_OTHER_LIBC };

	for (size_t i = 0; i < 4; i++) {
		assert_null(exe_refusal(fine[i]));
		assert_non_null(exe_refusal(bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elf_kinds), cmocka_unit_test(go),	     cmocka_unit_test(broken),
		cmocka_unit_test(scripts),   cmocka_unit_test(system_files), cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
