"""Two estimators compared: the mean difference of a measure, its interval, and how it is paired."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws
from backend.figures.data.metrics import USUAL_MEASURES, Metric, is_of_the_run, metric_of_part
from backend.figures.data.query import Query
from backend.figures.data.select import driver, estimators
from backend.figures.data.source import FigureError, RunLike, Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Pick, Place
from backend.figures.reference import Reference
from backend.figures.words import paired as of_pairs
from estimators.statistics.paired import (
    FEW_DRAWS,
    MIN_PAIRS,
    Comparison,
    min_pairs,
    paired,
    unpaired,
)
from estimators.statistics.reference import OF_THE_REFERENCE

SINGULAR = {"batches": "batch", "probes": "probe", "seeds": "seed", "draws": "draw"}
COMPARED = ("scaled_error", *(name for name in USUAL_MEASURES if name != "scaled_error"))
"""Measures that the chart can compare, the default first."""
INFO = FigureInfo(
    title="Paired comparison",
    help="The mean difference of a measure to that of the reference, with its 95 % interval; the "
    "mark is hollow where the interval holds zero. One run: the probes of both estimators at the "
    "same weights and batch are pairs, and the interval is of the mean over these probes. Runs "
    "of five or more seeds: a seed is a pair, and the interval is about other seeds too. A "
    "microscope: both at one checkpoint, each with noise of its own.",
    reading="Only an interval that does not hold zero shows a difference.",
    parameters=("runs", "metric", "layer", "estimator", "window", "first", "last"),
    charts=(
        Chart(
            "paired",
            (Place("run", "measures", 80),),
            picks=(
                Pick("metric", choices=(*COMPARED, "test/accuracy", "test/loss"), own=True),
                Pick("estimator", "Reference", empty="the driver", own=True),
            ),
            follows=("{metric}",),
            runs="focused first",
        ),
        Chart(
            "paired",
            (Place("draws", "read", 40), Place("comparison", "comparison", 10)),
            picks=(
                Pick("metric", choices=COMPARED, own=True),
                Pick("estimator", "Reference", empty="the driver", own=True),
            ),
            follows=("{metric}",),
        ),
    ),
)
OWN = ("name", "seed", "estimator", "shadows", "device", "probe")
"""Fields of a configuration in which paired runs may differ."""


class Pairing(NamedTuple):
    """Every estimator against the reference."""

    reference: str
    comparisons: dict[str, Comparison]
    unit: str
    """What is a pair."""
    notes: list[str]


def figure(source: Source, query: Query) -> go.Figure:
    """Compare by the first metric named (`scaled_error` by default).

    A microscope: two measures at one point. Runs of at least five seeds: pairs of a seed. Else the
    probes of the first run.
    """
    name = query.metrics[0] if query.metrics else "scaled_error"
    what = metric_of_part(name)
    pairing = _pairing(source, query, name)
    count = sum(comparison.pairs for comparison in pairing.comparisons.values())
    tally = canvas.Tally(count, count)
    for label, comparison in pairing.comparisons.items():
        tally.add_details(sentence(what, label, pairing, comparison))
    for note in pairing.notes:
        tally.say(note)
    for gap in draws.gaps(source, query):
        tally.warn(gap)
    if not pairing.comparisons:
        tally.say(_too_few(name, what))
    tally.conclude(of_pairs.takeaway(name, pairing.comparisons, pairing.reference))
    rows = [
        (label, comparison)
        for label, comparison in pairing.comparisons.items()
        if np.isfinite(comparison.difference)
    ]
    ends = [v for _, d in rows for v in (d.difference, d.low, d.high)]
    scale = choose("linear" if what.scaling == "linear" else "signed", np.array(ends, np.float64))
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    marks = style.symbols(label for label, _ in rows)
    names = [_row(label, comparison, pairing.unit) for label, comparison in rows]
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    return canvas.finish(
        [
            _dot(at, *row, scale, what, pairing, marks[row[0]]) for at, row in enumerate(rows)
        ],
        tally,
        title=f"{INFO.title} by {what.short}{where}",
        height=150 + 44 * max(len(rows), 2),
        showlegend=False,
        nothing="nothing to compare" if _has_points(source, query, name) else "no points yet",
        xaxis=canvas.axis(
            f"{what.short}<br>minus that of {plain(clipped(pairing.reference, 34))}",
            tickangle=0, **canvas.few(scale),
        ),
        yaxis=canvas.axis(
            "", tickmode="array", tickvals=list(range(len(names))), ticktext=names,
            range=[max(len(names), 1) - 0.5, -0.5], fixedrange=True,
        ),
        shapes=[{**zero, "line": {"color": "#808080", "width": 1.5, "dash": "dot"}}],
    )  # fmt: skip


def _has_points(source: Source, query: Query, name: str) -> bool:
    return any(
        series.count and (series.metric, series.layer) == (name, query.layer)
        for run_id in query.runs
        for series in source.series(run_id)
    )


def _too_few(name: str, what: Metric) -> str:
    """What a comparison takes that these runs have not."""
    if is_of_the_run(name):
        return f"a comparison takes two runs with {what.short}, of one seed and two drivers"
    return f"a comparison takes two estimators with {what.short}"


def _pairing(source: Source, query: Query, name: str) -> Pairing:
    first = source.run(query.runs[0])
    if draws.is_microscope(first):
        return _at_a_point(source, query, name, first)
    seeds = {source.run(run_id).config.get("seed") for run_id in query.runs}
    of_runs = is_of_the_run(name)
    if len(seeds) >= MIN_PAIRS or (of_runs and len(query.runs) > 1):
        return _over_seeds(source, query, name)
    pairing = _over_steps(source, query, name, first)
    if len(query.runs) > 1:
        pairing.notes.append(
            f"run #{first.number} alone; runs of {MIN_PAIRS} seeds would be paired by their "
            f"seed, and there are {len(seeds)} here"
        )
    return pairing


def _series_ids(
    source: Source, run_id: str, run: RunLike, query: Query, name: str
) -> dict[str, int]:
    """{label: series}; what belongs to the run is its driver's."""
    return {
        series.estimator or driver(run): series.id
        for series in source.series(run_id)
        if (series.metric, series.layer) == (name, query.layer) and series.count
    }


def _reference(labels: Sequence[str], asked: str, run: RunLike) -> str:
    if asked and asked not in labels:
        allowed = ", ".join(labels) or "none"
        raise FigureError(f"there is no estimator {asked!r} with this measure; there are {allowed}")
    usual = driver(run)
    return asked or (usual if usual in labels or not labels else labels[0])


def _ordered(run: RunLike, labels: Sequence[str]) -> list[str]:
    own = [label for label in estimators(run) if label in labels]
    return [*own, *(label for label in labels if label not in own)]


def _at_a_point(source: Source, query: Query, name: str, run: RunLike) -> Pairing:
    """A microscope: draws have noise of their own, so that they are not paired."""
    series_ids = _series_ids(source, query.runs[0], run, query, name)
    errors = _series_ids(source, query.runs[0], run, query, f"{name}_se")
    labels = _ordered(run, list(series_ids))
    reference, comparisons, exact = _reference(labels, query.estimator, run), {}, {}
    rounded = name in OF_THE_REFERENCE and Reference(source, query.runs[0]).rounded_now(query.layer)
    for label in labels:
        points = source.points(series_ids[label], newest=1)
        spread = source.points(errors[label], newest=1).values[-1] if label in errors else np.nan
        value = np.nan if rounded else float(points.values[-1])
        exact[label] = (value, float(spread), int(points.steps[-1]))
    for label in labels:
        if label != reference:
            (x, dx, n), (y, dy, m) = exact[label], exact[reference]
            comparisons[label] = unpaired(x, y, (dx, dy), min(n, m))
    notes = [
        "at one checkpoint and batch; the draws have noise of their own and are not paired: "
        "their standard errors add in squares"
    ]
    return Pairing(reference, comparisons, "draws", notes if comparisons else [])


def _over_steps(source: Source, query: Query, name: str, run: RunLike) -> Pairing:
    """The probes of one run: the same weights and the same batch for both."""
    series_ids = _series_ids(source, query.runs[0], run, query, name)
    labels = _ordered(run, list(series_ids))
    reference, comparisons = _reference(labels, query.estimator, run), {}
    exact, by_id = Reference(source, query.runs[0]), {s.id: s for s in source.series(query.runs[0])}
    span = {"first": query.first, "last": query.last}
    needed = min_pairs(int((run.config.get("probe") or {}).get("draws", FEW_DRAWS)))
    batches = run.number is None  # compared in a notebook: no probe follows from another
    unit = "batches" if batches else "probes"
    for label in labels:
        if label != reference:
            own, other = (source.points(series_ids[x], **span) for x in (label, reference))
            valid = ~exact.rounded(by_id[series_ids[label]], own.steps)
            own = own.steps[valid], own.values[valid]
            _, here, there = np.intersect1d(own[0], other.steps, return_indices=True)
            comparisons[label] = paired(
                own[1][here].tolist(), other.values[there].tolist(),
                successive=not batches, needed=needed, unit=unit,
            )  # fmt: skip
    has_interval = any(np.isfinite(comparison.low) for comparison in comparisons.values())
    note = (
        "intervals of the mean over batches, at the same weights"
        if batches
        else f"intervals of the mean over these probes of run #{run.number}, at its weights and "
        "batches; another seed may differ"
    )
    return Pairing(reference, comparisons, unit, [note] if has_interval else [])


def _over_seeds(source: Source, query: Query, name: str) -> Pairing:
    """A number a seed: the mean over the latest probes."""
    table: dict[Any, dict[str, float]] = {}
    labels: dict[str, None] = {}
    twice: set[Any] = set()
    for run_id in query.runs:
        run = source.run(run_id)
        row = table.setdefault(run.config.get("seed"), {})
        series_ids = _series_ids(source, run_id, run, query, name)
        exact, by_id = Reference(source, run_id), {s.id: s for s in source.series(run_id)}
        for label in _ordered(run, list(series_ids)):
            labels[label] = None
            if label in row:
                twice.add(run.config.get("seed"))
                continue
            values = exact.kept(by_id[series_ids[label]], query.window)
            finite = values[np.isfinite(values)]
            row[label] = float(finite.mean()) if len(finite) else np.nan
    reference = _reference(list(labels), query.estimator, source.run(query.runs[0]))
    comparisons = {
        label: paired(*_columns(table, label, reference), unit="seeds")
        for label in labels
        if label != reference
    }
    notes = [
        f"a pair a seed, each the mean of the last {query.window} points of its run",
        _doubled(twice),
        *(_missing(table, label) for label in labels),
        _differences([source.run(run_id).config for run_id in query.runs]),
    ]
    return Pairing(reference, comparisons, "seeds", notes)


def _columns(
    table: Mapping[Any, Mapping[str, float]], label: str, reference: str
) -> tuple[list[float], list[float]]:
    rows = [row for row in table.values() if label in row and reference in row]
    return [r[label] for r in rows], [r[reference] for r in rows]


def _missing(table: Mapping[Any, Mapping[str, float]], label: str) -> str:
    """The seeds for which an estimator has no run, and so no pair."""
    seeds = [str(seed) for seed, row in table.items() if label not in row]
    return f"{clipped(label)} has no run with seed {', '.join(seeds)}" if seeds else ""


def _doubled(seeds: set[Any]) -> str:
    if not seeds:
        return ""
    return f"several runs of seed {', '.join(map(str, sorted(seeds)))}: the first of each counts"


def _differences(configs: Sequence[Mapping[str, Any]]) -> str:
    """In what else than their seed and estimators the runs differ."""
    names = [n for n in configs[0] if n not in OWN]
    other = [n for n in names if any(c.get(n) != configs[0].get(n) for c in configs)]
    return f"the runs differ in more than their seed: {', '.join(other)}" if other else ""


def sentence(what: Metric, label: str, pairing: Pairing, comparison: Comparison) -> str:
    """The comparison in words."""
    first, second = clipped(label), clipped(pairing.reference)
    if not comparison.judged:
        if comparison.unit == "draws" and not np.isfinite(comparison.difference):
            return f"{first}: no value in one of the two"
        return f"{first}: {comparison.reason}"
    numbers = f"{comparison.interval_text}; {comparison.count_text}".replace("-", "−")
    if comparison.verdict == "no difference":
        return f"{first}: no difference to {second} found ({numbers})"
    return f"{first}: {what.short} {comparison.verdict} than {second}'s ({numbers})"


def _row(label: str, comparison: Comparison, unit: str) -> str:
    noun = SINGULAR[unit] if comparison.pairs == 1 else unit
    return f"{plain(clipped(label, 26))}<br>{comparison.pairs:,} {noun}"


def _dot(
    at: int,
    label: str,
    comparison: Comparison,
    scale: Scale,
    what: Metric,
    pairing: Pairing,
    mark: str,
) -> go.Scatter:
    x = float(scale.positions(np.array([comparison.difference]))[0])
    low, high = (
        scale.positions(np.array([comparison.low, comparison.high])).tolist()
        if comparison.judged
        else (x, x)
    )
    bar = {"type": "data", "array": [high - x], "arrayminus": [x - low], "symmetric": False}
    text = sentence(what, label, pairing, comparison)
    # Open where no difference is found, as the bar that crosses zero shows too.
    differs = comparison.verdict in ("larger", "smaller")
    symbol = mark + ("" if differs else "-open")
    colour = style.colour(label)
    return go.Scatter(
        x=[x], y=[at], name=plain(clipped(label)), mode="markers", text=[plain(text)],
        error_x={**bar, "width": 6, "thickness": 2, "color": colour} if comparison.judged else None,
        marker={"symbol": symbol, "size": 11, "color": colour,
                "line": {"width": 2, "color": colour}},
        hovertemplate=f"{hover_head(plain(label))}<br>%{{text}}<extra></extra>",
    )  # fmt: skip
