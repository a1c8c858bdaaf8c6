#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Format: every C file is as clang-format leaves it. Other versions lay out some things differently and are not asked."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = 14
SKIP = 77

tool = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout if tool else "none"
if not re.search(rf"version {VERSION}\.", version):
    print(f"SKIP: needs clang-format {VERSION}, found {version.strip()}")
    sys.exit(SKIP)
files = [str(p) for p in sorted(ROOT.rglob("*.[ch]"))
         if not p.relative_to(ROOT).parts[0].startswith((".", "build", "subprojects"))]
p = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, check=False)
for where in sorted(set(re.findall(r"^(/\S+?:\d+):", p.stderr, re.M))):
    print(f"{pathlib.Path(where).relative_to(ROOT)}: not as clang-format lays it out")
sys.exit(p.returncode)
