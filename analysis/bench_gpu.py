#!/usr/bin/env python3
"""Measures augmint beside PyTorch on one card, in one run: `make bench-gpu`, or bench-gpu in the bundle.

The way of bench.py: each way in which PyTorch can do a row is tried once (fp32 with TF32 and bf16 autocast, both layouts,
eager; the fastest of them compiled as well); the best is measured against ours, repeat by repeat in turn.

    analysis/bench_gpu.py --program build/augmint --out build/bench-gpu [--rows ...] [--python PYTHON] [--repeats N]

Then ten fits of P2's DCGAN at once, in processes that share the card, beside one alone: taking turns on it, and, where
NVIDIA's Multi-Process Service can be started, computing side by side. What has a bar (docs/gpu-runs.md) comes first; the files
are written anew after every row, so that what was measured stays when the time is over.

Columns: those of bench.py; `floor` is reckoned with this card's own ceilings, which stand above the table: a product of
8192 x 8192 random numbers in either type, and passes over arrays of a GiB, through our own ops. Rows of networks that are
not built yet are in the table by name. Exit status: 0 measured, 1 a row of ours failed or had no time, 3 no card.
`--device cpu --tiny` shows that the script works, not how fast anything is. FOLDER/bench-gpu.md is for docs/gpu-runs.md.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench

FITS_ROW = "fits"  # generators of ten classes, fitted at the same time by ten processes
ROWS = ("resnet50-224-256", "resnet18-32-512", "dcgan-1", FITS_ROW, "dcgan-128", "sgd", "adam")
AT_ONCE, FITS = 10, "dcgan-p2-32"
MPS = "nvidia-cuda-mps-control"
RATES = ("f32_flops", "bf16_flops", "read_bytes", "copy_bytes", "update_bytes")
NOT_BUILT = {"unet2d": "training step of a diffusion model's UNet", "inception": "features of Inception-v3 for FID"}


class OutOfTime(Exception):
    pass


def out_of_time(number, frame):
    raise OutOfTime


def find_card(run):
    """What augmint says of the device; leaves where there is none."""
    try:
        return run.measured(run.ours("sgd", "--tiny", "--here", "--repeats", "1"))
    except bench.Failed as error:
        print(f"no card: {str(error).removeprefix('augmint: ').removeprefix('error: ')}")
        sys.exit(3)


def ceilings_of(run):
    """The best of what every process of ours measured: some of them did while others still ran."""
    sides = [side for result in run.rows for side in result["ours"].values()]
    return {kind: max((side["rates"][kind] or 0 for side in sides), default=0) for kind in RATES}


def rate_text(rates):
    product = ", ".join(f"{kind[:-6]} {rates[kind] / 1e12:.4g} TFLOP/s" for kind in ("f32_flops", "bf16_flops")
                        if rates[kind])
    memory = ", ".join(f"{kind[:-6]} {rates[kind] / 1e9:.4g} GB/s" for kind in ("read_bytes", "copy_bytes", "update_bytes")
                       if rates[kind])
    return f"products: {product or 'none'}; memory: {memory}"


def share_of_product(side, rates):
    """Percent of the measured rate of products that a step's convolutions and products come to."""
    flops = sum(f["flops"] for f in side.get("profile", {}).get("families", ()))
    rate = rates["bf16_flops" if side["precision"] == "bf16" else "f32_flops"]
    return 100 * flops / statistics.median(side["sec"]) / rate if flops and rate else None


def share_of_memory(side, rates):
    """Percent of the measured rate of memory that a row in GB/s comes to."""
    rate = max(rates[kind] for kind in RATES if kind.endswith("_bytes"))
    return 100 * 1e9 * bench.median_rate(side) / rate if side["unit"] == "GB/s" and rate else None


def fits_at_once(run, count):
    """Images/s of `count` processes that share the card, from the start of the first to the end of the last: the median of the
    repeats but the last, after which a process measures ceilings."""
    crowd, spans = [bench.Ours(run, FITS, "fp32") for _ in range(count)], []
    for _ in range(run.options.repeats):
        began = time.monotonic()
        for fit in crowd:
            fit.begin()
        for fit in crowd:
            fit.wait()
        spans.append(time.monotonic() - began)
    images = sum(side["steps"] * side["items"] for side in (fit.result() for fit in crowd))
    return images / statistics.median(spans[:-1])


@contextlib.contextmanager
def service():
    """A Multi-Process Service of our own: processes that start meanwhile share the card through it."""
    folder = tempfile.mkdtemp(prefix="mps-")
    ours = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
    os.environ.update(ours)
    said = Path(folder) / "said"  # a file: the service keeps what it inherits open, and a pipe would never end
    try:
        with said.open("w") as out:
            status = subprocess.run([MPS, "-d"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=30).returncode
        if status:
            raise bench.Failed(f"{MPS}: {said.read_text().strip() or status}")
        yield
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired), said.open("a") as out:
            subprocess.run([MPS], input="quit\n", stdout=out, stderr=out, text=True, timeout=60)
        for name in ours:
            del os.environ[name]
        shutil.rmtree(folder, ignore_errors=True)


def fits_through_service(run):
    """Images/s of ten fits side by side, or why not."""
    if run.options.device == "cpu" or not shutil.which(MPS):
        return f"{MPS} is not here"
    try:
        with service():
            return fits_at_once(run, AT_ONCE)
    except (bench.Failed, OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def compare_fits(run):
    """Images/s of one fit after another, of ten in turns, of ten side by side (or why not); or why nothing was measured."""
    bench.say(f"{AT_ONCE} fits")
    try:
        return fits_at_once(run, 1), fits_at_once(run, AT_ONCE), fits_through_service(run)
    except bench.Failed as error:
        return str(error)


def fits_text(fits):
    if isinstance(fits, str):
        return f"failed: {fits}"
    alone, turns, beside = fits
    text = f"{bench.number(alone)} images/s one after the other; {bench.number(turns)} at once: {turns / alone:.2f}x"
    if isinstance(beside, str):
        return f"{text}; with MPS: not measured, {beside}"
    return f"{text}; {bench.number(beside)} with MPS: {beside / alone:.2f}x"


def percent(share):
    return "" if share is None else f"{share:.0f} %"


def markdown_rows(result, rates):
    name, theirs = result["name"], result["theirs"]
    for precision, error in result["failed"].items():
        yield f"| {name} | augmint {precision} | failed: {error} | | | |"
    for side in sorted(result["ours"].values(), key=bench.median_rate, reverse=True):
        ratio = f"{bench.median_rate(side) / bench.median_rate(theirs):.2f}x" if theirs else ""
        yield (f"| {name} | augmint {side['precision'] or 'fp32'} | {bench.number(bench.median_rate(side))} {side['unit']} | "
               f"{ratio} | {percent(share_of_product(side, rates))} | {percent(share_of_memory(side, rates))} |")
    if theirs:
        yield f"| | {theirs['text']} | {bench.number(bench.median_rate(theirs))} | | | |"
    else:
        yield "| | no PyTorch here can do this | | | | |"


def markdown(run, card, fits, missing):
    rates = ceilings_of(run)
    yield f"### bench-gpu: {card['device']}"
    yield ""
    yield f"Ceilings, measured through our ops: {rate_text(rates)}. Medians of {run.options.repeats} repeats" + \
        (", toy sizes: numbers without meaning." if run.options.tiny else ".")
    yield ""
    yield "| row | who | median | ours / theirs | of the product's rate | of memory's rate |"
    yield "|---|---|---|---|---|---|"
    for result in run.rows:
        yield from markdown_rows(result, rates)
    if fits:
        yield f"| {AT_ONCE} x {FITS} | augmint fp32 | {fits_text(fits)} | | | |"
    for name in missing:
        yield f"| {name} | not measured yet, or no time was left | | | | |"
    for name, what in NOT_BUILT.items():
        yield f"| {name} | {what} | not built yet | | | |"


def save(run, card, fits, missing, machine):
    """Both files, as far as things have come; returns their paths."""
    options = run.options
    files = options.out / "bench-gpu.json", options.out / "bench-gpu.md"
    files[0].write_text(json.dumps(
        {"format": "augmint-bench-beside-1", "machine": machine, "device": card["device"], "pythons": run.pythons,
         "threads": options.threads, "rows": run.rows, "fits": fits, "missing": missing}, indent=1))
    files[1].write_text("\n".join(markdown(run, card, fits, missing)) + "\n")
    return files


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/augmint")
    parser.add_argument("--out", default="build/bench-gpu", type=Path)
    parser.add_argument("--rows", default="", help=f"comma-separated; default: {','.join(ROWS)}")
    parser.add_argument("--python", help="a Python with PyTorch, beside that of the path and Debian's")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: to try the script")
    parser.add_argument("--alone", action="store_true", help="ours, without looking for PyTorch")
    parser.add_argument("--seconds", type=int, default=540, help="of all rows together; default: 540")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it works, not how fast")
    options = parser.parse_args()
    options.images = None
    options.program = str(Path(options.program).resolve())
    options.rows = options.rows.split(",") if options.rows else ROWS
    if options.repeats < 2:
        parser.error("--repeats is at least 2")
    unknown = [r for r in options.rows if r not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]}: {', '.join(ROWS)}")
    return options


def main():
    began = time.monotonic()
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    bench.PEER_ROWS.update({row: ((1.0, None), None) for row in ROWS})
    bench.FP32_ROWS += ("sgd", "adam")
    alone, options.alone = options.alone, True
    run = bench.Run(options)
    card = find_card(run)
    run.pythons = [] if alone else bench.pythons(options.python)
    if options.device == "cuda":
        for about in [a for a in run.pythons if not a.get("card")]:
            print(f"peer: {about['path']}: its PyTorch sees no card")
        run.pythons = [a for a in run.pythons if a.get("card")]
    run.pythons = [a for a in run.pythons if a["torch"]]
    print(f"device: {card['device']}")
    for about in run.pythons:
        print(f"peer: {about['path']}: {bench.about_text(about)}")
    print(bench.HEAD, flush=True)
    machine, missing, fits = run.machine(), list(options.rows), None
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(max(1, options.seconds - int(time.monotonic() - began)))
    try:
        while missing:
            if missing[0] == FITS_ROW:
                fits = compare_fits(run)
                print(f"{AT_ONCE} x {FITS:<12} {fits_text(fits)}", flush=True)
            else:
                bench.say(missing[0])
                run.beside(missing[0])
            missing.pop(0)
            save(run, card, fits, missing, machine)
    except OutOfTime:
        for process in bench.STARTED:
            process.kill()
        print(f"not measured: {', '.join(missing)}: {options.seconds} s are over")
    signal.alarm(0)
    files = save(run, card, fits, missing, machine)
    for name, what in NOT_BUILT.items():
        print(f"{name:<17} {what}: not built yet")
    print(f"ceilings: {rate_text(ceilings_of(run))}")
    print(f"everything: {files[0]}; for docs/gpu-runs.md: {files[1]}")
    sys.exit(bool(missing) or isinstance(fits, str) or any(result["failed"] or not result["ours"] for result in run.rows))


if __name__ == "__main__":
    main()
