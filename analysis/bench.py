#!/usr/bin/env python3
"""Measures augmint beside PyTorch and Pillow, in one run on one machine: `make bench`.

For every row: each way in which the peer can do it is tried once (bench_torch.py lists them); the fastest is then
measured against ours, repeat by repeat in turn (ours, theirs, ours, ...), with the same number of threads.
Only the Python standard library is needed here; what is not installed is named and left out.

    analysis/bench.py --program build/augmint --out build/bench [--rows resnet18-32,dcgan-1] [--python PYTHON]

Columns of the table:
    median      of the repeats' rates (images/s where nothing else is said), [least .. most]; of commands: ms
    per CPU-s   the same per second of processor time: comparable on a machine that does other things
    ratio       ours / theirs, of the medians of this run: more is better for us (of commands: theirs / ours)
    bar         what the ratio (or rate, or time) shall be, met or missed; behind it what is aimed at
    floor       `augmint bench --help` says how it is reckoned: percent of what this machine could do at most
    peak MiB    most memory of the process
"""
import argparse
import json
import math
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIN_SEC = 0.25  # of a repeat, as in src/bench/bench.c
PEER_TIMEOUT_SEC = 900

# Rows against the best peer: (bar, aim) of the ratio. The second pair counts where the processor computes in bf16.
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

FP32_ROWS = ("decode",)  # ours has no other type for these
# Rows of ours alone: what is compared with the bar, and the bar.
ALONE_ROWS = {
    "shard-read": ("images/s", 1e6),
    "shard-write": ("of the disk's rate", 0.5),
    "loader": (None, None),
    "loader-photos": (None, None),
    "sgd": (None, None),
    "adam": (None, None),
}
# Two ranks of one thread against one rank of two: the row that is compared, and the bar of the ratio.
RANK_ROWS = {"resnet18-32-ranks": ("resnet18-32", 1.0), "allreduce": (None, None)}
COMMAND_ROWS = ("start", "plan", "plan-1000", "status-1000", "predict-folder")
COMMAND_BAR_MS = {"start": 50, "plan": 50, "plan-1000": 500, "status-1000": 1000}
ROWS = (*PEER_ROWS, *ALONE_ROWS, *RANK_ROWS, *COMMAND_ROWS)

# 5 arms x 2 models x 10 seeds; the signs are drawn by the program.
PLAN = """\
name: bench-plan
question: How long does it take to plan 100 cells?
data:
  train: {manifest: signs, split: train, size: 32}
  test: {split: test}
arms:
  real: {train: [real]}
  flipped: {train: [real], augment: [horizontal_flip]}
  cropped: {train: [real], augment: [random_crop]}
  turned: {train: [real], augment: [rotation]}
  blurred: {train: [real], augment: [gaussian_blur]}
models:
  wide: {kind: resnet18_cifar, width: 16}
  narrow: {kind: resnet18_cifar, width: 8}
train: {epochs: 1}
seeds: 10
evaluate: [accuracy]
"""

# 5 x 10 arms x 2 models x 10 seeds: 2,002 stages.
PLAN_1000 = """\
name: bench-plan-1000
question: How long does it take to plan 1,000 cells, and to look at them when they are done?
data:
  train: {manifest: signs, split: train, size: 32}
  test: {split: test}
matrix: {degrees: [10, 20, 30, 40, 50], epochs: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}
arms:
  turned ${degrees} ${epochs}:
    {train: [real], augment: [{rotation: {degrees: "${degrees}"}}], override: {epochs: "${epochs}"}}
models:
  wide: {kind: resnet18_cifar, width: 16}
  narrow: {kind: resnet18_cifar, width: 8}
seeds: 10
evaluate: [accuracy]
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the two sides ----

class Failed(Exception):
    pass


def pretend_to_have_run(program, folder):
    """folder/all: a store with every artefact of folder/plan.yaml, as far as a look at it can tell."""
    # Commands that take the place of Slurm's: what is submitted lists every address.
    for name, text in (("sbatch", "echo 1"), ("squeue", "true")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "site.yaml").write_text("ranks_per_node: 1\n")
    done = subprocess.run([program, "submit", folder / "plan.yaml", "--profile", folder / "site.yaml",
                           "--results", folder / "all"], capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
    if done.returncode:
        raise Failed(done.stderr.strip())
    submission = json.loads(next((folder / "all").glob("slurm/*/submission.json")).read_text())
    for task in (t for array in submission["arrays"] for t in array["tasks"]):
        for address in task["stages"]:
            artefact = folder / "all" / "store" / address[:2] / address
            artefact.mkdir(parents=True)
            (artefact / "DONE").touch()


STARTED = []  # processes of both sides


class Peer:
    """A Python that answers requests (bench_torch.py)."""

    def __init__(self, python, row=None):
        command = [python, str(HERE / "bench_torch.py"), "--serve"] + (["--no-torch"] if row == "decode" else [])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        STARTED.append(self.process)

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
        STARTED.append(self.process)
        self.wait()

    def wait(self):
        line = self.process.stdout.readline()
        if line.startswith("ready"):
            return
        self.process.stdout.read()
        error = self.process.stderr.read().strip().splitlines()
        if self.process.wait():
            raise Failed(error[-1] if error else f"exit code {self.process.returncode}")

    def begin(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def repeat(self):
        self.begin()
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


def draw(found, folder):
    """A folder of drawn pictures; None where no Python here has Pillow."""
    about = next((a for a in found if a["pillow"]), None)
    if not about:
        return None
    peer = Peer(about["path"], "decode")
    peer.ask(do="draw", path=folder)
    peer.end()
    return folder


# ---- one row ----

class Run:
    def __init__(self, options):
        self.options = options
        self.pythons = [] if options.alone else pythons(options.python)
        self.rows, self.notes = [], []

    def ours(self, *words, threads=None):
        o = self.options
        more = (["--tiny"] if o.tiny else []) + (["--device", o.device] if o.device != "cpu" else [])
        if o.images:
            more += ["--images", o.images]
        return [o.program, "bench", *words, "--threads", str(threads or o.threads), "--repeats", str(o.repeats),
                "--results", str(o.out), *more]

    def open(self, peer, row, variant):
        return peer.ask(do="open", row=row, variant=variant, threads=self.options.threads, tiny=self.options.tiny,
                        images=self.options.images, device=self.options.device)

    def try_variant(self, row, about, peer, variant):
        """One measured run: {"text", "rate"} or {"text", "error"}."""
        found = {"text": variant_text(about, variant), "path": about["path"], "variant": variant}
        try:
            opened = self.open(peer, row, variant)
            steps = steps_for(opened["step_sec"])
            tries = 1 if opened["step_sec"] > 1 else 2
            sec = min([opened["step_sec"]] + [peer.ask(do="time", steps=steps)["sec"] for _ in range(tries)])
            found["rate"] = opened["items"] / sec
        except Failed as error:
            found["error"] = str(error)
        say(f"    {found['text']}: {number(found['rate']) if 'rate' in found else found['error']}")
        return found

    def try_all(self, row):
        """Every eager way on every Python, then the fastest of each compiled."""
        tried = []
        for about in self.pythons:
            peer, mine = Peer(about["path"], row), []
            offer = peer.ask(do="variants", row=row, device=self.options.device)
            for variant in offer["variants"]:
                if peer.process.poll() is not None:  # the one before took the process with it
                    peer = Peer(about["path"], row)
                mine.append(self.try_variant(row, about, peer, variant))
            peer.end()
            best = fastest(mine)
            for mode in offer["compiled"] if best else ():
                peer = Peer(about["path"], row)
                mine.append(self.try_variant(row, about, peer, {**best["variant"], "mode": mode}))
                peer.end()
            tried += mine
        return tried

    def precisions(self, row):
        if row in FP32_ROWS:
            return ["fp32"]
        return ["fp32"] + ["tf32"] * (self.options.device == "cuda") + ["bf16"] * self.has_bf16()

    def has_bf16(self):
        return self.options.device == "cuda" or any(a["bf16"] for a in self.pythons if "bf16" in a) or "bf16" in Path("/proc/cpuinfo").read_text()

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

    def machine(self):
        """The fingerprint, as augmint writes it."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([self.options.program, "bench", "loader", "--tiny", "--repeats", "1", "--results",
                            str(self.options.out), "--json", file.name], capture_output=True)
            return json.loads(Path(file.name).read_text())["machine"]

    def emit(self, result, lines):
        self.rows.append(result)
        for line in lines:
            print(line, flush=True)

    def measure(self, row):
        say(row)
        if row in PEER_ROWS:
            self.beside(row)
        elif row in ALONE_ROWS:
            self.alone(row)
        elif row in RANK_ROWS:
            self.ranks(row)
        else:
            self.command(row)

    def measured(self, command, environment=None):
        """The row that `command` (augmint bench ...) writes."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = subprocess.run([*command, "--json", file.name], capture_output=True, text=True,
                                  env={**os.environ, **(environment or {})})
            if done.returncode:
                raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
            return json.loads(Path(file.name).read_text())["rows"][0]

    def alone(self, row):
        try:
            side = self.measured(self.ours(row))
        except Failed as error:
            self.emit({"name": row, "failed": {"": str(error)}}, [f"{row:<17} augmint: {error}"])
            return
        what, bar = ALONE_ROWS[row]
        verdict = ""
        if what == "images/s":
            verdict = f"{bar:.0e} {met(median_rate(side) >= bar)}"
        elif bar:
            share = statistics.median(side["reference_sec"]) / statistics.median(side["sec"])
            verdict = f"{100 * bar:.0f} % {met(share >= bar)}"
        who = f"augmint, {side['unit']}"
        if side["reference_sec"]:
            share = statistics.median(side["reference_sec"]) / statistics.median(side["sec"])
            who += f"; {100 * share:.0f} % of {side['reference']}"
        self.emit({"name": row, "ours": {"": side}}, [table_line(row, who, side, verdict=verdict)])

    def ranks(self, row):
        """Under mpirun, two ranks with half of the threads each."""
        base, bar = RANK_ROWS[row]
        if not shutil.which("mpirun"):
            self.emit({"name": row}, [f"{row:<17} no mpirun here"])
            return
        root = {f"OMPI_ALLOW_RUN_AS_ROOT{s}": "1" for s in ("", "_CONFIRM")}
        mpirun = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2"]
        threads = max(1, self.options.threads // 2)
        try:
            side = self.measured([*mpirun, *self.ours(row, threads=threads)], root)
            one = self.measured(self.ours(base)) if base else None
        except Failed as error:
            self.emit({"name": row, "failed": {"": str(error)}}, [f"{row:<17} augmint: {error}"])
            return
        who = f"augmint, 2 ranks x {threads} threads, {side['unit']}"
        ratio = verdict = ""
        if side["reference_sec"]:
            share = statistics.median(side["reference_sec"]) / statistics.median(side["sec"])
            who += f"; {100 * share:.0f} % of {side['reference']}"
        if one:
            r = median_rate(side) / median_rate(one)
            ratio, verdict = f"{r:.2f}x", f"{bar:g}x {met(r >= bar)}"
        lines = [table_line(row, who, side, ratio, verdict)]
        if one:
            lines.append(table_line("", f"augmint, 1 rank x {one['threads']} threads", one))
        self.emit({"name": row, "ours": {"ranks": side, **({"one": one} if one else {})}}, lines)

    def command(self, row):
        """Whole commands, by hyperfine."""
        if not shutil.which("hyperfine"):
            self.emit({"name": row}, [f"{row:<17} no hyperfine here (.ci/install bench)"])
            return
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                sides = getattr(self, "command_" + row.replace("-", "_"))(Path(folder))
            except Failed as error:
                self.emit({"name": row, "failed": {"": str(error)}}, [f"{row:<17} {error}"])
                return
            names = list(sides)
            file = Path(folder) / "times.json"
            done = subprocess.run(["hyperfine", "-N", "--warmup", "1", "--export-json", str(file),
                                   *(shlex.join(map(str, c)) for c in sides.values())], capture_output=True, text=True)
            if done.returncode:
                error = (done.stderr.strip().splitlines() or ["hyperfine failed"])[-1]
                self.emit({"name": row, "failed": {"": error}}, [f"{row:<17} {error}"])
                return
            times = dict(zip(names, json.loads(file.read_text())["results"]))
        self.emit({"name": row, "times": times}, list(command_lines(row, times)))

    def command_start(self, folder):
        return {"augmint --help": [self.options.program, "--help"]}

    def command_plan(self, folder):
        (folder / "plan.yaml").write_text(PLAN)
        return {"augmint plan, 100 cells": [self.options.program, "plan", folder / "plan.yaml", "--results", folder]}

    def command_plan_1000(self, folder):
        (folder / "plan.yaml").write_text(PLAN_1000)
        return {"augmint plan, 1000 cells": [self.options.program, "plan", folder / "plan.yaml", "--results", folder]}

    def command_status_1000(self, folder):
        """Of a store that has nothing, and of one that has everything."""
        (folder / "plan.yaml").write_text(PLAN_1000)
        pretend_to_have_run(self.options.program, folder)
        return {f"augmint status, 1000 cells {what}": [self.options.program, "status", folder / "plan.yaml",
                                                       "--results", folder / results]
                for what, results in (("missing", "none"), ("done", "all"))}

    def command_predict_folder(self, folder):
        """ResNet-50 over a folder of photographs: from start to logits on disk."""
        python = next((a for a in self.pythons if a["torch"] and a["pillow"]), None)
        if not python or not self.options.images:
            raise Failed("needs a Python with torch and Pillow, and photographs (BENCH_IMAGES=DIR)")
        weights, out = folder / "resnet50", folder / "out"
        peer = Peer(python["path"])
        peer.ask(do="export", path=str(weights))
        peer.end()
        threads = str(self.options.threads)
        sides = {"augmint predict": [self.options.program, "predict", "--model", "resnet50", "--weights",
                                     f"{weights}.safetensors", "--images", self.options.images, "--preprocess",
                                     "imagenet", "--out", f"{out}.h5", "--threads", threads]}
        for about in self.pythons:
            if about["torch"] and about["pillow"]:
                sides[f"torch {about['torch'].split('+')[0]} script"] = [
                    about["path"], HERE / "bench_torch.py", "--predict", f"{weights}.pt", self.options.images,
                    f"{out}.npy", threads]
        return sides

    def beside(self, row):
        """A row against the best peer."""
        tried = self.try_all(row)
        best = fastest(tried)
        ours, failed = self.open_ours(row)
        theirs = {"sec": [], "cpu_sec": []}
        if best:
            peer = Peer(best["path"], row)
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
        self.emit(result, row_lines(result, self.has_bf16()))


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


def median_rate(side):
    return statistics.median(rates(side))


def met(good):
    return "met" if good else "missed"


HEAD = f"{'row':<17} {'who':<52} {'median [min .. max]':>26} {'per CPU-s':>9} {'ratio':>6} {'bar':>17} {'floor':>6} {'peak MiB':>8}"


def table_line(name, who, side, ratio="", verdict=""):
    r = rates(side)
    floor = side.get("floor_sec", 0) / statistics.median(side["sec"])
    return (f"{name:<17} {who:<52} {f'{number(median_rate(side))} [{number(min(r))} .. {number(max(r))}]':>26} "
            f"{number(side['items'] / statistics.median(side['cpu_sec'])):>9} {ratio:>6} {verdict:>17} "
            f"{f'{100 * floor:.0f} %' if floor else '-':>6} {side['peak_bytes'] / 2**20:>8.0f}")


def row_lines(result, bf16):
    name, theirs = result["name"], result["theirs"]
    bar, aim = PEER_ROWS[name][1 if bf16 and PEER_ROWS[name][1] else 0]
    ours = sorted(result["ours"].values(), key=median_rate, reverse=True)
    for i, side in enumerate(ours):
        ratio = verdict = ""
        if theirs:
            r = median_rate(side) / median_rate(theirs)
            ratio = f"{r:.2f}x"
            if i == 0:
                verdict = f"{bar:g}x {met(r >= bar)}" + (f" (aim {aim:g})" if aim else "")
        yield table_line(name, f"augmint {side['precision']}", side, ratio, verdict)
        name = ""
    for precision, error in result["failed"].items():
        yield f"{name:<17} augmint {precision}: {error}"
        name = ""
    if theirs:
        yield table_line(name, theirs["text"], theirs)
        if result["name"] != "decode" and ours and ours[0]["peak_bytes"] > theirs["peak_bytes"]:
            yield f"{name:<17} memory: missed, our peak is larger than theirs"
    else:
        yield f"{name:<17} no peer: nothing here can do this"


def command_lines(row, times):
    ours = None
    for who, t in times.items():
        ms, low, high = (1e3 * t[k] for k in ("median", "min", "max"))
        ratio = f"{ms / ours:.2f}x" if ours else ""
        ours = ours or ms
        bar = COMMAND_BAR_MS.get(row)
        verdict = f"{bar} ms {met(ms <= bar)}" if bar else ""
        text = f"{number(ms)} ms [{number(low)} .. {number(high)}]"
        yield f"{row:<17} {who:<52} {text:>26} {'':>9} {ratio:>6} {verdict:>17}"
        row = row if bar else ""


# ---- the whole ----

def photographs():
    """Full-size photographs of the test data, where there are any."""
    folder = Path(os.environ.get("AUGMINT_TEST_DATA", "/nonexistent")) / "aga-classes"
    return str(folder) if folder.is_dir() else None



def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/augmint")
    parser.add_argument("--out", default="build/bench", type=Path)
    parser.add_argument("--rows", default="", help="comma-separated; default: all")
    parser.add_argument("--python", help="a Python with PyTorch, beside that of the path and Debian's")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", default=photographs(), help="folder of photographs; default: drawn pictures")
    parser.add_argument("--alone", action="store_true", help="ours, without looking for anything to compare with")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it works, not how fast")
    parser.set_defaults(device="cpu")
    options = parser.parse_args()
    options.program = str(Path(options.program).resolve())
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = tempfile.TemporaryDirectory(prefix="bench-pictures-")
    run = Run(options)
    wanted = options.rows.split(",") if options.rows else ROWS
    unknown = [r for r in wanted if r not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}: {', '.join(ROWS)}")
    for about in run.pythons:
        print(f"peer: {about['path']}: {about_text(about)}")
    if not any(a["torch"] for a in run.pythons):
        print("peer: no PyTorch (apt install python3-torch, or BENCH_PYTHON=...): ours alone")
    if not options.images and run.pythons:
        options.images = draw(run.pythons, pictures.name)
    print(f"photographs: {options.images or 'none: the row decode draws its own'}")
    print(HEAD)
    for row in wanted:
        run.measure(row)
    machine = run.machine()
    ours = {"format": "augmint-bench-1", "machine": machine,
            "rows": [side for row in run.rows for side in row.get("ours", {}).values()]}
    (options.out / "ours.json").write_text(json.dumps(ours, indent=1))
    file = options.out / "bench.json"
    file.write_text(json.dumps({"format": "augmint-bench-beside-1", "machine": machine, "pythons": run.pythons,
                                "threads": options.threads, "rows": run.rows}, indent=1))
    print(f"everything: {file}; ours, for augmint bench --against: {options.out / 'ours.json'}")


if __name__ == "__main__":
    main()
