# SPDX-License-Identifier: Apache-2.0
"""Builds the Rust programs of this folder from the published crates their Cargo.lock names.

Without cargo, or where the crates cannot be had (they come over the internet), the test is skipped and says so. A
program that does not build is a failure. Everything cargo makes goes under CARGO_TARGET_DIR, else the build folder.
"""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from world import BUILD, skip  # noqa: E402


def build(folder, program):
    """Path of the program, built."""
    cargo = shutil.which("cargo")
    if not cargo:
        skip("cargo is not installed")
    env = dict(os.environ)
    target = pathlib.Path(env.setdefault("CARGO_TARGET_DIR", str(BUILD / "cargo")))
    crate = pathlib.Path(__file__).parent / folder
    fetched = subprocess.run([cargo, "fetch", "--locked"], cwd=crate, env=env, stderr=subprocess.PIPE, text=True,
                             timeout=600, check=False)
    if fetched.returncode:
        skip("the crates cannot be fetched: " + fetched.stderr.strip().splitlines()[-1].strip())
    subprocess.run([cargo, "build", "--release", "--locked", "--offline"], cwd=crate, env=env, check=True)
    return target / "release" / program
