# SPDX-License-Identifier: Apache-2.0
"""A TCP server that does what the client's command lines say, so that a program can make any network event happen.

    say TEXT      sends TEXT                           rst        resets
    bytes N       sends N bytes (0, 1, ..., 250, 0)     fin        sends FIN, goes on reading
    urgent C      sends the character C as urgent      close      closes (a reset, when unread bytes wait)
    read N        reads N bytes                        sleep MS   does nothing for a while
    sync          sends "." so that the client knows all before it was done
    count         reads to the end, then sends how many bytes came
    watch KEY     reads to the end, keeps under KEY how it ended and how many bytes came
    ask KEY       sends what was kept under KEY, once it is there, as one line
    wake KEY      lets "await KEY" of another connection go on
    await KEY     waits for it
"""
import socket
import struct
import threading
import time

WAIT_S = 80  # longer than any program takes to fill what there is to be filled: else it is drained meanwhile, for ever
_kept = {}
_changed = threading.Condition()


def _keep(key, value):
    with _changed:
        _kept[key] = value
        _changed.notify_all()


def _wait(key):
    with _changed:
        _changed.wait_for(lambda: key in _kept, WAIT_S)
        return _kept.pop(key, "nothing")


def _line(conn):
    """One command; unread bytes stay in the kernel. None at the end."""
    text = b""
    while not text.endswith(b"\n"):
        c = conn.recv(1)
        if not c:
            return None
        text += c
    return text.decode().split()


def _drain(conn, limit=None):
    """How reading to the end went, and how many bytes came."""
    n = 0
    try:
        while limit is None or n < limit:
            data = conn.recv(65536 if limit is None else limit - n)
            if not data:
                return "end", n
            n += len(data)
    except ConnectionResetError:
        return "reset", n
    return "end", n


def _reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def _watch(conn, key):
    how, n = _drain(conn)
    _keep(key, f"{how} after {n} bytes")


COMMANDS = {
    "say": lambda c, text: c.sendall(text.encode()),
    "bytes": lambda c, n: c.sendall(bytes(i % 251 for i in range(int(n)))),
    "urgent": lambda c, char: c.send(char.encode(), socket.MSG_OOB),
    "read": lambda c, n: _drain(c, int(n)),
    "sync": lambda c: c.sendall(b"."),
    "count": lambda c: c.sendall(str(_drain(c)[1]).encode()),
    "watch": _watch,
    "ask": lambda c, key: c.sendall(_wait(key).encode() + b"\n"),
    "wake": lambda c, key: _keep(key, ""),
    "await": lambda c, key: _wait(key),
    "rst": _reset,
    "fin": lambda c: c.shutdown(socket.SHUT_WR),
    "close": lambda c: c.close(),
    "sleep": lambda c, ms: time.sleep(int(ms) / 1000),
}


def script(conn):
    """Serves one connection."""
    while words := _line(conn):
        COMMANDS[words[0]](conn, *words[1:])
        if conn.fileno() < 0:
            return
