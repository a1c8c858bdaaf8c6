#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the preload library and the library of the tunnel inside a program show and need.

usage: abi.py SHIM LIBRARY

SHIM: exports = shim.map = the HOOKs of the sources; it needs libc only; no constructor priority, little writable memory.
LIBRARY: exports its entry only.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITABLE_MAX = 64 << 10
FORBIDDEN = re.compile(r"^(signal|sigaction|malloc_usable_size|getenv|pthread_atfork|atexit)$")
LIBRARY_EXPORTS = {"smolmix_bare"}
good = True


def expect(what, cond, detail=""):
    """One fact."""
    global good
    print("ok  " if cond else "FAIL", what, detail if not cond else "")
    good &= bool(cond)


def out(*argv):
    """Text a tool prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def hooks():
    """Names the sources define as hooks."""
    names = set()
    for path in (ROOT / "shim").glob("w_*.c"):
        for line in path.read_text().splitlines():
            m = re.match(r"HOOK [^(]*?(\w+)\(", line)
            n = re.match(r"(?:QUERY|DOMAIN|SEND|NQUERY|NDOMAIN|NSEND)\((\w+)\)$", line)
            if m:
                names.add(m.group(1))
            elif n:
                names.add(n.group(1))
    return names


def library(path):
    """What libsmolmix.so shows and needs."""
    exported = {line.split()[-1].split("@")[0] for line in out("nm", "-D", "--defined-only", path).splitlines()}
    expect("the library exports its entry and nothing else", exported == LIBRARY_EXPORTS, exported ^ LIBRARY_EXPORTS)
    dynamic = out("readelf", "-dW", path)
    expect("the library is bound at load time", "BIND_NOW" in dynamic or re.search(r"FLAGS.*NOW", dynamic))
    expect("the library's thread-local storage is no burden on the program's", "STATIC_TLS" not in dynamic)


def main():
    """All facts about SHIM and LIBRARY."""
    shim = sys.argv[1]
    library(sys.argv[2])
    mapped = set(re.findall(r"^\t\t(\w+);", (ROOT / "shim/shim.map").read_text(), re.M))
    exported = {line.split()[-1].split("@")[0] for line in out("nm", "-D", "--defined-only", shim).splitlines()}
    sanitized = any(line.split()[-1].startswith("__asan") for line in out("nm", "-D", shim).splitlines())
    expect(f"{len(exported)} exports are shim.map", exported == mapped, exported ^ mapped)
    expect("shim.map is the HOOKs of the sources", mapped == hooks(), mapped ^ hooks())
    dynamic = out("readelf", "-dW", shim)
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", dynamic))
    if not sanitized:
        expect("needs libc only", needed <= {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, needed)
    expect("bound at load time", "BIND_NOW" in dynamic or re.search(r"FLAGS.*NOW", dynamic))
    undefined = {line.split()[-1].split("@")[0] for line in out("nm", "-D", "-u", shim).splitlines()}
    bad = sorted(s for s in undefined if FORBIDDEN.match(s))
    expect("no signal handler, no exit handler", not bad, bad)
    loads = sorted(str(f.name) + ": " + line.strip() for f in (ROOT / "shim").glob("*.c")
                   for line in f.read_text().splitlines() if re.search(r"\bdlopen\(\w", line) and not line.startswith("HOOK"))
    expect("nothing loaded but glibc's own IDN library, and that not among the program's symbols",
           len(loads) == 1 and loads[0].startswith("idn.c:") and "RTLD_LOCAL" in loads[0], loads)
    expect("no libc function that is hooked is called", not undefined & mapped, undefined & mapped)
    sizes = {f[1]: int(f[5], 16) for f in (line.replace("[ ", "[").split() for line in out("readelf", "-SW", shim).splitlines())
             if len(f) > 6 and f[1] in (".data", ".bss")}
    if not sanitized:
        expect(f"writable memory {sum(sizes.values())} bytes", sum(sizes.values()) <= WRITABLE_MAX, sizes)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
