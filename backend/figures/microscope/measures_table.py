"""The measures of a microscope as a table: measured, standard error, law, and the law check."""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions, draws, law_checks, laws, standard_errors
from backend.figures.data.metrics import MEASURES, metric
from backend.figures.data.query import Query
from backend.figures.data.select import Line, estimators, lines
from backend.figures.data.source import Source
from backend.figures.drawing import canvas, hatch
from backend.figures.drawing.text import clipped, plain
from backend.figures.info import Chart, FigureInfo, Place
from backend.figures.reference import Null, Reference
from estimators.statistics.formatting import counted
from estimators.statistics.law_check import LawCheck
from estimators.statistics.reference import HATCH, HATCH_NOTE, OF_THE_REFERENCE
from estimators.statistics.tails import MARK, UNAFFECTED

INFO = FigureInfo(
    title="Measures and laws",
    help="Every measure at the newest draw with its standard error, and the value by the law "
    "beside it.",
    reading="A law check that disagrees: the implementation or an assumption of the law is wrong.",
    parameters=("runs", "metric", "layer", "estimator"),
    charts=(Chart("measures-table", (Place("draws", "read", 20),), size="table"),),
)
NULL_WORDS = "by chance: 95 % of cosines are between these ends, 95 % of scaled errors above"
HEAD = ("estimator", "measure", "measured", "± s.e.", "by chance", "by the law", "law check")


class Row(NamedTuple):
    """One measure of one estimator."""

    line: Line
    value: float
    error: float | None
    law: float | None
    draws: int
    check: LawCheck
    heavy: bool
    """Whether heavy tails make its standard error too small."""
    hatched: bool
    """Whether it compares with a gradient that is rounding."""
    null: Null
    """What chance gives."""


def figure(source: Source, query: Query) -> go.Figure:
    """Tabulate the metrics named (all measures by default) at their newest point."""
    hidden = ("_se", "_sd", "_null")
    names = [name for name in (query.metrics or MEASURES) if not name.endswith(hidden)]
    for name in names:
        metric(name)
    rows = [_row(source, line) for line in lines(source, query, names) if line.series.count]
    rows.sort(key=lambda row: _rank(row.line))
    tally = canvas.Tally(len(rows), len(rows))
    tally.say(_draws(rows))
    tally.say(draws.how(source, [row.line.key for row in rows]))
    for gap in draws.gaps(source, query):
        tally.warn(gap)
    wrong = [(row.line.run, row.line.label) for row in rows if row.check.verdict == "disagrees"]
    tally.say(law_checks.POINT_RULE)
    tally.say(hatch.null_note([row.null for row in rows], NULL_WORDS))
    tally.say(HATCH_NOTE if any(row.hatched for row in rows) else "")
    tally.say(f"likely cause where a law disagrees: {law_checks.likely_causes(wrong)}")
    cells = [
        [*column] for column in zip(*(_cells(row, len(query.runs)) for row in rows), strict=True)
    ]
    shown = go.Table(
        header={"values": list(HEAD), "align": "left", "fill": {"color": canvas.CLEAR}},
        cells={"values": cells, "align": "left", "fill": {"color": canvas.CLEAR}, "height": 24},
        name=INFO.title, columnwidth=[2.8, 2.4, 1.6, 1.3, 1.9, 1.6, 2],
    )  # fmt: skip
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    height = 110 + 24 * min(max(len(rows), 2), 24)
    return canvas.finish(
        [shown] if rows else [], tally, title=INFO.title + where, height=height, showlegend=False
    )


def _row(source: Source, line: Line) -> Row:
    points, name = source.points(line.series.id), line.series.metric
    value = float(points.values[-1])
    error = draws.latest(source, line, f"{name}_se")
    if error is None:
        error = standard_errors.from_draws(source, line)
    law = draws.latest(source, line, f"law/{name}")
    count = _count(line, int(points.steps[-1]))
    series, exact = laws.series_of(source, line), Reference(source, line.run_id)
    check = law_checks.check_point(source, exact, series, name, count, error)
    heavy = name not in UNAFFECTED and cautions.heavy_tails(
        source, line.run_id, line.label, line.series.layer
    )
    hatched = name in OF_THE_REFERENCE and exact.rounded_now(line.series.layer)
    newest = points.steps[-1:], points.values[-1:]
    null = exact.null(name, line.label, line.series.layer, *newest)
    return Row(line, value, error, law, count, check, heavy, hatched, null)


def _rank(line: Line) -> tuple[int, int]:
    labels = estimators(line.run)
    return line.place, labels.index(line.label) if line.label in labels else len(labels)


def _count(line: Line, step: int) -> int:
    """The draws that a measure is of: a microscope's steps, a probe's number."""
    if draws.is_microscope(line.run):
        return step
    return int((line.run.config.get("probe") or {}).get("draws", 0))


def _draws(rows: list[Row]) -> str:
    counts = sorted({row.draws for row in rows if draws.is_microscope(row.line.run)})
    return f"after {counted(counts[-1], 'draw')}" if counts else ""


def _cells(row: Row, runs: int) -> list[str]:
    return [
        draws.name_of(row.line, several=runs > 1),
        metric(row.line.series.metric).title,
        f"{HATCH} {_number(row.value)}" if row.hatched else _number(row.value),
        "" if row.error is None else _number(row.error, 2) + (f" {MARK}" if row.heavy else ""),
        _chance(row.null),
        "no law" if row.law is None else _number(row.law),
        _check(row.check),
    ]


def _chance(null: Null) -> str:
    """The ends of the null band of a cosine, or what a scaled error exceeds; "" without a null."""
    low, high = (float(end[0]) if len(end) else np.nan for end in (null.low, null.high))
    if np.isfinite(high):
        return f"{_number(low, 2)} … {_number(high, 2)}"
    return f"> {_number(low)}" if np.isfinite(low) else ""


def _check(check: LawCheck) -> str:
    """The verdict with its symbol, and how far the measure is from its law in standard errors."""
    kind = law_checks.kind(check)
    if kind in ("no law", "no reference"):
        return law_checks.SYMBOLS[kind]
    return law_checks.with_distance(check)


def _number(value: float, digits: int = 5) -> str:
    if not np.isfinite(value):
        return "no value"
    long = 1e3 <= abs(value) < 1e9 and float(f"{value:.{digits}g}")
    return (f"{long:,.0f}" if long else f"{value:.{digits}g}").replace("-", "−")
