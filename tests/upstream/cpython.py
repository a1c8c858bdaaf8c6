#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests of its network modules, natively and under the shim.

usage: cpython.py [--mode loopback|tunnel] [MODULE ...]

The distribution's interpreter runs the test suite that belongs to it (package libpythonX.Y-testsuite), each module in
three modes:

  native     as it is
  loopback   under smolmix-run; the cases' servers and clients meet on this machine's loopback device (design D7)
  tunnel     under smolmix-run; their clients connect through the mixnet (cpython_run.py, --tunnel)

A case that has not ended after CASE_S is killed: "hang". Cases that differ from native are tried once more, alone.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import suites

PYTHON = "/usr/bin/python3"
MODULES = ["test_socket", "test_ssl", "test_httplib", "test_urllib2_localnet", "test_smtplib", "test_ftplib",
           "test_poplib", "test_imaplib", "test_nntplib", "test_telnetlib", "test_socketserver", "test_httpservers",
           "test_xmlrpc", "test_selectors", "test_select", "test_poll", "test_epoll", "test_asyncore", "test_asynchat",
           "test_asyncio.test_events", "test_asyncio.test_base_events", "test_asyncio.test_sock_lowlevel",
           "test_asyncio.test_streams", "test_asyncio.test_server", "test_asyncio.test_sendfile",
           "test_asyncio.test_sslproto", "test_asyncio.test_ssl", "test_asyncio.test_buffered_proto",
           "test_asyncio.test_selector_events", "test_asyncio.test_unix_events", "test_asyncio.test_subprocess"]
CASE_S = 60
TRIES = 40  # cases that hang, per module


def fetch(folder):
    """The test suite of the distribution's interpreter, as a folder "test" beside nothing else."""
    version = subprocess.run([PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True,
                             text=True, check=True).stdout.strip()
    suites.apt("download", f"libpython{version}-testsuite", cwd=folder)
    package = next(folder.glob("*.deb"))
    subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    lib = pathlib.Path(f"usr/lib/python{version}/test")
    shutil.copytree("/" / lib, folder / "test")
    shutil.copytree(folder / "root" / lib, folder / "test", dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(folder / "root")


class Modes:
    """How a module is run in each mode."""

    def __init__(self, folder, api, tmp):
        self.tmp = tmp
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SMOLMIX_", "PYTHON"))}
        self.env.update(PYTHONPATH=str(folder), TMPDIR=str(self.tmp))
        self.api = api

    def attempt(self, mode, args, journal, log):
        """One process; ends when the module has ended or a case has hung, then that is written down."""
        argv = [PYTHON, suites.HERE / "cpython_run.py", *args, journal]
        if mode != "native":
            argv = [suites.RUN, "-q", "--api", self.api, "--profile", "fast", "--", *argv]
        with subprocess.Popen(argv, env=self.env, cwd=self.tmp, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              start_new_session=True) as p:
            try:
                hung = self.watch(p, journal)
            finally:
                try:
                    os.killpg(p.pid, 9)  # children that a case left behind, too
                except ProcessLookupError:
                    pass
        lines = journal.read_text().splitlines() if journal.exists() else []
        if lines and lines[-1].startswith("begin "):
            with journal.open("a") as f:
                f.write(("hang" if hung else "crash") + lines[-1][5:] + "\n")
            return True
        if hung:
            log.write(b"hangs outside of a case\n")
        return False

    @staticmethod
    def watch(p, journal):
        """Until the process has ended, or a case takes too long: true."""
        size, since = -1, time.monotonic()
        while p.poll() is None:
            now = journal.stat().st_size if journal.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            if time.monotonic() - since > CASE_S:
                return True
            time.sleep(0.1)
        return False

    def module(self, name, mode, log, only=(), without=()):
        """{case: outcome}"""
        journal = pathlib.Path(log.name).with_suffix(".again" if only else ".journal")
        journal.unlink(missing_ok=True)
        args = ["--only", " ".join("test." + c for c in only), "--without", " ".join("test." + c for c in without)]
        args += ["--tunnel"] if mode == "tunnel" else []
        for _ in range(TRIES):
            if not self.attempt(mode, [*args, "test." + name], journal, log):
                break
        lines = journal.read_text().splitlines() if journal.exists() else []
        return {c.removeprefix("test."): o for o, c in (line.split(" ", 1) for line in lines) if o != "begin"}


def main():
    """All modules, all modes, one verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", action="append", choices=["loopback", "tunnel"])
    parser.add_argument("module", nargs="*", default=MODULES)
    args = parser.parse_args()
    modes = args.mode or ["loopback", "tunnel"]
    folder = suites.once("cpython", fetch)
    suites.enter_namespace()
    listed = suites.allowed("cpython")
    results = {mode: {} for mode in ["native", *modes]}
    with suites.network() as api, tempfile.TemporaryDirectory() as tmp:
        how = Modes(folder, api, tmp)
        for name in args.module:
            for mode in results:
                start = time.monotonic()
                with open(suites.STORE / f"cpython-{name}-{mode}.log", "wb") as log:
                    got = how.module(name, mode, log, without=suites.not_run(listed, mode))
                    other = suites.different({c: o for c, o in results["native"].items() if c.startswith(name + ".")}, got)
                    again = [c for c, o in other.items() if o != "not run" and not suites.find(listed, c, mode, o)]
                    if again:
                        got.update(how.module(name, mode, log, only=again))
                results[mode].update(got)
                print(f"{name} {mode}: {sum(o == 'ok' for o in got.values())} of {len(got)} ok,"
                      f" {time.monotonic() - start:.0f} s", flush=True)
    print()
    return int(suites.verdict("cpython", results) != 0)


if __name__ == "__main__":
    sys.exit(main())
