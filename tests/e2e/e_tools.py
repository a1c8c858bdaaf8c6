#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The programs as shells, scripts and other programs start them: descriptors, signals at each stage, a terminal's keys,
output that cannot be written, an installation that was moved, what -v says."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import world as w

LIST = "import os; d = os.open('/proc/self/fd', os.O_RDONLY); print(sorted(int(n) for n in os.listdir(d) if int(n) != d))"
PATIENCE = 60
bad = 0


def expect(what, ok, detail=""):
    """One fact."""
    global bad
    print("ok  " if ok else "FAIL", what, "" if ok else detail, flush=True)
    bad += not ok


def wait_for(condition, seconds=PATIENCE):
    """True as soon as condition() is, False when it never was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def state(pid):
    """The letter ps shows."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def asked(net):
    """Has a client a connection to the nym-api that nobody has accepted?"""
    port = f"{int(net.api.rsplit(':', 1)[1].strip('/')):04X}"
    return any(line.split()[2].endswith(":" + port) and line.split()[3] == "01"
               for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])


@contextlib.contextmanager
def silent(net):
    """The network does nothing: who starts now stays in the bootstrap."""
    net.localnet.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        net.localnet.send_signal(signal.SIGCONT)


def descriptors(net):
    """The command has those that smolmix-run was given, and no others."""
    with tempfile.NamedTemporaryFile("r") as out:
        def listed(prefix, closed):
            os.truncate(out.name, 0)
            shut = " ".join(closed)
            script = f'exec {shut} 9>{out.name}; exec "$@" {sys.executable} -c "{LIST.replace("print(", "os.write(9, str(")}.encode())"'
            p = subprocess.run(["sh", "-c", script, "sh", *prefix], timeout=PATIENCE, check=False)
            return p.returncode, pathlib.Path(out.name).read_text()

        for closed in ([], ["<&-"], [">&-"], ["2>&-"], ["<&-", ">&-", "2>&-"]):
            bare = listed([], closed)
            got = listed(net.run_argv(), closed)
            expect(f"descriptors of a command {' '.join(closed)}", bare == got and bare[1], (bare, got))
    p = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *net.run_argv("sleep", "60")])
    wait_for(lambda: os.listdir(f"/proc/{p.pid}/task") and len(os.listdir(f"/proc/{p.pid}/fd")) > 5)
    at = [os.readlink(f"/proc/{p.pid}/fd/{n}") for n in range(3)]
    expect("what smolmix-run prints goes nowhere when nothing was open", at == ["/dev/null"] * 3, at)
    p.terminate()
    expect("and it ends by SIGTERM", p.wait(PATIENCE) == 143, p.returncode)


def dispositions(net):
    """Signals are ignored and blocked in the command as they were for smolmix-run."""
    def before():
        for s in (signal.SIGPIPE, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(s, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGALRM])

    def start(*argv):
        p = subprocess.run(argv, preexec_fn=before, restore_signals=False, capture_output=True, text=True,
                           timeout=PATIENCE, check=False)
        return p.returncode, p.stdout + p.stderr

    command = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
    bare, got = start(*command), start(*net.run_argv(*command))
    expect("signals ignored and blocked", bare == got, (bare, got))
    few = subprocess.run(["bash", "-c", 'ulimit -S -n 8; exec "$@"', "bash", *net.run_argv("sh", "-c", "ulimit -n")],
                         capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect("few descriptors are the command's limit", few.stdout == "8\n", few)
    got = start(*net.run_argv("sh", "-c", "exit 3"))
    expect("exit code though SIGCHLD was ignored", got == (3, ""), got)


def children(pid):
    """Of its first thread."""
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(net):
    """Signals while the command runs, without a terminal."""
    p = subprocess.Popen(net.run_argv("sleep", "60"), preexec_fn=lambda: signal.alarm(3))
    command = children(p.pid) if wait_for(lambda: children(p.pid)) else []
    expect("an alarm that was set before ends the command", p.wait(PATIENCE) == 128 + signal.SIGALRM, p.returncode)
    expect("and nothing stays behind", command and not pathlib.Path(f"/proc/{command[0]}").exists(), command)
    p = subprocess.Popen(net.run_argv(sys.executable, "-c", "import os; os.kill(os.getpid(), 19)"))
    stopped = wait_for(lambda: children(p.pid) and state(children(p.pid)[0]) == "T")
    time.sleep(0.3)
    expect("a command that somebody stops leaves the tunnel running", stopped and state(p.pid) != "T", state(p.pid))
    for pid in (*children(p.pid), p.pid):
        os.kill(pid, signal.SIGCONT)
    expect("and goes on", p.wait(PATIENCE) == 0, p.returncode)


def bootstrapping(net):
    """Signals while the network does not answer."""
    def start(ignored=()):
        def before():
            for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the test may run under nohup itself
                signal.signal(s, signal.SIG_IGN if s in ignored else signal.SIG_DFL)

        return subprocess.Popen(net.run_argv("echo", "ran"), preexec_fn=before, stdout=subprocess.PIPE, text=True)

    with silent(net):
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            p = start()
            wait_for(lambda: asked(net))
            p.send_signal(sig)
            expect(f"{sig.name} ends the bootstrap", p.wait(PATIENCE) == 128 + sig, p.returncode)
            p.stdout.close()
        # The first is nohup, the second a shell's job in the background.
        waiting = [(sig, start([sig])) for sig in (signal.SIGHUP, signal.SIGINT)]
        wait_for(lambda: asked(net))
        for sig, p in waiting:
            p.send_signal(sig)
        stopped = start()
        wait_for(lambda: asked(net))
        time.sleep(0.5)
        stopped.send_signal(signal.SIGTSTP)
        expect("SIGTSTP stops the bootstrap", wait_for(lambda: state(stopped.pid) == "T"), state(stopped.pid))
        stopped.send_signal(signal.SIGCONT)
        time.sleep(0.5)
    for what, p in [(f"{sig.name} that was ignored does not end the bootstrap", p) for sig, p in waiting] + \
                   [("SIGCONT lets it go on", stopped)]:
        out = p.communicate(timeout=PATIENCE)[0]
        expect(what, (p.returncode, out) == (0, "ran\n"), (p.returncode, out))


def localnet_signals():
    """The local network by itself under nohup, and what ends it."""
    p = subprocess.Popen([w.LOCALNET], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
                         stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    expect("smolmix-localnet lives on when SIGHUP is ignored", p.poll() is None, p.returncode)
    p.send_signal(signal.SIGINT)
    expect("and SIGINT ends it", p.wait(PATIENCE) == 0, p.returncode)
    p.stdout.close()


def draining(net):
    """A signal while what the command wrote last is still to be sent: it is not, and the code says so."""
    code = f"import os, signal, socket; s = socket.create_connection(('192.88.99.80', 7)); s.sendall(b'x' * 99999); " \
           f"os.kill({net.localnet.pid}, signal.SIGSTOP); print('sent', flush=True)"
    p = subprocess.Popen(net.run_argv(sys.executable, "-c", code), stdout=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        wait_for(lambda: not children(p.pid))
        p.send_signal(signal.SIGTERM)
        expect("SIGTERM ends the wait for what is to be sent", p.wait(PATIENCE) == 128 + signal.SIGTERM, p.returncode)
    finally:
        net.localnet.send_signal(signal.SIGCONT)
        p.stdout.close()


def terminal(argv, say, key, seconds=PATIENCE):
    """Runs argv on a terminal of its own, presses key when it has printed say. Output, how waitpid() says it ended."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    out, end, pressed = b"", time.monotonic() + seconds, False
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                more = os.read(fd, 4096)
            except OSError:
                break
            out += more
        if not pressed and say in out:
            time.sleep(0.3)
            os.write(fd, key)
            pressed = True
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(fd)
    return out.decode(errors="replace"), status


def keys(net):
    """A terminal's Ctrl-C."""
    run = [str(w.RUN), "--api", net.api]
    out, status = terminal([*run, "sh", "-c", "echo started; exec sleep 60"], b"started", b"\x03")
    expect("Ctrl-C ends the command", os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT, (out, status))
    expect("progress on a terminal", re.match(r"smolmix: api, gateway, exit, ready in [0-9.]+ s\r\nstarted\r\n", out), out)
    out, status = terminal([*run, "-v", "sh", "-c", "echo started; exec sleep 60"], b"started", b"\x03")
    lines = out.split("\r\n")
    expect("-v on a terminal has whole lines", "smolmix-run: tunnel: ready" in lines and "started" in lines, lines)
    out, status = terminal([*run, "timeout", "60", "sh", "-c", "echo started; exec sleep 60"], b"started", b"\x03")
    expect("also a command in a process group of its own", os.WIFSIGNALED(status), (out, status))
    out, status = terminal([*run, "sh", "-c", "trap 'echo caught; exit 7' INT; echo started; sleep 60 & wait"],
                           b"started", b"\x03")
    expect("a command that handles it has its own code", os.WIFEXITED(status) and os.WEXITSTATUS(status) == 7 and
           "caught" in out, (out, status))
    if shutil.which("bash"):
        loop = f"for i in 1 2; do {' '.join(run)} sh -c 'echo started; exec sleep 60'; done; echo more"
        out, status = terminal(["bash", "-c", loop], b"started", b"\x03")
        expect("Ctrl-C ends a loop of a shell", out.count("started") == 1 and "more" not in out, out)


def nested(net):
    """One in the other is refused by name."""
    p = net.run(w.RUN, "true")
    expect("smolmix-run inside smolmix-run", p.returncode == 125 and "nested" in p.stderr and p.stderr.count("\n") == 1, p)


def scripts(net, tmp):
    """Names with blanks, relative paths, scripts without a first line, long argument lists."""
    script = tmp / "a script"
    script.write_text('echo "$# $100"\n')
    script.chmod(0o755)
    many = [str(n) for n in range(100)]
    got = net.run("./a script", *many, cwd=tmp)
    expect("a script without #!, 100 arguments", (got.returncode, got.stdout) == (0, "100 000\n"), got)
    script.write_text(f"#!/usr/bin/env -S {' '.join(net.run_argv('sh'))}\necho $1; exit 5\n")
    got = subprocess.run([script, "word"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect("smolmix-run as an interpreter", (got.returncode, got.stdout) == (5, "word\n"), got)
    script.write_text("#!/no/such/interpreter\n")
    got = net.run(script)
    expect("a script whose interpreter is missing", got.returncode == 127 and got.stderr.count("\n") == 1, got)


def outputs(net, tmp):
    """Where nothing can be written, that is said; what is no file is not replaced."""
    with open("/dev/full", "w") as full:
        for argv in ([w.RUN, "--help"], [w.RUN, "--version"], [w.RUN, "--check"], [w.LOCALNET], [w.LOCALNET, "--help"],
                     [w.LOCALNET, "--version"]):
            p = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
            expect(f"{argv[0].name} {' '.join(argv[1:])} >/dev/full", p.returncode and p.stderr.count("\n") == 1, p)
    for script in ("tools/setup.sh", "tools/demo.sh", "tests/run.sh"):
        p = subprocess.run([w.ROOT / script, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        expect(f"{script} --help does nothing but say what it does",
               p.returncode == 2 and not p.stdout and script in p.stderr, p)
    link = tmp / "null"
    link.symlink_to("/dev/null")
    p = net.run("true", options=["--stats-json", link])
    expect("--stats-json where there is no regular file", p.returncode == 125 and link.is_symlink(), p)


def without_root(tmp):
    """Packages are missing and this is not root: they are named, and nothing is done."""
    fake = tmp / "fake"
    fake.mkdir()
    for name, text in (("id", "echo 1000"), ("apt-get", f"touch {tmp}/asked"), ("ninja", f"touch {tmp}/asked"),
                       ("dpkg-query", 'case "$*" in *unbound*) exit 1 ;; esac; exec /usr/bin/dpkg-query "$@"')):
        (fake / name).write_text(f"#!/bin/sh\n{text}\n")
        (fake / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    for script in ("tools/setup.sh", "tools/demo.sh", "tests/run.sh"):
        p = subprocess.run([w.ROOT / script], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        expect(f"{script} names what is missing and stops", p.returncode == 1 and p.stderr.count("\n") == 1 and
               "apt-get install" in p.stderr and " unbound" in p.stderr and not (tmp / "asked").exists(), p)


def moved(net, tmp):
    """An installation works where it was put, and after it was moved."""
    p = subprocess.run(["meson", "install", "-C", w.BUILD, "--no-rebuild", "--destdir", tmp / "first"], capture_output=True,
                       text=True, timeout=PATIENCE, check=False)
    pages = {f.name.removesuffix(".1") for f in (tmp / "first").rglob("share/man/man1/*.1")}
    programs = {f.name for f in (tmp / "first").rglob("bin/*")}
    expect("meson install: a manual page for each program", p.returncode == 0 and pages == programs and pages, (p, pages))
    shutil.move(tmp / "first", tmp / "second")
    bin_dir = next((tmp / "second").rglob("bin"))
    p = subprocess.run([bin_dir / "smolmix-run", "--check"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect("--check there", p.returncode == 0 and str(tmp / "second") in p.stdout, p)
    shutil.copytree(tmp / "second", tmp / "a blank", symlinks=True)
    blank = next((tmp / "a blank").rglob("bin")) / "smolmix-run"
    for argv in ([blank, "--check"], [blank, "--api", net.api, "true"]):
        p = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
        expect("a path with a blank is refused", p.returncode == 125 and "LD_PRELOAD cannot name" in p.stdout + p.stderr, p)
    (tmp / "link").symlink_to(bin_dir / "smolmix-curl")
    env = {**os.environ, "SMOLMIX_API": net.api}
    p = subprocess.run([tmp / "link", "--version"], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect("smolmix-curl there, through a link", p.returncode == 0 and p.stdout.startswith("curl "), p)
    p = subprocess.run([bin_dir / "smolmix-run", "--localnet", "true"], capture_output=True, timeout=PATIENCE, check=False)
    expect("--localnet there", p.returncode == 0, p)
    if shutil.which("bash"):
        completed(tmp / "second")


def exits(tmp):
    """--list-exits: a table that says what --exit takes, or one line why there is none."""
    def listed(*options, out=subprocess.PIPE):
        return subprocess.run([w.RUN, "--list-exits", *options], stdout=out, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE, check=False)

    with w.World(["--exits", "3", "--gateways", "3"], web=False, dns=False) as net:
        p = listed("--api", net.api)
        header, *rows = [line.split() for line in p.stdout.splitlines()] or [[]]
        expect("--list-exits: a header and the three exits, nothing else", (p.returncode, p.stderr) == (0, "") and
               header == ["COUNTRY", "PERF%", "VERSION", "GATEWAY", "RECIPIENT"] and
               sorted(r[4] for r in rows) == sorted(net.exits), p)
        expect("each with the gateway of its address", all(len(r) == 5 and r[4].endswith("@" + r[3]) for r in rows), rows)
        for row in rows:
            p = net.run("true", options=["--exit", row[4], "--stats-json", tmp / "stats"])
            expect("--exit takes what was listed", p.returncode == 0 and
                   json.loads((tmp / "stats").read_text())["exit"] == row[4], p)
        for given, spoken in (("1.37.0", 10), ("1.36.9", 9)):
            net.run("true", options=["--ipr-version", given, "--stats-json", tmp / "stats"])
            version = json.loads((tmp / "stats").read_text())["exit_version"]
            expect(f"--ipr-version {given}", version == spoken, version)
        expect("--exit with an address lists all", len(listed("--api", net.api, "--exit", net.exit).stdout.splitlines()) == 4)
        p = listed("--api", net.api, "--exit", "country:XX")
        expect("a country without one", (p.returncode, p.stdout) == (125, "") and " in XX; " in p.stderr and
               p.stderr.count("\n") == 1, p)
        with open("/dev/full", "w") as full:
            p = listed("--api", net.api, out=full)
            expect("--list-exits >/dev/full", p.returncode == 125 and p.stderr.count("\n") == 1, p)
        p = net.run(w.RUN, "--api", net.api, "--list-exits")
        expect("--list-exits in a tunnel, as any program", p.stdout.split()[5:] == sum(rows, []), p)
        with silent(net):
            p = subprocess.Popen([w.RUN, "--api", net.api, "--list-exits"])
            wait_for(lambda: asked(net))
            p.send_signal(signal.SIGINT)
            expect("SIGINT ends --list-exits", p.wait(PATIENCE) == -signal.SIGINT, p.returncode)
    p = listed("--api", f"http://127.0.0.1:{w.free_port()}/")
    expect("--list-exits without a directory", (p.returncode, p.stdout) == (125, "") and p.stderr.count("\n") == 1 and
           "refused; " in p.stderr and "--api" in p.stderr, p)
    p = listed("--localnet")
    expect("--list-exits --localnet", (p.returncode, len(p.stdout.splitlines()), p.stderr) == (0, 2, ""), p)


TALK = """
import socket
def talk(host, port):
    s = socket.socket()
    try:
        s.connect((host, port))
        s.sendall(b"hello")
        s.shutdown(socket.SHUT_WR)
        while s.recv(100):
            pass
    except OSError:
        pass
    s.close()
talk("192.88.99.80", 7)
talk("192.88.99.81", 7)
talk("10.1.2.3", 7)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.88.99.82", 9))
try:
    socket.getaddrinfo("www.example.test", 80)
except OSError:
    pass
"""
ADDRESSES = ("192.88.99.80", "192.88.99.81", "192.88.99.82", "10.1.2.3", "www.example.test")


def explained(net):
    """-v has a line for each connection that ended and for what was refused, -vv the destinations too; -q nothing."""
    said = {}
    for option in ("-q", "-n", "-v", "-vv"):
        options = [] if option == "-n" else [option]
        p = subprocess.run([w.RUN, "--api", net.api, "--dns", "192.88.99.81", *options, "--", sys.executable, "-c", TALK],
                           capture_output=True, text=True, timeout=PATIENCE, check=False)
        expect(f"{option}: the program ran", p.returncode == 0, p)
        said[option] = p.stderr
    refusal = re.search(r"^smolmix: destination refused: private address; .*--rule", said["-n"], re.M)
    expect("-q: nothing is said", said["-q"] == "", said["-q"])
    expect("without: what was refused, and the option", refusal and said["-n"].count("\n") == 1, said["-n"])
    for what, line in (("ended", r"connection 1: ended by both sides after [0-9.]+ s; 5 bytes up, 3 down$"),
                       ("refused", r"connection 2: Connection refused after [0-9.]+ s; 0 bytes up, 0 down$")):
        for option in ("-v", "-vv"):
            expect(f"{option}: a connection that was {what}", re.search(line, said[option], re.M), said[option])
    for address in ADDRESSES:
        expect(f"destinations with -vv only: {address}", address in said["-vv"] and address not in said["-v"] + said["-n"], said)


HOLD = "import socket, time; s = socket.create_connection(('192.88.99.80', 7)); time.sleep(60)"


def status(socket_path=None, prefix=()):
    """smolmix-run --status as exit code, lines and complaint; of all tunnels, or as what runs in one sees it."""
    env = {k: v for k, v in os.environ.items() if k != "SMOLMIX_SOCKET"}
    if socket_path:
        env["SMOLMIX_SOCKET"] = str(socket_path)
    p = subprocess.run([*prefix, w.RUN, "--status"], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return p.returncode, p.stdout.splitlines(), p.stderr


def control_socket(pid):
    """Of the smolmix-run pid, once its command runs."""
    def environment():
        for child in children(pid):
            text = ""
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # not every child lives long
                text = pathlib.Path(f"/proc/{child}/environ").read_text()
            found.extend(v.split("=", 1)[1] for v in text.split("\0") if v.startswith("SMOLMIX_SOCKET="))
        return found

    found = []
    wait_for(environment)
    return pathlib.Path(found[0])


def statuses(net):
    """--status of a tunnel that is well, without its gateway, stopped, and killed; other tunnels may run beside it."""
    p = subprocess.Popen(net.run_argv(sys.executable, "-c", HOLD))
    path = control_socket(p.pid)
    command = children(p.pid)[0]
    well = re.compile(rf"{p.pid} ready: up 0:\d\d:\d\d, command {sys.executable}, 1 connection, [\d.]+, [\da-f:]+, "
                      rf"gateway {net.gateway}, exit {net.exit}$")
    expect("--status: ready", wait_for(lambda: any(map(well.match, status()[1]))), status())
    got = status(path)
    expect("in a tunnel: this one, exit code 0", got[0] == 0 and len(got[1]) == 1 and well.match(got[1][0]) and not got[2], got)
    q = net.run(w.RUN, "--status")
    expect("really in one", q.returncode == 0 and re.match(r"\d+ ready: .*\n$", q.stdout) and not q.stderr and
           not q.stdout.startswith(f"{p.pid} "), q)
    net.command("gateway stop")
    expect("--status: reconnecting, with its cause", wait_for(
        lambda: re.match(rf"{p.pid} reconnecting \([^)]+\): .*1 connection,", status(path)[1][0])), status(path))
    expect("and exit code 1", status(path)[0] == 1, status(path))
    net.command("gateway start")
    expect("ready again", wait_for(lambda: status(path)[0] == 0 and well.match(status(path)[1][0])), status(path))
    os.utime(path, (0, 0))
    p.send_signal(signal.SIGSTOP)
    got = status(path)
    expect("one that does not answer", got[:2] == (1, []) and f"process {p.pid}: its tunnel does not answer" in got[2], got)
    p.send_signal(signal.SIGCONT)
    expect("its folder stays", any(map(well.match, status()[1])) and path.exists(), status())
    os.utime(path)
    p.kill()
    p.wait()
    os.kill(command, signal.SIGKILL)
    got = status(path)
    expect("one that was killed", got[:2] == (1, []) and got[2].count("\n") == 1 and "is gone" in got[2], got)
    expect("a new socket is left alone", not any(map(well.match, status()[1])) and path.exists(), status())
    os.utime(path, (0, 0))
    expect("an old one goes, with its folder", not any(map(well.match, status()[1])) and not path.parent.exists(), path)
    if os.geteuid() == 0 or not [f for f in pathlib.Path("/tmp").glob("smolmix-??????") if f.stat().st_uid == os.geteuid()]:
        got = status(prefix=["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else
                     ["env", f"XDG_RUNTIME_DIR={net.dir}"])
        expect("no tunnel", got[:2] == (1, []) and got[2].count("\n") == 1 and "no tunnel of yours" in got[2], got)


def echo(server):
    """Reads all, answers three bytes, for each connection."""
    while True:
        try:
            s = server.accept()[0]
        except OSError:
            return
        with s:
            while s.recv(100):
                pass
            s.sendall(b"bye")


COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
fun=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$fun "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(root):
    """What bash offers, with the file that was installed."""
    env = {**os.environ, "PATH": f"{next(root.rglob('bin'))}:{os.environ['PATH']}"}
    for words, offered in ((["smolmix-run", "--pro"], "--profile"), (["smolmix-run", "--profile", "f"], "fast"),
                           (["smolmix-run", "-v", "--mtu", "1280", "mkdi"], "mkdir"),
                           (["smolmix-run", "--localnet", "--", "mkdi"], "mkdir"),
                           (["smolmix-run", "cat", "/etc/passw"], "/etc/passwd"),
                           (["smolmix-localnet", "--exit-v"], "--exit-version")):
        file = next(root.rglob(f"completions/{words[0]}"))
        p = subprocess.run(["bash", "-c", COMPLETE, "bash", file, *words], env=env, capture_output=True, text=True,
                           timeout=PATIENCE, check=False)
        expect(f"completion of {' '.join(words)}", offered in p.stdout.split() and not p.stderr, p)


def main():
    """All of it."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=echo, args=[server], daemon=True).start()
    maps = ["--map", f"192.88.99.80:7=127.0.0.1:{server.getsockname()[1]}",
            "--map", f"192.88.99.81=127.0.0.1:{w.free_port()}"]
    with w.World(maps, web=False, dns=False) as net, tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        explained(net)
        descriptors(net)
        dispositions(net)
        running(net)
        bootstrapping(net)
        localnet_signals()
        draining(net)
        keys(net)
        nested(net)
        statuses(net)
        scripts(net, tmp)
        outputs(net, tmp)
        exits(tmp)
        without_root(tmp)
        moved(net, tmp)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
