#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A subset of curl's own tests, natively and through the mixnet.

usage: curl.py [TEST ...]

runtests.pl and the servers of the distribution's source package curl, with the distribution's curl. In the mode "tunnel" all
of them run under smolmix-run, the servers on this machine's loopback device; redirect.c moves what curl connects to behind
the exit, which finds the same servers there. The tests look at every byte of both directions.
"""
import os
import re
import subprocess
import sys

import suites

# Over TCP and IPv4: what redirect.c moves and the local exit carries.
TESTS = ["!TFTP", "!SCP", "!SFTP", "!SMB", "!LDAP", "!MQTT", "!IPv6", "!SOCKS4", "!HTTP2", "!HTTP3", "1", "to", "300"]
BUILD_OPTIONS = ["--with-openssl", "--disable-shared", "--disable-dependency-tracking", "--disable-ldap", "--disable-manual"]


def fetch(folder):
    """Source package and test servers."""
    suites.apt("source", "curl", cwd=folder)
    source = folder / "source"
    next(d for d in folder.iterdir() if d.is_dir()).rename(source)
    for command, where in ((["./configure", *BUILD_OPTIONS], source), (["make"], source / "tests/server")):
        subprocess.run(command, cwd=where, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (source / "src/curl").symlink_to("/usr/bin/curl")
    wrapper = folder / "curl"
    wrapper.write_text('#!/bin/sh\nme=$(readlink -f "$0")\nLD_PRELOAD="${me%/*}/redirect.so:$LD_PRELOAD" exec /usr/bin/curl "$@"\n')
    wrapper.chmod(0o755)


def outcomes(folder, tests, prefix, curl, log):
    """{test: outcome} of one mode."""
    with log.open("w") as out:
        subprocess.run([*prefix, "perl", "-I.", "runtests.pl", "-a", "-n", "-s", "-c", curl, *tests], stdout=out,
                       stderr=subprocess.STDOUT, cwd=folder / "source/tests", check=False,
                       env={**os.environ, "srcdir": ".", "SMOLMIX_TEST_MOVED": suites.PUBLIC})
    found = {}
    for number, said in re.findall(r"^test (\d+)(.*?)(?=^test |^TEST|\Z)", log.read_text(errors="replace"), re.S | re.M):
        found[number] = "ok" if "OK (" in said else "skip" if "SKIPPED" in said else "fail"
    return found


def main():
    """Both modes, one verdict."""
    folder = suites.once("curl", fetch)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", folder / "redirect.so",
                    suites.HERE / "redirect.c"], check=True)
    suites.enter_namespace()
    tests = sys.argv[1:] or TESTS
    listed = suites.allowed("curl")
    results = {"native": outcomes(folder, tests, [], "/usr/bin/curl", suites.STORE / "curl-native.log")}
    with suites.network() as api:
        under = [suites.RUN, "-q", "--api", api, "--profile", "fast", "--"]
        results["tunnel"] = outcomes(folder, tests, under, folder / "curl", suites.STORE / "curl-tunnel.log")
        again = [t for t, o in suites.different(results["native"], results["tunnel"]).items()
                 if not suites.find(listed, t, "tunnel", o)]
        if again:
            again = [t.lstrip("0") for t in again]  # runtests.pl knows its own numbers without
            results["tunnel"].update(outcomes(folder, again, under, folder / "curl", suites.STORE / "curl-tunnel-again.log"))
    return int(suites.verdict("curl", results) != 0)


if __name__ == "__main__":
    sys.exit(main())
