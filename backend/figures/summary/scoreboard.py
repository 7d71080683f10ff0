"""The scoreboard of a run: a row for each estimator, from the functions that its figures use.

`scoreboard` answers plain JSON, in which NaN and infinities are None; docs/architecture.md
describes it. Every number has its `text`, as sentences say it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from backend.figures.data import diagnosis, laws, plane
from backend.figures.data.plane import SPREAD
from backend.figures.data.query import WINDOW, Query, parse
from backend.figures.data.read_once import ReadOnce
from backend.figures.data.select import Line, driver, estimators, layers
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing import style
from backend.figures.drawing.names import side_by_side
from backend.figures.reference import Reference
from backend.figures.summary import takeaways
from backend.figures.summary.bias import MIN_PROBES, bias_of
from backend.figures.summary.exact import exact_stages
from backend.figures.summary.pooled import Pooled, pool, without_faults
from backend.figures.summary.theory import theory_of
from backend.figures.words.names import short_names, title_of
from backend.figures.words.numbers import percent, times
from estimators.statistics.findings import diagnose
from estimators.statistics.formatting import counted

ALONG, LENGTH = "cosine", "norm_ratio"
SPARKS = 60
"""Points of a sparkline."""
BACKPROP_PASSES = 3.0
"""Declared cost of backpropagation in forward passes: one forward, and a backward of two."""


class _Board(NamedTuple):
    """What all rows are read from."""

    source: Source
    run_id: str
    run: RunLike
    query: Query
    series: Mapping[tuple[str, str], laws.SeriesByMetric]
    """The series by layer and label, then metric."""
    stages: Sequence[str]
    exact: Mapping[str, Sequence[str]]
    """The exact stages of each label."""
    reference: Reference

    def line(self, metric: str, layer: str, label: str) -> Line | None:
        series = self.series.get((layer, label), {}).get(metric)
        return Line(self.run_id, self.run, 0, series) if series else None


def scoreboard(
    source: Source, run_id: str, *, layer: str = "", window: int = WINDOW
) -> dict[str, Any]:
    """A row for each estimator of a run, the driver first.

    Args:
        source: where the run is.
        run_id: its id.
        layer: what the numbers are of, "" for the whole network.
        window: how many of the latest probes are pooled.

    Returns:
        `{run, number, layer, window, probes, step, stages, takeaway, rows}`.
    """
    source = ReadOnce(source)
    query = replace(parse({"runs": run_id}), layer=layer, window=window)
    run = source.run(run_id)
    board = _Board(
        source, run_id, run, query, laws.index(source, run_id),
        layers(source, run, run_id, ALONG, "stage"),
        {} if layer else exact_stages(source, run_id, window),
        Reference(source, run_id),
    )  # fmt: skip
    labels = estimators(run)
    with side_by_side([labels, board.stages]):
        names = short_names(labels)
        along = {label: _pooled(board, ALONG, label) for label in labels}
        biases = _biases(board)
        marks = style.symbols(labels)
        rows = [_row(board, label, names[label], marks[label], along, biases) for label in labels]
        lines = [line for label in labels if (line := board.line(ALONG, layer, label))]
        said = takeaways.of_measure(source, query, ALONG, lines)
    newest = [int(each.steps[-1]) for each in along.values() if each and len(each.steps)]
    return {
        "run": run_id,
        "number": run.number,
        "layer": layer,
        "window": window,
        "probes": max((each.probes for each in along.values() if each), default=0),
        "step": max(newest, default=None),
        "stages": [*board.stages],
        "takeaway": said,
        "rows": rows,
    }


def _pooled(board: _Board, metric: str, label: str) -> Pooled | None:
    line = board.line(metric, board.query.layer, label)
    return pool(board.source, line, board.query) if line else None


def _biases(board: _Board) -> dict[str, plane.Probes]:
    return {probes.line.label: probes for probes in plane.read(board.source, board.query)}


def _row(
    board: _Board,
    label: str,
    short: str,
    marker: str,
    along: Mapping[str, Pooled | None],
    biases: Mapping[str, plane.Probes],
) -> dict[str, Any]:
    ink, pooled = style.ink(label), along[label]
    return {
        "label": label,
        "name": label.partition("(")[0].partition(" #")[0],
        "title": title_of(label),
        "short": short,
        "drives": label == driver(board.run),
        "marker": marker,
        "colour": {"index": style.index(label), "light": ink.light, "dark": ink.dark},
        "along": _mean(pooled, percent),
        "spark": _spark(board, label),
        "layers": [_stage(board, stage, label) for stage in board.stages],
        "variance": _mean(_pooled(board, SPREAD, label), times),
        "length": _mean(_pooled(board, LENGTH, label), times),
        "bias": _bias(biases.get(label), board.query.window),
        "halving": _halving(board, label),
        "cost": _cost(board.run, label),
        "theory": _theory(board, label),
        "faults": [*pooled.faults] if pooled else [],
    }


def _mean(pooled: Pooled | None, text: Any) -> dict[str, Any] | None:
    """A pooled mean with its 95 % interval; None without a value."""
    if pooled is None or not pooled.sample.count:
        return None
    low, high = pooled.interval
    return {
        "value": _number(pooled.mean),
        "low": _number(low),
        "high": _number(high),
        "probes": pooled.sample.count,
        "text": text(pooled.mean),
    }


def _spark(board: _Board, label: str) -> dict[str, Any]:
    line = board.line(ALONG, board.query.layer, label)
    if line is None:
        return {"steps": [], "values": []}
    points = board.source.points(line.series.id, max=SPARKS)
    return {"steps": points.steps.tolist(), "values": [_number(v) for v in points.values.tolist()]}


def _stage(board: _Board, stage: str, label: str) -> dict[str, Any]:
    line, mean = board.line(ALONG, stage, label), None
    if line:
        kept = without_faults(board.source, line, board.reference, board.query.window)
        mean = _mean(kept, percent)
    exact = stage in board.exact.get(label, ())
    return {"stage": stage, "exact": exact, "along": mean}


def _bias(probes: plane.Probes | None, window: int) -> dict[str, Any] | None:
    if probes is None:
        return None
    bias = bias_of(probes, window)
    return {
        "verdict": bias.verdict,
        "value": _number(bias.value),
        "error": _number(bias.error),
        "bound": _number(bias.bound),
        "text": bias.words,
    }


def _halving(board: _Board, label: str) -> dict[str, Any]:
    """How many draws averaged bring the scaled error to a half."""
    layer = board.query.layer
    members = {layer: diagnosis.members(board.run).get(layer, [layer])}
    window = max(2, board.query.window)
    question = diagnosis.question(board.source, board.run_id, label, window, members)
    if question["probes"] < MIN_PROBES or not question["layers"]:
        return {"draws": None, "cause": "too early", "text": "too early"}
    (finding,) = diagnose(question)
    draws = finding["draws"]
    text = "no number" if draws is None else counted(draws, "draw")
    if draws is None and finding["cause"] in ("unknown", "reference", "dead", "no signal"):
        text = "not clear"
    return {"draws": draws, "cause": finding["cause"], "text": text}


def _cost(run: RunLike, label: str) -> dict[str, Any] | None:
    """The declared cost of one estimate; None where none is on record."""
    passes = run.facts.get("cost", {}).get(label)
    if passes is None:
        return None
    relative = float(passes) / BACKPROP_PASSES
    return {"passes": float(passes), "relative": relative, "text": times(relative)}


def _theory(board: _Board, label: str) -> dict[str, Any]:
    rows = [board.query.layer] if board.query.layer else ["", *board.stages]
    verdict = theory_of(board.source, board.run_id, label, rows, board.series, board.query)
    return {
        "verdict": verdict.verdict,
        "agree": verdict.agree,
        "judged": verdict.judged,
        "worst": _number(verdict.worst),
        "text": verdict.words,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
