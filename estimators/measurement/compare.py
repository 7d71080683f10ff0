"""`compare`: which of two estimators is better, from what they measure on the same batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from torch import nn

from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.measure import of_subject
from estimators.measurement.results.table import Table
from estimators.statistics.paired import Comparison, paired


@dataclass(frozen=True, repr=False)
class Compared:
    """One measure of each estimator on each batch, and the differences of each pair."""

    metric: str
    layer: str
    draws: int
    values: dict[str, tuple[float, ...]]
    """{label: the measure on each batch}."""

    def pair(self, first: str, second: str) -> Comparison:
        """first − second over the batches. Raises KeyError for a label that is not there."""
        for label in (first, second):
            if label not in self.values:
                there = ", ".join(map(repr, self.values))
                raise KeyError(f"there is no estimator {label!r}; there are {there}")
        return paired(self.values[first], self.values[second])

    def table(self) -> Table:
        """A row a pair."""
        rows = []
        for first, second in combinations(self.values, 2):
            found = self.pair(first, second)
            rows.append([first, second, found.text])
        count = len(next(iter(self.values.values())))
        title = (
            f"{self.metric.replace('_', ' ')} of {self.layer or 'the network'}: differences on "
            f"{count} batches, {self.draws} draws on each"
        )
        note = "mean difference, and Student's 95 % interval of it over the batches"
        return Table(title, ["first", "second", "first − second"], rows, note, sentence=True)

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
    """Measure every estimator on each of `batches` with noise of its own, and compare in pairs.

    What a batch does to all of them alike is in no difference. At least 5 batches, independent of
    each other, make an interval. Raises as `measure` does, and ValueError for fewer than 2
    estimators or batches.
    """
    whole("draws", draws)
    pairs, found = list(batches), {}
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} batches came; a comparison takes 5 or more, at least 2")
    for at, batch in enumerate(pairs):
        of = subject(module, loss, batch, estimators, seed, separable)
        if len(of.watched) < 2:
            raise ValueError(f"{len(of.watched)} estimator came; a comparison takes at least 2")
        one = of_subject(of, draws, seed + at, progress, f"batch {at + 1} of {len(pairs)}, ")
        for label in of.watched:
            found.setdefault(label, []).append(one.value(metric, label, layer))
    return Compared(metric, layer, draws, {label: tuple(x) for label, x in found.items()})
