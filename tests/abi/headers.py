#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone: usage: headers.py COMPILER..."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "include", "mixnet", "shim", "stack", "tools")
# Read by lwIP only, in the middle of its own headers.
PARTS = {"lwipopts.h", "cc.h", "sys_arch.h", "redirect.h"}

headers = sorted(p for f in FOLDERS for p in (ROOT / f).rglob("*.h") if p.name not in PARTS)
lwip = [p for p in (ROOT / "subprojects").glob("lwip-*/src/include")]
flags = [f"-I{p}" for p in [ROOT, ROOT / "stack/lwip", *lwip]]
bad = 0
for h in headers:
    text = h.read_text()
    if "lwip/" in text and not lwip:
        continue
    name = h.relative_to(ROOT)
    p = subprocess.run([*sys.argv[1:], "-std=gnu11", "-D_GNU_SOURCE", *flags, "-fsyntax-only", "-Wall", "-Werror", "-x", "c", "-"],
                       input=f'#include "{name}"\n#include "{name}"\n', text=True, capture_output=True, check=False)
    if p.returncode:
        bad += 1
        print(f"{name} does not stand alone:\n{p.stderr}")
print(f"{len(headers)} headers, {bad} do not stand alone")
sys.exit(bool(bad))
