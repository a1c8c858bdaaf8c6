# SPDX-License-Identifier: Apache-2.0
"""Runs test cases of CPython's own suite inside the process that is under test; started by cpython.py.

usage: cpython_run.py [--tunnel] [--only IDS] [--without PATTERNS] MODULE JOURNAL

The journal gets "begin ID" and "OUTCOME ID" lines. Cases that have begun in it already are left out, so that a run that
was killed in a case that hangs can be started again and goes on behind it.

--tunnel: what the cases do with this machine's loopback address is moved to an address behind the exit. Their servers
listen on all addresses of this machine, as real servers, and their clients connect to PUBLIC, through the mixnet.
"""
import argparse
import fnmatch
import os
import socket
import sys
import unittest
import weakref

PUBLIC = "192.88.99.80"
EXIT = "127.0.0.77"  # whom the servers see
LOOPBACK_S = 20  # what the cases allow for an answer; 5 s do for a loopback device
HERE = ("127.0.0.1", "localhost", "0.0.0.0", "")


class Journal(unittest.TestResult):
    """Writes every outcome down at once."""

    def __init__(self, path):
        super().__init__()
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.outcome = "ok"

    def say(self, outcome, test):
        """One line."""
        os.write(self.file, f"{outcome} {test.id()}\n".encode())

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "ok"
        self.say("begin", test)

    def stopTest(self, test):
        self.say(self.outcome, test)
        super().stopTest(test)

    def trouble(self, test, err, outcome):
        """Not ok; what was raised goes to the log."""
        self.outcome = outcome
        print(f"--- {outcome} {test.id()}\n{self._exc_info_to_string(err, test)}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self.trouble(test, err, "error")
        if not isinstance(test, unittest.TestCase):  # setUpClass, setUpModule: its cases do not begin
            self.say("error", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble(test, err, "fail")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.trouble(test, err, "fail")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome = "skip"


def through_tunnel():
    """Moves loopback addresses behind the exit, at the floor of Python's socket class."""
    real = socket.socket
    listening = weakref.WeakSet()  # those whose address was moved

    def there(address):
        return (PUBLIC, *address[1:]) if isinstance(address, tuple) and address[0] in HERE else address

    def here(address):
        known = isinstance(address, tuple) and address and address[0] in (PUBLIC, EXIT)
        return ("127.0.0.1", *address[1:]) if known else address

    def streams(self):
        return self.family == socket.AF_INET and self.type == socket.SOCK_STREAM

    def connect(self, address):
        return super(real, self).connect(there(address) if streams(self) else address)

    def connect_ex(self, address):
        return super(real, self).connect_ex(there(address) if streams(self) else address)

    def bind(self, address):
        if streams(self) and isinstance(address, tuple) and address[0] in HERE[:2]:
            address = ("", *address[1:])
            listening.add(self)
        return super(real, self).bind(address)

    def getsockname(self):
        name = here(super(real, self).getsockname())
        return ("127.0.0.1", *name[1:]) if self in listening and name[0] == "0.0.0.0" else name

    def getpeername(self):
        return here(super(real, self).getpeername())

    def accept(self):
        conn, address = plain_accept(self)
        return conn, here(address)

    plain_accept = real.accept
    for f in (accept, connect, connect_ex, bind, getsockname, getpeername):
        setattr(real, f.__name__, f)


def flat(suite):
    """All cases of a suite."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from flat(each)
        else:
            yield each


def wanted(args):
    """A test that says which cases are to run: not those that have begun before."""
    begun = set()
    if os.path.exists(args.journal):
        with open(args.journal, encoding="utf-8") as journal:
            begun = {line.split(" ", 1)[1].rstrip("\n") for line in journal if line.startswith("begin ")}

    def want(test):
        return (test not in begun and (not args.only or test in args.only.split()) and
                not any(fnmatch.fnmatchcase(test, p) for p in args.without.split()))
    return want


def main():
    """All cases that are wanted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tunnel", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--without", default="")
    parser.add_argument("module")
    parser.add_argument("journal")
    args = parser.parse_args()
    if args.tunnel:
        through_tunnel()
    from test import support  # pylint: disable=import-outside-toplevel
    support.LOOPBACK_TIMEOUT = LOOPBACK_S
    support.use_resources = ["cpu", "subprocess", "network"]
    want = wanted(args)
    try:
        tests = unittest.TestLoader().loadTestsFromName(args.module)
    except unittest.SkipTest as why:
        print("SKIP", why)
        return
    unittest.TestSuite([test for test in flat(tests) if want(test.id())]).run(Journal(args.journal))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # threads that a failed case left behind do not matter
