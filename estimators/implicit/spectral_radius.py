"""`spectral_radius`: that of ∂f/∂z at an equilibrium, from products with it alone."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from estimators.autodiff import calculus  # noqa: F401, the first dual number else warns
from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.implicit._adjoints import Adjoint, Equation, differentiating_by
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.solvers.contract import Function

TOLERANCE = 0.01
"""Largest error of a spectral radius that counts as converged, times the radius above 1."""
LIMIT = 64
"""Most products for one estimate."""
MOST = 2**24
"""Most numbers that the vectors of one estimate may take: 64 MiB in float32."""
FIRST, GROWTH = 4, 1.5
"""Products before the first look at whether an estimate has converged, and how many times as many
come before the next."""
RIVAL = 0.8
"""Share of the largest eigenvalue's size from which on another one must have converged as well."""
EXAMPLES = 64
"""Most examples of a batch that `spectral_radii` looks at, the first ones."""


class SpectralRadius(NamedTuple):
    """Estimates of ρ(J), one for each example."""

    estimate: Tensor
    """(B,), float64 on the CPU; NaN where a product was not finite."""
    converged: Tensor
    """(B,), bool: whether the estimate's error is within the tolerance, by its bound."""
    products: Tensor
    """(B,): products until the example was left alone."""


@torch.no_grad()
def spectral_radius(
    product: Function, like: Tensor, *, tolerance: float = TOLERANCE, limit: int = LIMIT
) -> SpectralRadius:
    """The spectral radius ρ(J) = max |λ| of a matrix for each example, by Arnoldi's method.

    Power iteration repeats v ← Jv from a random v. The ratio of two lengths oscillates for a
    dominant pair of complex eigenvalues, and is far too large at first for a non-normal J. So J is
    looked at in the space of all iterates, span(v, Jv, …, Jʲ⁻¹v): with an orthonormal basis V of
    it, H = Vᵀ J V has eigenvalues (Ritz values) that approach the outer ones of J, pairs included,
    and are exact from j = n on. The estimate is the largest of them, |θ|.

    An eigenvector y of H leaves a residual ‖J V y − θ V y‖ = h |y_j| = r, and the error of θ is at
    most about κr, where κ ≥ 1 is the condition of the eigenvalue in H. An estimate has converged
    where this bound, with the rounding of H, and the change since the last look are both at most
    `tolerance` (`tolerance` times the estimate above 1). The second is there because a bound is
    about some eigenvalue, and a larger one may not have shown up yet.

    Args:
        product: v ↦ Jv, both (B, ...), each example by itself.
        like: A state, (B, ...), of which shape, type and device are taken.
        tolerance: Largest error.
        limit: Most products.

    Source: Saad (2011), Numerical Methods for Large Eigenvalue Problems, chapters 3 and 6.
    """
    rows, n = len(like), like[0].numel()
    size = max(FIRST, min(limit, n, MOST // max(1, like.numel())))
    space = _Krylov(like.reshape(rows, n), min(size, n))
    estimate = torch.full((rows,), torch.nan, dtype=torch.float64)
    converged = torch.zeros(rows, dtype=torch.bool)
    products = torch.zeros(rows, dtype=torch.int64)
    look, before = FIRST, estimate.clone()
    for j in range(1, space.size + 1):
        space.extend(lambda v: product(v.view(like.shape)).reshape(rows, n))
        if j < look and j < space.size:
            continue
        look = int(look * GROWTH)
        going = ~converged
        before[going] = estimate[going]
        estimate[going], bound, whole = _largest(*space.reduced(going))
        products[going] = j
        allowed = tolerance * estimate[going].clamp(min=1.0)
        same = whole | ((estimate - before)[going].abs() <= allowed)
        converged[going] = same & (bound <= allowed)
        if converged.all():
            break
    return SpectralRadius(estimate, converged, products)


class _Krylov:
    """An orthonormal basis of v, Jv, J²v, … for each row, and J in that basis."""

    def __init__(self, like: Tensor, size: int) -> None:
        rows, n = like.shape
        rng = torch.Generator(like.device).manual_seed(0)
        v = torch.randn(n, generator=rng, device=like.device, dtype=like.dtype)
        self.size, self._count = size, 0
        self._basis = like.new_zeros(rows, size + 1, n)
        self._basis[:, 0] = v / torch.linalg.vector_norm(v)
        self._reduced = like.new_zeros(rows, size + 1, size)

    def extend(self, product: Function) -> None:
        """Apply J to the newest vector, and make what is new in it the next one."""
        j = self._count
        w = product(self._basis[:, j])
        basis = self._basis[:, : j + 1]
        whole = torch.linalg.vector_norm(w, dim=1)
        for _ in range(2):  # once more against the rounding of the first time
            part = torch.einsum("bkn,bn->bk", basis, w)
            w = w - torch.einsum("bkn,bk->bn", basis, part)
            self._reduced[:, : j + 1, j] += part
        rest = torch.linalg.vector_norm(w, dim=1)
        # Nothing new: the space is closed under J, and further vectors are zero.
        rest = torch.where(rest > 10 * torch.finfo(w.dtype).eps * whole, rest, 0.0)
        self._reduced[:, j + 1, j] = rest
        self._basis[:, j + 1] = torch.where(rest[:, None] > 0, w / rest[:, None], 0.0)
        self._count = j + 1

    def reduced(self, rows: Tensor) -> tuple[Tensor, Tensor, float]:
        """H, (R, j, j), the length h of what leaves the space, (R,), and the unit of rounding."""
        j, eps = self._count, torch.finfo(self._reduced.dtype).eps
        kept = self._reduced[rows.to(self._reduced.device)].double().cpu()
        return kept[:, :j, :j], kept[:, j, j - 1], eps


def _largest(h: Tensor, leaving: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The largest |θ| of each H, a bound on its error, and whether H is all there is to see, (R,).

    The first is NaN for an H that is not finite.
    """
    finite = h.isfinite().all((1, 2))
    values, vectors = torch.linalg.eig(torch.where(finite[:, None, None], h, 0.0))
    place = values.abs().argmax(1)
    row = torch.arange(len(h))
    y = vectors[row, :, place]
    left = torch.linalg.inv_ex(vectors)[0][row, place]
    condition = torch.linalg.vector_norm(left, dim=1)  # the vectors have length 1
    size = torch.linalg.matrix_norm(h)
    rounding, residual = eps * size, leaving * y[:, -1].abs()
    bound = (rounding + torch.where(residual > rounding, residual, 0.0)) * condition
    sizes, estimate = values.abs(), values[row, place].abs()
    # Another outer one that is still on its way may pass it.
    reach = sizes + leaving[:, None] * vectors[:, -1].abs()
    rivals = torch.where(sizes >= RIVAL * estimate[:, None], reach, 0.0).amax(1) - estimate
    whole = leaving <= rounding
    bound = torch.where(whole, bound, torch.fmax(bound, rivals))
    return torch.where(finite, estimate, torch.nan), torch.where(finite, bound, torch.inf), whole


@dataclass(eq=False)
class _Looking(Adjoint):
    """Passes z* on, and keeps the spectral radius of ∂f/∂z there. Nothing is differentiated."""

    tolerance: float
    limit: int
    found: dict[nn.Module, SpectralRadius] = field(default_factory=dict)

    def output(self, equation: Equation, /) -> Tensor:
        z = equation.solution()

        def product(v: Tensor) -> Tensor:
            with forward_ad.dual_level():
                moved = forward_ad.unpack_dual(equation.apply(forward_ad.make_dual(z, v))).tangent
            return torch.zeros_like(v) if moved is None else moved.detach()

        self.found[equation.stage] = spectral_radius(
            product, z, tolerance=self.tolerance, limit=self.limit
        )
        return z


@torch.no_grad()
def spectral_radii(
    chain: Chain, params: Params, *, tolerance: float = TOLERANCE, limit: int = LIMIT
) -> dict[str, SpectralRadius]:
    """The spectral radius of ∂f/∂z at z* in each equilibrium of a network, by layer.

    A layer is the stage that holds the equilibrium, or the equilibrium's own name where a stage
    holds several. Of a large batch with separate examples, the first 64 are looked at. Empty for a
    network without an equilibrium, at no cost.
    """
    names = {stage: name for name, stage in equilibria(chain.module).items()}
    if not names:
        return {}
    if chain.separable and len(chain.x) > EXAMPLES:
        chain = chain.on(chain.x[:EXAMPLES], chain.y[:EXAMPLES])
    looking = _Looking(tolerance, limit)
    with differentiating_by(looking):
        chain.forward(params)
    stages = [chain.stage_of(name) for name in names.values()]
    return {
        stage if stages.count(stage) == 1 else name: looking.found[module]
        for stage, (module, name) in zip(stages, names.items(), strict=True)
        if module in looking.found
    }
