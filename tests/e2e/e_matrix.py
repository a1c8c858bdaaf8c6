#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs people use, unmodified, against real servers through the whole path; what is not installed is left out by name.

usage: e_matrix.py [--bad] [PART-OF-A-NAME...]
       e_matrix.py --write FILE      all of it on calm wires and on bad ones, as the page doc/compatibility.md

The programs run in a network namespace where every packet is captured (e_leak.py): none may go to anybody but nym-api and
gateway. Where that cannot be had (no root, no tcpdump) they run outside one, and a line says so. All are in one tree under one
smolmix-run, and share its tunnel; a few run at a time.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import e_leak as leak
import servers
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
LWP = """$u = LWP::UserAgent->new; $u->ssl_opts(SSL_ca_file => $ARGV[1]); print $u->get($ARGV[0])->content"""
RUBY = "require 'net/http'; print Net::HTTP.get(URI(ARGV[0]))"
RUBY_DNS = "require 'resolv'; print Resolv::DNS.new(nameserver: ['1.1.1.1']).getaddress(ARGV[0])"
PHP = """echo file_get_contents("http://$argv[1]/small"); $u = stream_socket_client("udp://$argv[2]:7"); fwrite($u, "php");
stream_set_timeout($u, 20); echo fread($u, 9);"""
REQUESTS = """import requests, sys
print(requests.Session().get(sys.argv[1], verify=sys.argv[2]).text)"""
DNSPYTHON = """import dns.message, dns.query, sys
q = dns.message.make_query(sys.argv[1], 'A')
for ask in (dns.query.udp, dns.query.tcp): print(ask(q, '9.9.9.9', timeout=20).answer[0])"""
ASYNC_TLS = """import asyncio, ssl, sys
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, t): t.sendto(b'datagram')
    def datagram_received(self, data, who): done.set_result(data)
async def main():
    global done
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    r, wr = await asyncio.open_connection(sys.argv[1], 443, ssl=ssl.create_default_context(cafile=sys.argv[2]))
    wr.write(b'GET /small HTTP/1.0\\r\\n\\r\\n')
    print((await r.read()).decode())
    await loop.create_datagram_endpoint(Echo, remote_addr=(sys.argv[3], 7))
    print(await done)
asyncio.run(main())"""
NGINX = """daemon off; master_process off; pid {d}/et.pid; error_log {d}/et.log;
events {{ use epoll; }}
http {{ access_log off; client_body_temp_path {d}/e1; proxy_temp_path {d}/e2; fastcgi_temp_path {d}/e3; uwsgi_temp_path {d}/e4;
  scgi_temp_path {d}/e5; server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{name}; }} }} }}
"""
NIO = """import java.net.*; import java.nio.*; import java.nio.channels.*;
public class N { public static void main(String[] a) throws Exception {
  var s = Selector.open();
  for (int i = 0; i < 5; i++) { var c = SocketChannel.open(); c.configureBlocking(false);
    c.connect(new InetSocketAddress(a[0], 80)); c.register(s, SelectionKey.OP_CONNECT); }
  for (int got = 0; got < 5; ) { s.select(); for (var it = s.selectedKeys().iterator(); it.hasNext(); ) {
    var k = it.next(); it.remove(); var c = (SocketChannel) k.channel(); var b = ByteBuffer.allocate(4096);
    if (k.isConnectable()) { c.finishConnect(); c.write(ByteBuffer.wrap("GET /small HTTP/1.0\\r\\n\\r\\n".getBytes()));
      k.interestOps(SelectionKey.OP_READ); } else if (c.read(b) < 0) { got++; c.close(); } } }
  var d = DatagramChannel.open(); d.connect(new InetSocketAddress(a[1], 7)); d.write(ByteBuffer.wrap("nio".getBytes()));
  var b = ByteBuffer.allocate(99); d.read(b); var own = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
  var c = SocketChannel.open(own.getLocalAddress()); own.accept().write(ByteBuffer.wrap(" and loopback".getBytes()));
  c.read(b); System.out.println(new String(b.array(), 0, b.position())); } }
"""
ERLANG = """main([Name, Web]) ->
    {ok, S} = gen_tcp:connect(Name, 80, [binary, {active, false}]), ok = gen_tcp:send(S, "GET /small HTTP/1.0\\r\\n\\r\\n"),
    {ok, B} = gen_tcp:recv(S, 0), io:format("~s~n", [B]),
    {ok, U} = gen_udp:open(0, [binary, {active, true}]), ok = gen_udp:send(U, Web, 7, <<"datagram">>),
    receive {udp, U, _, 7, D} -> io:format("~s ~p~n", [D, inet:gethostbyname(Name)]) end.
"""
HTTP2 = """const [,, host, ca] = process.argv;
const c = require('http2').connect('https://' + host, { ca: require('fs').readFileSync(ca) });
for (let i = 0; i < 3; i++) { let s = ''; const r = c.request({ ':path': '/small' }); r.setEncoding('utf8');
  r.on('data', d => s += d); r.on('end', () => { process.stdout.write(s); if (i == 2) c.close() }) }"""
PHP_CURL = """$m = curl_multi_init(); foreach ([1, 2, 3] as $i) { curl_multi_add_handle($m, curl_init($argv[1])); }
do { curl_multi_exec($m, $n); curl_multi_select($m); } while ($n);"""
TWISTED = """import sys
from twisted.internet import reactor
from twisted.web.client import Agent, readBody
d = Agent(reactor).request(b'GET', sys.argv[1].encode())
d.addCallback(readBody).addBoth(print).addBoth(lambda _: reactor.stop())
reactor.run()"""
GEVENT = """from gevent import monkey; monkey.patch_all()
import gevent, urllib.request as u, sys
print(sum(len(g.value) for g in gevent.joinall([gevent.spawn(lambda: u.urlopen(sys.argv[1]).read()) for _ in range(5)])))"""
UVLOOP = """import aiohttp, asyncio, sys, uvloop
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, t): t.sendto(b'datagram')
    def datagram_received(self, data, who): done.set_result(data)
async def get(session):
    async with session.get(sys.argv[1]) as r: return await r.text()
async def main():
    global done
    done = asyncio.get_running_loop().create_future()
    async with aiohttp.ClientSession() as session: print(len(''.join(await asyncio.gather(*(get(session) for _ in range(5))))))
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, remote_addr=(sys.argv[2], 7))
    print(await done)
uvloop.run(main()) if hasattr(uvloop, 'run') else (uvloop.install(), asyncio.run(main()))"""
TRIO = """import httpx, ssl, sys, trio
async def main():
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=sys.argv[2]), timeout=60) as c:
        print((await c.get(sys.argv[1])).text)
trio.run(main)"""
NET_DNS = """$r = Net::DNS::Resolver->new(nameservers => ['9.9.9.9'], udp_timeout => 20); $h = $r->bgsend($ARGV[0], 'TXT');
print $r->bgread($h)->string; $r->usevc(1); print $r->send($ARGV[0], 'A')->string"""
TCL = """package require http; package require tls; lassign $argv url ca
::http::register https 443 [list ::tls::socket -autoservername 1 -require 1 -cafile $ca]
puts [::http::data [::http::geturl $url]]
"""
LUA = """local s = require("socket"); print((require("socket.http").request(arg[1]))); local u = s.udp(); u:setpeername(arg[2], 7)
u:send("datagram"); u:settimeout(20); print(u:receive(), s.dns.toip(arg[3]))
"""
FIREFOX = """user_pref("browser.shell.checkDefaultBrowser", false); user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false); user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false); user_pref("services.settings.server", "");
"""
TINYPROXY = """Port {port}
Listen 127.0.0.1
Timeout 100
"""
STUNNEL = """foreground = yes
pid =
[web]
client = yes
accept = 127.0.0.1:{port}
connect = {name}:443
verifyChain = yes
CAfile = {d}/ca.pem
checkHost = {name}
"""
HAPROXY = """resolvers tunnel
  nameserver one 9.9.9.9:53
defaults
  mode http
  timeout connect 60s
  timeout client 100s
  timeout server 100s
  retries 5
frontend here
  bind 127.0.0.1:{port}
  default_backend web
backend web
  server one {name}:443 ssl ca-file {d}/ca.pem verifyhost {name} resolvers tunnel init-addr libc,last
"""
FETCHMAIL = """poll {name} proto imap user u password secret ssl sslcertck sslcertfile {d}/ca.pem mda "cat >{d}/fetched" keep
"""
MBSYNC = """IMAPAccount a
Host {name}
User u
Pass secret
SSLType STARTTLS
CertificateFile {d}/ca.pem
Timeout 100

IMAPStore far
Account a

MaildirStore near
Path {d}/maildir/
Inbox {d}/maildir/INBOX

Channel c
Far :far:
Near :near:
Create Near
SyncState *
"""
UNBOUND = """server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  module-config: iterator
  local-zone: "test." nodefault
forward-zone:
  name: .
  forward-addr: 9.9.9.9
"""
# TCP and UDP of programs to themselves, by sockets bound to the loopback device; a question to port 53 has another form.
OWN_LOOPBACK = re.compile(r" lo +(In|Out|[MP]) .*( Flags \[|: UDP, length )")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable  # the one packages are installed for
SIZE = 200_000  # of the large file: on bad wires a megabyte takes minutes
CALM = ()
# Four hops each way, each loses 0.505 % and adds 125 to 375 ms: 2 % and 1 s +- 0.5 s.
BAD = ("--loss", "0.505", "--delay", "125", "--jitter", "250")
PARALLEL = 4, 8  # rows at a time on calm wires, on bad ones
LIMIT = 60, 300  # seconds for a row


def inside(parallel, limit, path):
    """In the tunnel: runs the rows, one line of JSON for each: [number, exit code or null, output, error output, seconds]."""
    def one(number):
        _, cmd, given = jobs[number]
        start = time.monotonic()
        p = subprocess.Popen(cmd, stdin=subprocess.PIPE if given else subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        try:
            out, err = p.communicate(given, limit)
            code = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, err = p.communicate()
            code = None
        line = json.dumps([number, code, out, err, time.monotonic() - start]) + "\n"
        with lock:
            sys.stdout.write(line)
            sys.stdout.flush()

    jobs, lock = json.loads(pathlib.Path(path).read_text()), threading.Lock()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        list(pool.map(one, range(len(jobs))))
    return 0


class Matrix:
    """The servers, the rows in their order, and what they came to."""

    def __init__(self, only=(), bad=False, again=False):
        why = leak.missing_tool()
        if why:
            print(f"not captured: {why}")
        self.only, self.bad, self.captured = only, bad, not why
        self.again, self.second = again, set()  # rows that fail are run once more, for the page
        self.net = (w.World if why else leak.World)(BAD if bad else CALM, size=SIZE)
        self.dir, self.servers = self.net.dir, servers.Servers(self.net)
        # rows: name to "", or why it failed
        self.jobs, self.rows, self.notes, self.refused, self.missing, self.left_out = [], {}, {}, set(), set(), 0
        self.programs, self.packets = set(), "not captured"
        self.wait = "20" if bad else "5"  # seconds a program is told to wait for an answer

    def row(self, name, *cmd, want="", code=0, given=None, check=None, errors=False, needs=(), note="",
            refused=False):
        """One program: exit code, a piece of its output (errors: of its error output), and what it should have left behind.

        needs: other programs and servers; note: for the page, what the row shows when its name does not say it; refused: it
        cannot work, and how it ends is what is shown.
        """
        lacks = {str(p) for p in (cmd[0], *needs) if not servers.which(str(p)) and p not in self.servers.have}
        self.missing |= lacks
        self.left_out += bool(lacks)
        if lacks or (self.only and not any(o in name for o in self.only)):
            return
        self.notes[name] = note
        if refused:
            self.refused.add(name)
        self.programs |= {servers.which(str(p)) for p in (cmd[0], *needs)} - {None}
        self.jobs.append((name, cmd, want, code, given, check, errors))

    def judge(self, job, result):
        """What a row came to."""
        name, _, want, code, _, check, errors = job
        got, out, err, took = result
        good = got == code and want in (err if errors else out) and (check is None or check())
        self.rows[name] = "" if good else f"exit code {got}: {' '.join(err.split())[-200:]}" if got is not None else "did not end"
        print("ok  " if good else "FAIL", f"{name}: {took:.1f} s", "" if good else f"{got} {out[-300:]} {err[-600:]}", flush=True)

    def run_rows(self, jobs):
        """Rows in one tree, and what they came to as it comes."""
        text = json.dumps([[name, [str(c) for c in cmd], given] for name, cmd, _, _, given, _, _ in jobs])
        (self.dir / "jobs").write_text(text)
        argv = self.net.run_argv(sys.executable, __file__, "--inside", PARALLEL[self.bad], LIMIT[self.bad], self.dir / "jobs",
                                 options=["--profile", "fast"])
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as p:
            for line in p.stdout:
                number, *result = json.loads(line)
                self.judge(jobs[number], result)
        for name, *_ in jobs:
            self.rows.setdefault(name, "the tunnel ended")

    def run(self):
        """All rows."""
        try:
            self.servers.start()
            with self.net as net:
                self.servers.files()
                for rows in (self.mosh_rows, self.curl_rows, self.ftp_rows, self.ssh_rows, self.name_rows, self.tool_rows,
                             self.client_rows, self.package_rows, self.echo_rows, self.language_rows, self.browser_rows,
                             self.talk_rows, self.proxy_rows, self.scan_rows, self.tree_rows, self.event_rows):
                    rows()
                with leak.Capture(net.dir / "matrix.pcap") if self.captured else contextlib.nullcontext() as capture:
                    self.run_rows(self.jobs)
                    failed = [job for job in self.jobs if self.again and self.rows[job[0]]]
                    if failed:
                        self.run_rows(failed)
                        self.second = {job[0] for job in failed if not self.rows[job[0]]}
                if self.captured:
                    lines = capture.packets()
                    strangers = [line for line in net.strangers(lines) if not OWN_LOOPBACK.search(line)]
                    self.packets = f"{len(lines)} packets captured, {len(strangers)} to others than nym-api and gateway"
                    leak.expect(self.packets, lines and not strangers, "\n".join(strangers[:20]))
                seen = {line[0] for line in net.access_log() if line[1] != "/over-ssh"}
                leak.expect("the web server saw the exit only", seen <= w.EXIT_SEEN, seen)
        finally:
            self.net.stop()
        return self

    def curl_rows(self):
        """curl and wget."""
        name, d = w.NAME, self.dir
        body, small = d / "www/file", "small file\n"
        ca = ["--cacert", d / "ca.pem"]

        def same(path):
            return lambda: path.read_bytes() == body.read_bytes()

        self.row("curl http", "curl", "-sS", "-o", d / "o1", f"http://{w.WEB4}/file", check=same(d / "o1"))
        self.row("curl https", "curl", "-sS", *ca, "--http1.1", "-o", d / "o2", f"https://{name}/file", check=same(d / "o2"))
        self.row("curl HTTP/2", "curl", "-sS", *ca, "--http2", "-o", d / "o3", "-w", "%{http_version}", f"https://{name}/file",
                 want="2", check=same(d / "o3"))
        self.row("curl HTTP/2, four at once", "curl", "-sS", *ca, "-Z", "--http2", *(f"https://{name}/small" for _ in range(4)),
                 want=small * 4)
        self.row("curl -4", "curl", "-sS", "-4", f"http://{name}/small", "-w", "%{remote_ip}", want=small + w.WEB4)
        self.row("curl -6", "curl", "-sS", "-6", f"http://{name}/small", "-w", "%{remote_ip}", want=small + w.WEB6)
        self.row("curl upload", "curl", "-sS", *ca, "-T", body, "-o", "/dev/null", "-w", "%{http_code}",
                 f"https://{name}/put/curl", want="201", check=same(d / "www/put/curl"))
        self.row("curl upload refused by the server", "curl", "-sS", "-T", d / "www/small", "-o", "/dev/null", "-w",
                 "%{http_code}", f"http://{name}/", want="405")
        self.row("curl --tcp-fastopen", "curl", "-sS", "--tcp-fastopen", f"http://{name}/small", want=small,
                 note="without what the option is for")
        self.row("curl --connect-timeout", "curl", "-sS", "--connect-timeout", self.wait, f"http://{w.WEB4}:9/", code=28,
                 note="a port that answers no SYN: exit code 28")
        self.row("curl --max-time", "curl", "-sS", "--max-time", self.wait, f"telnet://{w.WEB4}:22", code=28, needs=["sshd"],
                 note="an idle server: exit code 28")
        self.row("curl, closed port", "curl", "-sS", f"http://{w.CLOSED4}/", code=7, note="exit code 7")
        self.row("curl, unknown name", "curl", "-sS", "http://nothing.smolmix.test/", code=6, note="exit code 6")
        self.row("curl, IPv6 address nobody can reach", "curl", "-sS", "--max-time", "60", "http://[2620:fe::9]/", code=7,
                 note="exit code 7")
        self.row("curl, private address", "curl", "-sS", "--max-time", "20", "http://10.1.2.3/", code=7,
                 note="refused at once: exit code 7", refused=True)
        self.row("two curls in one tree", "sh", "-c",
                 f"curl -sS http://{w.WEB4}/small & curl -sS http://{name}/small; wait", want=small * 2)
        self.row("wget", "wget", "-q", "-O", d / "o4", f"http://{name}/file", check=same(d / "o4"))
        self.row("wget https", "wget", "-q", "-O", "-", f"--ca-certificate={d}/ca.pem", f"https://{name}/small", want=small)
        self.row("wget -T", "wget", "-T", self.wait, "-t", "1", "-O", "-", f"http://{w.WEB4}:9/", code=4,
                 note="a port that answers no SYN: exit code 4")

    def ftp_rows(self):
        """FTP, passive and active."""
        d, url, ftp = self.dir, "ftp://v4only.smolmix.test", {"needs": ["vsftpd"]}

        def same(path):
            return lambda: path.read_bytes() == (d / "ftp/file").read_bytes()

        self.row("curl ftp", "curl", "-sS", "-o", d / "f1", f"{url}/file", check=same(d / "f1"), **ftp)
        self.row("curl ftp, PASV", "curl", "-sS", "--disable-epsv", "-o", d / "f2", f"{url}/file", check=same(d / "f2"), **ftp)
        self.row("curl ftp upload", "curl", "-sS", "-T", d / "www/small", f"{url}/up/small", check=(d / "ftp/up/small").exists,
                 **ftp)
        self.row("curl ftp, active mode", "curl", "-sS", "-P", "-", f"{url}/file", code=30, errors=True, want="curl: (30)",
                 note="cannot work, nothing from outside reaches a program behind the tunnel: exit code 30 at once",
                 refused=True, **ftp)
        self.row("wget ftp", "wget", "-q", "-O", d / "f3", f"{url}/file", check=same(d / "f3"), **ftp)
        self.row("lftp mirror", "lftp", "-c", f"open {url}; mirror many {d}/lftp", check=(d / "lftp/two").exists, **ftp)
        self.row("lftp, active mode", "lftp", "-c", "set net:max-retries 1; set net:persist-retries 0; set net:timeout 10;"
                 f"set ftp:passive-mode off; open {url}; get file -o {d}/f4", code=1, note="cannot work, see curl: exit code 1",
                 refused=True, **ftp)
        self.row("lftp http", "lftp", "-c", f"get http://{w.NAME}/file -o {d}/f5",
                 check=lambda: (d / "f5").read_bytes() == self.net.body)

    def ssh_rows(self):
        """ssh and what stands on it; git."""
        d, so, who = self.dir, self.servers.ssh_options, f"root@{w.NAME}"
        line, ssh = " ".join(["ssh", *so]), {"needs": ["sshd"]}
        left, dynamic, right, inner = (w.free_port() for _ in range(4))
        here = f"127.0.0.1:{self.net.http}"
        self.row("ssh", "ssh", *so, who, "echo hello; exit 3", want="hello", code=3, **ssh)
        self.row("ssh, 100 kB of input", "ssh", *so, f"root@{w.WEB4}", "wc -c", want="100000", given="x" * 100000, **ssh)
        self.row("scp", "scp", *so, f"{who}:{d}/www/file", d / "scp", check=lambda: (d / "scp").read_bytes() == self.net.body,
                 **ssh)
        self.row("sftp", "sftp", *so, f"{who}:{d}/www/small", d / "sftp", check=(d / "sftp").exists, **ssh)
        self.row("rsync", "rsync", "-e", line, f"{who}:{d}/www/small", d / "rsync", check=(d / "rsync").exists, **ssh)
        self.row("ssh ControlMaster", "sh", "-c", f"{line} -M -S {d}/m1 -f -N {who} >/dev/null 2>&1 && "
                 f"ssh -S {d}/m1 x echo shared; ssh -S {d}/m1 -O exit x", want="shared", **ssh)
        self.row("ssh -L", "sh", "-c", f"{line} -M -S {d}/m2 -L 127.0.0.1:{left}:{here} -f -N {who} >/dev/null 2>&1 && "
                 f"curl -sS http://127.0.0.1:{left}/over-ssh; ssh -S {d}/m2 -O exit x", want="small file", needs=["sshd", "curl"])
        self.row("ssh -D", "sh", "-c", f"{line} -M -S {d}/m3 -D 127.0.0.1:{dynamic} -f -N {who} >/dev/null 2>&1 && "
                 f"curl -sS --socks5 127.0.0.1:{dynamic} http://{here}/over-ssh; ssh -S {d}/m3 -O exit x",
                 want="small file", needs=["sshd", "curl"])
        self.row("ssh -R", "sh", "-c", f"socat TCP-LISTEN:{inner},bind=127.0.0.1 SYSTEM:'echo from inside' & "
                 f"{line} -R 127.0.0.1:{right}:127.0.0.1:{inner} {who} 'socat -u TCP:127.0.0.1:{right} -'; "
                 "kill $! 2>/dev/null; true",
                 want="from inside", needs=["sshd", "socat"])
        self.row("git over ssh", "env", f"GIT_SSH_COMMAND={line}", "git", "clone", "-q", f"ssh://{who}{d}/repos/r.git",
                 d / "c1", check=(d / "c1/f").exists, needs=["sshd", "git"])
        self.row("git over http", "git", "clone", "-q", f"http://{w.NAME}/r.git", d / "c2", check=(d / "c2/f").exists)
        self.row("git over https", "env", f"GIT_SSL_CAINFO={d}/ca.pem", "git", "clone", "-q", f"https://{w.NAME}/r.git", d / "c4",
                 check=(d / "c4/f").exists, needs=["git"])
        self.row("git://", "git", "clone", "-q", f"git://{w.WEB4}/r.git", d / "c3", check=(d / "c3/f").exists)

    def mosh_rows(self):
        """First, since the server waits a minute for its client."""
        self.row("mosh-client", "sh", "-c", f"(sleep {self.wait}; echo word; sleep {self.wait}) | "
                 f"MOSH_KEY={self.servers.mosh} TERM=xterm LC_ALL=C.UTF-8 "
                 f"script -qec 'stty rows 24 cols 80; mosh-client {w.WEB4} 60001' /dev/null", want="got word",
                 needs=["mosh-client", "mosh-server", "script"])

    def name_rows(self):
        """Programs that ask for names."""
        web, name = w.WEB4, w.NAME
        for args, want in (([name, "A"], web), ([name, "AAAA"], w.WEB6), ([name, "TXT"], w.TXT), (["+tcp", name, "A"], web),
                           (["-x", web], name)):
            self.row("dig " + " ".join(args), "dig", "+short", "+timeout=10", "@9.9.9.9", *args, want=want)
        self.row("dig, private resolver", "dig", "+short", "+timeout=10", "@10.0.0.53", name, "A", want=web,
                 note="the tunnel's servers answer under its address")
        self.row("dig, resolver of this machine", "dig", "+short", "+timeout=10", name, "A", want=web)
        for command in (["host", name, "1.1.1.1"], ["host", name], ["nslookup", name, "9.9.9.9"],
                        ["delv", "-i", "@1.1.1.1", name], ["drill", name, "@1.1.1.1"]):
            self.row(" ".join(command), *command, want=web)
        self.row("getent ahosts", "getent", "ahosts", name, want=w.WEB6)
        self.row("getent hosts", "getent", "hosts", web, want=name, note="an address's name")
        self.row("whois", "whois", "-h", name, "smolmix.test", want="owner of smolmix.test", needs=["socat"])

    def tool_rows(self):
        """Network tools."""
        web, name, d, wait = w.WEB4, w.NAME, self.dir, self.wait
        get, small = "GET /small HTTP/1.0\r\n\r\n", "small file"
        raw = "GET /small HTTP/1.0\\r\\n\\r\\n"  # for printf
        self.row("nc", "nc", "-N", web, "7", want="hello", given="hello\n")
        self.row("nc -z", "nc", "-z", "-v", web, "80")
        self.row("nc -z, closed port", "nc", "-z", "-v", w.CLOSED4, "80", code=1)
        self.row("nc -u", "sh", "-c", f"echo datagram | nc -u -w {wait} {web} 7", want="datagram", needs=["nc"])
        self.row("ncat", "ncat", name, "7", want="hello", given="hello\n")
        # ncat and telnet end with an error code when the server ends first, or not, by version.
        self.row("ncat --ssl", "sh", "-c", f"printf '{raw}' | ncat --ssl-verify --ssl-trustfile {d}/ca.pem {name} 443; true",
                 want=small, needs=["ncat"])
        self.row("ncat -u", "sh", "-c", f"(echo datagram; sleep {wait}) | ncat -u {web} 7", want="datagram", needs=["ncat"])
        self.row("telnet", "sh", "-c", f"(sleep {wait}; echo hello; sleep {wait}) | telnet {name} 7; true", want="hello",
                 needs=["telnet"])
        self.row("socat", "socat", "-t", wait, "-", f"TCP:{name}:7", want="hello", given="hello\n")
        self.row("socat UDP", "socat", "-t", wait, "-", f"UDP:{web}:7", want="hello", given="hello\n")
        self.row("socat OPENSSL", "socat", "-t", wait, "-", f"OPENSSL:{name}:443,cafile={d}/ca.pem", want=small, given=get)
        self.row("aria2c", "aria2c", "-q", "-x4", "-k1M", "-d", d, "-o", "aria", f"http://{name}/file",
                 check=lambda: (d / "aria").read_bytes() == self.net.body)
        for port, options in ((5201, []), (5202, ["-R"]), (5203, ["-u", "-b", "200k", "-l", "1200"])):
            self.row(" ".join(["iperf3", *options[:1]]), "iperf3", "-c", web, "-p", port, "-t", "2", *options, want="receiver")
        self.row("openssl s_client", "openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", d / "ca.pem", "-connect",
                 f"{name}:443", given=get, want=small)
        self.row("gnutls-cli", "sh", "-c", f"(printf '{raw}'; sleep {wait}) | gnutls-cli --x509cafile {d}/ca.pem {name}",
                 want=small, needs=["gnutls-cli"])

    def client_rows(self):
        """Clients of data bases, and a server that is a client."""
        name, d, port, nginx = w.NAME, self.dir, w.free_port(), servers.which("nginx")
        self.row("redis-cli", "redis-cli", "-h", name, given="set k 6\nincr k\n", want="OK\n7", needs=["redis-server"])
        self.row("psql", "psql", "-h", name, "-U", "postgres", "-Atc", "select 6 * 7", want="42", needs=["postgres"])
        (d / "et.conf").write_text(NGINX.format(d=d, port=port, name=name))
        self.row("nginx as a client (edge-triggered epoll)", "sh", "-c", f"{nginx} -c {d}/et.conf & "
                 f"curl -sS --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/file -o {d}/et; kill $!",
                 check=lambda: (d / "et").read_bytes() == self.net.body, needs=["nginx", "curl"])

    def package_rows(self):
        """Package managers, from indexes the web server has."""
        name, d = w.NAME, self.dir
        apt = f"env APT_CONFIG={d}/apt.conf apt-get -q"
        self.row("apt-get update and download", "sh", "-c", f"cd {d}/apt && {apt} update && {apt} download tiny",
                 check=(d / "apt/tiny_1_all.deb").exists, needs=["apt-get", "dpkg-deb"])
        if self.module("pip"):
            self.row("pip", PYTHON, "-m", "pip", "--isolated", "--no-cache-dir", "--disable-pip-version-check", "download", "-q",
                     "-d", d / "wheels", "--index-url", f"http://{name}/pip/", "--trusted-host", name, "tiny",
                     check=(d / "wheels/tiny-1-py3-none-any.whl").exists)
        (d / "node").mkdir()
        self.row("npm", "sh", "-c", f"cd {d}/node && npm_config_cache={d}/npmcache npm install --no-audit --no-fund "
                 f"--userconfig /dev/null --registry http://{name}/npm/ tiny",
                 check=(d / "node/node_modules/tiny/package.json").exists, needs=["npm"])

    def module(self, name, language="python", test=None):
        """True if Python, or the language test is in, has a module; else a row is left out."""
        if subprocess.run(test or [PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0:
            return True
        self.missing.add(f"{language} {name}")
        self.left_out += 1
        return False

    def echo_rows(self):
        """ICMP echo, and clocks."""
        web, name, wait = w.WEB4, w.NAME, self.wait
        self.row("ping", "ping", "-n", "-c", "3", "-W", wait, web, want=f"bytes from {web}")
        self.row("ping by name", "ping", "-4", "-n", "-c", "2", "-W", wait, name, want=f"({web})")
        self.row("ping -6", "ping", "-6", "-n", "-c", "3", "-W", wait, w.WEB6, want=f"bytes from {w.WEB6}")
        self.row("ping, hops used up", "ping", "-n", "-c", "2", "-t", "1", "-W", wait, web, want="Time to live exceeded", code=1)
        self.row("ping -s, too long", "ping", "-n", "-c", "1", "-s", "2000", "-W", "1", web, want="100% packet loss", code=1,
                 note="longer than the tunnel's MTU", refused=True)
        self.row("ping a private address", "ping", "-n", "-c", "1", "10.0.0.1", code=2, note="refused at once: exit code 2",
                 refused=True)
        self.row("python ping", PYTHON, "-c", PING.format(family="AF_INET", proto="IPPROTO_ICMP", kind=8, host=web,
                 recv="socket.IPPROTO_IP, 12"), want=r"{web} b'\x00\tpython' [True]".format(web=web))
        self.row("python ping, IPv6", PYTHON, "-c", PING.format(
            family="AF_INET6", proto="IPPROTO_ICMPV6", kind=128, host=w.WEB6,
            recv="socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT"), want=r"b'\x00\tpython' [True]")
        self.row("ntpdate", "ntpdate", "-q", "-t", wait, web, want=web)
        self.row("chronyd -Q", "chronyd", "-Q", "-t", "60", f"server {web} minpoll 3 maxpoll 3 maxsamples 1 maxdelay {wait}",
                 f"maxdistance {wait}", errors=True,
                 note="minpoll 3: with iburst it asks every 2 s, and takes no answer that comes after its next question",
                 want="System clock wrong by")

    def language_rows(self):
        """Languages and their own network code."""
        web, name, d, url, small = w.WEB4, w.NAME, self.dir, f"http://{w.NAME}/small", "small file"
        (d / "T.java").write_text(JAVA)
        self.row("java HttpClient and DatagramSocket", "java", d / "T.java", url, web, want="java")
        self.row("node fetch", "node", "-e", f"fetch('{url}').then(r => r.text()).then(console.log)", want=small)
        self.row("node dns.lookup and dns.resolve", "node", "-e", NODE_DNS.format(name=name), want=web)
        self.row("node dgram", "node", "-e", NODE_UDP.format(web=web), want="node")
        self.row("node server on loopback", "node", "-e", NODE_SERVER, want="served")
        self.row("python urllib", PYTHON, "-c", f"import urllib.request as u; print(u.urlopen('{url}').read())", want=small)
        self.row("python asyncio", PYTHON, "-c", ASYNCIO.format(name=name), want=small)
        self.row("python asyncio, TLS and UDP", PYTHON, "-c", ASYNC_TLS, name, d / "ca.pem", web, want="datagram")
        if self.module("requests"):
            self.row("python requests", PYTHON, "-c", REQUESTS, f"https://{name}/small", d / "ca.pem", want=small)
        if self.module("dns"):
            self.row("dnspython", PYTHON, "-c", DNSPYTHON, name, want=f"{web}\n{name}. 60 IN A {web}")
        self.row("python res_query, both spellings", PYTHON, "-c", RES_QUERY.format(name=name), want="True\nTrue\n-1")
        self.row("python multiprocessing", PYTHON, "-c", POOL.format(name=name), want="3")
        self.row("perl", "perl", "-MIO::Socket::INET", "-e", PERL.format(name=name), want=small)
        self.row("perl LWP", "perl", "-MLWP::UserAgent", "-e", LWP, f"https://{name}/small", d / "ca.pem", want=small,
                 needs=["lwp-request"])
        self.row("ruby net/http", "ruby", "-e", RUBY, url, want=small)
        self.row("ruby resolv", "ruby", "-e", RUBY_DNS, name, want=web)
        self.row("php", "php", "-r", PHP, name, web, want=f"{small}\nphp")
        self.row("bash /dev/tcp", "bash", "-c",
                 f"exec 3<>/dev/tcp/{name}/80; printf 'GET /small HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3", want=small)

    def browser_rows(self):
        """Browsers and downloaders."""
        name, d, small = w.NAME, self.dir, "small file"
        (d / "firefox").mkdir()
        (d / "firefox/user.js").write_text(FIREFOX)
        self.row("w3m", "w3m", "-dump", f"http://{name}/small", want=small)
        self.row("links", "links", "-dump", f"http://{name}/small", want=small)
        self.row("wget2", "wget2", "-q", "-O", "-", f"--ca-certificate={d}/ca.pem", f"https://{name}/small", want=small)
        self.row("axel", "axel", "-q", "-n", "4", "-o", d / "axel", f"http://{name}/file",
                 check=lambda: (d / "axel").read_bytes() == self.net.body)
        self.row("yt-dlp", "yt-dlp", "-q", "--no-cache-dir", "-o", d / "yt", f"http://{name}/file",
                 check=lambda: (d / "yt").read_bytes() == self.net.body)
        self.row("aria2c, torrent with a UDP tracker", "aria2c", "-q", "--no-conf", "--seed-time=0", "-d", d, d / "x.torrent",
                 check=lambda: (d / "shared").read_bytes() == (d / "seed/shared").read_bytes())
        self.row("chromium --headless", "sh", "-c", f"HOME={d} chromium --headless --no-sandbox --disable-gpu "
                 f"--ignore-certificate-errors --timeout=100000 --virtual-time-budget=50000 --user-data-dir={d}/chromium "
                 f"--dump-dom https://{name}/page.html", want="fetched a small file", needs=["chromium"],
                 note="with --no-sandbox: its sandbox needs namespaces, which programs in the tunnel cannot make")
        self.row("firefox --headless", "sh", "-c", f"HOME={d} firefox-esr --headless --no-remote --profile {d}/firefox "
                 f"--screenshot {d}/firefox.png http://{name}/page.html; test -s {d}/firefox.png", needs=["firefox-esr"])

    def talk_rows(self):
        """Mail, chat, keys, and small protocols."""
        name, web, d, wait = w.NAME, w.WEB4, self.dir, self.wait
        self.row("msmtp", "msmtp", f"--host={name}", "--port=25", "--from=a@b.test", "c@d.test", given="Subject: x\n\nby msmtp\n",
                 check=lambda: "by msmtp" in (d / "mail").read_text())
        (d / "fetchmailrc").write_text(FETCHMAIL.format(name=name, d=d))
        (d / "fetchmailrc").chmod(0o600)
        (d / "mbsyncrc").write_text(MBSYNC.format(name=name, d=d))
        (d / "maildir").mkdir()
        self.row("fetchmail, IMAP over TLS", "fetchmail", "-f", d / "fetchmailrc", "--pidfile", d / "fetchmail.pid", "-a", "-t",
                 "100", check=lambda: "mail for you" in (d / "fetched").read_text(), needs=["dovecot"])
        self.row("mbsync, IMAP with STARTTLS", "mbsync", "-c", d / "mbsyncrc", "c", needs=["dovecot"],
                 check=lambda: any("mail for you" in p.read_text() for p in (d / "maildir/INBOX").glob("*/*")))
        self.row("weechat, IRC", "weechat-headless", "-d", d / "weechat", "-r", f"/server add t {name}/6667", "-r", "/connect t",
                 "-r", f"/wait {2 * int(wait)} /quit", needs=["ngircd"],
                 check=lambda: "Welcome to the Internet Relay" in (d / "weechat/logs/irc.server.t.weechatlog").read_text())
        self.row("mosquitto_sub and mosquitto_pub", "sh", "-c", f"mosquitto_sub -h {name} -t a -C 1 & sleep {int(wait) // 2}; "
                 f"mosquitto_pub -h {name} -t a -m published; wait", want="published", needs=["mosquitto_sub", "mosquitto"])
        self.row("snmpget", "snmpget", "-v2c", "-c", "public", "-t", wait, name, "1.3.6.1.2.1.1.5.0", want="smolmix-agent",
                 needs=["snmpd"])
        self.row("svn", "sh", "-c", f"svn mkdir -q -m x svn://{name}/svn/new && svn ls svn://{name}/svn", want="new/",
                 needs=["svn", "svnserve"])
        self.row("gpg --recv-keys (dirmngr)", "sh", "-c", f"mkdir -m 700 {d}/g1 {d}/g2; mkdir {d}/www/pks; "
                 f"export GNUPGHOME={d}/g1; gpg -q --batch --passphrase '' --quick-gen-key x@y.test ed25519 sign 1d; "
                 f"gpg --armor --export >{d}/www/pks/lookup; "
                 "key=$(gpg --list-keys --with-colons | grep -m1 ^fpr | cut -d: -f10); gpgconf --kill all; "
                 f"export GNUPGHOME={d}/g2; gpg -q --keyserver hkp://{name}:80 --recv-keys $key; gpg --list-keys; "
                 "gpgconf --kill all", want="x@y.test", needs=["gpg", "dirmngr"])
        self.row("curl sftp", "curl", "-sS", "-k", "--key", d / "id", "--pubkey", d / "id.pub", f"sftp://root@{name}{d}/www/small",
                 want="small file", needs=["sshd"], note="ssh inside the program (libssh2)")
        (d / "jump").write_text(f"Host *\nIdentityFile {d}/id\nStrictHostKeyChecking no\n"
                                f"UserKnownHostsFile {d}/known2\nBatchMode yes\n")
        self.row("ssh -J", "ssh", "-F", d / "jump", "-J", f"root@{name}", "-p", self.servers.ports.get(22), "root@127.0.0.1",
                 "echo jumped", want="jumped", needs=["sshd"])
        self.row("kdig +tls", "kdig", "+tls", "+short", "+timeout=20", f"@{web}", name, "A", want=web, needs=["socat"])

    def proxy_rows(self):
        """Servers on loopback that are clients of the internet, and a program that asks them."""
        name, d = w.NAME, self.dir
        ask = "curl -sS --retry 60 --retry-connrefused --retry-delay 1"
        for program, config, url in (("tinyproxy -d -c", TINYPROXY, "-x http://127.0.0.1:{port} http://" + name),
                                     ("stunnel", STUNNEL, "http://127.0.0.1:{port}"),
                                     ("haproxy -f", HAPROXY, "http://127.0.0.1:{port}")):
            port, short = w.free_port(), program.split()[0]
            conf = d / f"{short}.conf"
            conf.write_text(config.format(d=d, name=name, port=port))
            self.row(f"{short} as a client", "sh", "-c", f"PATH=$PATH:/usr/sbin; {program} {conf} >&2 & "
                     f"{ask} {url.format(port=port)}/small; kill $!; wait", want="small file", needs=[short, "curl"])
        port = w.free_port()
        (d / "forward.conf").write_text(UNBOUND.format(port=port))
        for program, options in (("unbound", f"-d -c {d}/forward.conf"), ("dnsmasq", "-k -C /dev/null --listen-address=127.0.0.1 "
                                 "--bind-interfaces --no-resolv --no-hosts --user=root -S 9.9.9.9 -p {port}")):
            port = port if program == "unbound" else w.free_port()
            dig = f"dig +short +timeout=5 +tries=12 -p {port} @127.0.0.1 {name}"
            self.row(f"{program} as a resolver on loopback", "sh", "-c",
                     f"PATH=$PATH:/usr/sbin; {program} {options.format(port=port)} & sleep 1; ({dig} A; {dig} +tcp AAAA) | "
                     "grep -v '^;;'; kill $!; wait", want=f"{w.WEB4}\n{w.WEB6}", needs=[program, "dig"],
                     note="it throws answers away that took 1.9 s, and has them when asked again" * (program == "unbound"))

    def scan_rows(self):
        """What looks at the network itself."""
        web, name = w.WEB4, w.NAME
        raw = {"code": 1, "refused": True, "note": "raw packets do not go through the tunnel: exit code 1"}
        self.row("nmap -sT", "nmap", "-sT", "-Pn", "-p", "22,80", "--min-rtt-timeout", f"{self.wait}s", "--max-rtt-timeout", "20s",
                 name, want="80/tcp open", note="with --min-rtt-timeout: it takes ports for filtered that answer after a second")
        self.row("traceroute -I", "traceroute", "-I", "-n", "-w", self.wait, "-q", "1", "-m", "4", web, want=web)
        self.row("mtr", "mtr", "-r", "-n", "-c", "2", "-Z", self.wait, web, want=web)
        self.row("traceroute -T", "traceroute", "-T", web, **raw)
        self.row("hping3", "hping3", "-c", "1", "-S", "-p", "80", web, **raw)

    def tree_rows(self):
        """Many processes, and processes that are not a child as usual."""
        d, get = self.dir, f"curl -sS http://{w.NAME}/small"
        self.row("xargs -P, 30 curls", "sh", "-c", f"seq 30 | xargs -P 30 -I{{}} {get} | sort | uniq -c", want="30 small file",
                 needs=["xargs", "curl"])
        if os.geteuid() == 0:
            self.row("curl as another user", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *get.split(),
                     want="small file", needs=["curl"])
        self.row("curl in tmux", "sh", "-c", f"tmux -S {d}/tmux -f /dev/null new-session -d '{get} >{d}/in-tmux; "
                 f"tmux -S {d}/tmux wait -S end' && tmux -S {d}/tmux wait end; cat {d}/in-tmux", want="small file",
                 needs=["tmux", "curl"])
        self.row("unshare", "unshare", "--map-root-user", *get.split(), code=1, errors=True, want="Operation not permitted",
                 note="no namespaces in the tunnel: exit code 1", refused=True)

    def event_rows(self):
        """Event loops and resolvers of languages."""
        web, name, d, url, ca, small = w.WEB4, w.NAME, self.dir, f"http://{w.NAME}/small", self.dir / "ca.pem", "small file"
        for file, text in (("N.java", NIO), ("x.escript", "\n" + ERLANG), ("x.tcl", TCL), ("x.lua", LUA), ("h2.js", HTTP2)):
            (d / file).write_text(text)
        self.row("java NIO", "java", d / "N.java", name, web, want="nio and loopback")
        self.row("erlang", "escript", d / "x.escript", name, web, want="datagram {ok,{hostent")
        self.row("node http2", "node", d / "h2.js", name, ca, want="small file\n" * 3)
        if servers.which("php") and self.module("curl", "php", ["php", "-r", "exit(!extension_loaded('curl'));"]):
            self.row("php curl", "php", "-r", PHP_CURL, url, want="small file\n" * 3)
        (d / "tls.tcl").write_text("package require tls\n")
        if servers.which("tclsh") and self.module("tls", "tcl", ["tclsh", d / "tls.tcl"]):
            self.row("tcl http and tls", "tclsh", d / "x.tcl", f"https://{name}/small", ca, want=small)
        if servers.which("lua5.3") and self.module("socket", "lua", ["lua5.3", "-e", "require('socket')"]):
            self.row("lua socket", "lua5.3", d / "x.lua", url, web, name, want=f"datagram\t{web}")
        if self.module("Net::DNS", "perl", ["perl", "-MNet::DNS", "-e", "1"]):
            self.row("perl Net::DNS", "perl", "-MNet::DNS", "-e", NET_DNS, name, want=w.TXT)
        for modules, cmd, want in (("twisted", [TWISTED, url], small), ("gevent", [GEVENT, url], "55"),
                                   ("uvloop, aiohttp", [UVLOOP, url, web], "55\nb'datagram'"),
                                   ("trio, httpx", [TRIO, f"https://{name}/small", ca], small)):
            if self.module(modules):
                self.row(f"python {modules}", PYTHON, "-c", *cmd, want=want)


PAGE = """# Programs

Made by `tests/e2e/e_matrix.py --write doc/compatibility.md`. Each row is a run of the unmodified program under `smolmix-run`
against a real server, through `smolmix-localnet`, judged by its exit code, its output and what it left behind. {calm_parallel}
(on bad wires {bad_parallel}) run at a time and share a tunnel of the `fast` profile.

* Calm wires: what the mixnet does by itself.
* Bad wires: `{wires}`, that is for each packet in each direction, over four hops, 2 % loss
  and 1 s +- 0.5 s of delay besides the mix nodes'. Programs that take a time limit get a longer one.
* "no": it cannot work, and ends with a clear error. "fails": it should work; the cause is beside it.
* "At the second try": a row that failed is run once more. php, node dgram, nc -u and others send one datagram and do not ask
  again when it is lost.

Programs ran in a network namespace whose every packet was captured. On calm wires: {calm_packets}.
On bad ones: {bad_packets}.

| program | calm | bad | |
|---|---|---|---|
{rows}

{count} {missing}

Versions: {versions}.
"""


def version(path):
    """Of the package a program is from; its name if it is from none."""
    for each in (form for p in (path, os.path.realpath(path)) for form in (p, "/usr" + p, p.removeprefix("/usr"))):
        p = subprocess.run(["dpkg-query", "-S", each], capture_output=True, text=True, check=False)
        packages = [line.split(": ")[0].split(",")[0] for line in p.stdout.splitlines() if not line.startswith("diversion ")]
        if packages:
            return subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}", packages[0]], capture_output=True,
                                  text=True, check=True).stdout
    return os.path.basename(path)


def write(path):
    """The page."""
    calm, bad = Matrix(again=True).run(), Matrix(bad=True, again=True).run()
    rows = []
    for name, *_ in calm.jobs:
        reasons = [calm.notes[name], *(f"{wires}: {m.rows[name]}" for wires, m in (("calm", calm), ("bad", bad)) if m.rows[name])]
        marks = ["**fails**" if m.rows[name] else "no" if name in calm.refused else
                 "works at the second try" if name in m.second else "works" for m in (calm, bad)]
        rows.append(f"| {name} | {marks[0]} | {marks[1]} | {'; '.join(filter(None, reasons)).replace('|', '/')} |")
    fine = [sum(not why for why in m.rows.values()) for m in (calm, bad)]
    missing = f"{calm.left_out} left out, not installed: {', '.join(sorted(calm.missing))}." if calm.missing else "None left out."
    pathlib.Path(path).write_text(PAGE.format(
        wires=" ".join(BAD), calm_parallel=PARALLEL[0], bad_parallel=PARALLEL[1], rows="\n".join(rows),
        count=f"{len(rows)} rows: {fine[0]} as expected on calm wires, {fine[1]} on bad ones.", missing=missing,
        calm_packets=calm.packets, bad_packets=bad.packets, versions=", ".join(sorted({version(p) for p in calm.programs}))))
    return 0


def main():
    """All rows, or those asked for."""
    args = sys.argv[1:]
    if args[:1] == ["--inside"]:
        return inside(int(args[1]), int(args[2]), args[3])
    if args[:1] == ["--write"]:
        return write(args[1])
    m = Matrix([a for a in args if a != "--bad"], "--bad" in args).run()
    failed = sum(bool(why) for why in m.rows.values())
    print(f"{len(m.rows) - failed} rows fine, {failed} not; {m.left_out} left out, not installed: "
          f"{', '.join(sorted(m.missing)) or 'none'}")
    return 1 if failed or not leak.good or not m.rows else 0


if __name__ == "__main__":
    sys.exit(main())
