"""Selecting the series that a query asks for, in the order in which they are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backend.figures.data.query import Query
from backend.figures.data.source import FigureError, RunLike, SeriesLike, Source
from backend.figures.drawing import style
from backend.figures.drawing.names import numbered
from backend.figures.drawing.text import full_name

TRACES = 40
"""Most traces of one chart."""


@dataclass(frozen=True)
class Line:
    """One series of one run; `place` is the run's position in the query."""

    run_id: str
    run: RunLike
    place: int
    series: SeriesLike

    @property
    def label(self) -> str:
        """The label of the line's estimator: the series' own, else the run's driver."""
        return self.series.estimator or driver(self.run)

    @property
    def run_index(self) -> int:
        """By which the run has its colour and its dash."""
        return style.run_index(self.run.number, self.run_id)

    @property
    def key(self) -> tuple[str, str]:
        """The run's id and the estimator's label."""
        return self.run_id, self.label

    @property
    def group(self) -> str:
        """The identity of its entry in a legend: of what is measured of an estimator, the same in
        every chart."""
        whose = self.series.estimator or self.series.metric
        return f"{self.run_id} {whose}"

    def full_name(self, *, several: bool) -> str:
        """Its whole name, escaped, with the run where there are several."""
        run = numbered(self.run.number, self.run.name) if several else ""
        return full_name(self.label, run)


def is_microscope(run: RunLike) -> bool:
    """Whether a run's steps are draws at a frozen point, not updates."""
    return "microscope" in run.config


def draws_of(run: RunLike) -> int:
    """Draws of one probe; of a microscope, all draws, or those at one value of a sweep."""
    part = "microscope" if is_microscope(run) else "probe"
    return int((run.config.get(part) or {}).get("draws", 16))


def driver(run: RunLike) -> str:
    """The label of the estimator that drives a run."""
    return str(run.labels.get("driver") or "")


def estimators(run: RunLike) -> list[str]:
    """A run's labels: the driver, then the shadows."""
    return [label for label in (driver(run), *run.labels.get("shadows", ())) if label]


def described(run: RunLike) -> dict[str, Mapping[str, Any]]:
    """{label: the estimator's description}, as far as the run's configuration has them.

    A configuration names the estimators as they were at the start. Labels are as they are now, so
    that changes of the driver are undone first.
    """
    configs = [run.config.get("estimator"), *run.config.get("shadows", ())]
    pairs = zip(_first_labels(run, len(configs)), configs, strict=False)
    return {label: config for label, config in pairs if isinstance(config, Mapping)}


def _first_labels(run: RunLike, count: int) -> list[str]:
    """A run's labels at its start, when there were so many."""
    labels, drivers = estimators(run), _former_drivers(run)
    for change, (former, new) in reversed([*enumerate(pairwise(drivers), 1)]):
        if former not in labels or labels[0] != new:
            continue
        at = labels.index(former)
        labels[0] = former
        # Without a place among the shadows, it was another estimator's that came last.
        if at == len(labels) - 1 and len(labels) > count and new not in drivers[:change]:
            labels.pop()
        else:
            labels[at] = new
    return labels[:count]


def families(runs: Sequence[RunLike]) -> list[list[str]]:
    """What stands side by side in figures of these runs: their estimators' labels, their layers."""
    labels = [label for run in runs for label in (*estimators(run), *_former_drivers(run))]
    return [labels, list(dict.fromkeys(name for run in runs for name in _table(run)))]


def _former_drivers(run: RunLike) -> list[str]:
    return [str(label) for _, label in run.facts.get("drives") or ()]


def lines(source: Source, query: Query, metrics: Sequence[str]) -> list[Line]:
    """All series of these metrics at the query's layer, of its estimator or of all estimators."""
    matches = [
        Line(run_id, run, place, series)
        for place, run_id in enumerate(query.runs)
        for run in [source.run(run_id)]
        for series in source.series(run_id)
        if series.metric in metrics
        and series.layer == query.layer
        and (not query.estimator or series.estimator in ("", query.estimator))
    ]
    return sorted(matches, key=lambda line: (line.place, *_rank(line, metrics)))


def _rank(line: Line, metrics: Sequence[str]) -> tuple[int, int]:
    labels = estimators(line.run)
    label = line.series.estimator
    return metrics.index(line.series.metric), labels.index(label) if label in labels else len(
        labels
    )


def chosen_estimator(source: Source, run_id: str, run: RunLike, metric: str, asked: str) -> str:
    """The label asked for, else the driver, else the first label that has the metric."""
    measured = [s.estimator for s in source.series(run_id) if s.metric == metric]
    labels = list(dict.fromkeys([*estimators(run), *measured]))
    if asked and asked not in labels:
        raise FigureError(
            f"run #{run.number} has no estimator {asked!r}; it has {', '.join(labels) or 'none'}"
        )
    if asked or driver(run) in measured or not measured:
        return asked or driver(run)
    return measured[0]


def layers(source: Source, run: RunLike, run_id: str, metric: str, level: str) -> list[str]:
    """The stages or tensors that have a metric, in the order of the network."""
    names = dict.fromkeys(s.layer for s in source.series(run_id) if s.metric == metric and s.layer)
    order = {name: at for at, name in enumerate(_table(run))}
    tensors = {name for name in names if is_tensor(run, name, names)}
    wanted = [name for name in names if (name in tensors) == (level == "tensor")]
    return sorted(wanted, key=lambda name: order.get(name, len(order)))


def is_tensor(run: RunLike, name: str, others: dict[str, None]) -> bool:
    """Whether a layer's name is a tensor's: it lies under a stage's name."""
    parts = name.split(".")
    stages = {row.get("stage") for row in run.facts.get("layers", ()) if isinstance(row, dict)}
    prefixes = {".".join(parts[:n]) for n in range(1, len(parts))}
    return bool(prefixes & (stages | others.keys())) and name not in stages


def _table(run: RunLike) -> list[str]:
    rows = [row for row in run.facts.get("layers", ()) if isinstance(row, dict)]
    return list(
        dict.fromkeys(str(row[key]) for row in rows for key in ("stage", "name") if key in row)
    )
