#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line coverage of base/ and of the engines in mixnet/, from a -Db_coverage build that has run its tests."""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOOR = 90.0
DRIVERS = ("ws", "api", "bridge", "network")

out = subprocess.run(["gcovr", "--root", str(ROOT), "--object-directory", sys.argv[1], "--filter", "base/.*",
                      "--filter", "mixnet/.*", "--json", "--gcov-ignore-parse-errors", sys.argv[1]],
                     capture_output=True, text=True, cwd=ROOT, check=True).stdout
total = covered = 0
rows = []
for f in json.loads(out)["files"]:
    name = f["file"]
    if not name.endswith(".c") or pathlib.Path(name).stem.startswith(DRIVERS):
        continue
    lines = [line for line in f["lines"] if not line.get("gcovr/noncode")]
    hit = sum(1 for line in lines if line["count"])
    total += len(lines)
    covered += hit
    rows.append((100 * hit / max(1, len(lines)), name, len(lines)))
for pct, name, n in sorted(rows):
    print(f"{pct:6.1f} %  {name} ({n} lines)")
pct = 100 * covered / max(1, total)
print(f"{pct:6.1f} %  base and engines together ({total} lines)")
sys.exit(pct < FLOOR or not total)
