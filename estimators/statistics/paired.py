"""Two estimators compared on the same seeds, batches or steps: the differences tell.

Where each pair shares its weights and batch, what the two have in common falls out of the
difference. Pairs of different seeds are independent of each other. Successive steps of one run are
not: their measures drift together with the weights. What can be told from them is the mean over
these very steps, off which the draws' noise alone leads, and that is independent from probe to
probe: its variance is half the mean square of successive differences (von Neumann, 1941), which
a drift hardly enters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.statistics.student import t_quantile

LEAST = 5
"""Fewest pairs of a comparison."""


@dataclass(frozen=True)
class Comparison:
    """first − second, over pairs."""

    pairs: int
    """Those that are finite in both."""
    difference: float
    """Its mean; NaN without a pair."""
    low: float
    high: float
    """Ends of the 95 % interval of the mean difference; NaN for fewer than 5 pairs."""
    first_larger: int
    """Pairs in which the first is larger."""
    text: str


def paired(
    first: Sequence[float], second: Sequence[float], *, successive: bool = False
) -> Comparison:
    """Compare two measures taken at the same seeds or steps, in the same order.

    The interval is Student's, for pairs that are independent of each other, as seeds are.
    `successive`: pairs are successive steps of one run, and the interval is of the mean over these
    steps alone; other runs may differ. Raises ValueError for sequences of different lengths.
    """
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} numbers beside {len(second)}; each of the first needs its pair"
        )
    found = torch.tensor(first, dtype=torch.float64) - torch.tensor(second, dtype=torch.float64)
    found = found[found.isfinite()]
    count, mean = len(found), found.mean().item()
    half = half_width(found, successive=successive).item() if count >= LEAST else math.nan
    larger = int((found > 0).sum())
    low, high = mean - half, mean + half
    return Comparison(count, mean, low, high, larger, _text(count, mean, low, high, larger))


def half_width(differences: Tensor, *, successive: bool = False) -> Tensor:
    """Half of the 95 % interval of the mean of each column of (n,) or (n, R), n at least 2."""
    n = len(differences)
    if successive:
        variance, freedom = differences.diff(dim=0).square().mean(0) / 2, max(1, 2 * (n - 1) // 3)
    else:
        variance, freedom = differences.var(0), n - 1
    return t_quantile(0.975, freedom) * (variance / n).sqrt()


def _text(count: int, mean: float, low: float, high: float, larger: int) -> str:
    if count < LEAST:
        return f"{count} pairs: a comparison takes at least {LEAST}"
    span = f"{mean:+.3g} ({low:+.3g} … {high:+.3g}), larger in {larger} of {count} pairs"
    if low > 0:
        return f"the first is larger: {span}"
    if high < 0:
        return f"the first is smaller: {span}"
    return f"no difference found: {span}"
