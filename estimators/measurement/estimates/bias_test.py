"""Test of bias: a verdict for each layer, with a false-alarm rate that holds for all layers
together.

The statistics are the mean error along g, the mean errors along 8 fixed random directions of each
tensor, and the squared bias, which detects a bias in any direction: the product of a draw's error
with the sum of the errors before it has the mean 0 without a bias, and a positive mean with one.
The largest |t| of all is compared with that of bootstrapped draws (Westfall and Young, 1993;
bootstrap-t of Efron, 1982), so that an unbiased estimator is called biased in any of its layers in
4 % of all measurements, however many layers there are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.core.noise import stream
from estimators.measurement.draws.summary import over
from estimators.statistics.formatting import upper_bound

MIN_DRAWS = 512
"""Fewest draws of a verdict."""
FALSE_ALARM_RATE = 0.04
"""How often an unbiased estimator is called biased, nominally."""
RESAMPLES = 999
RANK = 960
"""Rank of the threshold among the resamples in ascending order:
(1 − FALSE_ALARM_RATE) (RESAMPLES + 1)."""
PRODUCT_ROUNDING = 1e-14
"""Rounding of a product of errors in float64, relative to ‖g‖²."""


@dataclass(frozen=True)
class BiasVerdict:
    """Whether the mean of the draws is the target t (the exact gradient, or the estimator's
    own)."""

    layer: str
    biased: bool | None
    """None: too few draws, or a zero gradient."""
    bias: float
    """⟨ḡ − t, g⟩ / ‖g‖²: the mean error along g."""
    bound: float
    """Upper bound of |⟨Eĝ − t, g⟩| / ‖g‖², for all layers at once, at 96 %."""
    draws: int
    text: str


def judge_bias(
    layers: tuple[str, ...],
    groups: Tensor,
    dots: Tensor,
    exact: Tensor,
    target: Tensor,
    errors: Tensor,
    products: Tensor | None = None,
    precision: float = 1e-6,
    seed: int = 0,
) -> tuple[BiasVerdict, ...]:
    """A verdict for each layer, from K draws of T tensors.

    Draws that are not finite in some tensor are left out of all layers.

    Args:
        layers: names of the G layers.
        groups: which tensors are in which layer, 0/1, (T, G).
        dots: ⟨ĝ_k, g⟩, (K, T).
        exact: ‖g‖², (T,).
        target: ⟨t, g⟩, (T,).
        errors: ⟨ĝ_k − t, r⟩ along random directions r, (K, T, J).
        products: ⟨ĝ_k − t, Σ_{j<k} (ĝ_j − t)⟩, (K, T); without them a bias across g is hardly seen.
        precision: a mean error below `precision` · ‖g‖ is rounding.
        seed: of the bootstrap.
    """
    good = (dots.isfinite() & errors.isfinite().all(2)).all(1)
    dots, errors = dots[good], errors[good]
    products = torch.zeros_like(dots) if products is None else products[good].nan_to_num(0.0)
    count = len(dots)
    size = exact @ groups  # ‖g‖²
    if count < MIN_DRAWS:
        return tuple(_too_few(name, count) for name in layers)
    along = (dots - target) @ groups  # ⟨ĝ − t, g⟩
    across = torch.einsum("ktj,tg->kgj", errors, groups)
    squared = (products @ groups).unsqueeze(2)
    columns = torch.cat([along.unsqueeze(2), across, squared], 2)  # (K, G, 1 + J + 1)
    lengths = size.sqrt().clamp(min=1e-300)
    others = lengths.unsqueeze(1).expand(-1, across.shape[2])
    # Products of errors are summed in float64.
    both = count * (precision**2 + PRODUCT_ROUNDING) * size.unsqueeze(1)
    floor = torch.cat([precision * size.unsqueeze(1), precision * others, both], 1)
    signed = torch.zeros(columns.shape[1:], dtype=torch.bool)
    signed[:, -1] = True
    t, half = _tested(columns.flatten(1), floor.flatten(), signed.flatten(), seed)
    t, half = t.view(len(layers), -1), half.view(len(layers), -1)
    rows = zip(layers, size.tolist(), t.amax(1), along.mean(0), half[:, 0], strict=True)
    return tuple(
        _verdict(name, bool(worst > 1), error.item() / s, width.item() / s, count)
        if s > 0
        else _zero_gradient(name, count)
        for name, s, worst, error, width in rows
    )


def _tested(x: Tensor, floor: Tensor, signed: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """|mean| over the largest that chance explains, and the latter, for each column of (K, C).

    One threshold serves all columns: the 96 % quantile of the largest |t| of resampled draws.
    In the columns that are `signed` only a mean above 0 indicates a bias.
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
    squares, largest = centred.square(), []
    for portion in torch.arange(RESAMPLES).split(111):
        chosen = torch.randint(count, (len(portion), count), generator=rng)
        weights = torch.zeros(len(portion), count, dtype=centred.dtype)
        weights.scatter_add_(1, chosen, torch.ones_like(weights))
        mean, second = weights @ centred / count, weights @ squares / count
        spread = (second - mean.square()).clamp(min=0) / (count - 1) + (0.1 * floor).square()
        largest.append(torch.where(spread > 0, _size(mean, signed) / spread.sqrt(), 0.0).amax(1))
    return torch.cat(largest)


def _verdict(layer: str, biased: bool, bias: float, half: float, draws: int) -> BiasVerdict:
    bound = abs(bias) + half
    if biased:
        text = f"biased: {bias:+.3g} of the gradient along it, {draws:,} draws"
        if abs(bias) < half:
            where = f"across the gradient, not along it ({bias:+.2g} ± {half:.2g})"
            text = f"biased {where}, {draws:,} draws"
    else:
        text = f"no bias found: relative bias along g < {upper_bound(bound)}, {draws:,} draws"
    return BiasVerdict(layer, biased, bias, bound, draws, text)


def _too_few(layer: str, draws: int) -> BiasVerdict:
    nan = float("nan")
    text = f"{draws:,} finite draws: a verdict takes at least {MIN_DRAWS}"
    return BiasVerdict(layer, None, nan, nan, draws, text)


def _zero_gradient(layer: str, draws: int) -> BiasVerdict:
    nan = float("nan")
    return BiasVerdict(layer, None, nan, nan, draws, "the exact gradient is zero here: no verdict")
