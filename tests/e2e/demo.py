#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo: unmodified curl, dig and python through a whole Nym network on this machine, with a table of results."""
import hashlib
import json
import subprocess
import sys
import time

import world as w

PYTHON = f"import urllib.request,sys;sys.stdout.buffer.write(urllib.request.urlopen('http://{w.NAME}/file').read())"


class Row:
    """One line of the table."""

    def __init__(self, what, argv, check):
        self.what, self.argv, self.check = what, argv, check


def body_is(sha):
    """A check: the output is the file."""
    return lambda out: hashlib.sha256(out).hexdigest() == sha


def text_is(text):
    """A check: the output contains text."""
    return lambda out: text.encode() in out


def rows(net):
    """What the demo shows."""
    curl = ["curl", "-sS", "--fail", "--max-time", "100"]
    dig = ["dig", "+short", "+timeout=10", "+tries=2", "@1.1.1.1", w.NAME]
    ca = ["--cacert", net.dir / "ca.pem"]
    return [
        Row("curl http, 1 MB", [*curl, f"http://{w.WEB4}/file"], body_is(net.sha)),
        Row("curl https, 1 MB", [*curl, *ca, f"https://{w.WEB4}/file"], body_is(net.sha)),
        Row("curl https by name, 1 MB", [*curl, *ca, f"https://{w.NAME}/file"], body_is(net.sha)),
        Row("curl http over IPv6", [*curl, "-6", f"http://{w.NAME}/small"], text_is("small file")),
        Row("dig A", [*dig, "A"], text_is(w.WEB4)),
        Row("dig AAAA", [*dig, "AAAA"], text_is(w.WEB6)),
        Row("dig TXT", [*dig, "TXT"], text_is(w.TXT)),
        Row("dig +tcp A", [*dig, "+tcp", "A"], text_is(w.WEB4)),
        Row("python urllib by name, 1 MB", [sys.executable, "-c", PYTHON], body_is(net.sha)),
    ]


def run(net, row):
    """Runs one row; returns its table cells and whether it passed."""
    stats_file = net.dir / "stats.json"
    stats_file.unlink(missing_ok=True)
    before = len(net.access_log())
    start = time.monotonic()
    p = subprocess.run(net.run_argv(*row.argv, options=["--stats-json", stats_file, "--profile", profile()]),
                       capture_output=True, timeout=180, check=False)
    seconds = time.monotonic() - start
    stats = json.loads(stats_file.read_text()) if stats_file.exists() else {}
    seen = {line[0] for line in net.access_log()[before:]} or {"-"}
    bootstrap = stats.get("bootstrap_ms", 0) / 1000
    ok = p.returncode == 0 and row.check(p.stdout) and seen <= {"-"} | w.EXIT_SEEN
    if not ok:
        sys.stderr.write(f"{row.what}: exit code {p.returncode}, {len(p.stdout)} bytes, server saw {seen}\n{p.stderr.decode()}\n")
    rate = len(p.stdout) / 1000 / max(seconds - bootstrap, 1e-3)
    cells = [row.what, len(p.stdout), f"{seconds:.1f}", f"{rate:.1f}", ",".join(sorted(seen))]
    cells += [stats.get(k, "?") for k in ("packets_real", "packets_cover", "packets_received", "acks_received")]
    return cells + ["ok" if ok else "FAILED"], ok


def profile():
    """Traffic profile of the demo: first argument, else default."""
    return sys.argv[1] if len(sys.argv) > 1 else "default"


def main():
    """Starts the world, runs every row, prints the table."""
    head = ["what", "bytes", "seconds", "kB/s", "server saw", "sent", "cover", "received", "acks", ""]
    fmt = "{:<28} {:>8} {:>8} {:>7} {:>12} {:>6} {:>6} {:>9} {:>6} {}"
    good = True
    with w.World() as net:
        print(f"A Nym network on this machine: {net.api} (it gives no anonymity). Profile: {profile()}.")
        print("Seconds include the bootstrap; kB/s do not.\n")
        print(fmt.format(*head))
        for row in rows(net):
            cells, ok = run(net, row)
            print(fmt.format(*map(str, cells)), flush=True)
            good &= ok
    print("\nThe servers saw the exit's address (127.0.0.77, ::1), never the program's. sent, cover, received, acks: Sphinx packets."
          if good else "\nSomething failed.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
