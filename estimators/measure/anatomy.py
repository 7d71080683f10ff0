"""Where variance comes from, the batch or the estimator, and what would lower it most.

A gradient of K draws on a batch of B examples out of N has the variance D(B) + E(B)/K: D is that of
Eĝ between batches, and falls as 1/B − 1/N; E is that of ĝ within a batch, e₀ + e₁ B₀/B.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Anatomy:
    """Total variances (tr Var, not relative) of one draw on a batch of `batch` examples."""

    layers: tuple[str, ...]
    batch: int
    """Examples of a batch (B₀)."""
    batches: int
    draws: int
    data: tuple[float, ...]
    """D: of Eĝ between batches. Unbiased, so it can come out below zero."""
    estimator: tuple[float, ...]
    """E: of ĝ within a batch, at B₀."""
    fixed: tuple[float, ...]
    """The part of E that no larger batch lowers, e₀; E = e₀ + e₁ B₀/B."""
    signal: tuple[float, ...]
    """‖E ĝ‖² over batches and draws, without the noise of the mean."""
    cost: float
    """Forward-equivalents of one draw on a batch of B₀."""
    population: int | None = None
    """Examples that a batch is drawn from without replacement (N); None: no end of them."""
    data_se: tuple[float, ...] = ()
    estimator_se: tuple[float, ...] = ()
    nonfinite: int = 0
    """Draws left out, with their layers."""

    def variance(self, batch: float, draws: float, layer: str = "") -> float:
        """tr Var of the mean of `draws` draws on a batch of `batch` examples:
        D (1/B − 1/N)/(1/B₀ − 1/N) + (e₀ + e₁ B₀/B)/K.
        """
        i, b = self.layers.index(layer), batch / self.batch
        data, fixed = max(self.data[i], 0.0), self.fixed[i]
        return (
            data * share(batch, self.batch, self.population)
            + (fixed + (self.estimator[i] - fixed) / b) / draws
        )

    @property
    def _rest(self) -> float:
        """B₀/N: a batch of everything has no noise of the data."""
        return self.batch / self.population if self.population else 0.0

    def best(self, budget: float, layer: str = "", largest: int | None = None) -> "Advice":
        """How to spend `budget` forward-equivalents on one gradient.

        K b = n = budget/cost, b = B/B₀; D b⁻¹/(1 − B₀/N) + e₀ b/n + e₁/n is least at
        b = √(D n/(e₀ (1 − B₀/N))). Rounded to whole draws and examples, N and `largest` at most.
        Raises ValueError for a budget that buys no draw on one example.
        """
        n = budget / self.cost
        most = min(n * self.batch, largest or math.inf, self.population or math.inf)
        if most < 1:
            raise ValueError(
                f"the budget is {budget:g} forward-equivalents; one draw on one example costs "
                f"{self.cost / self.batch:g}, so at least that is needed"
            )
        i = self.layers.index(layer)
        data, fixed = max(self.data[i], 0.0), max(self.fixed[i], 0.0)
        data = data / (1 - self._rest) if self._rest < 1 else 0.0
        b = math.sqrt(data * n / fixed) if fixed > 0 else math.inf
        draws = max(1.0, n * self.batch / min(max(b * self.batch, 1), most))
        tried = [self._spent(n, k, most) for k in (math.floor(draws), math.ceil(draws))]
        batch, k = min(tried, key=lambda pair: self.variance(*pair, layer))
        return Advice(batch, k, self.variance(batch, k, layer), self._text(batch, k, n, layer))

    def _spent(self, n: float, draws: int, most: float) -> tuple[int, int]:
        return max(1, min(math.floor(n * self.batch / draws), math.floor(most))), draws

    def _text(self, batch: int, draws: int, n: float, layer: str) -> str:
        here = self.variance(batch, draws, layer)
        alone = min(n * self.batch, self.population or math.inf)
        all_batch = self.variance(alone, 1, layer)
        what = "a larger batch" if batch / self.batch > draws else "more draws"
        if math.isclose(here, all_batch, rel_tol=0.02):
            return f"{what}: {batch} examples, {draws} draws"
        gain = all_batch / here if here else math.inf
        return (
            f"{what}: {batch} examples, {draws} draws; a batch alone would leave "
            f"{gain:.3g} times the variance"
        )


def share(batch: float, of: float, population: int | None = None) -> float:
    """The noise of the data in a batch over that in another: (1/B − 1/N)/(1/B₀ − 1/N).

    0 where the other is everything, and where the batch is.
    """
    rest = of / population if population else 0.0
    return max(0.0, of / batch - rest) / (1 - rest) if rest < 1 else 0.0


@dataclass(frozen=True)
class Advice:
    """Larger batch or more draws, for a budget."""

    batch: int
    draws: int
    variance: float
    """tr Var of the gradient that this buys."""
    text: str
