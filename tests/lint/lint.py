#!/usr/bin/env python3
"""House rules that a compiler does not check. Prints every breach; exit status 1 when there is one.

layering   a file includes its own folder and lower levels, never a sibling (LEVEL, ALLOWED)
calls      exit, abort and MPI_Abort only in app/main.c; no sprintf, strcat, gets, atoi, system
printing   stdout belongs to src/app
backends   only backend_list.c names a built backend; headers of a backend stay inside it
size       a source file beyond 800 lines
paths      no machine paths, no registry hosts
"""
import re
import subprocess
import sys
from pathlib import Path

LEVEL = {
    "base": 0, "config": 0, "dist": 0,
    "tensor": 1, "backend": 1, "data": 1, "metrics": 1,
    "autograd": 2, "sampler": 2, "augment": 2,
    "nn": 3, "weights": 3, "text": 3,
    "models": 4,
    "generate": 5, "train": 5, "probe": 5,
    "sweep": 6, "report": 6, "bench": 6,
    "app": 7,
}
# One-way exceptions: (from, to).
ALLOWED = {
    ("config", "base"), ("dist", "base"), ("backend", "tensor"), ("weights", "nn"),
    ("report", "sweep"),
}
FORBIDDEN = [
    (re.compile(r"(?<![\w.>])(exit|abort|_exit|MPI_Abort)\s*\("), "ends the process", {"app/main.c", "dist/comm.c", "dist/peer.c"}),
    (re.compile(r"(?<![\w.>])(sprintf|strcat|strcpy|gets|atoi|atol|system|popen|tmpnam|rand|srand)\s*\("), "is forbidden", set()),
]
PRINTS = re.compile(r"(?<![\w.>])(printf|puts|putchar)\s*\(")
MACHINE = re.compile(r"/(work|farm|home/\w+|opt/\w+)/|pypi\.org|deb\.debian\.org")

breaches = []


def breach(path, line, text):
    breaches.append(f"{path}:{line}: {text}")


def without_comments(text):
    """Comments and string contents blanked, lines kept."""
    def blank(match):
        s = match.group(0)
        return '""' if s[0] == '"' else re.sub(r"[^\n]", " ", s)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def check_includes(path, rel, text):
    here = rel.parts[0]
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#include "([^"]+)"', line)
        if not match:
            continue
        target = match.group(1)
        if "/" not in target:
            continue
        there = target.split("/")[0]
        if there not in LEVEL:
            breach(path, number, f'includes "{target}": unknown folder (add it to LEVEL)')
        elif there != here and LEVEL[there] >= LEVEL[here] and (here, there) not in ALLOWED:
            breach(path, number, f"{here} (level {LEVEL[here]}) includes {there} (level {LEVEL[there]})")
        if there == "backend" and here != "backend":
            breach(path, number, "includes a backend's header")


def check_source(path):
    rel = path.relative_to("src")
    text = path.read_text()
    code = without_comments(text)
    check_includes(path, rel, text)
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, why, where in FORBIDDEN:
            match = pattern.search(line)
            if match and str(rel) not in where:
                breach(path, number, f"{match.group(1)} {why}")
        if rel.parts[0] != "app" and PRINTS.search(line):
            breach(path, number, "prints to stdout outside app/")
    if text.count("\n") > 800:
        breach(path, 1, f"{text.count(chr(10))} lines: name two things")


def check_headers_alone(compiler):
    libraries = subprocess.run(["pkg-config", "--cflags", "hdf5-openmpi", "ompi-c", "openblas"], capture_output=True,
                               text=True).stdout.split()
    flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-function",
             "-Isrc", *libraries, "-x", "c"]
    for header in sorted(Path("src").rglob("*.h")):
        run = subprocess.run([compiler, *flags, str(header)], capture_output=True, text=True)
        text = "\n".join(l for l in run.stderr.splitlines() if "pragma once" not in l)
        if run.returncode or "warning:" in text:
            breach(header, 1, "does not compile alone:\n" + text)


def project_files():
    """What git tracks; without git or a checkout, every file but what builds and runs leave behind."""
    try:
        tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True).stdout.split()
    except FileNotFoundError:
        tracked = []
    outside = {".git", "build", "results", "__pycache__"}
    return tracked or sorted(str(p) for p in Path(".").rglob("*") if p.is_file() and not outside & set(p.parts))


def main():
    for path in sorted(Path("src").rglob("*.[ch]")):
        check_source(path)
    check_headers_alone("gcc")
    tracked = project_files()
    for name in tracked:
        path = Path(name)
        if name == "tests/lint/lint.py" or not path.is_file():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = MACHINE.search(line)
            if match:
                breach(path, number, f"names a machine path or host: {match.group(0)}")
    for text in breaches:
        print(text)
    print(f"lint: {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
