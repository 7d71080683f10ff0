"""Reading the draws of a microscope, with counts of the draws that have no value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.figures.data import cautions
from backend.figures.data.query import Query
from backend.figures.data.select import Line, lines
from backend.figures.data.select import is_microscope as is_microscope  # most figures read both
from backend.figures.data.source import Floats, Source
from backend.figures.data.tally import Tally
from backend.figures.drawing.text import clipped, line_name
from estimators.statistics.formatting import counted
from estimators.statistics.student import Sample

PREFIX = "draw/"
PANELS = 16
"""Most panels of one figure."""
HONEST, ORACLE = "(by the estimator itself)", "(computed from the exact gradient)"
"""What the two kinds of draws are."""


@dataclass(frozen=True)
class Draws:
    """A metric of each draw of one estimator, without NaN and infinities."""

    line: Line
    values: Floats
    lost: int
    """The number of draws whose value is not finite."""

    @property
    def error(self) -> float:
        """The standard error of the mean; NaN for a single draw."""
        return Sample.from_values(self.values).standard_error


def each(source: Source, query: Query, name: str, tally: Tally) -> list[Draws]:
    """The draws of a metric, for each run and estimator; the tally says if some are left out."""
    matches = [line for line in lines(source, query, (name,)) if line.series.count]
    if len(matches) > PANELS:
        tally.say(f"{PANELS} of {len(matches)} estimators: choose fewer runs or one estimator")
    all_draws = [_read(source, line) for line in matches[:PANELS]]
    total = sum(len(draws.values) + draws.lost for draws in all_draws)
    tally.shown += total
    tally.count += total
    for draws in all_draws:
        tally.say(lost(source, draws.line, draws.lost))
    return all_draws


def _read(source: Source, line: Line) -> Draws:
    values = source.points(line.series.id).values
    finite = np.isfinite(values)
    return Draws(line, values[finite], int((~finite).sum()))


def lost(source: Source, line: Line, undefined: int) -> str:
    """A sentence on draws that have no finite value; "" if there are none."""
    if sentence := not_finite(source, line.run_id, line.label):
        return sentence
    if undefined:
        has = "has" if undefined == 1 else "have"
        draws = counted(undefined, "draw")
        return f"{clipped(line.label)}: {draws} {has} no value (the exact gradient is 0)"
    return ""


def not_finite(source: Source, run_id: str, label: str) -> str:
    """A sentence on the draws of an estimator that are not finite or rest on a solve that did not
    converge; "" if there are none."""
    words = " and ".join(cautions.of_draws(source, run_id, label))
    return f"{clipped(label)}: {words}" if words else ""


def how(source: Source, pairs: Iterable[tuple[str, str]]) -> str:
    """How the draws of these estimators, (run's id, label), were made: by the estimators themselves
    (honest draws) or by an oracle; where both are there, which estimators have honest draws."""
    by_oracle = {pair: _by_oracle(source, *pair) for pair in dict.fromkeys(pairs)}
    if not any(values.any() for values in by_oracle.values()):
        return f"honest draws {HONEST}" if by_oracle else ""
    several = len({run_id for run_id, _ in by_oracle}) > 1
    honest = [
        clipped(label)
        + (f" (run {source.run(run_id).number})" if several else "")
        + (" at some values" if values.any() else "")
        for (run_id, label), values in by_oracle.items()
        if not values.all()
    ]
    rest = f", except for honest draws {HONEST} of {', '.join(honest)}" if honest else ""
    return f"oracle draws {ORACLE}{rest}"


def _by_oracle(source: Source, run_id: str, label: str) -> Floats:
    """Whether an oracle made the draws (1 or 0): for each value of a sweep, else for all draws."""
    for series in source.series(run_id):
        if series.estimator == label and series.metric in (
            PREFIX + "oracle",
            f"sweep/{PREFIX}oracle",
        ):
            return source.points(series.id).values
    return np.zeros(1)


def gaps(source: Source, query: Query, labels: Sequence[str] = ()) -> list[str]:
    """Sentences on layers whose exact gradient is zero, on draws that are left out, and on
    estimators that point uphill: of these labels, or of all estimators of the runs."""
    sentences = []
    for run_id in query.runs:
        if is_dead(source, run_id, query.layer):
            where = clipped(query.layer) or "the whole network"
            sentences.append(f"the exact gradient is 0 in {where}: nothing is divided by it")
    return list(dict.fromkeys([*sentences, *cautions.sentences(source, query, labels)]))


def is_dead(source: Source, run_id: str, layer: str) -> bool:
    """Whether the exact gradient of a layer is zero, by its newest norm."""
    for series in source.series(run_id):
        if (series.metric, series.layer) == ("exact/norm", layer) and series.count:
            return bool(source.points(series.id).values[-1] == 0)
    return False


def latest(source: Source, line: Line, name: str) -> float | None:
    """The newest finite value of another metric of the same run, layer and estimator."""
    key = (name, line.series.layer, line.series.estimator)
    for series in source.series(line.run_id):
        if (series.metric, series.layer, series.estimator) == key and series.count:
            value = float(source.points(series.id).values[-1])
            return value if np.isfinite(value) else None
    return None


def name_of(line: Line, *, several: bool) -> str:
    """The shown name of a line: its estimator, and its run where there are several."""
    return line_name(line.label, line.run.number, line.run.name, several=several)
