# SPDX-License-Identifier: Apache-2.0
"""The servers of the programs matrix, each where it is installed: all on this machine's loopback, all the programs' own.

A server has a port of its own here and its usual port under the tunnel's address w.WEB4: the exit maps one to the other.
What nobody packages (a whois server, an NTP server that needs no clock, echo over UDP, a port that answers no SYN) is a few
lines of Python or socat.
"""
import hashlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import zipfile

import world as w

PATH = os.environ["PATH"] + ":/usr/sbin"
FTP_DATA = 4  # ports for passive mode: as many transfers at once
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
HANG = """import socket, sys, time
s = socket.socket()
s.bind(('127.0.0.1', int(sys.argv[1])))
s.listen(0)
fill = [socket.socket() for _ in range(4)]
for c in fill:
    c.setblocking(False)
    c.connect_ex(s.getsockname())
time.sleep(3600)"""

SMTP = """import socketserver, sys
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.say('220 mail')
        for line in self.rfile:
            verb = line[:4].strip().upper()
            self.say({b'DATA': '354 go on', b'QUIT': '221 bye'}.get(verb, '250 fine'))
            if verb == b'DATA':
                with open(sys.argv[2], 'ab') as f:
                    f.writelines(iter(self.rfile.readline, b'.\\r\\n'))
                self.say('250 taken')
            if verb == b'QUIT':
                return
    def say(self, text):
        self.wfile.write(text.encode() + b'\\r\\n')
socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Session).serve_forever()"""
# BEP 15; all who ask are told of one peer.
TRACKER = """import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', int(sys.argv[1])))
while True:
    data, who = s.recvfrom(2048)
    action, number = struct.unpack('!8xII', data[:16]) if len(data) > 15 else (9, 0)
    if action == 0:
        s.sendto(struct.pack('!IIQ', 0, number, 1), who)
    elif action == 1:
        s.sendto(struct.pack('!IIIII', 1, number, 60, 0, 1) + socket.inet_aton(sys.argv[2]) + struct.pack('!H', 6881), who)"""


def which(program):
    """A program's path, servers' folder included."""
    return shutil.which(program, path=PATH)


class Servers:
    """Starts them in a world that is not yet entered. have: names of those that run."""

    def __init__(self, net):
        self.net, self.dir, self.have, self.ports = net, net.dir, set(), {}
        self.ssh_options, self.mosh = [], None

    def start(self):
        """All that are installed."""
        self.echo()
        for program, start in (("sshd", self.sshd), ("git", self.git), ("vsftpd", self.ftp), ("redis-server", self.redis),
                               ("mosh-server", self.mosh_server), ("iperf3", self.iperf3), ("mosquitto", self.mqtt),
                               ("snmpd", self.snmp), ("ngircd", self.irc), ("svnserve", self.svn), ("aria2c", self.torrent),
                               ("dovecot", self.mail)):
            if which(program):
                self.have.add(program)
                start(which(program))
        self.postgres()
        self.net.maps += [f"{w.WEB4}:{port}=127.0.0.1:{here}" for port, here in self.ports.items()]

    def port(self, public):
        """A port here for one of the tunnel's side."""
        self.ports[public] = w.free_port()
        return self.ports[public]

    def spawn(self, *argv, **kw):
        """A server; its words go nowhere."""
        self.net.spawn(map(str, argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)

    def echo(self):
        """Echo, whois, NTP, and a port that never answers."""
        if which("socat"):
            self.have.add("socat")
            listen = "TCP-LISTEN:{},bind=127.0.0.1,fork,reuseaddr"
            self.spawn("socat", listen.format(self.port(7)), "EXEC:cat")
            self.spawn("socat", listen.format(self.port(43)), "SYSTEM:read q; echo owner of $q")
            self.port(853)
        self.spawn(sys.executable, "-c", UDP_ECHO, self.ports.get(7) or self.port(7))
        self.spawn(sys.executable, "-c", NTP, self.port(123))
        self.spawn(sys.executable, "-c", HANG, self.port(9))
        self.spawn(sys.executable, "-c", SMTP, self.port(25), self.dir / "mail")

    def iperf3(self, program):
        """Three, since one serves one client at a time."""
        for public in (5201, 5202, 5203):
            self.spawn(program, "-s", "-B", "127.0.0.1", "-p", self.port(public))

    def sshd(self, program):
        """A server with keys of its own."""
        if os.geteuid() != 0:
            self.have.discard("sshd")
            return
        d = self.dir
        for key in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", d / key], check=True)
        (d / "sshd.conf").write_text(
            f"ListenAddress 127.0.0.1:{self.port(22)}\nHostKey {d}/host\nAuthorizedKeysFile {d}/id.pub\nStrictModes no\n"
            f"PidFile {d}/sshd.pid\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nUsePAM no\nMaxStartups 100\n")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.spawn(program, "-D", "-f", d / "sshd.conf")
        self.ssh_options = ["-i", str(d / "id"), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={d}/known",
                            "-o", "BatchMode=yes"]

    def git(self, program):
        """A bare repository with one commit, and its daemon; "www/r.git" serves it over http."""
        work, bare = self.dir / "work", self.dir / "repos/r.git"
        bare.parent.mkdir()
        git = [program, "-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"]
        subprocess.run([*git, "init", "-q", work], check=True)
        (work / "f").write_bytes(os.urandom(50000))
        for args in (["add", "f"], ["commit", "-qm", "x"]):
            subprocess.run([*git, "-C", work, *args], check=True)
        subprocess.run([*git, "clone", "-q", "--bare", work, bare], check=True)
        subprocess.run([*git, "-C", bare, "update-server-info"], check=True)
        self.spawn(program, "daemon", "--listen=127.0.0.1", f"--port={self.port(9418)}", "--export-all",
                   f"--base-path={self.dir}/repos")

    def ftp(self, program):
        """Anonymous, passive and active, with a folder to write to."""
        if os.geteuid() != 0:
            self.have.discard("vsftpd")
            return
        d = self.dir
        for folder in ("ftp/up", "ftp/many", "empty"):
            (d / folder).mkdir(parents=True)
        shutil.chown(d / "ftp/up", "ftp")
        for name in ("file", "many/one", "many/two"):
            (d / "ftp" / name).write_bytes(os.urandom(20000))
        first = next(p for p in range(40000 + os.getpid() % 10000, 60000, FTP_DATA)
                     if all(w.port_free(p + i) for i in range(FTP_DATA)))
        for p in range(first, first + FTP_DATA):
            self.ports[p] = p
        (d / "vsftpd.conf").write_text(
            f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={self.port(21)}\nbackground=NO\nanonymous_enable=YES\n"
            f"no_anon_password=YES\nanon_root={d}/ftp\nwrite_enable=YES\nanon_upload_enable=YES\n"
            f"secure_chroot_dir={d}/empty\n"
            f"pasv_address={w.WEB4}\npasv_min_port={first}\npasv_max_port={first + FTP_DATA - 1}\nseccomp_sandbox=NO\n"
            "xferlog_enable=NO\n")
        self.spawn(program, d / "vsftpd.conf")

    def redis(self, program):
        """In memory only."""
        self.spawn(program, "--port", self.port(6379), "--bind", "127.0.0.1", "--save", "", "--protected-mode", "no", "--dir",
                   self.dir)

    def mosh_server(self, program):
        """One session; its key comes on standard output."""
        port = w.free_port(socket.SOCK_DGRAM)
        env = {**os.environ, "LC_ALL": "C.UTF-8", "MOSH_SERVER_NETWORK_TMOUT": "120"}
        p = subprocess.run([program, "new", "-i", "127.0.0.1", "-p", str(port), "--", "sh", "-c",
                            "echo hello from mosh; read line; echo got $line; sleep 1"], env=env,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        words = p.stdout.split()
        if "CONNECT" not in words:
            self.have.discard("mosh-server")
            return
        self.mosh = words[words.index("CONNECT") + 2]
        self.ports[60001] = port

    def postgres(self):
        """A cluster of its own; the server refuses to be root."""
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not folders or os.geteuid() != 0:
            return
        bins, data = folders[-1].parent, self.dir / "pg"
        data.mkdir()
        shutil.chown(data, "postgres")
        user = {"user": "postgres", "cwd": "/"}
        subprocess.run([bins / "initdb", "-D", data, "-A", "trust", "-N"], check=True, capture_output=True, **user)
        with open(data / "pg_hba.conf", "a", encoding="utf-8") as f:
            f.write("host all all 127.0.0.0/8 trust\n")
        self.spawn(bins / "postgres", "-D", data, "-h", "127.0.0.1", "-p", self.port(5432), "-k", "", "-c", "fsync=off", **user)
        self.have.add("postgres")

    def mqtt(self, program):
        """A broker."""
        (self.dir / "mqtt.conf").write_text(f"listener {self.port(1883)} 127.0.0.1\nallow_anonymous true\nuser root\n")
        self.spawn(program, "-c", self.dir / "mqtt.conf")

    def snmp(self, program):
        """An agent with a name."""
        self.ports[161] = w.free_port(socket.SOCK_DGRAM)
        (self.dir / "snmpd.conf").write_text("sysName smolmix-agent\n")
        self.spawn(program, "-f", "-Lo", "-C", "-c", self.dir / "snmpd.conf", "-I", "system_mib",
                   f"udp:127.0.0.1:{self.ports[161]}", env={**os.environ, "SNMP_PERSISTENT_DIR": str(self.dir / "snmp")})

    def irc(self, program):
        """A server that asks nobody who its clients are."""
        (self.dir / "irc.conf").write_text(
            f"[Global]\nName=irc.smolmix.test\nInfo=x\nListen=127.0.0.1\nPorts={self.port(6667)}\nServerUID=root\n"
            "ServerGID=root\n[Options]\nDNS=no\nIdent=no\nPAM=no\n")
        self.spawn(program, "-n", "-f", self.dir / "irc.conf")

    def mail(self, program):
        """A mailbox with one mail, over IMAP; TLS from the start or later."""
        if os.geteuid() != 0:
            self.have.discard("dovecot")
            return
        d, user = self.dir, pwd.getpwnam("mail")
        (d / "mbox").mkdir()
        (d / "mbox/inbox").write_text("From a@b.test Thu Jan  1 00:00:00 2026\nFrom: a@b.test\nSubject: mail for you\n\nbody\n")
        for path in (d / "mbox", d / "mbox/inbox"):
            shutil.chown(path, "mail", "mail")
        (d / "dovecot.conf").write_text(
            f"protocols = imap\nlisten = 127.0.0.1\nbase_dir = {d}/dovecot\nstate_dir = {d}/dovecot\nlog_path = /dev/null\n"
            f"ssl = yes\nssl_cert = <{d}/web.pem\nssl_key = <{d}/web.key\nfirst_valid_uid = 1\n"
            f"mail_location = mbox:{d}/mbox:INBOX={d}/mbox/inbox\nmbox_write_locks = fcntl\n"
            "passdb {\n driver = static\n args = password=secret\n}\n"
            f"userdb {{\n driver = static\n args = uid={user.pw_uid} gid={user.pw_gid} home={d}/mbox\n}}\n"
            f"service imap-login {{\n inet_listener imap {{\n port = {self.port(143)}\n }}\n"
            f" inet_listener imaps {{\n port = {self.port(993)}\n }}\n}}\n")

    def svn(self, program):
        """A repository anybody may write to."""
        subprocess.run(["svnadmin", "create", self.dir / "svn"], check=True)
        (self.dir / "svn/conf/svnserve.conf").write_text("[general]\nanon-access = write\n")
        self.spawn(program, "-d", "--foreground", "-r", self.dir, "--listen-host", "127.0.0.1", "--listen-port", self.port(3690))

    def torrent(self, program):
        """A tracker, and a peer that has the file; "x.torrent" is for others."""
        def bencode(x):
            if isinstance(x, dict):
                return b"d" + b"".join(bencode(k) + bencode(v) for k, v in sorted(x.items())) + b"e"
            return b"i%de" % x if isinstance(x, int) else b"%d:%s" % (len(x), x)

        body, piece, seed = os.urandom(100_000), 1 << 15, self.dir / "seed"
        seed.mkdir()
        (seed / "shared").write_bytes(body)
        pieces = b"".join(hashlib.sha1(body[i:i + piece]).digest() for i in range(0, len(body), piece))
        info = {b"length": len(body), b"name": b"shared", b"piece length": piece, b"pieces": pieces}
        (self.dir / "seed.torrent").write_bytes(bencode({b"info": info}))
        (self.dir / "x.torrent").write_bytes(bencode({b"announce": f"udp://{w.NAME}:6969".encode(), b"info": info}))
        self.ports[6969] = w.free_port(socket.SOCK_DGRAM)
        self.spawn(sys.executable, "-c", TRACKER, self.ports[6969], w.WEB4)
        self.spawn(program, "--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
                   "--interface=127.0.0.1", f"--listen-port={self.port(6881)}", "--check-integrity=true",
                   "--seed-ratio=0.0", "-d", seed, self.dir / "seed.torrent")

    def files(self):
        """What the web server has besides its own: a repository, and package indexes. Call once the world is entered.

        Also what needs the certificate: DNS over TLS, mail.
        """
        www = self.dir / "www"
        if "dovecot" in self.have:
            self.spawn(which("dovecot"), "-F", "-c", self.dir / "dovecot.conf")
        if 853 in self.ports:
            self.spawn("socat", f"OPENSSL-LISTEN:{self.ports[853]},bind=127.0.0.1,cert={self.dir}/web.pem,"
                       f"key={self.dir}/web.key,verify=0,fork", f"TCP:127.0.0.1:{self.net.dns_port}")
        (www / "page.html").write_text(
            "<!DOCTYPE html><title>x</title><p id=p>before</p><script>fetch('small').then(r => r.text())"
            ".then(x => document.getElementById('p').textContent = 'fetched a ' + x)</script>\n")
        shutil.copy(www / "small", www / "over-ssh")
        if "git" in self.have:
            shutil.copytree(self.dir / "repos/r.git", www / "r.git")
        self.apt_index(www / "apt")
        self.pip_index(www / "pip/tiny")
        self.npm_index(www / "npm")

    def apt_index(self, folder):
        """A flat repository with one package."""
        if not which("dpkg-deb"):
            return
        tree = self.dir / "deb"
        (tree / "DEBIAN").mkdir(parents=True)
        control = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n"
        (tree / "DEBIAN/control").write_text(control)
        folder.mkdir()
        deb = folder / "tiny_1_all.deb"
        subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, deb], check=True, capture_output=True)
        packages = f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256(deb)}\n\n"
        (folder / "Packages").write_text(packages)
        (folder / "Release").write_text("Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
                                        f" {sha256(folder / 'Packages')} {len(packages)} Packages\n")
        (self.dir / "apt.list").write_text(f"deb [trusted=yes] http://{w.NAME}/apt ./\n")
        for sub in ("lists/partial", "cache/archives/partial"):
            (self.dir / "apt" / sub).mkdir(parents=True)
        (self.dir / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{self.dir}/apt.list";\nDir::Etc::sourceparts "-";\n'
            f'Dir::State::lists "{self.dir}/apt/lists";\n'
            f'Dir::Cache "{self.dir}/apt/cache";\nDir::State::status "/dev/null";\n'
            'Acquire::Languages "none";\nAcquire::http::Proxy "DIRECT";\n')

    def pip_index(self, folder):
        """A simple index with one wheel."""
        folder.mkdir(parents=True)
        wheel = folder / "tiny-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as z:
            z.writestr("tiny.py", "")
            z.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
            z.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            z.writestr("tiny-1.dist-info/RECORD", "")
        (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>\n')

    def npm_index(self, folder):
        """A registry's document and tarball for one package."""
        tree = self.dir / "npm/package"
        tree.mkdir(parents=True)
        (tree / "package.json").write_text('{"name": "tiny", "version": "1.0.0"}\n')
        folder.mkdir()
        subprocess.run(["tar", "-C", tree.parent, "-czf", folder / "tiny-1.0.0.tgz", "package"], check=True)
        sha1 = hashlib.sha1((folder / "tiny-1.0.0.tgz").read_bytes()).hexdigest()
        (folder / "tiny").write_text(
            '{"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "tiny", "version": "1.0.0", '
            f'"dist": {{"tarball": "http://{w.NAME}/npm/tiny-1.0.0.tgz", "shasum": "{sha1}"}}}}}}}}\n')


def sha256(path):
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
