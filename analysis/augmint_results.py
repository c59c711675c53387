"""Reads results.h5 of one experiment into pandas frames, in one call.

    from augmint_results import load
    r = load("results/quickstart")            # the folder or the file
    r.metrics.query("metric == 'accuracy'").groupby(["arm", "split"]).value.mean()
    logits, label = r.predictions(cell=0, split="test")

Frames: cells, metrics and history (both joined with their cell's arm, model, draw, seed), fits, fit_history
(joined with its fit), pools, rows (the result table), published, spent, splits. Attributes of the file are in
r.attrs. The layout of the file is documented in src/report/results.h. Every figure script stands on this module.
"""
from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

FORMAT = "augmint-results-2"
TABLES = ("cells", "metrics", "history", "fits", "fit_history", "pools", "rows", "published", "spent",
          "splits")


def _text(value):
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("utf-8")
    return value


def _frame(group: h5py.Group) -> pd.DataFrame:
    columns = {}
    for name, data in group.items():
        values = data[()]
        columns[name] = [_text(v) for v in values] if values.dtype.kind in "SO" else values
    return pd.DataFrame(columns)


@dataclass
class Results:
    path: Path
    attrs: dict
    cells: pd.DataFrame
    metrics: pd.DataFrame
    history: pd.DataFrame
    fits: pd.DataFrame
    fit_history: pd.DataFrame
    pools: pd.DataFrame
    rows: pd.DataFrame
    published: pd.DataFrame
    spent: pd.DataFrame
    splits: pd.DataFrame
    samples: dict = field(default_factory=dict)  # pool -> (images u8 (n, h, w, 3 or 1), label (n) or None)
    real: dict = field(default_factory=dict)     # split -> likewise

    @property
    def name(self) -> str:
        return self.attrs.get("name", self.path.parent.name)

    @property
    def tiny(self) -> bool:
        return bool(int(self.attrs.get("tiny", 0)))

    def predictions(self, cell: int, split: str):
        """Logits (n, k) and labels (n) of one cell (row of `cells`) on one split."""
        with h5py.File(self.path) as f:
            group = f[f"predictions/{cell}/{split}"]
            return group["logits"][()], group["label"][()]

    def confusion(self, cell: int, split: str) -> np.ndarray:
        """Counts [true][predicted] of one cell on one split."""
        with h5py.File(self.path) as f:
            return f[f"confusion/{cell}/{split}"][()]

    def confusion_splits(self) -> list[str]:
        with h5py.File(self.path) as f:
            group = f.get("confusion", {})
            return sorted({split for cell in group.values() for split in cell})


def _images(group) -> dict:
    found = {}
    for name, data in (group or {}).items():
        label = data.attrs.get("label")
        found[name.replace(":", "/")] = (data[()], label)
    return found


def _join(frame: pd.DataFrame, key: str, other: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    columns = [c for c in columns if c in other]
    if frame.empty or not columns:
        return frame
    return frame.join(other[columns], on=key)


def load(path: str | Path) -> Results:
    """Reads everything but predictions and confusion matrices, which are read when asked for."""
    path = Path(path)
    if path.is_dir():
        path = path / "results.h5"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no results here; run `augmint run` or `augmint report` first")
    with h5py.File(path) as f:
        attrs = {k: _text(v) for k, v in f.attrs.items()}
        if attrs.get("format") != FORMAT:
            raise ValueError(f"{path}: format is {attrs.get('format')!r}, expected {FORMAT!r}")
        tables = {name: _frame(f[name]) if name in f else pd.DataFrame() for name in TABLES}
        samples, real = _images(f.get("samples")), _images(f.get("real"))
    cell_columns = ["arm", "model", "draw", "seed"]
    tables["metrics"] = _join(tables["metrics"], "cell", tables["cells"], cell_columns)
    tables["history"] = _join(tables["history"], "cell", tables["cells"], cell_columns)
    tables["fit_history"] = _join(tables["fit_history"], "fit", tables["fits"],
                                  ["generator", "class_name", "run", "draw"])
    return Results(path=path, attrs=attrs, samples=samples, real=real, **tables)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: augmint_results.py results/<experiment>")
    results = load(sys.argv[1])
    print(f"{results.name}{' (tiny)' if results.tiny else ''}: {len(results.cells)} cells, {len(results.fits)} fits")
    with pd.option_context("display.width", 160, "display.max_rows", 200, "display.max_columns", 20):
        print(results.rows.to_string(index=False))
