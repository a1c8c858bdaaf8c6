#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs see when parts of the network fail, and how long it takes until all is well again.

    e_faults.py [--table | --all] [word of a story...]

Each story has a network of its own; a few run at once, the servers are the same for all. faults_probe.py uses the
network; when its download is under way the fault comes. Gateway, mix node and directory faults must not end a connection. When the exit is lost, its addresses are,
and so every connection must end with ECONNRESET, while new ones and UDP go on through another exit.

--table: files of 5 MB instead of some hundred kB as fast as they go, and the faults that other tests look at as well.
"""
import argparse
import contextlib
import errno
import hashlib
import http.server
import json
import os
import pathlib
import signal
import socketserver
import subprocess
import sys
import threading
import time

import world as w
from sink import Sink

ECHO4 = "192.88.99.82"
UNDER_WAY = 0.1       # share of the files before the fault
DOWN, UP = 600_000, 200_000  # bytes
RATES = "60k", "20k"
TABLE = 5_000_000, ("10M", "10M")
WAIT = 100            # seconds until all must be well again: generous, machines are slow
RESET_CURL = (55, 56) # curl: failure in sending or receiving network data
bad = 0
lock = threading.Lock()
slots = threading.Semaphore(2 * (os.cpu_count() or 1))


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes."""
    def handle(self):
        while data := self.request.recv(1000):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    """On a port of this machine."""
    daemon_threads = True


class Servers(w.World):
    """Web, DNS and echo server, and one for uploads; no network."""

    def start_localnet(self):
        Sink.body = os.urandom(UP)
        (self.dir / "up").write_bytes(Sink.body)
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        self.maps.append(f"{ECHO4}:80=127.0.0.1:{sink.server_address[1]}")
        echo = EchoServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        self.maps.append(f"{ECHO4}:7=127.0.0.1:{echo.server_address[1]}")


class FaultWorld(w.World):
    """A network with some gateways and fewer or as many exits, and a probe that runs in it."""

    def __init__(self, servers, gateways=3, exits=2):
        super().__init__(["--nodes", "3x2", "--gateways", str(gateways), "--exits", str(exits), "-v"], web=False, dns=False)
        self.maps, self.body, self.up = servers.maps, servers.body, servers.dir / "up"
        self.events = []
        self.patience = WAIT
        self.fault_at = self.back_at = 0

    def start_probe(self, run=w.RUN, options=()):
        """smolmix-run with the probe; returns when the download is under way."""
        self.log = self.dir / "run.log"
        self.stats_file = self.dir / "stats.json"
        network = self.dir / "network.json"  # the first directory is never there
        network.write_text(json.dumps({"name": "faults", "nym_api": [f"http://127.0.0.1:{w.free_port()}/", self.api]}))
        argv = [run, "-v", "--stats-json", self.stats_file, "--network", network, *options, "--", sys.executable,
                w.pathlib.Path(__file__).with_name("faults_probe.py"), w.WEB4, ECHO4, w.DNS_ADDRS[0], w.NAME, self.dir,
                str(DOWN), *RATES]
        (self.dir / "up").symlink_to(self.up)
        with open(self.log, "w") as log:
            self.probe = self.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self.read_probe, daemon=True).start()
        self.wait("the probe's start", lambda: self.seen("ready"))
        self.wait("the first connection", lambda: self.seen("connect"))
        first = self.dir / "download1"
        self.wait("the download", lambda: first.exists() and first.stat().st_size > UNDER_WAY * DOWN)

    def read_probe(self):
        for line in self.probe.stdout:
            self.events.append(json.loads(line))

    def wait(self, what, cond):
        """Until cond is true; an exception when it never is."""
        end = time.monotonic() + self.patience
        while not cond():
            if time.monotonic() > end or self.probe.poll() is not None:
                raise TimeoutError(f"{what}: not within {self.patience} s")
            time.sleep(0.1)

    def seen(self, what, since=0.0, result=0):
        """Events of a kind that began later and ended so."""
        return [e for e in list(self.events) if e["what"] == what and e["began"] >= since and e["result"] == result]

    def stats(self):
        """The statistics file."""
        return json.loads(self.stats_file.read_text())

    def my_gateway(self):
        """Number of the gateway the client uses."""
        return self.gateways.index(self.stats()["gateway"]) + 1

    def my_exit(self):
        """Number of the exit the client uses."""
        return self.exits.index(self.stats()["exit"]) + 1

    def fault(self, line):
        """A command that must be understood. The first one is the fault."""
        answer = self.command(line)
        if answer != "ok":
            raise RuntimeError(f"{line}: {answer}")
        self.fault_at = self.fault_at or time.monotonic()

    def recovered(self):
        """Waits until a new connection and a DNS question begun after the fault went well; returns the seconds since the
        fault, or since what was away is back."""
        ends = []
        for what in ("connect", "dns"):
            self.wait(f"{what} after the fault", lambda what=what: self.seen(what, self.fault_at))
            e = self.seen(what, self.fault_at)[0]
            ends.append(e["began"] + e["took"])
        return max(ends) - (self.back_at or self.fault_at)

    def finish(self):
        """Ends the probe; how the quiet connection ended."""
        if not [e for e in self.events if e["what"] == "quiet"]:
            self.probe.stdin.write("end\n")
            self.probe.stdin.flush()
        self.wait("the quiet connection's end", lambda: [e for e in self.events if e["what"] == "quiet"])
        return [e for e in self.events if e["what"] == "quiet"][0]["result"]

    def wrong_bytes(self):
        """Bytes of all downloads, whole or not, that are not the file's."""
        wrong = 0
        for path in self.dir.glob("download*"):
            got = path.read_bytes()
            wrong += sum(a != b for a, b in zip(got, self.body)) + max(0, len(got) - DOWN)
        return wrong


def gateway_restart(net):
    """Stopped, three seconds later there again, from when the time counts."""
    n = net.my_gateway()
    net.fault(f"gateway stop {n}")
    time.sleep(3)
    net.fault(f"gateway start {n}")
    net.back_at = time.monotonic()


def gateway_forgets(net):
    """Its connections end and it knows nobody any more."""
    net.fault(f"gateway forget {net.my_gateway()}")


def gateway_stall(net):
    """Says nothing more on any connection, for eighteen seconds."""
    n = net.my_gateway()
    net.fault(f"gateway stall {n}")
    time.sleep(18)
    net.fault(f"gateway ok {n}")


def gateway_gone(net):
    """Stopped, and does not come back: after a minute another one is taken, and the client's address is gone."""
    n = net.my_gateway()
    net.fault(f"gateway stop {n}")
    net.wait("another gateway", lambda: net.stats()["state"] == "ready" and net.my_gateway() != n)
    if net.stats()["cause"] or "the gateway is gone for good" not in net.log.read_text():
        raise RuntimeError(f"not said, or not over: {net.stats()}")


def gateway_unlisted(net):
    """It works, but the directory does not name it any more, and everybody's keys change: there are no routes to it."""
    n = net.my_gateway()
    net.fault(f"gateway unlist {n}")
    net.fault("rotate")
    net.fault("rotate")
    net.wait("another gateway", lambda: net.stats()["state"] == "ready" and net.my_gateway() != n)
    if net.stats()["cause"] or "does not list it any more" not in net.log.read_text():
        raise RuntimeError(f"not said, or not over: {net.stats()}")


def another_exit(net, n):
    """Exit n must be left for the other one."""
    net.wait("another exit", lambda: net.stats()["state"] == "ready" and net.stats()["exit"] == net.exits[2 - n])
    if net.stats()["reconnects"] != 1 or net.stats()["cause"]:
        raise RuntimeError(f"statistics: {net.stats()}")


def exit_ends(net):
    """Tells its clients to go away and takes nobody."""
    n = net.my_exit()
    net.fault(f"exit refuse {n}")
    net.fault(f"exit end {n}")
    another_exit(net, n)


def exit_ends_gateway_away(net):
    """The exit takes us again while our gateway is away, which keeps its answer and gives it to us before it lets us in."""
    g = net.my_gateway()
    net.fault("delay 300")
    net.fault_at = 0
    net.fault(f"exit end {net.my_exit()}")
    net.wait("the end", lambda: "tunnel: reconnecting" in net.log.read_text())
    time.sleep(1.9)  # the answer is on its way; a gateway keeps no more than 64 packets
    net.fault(f"gateway close 1 {g}")
    net.fault(f"gateway reset {g}")
    time.sleep(0.9)
    net.fault("delay 0")
    net.fault(f"gateway ok {g}")


def exit_flaps(net):
    """Takes us again each time, to send us away again: it is asked once more, then the other one."""
    n = net.my_exit()
    net.fault(f"exit end {n}")
    net.wait("the same exit", lambda: net.log.read_text().count("tunnel: ready") == 2)
    net.fault_at = 0
    net.fault(f"exit end {n}")
    another_exit(net, n)


def exit_forgets(net):
    """Forgets us without a word."""
    net.fault(f"exit forget {net.my_exit()}")


def exit_dies(net):
    """Is silent."""
    n = net.my_exit()
    net.fault(f"exit silent {n}")
    net.wait("the cause", lambda: net.stats()["state"] in ("degraded", "reconnecting") and net.stats()["cause"])
    another_exit(net, n)


def node_dead(net):
    """One of two mix nodes of the second layer swallows packets, for six seconds."""
    net.fault("node dead 3")
    time.sleep(6)
    net.fault("node ok 3")


def node_dead_for_good(net):
    """It stays away: the directory gives it no performance, and who asks it again finds another way."""
    net.fault("node dead 3")


def keys_change(net):
    """All nodes have new keys; the directory is asked again."""
    net.fault("rotate")
    net.fault(f"gateway reset {net.my_gateway()}")
    net.wait("the new keys", lambda: "rotation 2" in net.log.read_text())


def api_down(net):
    """The directory is away when it is asked again."""
    net.fault("api down")
    net.fault(f"gateway reset {net.my_gateway()}")
    net.wait("the failure", lambda: "not refreshed" in net.log.read_text())


def node_slow(net):
    """One of two mix nodes of the second layer takes a second for each packet, for ten seconds."""
    net.fault("node slow 3 1000")
    time.sleep(10)
    net.fault("node ok 3")


def half_open(net):
    """The gateway takes our packets, but nothing it says arrives on the connections of now."""
    net.fault(f"gateway half {net.my_gateway()}")


def skewed(net):
    """The gateway's clock is wrong by ten minutes when we come again, for eight seconds."""
    n = net.my_gateway()
    net.fault(f"gateway skew 600 {n}")
    net.fault(f"gateway reset {n}")
    net.wait("the cause", lambda: "skewed" in net.log.read_text())
    time.sleep(5)
    net.fault(f"gateway ok {n}")


def for_a_while(seconds, on, off, reset=False):
    """A story of two commands; {x}: our exit. reset: the directory is asked in the middle."""
    def story(net):
        x = net.my_exit()
        net.fault(on.format(x=x))
        if reset:
            net.fault(f"gateway reset {net.my_gateway()}")
        time.sleep(seconds)
        net.fault(off.format(x=x))
    return story


def new_epoch(net):
    """The directory tells of a new epoch."""
    net.fault("epoch")
    net.fault(f"gateway reset {net.my_gateway()}")


def asleep(seconds):
    """As when the machine is suspended: tunnel and programs do not run, and time goes on."""
    def story(net):
        net.fault_at = time.monotonic()
        tree = family(net.probe.pid)
        send(tree, signal.SIGSTOP)
        time.sleep(seconds)
        send(reversed(tree), signal.SIGCONT)
    return story


def send(pids, sig):
    """A signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)


def family(pid):
    """A process and those it began, which have not ended."""
    out = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            out += family(int(child))
        except FileNotFoundError:
            continue
    return out


# name, story, connections live on
MORE = (
    ("2 % lost per hop (20 s)", for_a_while(20, "loss 2", "loss 0"), True),
    ("5 % twice per hop (20 s)", for_a_while(20, "duplicate 5", "duplicate 0"), True),
    ("5 % reordered per hop (20 s)", for_a_while(20, "reorder 5", "reorder 0"), True),
    ("100 ms more per hop (20 s)", for_a_while(20, "delay 100", "delay 0"), True),
    ("0-300 ms jitter per hop (20 s)", for_a_while(20, "jitter 300", "jitter 0"), True),
    ("mix node dead (6 s)", node_dead, True),
    ("mix node slow by 1 s (10 s)", node_slow, True),
    ("gateway half-open", half_open, True),
    ("gateway's clock wrong (8 s)", skewed, True),
    ("directory stale (15 s)", for_a_while(15, "api stale", "api ok", reset=True), True),
    ("directory broken (15 s)", for_a_while(15, "api half", "api ok", reset=True), True),
    ("new epoch", new_epoch, True),
    ("exit starves SURBs (10 s)", for_a_while(10, "exit starve {x}", "exit ok {x}"), True),
    ("exit sends garbage (5 s)", for_a_while(5, "exit rubbish {x}", "exit ok {x}"), True),
    ("gateway not listed, new keys", gateway_unlisted, False),
    ("asleep for 20 s", asleep(20), True),
    ("asleep until the exit has forgotten us (80 s)", asleep(80), False),
)
STORIES = (
    ("gateway gone for good", gateway_gone, False),
    ("exit forgets the client", exit_forgets, False),
    ("exit dies", exit_dies, False),
    ("gateway stalls (18 s)", gateway_stall, True),
    ("exit sends us away twice", exit_flaps, False),
    ("mix node dead for good", node_dead_for_good, True),
    ("gateway restarts (3 s)", gateway_restart, True),
    ("gateway forgets everybody", gateway_forgets, True),
    ("gateway resets, new keys", keys_change, True),
    ("gateway resets, no directory", api_down, True),
    ("exit ends the session", exit_ends, False),
    ("exit ends, gateway away", exit_ends_gateway_away, False),
)

WIDE = 4, 4  # gateways and exits when one gateway is lost: an exit at the next gateway, or at the lost one, is none
LOST = (gateway_gone, gateway_unlisted)
NO_EXIT = (exit_ends_gateway_away, half_open)  # the client enters by the gateway that has no exit


def share(e, right, got, of):
    """How a file ended."""
    if e["result"]:
        return f"{got / of:.0%} curl {e['result']}"
    return "whole" if right else f"WRONG, {got} bytes"


def judge(net, lives, fair):
    """What the programs saw after the fault, as text, and whether that is right. fair: how attempts to connect may fail,
    when there is no tunnel for longer than they wait."""
    seconds = net.recovered()
    ends = ("download", "upload") if lives else ("download", "upload", "quiet")
    net.patience = WAIT + DOWN // 10_000
    net.wait("the end of the connections", lambda: set(ends) <= {e["what"] for e in net.events})
    down, up = ([e for e in net.events if e["what"] == what][0] for what in ("download", "upload"))
    quiet = net.finish()
    wrong = net.wrong_bytes()
    got = (net.dir / "download1").read_bytes()
    failed = [e for e in net.events if e["what"] == "connect" and e["result"] and e["began"] >= net.fault_at]
    asked = [e for e in net.events if e["what"] == "dns" and e["began"] >= net.fault_at]
    lost = DOWN - len(got) if lives else 0
    down_right, up_right = got == net.body[:DOWN], up["sha"] == hashlib.sha256(Sink.body).hexdigest()
    saw = [f"down {share(down, down_right, len(got), DOWN)}", f"up {share(up, up_right, int(up['sent']), UP)}",
           "quiet " + ("lives" if quiet == 0 else errno.errorcode.get(quiet, str(quiet))),
           f"connects {len(failed)} of {len(failed) + len(net.seen('connect', net.fault_at))} failed",
           f"dns {len([e for e in asked if e['result']])} of {len(asked)} unanswered"]
    ok = wrong == 0 and not [e for e in failed if e["result"] not in fair] and lost == 0
    if lives:
        ok = ok and down_right and down["result"] == 0 and up_right and up["result"] == 0 and quiet == 0
    else:
        ok = ok and down["result"] in RESET_CURL and quiet == errno.ECONNRESET and up["result"] in RESET_CURL
    return seconds, ", ".join(saw), wrong, ok


def tell(name, seconds, saw, wrong, ok):
    """One row of the table."""
    global bad
    with lock:
        print(f"{'ok  ' if ok else 'FAIL'} {name:30} {saw:95} {seconds:8} {wrong:5}", flush=True)
        bad += not ok


def run(servers, name, story, lives):
    """One story."""
    with slots, FaultWorld(servers, *(WIDE if story in LOST else ())) as net:
        try:
            net.start_probe(options=("--gateway", net.gateways[2]) if story in NO_EXIT else ())
            story(net)
            seconds, saw, wrong, ok = judge(net, lives, (errno.ENETDOWN,) if story in LOST else ())
            tell(name, f"{seconds:.1f} s", saw, wrong, ok)
        except Exception as e:  # a story that breaks must not hide the others
            tell(name, "-", f"{type(e).__name__}: {e}", "-", False)
            ok = False
        if not ok:
            with lock:
                print(net.log.read_text()[-3000:])
                print(*[e for e in net.events if e["result"] != 0 and e["what"] != "dns"][:10], sep="\n")


def main():
    """All stories, the long ones first."""
    global DOWN, UP, RATES, slots
    p = argparse.ArgumentParser()
    p.add_argument("--table", action="store_true")
    p.add_argument("--all", action="store_true", help="the faults of --table with the small files")
    p.add_argument("words", nargs="*")
    a = p.parse_args()
    if a.table:
        DOWN = UP = TABLE[0]
        RATES = TABLE[1]
    chosen = [s for s in (STORIES + MORE if a.table or a.all else STORIES) if not a.words or any(x in s[0] for x in a.words)]
    print(f"     {'fault':30} {'what the programs saw':95} {'recovery':>8} {'wrong':>5}", flush=True)
    if a.table:
        slots = threading.Semaphore(os.cpu_count() or 1)  # full speed needs more of the machine
    with Servers(size=max(DOWN, w.BODY)) as servers:
        threads = [threading.Thread(target=run, args=(servers, *s)) for s in chosen]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    if Sink.wrong:
        print(f"FAIL {Sink.wrong} wrong bytes in uploads")
    return 1 if bad or Sink.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
