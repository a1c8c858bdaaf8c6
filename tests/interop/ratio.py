#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cost of a Sphinx packet: ours against the published sphinx-packet crate, in one run, in processor time of one core.

The two programs take turns and the best round of each counts, so that a busy machine slows both. A client builds
packets: there the crate does ten X25519 multiplications and our key schedule four (mixnet/sphinx.c), hence the target of
2. A hop multiplies twice whoever writes it, so processing can win by no more than the difference of the two curve
libraries: there we must not be slower.
"""
import json
import subprocess
import sys

from crates import BUILD, build

ROUNDS = 3
LEAST = {"sphinx_build_per_s": 2.0, "sphinx_process_per_s": 1.0}


def rates(argv, best):
    """Runs one side and keeps its better figures."""
    out = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout
    for line in map(json.loads, out.splitlines()):
        if line["name"] in LEAST:
            best[line["name"]] = max(line["value"], best.get(line["name"], 0))


def main():
    theirs_program = build("sphinx-bench", "smolmix-sphinx-bench")
    ours, theirs = {}, {}
    for _ in range(ROUNDS):
        rates([BUILD / "tests/bench", "--json", "crypto"], ours)
        rates([theirs_program], theirs)
    bad = False
    for name, least in LEAST.items():
        ratio = ours[name] / theirs[name]
        bad |= ratio < least
        print(f"{name:22} ours {ours[name]:9.0f}  crate {theirs[name]:9.0f}  ratio {ratio:.2f}  (at least {least})")
    return bad


if __name__ == "__main__":
    sys.exit(main())
