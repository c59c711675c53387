#!/usr/bin/env python3
"""Measures augmint beside PyTorch and Pillow, in one run on one machine: `make bench`.

For every row: each way in which the peer can do it is tried once (bench_torch.py lists them); the fastest is then
measured against ours, repeat by repeat in turn (ours, theirs, ours, ...), with the same number of threads.
Only the Python standard library is needed here; what is not installed is named and left out.

    analysis/bench.py --program build/augmint --out build/bench [--rows resnet18-32,dcgan-1] [--python PYTHON]

Columns of the table:
    ours, theirs   median of the repeats in the row's unit, [least .. most]
    ratio          ours / theirs, of the medians; more is better for us
    bar            what the ratio shall be at least, "met" or "missed"; behind it what is aimed at
    floor          `augmint bench --help` says how it is reckoned: percent of what this machine could do at most
    peak           most memory of our process and of theirs, MiB
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIN_SEC = 0.25  # of a repeat, as in src/bench/bench.c
PEER_TIMEOUT_SEC = 900

# Ratio to the best peer: (bar, aim). The second pair counts where the processor computes in bf16.
PEER_ROWS = {
    "resnet18-32": ((1.4, 1.7), None),
    "resnet18-64": ((1.3, None), None),
    "resnet50-224": ((1.4, 1.7), (1.2, 1.4)),
    "predict-16": ((1.3, None), None),
    "predict-1": ((1.3, None), None),
    "dcgan-1": ((3.0, None), None),
    "dcgan-64": ((1.3, None), None),
    "decode": ((1.3, None), None),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the two sides ----

class Failed(Exception):
    pass


class Peer:
    """A Python that answers requests (bench_torch.py)."""

    def __init__(self, python):
        self.process = subprocess.Popen([python, str(HERE / "bench_torch.py"), "--serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"the process ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """augmint bench ROW --paced: one repeat for every line."""

    def __init__(self, run, row, precision):
        self.file = tempfile.NamedTemporaryFile(prefix="bench-", suffix=".json")
        self.process = subprocess.Popen(run.ours(row, "--paced", "--precision", precision, "--json", self.file.name),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait()

    def wait(self):
        line = self.process.stdout.readline()
        if line.startswith("ready"):
            return
        self.process.stdout.read()
        error = self.process.stderr.read().strip().splitlines()
        if self.process.wait():
            raise Failed(error[-1] if error else f"exit code {self.process.returncode}")

    def repeat(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.wait()

    def result(self):
        self.process.wait()
        return json.loads(Path(self.file.name).read_text())["rows"][0]


# ---- what is here ----

def pythons(given):
    """The Pythons that have PyTorch or Pillow: the given one, that of the path, Debian's."""
    found, seen = [], set()
    for python in [given, shutil.which("python3"), "/usr/bin/python3"]:
        if not python or not shutil.which(python):
            continue
        peer = Peer(python)
        try:
            about = peer.ask(do="about")
        except Failed as error:
            about = {"torch": None, "pillow": None, "error": str(error)}
        peer.end()
        key = (about["torch"], about["pillow"])
        if key == (None, None) or key in seen:
            continue
        seen.add(key)
        found.append({"path": python, **about})
    return found


def about_text(about):
    return f"Python {about['python']}, torch {about['torch'] or '-'}, Pillow {about['pillow'] or '-'}"


def variant_text(about, variant):
    if variant["mode"] == "Pillow":
        return f"Pillow {about['pillow']}"
    freeze = " frozen" if variant.get("freeze") else ""
    return f"torch {about['torch'].split('+')[0]} {variant['mode']} {variant['dtype']} {variant['layout']}{freeze}"


# ---- one row ----

class Run:
    def __init__(self, options):
        self.options = options
        self.pythons = pythons(options.python)
        self.rows, self.notes = [], []

    def ours(self, *words):
        o = self.options
        more = ["--tiny"] if o.tiny else []
        if o.images:
            more += ["--images", o.images]
        return [o.program, "bench", *words, "--threads", str(o.threads), "--repeats", str(o.repeats),
                "--results", str(o.out), *more]

    def open(self, peer, row, variant):
        return peer.ask(do="open", row=row, variant=variant, threads=self.options.threads, tiny=self.options.tiny,
                        images=self.options.images)

    def try_variant(self, row, about, peer, variant):
        """One measured run: {"text", "rate"} or {"text", "error"}."""
        found = {"text": variant_text(about, variant), "path": about["path"], "variant": variant}
        try:
            opened = self.open(peer, row, variant)
            steps = steps_for(opened["step_sec"])
            sec = min([opened["step_sec"]] + [peer.ask(do="time", steps=steps)["sec"] for _ in range(2)])
            found["rate"] = opened["items"] / sec
        except Failed as error:
            found["error"] = str(error)
        say(f"    {found['text']}: {number(found['rate']) if 'rate' in found else found['error']}")
        return found

    def try_all(self, row):
        """Every eager way on every Python, then the fastest of each compiled."""
        tried = []
        for about in self.pythons:
            peer, mine = Peer(about["path"]), []
            offer = peer.ask(do="variants", row=row)
            for variant in offer["variants"]:
                if peer.process.poll() is not None:  # the one before took the process with it
                    peer = Peer(about["path"])
                mine.append(self.try_variant(row, about, peer, variant))
            peer.end()
            best = fastest(mine)
            if best and offer["compiled"]:
                peer = Peer(about["path"])
                mine.append(self.try_variant(row, about, peer, {**best["variant"], "mode": "compile"}))
                peer.end()
            tried += mine
        return tried

    def precisions(self, row):
        network = not row.startswith("decode")
        return ["fp32", "bf16"] if network and self.has_bf16() else ["fp32"]

    def has_bf16(self):
        return any(a["bf16"] for a in self.pythons if "bf16" in a) or "bf16" in Path("/proc/cpuinfo").read_text()

    def open_ours(self, row):
        """Processes of ours that are warm, by precision; what failed, by precision."""
        warm, failed = {}, {}
        for precision in self.precisions(row):
            try:
                warm[precision] = Ours(self, row, precision)
            except Failed as error:
                failed[precision] = str(error)
                say(f"    ours {precision}: {error}")
        return warm, failed

    def beside(self, row):
        """A row against the best peer."""
        say(f"{row}")
        tried = self.try_all(row)
        best = fastest(tried)
        ours, failed = self.open_ours(row)
        theirs = {"sec": [], "cpu_sec": []}
        if best:
            peer = Peer(best["path"])
            opened = self.open(peer, row, best["variant"])
            steps = steps_for(opened["step_sec"])
        for _ in range(self.options.repeats):
            for process in ours.values():
                process.repeat()
                if best:
                    answer = peer.ask(do="time", steps=steps)
                    theirs["sec"].append(answer["sec"])
                    theirs["cpu_sec"].append(answer["cpu_sec"])
        result = {"name": row, "ours": {p: process.result() for p, process in ours.items()}, "failed": failed,
                  "tried": tried, "theirs": None}
        if best:
            result["theirs"] = {"text": best["text"], "items": opened["items"], **theirs,
                                "peak_bytes": peer.ask(do="close")["peak_bytes"]}
            peer.end()
        self.rows.append(result)
        for line in row_lines(result, self.has_bf16()):
            print(line, flush=True)


def steps_for(sec):
    return max(1, math.ceil(MIN_SEC / max(sec, 1e-9)))


def fastest(tried):
    measured = [t for t in tried if "rate" in t]
    return max(measured, key=lambda t: t["rate"]) if measured else None


# ---- text ----

def number(x):
    return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def rates(side):
    return [side["items"] / sec for sec in side["sec"]]


def spread(side):
    r = rates(side)
    return f"{number(statistics.median(r))} [{number(min(r))} .. {number(max(r))}]"


def cpu_rate(side):
    return number(side["items"] / statistics.median(side["cpu_sec"]))


HEAD = f"{'row':<13} {'who':<42} {'images/s':>24} {'per CPU-s':>9} {'ratio':>6} {'bar':>17} {'floor':>6} {'peak MiB':>8}"


def row_lines(result, bf16):
    ours = sorted(result["ours"].items(), key=lambda item: -statistics.median(rates(item[1])))
    theirs = result["theirs"]
    bar, aim = PEER_ROWS[result["name"]][1 if bf16 and PEER_ROWS[result["name"]][1] else 0]
    name = result["name"]
    for i, (precision, side) in enumerate(ours):
        ratio = verdict = ""
        if theirs:
            r = statistics.median(rates(side)) / statistics.median(rates(theirs))
            ratio = f"{r:.2f}x"
            if i == 0:
                verdict = f"{bar:g}x {'met' if r >= bar else 'missed'}" + (f" (aim {aim:g}x)" if aim else "")
        floor = side["floor_sec"] / statistics.median(side["sec"])
        yield (f"{name:<13} {'augmint ' + side['precision']:<42} {spread(side):>24} {cpu_rate(side):>9} {ratio:>6} "
               f"{verdict:>17} {f'{100 * floor:.0f} %' if floor else '-':>6} {side['peak_bytes'] / 2**20:>8.0f}")
        name = ""
    for precision, error in result["failed"].items():
        yield f"{name:<13} augmint {precision}: {error}"
        name = ""
    if theirs:
        yield (f"{name:<13} {theirs['text']:<42} {spread(theirs):>24} {cpu_rate(theirs):>9} {'':>6} {'':>17} {'':>6} "
               f"{theirs['peak_bytes'] / 2**20:>8.0f}")
    else:
        yield f"{name:<13} no peer: nothing here can do this"


# ---- the whole ----

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/augmint")
    parser.add_argument("--out", default="build/bench", type=Path)
    parser.add_argument("--rows", default="", help="comma-separated; default: all")
    parser.add_argument("--python", help="a Python with PyTorch, beside that of the path and Debian's")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", help="folder of JPEG photographs")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it works, not how fast")
    options = parser.parse_args()
    options.program = str(Path(options.program).resolve())
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    wanted = options.rows.split(",") if options.rows else list(PEER_ROWS)
    for about in run.pythons:
        print(f"peer: {about['path']}: {about_text(about)}")
    if not any(a["torch"] for a in run.pythons):
        print("peer: no PyTorch here (apt install python3-torch, or BENCH_PYTHON=...): ours alone")
    print(HEAD)
    for row in wanted:
        run.beside(row)
    file = options.out / "bench.json"
    file.write_text(json.dumps({"format": "augmint-bench-beside-1", "pythons": run.pythons, "rows": run.rows}, indent=1))
    print(f"everything: {file}")


if __name__ == "__main__":
    main()
