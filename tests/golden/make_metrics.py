"""Writes tests/golden/metrics.yaml: predictions with the values of scikit-learn, torch and scipy.

Run from the repository root. Needs numpy, scipy, scikit-learn, torch.
"""
import warnings

import numpy as np
import scipy.stats
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

warnings.filterwarnings("ignore")


def ece(probabilities, label, bins=15):
    confidence, called = probabilities.max(1), probabilities.argmax(1)
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs((called[inside] == label[inside]).mean() - confidence[inside].mean())
    return total


def values(logits, label):
    x = torch.tensor(logits, dtype=torch.float64)
    t = torch.tensor(label)
    p = F.softmax(x, 1).numpy()
    called = p.argmax(1)
    k = logits.shape[1]
    one_hot = np.eye(k)[label]
    macro = dict(average="macro", zero_division=0)
    return {
        "accuracy": sk.accuracy_score(label, called),
        "top5_accuracy": sk.top_k_accuracy_score(label, p, k=5, labels=range(k)) if k > 5 else 1.0,
        "balanced_accuracy": sk.balanced_accuracy_score(label, called),
        "precision": sk.precision_score(label, called, **macro),
        "recall": sk.recall_score(label, called, **macro),
        "f1": sk.f1_score(label, called, **macro),
        "loss": F.cross_entropy(x, t).item(),
        "nll": sk.log_loss(label, p, labels=range(k)),
        "double_softmax_loss": F.cross_entropy(F.softmax(x, 1), t).item(),
        "brier": ((p - one_hot) ** 2).sum(1).mean(),
        "ece": ece(p, label),
    }


def flow(numbers):
    return "[" + ", ".join(numbers) + "]"


def main():
    rng = np.random.default_rng(7)
    lines = ["# Made by tests/golden/make_metrics.py.", "cases:"]
    # scale 3 is overconfident; the last case lacks classes in the labels and in the predictions
    for n, k, scale, classes in [(64, 10, 1.0, 10), (50, 3, 3.0, 3), (40, 2, 0.3, 2), (30, 8, 2.0, 4)]:
        label = rng.integers(0, classes, n)
        logits = (rng.normal(size=(n, k)) * scale).astype(np.float32)
        logits[np.arange(n), label] += np.float32(scale)
        logits[:, classes:] -= np.float32(3 * scale)
        lines.append(f"  - classes: {k}")
        lines.append("    logits: " + flow(np.format_float_positional(v, unique=True) for v in logits.ravel()))
        lines.append("    label: " + flow(str(v) for v in label))
        lines.append("    values:")
        lines += [f"      {name}: {value!r}" for name, value in ((a, float(b)) for a, b in values(logits, label).items())]
    lines.append("student:")
    for p, v in [(0.975, 1), (0.975, 2), (0.975, 4), (0.975, 9), (0.975, 29.5), (0.995, 3), (0.6, 7), (0.9999, 5),
                 (0.025, 6), (0.975, 1000), (0.75, 0.5)]:
        lines.append(f"  - {{probability: {p}, degrees: {v}, value: {float(scipy.stats.t.ppf(p, v))!r}}}")
    x = rng.normal(size=6)
    y = rng.normal(size=6)
    low, high = scipy.stats.t.interval(0.95, 5, loc=(x - y).mean(), scale=scipy.stats.sem(x - y))
    lines.append("paired:")
    lines.append("  a: " + flow(repr(float(v)) for v in x))
    lines.append("  b: " + flow(repr(float(v)) for v in y))
    lines.append(f"  mean: {float((x - y).mean())!r}")
    lines.append(f"  sd: {float((x - y).std(ddof=1))!r}")
    lines.append(f"  lo: {float(low)!r}")
    lines.append(f"  hi: {float(high)!r}")
    with open("tests/golden/metrics.yaml", "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
