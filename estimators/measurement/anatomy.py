"""`anatomy`: the noise of the data apart from the estimator's, on anybody's network."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from estimators.measurement.draws.nested import LEAST_BATCHES, split
from estimators.measurement.estimates.variance_split import Anatomy, many
from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.results.table import Table
from estimators.measurement.results.tabulated import once, short


@dataclass(frozen=True, repr=False)
class Anatomies:
    """The anatomy of each estimator's variance, at the same weights and batches."""

    of: dict[str, Anatomy]
    """{label: its anatomy}."""

    @property
    def first(self) -> Anatomy:
        """One of them, for what they share."""
        return next(iter(self.of.values()))

    def __getitem__(self, label: str) -> Anatomy:
        if label not in self.of:
            there = ", ".join(map(repr, self.of))
            raise KeyError(f"there is no estimator {label!r}; there are {there}")
        return self.of[label]

    def table(self) -> Table:
        """Both parts of the variance in each layer but tensors, and how to spend twice as much."""
        one, rows = self.first, []
        for i, layer in enumerate(one.layers):
            if layer in _tensors(one.layers):
                continue
            for label, found in self.of.items():
                advice = found.best(2 * found.cost, layer).text.partition(";")[0]
                rows.append([
                    layer or "(network)", label, _with(found.data, found.data_se, i, one.batches),
                    _with(found.estimator, found.estimator_se, i, one.batches),
                    _with(found.fixed, found.fixed_se, i, one.batches), advice,
                ])  # fmt: skip
        head = [
            "layer",
            "estimator",
            "noise of data",
            "noise of estimator",
            "… at any batch",
            "twice the cost",
        ]
        title = ", ".join([
            f"variance of one draw on {many(one.batch, 'example')}: {one.batches} batches, "
            f"{one.draws} draws at each",
            *(f"{many(found.nonfinite, 'draw')} of {label} not finite and left out"
              for label, found in self.of.items() if found.nonfinite),
        ])  # fmt: skip
        note = (
            "tr Var, not relative; ± standard error over batches, from 8 on; the data's falls as "
            "1/B, the estimator's as 1/K; what a larger batch does not lower of it: at any batch; "
            f"no batch is advised beyond {self._limit}; not told apart: the 95 % interval of what "
            "one choice saves holds 0, more batches and draws tell"
        )
        return Table(title, head, once(rows), note, sentence=True)

    @property
    def _limit(self) -> str:
        given = many(self.first.given, "example")
        known = self.first.population
        return f"all {given}" if known else f"the {given} given (population=: how many there are)"

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
    """Split each estimator's variance by `draws` draws at each of `batches` (x, y): larger batch or
    more draws?

    The batches are independent samples of one size of at least 2, each drawn without replacement
    from `population` examples (None: no end of them). Raises as `measure` does, and ValueError for
    fewer than 2 batches or draws.
    """
    whole("draws", draws, 2)
    pairs = list(batches)
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} batches came; a variance between them takes at least 2")
    of, found = subject(module, loss, pairs[0], estimators, seed, separable), {}
    for label, (estimator, state) in of.watched.items():
        if progress:
            progress(f"{label}: {draws} draws at each of {len(pairs)} batches")
        found[label] = split(
            of.chain, of.params, estimator, state, pairs, draws, seed, label, population
        )
    return Anatomies(found)


def _tensors(layers: tuple[str, ...]) -> set[str]:
    """Those below a stage, or below the network where it has none."""
    stages = {name.partition(".")[0] for name in layers} & set(layers)
    return {name for name in layers if name and (name not in stages or "." in name)}


def _with(values: tuple[float, ...], errors: tuple[float, ...], i: int, batches: int) -> str:
    known = errors and batches >= LEAST_BATCHES
    return short(values[i]) + (f" ± {errors[i]:.2g}" if known and errors[i] else "")
