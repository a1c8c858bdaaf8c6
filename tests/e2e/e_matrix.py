#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs people use, unmodified, against real servers through the whole path; what is not installed is left out by name.

usage: e_matrix.py [PART-OF-A-NAME...]
       e_matrix.py --write FILE      all of it on good wires and on bad ones, as the page doc/compatibility.md
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import world as w

JAVA = """import java.net.*; import java.net.http.*;
public class T { public static void main(String[] a) throws Exception {
  System.out.println(HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(),
    HttpResponse.BodyHandlers.ofString()).body());
  var s = new DatagramSocket(); s.setSoTimeout(9000);
  s.send(new DatagramPacket("java".getBytes(), 4, InetAddress.getByName(a[1]), 7));
  var p = new DatagramPacket(new byte[9], 9); s.receive(p);
  System.out.println(new String(p.getData(), 0, p.getLength())); } }
"""
UDP_ECHO = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', int(sys.argv[1])))
while True:
    data, who = s.recvfrom(65535)
    s.sendto(data, who)"""
NTP = """import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', int(sys.argv[1])))
def now():
    t = time.time() + 2208988800
    return struct.pack('!II', int(t), int(t % 1 * 2**32))
while True:
    data, who = s.recvfrom(512)
    came = now()
    head = struct.pack('!BBbb8xI', data[0] & 0x38 | 4, 1, data[2], -20, 0x4c4f434c)
    s.sendto(head + came + data[40:48] + came + now(), who)"""
PING = """import socket, struct, time
s = socket.socket(socket.{family}, socket.SOCK_DGRAM, socket.{proto})
s.setsockopt({recv}, 1)
s.settimeout(20)
s.sendto(struct.pack('!BBHHH', {kind}, 0, 0, 1, 9) + b'python', ('{host}', 0))
data, control, _, who = s.recvmsg(1500, 1500)
print(who[0], data[6:], [struct.unpack('i', c[2])[0] > 9 for c in control])"""
NODE_DNS = """const d = require('dns').promises; (async () => {{ console.log((await d.lookup('{name}')).address);
const r = new d.Resolver(); r.setServers(['1.1.1.1']); console.log(await r.resolve4('{name}')) }})()"""
NODE_UDP = """const s = require('dgram').createSocket('udp4'); s.on('message', m => {{ console.log('' + m); s.close() }});
s.send('node', 7, '{web}')"""
NODE_SERVER = """const h = require('http'); const s = h.createServer((q, r) => r.end('served')).listen(0, '127.0.0.1', () =>
fetch('http://127.0.0.1:' + s.address().port).then(r => r.text()).then(x => { console.log(x); s.close() }))"""
ASYNCIO = """import asyncio
async def main():
    r, wr = await asyncio.open_connection('{name}', 80)
    wr.write(b'GET /small HTTP/1.0\\r\\n\\r\\n')
    print((await r.read()).decode())
asyncio.run(main())"""
RES_QUERY = """import ctypes
libc = ctypes.CDLL(None)
for symbol in (libc.res_query, libc.__res_search):
    out = ctypes.create_string_buffer(4096)
    n = symbol(b'{name}', 1, 16, out, 4096)
    print(b'hello from a real DNS server' in out.raw[:n] if n > 0 else n)
print(libc.res_query(b'nothing.smolmix.test', 1, 1, out, 4096))"""
POOL = """import multiprocessing as m, urllib.request as u
def get(i): return u.urlopen('http://{name}/small').read().decode()
if __name__ == '__main__': print(len(m.Pool(3).map(get, range(3))))"""
PERL = """$s = IO::Socket::INET->new(PeerAddr => '{name}', PeerPort => 80) or die $!;
print $s "GET /small HTTP/1.0\\r\\n\\r\\n"; print <$s>"""


class Matrix:
    """The servers, and what the rows came to."""

    def __init__(self, only=(), wires=()):
        self.only, self.rows, self.missing = only, {}, set()
        self.net = w.World(wires)
        self.dir = self.net.dir
        self.ssh_options = []

    def servers(self):
        """sshd, git daemon, echo, iperf3: each where it is installed."""
        path = os.environ["PATH"] + ":/usr/sbin"
        ports = {port: w.free_port() for port in (7, 22, 123, 5201, 9418)}
        if shutil.which("sshd", path=path):
            self.sshd(shutil.which("sshd", path=path), ports[22])
        if shutil.which("git"):
            self.repository()
            self.spawn("git", "daemon", "--listen=127.0.0.1", f"--port={ports[9418]}", "--export-all",
                       f"--base-path={self.dir}/repos")
        if shutil.which("socat"):
            self.spawn("socat", f"TCP-LISTEN:{ports[7]},bind=127.0.0.1,fork,reuseaddr", "EXEC:cat")
        self.spawn(sys.executable, "-c", UDP_ECHO, ports[7])
        self.spawn(sys.executable, "-c", NTP, ports[123])
        if shutil.which("iperf3"):
            self.spawn("iperf3", "-s", "-B", "127.0.0.1", "-p", ports[5201])
        self.net.maps += [f"{w.WEB4}:{port}=127.0.0.1:{here}" for port, here in ports.items()]

    def spawn(self, *argv):
        """A server; its words go nowhere."""
        self.net.spawn(map(str, argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sshd(self, program, port):
        """A server with keys of its own."""
        d = self.dir
        for key in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", d / key], check=True)
        (d / "sshd.conf").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {d}/host\nAuthorizedKeysFile {d}/id.pub\nStrictModes no\n"
            f"PidFile {d}/sshd.pid\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nUsePAM no\n")
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.spawn(program, "-D", "-f", d / "sshd.conf")
        self.ssh_options = ["-i", str(d / "id"), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={d}/known",
                            "-o", "BatchMode=yes"]

    def repository(self):
        """A bare repository with one commit."""
        work, bare = self.dir / "work", self.dir / "repos/r.git"
        bare.parent.mkdir()
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"]
        subprocess.run([*git, "init", "-q", work], check=True)
        (work / "f").write_bytes(os.urandom(100000))
        for args in (["add", "f"], ["commit", "-qm", "x"]):
            subprocess.run([*git, "-C", work, *args], check=True)
        subprocess.run([*git, "clone", "-q", "--bare", work, bare], check=True)
        subprocess.run([*git, "-C", bare, "update-server-info"], check=True)

    def row(self, name, *cmd, want="", code=0, given=None, check=None, errors=False):
        """One program: exit code, a piece of its output (errors: of its error output), and what it should have left behind."""
        if self.only and not any(o in name for o in self.only):
            return
        program = str(cmd[0])
        if not shutil.which(program):
            self.missing.add(program)
            return
        start = time.monotonic()
        try:
            p = self.net.run(*cmd, options=["--profile", "fast"], timeout=60, input=given)
            good = p.returncode == code and want in (p.stderr if errors else p.stdout) and (check is None or check())
            detail = "" if good else f"{p.returncode} {p.stdout[-300:]} {p.stderr[-600:]}"
        except subprocess.TimeoutExpired as e:
            good, detail = False, f"did not end: {e.stderr}"
        self.rows[name] = good
        print("ok  " if good else "FAIL", f"{name}: {time.monotonic() - start:.1f} s", detail, flush=True)

    def ssh_rows(self):
        """ssh and what stands on it."""
        d, so, who = self.dir, self.ssh_options, f"root@{w.NAME}"
        line = " ".join(["ssh", *so])
        if not so or os.geteuid() != 0:
            self.missing.add("sshd as root")
            return
        self.row("ssh", "ssh", *so, who, "echo hello; exit 3", want="hello", code=3)
        self.row("ssh, 300 kB of input", "ssh", *so, f"root@{w.WEB4}", "wc -c", want="300000", given="x" * 300000)
        self.row("scp", "scp", *so, f"{who}:{d}/www/file", d / "scp", check=lambda: (d / "scp").read_bytes() == self.net.body)
        self.row("sftp", "sftp", *so, f"{who}:{d}/www/small", d / "sftp", check=(d / "sftp").exists)
        self.row("rsync", "rsync", "-e", line, f"{who}:{d}/www/small", d / "rsync", check=(d / "rsync").exists)
        self.row("ssh ControlMaster", "sh", "-c", f"{line} -M -S {d}/m1 -f -N {who} >/dev/null 2>&1 && "
                 f"ssh -S {d}/m1 x echo shared; ssh -S {d}/m1 -O exit x", want="shared")
        here = f"127.0.0.1:{self.net.http}"
        self.row("ssh -L", "sh", "-c", f"{line} -M -S {d}/m2 -L 127.0.0.1:{self.net.closed}:{here} -f -N {who} >/dev/null 2>&1 && "
                 f"curl -sS http://127.0.0.1:{self.net.closed}/small; ssh -S {d}/m2 -O exit x", want="small file")
        self.row("ssh -D", "sh", "-c", f"{line} -M -S {d}/m3 -D 127.0.0.1:{self.net.closed} -f -N {who} >/dev/null 2>&1 && "
                 f"curl -sS --socks5 127.0.0.1:{self.net.closed} http://{here}/small; ssh -S {d}/m3 -O exit x",
                 want="small file")
        self.row("git over ssh", "env", f"GIT_SSH_COMMAND={line}", "git", "clone", "-q", f"ssh://{who}{d}/repos/r.git",
                 d / "c1", check=(d / "c1/f").exists)

    def tool_rows(self):
        """Network tools."""
        web, name, d = w.WEB4, w.NAME, self.dir
        self.row("git over http", "git", "clone", "-q", f"http://{name}/r.git", d / "c2", check=(d / "c2/f").exists)
        self.row("git://", "git", "clone", "-q", f"git://{web}/r.git", d / "c3", check=(d / "c3/f").exists)
        self.row("curl upload refused by the server", "curl", "-sS", "-T", d / "www/small", "-o", "/dev/null", "-w",
                 "%{http_code}", f"http://{name}/", want="405")
        self.row("wget https", "wget", "-q", "-O", "-", f"--ca-certificate={d}/ca.pem", f"https://{name}/small",
                 want="small file")
        self.row("nc", "nc", "-N", web, "7", want="hello", given="hello\n")
        self.row("nc -z", "nc", "-z", "-v", web, "80")
        self.row("nc -z, closed port", "nc", "-z", "-v", w.CLOSED4, "80", code=1)
        self.row("nc -u", "sh", "-c", f"echo datagram | nc -u -w 3 {web} 7", want="datagram")
        self.row("socat", "socat", "-t", "5", "-", f"TCP:{name}:7", want="hello", given="hello\n")
        self.row("socat UDP", "socat", "-t", "3", "-", f"UDP:{web}:7", want="hello", given="hello\n")
        self.row("aria2c", "aria2c", "-q", "-x4", "-d", d, "-o", "aria", f"http://{name}/file",
                 check=lambda: (d / "aria").read_bytes() == self.net.body)
        for options in ([], ["-R"], ["-u", "-b", "200k", "-l", "1200"]):
            self.row(" ".join(["iperf3", *options[:1]]), "iperf3", "-c", web, "-t", "2", *options, want="receiver")
        self.row("openssl s_client", "openssl", "s_client", "-quiet", "-CAfile", d / "ca.pem", "-connect", f"{name}:443",
                 given="GET /small HTTP/1.0\r\n\r\n", want="small file")
        for command in (["drill", name, "@1.1.1.1"], ["host", name, "1.1.1.1"], ["host", name], ["nslookup", name, "9.9.9.9"]):
            self.row(" ".join(command), *command, want=web)

    def echo_rows(self):
        """ICMP echo, and clocks."""
        web, name = w.WEB4, w.NAME
        self.row("ping", "ping", "-n", "-c", "3", web, want="3 received")
        self.row("ping by name", "ping", "-4", "-n", "-c", "1", name, want=f"({web})")
        self.row("ping -6", "ping", "-6", "-n", "-c", "2", w.WEB6, want="2 received")
        self.row("ping, hops used up", "ping", "-n", "-c", "1", "-t", "1", web, want="Time to live exceeded", code=1)
        self.row("ping -s, too long", "ping", "-n", "-c", "1", "-s", "2000", "-W", "1", web, want="100% packet loss", code=1)
        self.row("ping a private address", "ping", "-n", "-c", "1", "10.0.0.1", code=2)
        self.row("python ping", sys.executable, "-c", PING.format(family="AF_INET", proto="IPPROTO_ICMP", kind=8, host=web,
                 recv="socket.IPPROTO_IP, 12"), want=r"{web} b'\x00\tpython' [True]".format(web=web))
        self.row("python ping, IPv6", sys.executable, "-c", PING.format(
            family="AF_INET6", proto="IPPROTO_ICMPV6", kind=128, host=w.WEB6,
            recv="socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT"), want=r"b'\x00\tpython' [True]")
        self.row("ntpdate", "ntpdate", "-q", web, want=web)
        # A user of its own could not use the launcher's tunnel.
        self.row("chronyd -Q", "chronyd", "-u", "root", "-Q", "-t", "30", f"server {web} iburst maxsamples 1",
                 errors=True, want="System clock wrong by")

    def language_rows(self):
        """Languages and their own network code."""
        web, name, d = w.WEB4, w.NAME, self.dir
        (d / "T.java").write_text(JAVA)
        self.row("java HttpClient and DatagramSocket", "java", d / "T.java", f"http://{name}/small", web, want="java")
        self.row("node fetch", "node", "-e", f"fetch('http://{name}/small').then(r => r.text()).then(console.log)",
                 want="small file")
        self.row("node dns", "node", "-e", NODE_DNS.format(name=name), want=web)
        self.row("node dgram", "node", "-e", NODE_UDP.format(web=web), want="node")
        self.row("node server on loopback", "node", "-e", NODE_SERVER, want="served")
        self.row("python asyncio", sys.executable, "-c", ASYNCIO.format(name=name), want="small file")
        self.row("python res_query, both spellings", sys.executable, "-c", RES_QUERY.format(name=name), want="True\nTrue\n-1")
        self.row("python multiprocessing", sys.executable, "-c", POOL.format(name=name), want="3")
        self.row("perl", "perl", "-MIO::Socket::INET", "-e", PERL.format(name=name), want="small file")
        self.row("bash /dev/tcp", "bash", "-c", f"exec 3<>/dev/tcp/{name}/80; printf 'GET /small HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
                 want="small file")


BAD_WIRES = ["--loss", "0.2", "--duplicate", "0.5", "--reorder", "1", "--delay", "20", "--jitter", "20"]
PAGE = """# Programs

Made by `tests/e2e/e_matrix.py --write doc/compatibility.md`: each row is a run of the unmodified program against a real server
through `smolmix-localnet`, judged by its exit code, its output and what it left behind. Bad wires: `{wires}`, on every
one of the five hops of each direction.

| program | good wires | bad wires |
|---|---|---|
{rows}

Not installed where this page was made: {missing}.
"""


def run(m):
    """All rows of a matrix."""
    try:
        m.servers()
        with m.net:
            if (m.dir / "repos").exists():
                shutil.copytree(m.dir / "repos/r.git", m.dir / "www/r.git")
            m.ssh_rows()
            m.tool_rows()
            m.echo_rows()
            m.language_rows()
    finally:
        m.net.stop()
    return m


def write(path):
    """The page."""
    good, bad = run(Matrix()), run(Matrix(wires=BAD_WIRES))
    says = {True: "works", False: "**fails**", None: "not run"}
    rows = "\n".join(f"| {name} | {says[ok]} | {says[bad.rows.get(name)]} |" for name, ok in good.rows.items())
    pathlib.Path(path).write_text(PAGE.format(wires=" ".join(BAD_WIRES), rows=rows,
                                              missing=", ".join(sorted(good.missing)) or "nothing"))
    return 0


def main():
    """All rows, or those asked for."""
    if sys.argv[1:2] == ["--write"]:
        return write(sys.argv[2])
    m = run(Matrix(sys.argv[1:]))
    failed = [name for name, ok in m.rows.items() if not ok]
    print(f"{len(m.rows) - len(failed)} programs fine, {len(failed)} not; not installed: "
          f"{', '.join(sorted(m.missing)) or 'none'}")
    return 1 if failed or not m.rows else 0


if __name__ == "__main__":
    sys.exit(main())
