#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A tunnel and the shim, watched by valgrind or with a host built with ThreadSanitizer.

usage: threads.py host HOST LOCALNET SHIM PROGRAM          HOST is built with ThreadSanitizer
       threads.py helgrind-host HOST LOCALNET SHIM PROGRAM
       threads.py helgrind-program HOST LOCALNET SHIM PROGRAM
       threads.py memcheck-program HOST LOCALNET SHIM PROGRAM

PROGRAM is one of tests/shim, HOST is host.c. The program runs under the shim with the tunnel of the host, against the
servers of tests/shim/run.py, and one of the two is watched: for races, or for its memory, since the shim is never built with
AddressSanitizer (it is loaded into programs that know nothing of it). What it prints is not looked at (run.py does that), but that it
comes to its end; any report is a failure.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "shim"))
import run  # noqa: E402  pylint: disable=wrong-import-position

LOADER = "/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "/lib/ld-linux-aarch64.so.1"
REPORTED = 66  # ThreadSanitizer's own choice
PROGRAM_S = 500
STOP_S = 60


def valgrind(tool, argv):
    """The command line under a tool of valgrind."""
    options = ["--history-level=approx"] if tool == "helgrind" else []
    return ["valgrind", "-q", f"--tool={tool}", f"--error-exitcode={REPORTED}", f"--suppressions={HERE / 'valgrind.supp'}",
            *options, *argv]


def story(how, host, shim, program, env):
    """What the host said, how it ended, the finished program."""
    env = {**env, "SMOLMIX_SOCKET": host[-1], "SMOLMIX_VERBOSE": "0"}
    argv = [program]
    tool, _, watched = how.partition("-")
    if watched == "program":  # valgrind itself is a static program: the preload is for what it runs; and it watches one process
        argv = valgrind(tool, [LOADER, "--preload", shim, program, "--together"])
    else:
        env["LD_PRELOAD"] = shim
    with subprocess.Popen(valgrind(tool, host) if watched == "host" else host, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as tunnel:
        try:
            said = tunnel.stdout.readline()
            p = subprocess.run(argv, env=env, timeout=PROGRAM_S, capture_output=True, text=True, check=False)
            said += tunnel.communicate(timeout=STOP_S)[0]
        finally:
            tunnel.kill()
    return said, tunnel.returncode, p


def main():
    """One story; 0 when nothing was reported."""
    how, host, localnet, shim, program = sys.argv[1:]
    run.enter_namespace()
    env, keep = run.servers()
    env.update({"T_UDPMAX": "1200", "T_NOWHERE": "192.168.1.1"})
    with tempfile.TemporaryDirectory() as tmp, subprocess.Popen([localnet], stdout=subprocess.PIPE) as net:
        try:
            api = json.loads(net.stdout.readline())["api"]
            said, tunnel, p = story(how, [host, api, os.path.join(tmp, "ctl")], shim, program, env)
        finally:
            net.terminate()
    del keep
    print(f"{how}: host {tunnel}, program {p.returncode}")
    if said.startswith("ready\n") and not tunnel and not p.returncode:
        return 0
    print(said, p.stdout, p.stderr, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
