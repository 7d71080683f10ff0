"""Is an estimator biased? A verdict for each layer, that rarely convicts an innocent one.

Looked at are the mean error along g and along 8 fixed random directions of each tensor, and the
squared bias, which sees a bias in any direction: a draw's error times the sum of all before it has
the mean 0 without one, and a mean above 0 with one. The largest of all their |t| is held against
the same of bootstrapped draws (Westfall and Young, 1993; bootstrap-t of Efron, 1982), so that an
unbiased estimator has even one layer convicted in 4 % of all measurements only, however many
layers there are.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.core.noise import stream
from estimators.measurement.draws.summary import over

LEAST = 512
"""Fewest draws of a verdict."""
RATE = 0.04
"""How often an unbiased estimator is convicted, nominally; measured: docs/measurement.md."""
RESAMPLES = 999
RANK = 960
"""Of the resamples in rising order this one is the threshold: (1 − RATE)(RESAMPLES + 1)."""
PRODUCTS = 1e-14
"""Rounding of a product of errors in float64, of ‖g‖²."""


@dataclass(frozen=True)
class Verdict:
    """Whether the mean of the draws is what is estimated, t, in one layer."""

    layer: str
    biased: bool | None
    """None: it cannot be told."""
    bias: float
    """⟨ḡ − t, g⟩ / ‖g‖²: the mean error along g."""
    bound: float
    """|⟨Eĝ − t, g⟩| / ‖g‖² is smaller, of all layers at once, at 96 %."""
    draws: int
    text: str


def verdicts(
    layers: tuple[str, ...],
    groups: Tensor,
    dots: Tensor,
    exact: Tensor,
    aim: Tensor,
    errors: Tensor,
    ahead: Tensor | None = None,
    precision: float = 1e-6,
    seed: int = 0,
) -> tuple[Verdict, ...]:
    """A verdict for each layer, from draws of each tensor.

    dots ⟨ĝ_k, g⟩ (K, T), exact ‖g‖² (T,), aim ⟨t, g⟩ (T,) and errors ⟨ĝ_k − t, r⟩ (K, T, J), t what
    is estimated: g, or the estimator's target; `groups` (T, G) says which tensors are in which
    layer. ahead ⟨ĝ_k − t, Σ_{j<k} (ĝ_j − t)⟩ (K, T), without which a bias across g is hardly seen.
    A mean error below `precision` · ‖g‖ is rounding. Draws that are not finite are left out of all
    layers.
    """
    good = (dots.isfinite() & errors.isfinite().all(2)).all(1)
    dots, errors = dots[good], errors[good]
    ahead = torch.zeros_like(dots) if ahead is None else ahead[good].nan_to_num(0.0)
    count = len(dots)
    size = exact @ groups  # ‖g‖²
    if count < LEAST:
        return tuple(_untold(name, count) for name in layers)
    along = (dots - aim) @ groups  # ⟨ĝ − t, g⟩
    across = torch.einsum("ktj,tg->kgj", errors, groups)
    squared = (ahead @ groups).unsqueeze(2)
    columns = torch.cat([along.unsqueeze(2), across, squared], 2)  # (K, G, 1 + J + 1)
    lengths = size.sqrt().clamp(min=1e-300)
    others = lengths.unsqueeze(1).expand(-1, across.shape[2])
    # Of products of errors, which are summed in float64.
    both = count * (precision**2 + PRODUCTS) * size.unsqueeze(1)
    floor = torch.cat([precision * size.unsqueeze(1), precision * others, both], 1)
    signed = torch.zeros(columns.shape[1:], dtype=torch.bool)
    signed[:, -1] = True
    t, half = _tested(columns.flatten(1), floor.flatten(), signed.flatten(), seed)
    t, half = t.view(len(layers), -1), half.view(len(layers), -1)
    rows = zip(layers, size.tolist(), t.amax(1), along.mean(0), half[:, 0], strict=True)
    return tuple(
        _told(name, bool(worst > 1), error.item() / s, width.item() / s, count)
        if s > 0
        else _dead(name, count)
        for name, s, worst, error, width in rows
    )


def _tested(x: Tensor, floor: Tensor, signed: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """|mean| over what it may be, and what it may be, for each column of (K, C).

    The threshold is the 96 % quantile of the largest |t| of resampled draws; one for all columns.
    Of those that are `signed` a mean above 0 alone speaks of a bias.
    """
    count = len(x)
    mean = x.mean(0)
    se = (over(x.var(0), torch.tensor(count)) + (0.1 * floor).square()).sqrt()
    largest = _largest(x - mean, floor, signed, seed)
    threshold = largest.sort().values[RANK - 1]
    allowed = threshold * se + floor
    return _size(mean, signed) / allowed, allowed


def _size(mean: Tensor, signed: Tensor) -> Tensor:
    return torch.where(signed, mean.clamp(min=0), mean.abs())


def _largest(centred: Tensor, floor: Tensor, signed: Tensor, seed: int) -> Tensor:
    """The largest |t| of each resample, (R,)."""
    count, rng = len(centred), stream(seed, "probe", "verdict")
    squares, found = centred.square(), []
    for some in (torch.arange(RESAMPLES)).split(111):
        chosen = torch.randint(count, (len(some), count), generator=rng)
        weights = torch.zeros(len(some), count, dtype=centred.dtype)
        weights.scatter_add_(1, chosen, torch.ones_like(weights))
        mean, second = weights @ centred / count, weights @ squares / count
        spread = (second - mean.square()).clamp(min=0) / (count - 1) + (0.1 * floor).square()
        found.append(torch.where(spread > 0, _size(mean, signed) / spread.sqrt(), 0.0).amax(1))
    return torch.cat(found)


def _told(layer: str, biased: bool, bias: float, half: float, draws: int) -> Verdict:
    bound = abs(bias) + half
    if biased:
        text = f"biased: {bias:+.3g} of the gradient along it, {draws:,} draws"
        if abs(bias) < half:
            where = f"across the gradient, not along it ({bias:+.2g} ± {half:.2g})"
            text = f"biased {where}, {draws:,} draws"
    else:
        text = f"no bias found: relative bias along g < {_above(bound)}, {draws:,} draws"
    return Verdict(layer, biased, bias, bound, draws, text)


def _above(bound: float) -> str:
    """In two digits, rounded up: what is said to be below it is."""
    if not 0 < bound < math.inf:
        return f"{bound:g}"
    step = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return f"{math.ceil(bound / step * (1 - 1e-12)) * step:.2g}"


def _untold(layer: str, draws: int) -> Verdict:
    nan = float("nan")
    return Verdict(
        layer, None, nan, nan, draws, f"{draws:,} finite draws: a verdict takes at least {LEAST}"
    )


def _dead(layer: str, draws: int) -> Verdict:
    nan = float("nan")
    return Verdict(layer, None, nan, nan, draws, "the exact gradient is zero here: no verdict")
