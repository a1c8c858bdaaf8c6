#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client built with sanitizers among peers that lie: gateway, exit, mix nodes and nym-api, one switch after the other.

    e_hostile.py [--seconds N] [--seed N] [--seeds N] [api node gateway exit]

SMOLMIX_BUILD has the network and the shim, SMOLMIX_CLIENT the smolmix-run to be tried (build-asan; the same folder if not
set). One client lives through all switches of a kind; each is on for some seconds while programs use the network, then
off. What must hold: no sanitizer report and no crash, memory within bounds, and the network usable again when the switch is
off. Fresh clients meet the nym-api and gateway ones too: they work, or end with one line that says why.
"""
import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

import e_faults
import world as w

CLIENT = w.pathlib.Path(os.environ.get("SMOLMIX_CLIENT", w.BUILD))
API = ("flip", "cut", "huge", "deep", "bomb", "lies", "half", "rubbish")
BY_CHANCE = ("flip", "cut", "lies", "junk", "text")  # tried with several seeds
NODE = ("flip", "cut", "replay")
GATEWAY = ("flip", "cut", "junk", "flood", "replay", "text")
EXIT = ("flip", "cut", "sets", "bundles", "nonsense", "unasked", "requests", "replay", "flood", "rubbish")
FRESH = {"api": API, "gateway": ("junk", "replay", "text")}  # with the others a client may try for the minute it has
GREW_KB = 48 * 1024        # by all switches together; freed memory that the sanitizer keeps is a third of it
START_KB = 320 * 1024      # of a client that meets the largest answers of a nym-api
SANITIZERS = "quarantine_size_mb=16:malloc_context_size=8:detect_leaks=1:abort_on_error=0:handle_abort=1"
REPORT = re.compile(r"(ERROR: AddressSanitizer|runtime error:|ERROR: LeakSanitizer|Assertion).*")
REPORT_EXIT = 99
bad = 0
lock = threading.Lock()


def tell(ok, what, how):
    """One row."""
    global bad
    with lock:
        print(f"{'ok  ' if ok else 'FAIL'} {what:28} {how}", flush=True)
        bad += not ok


def client(folder):
    """The launcher to be tried beside the shim of the plain build: programs are not built with sanitizers."""
    for name, path in (("tools/smolmix-run", CLIENT / "tools/smolmix-run"), ("shim/libsmolmix-shim.so", w.SHIM)):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(path, folder / name)
    return folder / "tools/smolmix-run"


class Hostile(e_faults.FaultWorld):
    """A network whose second gateway is the client's, so that what it does hurts nobody else, and a client."""

    def resident(self):
        """kB of the tunnel's process."""
        text = w.pathlib.Path(f"/proc/{self.probe.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def one(self, switch, off, seconds):
        """One switch: on, off, well again."""
        before = self.resident()
        self.fault_at = 0
        self.fault(switch)
        time.sleep(seconds)
        if self.probe.poll() is not None:
            raise RuntimeError(f"ended with {self.probe.poll()}")
        worst = self.resident()
        began = time.monotonic()
        self.fault(off)
        self.wait("a new connection", lambda: self.seen("connect", began))
        e = self.seen("connect", began)[0]
        s = self.stats()
        tell(True, switch, f"well {e['began'] + e['took'] - began:.1f} s after it; {before // 1024} MB before, {worst // 1024} at its end; "
             f"{s['state']}, {s['frames_dropped']} frames dropped, {s['reconnects']} reconnects")


def report(text):
    """What a sanitizer said, or nothing."""
    found = REPORT.search(text)
    return text[found.start():found.start() + 3000] if found else ""


def live(servers, run, kind, switches, a):
    """One client through all switches of a kind."""
    with Hostile(servers) as net:
        what = kind
        try:
            net.start_probe(run, options=("--gateway", net.gateways[1], "--exit", net.exits[0]))
            net.fault(f"seed {a.seed}")
            first = net.resident()
            for what in switches:
                on, off = {"gateway": (f"gateway {what} 2", "gateway ok 2"), "exit": (f"exit {what} 1", "exit ok 1"),
                           "node": (f"node {what} 3", "node ok 3"), "api": (f"api {what}", "api ok")}[kind]
                if what == "text" or kind == "api":  # nothing is asked for in an open link
                    threading.Timer(0.2, net.command, [f"gateway reset {net.my_gateway()}"]).start()
                what = on
                net.one(on, off, a.seconds)
            grew = net.resident() - first
            tell(grew < GREW_KB, f"{kind}: memory", f"{first // 1024} MB at the start, {grew // 1024:+} at the end")
            if kind == "node":  # exits see what they carry, and replies have no check of their own behind the last hop
                wrong = net.wrong_bytes()
                tell(not wrong, f"{kind}: wrong bytes", f"{wrong}")
            net.probe.stdin.write("end\n")
            net.probe.stdin.flush()
            code = net.probe.wait(90)
            tell(code == 0, f"{kind}: end", f"exit code {code}")
        except Exception as e:  # another kind goes on
            tell(False, what, f"{type(e).__name__}: {e}\n{net.log.read_text()[-1500:]}")
        text = net.log.read_text()
        if report(text):
            tell(False, f"{kind}: sanitizers", "\n" + report(text))


def start(net, run, switch, seed):
    """A fresh client under a switch."""
    net.command(f"seed {seed}")
    began = time.monotonic()
    with open(net.dir / "start.log", "w+") as log:
        p = subprocess.Popen([run, "-q", "--api", net.api, "--", "true"], stdout=log, stderr=log)
        _, status, used = os.wait4(p.pid, 0)
        log.seek(0)
        said = log.read().strip()
    p.returncode = code = os.waitstatus_to_exitcode(status)
    how = f"exit code {code}, {used.ru_maxrss // 1024} MB, {time.monotonic() - began:.1f} s: {said[:110]}"
    ok = code == 0 or (code == 125 and said.startswith("smolmix-run: ") and "\n" not in said)
    tell(ok and used.ru_maxrss < START_KB and not report(said), f"{switch} (seed {seed})", how if ok else how + "\n" + said[:3000])


def starts(servers, run, chosen, a):
    """Fresh clients."""
    with Hostile(servers) as net:
        for kind, switches in FRESH.items():
            for name in switches if kind in chosen else ():
                net.command(f"{kind} {name}")
                for seed in range(a.seed, a.seed + (a.seeds if name in BY_CHANCE else 1)):
                    start(net, run, f"{kind} {name}", seed)
                net.command(f"{kind} ok")
        start(net, run, "nobody lies", 1)


def main():
    """All kinds at once."""
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("kind", nargs="*", default=["api", "node", "gateway", "exit"])
    a = p.parse_args()
    os.environ["ASAN_OPTIONS"] = SANITIZERS + f":exitcode={REPORT_EXIT}"
    os.environ["UBSAN_OPTIONS"] = f"halt_on_error=1:print_stacktrace=1:exitcode={REPORT_EXIT}"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with e_faults.Servers() as servers:
        run = client(servers.dir)
        jobs = [threading.Thread(target=live, args=(servers, run, kind, switches, a))
                for kind, switches in (("gateway", GATEWAY), ("exit", EXIT[:5]), ("exit", EXIT[5:]), ("node", NODE)) if kind in a.kind]
        jobs.append(threading.Thread(target=starts, args=(servers, run, a.kind, a)))
        for t in jobs:
            t.start()
        for t in jobs:
            t.join()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
