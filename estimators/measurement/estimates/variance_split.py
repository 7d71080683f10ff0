"""Where variance comes from, the batch or the estimator, and what would lower it most.

A gradient of K draws on a batch of B examples out of N has the variance D(B) + E(B)/K: D is that of
Eĝ between batches, and falls as 1/B − 1/N; E is that of ĝ within a batch, e₀ + e₁ B₀/B.
"""

import math
from dataclasses import dataclass

from estimators.statistics.student import t_quantile


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
    fixed_se: tuple[float, ...] = ()

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
    def given(self) -> int:
        """Examples that a batch can have: all, or those of the batches where N is not known."""
        return self.population or self.batch * self.batches

    @property
    def _rest(self) -> float:
        """B₀/N: a batch of everything has no noise of the data."""
        return self.batch / self.population if self.population else 0.0

    def best(self, budget: float, layer: str = "", largest: int | None = None) -> "Advice":
        """How to spend `budget` forward-equivalents on one gradient.

        K b = n = budget/cost, b = B/B₀; D b⁻¹/(1 − B₀/N) + e₀ b/n + e₁/n is least at
        b = √(D n/(e₀ (1 − B₀/N))). Rounded to whole draws and examples, `given` and `largest` at
        most. Where the interval of what it saves holds 0, the text says that it is not told.
        Raises ValueError for a budget that buys no draw on one example.
        """
        n = budget / self.cost
        most = min(n * self.batch, largest or math.inf, self.given)
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
        text = self._text(batch, k, n, layer, most)
        return Advice(batch, k, self.variance(batch, k, layer), text)

    def _spent(self, n: float, draws: int, most: float) -> tuple[int, int]:
        return max(1, min(math.floor(n * self.batch / draws), math.floor(most))), draws

    def _text(self, batch: int, draws: int, n: float, layer: str, most: float) -> str:
        here = self.variance(batch, draws, layer)
        alone, other = (math.floor(most), 1), self._draws(n, most)
        # The largest batch there is, is a larger batch with any number of draws.
        largest = batch == math.floor(most) and batch > self.batch
        more = batch / self.batch <= draws and not largest
        if not self._told((batch, draws), alone if more else other, layer):
            return "not told apart: a larger batch or more draws; take more batches and draws"
        text = f"{'more draws' if more else 'a larger batch'}: {_of(batch, draws)}"
        if not self.population and batch == self.given < n * self.batch:
            text += f", no more than the {batch:,} that were given"
        gain = self.variance(*alone, layer) / here if here else math.inf
        if math.isclose(gain, 1, rel_tol=0.02) or not self._told((batch, draws), alone, layer):
            return text
        return f"{text}; a batch alone would leave {gain:.3g} times the variance"

    def _draws(self, n: float, most: float) -> tuple[int, int]:
        """The budget spent on draws at the measured batch."""
        return self._spent(n, max(1, math.floor(n)), min(most, self.batch))

    def _told(self, one: tuple[int, int], other: tuple[int, int], layer: str) -> bool:
        """Whether chance does not explain which of two (examples, draws) leaves less variance.

        By Student's t at 95 %, of the difference: both rest on the same D, E and e₀.
        """
        i = self.layers.index(layer)
        errors = [of[i] if of else 0.0 for of in (self.data_se, self.estimator_se, self.fixed_se)]
        weights = [a - b for a, b in zip(self._weights(*one), self._weights(*other), strict=True)]
        apart = self.variance(*one, layer) - self.variance(*other, layer)
        # What has no weight is not asked for its error, which two batches do not have.
        reach = math.hypot(*(w * e for w, e in zip(weights, errors, strict=True) if w))
        if not any(weights) or reach == 0:
            return True
        freedom = max(1, self.batches - 2)
        return abs(apart) > t_quantile(0.975, freedom) * reach

    def _weights(self, batch: float, draws: float) -> tuple[float, float, float]:
        """Of D, E and e₀ in the variance."""
        b = batch / self.batch
        return share(batch, self.batch, self.population), 1 / (b * draws), (1 - 1 / b) / draws


def share(batch: float, of: float, population: int | None = None) -> float:
    """The noise of the data in a batch over that in another: (1/B − 1/N)/(1/B₀ − 1/N).

    0 where the other is everything, and where the batch is.
    """
    rest = of / population if population else 0.0
    return max(0.0, of / batch - rest) / (1 - rest) if rest < 1 else 0.0


def about(x: float) -> int:
    """In two digits, rounded up: as many are enough, and more digits are not known."""
    if x <= 100:
        return math.ceil(x)
    step = 10 ** (math.floor(math.log10(x)) - 1)
    return math.ceil(x / step) * step


def many(count: int, what: str) -> str:
    """A number of things, of one as of many."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _of(batch: int, draws: int) -> str:
    return f"{many(batch, 'example')}, {many(draws, 'draw')}"


@dataclass(frozen=True)
class Advice:
    """Larger batch or more draws, for a budget."""

    batch: int
    draws: int
    variance: float
    """tr Var of the gradient that this buys."""
    text: str
