"""Whether the examples of a batch are coupled: whether one example's loss depends on another.

A loss that is a mean over examples is separable if each term depends on its own example alone. That
is not asked of the user. One half of the examples is changed, then the other, and the kept ones
must not follow, at weights near the given ones, where a coupling cannot cancel; a single example is
compared with its row of the batch.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.measurement.inputs.modules import calls_of, first_that_differs, tensors_in
from estimators.measurement.inputs.nearby import near

ROUNDING = 64
"""Units of least precision, relative to the largest entry, between the same row computed twice: the
same kernel on the same shape gives the same bits, but for the order of sums on a GPU."""
OTHER_SHAPE = 2**12
"""The same between a row of a batch and of a batch of one, whose kernels sum in another order."""


def coupled_by(chain: Chain, params: Params) -> str:
    """What couples the examples of a chain that is taken to be separable, in words; "" if nothing
    does."""
    examples = len(chain.x) // chain.views
    if examples < 2:
        return ""
    at = _at(chain, near(params, 0)) or _at(chain, params)
    if at is None:
        return ""
    half = _half(examples).repeat(chain.views).to(chain.x.device)
    for changes in (half, ~half):
        where = _by_network_or_loss(chain, at, changes)
        if where:
            return where
    # A batch of one draws other numbers than its row of the batch.
    return _alone(chain, at) if chain.views == 1 and not chain.replays else ""


class _At(NamedTuple):
    """A pass of all examples together."""

    theta: Params
    output: Any
    losses: Tensor


def _at(chain: Chain, theta: Params) -> _At | None:
    """The pass at these weights, if its numbers are finite."""
    with torch.no_grad():
        output = chain.forward(theta)
        losses = chain.losses(output)
    finite = all(t.isfinite().all() for t in (losses, *_floating(output)))
    return _At(theta, output, losses) if finite else None


def _by_network_or_loss(chain: Chain, at: _At, changes: Tensor) -> str:
    """What lets the kept examples follow those that change, in words."""
    other = chain.on(_changed(chain.x, changes), chain.y)
    kept = ~changes

    def differ(a: Any, b: Any) -> bool:
        pairs = zip(_floating(a), _floating(b), strict=True)
        return any(_rows_differ(*pair, kept) for pair in pairs)

    with torch.no_grad():
        output = other.forward(at.theta)
        if not differ(at.output, output):
            return _through_loss(chain, at.output, changes)
        # An output whose first axis is not the batch differs too; then the losses tell.
        if not _rows_differ(at.losses, other.losses(output), kept):
            return ""
    calls = calls_of(chain, at.theta), calls_of(other, at.theta)
    return first_that_differs(*calls, differ) or "the network"


def _half(examples: int) -> Tensor:
    """A random half of the examples, at least one."""
    rng = torch.Generator().manual_seed(0)
    chosen = torch.zeros(examples, dtype=torch.bool)
    chosen[torch.randperm(examples, generator=rng)[: examples // 2]] = True
    return chosen


def _changed(x: Tensor, changes: Tensor) -> Tensor:
    """x with the next example in each chosen row, or noise where all examples are equal."""
    moved = x.roll(1, 0)
    if torch.equal(moved, x) and x.is_floating_point():
        rng = torch.Generator(x.device).manual_seed(0)
        noise = torch.empty_like(x).normal_(generator=rng)
        moved = x + 0.1 * (x.abs().max() + 1) * noise
    return torch.where(changes.view(-1, *[1] * (x.ndim - 1)), moved, x)


def _through_loss(chain: Chain, output: Any, changes: Tensor) -> str:
    """The loss, if the kept examples' terms have a derivative by another example's output."""
    outputs = _floating(output)
    if len(outputs) != 1 or len(outputs[0]) != len(changes):
        return ""
    end, kept = outputs[0].detach().requires_grad_(), ~changes
    with torch.enable_grad():
        losses = chain.losses(tree_map(lambda t: end if t is outputs[0] else t, output))
        rng = torch.Generator().manual_seed(0)
        w = torch.rand(losses.shape, generator=rng).to(losses) + 0.5
        total = (w * losses)[kept].sum()
    if not total.requires_grad:
        return ""
    g = torch.autograd.grad(total, end)[0]
    allowed = ROUNDING * torch.finfo(g.dtype).eps * g.abs().max()
    return "the loss" if (g[changes].abs() > allowed).any() else ""


def _alone(chain: Chain, at: _At) -> str:
    """The network, if the loss of the first example alone is another than in the batch."""
    single = chain.on(chain.x[:1], chain.y[:1])
    with torch.no_grad():
        try:
            alone = single.losses(single.forward(at.theta))
        except (ValueError, RuntimeError, IndexError):  # it takes no batch of one
            return ""
    together = at.losses
    allowed = OTHER_SHAPE * torch.finfo(together.dtype).eps * together.abs().max().clamp(min=1)
    return "the network or the loss" if ((together[:1] - alone).abs() > allowed).any() else ""


def _rows_differ(a: Tensor, b: Tensor, kept: Tensor) -> bool:
    if a.shape != b.shape:
        return True
    if a.ndim == 0 or len(a) != len(kept):
        return False
    a, b = a[kept], b[kept]
    finite = a.isfinite() & b.isfinite()
    if not finite.any():
        return False
    size = a[finite].abs().max()
    allowed = ROUNDING * torch.finfo(a.dtype).eps * size
    return bool(((a - b)[finite].abs() > allowed).any())


def _floating(value: Any) -> list[Tensor]:
    return [t for t in tensors_in(value) if t.is_floating_point()]
