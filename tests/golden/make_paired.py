"""Writes tests/golden/paired.yaml: paired differences with what scipy says of them.

p: scipy.stats.permutation_test over all sign flips of the mean difference. lo, hi: scipy.stats.bootstrap, percentile,
of the mean over `resamples` draws (for several draws of the data, two-stage resampling with numpy). The components of
variance come from scipy.stats.f_oneway, whose F is MSB / MSW.

Run from the repository root. Needs numpy, scipy.
"""
import numpy as np
import scipy.stats

RESAMPLES = 400_000


def mean_of_draws(x, counts):
    parts = np.split(np.moveaxis(np.asarray(x), -1, 0), np.cumsum(counts)[:-1])
    return np.mean([part.mean(0) for part in parts], axis=0)


def flip_p(x, counts):
    if len(x) > 20:  # too many to list; a million random ones
        test = dict(n_resamples=1_000_000, random_state=np.random.default_rng(3), batch=20_000)
    else:
        test = dict(n_resamples=np.inf, batch=1 << 15)

    def statistic(a, b, axis=-1):
        return mean_of_draws(np.moveaxis(a - b, axis, -1), counts)

    return scipy.stats.permutation_test((x, np.zeros_like(x)), statistic, permutation_type="samples", vectorized=True,
                                        alternative="two-sided", **test).pvalue


def interval(x, counts, rng):
    if len(counts) == 1:
        found = scipy.stats.bootstrap((x,), np.mean, n_resamples=RESAMPLES, method="percentile", vectorized=True,
                                      batch=20_000, random_state=rng).confidence_interval
        return found.low, found.high
    parts = np.split(x, np.cumsum(counts)[:-1])
    means = np.zeros(RESAMPLES)
    for _ in parts:
        which = rng.integers(len(parts), size=RESAMPLES)
        for k, part in enumerate(parts):
            here = which == k
            means[here] += rng.choice(part, (here.sum(), len(part))).mean(1) / len(parts)
    return np.quantile(means, [0.025, 0.975])


def components(x, counts):
    parts = np.split(x, np.cumsum(counts)[:-1])
    n, k = len(x), len(parts)
    if k == 1:
        return x.std(ddof=1), float("nan")
    within = sum(((p - p.mean()) ** 2).sum() for p in parts) / (n - k)
    n0 = (n - sum(c * c for c in counts) / n) / (k - 1)
    return within**0.5, max(0.0, (scipy.stats.f_oneway(*parts).statistic - 1) * within / n0) ** 0.5


def main():
    rng = np.random.default_rng(11)
    lines = ["# Made by tests/golden/make_paired.py."]
    #              trainings of each draw, mean, sd between draws, sd within
    for counts, mean, between, within in [([5], 0.03, 0, 0.02), ([3], 0.05, 0, 0.01), ([10], 0.02, 0, 0.05),
                                          ([15], -0.03, 0, 0.05), ([20], 0.01, 0, 0.04), ([40], 0.012, 0, 0.04),
                                          ([5, 5, 5], 0.02, 0.05, 0.02), ([5, 4, 2, 5], 0.04, 0.02, 0.03),
                                          ([3, 3], 0.0, 0.0, 0.05)]:
        x = np.concatenate([mean + rng.normal(0, between) + rng.normal(0, within, c) for c in counts])
        low, high = interval(x, counts, rng)
        training, draw = components(x, counts)
        lines.append("- counts: [" + ", ".join(map(str, counts)) + "]")
        lines.append("  x: [" + ", ".join(repr(float(v)) for v in x) + "]")
        lines.append(f"  mean: {float(mean_of_draws(x, counts))!r}")
        lines.append(f"  p: {float(flip_p(x, counts))!r}")
        lines.append(f"  lo: {float(low)!r}\n  hi: {float(high)!r}")
        lines.append(f"  sd_training: {float(training)!r}")
        if len(counts) > 1:
            lines.append(f"  sd_draw: {float(draw)!r}")
    with open("tests/golden/paired.yaml", "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
