"""A loss taken of single examples, whatever it is written for."""

import copy
import warnings
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Loss = Callable[[Any, Tensor], Tensor]
"""loss(output, y): one value for each example, (B,), or their mean, ()."""
Batch = tuple[Tensor, Tensor]
"""(x, y), the examples along the first axis of both."""


class InAnyPrecision:
    """A loss whose own tensors (class weights) have the precision of the outputs."""

    def __init__(self, loss: Loss) -> None:
        self._loss, self._casts = loss, {}
        tensors = loss.state_dict().values() if isinstance(loss, nn.Module) else ()
        self._own = {t.dtype for t in tensors if t.is_floating_point()}

    def __call__(self, output: Any, y: Tensor) -> Tensor:
        if self._own and isinstance(output, Tensor) and output.dtype is torch.float64:
            return self._cast()(output, y)
        return self._loss(output, y)

    def _cast(self) -> Loss:
        if not self._casts:
            self._casts[torch.float64] = copy.deepcopy(self._loss).double()  # type: ignore[attr-defined]
        return self._casts[torch.float64]


class EachExample:
    """The losses of single examples, (B,): the loss of a batch of one, times a constant."""

    def __init__(self, loss: Loss) -> None:
        self._loss, self._factor = loss, 1.0
        self._batched: bool | None = None
        """Whether all examples run at once; None until it is tried."""

    def times(self, factor: float) -> Self:
        """The same times a constant."""
        other = copy.copy(self)
        other._factor = factor
        return other

    def __call__(self, output: Any, y: Tensor) -> Tensor:
        losses = self._alone(output, y)
        return losses if self._factor == 1 else self._factor * losses

    def _alone(self, output: Any, y: Tensor) -> Tensor:
        if len(y) == 1:
            return self._loss(output, y).reshape(1)
        if self._batched is None:
            self._batched = self._runs_batched(output, y)
        if self._batched:
            return torch.func.vmap(self._single)(output, y)
        rows = (tree_map(lambda t, n=n: t[n], output) for n in range(len(y)))
        return torch.stack([self._single(row, y[n]) for n, row in enumerate(rows)])

    def _runs_batched(self, output: Any, y: Tensor) -> bool:
        """Whether `vmap` takes the loss; not if it branches on a value, or an operation has no
        batch rule, of which torch warns at every call."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                torch.func.vmap(self._single)(output, y)
            except Exception:  # the loop tells what is wrong with the loss itself
                return False
        return True

    def _single(self, output: Any, y: Tensor) -> Tensor:
        batch = tree_map(lambda t: t.unsqueeze(0) if isinstance(t, Tensor) else t, output)
        return self._loss(batch, y.unsqueeze(0)).reshape(())
