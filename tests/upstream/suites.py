# SPDX-License-Identifier: Apache-2.0
"""What the upstream suites share: their files from the distribution, a namespace to run in, and the verdict.

A suite's cases run natively and under the shim ("modes"). An outcome is one word: ok, skip, or how it failed. What is not
the same as natively must stand in tests/upstream/differences with a reason:

    case | mode | outcome | reason

case is a pattern (fnmatch); mode one of the suite's, "both" (all but native) or "all". The outcome "not run" is for cases that
would hang: they are not tried.
"""
import collections
import contextlib
import fnmatch
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("SMOLMIX_BUILD", HERE.parents[1] / "build")).resolve()
RUN = BUILD / "tools/smolmix-run"
LOCALNET = BUILD / "tools/smolmix-localnet"
STORE = BUILD / "upstream"
PUBLIC = "192.88.99.80"
SKIP = 77

Allowed = collections.namedtuple("Allowed", "case mode outcome reason")


def skip(why):
    """Ends a suite that cannot run here."""
    print("SKIP:", why)
    sys.exit(SKIP)


def apt(*args, cwd):
    """apt-get with package lists of its own, sources of source packages among them: the machine's lists stay as they are.
    It checks hashes and signatures as always."""
    own = STORE / "apt"
    sources = own / "sources"
    fresh = not sources.exists()
    for d in (sources, own / "lists/partial", own / "cache/archives/partial"):
        d.mkdir(parents=True, exist_ok=True)
    for f in pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"):
        lines = f.read_text().splitlines()
        (sources / f.name).write_text("\n".join("Types: deb deb-src" if l.startswith("Types:") else l for l in lines) + "\n")
    for f in [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*.list")]:
        if f.exists():
            lines = [l for l in f.read_text().splitlines() if l.startswith("deb ")]
            (sources / f.name).with_suffix(".list").write_text(
                "\n".join(lines + ["deb-src" + l[3:] for l in lines]) + "\n")
    options = ["Dir::Etc::sourcelist=/dev/null", f"Dir::Etc::sourceparts={sources}", f"Dir::State::lists={own}/lists",
               f"Dir::Cache={own}/cache", "APT::Sandbox::User=root"]
    command = ["apt-get", "-q", *(a for o in options for a in ("-o", o))]
    if fresh and subprocess.run([*command, "update"], stdout=subprocess.DEVNULL, check=False).returncode:
        shutil.rmtree(own)
        skip("apt-get update failed")
    if subprocess.run([*command, *args], cwd=cwd, stdout=subprocess.DEVNULL, check=False).returncode:
        skip(f"apt-get {' '.join(args)} failed")


def once(name, make):
    """A folder of the store that make(folder) fills the first time."""
    folder = STORE / name
    if not folder.exists():
        STORE.mkdir(parents=True, exist_ok=True)
        fresh = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=STORE))
        make(fresh)
        fresh.rename(folder)
    return folder


def enter_namespace():
    """Goes on in a network namespace whose loopback device has an address that looks public."""
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    if "T_INSIDE" not in os.environ:
        probe = subprocess.run([*unshare, "true"], stderr=subprocess.PIPE, text=True, check=False)
        if probe.returncode:
            skip("cannot make a network namespace: " + probe.stderr.strip())
        os.execvpe(unshare[0], [*unshare, sys.executable, *sys.argv], {**os.environ, "T_INSIDE": "1"})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing that was started stays
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", f"{PUBLIC}/32", "dev", "lo"], check=True)


@contextlib.contextmanager
def network():
    """A local Nym network; its nym-api. What asks for names of the internet is told at once that there are none."""
    resolver = f"127.0.0.1:{no_names()}"
    with subprocess.Popen([LOCALNET, "--map", f"9.9.9.9:53={resolver}", "--map", f"1.1.1.1:53={resolver}"],
                          stdout=subprocess.PIPE) as net:
        try:
            yield json.loads(net.stdout.readline())["api"]
        finally:
            net.terminate()


def no_names():
    """A DNS server that knows no name; its port."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))

    def loop():
        while True:
            query, peer = s.recvfrom(4096)
            end = query.find(b"\0", 12) + 5
            s.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + query[12:end], peer)
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1]


def allowed(suite):
    """The reviewed list of one suite: cases are named SUITE/..."""
    out = []
    for line in (HERE / "differences").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 4 or not all(parts):
            sys.exit(f"differences: not case | mode | outcome | reason: {line}")
        if parts[0].startswith(suite + "/"):
            out.append(Allowed(parts[0][len(suite) + 1:], *parts[1:]))
    return out


def _in_mode(entry, mode):
    return entry.mode in (mode, "all") or (entry.mode == "both" and mode != "native")


def not_run(listed, mode):
    """Patterns of the cases that are not tried in this mode."""
    return [a.case for a in listed if a.outcome == "not run" and _in_mode(a, mode)]


def find(listed, case, mode, outcome):
    """The entry that allows this outcome, or None."""
    for a in listed:
        if fnmatch.fnmatchcase(case, a.case) and _in_mode(a, mode) and outcome == a.outcome:
            return a
    return None


def different(native, shimmed):
    """Cases that went well natively and not so here. A case that was left out natively says nothing."""
    return {c: shimmed.get(c, "not run") for c, o in native.items() if o == "ok" and shimmed.get(c, "not run") != "ok"}


def by_class(which):
    """The list, with one line for many cases of a class that ended alike."""
    groups = collections.defaultdict(list)
    for line in which:
        case, outcome = line.rsplit(": ", 1)
        groups[case.rpartition(".")[0], outcome].append(case)
    for (name, outcome), cases in groups.items():
        if name and len(cases) > 3:
            yield f"{name}.*: {outcome} ({len(cases)} cases)"
        else:
            yield from (f"{case}: {outcome}" for case in cases)


def verdict(suite, results):
    """Prints counts and differences; how many of them nobody has reviewed. results: {mode: {case: outcome}}, "native" first."""
    native = results["native"]
    listed = allowed(suite)
    used, bad = set(), 0
    for mode, cases in results.items():
        n = collections.Counter(cases.values())
        print(f"{suite} {mode}: {n.pop('ok', 0)} ok" + "".join(f", {v} {k}" for k, v in sorted(n.items())))
    for mode, cases in results.items():
        reasons = collections.defaultdict(list)
        for case, outcome in sorted(different(native, cases).items() if mode != "native" else ()):
            entry = find(listed, case, mode, outcome)
            used.add(entry)
            bad += entry is None
            reasons[entry.reason if entry else "NOT REVIEWED"].append(f"{case}: {outcome}")
        for reason, which in sorted(reasons.items()):
            print(f"\n{mode}: {len(which)} differences: {reason}")
            print("\n".join("    " + w for w in by_class(which)))
    for a in listed:
        ran = any(fnmatch.fnmatchcase(case, a.case) for case in native)
        if a not in used and a.mode != "all" and ran and any(_in_mode(a, m) for m in results):
            print(f"\nno longer needed: {suite}/{a.case} | {a.mode} | {a.outcome}")
    print(f"\n{suite}: {bad} differences that are not reviewed\n")
    return bad
