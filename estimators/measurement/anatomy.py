"""`anatomy`: how much of the variance comes from the data, and how much from the estimator."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from estimators.measurement.estimates.anatomy import Anatomy, split_variance
from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.results.table import Table
from estimators.measurement.results.tables import name_once
from estimators.statistics.formatting import counted, short
from estimators.statistics.variance_split import MIN_BATCHES


@dataclass(frozen=True, repr=False)
class Anatomies:
    """The variance of each estimator, split at the same weights and batches."""

    by_label: dict[str, Anatomy]
    """{label: its anatomy}."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""

    @property
    def first(self) -> Anatomy:
        """The first anatomy. All have the same batches, draws and layers."""
        return next(iter(self.by_label.values()))

    def __getitem__(self, label: str) -> Anatomy:
        if label not in self.by_label:
            labels = ", ".join(map(repr, self.by_label))
            raise KeyError(f"there is no estimator {label!r}; there are {labels}")
        return self.by_label[label]

    def table(self) -> Table:
        """Both parts of the variance in the network and its stages, and how best to spend twice
        the cost of one draw."""
        first, rows = self.first, []
        for i, layer in enumerate(first.layers):
            if layer in _tensors(first.layers):
                continue
            for label, split in self.by_label.items():
                advice = split.best(2 * split.cost, layer).text.partition(";")[0]
                parts = (
                    (split.data, split.data_se),
                    (split.estimator, split.estimator_se),
                    (split.fixed, split.fixed_se),
                )
                numbers = [_with_error(*part, i, split.batches) for part in parts]
                rows.append([layer or "(network)", label, *numbers, advice])
        head = ["layer", "estimator", "noise of data", "noise of estimator", "… at any batch",
                "twice the cost"]  # fmt: skip
        return Table(
            self._title, head, name_once(rows), self._note, sentence=True, notices=self.notices
        )

    @property
    def _title(self) -> str:
        first = self.first
        return ", ".join([
            f"variance of one draw on {counted(first.batch, 'example')}: {first.batches} batches, "
            f"{first.draws} draws at each",
            *(f"{counted(split.nonfinite, 'draw')} of {label} not finite and left out"
              for label, split in self.by_label.items() if split.nonfinite),
        ])  # fmt: skip

    @property
    def _note(self) -> str:
        return (
            "tr Var, not relative; ± standard error over batches, from 8 batches on; the noise of "
            "the data falls as 1/B, that of the estimator as 1/K; at any batch: the part of the "
            "estimator's noise that no larger batch lowers; no batch is advised beyond "
            f"{self._limit}; undecided: the 95 % interval of what one choice saves "
            "contains 0, or there are fewer than 8 batches: measure more batches and draws"
        )

    @property
    def _limit(self) -> str:
        given = counted(self.first.largest_batch, "example")
        if self.first.population:
            return f"all {given}"
        return f"the {given} given (population= sets the size of the data set)"

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def anatomy(
    module: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    estimators: Estimators,
    draws: int = 8,
    seed: int = 0,
    *,
    population: int | None = None,
    separable: bool | None = None,
    progress: Progress | None = None,
) -> Anatomies:
    """Split the variance of each estimator into the noise of the data and its own.

    For the answer to "a larger batch or more draws?", call `result[label].best(budget)`.

    Args:
        module, loss, estimators, seed, separable, progress: as for `measure`.
        batches: (x, y) of each batch: independent samples of one size of at least 2 examples, each
            drawn without replacement from the population. From 8 batches on there are standard
            errors.
        draws: draws at each batch.
        population: examples of the whole data set; None: unlimited.

    Raises:
        ValueError: for fewer than 2 batches or draws; else as `measure` does.
    """
    whole("draws", draws, 2)
    pairs = list(batches)
    if len(pairs) < 2:
        raise ValueError(
            f"{len(pairs)} batches were given; a variance between them takes at least 2"
        )
    measured = subject(module, loss, pairs[0], estimators, seed, separable, pairs[1:])
    anatomies = {}
    for label, (estimator, state) in measured.watched.items():
        if progress:
            progress(f"{label}: {draws} draws at each of {len(pairs)} batches")
        anatomies[label] = split_variance(
            measured.chain, measured.params, estimator, state, pairs, draws, seed, label, population
        )
    return Anatomies(anatomies, measured.notices)


def _tensors(layers: tuple[str, ...]) -> set[str]:
    """The layers that are tensors: below a stage, or below the network where it has no stages."""
    stages = {name.partition(".")[0] for name in layers} & set(layers)
    return {name for name in layers if name and (name not in stages or "." in name)}


def _with_error(values: tuple[float, ...], errors: tuple[float, ...], i: int, batches: int) -> str:
    has_error = errors and batches >= MIN_BATCHES and errors[i]
    return short(values[i]) + (f" ± {errors[i]:.2g}" if has_error else "")
