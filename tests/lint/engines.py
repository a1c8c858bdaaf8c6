#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Engines have no I/O: the undefined symbols of libmixnet_engines.a against an allow-list."""
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"^(socket|connect|bind|listen|accept4?|send\w*|recv\w*|read|write|open\w*|close|poll|epoll_\w+|select|"
    r"clock_gettime|time|gettimeofday|nanosleep|usleep|getrandom|getaddrinfo|pthread_\w+|fopen|printf|fprintf|puts|"
    r"log_line|loop_\w+|clock_system|rng_system|fork|exec\w*|getenv|secure_getenv|randombytes\w*)$")
# The only engines that allocate: reassembly takes its pool at start, JSON texts of the gateway link go through jansson.
MAY_ALLOCATE = {"nymrx", "gwproto", "gwserver", "gwjson"}

out = subprocess.run(["nm", "-u", "-A", sys.argv[1]], check=True, capture_output=True, text=True).stdout
bad = []
for line in out.splitlines():
    m = re.match(r".*?([\w.-]+)\.c\.o?:?.*\sU\s+(\w+)", line)
    if not m:
        continue
    obj, sym = m.group(1).split("_")[-1], m.group(2)
    if FORBIDDEN.match(sym):
        bad.append(f"{obj}: uses {sym}")
    if sym in ("malloc", "calloc", "realloc", "free", "strdup") and obj not in MAY_ALLOCATE:
        bad.append(f"{obj}: uses {sym}")
print("\n".join(bad) or "engines: no I/O, no clock, no allocation")
sys.exit(bool(bad))
