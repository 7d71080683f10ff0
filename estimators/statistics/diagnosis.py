"""Why an estimator is bad in one layer, and what would help: a finding from measured numbers.

With the scale s = ⟨Eĝ, g⟩/‖g‖², the part of the mean across the gradient p² = ‖Eĝ‖²/‖g‖² − s², and
the variance V = tr Var ĝ/‖g‖², the mean of K draws has the scaled error 1 − s²/(s² + p² + V/K):
what is left when the learning rate has absorbed the scale. More draws lower V/K and leave p².

A p² counts as a wrong direction where it exceeds 0 by at least 4 standard errors, and by Student's
quantile corrected for all layers and estimators that are tested together. For an estimator that
promises the exact gradient on average, p² is taken for noise, unless a test finds a bias. A slope
of the wrong sign is told whatever is promised (`estimators.statistics.direction`). Where
differences of the loss are rounding, that is the cause of whatever is wrong
(`estimators.statistics.rounding`). Where the exact gradient itself is rounding, nothing can be told
(`estimators.statistics.reference`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from estimators.statistics.direction import points_uphill
from estimators.statistics.formatting import (
    counted,
    round_up,
    share_not_finite,
    share_unconverged,
    without_exponent,
)
from estimators.statistics.reference import ROUNDED, RULE
from estimators.statistics.rounding import Rounding
from estimators.statistics.student import MIN_COUNT_SKEWED, t_quantile

Cause = Literal[
    "fine",
    "scale",
    "direction",
    "variance",
    "rounding",
    "reference",
    "no signal",
    "dead",
    "not finite",
    "unknown",
]
TARGET_ERROR = 0.5
"""A scaled error up to this is called fine; the number of draws is computed for it."""
MIN_DRAWS = 16
"""Fewest draws of a finding."""
MIN_ERRORS = 4.0
"""Fewest standard errors by which p² must exceed 0 to count as a wrong direction."""
FALSE_ALARM_RATE = 0.01
"""How often chance may call a direction wrong anywhere, of all tests made together."""


@dataclass(frozen=True)
class Finding:
    """What is wrong in one layer, and what would help."""

    layer: str
    cause: Cause
    text: str
    draws: int | None = None
    """Draws whose mean has a scaled error of 0.5; None where no number of draws is enough, or where
    the cause is another."""


def without_reference(layer: str) -> Finding:
    """The finding for a layer whose exact gradient is rounding, whatever was measured there."""
    text = f"{ROUNDED} here ({RULE}): what is measured against it tells nothing of the estimator"
    return Finding(layer, "reference", text)


def explain(
    layer: str,
    numbers: Mapping[str, float],
    members: Sequence[str] = (),
    coverage: Mapping[str, str] | None = None,
    tests: int = 1,
    *,
    unbiased: bool = False,
    rounding: Rounding | None = None,
) -> Finding:
    """The finding that follows from measured numbers, of draws or of probes.

    Args:
        layer: a stage's or tensor's name; "" for the whole network.
        numbers: `exact` ‖g‖²; `count` of draws; `longest` ‖ĝ‖; `s` with its interval `s_low` …
            `s_high` and its standard error `s_se`; `square`, the unbiased s²; `across` p² with its
            standard error `across_se` of `freedom` degrees of freedom; `variance` V; `nonfinite`,
            the number of draws that were not finite; `unconverged`, that of draws that rest on a
            solve that did not converge.
        members: the layer's tensors.
        coverage: how each tensor's gradient comes about (`Estimator.coverage`).
        tests: how many findings are made together.
        unbiased: whether the exact gradient is promised on average.
        rounding: of the loss, where the estimator takes differences of it.
    """
    silent = [n for n in members if coverage and coverage.get(n) == "no signal"]
    finding = _finding(layer, _tested(numbers, tests, unbiased=unbiased))
    if rounding and rounding.text and finding.cause not in ("fine", "dead", "not finite"):
        finding = Finding(layer, "rounding", rounding.text)
    if numbers.get("nonfinite", 0) > 0 and int(numbers["count"]):
        finding = _with_nonfinite_draws(finding, int(numbers["nonfinite"]), int(numbers["count"]))
    if unconverged := int(numbers.get("unconverged", 0)):
        words = share_unconverged(unconverged, int(numbers["count"] + numbers.get("nonfinite", 0)))
        finding = replace(finding, text=f"{words}; {finding.text}")
    if silent and finding.cause not in ("dead", "not finite"):
        return _without_signal(layer, silent, members, finding)
    return finding


def with_batch(
    finding: Finding,
    batch: int,
    estimator: float,
    fixed: float,
    fixed_se: float = 0.0,
    population: int | None = None,
) -> Finding:
    """The finding, with whether a larger batch would lower the variance as more draws do.

    Args:
        finding: changed where its cause is the variance.
        batch: examples of a batch when the variance was split (B₀).
        estimator: the variance of one draw on such a batch (E of a variance split).
        fixed: the part of it that no larger batch lowers (e₀), with its standard error `fixed_se`.
        population: all examples; None where that is not known.
    """
    if finding.cause != "variance":
        return finding
    room = estimator / finding.draws if finding.draws else estimator
    text = _batch_text(batch, estimator, fixed, fixed_se, room, population)
    return Finding(finding.layer, finding.cause, f"{finding.text}; {text}", finding.draws)


def _batch_text(
    batch: int, estimator: float, fixed: float, fixed_se: float, room: float, population: int | None
) -> str:
    if not abs(fixed - room) > 2 * fixed_se:
        return "it is not clear whether a larger batch would help as much: measure more batches"
    if fixed > room:
        return "a larger batch alone is not enough: it leaves the estimator's own noise"
    size = round_up(batch * (estimator - fixed) / (room - fixed))
    if population is not None and size > population:
        return f"no batch is large enough: the data set has {population:,} examples"
    return f"so would a batch of about {size:,} instead of {batch:,}"


def _tested(x: Mapping[str, float], tests: int, *, unbiased: bool) -> dict[str, float]:
    """The numbers, and what the tests say of them.

    `significant_across` is p² where it counts as a wrong direction, else 0; `uphill` says whether
    the mean slope has the wrong sign; `possible_across` is p² where it is not taken for noise.
    """
    if "s" not in x:
        return {**x}
    level = 1 - FALSE_ALARM_RATE / (2 * max(1, tests))
    threshold = max(MIN_ERRORS, t_quantile(level, max(1, int(x["freedom"]))))
    clear = not unbiased and x["across"] > threshold * x["across_se"]
    return {
        **x,
        "significant_across": x["across"] if clear else 0.0,
        "uphill": points_uphill(x["s"], x["s_se"], int(x["freedom"])),
        "unbiased": unbiased,
        "possible_across": 0.0 if unbiased else x["across"],
    }


def _with_nonfinite_draws(finding: Finding, nonfinite: int, count: int) -> Finding:
    """The finding, restricted to the draws that are finite."""
    cause = "not finite" if finding.cause in ("fine", "scale") else finding.cause
    text = f"{share_not_finite(nonfinite, nonfinite + count)}; of the finite ones: {finding.text}"
    return Finding(finding.layer, cause, text, None if cause == "not finite" else finding.draws)


def _without_signal(
    layer: str, silent: Sequence[str], members: Sequence[str], finding: Finding
) -> Finding:
    """The finding for a layer in which no signal reaches some or all of the parameters."""
    if len(silent) == len(members):
        return Finding(layer, "no signal", "no signal reaches these parameters, by construction")
    names = ", ".join(silent[:3]) + (" and others" if len(silent) > 3 else "")
    return Finding(layer, "no signal", f"no signal reaches {names}; for the rest: {finding.text}")


def _finding(layer: str, x: Mapping[str, float]) -> Finding:
    count = int(x["count"])
    if count == 0:
        return Finding(layer, "not finite", "no draw is finite here: the estimate overflows")
    if not x["exact"] > 0:
        return Finding(layer, "dead", "the exact gradient is zero here: nothing to estimate")
    if x["longest"] == 0:
        return Finding(layer, "no signal", "all draws are zero: no signal reaches these parameters")
    if count < MIN_DRAWS:
        text = f"{counted(count, 'draw')} are too few to tell; take at least {MIN_DRAWS}"
        return Finding(layer, "unknown", text)
    if x["uphill"]:
        return Finding(layer, "direction", _uphill_text(x))
    if not x["s_low"] > 0:
        return _no_descent(layer, x, count)
    return _by_error(layer, x)


def _uphill_text(x: Mapping[str, float]) -> str:
    text = (
        f"it points uphill: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g} on average, and a step along −ĝ raises the "
        "loss; no number of draws helps"
    )
    return text + ("; it promises the exact gradient, so its sign is wrong" * bool(x["unbiased"]))


def _no_descent(layer: str, x: Mapping[str, float], count: int) -> Finding:
    """The finding where the mean slope may be zero."""
    ends = f" ({x['s_low']:.2g} … {x['s_high']:.2g})" if count >= MIN_COUNT_SKEWED else ""
    text = f"no descent was detected: ⟨ĝ, g⟩/‖g‖² is {x['s']:.2g}{ends} in {count:,} draws; "
    if x["significant_across"] <= max(x["s_low"] ** 2, x["s_high"] ** 2):
        return Finding(layer, "unknown", text + "the variance may hide a descent: make more draws")
    return Finding(layer, "direction", text + "the mean of the draws lies across the gradient")


def _by_error(layer: str, x: Mapping[str, float]) -> Finding:
    """The cause by what makes up the scaled error."""
    s2, across, spread = x["square"], x["significant_across"], x["variance"]
    error, limit = 1 - s2 / (s2 + across + spread), 1 - s2 / (s2 + across)
    if error <= TARGET_ERROR:
        return _small_error(layer, x["s"], error)
    needed = _draws_needed(s2, across, spread)
    if limit > TARGET_ERROR or (across > spread and limit > 0.1):
        more = "no number of draws brings it to 0.5" if needed is None else _draws_text(needed)
        text = (
            "wrong direction: the mean of infinitely many draws has the cosine "
            f"{math.sqrt(1 - limit):.2f} with the gradient, so averaging leaves the scaled error "
            f"at {limit:.2f}; {more}"
        )
        return Finding(layer, "direction", text, needed)
    assert needed is not None
    now = f"{error:.2f}" if error < 0.995 else "over 0.99"  # a scaled error near 1 is not 1
    text = (
        f"variance {without_exponent(spread)} times the squared gradient: "
        f"the scaled error is {now} now; {_draws_text(needed)}{_length_text(x['s'])}"
    )
    if not across and x["possible_across"] > TARGET_ERROR * s2:
        text += (
            "; it is not clear yet whether the mean lies across the gradient too: make more draws"
        )
    return Finding(layer, "variance", text, needed)


def _small_error(layer: str, s: float, error: float) -> Finding:
    if 0.5 <= s <= 2:
        return Finding(layer, "fine", f"sound: the scaled error of one draw is {error:.2f}", 1)
    text = (
        f"wrong scale: the direction is sound (scaled error {error:.2f}){_length_text(s)}: a "
        f"learning rate {1 / s:.3g} times as large corrects it"
    )
    return Finding(layer, "scale", text, 1)


def _draws_needed(s2: float, across: float, spread: float) -> int | None:
    """K with s²/(s² + p² + V/K) = 1 − TARGET_ERROR; None where there is none."""
    room = s2 * TARGET_ERROR / (1 - TARGET_ERROR) - across
    return round_up(spread / room) if room > 0 else None


def _draws_text(draws: int) -> str:
    return f"about {draws:,} draws averaged bring it to {TARGET_ERROR}"


def _length_text(s: float) -> str:
    return "" if 0.5 <= s <= 2 else f"; it is {s:.3g} times as long as it should be"
