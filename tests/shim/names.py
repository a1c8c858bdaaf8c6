#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the resolver programs bare and through the mixnet against the same zone; glibc's answers are the expected ones.

usage: names.py PROGRAM SMOLMIX-RUN SMOLMIX-LOCALNET
       names.py --preload PROGRAM SHIM SMOLMIX-LOCALNET

In a network namespace with the zone's servers at public-looking addresses and in a mount namespace with a hosts file, resolv.conf
and nsswitch.conf of its own. The bare run has an interface with addresses of the tunnel's kind, so that RFC 6724 sees the same sources.
Differences are allowed only where tests/shim/differences lists them with a reason.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import dnszone
import run

UNSHARE = ["unshare", "-nm"] if os.geteuid() == 0 else ["unshare", "-Urnm"]
FILES = {
    "/etc/hosts": """
127.0.0.1 localhost
::1 localhost ip6-localhost
192.88.99.91 fileboth filealias
2a0e:dead:beef::91 fileboth
192.88.99.92 file4   # a comment
2a0e:dead:beef::93 file6
192.88.99.94 filetwice one
192.88.99.95 filetwice two
192.88.99.96 file.smolmix.test
""",
    "/etc/resolv.conf": "nameserver 9.9.9.9\nsearch smolmix.test sub.smolmix.test\noptions timeout:2 attempts:1\n",
    "/etc/nsswitch.conf": "hosts: files dns\nservices: files\nprotocols: files\nnetworks: files\n",
}


def enter_namespace(addresses=dnszone.ADDRESSES):
    """Goes on in namespaces whose addresses and files are ours."""
    if "T_INSIDE" not in os.environ:
        probe = subprocess.run([*UNSHARE, "true"], stderr=subprocess.PIPE, text=True, check=False)
        if probe.returncode:
            print("SKIP: cannot make a namespace:", probe.stderr.strip())
            sys.exit(77)
        os.execvpe(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv], {**os.environ, "T_INSIDE": "1"})
    for args in ("link set lo up", "link add tun4 type veth peer name far", "link set far up", "link set tun4 up",
                 "addr add 10.0.84.151/16 dev tun4", "addr add fc00::5497/64 dev tun4 nodad", "route add default dev tun4",
                 "-6 route add default dev tun4"):
        subprocess.run(["ip", *args.split()], check=True)
    for ip in addresses:
        subprocess.run(["ip", "addr", "add", f"{ip}/32", "dev", "lo"], check=True)


def mount_files(tmp):
    """Lays our files over the system's."""
    for path, text in FILES.items():
        mine = pathlib.Path(tmp) / path.replace("/", "_")
        mine.write_text(text)
        subprocess.run(["mount", "--bind", mine, path], check=True)


def main():
    """Both runs and the verdict."""
    enter_namespace()
    inside = sys.argv[1] == "--preload"
    program, through, localnet = (str(pathlib.Path(p).resolve()) for p in sys.argv[-3:])
    with tempfile.TemporaryDirectory() as tmp:
        mount_files(tmp)
        env = {k: v for k, v in os.environ.items() if not k.startswith("SMOLMIX_")}
        zone = dnszone.Zone()
        bare = run.run([program], env)
        zone.take()
        with subprocess.Popen([localnet], stdout=subprocess.PIPE) as net:
            api = json.loads(net.stdout.readline())["api"]
            if inside:
                settings = {"LD_PRELOAD": through, "SMOLMIX_API": api, "SMOLMIX_PROFILE": "fast", "SMOLMIX_DNS": "9.9.9.9"}
                shimmed = run.run(["env", *(f"{k}={v}" for k, v in settings.items()), program, "--together"], env)
            else:
                shimmed = run.run([through, "-q", "--api", api, "--profile", "fast", "--dns", "9.9.9.9", "--", program], env)
            net.terminate()
        asked = zone.take()
        for path in FILES:
            subprocess.run(["umount", path], check=True)
    name = pathlib.Path(program).name
    bad, met = run.compare(name, bare, shimmed)
    unmet = sorted(run.reviewed(name) - met)
    leaks = sorted({f"{a.name} {a.server}" for a in asked if dnszone.never_asked(a)})
    print(*(bare if not bad else []), sep="\n")
    print(*(f"no such difference any more: {b} | {s}" for b, s in unmet), *(f"must not be asked: {leak}" for leak in leaks), sep="\n")
    programs = sum(line.startswith("== ") for line in bare)
    print(f"{name}: {programs} programs, {len(bare) - programs} lines, {len(met)} reviewed differences, {len(bad)} programs with others, "
          f"{len(asked)} questions through the mixnet")
    return bool(bad or unmet or leaks)


if __name__ == "__main__":
    sys.exit(main())
