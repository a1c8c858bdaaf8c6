#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutation test: the shim with each of its hooks taken away in turn, in a namespace where everything is captured.

A program that tries every way to the internet (probe.c) runs natively first, which must show packets, or the capture
would prove nothing; then whole, where the ordinary ways must work; then once per hook without that hook. A way then works
through the tunnel or ends in an error. Packets to anybody but nym-api and gateway: none.
"""
import concurrent.futures
import json
import os
import platform
import re
import subprocess
import sys

import e_leak as leak
import world as w

PROBE = w.BUILD / "tests/e2e/probe"
SHIM = w.BUILD / "shim/libsmolmix-shim.so"
ARGS = (w.WEB4, "9.9.9.9", w.NAME)
# What the kernel or the design refuses in any case.
REFUSED = {"tcp fast open", "mptcp", "udp broadcast", "raw socket", "packet socket"}
PARALLEL = 6


def hooks():
    """The calls the shim interposes: its exported symbols."""
    out = leak.sh("nm", "-D", "--defined-only", SHIM).stdout
    return sorted(m[1] for m in re.finditer(r" [TWi] (\w+)$", out, re.M))


def build(folder, hook):
    """The library that takes one hook away."""
    lib = folder / f"unhook_{hook}.so"
    leak.sh("cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", f"-DHOOK={hook}", "-o", lib, w.ROOT / "tests/e2e/unhook.c")


def verdicts(text):
    """{way: outcome}"""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def native(net):
    """Without smolmix the same program is seen."""
    with leak.Capture(net.dir / "native.pcap") as capture:
        subprocess.run([*net.prefix, "timeout", "60", str(PROBE), w.WEB4], check=False)
    lines = net.strangers(capture.packets())
    leak.expect(f"native: the capture sees {len(lines)} packets", any(w.WEB4 in line for line in lines))


def whole(net):
    """With all hooks every ordinary way works."""
    p = net.run(PROBE, *ARGS, options=net.options)
    got = verdicts(p.stdout)
    wrong = {k: v for k, v in got.items() if (v == "ok") == (k in REFUSED)}
    leak.expect(f"all hooks: {sum(v == 'ok' for v in got.values())} of {len(got)} ways work, the others are refused by design",
                got and not wrong, wrong or p)


def mutants(folder):
    """Inside the tunnel: one line of JSON per hook, [hook, exit code, output of the program without it]."""
    def without(hook):
        env = dict(os.environ, LD_PRELOAD=f"{folder}/unhook_{hook}.so:{os.environ['LD_PRELOAD']}")
        p = subprocess.run([str(PROBE), *ARGS], env=env, capture_output=True, text=True, check=False, timeout=500)
        line = json.dumps([hook, p.returncode, p.stdout]) + "\n"
        os.write(1, line.encode())  # in one piece: print() ends lines in a second one

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(without, hooks()))
    return 0


def judge_mutant(hook, code, text):
    """A mutant runs to its end; what does not work is listed."""
    got = verdicts(text)
    bad = [f"{k} ({v})" for k, v in got.items() if v != "ok" and k not in REFUSED]
    leak.expect(f"without {hook}: {sum(v == 'ok' for v in got.values())} ways work; error: {', '.join(bad) or 'none'}",
                len(got) > 40 and code == 0, text)


def main():
    """All mutants."""
    if platform.machine() != "x86_64":
        w.skip("the trampolines of unhook.c are for x86-64")
    why = leak.missing_tool("cc", "nm")
    if why:
        w.skip(why)
    with leak.World() as net:
        net.options = ["--profile", "fast"]
        native(net)
        with leak.Capture(net.dir / "mutants.pcap", "inside") as capture:
            whole(net)
            for hook in hooks():
                build(net.dir, hook)
            p = net.run(sys.executable, __file__, "mutants", net.dir, options=net.options, timeout=700)
            results = [json.loads(line) for line in p.stdout.splitlines()]
            for result in sorted(results):
                judge_mutant(*result)
            leak.expect(f"{len(results)} hooks taken away", len(results) == len(hooks()), p)
        lines = net.strangers(capture.packets())
        leak.expect(f"mutants: {len(capture.packets())} packets captured, {len(lines)} to others", not lines,
                    "\n".join(lines[:20]))
    return 0 if leak.good else 1


if __name__ == "__main__":
    sys.exit(mutants(sys.argv[2]) if sys.argv[1:2] == ["mutants"] else main())
