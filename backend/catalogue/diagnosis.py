"""Why an estimator is bad, from what its latest probes have measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, variance
from typing import Any, NamedTuple

from estimators.core.contract import Coverage
from estimators.measurement.estimates.diagnosis import Finding, explain, with_batch
from estimators.statistics.student import t_quantile

MEASURES: tuple[str, ...] = (
    "relative_variance",
    "relative_squared_bias",
    "relative_squared_bias_se",
    "snr",
    "cosine_mean",
    "norm_ratio",
    "exact/norm",
)
"""What is read of each probe; `exact/norm` belongs to the run."""


class _Probe(NamedTuple):
    s: float
    """⟨ḡ, g⟩ / ‖g‖²."""
    size: float
    """‖Eĝ‖² / ‖g‖², without the noise of the mean."""
    variance: float
    unsure: float
    """The standard error of the squared bias."""
    length: float
    """Mean ‖ĝ‖ / ‖g‖."""


def diagnose(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A finding for each of `layers`, {layer: {"members": [tensor], "probes": {measure: [..]}}},
    from probes of `draws` draws each; `coverage` is {tensor: how its gradient comes about}, and
    `anatomy` {"batch": examples, "population": all of them, "layers": {layer: {"estimator",
    "fixed", "fixed_se"}}}, if there is one. `estimators` are looked at beside each other;
    `unbiased` says that the exact gradient is promised on average."""
    draws, coverage = question["draws"], question["coverage"]
    looks = len(question["layers"]) * question.get("estimators", 1)
    unbiased = question.get("unbiased", False)
    anatomy = question.get("anatomy") or {"batch": 0, "layers": {}}
    found = []
    for layer, one in question["layers"].items():
        finding = _finding(layer, one, coverage, draws, looks, unbiased)
        if layer in anatomy["layers"]:
            parts = {**anatomy["layers"][layer], "population": anatomy.get("population")}
            finding = with_batch(finding, anatomy["batch"], **parts)
        found.append(asdict(finding))
    return found


def _finding(
    layer: str,
    one: Mapping[str, Any],
    coverage: Mapping[str, Coverage] | None,
    draws: int,
    looks: int,
    unbiased: bool,
) -> Finding:
    measured = one["probes"]
    columns = zip(*(measured[name] for name in MEASURES), strict=True)
    rows = [dict(zip(MEASURES, column, strict=True)) for column in columns]
    alive = [row for row in rows if _is_alive(row)]
    if len(alive) == 1:
        return Finding(layer, "unknown", "one probe does not tell; wait for the next")
    if not alive:
        dead = not any(row["exact/norm"] > 0 for row in rows)
        return explain(layer, {"exact": 0.0 if dead else 1.0, "count": draws * dead})
    return explain(layer, numbers(alive, draws), one["members"], coverage, looks, unbiased)


def numbers(rows: Sequence[Mapping[str, float]], draws: int) -> dict[str, float]:
    """What `explain` reads, from at least two probes."""
    probes = [_probe(row, draws) for row in rows]
    s = [one.s for one in probes]
    mean, noise = fmean(s), variance(s) / len(s)
    half = t_quantile(0.975, len(s) - 1) * math.sqrt(noise)
    errors = math.sqrt(sum(one.unsure**2 for one in probes)) / len(probes)
    # What of each probe is across, less its own slope's square, scatters as it does.
    each = variance(one.size - one.s**2 for one in probes) / len(probes)
    return {
        "exact": fmean(row["exact/norm"] for row in rows) ** 2,
        "count": draws * len(probes),
        "longest": max(one.length for one in probes),
        "s": mean,
        "square": max(0.0, mean**2 - noise),
        "s_se": math.sqrt(noise),
        "freedom": len(s) - 1,
        "s_low": mean - half,
        "s_high": mean + half,
        "across": max(0.0, fmean(one.size for one in probes) - (mean**2 - noise)),
        "variance": fmean(one.variance for one in probes),
        "unsure": max(errors + noise, math.sqrt(each)),
    }


def _is_alive(x: Mapping[str, float]) -> bool:
    # Without variance there is no ratio to it.
    known = all(math.isfinite(value) for name, value in x.items() if name != "snr")
    return known and x["exact/norm"] > 0


def _probe(x: Mapping[str, float], draws: int) -> _Probe:
    spread, bias = x["relative_variance"], x["relative_squared_bias"]
    s = _slope(x, spread, bias, draws)
    # ‖ḡ − g‖² = ‖ḡ‖² − 2⟨ḡ, g⟩ + ‖g‖², each less its noise
    size = bias + 2 * s - 1
    return _Probe(s, size, spread, x["relative_squared_bias_se"], x["norm_ratio"])


def _slope(x: Mapping[str, float], spread: float, bias: float, draws: int) -> float:
    """⟨ḡ, g⟩/‖g‖², which is not on record, from what is."""
    if spread <= 0:
        return x["cosine_mean"] * x["norm_ratio"]  # every draw is the mean
    if x["snr"] > 0:
        return (1 + x["snr"] * spread - bias) / 2
    # r = ‖ḡ‖/‖g‖ solves r² − 2 r cos + 1 = ‖ḡ − g‖²/‖g‖², and r² lies below its noise.
    c, noise = x["cosine_mean"], spread / draws
    root = math.sqrt(max(0.0, c * c - 1 + bias + noise))
    length = c + root if (c + root) ** 2 <= noise * (1 + 1e-6) else c - root
    return c * length
