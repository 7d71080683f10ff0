"""The variance of a gradient split into data and estimator: a larger batch or more draws?

The mean of K draws on a batch of B examples out of N has the total variance

    tr Var = D (1/B − 1/N) / (1/B₀ − 1/N) + (e₀ + e₁ B₀/B) / K.

D, the noise of the data, is the variance of Eĝ between batches of B₀ examples. E = e₀ + e₁, the
noise of the estimator, is that of ĝ within a batch of B₀; a larger batch lowers e₁ alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from estimators.statistics.formatting import counted
from estimators.statistics.student import t_quantile

TOLERANCE = 0.02
"""Variances that differ by less than this fraction are treated as equal."""
MIN_BATCHES = 8
"""Fewest batches whose standard errors are used; with fewer, most choices are undecided."""

Choice = Literal["larger batch", "more draws", "both", "no difference", "no variance", "undecided"]


@dataclass(frozen=True)
class Advice:
    """How to spend a budget on one gradient."""

    verdict: Choice
    batch: int
    """Examples of the batch (B)."""
    draws: int
    """Draws averaged on it (K)."""
    variance: float
    """tr Var of the gradient that this buys."""
    batch_alone: float
    """Variance of one draw on the largest batch that the budget buys, over `variance`."""
    draws_alone: float
    """Variance of as many draws at the measured batch size as the budget buys, over `variance`."""
    text: str
    """The answer in a sentence."""


@dataclass(frozen=True)
class VarianceSplit:
    """Total variances (not relative) of one draw of one estimator in one layer."""

    batch: int
    """Examples of a batch when the parts were measured (B₀)."""
    batches: int
    """Batches that they were measured on (J)."""
    data: float
    """D. Its estimate is unbiased, so it can come out below zero."""
    estimator: float
    """E = e₀ + e₁."""
    fixed: float
    """e₀, the part of E that no larger batch lowers."""
    data_se: float | None = None
    estimator_se: float | None = None
    fixed_se: float | None = None
    """Standard errors over batches; None where they are not known."""
    population: int | None = None
    """Examples that batches are drawn from without replacement (N); None: unlimited."""

    @property
    def largest_batch(self) -> int:
        """Examples that a batch can have: N, or those of all measured batches if N is not known."""
        return self.population or self.batch * self.batches

    def variance(self, batch: Any, draws: Any) -> Any:
        """tr Var of the mean of `draws` draws on `batch` examples; numbers or arrays of one
        shape."""
        share = data_share(batch, self.batch, self.population)
        falling = (self.estimator - self.fixed) * self.batch / batch
        return max(self.data, 0.0) * share + (self.fixed + falling) / draws

    def advise(self, budget: float, largest: int | None = None) -> Advice:
        """The best way to spend `budget` on one gradient.

        The least variance over whole numbers of examples and draws is found exactly. Of all
        choices within 2 % of it, the one with the fewest draws is advised, because a plain batch is
        simplest. The answer is "undecided" where the 95 % interval of what the choice saves
        over the alternative contains 0.

        Args:
            budget: the cost of one gradient, in draws on a batch of B₀ examples.
            largest: most examples of a batch; at most `largest_batch` in any case.

        Raises:
            ValueError: for a budget that buys no draw on one example.
        """
        examples = math.floor(budget * self.batch + 1e-9)
        most = min(examples, self.largest_batch, largest or self.largest_batch)
        if most < 1:
            raise ValueError(
                f"the budget buys {budget:g} draws on {counted(self.batch, 'example')}; at least "
                "one draw on one example is needed"
            )
        batch, draws = self._simplest(examples, most)
        alone = most, 1
        size = min(self.batch, most)
        many = size, max(1, examples // size)
        here = self.variance(batch, draws)
        verdict = self._verdict((batch, draws), alone, many, most)
        ratios = [_times(self.variance(*other), here) for other in (alone, many)]
        limited = not self.population and batch == self.largest_batch < examples
        saved = ratios[0] if self._is_settled((batch, draws), alone) else 1.0
        text = _text(verdict, batch, draws, saved, limited=limited)
        return Advice(verdict, batch, draws, here, ratios[0], ratios[1], text)

    def _simplest(self, examples: int, most: int) -> tuple[int, int]:
        """(batch, draws) with the fewest draws within the tolerance of the least variance."""
        choices = [(self.variance(b, k), k, b) for b, k in _choices(examples, most)]
        least = min(choices)[0]
        good = [(k, v, b) for v, k, b in choices if v <= least * (1 + TOLERANCE)]
        draws, _, batch = min(good) if good else (1, 0.0, most)
        return batch, draws

    def _verdict(
        self, choice: tuple[int, int], alone: tuple[int, int], many: tuple[int, int], most: int
    ) -> Choice:
        """Compare the choice with one draw on the largest batch (`alone`), and draws at B₀."""
        batch, draws = choice
        here = self.variance(*choice)
        if math.isnan(here):
            return "undecided"
        if not max(here, self.variance(*alone), self.variance(*many)) > 0:
            return "no variance"
        if all(self._as_good(other, choice) for other in (alone, many)):
            return "no difference"
        larger = batch > self.batch and (draws == 1 or batch == most)
        more = not larger and batch <= self.batch
        rivals = [*([many] if not more else []), *([alone] if not larger else [])]
        if not all(self._is_settled(choice, rival) for rival in rivals):
            return "undecided"
        return "larger batch" if larger else "more draws" if more else "both"

    def _as_good(self, other: tuple[int, int], choice: tuple[int, int]) -> bool:
        return self.variance(*other) <= self.variance(*choice) * (1 + TOLERANCE)

    def _is_settled(self, choice: tuple[int, int], rival: tuple[int, int]) -> bool:
        """Whether it is clear how `choice` compares with `rival`.

        It is where both leave about the same variance, or where `choice` leaves less by more than
        chance explains: by Student's t of the difference at 95 % with J − 2 degrees of freedom.
        Both variances are computed from the same estimates of D, E and e₀, so the standard error
        of their difference is not that of independent numbers.
        """
        if self._as_good(rival, choice):
            return True
        if self.batches < MIN_BATCHES:  # their standard errors mean nothing
            return self.estimator <= 0
        errors = (self.data_se, self.estimator_se, self.fixed_se)
        pairs = zip(self._weights(*choice), self._weights(*rival), strict=True)
        weights = [a - b for a, b in pairs]
        # An error that is not known (NaN) does not matter where its weight is zero.
        error = math.hypot(*(w * (e or 0.0) for w, e in zip(weights, errors, strict=True) if w))
        saved = self.variance(*rival) - self.variance(*choice)
        return error == 0 or saved > t_quantile(0.975, max(1, self.batches - 2)) * error

    def _weights(self, batch: int, draws: int) -> tuple[float, float, float]:
        """The derivatives of the variance by D, E and e₀."""
        share = data_share(batch, self.batch, self.population)
        ratio = self.batch / batch
        return share, ratio / draws, (1 - ratio) / draws


def data_share(batch: Any, measured: Any, population: int | None = None) -> Any:
    """The noise of the data on `batch` examples over that on `measured`:
    (1/B − 1/N) / (1/B₀ − 1/N).

    0 where the batch, or the measured one, is the whole population. Numbers or arrays.
    """
    rest = measured / population if population else 0.0
    if rest >= 1:
        return 0.0 * batch
    above = measured / batch - rest
    return (above + abs(above)) / 2 / (1 - rest)


def _choices(examples: int, most: int) -> Iterator[tuple[int, int]]:
    """(batch, draws) of at most `examples` in all, among which a least variance lies.

    The variance falls with both, so each has as much of one as the other leaves: that is √examples
    choices by few draws and as many by few examples.
    """
    for draws in range(1, math.isqrt(examples) + 1):
        yield min(most, examples // draws), draws
    for batch in range(1, min(most, math.isqrt(examples)) + 1):
        yield batch, examples // batch
    yield most, examples // most


def _text(verdict: Choice, batch: int, draws: int, saved: float, *, limited: bool) -> str:
    """The answer; `saved` is the variance that one draw on the largest batch would leave, over
    that of the answer."""
    if verdict == "undecided":
        return "undecided: a larger batch or more draws; take more batches and draws"
    if verdict == "no variance":
        return "no variance at all"
    article = "a " if verdict == "larger batch" else ""
    text = f"{article}{verdict}: {counted(batch, 'example')}, {counted(draws, 'draw')}"
    if limited:
        text += f", no more than the {batch:,} that were given"
    if saved > 1 + TOLERANCE:
        text += f"; one draw on the largest batch would leave {saved:.3g} times the variance"
    return text


def _times(value: float, least: float) -> float:
    """The ratio value / least. The least can be 0: an exact estimator on all examples."""
    if least > 0:
        return value / least
    return 1.0 if value == 0 else math.inf
