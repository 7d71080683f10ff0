"""J = ∂f/∂z at z*: its products, its spectral radius, and the norms of Bᵏ, B = λJ + (1 − λ)I.

Up to `MOST_STATES` states, J is written out for each example and everything is exact; above, the
radius is found by Arnoldi's method and the norms by power iterations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd import forward_ad

from estimators.implicit.solvers.contract import Function
from estimators.implicit.spectral_radius import spectral_radius
from estimators.statistics.adjoint_grid import MOST_STATES

MOST_ITERATED = 8
"""Most examples of which a power iteration is made for the norms."""
TOLERANCE = 0.01
"""Largest relative change in the last step of a power iteration that has converged."""
LIMIT = 60
"""Steps after which a power iteration of a norm is given up."""
MOST_ITERATED_STEPS = 32
"""Largest k for which the norm of Bᵏ is iterated."""


@dataclass(frozen=True, eq=False)
class Linearisation:
    """z ↦ f(z) near a state z, (B, ...), each example by itself."""

    function: Function
    z: Tensor

    @property
    def states(self) -> int:
        """Numbers of the state of one example (n)."""
        return self.z[0].numel()

    @property
    def dense(self) -> bool:
        """Whether J can be written out."""
        return self.states <= MOST_STATES

    @cached_property
    def _graph(self) -> tuple[Tensor, Tensor]:
        z = self.z.detach().requires_grad_()
        with torch.enable_grad():
            return z, self.function(z)

    def pulled(self, u: Tensor) -> Tensor:
        """Jᵀ u, (B, ...)."""
        z, value = self._graph
        return torch.autograd.grad(value, z, u, retain_graph=True, materialize_grads=True)[0]

    @torch.no_grad()
    def pushed(self, w: Tensor) -> Tensor:
        """J w, (B, ...)."""
        with forward_ad.dual_level():
            moved = forward_ad.unpack_dual(self.function(forward_ad.make_dual(self.z, w))).tangent
        return torch.zeros_like(w) if moved is None else moved

    @cached_property
    def matrix(self) -> Tensor:
        """J of each example, (B, n, n), row by row."""
        rows = []
        for state in range(self.states):
            unit = torch.zeros_like(self.z).reshape(len(self.z), -1)
            unit[:, state] = 1
            rows.append(self.pulled(unit.view_as(self.z)).reshape(len(self.z), -1))
        return torch.stack(rows, 1)


@dataclass(frozen=True, eq=False)
class PowerNorm:
    """‖Bᵏ‖₂ of each example, for one (k, λ)."""

    steps: int
    damping: float
    norms: Tensor
    """(E,)."""
    converged: bool
    """Whether a power iteration has converged in every example; True for an exact norm."""
    power: Tensor | None
    """Bᵏ, (E, n, n), where J is written out."""


def radii(at: Linearisation) -> tuple[Tensor, bool]:
    """ρ(J) of each example, (B,), and whether it is known in all of them."""
    if at.dense and at.matrix.isfinite().all():
        return torch.linalg.eigvals(at.matrix).abs().amax(1), True
    found = spectral_radius(at.pushed, at.z)
    return found.estimate, bool(found.converged.all())


def norms_of_powers(
    at: Linearisation, steps: Sequence[int], damping: Sequence[float]
) -> Iterator[PowerNorm]:
    """‖Bᵏ‖₂ for every (k, λ), the smaller k first."""
    norms_at = _iterated_norms
    if at.dense and bool(at.matrix.isfinite().all()):
        norms_at = _exact_norms
    for norms in zip(*(norms_at(at, steps, share) for share in damping), strict=True):
        yield from norms


def _exact_norms(at: Linearisation, steps: Sequence[int], share: float) -> Iterator[PowerNorm]:
    eye = torch.eye(at.states, dtype=at.z.dtype, device=at.z.device)
    b = share * at.matrix + (1 - share) * eye
    power, reached = eye.expand_as(b), 0
    for k in steps:
        power, reached = power @ torch.linalg.matrix_power(b, k - reached), k
        yield PowerNorm(k, share, norm(power @ power.mT), True, power)


def norm(square: Tensor) -> Tensor:
    """‖M‖₂, (E,), for M Mᵀ (E, n, n); infinite for an example whose M Mᵀ has overflowed."""
    finite = square.isfinite().all((1, 2))
    largest = torch.linalg.eigvalsh(square.where(finite[:, None, None], 0.0))[:, -1]
    return largest.clamp(min=0).sqrt().where(finite, torch.inf)


def _iterated_norms(at: Linearisation, steps: Sequence[int], share: float) -> Iterator[PowerNorm]:
    """By the power iteration on (Bᵏ)ᵀ Bᵏ; each k begins with the vector that the last k found."""
    v = _start(at.z)
    for k in steps:
        if k > MOST_ITERATED_STEPS or not at.z.isfinite().all():
            yield PowerNorm(k, share, at.z.new_full((len(at.z),), torch.nan), False, None)
            continue
        norms, converged = at.z.new_zeros(len(at.z)), False
        for _ in range(LIMIT):
            before, w = norms, v
            for _ in range(k):
                w = torch.lerp(w, at.pushed(w), share)
            w, norms = _unit(w)
            for _ in range(k):
                w = torch.lerp(w, at.pulled(w), share)
            v, _ = _unit(w)
            if ((norms - before).abs() <= TOLERANCE * norms).all():
                converged = True
                break
        yield PowerNorm(k, share, norms, converged, None)


def _start(z: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(z.shape, generator=rng, dtype=torch.float64)
    return _unit(noise.to(z))[0]


def _unit(v: Tensor) -> tuple[Tensor, Tensor]:
    """v / ‖v‖ of each example, and ‖v‖, (B,)."""
    lengths = torch.linalg.vector_norm(v.reshape(len(v), -1), dim=1)
    tiny = torch.finfo(v.dtype).tiny
    return v / lengths.clamp(min=tiny).view(-1, *[1] * (v.ndim - 1)), lengths
