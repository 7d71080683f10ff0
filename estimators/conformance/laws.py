"""The deviation of draws from a law: tr Var ĝ and Eĝ of each tensor, in standard errors."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.conformance.tally import Tally, offset, without_controls
from estimators.core.contract import Law, Params
from estimators.core.laws import is_certain, mean_of

LEADING = 5e-3
"""Tolerance as a share of a draw's size, for a law whose note says that it leaves something out."""
ROUNDING = 1e-9
"""The same for a complete law, in double precision."""
WHOLE = "the whole gradient"


class Deviation(NamedTuple):
    """How far the draws of one tensor are off its law."""

    off: float
    """In standard errors, beyond the tolerance of the law."""
    what: str
    """What deviates, in words."""
    resolution: float = 0.0
    """The standard error of the scatter, as a share of the law's variance."""


def worst(law: Law, exact: Params, draws: Tensor) -> Deviation:
    """The largest deviation of draws (K, d), the tensors in the order of `exact`."""
    tally = Tally(mean_of(law, {n: exact[n] for n in exact}))
    tally.add(draws)
    return max(deviations(law, tally), key=lambda deviation: deviation.off)


def enough(law: Law, exact: Params, few: int) -> int:
    """Number of draws to begin with: `few`, or 3 of an estimate without noise.

    What a law to leading order leaves out may be noise, where the leading order has none.
    """
    return 3 if is_certain(law, exact) and not (law.note and law.mean is None) else few


def deviations(law: Law, tally: Tally) -> Iterator[Deviation]:
    """Yield the deviation of every tensor's scatter and mean, and of the scatter of all together.

    `tally` expects the law's mean. The part of the scatter that the error along this mean explains
    is removed, since the expectation of that error is known: it is 0.
    """
    share = LEADING if law.note and law.mean is None else ROUNDING
    sizes, along = tally.sizes(), tally.along
    in_law = [i for i, name in enumerate(tally.names) if name in law.variance]
    for i in in_law:
        name = tally.names[i]
        controls = along[:, [0, 1 + i]]
        slack = share * sizes[i].item()
        yield _scatter(name, tally.scatter[:, i], controls, law.variance[name], slack)
    if len(in_law) > 1:
        whole = tally.scatter[:, in_law].sum(1)
        predicted = sum(law.variance[tally.names[i]] for i in in_law)
        slack = share * sizes[in_law].sum().item()
        yield _scatter(WHOLE, whole, along[:, :1], predicted, slack)
    yield from _means(tally, share)


def _scatter(name: str, x: Tensor, controls: Tensor, predicted: float, slack: float) -> Deviation:
    seen = x.mean().item()
    difference = offset(without_controls(x, controls) - predicted, slack)
    off = difference.off
    if predicted == 0 and seen > slack:
        off = math.inf  # an estimate without noise has no standard error either
    text = f"{name} scatters about its law's mean by {predicted + difference.value:.4g}"
    resolution = difference.error / predicted if predicted > 0 else 0.0
    return Deviation(off, f"{text}, the law says {predicted:.4g}", resolution)


def _means(tally: Tally, share: float) -> Iterator[Deviation]:
    pieces = zip(*map(tally.pieces, tally.coordinates()), strict=True)
    for name, total, (mean, error) in zip(tally.names, tally.sizes(), pieces, strict=True):
        away = (mean.abs() - share * total.clamp(min=0).sqrt()).clamp(min=0)
        off = torch.where(away > 0, away / error, 0.0).max().item()
        yield Deviation(off, f"the mean of {name} is not its law's")
