#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hours of mixed traffic through one tunnel while the network fails at random: does anything grow, stall or get a byte wrong?

    soak.py [--minutes N] [--seed N]

Runs itself inside smolmix-run as the load: curl down and up, dig, UDP, and nc on a connection that lives as long as it
can. Faults are drawn from a list, one after the other, with the seed's numbers. Each minute a line says what the tunnel
holds. At the end the load stops and the tunnel must come to rest: then descriptors and pools are compared with those of the
start. What fails the run: a wrong byte, memory or descriptors that grow, pools that do not empty, a kind of load that
does not work any more at the end, a tunnel that ended.
"""
import argparse
import collections
import hashlib
import http.server
import json
import os
import pathlib
import random
import socket
import socketserver
import subprocess
import sys
import threading
import time

import world as w
from sink import Sink

ECHO4 = "192.88.99.82"
UPLOAD = 400_000
JOBS = ("down", "up", "dig", "udp", "nc")
GROWTH_KB = 2048       # of resident memory, by the slope over the run without its first fifth
DESCRIPTORS = 4        # more than at the start, at rest
POOLS = ("acks_awaited", "packets_kept", "reply_keys", "fragments_held", "packets_held", "packets_queued")
AT_REST = {"connections_open": 0, "packets_kept": 8, "fragments_held": 64, "packets_held": 0, "packets_queued": 0,
           "acks_awaited": 512}  # at most; cover is acknowledged too
ERRORS = ("frames_dropped", "given_up", "unknown_acks", "keys_evicted", "gaps_given_up", "rx_dropped", "udp_dropped",
          "retransmissions", "reconnects")

# A fault, how long, and what ends it. {g}: the gateway in use, {x}: the exit in use, {n}: any mix node.
FAULTS = (
    ("loss 2", 20, "loss 0"), ("duplicate 5", 20, "duplicate 0"), ("reorder 5", 20, "reorder 0"),
    ("delay 150", 20, "delay 0"), ("jitter 200", 20, "jitter 0"), ("node dead {n}", 6, "node ok {n}"),
    ("node slow {n} 300", 20, "node ok {n}"), ("gateway reset {g}", 0, None), ("gateway forget {g}", 0, None),
    ("gateway stop {g}", 3, "gateway start {g}"), ("gateway stall {g}", 18, "gateway ok {g}"), ("rotate", 0, None),
    ("api down", 30, "api ok"), ("api rubbish", 30, "api ok"), ("exit forget {x}", 0, None), ("exit end {x}", 0, None),
    ("node flip {n}", 10, "node ok {n}"), ("node replay {n}", 10, "node ok {n}"), ("gateway junk {g}", 10, "gateway ok {g}"),
    ("gateway replay {g}", 10, "gateway ok {g}"), ("gateway text {g}", 10, "gateway ok {g}"), ("exit sets {x}", 10, "exit ok {x}"),
    ("exit nonsense {x}", 10, "exit ok {x}"), ("exit unasked {x}", 10, "exit ok {x}"), ("exit requests {x}", 10, "exit ok {x}"),
    ("exit replay {x}", 10, "exit ok {x}"), ("exit silent {x}", 35, "exit ok {x}"), ("exit starve {x}", 15, "exit ok {x}"), ("exit rubbish {x}", 5, "exit ok {x}"),
)


# ---- the load: inside the tunnel ----

class Load:
    """All kinds of load at once, each in a thread, until standard input ends."""

    def __init__(self, web, sink, echo, dns, name, folder):
        self.web, self.sink, self.echo, self.dns, self.name, self.folder = web, sink, echo, dns, name, folder
        self.over = threading.Event()
        self.lock = threading.Lock()

    def say(self, job, ok, why="", wrong=0):
        """One attempt's outcome."""
        with self.lock:
            print(json.dumps({"job": job, "ok": ok, "why": why[-100:], "wrong": wrong}), flush=True)

    def command(self, *argv):
        """Exit code, output, last error line."""
        p = subprocess.run(argv, capture_output=True, text=True, check=False)
        return p.returncode, p.stdout, p.stderr.strip()

    def down(self):
        """A file by curl; also what came of a broken one must be right."""
        path, want = f"{self.folder}/down", pathlib.Path(self.folder, "www/file").read_bytes()
        pathlib.Path(path).write_bytes(b"")
        code, _, err = self.command("curl", "-sS", "-m", "150", "-o", path, f"http://{self.web}/file")
        got = pathlib.Path(path).read_bytes()
        wrong = sum(a != b for a, b in zip(got, want)) + max(0, len(got) - len(want))
        self.say("down", code == 0 and got == want, err, wrong + (len(want) - len(got) if code == 0 else 0))

    def up(self):
        """A file to a server that answers its checksum."""
        path = f"{self.folder}/up"
        code, out, err = self.command("curl", "-sS", "-m", "150", "-T", path, f"http://{self.sink}/")
        right = out.strip() == hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        self.say("up", code == 0 and right, err, UPLOAD if code == 0 and not right else 0)

    def dig(self):
        """A question."""
        code, out, _ = self.command("dig", "+short", "+time=4", "+tries=2", f"@{self.dns}", self.name, "A")
        self.say("dig", code == 0 and out.strip() == self.web, out.strip())
        self.over.wait(1)

    def udp(self):
        """Datagrams of many sizes to an echo."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((self.echo, 7))
            s.settimeout(5)
            for size in (1, 40, 600, 1300):
                sent = os.urandom(12) + bytes(size)
                try:
                    s.send(sent)
                    while (got := s.recv(2000))[:12] != sent[:12]:
                        pass  # an answer to an earlier one
                    self.say("udp", got == sent, wrong=sum(a != b for a, b in zip(got, sent)))
                except OSError as e:
                    self.say("udp", False, str(e))
                self.over.wait(0.5)

    def nc(self):
        """A line every ten seconds over one connection of nc."""
        with subprocess.Popen(["nc", self.echo, "7"], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            number = 0
            while not self.over.wait(10 if number else 0):
                number += 1
                line = f"line {number}\n".encode()
                try:
                    p.stdin.write(line)
                    got = p.stdout.readline()
                except OSError:
                    got = b""
                self.say("nc", got == line, "" if got else "connection ended", got not in (line, b""))
                if got != line:
                    break
            p.kill()
        self.over.wait(1)

    def run(self):
        """Everything until standard input ends."""
        def repeat(job):
            while not self.over.is_set():
                job()

        threads = [threading.Thread(target=repeat, args=(getattr(self, j),), daemon=True) for j in JOBS]
        time.sleep(3)  # the tunnel is looked at before anything is open
        for t in threads:
            t.start()
        sys.stdin.read()
        self.over.set()
        for t in threads:
            t.join(170)
        print(json.dumps({"job": "over"}), flush=True)
        time.sleep(1000)  # the tunnel is looked at while it rests


# ---- the world ----

class TcpEcho(socketserver.BaseRequestHandler):
    """Sends back what comes."""
    def handle(self):
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except OSError:
            pass


class UdpEcho(socketserver.BaseRequestHandler):
    """Sends back what comes."""
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)


class Soak(w.World):
    """The servers, the network and the tunnel with the load inside."""

    def __init__(self):
        super().__init__(["--nodes", "3x3", "--gateways", "3", "--exits", "3"])
        self.total = collections.Counter()
        self.why = collections.Counter()
        self.minute = collections.Counter()
        self.wrong = 0
        self.rested = threading.Event()
        self.samples = []
        self.faults = collections.Counter()

    def start_localnet(self):
        def serve(kind, handler, shown):
            server = kind(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.maps.append(f"{shown}=127.0.0.1:{server.server_address[1]}")

        Sink.body = os.urandom(UPLOAD)
        (self.dir / "up").write_bytes(Sink.body)
        (self.dir / "up").chmod(0o644)
        socketserver.ThreadingTCPServer.daemon_threads = True
        serve(http.server.ThreadingHTTPServer, Sink, f"{ECHO4}:80")
        # TCP and UDP of one number go to one number
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), TcpEcho)
        udp = socketserver.ThreadingUDPServer(("127.0.0.1", tcp.server_address[1]), UdpEcho)
        for server in (tcp, udp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.maps.append(f"{ECHO4}:7=127.0.0.1:{tcp.server_address[1]}")
        super().start_localnet()

    def start_load(self):
        """The tunnel, with this program as the load."""
        self.stats_file = self.dir / "stats.json"
        self.log = open(self.dir / "run.log", "w")
        argv = [w.RUN, "-v", "--stats-json", self.stats_file, "--api", self.api, "--", sys.executable, __file__, "--load",
                w.WEB4, ECHO4, ECHO4, w.DNS_ADDRS[0], w.NAME, self.dir]
        self.tunnel = self.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Counts what the load says."""
        for line in self.tunnel.stdout:
            e = json.loads(line)
            if e["job"] == "over":
                self.rested.set()
                continue
            key = (e["job"], e["ok"])
            self.total[key] += 1
            self.minute[key] += 1
            self.wrong += e["wrong"]
            if not e["ok"]:
                self.why[f"{e['job']}: {e['why']}"] += 1

    def stats(self):
        """The statistics file."""
        return json.loads(self.stats_file.read_text())

    def resident(self):
        """kB of the tunnel's process."""
        text = pathlib.Path(f"/proc/{self.tunnel.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def descriptors(self):
        """Open descriptors of the tunnel's process."""
        return len(os.listdir(f"/proc/{self.tunnel.pid}/fd"))

    def sample(self, began):
        """One line."""
        s, rss, fds = self.stats(), self.resident(), self.descriptors()
        at = time.monotonic() - began
        self.samples.append((at, rss, fds, s))
        done = " ".join(f"{j} {self.minute[j, True]}/{self.minute[j, False]}" for j in JOBS)
        self.minute.clear()
        print(f"{at / 60:5.1f} min {rss:6} kB {fds:3} fds {s['state']:12} {done} | " +
              " ".join(f"{k}={s[k]}" for k in (*POOLS, "connections_open", *ERRORS)), flush=True)

    def quiet(self):
        """Waits until nothing is on its way any more; what is still held then."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            held = {k: self.stats()[k] for k, most in AT_REST.items() if self.stats()[k] > most}
            if not held and self.stats()["state"] == "ready":
                return {}
            time.sleep(1)
        return {**held, "state": self.stats()["state"]}


def slope(points):
    """Least squares, per second."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    below = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / below if below else 0


class Faults(threading.Thread):
    """One fault after the other, with pauses in which all must become well."""

    def __init__(self, net, seed):
        super().__init__(daemon=True)
        self.net, self.rng, self.over = net, random.Random(seed), threading.Event()

    def run(self):
        while not self.over.wait(self.rng.uniform(15, 60)):
            on, seconds, off = self.rng.choice(FAULTS)
            s = self.net.stats()
            names = {"n": self.rng.randint(1, 9), "g": self.net.gateways.index(s["gateway"]) + 1,
                     "x": self.net.exits.index(s["exit"]) + 1 if s["exit"] else 1}
            print(f"      fault: {on.format(**names)}" + (f" for {seconds} s" if off else ""), flush=True)
            self.net.faults[on.split(" {")[0]] += 1
            answer = self.net.command(on.format(**names))
            if off:
                self.over.wait(seconds)
                answer += self.net.command(off.format(**names))
            if "error" in answer:
                print("      " + answer, flush=True)


def summary(net, minutes, seed, first, held):
    """What it was; the exit code."""
    bad = []
    kept = [(at, rss) for at, rss, *_ in net.samples if at > minutes * 60 / 5]
    per_hour = slope(kept) * 3600 if len(kept) > 1 else 0
    growth = per_hour * (kept[-1][0] - kept[0][0]) / 3600 if len(kept) > 1 else 0
    last = net.stats()
    more_fds = net.descriptors() - first[1]
    print(f"\n== {minutes:g} minutes, seed {seed}")
    print(f"resident memory     {first[0]} kB at the start, {max(r for _, r, *_ in net.samples)} at most, "
          f"{net.resident()} at the end; slope {per_hour:+.0f} kB/h")
    print(f"descriptors         {first[1]} at the start, {max(f for _, _, f, _ in net.samples)} at most, {more_fds:+} at rest")
    print("pools, most         " + " ".join(f"{k}={max(s[k] for *_, s in net.samples)}" for k in POOLS))
    print("pools, at rest      " + " ".join(f"{k}={last[k]}" for k in POOLS))
    print("errors              " + " ".join(f"{k}={last[k]}" for k in ERRORS))
    print("faults              " + ", ".join(f"{k} {v}" for k, v in sorted(net.faults.items())))
    for job in JOBS:
        print(f"{job:5} {net.total[job, True]:6} well {net.total[job, False]:5} failed")
    for why, n in net.why.most_common(12):
        print(f"      {n:5} x {why}")
    print(f"wrong bytes         {net.wrong + Sink.wrong}")
    bad += [f"{net.wrong + Sink.wrong} wrong bytes"] if net.wrong + Sink.wrong else []
    bad += [f"memory grew by {growth:.0f} kB"] if growth > GROWTH_KB else []
    bad += [f"{more_fds} descriptors more than at the start"] if more_fds > DESCRIPTORS else []
    bad += [f"not at rest: {held}"] if held else []
    bad += [f"{job} did not work at the end" for job in JOBS if not net.minute[job, True]]
    print("FAILED: " + "; ".join(bad) if bad else "all as it should be")
    return 1 if bad else 0


def main():
    """The whole run."""
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--load", nargs=6, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.load:
        Load(*a.load).run()
        return 0
    with Soak() as net:
        net.start_load()
        end = time.monotonic() + 90
        while not (net.stats_file.exists() and net.stats()["state"] == "ready"):
            if time.monotonic() > end or net.tunnel.poll() is not None:
                print((net.dir / "run.log").read_text()[-2000:])
                return 1
            time.sleep(0.1)
        first = net.resident(), net.descriptors()
        began = time.monotonic()
        faults = Faults(net, a.seed)
        faults.start()
        for i in range(1, max(2, int(a.minutes)) + 1):
            while time.monotonic() < began + i * 60 * a.minutes / max(2, int(a.minutes)) and net.tunnel.poll() is None:
                time.sleep(0.2)
            if net.tunnel.poll() is not None:
                print("FAILED: the tunnel ended\n" + (net.dir / "run.log").read_text()[-3000:])
                return 1
            net.sample(began)
        faults.over.set()
        faults.join()
        net.minute.clear()  # what works now, without faults
        limit = time.monotonic() + 120
        while time.monotonic() < limit and not all(net.minute[j, True] for j in JOBS):
            time.sleep(0.5)
        net.tunnel.stdin.close()
        net.rested.wait(180)
        return summary(net, a.minutes, a.seed, first, net.quiet())


if __name__ == "__main__":
    sys.exit(main())
