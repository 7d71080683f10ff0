"""`compare`: which of two estimators is better, by one measure on the same batches."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from torch import nn

from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.measure import measure_subject
from estimators.measurement.results.table import Table
from estimators.statistics.paired import Comparison, min_pairs, paired
from estimators.statistics.reference import OF_THE_REFERENCE, RULE, share_rounded


@dataclass(frozen=True, repr=False)
class Compared:
    """One measure of each estimator on each batch, and the comparison of each pair of
    estimators."""

    metric: str
    layer: str
    draws: int
    values: dict[str, tuple[float, ...]]
    """{label: the measure on each batch}; NaN where the exact gradient is rounding."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""

    def pair(self, first: str, second: str) -> Comparison:
        """first − second over the batches. Raises KeyError for an unknown label."""
        for label in (first, second):
            if label not in self.values:
                labels = ", ".join(map(repr, self.values))
                raise KeyError(f"there is no estimator {label!r}; there are {labels}")
        return paired(
            self.values[first], self.values[second], needed=min_pairs(self.draws), unit="batches"
        )

    def table(self) -> Table:
        """One row for each pair."""
        pairs = combinations(self.values, 2)
        rows = [[first, second, self.pair(first, second).text] for first, second in pairs]
        count = len(next(iter(self.values.values())))
        title = (
            f"{self.metric.replace('_', ' ')} of {self.layer or 'the network'}: differences on "
            f"{count} batches, {self.draws} draws on each"
        )
        note = "mean difference, and its 95 % interval over the batches (Student's t)"
        head = ["first", "second", "first − second"]
        return Table(title, head, rows, note, sentence=True, notices=self.notices)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def compare(
    module: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    estimators: Estimators,
    draws: int = 64,
    seed: int = 0,
    *,
    metric: str = "scaled_error",
    layer: str = "",
    separable: bool | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Measure every estimator on each of `batches`, and compare them in pairs.

    The effect that a batch has on all estimators alike cancels in the differences. An interval
    needs at least 5 batches that are independent of each other, or 32 if fewer than 16 draws are
    made on each.

    Args:
        module, loss, estimators, draws, seed, separable, progress: as for `measure`.
        batches: (x, y) of each batch.
        metric: the measure to compare by.
        layer: a stage's or tensor's name; "" for the whole network.

    Raises:
        ValueError: for fewer than 2 estimators or batches; else as `measure` does.
    """
    whole("draws", draws)
    pairs, values, notices, rounded = list(batches), {}, {}, 0
    if len(pairs) < 2:
        raise ValueError(
            f"{len(pairs)} batches were given; a comparison takes 5 or more, at least 2"
        )
    for place, batch in enumerate(pairs):
        measured = subject(module, loss, batch, estimators, seed, separable)
        if len(measured.watched) < 2:
            raise ValueError(
                f"{len(measured.watched)} estimator was given; a comparison takes at least 2"
            )
        notices |= dict.fromkeys(measured.notices)
        before = f"batch {place + 1} of {len(pairs)}, "
        measurement = measure_subject(
            measured, draws, seed + place, progress, before, redrawn=False
        )
        out = metric in OF_THE_REFERENCE and measurement.is_rounding(layer)
        rounded += out
        for label in measured.watched:
            value = measurement.value(metric, label, layer)
            values.setdefault(label, []).append(math.nan if out else value)
    if words := share_rounded(rounded, len(pairs), "batch"):
        notices[f"{words} ({RULE}), which are left out"] = None
    by_label = {label: tuple(x) for label, x in values.items()}
    return Compared(metric, layer, draws, by_label, tuple(notices))
