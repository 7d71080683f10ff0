"""Whether forward mode, reverse mode and differences are derivatives of the same function.

They are not where a module runs under `torch.no_grad()` (reverse mode stops, forward mode goes on),
where it detaches a tensor (both stop, the loss does not), where a `torch.autograd.Function` has
a wrong derivative, or where torch itself has one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.core.contract import Params, UnsupportedError
from estimators.core.objective import Objective
from estimators.measurement.inputs.nearby import direction, dot, near

TRIES = 3
"""Points and directions in all of which a difference must show. One point can be at a kink."""
STEPS = {
    torch.float64: (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    torch.float32: (1e-2, 3e-3, 1e-3),
}
"""Step lengths of the central difference, as shares of the weights. The smaller one is, the fewer
kinks it crosses, and the more it rounds."""
KINKS = {torch.float64: 1e-4, torch.float32: 0.05}
"""Error that a difference may have from kinks and curvature, as a share of the usual slope."""
MAX_ROUNDING = 0.01
"""Rounding of a difference, as a share of the usual slope, above which it decides nothing."""
AMPLIFIED = {torch.float64: 2.0**24, torch.float32: 2.0**14}
"""Units of least precision, relative to the usual slope, by which two right derivatives differ:
2¹⁴ steps of one sign, and in double precision another 2¹⁰ for cancellation."""
ABSOLUTE = 2.0**12
"""The same, relative to the loss or 1, the size of what cancels in a small loss."""


class Slopes(NamedTuple):
    """The derivative along one direction, in up to three ways."""

    reverse: float
    forward: float | None
    """None where forward mode has no rule for an operation."""
    difference: float | None
    """The central difference that is nearest; None where all are rounding."""
    same_forward: bool
    same_difference: bool


class Disagreement(NamedTuple):
    """Ways that differ in every try, and the slopes of the last one."""

    forward: bool
    """Forward mode differs from reverse mode."""
    difference: bool
    """Differences of the loss differ from reverse mode."""
    slopes: Slopes

    @property
    def words(self) -> str:
        """The slopes, as an error message gives them."""
        s = self.slopes
        ways = (("reverse mode", s.reverse), ("forward mode", s.forward),
                ("a central difference", s.difference))  # fmt: skip
        named = [f"{value:.5g} by {way}" for way, value in ways if value is not None]
        return f"the derivative along a random direction is {', '.join(named)}"


def disagreement(objective: Objective, params: Params) -> Disagreement | None:
    """Compare ⟨g, v⟩, a JVP along v and a central difference, near `params`.

    None if they agree up to the error of their arithmetic, and where the loss has no derivative.
    The precision is that of `params`; below single precision nothing is decided.
    """
    dtypes = {p.dtype for p in params.values() if p.numel()}
    if len(dtypes) != 1 or not dtypes <= set(STEPS):
        return None
    forward = difference = True
    slopes = None
    for seed in range(TRIES):
        slopes = _slopes(objective, params, seed)
        if slopes is None:
            return None
        forward, difference = (
            forward and not slopes.same_forward,
            difference and not slopes.same_difference,
        )
        if not forward and not difference:
            return None
    assert slopes is not None
    return Disagreement(forward, difference, slopes)


def _slopes(objective: Objective, params: Params, seed: int) -> Slopes | None:
    at = _differentiated(objective, near(params, seed)) or _differentiated(objective, params)
    if at is None:
        return None
    theta, loss, g = at
    v = direction(theta, seed + TRIES)
    reverse = sum(dot(g[n], v[n]) for n in v)
    usual = sum(dot(g[n], g[n]) * dot(t, t) / t.numel() for n, t in v.items() if t.numel()) ** 0.5
    eps, size = torch.finfo(loss.dtype).eps, max(1.0, abs(loss.item()))
    allowed = AMPLIFIED[loss.dtype] * eps * usual + ABSOLUTE * eps * size
    forward = _forward(objective, theta, v)
    difference, same = _difference(objective, theta, v, reverse, usual)
    return Slopes(
        reverse,
        forward,
        difference,
        forward is None or abs(forward - reverse) <= allowed,
        same,
    )


def _differentiated(
    objective: Objective, theta: Params
) -> tuple[Params, Tensor, dict[str, Tensor]] | None:
    """θ, L(θ) and ∇L(θ), if they are finite."""
    try:
        loss, g = value_and_grad(objective, theta)
    except UnsupportedError:  # no graph reaches the parameters: for reverse mode all is constant
        with torch.no_grad():
            loss = objective(theta)
        g = {n: torch.zeros_like(p) for n, p in theta.items()}
    except RuntimeError:  # nothing to compare with
        return None
    g = {n: t.to_dense() if t.is_sparse else t for n, t in g.items()}
    finite = loss.isfinite().all() and all(t.isfinite().all() for t in g.values())
    return (theta, loss, g) if finite and loss.dtype in STEPS else None


def _forward(objective: Objective, theta: Params, v: Params) -> float | None:
    try:
        slope = push_forward(objective, theta, [v[n] for n in theta])[1].item()
    except (NotImplementedError, RuntimeError, TypeError):
        return None  # `require` tells what has no rule
    return slope


def _difference(
    objective: Objective, theta: Params, v: Params, reverse: float, usual: float
) -> tuple[float | None, bool]:
    """The nearest central difference, and whether it is the slope that reverse mode gives."""
    nearest: float | None = None
    for h in STEPS[next(iter(theta.values())).dtype]:
        with torch.no_grad():
            after, before = (
                objective({n: torch.add(p, v[n], alpha=s) for n, p in theta.items()})
                for s in (h, -h)
            )
        eps, size = torch.finfo(after.dtype).eps, max(1.0, after.abs().item())
        rounding = 64 * eps * size / h
        slope = (after.double() - before.double()).item() / (2 * h)
        if slope - slope or rounding > max(MAX_ROUNDING * usual, MAX_ROUNDING * abs(slope)):
            continue
        if nearest is None or abs(slope - reverse) < abs(nearest - reverse):
            nearest = slope
        if abs(slope - reverse) <= KINKS[after.dtype] * max(usual, abs(reverse)) + rounding:
            return slope, True
    return nearest, nearest is None
