"""Numbers of the single draws and their moments, for groups of tensors: network, stages,
tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.core.objective import Chain, Objective


@dataclass(frozen=True, eq=False)
class Summary:
    """What every measure is computed from: K draws of G groups of tensors, on the CPU, in float64.

    A draw that is not finite in one of a group's tensors is left out of that group: its entries
    are NaN.
    """

    dots: Tensor
    """⟨ĝ_k, g⟩, (K, G)."""
    squares: Tensor
    """‖ĝ_k‖², (K, G)."""
    errors: Tensor
    """‖ĝ_k − g‖², (K, G)."""
    exact: Tensor
    """‖g‖², (G,)."""
    along: Tensor
    """⟨ḡ, g⟩, (G,)."""
    mean: Tensor
    """‖ḡ‖², (G,)."""
    offset: Tensor
    """‖ḡ − g‖², (G,)."""
    trace: Tensor
    """tr S, the unbiased covariance of one draw, (G,); NaN for a single draw."""
    noise: Tensor
    """tr Var ḡ = tr S / K, (G,)."""
    bias_variance: Tensor
    """The variance of ‖ḡ − g‖² − tr S / K, (G,)."""
    flipped: Tensor
    """Σ ⟨ĝ_k, g⟩² over units, (K, G): the variance of ⟨ĝ_k, g⟩ where each unit's part of ĝ_k has a
    random sign."""
    flipped_mean: Tensor | None = None
    """Σ ⟨ḡ, g⟩² over units, (G,): the variance of ⟨ḡ, g⟩ where each unit has one random sign in all
    draws. None where it is not known."""
    sizes: Tensor | None = None
    """Parameters of each group, (G,), where they are known."""

    @property
    def counts(self) -> Tensor:
        """Finite draws, (G,)."""
        return self.dots.isfinite().sum(0)

    @property
    def norms(self) -> Tensor:
        """‖ĝ_k‖, (K, G)."""
        return self.squares.sqrt()

    @property
    def cosines(self) -> Tensor:
        """⟨ĝ_k, g⟩ / (‖ĝ_k‖‖g‖), (K, G); NaN if g is 0, 0 for an estimate of 0."""
        g = torch.where(self.exact > 0, self.exact, torch.nan).sqrt()
        return ratio(self.dots, self.norms * g)


def layer_groups(
    objective: Objective, names: list[str], most: int | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """The layers that numbers are given for: "" (the whole network), its stages, its tensors.

    If these are more than `most`, there are no tensors among them, then no stages either. Returns
    their names, and which of the tensors `names` belong to each, 0/1, (T, G).
    """
    stages: dict[str, list[str]] = {}
    if isinstance(objective, Chain):
        for name in names:
            stages.setdefault(objective.stage_of(name), []).append(name)
        stages.pop("", None)
    finest = {"": names, **stages, **{name: [name] for name in names}}
    detail = (finest, {"": names, **stages}, {"": names})
    members = next((m for m in detail if most is None or len(m) <= most), detail[-1])
    groups = torch.zeros(len(names), len(members), dtype=torch.float64)
    rows = {name: row for row, name in enumerate(names)}
    for column, layer in enumerate(members.values()):
        groups[[rows[name] for name in layer], column] = 1.0
    return tuple(members), groups


def grouped(x: Tensor, groups: Tensor) -> Tensor:
    """Sums over the tensors of each group, (..., T) to (..., G); NaN where a summand is not finite.

    A plain matrix product would make every group NaN, since ∞ · 0 is NaN.
    """
    finite = x.isfinite()
    sums = torch.where(finite, x, 0.0) @ groups
    return torch.where((~finite).to(groups) @ groups > 0, torch.nan, sums)


def ratio(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale; 0 where `scale` is 0, as for an estimate of zero, which has no direction."""
    return torch.where(scale == 0, 0.0, x / scale)


def mean(x: Tensor) -> Tensor:
    """The mean over the rows that are finite, (K, …) to (…); NaN if none is."""
    finite = x.isfinite()
    return over(torch.where(finite, x, 0.0).sum(0), finite.sum(0))


def variance(x: Tensor) -> Tensor:
    """The unbiased variance over the rows that are finite; NaN for fewer than two."""
    finite = x.isfinite()
    squares = torch.where(finite, x - mean(x), 0.0).square().sum(0)
    return over(squares, finite.sum(0) - 1)


def over(x: Tensor, count: Tensor) -> Tensor:
    """x / count; NaN where `count` is not positive."""
    return torch.where(count > 0, x / count.clamp(min=1), torch.nan)


def clean(difference: Tensor, scale: Tensor) -> Tensor:
    """A variance as a difference of squares; 0 where only rounding is left of it."""
    settled = torch.where(difference > 1e-14 * scale, difference, 0.0)
    return torch.where(difference.isnan(), torch.nan, settled)
