#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stack against this kernel's TCP, UDP and ICMP, as behind an exit; tunlink joins them (kernelside.py).

Programs under the shim talk to servers in namespaces, over wires without vices, with vices, and long ones. What passed is
looked at afterwards: no RST where a FIN belongs, nothing sent again that was not lost, no bad checksum.

    e_kernel.py            half a minute
    e_kernel.py --long     also what needs minutes
    e_kernel.py NAME...    only stories of these names
"""
import contextlib
import hashlib
import os
import socket
import struct
import sys
import threading
import time
import traceback

import kernelside as k
import world as w

MB = 1_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
BYTES = os.urandom(4 * MB)
args = [a for a in sys.argv[1:] if not a.startswith("-")]
LONG = "--long" in sys.argv
good = True
stories = {}
way_to_small = threading.Lock()  # one story takes it away for a while


def expect(what, cond, detail=""):
    """One fact."""
    global good
    print("ok  " if cond else "FAIL", what, "" if cond else f": {detail}", flush=True)
    good &= bool(cond)


def story(tunnel, long=False):
    """A story on a wire."""
    def add(f):
        if (not long or LONG or f.__name__ in args) and (not args or f.__name__ in args):
            stories.setdefault(tunnel, []).append(f)
        return f
    return add


def sha(data):
    """As the programs say it."""
    return hashlib.sha256(data).hexdigest()


class Far:
    """A server of one connection in a namespace; `ports` remembers which ends of connections may be reset."""
    may_reset = {}

    def __init__(self, spaces, fam, ns=None, resets="", **options):
        self.listener = spaces.socket(fam, ns=ns)
        for name, value in options.items():
            self.listener.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        self.ip = (k.SMALL if ns == spaces.small else k.NEAR)[fam]
        self.listener.bind((self.ip, 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.may_reset[self.port] = resets

    def accept(self, hand, more=""):
        """hand connects as s; the far end of it."""
        said = hand(f"s = socket.create_connection(({self.ip!r}, {self.port}), 60); s.settimeout(60)\n{more}")
        if said is not None:
            raise ConnectionError(f"connect: {said}")
        s = self.listener.accept()[0]
        s.settimeout(60)
        return s


UPLOAD = "data = os.urandom({n}); ret = hashlib.sha256(data).hexdigest(); s.sendall(data)"
DOWNLOAD = """
h = hashlib.sha256(); n = 0; ret = None
while True:
    d = s.recv(1 << 18)
    if not d: break
    n += len(d); h.update(d)
ret = [n, h.hexdigest()]
"""


def in_background(do):
    """A thread that does it, with its result."""
    box = []
    t = threading.Thread(target=lambda: box.append(do()), daemon=True)
    t.start()
    return lambda: (t.join(90), box[0] if box else None)[1]


# ---- on a wire without vices ----

@story("calm")
def program_closes_with_data_unsent(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    got = in_background(lambda: k.read_all(s))
    said = hand(UPLOAD.format(n=3 * MB) + "\ns.close()")
    data, error = got()
    expect(f"v{fam}: close with unsent data: all arrives, then FIN", error is None and sha(data) == said, (error, len(data)))
    s.close()


@story("calm")
def far_closes_first(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    sent = in_background(lambda: (s.sendall(BYTES), s.close()))
    said = hand(DOWNLOAD + "s.close()")
    sent()
    expect(f"v{fam}: download, far side closes first", said == [len(BYTES), sha(BYTES)], said)


@story("calm")
def half_close_of_the_program(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    got = in_background(lambda: k.read_all(s))
    said = hand(UPLOAD.format(n=2 * MB) + "\ns.shutdown(socket.SHUT_WR)")
    data, error = got()
    expect(f"v{fam}: upload and half-close", error is None and sha(data) == said, (error, len(data)))
    sent = in_background(lambda: (s.sendall(BYTES[:2 * MB]), s.close()))
    said = hand(DOWNLOAD + "s.close()")
    sent()
    expect(f"v{fam}: download into the other half", said == [2 * MB, sha(BYTES[:2 * MB])], said)


@story("calm")
def half_close_of_the_far_side(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    s.sendall(BYTES[:MB])
    s.shutdown(socket.SHUT_WR)
    said = hand(DOWNLOAD)
    expect(f"v{fam}: far side's half-close is an end of file", said == [MB, sha(BYTES[:MB])], said)
    got = in_background(lambda: k.read_all(s))
    said = hand(UPLOAD.format(n=2 * MB) + "\ns.close()")
    data, error = got()
    expect(f"v{fam}: upload into the other half", error is None and sha(data) == said, (error, len(data)))
    s.close()


@story("calm")
def resets(spaces, tunnel, hand, fam):
    far = Far(spaces, fam, resets="far")
    s = far.accept(hand)
    k.reset_linger(s)
    s.close()
    expect(f"v{fam}: far side resets", hand("ret = s.recv(1).hex()") == "ECONNRESET")
    hand("s.close()")
    far = Far(spaces, fam, resets="program")
    s = far.accept(hand)
    hand("s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()")
    expect(f"v{fam}: program resets", k.read_all(s) == (b"", "ECONNRESET"))
    far = Far(spaces, fam, resets="program")
    s = far.accept(hand)
    s.sendall(b"nobody reads this")
    time.sleep(0.2)
    hand("s.close()")
    expect(f"v{fam}: close with data unread is a reset", k.read_all(s) == (b"", "ECONNRESET"))
    far = Far(spaces, fam, resets="both")
    s = far.accept(hand)
    s.sendall(b"nobody reads this")
    got = in_background(lambda: hand("ret = s.sendall(bytes(4000000))"))
    time.sleep(0.3)
    s.close()
    expect(f"v{fam}: far side closes with data unread", got() in ("ECONNRESET", "EPIPE"), got())
    hand("s.close()")


@story("far")
def both_close_at_once(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    hand.begin("s.sendall(b'last words'); s.close()")
    s.sendall(b"")
    s.shutdown(socket.SHUT_WR)
    expect(f"v{fam}: simultaneous close", k.read_all(s) == (b"last words", None))
    hand.result()
    s.close()


@story("slow")
def small_window(spaces, tunnel, hand, fam):
    far = Far(spaces, fam, SO_RCVBUF=2304)
    s = far.accept(hand)
    hand.begin(UPLOAD.format(n=200_000) + "\ns.close()")
    time.sleep(30 if LONG else 3)
    began = time.monotonic()
    data, error = k.read_all(s)
    expect(f"v{fam}: upload into a closed, then tiny window", error is None and sha(data) == hand.result(), (error, len(data)))
    print(f"     {len(data)} bytes after {time.monotonic() - began:.1f} s of reading")
    s.close()


@story("calm")
def huge_window(spaces, tunnel, hand, fam):
    far = Far(spaces, fam, SO_RCVBUF=8 << 20)
    s = far.accept(hand)
    got = in_background(lambda: k.read_all(s))
    said = hand(UPLOAD.format(n=4 * MB) + "\ns.close()")
    data, error = got()
    expect(f"v{fam}: upload into a huge window", error is None and sha(data) == said, (error, len(data)))
    s.close()


@story("slow")
def slow_reader(spaces, tunnel, hand, fam):
    far = Far(spaces, fam, SO_SNDBUF=4 << 20)
    s = far.accept(hand)
    sent = in_background(lambda: (s.sendall(BYTES[:2 * MB]), s.close()))
    time.sleep(30 if LONG else 2)
    began = time.monotonic()
    said = hand(DOWNLOAD.replace("d = s", "time.sleep(0.02); d = s") + "s.close()")
    sent()
    expect(f"v{fam}: program that reads late and slowly", said == [2 * MB, sha(BYTES[:2 * MB])], said)
    print(f"     {time.monotonic() - began:.1f} s of reading")


@story("calm")
def many_short_connections(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)

    def serve():
        for i in range(1000):
            s = far.listener.accept()[0]
            s.settimeout(30)
            s.sendall(s.recv(5))
            if i % 2:
                s.recv(1)
            s.close()

    served = in_background(serve)
    code = f"""
ret = 0
for i in range(1000):
    s = socket.create_connection(({far.ip!r}, {far.port}), 30)
    s.sendall(b'%05d' % i)
    ret += s.recv(10) == b'%05d' % i
    if i % 2 == 0: s.recv(1)
    s.close()
"""
    began = time.monotonic()
    said = hand(code)
    served()
    expect(f"v{fam}: 1000 short connections", said == 1000, said)
    print(f"     {time.monotonic() - began:.1f} s")


@story("calm")
def port_reuse(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    fam_name = "AF_INET" if fam == 4 else "AF_INET6"
    again = f"""
s = socket.socket(socket.{fam_name}); s.settimeout(30)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', {21000 + tunnel.number * 10 + fam}))
s.connect(({far.ip!r}, {far.port}))
"""
    for i in range(3):  # the far side closes first: the port waits there
        expect(f"v{fam}: a local port for the {i + 1}. time", hand(again) is None)
        s = far.listener.accept()[0]
        s.close()
        hand("s.recv(1); s.close()")


@story("slow")
def keep_alive(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand, "s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)\n"
                         "for o in socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL: s.setsockopt(socket.IPPROTO_TCP, o, 1)\n"
                         "s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for o in socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT:
        s.setsockopt(socket.IPPROTO_TCP, o, 1)
    time.sleep(5)
    s.sendall(b"alive")
    expect(f"v{fam}: both keep it alive", hand("ret = s.recv(5).decode()") == "alive")
    hand("s.close()")
    s.close()


# ---- ICMP ----

def route(spaces, verb, fam, kind, ip):
    """A route of near."""
    k.sh("ip", f"-{fam}", "-n", spaces.near, "route", verb, kind, ip)


@story("slow")
def errors_at_connect(spaces, tunnel, hand, fam):
    for n, (kind, name) in enumerate({4: (("unreachable", "EHOSTUNREACH"), ("prohibit", "EHOSTUNREACH")),
                                      6: (("unreachable", "ENETUNREACH"), ("prohibit", "EACCES"))}[fam]):
        ip = k.NEAR[fam][:-2] + str(91 + n)
        route(spaces, "add", fam, kind, ip)
        said = hand(f"socket.create_connection(({ip!r}, 80), 20)")
        expect(f"v{fam}: connect, route {kind}", said == name, said)
        udp = hand(f"""
s = socket.socket(socket.{'AF_INET' if fam == 4 else 'AF_INET6'}, socket.SOCK_DGRAM); s.settimeout(5)
s.setsockopt(*{'(socket.IPPROTO_IP, 11, 1)' if fam == 4 else '(socket.IPPROTO_IPV6, 25, 1)'})
s.connect(({ip!r}, 80)); s.settimeout(1)
for i in range(4):  # the kernel says it once a second, and a few times at first
    try:
        s.send(b'x')
        s.recv(1)
    except TimeoutError:
        pass
""")
        expect(f"v{fam}: datagram, route {kind}", udp == name, udp)
    said = hand(f"socket.create_connection(({k.NEAR[fam]!r}, 1), 20)")
    expect(f"v{fam}: closed port", said == "ECONNREFUSED", said)
    Far.may_reset[1] = "far"
    udp = hand(f"""
s = socket.socket(socket.{'AF_INET' if fam == 4 else 'AF_INET6'}, socket.SOCK_DGRAM); s.settimeout(5)
s.connect(({k.NEAR[fam]!r}, 1)); s.send(b'x')
ret = s.recv(1).hex()""")
    expect(f"v{fam}: datagram to a closed port", udp == "ECONNREFUSED", udp)


@story("icmp")
def soft_error_in_the_middle(spaces, tunnel, hand, fam):
    with way_to_small:
        far = Far(spaces, fam, ns=spaces.small)
        s = far.accept(hand)
        got = in_background(lambda: k.read_all(s))
        hand("s.sendall(bytes(1000))")
        route(spaces, "replace", fam, "unreachable", k.SMALL[fam])
        hand("s.sendall(bytes(1000))")
        time.sleep(1.5)
        k.sh("ip", f"-{fam}", "-n", spaces.near, "route", "del", "unreachable", k.SMALL[fam])
        k.sh("ip", f"-{fam}", "-n", spaces.near, "route", "replace", k.SMALL[fam], "dev", "narrow")
        said = hand("s.sendall(bytes(1000)); s.close()")
        data, error = got()
        expect(f"v{fam}: unreachable for a while", (said, len(data), error) == (None, 3000, None), (said, len(data), error))
        s.close()


@story("calm")
def narrow_link(spaces, tunnel, hand, fam):
    with way_to_small:
        far = Far(spaces, fam, ns=spaces.small)
        s = far.accept(hand)
        got = in_background(lambda: k.read_all(s))
        began = time.monotonic()
        said = hand(UPLOAD.format(n=MB) + "\ns.shutdown(socket.SHUT_WR)")
        data, error = got()
        expect(f"v{fam}: upload over a link with a smaller MTU", error is None and sha(data) == said, (error, len(data)))
        print(f"     {time.monotonic() - began:.1f} s")
        sent = in_background(lambda: (s.sendall(BYTES[:MB]), s.close()))
        said = hand(DOWNLOAD + "s.close()")
        sent()
        expect(f"v{fam}: download over it", said == [MB, sha(BYTES[:MB])], said)


# ---- UDP, ping ----

@story("calm")
def datagrams(spaces, tunnel, hand, fam):
    s = spaces.socket(fam, socket.SOCK_DGRAM)
    s.bind((k.NEAR[fam], 0))

    def echo():
        while True:
            d, peer = s.recvfrom(65536)
            s.sendto(d, peer)
            if d == b"end":
                return

    echoing = in_background(echo)
    head = 28 if fam == 4 else 48
    said = hand(f"""
s = socket.socket(socket.{'AF_INET' if fam == 4 else 'AF_INET6'}, socket.SOCK_DGRAM); s.settimeout(3)
s.connect({s.getsockname()[:2]!r})
ret = []
for n in (0, 1, 2, 511, 512, 1200, 1231, 1232, 1279, {1420 - head - 1}, {1420 - head}, {1420 - head + 1}, 1500, 9000, 65507, 65508):
    d = os.urandom(n)
    try:
        s.send(d)
        ret.append([n, s.recv(65536) == d])
    except OSError as e:
        ret.append([n, errno.errorcode.get(e.errno, str(e))])
s.send(b'end'); s.recv(10)
""")
    expect(f"v{fam}: datagrams of all sizes", said == [[n, True if n + head <= 1420 else "EMSGSIZE"] for n in
           (0, 1, 2, 511, 512, 1200, 1231, 1232, 1279, 1420 - head - 1, 1420 - head, 1420 - head + 1, 1500, 9000, 65507, 65508)], said)
    echoing()
    hand(f"s.send(b'here')")
    peer = s.recvfrom(10)[1]
    for n in 1393, 3000, 9000, 60000:
        s.sendto(BYTES[:n], peer)
        said = hand("d = s.recv(65536); ret = hashlib.sha256(d).hexdigest()")
        expect(f"v{fam}: {n} bytes in fragments", said == sha(BYTES[:n]), said)


@story("calm")
def ping(spaces, tunnel, hand, fam):
    said = hand(f"""
s = socket.socket(*{'(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)' if fam == 4 else
                    '(socket.AF_INET6, socket.SOCK_DGRAM, 58)'}); s.settimeout(5)
ret = []
for n in 0, 56, 1000:
    m = bytes([{8 if fam == 4 else 128}, 0, 0, 0, 0, 0, 0, n & 255]) + os.urandom(n)
    s.sendto(m, ({k.NEAR[fam]!r}, 0))
    d = s.recv(2000)
    ret.append([d[0], d[6:] == m[6:]])
""")
    expect(f"v{fam}: ping", said == [[0 if fam == 4 else 129, True]] * 3, said)


# ---- on bad wires ----

@story("bad")
def bad_wire(spaces, tunnel, hand, fam):
    far = Far(spaces, fam)
    s = far.accept(hand)
    got = in_background(lambda: k.read_all(s))
    n, began = 500_000 if LONG else 100_000, time.monotonic()
    said = hand(UPLOAD.format(n=n) + "\ns.shutdown(socket.SHUT_WR)")
    data, error = got()
    expect(f"v{fam}: upload with loss, duplicates and reordering", error is None and sha(data) == said, (error, len(data)))
    up_s = time.monotonic() - began
    sent = in_background(lambda: (s.sendall(BYTES[:MB]), s.close()))
    said = hand(DOWNLOAD + "s.close()")
    sent()
    expect(f"v{fam}: download with them", said == [MB, sha(BYTES[:MB])], said)
    print(f"     {n} bytes up in {up_s:.1f} s, {MB} down in {time.monotonic() - began - up_s:.1f} s")


@story("dark")
def blackout(spaces, tunnel, hand, fam):
    if fam == 6:
        return
    dark_s = 20 if LONG else 6
    far, second = Far(spaces, fam), Far(spaces, fam)
    s, other = far.accept(hand), tunnel.hand()
    s2 = second.accept(other)
    got = in_background(lambda: k.read_all(s))
    sent = in_background(lambda: (s2.sendall(BYTES[:MB]), s2.close()))
    hand.begin(UPLOAD.format(n=2 * MB) + "\ns.close()")
    other.begin("time.sleep(0.3)" + DOWNLOAD + "s.close()")
    time.sleep(0.3)
    tunnel.command("dark", 1)
    time.sleep(dark_s)
    tunnel.command("dark", 0)
    began = time.monotonic()
    data, error = got()
    expect(f"v{fam}: upload over {dark_s} s of nothing", error is None and sha(data) == hand.result(), (error, len(data)))
    expect(f"v{fam}: download over it", other.result() == [MB, sha(BYTES[:MB])])
    sent()
    print(f"     {time.monotonic() - began:.1f} s after it")
    s.close()


# ---- figures ----

def rate(spaces, hand, up, megabytes):
    """MB/s of one connection."""
    far = Far(spaces, 4)
    s = far.accept(hand)
    n = int(megabytes * MB)
    began = time.monotonic()
    if up:
        got = in_background(lambda: k.read_all(s))
        hand(f"d = bytes(65536)\nfor i in range({n} // 65536): s.sendall(d)\ns.close()")
        got()
    else:
        sent = in_background(lambda: (s.sendall(bytes(n)), s.close()))
        hand(DOWNLOAD + "s.close()")
        sent()
    return megabytes / (time.monotonic() - began)


@story("calm")
def rates_near(spaces, tunnel, hand, fam):
    if fam == 4:
        print(f"     0 ms: {rate(spaces, hand, True, 40):.1f} MB/s up, {rate(spaces, hand, False, 40):.1f} MB/s down")


@story("far")
def rates_far(spaces, tunnel, hand, fam):
    if fam == 4:
        up, down = rate(spaces, hand, True, 6), rate(spaces, hand, False, 6)
        print(f"     300 ms: {up:.2f} MB/s up, {down:.2f} MB/s down; 512 KiB in a round trip are {0.524288 / 0.3:.2f} MB/s")


# ---- what passed ----

def judge(name, tunnel):
    """The capture."""
    conns = {}
    for p in tunnel.packets:
        mine = p["from"] == tunnel.ip[6 if ":" in p["from"] else 4]
        key = (p["sport"], p["dport"], p["to"]) if mine else (p["dport"], p["sport"], p["from"])
        conns.setdefault(key, []).append((mine, p))
    wrong, again, segments = [], 0, 0
    for (port, far, _), packets in conns.items():
        allowed = Far.may_reset.get(far, "")
        seen, ended, last = set(), set(), []
        for mine, p in packets:
            who = "program" if mine else "far"
            last = last[-7:] + [(who, p["flags"], p["seq"], p["len"])]
            if p["flags"] & SYN and mine:
                ended = set()
            if p["flags"] & FIN:
                ended.add(mine)
            over = len(ended) == 2  # what comes again now, after a far timer ran out on a busy machine, is refused
            if p["flags"] & RST and who not in allowed and allowed != "both" and not over:
                wrong.append(f"{port}->{far}: RST of {who}: {last}")
            if not mine:
                continue
            if p["len"]:
                segments += 1
                again += (p["seq"], p["len"]) in seen
                seen.add((p["seq"], p["len"]))
            if p["flags"] & SYN and not p["options"].startswith(b"\x02\x04" + struct.pack("!H", 1360 if ":" in p["from"] else 1380)):
                wrong.append(f"{port}->{far}: options {p['options'].hex()}")
    if name != "bad":  # a duplicate that comes after the end is refused
        expect(f"{name}: {len(conns)} connections, {len(tunnel.packets)} packets: nothing odd", not wrong, sorted(set(wrong))[:10])
    if name == "calm":
        expect(f"{name}: next to nothing is sent again", again <= segments // 200, f"{again} of {segments}")
    print(f"     {name}: sent again {again} of {segments}")
    expect(f"{name}: tunlink ended well", tunnel.status == 0 and not tunnel.said,
           (tunnel.status, tunnel.said))


WIRES = {"calm": {}, "slow": {}, "icmp": {"delay": 5}, "far": {"delay": 150}, "bad": {"delay": 20, "loss": 5, "dup": 2, "reorder": 5},
         "dark": {"delay": 50}}


def on_wire(spaces, name, tunnel):
    """The stories of a wire, one after the other."""
    for tell in stories[name]:
        for fam in 4, 6:
            hand = tunnel.hand()
            began = time.monotonic()
            try:
                tell(spaces, tunnel, hand, fam)
            except Exception:
                expect(f"{name}: {tell.__name__} v{fam}", False, traceback.format_exc())
            if time.monotonic() - began > 3:
                print(f"     {tell.__name__} v{fam} took {time.monotonic() - began:.1f} s", flush=True)


def main():
    """All wires at the same time."""
    with k.Namespaces() as spaces:
        before = spaces.counters()
        tunnels = {name: k.Tunnel(spaces, n + 1, seed=n + 1, **WIRES[name]) for n, name in enumerate(WIRES) if name in stories}
        wires = contextlib.ExitStack()
        for t in tunnels.values():
            wires.enter_context(t)
        with wires:
            threads = [threading.Thread(target=on_wire, args=(spaces, *item), daemon=True) for item in tunnels.items()]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        after = spaces.counters()
    counters = {name: after[name] - before.get(name, 0) for name in after}
    for name, t in tunnels.items():
        judge(name, t)
    bad = {n: v for n, v in counters.items() if v and ("Csum" in n or n in ("IpInHdrErrors", "TcpInErrs"))}
    expect("no bad checksum or header", not bad, bad)
    print("     counters:", {n: v for n, v in counters.items() if v and n.startswith(("TcpExt", "Tcp"))})


main()
sys.exit(not good)
