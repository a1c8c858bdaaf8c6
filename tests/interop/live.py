#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The published nym-sdk in our network, and our client at an exit made of the published crates.

client  the SDK registers at smolmix-localnet, messages itself, answers itself with SURBs and pings through our exit;
exit    smolmix-run reaches an exit that is the SDK: both ends of every datagram, SURB and IP packet are the crates', only
        the network between is ours. Once with an exit of version 10, once with one that knows no version above 9.
"""
import subprocess
import sys

from crates import build

from world import WEB4, WEB6, World  # crates has made the folder known

NETWORK = ("--gateways", "2", "--nodes", "2")  # who enters and who leaves by another gateway, over drawn routes
DATAGRAMS = 200
AGAIN = 300  # answers to one datagram: the SDK has to ask for SURBs
EXIT_HOST = ("10.0.0.1", "fc00::1")  # the exit's own addresses in the tunnel (spec ipr.md); libslirp answers for them
ECHO = f"""
import socket, sys
def socket_of(family):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(60)
    return s
for family, to in ((socket.AF_INET, "{WEB4}"), (socket.AF_INET6, "{WEB6}")):
    s = socket_of(family)
    sent = [bytes([i % 256]) * (1 + 6 * i) for i in range({DATAGRAMS})]
    for i in range(0, len(sent), 20):
        for d in sent[i:i + 20]:
            s.sendto(d, (to, 4000))
        back = [s.recvfrom(2000) for d in sent[i:i + 20]]
        if sorted(d for d, _ in back) != sorted(sent[i:i + 20]) or {{a[:2] for _, a in back}} != {{(to, 4000)}}:
            sys.exit(f"the echo from {{to}} differs")
s = socket_of(socket.AF_INET)
s.sendto(b"again" * 200, ("{WEB4}", 4000 + {AGAIN}))
for i in range({AGAIN}):
    if s.recv(2000) != b"again" * 200:
        sys.exit("the repeated answer differs")
print("echoed")
"""


def as_client(program):
    """What the SDK does in our network."""
    with World(web=False, dns=False, localnet_args=[*NETWORK, "--allow-local"]) as w:
        entry = next(g for g in w.gateways if not w.exit.endswith(g))
        subprocess.run([program, "client", w.api, entry, w.exit, *EXIT_HOST], timeout=600, check=True)


def as_exit(program, newest):
    """What our client does with an exit that is the SDK."""
    with World(web=False, dns=False, localnet_args=NETWORK) as w:
        sdk = w.spawn([program, "exit", w.api, w.gateway, newest], stdout=subprocess.PIPE, text=True)
        address = sdk.stdout.readline().strip()
        run = w.run(sys.executable, "-c", ECHO, options=["--exit", address], timeout=300)
        if run.returncode or run.stdout != "echoed\n":
            raise SystemExit(f"exit of version {newest}, {address}: {run.stdout}{run.stderr}")
        print(f"ok exit of version {newest}: {2 * DATAGRAMS} echoes, {AGAIN} answers to one datagram")


def main():
    program = build("client", "smolmix-interop-client")
    as_client(program)
    as_exit(program, 10)
    as_exit(program, 9)


if __name__ == "__main__":
    main()
