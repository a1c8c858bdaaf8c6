#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libuv's own tests, natively and under the shim.

usage: uv.py [TEST ...]

The test program of the distribution's source package libuv1 is built and linked with the distribution's library. Each test is a
process of its own with its helper servers; under smolmix-run they all meet on this machine's loopback device (design D7).
"""
import fnmatch
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import suites

TEST_S = 60
OTHERS = ("fs_*", "thread_*", "timer*", "barrier_*", "condvar_*", "semaphore_*", "process_title*", "platform_output",
          "benchmark*", "utf8_*", "str*", "tty*")  # nothing of the network


def fetch(folder):
    """Source package and test program."""
    suites.apt("source", "libuv1", cwd=folder)
    source = next(d for d in folder.iterdir() if d.is_dir())
    files = [f for f in sorted((source / "test").glob("*.c"))
             if not f.name.startswith(("benchmark-", "run-benchmarks", "runner-win"))]
    subprocess.run(["cc", "-w", "-O1", "-DUSING_UV_SHARED=1", "-D_GNU_SOURCE", "-I", source / "include", "-I", source / "test", "-I", source / "src",
                    "-o", folder / "uv_run_tests", *files, "-luv", "-lpthread", "-ldl", "-lutil"], check=True)
    source.rename(folder / "source")


def inside(folder, names):
    """Runs the tests named, in the process tree that is under test; one "OUTCOME NAME" line each."""
    for name in names:
        with tempfile.TemporaryFile() as out:
            with subprocess.Popen([folder / "uv_run_tests", name], cwd=folder / "source", stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=out, start_new_session=True) as p:
                end = time.monotonic() + TEST_S
                while p.poll() is None and time.monotonic() < end:
                    time.sleep(0.02)
                how = "hang" if p.returncode is None else "fail" if p.returncode else "ok"
                try:
                    os.killpg(p.pid, 9)
                except ProcessLookupError:
                    pass
            out.seek(0)
            said = out.read().decode(errors="replace")
        if how == "ok" and "# SKIP" in said:
            how = "skip"
        print(how, name, flush=True)
        if how in ("fail", "hang"):
            print("\n".join("# " + line for line in said.splitlines()), flush=True)


def outcomes(folder, names, prefix, log):
    """{test: outcome} of one mode."""
    p = subprocess.run([*prefix, sys.executable, __file__, "--inside", folder, *names], stdout=subprocess.PIPE, text=True,
                       env={**os.environ, "UV_RUN_AS_ROOT": "1"}, check=False)
    log.write_text(p.stdout)
    return {line.split()[1]: line.split()[0] for line in p.stdout.splitlines() if not line.startswith("#") and line.strip()}


def run(folder, names, ways):
    """{mode: {test: outcome}}; what is not as natively is tried once more."""
    listed = suites.allowed("uv")
    results = {}
    for mode, prefix in ways.items():
        without = suites.not_run(listed, mode)
        wanted = [n for n in names if not any(fnmatch.fnmatchcase(n, w) for w in without)]
        results[mode] = outcomes(folder, wanted, prefix, suites.STORE / f"uv-{mode}.log")
        again = [n for n, o in suites.different(results["native"], results[mode]).items()
                 if o != "not run" and not suites.find(listed, n, mode, o)]
        if again:
            results[mode].update(outcomes(folder, again, prefix, suites.STORE / f"uv-{mode}-again.log"))
    return results


def main():
    """Both modes, one verdict."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(pathlib.Path(sys.argv[2]), sys.argv[3:])
    folder = suites.once("uv", fetch)
    suites.enter_namespace()
    listing = subprocess.run([folder / "uv_run_tests", "--list"], stdout=subprocess.PIPE, text=True, check=True,
                             env={**os.environ, "UV_RUN_AS_ROOT": "1"}).stdout
    names = [l.split()[0] for l in listing.splitlines() if l.strip()]
    names = sys.argv[1:] or [n for n in names if not any(fnmatch.fnmatchcase(n, o) for o in OTHERS)]
    with suites.network() as api:
        ways = {"native": [], "loopback": [suites.RUN, "-q", "--api", api, "--"]}
        return int(suites.verdict("uv", run(folder, names, ways)) != 0)


if __name__ == "__main__":
    sys.exit(main())
