#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Source rules: licence line, header guards, banned calls, file length, whitespace, words that mark unfinished work."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|rand|srand|inet_addr|alloca|tmpnam|strtok)\s*\(")
GETENV = re.compile(r"(?<!secure_)(?<!\w)getenv\s*\(")
MEMCMP = re.compile(r"(?<!\w)memcmp\s*\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|not implemented|placeholder)\b")
KEY_FILES = ("mixnet/prim", "mixnet/sphinx", "mixnet/surb", "mixnet/gw")
LONG = 800

files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=ROOT, check=True,
                       capture_output=True, text=True).stdout.split()
bad = []
for name in files:
    path = ROOT / name
    if not path.exists():
        continue
    text = path.read_text()
    lines = text.splitlines()
    if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        bad.append(f"{name}:1: no SPDX line")
    if name.endswith(".h"):
        guard = re.sub(r"[^A-Z0-9]", "_", name.upper())
        if f"#ifndef {guard}" not in text and "lwip/" not in name:
            bad.append(f"{name}: guard should be {guard}")
    if len(lines) > LONG:
        bad.append(f"{name}: {len(lines)} lines, split it")
    for no, line in enumerate(lines, 1):
        if "allowed:" in line:
            continue
        if BANNED.search(line) and not line.lstrip().startswith("*"):
            bad.append(f"{name}:{no}: banned call: {line.strip()}")
        if GETENV.search(line) and not name.startswith("tests/"):
            bad.append(f"{name}:{no}: getenv, use secure_getenv")
        if MEMCMP.search(line) and name.startswith(KEY_FILES):
            bad.append(f"{name}:{no}: memcmp in a key file, use prim_equal or say why")
        if UNFINISHED.search(line):
            bad.append(f"{name}:{no}: {line.strip()}")
        if line != line.rstrip():
            bad.append(f"{name}:{no}: trailing white space")
        if re.match(r"\s*//", line):
            bad.append(f"{name}:{no}: // comment")

print("\n".join(bad) or f"source: {len(files)} files clean")
sys.exit(bool(bad))
