"""`SegmentGradients`: gradients of the parameters for signals at the places where a pass is cut.

A pass by `JVPMode` leaves two kinds of graph: autograd's, and linear maps whose input has no
graph (`MapRecord`), which their own rule pulls back.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from estimators.autodiff.jvp_mode import JVPMode, MapRecord
from estimators.autodiff.operations.operation import plus
from estimators.core.vectors import dense

Grads = dict[str, Tensor | None]


class SegmentGradients:
    """The gradient of the loss behind the cuts, and what signals at the cuts add to it."""

    def __init__(self, mode: JVPMode) -> None:
        self._mode = mode
        self._maps = list(mode.maps.values())
        self._at: list[Tensor | None] = [None] * len(self._maps)
        """The signal at the output of each map."""
        self._grads: Grads = {}

    def derive(self, loss: Tensor) -> Tensor | None:
        """Take in the loss's gradient where no cut is between; return that at the last site."""
        mode = self._mode
        ends = [] if mode.end is None else [mode.end[0]]
        count = len(ends) + len(self._maps)
        inputs = [*ends, *(m.y for m in self._maps), *mode.leaves.values()]
        if not loss.requires_grad:
            return None
        grads = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
        self._at = [*grads[len(ends) : count]]
        pairs = zip(mode.leaves, grads[count:], strict=True)
        self._grads = {name: None if g is None else dense(g) for name, g in pairs}
        return grads[0] if ends else None

    def pull_back(self, places: list[Tensor], signals: Sequence[Tensor]) -> dict[str, Tensor]:
        """The gradients for a signal at each place, shaped as its activation."""
        at, grads = list(self._at), dict(self._grads)
        index = {id(m.y): i for i, m in enumerate(self._maps)}
        inner = []
        for z, s in zip(places, signals, strict=True):
            i = index.get(id(z))
            if i is not None:
                at[i] = plus(at[i], s)
            elif z.requires_grad:
                inner.append((z, s))
        if inner:
            self._pull_inner(inner, at, grads)
        for m, s in zip(self._maps, at, strict=True):
            if s is not None:
                _pull_map(m, s, grads)
        named = ((n, p, grads.get(n)) for n, p in self._mode.raw.items())
        return {n: torch.zeros_like(p) if g is None else g for n, p, g in named}

    def _pull_inner(
        self, inner: list[tuple[Tensor, Tensor]], at: list[Tensor | None], grads: Grads
    ) -> None:
        """Through what lies between a map and a site, such as a normalisation."""
        begun = [i for i, m in enumerate(self._maps) if m.y.requires_grad]
        leaves = self._mode.leaves
        inner_grads = torch.autograd.grad(
            [z for z, _ in inner],
            [*(self._maps[i].y for i in begun), *leaves.values()],
            [s for _, s in inner],
            allow_unused=True,
        )
        for i, g in zip(begun, inner_grads, strict=False):
            at[i] = plus(at[i], g)
        for name, g in zip(leaves, inner_grads[len(begun) :], strict=True):
            grads[name] = plus(grads.get(name), None if g is None else dense(g))


def _pull_map(m: MapRecord, s: Tensor, grads: Grads) -> None:
    if m.x._version != m.version:
        raise RuntimeError(f"the input of {m.weight} was modified by an inplace operation")
    _, w, b = m.operation.vjp(m.saved, s, (False, True, m.bias is not None))
    grads[m.weight] = plus(grads.get(m.weight), w)
    if m.bias is not None:
        grads[m.bias] = plus(grads.get(m.bias), b)
