"""The tables of a measurement: measures with their laws below them, and findings in sentences."""

import math
from collections.abc import Mapping, Sequence

from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.estimates.bias_test import MIN_DRAWS
from estimators.measurement.estimates.diagnosis import with_anatomy
from estimators.measurement.results.data import MeasurementData
from estimators.measurement.results.table import Table
from estimators.statistics.formatting import (
    counted,
    share_not_finite,
    share_unconverged,
    short,
    upper_bound,
)
from estimators.statistics.reference import (
    HATCH,
    HATCH_NOTE,
    OF_THE_REFERENCE,
    ROUNDED,
    growth_words,
    rounded_words,
)
from estimators.statistics.tails import FEW, MARK, MARKED, UNAFFECTED
from estimators.statistics.tails import MIN_DRAWS as MIN_DRAWS_TAIL

SHOWN = (
    "cosine", "norm_ratio", "scaled_error", "relative_variance", "relative_squared_bias",
)  # fmt: skip
"""The measures with a column; `Measurement.rows` has all."""
DIFFERENCES = ("scaled_error", "relative_squared_bias")
"""Measures that are differences of numbers about 1."""
ROUNDING = 1e-12
"""Differences below this are rounding."""
INTERVAL_NOTE = "±: half the width of the 95 % interval, where there are enough draws for one"
LAW_NOTE = "by its law: the value that theory gives, and the law check: whether the draws agree"


def measures_table(data: MeasurementData, places: Sequence[int]) -> Table:
    """The measures in the layers at these places, one estimator below the other."""
    shown = [m for m in SHOWN if any(m in values for values in data.values.values())]
    rows = name_once([
        row for i in places for label in data.values for row in measure_rows(data, label, i, shown)
    ])  # fmt: skip
    head = ["layer", "estimator", *(m.replace("_", " ") for m in shown)]
    return Table(
        title(data),
        [*head, *(["bias"] if data.verdicts else [])],
        rows,
        note(data, places),
        notices=data.notices,
    )


def measure_rows(
    data: MeasurementData, label: str, i: int, shown: Sequence[str]
) -> list[list[str]]:
    """The measures of one estimator in one layer, and below them the values by its law."""
    layer, values, laws = (
        data.layers[i] or "(network)",
        data.values[label],
        data.laws.get(label, {}),
    )
    ends = data.intervals.get(label, {})
    heavy = bool(label in data.heavy and data.heavy[label][i])
    measured = [
        _measured(
            _clean(m, values[m][i]),
            ends[m][i] if m in ends else None,
            MARK if heavy and m not in UNAFFECTED else "",
            hatched=m in OF_THE_REFERENCE and data.is_rounding(data.layers[i]),
        )
        for m in shown
    ]
    verdict = [_verdict(data, label, i)] if data.verdicts else []
    rows = [[layer, label, *measured, *verdict]]
    if any(m in laws and not math.isnan(laws[m][i]) for m in shown):
        by_law = [_law(data, label, m, i) if m in laws else "" for m in shown]
        rows.append(["", "  by its law", *by_law, *[""] * len(verdict)])
    return rows


def title(data: MeasurementData) -> str:
    """How many draws, at which loss, and what could not be measured."""
    lost = [
        f"{label}: {share_not_finite(n, data.draws)}" for label, n in data.nonfinite.items() if n
    ]
    dead = [
        layer or "(network)"
        for layer, g in zip(data.layers, data.exact_norm, strict=True)
        if not g and not data.is_rounding(layer)
    ]
    nowhere = [math.nan] * len(data.layers)
    more = f" and {len(dead) - 5} more" if len(dead) > 5 else ""
    notes = [
        *lost,
        *solve_notes(data),
        *uphill_notes(data),
        *filter(None, [rounded_words(data.layers, data.exact_norm, data.exact_floor or nowhere)]),
        *filter(None, [growth_words([*data.growth], [*data.growth.values()])]),
        *([f"zero gradient in {', '.join(dead[:5])}{more}"] if dead else []),
    ]
    if data.draws == 1:
        notes.append("one draw has no variance")
    return ", ".join([f"{counted(data.draws, 'draw')} at loss {data.loss:.4g}", *notes])


def solve_notes(data: MeasurementData) -> list[str]:
    """Sentences on solves of equilibria that did not converge."""
    notes = [
        f"{label}: {share_unconverged(n, data.draws)}" for label, n in data.not_converged.items()
        if n
    ]  # fmt: skip
    if lost := data.reference_not_converged:
        notes.append(
            "the exact gradient itself rests on a solve that did not converge for "
            f"{counted(lost, 'example')}"
        )
    return notes


def uphill_notes(data: MeasurementData) -> list[str]:
    """Sentences on the estimators that point uphill, in the network or in some of its layers."""
    notes = []
    for label in data.values:
        layers = [layer for layer in data.layers if data.points_uphill(label, layer)]
        if "" in layers:
            notes.append(f"{label} points uphill")
        elif layers:
            more = f" and {len(layers) - 5} more" if len(layers) > 5 else ""
            notes.append(f"{label} points uphill in {', '.join(layers[:5])}{more}")
    return notes


def note(
    data: MeasurementData,
    places: Sequence[int] = (),
    sources: Mapping[str, str] | None = None,
    *,
    hatched: bool = False,
) -> str:
    """The note below the table: how to read the numbers.

    `hatched` says that there are hatched ones, in a table that is not of these `places`.
    """
    hatched = hatched or any(data.is_rounding(data.layers[i]) for i in places)
    hidden = len(data.layers) - len(places)
    ends = (e for f in data.intervals.values() for m in f.values() for e in m)
    return "; ".join([
        sources_note(data.sources if sources is None else sources),
        *([HATCH_NOTE] if hatched else []),
        *([INTERVAL_NOTE, *_tail_notes(data)] if any(ends) else []),
        *([LAW_NOTE] if data.laws else []),
        *([f"{hidden} layers more: .table(), .table('tensor')"] if places and hidden else []),
    ])  # fmt: skip


def _tail_notes(data: MeasurementData) -> list[str]:
    """What heavy tails mean for the intervals, known or not."""
    if any(any(layers) for layers in data.heavy.values()):
        return [MARKED]
    affected = any(
        any(ends) for rows in data.intervals.values() for m, ends in rows.items()
        if m not in UNAFFECTED
    )  # fmt: skip
    return [FEW] if affected and data.draws < MIN_DRAWS_TAIL else []


def sources_note(sources: Mapping[str, str]) -> str:
    """How the draws were made; where some estimators have no oracle, which are drawn honestly."""
    honest = [label for label, source in sources.items() if source == "honest"]
    if len(honest) == len(sources):
        return "draws: honest"
    return "draws: oracle" + (f", but honest of {', '.join(honest)}" if honest else "")


def findings_table(
    data: MeasurementData, places: Sequence[int], anatomies: Mapping[str, Anatomy]
) -> Table:
    """What is wrong with each estimator, layer by layer."""
    rows = []
    for i in places:
        for label, findings in data.findings.items():
            finding = with_anatomy(findings[i], anatomies.get(label))
            rows.append([data.layers[i] or "(network)", label, finding.cause, finding.text])
    return Table(
        title(data),
        ["layer", "estimator", "cause", "in words"],
        name_once(rows),
        words=3,
        sentence=True,
        notices=data.notices,
    )


def null_table(data: MeasurementData, places: Sequence[int]) -> Table:
    """Cosines and scaled errors beside their nulls; hatched where the gradient is rounding."""
    rows = []
    for i in places:
        layer = data.layers[i]
        for label, values in data.values.items():
            null, hatched = data.null(label, layer), data.is_rounding(layer)
            low, high = map(short, null.cosine)
            cosine, error = (
                _measured(_clean(name, values[name][i]), None, hatched=hatched)
                for name in ("cosine", "scaled_error")
            )
            band, above = f"{low} … {high}", f"> {null.scaled_error:.4g}"
            rows.append([layer or "(network)", label, cosine, band, error, above, null.redrawn])
    below = "null: 95 % of cosines and of scaled errors, had noise or feedback nothing to do with "
    below += "the gradient; redrawn: the feedback, or the signs of the units"
    hatched = any(data.is_rounding(data.layers[i]) for i in places)
    return Table(
        title(data),
        ["layer", "estimator", "cosine", "its null", "scaled error", "its null", "redrawn"],
        name_once(rows),
        "; ".join([below, *([HATCH_NOTE] if hatched else [])]),
        notices=data.notices,
    )


def name_once(rows: list[list[str]]) -> list[list[str]]:
    """The rows, with each layer's name in its first row alone."""
    above = ""
    named = []
    for row in rows:
        named.append(["" if row[0] in ("", above) else row[0], *row[1:]])
        above = row[0] or above
    return named


def _measured(
    value: float, ends: tuple[float, float] | None, mark: str = "", *, hatched: bool = False
) -> str:
    """The value and half the width of its interval; a mark says that this may be too small.

    What is measured against a gradient that is rounding is hatched.
    """
    if hatched:
        return f"{HATCH} {short(value)}"
    half = (ends[1] - ends[0]) / 2 if ends else 0.0
    # The rounding of an exact estimator is not an interval.
    wide = half > max(1e-9 * abs(value), 0.0 if value else ROUNDING)
    return short(value) + (f" ±{mark} {half:.2g}" if wide else "")


def _law(data: MeasurementData, label: str, metric: str, i: int) -> str:
    law = short(_clean(metric, data.laws[label][metric][i]))
    checks = data.law_checks.get(label, {}).get(metric)
    if checks is None or checks[i].verdict == "not judged":
        return law
    return f"{law} {checks[i].verdict}"


def _verdict(data: MeasurementData, label: str, i: int) -> str:
    verdicts = data.verdicts.get(label)
    if not verdicts:
        return f"– (takes {MIN_DRAWS} draws)"
    verdict = verdicts[i]
    if data.is_rounding(data.layers[i]):
        return f"– ({ROUNDED})"
    if verdict.biased is None:
        few = verdict.draws < MIN_DRAWS
        return f"– ({verdict.draws} finite draws of {MIN_DRAWS})" if few else "– (zero gradient)"
    return "biased" if verdict.biased else f"none (< {upper_bound(verdict.bound)})"


def _clean(metric: str, x: float) -> float:
    """0 where a difference of numbers about 1 is rounding."""
    return 0.0 if metric in DIFFERENCES and abs(x) < ROUNDING else x
