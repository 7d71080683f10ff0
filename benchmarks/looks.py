"""How often 95 % intervals of an anatomy and of a what-if step hold the true value

Anatomy: linear regression in 10 dimensions, batches of 16 examples, 16 normal forward gradients at
each; over J batches. What-if: the slope and curvature of normal and Rademacher forward gradients in
20 dimensions over M draws, the expected decrease by the delta method.
"""

import torch
from torch import Tensor

from benchmarks.table import Row
from estimators.core.noise import stream
from estimators.measurement.draws.nested import MIN_BATCHES_DATA, MIN_BATCHES_ESTIMATOR
from estimators.measurement.draws.summary import mean
from estimators.measurement.estimates.intervals import student
from estimators.measurement.estimates.one_step import MIN_DRAWS_DECREASE, decreases

D, B, K = 10, 16, 16
BATCHES = (4, 8, 16, 32, 64, 128, 256)
DRAWS = (8, 16, 32, 64, 128, 256, 512)
REPLICATIONS = 2000
ENOUGH = 0.92


def rows() -> list[Row]:
    torch.set_num_threads(1)
    found = {"anatomy, data": {}, "anatomy, estimator": {}}
    for batches in BATCHES:
        data, estimator = anatomies(batches)
        found["anatomy, data"][batches] = data
        found["anatomy, estimator"][batches] = estimator
    for kind in ("normal", "rademacher"):
        found[f"expected decrease, {kind}"] = {n: decreased(kind, n) for n in DRAWS}
    least = {"anatomy, data": MIN_BATCHES_DATA, "anatomy, estimator": MIN_BATCHES_ESTIMATOR}
    return [_row(name, by, least.get(name, MIN_DRAWS_DECREASE)) for name, by in found.items()]


def _row(name: str, by: dict[int, float], least: int) -> Row:
    cells = ", ".join(f"{n}: {100 * c:.1f}" for n, c in by.items())
    worst = min(c for n, c in by.items() if n >= least)
    return Row(
        name, worst, ENOUGH, unit="", at_most=False, note=f"from {least} on; % at n: {cells}"
    )


def anatomies(batches: int, replications: int = REPLICATIONS) -> tuple[float, float]:
    """The coverage of the data's part and of the estimator's."""
    rng = stream(batches, "probe", "anatomy")
    data, estimator = _truth()
    hits = torch.zeros(2)
    for _ in range(replications // 200):
        views, within = _views(batches, 200, rng)
        hits += torch.tensor([_covered(views, data), _covered(within, estimator)])
    found = hits / (replications // 200)
    return found[0].item(), found[1].item()


def _views(batches: int, replications: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Views of D (innovations less the draws' noise), and tr S_j: (J, R) each."""
    gradients = _gradients(batches, replications, rng)
    v = torch.randn(replications, batches, K, D, generator=rng, dtype=torch.float64)
    draws = (v @ gradients.unsqueeze(-1)) * v
    middle = draws.mean(2)
    within = (draws - middle.unsqueeze(2)).square().sum((2, 3)) / (K - 1)
    at = torch.arange(batches, dtype=torch.float64).view(-1, 1)
    before = (middle.cumsum(1) - middle) / at.clamp(min=1)
    innovations = (middle - before).square().sum(-1) * (at / (at + 1)).T
    return (innovations - within / K)[:, 1:].T, within.T


def _gradients(batches: int, replications: int, rng: torch.Generator) -> Tensor:
    """Of ½(x·w − ε)², averaged over a batch."""
    x = torch.randn(replications, batches, B, D, generator=rng, dtype=torch.float64)
    noise = torch.randn(replications, batches, B, generator=rng, dtype=torch.float64)
    w = _weights()
    return (x * (x @ w - noise / 2).unsqueeze(-1)).mean(2)


def _weights() -> Tensor:
    w = torch.linspace(1, 2, D, dtype=torch.float64)
    return w / w.norm()


def _truth() -> tuple[float, float]:
    """Var x(x·w − ε) = ‖w‖² I + ww' + I/4 for normal x; E = (d + 1) E‖g_B‖² for normal draws."""
    data = (D * 1.0 + 1.0 + D / 4) / B
    return data, (D + 1) * (1.0 + data)


def decreased(kind: str, draws: int, replications: int = REPLICATIONS) -> float:
    """The coverage of ⟨Eĝ, g⟩²/(2 E ĝᵀHĝ), H diagonal."""
    rng, n = stream(draws, "probe", kind), 20
    g, h = _weights().repeat(2)[:n], torch.arange(1, n + 1, dtype=torch.float64)
    g = g / g.norm()
    fourth = 3.0 if kind == "normal" else 1.0
    curvature = (h.sum() + (fourth - 1) * (g.square() * h).sum()).item()
    v = torch.randn(draws, replications, n, generator=rng, dtype=torch.float64)
    v = v.sign() if kind == "rademacher" else v
    along = v @ g
    slopes, curvatures = along.square(), along.square() * (v.square() @ h)
    views = decreases(slopes, curvatures)
    a, c = mean(slopes), mean(curvatures)
    spread = slopes.var(0) / draws
    centre = (a.square() - spread) / (2 * c)
    return _covered(views - mean(views) + centre, 1 / (2 * curvature))


def _covered(views: Tensor, truth: float) -> float:
    low, high = student(views)
    return ((low <= truth) & (truth <= high)).double().mean().item()
