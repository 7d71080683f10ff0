"""Whether the examples of a batch are coupled: whether one example's loss depends on another.

A loss that is a mean over examples is separable if each term depends on its own example alone. That
is not asked of the user: single examples are compared with the batch, and other examples are
changed, at weights near the given ones, where a coupling cannot cancel.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.measurement.inputs.modules import calls_of, first_that_differs, tensors_in
from estimators.measurement.inputs.nearby import near

SPLITS = 2
"""Ways in which a batch is divided into examples that change and examples that must not."""
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
    theta = near(params, 0)
    with torch.no_grad():
        output = chain.forward(theta)
        losses = chain.losses(output)
    if not all(t.isfinite().all() for t in (losses, *_floating(output))):
        theta = dict(params)
    for split in range(SPLITS):
        changes = _changes(examples, split).repeat(chain.views).to(chain.x.device)
        where = _through_network(chain, theta, changes) or _through_loss(chain, theta, changes)
        if where:
            return where
    return _alone(chain, theta) if chain.views == 1 else ""


def _changes(examples: int, split: int) -> Tensor:
    """Which examples change: a random half, at least one and not all."""
    rng = torch.Generator().manual_seed(split)
    chosen = torch.zeros(examples, dtype=torch.bool)
    chosen[torch.randperm(examples, generator=rng)[: examples // 2]] = True
    return chosen


def _through_network(chain: Chain, theta: Params, changes: Tensor) -> str:
    """The module in which an example's activation follows another example's input."""
    other = chain.on(_changed(chain.x, changes), chain.y)
    kept = ~changes

    def differ(a: Any, b: Any) -> bool:
        pairs = zip(_floating(a), _floating(b), strict=True)
        return any(_rows_differ(*pair, kept) for pair in pairs)

    with torch.no_grad():
        first, second = chain.forward(theta), other.forward(theta)
        if not differ(first, second):
            return ""
        # An output whose first axis is not the batch differs too; then the losses tell.
        if not _rows_differ(chain.losses(first), other.losses(second), kept):
            return ""
    calls = calls_of(chain, theta), calls_of(other, theta)
    return first_that_differs(*calls, differ) or "the network"


def _changed(x: Tensor, changes: Tensor) -> Tensor:
    """x with the next example in each chosen row, or noise where all examples are equal."""
    moved = x.roll(1, 0)
    if torch.equal(moved, x) and x.is_floating_point():
        rng = torch.Generator(x.device).manual_seed(0)
        noise = torch.empty_like(x).normal_(generator=rng)
        moved = x + 0.1 * (x.abs().max() + 1) * noise
    return torch.where(changes.view(-1, *[1] * (x.ndim - 1)), moved, x)


def _through_loss(chain: Chain, theta: Params, changes: Tensor) -> str:
    """The loss, if the kept examples' terms have a derivative by another example's output."""
    with torch.no_grad():
        output = chain.forward(theta)
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


def _alone(chain: Chain, theta: Params) -> str:
    """The network, if the loss of the first example alone is another than in the batch."""
    single = chain.on(chain.x[:1], chain.y[:1])
    with torch.no_grad():
        together = chain.losses(chain.forward(theta))
        try:
            alone = single.losses(single.forward(theta))
        except (ValueError, RuntimeError, IndexError):  # it takes no batch of one
            return ""
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
