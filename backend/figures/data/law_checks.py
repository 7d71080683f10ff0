"""Law checks of what a run has on record: at a microscope's point, and over the probes of a curve.

The rules are those of `estimators.statistics.law_check`; here are the series that they are applied
to, and the likely cause where a measure disagrees with its law.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import laws
from backend.figures.data.laws import Law
from backend.figures.data.metrics import MEASURES, metric
from backend.figures.data.select import described
from backend.figures.data.source import Floats, PointsLike, RunLike, Source
from backend.figures.drawing import canvas
from backend.figures.drawing.scales import Scale
from backend.figures.drawing.text import clipped, hover_point
from backend.figures.reference import Reference
from estimators.statistics.law_check import (
    LAW,
    MAX_ERRORS,
    MAX_ERRORS_OF_PROBES,
    MIN_DRAWS,
    MIN_PROBES,
    NO_LAW,
    NO_REFERENCE,
    RECORD,
    ROUNDING,
    LawCheck,
    check_measure,
    check_ratio,
    check_zero,
)
from estimators.statistics.reference import HATCH, ROUNDED
from estimators.statistics.student import t_of_normal

SYMBOLS = {
    "agrees": "✓", "disagrees": "✗", "not judged": "…", "no law": "–", "no reference": HATCH,
}  # fmt: skip
POINT_RULE = (
    f"✗ disagrees: the measure differs from the law by {MAX_ERRORS:g} standard errors or more "
    "(where the draws are skewed, the limit is larger on the side of their long tail). Judged "
    f"from {MIN_DRAWS} draws on"
)
"""When a law check at a microscope's point disagrees."""

LEADING_ORDER = (
    "coordinate_importance", "evolution_strategy", "gaussian_smoothing", "guided_es", "mezo",
    "node_perturbation", "spsa",
)  # fmt: skip
"""Estimators whose law holds to leading order in the length of their step."""
LONG_STEP = "the step is too long for the leading order"
CODE_OR_ASSUMPTION = "implementation or assumption wrong"

_LEADING_NAMES = re.compile(rf"\b({'|'.join(LEADING_ORDER)})\b")


def probe_rule() -> str:
    """When a law check over probes disagrees."""
    of_few = t_of_normal(MAX_ERRORS_OF_PROBES, MIN_PROBES - 1)
    return (
        "✗ disagrees: the mean over the probes differs from the law by more than "
        f"{MAX_ERRORS_OF_PROBES:g} standard errors ({of_few:.1f} where there are only "
        f"{MIN_PROBES} probes). Judged from {MIN_PROBES} probes and {MIN_DRAWS} draws on"
    )


def kind(check: LawCheck) -> str:
    """agrees, disagrees, not judged, no law or no reference: what tells a mark's look."""
    without = {NO_LAW: "no law", NO_REFERENCE: "no reference"}
    return next((name for each, name in without.items() if check == each), check.verdict)


def newest_values(source: Source, series: laws.SeriesByMetric) -> dict[str, float]:
    """The newest number of each measure, standard error, law and verdict of one layer and
    estimator."""
    names = [*MEASURES, *(f"{name}_se" for name in MEASURES)]
    names += [prefix + name for prefix in (LAW, RECORD) for name in MEASURES]
    return {
        name: float(source.points(series[name].id, newest=1).values[-1])
        for name in names
        if name in series
    }


def check_point(
    source: Source,
    exact: Reference,
    series: laws.SeriesByMetric,
    name: str,
    draws: int,
    error: float | None = None,
) -> LawCheck:
    """Check a measure at a microscope's point; it is not judged against a gradient that is
    rounding.

    `error` is its standard error by the single draws, for runs of before that have neither a
    standard error nor a verdict on record.
    """
    if exact.rounded_now(series[name].layer):
        return NO_REFERENCE
    values = newest_values(source, series)
    if error is not None and not {f"{name}_se", RECORD + name} & values.keys():
        values[f"{name}_se"] = error
    return check_measure(name, values, draws)


def law_of(source: Source, series: laws.SeriesByMetric, name: str, shown: PointsLike) -> Law | None:
    """The law of a measure from the first to the last step that is shown."""
    law = laws.law_of(source, series, name, *_ends(shown)) if len(shown.steps) else None
    return law if law and len(law.steps) else None


def check_probes(
    source: Source,
    exact: Reference,
    series: laws.SeriesByMetric,
    name: str,
    law: Law,
    shown: PointsLike,
    draws: int,
) -> LawCheck:
    """Check a measure over all probes within the steps that are shown, without thinning.

    Those at which the exact gradient is rounding are left out; the law is computed from it, too.
    """
    first, last = _ends(shown)
    measured = source.points(series[name].id, first=first, last=last)
    steps, here, there = np.intersect1d(measured.steps, law.steps, return_indices=True)
    valid = ~exact.rounded_at(laws.VARIANCE, series[name].layer, steps)
    if len(steps) and not valid.any():
        return NO_REFERENCE
    steps, value, by_law = steps[valid], measured.values[here][valid], law.values[there][valid]
    if name in (laws.VARIANCE, laws.MSE):
        return check_ratio(value.tolist(), by_law.tolist(), draws)
    spread, ratio = (
        _at(laws.law_of(source, series, other, first, last), steps)
        for other in (laws.VARIANCE, laws.SNR)
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if name == laws.BIAS:
            residual = (value - by_law) / (spread / draws + np.abs(by_law))
        else:
            probed = laws.probed(source, series, steps, draws)
            size = np.where(spread > 0, ratio * spread, 1.0)
            # A ratio of means is biased by 1 / draws; the means that it is made of are not.
            if name == laws.SNR:
                residual = (probed.size - by_law * probed.spread) / size
            else:
                second = probed.size + probed.spread  # E‖ĝ‖² / ‖g‖²
                residual = (by_law - value) * second / (size + spread)
                # Where noise alone turns a slope of little size uphill, its scaled error is 1; the
                # square of the slope less its noise has the right mean nevertheless.
                slope2 = laws.squared_slope(source, series, steps)
                free = ((by_law - 1) * second + slope2) / (size + spread)
                residual = np.where(np.isfinite(slope2) & (by_law < 1), free, residual)
        # An exact estimator has no noise to measure the difference in.
        same = np.abs(value - by_law) <= ROUNDING * np.maximum(1.0, np.abs(by_law))
        return check_zero(np.where(same, 0.0, residual).tolist(), draws)


def _ends(shown: PointsLike) -> tuple[int, int]:
    return int(shown.steps[0]), int(shown.steps[-1])


def _at(law: Law | None, steps: Any) -> Floats:
    """A law at these steps, NaN where it is not known."""
    values = np.full(len(steps), np.nan)
    if law:
        _, here, there = np.intersect1d(steps, law.steps, return_indices=True)
        values[here] = law.values[there]
    return values


def trace(
    x: Floats, values: Floats, scale: Scale, x_name: str, whole: str, like: Any, measure: str
) -> go.Scatter:
    """The law as a thin dashed line over the points `like`, hidden and shown with them."""
    return go.Scatter(
        x=x.tolist(),
        y=canvas.numbers(scale.positions(values)),
        customdata=canvas.numbers(values),
        name=f"law of {like.name}",
        mode="lines",
        legendgroup=like.legendgroup,
        showlegend=False,
        line={"color": like.line.color, "dash": "dash", "width": 1.2},
        hovertemplate=hover_point(f"law of {whole}", x_name, metric(measure), "customdata"),
        meta={"run": like.meta["run"], "x": x_name, "full": f"law of {whole}"},
    )


def words(checks: Sequence[tuple[str, LawCheck]], cause: str) -> str:
    """The check of each of a curve's lines, by verdict; "" where no line has a law.

    `cause` is what is wrong where they disagree.
    """
    if all(check == NO_LAW for _, check in checks):
        return ""
    by_kind: dict[str, list[str]] = {}
    for name, check in checks:
        by_kind.setdefault(kind(check), []).append(_with_numbers(name, check))
    parts = [
        f"{text.format(cause=cause)} {', '.join(by_kind[verdict])}"
        for verdict, text in _WORDS.items()
        if verdict in by_kind
    ]
    return f"dashed: the law; {'; '.join(parts)}"


_WORDS = {
    "agrees": "✓ agrees with",
    "disagrees": "✗ disagrees ({cause}) with",
    "not judged": f"not judged before {MIN_PROBES} probes:",
    "no law": "no law for",
    "no reference": f"not judged, since {ROUNDED}:",
}


def _with_numbers(name: str, check: LawCheck) -> str:
    if not np.isnan(check.ratio):
        return f"{name} ({check.ratio:.3g} ± {check.ratio_se:.2g} times it)"
    if not np.isnan(check.errors):
        return f"{name} ({_off(check)})"
    return name


NEAR = 2.0
"""Standard errors up to which a measure and its law simply agree."""


def _off(check: LawCheck) -> str:
    """How far a measure is from its law; a large distance that is allowed is called so."""
    side = "above" if check.errors > 0 else "below"
    text = f"{abs(check.errors):.1f} standard errors {side}"
    far = check.verdict == "agrees" and abs(check.errors) > NEAR
    return f"{text}, within the limit" if far else text


def with_distance(check: LawCheck) -> str:
    """The verdict with its symbol and, where it is known, the distance from the law."""
    text = f"{SYMBOLS[kind(check)]} {check.words}"
    return f"{text}: {_off(check)}" if np.isfinite(check.errors) else text


def likely_cause(run: RunLike, label: str) -> str:
    """Why one estimator of a run, or what it wraps, probably disagrees with its law."""
    return (
        LONG_STEP
        if _LEADING_NAMES.search(f"{label} {_component(run, label)}")
        else CODE_OR_ASSUMPTION
    )


def likely_causes(disagreements: Iterable[tuple[RunLike, str]]) -> str:
    """The causes for several (run, label); estimators with a long step by name, if not all are."""
    causes = {label: likely_cause(run, label) for run, label in disagreements}
    steps = [clipped(label) for label, cause in causes.items() if cause == LONG_STEP]
    if steps and len(steps) == len(causes):
        return LONG_STEP
    return CODE_OR_ASSUMPTION + (f"; of {', '.join(steps)}: {LONG_STEP}" if steps else "")


def _component(run: RunLike, label: str) -> object:
    return described(run).get(label)
