#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one POSIX program bare and under the shim against the same servers; the same output is demanded.

usage: run.py PROGRAM SHIM CTLSTAND
       run.py --mixnet PROGRAM SMOLMIX-RUN SMOLMIX-LOCALNET
       run.py --preload PROGRAM SHIM SMOLMIX-LOCALNET

The second form runs it under smolmix-run through a local Nym network, the third with nothing but LD_PRELOAD, so that the
tunnel is in the program itself. All happen in a network namespace whose loopback
device has the servers' public-looking address, since loopback addresses do not go through the tunnel. A program named x_* judges itself and only runs shimmed.

Differences are allowed only where tests/shim/differences lists them with a reason.
"""
import difflib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import script

HERE = pathlib.Path(__file__).resolve().parent
PUBLIC = "192.88.99.80"
PUBLIC6 = "2a0e:dead:beef::80"
PING6 = "2a0e:dead:beef::81"  # the exit answers echo requests to IPv6 addresses that are mapped only
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


def reviewed(program):
    """{(bare line, shimmed line)} of the reviewed list."""
    pairs = set()
    for line in (HERE / "differences").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, bare, shimmed, reason = (part.strip() for part in line.split("|"))
        if not reason:
            sys.exit(f"differences: no reason: {line}")
        if name == program:
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
    p = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=100, check=False)
    return [*(line.rstrip() for line in p.stdout.decode(errors="replace").splitlines()), f"exit {p.returncode}"]


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
    pathlib.Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")


def through_mixnet(program, how, localnet):
    """Both runs; the tunnel is the real one. how(program, api): command line and environment."""
    env, keep = servers()
    env.update({"T_UDPMAX": "1200", "T_NOWHERE": "192.168.1.1"})
    alone = pathlib.Path(program).name.startswith("x_")
    bare = None if alone else run([program], env)
    with subprocess.Popen([localnet, "--map", f"[{PING6}]:9=[::1]:9"], stdout=subprocess.PIPE) as net:
        api = json.loads(net.stdout.readline())["api"]
        argv, more = how(program, api)
        shimmed = run(argv, {**env, **more})
        net.terminate()
    del keep
    return bare, shimmed


def launched(smolmix_run):
    """Under the launcher."""
    return lambda program, api: ([smolmix_run, "-q", "--api", api, "--profile", "fast", "--", program], {})


def preloaded(shim):
    """Without it."""
    return lambda program, api: ([program], {"LD_PRELOAD": shim, "SMOLMIX_API": api, "SMOLMIX_PROFILE": "fast",
                                             "SMOLMIX_VERBOSE": "0"})


def main():
    """Both runs and the verdict."""
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
    allowed = reviewed(name)
    if len(bare) == len(shimmed):
        shimmed = [b if (b, s) in allowed else s for b, s in zip(bare, shimmed)]
    if bare == shimmed:
        if mixnet:
            print("\n".join(bare))
        print(f"{name}: {len(bare)} lines, the same bare and shimmed")
        return 0
    print("\n".join(difflib.unified_diff(bare, shimmed, "bare", "shimmed", lineterm="", n=3)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
