"""Why an estimator is bad, layer by layer, in sentences from the measured numbers.

With s = ⟨Eĝ, g⟩/‖g‖² the scale, p² = ‖Eĝ‖²/‖g‖² − s² what of the mean is across the gradient, and
V = tr Var ĝ/‖g‖², the mean of K draws has the scaled error 1 − s²/(s² + p² + V/K): what is left
when the learning rate has absorbed the scale. p² is what no K mends, V what K mends.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from estimators.core.contract import Coverage
from estimators.measure.anatomy import Anatomy
from estimators.measure.intervals import LEAST_OF_MEANS, skewed
from estimators.measure.observation import Observation
from estimators.measure.summary import Summary, mean, variance

Cause = Literal[
    "fine", "scale", "direction", "variance", "no signal", "dead", "not finite", "unknown"
]
GOOD = 0.5
"""A scaled error below this is called fine, and is what K is computed for."""
LEAST = 16
"""Fewest draws of a diagnosis."""


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
) -> tuple[Finding, ...]:
    """A finding for each layer.

    `coverage` is how each parameter's gradient comes about (`Estimator.coverage`); `anatomy`, if it
    was measured, tells whether a larger batch would do instead of more draws.
    """
    summary = of.summary()
    numbers = _numbers(summary, of.moments.across_variance(of.at.groups))
    tensors = list(of.at.exact)
    findings = []
    for i, layer in enumerate(of.at.layers):
        members = [n for n, inside in zip(tensors, of.at.groups[:, i], strict=True) if inside]
        found = explain(
            layer, {name: x[i].item() for name, x in numbers.items()}, members, coverage
        )
        findings.append(_with_batch(found, anatomy))
    return tuple(findings)


def explain(
    layer: str,
    numbers: Mapping[str, float],
    members: Sequence[str] = (),
    coverage: Mapping[str, Coverage] | None = None,
) -> Finding:
    """The finding that follows from numbers, however they were had; `members` are its tensors.

    exact ‖g‖², count of draws, longest ‖ĝ‖, s with its interval s_low … s_high, across p², variance
    V and unsure, the standard error of p².
    """
    silent = [n for n in members if coverage and coverage.get(n) == "no signal"]
    found = _finding(layer, numbers)
    if silent and found.cause not in ("dead", "not finite"):
        return _silent(layer, silent, members, found)
    return found


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
        "longest": torch.where(of.norms.isfinite(), of.norms, 0.0).amax(0),
        "s": s,
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
        text = f"{count} draws do not tell; take at least {LEAST}"
        return Finding(layer, "unknown", text)
    if x["s_high"] < 0:
        text = f"it points uphill: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g} on average; no number of draws helps"
        return Finding(layer, "direction", text)
    if x["s_low"] <= 0:
        return _lost(layer, x, count)
    return _split(layer, x)


def _lost(layer: str, x: Mapping[str, float], count: int) -> Finding:
    """The mean slope cannot be told from zero."""
    ends = f" ({x['s_low']:.2g} … {x['s_high']:.2g})" if count >= LEAST_OF_MEANS else ""
    text = f"no descent is seen: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g}{ends} in {count} draws; "
    if x["across"] <= max(2 * x["unsure"], x["s_low"] ** 2, x["s_high"] ** 2):
        return Finding(layer, "unknown", text + "its variance hides what it has: draw more")
    return Finding(layer, "direction", text + "its mean lies across the gradient")


def _split(layer: str, x: Mapping[str, float]) -> Finding:
    s2, spread = x["square"], x["variance"]
    # What of p² is not above its own noise is not held against it.
    across = x["across"] if x["across"] > 2 * x["unsure"] else 0.0
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
    return Finding(layer, "variance", f"{text}; {_more(needed)}{_length(x['s'])}", needed)


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
    return math.ceil(spread / room) if room > 0 else None


def _more(draws: int) -> str:
    return f"{draws:,} draws averaged bring it to {GOOD}"


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


def _with_batch(found: Finding, anatomy: Anatomy | None) -> Finding:
    if anatomy is None or found.layer not in anatomy.layers:
        return found
    i = anatomy.layers.index(found.layer)
    return with_batch(found, anatomy.batch, anatomy.estimator[i], anatomy.fixed[i])


def with_batch(found: Finding, batch: int, estimator: float, fixed: float) -> Finding:
    """Whether a larger batch lowers the variance instead of more draws.

    `estimator` is the variance of one draw on a batch of `batch` examples, `fixed` the part of it
    that no batch lowers: E and e₀ of an `Anatomy`.
    """
    if found.cause != "variance":
        return found
    room = estimator / found.draws if found.draws else estimator
    if fixed >= room:
        text = "a larger batch alone does not: it leaves the estimator's own noise"
    else:
        size = math.ceil(batch * (estimator - fixed) / (room - fixed))
        text = f"so would a batch of {size:,} instead of {batch:,}"
    return Finding(found.layer, found.cause, f"{found.text}; {text}", found.draws)
