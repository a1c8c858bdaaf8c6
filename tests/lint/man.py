#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages name what --help names: every option and variable of smolmix-run and every option of smolmix-localnet, and
no others; the README's table has no option that does not exist."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
VARIABLE = re.compile(r"\bSMOLMIX_[A-Z_]+")
ELSEWHERE = {"SMOLMIX_SOCKET"}  # the command's, not the user's
bad = []


def compare(page, words, of_help):
    """Both name the same."""
    for word in sorted(words - of_help):
        bad.append(f"doc/man/{page}: {word} is not in --help")
    for word in sorted(of_help - words):
        bad.append(f"doc/man/{page}: {word} is missing")


options = {}
for program in map(pathlib.Path, sys.argv[1:]):
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    page = program.name + ".1"
    roff = (ROOT / "doc/man" / page).read_text()
    section = roff.split(".SH OPTIONS")[1].split("\n.SH ")[0].replace("\\-", "-")
    tagged = "\n".join(re.findall(r"^\.TP\n(.*)$", section, re.M))
    listed = "\n".join(line for line in text.splitlines() if re.match(r" +-", line))
    options[program.name] = set(OPTION.findall(" ".join(re.findall(r"^ +((?:-\S+ ?|-\w, )+(?: +--\w+)*)", listed, re.M))))
    compare(page, set(OPTION.findall(tagged)), options[program.name])
    compare(page, set(VARIABLE.findall(roff)) - ELSEWHERE, set(VARIABLE.findall(text)))
table = re.findall(r"^\| (`-.*?) \|", (ROOT / "README.md").read_text(), re.M)
for word in sorted(set(OPTION.findall(" ".join(table).replace("`", " "))) - options["smolmix-run"]):
    bad.append(f"README.md: {word} is no option of smolmix-run")
print("\n".join(bad) or f"man: {sum(map(len, options.values()))} options documented")
sys.exit(bool(bad))
