"""The variance of one estimator split into data and estimator, in each layer, by nested
sampling."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.objective import Chain
from estimators.measurement.draws.nested import Nested, first_examples, part_of
from estimators.measurement.draws.summary import layer_groups
from estimators.statistics.variance_split import Advice, VarianceSplit


@dataclass(frozen=True)
class Anatomy:
    """Total variances (tr Var, not relative) of one draw on a batch of `batch` examples.

    Every tuple has one number for each layer. `estimators.statistics.variance_split` has the model.
    """

    layers: tuple[str, ...]
    batch: int
    """Examples of a batch (B₀)."""
    batches: int
    """Batches (J)."""
    draws: int
    """Draws at each batch."""
    data: tuple[float, ...]
    """D, the variance of Eĝ between batches. Unbiased, so it can come out below zero."""
    estimator: tuple[float, ...]
    """E, the variance of ĝ within a batch, at B₀."""
    fixed: tuple[float, ...]
    """e₀, the part of E that no larger batch lowers: E(B) = e₀ + e₁ B₀/B."""
    signal: tuple[float, ...]
    """‖E ĝ‖² over batches and draws, without the noise of the mean."""
    cost: float
    """Forward-equivalents of one draw on a batch of B₀."""
    population: int | None = None
    """Examples that a batch is drawn from without replacement (N); None: unlimited."""
    data_se: tuple[float, ...] = ()
    estimator_se: tuple[float, ...] = ()
    nonfinite: int = 0
    """Draws that were not finite: each is left out of the layers where it is not."""
    fixed_se: tuple[float, ...] = ()

    def split(self, layer: str = "") -> VarianceSplit:
        """The parts in one layer ("" is the whole network)."""
        i = self.layers.index(layer)
        errors = [se[i] if se else None for se in (self.data_se, self.estimator_se, self.fixed_se)]
        return VarianceSplit(
            self.batch, self.batches, self.data[i], self.estimator[i], self.fixed[i], *errors,
            population=self.population,
        )  # fmt: skip

    def variance(self, batch: float, draws: float, layer: str = "") -> float:
        """tr Var of the mean of `draws` draws on a batch of `batch` examples."""
        return self.split(layer).variance(batch, draws)

    @property
    def largest_batch(self) -> int:
        """Examples that a batch can have: N, or those of all batches where N is not known."""
        return self.split(self.layers[0]).largest_batch

    def best(self, budget: float, layer: str = "", largest: int | None = None) -> Advice:
        """A larger batch or more draws: how to spend `budget` on one gradient.

        Args:
            budget: in forward-equivalents; `cost` buys one draw on a batch of `batch` examples.
            layer: a stage's or tensor's name; "" for the whole network.
            largest: most examples of a batch.

        Raises:
            ValueError: for a budget that buys no draw on one example.
        """
        if budget * self.batch < self.cost:
            raise ValueError(
                f"the budget is {budget:g} forward-equivalents; one draw on one example costs "
                f"{self.cost / self.batch:g}, so at least that is needed"
            )
        return self.split(layer).advise(budget / self.cost, largest)


def split_variance(
    chain: Chain,
    params: Params,
    estimator: Estimator,
    state: Any,
    batches: Iterable[tuple[Tensor, Tensor]],
    count: int = 8,
    seed: int = 0,
    label: str = "",
    population: int | None = None,
) -> Anatomy:
    """Split the variance at `params` by `count` draws at each of the batches (x, y).

    The batches are independent samples of one size of at least 2, each drawn without replacement
    from `population` examples. Raises ValueError for fewer than 2 batches, or fewer than 2 draws.
    """
    pairs = list(batches)
    size = _batch_size(pairs, count)
    nested = Nested(params, estimator, state, count, seed, label)
    for x, y in pairs:
        part = chain.on(*(first_examples(t, part_of(size), chain.views) for t in (x, y)))
        for _ in nested.take(chain.on(x, y), part):
            pass
    layers, groups = layer_groups(chain, list(params))
    parts = nested.parts(groups, size / part_of(size))
    numbers = {name: tuple(x.tolist()) for name, x in vars(parts).items()}
    cost = estimator.cost(chain).forward_equivalents
    return Anatomy(
        layers, size, len(nested), count, **numbers, cost=cost, population=population,
        nonfinite=nested.nonfinite,
    )  # fmt: skip


def _batch_size(pairs: list[tuple[Tensor, Tensor]], count: int) -> int:
    if len(pairs) < 2 or count < 2:
        raise ValueError(
            f"{len(pairs)} batches of {count} draws; variances take at least 2 of each"
        )
    sizes = {len(x) for x, _ in pairs}
    if len(sizes) > 1 or min(sizes) < 2:
        raise ValueError(f"batches of {sorted(sizes)} examples; one size of at least 2 is allowed")
    return sizes.pop()
