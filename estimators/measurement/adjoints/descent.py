"""The descent condition of Geng et al. (2021), theorem 1, evaluated for each example.

With the exact gradient g = P u, u = (I − Jᵀ)⁻¹ ∂L/∂z and P = (∂f/∂θ)ᵀ, a phantom gradient
ĝ = A ∂L/∂z has ⟨ĝ, g⟩ ≥ 0 for every ∂L/∂z if

    ‖A(I − Jᵀ) − P‖ ≤ σ_min² / σ_max,

σ being the singular values of ∂f/∂θ, one for each state. The Neumann phantom gradient has A = P D
with D = λ Σ_{t<k} (Bᵀ)ᵗ, so that A(I − Jᵀ) − P = −P (Bᵀ)ᵏ, and ‖Bᵏ‖ ≤ 1/κ² with κ = σ_max / σ_min
is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.measurement.adjoints.powers import PowerNorm, norm
from estimators.measurement.adjoints.stages import states_given

BLOCK = 2**25
"""Numbers of ∂f/∂θ that are held at once: 256 MiB in float64."""


@dataclass(frozen=True, eq=False)
class Singular:
    """The singular values of ∂f/∂θ of each example, and (∂f/∂θ)(∂f/∂θ)ᵀ."""

    gram: Tensor
    """(E, n, n)."""
    smallest: Tensor
    """σ_min, (E,); 0 where it is rounding, and where there are fewer parameters than states."""
    largest: Tensor
    """σ_max, (E,)."""

    @property
    def allowed(self) -> Tensor:
        """σ_min² / σ_max, (E,); 0 where σ_max is 0."""
        return torch.where(self.largest > 0, self.smallest.square() / self.largest, 0.0)

    @property
    def simple(self) -> Tensor:
        """1/κ² = σ_min² / σ_max², (E,); 0 where σ_max is 0."""
        return torch.where(self.largest > 0, (self.smallest / self.largest).square(), 0.0)

    def left(self, power: Tensor) -> Tensor:
        """‖A(I − J) − ∂f/∂θ‖₂ = ‖Bᵏ ∂f/∂θ‖₂, (E,), for Bᵏ (E, n, n)."""
        return norm(power @ self.gram @ power.mT)

    def met(self, bound: PowerNorm) -> tuple[Tensor, Tensor]:
        """Which examples meet the condition, and which its simple form, (E,) each."""
        assert bound.power is not None
        return self.left(bound.power) <= self.allowed, bound.norms <= self.simple


def singular_values(
    chain: Chain, params: Params, name: str, z: Tensor, factor: float, examples: int
) -> Singular:
    """∂f/∂θ of the first `examples` examples of the batch, at the z* of all of them, (B, ...).

    θ are all parameters that move f while the state of this stage is held: the cell's own, and
    those of the stages before it, by its input.
    """
    grams = []
    for i in range(min(examples, len(z))):
        if chain.separable:
            single = chain.on(chain.x[i : i + 1], chain.y[i : i + 1])
            grams.append(_gram(single, params, name, z[i : i + 1], factor, 0))
        else:  # what is in front of the stage may couple the examples
            grams.append(_gram(chain, params, name, z, factor, i))
    gram = torch.stack(grams)
    finite = gram.isfinite().all((1, 2))
    squares = torch.linalg.eigvalsh(gram.where(finite[:, None, None], 0.0))  # ascending
    rounding = 10 * gram.shape[-1] * torch.finfo(gram.dtype).eps * squares[:, -1]
    smallest = torch.where(squares[:, 0] > rounding, squares[:, 0], 0.0)
    return Singular(gram, smallest.sqrt(), squares[:, -1].clamp(min=0).sqrt())


def _gram(
    chain: Chain, params: Params, name: str, z: Tensor, factor: float, example: int
) -> Tensor:
    """(∂f/∂θ)(∂f/∂θ)ᵀ of one example of the batch, (n, n)."""
    leaves = {n: p.detach().requires_grad_() for n, p in params.items()}
    with chain.holding(leaves):
        f = states_given(chain, leaves, name, z, factor)[example].reshape(-1)  # (n,)
        thetas = list(leaves.values())
        n, size = len(f), max(1, sum(p.numel() for p in thetas))
        many = min(n, max(1, BLOCK // (2 * size)))
        starts = range(0, n, many)
        gram = f.new_zeros(n, n)
        if not f.requires_grad:  # all parameters that could move it are frozen
            return gram
        for first in starts:
            rows = _rows(f, thetas, range(first, min(n, first + many)))
            for second in starts:
                if second < first:
                    continue
                others = rows
                if second > first:
                    others = _rows(f, thetas, range(second, min(n, second + many)))
                part = rows @ others.T
                gram[first : first + many, second : second + many] = part.detach()
                gram[second : second + many, first : first + many] = part.detach().T
    return gram


def _rows(f: Tensor, thetas: Sequence[Tensor], states: range) -> Tensor:
    """∂f_i/∂θ for some states i, a row each."""
    rows = []
    for state in states:
        unit = torch.zeros_like(f)
        unit[state] = 1
        grads = torch.autograd.grad(f, thetas, unit, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([g.reshape(-1) for g in grads]))
    return torch.stack(rows)
