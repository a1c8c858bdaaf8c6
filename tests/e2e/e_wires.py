#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A network that loses, repeats, reorders and delays packets: a megabyte there and back at once, every byte in its place.

Both ends retransmit: lwIP here, the exit's TCP there. A side that does not would stand still for ever.
"""
import socketserver
import sys
import threading

import world as w

SIZE = 1_000_000
WAIT = 40  # seconds without any byte
WIRES = ["--loss", "0.3", "--duplicate", "1", "--reorder", "1", "--delay", "10"]
PROGRAM = f"""
import select, socket, sys
s = socket.create_connection((sys.argv[1], 7))
s.setblocking(False)
out, sent, got = bytes((i * 7 + i // 251) & 255 for i in range({SIZE})), 0, b""
while len(got) < {SIZE}:
    r, wr, _ = select.select([s], [s] if sent < {SIZE} else [], [], {WAIT})
    if not r and not wr:
        sys.exit(f"nothing for {WAIT} s: sent {{sent}}, got {{len(got)}}")
    if wr:
        sent += s.send(out[sent:])
    if r:
        got += s.recv(65536)
print("equal" if got == out else "different")
"""


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes."""
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


def main():
    """Two connections, one after the other."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    bad = 0
    with w.World([*WIRES, "--map", f"{w.WEB4}:7=127.0.0.1:{port}"], web=False, dns=False) as net:
        for _ in range(2):
            p = net.run(sys.executable, "-c", PROGRAM, w.WEB4, options=["--profile", "fast"], timeout=400)
            good = p.stdout == "equal\n"
            bad += not good
            print("ok  " if good else "FAIL", f"{SIZE} bytes there and back, {' '.join(WIRES)}", "" if good else p, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
