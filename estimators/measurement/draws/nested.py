"""Nested sampling: J batches, K draws ĝ_jk at each, with means ḡ_j.

The estimator's part of the variance is the mean of tr S_j. The data's is the variance of ḡ_j less
the noise that the draws leave in it, tr Var_j ḡ_j − (mean of tr S_j)/K, which is unbiased. Draws on
an eighth of each batch show which share of the estimator's part falls as 1/B.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.objective import Chain
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.stream import draws
from estimators.measurement.draws.summary import grouped, mean, over, variance

PART = 8
"""Size of a batch over that of its part, on which the share that falls as 1/B is estimated."""
MIN_BATCHES_ESTIMATOR, MIN_BATCHES_DATA = 32, 128
"""Batches from which Student's intervals of the parts were measured to cover at least 92 %."""


@dataclass(frozen=True)
class Parts:
    """The parts of the variance: one number for each layer, (G,), with standard errors over
    batches. The names are those of `Anatomy`."""

    data: Tensor
    data_se: Tensor
    estimator: Tensor
    estimator_se: Tensor
    fixed: Tensor
    fixed_se: Tensor
    signal: Tensor

    def variance(self, share: float, b: float, k: int) -> Tensor:
        """D(B) + E(B)/K; `share` is D(B)/D(B₀), `b` is B/B₀."""
        falling = (self.estimator - self.fixed) / b
        return share * self.data.clamp(min=0) + (self.fixed + falling) / k


@dataclass(eq=False)
class Nested:
    """Nested sampling of one estimator in progress, one batch at a time."""

    params: Params
    estimator: Estimator
    state: Any
    count: int
    """Draws at each batch (K)."""
    seed: int = 0
    label: str = ""
    chunk: int | None = None
    nonfinite: int = 0
    """Draws that were not finite."""
    _within: list[Tensor] = field(default_factory=list)
    _small: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._means = Means(self.params)

    def __len__(self) -> int:
        """Batches taken in."""
        return len(self._within)

    def take(self, whole: Chain, small: Chain) -> Iterator[int]:
        """Draw at one more batch and at a part of it; yields the draws made, chunk by chunk.

        The batch is counted once the iterator is exhausted.
        """
        place = len(self)
        inner = Moments(zeros(self.params))
        yield from self._fill(inner, whole, self.seed, place)
        less = Moments(zeros(self.params))
        # The next seed, so that the noise on the part is independent.
        yield from self._fill(less, small, self.seed + 1, place)
        self.nonfinite += inner.nonfinite + less.nonfinite
        self._within.append(over(inner.scatter, inner.count - 1))
        self._small.append(over(less.scatter, less.count - 1))
        self._means.add(inner)

    def _fill(self, moments: Moments, chain: Chain, seed: int, place: int) -> Iterator[int]:
        for chunk in draws(
            chain, self.params, self.estimator, self.state, self.count, seed, place,
            label=self.label, chunk=self.chunk,
        ):  # fmt: skip
            moments.add(chunk)
            yield len(next(iter(chunk.values())))

    def parts(self, groups: Tensor, ratio: float) -> Parts:
        """The parts from the batches so far, for each group of tensors, 0/1, (T, G).

        `ratio` is the size of a batch over that of its part.
        """
        within, small = (grouped(torch.stack(x), groups) for x in (self._within, self._small))
        noise = grouped(torch.stack(self._means.noise), groups)
        innovations = self._means.innovations(groups)
        estimator = mean(within)
        falling = (mean(small - within) / (ratio - 1)).clamp(min=0).minimum(estimator)
        spread, signal = self._means.spread(groups)
        return Parts(
            data=spread - mean(noise),
            data_se=standard_error(innovations - noise),
            estimator=estimator,
            estimator_se=standard_error(within),
            fixed=estimator - falling,
            fixed_se=standard_error(within - (small - within) / (ratio - 1)),
            signal=signal,
        )

    def predicted(self, groups: Tensor, share: float, b: float, k: int, ratio: float) -> Tensor:
        """Independent estimates of D(B) + E(B)/K, one of each batch but the first, (J, G).

        `share` is D(B)/D(B₀), `b` is B/B₀.
        """
        within, small = (grouped(torch.stack(x), groups) for x in (self._within, self._small))
        noise = grouped(torch.stack(self._means.noise), groups)
        falling = (small - within) / (ratio - 1)
        estimator = within + falling * (1 / b - 1)
        return share * (self._means.innovations(groups) - noise) + estimator / k


class Means:
    """The mean of the draws at each batch, and how these means scatter."""

    def __init__(self, params: Params) -> None:
        self._like = {n: p.double() for n, p in zeros(params).items()}
        self._moments = Moments(self._like)
        self.noise: list[Tensor] = []
        """tr S_j/K of each tensor: the noise that the draws leave in a mean, (T,)."""

    def __len__(self) -> int:
        return len(self.noise)

    def add(self, inner: Moments) -> None:
        """Add the mean of one batch's draws; tensors without a finite draw are left out."""
        rows = {}
        for (name, g), m, n in zip(self._like.items(), inner.mean, inner.count, strict=True):
            rows[name] = (m if n > 0 else torch.full_like(m, torch.nan)).view(1, *g.shape)
        self._moments.add(rows)
        self.noise.append(over(over(inner.scatter, inner.count - 1), inner.count))

    def innovations(self, groups: Tensor) -> Tensor:
        """Independent estimates of the variance of a mean, (J, G); NaN for the first."""
        return self._moments.innovations(groups)

    def spread(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """tr Var of a mean, and ‖its expectation‖², (G,)."""
        moments = self._moments
        trace = over(moments.scatter, moments.count - 1)
        square = torch.stack([m.square().sum().cpu() for m in moments.mean])
        square = torch.where(moments.count > 0, square, torch.nan)
        return grouped(trace, groups), grouped(square - over(trace, moments.count), groups)


def standard_error(views: Tensor) -> Tensor:
    """The standard error of the mean of independent estimates, (J, G) to (G,)."""
    return over(variance(views), views.isfinite().sum(0)).sqrt()


def zeros(params: Params) -> dict[str, Tensor]:
    """A gradient of zero: moments compared with it are about the origin."""
    return {name: torch.zeros_like(p) for name, p in params.items()}


def part_of(size: int, least: int = 1) -> int:
    """Examples of the part of a batch that shows what falls as 1/B: an eighth, at least `least`.

    The further apart the two sizes, the more precise the part that falls.
    """
    return min(max(least, size // PART), size // 2)


def first_examples(t: Tensor, count: int, views: int = 1) -> Tensor:
    """The first `count` examples; of each view, where views stand one behind the other."""
    if views == 1 or len(t) % views:
        return t[:count]
    rows = t.view(views, -1, *t.shape[1:])
    return rows[:, : count // views].flatten(0, 1)
