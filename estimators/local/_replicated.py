"""The replicated aggregator: a loss for every patch and group, of the value of the pooled one.

Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310, section 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from estimators.autodiff.operations.operation import (
    Call,
    Gradients,
    Operation,
    Saved,
    Wanted,
)
from estimators.autodiff.operations.table import means_operation

Losses = Callable[[Tensor], Tensor]
"""A head's features, (B, features) -> ℓ_n, (B,)."""

POOLED = frozenset({"patch", "height", "width"})
"""Axes of a stage's output over which a head takes the mean."""


def pooled(h: Tensor, units: Sequence[str]) -> Tensor:
    """(B, *units) -> (B, features): the mean over patches, height and width."""
    axes = [i for i, unit in enumerate(units, start=1) if unit in POOLED]
    return (h.mean(axes) if axes else h).flatten(1)


class Pattern(NamedTuple):
    """How a stage's output, its losses and a head's features share their axes."""

    units: tuple[str, ...]
    """Of the output h, (B, *units)."""
    per: tuple[str, ...]
    """Those that have a loss each."""

    @property
    def axes(self) -> tuple[str, str, str]:
        """The letters, for einsum, of h, of its losses and of its features."""
        letters = "bcdefg"[: len(self.units)]
        named = list(zip(letters, self.units, strict=True))
        losses = "".join(x for x, unit in named if unit in self.per)
        features = "".join(x for x, unit in named if unit not in POOLED)
        return f"a{letters}", f"a{losses}", f"a{features}"

    def features(self, shape: torch.Size) -> list[int]:
        """The shape of a head's features before they are flattened."""
        sizes = zip(shape[1:], self.units, strict=True)
        return [shape[0], *(n for n, unit in sizes if unit not in POOLED)]

    def losses(self, shape: torch.Size) -> list[int]:
        """(B, *per)."""
        return [shape[0], *(n for n, u in zip(shape[1:], self.units, strict=True) if u in self.per)]

    def places(self, shape: torch.Size) -> int:
        """Over how many places a head takes the mean (P)."""
        return shape[0] * shape[1:].numel() // max(1, torch.Size(self.features(shape)).numel())


@dataclass(frozen=True)
class Replicas(Operation):
    """See `replicated`. Saves the slopes of a batch, and nothing of the size of h."""

    losses: Losses
    pattern: Pattern
    mean: bool

    def forward(
        self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Saved]:
        values, slopes = self._values_and_slopes(x)
        replicas = _Replicated.apply(x, values, slopes, self.pattern)
        return replicas, (x.shape, slopes)  # type: ignore[return-value]

    def _values_and_slopes(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """ℓ_n, (B,), and by how much each replica moves with its unit's features."""
        pattern = self.pattern
        primal = forward_ad.unpack_dual(h).primal.detach()
        with torch.enable_grad():
            features = pooled(primal, pattern.units).requires_grad_()
            values = self.losses(features)
            (slopes,) = torch.autograd.grad(values.sum(), features)
        count = torch.Size(pattern.losses(h.shape)[1:]).numel() if self.mean else 1
        slopes = slopes.view(pattern.features(h.shape)) * (count / pattern.places(h.shape))
        return values.detach(), slopes

    def jvp(
        self,
        saved: Saved,
        x_tangent: Tensor | None,
        weight_tangent: Tensor | None = None,
        bias_tangent: Tensor | None = None,
        count: int = 1,
    ) -> Tensor:
        assert x_tangent is not None
        return _jvp(x_tangent, saved[1], self.pattern, count > 1)

    def vjp(self, saved: Saved, signal: Tensor, wanted: Wanted = (True, False, False)) -> Gradients:
        return _vjp(signal, saved[1], self.pattern, saved[0]), None, None


def _jvp(t: Tensor, slopes: Tensor, pattern: Pattern, several: bool = False) -> Tensor:
    """How the replicas move with h: along t, or along several tangents (K, *h)."""
    h, losses, features = pattern.axes
    k = "k" if several else ""
    return torch.einsum(f"{k}{h},{features}->{k}{losses}", t, slopes)


def _vjp(signal: Tensor, slopes: Tensor, pattern: Pattern, shape: torch.Size) -> Tensor:
    """A signal at the replicas, (B, *per), sent back to h."""
    h, losses, features = pattern.axes
    kept = "".join(x for x in h if x in losses or x in features)
    to_h = torch.einsum(f"{losses},{features}->{kept}", signal, slopes)
    for i, axis in enumerate(h):
        to_h = to_h if axis in kept else to_h.unsqueeze(i)
    return to_h.expand(shape)


def _read(h: Tensor, losses: Losses, pattern: Pattern, mean: bool) -> Call:
    return Call(Replicas(losses, pattern, mean), h)


@means_operation(_read)
class _Replicated(torch.autograd.Function):
    """The same for autograd and for dual numbers."""

    @staticmethod
    def forward(h: Tensor, values: Tensor, slopes: Tensor, pattern: Pattern) -> Tensor:  # type: ignore[override]
        shape = pattern.losses(h.shape)
        return values.view(-1, *[1] * (len(shape) - 1)).expand(shape).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        h, _, slopes, ctx.pattern = inputs
        ctx.shape = h.shape
        ctx.save_for_backward(slopes)
        ctx.save_for_forward(slopes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _vjp(grads[0], ctx.saved_tensors[0], ctx.pattern, ctx.shape), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _jvp(tangents[0], ctx.saved_tensors[0], ctx.pattern)


def replicated(h: Tensor, losses: Losses, pattern: Pattern) -> Tensor:
    """One replica of each example's loss for every unit of h: (B, *per).

    Every replica has the value ℓ_n and differentiates, forwards and backwards, through its own
    unit alone (1/P of a patch enters the mean), as if all other units were detached:
    Σ_pg ∂ℓ_npg/∂h = ∂ℓ_n/∂h.

    Args:
        h: The stage's output, (B, *units).
        losses: The mean over patches, (B, features) -> ℓ_n, (B,). Other tensors that it reads
            get no gradient.
        pattern: Which axes of h have a loss each.
    """
    return _replicated(h, losses, pattern, False)


def replicated_mean(h: Tensor, losses: Losses, pattern: Pattern) -> Tensor:
    """`replicated`, each derivative times their number: the mean, not the sum, is ℓ_n's."""
    return _replicated(h, losses, pattern, True)


@means_operation(_read)
def _replicated(h: Tensor, losses: Losses, pattern: Pattern, mean: bool) -> Tensor:
    if has_torch_function((h,)):  # an intercepting mode sees one function
        return handle_torch_function(_replicated, (h,), h, losses, pattern, mean)
    return Replicas(losses, pattern, mean).forward(h)[0]
