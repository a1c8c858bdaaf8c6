#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Leak test: programs run in a network namespace whose every interface is captured.

Two namespaces joined by a veth pair. The Nym network (nym-api, gateway, nodes, exit) and the servers are outside; only
smolmix-run and the programs are inside. Every packet seen inside must be to or from the nym-api or the gateway. Then
the same with the tunnel killed in mid-transfer, with LD_PRELOAD removed by the child, and with the tunnel inside the program.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import world as w

NS = f"smolmix-leak-{os.getpid()}"
SUBNET = f"10.213.{os.getpid() % 250 + 1}"  # two runs at once do not meet
OUTSIDE, INSIDE = SUBNET + ".1", SUBNET + ".2"
good = True


def sh(*argv, check=True):
    """A system command."""
    return subprocess.run([str(a) for a in argv], check=check, capture_output=True, text=True)


def expect(what, cond, detail=""):
    """One fact."""
    global good
    print("ok  " if cond else "FAIL", what, "" if cond else detail, flush=True)
    good &= bool(cond)


class Namespace:
    """A namespace with one veth to the outside, and a default route, so that leaks would leave."""

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a test that takes too long still cleans up
        ip = ("ip", "netns", "exec", NS)
        veth = f"smx{os.getpid() % 100000}"
        sh("ip", "netns", "add", NS)
        try:
            sh("ip", "link", "add", veth, "type", "veth", "peer", "name", "inside", "netns", NS)
            sh("ip", "addr", "add", f"{OUTSIDE}/24", "dev", veth)
            sh("ip", "link", "set", veth, "up")
            sh(*ip, "ip", "addr", "add", f"{INSIDE}/24", "dev", "inside")
            sh(*ip, "ip", "link", "set", "lo", "up")
            sh(*ip, "ip", "link", "set", "inside", "up")
            sh(*ip, "ip", "route", "add", "default", "via", OUTSIDE)
            sh(*ip, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", check=False)
        except subprocess.CalledProcessError as e:
            self.__exit__()
            w.skip("cannot make a network namespace: " + e.stderr.strip())
        return self

    def __exit__(self, *exc):
        sh("ip", "netns", "del", NS, check=False)


class Capture:
    """tcpdump on every interface of the namespace, or on one."""

    def __init__(self, path, device="any"):
        self.path, self.device = path, device

    def __enter__(self):
        self.proc = subprocess.Popen(["ip", "netns", "exec", NS, "tcpdump", "-i", self.device, "-n", "-s", "128", "-U", "-w",
                                      self.path], stderr=subprocess.PIPE, text=True)
        for line in self.proc.stderr:
            if "listening on" in line:
                break
        return self

    def __exit__(self, *exc):
        time.sleep(0.5)
        self.proc.send_signal(signal.SIGINT)
        self.proc.wait()

    def packets(self):
        """Text lines of all packets but ARP and neighbour discovery."""
        out = sh("tcpdump", "-n", "-r", self.path, check=False).stdout.splitlines()
        return [line for line in out if " ARP" not in line and "ICMP6, neighbor" not in line
                and "ICMP6, router solicitation" not in line and "HBH ICMP6" not in line]


class World(w.World):
    """Servers and Nym network outside, programs inside: they know the network by a file."""

    def __init__(self, localnet_args=(), **kw):
        self.namespace = Namespace()
        super().__init__(["--address", OUTSIDE, *localnet_args], prefix=["ip", "netns", "exec", NS], **kw)

    def __enter__(self):
        self.namespace.__enter__()
        super().__enter__()
        (self.dir / "network.json").write_text('{"name": "leak-test", "nym_api": ["%s"], "allow_plain_ws": true}' % self.api)
        with urllib.request.urlopen(self.api + "v2/unstable/nym-nodes/skimmed") as r:
            nodes = json.load(r)["nodes"]["data"]
        self.ports = [self.api.rstrip("/").rsplit(":", 1)[1], *(n["entry"]["ws_port"] for n in nodes if n["entry"])]
        return self

    def stop(self):
        super().stop()
        self.namespace.__exit__()

    def run_argv(self, *command, options=()):
        return [*self.prefix, str(w.RUN), "-q", "--network", str(self.dir / "network.json"), *map(str, options), "--",
                *map(str, command)]

    def strangers(self, lines):
        """The packets among them that are neither to nor from nym-api or gateway."""
        allowed = re.compile(r" (?:%s)\.(?:%s)[ :]" % (re.escape(OUTSIDE), "|".join(map(str, self.ports))))
        return [line for line in lines if not allowed.search(line)]


def missing_tool(*more):
    """What the capture needs and this machine has not; None when it can be done."""
    if os.geteuid() != 0:
        return "a network namespace needs root"
    return next((f"{tool} is not installed" for tool in ("tcpdump", "ip", *more) if not shutil.which(tool)), None)


def judge(what, capture, net, some=True):
    """Counts packets that are neither to nor from nym-api or gateway. some: there must be others."""
    lines = capture.packets()
    strangers = net.strangers(lines)
    expect(f"{what}: {len(lines)} packets captured, {len(strangers)} to others", bool(lines) == some and not strangers,
           "\n".join(strangers[:10]))


def programs(net):
    """Everything at once must reach its server and nothing else."""
    opt = ["--profile", "fast"]

    def run(*cmd, **kw):
        return net.run(*cmd, options=opt, **kw)

    p = run("curl", "-sS", f"http://{w.NAME}/small")
    expect("curl", p.stdout == "small file\n", p)
    p = run("dig", "+short", "+timeout=10", w.NAME, "A")
    expect("dig (resolver of the host)", w.WEB4 in p.stdout, p)
    if shutil.which("wget"):
        p = run("wget", "-q", "-O", "-", f"http://{w.NAME}/small")
        expect("wget", p.stdout == "small file\n", p)
    p = run(sys.executable, "-c", f"import urllib.request as u;print(u.urlopen('http://{w.NAME}/small').read())")
    expect("python urllib", "small file" in p.stdout, p)
    p = run("getent", "ahosts", w.NAME)
    expect("getent ahosts", w.WEB4 in p.stdout, p)


def preload(net):
    """The same with the tunnel inside the program: no launcher, and no guard under it."""
    settings = [f"SMOLMIX_NETWORK={net.dir}/network.json"]

    def run(*cmd, **kw):
        return net.preload(*cmd, settings=settings, **kw)

    p = run("curl", "-sS", f"http://{w.NAME}/small")
    expect("curl", p.stdout == "small file\n", p)
    p = run("dig", "+short", "+timeout=10", w.NAME, "A")
    expect("dig (resolver of the host)", w.WEB4 in p.stdout, p)
    p = run("getent", "ahosts", w.NAME)
    expect("getent ahosts", w.WEB4 in p.stdout, p)
    if shutil.which("node"):
        p = run("node", "-e", f"fetch('http://{w.NAME}/small').then(r => r.text()).then(console.log)")
        expect("node", "small file" in p.stdout, p)
    script = ("import os, socket, subprocess\n"
              "def get():\n"
              f" s = socket.create_connection(('{w.NAME}', 80)); s.sendall(b'GET /small HTTP/1.0\\r\\n\\r\\n')\n"
              " return s.recv(4096)[:4]\n"
              "print(get()); os.closerange(3, 65536); print(get())\n"
              "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'x', ('192.88.99.99', 7))\n"
              "pid = os.fork()\n"
              "if not pid: print(get(), flush=True); os._exit(0)\n"
              "os.waitpid(pid, 0)\n"
              f"subprocess.run(['curl', '-sS', 'http://{w.NAME}/small'])\n")
    p = run(sys.executable, "-u", "-c", script)
    expect("python, its children, everything closed in between", p.stdout == "b'HTTP'\n" * 3 + "small file\n", p)
    orphan = ("import os, socket\nsocket.socket()\nr, go = os.pipe()\n"
              "if os.fork() == 0:\n os.close(go); os.read(r, 1)\n try: socket.create_connection(('192.88.99.80', 80)); print('made')\n"
              " except OSError as e: print(e.errno, flush=True)\n os._exit(0)\n")
    p = run(sys.executable, "-c", orphan)
    expect("a child that outlives its tunnel", p.stdout == "100\n", p)


def no_tunnel(net):
    """The tunnel cannot be started: errors, and nothing goes anywhere else."""
    p = net.preload("curl", "-sS", "--max-time", "20", f"http://{w.NAME}/small", settings=[f"SMOLMIX_API=http://{OUTSIDE}:1/",
                                                                                        "SMOLMIX_GATEWAY=nonsense"])
    expect("curl without a tunnel", p.returncode in (6, 7) and "no tunnel" in p.stderr, p)
    p = net.preload("dig", "+short", "+timeout=3", "+tries=1", "@1.1.1.1", w.NAME, settings=["SMOLMIX_GATEWAY=nonsense"])
    expect("dig without a tunnel", p.returncode != 0, p)


def killed(net):
    """The tunnel's process dies in mid-transfer: the program sees an error soon, and no packet."""
    cmd = net.run_argv("sh", "-c", f"curl -sS -o /dev/null http://{w.WEB4}/file; echo code $? >{net.dir}/killed")
    p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)  # the transfer of 1 MB takes longer than this in the default profile
    host = sh("pgrep", "-f", f"smolmix-run -q --network {net.dir}/", check=False).stdout.split()
    for pid in host:
        if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "smolmix-run":
            os.kill(int(pid), signal.SIGKILL)
    start = time.monotonic()
    result = net.dir / "killed"
    while time.monotonic() - start < 10 and not result.exists():
        time.sleep(0.1)
    took = time.monotonic() - start
    code = result.read_text().split()[1] if result.exists() else "none"
    expect(f"tunnel killed in mid-transfer: curl ended with {code} after {took:.1f} s", code not in ("none", "0") and took < 5)
    p.wait()


def no_preload(net):
    """Children that the shim cannot see: error, no packet."""
    p = net.run(w.BUILD / "tests/e2e/rawsock")
    expect("inline system calls: no internet socket, no io_uring", p.returncode == 0, p)
    script = ("import socket\ntry:\n socket.create_connection(('%s', 80), 5)\n print('connected')\n"
              "except OSError as e:\n print('error', e.errno)\n" % w.WEB4)
    unhooked = ("import ctypes\n"
                "l=ctypes.CDLL('libc.so.6',use_errno=True)\n"
                "print('made' if l.socket(2,1,0)>=0 else 'error %d' % ctypes.get_errno())\n")
    p = net.run(sys.executable, "-c", unhooked)
    expect("libc's own socket() by dlsym: refused", p.stdout.startswith("error"), p)
    p = net.run("env", "-u", "LD_PRELOAD", sys.executable, "-c", script)
    expect("LD_PRELOAD removed by the child: error, or put back and through the tunnel",
           p.stdout.startswith(("error", "connected")), p)
    expect("and then the server saw the exit only", {line[0] for line in net.access_log()} <= w.EXIT_SEEN, p)


def strays(net):
    """Programs the shim is not in, and sockets that come from elsewhere: an error, or the tunnel."""
    static = w.BUILD / "tests/e2e/rawsock_static"
    p = net.run(static)
    expect("static program: refused by name", p.returncode == 125 and "statically linked" in p.stderr, p)
    p = net.run("sh", "-c", f"{static}; echo code $?")
    expect("static child: refused", p.stdout == "code 126\n" and "Permission denied" in p.stderr, p)
    unhooked = ("import ctypes, sys\nl = ctypes.CDLL('libc.so.6')\na = (ctypes.c_char_p * 2)(sys.argv[1].encode(), None)\n"
                "l.execve(a[0], a, (ctypes.c_char_p * 1)(None))\n")
    p = net.run(sys.executable, "-c", unhooked, static)
    expect("static child past the hooks, with an empty environment: no internet socket", p.returncode == 0 and "io_uring" in p.stdout, p)
    p = net.run(sys.executable, "-c", unhooked.replace("sys.argv[1]", "'/usr/bin/curl'").replace("* 2)(", "* 3)(").replace(
        ".encode(), None", f".encode(), b'http://{w.WEB4}/small', None"))
    expect("dynamic child past the hooks, with an empty environment: an error", p.returncode not in (0, 125) and not p.stdout, p)
    spawn = ("import os, sys\nos.waitpid(os.posix_spawn('/usr/bin/curl', ['curl', '-s', 'http://%s/small'], {}), 0)" % w.WEB4)
    p = net.run(sys.executable, "-c", spawn)
    expect("posix_spawn with an empty environment: through the tunnel", p.stdout == "small file\n", p)
    set_id = net.dir / "set-id-curl"
    shutil.copy("/usr/bin/curl", set_id)
    os.chmod(set_id, 0o4755)
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups", "env", "HOME=/nonexistent"]
    at = net.run_argv("sh", "-c", f"{set_id} -s http://{w.WEB4}/small; echo code $?")
    first = len(net.prefix)
    p = subprocess.run([*at[:first], *nobody, *at[first:]], capture_output=True, text=True, timeout=60, check=False)
    expect("set-user-id child: refused", p.stdout == "code 126\n" and "not permitted" in p.stderr, p)
    with socket.socket() as inherited:
        p = net.run(sys.executable, "-c", f"import os\ntry:\n os.fstat({inherited.fileno()})\n print('there')\n"
                    "except OSError as e:\n print('error', e.errno)", pass_fds=[inherited.fileno()])
        expect("inherited internet socket: closed", p.stdout == "error 9\n", p)
    delivered(net)
    delivered(net, socket.MSG_PEEK)


def delivered(net, flags=0):
    """An internet socket that somebody outside hands to a program inside by SCM_RIGHTS; a peek hands it over too."""
    path = net.dir / f"handed{flags}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket() as gift:
        listener.bind(str(path))
        listener.listen()
        take = ("import array, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                "data, control, flags, _ = s.recvmsg(1, 100, int(sys.argv[3]))\nfds = array.array('i')\n"
                "for c in control: fds.frombytes(c[2])\n"
                "try:\n socket.socket(fileno=fds[0]).connect((sys.argv[2], 80))\n print('connected')\n"
                "except OSError as e:\n print('error', e.errno)\n")
        child = subprocess.Popen(net.run_argv(sys.executable, "-c", take, path, w.WEB4, str(flags)), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        listener.settimeout(60)
        peer, _ = listener.accept()
        socket.send_fds(peer, [b"x"], [gift.fileno()])
        out, err = child.communicate(timeout=60)
        expect(f"internet socket by SCM_RIGHTS, flags {flags}: refused", not out and "PermissionError" in err, (out, err))


def loopback(net):
    """A socket of the kernel that was made for the loopback device does not get out by any call, and UDP not past the tunnel."""
    script = """
import ctypes, socket, struct
libc = ctypes.CDLL("libc.so.6", use_errno=True)
listener = socket.create_server(("127.0.0.1", 0))
first = socket.create_connection(listener.getsockname())
second, _ = listener.accept()
print("loopback works", flush=True)
far = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(80), socket.inet_aton("192.88.99.80"))
for s in (first, second, socket.create_server(("", 0))):
    libc.setsockopt(s.fileno(), socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"", 0)
    libc.setsockopt(s.fileno(), socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"inside", 6)
    libc.connect(s.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16)
    s.setblocking(False)
    libc.connect(s.fileno(), far, 16)
    libc.sendto(s.fileno(), b"x", 1, 0x20000000 | socket.MSG_NOSIGNAL, far, 16)
IP_PKTINFO = 8
here, any_address = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
here.bind(("127.0.0.1", 0))
any_address.bind(("", 0))
any_address.sendto(b"x", here.getsockname())
print("UDP too", here.recvfrom(9)[1] == ("127.0.0.1", any_address.getsockname()[1]), flush=True)
for s in (here, any_address):
    libc.setsockopt(s.fileno(), socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"inside", 6)
    for device in range(4):
        for source in ("0.0.0.0", "127.0.0.1", INSIDE):
            pktinfo = struct.pack("=i4s4s", device, socket.inet_aton(source), bytes(4))
            for to in (("192.88.99.80", 7), (OUTSIDE, 7), ("127.0.0.1", 9)):
                try:
                    s.sendmsg([b"x"], [(socket.IPPROTO_IP, IP_PKTINFO, pktinfo)], 0, to)
                except OSError:
                    pass
import time
time.sleep(2)
"""
    p = net.run(sys.executable, "-c", f"INSIDE, OUTSIDE = '{INSIDE}', '{OUTSIDE}'" + script)
    expect("loopback sockets are confined", p.stdout == "loopback works\nUDP too True\n" and p.returncode == 0, p)


def main():
    """Inside and outside."""
    why = missing_tool()
    if why:
        w.skip(why)
    with World() as net:
        for name, story in (("programs", programs), ("killed tunnel", killed), ("no preload", no_preload), ("strays", strays),
                            ("loopback", loopback), ("preload only", preload), ("preload only, no tunnel", no_tunnel)):
            capture = Capture(net.dir / f"{story.__name__}.pcap", "inside" if story is loopback else "any")
            with capture:
                story(net)
            judge(name, capture, net, some=story is not no_tunnel)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
