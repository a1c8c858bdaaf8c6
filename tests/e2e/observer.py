#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an observer of the link to the entry gateway sees, live: a packet capture while the program is idle, downloads, uploads,
and while the gateway comes and goes.

usage: observer.py [--profile default|fast] [--seconds N]    (60 seconds for each)

The times between the client's frames are tested against the exponential law of the profile's rate and, two samples, against those
of idleness (Kolmogorov-Smirnov); frames must have one size. The capture sees what tests/sim/sim_observer.c cannot: what lies
between a slot and the wire. So it wants a quiet machine, and is no part of the ordinary run: a wake-up that is late by a
millisecond is part of what it measures.

Exit code 1: something shows. Needs root, for tcpdump.
"""
import argparse
import bisect
import collections
import math
import os
import shutil
import struct
import subprocess
import sys
import time

import world as w

RATE = {"default": 55, "fast": 250}   # packets per second: both clocks
LINK_LOST = 0.5                       # seconds: a gap that no clock makes
P_MIN = 0.01
SETTLE = 5                            # seconds after ready


def frames(path, port):
    """(time, length) of each websocket frame to the port; one segment holds whole frames, since the client sends them one by one."""
    data = path.read_bytes()
    nano = struct.unpack_from("<I", data)[0] == 0xA1B23C4D
    at = 24
    while at + 16 <= len(data):
        sec, frac, kept, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16:at + 16 + kept]
        at += 16 + kept
        ip = packet[14:]
        head = (ip[0] & 15) * 4
        tcp = ip[head:]
        if ip[0] >> 4 != 4 or struct.unpack_from("!H", tcp, 2)[0] != port:
            continue
        total = struct.unpack_from("!H", ip, 2)[0] - head - (tcp[12] >> 4) * 4
        if total > 0:
            yield sec + frac * (1e-9 if nano else 1e-6), total


def probability(d, n):
    """Of a distance of at least d among n when nothing is wrong (Kolmogorov's series, Stephens' correction)."""
    root = math.sqrt(n)
    x = (root + 0.12 + 0.11 / root) * d
    if x < 0.2:
        return 1.0
    return min(1.0, max(0.0, sum((2 if j % 2 else -2) * math.exp(-2 * j * j * x * x) for j in range(1, 100))))


def p_exponential(gaps, rate):
    """One sample against the law."""
    n = len(gaps)
    d = max(max(abs(1 - math.exp(-g * rate) - i / n), abs((i + 1) / n - 1 + math.exp(-g * rate))) for i, g in enumerate(sorted(gaps)))
    return d, probability(d, n)


def p_same(a, b):
    """Two samples."""
    a, b = sorted(a), sorted(b)
    d = max(abs(bisect.bisect_right(a, x) / len(a) - bisect.bisect_right(b, x) / len(b)) for x in a + b)
    return d, probability(d, len(a) * len(b) / (len(a) + len(b)))


class Observer(w.World):
    """A network with a gateway for the client alone (the exit has the other); one client and one capture for each thing done."""

    def __init__(self, profile, seconds):
        super().__init__(["--gateways", "2"], dns=False)
        self.profile, self.seconds = profile, seconds
        self.idle = self.size = None

    def gateway_port(self, client):
        """The port of the client's only connection once it has settled, but for the directory's."""
        api = int(self.api.rstrip("/").rsplit(":", 1)[1])
        lines = subprocess.run(["ss", "-Htnp", "state", "established"], check=True, capture_output=True, text=True).stdout.splitlines()
        ports = {int(line.split()[3].rsplit(":", 1)[1]) for line in lines if f"pid={client.pid}," in line}
        return (ports - {api}).pop()

    def capture(self, what, command, during=None):
        """What a client sends while the command runs in it."""
        pcap = self.dir / f"{what}.pcap"
        client = self.spawn(self.run_argv("sh", "-c", command, options=["--profile", self.profile, "--gateway", self.gateways[1]]),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(SETTLE)
        port = self.gateway_port(client)
        tap = self.spawn(["tcpdump", "-i", "lo", "-n", "-s", "120", "-B", "8192", "--time-stamp-precision=nano", "-U", "-w", pcap,
                          f"tcp dst port {port}"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if during:
                during()
            time.sleep(1)
        if client.poll() is not None:
            raise RuntimeError(f"{what}: the client ended too soon")
        tap.terminate()
        tap.wait()
        client.terminate()
        client.wait()
        return list(frames(pcap, port))

    def report(self, what, view):
        """One line; false when something shows."""
        sizes = collections.Counter(size for _, size in view)
        size = sizes.most_common(1)[0][0]
        times = [t for t, s in view if s == size]
        gaps = [b - a for a, b in zip(times, times[1:]) if b - a < LINK_LOST]
        if self.idle is None:
            self.idle, self.size = gaps, size
        law, same = p_exponential(gaps, RATE[self.profile]), p_same(self.idle, gaps)
        others = {s: n for s, n in sizes.items() if s != size}
        print(f"{self.profile:8}{what:11}{len(gaps):6} gaps, {len(gaps) / sum(gaps):6.2f}/s, frames of {size} bytes; exponential: "
              f"distance {law[0]:.4f} p {law[1]:.3f}; as idle: distance {same[0]:.4f} p {same[1]:.3f}; other frames: {others or 'none'}",
              flush=True)
        return law[1] > P_MIN and same[1] > P_MIN and size == self.size

    def come_and_go(self):
        """The gateway is away for a moment, now and then."""
        if int(time.monotonic()) % 10 == 0:
            self.command("gateway reset 2")


def main():
    """All views of one profile."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--profile", choices=RATE, default="default")
    args.add_argument("--seconds", type=int, default=60)
    given = args.parse_args()
    if os.geteuid() or not shutil.which("tcpdump"):
        w.skip("tcpdump and root are needed")
    loop = "while :; do {}; done"
    down = loop.format(f"curl -s -o /dev/null http://{w.WEB4}/file")
    up = loop.format(f"head -c 1000000 /dev/zero | curl -s -o /dev/null -T - http://{w.WEB4}/put")
    with Observer(given.profile, given.seconds) as o:
        good = [o.report("idle", o.capture("idle", "sleep 1000")), o.report("download", o.capture("download", down)),
                o.report("upload", o.capture("upload", up)), o.report("reconnects", o.capture("reconnects", down, o.come_and_go))]
    print("nothing shows but the clock" if all(good) else "something shows")
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
