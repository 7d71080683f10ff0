"""Laws, the moments tr Var ĝ and Eĝ in closed form, and the formulas that estimators share.

If draws disagree with their law, the law or the estimator's code is wrong.
"""
# pyright: reportPrivateImportUsage=false

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad, vmap

from estimators.core.contract import Law, Params, UnsupportedError
from estimators.core.noise import Noise, kurtosis
from estimators.core.objective import Chain
from estimators.core.replay import PARTS_DIFFER
from estimators.core.vectors import dense

LEADING = "to leading order in the length of the steps"
GIVEN = "given its feedback, an estimate has no noise"

MAX_NUMBERS = 2**23
"""Numbers that the gradients of examples may take together: 32 MiB in float32."""

Scale = Literal["raw", "projected", "shukla_shin"]


def forward_gradient_variance(
    exact: Params,
    noise: Noise = "rademacher",
    tangents: int = 1,
    scale: Scale = "raw",
    density: float = 1.0,
) -> dict[str, float]:
    """tr Var ĝ_l of the mean over K tangents, for each tensor, given the exact gradient.

    Raw, 1/K of: d_l‖g‖² + ‖g_l‖² (normal), d_l‖g‖² − ‖g_l‖² (Rademacher),
    d/(d + 2) (d_l‖g‖² + 2‖g_l‖²) − ‖g_l‖² (sphere of radius √d). Projected and Shukla–Shin's
    are 1/d² and 1/(d + κ₄ − 1)² of it, projected normals as the sphere. Of independent entries
    only a fraction ρ may move: d_l‖g‖² + (κ₄/ρ − 2)‖g_l‖².
    """
    factors = direction_factors(dimension(exact), noise, tangents, scale, density)
    return variances_by_tensor(squares(exact), exact, *factors)


def direction_factors(
    d: int, noise: Noise, tangents: int, scale: Scale = "raw", density: float = 1.0
) -> tuple[float, float]:
    """(a, b) in tr Var ĝ_l = a d_l‖g‖² + b‖g_l‖², as `forward_gradient_variance` has them."""
    factor = direction_mean(d, noise, scale)
    on_sphere = noise == "sphere" or (noise == "normal" and scale == "projected")
    spread = d / (d + 2) if on_sphere else 1.0
    own = 2 * spread if on_sphere else kurtosis(noise) / density - 1
    return spread * factor**2 / tangents, (own - 1) * factor**2 / tangents


def direction_mean(d: int, noise: Noise, scale: Scale) -> float:
    """c in Eĝ = c g: 1, or 1/d projected, or 1/(d + κ₄ − 1) scaled as Shukla and Shin do."""
    return {"raw": 1.0, "projected": 1 / d, "shukla_shin": 1 / (d + kurtosis(noise) - 1)}[scale]


def variances_by_tensor(
    squares: Mapping[str, float], like: Params, spread: float, own: float
) -> dict[str, float]:
    """spread · d_l‖g‖² + own · ‖g_l‖² for each tensor, given the squares ‖g_l‖²."""
    total = spread * sum(squares.values())
    return {name: total * like[name].numel() + own * square for name, square in squares.items()}


def squares(grads: Params) -> dict[str, float]:
    """‖g_l‖² of each tensor, in double precision, with one synchronisation with the device."""
    norms = torch.stack(torch._foreach_norm(list(grads.values()), 2, torch.float64))
    return dict(zip(grads, norms.square().tolist(), strict=True))


def squares_of_examples(chain: Chain, params: Params) -> dict[str, float]:
    """1/B² Σ_n ‖∇_l ℓ_n‖² of each tensor, for a separable loss.

    Raises UnsupportedError for a loss that is not separable.
    """
    if not chain.separable:
        raise UnsupportedError(
            "the gradients of single examples exist only where the loss is separable: a mean over "
            "examples, each depending on its own example alone"
        )
    if chain.replays:
        raise UnsupportedError(PARTS_DIFFER)

    def squares_of(x: Tensor, y: Tensor) -> list[Tensor]:
        single = chain.on(x.unsqueeze(0), y.unsqueeze(0))
        return [g.double().square().sum() for g in grad(single)(dict(params)).values()]

    def alone(x: Tensor, y: Tensor) -> Tensor:
        leaves = [p.detach().requires_grad_() for p in params.values()]
        with torch.enable_grad():
            loss = chain.on(x[None], y[None])(dict(zip(params, leaves, strict=True)))
        grads = torch.autograd.grad(loss, leaves, materialize_grads=True)
        return torch.stack([dense(g).double().square().sum() for g in grads])

    chunk = max(1, MAX_NUMBERS // dimension(params))
    try:
        each = torch.stack(vmap(squares_of, chunk_size=chunk)(chain.x, chain.y), 1)
    except RuntimeError:  # not every operation can be batched
        each = torch.stack([alone(x, y) for x, y in zip(chain.x, chain.y, strict=True)])
    sums = (each.sum(0) / len(chain.x) ** 2).tolist()
    return dict(zip(params, sums, strict=True))


def dimension(tensors: Params) -> int:
    """d, the number of all entries."""
    return sum(t.numel() for t in tensors.values())


def certain(mean: Params, note: str = "") -> Law:
    """The law of an estimate without noise of its own: its mean is the estimate, tr Var ĝ = 0."""
    return Law(dict.fromkeys(mean, 0.0), mean, note)


def is_certain(law: Law | None, names: Params) -> bool:
    """Whether the law gives every tensor the variance 0."""
    return law is not None and all(law.variance.get(name) == 0 for name in names)


def mean_of(law: Law, exact: Params) -> Params:
    """Eĝ."""
    return exact if law.mean is None else law.mean


def scaled(variances: Mapping[str, float], factor: float) -> dict[str, float]:
    """factor · variance: those of an estimate that is √factor times as long."""
    return {name: v * factor for name, v in variances.items()}


def blend(past: Params, new: Params, weight: float) -> dict[str, Tensor]:
    """(1 − w) past + w new."""
    return {name: torch.lerp(past[name], g, weight) for name, g in new.items()}
