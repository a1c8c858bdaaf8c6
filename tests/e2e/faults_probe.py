#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Uses the network like an ordinary program while the network fails (e_faults.py), and says what it saw.

One connection that is quiet, a download and an upload by curl, a DNS question each second on one UDP socket, a new
connection each second. Each event is a JSON line: what, began, took, result (0, or the errno, or curl's code). A line on standard input
ends it: then the quiet connection is used once more.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

WEB, ECHO, DNS, NAME, FOLDER, SIZE, DOWN, UP = sys.argv[1:9]  # bytes; bytes per second
lock = threading.Lock()
over = threading.Event()


def say(what, began, result, **more):
    """One event."""
    with lock:
        print(json.dumps({"what": what, "began": began, "took": time.monotonic() - began, "result": result, **more}),
              flush=True)


def attempt(what, action):
    """Runs action and tells how it ended."""
    began = time.monotonic()
    try:
        action()
        result = 0
    except TimeoutError:
        result = "timeout"
    except OSError as e:
        result = e.errno
    say(what, began, result)
    return result


def fetch_small():
    """A new connection and a short answer."""
    with socket.create_connection((WEB, 80), 100) as s:
        s.sendall(b"GET /small HTTP/1.0\r\n\r\n")
        if not s.makefile("rb").read().endswith(b"small file\n"):
            raise OSError(5, "not the file")


def connects():
    """A new connection each second, also when earlier ones are stuck."""
    while not over.wait(1):
        threading.Thread(target=attempt, args=("connect", fetch_small), daemon=True).start()


def questions():
    """DNS by hand, so that no cache answers."""
    name = b"".join(bytes([len(p)]) + p.encode() for p in NAME.split(".")) + b"\0"
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((DNS, 53))
        s.settimeout(3)

        def ask():
            s.send(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1))
            while struct.unpack(">H", s.recv(512)[:2])[0] != number:
                pass  # an answer to an earlier question

        while not over.wait(1):
            number += 1
            attempt("dns", ask)


def downloads():
    """curl, again and again; so slow that a fault comes in the middle."""
    number = 0
    while not over.is_set():
        number += 1
        path = os.path.join(FOLDER, f"download{number}")
        began = time.monotonic()
        p = subprocess.run(["curl", "-sS", "--limit-rate", DOWN, "-m", "400", "-r", f"0-{int(SIZE) - 1}", "-o", path, f"http://{WEB}/file"],
                           stderr=subprocess.PIPE, text=True, check=False)
        say("download", began, p.returncode, why=p.stderr.strip())
        over.wait(1)


def uploads():
    """curl the other way; the server answers the checksum of what it got."""
    while not over.is_set():
        began = time.monotonic()
        p = subprocess.run(["curl", "-sS", "--limit-rate", UP, "-m", "400", "-T", os.path.join(FOLDER, "up"),
                            "-w", " %{size_upload}", f"http://{ECHO}/"], capture_output=True, text=True, check=False)
        sha, _, sent = p.stdout.strip().rpartition(" ")
        say("upload", began, p.returncode, why=p.stderr.strip(), sha=sha, sent=sent)
        over.wait(1)


def main():
    """Everything at once."""
    quiet = socket.create_connection((ECHO, 7), 45)
    quiet.sendall(b"a")
    assert quiet.recv(1) == b"a"
    for job in (connects, questions, downloads, uploads):
        threading.Thread(target=job, daemon=True).start()

    def wait_quietly():
        quiet.settimeout(None)
        assert quiet.recv(1) == b"b"

    listener = threading.Thread(target=lambda: attempt("quiet", wait_quietly))
    listener.start()
    say("ready", time.monotonic(), 0)
    sys.stdin.readline()
    over.set()
    try:
        quiet.sendall(b"b")
    except OSError:
        pass  # the listener has said so
    listener.join(40)
    say("end", time.monotonic(), 0)
    os._exit(0)  # the other jobs may be in the middle of something


main()
