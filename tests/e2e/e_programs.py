#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs through the whole path: bytes right, names right, the servers see the exit only."""
import hashlib
import shutil
import sys

import world as w

FAST = ["--profile", "fast"]


def expect(what, cond, detail=""):
    """Prints one line per fact; False counts."""
    print("ok  " if cond else "FAIL", what, "" if cond else detail)
    return cond


def main():
    """curl, wget, dig, python, getent."""
    good = True
    with w.World() as net:
        def run(*cmd, **kw):
            return net.run(*cmd, options=FAST, **kw)

        p = run("curl", "-sS", f"http://{w.WEB4}/file", text=False)
        good &= expect("curl http: 1 MB, checksum", hashlib.sha256(p.stdout).hexdigest() == net.sha, p)
        p = run("curl", "-sS", "--cacert", net.dir / "ca.pem", f"https://{w.NAME}/file", text=False)
        good &= expect("curl https by name: checksum", hashlib.sha256(p.stdout).hexdigest() == net.sha, p)
        p = run("curl", "-sS", "-6", f"http://{w.NAME}/small")
        good &= expect("curl -6", p.stdout == "small file\n", p)
        p = run("curl", "-sS", f"http://{w.CLOSED4}/")
        good &= expect("curl to a closed port: exit code 7", p.returncode == 7, p)
        p = run("curl", "-sS", "http://nothing.smolmix.test/")
        good &= expect("curl to an unknown name: exit code 6", p.returncode == 6, p)
        p = run("curl", "-sS", "--max-time", "15", "http://[2620:fe::9]/")
        good &= expect("curl to an IPv6 address nobody can reach: exit code 7", p.returncode == 7, p)
        if shutil.which("wget"):
            p = run("wget", "-q", "-O", "-", f"http://{w.NAME}/small")
            good &= expect("wget", p.stdout == "small file\n", p)
        for args, want in ((["A"], w.WEB4), (["AAAA"], w.WEB6), (["TXT"], w.TXT), (["+tcp", "A"], w.WEB4)):
            p = run("dig", "+short", "+timeout=10", "@9.9.9.9", w.NAME, *args)
            good &= expect("dig " + " ".join(args), want in p.stdout, p)
        p = run("dig", "+short", "+timeout=10", "@10.0.0.53", w.NAME, "A")
        good &= expect("dig at a private resolver is answered by the tunnel's", w.WEB4 in p.stdout, p)
        p = run("getent", "ahosts", w.NAME)
        good &= expect("getent ahosts", w.WEB4 in p.stdout and w.WEB6 in p.stdout, p)
        p = run(sys.executable, "-c", "import urllib.request as u;"
                f"print(u.urlopen('http://{w.NAME}/small').read().decode(), end='')")
        good &= expect("python urllib", p.stdout == "small file\n", p)
        p = run("sh", "-c", f"curl -sS http://{w.WEB4}/small & curl -sS http://{w.NAME}/small; wait")
        good &= expect("two programs at once in one tree", p.stdout == "small file\n" * 2, p)
        p = run("curl", "-sS", f"http://localhost:{net.http}/small")
        good &= expect("curl to this machine", p.stdout == "small file\n", p)
        p = run("curl", "-sS", "--max-time", "20", "http://10.1.2.3/")
        good &= expect("a private address is refused at once", p.returncode == 7, p)
        seen = {line[0] for line in net.access_log()}
        good &= expect("the web server saw the exit, and this machine once", seen <= w.EXIT_SEEN | {"127.0.0.1"}, seen)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
