# SPDX-License-Identifier: Apache-2.0
"""The world the end-to-end tests and the demo run in: real servers on this machine and a local Nym network.

A web server (nginx: http and https), a DNS server (unbound or dnsmasq) and smolmix-localnet, each a child process on
loopback ports, in a temporary folder. Servers have public-looking addresses inside the tunnel; the exit maps them
(doc/design.md 7). Everything ends with the object.
"""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SMOLMIX_BUILD", ROOT / "build"))
RUN = BUILD / "tools/smolmix-run"
LOCALNET = BUILD / "tools/smolmix-localnet"
SHIM = BUILD / "shim/libsmolmix-shim.so"

WEB4 = "192.88.99.80"
WEB6 = "2a0e:dead:beef::80"
CLOSED4 = "192.88.99.81"   # mapped to a port nobody listens on
DNS_ADDRS = ("1.1.1.1", "9.9.9.9")
NAME = "www.smolmix.test"
TXT = "hello from a real DNS server"
EXIT_ADDR = "127.0.0.77"
EXIT_SEEN = {EXIT_ADDR, "::1"}  # a machine has one IPv6 loopback address
BODY = 1_000_000
SKIP = 77


def skip(why):
    """Ends a test that cannot run here."""
    print("SKIP:", why)
    raise SystemExit(SKIP)


def free_port(kind=socket.SOCK_STREAM, host="127.0.0.1"):
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def port_free(port):
    """True if nobody has this port."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def wait_port(port, host="127.0.0.1", seconds=10):
    """Waits until something accepts on the port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
            s.settimeout(1)
            if s.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {host}:{port}")


class World:
    """Servers and network; use as a context manager."""

    def __init__(self, localnet_args=(), prefix=(), web=True, dns=True, size=BODY):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="smolmix-e2e-"))
        os.chmod(self.dir, 0o755)
        self.children = []
        self.prefix = list(prefix)  # e.g. ip netns exec NAME
        self.localnet_args = list(localnet_args)
        self.http = free_port()
        self.https = free_port()
        self.dns_port = free_port()
        self.closed = free_port()
        self.maps = []
        self.api = self.exit = self.gateway = None
        self.gateways = self.exits = ()
        self._web, self._dns, self._size = web, dns, size

    def __enter__(self):
        try:
            if self._web:
                self.start_web()
            if self._dns:
                self.start_dns()
            self.start_localnet()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc):
        self.stop()

    def spawn(self, argv, **kw):
        """A child that ends with the world."""
        p = subprocess.Popen([str(a) for a in argv], **kw)
        self.children.append(p)
        return p

    def start_web(self):
        """nginx with one large file, over http, https and HTTP/2 (own CA); /put takes uploads."""
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if not nginx:
            skip("nginx is not installed")
        self.body = os.urandom(self._size)
        self.sha = hashlib.sha256(self.body).hexdigest()
        root = self.dir / "www"
        (root / "put").mkdir(parents=True)
        (root / "file").write_bytes(self.body)
        (root / "small").write_text("small file\n")
        self.make_certificate()
        conf = self.dir / "nginx.conf"
        conf.write_text(f"""
daemon off; master_process off; worker_processes 1;
pid {self.dir}/nginx.pid; error_log {self.dir}/error.log;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {self.dir}/t1; proxy_temp_path {self.dir}/t2; fastcgi_temp_path {self.dir}/t3;
  uwsgi_temp_path {self.dir}/t4; scgi_temp_path {self.dir}/t5;
  log_format short '$remote_addr $request_uri $status $body_bytes_sent';
  access_log {self.dir}/access.log short;
  send_timeout 600;
  server {{
    listen 127.0.0.1:{self.http}; listen 127.0.0.1:{self.https} ssl http2;
    listen [::1]:{self.http}; listen [::1]:{self.https} ssl http2;
    ssl_certificate {self.dir}/web.pem; ssl_certificate_key {self.dir}/web.key;
    root {root}; types {{ text/html html; }} default_type application/octet-stream;
    location /put/ {{ dav_methods PUT; client_max_body_size 0; }}
  }}
}}
""")
        self.spawn([nginx, "-c", conf, "-p", self.dir], stderr=subprocess.DEVNULL)
        wait_port(self.http)
        self.maps += [f"{WEB4}:80=127.0.0.1:{self.http}", f"{WEB4}:443=127.0.0.1:{self.https}",
                      f"[{WEB6}]:80=[::1]:{self.http}", f"[{WEB6}]:443=[::1]:{self.https}",
                      f"{CLOSED4}=127.0.0.1:{self.closed}"]

    def make_certificate(self):
        """A CA and a server certificate for NAME and WEB4."""
        def openssl(*args):
            subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

        d = self.dir
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=smolmix test CA", "-keyout",
                d / "ca.key", "-out", d / "ca.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}", "-keyout", d / "web.key", "-out",
                d / "web.csr")
        (d / "ext").write_text(f"subjectAltName=DNS:{NAME},IP:{WEB4}\n")
        openssl("x509", "-req", "-in", d / "web.csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", d / "ext", "-out", d / "web.pem")

    def start_dns(self):
        """unbound, or dnsmasq, with one zone."""
        path = os.environ["PATH"] + ":/usr/sbin"
        unbound, dnsmasq = shutil.which("unbound", path=path), shutil.which("dnsmasq", path=path)
        if unbound:
            conf = self.dir / "unbound.conf"
            conf.write_text(f"""
server:
  interface: 127.0.0.1@{self.dns_port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{self.dir}"
  pidfile: "{self.dir}/unbound.pid"
  use-syslog: no
  logfile: "{self.dir}/unbound.log"
  log-queries: yes
  access-control: 127.0.0.0/8 allow
  local-zone: "smolmix.test." static
  local-data: "{NAME}. 60 IN A {WEB4}"
  local-data: "{NAME}. 60 IN AAAA {WEB6}"
  local-data: '{NAME}. 60 IN TXT "{TXT}"'
  local-data: "v4only.smolmix.test. 60 IN A {WEB4}"
  local-zone: "88.192.in-addr.arpa." static
  local-data-ptr: "{WEB4} 60 {NAME}"
remote-control:
  control-enable: no
""")
            self.spawn([unbound, "-d", "-c", conf], stderr=subprocess.DEVNULL)
        elif dnsmasq:
            self.spawn([dnsmasq, "--no-daemon", "--conf-file=/dev/null", f"--port={self.dns_port}",
                        "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
                        f"--host-record={NAME},{WEB4},{WEB6},60", f"--host-record=v4only.smolmix.test,{WEB4},60",
                        f"--txt-record={NAME},{TXT}", "--local=/smolmix.test/", "--user=root"],
                       stderr=subprocess.DEVNULL)
        else:
            skip("neither unbound nor dnsmasq is installed")
        wait_port(self.dns_port)
        self.maps += [f"{a}:53=127.0.0.1:{self.dns_port}" for a in DNS_ADDRS]

    def start_localnet(self):
        """smolmix-localnet; its JSON line says where."""
        args = [a for m in self.maps for a in ("--map", m)]
        self.localnet_log = open(self.dir / "localnet.log", "w")
        (self.dir / "control").mkdir(mode=0o700)
        self.localnet = self.spawn([LOCALNET, "--exit-address", EXIT_ADDR, "--control", self.dir / "control/socket",
                                    *args, *self.localnet_args],
                                   stdout=subprocess.PIPE, stderr=self.localnet_log, text=True)
        line = self.localnet.stdout.readline()
        if not line:
            raise RuntimeError("smolmix-localnet ended: " + (self.dir / "localnet.log").read_text())
        ready = json.loads(line)
        self.api, self.exit, self.gateway = ready["api"], ready["exit"], ready["gateway"]
        self.gateways, self.exits = ready["gateways"], ready["exits"]

    def command(self, line):
        """A command to the running network (smolmix-localnet --help lists them); returns the answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.dir / "control/socket"))
            s.sendall(line.encode() + b"\n")
            return s.makefile().readline().strip()

    def run_argv(self, *command, options=()):
        """The command line that runs command through the mixnet."""
        return [*self.prefix, str(RUN), "-q", "--api", self.api, *map(str, options), "--", *map(str, command)]

    def run(self, *command, options=(), timeout=120, **kw):
        """Runs command under smolmix-run and returns the finished process."""
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        return subprocess.run(self.run_argv(*command, options=options), timeout=timeout, text=kw.pop("text", True),
                              check=False, **kw)

    def preload(self, *command, settings=(), timeout=120, **kw):
        """Runs command with nothing but LD_PRELOAD and settings (NAME=value), so that the tunnel is inside it."""
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        network = [] if any(s.startswith(("SMOLMIX_API=", "SMOLMIX_NETWORK=")) for s in settings) else [f"SMOLMIX_API={self.api}"]
        argv = [*self.prefix, "env", f"LD_PRELOAD={SHIM}", "SMOLMIX_PROFILE=fast", *network, *settings]
        return subprocess.run([*argv, *map(str, command)], timeout=timeout, text=kw.pop("text", True), check=False, **kw)

    def access_log(self):
        """Lines of the web server's log: (address, uri, status, bytes)."""
        log = self.dir / "access.log"
        return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []

    def stop(self):
        """Ends every child."""
        for p in reversed(self.children):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in reversed(self.children):
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
