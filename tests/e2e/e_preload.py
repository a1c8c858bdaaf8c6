#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs with nothing but LD_PRELOAD: the tunnel is inside them. What it does for them, and what it must not do to them.

usage: e_preload.py [PART-OF-A-STORY...]
"""
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import world as w

GET = f"""
import os, socket, sys, threading, time
def get(s=None):
    s = s or socket.create_connection(('{w.WEB4}', 80))
    s.sendall(b'GET /small HTTP/1.0\\r\\n\\r\\n')
    data = b''
    while piece := s.recv(4096):
        data += piece
    return data.endswith(b'small file\\n')
def says(what, *more):
    print(what, *more, flush=True)
"""
QUIET = """
import os, sys
text = open('/proc/self/maps').read()
print(len(os.listdir('/proc/self/task')), 'libsmolmix.so' in text, 'libsmolmix-shim.so' in text)
"""
UNSEEN = GET + """
s = socket.create_connection(('%s', 80))
assert s.fileno() == 3, s
table = sorted(map(int, os.listdir('/proc/self/fd')))
says('descriptors', [n for n in table if os.path.exists(f'/proc/self/fd/{n}')] == [0, 1, 2, 3])
masks = [int(line.split()[1], 16) for t in os.listdir('/proc/self/task') if int(t) != os.getpid()
         for line in open(f'/proc/self/task/{t}/status') if line.startswith('SigBlk')]
asynchronous = 0x7ffffff & ~(1 << 8 | 1 << 18)
says('threads', len(masks), all(m & asynchronous == asynchronous for m in masks))
says('environment', [k for k in os.environ if k == 'SMOLMIX_SOCKET'])
os.closerange(3, 65536)
says('after closing everything', get(), 'number', socket.socket().fileno())
""" % w.WEB4
CHILDREN = GET + """
import subprocess
early = os.fork()
if early == 0:
    says('forked before', get())
    sys.exit(0)
os.waitpid(early, 0)
mine = socket.create_connection(('%s', 80))
pid = os.fork()
if pid == 0:
    says('inherited connection', get(mine))
    says('new connection', get())
    sys.exit(0)
print('exit code', os.waitpid(pid, 0)[1], flush=True)
curl = ['curl', '-sS', 'http://%s/small']
says('subprocess', subprocess.run(curl, capture_output=True).stdout == b'small file\\n')
says('subprocess, clean environment', subprocess.run(curl, env={'PATH': os.environ['PATH']}, capture_output=True).stdout == b'small file\\n')
child = '''
import socket
socket.create_connection(('%s', 80))
print('libsmolmix.so' in open('/proc/self/maps').read())
'''
says('tunnel of its own', subprocess.run([sys.executable, '-c', child], capture_output=True, text=True).stdout.strip())
says('shell', os.system('curl -sS http://%s/small') == 0)
os.execvp('curl', curl)
""" % (w.WEB4, w.WEB4, w.WEB4, w.WEB4)
ORPHAN = GET + """
get()
r, go = os.pipe()
if os.fork() == 0:
    os.close(go)
    os.read(r, 1)  # until the parent has ended
    try:
        socket.create_connection(('%s', 80))
        says('connected')
    except OSError as e:
        says('orphan', e.errno)
    os._exit(0)
""" % w.WEB4
DETACHED = GET + """
for number in sys.argv[1:]:
    os.close(int(number))
os._exit(7 if get() else 1)
"""
STORM = GET + """
get()
stop = False
def busy():
    while not stop:
        assert get()
threads = [threading.Thread(target=busy) for _ in range(3)]
for t in threads:
    t.start()
bad = 0
for i in range(40):
    pid = os.fork()
    if pid == 0:
        if i % 4 == 0:
            os._exit(0 if get() else 1)
        os.environ['X'] = 'y' * 10000
        os._exit(0) if i % 4 == 1 else sys.exit(0)
    bad += os.waitpid(pid, 0)[1] != 0
stop = True
for t in threads:
    t.join()
says('storm', bad)
"""
EXITS = """
import os, socket, sys
s = socket.create_connection(('%s', 9))
s.sendall(b'x' * %d)
if len(sys.argv) > 1:
    os._exit(0)
"""
UPLOAD = 400_000
FAILS = """
import socket
for _ in range(2):
    try:
        socket.socket()
        print('made')
    except OSError as e:
        print(e.errno)
try:
    print(socket.getaddrinfo('www.smolmix.test', 80))
except socket.gaierror as e:
    print('no name')
"""
good = True


def expect(what, cond, detail=""):
    """One fact."""
    global good
    print("ok  " if cond else "FAIL", what, "" if cond else detail, flush=True)
    good &= bool(cond)


class Counter:
    """A TCP server that counts what each connection brings before its end."""

    def __init__(self):
        self.counts, self.news = [], threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """One after the other."""
        while True:
            conn = self.listener.accept()[0]
            n = 0
            try:
                while data := conn.recv(65536):
                    n += len(data)
            except OSError:
                pass
            with self.news:
                self.counts.append(n)
                self.news.notify()

    def next(self):
        """The count of the next connection."""
        with self.news:
            self.news.wait_for(lambda: self.counts, 60)
            return self.counts.pop(0) if self.counts else None


def python(net, script, *args, **kw):
    """A script under the preload."""
    return net.preload(sys.executable, "-c", script, *args, **kw)


def programs(net):
    """What people run."""
    p = net.preload("curl", "-sS", f"http://{w.WEB4}/file", text=False)
    expect("curl http: 1 MB, checksum", hashlib.sha256(p.stdout).hexdigest() == net.sha, p.stderr)
    p = net.preload("curl", "-sS", "--cacert", net.dir / "ca.pem", f"https://{w.NAME}/small")
    expect("curl https by name", p.stdout == "small file\n", p)
    p = net.preload("curl", "-sS", f"http://{w.CLOSED4}/")
    expect("curl to a closed port: exit code 7", p.returncode == 7, p)
    for _ in range(10):  # jemalloc and OpenSSL of its own: ends that depend on the moment
        p = net.preload("dig", "+short", "+timeout=10", w.NAME, "A")
        expect("dig (resolver of the host)", p.stdout == w.WEB4 + "\n" and p.returncode == 0, p)
    p = net.preload("getent", "ahosts", w.NAME)
    expect("getent ahosts", w.WEB4 in p.stdout, p)
    p = net.preload(sys.executable, "-c", f"import urllib.request as u;print(u.urlopen('http://{w.NAME}/small').read())")
    expect("python urllib", "small file" in p.stdout, p)
    if shutil.which("wget"):
        p = net.preload("wget", "-q", "-O", "-", f"http://{w.NAME}/small")
        expect("wget", p.stdout == "small file\n", p)
    if shutil.which("git"):
        repository(net)
        p = net.preload("git", "clone", "-q", f"http://{w.NAME}/r.git", net.dir / "clone")
        expect("git clone", (net.dir / "clone/f").exists(), p)
    if shutil.which("node"):
        p = net.preload("node", "-e", f"fetch('https://{w.NAME}/small').then(r => r.text()).then(console.log)",
                        settings=[f"NODE_EXTRA_CA_CERTS={net.dir}/ca.pem"])
        expect("node fetch, which exports OpenSSL of its own", "small file" in p.stdout, p)
    p = net.preload("sh", "-c", f"curl -sS http://{w.WEB4}/small; curl -sS http://{w.NAME}/small")
    expect("two programs, one after the other, of a shell that has no tunnel", p.stdout == "small file\n" * 2, p)
    expect("the web server saw the exit", {line[0] for line in net.access_log()} <= w.EXIT_SEEN, net.access_log())


def repository(net):
    """One commit, to be cloned over plain http."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"]
    work, bare = net.dir / "work", net.dir / "www/r.git"
    subprocess.run([*git, "init", "-q", work], check=True)
    (work / "f").write_text("content\n")
    for args in (["-C", work, "add", "f"], ["-C", work, "commit", "-qm", "x"], ["clone", "-q", "--bare", work, bare],
                 ["-C", bare, "update-server-info"]):
        subprocess.run([*git, *map(str, args)], check=True)


def hidden(net):
    """What the program must not notice."""
    p = net.preload(sys.executable, "-c", QUIET)
    expect("without a socket: no thread, no library", p.stdout == "1 False True\n", p)
    p = net.run(sys.executable, "-c", GET + "get()" + QUIET, options=["--profile", "fast"])
    expect("under smolmix-run: neither", p.stdout == "1 False True\n", p)
    p = python(net, UNSEEN)
    expect("descriptors, signals, environment, close_range", p.stdout == "descriptors True\nthreads 3 True\nenvironment []\n"
           "after closing everything True number 3\n" and p.returncode == 0, p)
    for closed in ("0", "2", "012"):
        p = python(net, DETACHED, *closed)
        expect(f"a daemon that has closed {' '.join(closed)}", p.returncode == 7, p)
    p = net.preload(w.BUILD / "tests/e2e/clash", w.WEB4, "80", "/small")
    expect("a program with symbols and an allocator that are fatal for strangers", p.stdout.endswith("small file\n") and
           p.returncode == 0, p)


def children(net):
    """fork, exec, and both in a program with threads."""
    p = python(net, CHILDREN)
    want = ["forked before True", "inherited connection True", "new connection True", "exit code 0", "subprocess True",
            "subprocess, clean environment True", "tunnel of its own False", "small file", "shell True", "small file"]
    expect("fork and exec", p.stdout.splitlines() == want and p.returncode == 0, p)
    p = python(net, ORPHAN)
    expect("a forked child whose parent has ended: ENETDOWN", p.stdout == "orphan 100\n", p)
    p = python(net, STORM)
    expect("40 forks beside three busy threads", p.stdout == "storm 0\n" and p.returncode == 0, p)


def ends(net):
    """What was written is delivered."""
    script = EXITS % (w.WEB4, UPLOAD)
    for how in ((), ("_exit",)):
        p = python(net, script, *how)
        n = net.counter.next()
        expect(f"exit right after a large send, by {'_exit' if how else 'exit'}: {n} bytes", n == UPLOAD and p.returncode == 0, p)


def refusals(net):
    """No tunnel: one line, ENETDOWN, no way round."""
    for setting, says in (("SMOLMIX_API=http://127.0.0.1:1/", "cannot reach the mixnet"), ("SMOLMIX_EXIT=nonsense", "SMOLMIX_EXIT"),
                          ("SMOLMIX_LOCALNET=1", "SMOLMIX_LOCALNET"), ("SMOLMIX_CONFIG=x", "SMOLMIX_CONFIG"),
                          ("SMOLMIX_SOCKET=@nobody-here", "")):
        p = python(net, FAILS, settings=[setting])
        lines = p.stderr.splitlines()
        expect(f"{setting}: {' '.join(lines)}", p.stdout == "100\n100\nno name\n" and len(lines) == bool(says) and
               all(says in line and ";" in line for line in lines), p)
    p = net.preload("curl", "-sS", f"http://{w.WEB4}/", settings=[f"SMOLMIX_RULE=deny {w.WEB4}"])
    expect("a rule holds here too", p.returncode == 7 and not p.stdout, p)
    with tempfile.TemporaryDirectory() as tmp:
        alone = shutil.copy(w.SHIM, pathlib.Path(tmp) / "shim.so")
        p = python(net, FAILS, settings=[f"LD_PRELOAD={alone}"])
    expect(f"library missing: {p.stderr.strip()}", p.stdout == "100\n100\nno name\n" and "libsmolmix.so" in p.stderr and
           len(p.stderr.splitlines()) == 1, p)


def main():
    """Every story that was asked for."""
    counter = Counter()
    net = w.World()
    net.maps.append(f"{w.WEB4}:9=127.0.0.1:{counter.port}")
    net.counter = counter
    os.environ.pop("SMOLMIX_SOCKET", None)
    with net:
        for story in (programs, hidden, children, ends, refusals):
            if not sys.argv[1:] or any(a in story.__name__ for a in sys.argv[1:]):
                story(net)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
