"""What must be said beside an estimator's numbers: draws that are not finite, solves that did not
converge, a mean that points uphill.

Of a training run both are about its latest probes, of a microscope about all draws so far, of a
sweep about all its values together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backend.figures.data.query import WINDOW, Query
from backend.figures.data.select import Line, draws_of, estimators, is_microscope
from backend.figures.data.source import Floats, Source
from backend.figures.drawing.text import clipped
from backend.figures.reference import Reference
from estimators.statistics import tails
from estimators.statistics.direction import points_uphill, probes_point_uphill
from estimators.statistics.formatting import counted, percentage, share_of_draws

NONFINITE, UNCONVERGED, SWEEP = "draw/nonfinite", "draw/not_converged", "sweep/"
REFERENCE = "reference/not_converged"
"""The most examples of a solve that did not converge for the exact gradient."""


@dataclass(frozen=True)
class Faulty:
    """Draws with a fault: they are not finite, or rest on a solve that did not converge."""

    fault: str
    """What is wrong with them, in words that follow their number."""
    short: str
    """The same for a label."""
    count: int
    draws: int
    """Draws in all, these included; 0 where that is not on record."""
    probes: int = 0
    """Probes of a training run that they are of."""

    @property
    def words(self) -> str:
        """`4 of 16 draws (25 %) were not finite in the last probe`; "" if there are none."""
        if not self.count:
            return ""
        if not self.draws:
            return f"{counted(self.count, 'draw')} {self.fault}"
        where = f" in the last {counted(self.probes, 'probe')}" if self.probes else ""
        return f"{share_of_draws(self.count, self.draws)} {self.fault}{where}"

    @property
    def brief(self) -> str:
        """The same for a label: `25 % of draws not finite`; "" if there are none."""
        if not self.count or not self.draws:
            return self.words
        return f"{percentage(self.count, self.draws)} of draws {self.short}"


def lost(source: Source, run_id: str, label: str, window: int = WINDOW) -> Faulty:
    """The draws of an estimator that are not finite."""
    numbers = _counted(source, run_id, label, NONFINITE, window)
    return Faulty("were not finite", "not finite", *numbers)


def unconverged(source: Source, run_id: str, label: str, window: int = WINDOW) -> Faulty:
    """The draws of an estimator that rest on a solve that did not converge."""
    numbers = _counted(source, run_id, label, UNCONVERGED, window)
    return Faulty("rest on a solve that did not converge", "not converged", *numbers)


def _counted(
    source: Source, run_id: str, label: str, name: str, window: int
) -> tuple[int, int, int]:
    """How many draws a series counts, of how many, in how many probes of a training run."""
    run = source.run(run_id)
    points = _values(source, run_id, label, "", (name, SWEEP + name), window)
    values = points.get(name, points.get(SWEEP + name))
    if values is None or not len(values[1]):
        return 0, 0, 0
    steps, counts = values
    if name not in points:
        return int(counts.sum()), draws_of(run) * len(counts), 0
    if is_microscope(run):
        return int(counts[-1]), int(steps[-1]), 0
    latest = counts[-window:]
    return int(latest.sum()), draws_of(run) * len(latest), len(latest)


def of_draws(source: Source, run_id: str, label: str, window: int = WINDOW) -> list[str]:
    """What must be said of the draws of an estimator, without its name."""
    not_finite = lost(source, run_id, label, window).words
    return [
        *([f"{not_finite} and are left out"] if not_finite else []),
        *filter(None, [unconverged(source, run_id, label, window).words]),
    ]


def reference(source: Source, run_id: str, window: int = WINDOW) -> str:
    """A sentence on an exact gradient that rests on a solve that did not converge; "" if it does
    not."""
    names = (REFERENCE, SWEEP + REFERENCE)
    for steps, counts in _values(source, run_id, "", "", names, window).values():
        latest = counts if len(counts) <= window else counts[-window:]
        bad = latest[latest > 0]
        if not len(bad):
            continue
        where = ""
        if not is_microscope(source.run(run_id)):
            where = f" at {len(bad)} of the last {counted(len(latest), 'probe')}"
        elif len(steps) > 1:
            where = f" at {len(bad)} of {len(latest)} values"
        return (
            f"the exact gradient itself rests on a solve that did not converge{where}, for up to "
            f"{counted(int(bad.max()), 'example')}"
        )
    return ""


def uphill(source: Source, run_id: str, label: str, layer: str, window: int = WINDOW) -> bool:
    """Whether an estimator points uphill in a layer, at any value of a sweep.

    Slopes along a gradient that is rounding are left out. False for runs of before, which keep no
    slope.
    """
    run = source.run(run_id)
    names = [prefix + name for prefix in ("", SWEEP) for name in ("along", "along_se")]
    points = _values(source, run_id, label, layer, names, window)
    if len(points) < 2:
        return False
    (steps, slopes), (_, errors) = points.values()
    both = min(len(slopes), len(errors))  # the latest of one of them may still be on its way
    valid = ~Reference(source, run_id).rounded_at("along", layer, steps[:both])
    steps, slopes, errors = steps[:both][valid], slopes[:both][valid], errors[:both][valid]
    if not len(steps):
        return False
    if not is_microscope(run):
        return probes_point_uphill(
            slopes[-window:].tolist(), errors[-window:].tolist(), draws_of(run)
        )
    if SWEEP + "along" in points:
        pairs = zip(slopes.tolist(), errors.tolist(), strict=True)
        return any(points_uphill(*pair, draws_of(run) - 1) for pair in pairs)
    return points_uphill(float(slopes[-1]), float(errors[-1]), int(steps[-1]) - 1)


def heavy_tails(source: Source, run_id: str, label: str, layer: str) -> bool:
    """Whether a microscope's draws are heavy-tailed in a layer, at any value of a sweep."""
    names = ("draw/heavy_tail", f"{SWEEP}draw/heavy_tail")
    points = _values(source, run_id, label, layer, names, 1)
    if names[0] in points:
        return bool(points[names[0]][1][-1] > 0)
    return any((values > 0).any() for _, values in points.values())


def sentences(
    source: Source,
    query: Query,
    labels: Sequence[str] = (),
    called: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """The cautions of these estimators, or of all estimators of the runs.

    `called`: what the figure calls an estimator, where that is not its label.
    """
    several = len(query.runs) > 1
    for run_id in query.runs:
        run = source.run(run_id)
        rounded = Reference(source, run_id).words([query.layer], query.window)
        for words in filter(None, [reference(source, run_id, query.window), rounded]):
            yield words + (f" (run {run.number})" if several else "")
        for label in labels or estimators(run):
            if query.estimator not in ("", label):
                continue
            name = called.get(label, clipped(label)) + (f" (run {run.number})" if several else "")
            for words in of_draws(source, run_id, label, query.window):
                yield f"{name}: {words}"
            if uphill(source, run_id, label, query.layer, query.window):
                yield f"{name} points uphill: its mean raises the loss"
            if heavy_tails(source, run_id, label, query.layer):
                yield f"{name} has {tails.HEAVY}"
        if is_microscope(run) and draws_of(run) < tails.MIN_DRAWS:
            yield tails.FEW


def of_lines(source: Source, query: Query, lines: Sequence[Line]) -> list[str]:
    """The cautions of the estimators that these lines are of, each once."""
    labels = dict.fromkeys(line.series.estimator for line in lines if line.series.estimator)
    return list(dict.fromkeys(sentences(source, query, list(labels)))) if labels else []


def _values(
    source: Source, run_id: str, label: str, layer: str, names: Sequence[str], newest: int
) -> dict[str, tuple[NDArray[np.int64], Floats]]:
    """{metric: (steps, values)} of the series that there are, in the order of `names`: the newest
    points, or those of all values of a sweep."""
    series_ids = {
        series.metric: series.id
        for series in source.series(run_id)
        if series.count and (series.layer, series.estimator) == (layer, label)
    }
    read = {
        name: source.points(
            series_ids[name], newest=None if name.startswith(SWEEP) else newest
        )
        for name in names if name in series_ids
    }  # fmt: skip
    return {name: (points.steps, points.values) for name, points in read.items()}
