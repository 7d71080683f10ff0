"""The draws of a microscope: read together, with what could not be drawn counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.figures.data.query import Query
from backend.figures.data.select import Line, estimators, lines
from backend.figures.data.source import Floats, RunLike, Source
from backend.figures.data.tally import Tally
from backend.figures.drawing.text import clipped, plain, run_name

PREFIX = "draw/"
PANELS = 16
"""Most panels of one figure."""


def is_microscope(run: RunLike) -> bool:
    """Whether a run's steps are draws at a frozen point, not updates."""
    return "microscope" in run.config


@dataclass(frozen=True)
class Draws:
    """One number of each draw of one estimator, NaN and infinities left out."""

    line: Line
    values: Floats
    lost: int
    """Draws of which it is not finite."""

    @property
    def error(self) -> float:
        """The standard error of the mean; NaN for a single draw."""
        n = len(self.values)
        return float(self.values.std(ddof=1) / n**0.5) if n > 1 else np.nan


def each(source: Source, query: Query, name: str, tally: Tally) -> list[Draws]:
    """A metric's draws for each run and estimator; too many are left out with a word."""
    found = [line for line in lines(source, query, (name,)) if line.series.count]
    if len(found) > PANELS:
        tally.say(f"{PANELS} of {len(found)} estimators: choose fewer runs or one estimator")
    read = [_read(source, line) for line in found[:PANELS]]
    total = sum(len(one.values) + one.lost for one in read)
    tally.shown += total
    tally.count += total
    for one in read:
        tally.say(lost(source, one.line, one.lost))
    return read


def _read(source: Source, line: Line) -> Draws:
    values = source.points(line.series.id).values
    good = np.isfinite(values)
    return Draws(line, values[good], int((~good).sum()))


def lost(source: Source, line: Line, undefined: int) -> str:
    """What the reader must know of draws that no figure can place; "" if there are none."""
    if told := not_finite(source, line.run_id, line.label):
        return told
    if undefined:
        return (
            f"{clipped(line.label)}: {undefined:,} draws have no value "
            "(the exact gradient is 0, or the draw is)"
        )
    return ""


def not_finite(source: Source, run_id: str, label: str) -> str:
    """How many of an estimator's draws are left out of the layers where they are not finite."""
    for one in source.series(run_id):
        if (one.metric, one.layer, one.estimator) == (PREFIX + "nonfinite", "", label):
            values = source.points(one.id).values
            bad = int(values[-1]) if len(values) else 0
            return f"{clipped(label)}: {bad:,} draws were not finite and are left out" * bool(bad)
    return ""


def how(source: Source, found: Iterable[tuple[str, str]]) -> str:
    """Whether the draws of these runs' estimators, (run's id, label), are honest or an oracle's;
    where both are there, whose are honest."""
    told = {pair: _by_oracle(source, *pair) for pair in dict.fromkeys(found)}
    if not any(share.any() for share in told.values()):
        return "honest draws" if told else ""
    several = len({run_id for run_id, _ in told}) > 1
    honest = [
        clipped(label)
        + (f" (run {source.run(run_id).number})" if several else "")
        + (" at some values" if share.any() else "")
        for (run_id, label), share in told.items()
        if not share.all()
    ]
    return "oracle draws" + (f", but honest of {', '.join(honest)}" if honest else "")


def _by_oracle(source: Source, run_id: str, label: str) -> Floats:
    """1 or 0 for each value of a sweep, or for all draws."""
    for one in source.series(run_id):
        if one.estimator == label and one.metric in (PREFIX + "oracle", f"sweep/{PREFIX}oracle"):
            return source.points(one.id).values
    return np.zeros(1)


def gaps(source: Source, query: Query, labels: Sequence[str] = ()) -> list[str]:
    """What the reader must know of layers without a gradient, and of draws that are left out:
    of all estimators of the runs, or of these labels."""
    told = []
    for run_id in query.runs:
        run = source.run(run_id)
        if is_dead(source, run_id, query.layer):
            where = clipped(query.layer) or "the whole network"
            told.append(f"the exact gradient is 0 in {where}: nothing is divided by it")
        if is_microscope(run):
            told += [not_finite(source, run_id, one) for one in labels or estimators(run)]
    return [one for one in dict.fromkeys(told) if one]


def is_dead(source: Source, run_id: str, layer: str) -> bool:
    """Whether the exact gradient of a layer is zero, by its newest norm."""
    for one in source.series(run_id):
        if (one.metric, one.layer) == ("exact/norm", layer) and one.count:
            return bool(source.points(one.id).values[-1] == 0)
    return False


def latest(source: Source, line: Line, name: str) -> float | None:
    """The newest finite value of another metric of the same run, layer and estimator."""
    key = (name, line.series.layer, line.series.estimator)
    for one in source.series(line.run_id):
        if (one.metric, one.layer, one.estimator) == key and one.count:
            value = float(source.points(one.id).values[-1])
            return value if np.isfinite(value) else None
    return None


def name_of(line: Line, *, several: bool) -> str:
    """What a line is called: its estimator, and its run where there are several."""
    label = plain(clipped(line.label))
    return f"{label} · {run_name(line.run.number, line.run.name)}" if several else label
