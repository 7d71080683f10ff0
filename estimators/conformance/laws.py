"""The deviation of draws from a law: tr Var ĝ and Eĝ of each tensor, in standard errors."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.core.contract import Law, Params
from estimators.core.laws import is_certain, mean_of

LEADING = 5e-3
"""Tolerance as a share of a draw's size, for a law whose note says that it leaves something out."""
ROUNDING = 1e-9
"""The same for a complete law, in double precision."""


class Deviation(NamedTuple):
    """How far the draws of one tensor are off its law."""

    off: float
    """In standard errors, beyond the tolerance of the law."""
    what: str
    """What deviates, in words."""


def worst(law: Law, exact: Params, draws: Tensor) -> Deviation:
    """The largest deviation of draws (K, d), the tensors in the order of `exact`."""
    return max(_deviations(law, exact, draws), key=lambda deviation: deviation.off)


def enough(law: Law, exact: Params, few: int) -> int:
    """Number of draws to begin with: `few`, or 3 of an estimate without noise."""
    return 3 if is_certain(law, exact) else few


def _deviations(law: Law, exact: Params, draws: Tensor) -> Iterator[Deviation]:
    mean, share = mean_of(law, exact), LEADING if law.note and law.mean is None else ROUNDING
    pieces = draws.double().split([g.numel() for g in exact.values()], 1)
    for name, x in zip(exact, pieces, strict=True):
        size = x.square().sum(1).mean().item()
        away = x - mean[name].reshape(-1).double()
        squares = away.square().sum(1)
        if name in law.variance:
            predicted = law.variance[name]
            scatter = squares.mean().item()
            off = _off(squares - predicted, share * size)
            if predicted == 0 and scatter > share * size:
                off = math.inf  # an estimate without noise has no standard error either
            text = f"{name} scatters about its law's mean by {scatter:.4g}"
            yield Deviation(off, f"{text}, the law says {predicted:.4g}")
        yield Deviation(_off(away, share * size**0.5), f"the mean of {name} is not its law's")


def _off(x: Tensor, slack: float) -> float:
    """The largest |mean| of a column beyond `slack`, over its standard error."""
    se = x.std(0) / len(x) ** 0.5
    off = (x.mean(0).abs() - slack).clamp(min=0)
    return torch.where(off > 0, off / se, 0.0).max().item()
