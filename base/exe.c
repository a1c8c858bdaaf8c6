/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspection of executables, for smolmix-run before exec and for the shim's exec hooks.
 *
 * Theory of operation. An ELF file is judged by its header (class, machine) and its program headers:
 * PT_INTERP names the loader, a PT_NOTE of owner "Go" marks Go. Every offset and count comes from the file
 * and is only used as an argument of pread, with reads of fixed size. Shared objects without PT_INTERP are
 * static programs (static-pie) unless they are named like glibc's loader.
 */
#include "base/exe.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "smolmix knows x86-64 and arm64"
#endif

#define PHDRS_MAX 64
#define NOTES_MAX 4096

static void script(const char *line, size_t len, struct exe *ret)
{
	size_t i = 2, n = 0;

	ret->kind = EXE_SCRIPT;
	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	while (i < len && line[i] != ' ' && line[i] != '\t' && line[i] != '\n' && line[i] &&
	       n < EXE_INTERP_MAX - 1)
		ret->interp[n++] = line[i++];
	ret->interp[n] = '\0';
}

static bool notes_say_go(int fd, const Elf64_Phdr *p)
{
	uint8_t buf[NOTES_MAX];
	size_t want = p->p_filesz < sizeof(buf) ? (size_t)p->p_filesz : sizeof(buf);
	ssize_t got = pread(fd, buf, want, (off_t)p->p_offset);
	size_t at = 0;
	Elf64_Nhdr n;

	while (got > 0 && at + sizeof(n) + 4 <= (size_t)got) {
		uint64_t next;

		memcpy(&n, buf + at, sizeof(n));
		if (n.n_namesz == 4 && buf[at + sizeof(n)] == 'G' && buf[at + sizeof(n) + 1] == 'o' &&
		    buf[at + sizeof(n) + 2] == '\0')
			return true;
		next = at + sizeof(n) + (((uint64_t)n.n_namesz + 3) & ~UINT64_C(3)) +
		       (((uint64_t)n.n_descsz + 3) & ~UINT64_C(3));
		if (next > (uint64_t)got)
			return false;
		at = (size_t)next;
	}
	return false;
}

static bool is_loader_name(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return !strncmp(base, "ld-linux", 8) || !strncmp(base, "ld-2.", 5);
}

static bool fd_is_loader(int fd)
{
	char link[64], path[EXE_INTERP_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return is_loader_name(path);
}

static void elf(int fd, const Elf64_Ehdr *e, struct exe *ret)
{
	bool interp = false, go = false;

	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != OUR_MACHINE) {
		ret->kind = EXE_FOREIGN;
		return;
	}
	for (unsigned i = 0; i < e->e_phnum && i < PHDRS_MAX; i++) {
		Elf64_Phdr p;

		if (pread(fd, &p, sizeof(p), (off_t)(e->e_phoff + (uint64_t)i * e->e_phentsize)) != sizeof(p))
			break;
		if (p.p_type == PT_INTERP) {
			size_t want =
				p.p_filesz < EXE_INTERP_MAX - 1 ? (size_t)p.p_filesz : EXE_INTERP_MAX - 1;
			ssize_t n = pread(fd, ret->interp, want, (off_t)p.p_offset);

			ret->interp[n > 0 ? n : 0] = '\0';
			interp = n > 0;
		}
		if (p.p_type == PT_NOTE && notes_say_go(fd, &p))
			go = true;
	}
	if (go)
		ret->kind = EXE_GO;
	else if (!interp)
		ret->kind = fd_is_loader(fd) ? EXE_LOADER : EXE_STATIC;
	else
		ret->kind = is_loader_name(ret->interp) ? EXE_DYNAMIC : EXE_OTHER_LIBC;
}

int exe_inspect(int fd, struct exe *ret)
{
	union {
		char text[EXE_INTERP_MAX];
		Elf64_Ehdr elf;
	} head = { { 0 } };
	ssize_t n = pread(fd, head.text, sizeof(head.text), 0);

	if (n < 0)
		return -errno;
	ret->interp[0] = '\0';
	ret->kind = EXE_UNKNOWN;
	if (n > 2 && head.text[0] == '#' && head.text[1] == '!')
		script(head.text, (size_t)n, ret);
	else if (n >= (ssize_t)sizeof(Elf64_Ehdr) && !strncmp(head.text, ELFMAG, SELFMAG))
		elf(fd, &head.elf, ret);
	else if (n >= (ssize_t)sizeof(Elf32_Ehdr) && !strncmp(head.text, ELFMAG, SELFMAG))
		ret->kind = EXE_FOREIGN;
	return 0;
}

const char *exe_refusal(enum exe_kind kind)
{
	switch (kind) {
	case EXE_STATIC: return "is statically linked";
	case EXE_GO: return "is a Go program, which does not use libc for sockets";
	case EXE_FOREIGN: return "is built for another architecture";
	case EXE_OTHER_LIBC: return "uses a C library that is not glibc";
	case EXE_DYNAMIC:
	case EXE_LOADER:
	case EXE_SCRIPT:
	case EXE_UNKNOWN: break;
	}
	return NULL;
}
