"""The latest values as tables, for screen readers, for print and for exact values."""

import math

from backend.figures.data.metrics import USUAL_MEASURES as MEASURES
from backend.figures.data.metrics import metric
from backend.figures.data.select import estimators
from backend.figures.data.source import SeriesLike, Source
from backend.sharing.encode import text

USUAL = ("loss", "accuracy", "readout_accuracy", "own_view")


def usual_table(source: Source, run_id: str) -> str:
    """Loss and accuracy of each part of the data at its last point."""
    rows = [
        [series.metric.replace("/", " ").replace("_", " "), *_last(source, series), series.unit]
        for series in source.series(run_id)
        if series.count and series.metric.partition("/")[2] in USUAL
    ]
    return _table("Loss and accuracy, latest", ["", "value", "at step", "unit"], rows)


def measures_table(source: Source, run_id: str) -> str:
    """Each estimator's measures of the whole network at its last probe."""
    series_of = {
        (series.estimator, series.metric): series
        for series in source.series(run_id)
        if series.count and not series.layer and series.metric in MEASURES
    }
    labels = dict.fromkeys([*estimators(source.run(run_id)), *(label for label, _ in series_of)])
    rows = [
        [label, *(_value(source, series_of.get((label, name))) for name in MEASURES)]
        for label in labels
        if any((label, name) in series_of for name in MEASURES)
    ]
    heads = [metric(name).title for name in MEASURES]
    return _table("Measures of the whole network, latest probe", ["estimator", *heads], rows)


def _last(source: Source, series: SeriesLike) -> tuple[str, str]:
    points = source.points(series.id, newest=1)
    return number(float(points.values[-1])), f"{int(points.steps[-1]):,}"


def _value(source: Source, series: SeriesLike | None) -> str:
    return _last(source, series)[0] if series else "–"


def number(value: float) -> str:
    """Five digits, or NaN and infinities in their signs."""
    if math.isfinite(value):
        # Adding 0.0 turns -0.0 into 0.0.
        return f"{value + 0.0:.5g}".replace("-", "−")
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"


def _table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in heads)
    body = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    # Wide tables scroll within their own box, which the keyboard must be able to reach.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
