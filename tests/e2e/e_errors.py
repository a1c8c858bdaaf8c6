#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad networks: code 125 and one line that says what, why and what to change; commands' own codes otherwise."""
import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import world as w

RECIPIENT = ("5WdCMZXZBkGsXwPqzxwJqf9sSzyRLt3xmhuGDBaXiQh5.7nFB8HqKM9jxExRkfhUoLb6oo2LSCDDesP5uuXH5iWY1"
             "@3yv4qTKVxC5Vqgtshzkcm8nT1q9zeETnj3RMDiaREeB5")
bad = 0


def expect(what, ok, detail=""):
    """One fact."""
    global bad
    print("ok  " if ok else "FAIL", what, "" if ok else detail)
    bad += not ok


def case(what, argv, code, seconds=10, one_line=True, says=""):
    """Runs argv and judges code, number of lines and time."""
    global bad
    start = time.monotonic()
    try:
        p = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired:
        print("FAIL", what, "did not end")
        bad += 1
        return
    took = time.monotonic() - start
    lines = p.stderr.strip().splitlines()
    ok = p.returncode == code and took < seconds and says in p.stderr
    if one_line:
        ok = ok and len(lines) == 1 and lines[0].startswith("smolmix-run: ") and lines[0].count(":") >= 2
    print("ok  " if ok else "FAIL", f"{what}: {p.returncode} in {took:.1f} s:", *lines[:3])
    bad += not ok


def options():
    """A bad value for each option."""
    run = [w.RUN]
    for args in (["--exit", "nonsense"], ["--exit", "country:XYZ"], ["--gateway", "0OIl"], ["--dns", "example.org"],
                 ["--dns", "1.2.3.4:99999"], ["--mtu", "12"], ["--mtu", "abc"], ["--ipr-version", "ten"], ["--profile", "warp"],
                 ["--network", "/nonexistent/file.json"], ["--api", "ftp://x/"], ["--api", "http://192.0.2.1/"],
                 ["--stats-json", "/nonexistent/dir/stats.json"], ["--frobnicate"], ["--exit"]):
        case("option " + " ".join(args), [*run, *args, "--", "true"], 125)
    case("a profile that shows the traffic", [*run, "--profile", "no-poisson", "true"], 125, says="--unsafe-profile")
    case("no command", run, 125)
    for quiet, lines in (((), 2), (("-q",), 1)):
        p = subprocess.run(["env", "SMOLMIX_PROFLE=fast", *map(str, run), *quiet, "no-such-command-here"], capture_output=True,
                           text=True, timeout=30, check=False)
        said = "did you mean SMOLMIX_PROFILE?" in p.stderr
        expect(f"a misspelt variable {' '.join(quiet)}", said != bool(quiet) and p.stderr.count("\n") == lines, p.stderr)
    case("the preload library in smolmix-run itself", ["env", f"LD_PRELOAD={w.SHIM}", *run, "true"], 125, says="unset it")
    with tempfile.TemporaryDirectory() as tmp:
        for name, text in (("half.json", '{"name": "x", "nym_api": ["http://127'), ("rubbish.json", "hello"),
                           ("unknown.json", '{"name": "x", "nym_api": ["http://127.0.0.1:1/"], "colour": 1}'),
                           ("empty.json", '{"name": "x", "nym_api": []}')):
            path = pathlib.Path(tmp, name)
            path.write_text(text)
            case(f"network file {name}", [*run, "--network", path, "true"], 125)


def redirect():
    """An API that points elsewhere: the other place must not be asked."""
    asked = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        """Remembers requests."""
        def do_GET(self):
            """Takes one."""
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            """Nothing."""

    class Api(Elsewhere):
        """Redirects all requests."""
        def do_GET(self):
            """Takes one."""
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{other.server_port}/")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as other, \
            http.server.HTTPServer(("127.0.0.1", 0), Api) as api:
        for server in (other, api):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        case("API that redirects", [w.RUN, "--api", f"http://127.0.0.1:{api.server_port}/", "true"], 125, says="HTTP 302")
        expect("and nobody asked there", not asked, asked)
        for server in (other, api):
            server.shutdown()


def networks():
    """Each misbehaving part of a network."""
    case("unreachable API", [w.RUN, "--api", f"http://127.0.0.1:{w.free_port()}/", "true"], 125)
    for fault in ("api-rubbish", "api-half", "api-503", "gateway-close-1", "gateway-close-2", "gateway-close-3",
                  "gateway-close-4", "gateway-credentials", "exit-refuse"):
        with w.World(["--fault", fault], web=False, dns=False) as net:
            case(f"network with {fault}", [w.RUN, "--api", net.api, "true"], 125)
    with w.World(["--fault", "exit-ignore"], web=False, dns=False) as net:
        case("exit that ignores the connect (15 s)", [w.RUN, "--api", net.api, "true"], 125, seconds=40)
    with w.World(web=False, dns=False) as net:
        case("recipient nobody has", [w.RUN, "--api", net.api, "--exit", RECIPIENT, "true"], 125, seconds=40)
        case("recipient the exit's gateway does not know (15 s)",
             [w.RUN, "--api", net.api, "--exit", RECIPIENT.split("@")[0] + "@" + net.gateway, "true"], 125,
             seconds=40)
        case("gateway nobody has",
             [w.RUN, "--api", net.api, "--gateway", "3yv4qTKVxC5Vqgtshzkcm8nT1q9zeETnj3RMDiaREeB5", "true"], 125)


def gateways():
    """Some take packets and send none. Whether a bad one is drawn first is chance; five times not is one in a thousand."""
    with w.World(["--fault", "gateway swallow"], web=False, dns=False) as net:
        case("gateway that sends nothing on (8 s)", [w.RUN, "--api", net.api, "true"], 125, seconds=20, says="came back")
    faults = sum((["--fault", f"gateway swallow {i}"] for i in (2, 3, 4)), [])
    with w.World(["--gateways", "4", *faults], web=False, dns=False) as net:
        for _ in range(5):
            p = subprocess.run([w.RUN, "-v", "--api", net.api, "--", "true"], capture_output=True, text=True, timeout=90,
                               check=False)
            if p.returncode or "gateway of no use" in p.stderr:
                break
        expect("another gateway instead", p.returncode == 0 and "gateway of no use" in p.stderr, p.stderr[-500:])
        expect("-v names none of them", not any(g in p.stderr for g in net.gateways), p.stderr[-500:])


def commands():
    """The local network's commands and options: what is wrong is said."""
    with w.World(["--nodes", "3x2", "--gateways", "2"], web=False, dns=False) as net:
        expect("ready line lists gateways and exits", len(net.gateways) == 2 and net.exits == [net.exit], net.gateways)
        for line, answer in (("loss 0", "ok"), ("loss", "error: loss takes: PCT"), ("loss 101", "error: out of range: loss 101"),
                             ("loss x", "error: loss takes: PCT"), ("node dead 6", "ok"), ("node dead 7", "error: out of range: node dead 7"),
                             ("gateway stop 2", "ok"), ("gateway start 2", "ok"), ("gateway stop 3", "error: out of range: gateway stop 3"),
                             ("exit end 2", "error: out of range: exit end 2"), ("api down now", "error: api down takes: nothing"),
                             ("rotate", "ok"), ("api", "error: no such command: api; see smolmix-localnet --help")):
            got = net.command(line)
            expect(f"command {line}", got == answer, got)
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        for args in (["--exits", "2"], ["--fault", "exit-sleeps"], ["--nodes", "3x9"], ["--control", tmp + "/socket"]):
            p = subprocess.run([str(w.LOCALNET), *args], capture_output=True, text=True, timeout=30, check=False)
            lines = p.stderr.splitlines()
            expect("localnet " + " ".join(args), p.returncode and len(lines) == 1 and ";" in lines[0], p)


def codes():
    """Codes of commands."""
    with w.World(web=False, dns=False) as net:
        run = [w.RUN, "-q", "--api", net.api, "--"]
        case("command not found", [*run, "no-such-command-here"], 127)
        case("not executable", [*run, "/etc/passwd"], 126)
        case("true", [*run, "true"], 0, one_line=False)
        case("exit code 42", [*run, "sh", "-c", "exit 42"], 42, one_line=False)
        case("killed by SIGKILL", [*run, "sh", "-c", "kill -9 $$"], 137, one_line=False)
        case("killed by SIGTERM", [*run, "sh", "-c", "kill -15 $$"], 143, one_line=False)


def main():
    """All of it."""
    os.environ.pop("SMOLMIX_API", None)
    options()
    redirect()
    networks()
    gateways()
    commands()
    codes()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
