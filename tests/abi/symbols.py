#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function of libc that takes a descriptor, a socket address or the name of a host is hooked, or left out for a reason.

usage: symbols.py COMPILER...

Candidates are the prototypes of the system's headers with such a parameter, and names of the families concerned; of both, what
the C library exports. tests/abi/ignored.txt lists what is left out: a pattern for whole names, " : ", the reason.
"""
import ctypes.util
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADERS = """aio.h arpa/inet.h arpa/nameser.h dirent.h dlfcn.h fcntl.h ifaddrs.h mqueue.h net/if.h netdb.h netinet/ether.h
netinet/in.h poll.h pty.h resolv.h rpc/netdb.h spawn.h stdio.h stdlib.h sys/epoll.h sys/eventfd.h sys/fanotify.h sys/file.h
sys/inotify.h sys/ioctl.h sys/mman.h sys/pidfd.h sys/select.h sys/sendfile.h sys/signalfd.h sys/socket.h sys/stat.h sys/statfs.h
sys/statvfs.h sys/syscall.h sys/time.h sys/timerfd.h sys/uio.h sys/wait.h sys/xattr.h termios.h unistd.h utime.h
wordexp.h""".split()
DESCRIPTOR = re.compile(r"int\s+(__)?(fd\w*|s|sock\w*|fildes|filedes|infd|outfd|in_fd|out_fd|epfd|sd|dirfd|pidfd)\b|"
                        r"sockaddr|msghdr|pollfd|fd_set")
HOST = re.compile(r"\b(__)?(host|hostname|node|dname|rhost|ahost)\b|hostent|netent|addrinfo|ifaddrs|if_nameindex")
FAMILY = re.compile(r"_*(res_\w+|res_n\w+|gethost\w*|getnetby\w*|getaddrinfo\w*|getnameinfo|if_\w*index\w*|getifaddrs|"
                    r"(f|p)?exec[lv]\w*|posix_spawnp?|syscall|socket\w*|(recv|send)\w*|connect|rcmd\w*|rexec\w*)")


def output(*argv, **kw):
    """Text a tool prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, **kw).stdout


def prototypes(compiler):
    """Name and parameters of the functions the headers declare."""
    source = "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in HEADERS)
    text = output(*compiler, "-E", "-P", "-D_GNU_SOURCE", "-xc", "-", input=source)
    text = re.sub(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)|__asm__\s*\([^)]*\)", "", text)
    return {m[1]: m[2] for m in re.finditer(r"extern\s+[^;{}()]*?\b(\w+)\s*\(([^;{}]*)\)\s*;", text)}


def libc_path():
    """The C library this program itself runs with."""
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        if os.path.basename(line.split()[-1]).startswith("libc.so"):
            return line.split()[-1]
    return ctypes.util.find_library("c")


def main():
    """Candidates against hooks and table."""
    exported = {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", libc_path()).splitlines()}
    known = prototypes(sys.argv[1:])
    candidates = {f for f in exported if FAMILY.fullmatch(f) or DESCRIPTOR.search(known.get(f, "")) or HOST.search(known.get(f, ""))}
    hooked = set(re.findall(r"^\t\t(\w+);", (ROOT / "shim/shim.map").read_text(), re.M))
    left_out, good = set(), True
    for line in (ROOT / "tests/abi/ignored.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, reason = line.split(" : ", 1)
        hits = {f for f in candidates if re.fullmatch(pattern, f)}
        if not reason or hits & hooked:
            print(f"FAIL {pattern}: no reason, or hooked after all: {sorted(hits & hooked)}")
            good = False
        left_out |= hits
    missing = sorted(candidates - hooked - left_out)
    print(f"{len(candidates)} candidates of libc: {len(candidates & hooked)} hooked, {len(left_out)} left out with a reason, "
          f"{len(missing)} neither")
    for name in missing:
        print("FAIL", name, "is neither hooked nor in tests/abi/ignored.txt")
    return 0 if good and not missing and len(candidates & hooked) > 40 else 1


if __name__ == "__main__":
    sys.exit(main())
