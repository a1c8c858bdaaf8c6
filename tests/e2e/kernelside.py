# SPDX-License-Identifier: Apache-2.0
"""The far side of e_kernel.py: this kernel in namespaces of its own, behind tun devices that tunlink made.

"near" holds the tun devices and most servers; "small" is behind a link with an MTU of 1280. Sockets of both are made in
a thread that goes there, and are used by the test itself. A Hand is a program under the shim that does what it is told.
"""
import ctypes
import errno
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import world as w

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NEAR = {4: "192.88.99.80", 6: "2a0e:dead:beef::80"}
SMALL = {4: "192.88.99.90", 6: "2a0e:dead:beef::90"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
SMALL_MTU = 1280
TUNLINK = w.BUILD / "tests/e2e/tunlink"

HAND = """
import errno, hashlib, json, os, select, signal, socket, struct, sys, threading, time, traceback
env = dict(globals())
for line in sys.stdin:
    env["ret"] = None
    try:
        exec(json.loads(line), env)
        said = {"ret": env["ret"]}
    except OSError as e:
        said = {"error": errno.errorcode.get(e.errno, str(e))}
    except Exception:
        said = {"wrong": traceback.format_exc()}
    print(json.dumps(said), flush=True)
"""


def sh(*argv, check=True):
    """A system command."""
    return subprocess.run([str(a) for a in argv], check=check, capture_output=True, text=True)


class Namespaces:
    """near and small, joined."""

    def __init__(self):
        self.near, self.small = (f"smolmix-{n}-{os.getpid()}" for n in ("near", "small"))
        self.fds = {}

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        if os.geteuid() != 0:
            w.skip("only root makes network namespaces")
        if not os.path.exists("/dev/net/tun"):
            w.skip("no /dev/net/tun")
        try:
            for ns in (self.near, self.small):
                sh("ip", "netns", "add", ns)
                self.fds[ns] = os.open(f"/run/netns/{ns}", os.O_RDONLY | os.O_CLOEXEC)
                self.sh(ns, "ip", "link", "set", "lo", "up")
                for name in ("all", "default"):
                    self.sysctl(ns, f"ipv6.conf.{name}.accept_dad", 0)
                self.sysctl(ns, "ipv4.tcp_no_metrics_save", 1)
            self.join()
        except (OSError, subprocess.CalledProcessError) as e:
            self.__exit__()
            w.skip("cannot make network namespaces: " + (getattr(e, "stderr", "") or str(e)).strip())
        return self

    def __exit__(self, *_):
        for ns in (self.near, self.small):
            sh("ip", "netns", "del", ns, check=False)
        for fd in self.fds.values():
            os.close(fd)

    def join(self):
        """The link between both, which is narrow; errors are not rationed."""
        sh("ip", "-n", self.near, "link", "add", "narrow", "type", "veth", "peer", "name", "narrow", "netns", self.small)
        for ns in self.near, self.small:
            sh("ip", "-n", ns, "link", "set", "narrow", "mtu", SMALL_MTU, "up")
        for fam, router, bits in (4, "169.254.7.1", 32), (6, "fe80::1", 64):
            near, small = (("ip", f"-{fam}", "-n", ns) for ns in (self.near, self.small))
            sh(*near, "addr", "add", NEAR[fam], "dev", "lo")
            sh(*near, "addr", "add", f"{router}/{bits}", "dev", "narrow")
            sh(*near, "route", "add", SMALL[fam], "dev", "narrow")
            sh(*small, "addr", "add", SMALL[fam], "dev", "narrow")
            route = ["default", "via", router, "dev", "narrow", "advmss", {4: 1460, 6: 1440}[fam]]  # small does not know
            sh(*small, "route", "add", *route, *(["onlink"] if fam == 4 else []))
        for name in "ipv4.ip_forward", "ipv6.conf.all.forwarding":
            self.sysctl(self.near, name, 1)
        for name in "ipv4.icmp_ratelimit", "ipv6.icmp.ratelimit":
            self.sysctl(self.near, name, 0)

    @staticmethod
    def sh(ns, *argv):
        """A command inside; what it printed."""
        return sh("ip", "netns", "exec", ns, *argv).stdout

    def sysctl(self, ns, name, value):
        """A setting of net."""
        self.sh(ns, "sysctl", "-qw", f"net.{name}={value}")

    def within(self, ns, do):
        """do() in a thread that is there."""
        said = queue.Queue()

        def go():
            try:
                if LIBC.setns(self.fds[ns], CLONE_NEWNET) < 0:
                    raise OSError(ctypes.get_errno(), "setns")
                said.put((do(), None))
            except OSError as e:
                said.put((None, e))

        threading.Thread(target=go, daemon=True).start()
        ret, error = said.get()
        if error:
            raise error
        return ret

    def socket(self, fam, kind=socket.SOCK_STREAM, proto=0, ns=None):
        """One of the far kernel's sockets."""
        s = self.within(ns or self.near, lambda: socket.socket(FAMILY[fam], kind, proto))
        s.settimeout(60)
        return s

    def counters(self):
        """What the kernel of near counted: {name: value}."""
        ret = {}
        for name in "snmp", "netstat":
            rows = self.within(self.near, lambda n=name: pathlib.Path(f"/proc/thread-self/net/{n}").read_text()).splitlines()
            for head, values in zip(rows[::2], rows[1::2]):
                proto = head.split(":")[0]
                ret.update({proto + k: int(v) for k, v in zip(head.split()[1:], values.split()[1:])})
        return ret


class Tunnel:
    """tunlink, its device in near."""

    def __init__(self, spaces, number, seed=1, **vices):
        self.spaces, self.number, self.vices, self.seed = spaces, number, vices, seed
        self.ip = {4: f"10.9.{number}.2", 6: f"fd00:{number}::2"}
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="smolmix-e2e-"))
        self.pcap = self.dir / "pcap"
        self.hands = []
        self.lock = threading.Lock()

    def __enter__(self):
        dev = f"smx{os.getpid() % 100000}t{self.number}"
        self.log = open(self.dir / "log", "w")
        self.proc = subprocess.Popen([TUNLINK, dev, self.dir / "ctl", self.ip[4], self.ip[6], str(self.seed), self.pcap],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        if self.proc.stdout.readline() != "ready\n":
            raise RuntimeError("tunlink: " + (self.dir / "log").read_text())
        near = self.spaces.near
        sh("ip", "link", "set", dev, "netns", near)
        sh("ip", "-n", near, "link", "set", dev, "mtu", 1420, "up")
        for fam in 4, 6:
            sh("ip", f"-{fam}", "-n", near, "route", "add", self.ip[fam], "dev", dev)
        for what, value in self.vices.items():
            self.command(what, value)
        self.command("up")
        return self

    def __exit__(self, *_):
        for h in self.hands:
            h.end()
        self.proc.stdin.close()
        try:
            self.status = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.status = self.proc.wait()
        self.log.close()
        self.said = (self.dir / "log").read_text()
        self.packets = list(read_pcap(self.pcap)) if self.pcap.exists() else []
        shutil.rmtree(self.dir, ignore_errors=True)

    def command(self, *words):
        """One line to tunlink."""
        with self.lock:
            self.proc.stdin.write(" ".join(map(str, words)) + "\n")
            self.proc.stdin.flush()
            if self.proc.stdout.readline() != "ok\n":
                raise RuntimeError(f"tunlink: {words}: {(self.dir / 'log').read_text()}")

    def hand(self):
        """A program that uses this tunnel."""
        h = Hand({"LD_PRELOAD": str(w.SHIM), "SMOLMIX_SOCKET": str(self.dir / "ctl"), "SMOLMIX_VERBOSE": "0"})
        self.hands.append(h)
        return h


class Hand:
    """A program that runs the lines it is given; ret is what they leave in ret, or the name of an error."""

    def __init__(self, env):
        self.proc = subprocess.Popen([sys.executable, "-u", "-c", HAND], env={**os.environ, **env}, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)

    def begin(self, code):
        """Starts the lines."""
        self.proc.stdin.write(json.dumps(code) + "\n")
        self.proc.stdin.flush()

    def result(self):
        """Waits for what was started."""
        line = self.proc.stdout.readline()
        if not line:
            raise RuntimeError("the program ended")
        said = json.loads(line)
        if "wrong" in said:
            raise RuntimeError(said["wrong"])
        return said.get("error", said.get("ret"))

    def __call__(self, code):
        self.begin(code)
        return self.result()

    def end(self):
        """Ends the program."""
        self.proc.stdin.close()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


def read_pcap(path):
    """Packets of TCP: dicts with time, source, destination, ports, flags, seq, ack, window, payload length, options."""
    data = path.read_bytes()
    at = 24
    while at + 16 <= len(data):
        sec, usec, have, real = struct.unpack_from("=IIII", data, at)
        p = data[at + 16:at + 16 + have]
        at += 16 + have
        if len(p) < have:
            return
        six = p[0] >> 4 == 6
        head = 40 if six else (p[0] & 15) * 4
        if p[6 if six else 9] != socket.IPPROTO_TCP or len(p) < head + 20 or (not six and (p[6] & 0x1f or p[7])):
            continue
        sport, dport, seq, ack, off, flags, window = struct.unpack_from("!HHIIBBH", p, head)
        fam = socket.AF_INET6 if six else socket.AF_INET
        yield {"at": sec + usec / 1e6, "from": socket.inet_ntop(fam, p[8:24] if six else p[12:16]),
               "to": socket.inet_ntop(fam, p[24:40] if six else p[16:20]), "sport": sport, "dport": dport, "seq": seq, "ack": ack,
               "flags": flags, "window": window, "len": real - head - (off >> 4) * 4, "ip_len": real,
               "options": p[head + 20:head + (off >> 4) * 4]}


def reset_linger(s):
    """The next close is a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_all(s):
    """Everything up to the end of file; ends with an errno's name when there is an error."""
    out = bytearray()
    while True:
        try:
            got = s.recv(1 << 18)
        except OSError as e:
            return bytes(out), errno.errorcode.get(e.errno, str(e))
        if not got:
            return bytes(out), None
        out += got
