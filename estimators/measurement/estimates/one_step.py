"""The change of the loss by one step from a frozen point, over many draws of the estimator.

To second order a step −η ĝ changes the loss by −η⟨ĝ, g⟩ + η²/2 ĝᵀHĝ, H the Hessian. The expected
change is least at η = ⟨Eĝ, g⟩ / E ĝᵀHĝ, where the loss falls by ⟨Eĝ, g⟩² / (2 E ĝᵀHĝ).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Params
from estimators.core.objective import Objective
from estimators.measurement.draws.one_step import OneStepDraws, starting_point
from estimators.measurement.draws.summary import mean, over, variance
from estimators.measurement.estimates.intervals import skewed
from estimators.statistics import one_step
from estimators.statistics.formatting import counted
from estimators.statistics.student import MIN_COUNT_SKEWED, half_width

MIN_DRAWS_DECREASE = 64
"""Draws from which the interval of an expected decrease was measured to cover at least 92 %."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """M one-step draws of one estimator; draws that are not finite are NaN."""

    loss: float
    """Before the step."""
    rates: tuple[float, ...]
    """The learning rates of the steps taken (η), R of them."""
    changes: Tensor
    """L(θ − η ĝ_m) − L(θ), (M, R); infinite where that loss is not finite."""
    slopes: Tensor
    """⟨ĝ_m, g⟩, (M,)."""
    curvatures: Tensor
    """ĝ_mᵀHĝ_m, (M,)."""
    label: str = ""
    depths: tuple[str, ...] = ()
    """Stages at which the first layers alone were updated, in the order of the network."""
    by_depth: Tensor | None = None
    """L(θ − η ĝ_m of the tensors up to that stage) − L(θ), (M, depths)."""
    depth_rate: float | None = None
    """The learning rate of these steps."""

    @classmethod
    def from_draws(cls, taken: OneStepDraws) -> "WhatIf":
        """The result of the draws made so far. Raises ValueError without any."""
        if not len(taken):
            raise ValueError("no draw was made; at least 1 is needed")
        return cls(
            taken.start.loss, tuple(taken.rates), taken.changes, taken.slopes, taken.curvatures,
            taken.label, tuple(taken.depths) if taken.depth_rate is not None else (),
            taken.by_depth, taken.depth_rate,
        )  # fmt: skip

    @property
    def slope(self) -> float:
        """⟨Eĝ, g⟩."""
        return mean(self._pairs)[0].item()

    @property
    def curvature(self) -> float:
        """E ĝᵀHĝ."""
        return mean(self._pairs)[1].item()

    @property
    def nonfinite(self) -> int:
        """Draws that are not finite: they are left out."""
        return int((~self._pairs.isfinite()).any(1).sum())

    @property
    def shown(self) -> int:
        """Finite draws."""
        return len(self.slopes) - self.nonfinite

    @property
    def _pairs(self) -> Tensor:
        both = torch.stack([self.slopes, self.curvatures], 1).double()
        return torch.where(both.isfinite().all(1, keepdim=True), both, torch.nan)

    @property
    def _slope_variance(self) -> float:
        """The variance of the mean slope."""
        return over(variance(self._pairs), torch.tensor(self.shown))[0].item()

    @property
    def descends(self) -> bool | None:
        """Whether a small step lowers the loss on average; None where the draws do not tell."""
        return one_step.descends(self._finite[0])

    @property
    def _finite(self) -> tuple[list[float], list[float]]:
        """Slopes and curvatures of the finite draws."""
        kept = self._pairs[self._pairs.isfinite().all(1)]
        return kept[:, 0].tolist(), kept[:, 1].tolist()

    @property
    def best_rate(self) -> float | None:
        """⟨Eĝ, g⟩ / E ĝᵀHĝ; None where the mean draw does not lead down, or the loss does not
        curve upwards along the draws."""
        return self.slope / self.curvature if self.descends and self.curvature > 0 else None

    @property
    def expected_decrease(self) -> float | None:
        """⟨Eĝ, g⟩₊² / (2 E ĝᵀHĝ): how far the loss falls at the best rate, to second order.

        ⟨Eĝ, g⟩² is estimated without bias, by the squared mean slope less its variance. 0 where the
        mean draw points uphill; None where the draws do not tell, or where there is no best rate
        because the loss does not curve upwards.
        """
        if self.descends is False:
            return 0.0
        if self.best_rate is None:
            return None
        return max(0.0, self.slope**2 - self._slope_variance) / (2 * self.curvature)

    @property
    def curvature_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the curvature (Hall's); None for fewer than 128 draws."""
        if self.shown < MIN_COUNT_SKEWED:
            return None
        low, high = skewed(self._pairs)
        return low[1].item(), high[1].item()

    @property
    def decrease_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the expected decrease, by the delta method; None for fewer than 64
        draws, or without a decrease."""
        decrease = self.expected_decrease
        if decrease is None or self.best_rate is None or self.shown < MIN_DRAWS_DECREASE:
            return None
        half = half_width(self.shown) * self.decrease_se
        return max(0.0, decrease - half), decrease + half

    @property
    def decrease_se(self) -> float:
        """The standard error of the expected decrease, to first order."""
        terms = decreases(self._pairs[:, :1], self._pairs[:, 1:])
        return over(variance(terms), torch.tensor(self.shown)).sqrt().item()

    def predicted(self, rate: float) -> float:
        """The expected change of the loss at a rate, to second order."""
        return -rate * self.slope + rate**2 / 2 * self.curvature

    @property
    def utility(self) -> dict[str, float]:
        """{stage: the mean change of the loss when only the layers up to it are updated}; NaN where
        a loss is not finite."""
        if self.by_depth is None:
            return {}
        finite = self.by_depth[~self.by_depth.isnan().any(1)]
        means = finite.mean(0) if len(finite) else torch.full((len(self.depths),), torch.nan)
        return {
            stage: x if math.isfinite(x) else math.nan
            for stage, x in zip(self.depths, means.tolist(), strict=True)
        }

    @property
    def text(self) -> str:
        """The result in a sentence."""
        left_out = ""
        if self.nonfinite:
            left_out = f", {counted(self.nonfinite, 'draw')} not finite and left out"
        return f"{self._at_rates()}{self._overflow_text()}{left_out}; {self._advice()}"

    @property
    def blown(self) -> tuple[int, ...]:
        """For each rate, how many steps of finite draws led to a loss that is not finite."""
        return tuple(self.changes.isinf().sum(0).tolist())

    def _overflow_text(self) -> str:
        steps = [
            f"{n} of {self.shown} at {rate:.3g}"
            for rate, n in zip(self.rates, self.blown, strict=True)
            if n
        ]
        return f", the loss was not finite after {', '.join(steps)}" if steps else ""

    def _at_rates(self) -> str:
        fell = (self.changes < 0).sum(0).tolist()
        rate, most = max(zip(self.rates, fell, strict=True), key=lambda pair: pair[1])
        return f"the loss fell in {most} of {self.shown} steps of {rate:.3g}"

    def _advice(self) -> str:
        if self.best_rate is not None:
            return (
                f"best learning rate {self.best_rate:.3g}, expected decrease "
                f"{self.expected_decrease:.3g}"
            )
        return f"no best learning rate: {self.obstacle}"

    @property
    def obstacle(self) -> str:
        """Why there is no best rate, in words; "" where there is one."""
        return one_step.obstacle(*self._finite)


def take_steps(
    objective: Objective,
    params: Params,
    estimator: Estimator,
    state: Any = None,
    count: int = 64,
    rates: Sequence[float] | None = None,
    seed: int = 0,
    label: str = "",
) -> WhatIf:
    """Take `count` draws as steps at each of the learning rates; without `rates`, at the best one.

    Each draw costs one Hessian-vector product, and one forward pass for each rate. Raises
    UnsupportedError for a loss that cannot be differentiated twice, and ValueError for fewer than
    2 draws or none that is finite.
    """
    if count < 2:
        raise ValueError(f"{count} draws; an expectation takes at least 2")
    start = starting_point(objective, params)
    if rates is None:
        best = _taken(OneStepDraws(start, estimator, state, count, (), seed, label)).best_rate
        rates = (best or 0.0,)
    return _taken(OneStepDraws(start, estimator, state, count, rates, seed, label))


def _taken(steps: OneStepDraws) -> WhatIf:
    for _ in steps.take():
        pass
    result = WhatIf.from_draws(steps)
    if not result.shown:
        raise ValueError(f"none of {len(steps)} draws is finite: there is no step to take")
    return result


def decreases(slopes: Tensor, curvatures: Tensor) -> Tensor:
    """The influence of each draw on ⟨Eĝ, g⟩²/(2 E ĝᵀHĝ), to first order about the means, (M, G)."""
    a, c = mean(slopes), mean(curvatures)
    return a / c * (slopes - a) - a.square() / (2 * c.square()) * (curvatures - c)


def grid(best: list[float], also: list[float], most: int = 24) -> list[float]:
    """Round learning rates from a tenth of the smallest to ten times the largest of `best`.

    Without a `best` rate they are around `also`, and reach further down. The rates `also` are
    always included. Each decade has as many rates as keep the number of all at most `most`.
    """
    centres = best or also or [0.01]
    low, high = min([*centres, *also]) / 10, max([*centres, *also]) * 10
    if not best:
        low, high = low / 10, high * 10
    powers = range(-300, 300)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        rates = [float(f"{s}e{k}") for k in powers for s in steps]
        rates = [x for x in rates if low <= x <= high]
        if len(rates) + len(also) <= most:
            break
    return sorted({*rates[-most:], *also})
