#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the POSIX programs of one file bare and under the shim against the same servers; the same output is demanded.

usage: run.py PROGRAM SHIM CTLSTAND
       run.py --mixnet PROGRAM SMOLMIX-RUN SMOLMIX-LOCALNET
       run.py --preload PROGRAM SHIM SMOLMIX-LOCALNET

The second form runs it under smolmix-run through a local Nym network, the third with nothing but LD_PRELOAD, so that the
tunnel is in the program itself. All happen in a network namespace whose loopback
device has the servers' public-looking address, since loopback addresses do not go through the tunnel. Through the network
the program is in one more namespace, from which everything is captured where tcpdump is installed: packets to anybody but
nym-api and gateway are a failure. A program named x_* judges itself and only runs shimmed.

Each case of a file is a program: a process of its own (t_main.h), whose lines follow "== NAME" and are compared by themselves. With
the tunnel inside they share one process and so one tunnel. Differences are allowed only where tests/shim/differences
lists them with a reason.
"""
import difflib
import json
import os
import pathlib
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import script

HERE = pathlib.Path(__file__).resolve().parent
PUBLIC = "192.88.99.80"
PUBLIC6 = "2a0e:dead:beef::80"
PING6 = "2a0e:dead:beef::81"  # the exit answers echo requests to IPv6 addresses that are mapped only
OUTSIDE = "10.213.0.1"  # this side of the program's one way out
PING_GROUPS = "/proc/sys/net/ipv4/ping_group_range"
UNSHARE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]


def listener(backlog=64):
    """A TCP listener."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((PUBLIC, 0))
    s.listen(backlog)
    return s


def serve(handler, rcvbuf=0):
    """A TCP server with one thread per connection; its port. A small receive buffer lets a program fill it in a moment."""
    s = listener()
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)

    def loop():
        while True:
            conn = s.accept()[0]
            threading.Thread(target=guarded, args=(handler, conn), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1]


def guarded(handler, conn):
    """A client may end as it likes."""
    try:
        with conn:
            handler(conn)
    except OSError:
        pass


def echo(conn):
    """Sends back what comes."""
    while data := conn.recv(65536):
        conn.sendall(data)


def count(conn):
    """Counts until the end, then says how many."""
    n = 0
    while data := conn.recv(65536):
        n += len(data)
    conn.sendall(str(n).encode())


def reset(conn):
    """Reads a byte, sends three, reads one more, resets."""
    conn.recv(1)
    conn.sendall(b"bye")
    conn.recv(1)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang():
    """A port that answers no SYN: the backlog is full. Sockets must stay alive."""
    s = listener(0)
    fill = []
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(s.getsockname())
        fill.append(c)
    return s.getsockname()[1], [s, *fill]


def udp_echo(host=PUBLIC, mirrors=0):
    """A UDP echo server; its port. Each mirror is one more socket that answers too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s, *more = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(1 + mirrors))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    for each in (s, *more):
        each.bind((host, 0))

    def loop():
        while True:
            data, peer = s.recvfrom(70000)
            for each in (s, *more):
                try:
                    each.sendto(data, peer)
                except OSError:
                    pass
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1]


def closed(kind, host=PUBLIC):
    """A port nobody has."""
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    s.bind((host, 0))
    port = s.getsockname()[1]
    s.close()
    return port


def reviewed(program, case=None):
    """{(bare line, shimmed line)} of the reviewed list: for the whole program, and for the case."""
    pairs = set()
    for line in (HERE / "differences").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, bare, shimmed, reason = (part.strip() for part in line.split("|"))
        if not reason:
            sys.exit(f"differences: no reason: {line}")
        if name in (program, f"{program}/{case}"):
            pairs.add((bare, shimmed))
    return pairs


def servers():
    """Starts all servers; environment that tells the programs, and what must stay alive."""
    hang_port, keep = hang()
    ports = {"T_ECHO": serve(echo), "T_COUNT": serve(count), "T_RESET": serve(reset),
             "T_DO": serve(script.script, 16384), "T_HANG": hang_port, "T_CLOSED": closed(socket.SOCK_STREAM),
             "T_UDP": udp_echo(), "T_UDPCLOSED": closed(socket.SOCK_DGRAM),
             "T_UDP6": udp_echo(PUBLIC6), "T_UDP6CLOSED": closed(socket.SOCK_DGRAM, PUBLIC6), "T_UDP3": udp_echo(mirrors=2)}
    env = {k: v for k, v in os.environ.items() if not k.startswith("SMOLMIX_")}
    env.update({k: str(v) for k, v in ports.items()}, T_HOST=PUBLIC, T_HOST6=PUBLIC6, T_PORT="9")
    return env, keep


def run(argv, env):
    """Output lines and exit code."""
    try:
        p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=100, check=False)
    except subprocess.TimeoutExpired as e:
        print((e.stdout or b"").decode(errors="replace"), "... and then nothing more")
        raise
    return [*(line.rstrip() for line in p.stdout.decode(errors="replace").splitlines()), f"exit {p.returncode}"]


def by_case(lines):
    """{case: its lines}. What stands before the first and the way the whole ended are kept as the case ""."""
    found = {"": lines[-1:]}
    case = ""
    for line in lines[:-1]:
        if line.startswith("== "):
            case = line[3:]
            found[case] = []
        else:
            found[case].append(line)
    return found


def compare(name, bare, shimmed):
    """Compares case by case and prints what differs; those cases, and the reviewed differences that were met."""
    bare, shimmed = by_case(bare), by_case(shimmed)
    differ, met = [], set()
    for case in filter(None, [*bare, *(c for c in shimmed if c not in bare)]):
        expected, got = bare.get(case, []), shimmed.get(case, [])
        if len(expected) == len(got):
            allowed = reviewed(name, case)
            met.update(pair for pair in zip(expected, got) if pair in allowed)
            got = [e if (e, g) in allowed else g for e, g in zip(expected, got)]
        if expected != got:
            differ.append(case)
            print(*difflib.unified_diff(expected, got, f"{case}, bare", "shimmed", lineterm="", n=3), sep="\n")
    if bare[""] + shimmed[""] != ["exit 0"] * 2:  # equal ends are not enough: a bare run that failed is no measure
        print("bare:", *bare[""], sep="\n")
        print("shimmed:", *shimmed[""], sep="\n")
        differ = differ or ["the whole"]
    return differ, met


def judge(name, bare, shimmed):
    """The verdict; the exit code."""
    differ, _ = compare(name, bare, shimmed)
    programs = sum(line.startswith("== ") for line in bare)
    if differ:
        print(f"{name}: {len(differ)} of {programs} programs differ: {', '.join(differ)}")
        return 1
    print(f"{name}: {programs} programs, {len(bare) - programs} lines, the same bare and shimmed")
    return 0


def against_stand(program, shim, stand):
    """Both runs; the tunnel is tests/shim/ctlstand."""
    env, keep = servers()
    alone = pathlib.Path(program).name.startswith("x_")
    bare = None if alone else run([program], env)
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "ctl")
        with subprocess.Popen([stand, path], stdout=subprocess.PIPE) as tunnel:
            tunnel.stdout.readline()
            shimmed = run([program], {**env, "LD_PRELOAD": shim, "SMOLMIX_SOCKET": path, "SMOLMIX_VERBOSE": "0"})
            tunnel.kill()
    del keep
    return bare, shimmed


def enter_namespace():
    """Goes on in a network namespace whose loopback device has the servers' address too."""
    if "T_INSIDE" not in os.environ:
        probe = subprocess.run([*UNSHARE, "true"], stderr=subprocess.PIPE, text=True, check=False)
        if probe.returncode:
            print("SKIP: cannot make a network namespace:", probe.stderr.strip())
            sys.exit(77)
        os.execvpe(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv], {**os.environ, "T_INSIDE": "1"})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", f"{PUBLIC}/32", "dev", "lo"], check=True)
    for address in (PUBLIC6, PING6):
        subprocess.run(["ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
    # Echo sockets for everybody: most distributions say so, the kernel by itself does not.
    pathlib.Path(PING_GROUPS).write_text("0 0")


class Inside:
    """A namespace for the program alone: a device to this one, a default route, and a capture of all that leaves."""

    def __init__(self, folder):
        self.path, self.tcpdump = os.path.join(folder, "pcap"), shutil.which("tcpdump")

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-n"]
        here, there = ["ip"], [*self.enter, "ip"]
        for argv in (here + ["link", "add", "outside", "type", "veth", "peer", "name", "inside", "netns", str(self.holder.pid)],
                     here + ["addr", "add", f"{OUTSIDE}/24", "dev", "outside"], here + ["link", "set", "outside", "up"],
                     there + ["addr", "add", "10.213.0.2/24", "dev", "inside"],
                     there + ["addr", "add", "fd00:213::2/64", "dev", "inside", "nodad"], there + ["link", "set", "inside", "up"],
                     there + ["link", "set", "lo", "up"], there + ["route", "add", "default", "via", OUTSIDE],
                     there + ["route", "add", "default", "via", "fd00:213::1"],
                     self.enter + ["sh", "-c", f"echo 0 0 >{PING_GROUPS}"]):
            subprocess.run(argv, check=True)
        if self.tcpdump:
            self.capture = subprocess.Popen([*self.enter, self.tcpdump, "-i", "inside", "-n", "-s", "128", "-U", "-w", self.path],
                                            stderr=subprocess.PIPE, text=True)
            next(line for line in self.capture.stderr if "listening on" in line)
        return self

    def __exit__(self, *exc):
        if self.tcpdump:
            time.sleep(0.2)  # what is on its way into the capture
            self.capture.terminate()
            self.capture.wait()
        self.holder.kill()
        self.holder.wait()

    def packets(self, more=""):
        """The packets captured, or those a filter takes. What the kernel says to its neighbours is none of the program's."""
        own = "not arp and not (icmp6 and ip6[40] >= 133) and not ip6[6] == 0"
        return subprocess.run([self.tcpdump, "-n", "-r", self.path, own + more], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=True).stdout.splitlines()


def gateway_port(api):
    """Of the websocket, out of the directory."""
    with urllib.request.urlopen(api + "v2/unstable/nym-nodes/skimmed") as r:
        return next(n["entry"]["ws_port"] for n in json.load(r)["nodes"]["data"] if n["entry"])


def through_mixnet(program, how, localnet):
    """Both runs; the tunnel is the real one. how(program, network): command line and environment."""
    env, keep = servers()
    env.update({"T_UDPMAX": "1200", "T_NOWHERE": "192.168.1.1"})
    alone = pathlib.Path(program).name.startswith("x_")
    bare = None if alone else run([program], env)
    with tempfile.TemporaryDirectory() as tmp:
        with Inside(tmp) as inside, subprocess.Popen([localnet, "--address", OUTSIDE, "--map", f"[{PING6}]:9=[::1]:9"],
                                                     stdout=subprocess.PIPE) as net:
            api = json.loads(net.stdout.readline())["api"]
            ports = urllib.parse.urlsplit(api).port, gateway_port(api)
            network = os.path.join(tmp, "network.json")
            pathlib.Path(network).write_text(json.dumps({"name": "test", "nym_api": [api], "allow_plain_ws": True}))
            argv, more = how(program, network)
            try:
                shimmed = run([*inside.enter, *argv], {**env, **more})
            finally:
                net.terminate()
        if inside.tcpdump:
            strangers = inside.packets(" and not (host {} and (port {} or port {}))".format(OUTSIDE, *ports))
            print(f"{len(inside.packets())} packets captured, {len(strangers)} to others than nym-api and gateway")
            if strangers:
                shimmed = [*strangers[:10], *shimmed[:-1], shimmed[-1] + ", with packets to others"]
    del keep
    return bare, shimmed


def launched(smolmix_run):
    """Under the launcher."""
    return lambda program, network: ([smolmix_run, "-q", "--network", network, "--profile", "fast", "--", program], {})


def preloaded(shim):
    """Without it; nsenter is not to have the shim in it. One tunnel for all cases, as a program has that forks when it is up."""
    return lambda program, network: (["env", f"LD_PRELOAD={shim}", f"SMOLMIX_NETWORK={network}", "SMOLMIX_PROFILE=fast",
                                      "SMOLMIX_VERBOSE=0", program, "--together"], {})


def main():
    """Both runs and the verdict."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # as on most systems
    mixnet = {"--mixnet": launched, "--preload": preloaded}.get(sys.argv[1])
    enter_namespace()
    paths = [str(pathlib.Path(p).resolve()) for p in sys.argv[-3:]]
    if mixnet:
        bare, shimmed = through_mixnet(paths[0], mixnet(paths[1]), paths[2])
    else:
        bare, shimmed = against_stand(*paths)
    name = pathlib.Path(paths[0]).name
    if bare is None:
        print("\n".join(shimmed))
        return int(shimmed[-1] != "exit 0")
    if mixnet:
        print("\n".join(bare))
    return judge(name, bare, shimmed)


if __name__ == "__main__":
    sys.exit(main())
