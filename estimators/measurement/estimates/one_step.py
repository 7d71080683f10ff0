"""What one step would do from a frozen point: a lottery, drawn many times.

To second order a step −η ĝ changes the loss by −η⟨ĝ, g⟩ + η²/2 ĝᵀHĝ, H the Hessian. On average that
is least at η = ⟨Eĝ, g⟩ / E ĝᵀHĝ, where the loss falls by ⟨Eĝ, g⟩² / (2 E ĝᵀHĝ).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.measurement.draws.summary import mean, over, variance
from estimators.measurement.estimates.intervals import LEAST_OF_MEANS, skewed
from estimators.statistics.student import t_quantile

LEAST_OF_DECREASES = 64
"""Draws from which the interval of an expected decrease was measured to cover at least 92 %."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """M one-step lotteries of one estimator; draws that are not finite are NaN."""

    loss: float
    """Before the step."""
    rates: tuple[float, ...]
    """The learning rates of the steps taken (η)."""
    changes: Tensor
    """L(θ − η ĝ_m) − L(θ), (M, R); infinite where that loss is not finite."""
    slopes: Tensor
    """⟨ĝ_m, g⟩, (M,)."""
    curvatures: Tensor
    """ĝ_mᵀHĝ_m, (M,)."""
    label: str = ""

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
        """Draws left out."""
        return int((~self._pairs.isfinite()).any(1).sum())

    @property
    def shown(self) -> int:
        """Draws that count."""
        return len(self.slopes) - self.nonfinite

    @property
    def _pairs(self) -> Tensor:
        both = torch.stack([self.slopes, self.curvatures], 1).double()
        return torch.where(both.isfinite().all(1, keepdim=True), both, torch.nan)

    @property
    def _slope_variance(self) -> float:
        """Of the mean slope."""
        return over(variance(self._pairs), torch.tensor(self.shown))[0].item()

    @property
    def descends(self) -> bool | None:
        """Whether a small step lowers the loss on average; None where the draws cannot tell."""
        if self.shown < 2 or not self.slope:
            return None
        low, high = skewed(self._pairs[:, :1])
        return None if low <= 0 <= high else self.slope > 0

    @property
    def best_rate(self) -> float | None:
        """⟨Eĝ, g⟩ / E ĝᵀHĝ; None where ĝ does not lead down, or the loss does not curve up."""
        return self.slope / self.curvature if self.descends and self.curvature > 0 else None

    @property
    def expected_decrease(self) -> float | None:
        """⟨Eĝ, g⟩² / (2 E ĝᵀHĝ) at the best rate, to second order, and at most the loss's own.

        ⟨Eĝ, g⟩² is the squared mean slope less its variance, so that it has no bias.
        """
        if self.best_rate is None:
            return None
        return max(0.0, self.slope**2 - self._slope_variance) / (2 * self.curvature)

    @property
    def curvature_interval(self) -> tuple[float, float] | None:
        """At 95 %, by Hall's interval of a skewed mean; None for fewer than 128 draws."""
        if self.shown < LEAST_OF_MEANS:
            return None
        low, high = skewed(self._pairs)
        return low[1].item(), high[1].item()

    @property
    def decrease_interval(self) -> tuple[float, float] | None:
        """At 95 %, by the delta method; None for fewer than 64 draws, or without a decrease."""
        if self.expected_decrease is None or self.shown < LEAST_OF_DECREASES:
            return None
        half = t_quantile(0.975, self.shown - 1) * self.decrease_se
        return max(0.0, self.expected_decrease - half), self.expected_decrease + half

    @property
    def decrease_se(self) -> float:
        """The standard error of the expected decrease, to first order."""
        views = decreases(self._pairs[:, :1], self._pairs[:, 1:])
        return over(variance(views), torch.tensor(self.shown)).sqrt().item()

    def predicted(self, rate: float) -> float:
        """The expected change of the loss at a rate, to second order."""
        return -rate * self.slope + rate**2 / 2 * self.curvature

    @property
    def text(self) -> str:
        """In a sentence."""
        draws = f"{self.nonfinite} draw{'s' * (self.nonfinite > 1)}"
        lost = f", {draws} not finite and left out" if self.nonfinite else ""
        return f"{self._at_rates()}{self._blown()}{lost}; {self._advice()}"

    @property
    def blown(self) -> tuple[int, ...]:
        """Steps of each rate after which the loss was not finite, of the draws that count."""
        return tuple(self.changes.isinf().sum(0).tolist())

    def _blown(self) -> str:
        told = [
            f"{n} of {self.shown} at {rate:.3g}"
            for rate, n in zip(self.rates, self.blown, strict=True)
            if n
        ]
        return f", the loss was not finite after {', '.join(told)}" if told else ""

    def _at_rates(self) -> str:
        fell = (self.changes < 0).sum(0).tolist()
        rate, most = max(zip(self.rates, fell, strict=True), key=lambda one: one[1])
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
        if self.best_rate is not None:
            return ""
        if not (self.slopes[self.slopes.isfinite()] != 0).any():
            return "the draws or the exact gradient are zero"
        if self.descends is None:
            return f"{self.shown} draws cannot tell whether they lead down"
        return "the draws lead where the loss is not curved upwards" if self.descends else (
            "the draws lead up"
        )  # fmt: skip


def decreases(slopes: Tensor, curvatures: Tensor) -> Tensor:
    """⟨Eĝ, g⟩²/(2 E ĝᵀHĝ) to first order about the means: independent views of it, (M, G)."""
    a, c = mean(slopes), mean(curvatures)
    return a / c * (slopes - a) - a.square() / (2 * c.square()) * (curvatures - c)


def grid(best: list[float], also: list[float], most: int = 24) -> list[float]:
    """Round learning rates from a tenth of the least to ten times the largest.

    About `best` rates, or about those of `also` where there are none; `also` are among them. As
    many in a decade as give at most `most`.
    """
    about = best or also or [0.01]
    low, high = min([*about, *also]) / 10, max([*about, *also]) * 10
    if not best:
        low, high = low / 10, high * 10
    powers = range(-300, 300)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [float(f"{s}e{k}") for k in powers for s in steps]
        found = [x for x in found if low <= x <= high]
        if len(found) + len(also) <= most:
            break
    return sorted({*found[-most:], *also})
