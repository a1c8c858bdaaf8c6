# SPDX-License-Identifier: Apache-2.0
"""A DNS server for tests: one zone, UDP and TCP, every question remembered; scripted failures that a real server would not give on demand.

Answers over UDP are cut at 512 bytes, or at what EDNS allows. "pair" is answered when both its A and its AAAA have been asked.
A question that is sent again (same id) counts once: on a busy machine an answer may take longer than the client waits.
"""
import collections
import ipaddress
import socket
import struct
import threading

ADDRESSES = ("9.9.9.9", "1.1.1.1", "8.8.8.8")
TRAPS = ("127.0.0.53", "192.168.1.1")  # resolvers of the host: nobody may ask them
Z = "smolmix.test"
TTL = 60
A, CNAME, SOA, PTR, TXT, AAAA = 1, 5, 6, 12, 16, 28
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, REFUSED = 0, 1, 2, 3, 5
Asked = collections.namedtuple("Asked", "server proto name type")

WWW4, WWW6 = "192.88.99.80", "2a0e:dead:beef::80"
RECORDS = {
    f"www.{Z}": {A: [WWW4], AAAA: [WWW6], TXT: ["some text"]},
    f"v4only.{Z}": {A: [WWW4]},
    f"v6only.{Z}": {AAAA: [WWW6]},
    f"alias.{Z}": {CNAME: f"www.{Z}"},
    f"alias4.{Z}": {CNAME: f"v4only.{Z}"},
    f"chain1.{Z}": {CNAME: f"chain2.{Z}"},
    f"chain2.{Z}": {CNAME: f"chain3.{Z}"},
    f"chain3.{Z}": {CNAME: f"www.{Z}"},
    f"dangling.{Z}": {CNAME: f"nowhere.{Z}"},
    f"toempty.{Z}": {CNAME: f"empty.{Z}"},
    f"loop1.{Z}": {CNAME: f"loop2.{Z}"},
    f"loop2.{Z}": {CNAME: f"loop1.{Z}"},
    f"empty.{Z}": {TXT: ["only text"]},
    f"many.{Z}": {A: [f"192.88.99.{n}" for n in range(100, 120)], AAAA: [f"2a0e:dead:beef::{n:x}" for n in range(256, 266)]},
    f"big.{Z}": {A: [f"192.88.{n // 100}.{n % 100 + 1}" for n in range(100)]},
    f"bigtxt.{Z}": {TXT: ["x" * 200] * 10},
    f"order.{Z}": {A: ["192.88.99.80", "203.0.112.1", "198.41.0.4"],
                   AAAA: ["2a0e:dead:beef::80", "2001:500::1", "2002:c058:6301::1", "2001:0:1::1"]},
    f"order6.{Z}": {AAAA: ["2a0e:dead:beef::80", "fc00::77", "fd00::1", "2002:c058:6301::1", "::1"]},
    f"scopes.{Z}": {A: ["10.1.2.3", "169.254.1.1", "127.0.0.1", "192.88.99.80"], AAAA: ["fe80::1", "::1", "2a0e:dead:beef::80"]},
    f"under_score.{Z}": {A: [WWW4]},
    f"-dash.{Z}": {A: [WWW4]},
    f"star*.{Z}": {A: [WWW4]},
    f"xn--bcher-kva.{Z}": {A: [WWW4]},
    f"a12345678901234567890123456789012345678901234567890123456789012.{Z}": {A: [WWW4]},
    f"file.{Z}": {A: [WWW4], AAAA: [WWW6]},
    f"a.sub.{Z}": {A: [WWW4]},
    "single": {A: [WWW4]},
    f"short.{Z}": {A: [WWW4], AAAA: [WWW6]},
    "80.99.88.192.in-addr.arpa": {PTR: [f"www.{Z}"]},
    "81.99.88.192.in-addr.arpa": {PTR: [f"first.{Z}", f"second.{Z}"]},
    "82.99.88.192.in-addr.arpa": {CNAME: f"82.net.{Z}"},
    "83.99.88.192.in-addr.arpa": {PTR: [f"xn--bcher-kva.{Z}"]},
    f"82.net.{Z}": {PTR: [f"delegated.{Z}"]},
    ipaddress.ip_address(WWW6).reverse_pointer: {PTR: [f"www.{Z}"]},
}
RECORDS[f"fifty.{Z}"] = {A: [f"192.88.98.{n + 1}" for n in range(50)]}
RECORDS[f"pair.{Z}"] = {A: [WWW4], AAAA: [WWW6]}
TTLS = {f"short.{Z}": 1}
# name: (rcode of A, rcode of AAAA); None: as the records say
FAILURES = {f"servfail.{Z}": (SERVFAIL, SERVFAIL), f"refused.{Z}": (REFUSED, REFUSED), f"formerr.{Z}": (FORMERR, FORMERR),
            f"half.{Z}": (None, SERVFAIL), f"half6.{Z}": (SERVFAIL, None), f"mixed.{Z}": (None, NXDOMAIN)}
RECORDS.update({f"half.{Z}": {A: [WWW4]}, f"half6.{Z}": {AAAA: [WWW6]}, f"mixed.{Z}": {A: [WWW4]}})


def never_asked(a):
    """What no resolver outside may hear of (RFC 6761, 6762, 7686), and resolvers that may not be asked at all."""
    return (a.server in TRAPS or a.name.split(".")[-1] in ("onion", "local", "localhost") or
            a.name.endswith(("168.192.in-addr.arpa", ".127.in-addr.arpa", "254.169.in-addr.arpa")))


def wire_name(name):
    """Labels with their lengths."""
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def read_name(msg, at):
    """Name and where it ends; questions are not compressed."""
    parts = []
    while msg[at]:
        parts.append(msg[at + 1:at + 1 + msg[at]].decode("latin-1"))
        at += 1 + msg[at]
    return ".".join(parts), at + 1


def rdata(kind, value):
    """A record's data."""
    if kind in (A, AAAA):
        return ipaddress.ip_address(value).packed
    if kind == TXT:
        return bytes([len(value)]) + value.encode()
    return wire_name(value)


def record(name, kind, data, ttl, qname):
    """A record; the question's own name is a pointer to it."""
    owner = b"\xc0\x0c" if name == qname.lower() else wire_name(name)
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def answers(qname, kind):
    """rcode and records, aliases followed."""
    name, out = qname.lower(), []
    failure = FAILURES.get(name, (None, None))[kind == AAAA]
    if failure:
        return failure, []
    for _ in range(8):
        have = RECORDS.get(name)
        if have is None:
            return NXDOMAIN, out
        ttl = TTLS.get(name, TTL)
        if CNAME in have:
            out.append(record(name, CNAME, wire_name(have[CNAME]), ttl, qname))
            name = have[CNAME]
            continue
        return NOERROR, out + [record(name, kind, rdata(kind, v), ttl, qname) for v in have.get(kind, [])]
    return NOERROR, out


def edns_room(msg, at):
    """What the sender takes over UDP."""
    if struct.unpack(">H", msg[10:12])[0] and msg[at:at + 3] == b"\0\0\x29":
        return max(512, struct.unpack(">H", msg[at + 3:at + 5])[0])
    return 512


class Zone:
    """Servers on port 53 of every address, in daemon threads."""

    def __init__(self, addresses=ADDRESSES):
        self.asked, self.seen, self.held = [], set(), {}
        for ip in addresses:
            udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
            for s in (udp, tcp):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((ip, 53))
            tcp.listen(64)
            threading.Thread(target=self.serve_udp, args=(udp, ip), daemon=True).start()
            threading.Thread(target=self.serve_tcp, args=(tcp, ip), daemon=True).start()

    def take(self):
        """Questions since the last call."""
        out, self.asked = self.asked, []
        return out

    def answer(self, msg, server, proto):
        """The whole answer, cut if need be."""
        qname, at = read_name(msg, 12)
        kind = struct.unpack(">H", msg[at:at + 2])[0]
        question = Asked(server, proto, qname.lower(), kind)
        if (msg[:2], question) not in self.seen:
            self.seen.add((msg[:2], question))
            self.asked.append(question)
        if qname.lower() == f"whoami.{Z}":
            rcode, out = NOERROR, [record(qname.lower(), TXT, rdata(TXT, f"{server} {proto}"), 0, qname)] if kind == TXT else []
        else:
            rcode, out = answers(qname, kind)
        body = msg[12:at + 4] + b"".join(out)
        room = edns_room(msg, at + 4) if proto == "udp" else 65535
        cut = len(body) + 12 > room
        if cut:
            body, out = msg[12:at + 4], []
        flags = 0x8180 | (0x0200 if cut else 0) | rcode
        return msg[:2] + struct.pack(">HHHHH", flags, 1, len(out), 0, 0) + body

    def serve_udp(self, s, ip):
        """Datagrams."""
        while True:
            msg, peer = s.recvfrom(4096)
            answer = self.answer(msg, ip, "udp")
            qname, at = read_name(msg, 12)
            if qname != f"pair.{Z}":
                s.sendto(answer, peer)
                continue
            self.held[struct.unpack(">H", msg[at:at + 2])[0]] = (answer, peer)
            if {A, AAAA} <= self.held.keys():
                for one in self.held.values():
                    s.sendto(*one)
                self.held.clear()

    def serve_tcp(self, s, ip):
        """Streams, each in a thread."""
        while True:
            threading.Thread(target=self.one_stream, args=(s.accept()[0], ip), daemon=True).start()

    def one_stream(self, conn, ip):
        """Questions until the end."""
        with conn, conn.makefile("rb") as f:
            while len(head := f.read(2)) == 2:
                out = self.answer(f.read(struct.unpack(">H", head)[0]), ip, "tcp")
                conn.sendall(struct.pack(">H", len(out)) + out)
