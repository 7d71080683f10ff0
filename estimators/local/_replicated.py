"""The replicated aggregator: a loss for every patch and group, of the value of the pooled one.

Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310, section 3.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from estimators.autodiff.jvp_mode import JVPMode
from estimators.autodiff.rules import RULES

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


class _Replicated(torch.autograd.Function):
    """See `replicated`. Keeps the slopes of a batch, and nothing of the size of h."""

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
    def backward(ctx: Any, *grads: Tensor):  # noqa: ANN205
        (slopes,) = ctx.saved_tensors
        h, losses, features = ctx.pattern.axes
        kept = "".join(x for x in h if x in losses or x in features)
        found = torch.einsum(f"{losses},{features}->{kept}", grads[0], slopes)
        for i, axis in enumerate(h):
            found = found if axis in kept else found.unsqueeze(i)
        return found.expand(ctx.shape), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _move(tangents[0], ctx.saved_tensors[0], ctx.pattern)


def _move(t: Tensor, slopes: Tensor, pattern: Pattern, several: bool = False) -> Tensor:
    """How the replicas move with h: along t, or along several tangents (K, *h)."""
    h, losses, features = pattern.axes
    k = "k" if several else ""
    return torch.einsum(f"{k}{h},{features}->{k}{losses}", t, slopes)


def replicated(h: Tensor, losses: Callable[[Tensor], Tensor], pattern: Pattern) -> Tensor:
    """One replica of each example's loss for every unit of h (B, *units): (B, *per).

    `losses` takes the mean over patches, (B, features), to ℓ_n, (B,). Every replica has the
    value ℓ_n and differentiates, forwards and backwards, through its own unit alone (1/P of a
    patch enters the mean), as if all other units were detached: Σ_pg ∂ℓ_npg/∂h = ∂ℓ_n/∂h.
    What `losses` reads besides is held still.
    """
    return _replicated(h, losses, pattern, False)


def replicated_mean(h: Tensor, losses: Callable[[Tensor], Tensor], pattern: Pattern) -> Tensor:
    """`replicated`, each derivative times their number: the mean, not the sum, is ℓ_n's."""
    return _replicated(h, losses, pattern, True)


def _replicated(
    h: Tensor, losses: Callable[[Tensor], Tensor], pattern: Pattern, mean: bool
) -> Tensor:
    if has_torch_function((h,)):  # whoever carries tangents himself sees one function
        return handle_torch_function(_replicated, (h,), h, losses, pattern, mean)
    return _with_slopes(h, losses, pattern, mean)[0]


def _with_slopes(
    h: Tensor, losses: Callable[[Tensor], Tensor], pattern: Pattern, mean: bool
) -> tuple[Tensor, Tensor]:
    """The replicas, and by how much each moves with its unit's features."""
    primal = forward_ad.unpack_dual(h).primal.detach()
    with torch.enable_grad():
        features = pooled(primal, pattern.units).requires_grad_()
        values = losses(features)
        (slopes,) = torch.autograd.grad(values.sum(), features)
    count = torch.Size(pattern.losses(h.shape)[1:]).numel() if mean else 1
    slopes = slopes.view(pattern.features(h.shape)) * (count / pattern.places(h.shape))
    return _Replicated.apply(h, values.detach(), slopes, pattern), slopes  # type: ignore[return-value]


def _carried(
    c: JVPMode, h: Tensor, losses: Callable[[Tensor], Tensor], pattern: Pattern, mean: bool
) -> Tensor:
    value, slopes = _with_slopes(h, losses, pattern, mean)
    t = c.get(h)
    if t is not None:
        c.put(value, _move(t, slopes, pattern, c.count > 1))
    return value


RULES[_replicated] = _carried
