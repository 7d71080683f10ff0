"""A law held against draws: tr Var ĝ and Eĝ of each tensor, within 5 standard errors."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from estimators.core.contract import Law, Params
from estimators.core.laws import is_certain, mean_of

LEADING = 5e-3
"""Share of a draw's size that a law which says that it leaves something out may be off."""
ROUNDING = 1e-9
"""The same, of a law that leaves nothing out, in double precision."""


class Finding(NamedTuple):
    """How far the draws of one tensor are off its law."""

    off: float
    """In standard errors, what the law itself leaves out taken away."""
    what: str


def worst(law: Law, exact: Params, draws: Tensor) -> Finding:
    """The largest deviation of draws (K, d), the tensors in the order of `exact`."""
    return max(_findings(law, exact, draws), key=lambda finding: finding.off)


def enough(law: Law, exact: Params, few: int) -> int:
    """How many draws to look at first: those of an estimate without noise are all the same."""
    return 3 if is_certain(law, exact) else few


def _findings(law: Law, exact: Params, draws: Tensor) -> Iterator[Finding]:
    mean, share = mean_of(law, exact), LEADING if law.note and law.mean is None else ROUNDING
    pieces = draws.double().split([g.numel() for g in exact.values()], 1)
    for name, x in zip(exact, pieces, strict=True):
        size = x.square().sum(1).mean().item()
        away = x - mean[name].reshape(-1).double()
        squares = away.square().sum(1)
        if name in law.variance:
            said = law.variance[name]
            scatter = squares.mean().item()
            off = _off(squares - said, share * size)
            if said == 0 and scatter > share * size:
                off = math.inf  # what has no noise has no standard error either
            told = f"{name} scatters about its law's mean by {scatter:.4g}, the law says {said:.4g}"
            yield Finding(off, told)
        yield Finding(_off(away, share * size**0.5), f"the mean of {name} is not its law's")


def _off(x: Tensor, slack: float) -> float:
    """The largest |mean| over its standard error, of columns; the slack counts for nothing."""
    se = x.std(0) / len(x) ** 0.5
    off = (x.mean(0).abs() - slack).clamp(min=0)
    return torch.where(off > 0, off / se, 0.0).max().item()
