"""What tails heavier than a forward gradient's do to intervals of 95 %, and how often that is said

Draws of ĝ = c (g·v) v in 20 dimensions with normal v and a gain c: 1; lognormal, exp of a normal;
10 or 30 in 2 % of draws, else 1. And g with noise of Student's t with 3 degrees of freedom in each
dimension. Of each measure: how often the interval holds the true value; how often it is called
heavy-tailed; and how often it is wrong and not called so. And by how much the SNR of a few draws is
too large on average.
"""

import math

import torch
from torch import Generator, Tensor

from benchmarks.coverage import D, _along, _gradient, _summary
from benchmarks.table import Row
from estimators.core.noise import stream
from estimators.measurement.estimates.intervals import MIN_DRAWS, bounds
from estimators.measurement.estimates.tails import heavy_tails
from estimators.statistics.tails import MIN_DRAWS as JUDGED
from estimators.statistics.tails import UNAFFECTED

SIZES = (64, 128, 256, 512, 1024)
REPLICATIONS = 1000
AT_ONCE = 100
OUTLIERS = 0.02
MOST_WRONG = 0.075
"""Most intervals that may be wrong without a mark, from `JUDGED` draws on."""
KINDS = ("χ²", "lognormal gain", "2 % × 10", "2 % × 30", "t₃ noise")
NOISE = 0.3
"""Scale of the t₃ noise."""


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [*(row for kind in KINDS for row in intervals(kind)), *ratios()]


def intervals(kind: str) -> list[Row]:
    """A row for each measure that has an interval."""
    by_size = {n: coverage(kind, n) for n in SIZES}
    shown = []
    for metric in MIN_DRAWS:
        cells = {n: by[metric] for n, by in by_size.items() if metric in by}
        note = ", ".join(
            f"{n}: {100 * held:.1f}, marked {100 * marked:.0f}, wrong unmarked {100 * wrong:.1f}"
            for n, (held, marked, wrong) in cells.items()
        )
        worst = max(wrong for n, (_, _, wrong) in cells.items() if n >= JUDGED)
        shown.append(Row(f"{metric}, {kind}: wrong and unmarked", worst, MOST_WRONG, "", note=note))
    return shown


def coverage(kind: str, n: int) -> dict[str, tuple[float, float, float]]:
    """{metric: (how often the interval holds the truth, is marked, is wrong and unmarked)}."""
    rng, true, g = stream(n, "probe", "tails", kind), truth(kind), _gradient()
    total: dict[str, Tensor] = {}
    for _ in range(REPLICATIONS // AT_ONCE):
        of, innovations = _summary(drawn(kind, (n, AT_ONCE), rng), g)
        heavy = torch.tensor([each is not False for each in heavy_tails(innovations, of.squares)])
        for metric, least in MIN_DRAWS.items():
            if n < least:
                continue
            low, high = bounds(metric, of, innovations, 0.95)
            held = (low <= true[metric] + 1e-12) & (true[metric] <= high + 1e-12)
            marked = heavy & (metric not in UNAFFECTED)
            part = torch.stack([held, marked, ~held & ~marked]).double().mean(1)
            total[metric] = total.get(metric, torch.zeros(3)) + part * AT_ONCE / REPLICATIONS
    return {metric: tuple(x.tolist()) for metric, x in total.items()}  # type: ignore[misc]


def drawn(kind: str, shape: tuple[int, int], rng: Generator) -> Tensor:
    """Draws (K, R, d)."""
    v = torch.randn(*shape, D, generator=rng, dtype=torch.float64)
    if kind == "t₃ noise":
        chi = torch.randn(*shape, D, 3, generator=rng, dtype=torch.float64).square().mean(-1)
        return _gradient() + NOISE * v / chi.sqrt()
    draws = _along(v).unsqueeze(-1) * v
    if kind == "lognormal gain":
        draws *= torch.randn(*shape, 1, generator=rng, dtype=torch.float64).exp()
    elif kind.startswith("2 %"):
        rare = torch.rand(*shape, 1, generator=rng, dtype=torch.float64) < OUTLIERS
        draws *= torch.where(rare, _size(kind), 1.0)
    return draws


def _size(kind: str) -> float:
    return float(kind.rpartition(" ")[2])


def truth(kind: str) -> dict[str, float]:
    """The true values; of means without a closed form, from many draws."""
    if kind == "t₃ noise":
        slope, second = 1.0, 1 + NOISE**2 * 3 * D
    else:
        first, square = {"χ²": (1.0, 1.0), "lognormal gain": (math.exp(0.5), math.exp(2.0))}.get(
            kind, (0.0, 0.0)
        )
        if kind.startswith("2 %"):
            first, square = (1 - OUTLIERS + OUTLIERS * _size(kind) ** k for k in (1, 2))
        slope, second = first, square * (D + 2)
    rng, g = stream(0, "probe", "truth", kind), _gradient()
    draws = torch.cat([drawn(kind, (100_000, 1), rng)[:, 0] for _ in range(10)])
    norms = draws.norm(dim=1)
    cosines = draws @ g / norms
    return {
        "along": slope, "scaled_error": 1 - slope**2 / second,
        "relative_variance": second - slope**2, "relative_mse": second - 2 * slope + 1,
        "relative_squared_bias": (slope - 1) ** 2, "norm_ratio": norms.mean().item(),
        "cosine": cosines.mean().item(), "positive": (cosines > 0).double().mean().item(),
    }  # fmt: skip


WEIGHTS = 6154


def ratios(replications: int = 4000) -> list[Row]:
    """The mean estimate of the SNR of a forward gradient, over the true 1/(d + 1).

    Of draws (g·v) v in many dimensions: ‖ḡ‖² and tr S follow from the inner products of the v,
    which are drawn as those of independent normals across g.
    """
    shown = []
    for n in (4, 8, 16, 64, 256):
        rng = stream(n, "probe", "snr")
        sums = torch.zeros(2, dtype=torch.float64)
        for _ in range(replications):
            # Across g a draw is a t_k with normals in d − 1 dimensions: a Wishart matrix of them.
            t = torch.randn(n, generator=rng, dtype=torch.float64)
            w = _wishart(n, WEIGHTS - 1, rng)
            gram = torch.outer(t, t) * w + torch.outer(t, t).square()
            mean = gram.mean()
            trace = (gram.diagonal().mean() - mean) * n / (n - 1)
            snr = (mean - trace / n) / trace
            sums += torch.stack([snr, snr.clamp(min=0)])
        free, positive = (sums / replications * (WEIGHTS + 1)).tolist()
        shown.append(Row(f"SNR of {n} draws in {WEIGHTS:,} dimensions, mean over truth", free, None,
                         note=f"with the positive part {positive:.2f}"))  # fmt: skip
    return shown


def _wishart(n: int, freedom: int, rng: Generator) -> Tensor:
    """XXᵀ of n × freedom normals X, by Bartlett's decomposition; n ≤ freedom."""
    lower = torch.randn(n, n, generator=rng, dtype=torch.float64).tril(-1)
    degrees = freedom - torch.arange(n, dtype=torch.float64)
    # χ of many degrees of freedom, by Wilson and Hilferty's cube of a normal.
    z = torch.randn(n, generator=rng, dtype=torch.float64)
    chi2 = degrees * (1 - 2 / (9 * degrees) + z * (2 / (9 * degrees)).sqrt()) ** 3
    lower += chi2.sqrt().diag()
    return lower @ lower.T
