#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Floors: a folder includes itself and lower floors only; third-party headers only where doc/design.md allows them."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

DRIVERS = ("ws", "api", "network", "bridge")


def floor(path):
    """Name of the floor a file stands on."""
    p = path.as_posix()
    if p.startswith("base/"):
        return "base"
    if p.startswith("mixnet/"):
        stem = path.stem
        return "driver" if stem.startswith(DRIVERS) else "engine"
    if p.startswith("stack/ctl/"):
        return "ctl"
    return p.split("/")[0]


ALLOWED = {
    "base": {"base"},
    "engine": {"base", "engine"},
    "driver": {"base", "engine", "driver"},
    "ctl": {"base", "ctl"},
    "stack": {"base", "engine", "driver", "ctl", "stack"},
    "shim": {"base", "ctl", "shim"},
    "tools": {"base", "engine", "driver", "ctl", "stack", "tools"},
    "tests": {"base", "engine", "driver", "ctl", "stack", "shim", "tools", "tests"},
    "examples": {"include"},
}

# header prefix -> files that may include it
THIRD_PARTY = {
    "libwebsockets.h": re.compile(r"mixnet/ws[a-z_]*\.[ch]$"),
    "ares.h": re.compile(r"stack/resolv[a-z_]*\.c$"),
    # bench_relay stands in for it, the tests look into it
    "lwip/": re.compile(r"stack/|tests/(bench_relay|sim/sim_rate|unit/test_monkey|unit/test_pathmtu|unit/test_stack)\.c$"),
    "sodium": re.compile(r"mixnet/prim[a-z0-9_]*\.c$|tests/"),
    "bearssl": re.compile(r"mixnet/prim[a-z0-9_]*\.c$|tests/"),
    "slirp/": re.compile(r"tools/localnet/exit[a-z_]*\.c$"),
    "openssl/": re.compile(r"stack/bare\.c$"),
    "libslirp.h": re.compile(r"tools/localnet/exit[a-z_]*\.c$"),
    "seccomp.h": re.compile(r"tools/run/|tests/"),
    "jansson.h": re.compile(r"mixnet/(gw[a-z]*|api[a-z]*|network)\.[ch]$|stack/statsfile\.c$|tools/|tests/"),
}
SHIM_LIMIT = {"base/err.h", "base/exe.h", "base/log.h", "base/fd.h", "base/addr.h", "base/rules.h", "base/wire.h", "base/list.h"}

bad = []
for path in sorted(ROOT.rglob("*.[ch]")):
    rel = path.relative_to(ROOT)
    top = rel.parts[0]
    if top in ("subprojects", "build") or top.startswith((".", "build")):
        continue
    here = floor(rel)
    for no, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        kind, name = m.groups()
        if kind == '"' and (ROOT / name).exists():
            there = floor(pathlib.Path(name))
            if there not in ALLOWED.get(here, set()):
                bad.append(f"{rel}:{no}: {here} must not include {name} ({there})")
            if here == "shim" and name.startswith("base/") and name not in SHIM_LIMIT:
                bad.append(f"{rel}:{no}: the shim uses only {sorted(SHIM_LIMIT)}")
        for prefix, ok in THIRD_PARTY.items():
            if name.startswith(prefix) and not ok.search(rel.as_posix()):
                bad.append(f"{rel}:{no}: <{name}> is not for this file")

print("\n".join(bad) or "floors: clean")
sys.exit(bool(bad))
