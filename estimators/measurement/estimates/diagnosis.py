"""Why an estimator is bad, layer by layer, in sentences from the measured numbers.

With s = ⟨Eĝ, g⟩/‖g‖² the scale, p² = ‖Eĝ‖²/‖g‖² − s² what of the mean is across the gradient, and
V = tr Var ĝ/‖g‖², the mean of K draws has the scaled error 1 − s²/(s² + p² + V/K): what is left
when the learning rate has absorbed the scale. p² is what no K mends, V what K mends.

A p² is called a wrong direction where it is above its noise by at least 4 standard errors, and by
Student's quantile for as many layers and estimators as are looked at; never where the estimator
promises the exact gradient on average, unless a verdict convicts it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from estimators.core.contract import Claim, Coverage
from estimators.measurement.draws.summary import Summary, mean, over, variance
from estimators.measurement.estimates.intervals import LEAST_OF_MEANS, skewed
from estimators.measurement.estimates.observation import Observation
from estimators.measurement.estimates.variance_split import Anatomy, about, many
from estimators.statistics.student import t_quantile

Cause = Literal[
    "fine", "scale", "direction", "variance", "no signal", "dead", "not finite", "unknown"
]
GOOD = 0.5
"""A scaled error below this is called fine, and is what K is computed for."""
LEAST = 16
"""Fewest draws of a diagnosis."""
CLEAR = 4.0
"""Fewest standard errors above its noise from which p² is held against an estimator."""
RATE = 0.01
"""How often chance may call the direction wrong anywhere, of all that is looked at."""


@dataclass(frozen=True)
class Finding:
    """What is wrong in one layer, and what would mend it."""

    layer: str
    cause: Cause
    text: str
    draws: int | None = None
    """How many draws averaged bring the scaled error to 0.5; None: no number does, or none need."""


def diagnose(
    of: Observation,
    coverage: Mapping[str, Coverage] | None = None,
    anatomy: Anatomy | None = None,
    estimators: int = 1,
    convicted: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """A finding for each layer.

    `coverage` is how each parameter's gradient comes about (`Estimator.coverage`); `anatomy`, if it
    was measured, tells whether a larger batch would do instead of more draws. `estimators` are
    looked at beside each other; `convicted` are layers where a verdict found a bias.
    """
    summary, promised = of.summary(), _promised(of)
    numbers = _numbers(summary, of.moments.across_variance(of.at.groups))
    tensors = list(of.at.exact)
    findings = []
    for i, layer in enumerate(of.at.layers):
        members = [n for n, inside in zip(tensors, of.at.groups[:, i], strict=True) if inside]
        found = explain(
            layer, {name: x[i].item() for name, x in numbers.items()}, members, coverage,
            looks=estimators * len(of.at.layers),
            unbiased=promised and layer not in convicted,
        )  # fmt: skip
        findings.append(told_with(found, anatomy))
    return tuple(findings)


def explain(
    layer: str,
    numbers: Mapping[str, float],
    members: Sequence[str] = (),
    coverage: Mapping[str, Coverage] | None = None,
    looks: int = 1,
    unbiased: bool = False,
) -> Finding:
    """The finding that follows from numbers, however they were had; `members` are its tensors.

    exact ‖g‖², count of draws, longest ‖ĝ‖, s with its interval s_low … s_high and error s_se,
    across p², variance V, unsure, the standard error of p², of `freedom` degrees of freedom, and
    lost, the draws that were not finite. `looks` are made at once; what is `unbiased` by promise
    has neither p² nor a slope of another sign.
    """
    silent = [n for n in members if coverage and coverage.get(n) == "no signal"]
    found = _finding(layer, _tested(numbers, looks, unbiased))
    if numbers.get("lost", 0) > 0 and int(numbers["count"]):
        found = _less(found, int(numbers["lost"]), int(numbers["count"]))
    if silent and found.cause not in ("dead", "not finite"):
        return _silent(layer, silent, members, found)
    return found


def _promised(of: Observation) -> bool:
    """Whether the exact gradient is promised on average."""
    if of.estimator is None or of.at.objective is None:
        return False
    at = of.at
    if of.estimator.target(at.objective, at.params, of.state) is not None:
        return False
    return of.estimator.claim(at.objective) is not Claim.BIASED


def _tested(x: Mapping[str, float], looks: int, unbiased: bool) -> dict[str, float]:
    """`told`, the p² that is held against it, and whether it `climbs`."""
    if "s" not in x:
        return {**x}
    freedom = max(1, int(x["freedom"]))
    clear = max(CLEAR, t_quantile(1 - RATE / (2 * max(1, looks)), freedom))
    sure = not unbiased and x["across"] > clear * x["unsure"]
    climbs = not unbiased and x["s"] < -clear * x["s_se"]
    told = x["across"] if sure else 0.0
    return {**x, "told": told, "climbs": climbs, "hidden": 0.0 if unbiased else x["across"]}


def _less(found: Finding, lost: int, count: int) -> Finding:
    """What is told of the draws that are finite is not told of all."""
    text = f"{lost:,} of {lost + count:,} draws were not finite; of the finite ones: {found.text}"
    cause = "not finite" if found.cause in ("fine", "scale") else found.cause
    return Finding(found.layer, cause, text, None if cause == "not finite" else found.draws)


def _numbers(of: Summary, across_variance: Tensor) -> dict[str, Tensor]:
    """s, its interval, p², V and what else is looked at, (G,)."""
    g2 = torch.where(of.exact > 0, of.exact, torch.nan)
    along = of.dots / g2
    s = mean(along)
    low, high = skewed(along)
    square = s.square() - variance(along) / of.counts
    return {
        "exact": of.exact,
        "count": of.counts,
        "lost": len(of.dots) - of.counts,
        "freedom": of.counts - 1,
        "longest": torch.where(of.norms.isfinite(), of.norms, 0.0).amax(0),
        "s": s,
        "s_se": over(variance(along), of.counts).sqrt(),
        "s_low": low,
        "s_high": high,
        "across": ((of.mean - of.noise) / g2 - square).clamp(min=0),
        "variance": of.trace / g2,
        "unsure": across_variance.sqrt() / g2,
        "square": square.clamp(min=0),
    }


def _finding(layer: str, x: Mapping[str, float]) -> Finding:
    count = int(x["count"])
    if count == 0:
        return Finding(layer, "not finite", "no draw is finite here: the estimate overflows")
    if not x["exact"] > 0:
        return Finding(layer, "dead", "the exact gradient is zero here: nothing to estimate")
    if x["longest"] == 0:
        return Finding(layer, "no signal", "all draws are zero: no signal reaches these parameters")
    if count < LEAST:
        text = f"{many(count, 'draw')} cannot tell; take at least {LEAST}"
        return Finding(layer, "unknown", text)
    if x["climbs"]:
        text = f"it points uphill: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g} on average; no number of draws helps"
        return Finding(layer, "direction", text)
    if not x["s_low"] > 0:
        return _lost(layer, x, count)
    return _split(layer, x)


def _lost(layer: str, x: Mapping[str, float], count: int) -> Finding:
    """The mean slope cannot be told from zero."""
    ends = f" ({x['s_low']:.2g} … {x['s_high']:.2g})" if count >= LEAST_OF_MEANS else ""
    text = f"no descent is seen: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g}{ends} in {count:,} draws; "
    if x["told"] <= max(x["s_low"] ** 2, x["s_high"] ** 2):
        return Finding(layer, "unknown", text + "its variance hides what it has: draw more")
    return Finding(layer, "direction", text + "its mean lies across the gradient")


def _split(layer: str, x: Mapping[str, float]) -> Finding:
    s2, spread = x["square"], x["variance"]
    across = x["told"]
    error = 1 - s2 / (s2 + across + spread)
    limit = 1 - s2 / (s2 + across)
    cosine = math.sqrt(1 - limit)
    if error <= GOOD:
        return _scaled(layer, x["s"], error)
    needed = _needed(s2, across, spread)
    if limit > GOOD or (across > spread and limit > 0.1):
        more = "no number of draws brings it to 0.5" if needed is None else _more(needed)
        text = (
            f"wrong direction: the mean of infinitely many draws has the cosine {cosine:.2f} with "
            f"the gradient, so averaging leaves the scaled error at {limit:.2f}; {more}"
        )
        return Finding(layer, "direction", text, needed)
    assert needed is not None
    size, now = _number(spread), _error(error)
    text = f"variance {size} times the squared gradient: the scaled error is {now} now"
    text = f"{text}; {_more(needed)}{_length(x['s'])}"
    return Finding(layer, "variance", text + _hidden(x, across), needed)


def _hidden(x: Mapping[str, float], across: float) -> str:
    """A p² that would matter, and is not told from noise."""
    if across or x["hidden"] <= GOOD * x["square"]:
        return ""
    return "; whether its mean lies across the gradient too is not told from noise: draw more"


def _number(value: float) -> str:
    """Three digits, without an exponent up to a billion."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 1e3 <= rounded < 1e9 else f"{rounded:.3g}"


def _error(value: float) -> str:
    """A scaled error that is near 1 is not 1."""
    return f"{value:.2f}" if value < 0.995 else "over 0.99"


def _needed(s2: float, across: float, spread: float) -> int | None:
    """K with s²/(s² + p² + V/K) = 1 − GOOD."""
    room = s2 * GOOD / (1 - GOOD) - across
    return about(spread / room) if room > 0 else None


def _more(draws: int) -> str:
    return f"about {draws:,} draws averaged bring it to {GOOD}"


def _scaled(layer: str, s: float, error: float) -> Finding:
    if 0.5 <= s <= 2:
        return Finding(layer, "fine", f"sound: the scaled error of one draw is {error:.2f}", 1)
    text = (
        f"wrong scale: the direction is sound (scaled error {error:.2f}){_length(s)}: a learning "
        f"rate {1 / s:.3g} times as large mends it"
    )
    return Finding(layer, "scale", text, 1)


def _length(s: float) -> str:
    return "" if 0.5 <= s <= 2 else f"; it is {s:.3g} times as long as it should be"


def _silent(layer: str, silent: Sequence[str], members: Sequence[str], found: Finding) -> Finding:
    """Parameters that no signal reaches, beside what is wrong with the others."""
    if len(silent) == len(members):
        return Finding(layer, "no signal", "no signal reaches these parameters, by construction")
    names = ", ".join(silent[:3]) + (" and others" if len(silent) > 3 else "")
    return Finding(layer, "no signal", f"no signal reaches {names}; for the rest: {found.text}")


def told_with(found: Finding, anatomy: Anatomy | None) -> Finding:
    """The finding, and what a larger batch would do by the anatomy."""
    if anatomy is None or found.layer not in anatomy.layers:
        return found
    i = anatomy.layers.index(found.layer)
    unsure = anatomy.fixed_se[i] if anatomy.fixed_se else 0.0
    return with_batch(
        found, anatomy.batch, anatomy.estimator[i], anatomy.fixed[i], unsure, anatomy.population
    )


def with_batch(
    found: Finding,
    batch: int,
    estimator: float,
    fixed: float,
    fixed_se: float = 0.0,
    population: int | None = None,
) -> Finding:
    """Whether a larger batch lowers the variance instead of more draws.

    `estimator` is the variance of one draw on a batch of `batch` examples, `fixed` the part of it
    that no batch lowers, ± `fixed_se`: E and e₀ of an `Anatomy`; `population` are all examples.
    """
    if found.cause != "variance":
        return found
    room = estimator / found.draws if found.draws else estimator
    text = _batch(batch, estimator, fixed, fixed_se, room, population)
    return Finding(found.layer, found.cause, f"{found.text}; {text}", found.draws)


def _batch(
    batch: int, estimator: float, fixed: float, unsure: float, room: float, population: int | None
) -> str:
    if not abs(fixed - room) > 2 * unsure:
        return "whether a larger batch would is not told apart: take more batches"
    if fixed > room:
        return "a larger batch alone does not: it leaves the estimator's own noise"
    size = about(batch * (estimator - fixed) / (room - fixed))
    if population is not None and size > population:
        return f"no batch of this data set does it: it has {population:,} examples"
    return f"so would a batch of about {size:,} instead of {batch:,}"
