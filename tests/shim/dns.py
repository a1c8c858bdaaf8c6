#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""DNS through the mixnet as its servers see it (how often who is asked what), and rules about destinations.

usage: dns.py SMOLMIX-RUN SMOLMIX-LOCALNET SHIM CTLSTAND

In the namespaces of names.py. The resolvers a host would have, 127.0.0.53 and 192.168.1.1, are there too: nobody may ask them.
"""
import errno
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import dnszone
import names

Z = dnszone.Z
FAILED = []

RESOLVE = """
import socket, sys
for name in sys.argv[1:]:
    family = {"4": 2, "6": 10}.get(name[0], 0)
    try:
        print(len(socket.getaddrinfo(name.lstrip("46"), 80, family=family, type=1)), flush=True)
    except socket.gaierror as e:
        print(e.errno, flush=True)
"""
CONNECT = """
import socket, sys
for ip, port in (a.rsplit(":", 1) for a in sys.argv[1:]):
    s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
    s.settimeout(60)
    print(s.connect_ex((ip, int(port))), flush=True)
"""


def expect(what, good, detail=""):
    """One fact."""
    print("ok  " if good else "FAIL", what, "" if good else detail, flush=True)
    if not good:
        FAILED.append(what)


class Rig:
    """The zone, the network, and commands that run through it."""

    def __init__(self, smolmix_run, api, zone):
        self.smolmix_run, self.api, self.zone = smolmix_run, api, zone
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SMOLMIX_")}

    def run(self, *command, options=(), env=None):
        """Output lines of a command, and the questions that were asked meanwhile."""
        self.zone.take()
        p = subprocess.run([self.smolmix_run, "-q", "--api", self.api, "--profile", "fast", "--dns", "9.9.9.9", *options, "--", *command],
                           env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=120, check=False, text=True)
        return p.stdout.split("\n")[:-1], self.zone.take()

    def resolve(self, *what, **kw):
        """For each name how many addresses it has, or the EAI code; "4NAME" and "6NAME" ask for one family."""
        lines, asked = self.run(sys.executable, "-c", RESOLVE, *what, **kw)
        return [int(line) for line in lines], sorted((a.name, a.type) for a in asked)

    def connect(self, *where, **kw):
        """For each address the errno of a connect."""
        return [int(line) for line in self.run(sys.executable, "-c", CONNECT, *where, **kw)[0]]


def cache(rig):
    """How often the server is asked."""
    www = [(f"www.{Z}", dnszone.A), (f"www.{Z}", dnszone.AAAA)]
    got = rig.resolve(f"pair.{Z}")
    expect("A and AAAA are asked together", got == ([2], [(f"pair.{Z}", dnszone.A), (f"pair.{Z}", dnszone.AAAA)]), got)
    got = rig.resolve(f"www.{Z}", f"www.{Z}", f"WWW.{Z.upper()}.")
    expect("a name is asked once", got == ([2, 2, 2], www), got)
    script = 'for i in 1 2 3; do "$@"; done'
    lines, asked = rig.run("sh", "-c", script, "sh", sys.executable, "-c", RESOLVE, f"www.{Z}")
    expect("once for a whole tree", lines == ["2"] * 3 and len(asked) == 2, (lines, asked))
    got = rig.resolve(f"www.{Z}")
    expect("the next run begins anew", got == ([2], www), got)
    got = rig.resolve(f"www.{Z}", f"4www.{Z}", f"6www.{Z}")
    expect("one family out of both", got == ([2, 1, 1], www), got)
    got = rig.resolve(f"4www.{Z}", f"www.{Z}", f"www.{Z}")
    expect("both out of one family and the other", got == ([1, 2, 2], www), got)
    got = rig.resolve(f"v4only.{Z}", f"6v4only.{Z}", f"v4only.{Z}")
    v4only = [(f"v4only.{Z}", dnszone.A), (f"v4only.{Z}", dnszone.AAAA)]
    expect("a family that is missing is known to be", got == ([1, socket.EAI_NODATA, 1], v4only), got)
    once = rig.resolve(f"half.{Z}")
    twice = rig.resolve(f"half.{Z}", f"half.{Z}")
    failed = [a for a in once[1] if a[1] == dnszone.AAAA]
    expect("a family whose question failed is not", once[0] == [1] and twice == ([1, 1], sorted(once[1] + failed)), (once, twice))
    got = rig.resolve(f"nothing.{Z}", f"nothing.{Z}", f"4nothing.{Z}")
    expect("what does not exist is asked once", got[0] == [socket.EAI_NONAME] * 3 and len(got[1]) == 2, got)
    got = rig.resolve(f"4empty.{Z}", f"4empty.{Z}")
    expect("what has no address too", got == ([socket.EAI_NODATA] * 2, [(f"empty.{Z}", dnszone.A)]), got)
    once = rig.resolve(f"4servfail.{Z}")
    twice = rig.resolve(f"4servfail.{Z}", f"4servfail.{Z}")
    expect("failures are not kept", once[0] == [socket.EAI_AGAIN] and len(twice[1]) == 2 * len(once[1]) > 0, (once, twice))
    lines, asked = rig.run("sh", "-c", '"$@"; sleep 2.5; "$@"', "sh", sys.executable, "-c", RESOLVE, f"short.{Z}")
    expect("the time to live ends", lines == ["2", "2"] and len(asked) == 4, (lines, asked))
    got = rig.resolve("127.1", "::1", "localhost", "a.localhost", "x.onion", "x.local", "file4", "6file4", "-x.org")
    expect("numbers and local names are not asked", not got[1], got)
    lines, asked = rig.run(sys.executable, "-c", RESOLVE, f"fifty.{Z}")
    expect("800 bytes fit into a datagram", lines == ["50"] and {a.proto for a in asked} == {"udp"}, (lines, asked))
    lines, asked = rig.run(sys.executable, "-c", RESOLVE, f"4big.{Z}")
    expect("more come by TCP", lines == ["100"] and {a.proto for a in asked} == {"udp", "tcp"}, (lines, asked))


def servers(rig):
    """Design D5: who answers for whom."""
    if not shutil.which("dig"):
        expect("dig is installed", False)
        return
    for at, who in (("127.0.0.53", "9.9.9.9"), ("192.168.1.1", "9.9.9.9"), ("127.0.0.1", "9.9.9.9"), ("0.0.0.0", "9.9.9.9"),
                    ("169.254.1.1", "9.9.9.9"), ("8.8.8.8", "8.8.8.8"), ("1.1.1.1", "1.1.1.1"), ("9.9.9.9", "9.9.9.9")):
        for proto in ("udp", "tcp"):
            opts = ["+tcp"] if proto == "tcp" else []
            lines, asked = rig.run("dig", "+timeout=20", "+tries=1", *opts, f"@{at}", f"whoami.{Z}", "TXT")
            text = "\n".join(lines)
            expect(f"dig @{at} {proto} is answered by {who} under the address that was asked",
                   f'"{who} {proto}"' in text and f"SERVER: {at}#53" in text and {a.server for a in asked} == {who}, (text, asked))


def rules(rig):
    """Ordered rules by every way in."""
    echo = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first, second = (f"127.0.0.1:{s.getsockname()[1]}" for s in echo)
    unreachable = errno.ENETUNREACH
    deny = ["--rule", f"loopback {first}", "--rule", "deny 127.0.0.0/8; deny 8.8.8.8:50-60"]
    got = rig.connect(first, second, "8.8.8.8:53", "1.1.1.1:53", options=deny)
    expect("the first rule that matches wins", got == [0, unreachable, unreachable, 0], got)
    got = rig.connect(first, second, "8.8.8.8:53")
    expect("without rules all of these are reached", got == [0, 0, 0], got)
    lines, _ = rig.run("env", "-i", "SMOLMIX_RULE=", sys.executable, "-c", CONNECT, second, options=deny)
    expect("a child that changes its environment changes no rule", lines == [str(unreachable)], lines)
    got = rig.connect("8.8.8.8:53", "1.1.1.1:53", env={"SMOLMIX_RULE": "deny 8.8.8.8;deny 1.1.1.1"}, options=["--rule", "tunnel 1.1.1.1"])
    expect("the command line's rules come before the environment's", got == [unreachable, 0], got)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write("# rules\nrule = deny 8.8.8.8\nrule = tunnel *\nrule = deny 1.1.1.1\n")
        f.flush()
        got = rig.connect("8.8.8.8:53", "1.1.1.1:53", options=["--config", f.name])
    expect("rules of a configuration file", got == [unreachable, 0], got)
    got = rig.resolve(f"www.{Z}", f"v4only.{Z}", f"V6only.{Z}.", Z, options=["--rule", f"tunnel www.{Z}", "--rule", f"deny *.{Z}"])
    expect("a denied name does not exist and is not asked", got[0] == [2] + [socket.EAI_NONAME] * 3 and {n for n, _ in got[1]} == {f"www.{Z}", Z},
           got)
    script = "import ctypes, sys; print(ctypes.CDLL(None).res_query(sys.argv[1].encode(), 1, 1, ctypes.create_string_buffer(512), 512))"
    lines, asked = rig.run(sys.executable, "-c", script, f"www.{Z}", options=["--rule", f"deny *.{Z}"])
    expect("by res_query neither", lines == ["-1"] and not asked, (lines, asked))
    got = rig.resolve(f"www.{Z}", options=["--rule", "deny *"])
    expect("with every address denied names are still found", got[0] == [2], got)
    lines, _ = rig.run("dig", "+timeout=20", "+tries=1", "+short", "@127.0.0.53", f"whoami.{Z}", "TXT", options=["--rule", "deny *"])
    expect("port 53 of a local resolver comes before every rule", lines == ['"9.9.9.9 udp"'], lines)
    lines, asked = rig.run("dig", "+timeout=5", "+tries=1", "@8.8.8.8", f"whoami.{Z}", "TXT", options=["--rule", "deny 8.8.8.8"])
    expect("datagrams obey too", not asked and "answer" not in " ".join(lines).lower(), (lines, asked))
    got = rig.connect("192.168.1.1:80", "192.168.2.2:80", options=["--rule", "tunnel 192.168.1.0/24"])
    expect("a private network that a rule opens is asked of the exit, which refuses", got == [errno.EHOSTUNREACH, unreachable], got)
    for bad in ("direct *", "deny 1.1.1.1/33", "deny"):
        p = subprocess.run([rig.smolmix_run, "--rule", bad, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, text=True, check=False)
        expect(f'"{bad}" ends with 125 and one line', p.returncode == 125 and p.stdout.count("\n") == 1 and bad in p.stdout, p)


def unreadable(shim, stand):
    """A shim whose list of rules cannot be read denies everything."""
    with socket.create_server(("127.0.0.1", 0)) as s, tempfile.TemporaryDirectory() as tmp:
        ctl = os.path.join(tmp, "ctl")
        env = {**os.environ, "LD_PRELOAD": shim, "SMOLMIX_SOCKET": ctl, "SMOLMIX_VERBOSE": "0"}
        with subprocess.Popen([stand, ctl], stdout=subprocess.PIPE) as tunnel:
            tunnel.stdout.readline()
            for rule, want in (("rubbish", errno.ENETUNREACH), ("deny 127.0.0.1; rubbish", errno.ENETUNREACH), ("", 0)):
                p = subprocess.run([sys.executable, "-c", CONNECT, f"127.0.0.1:{s.getsockname()[1]}"], env={**env, "SMOLMIX_RULE": rule},
                                   stdout=subprocess.PIPE, timeout=20, check=False, text=True)
                expect(f'a shim with the rules "{rule}": {want}', p.stdout == f"{want}\n", p)
            tunnel.kill()


def main():
    """Everything, in one network."""
    names.enter_namespace(dnszone.ADDRESSES + ("192.168.1.1",))
    smolmix_run, localnet, shim, stand = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:5])
    with tempfile.TemporaryDirectory() as tmp:
        names.mount_files(tmp)
        zone, traps = dnszone.Zone(), dnszone.Zone(dnszone.TRAPS)
        with subprocess.Popen([localnet], stdout=subprocess.PIPE) as net:
            rig = Rig(smolmix_run, json.loads(net.stdout.readline())["api"], zone)
            cache(rig)
            servers(rig)
            rules(rig)
            net.terminate()
        unreadable(shim, stand)
        expect("no resolver of the host was asked", not traps.take())
        for path in names.FILES:
            subprocess.run(["umount", path], check=True)
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
