#!/usr/bin/env python3
"""Draws the figures of an experiment from its results.h5, as PNG and PDF beside it.

    python3 analysis/figures.py results/quickstart [--out DIR] [--format png,pdf]

  accuracy    ours per arm and split: mean, standard deviation, every seed, and the published value where there is one
  curves      training loss and accuracy per epoch, mean and range over seeds
  fits        losses of the generators
  confusion   one matrix per arm, summed over seeds
  samples     generated images beside real ones
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from augmint_results import Results, load

COLORS = plt.get_cmap("tab10").colors


def color_of(arms: list[str]) -> dict:
    return {arm: COLORS[i % len(COLORS)] for i, arm in enumerate(arms)}


def title_of(r: Results) -> str:
    return r.name + ("  (tiny run: shows that it works, not what it shows)" if r.tiny else "")


def arms_of(r: Results) -> list[str]:
    return list(dict.fromkeys(r.cells["arm"])) if len(r.cells) else []


def accuracy(r: Results):
    data = r.metrics[r.metrics.metric == "accuracy"]
    if data.empty:
        return None
    splits, arms = list(dict.fromkeys(data.split)), arms_of(r)
    splits.sort(key=lambda s: s != "test")
    fig, axes = plt.subplots(1, len(splits), figsize=(2.2 + 3.0 * len(splits), 0.9 + 0.38 * len(arms)), sharey=True,
                             squeeze=False)
    for ax, split in zip(axes[0], splits):
        for y, arm in enumerate(arms):
            values = data[(data.split == split) & (data.arm == arm)].value.dropna().to_numpy()
            if not len(values):
                continue
            ax.plot(values, np.full(len(values), y), "o", ms=3, color="0.6", zorder=1)
            spread = values.std(ddof=1) if len(values) > 1 else 0
            ax.errorbar(values.mean(), y, xerr=spread, fmt="o", color=COLORS[0], capsize=3, zorder=2,
                        label="ours, mean and sd" if y == 0 else None)
            paper = r.published[(r.published.arm == arm) & (r.published.split == split)
                                & (r.published.metric == "accuracy")] if len(r.published) else []
            if len(paper):
                ax.plot(paper.value.iloc[0], y, "D", color=COLORS[3], ms=5, zorder=3,
                        label="published" if not ax.get_legend_handles_labels()[1].count("published") else None)
        ax.set_title(split)
        ax.set_xlabel("accuracy")
        ax.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(arms)), arms)
    axes[0][0].invert_yaxis()
    handles = {label: handle for ax in axes[0] for handle, label in zip(*ax.get_legend_handles_labels())}
    fig.legend(handles.values(), handles.keys(), loc="lower right", fontsize=8, frameon=False, ncols=2)
    fig.suptitle(title_of(r))
    fig.tight_layout(rect=(0, 0.04, 1, 1))
    return fig


def mean_and_range(ax, frame, label, color):
    by_epoch = frame.groupby("epoch").value
    mean = by_epoch.mean()
    ax.plot(mean.index, mean, color=color, label=label, lw=1.5)
    ax.fill_between(mean.index, by_epoch.min(), by_epoch.max(), color=color, alpha=0.15, lw=0)


def curves(r: Results):
    if r.history.empty:
        return None
    wanted = [c for c in ("train_loss", "train_accuracy", "watch_accuracy") if (r.history.column == c).any()]
    if not wanted:
        return None
    colors = color_of(arms_of(r))
    fig, axes = plt.subplots(1, len(wanted), figsize=(4.6 * len(wanted), 3.6), squeeze=False)
    for ax, column in zip(axes[0], wanted):
        part = r.history[r.history.column == column]
        for arm, color in colors.items():
            if (part.arm == arm).any():
                mean_and_range(ax, part[part.arm == arm], arm, color)
        ax.set_xlabel("epoch")
        ax.set_ylabel(column.replace("_", " "))
        ax.grid(alpha=0.3)
    axes[0][0].legend(fontsize=7, frameon=False)
    fig.suptitle(title_of(r))
    fig.tight_layout()
    return fig


def fits(r: Results):
    if r.fit_history.empty:
        return None
    generators = list(dict.fromkeys(r.fit_history.generator))
    fig, axes = plt.subplots(1, len(generators), figsize=(5 * len(generators), 3.4), squeeze=False)
    for ax, generator in zip(axes[0], generators):
        part = r.fit_history[(r.fit_history.generator == generator) & r.fit_history.column.isin(["d_loss", "g_loss"])]
        for i, column in enumerate(dict.fromkeys(part.column)):
            mean_and_range(ax, part[part.column == column], column.replace("_", " "), COLORS[i])
        # At the balance of the two networks D's loss is 2 ln 2 and G's is ln 2.
        ax.axhline(2 * np.log(2), color="0.5", lw=0.8, ls=":")
        ax.axhline(np.log(2), color="0.5", lw=0.8, ls=":")
        ax.set_title(generator)
        ax.set_xlabel("epoch")
        ax.legend(fontsize=8, frameon=False)
        ax.grid(alpha=0.3)
    fig.suptitle(title_of(r) + ": generator losses (dotted: balance)")
    fig.tight_layout()
    return fig


def confusion(r: Results):
    splits = r.confusion_splits()
    arms = arms_of(r)
    if not splits or not arms:
        return None
    split = "test" if "test" in splits else splits[0]
    sums = {}
    for row, cell in r.cells.iterrows():
        try:
            sums[cell.arm] = sums.get(cell.arm, 0) + r.confusion(row, split)
        except KeyError:
            continue  # a missing or failed cell
    if not sums:
        return None
    columns = min(4, len(sums))
    lines = -(-len(sums) // columns)
    fig, axes = plt.subplots(lines, columns, figsize=(2.7 * columns, 2.9 * lines), squeeze=False)
    for ax in axes.flat[len(sums):]:
        ax.axis("off")
    for ax, (arm, counts) in zip(axes.flat, sums.items()):
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(share, vmin=0, vmax=1, cmap="Blues")
        ax.set_title(arm, fontsize=9)
        ax.set_xlabel("predicted", fontsize=8)
        ax.set_ylabel("true", fontsize=8)
        if len(counts) <= 4:
            for (i, j), n in np.ndenumerate(counts):
                ax.text(j, i, int(n), ha="center", va="center", fontsize=8, color="w" if share[i, j] > 0.5 else "k")
        ax.set_xticks([])
        ax.set_yticks([])
    fig.suptitle(f"{title_of(r)}: {split}, counts over seeds", fontsize=10)
    fig.tight_layout()
    return fig


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (h + 2) - 2, columns * (w + 2) - 2, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (h + 2), i % columns * (w + 2)
        canvas[y:y + h, x:x + w] = image  # grey in all three channels
    return canvas


def samples(r: Results):
    panels = [("real: " + k, v) for k, v in r.real.items() if k == "train"] + list(r.samples.items())
    panels = [(name, images[:80]) for name, (images, _) in panels if len(images)]
    if not panels:
        return None
    grids = [grid(images, 8) for _, images in panels]
    height = 0.8 + 4.4 * max(g.shape[0] / g.shape[1] for g in grids)
    fig, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), height), squeeze=False)
    for ax, (name, _), picture in zip(axes[0], panels, grids):
        ax.imshow(picture, interpolation="nearest")
        ax.set_title(name, fontsize=9)
        ax.axis("off")
    fig.suptitle(title_of(r), fontsize=10)
    fig.tight_layout()
    return fig


FIGURES = {"accuracy": accuracy, "curves": curves, "fits": fits, "confusion": confusion, "samples": samples}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", help="results/<experiment>")
    parser.add_argument("--out", help="folder for the figures (default: results/<experiment>/figures)")
    parser.add_argument("--format", default="png,pdf", help="comma-separated (default: %(default)s)")
    args = parser.parse_args()
    for path in args.results:
        r = load(path)
        out = Path(args.out) if args.out else r.path.parent / "figures"
        out.mkdir(parents=True, exist_ok=True)
        drawn = []
        for name, draw in FIGURES.items():
            fig = draw(r)
            if fig is None:
                continue
            for kind in args.format.split(","):
                fig.savefig(out / f"{name}.{kind}", dpi=150)
            plt.close(fig)
            drawn.append(name)
        print(f"{out}: {', '.join(drawn) if drawn else 'nothing to draw yet'}")


if __name__ == "__main__":
    main()
