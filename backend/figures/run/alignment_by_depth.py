"""A measure of each layer against depth, a line for each estimator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import cautions
from backend.figures.data.metrics import metric
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES, described, driver, estimators, is_microscope, layers
from backend.figures.data.source import Floats, RunLike, SeriesLike, Source
from backend.figures.drawing import canvas, hatch, style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import full_name, hover_head, line_name, plain
from backend.figures.guesses.members import setting_of
from backend.figures.guesses.places import Flat, short_names
from backend.figures.info import Chart, FigureInfo, Pick, Place
from backend.figures.reference import Null, Reference
from backend.figures.words import layers as of_layers
from backend.figures.words.names import short_names as of_names
from estimators.statistics.formatting import short
from estimators.statistics.student import Sample, half_width

USUAL = ("estimator/guess_cosine", "cosine")
"""What is drawn where no measure is asked for: the first of these that there is."""
MEASURES = (
    "cosine", "scaled_error", "norm_ratio", "relative_variance", "relative_squared_bias",
    "estimator/guess_cosine", "estimator/guess_cosine_by_example", "estimator/projection_cosine",
    "estimator/span_cosine", "estimator/guess_difference", "estimator/guess_norm_ratio",
    "estimator/auxiliary_accuracy",
)  # fmt: skip
INFO = FigureInfo(
    title="Alignment by depth",
    help="A measure of every estimator against the layers in the order of the network, from the "
    "latest probes or reports: the cosine of target and guess where the driver reports it, else "
    "the cosine with the exact gradient. Runs that differ in their seed alone share a line. "
    "Dotted: the null band of a cosine, what chance gives; hatched: the exact gradient of that "
    "layer is below ten times its own rounding error.",
    reading="A line that falls towards the first layers is an estimator that loses the gradient "
    "on its way back; within the dotted band its alignment may be chance.",
    parameters=("runs", "metric", "estimator", "level", "window"),
    charts=(
        Chart("study-depth", (Place("study", "study", 20),), follows=("cosine", "{metric}")),
        Chart(
            "alignment-by-depth",
            (Place("run", "layers", 15), Place("draws", "layers", 15)),
            follows=("cosine", "estimator/*", "{metric}"),
            picks=(Pick("metric", choices=MEASURES, empty="automatic", own=True),),
            menus={"metric": ("cosine", "scaled_error", "estimator/guess_cosine")},
            together={},
        ),
    ),
)
INTERVAL = "95 % t-interval over seeds"


@dataclass(frozen=True)
class Spot:
    """A point of a line: a mean, and how far its whisker reaches."""

    mean: float
    low: float
    high: float
    words: str
    hatched: bool = False
    """Whether all of it compares with an exact gradient that is rounding."""
    null: tuple[float, float] = (np.nan, np.nan)
    """The ends of the null of a cosine; of a scaled error, its one end and NaN."""
    redrawn: bool = False
    """Whether the null is by redrawing feedback."""


@dataclass(frozen=True)
class DepthLine:
    """An estimator of one run, or of several that differ in their seed alone."""

    runs: tuple[tuple[str, RunLike], ...]
    label: str
    place: int
    """The position of its first run in the query."""

    @property
    def run_index(self) -> int:
        """That of its first run."""
        run_id, run = self.runs[0]
        return style.run_index(run.number, run_id)


def figure(source: Source, query: Query) -> go.Figure:
    """Draw the first metric named; else the first of the usual ones that there is."""
    runs = {run_id: source.run(run_id) for run_id in query.runs}
    series = {run_id: source.series(run_id) for run_id in runs}
    name = query.metrics[0] if query.metrics else _usual(series)
    of_each = [layers(source, run, run_id, name, query.level) for run_id, run in runs.items()]
    names = list(dict.fromkeys(layer for of_run in of_each for layer in of_run))
    lines = [line for line in _lines(runs) if query.estimator in ("", line.label)]
    exact = {run_id: Reference(source, run_id) for run_id in runs}
    pooled = _Pool(source, series, name, query.window, exact)
    drawn = [(line, spots) for line in lines if (spots := _spots(pooled, line, names))]
    shown = drawn[:TRACES]
    values = [end for _, spots in shown for s in spots.values() for end in (s.low, s.mean, s.high)]
    words = metric(name)
    scale = choose(words.scaling, np.array(values, np.float64))
    marks = style.symbols(line.label for line, _ in shown)
    counts = [sum(len(spots) for _, spots in some) for some in (shown, drawn)]
    tally = canvas.Tally(counts[0], counts[1], "the first lines")
    short_names_of_lines = _short_names([line for line, _ in shown])
    called = {
        line.label: short_name
        for (line, _), short_name in zip(shown, short_names_of_lines, strict=True)
        if short_name and len(runs) == 1
    }
    for caution in cautions.sentences(source, query, [line.label for line, _ in shown], called):
        tally.warn(caution)
    tally.add_details(f"{words.axis.replace('<br>', ', ')}; {query.level}s from first to last")
    for sentence in _whiskers([line for line, _ in shown], query):
        tally.add_details(sentence)
    for run_id in runs:
        tally.warn(exact[run_id].words(names, query.window))
        tally.warn(exact[run_id].growth())
    tally.conclude(_takeaway(name, shown))
    traces = [
        _trace(line, spots, name, scale, short_name, several=len(runs) > 1).update(
            marker_symbol=marks[line.label]
        )
        for (line, spots), short_name in zip(shown, short_names_of_lines, strict=True)
    ]
    pairs = [*zip(shown, traces, strict=True)]
    traces += [extra for (_, spots), trace in pairs for extra in _beside(spots, scale, trace)]
    nulls = [_null(spots) for _, spots in shown]
    null = hatch.null_note(nulls, hatch.NULL_WORDS.get(name, ""))
    tally.say("dotted: what chance gives" if null else "")
    tally.add_details(null)
    return canvas.finish(
        traces,
        tally,
        title=f"{words.title} by depth",
        xaxis=canvas.axis("", **canvas.layer_axis(names)),
        yaxis=canvas.axis(words.axis, **scale.axis()),
    )


def _takeaway(name: str, shown: list[tuple[DepthLine, dict[str, Any]]]) -> str:
    """The worst layer of each line."""
    labels = of_names([line.label for line, _ in shown])
    twice = len(labels) < len(shown)
    means = {}
    for line, spots in shown:
        run = f" #{line.runs[0][1].number}" if twice else ""
        means[labels[line.label] + run] = {layer: spot.mean for layer, spot in spots.items()}
    return of_layers.of_estimators(name, means)


def _usual(series: Mapping[str, Sequence[SeriesLike]]) -> str:
    reported = {each.metric for of_run in series.values() for each in of_run if each.count}
    return next((name for name in USUAL if name in reported), USUAL[-1])


def _lines(runs: Mapping[str, RunLike]) -> list[DepthLine]:
    """A line for each estimator of each setting; runs of one seed are never averaged."""
    groups: dict[tuple[Any, ...], dict[str, tuple[str, RunLike]]] = {}
    places = list(runs)
    for run_id, run in runs.items():
        setting = tuple(sorted(setting_of(run).items()))
        for label in estimators(run):
            # A microscope's seed is of its draws: each is a line of its own.
            alone = run_id if is_microscope(run) else ""
            group = groups.setdefault((label, driver(run), setting, alone), {})
            group[str(run.config.get("seed", run_id))] = (run_id, run)
    return [
        DepthLine(tuple(group.values()), label, places.index(next(iter(group.values()))[0]))
        for (label, *_), group in groups.items()
    ]


@dataclass(frozen=True)
class _Pool:
    """The latest values of a metric in every layer."""

    source: Source
    series: Mapping[str, Sequence[SeriesLike]]
    """Of each run."""
    name: str
    window: int

    exact: Mapping[str, Reference]
    """Of each run."""

    @cached_property
    def _ids(self) -> dict[tuple[str, str, str], int]:
        """{(run, label, layer): series of the metric}."""
        return {
            (run_id, series.estimator, series.layer): series.id
            for run_id, of_run in self.series.items()
            for series in of_run
            if series.count and series.metric == self.name
        }

    def null(self, line: DepthLine, layer: str) -> Null:
        """The null of a line in a layer at the latest points of its runs; without those that
        compare with rounding."""
        found = []
        for run_id, run in line.runs:
            newest = 1 if is_microscope(run) else self.window
            series_id = self._ids.get((run_id, line.label, layer))
            if series_id is not None:
                points, exact = self.source.points(series_id, newest=newest), self.exact[run_id]
                kept = ~exact.rounded_at(self.name, layer, points.steps)
                of_points = points.steps[kept], points.values[kept]
                found.append(exact.null(self.name, line.label, layer, *of_points))
        low, high = (
            np.concatenate([end[np.isfinite(end)] for end in ends] or [np.empty(0)])
            for ends in ([n.low for n in found], [n.high for n in found])
        )
        return Null(low, high, any(n.redrawn for n in found))

    def read(
        self, run_id: str, run: RunLike, label: str, *, hatched: bool = False
    ) -> dict[str, Floats]:
        """{layer: the finite values among the latest points} of an estimator.

        Without those that compare with an exact gradient that is rounding, unless `hatched`.
        """
        newest = 1 if is_microscope(run) else self.window
        read = {
            series.layer: self.source.points(series.id, newest=newest).values
            if hatched
            else self.exact[run_id].kept(series, newest)
            for series in self.series[run_id]
            if series.count and (series.metric, series.estimator) == (self.name, label)
        }
        finite = {layer: values[np.isfinite(values)] for layer, values in read.items()}
        return {layer: values for layer, values in finite.items() if len(values)}


def _spots(pool: _Pool, line: DepthLine, names: Sequence[str]) -> dict[str, Spot]:
    """{layer: its point} of a line, for the layers that have one."""
    ways = [
        [pool.read(run_id, run, line.label, hatched=hatched) for run_id, run in line.runs]
        for hatched in (False, True)
    ]
    spots = {}
    for layer in names:
        kept, every = ([values[layer] for values in way if layer in values] for way in ways)
        if not every:
            continue
        spot = _spot(kept or every, len(line.runs) > 1, metric(pool.name).bounds)
        null = pool.null(line, layer)
        ends = tuple(float(np.mean(end)) if len(end) else np.nan for end in (null.low, null.high))
        spots[layer] = replace(spot, hatched=not kept, null=ends, redrawn=null.redrawn)
    return spots


def _spot(of_layer: Sequence[Floats], several: bool, bounds: tuple[float, float] | None) -> Spot:
    if several:
        return _over_seeds([float(np.mean(values)) for values in of_layer], bounds)
    return _over_probes(of_layer[0])


def _null(spots: Mapping[str, Spot]) -> Null:
    """The null of a line, layer by layer."""
    ends = np.array([spot.null for spot in spots.values()], np.float64).reshape(-1, 2)
    return Null(ends[:, 0], ends[:, 1], any(spot.redrawn for spot in spots.values()))


def _over_probes(values: Floats) -> Spot:
    words = f"lowest {short(values.min())}, highest {short(values.max())} of {len(values)}"
    ends = float(values.min()), float(values.max())
    return Spot(float(values.mean()), *ends, words if len(values) > 1 else "")


def _over_seeds(means: Sequence[float], bounds: tuple[float, float] | None) -> Spot:
    sample = Sample.from_values(means)
    half = half_width(sample.count) * sample.standard_error
    if not isfinite(half):
        return Spot(sample.mean, sample.mean, sample.mean, "of one seed: no interval")
    ends = sample.mean - half, sample.mean + half
    words = f"{short(ends[0])} … {short(ends[1])}, {INTERVAL} ({sample.count})"
    if bounds:  # a wide interval of few seeds must not flatten the lines
        ends = max(ends[0], bounds[0]), min(ends[1], bounds[1])
    return Spot(sample.mean, *ends, words)


def _whiskers(lines: Sequence[DepthLine], query: Query) -> list[str]:
    """What points and whiskers are."""
    said = []
    if any(len(line.runs) == 1 and not is_microscope(line.runs[0][1]) for line in lines):
        said.append(
            f"mean of the last {query.window} points, whisker: lowest to highest of these, not a "
            "confidence interval"
        )
    if any(len(line.runs) > 1 for line in lines):
        said.append(
            f"of runs that differ in their seed: mean over seeds, whisker: {INTERVAL}, drawn "
            "within the measure's range"
        )
    return said


def _short_names(lines: Sequence[DepthLine]) -> list[str]:
    """Target and guess of each line, where that tells all apart; else ""."""
    runs = [line.runs[0][1] for line in lines]
    return short_names(
        [
            (described(run).get(line.label, {}), _without_driver(setting_of(run)))
            for line, run in zip(lines, runs, strict=True)
        ]
    )


def _without_driver(setting: Flat) -> Flat:
    return {name: v for name, v in setting.items() if not name.startswith("estimator.")}


def _trace(
    line: DepthLine,
    spots: Mapping[str, Spot],
    name: str,
    scale: Scale,
    short_name: str,
    *,
    several: bool,
) -> go.Scatter:
    (run_id, run), *more = line.runs
    whose = numbered(run.number, run.name) if several else ""
    whole = full_name(line.label, f"{len(line.runs)} seeds" if more else whose)
    called = plain(short_name) or line_name(
        line.label, run.number, run.name, several=several and not more
    )
    means, lows, highs = (
        np.array([getattr(spot, part) for spot in spots.values()])
        for part in ("mean", "low", "high")
    )
    y, low, high = (scale.positions(each) for each in (means, lows, highs))
    has_whisker = bool((highs > lows).any())
    what = metric(name)
    meta: dict[str, Any] = {"run": run_id, "full": whole}
    if several:
        meta["links"] = [",".join(run_id for run_id, _ in line.runs)] * len(spots)
    return go.Scatter(
        x=[plain(layer) for layer in spots],
        y=canvas.numbers(y),
        customdata=canvas.numbers(means),
        text=[spot.words for spot in spots.values()],
        error_y={
            "type": "data", "symmetric": False, "thickness": 1, "width": 3,
            "array": canvas.numbers(high - y), "arrayminus": canvas.numbers(y - low),
        } if has_whisker else None,
        name=called,
        legendgroup=f"{run_id} {line.label}",
        mode="lines+markers",
        line={
            "color": style.colour(line.label),
            "width": 2,
            "dash": style.run_dash(line.run_index),
        },
        marker={"size": 7},
        hovertemplate=f"{hover_head(whole)}<br>%{{x}}<br>{what.short} "
        f"%{{customdata:.4~g}}{what.suffix}<br>%{{text}}<extra></extra>",
        meta=meta,
    )  # fmt: skip


def _beside(spots: Mapping[str, Spot], scale: Scale, like: Any) -> list[Any]:
    """The null band of a line, and hatches over its points without meaning."""
    bad = [i for i, spot in enumerate(spots.values()) if spot.hatched]
    whole = like.meta["full"]
    return [
        *hatch.null_band(like.x, _null(spots), scale, like, whole),
        *hatch.marks([like.x[i] for i in bad], [like.y[i] for i in bad], whole, first=False),
    ]
